"""Tests of the plan of a series, and of what its options mean."""

from __future__ import annotations

import argparse
import threading
from array import array
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chainproof.command import build_parser
from chainproof.errors import UsageError
from chainproof.judgement.verdict import Verdict
from chainproof.loadtests.demand import PAIR_OFFSET, demand
from chainproof.loadtests.options import OPTIONS
from chainproof.loadtests.series import runner
from chainproof.loadtests.series.planning import SeriesPlan, forecast
from chainproof.loadtests.series.request import requested_baseline, requested_series
from chainproof.loadtests.series.table import FinishedRun, run_table
from chainproof.results.folder import FolderError
from chainproof.results.manifest import Ending, Series, SeriesKind, Side
from chainproof.target_options import parse_target_options

CANDIDATE, BASELINE = Side.CANDIDATE, Side.BASELINE
URL = "http://127.0.0.1:1"


def parsed_options(*words: str) -> argparse.Namespace:
    """The options of `chainproof loadtests` with these arguments."""
    return build_parser("loadtests", "…", options=OPTIONS).parse_args(words)


def requested(*words: str, **environment: str) -> SeriesPlan | None:
    """The series that these arguments ask for."""
    options = parsed_options(*words)
    return requested_series(options, demand(options, options.num_users).workload, environment)


def plan(kind: SeriesKind, count: int) -> SeriesPlan:
    """A series of runs of one minute with pauses of ten seconds."""
    return SeriesPlan(kind=kind, count=count, pause=10.0, duration=60.0)


# ------------------------------------------------------------------ the order of runs


def test_interleaved_runs_have_the_order_abba() -> None:
    """Baseline and candidate take turns in being first, so that a drift favours neither."""
    steps = plan(SeriesKind.INTERLEAVE, 4).steps

    assert [BASELINE, CANDIDATE, CANDIDATE, BASELINE] * 2 == [side for step in steps for side in step.sides]
    assert [0, 0, 1, 1, 2, 2, 3, 3] == [step.index for step in steps]


@given(st.sampled_from(SeriesKind), st.integers(1, 120))
def test_every_run_has_a_place_and_a_folder_of_its_own(kind: SeriesKind, count: int) -> None:
    """Each side has every index once, and the names of the folders sort in the order of the runs."""
    series = plan(kind, count)
    places = [(side, step.index) for step in series.steps for side in step.sides]
    names = [series.folder_name(step, side) for step in series.steps for side in step.sides]
    sides = [CANDIDATE] if kind is SeriesKind.REPEAT else [BASELINE, CANDIDATE]

    assert sorted((side, index) for side in sides for index in range(count)) == sorted(places)
    assert len(places) == len(set(names))
    assert sorted(names) == names


@given(st.sampled_from(SeriesKind), st.integers(1, 20))
def test_the_time_left_falls_to_nothing(kind: SeriesKind, count: int) -> None:
    """It is that of all runs and pauses at the beginning, and none at the end of the last run."""
    series = plan(kind, count)
    left = [series.time_left(step.number) for step in series.steps]

    assert sorted(left, reverse=True) == left
    assert left[0] >= len(series.steps) * 60 + (len(series.steps) - 1) * 10
    assert 0 == series.time_left(len(series.steps), 1000.0)


def test_the_forecast_says_what_will_be_run() -> None:
    """The number of runs, their order, the pauses and the total time."""
    expected = "6 pairs of runs of 1m, one after the other in the order ABBA, with pauses of 10 s: about 14m30s"

    assert expected == forecast(plan(SeriesKind.INTERLEAVE, 6))
    assert "1 pair of runs of 1m, both runs of a pair at the same time: about 1m10s" == forecast(
        plan(SeriesKind.DUET, 1)
    )


# ------------------------------------------------------------------ the requests of a duet


@given(st.lists(st.floats(0, 9.999), max_size=50).map(sorted))
def test_the_sides_of_a_duet_take_turns_in_being_first(starts: list[float]) -> None:
    """Each side keeps the order of the plan and its duration, and is the first in half of the pairs, in the order ABBA."""
    work = demand(parsed_options("--duration", "10s"), None)
    sides = {side: work.plan_of_side(array("d", starts), side).tolist() for side in Side}

    for times in sides.values():
        assert sorted(times) == times
        assert all(0 <= time - start <= PAIR_OFFSET + 1e-9 for start, time in zip(starts, times, strict=True))
        assert not times or times[-1] < 10
    for number, pair in enumerate(zip(sides[CANDIDATE], sides[BASELINE], strict=True)):
        first, second = pair if number % 4 in (0, 3) else pair[::-1]
        assert first == starts[number] <= second


# ------------------------------------------------------------------ what the options mean


@pytest.mark.parametrize(
    ("words", "kind", "count"),
    [
        (("--repeat", "5"), SeriesKind.REPEAT, 5),
        (("--duet", URL, "--target", URL), SeriesKind.DUET, 1),
        (("--duet", URL, "--target", URL, "--repeat", "3", "--processes", "2"), SeriesKind.DUET, 3),
        (("--interleave", URL, "--chain-id", "abc"), SeriesKind.INTERLEAVE, 6),
        (("--interleave", URL, "--target", URL, "--repeat", "2", "--workers", "2"), SeriesKind.INTERLEAVE, 2),
        (("steps", "--interleave", URL, "--target", URL, "--repeat", "2"), SeriesKind.INTERLEAVE, 2),
        (("--duet", URL, "--target", URL, "--model", "closed"), SeriesKind.DUET, 1),
    ],
)
def test_the_options_ask_for_a_series(words: tuple[str, ...], kind: SeriesKind, count: int) -> None:
    """Kind and number of runs of each side."""
    series = requested(*words)

    assert series is not None
    assert (kind, count) == (series.kind, series.count)


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("--pause", "1s"), "expected --repeat, --interleave or --duet with --pause"),
        (("--baseline-api-key-env", "X"), "expected --repeat, --interleave or --duet with --baseline-api-key-env"),
        (("--repeat", "2", "--baseline-api-key-env", "X"), "expected --interleave or --duet with --baseline"),
        (("saturation", "--repeat", "2"), "expected no --repeat with a search"),
        (("--search", "saturation", "--duet", URL, "--target", URL), "expected no --duet with a search"),
        (("--calibrate", "--repeat", "2"), "expected no --repeat with a search or --calibrate"),
        (("--duet", URL), "expected --target URL with --duet"),
        (("--interleave", "", "--target", URL), "expected a URL with --interleave, found an empty text"),
        (("--duet", URL, "--target", URL, "--workers", "2"), "expected no --workers with --duet"),
        (("--duet", URL, "--target", URL, "--metrics", "9100"), "expected no --metrics with --duet"),
        (("--duet", URL, "--target", URL, "--connect-to", "127.0.0.1:1"), "expected no --connect-to with --duet"),
    ],
)
def test_options_that_contradict_each_other_are_rejected(words: tuple[str, ...], message: str) -> None:
    """The message names the options and what to do."""
    with pytest.raises(UsageError, match=message):
        requested(*words)


def test_a_run_without_options_of_a_series_is_an_ordinary_run() -> None:
    """There is no series."""
    assert requested() is None
    assert requested("saturation") is None


@pytest.mark.parametrize(
    ("words", "environment", "variable"),
    [
        ((), {"BASETEN_API_KEY": "k"}, "BASETEN_API_KEY"),
        ((), {"BASETEN_API_KEY": "k", "BASELINE_API_KEY": "b"}, "BASELINE_API_KEY"),
        ((), {"BASETEN_API_KEY": "k", "BASELINE_API_KEY": ""}, "BASETEN_API_KEY"),
        (("--api-key-env", "MINE"), {}, "MINE"),
        (("--api-key-env", "MINE", "--baseline-api-key-env", "OTHER"), {"BASELINE_API_KEY": "b"}, "OTHER"),
    ],
)
def test_the_baseline_has_the_candidates_key_or_its_own(
    words: tuple[str, ...], environment: dict[str, str], variable: str
) -> None:
    """The variable of --baseline-api-key-env, else BASELINE_API_KEY, else the candidate's. All else is as for the candidate."""
    options = parsed_options("--duet", "http://127.0.0.1:2", "--target", URL, "--header", "X-A: b", *words)
    candidate = parse_target_options(vars(options))
    baseline = requested_baseline(options, candidate, environment)

    assert baseline is not None
    assert ("http://127.0.0.1:2", variable) == (baseline.url, baseline.key_variable)
    assert candidate.headers == baseline.headers
    assert URL == candidate.url


# ------------------------------------------------------------------ folder and table


def test_one_of_several_starts_gets_a_folder(tmp_path: Path) -> None:
    """Series that start at the same time with the same --out do not mix their runs."""
    barrier, results = threading.Barrier(4), list[str]()

    def claim() -> None:
        barrier.wait()
        try:
            runner._claim(tmp_path / "series", plan(SeriesKind.DUET, 2))
            results.append("claimed")
        except FolderError as error:
            results.append(str(error))

    threads = [threading.Thread(target=claim) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert 1 == results.count("claimed")
    assert 3 == sum("name another with --out" in result for result in results)


def finished(number: int, side: Side, p50: float, verdict: Verdict = Verdict.PASS) -> FinishedRun:
    """A run of an interleaved series."""
    series = Series(id="a", kind=SeriesKind.INTERLEAVE, index=number // 2, side=side)
    return FinishedRun(
        number=number,
        series=series,
        folder=Path(f"{number:02}_{side}"),
        verdict=verdict,
        reason="p95 response_time < 1s is missed.",
        ending=Ending.COMPLETED,
        planned=100,
        ok=99,
        response_time={"p50": p50, "p95": None, "p99": float("inf")},
    )


def test_the_table_shows_every_run_and_how_much_they_differ() -> None:
    """Verdict and percentiles of each run, the standard deviation between the runs of a side, and reasons."""
    runs = [finished(1, BASELINE, 0.1), finished(2, CANDIDATE, 0.2, Verdict.FAIL), finished(3, CANDIDATE, 0.2)]

    assert [
        "Series of 3 runs, candidate and baseline in turn",
        "",
        "  run          verdict  planned  ok     p50  p95           p99  folder",
        "  1 baseline   pass         100  99  100 ms    –  not answered  01_baseline",
        "  2 candidate  fail         100  99  200 ms    –  not answered  02_candidate",
        "  3 candidate  pass         100  99  200 ms    –  not answered  03_candidate",
        "",
        "  standard deviation between the runs of the candidate: p50 0.0 %",
        "  02_candidate: FAIL  p95 response_time < 1s is missed.",
    ] == run_table(runs)
