"""The cold start of a run: first success and settling time."""

from __future__ import annotations

import random
from dataclasses import replace
from math import exp, sqrt
from pathlib import Path
from statistics import median

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chainproof.judgement.cold_start import MIN_SECONDS, Settling, cold_start, settling
from chainproof.judgement.load_summary import summarise_load
from chainproof.judgement.verdict import Verdict
from chainproof.results.exchange import Exchange, Outcome, Result, Transport
from chainproof.results.exemplar import exemplar
from chainproof.results.folder import Run
from chainproof.results.intervals.interval import Interval
from chainproof.results.manifest import Ending, RunEnd

from ...manifests import load_manifest

OK = Outcome(Transport.ANSWERED, 200, None, Result.OK)
NOT_READY = Outcome(Transport.ANSWERED, 503, "model_not_ready", Result.FAILED)


def second(number: int, outcome: Outcome, time: float) -> Interval:
    """A second with five requests of the same outcome."""
    found = Interval(second=number)
    for _ in range(5):
        found.count_planned()
        found.count_all_sent([0.0])
        found.count_outcomes(outcome, [time], [time])
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
        manifest=load_manifest(
            name="cold-start", settings={"duration_s": float(len(intervals))}, objectives=objectives
        ),
        intervals=tuple(intervals),
        exemplars=(exemplar(first, why="outcome", reason=""),) if slow + warm else (),
        end=RunEnd(
            ending=Ending.COMPLETED,
            seconds=float(len(intervals)),
            accounting={**accounting, "timed_out": 0, "censored": 0},
        ),
    )


def slower_later(*objectives: str) -> Run:
    """A target that is slower from its 30th second on."""
    run = waking(0, 3, 27, *objectives)
    assert run.end is not None
    slower = (second(30 + n, OK, 0.3 + n % 3 / 100) for n in range(30))
    return replace(run, intervals=(*run.intervals, *slower), end=replace(run.end, accounting={}))


@given(st.integers(0, 20), st.integers(3, 12), st.integers(30, 60))
def test_a_cold_start_is_found(asleep: int, slow: int, warm: int) -> None:
    """The first success is the exact time of the first ok answer; response times settle in the second after the slow ones."""
    run = waking(asleep, slow, warm)
    start = cold_start(run, run.intervals)

    due = 0.0 if asleep else 0.25  # the exact time of the first request is known if it was answered ok
    assert (asleep + 0.75 - due, asleep + slow - due) == (start.first_success, start.settling_time)


def test_a_warm_target_has_no_cold_start() -> None:
    """Its first answer comes as fast as the others; how long the first request was not due yet does not count."""
    run = waking(0, 0, 30, "first_success < 1s")
    late = Exchange(number=1, intended_start=0.9, start=0.9, end=1.0, outcome=OK)
    run = replace(run, exemplars=(exemplar(late, why="outcome", reason=""),))
    found = summarise_load(run)

    assert abs(found.cold_start.first_success - 0.1) < 1e-9 if found.cold_start.first_success is not None else False
    assert found.cold_start.is_warm
    assert "COLD_START" not in [each.code for each in found.caveats]


def test_a_few_answers_are_no_slowdown() -> None:
    """Seconds with one or two answers are combined, so that fifteen of them are too few to judge."""
    seconds = [Interval(second=number) for number in range(15)]
    for number, each in enumerate(seconds):
        each.count_planned()
        each.count_all_sent([0.0])
        each.count_outcomes(OK, [0.1 if number < 7 else 0.2], [0.1 if number < 7 else 0.2])
    start = cold_start(replace(waking(0, 0, 15), exemplars=()), seconds)

    assert start.slowdown is None
    assert start.settling_time is None


@given(st.integers(0, 2**32), st.floats(0.01, 10), st.integers(MIN_SECONDS, 200))
def test_a_warm_target_has_settled_from_the_beginning(seed: int, level: float, count: int) -> None:
    """1 % of noise is no cold start, and no slowdown."""
    noise = random.Random(seed)

    assert settling([level * noise.gauss(1, 0.01) for _ in range(count)]).settled == 0
    assert 0 == settling([level] * count).settled


@given(st.lists(st.floats(0.001, 100), max_size=60))
def test_the_settling_index_is_in_the_first_half_or_none(values: list[float]) -> None:
    """Whatever the response times are."""
    place = settling(values).settled

    assert place is None or (len(values) >= MIN_SECONDS and 0 <= place <= len(values) // 2)


def _independent(seed: int, seconds: int) -> list[float]:
    """Medians of 50 independent lognormal response times each."""
    noise = random.Random(seed)
    return [median(noise.lognormvariate(0.0, 0.5) for _ in range(50)) for _ in range(seconds)]


def _waves(seed: int, seconds: int, correlation_time: float) -> list[float]:
    """The same with load waves that cause half of the variance."""
    noise, level, medians = random.Random(seed), 0.0, []
    phi = exp(-1 / correlation_time)
    for second in range(-50, seconds):
        level = phi * level + sqrt(1 - phi * phi) * noise.gauss(0, 1)
        if second >= 0:
            times = [exp(0.35 * level + 0.35 * noise.gauss(0, 1)) for _ in range(50)]
            medians.append(median(times))
    return medians


WORLDS = {
    "independent, 20 s": lambda seed: _independent(seed, 20),
    "independent": lambda seed: _independent(seed, 200),
    "AR(1) of seconds": lambda seed: _waves(seed, 200, 1.0),
    "waves of 2 s": lambda seed: _waves(seed, 200, 2.0),
    "waves of 10 s": lambda seed: _waves(seed, 300, 10.0),
    "few waves of 10 s": lambda seed: _waves(seed, 60, 10.0),
}


@pytest.mark.parametrize("world", WORLDS)
def test_stationary_response_times_have_settled_from_the_beginning(world: str) -> None:
    """In at least 95 % of runs (the seeds are fixed). `benchmarks/simulations/settling.py` is the long form."""
    found = [settling(WORLDS[world](seed)) for seed in range(60)]

    assert found.count(Settling(settled=0, slower=None)) >= 57


@pytest.mark.parametrize("factor", [1.3, 2.0, 10.0])
@pytest.mark.parametrize("cold", [0, 6])
def test_a_later_slowdown_is_named_with_its_second(cold: int, factor: float) -> None:
    """Also after a cold start. Response times have not settled then."""
    for seed in range(10):
        values = _independent(seed, 120)
        values = [8.0] * cold + values[:70] + [value * factor for value in values[70:]]
        found = settling(values)

        assert found.settled is None
        assert found.slower == pytest.approx(70 + cold, abs=2)
        assert found.after / found.before == pytest.approx(factor, rel=0.1)


def test_a_slowdown_that_passes_and_a_gradual_one_are_found() -> None:
    """A leak makes response times slower all the time."""
    passing = settling([1.0] * 100 + [2.0] * 50 + [1.0] * 150)
    gradual = settling([1.0 + second / 100 for second in range(200)])

    assert 100 == passing.slower
    assert gradual.slower is not None
    assert gradual.settled is None


@pytest.mark.parametrize("place", range(60))
def test_one_slow_second_is_no_change_wherever_it_is(place: int) -> None:
    """Also next to the first and the last second."""
    values = _independent(2, 60)
    values[place] = 30.0

    assert Settling(settled=0, slower=None) == settling(values)


def test_a_single_slow_second_is_no_slowdown() -> None:
    """Nor are several, if each has fast neighbours; a slow second with few answers counts little."""
    values = _independent(1, 100)
    for place in (0, 17, 50, 83, 99):
        values[place] = 30.0
    few = settling([1.0] * 60 + [3.0] * 8 + [1.0] * 60, [500.0] * 60 + [0.1] * 8 + [500.0] * 60)

    assert Settling(settled=0, slower=None) == settling(values) == few


CASES = {
    "in time": (waking(3, 5, 40, "first_success < 4s", "settling_time < 9s"), Verdict.PASS),
    "too late a success": (waking(5, 5, 40, "first_success < 4s"), Verdict.FAIL),
    "too late to settle": (waking(3, 9, 40, "settling_time < 9s"), Verdict.FAIL),
    "never": (waking(20, 0, 0, "first_success < 4s"), Verdict.FAIL),
    "slower later": (slower_later("settling_time < 9s"), Verdict.INCONCLUSIVE),
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
    assert all("The first ok answer came" in text for text in texts)


def test_without_exemplars_the_cold_start_has_whole_seconds() -> None:
    """A killed run may have no exemplars; the first success is then known to the second."""
    run = replace(waking(3, 5, 40), exemplars=())

    assert 4.0 == cold_start(run, run.intervals).first_success
