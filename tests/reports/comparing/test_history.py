"""`chainproof reports --history DIR` shows the figures of each workload over time, and where their level changed."""

from __future__ import annotations

import json
import math
import re
import shutil
from pathlib import Path

import numpy as np
import pytest

from chainproof.judgement.comparison.history import HistoryRun, WorkloadHistory, _Group, _workload
from chainproof.judgement.comparison.metrics import QUANTILES, Measurements
from chainproof.judgement.verdict import ExitCode, Verdict
from chainproof.reports.command import main
from chainproof.reports.comparison import history_wording
from chainproof.reports.comparison.history_json import HistoryData
from chainproof.statistics.measurements import Measurement
from chainproof.typed_json import mismatch

from ...manifests import load_manifest
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
    shutil.copytree(root / "run-3", root / "copy")
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
    assert ["conformance", "run-3", "unreadable"] == sorted(text.partition(":")[0] for text in found["left_out"])
    assert "run-3: the same run as copy" in found["left_out"]


def test_the_terminal_and_the_page_show_it(folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Both name the change with the label of its run; the page links each run folder relative to itself."""
    page = tmp_path / "history.html"
    main(["--history", str(folder)])
    lines = capsys.readouterr().out
    terminal = " ".join(lines.split())
    assert ExitCode.PASS == main(["--history", str(folder), "--html", str(page)])

    for text in (terminal, page.read_text().replace("&#34;", '"')):
        assert f"Worse since run {STEP + 1}" in text
        assert f"Find out what was deployed before run {STEP + 1}." in text
        assert '"new model"' in text
        assert "steady (40/s, 30 s) on " in text
        assert "steady (10/s, 30 s) on " in text
    orders = [
        [int(number) for number in re.findall(pattern, text)]
        for pattern, text in (
            (r"(?m)^ +(\d+)  \d{4}-", lines),
            (r'<span class="card">run </span>(\d+)<', page.read_text()),
        )
    ]
    assert orders[0]
    assert orders[0][:5] == orders[1][:5] == sorted(orders[0][:5], reverse=True)
    links = [part.partition('"')[0] for part in page.read_text().split('<a href="')[2:]]
    assert all((page.parent / link).exists() for link in links)
    assert 1 == page.read_text().count("<script>")


def test_runs_of_several_series_are_told_apart(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The history names runs whose folders have the same name by the folder of their series, also those left out."""
    for place, series in enumerate(("before", "after")):
        write_run(tmp_path / series / "01", place)
        conformance(tmp_path / series / "02")
    main(["--history", str(tmp_path), "--json", "-"])
    found = json.loads(capsys.readouterr().out)

    assert ["before/01", "after/01"] == [run["run"] for run in found["workloads"][0]["runs"]]
    assert ["after/02", "before/02"] == sorted(text.partition(":")[0] for text in found["left_out"])
    main(["--history", str(tmp_path), "--html", "-"])
    assert ">before/01</a>" in capsys.readouterr().out


def workload(levels: list[float]) -> WorkloadHistory:
    """A history with twelve runs on each level, whose percentiles are these factors times 200 ms."""
    started = "2026-11-01T08:15:00.000Z"
    manifest = load_manifest(started=started)
    runs: list[tuple[HistoryRun, Measurements]] = []
    for place, level in enumerate(np.repeat(levels, RUNS)):
        value = Measurement(math.log(0.2 * level) + 0.001 * (1 - place % 3), 0.01, np.zeros(0))
        run = HistoryRun(
            path=Path(f"run-{place}"),
            name=f"run-{place}",
            label="",
            started=started,
            verdict=Verdict.PASS,
            counts=True,
            values={},
        )
        runs.append((run, dict.fromkeys(QUANTILES, value)))
    return _workload(_Group(manifest, manifest.target, runs))


@pytest.mark.parametrize(
    ("levels", "named", "step"),
    [
        ([1.0, 1.0, 1.5, 1.5, 1.0, 1.0], ["Better since run 49", "Worse from run 25 to run 48"], "no regression lasts"),
        ([1.0, 1.5, 1.3], ["Worse since run 13", "Better since run 25"], "before run 13."),
        ([1.0, 1.2, 1.5], ["Worse since run 25", "Worse since run 13"], "before run 25 and run 13."),
        ([1.0, 0.6, 0.8], ["Worse since run 25", "Better since run 13"], "before run 25."),
        ([1.0, 0.6], ["Better since run 13"], "Nothing has to be done."),
        ([1.0, 1.0], [], "--against"),
    ],
)
def test_regressions_that_last_come_first(levels: list[float], named: list[str], step: str) -> None:
    """The first changes, of all percentiles together, are regressions that last; the next step names the runs of all of them."""
    found = workload(levels)
    shown = [history_wording.joint_change(found, each) for each in found.joint_changes]

    assert named == [text.partition(" (")[0] for text in shown][: len(named)]
    assert bool(named) is bool(shown)
    assert all("p50" in text and "p99" in text for text in shown)
    assert step in history_wording.next_step(found)


def test_a_history_without_a_change_says_what_it_would_miss() -> None:
    """The runs differ by a factor of 1.002 at most, so that only changes below the least one that is shown are missed."""
    found = workload([1.0, 1.0])

    assert (
        "would probably miss a lasting change of p50 by less than 1 %, p95 by less than 1 % or p99 by less than 1 %"
        in (history_wording.no_change(found))
    )


def test_what_is_left_of_a_change_is_named() -> None:
    """If a regression was undone in part, its sentence has the latest figure, compared with that before it."""
    found = workload([1.0, 1.5, 1.3])

    assert "p50 200 ms → 300 ms (+50.0 %), now 260 ms (+30.0 %)" in history_wording.joint_change(
        found, found.joint_changes[0]
    )


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
