"""`chainproof reports --history DIR` shows the figures of each workload over time, and where their level changed."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from chainproof.judgement.verdict import ExitCode
from chainproof.reports.command import main
from chainproof.reports.comparison.history_json import HistoryData
from chainproof.typed_json import mismatch

from .compared_runs import OPEN, write_run
from .test_comparison import conformance

RUNS, STEP = 12, 7


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Runs that are 30 % slower from the eighth on, one of another workload, one invalid, and what is no load run."""
    root = tmp_path_factory.mktemp("history")
    for place in range(RUNS):
        settings = {**OPEN, "label": "new model" if place == STEP else ""}
        write_run(root / f"run-{place}", place, factor=1.0 if place < STEP else 1.3, settings=settings)
    write_run(root / "other", 40, settings={**OPEN, "rate_per_s": 10.0})
    damaged = write_run(root / "damaged", 50, factor=9.0)
    (damaged / "end.json").write_text((damaged / "end.json").read_text().replace('"sha256": "', '"sha256": "0'))
    conformance(root / "conformance")
    (root / "unreadable").mkdir()
    (root / "unreadable" / "manifest.json").write_text("{}")
    return root


def test_a_change_of_level_is_dated_and_named(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The step is found at its run, with the medians before and after; invalid runs are shown and do not count."""
    assert ExitCode.PASS == main(["--history", str(folder), "--json", "-"])
    found = json.loads(capsys.readouterr().out)
    assert mismatch(found, HistoryData) is None
    (steady,) = [each for each in found["workloads"] if len(each["runs"]) > 1]
    change = next(each for each in steady["changes"] if each["metric"] == "p50")

    assert [RUNS + 1, 1] == [len(each["runs"]) for each in found["workloads"]]
    assert (STEP, f"run-{STEP}", True) == (change["place"], change["run"], change["is_worse"])
    assert change["change"] == pytest.approx(0.3, abs=0.05)
    assert ["damaged"] == [run["run"] for run in steady["runs"] if not run["counts"]]
    assert ["conformance", "unreadable"] == sorted(text.partition(":")[0] for text in found["left_out"])


def test_the_terminal_and_the_page_show_it(folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Both name the change with the label of its run; the page links each run folder relative to itself."""
    page = tmp_path / "history.html"
    main(["--history", str(folder)])
    terminal = " ".join(capsys.readouterr().out.split())
    assert ExitCode.PASS == main(["--history", str(folder), "--html", str(page)])

    for text in (terminal, page.read_text().replace("&#34;", '"')):
        assert f"p50 is worse from run {STEP + 1} on" in text
        assert '"new model"' in text
    links = [part.partition('"')[0] for part in page.read_text().split('<a href="')[2:]]
    assert all((page.parent / link).exists() for link in links)
    assert 1 == page.read_text().count("<script>")


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--history", "{empty}"], "no manifest.json"),
        (["--history", "{conformance}"], "expected load runs"),
        (["{run}", "--history", "{run}"], "expected --against"),
        (["--history", "{run}", "--junit", "-"], "--junit does not show this"),
        ([], "expected a run folder, or --history DIR"),
        (["--against", "{run}"], "expected the runs of the candidate"),
    ],
)
def test_a_wrong_history_is_a_usage_error(
    arguments: list[str], words: str, folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The message says what was expected."""
    names = {"empty": tmp_path, "conformance": folder / "conformance", "run": folder / "run-0"}

    assert ExitCode.USAGE == main([each.format(**names) for each in arguments])
    assert words in capsys.readouterr().err
