"""The cold start of a run: first success and settling time."""

from __future__ import annotations

import random
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chainproof.judgement.cold_start import MIN_SECONDS, cold_start, settling_index
from chainproof.judgement.load_summary import summarise_load
from chainproof.judgement.verdict import Verdict
from chainproof.results.exchange import Exchange, Outcome, Result, Transport
from chainproof.results.exemplar import exemplar
from chainproof.results.folder import Run
from chainproof.results.interval import Interval
from chainproof.results.manifest import Ending, Manifest, RunEnd, RunKind

OK = Outcome(Transport.ANSWERED, 200, None, Result.OK)
NOT_READY = Outcome(Transport.ANSWERED, 503, "model_not_ready", Result.FAILED)


def second(number: int, outcome: Outcome, time: float) -> Interval:
    """A second with five requests of the same outcome."""
    found = Interval(second=number)
    for _ in range(5):
        found.count_planned()
        found.count_sent(0.0)
        found.count_outcome(outcome, time, time)
    return found


def waking(asleep: int, slow: int, warm: int, *objectives: str) -> Run:
    """A target that first rejects requests, then answers slowly, then normally."""
    intervals = [second(n, NOT_READY, 0.01) for n in range(asleep)]
    intervals += [second(asleep + n, OK, 8.0 - 0.3 * n) for n in range(slow)]
    intervals += [second(asleep + slow + n, OK, 0.1 + n % 3 / 100) for n in range(warm)]
    first = Exchange(number=7, intended_start=asleep + 0.25, start=asleep + 0.25, end=asleep + 0.75, outcome=OK)
    count = 5 * len(intervals)
    ok = 5 * (slow + warm)
    accounting = {"planned": count, "not_sent": 0, "sent": count, "ok": ok, "failed": count - ok}
    return Run(
        path=Path("x"),
        manifest=Manifest(
            kind=RunKind.LOAD,
            name="cold-start",
            started="2026-11-22T13:27:00.250Z",
            target="http://127.0.0.1/",
            settings={"duration_s": float(len(intervals))},
            objectives=objectives,
        ),
        intervals=tuple(intervals),
        exemplars=(exemplar(first, why="outcome", reason=""),) if slow + warm else (),
        end=RunEnd(
            ending=Ending.COMPLETED,
            seconds=float(len(intervals)),
            accounting={**accounting, "timed_out": 0, "censored": 0},
        ),
    )


@given(st.integers(0, 20), st.integers(3, 12), st.integers(30, 60))
def test_a_cold_start_is_found(asleep: int, slow: int, warm: int) -> None:
    """The first success is the exact time of the first ok answer; response times settle in the second after the slow ones."""
    run = waking(asleep, slow, warm)
    start = cold_start(run, run.intervals)

    assert (asleep + 0.75, float(asleep + slow)) == (start.first_success, start.settling_time)


@given(st.integers(0, 2**32), st.floats(0.01, 10), st.integers(MIN_SECONDS, 200))
def test_a_warm_target_has_settled_from_the_beginning(seed: int, level: float, count: int) -> None:
    """1 % of noise is no cold start, wherever MSER would cut."""
    noise = random.Random(seed)

    assert settling_index([level * noise.gauss(1, 0.01) for _ in range(count)]) in (0, None)
    assert 0 == settling_index([level] * count)


@given(st.lists(st.floats(0.001, 100), max_size=60))
def test_the_settling_index_is_in_the_first_half_or_none(values: list[float]) -> None:
    """Whatever the response times are."""
    place = settling_index(values)

    assert place is None or (len(values) >= MIN_SECONDS and 0 <= place <= len(values) // 2)


CASES = {
    "in time": (waking(3, 5, 40, "first_success < 4s", "settling_time < 9s"), Verdict.PASS),
    "too late a success": (waking(5, 5, 40, "first_success < 4s"), Verdict.FAIL),
    "too late to settle": (waking(3, 9, 40, "settling_time < 9s"), Verdict.FAIL),
    "never": (waking(20, 0, 0, "first_success < 4s"), Verdict.FAIL),
    "too short to say": (waking(1, 2, 3, "settling_time < 9s"), Verdict.INCONCLUSIVE),
}


@pytest.mark.parametrize("case", CASES)
def test_objectives_on_the_cold_start_are_evaluated(case: str) -> None:
    """A target that never settles misses the objective; an unknown settling time passes none. A caveat has the figures."""
    run, verdict = CASES[case]
    summary = summarise_load(run)
    texts = [caveat.text for caveat in summary.caveats if caveat.code == "COLD_START"]

    assert verdict is summary.verdict
    assert bool(texts) is (summary.cold_start.first_success is not None)
    assert all("The first request was answered ok" in text for text in texts)


def test_without_exemplars_the_cold_start_has_whole_seconds() -> None:
    """A killed run may have no exemplars; the first success is then known to the second."""
    run = replace(waking(3, 5, 40), exemplars=())

    assert 4.0 == cold_start(run, run.intervals).first_success
