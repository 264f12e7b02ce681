"""The wheel contains what it should, and `chainproof demo` runs from it in an empty environment outside the repository."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import sysconfig
import zipfile
from pathlib import Path

import pytest

from chainproof.results.folder import read_run

from ..loadtests.conftest import is_late
from ..processes import run_process
from ..waiting import PATIENCE, await_condition

CHAINPROOF = [sys.executable, "-P", "-m", "chainproof"]


ROOT = Path(__file__).parents[2]
SOURCES = ("chainproof", "emulator", "conformance", "loadtests", "reports")


@pytest.fixture(scope="module")
def wheel(tmp_path_factory):
    """The wheel, built from a copy of the tracked files, so that the build does not change the working tree."""
    folder = tmp_path_factory.mktemp("wheel")
    for path in tracked():
        (folder / "checkout" / path).parent.mkdir(parents=True, exist_ok=True)
        (folder / "checkout" / path).write_bytes((ROOT / path).read_bytes())
    command = [sys.executable, "-m", "pip", "wheel", "-q", "--no-deps", "-w", str(folder), str(folder / "checkout")]
    subprocess.run(command, check=True)
    return next(folder.glob("*.whl"))


def tracked():
    """The files that Git tracks or does not ignore, and that exist."""
    listed = subprocess.run(["git", "ls-files", "-co", "--exclude-standard"], cwd=ROOT, capture_output=True, check=True)
    return [Path(name) for name in listed.stdout.decode().splitlines() if (ROOT / name).is_file()]


@pytest.fixture(scope="module")
def installed_python(wheel, tmp_path_factory):
    """The Python of an environment with the wheel, without the repository. It borrows the dependencies of this one."""
    folder = tmp_path_factory.mktemp("installed")
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", str(folder)], check=True)
    version = f"python{sys.version_info[0]}.{sys.version_info[1]}"
    packages = folder / "lib" / version / "site-packages"
    zipfile.ZipFile(wheel).extractall(packages)
    # Files of the borrowed folder that add the repository to the import path are not read.
    (packages / "dependencies.pth").write_text(sysconfig.get_path("purelib"), encoding="utf-8")
    return folder / "bin" / "python"


def test_the_wheel_contains_every_module_and_file(wheel):
    """All files of the source folders are below `chainproof/`; besides there is only the metadata, with one import name."""
    names = set(zipfile.ZipFile(wheel).namelist())
    metadata = {name.partition("/")[2] for name in names if ".dist-info/" in name}
    expected = {
        str(Path("chainproof") / path if path.parts[0] != "chainproof" else path)
        for path in tracked()
        if path.parts[0] in SOURCES
    }

    assert expected == {name for name in names if ".dist-info/" not in name}
    assert {"METADATA", "RECORD", "WHEEL", "entry_points.txt", "licenses/LICENSE", "top_level.txt"} == metadata
    assert b"chainproof\n" == zipfile.ZipFile(wheel).read(f"{wheel.name.split('-py3')[0]}.dist-info/top_level.txt")


def test_an_installed_wheel_is_not_the_repository(installed_python, tmp_path):
    """Every module is from the wheel, and every tool is found."""
    script = "import chainproof.reports, chainproof.__main__ as m; print(chainproof.reports.__file__); print(m.usage())"
    done = run_process([installed_python, "-P", "-c", script], cwd=tmp_path, check=True)

    assert done.stdout.startswith(str(installed_python.parents[1]))
    assert "doctor" in done.stdout


@pytest.fixture(scope="module")
def demo(tmp_path_factory, installed_python):
    """Run a short demonstration of the wheel in an empty folder, without a key in the environment."""
    folder = tmp_path_factory.mktemp("demo")
    ended = run_process(
        [installed_python, "-P", "-m", "chainproof", "demo", "--rate", "200", "--duration", "5s", "--out", "out"],
        cwd=folder,
        env=without_key(),
        timeout=4 * PATIENCE,
    )
    late = is_late(read_run(folder / "out" / "load"))  # as on a busy machine
    assert ended.returncode == 0 or (ended.returncode == 4 and late), ended.stdout + ended.stderr
    return folder, ended


def without_key():
    """The environment of a new user."""
    return {
        name: value
        for name, value in os.environ.items()
        if name not in ("BASETEN_API_KEY", "CHAINPROOF_TARGET", "CHAINPROOF_EMULATED")
    }


def as_json(folder, *runs):
    """The JSON report on runs, and its exit code."""
    ended = run_process([*CHAINPROOF, "reports", *runs, "--json", "-"], cwd=folder)
    return json.loads(ended.stdout), ended.returncode


def test_the_last_line_is_the_path_of_the_report(demo):
    """The last line of output is the path of the HTML report."""
    folder, ended = demo
    page = Path(ended.stdout.splitlines()[-1])

    assert (folder / "out" / "report.html").resolve() == page
    assert "<svg" in page.read_text(encoding="utf-8")


def test_the_demo_passes_although_some_requests_fail(demo):
    """A flaky chain within its objectives passes, and its failures are recorded."""
    folder, ended = demo
    report, code = as_json(folder, "out/conformance", "out/load")

    assert (ended.returncode, "combined") == (code, report["kind"])
    assert report["verdict"] == ("pass" if code == 0 else "invalid")
    assert report["accounting"]["failed"] > 0
    assert report["accounting"]["ok"] > 900
    assert report["findings"] == []


def test_every_planned_request_is_accounted_for(demo):
    """The results of the load run add up to the planned requests."""
    folder, _ = demo
    counted = as_json(folder, "out/load")[0]["accounting"]

    assert counted["planned"] == counted["sent"] + counted["not_sent"]
    assert counted["sent"] == sum(counted[result] for result in ("ok", "failed", "timed_out", "censored"))


def test_every_clause_but_retry_after_is_exercised(demo):
    """The emulator echoes and can be steered, so all clauses but two are exercised, and none is violated."""
    folder, _ = demo
    rows = as_json(folder, "out/conformance")[0]["clauses"]

    # No source documents a Retry-After header of the service, so the emulator sends none. The outputs of an echo chain are
    # compared with what was sent, not with each other.
    assert [row["clause"] for row in rows if row["state"] == "not exercised"] == ["retry-after", "answer-repeatable"]
    assert {row["state"] for row in rows} == {"passed", "not exercised"}


FEW_CHECKS = """
import sys
from chainproof import demo
command = demo.chainproof_command
demo.chainproof_command = lambda *words: command(*words, *(["-k", "without_a_body"] if words[0] == "conformance" else []))
sys.exit(demo.main(sys.argv[1:]))
"""
"""The demonstration, whose conformance run has few checks."""


def test_an_interrupted_demo_writes_its_report(tmp_path):
    """SIGINT during the load run leaves a report, and exit code 130."""
    running = subprocess.Popen(
        [sys.executable, "-P", "-c", FEW_CHECKS, "--rate", "50", "--duration", "60s", "--out", "out"],
        cwd=tmp_path,
        env=without_key(),
        stdout=subprocess.PIPE,
        text=True,
    )
    intervals = tmp_path / "out" / "load" / "intervals.jsonl"
    await_condition(lambda: running.poll() is not None or (intervals.exists() and intervals.stat().st_size))
    assert running.poll() is None, "the demonstration ended before its load run"
    running.send_signal(signal.SIGINT)
    output, _ = running.communicate(timeout=PATIENCE)
    counted = as_json(tmp_path, "out/load")[0]["accounting"]

    assert running.returncode == 130
    assert (tmp_path / "out" / "report.html").exists()
    assert str((tmp_path / "out" / "report.html").resolve()) == output.splitlines()[-1]
    assert counted["planned"] == counted["sent"] + counted["not_sent"]
    assert counted["sent"] == sum(counted[result] for result in ("ok", "failed", "timed_out", "censored"))
    assert counted["not_sent"] > 0
