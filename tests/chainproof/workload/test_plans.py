"""
Every kind of plan is what it claims to be: seeded, true to its law, and the same however many share it.
"""

from __future__ import annotations

import math
from array import array
from itertools import islice, pairwise
from pathlib import Path
from statistics import fmean, pstdev

import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from chainproof.workload.arrivals import constant, digest, gamma, take_until
from chainproof.workload.phases import Phase, rescale_events
from chainproof.workload.replay import RecordingError, load_instants, recording_duration, shift_to_zero
from chainproof.workload.workload import REPLAY, Workload, WorkloadError, load_workload, parse_workload

FALSE_ALARM = 1e-6
"""How likely each test below is to speak against a plan that is what it claims to be, over all the seeds it draws."""
SEEDS = 100

WAVE = Phase(name="waves", duration=20.0, rate=40.0, final_rate=40.0, amplitude=30.0, period=7.0)
RAMP = Phase(name="ramp", duration=20.0, rate=5.0, final_rate=60.0)
STEPS = (
    Phase(name="low", duration=10.0, rate=10.0, final_rate=10.0),
    Phase(name="high", duration=10.0, rate=70.0, final_rate=70.0),
)
DEMANDS = {"level": (), "ramp": (RAMP,), "steps": STEPS, "sinusoid": (WAVE,)}


def against_poisson(starts: list[float], phases: tuple[Phase, ...], duration: float) -> float:
    """
    The p-value of the exact Kolmogorov-Smirnov test of a plan against the Poisson process of its rate.

    Given their number, the arrivals of a Poisson process lie like as many independent points with its rate as density:
    the share of the whole demand that is expected before each is uniform.
    """
    if phases:
        whole = sum(phase.expected_requests for phase in phases)
        begun = list(zip(phases, [0.0, *(phase.duration for phase in phases)], strict=False))
        shares = [
            sum(phase.expected_by(min(max(start - first, 0.0), phase.duration)) for phase, first in begun) / whole
            for start in starts
        ]
    else:
        shares = [start / duration for start in starts]
    return float(stats.kstest(shares, "uniform", method="exact").pvalue)


def plan_of(demand: str, seed: int, arrivals: str = "poisson", variation: float = 2.0) -> list[float]:
    """
    Every intended start of twenty seconds.
    """
    work = Workload(name="w", arrivals=arrivals, variation=variation, rate=50.0, duration=20.0, phases=DEMANDS[demand])
    return list(work.starts(seed))


@pytest.mark.parametrize("demand", DEMANDS)
@settings(max_examples=SEEDS)
@given(seed=st.integers(0, 2**63))
def test_a_poisson_plan_is_one(demand: str, seed: int) -> None:
    """
    Whatever its seed and however its rate changes, a Poisson plan passes an exact Kolmogorov-Smirnov test.

    At most SEEDS seeds are drawn, each speaks against a true plan with probability FALSE_ALARM / SEEDS: together with at
    most FALSE_ALARM.
    """
    assert against_poisson(plan_of(demand, seed), DEMANDS[demand], 20.0) > FALSE_ALARM / SEEDS


@pytest.mark.parametrize("demand", DEMANDS)
def test_what_is_tested_of_poisson_plans_is_as_uniform_as_it_should_be(demand: str) -> None:
    """
    The p-values of many seeds are uniform themselves: a plan that is too even gives large ones, one that clusters small.

    The seeds are these, so the test has no alarm left to give; before it was written it had FALSE_ALARM of one.
    """
    values = [against_poisson(plan_of(demand, seed), DEMANDS[demand], 20.0) for seed in range(200)]

    assert stats.kstest(values, "uniform", method="exact").pvalue > FALSE_ALARM


@pytest.mark.parametrize(("arrivals", "variation"), [("constant", 2.0), ("gamma", 0.3), ("gamma", 3.0)])
def test_what_is_no_poisson_plan_does_not_pass_for_one(arrivals: str, variation: float) -> None:
    """
    A grid, regular gaps and clusters are told from a Poisson process by the same test over as many seeds.
    """
    values = [against_poisson(plan_of("level", seed, arrivals, variation), (), 20.0) for seed in range(200)]

    assert stats.kstest(values, "uniform", method="exact").pvalue < FALSE_ALARM


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("variation", [0.25, 0.5, 1.0, 2.0])
def test_gamma_gaps_are_gamma(seed: int, variation: float) -> None:
    """
    Their mean is 1/rate, their coefficient of variation the one asked for, and no test tells them from the gamma law.
    """
    starts = [0.0, *islice(gamma(50.0, seed, variation), 20_000)]
    gaps = [after - before for before, after in pairwise(starts)]
    law = stats.gamma(a=variation**-2, scale=variation**2 / 50)

    assert stats.kstest(gaps, law.cdf).pvalue > FALSE_ALARM / 20
    assert fmean(gaps) == pytest.approx(1 / 50, abs=6 * variation / 50 / math.sqrt(len(gaps)))
    assert pstdev(gaps) / fmean(gaps) == pytest.approx(variation, rel=0.25)


def test_gamma_of_variation_1_is_poisson_in_law() -> None:
    """
    With shape 1 the gaps are exponential.
    """
    values = [against_poisson(list(take_until(20.0, gamma(50.0, seed, 1.0))), (), 20.0) for seed in range(200)]

    assert stats.kstest(values, "uniform", method="exact").pvalue > FALSE_ALARM


@given(
    st.floats(0.5, 60).flatmap(lambda rate: st.tuples(st.just(rate), st.floats(0, rate))),
    st.floats(1, 60),
    st.floats(0.5, 100),
)
def test_a_swinging_rate_starts_the_nth_request_when_n_are_expected(
    rates: tuple[float, float], duration: float, period: float
) -> None:
    """
    An even grid bent to a sine: ascending, inside, each start where the integral of the rate is whole.
    """
    wave = Phase(name="w", duration=duration, rate=rates[0], final_rate=rates[0], amplitude=rates[1], period=period)
    starts = list(rescale_events(constant(1.0), [wave]))

    assert abs(len(starts) - math.ceil(wave.expected_requests)) <= 1
    assert all(before <= after for before, after in pairwise(starts))
    assert all(0 <= start < duration for start in starts)
    for number, start in enumerate(starts):
        assert math.isclose(number, wave.expected_by(start), abs_tol=1e-6)
        assert 0 <= wave.rate_at(start) <= wave.peak_rate * (1 + 1e-12)


@given(st.lists(st.integers(-(10**9), 10**9).map(lambda ms: ms / 1024), min_size=1, max_size=50))
def test_a_recording_is_replayed_at_its_own_distances(instants: list[float]) -> None:
    """
    All of it, in order, from 0; a workload that replays it survives the way to a worker.
    """
    recorded_starts = shift_to_zero(instants)
    work = Workload(name="w").with_recording(recorded_starts)
    back = parse_workload(orjson.loads(orjson.dumps(work.to_table())), name="w")

    assert sorted(instant - min(instants) for instant in instants) == list(work.starts(7))
    assert (len(instants), REPLAY) == (work.expected_requests, work.arrivals)
    assert digest(work.starts(0)) == digest(back.starts(1))
    assert work == back


def test_a_recording_is_played_faster_and_in_part() -> None:
    """
    A rate is the mean one at which all of it is played; a duration is how much of it is.
    """
    work = Workload(name="w").with_recording((0.0, 1.0, 2.0, 3.0, 6.0, 9.0))
    faster = work.with_options(rate=work.rate * 2)
    part = work.with_options(duration=3.5)

    assert [0.0, 0.5, 1.0, 1.5, 3.0, 4.5] == list(faster.starts(0))
    assert [0.0, 1.0, 2.0, 3.0] == list(part.starts(0))
    assert (4.0, 4 / 3.5) == (part.expected_requests, part.rate)
    assert part == parse_workload(part.to_table(), name="w")


LINES = {
    "seconds": (b"12.5\n\n10\n11e0\n", "timestamp"),
    "objects": (b'{"timestamp": 10}\n{"timestamp": "11", "b": 1}\n{"timestamp": 12.5}\n', "timestamp"),
    "a key of one's own": (b'{"at": 10}\n{"at": 11}\n{"at": 12.5}\n', "at"),
    "dates": (
        b"2026-11-22T13:00:00Z\n2026-11-22T14:00:01+01:00\n2026-11-22T13:00:02.500\n",
        "timestamp",
    ),
}


@pytest.mark.parametrize("lines", LINES)
def test_a_recording_is_read_however_it_was_written(lines: str, tmp_path: Path) -> None:
    """
    Seconds of any epoch, dates with and without a zone, bare or in JSON objects, in any order.
    """
    content, key = LINES[lines]
    (tmp_path / "a").write_bytes(content)

    assert (0.0, 1.0, 2.5) == load_instants(tmp_path / "a", key)


WRONG = {
    "nothing": (b"\n", "expected from 1 to"),
    "words": (b"1\nsoon\n", "expected seconds or an ISO 8601 date and time in line 2 of"),
    "infinity": (b"inf\n", "expected a finite instant in line 1 of"),
    "no such key": (b'{"at": 1}\n', "expected a key 'timestamp' in line 1 of"),
    "torn JSON": (b'{"at": \n', "line 1 of"),
    "a truth": (b'{"timestamp": true}\n', "expected seconds or an ISO 8601 date"),
}


@pytest.mark.parametrize("wrong", WRONG)
def test_a_recording_that_is_none_is_said(wrong: str, tmp_path: Path) -> None:
    """
    With the line, and what was expected there.
    """
    content, said = WRONG[wrong]
    (tmp_path / "a").write_bytes(content)
    with pytest.raises(RecordingError, match=said):
        load_instants(tmp_path / "a")
    with pytest.raises(RecordingError, match="cannot read the recording"):
        load_instants(tmp_path / "nowhere")


def test_a_workload_names_its_recording_beside_it(tmp_path: Path) -> None:
    """
    By a file's name alone, or with the key; its duration says how much of it is played.
    """
    (tmp_path / "log.jsonl").write_text('{"at": 5}\n{"at": 6}\n{"at": 8}\n')
    (tmp_path / "mine.toml").write_text('replay = { file = "log.jsonl", key = "at" }\nduration = "2s"\n')
    (tmp_path / "plain.txt").write_text("1\n3\n")
    (tmp_path / "other.toml").write_text('replay = "plain.txt"\n')

    assert [0.0, 1.0] == list(load_workload(tmp_path / "mine.toml").starts(0))
    assert [0.0, 2.0] == list(load_workload(tmp_path / "other.toml").starts(0))


TABLES = {
    "a rate beside it": ({"replay": [0, 1], "rate": 3}, "rate: expected none beside replay"),
    "a process beside it": ({"replay": [0, 1], "arrivals": "gamma"}, "arrivals: expected none beside replay"),
    "users": ({"replay": [0, 1], "model": "closed"}, "replay: expected the open model"),
    "nothing to replay": ({"replay": []}, "replay: expected a file's name"),
    "a file and more": ({"replay": {"file": "a", "speed": 2}}, "replay: expected a file's name"),
    "no such file": ({"replay": "/nowhere/a"}, "replay: cannot read the recording"),
    "gaps of no variation": ({"arrivals": "gamma", "variation": 0}, "variation: expected from 0.05 to 20"),
    "a amplitude below zero": (
        {"phases": [{"name": "a", "duration": 1, "rate": [9, 5], "amplitude": 6, "period": 1}]},
        "phase a: expected a amplitude from 0 to its rate, 5, found 6",
    ),
    "a amplitude without end": (
        {"phases": [{"name": "a", "duration": 1, "rate": 9, "amplitude": 6}]},
        "expected amplitude and period together",
    ),
    "a period of nothing": (
        {"phases": [{"name": "a", "duration": 1, "rate": 9, "amplitude": 6, "period": 0}]},
        "phase a: expected a period of more than 0 s",
    ),
    "a drain into the past": ({"drain": -1}, "drain: expected at least 0 s"),
}


@pytest.mark.parametrize("table", TABLES)
def test_mistakes_in_plans_are_said(table: str) -> None:
    """
    Each with what was expected.
    """
    wrong, said = TABLES[table]
    with pytest.raises(WorkloadError) as found:
        parse_workload(wrong, name="mine")

    assert said in str(found.value)


KINDS = {
    "constant": {"arrivals": "constant", "rate": 37.0, "duration": 5.0},
    "poisson": {"arrivals": "poisson", "rate": 37.0, "duration": 5.0},
    "gamma": {"arrivals": "gamma", "variation": 3.0, "rate": 37.0, "duration": 5.0},
    "ramp": {"phases": [{"name": "r", "duration": 5, "rate": [1, 60]}]},
    "steps": {"phases": [{"name": "a", "duration": 2, "rate": 10}, {"name": "b", "duration": 2, "rate": 40}]},
    "spike": {
        "phases": [
            {"name": "a", "duration": 2, "rate": 10},
            {"name": "b", "duration": 0.5, "rate": 200},
            {"name": "c", "duration": 2, "rate": 10},
        ]
    },
    "sinusoid": {"phases": [{"name": "s", "duration": 6, "rate": 30, "amplitude": 30, "period": 2}]},
    "silence and a burst of clusters": {
        "arrivals": "gamma",
        "phases": [{"name": "a", "duration": 3, "rate": 0}, {"name": "b", "duration": 1, "rate": 90}],
    },
    "replay": {"replay": [0.0, 0.25, 0.25, 1.0, 4.0]},
}


@pytest.mark.parametrize("kind", KINDS)
@given(seed=st.integers(0, 2**32), of=st.integers(1, 7))
def test_the_shares_of_a_plan_are_the_plan(kind: str, seed: int, of: int) -> None:
    """
    What each worker draws from the seed and takes as its share, together: every start of the single plan, once.
    """
    work = parse_workload(KINDS[kind], name=kind)
    told = orjson.loads(orjson.dumps(work.to_table()))
    single = array("d", work.starts(seed))
    draw_payloads = [array("d", parse_workload(told, name=kind).starts(seed)) for _ in range(of)]
    shares = [plan[index::of] for index, plan in enumerate(draw_payloads)]

    assert sorted(start for share in shares for start in share) == list(single)
    assert {digest(single)} == {digest(plan) for plan in draw_payloads}
    assert max(map(len, shares)) - min(map(len, shares)) <= 1
    assert len(single) > 0


def test_a_mean_gap_lies_behind_the_last_instant() -> None:
    """
    So that the last of a recording is inside it, and its rate is that of its gaps; one alone lasts a second.
    """
    assert (6.0, 1.0, 1.0) == (
        recording_duration([0.0, 1.0, 4.0]),
        recording_duration([0.0]),
        recording_duration([0.0, 0.0]),
    )
