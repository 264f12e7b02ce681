"""The command `chainproof reports`: its exit code is the verdict, and files are written completely or not at all."""

from __future__ import annotations

import errno
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from chainproof.judgement.verdict import EXIT_CODE_OF, ExitCode
from chainproof.reports.command import main
from chainproof.results.folder import FINDINGS
from chainproof.results.manifest import FORMAT

from ..waiting import PATIENCE
from .sample_reports import SAMPLES, reports_of
from .sample_runs import failing_conformance, flaky_load


def run(*arguments: object, **environment: str) -> subprocess.CompletedProcess[bytes]:
    """Run the command in a new process."""
    return subprocess.run(
        [sys.executable, "-m", "chainproof", "reports", *map(str, arguments)],
        capture_output=True,
        env={**os.environ, **environment},
        timeout=PATIENCE,
        check=False,
    )


@pytest.mark.parametrize("name", SAMPLES)
def test_the_exit_code_is_the_verdict(name, tmp_path, capsys):
    """The exit code is that of the verdict, in every format."""
    expected = EXIT_CODE_OF[reports_of(name, tmp_path).verdict]

    assert expected == main([str(tmp_path)])
    assert expected == main([str(tmp_path), "--json", "-"])
    assert expected == json.loads(capsys.readouterr().out.partition("\n{")[2].join(("{", "")))["exit_code"]


@pytest.mark.parametrize("content", [None, b"", b'{"clause": "st'], ids=["deleted", "emptied", "torn"])
@pytest.mark.parametrize("write", [failing_conformance, flaky_load])
def test_a_run_that_lost_its_findings_is_invalid(write, content, tmp_path, capsys):
    """It is neither a pass nor a fail, whatever is left, and the report names the file."""
    write(tmp_path / "run")
    path = tmp_path / "run" / FINDINGS
    path.unlink()
    if content is not None:
        path.write_bytes(content)

    assert main([str(tmp_path / "run")]) == ExitCode.INVALID
    assert FINDINGS in capsys.readouterr().out


def test_several_formats_in_one_call(tmp_path):
    """Every requested format is written; only the one with `-` goes to stdout."""
    flaky_load(tmp_path / "run")
    page, summary = tmp_path / "r.html", tmp_path / "r.md"
    done = run(tmp_path / "run", "--html", page, "--markdown", summary, "--json", "-")

    assert 3 == done.returncode
    assert "inconclusive" == json.loads(done.stdout)["verdict"]
    assert page.read_text().startswith("<!DOCTYPE html>")
    assert summary.read_text().startswith("# ")
    assert f"wrote {page}, {summary}" in done.stderr.decode()
    assert [] == list(tmp_path.glob(".*"))


def test_load_and_conformance_runs_share_a_report(tmp_path):
    """A folder of run folders, or the folders themselves, give one report with each run once."""
    failing_conformance(tmp_path / "runs" / "1")
    flaky_load(tmp_path / "runs" / "2")
    together = run(tmp_path / "runs", "--json", "-")
    named = run(tmp_path / "runs" / "1", tmp_path / "runs", tmp_path / "runs" / "2", "--json", "-")

    assert "combined" == json.loads(together.stdout)["kind"]
    assert together.stdout == named.stdout


USAGE_ERRORS = {
    "no folder": (["{tmp}/nowhere"], "found nothing at"),
    "a file": (["{tmp}/file"], "found a file at"),
    "a foreign folder": (["{tmp}/foreign"], "no manifest.json"),
    "a foreign manifest": (["{tmp}/manifest"], "cannot understand"),
    "an older format": (["{tmp}/older"], "made by an older chainproof; run it again, or install"),
    "no parent": (["{tmp}/run", "--html", "{tmp}/no/r.html"], "an existing folder"),
    "a folder to write": (["{tmp}/run", "--html", "{tmp}"], "found the folder"),
    "stdout twice": (["{tmp}/run", "--html", "-", "--json", "-"], "stdout twice"),
    "one file twice": (["{tmp}/run", "--html", "{tmp}/r", "--json", "{tmp}/./r"], "twice"),
    "an empty name": (["{tmp}/run", "--html", ""], "an empty name"),
}


@pytest.mark.parametrize("case", USAGE_ERRORS)
def test_a_usage_error_is_one_line_and_exit_code_2(case, tmp_path, capsys):
    """The message is one line that says what was expected, and nothing is written."""
    flaky_load(tmp_path / "run")
    (tmp_path / "file").touch()
    (tmp_path / "foreign").mkdir()
    (tmp_path / "manifest").mkdir()
    (tmp_path / "manifest" / "manifest.json").write_text('{"manifest_version": 3, "name": "an extension"}')
    flaky_load(tmp_path / "older")
    manifest = tmp_path / "older" / "manifest.json"
    manifest.write_text(manifest.read_text().replace(f'"format": {FORMAT}', '"format": 1'))
    before = sorted(tmp_path.rglob("*"))
    arguments, words = USAGE_ERRORS[case]

    assert 2 == main([argument.replace("{tmp}", str(tmp_path)) for argument in arguments])
    message = capsys.readouterr().err
    assert words in message
    assert 1 == message.count("\n")
    assert before == sorted(tmp_path.rglob("*"))


def test_outputs_are_checked_first(tmp_path, capsys):
    """A path that cannot be written is reported before run folders are read."""
    assert 2 == main([str(tmp_path / "nowhere"), "--html", str(tmp_path / "no" / "r.html")])
    assert "no folder" in capsys.readouterr().err


def test_too_few_files_for_charts_are_reported_in_one_line(tmp_path):
    """Without a panic of the drawing library; other formats are written."""
    flaky_load(tmp_path / "run")
    program = f"ulimit -n 12; exec {sys.executable} -P -m chainproof reports run --html a.html --json b.json"
    done = subprocess.run(["bash", "-c", program], cwd=tmp_path, capture_output=True, timeout=PATIENCE, check=False)

    assert ExitCode.USAGE == done.returncode
    assert b"cannot write --html: cannot draw a chart: expected" in done.stderr.splitlines()[-1]
    assert b"ulimit -n" in done.stderr.splitlines()[-1]
    assert b"panicked" not in done.stderr
    assert ["b.json", "run"] == sorted(path.name for path in tmp_path.iterdir())


def test_the_terminal_summary_does_not_import_the_chart_library(tmp_path):
    """The summary imports none of `charts/drawing.py`, Jinja, Locust and gevent."""
    flaky_load(tmp_path / "run")
    program = (
        "import sys\nfrom chainproof.reports.command import main\n"
        f"main([{str(tmp_path / 'run')!r}]); main([{str(tmp_path / 'run')!r}, '--json', '-', '--markdown', '/dev/null'])\n"
        "print(sorted({'chainproof.reports.charts.drawing', 'jinja2', 'gevent', 'locust'} & set(sys.modules)), file=sys.stderr)"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, timeout=PATIENCE, check=True)

    assert b"[]" == done.stderr.splitlines()[-1]


@pytest.mark.parametrize("encoding", ["ascii", "latin-1", "utf-8"])
def test_every_encoding_of_the_terminal_works(encoding, tmp_path):
    """Characters outside the encoding become question marks; JSON is always UTF-8."""
    reports_of("hostile", tmp_path)
    shown = run(tmp_path, PYTHONIOENCODING=encoding, PYTHONUTF8="0", LC_ALL="C")
    piped = run(tmp_path, "--json", "-", PYTHONIOENCODING=encoding, PYTHONUTF8="0", LC_ALL="C")

    assert 70 == shown.returncode == piped.returncode
    assert shown.stdout.decode(encoding).startswith("ERROR")
    assert "error" == json.loads(piped.stdout.decode("utf-8"))["verdict"]
    assert "Traceback" not in shown.stderr.decode(encoding)


def test_a_device_is_not_replaced(tmp_path):
    """`--json /dev/null` writes to the device."""
    flaky_load(tmp_path / "run")

    assert 3 == run(tmp_path / "run", "--json", "/dev/null").returncode
    assert Path("/dev/null").is_char_device()


def test_a_file_in_a_read_only_folder_is_written(tmp_path):
    """GitHub creates the file of a job summary beforehand; it is written even if no other file can be created beside it."""
    flaky_load(tmp_path / "run")
    summary = tmp_path / "read-only" / "step_summary"
    summary.parent.mkdir()
    summary.touch()
    summary.parent.chmod(0o555)
    try:
        done = run(tmp_path / "run", "--markdown", summary, "--junit", tmp_path / "junit.xml")
    finally:
        summary.parent.chmod(0o755)

    assert 3 == done.returncode
    assert summary.read_text().startswith("# ")
    assert [summary] == list(summary.parent.iterdir())
    assert (tmp_path / "junit.xml").read_text().startswith("<?xml")


def test_a_link_stays_a_link(tmp_path):
    """Writing to a link replaces the file it points to."""
    flaky_load(tmp_path / "run")
    (tmp_path / "real.json").write_text("old")
    (tmp_path / "link.json").symlink_to(tmp_path / "real.json")
    main([str(tmp_path / "run"), "--json", str(tmp_path / "link.json")])

    assert (tmp_path / "link.json").is_symlink()
    assert "inconclusive" == json.loads((tmp_path / "real.json").read_text())["verdict"]


@pytest.mark.parametrize(
    ("output", "code", "message"),
    [
        ("| true; exit ${PIPESTATUS[0]}", 1, b"fail"),
        ("| head -c 1; exit ${PIPESTATUS[0]}", 1, b"fail"),
        (">/dev/full", 1, b"cannot write to the standard output: no space left on device"),
    ],
)
def test_a_lost_standard_output_does_not_change_the_verdict(output, code, message, tmp_path):
    """`chainproof reports … --json - | head -1` ends without a traceback, also if the reader has ended before."""
    failing_conformance(tmp_path / "run")
    done = subprocess.run(
        ["bash", "-c", f"{sys.executable} -m chainproof reports {tmp_path / 'run'} --json - {output}"],
        capture_output=True,
        timeout=PATIENCE,
        check=False,
    )

    assert code == done.returncode
    assert message in done.stderr
    assert b"Traceback" not in done.stderr


def test_a_missing_package_is_named(tmp_path, monkeypatch, capsys):
    """Without the packages of the extra, `--html` says what to install."""
    flaky_load(tmp_path / "run")
    for name in [
        name
        for name in sys.modules
        if name.startswith(("chainproof.reports.formats.html", "chainproof.reports.charts"))
    ]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "jinja2", None)

    assert 2 == main([str(tmp_path / "run"), "--html", str(tmp_path / "r.html")])
    assert "pip install 'chainproof[reports]'" in capsys.readouterr().err
    assert not (tmp_path / "r.html").exists()


def test_a_file_that_cannot_be_written_leaves_no_part_behind(tmp_path, monkeypatch, capsys):
    """As on a full disk: the earlier file stays as it is."""
    failing_conformance(tmp_path / "run")
    out = tmp_path / "out"
    out.mkdir()
    (out / "report.json").write_text("before")

    def fill(path: Path, data: bytes) -> None:
        with path.open("wb") as file:
            file.write(data[:100])
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(Path, "write_bytes", fill)

    assert main([str(tmp_path / "run"), "--json", str(out / "report.json")]) == ExitCode.USAGE
    assert "no space left" in capsys.readouterr().err.lower()
    assert [path.name for path in out.iterdir()] == ["report.json"]
    assert (out / "report.json").read_text() == "before"
