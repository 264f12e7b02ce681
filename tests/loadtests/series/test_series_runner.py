"""Tests of how a series goes on and ends, without processes: each run writes the folder that the test asks for."""

from __future__ import annotations

import argparse
import shutil
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

import pytest

from chainproof.command import build_parser
from chainproof.contract.credentials import ApiKey
from chainproof.contract.target import parse_target
from chainproof.endpoint import Endpoint
from chainproof.errors import UsageError
from chainproof.loadtests.locust_process import LocustExit, LocustRun
from chainproof.loadtests.options import OPTIONS
from chainproof.loadtests.series import runner
from chainproof.loadtests.series.planning import SeriesPlan
from chainproof.loadtests.series.runner import SeriesResult, SideTarget, run_series
from chainproof.results.folder import FolderError, Run
from chainproof.results.intervals.interval import Interval
from chainproof.results.manifest import Ending, RunEnd, SeriesKind, Side
from chainproof.results.run_writer import RunWriter
from chainproof.results.series_record import SERIES_FILE, check_series
from chainproof.target_options import TargetOptions

from ...manifests import load_manifest

TARGET = parse_target("http://127.0.0.1:1")


@dataclass(frozen=True, slots=True, kw_only=True)
class Made:
    """What becomes of one run."""

    ending: Ending | None = Ending.COMPLETED
    """None: it sends nothing."""
    code: int = 0
    interrupted: bool = False
    deleted: bool = False


def write_run(run: LocustRun, made: Made) -> None:
    """The folder of a run."""
    manifest = load_manifest(name="smoke", target=TARGET.url, series=run.series)
    with RunWriter(run.folder, manifest) as writer:
        if made.ending is not None:
            writer.write_interval(Interval(second=0))
            counts = dict.fromkeys(("planned", "not_sent", "sent", "ok", "failed", "timed_out", "censored"), 0)
            writer.finish(RunEnd(ending=made.ending, seconds=1.0, accounting=counts, note="something happened"))


Play = Callable[..., SeriesResult]


@pytest.fixture
def play(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Play:
    """A function that makes a series whose runs end as given, in order; a run that is not given completes."""

    def make(kind: SeriesKind, count: int, *steps: tuple[Made, ...]) -> SeriesResult:
        left = list(steps)

        def run_together(runs: Mapping[str, LocustRun], title: Callable[[], str]) -> list[LocustExit]:
            assert " of " in title()
            made = left.pop(0) if left else (Made(),) * len(runs)
            for run, each in zip(runs.values(), made, strict=True):
                write_run(run, each)
                if each.deleted:
                    shutil.rmtree(run.folder)
            return [LocustExit(code=each.code, interrupted=each.interrupted) for each in made]

        monkeypatch.setattr(runner, "run_together", run_together)
        options: argparse.Namespace = build_parser("loadtests", "…", options=OPTIONS).parse_args([])
        endpoint = Endpoint(target=TARGET, key=ApiKey("a-key"), environment={})
        run = LocustRun(options=options, requested=TargetOptions(), endpoint=endpoint, folder=tmp_path / "series")
        plan = SeriesPlan(kind=kind, count=count, pause=0.0, duration=1.0)
        sides = [Side.CANDIDATE] if kind is SeriesKind.REPEAT else list(Side)
        return run_series(run, plan, {side: SideTarget(requested=run.requested, endpoint=endpoint) for side in sides})

    return make


def test_a_complete_series_has_every_run_and_no_reason_to_stop(play: Play) -> None:
    """Both sides of each pair are compared."""
    result = play(SeriesKind.INTERLEAVE, 2)

    assert result.stopped is None
    assert ["02_candidate", "03_candidate", "--against", "01_baseline", "04_baseline"] == [
        Path(word).name for word in result.arguments
    ]


@pytest.mark.parametrize(
    ("made", "code", "message"),
    [
        (Made(ending=Ending.INTERNAL_ERROR, code=0), 70, "run 02 is error: "),
        (Made(ending=Ending.STOPPED_BY_GUARD), 3, "run 02 ended early: "),
        (Made(ending=Ending.INTERRUPTED, code=130, interrupted=True), 130, "it was interrupted in run 2 of 5"),
        (Made(ending=None, code=2), 2, "run 2 of 5 could not start, see above"),
        (Made(ending=None, code=70), 70, "the Locust process of run 2 of 5 failed (exit code 70)"),
        (Made(deleted=True, code=4), 4, "was deleted"),
    ],
    ids=["error", "guard", "interrupted", "usage error", "failed", "deleted"],
)
def test_a_series_ends_with_the_first_run_that_is_worth_nothing(
    made: Made, code: int, message: str, play: Play, capsys: pytest.CaptureFixture[str]
) -> None:
    """The message says which run and why. What is complete is kept, and no further run is made."""
    result = play(SeriesKind.REPEAT, 5, (Made(),), (made,))

    assert code == result.stopped == result.exit_code
    assert message in capsys.readouterr().err
    names = ["01"] if made.ending is None or made.deleted else ["01", "02"]
    assert names == [run.folder.name for run in result.runs]
    folder = result.runs[0].folder.parent

    assert [*names, SERIES_FILE] == sorted(path.name for path in folder.iterdir())
    check_series(folder)


def test_only_complete_pairs_are_compared(play: Play) -> None:
    """After an interruption in the second pair, the first one is compared."""
    interrupted = Made(ending=Ending.INTERRUPTED, code=130, interrupted=True)
    result = play(SeriesKind.INTERLEAVE, 3, (Made(),), (Made(),), (interrupted,))

    assert 130 == result.exit_code
    assert ["02_candidate", "--against", "01_baseline"] == [Path(word).name for word in result.arguments]


def test_the_side_of_a_duet_that_ended_first_is_the_reason(play: Play, capsys: pytest.CaptureFixture[str]) -> None:
    """The other side was stopped because of it, so that its own end is no reason."""
    stopped = Made(ending=Ending.INTERRUPTED, code=130)
    result = play(SeriesKind.DUET, 2, (stopped, Made(ending=Ending.STOPPED_BY_GUARD)))

    assert 3 == result.exit_code
    assert "run 01_candidate ended early: " in capsys.readouterr().err
    assert not result.can_compare


def test_a_folder_that_was_deleted_ends_the_series(
    play: Play, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """It is invalid, and the other runs are shown."""
    read = runner.read_run

    def read_run(folder: Path) -> Run:
        if folder.name == "02":
            raise FolderError("nothing at 02")
        return read(folder)

    monkeypatch.setattr(runner, "read_run", read_run)
    result = play(SeriesKind.REPEAT, 3)

    assert 4 == result.exit_code
    assert ["01"] == [run.folder.name for run in result.runs]
    assert "the series ended early: nothing at 02" in capsys.readouterr().err


def test_a_folder_with_runs_is_not_used_again(play: Play) -> None:
    """A second series in the same folder is a usage error."""
    play(SeriesKind.REPEAT, 1)

    with pytest.raises(UsageError, match=r"found runs in .*; name another with --out"):
        play(SeriesKind.REPEAT, 1)
