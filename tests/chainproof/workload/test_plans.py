"""Tests of the plans of open workloads: arrival processes in phases, recordings, and shares of workers."""

from __future__ import annotations

import math
from array import array
from bisect import bisect_left
from collections.abc import Iterator
from dataclasses import replace
from itertools import count, islice, pairwise
from pathlib import Path
from statistics import fmean, pstdev, stdev

import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from chainproof.errors import UsageError
from chainproof.workload.arrivals import ARRIVAL_PROCESSES, DEFAULT_VARIATION, constant, digest, gamma, take_until
from chainproof.workload.phases import Phase, rescale_events
from chainproof.workload.replay import load_instants, recording_duration, shift_to_zero
from chainproof.workload.workload import REPLAY, Workload, WorkloadError
from chainproof.workload.workload_file import load_workload, parse_workload, workload_table

FALSE_ALARM = 1e-6
"""The probability that a test below fails a correct plan, over all the seeds that it draws."""
SEEDS = 100

WAVE = Phase(name="waves", duration=20.0, rate=40.0, final_rate=40.0, amplitude=30.0, period=7.0)
RAMP = Phase(name="ramp", duration=20.0, rate=5.0, final_rate=60.0)
STEPS = (
    Phase(name="low", duration=10.0, rate=10.0, final_rate=10.0),
    Phase(name="high", duration=10.0, rate=70.0, final_rate=70.0),
)
DEMANDS = {"level": (), "ramp": (RAMP,), "steps": STEPS, "sinusoid": (WAVE,)}


def poisson_p_value(starts: list[float], phases: tuple[Phase, ...], duration: float) -> float:
    """
    The p-value of a plan in the exact Kolmogorov-Smirnov test against a Poisson process of its rate.

    Given their number, the arrivals of a Poisson process are independent with the rate as density, so the share of the
    expected requests before each arrival is uniform.
    """
    if phases:
        expected = sum(phase.expected_requests for phase in phases)
        phase_starts = list(zip(phases, [0.0, *(phase.duration for phase in phases)], strict=False))
        shares = [
            sum(phase.expected_by(min(max(start - first, 0.0), phase.duration)) for phase, first in phase_starts)
            / expected
            for start in starts
        ]
    else:
        shares = [start / duration for start in starts]
    return float(stats.kstest(shares, "uniform", method="exact").pvalue)


def plan_of(demand: str, seed: int, arrivals: str = "poisson", variation: float = 2.0) -> list[float]:
    """The intended starts of a 20 s plan."""
    work = Workload(name="w", arrivals=arrivals, variation=variation, rate=50.0, duration=20.0, phases=DEMANDS[demand])
    return list(work.starts(seed))


@pytest.mark.parametrize("demand", DEMANDS)
@settings(max_examples=SEEDS)
@given(seed=st.integers(0, 2**63))
def test_poisson_plan_is_poisson(demand: str, seed: int) -> None:
    """
    A Poisson plan with any seed and rate passes an exact Kolmogorov-Smirnov test.

    At most SEEDS seeds are drawn, and each fails a correct plan with probability FALSE_ALARM / SEEDS.
    """
    assert poisson_p_value(plan_of(demand, seed), DEMANDS[demand], 20.0) > FALSE_ALARM / SEEDS


@pytest.mark.parametrize("demand", DEMANDS)
def test_p_values_of_poisson_plans_are_uniform(demand: str) -> None:
    """Plans that are too even would give large p-values, plans that cluster small ones. The seeds are fixed."""
    values = [poisson_p_value(plan_of(demand, seed), DEMANDS[demand], 20.0) for seed in range(200)]

    assert stats.kstest(values, "uniform", method="exact").pvalue > FALSE_ALARM


@pytest.mark.parametrize(("arrivals", "variation"), [("constant", 2.0), ("gamma", 0.3), ("gamma", 3.0)])
def test_other_plans_fail_the_poisson_test(arrivals: str, variation: float) -> None:
    """The test rejects a grid, regular gaps and clusters."""
    values = [poisson_p_value(plan_of("level", seed, arrivals, variation), (), 20.0) for seed in range(200)]

    assert stats.kstest(values, "uniform", method="exact").pvalue < FALSE_ALARM


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("variation", [0.25, 0.5, 1.0, 2.0])
def test_gamma_gaps_are_gamma(seed: int, variation: float) -> None:
    """The gaps have mean 1/rate and the given coefficient of variation, and pass a test against the gamma distribution."""
    starts = islice(gamma(50.0, seed, variation), 20_001)
    gaps = [second - first for first, second in pairwise(starts)]
    law = stats.gamma(a=variation**-2, scale=variation**2 / 50)

    assert stats.kstest(gaps, law.cdf).pvalue > FALSE_ALARM / 20
    assert fmean(gaps) == pytest.approx(1 / 50, abs=6 * variation / 50 / math.sqrt(len(gaps)))
    assert pstdev(gaps) / fmean(gaps) == pytest.approx(variation, rel=0.25)


STATIONARY = {
    **{name: (name, DEFAULT_VARIATION) for name in ARRIVAL_PROCESSES},
    "regular": ("gamma", 0.25),
    "clustered": ("gamma", 5.0),
    "one cluster": ("gamma", 20.0),
}


@pytest.mark.parametrize("demand", ["level", "ramp", "steps"])
@pytest.mark.parametrize("kind", STATIONARY)
def test_a_plan_begins_at_its_own_rate(kind: str, demand: str) -> None:
    """
    In every fifth of a plan, the first included, the mean number of requests over many seeds is the expected one.

    This also holds for a worker's share of it. A gamma process that began with a request would give 262 instead of 100.
    """
    arrivals, variation = STATIONARY[kind]
    seeds = 150
    phases = DEMANDS[demand] or (Phase(name="level", duration=20.0, rate=50.0, final_rate=50.0),)
    ends = [4.0, 8.0, 12.0, 16.0, 20.0]
    expected = [len(list(rescale_events(count(), [*_until(phases, end)]))) for end in (0.0, *ends)]
    counts: list[tuple[list[int], list[int]]] = [([], []) for _ in ends]
    for seed in range(seeds):
        plan = plan_of(demand, seed, arrivals, variation)
        for workers, which in ((1, 0), (3, 1)):
            share = plan[workers - 1 :: workers]
            places = [0, *(bisect_left(share, end) for end in ends)]
            for fifth, (start, end) in zip(counts, pairwise(places), strict=True):
                fifth[which].append(end - start)

    for fifth, (before, after) in zip(counts, pairwise(expected), strict=True):
        for values, workers in zip(fifth, (1, 3), strict=True):
            # The seeds are fixed. A share and the expected numbers are rounded by less than one request each.
            error = 4.5 * stdev(values) / math.sqrt(seeds) + 1.0
            assert fmean(values) == pytest.approx((after - before) / workers, abs=error)


def _until(phases: tuple[Phase, ...], end: float) -> Iterator[Phase]:
    """The phases up to an instant."""
    for phase in phases:
        if end > 0:
            yield phase if end >= phase.duration else _cut(phase, end)
        end -= phase.duration


def _cut(phase: Phase, end: float) -> Phase:
    """The first part of a phase."""
    line = phase.rate + (phase.final_rate - phase.rate) * end / phase.duration
    return replace(phase, duration=end, final_rate=line)


def test_gamma_with_variation_1_is_poisson() -> None:
    """With shape 1 the gaps are exponential."""
    values = [poisson_p_value(list(take_until(20.0, gamma(50.0, seed, 1.0))), (), 20.0) for seed in range(200)]

    assert stats.kstest(values, "uniform", method="exact").pvalue > FALSE_ALARM


@given(
    st.floats(0.5, 60).flatmap(lambda rate: st.tuples(st.just(rate), st.floats(0, rate))),
    st.floats(1, 60),
    st.floats(0.5, 100),
)
def test_nth_request_of_a_sinusoid_starts_when_n_are_expected(
    rates: tuple[float, float], duration: float, period: float
) -> None:
    """An even grid with a sine is ascending, within the phase, and each start is where the integral of the rate is an integer."""
    wave = Phase(name="w", duration=duration, rate=rates[0], final_rate=rates[0], amplitude=rates[1], period=period)
    starts = list(rescale_events(constant(1.0), [wave]))

    assert abs(len(starts) - math.ceil(wave.expected_requests)) <= 1
    assert all(first <= second for first, second in pairwise(starts))
    assert all(0 <= start < duration for start in starts)
    for number, start in enumerate(starts):
        assert math.isclose(number, wave.expected_by(start), abs_tol=1e-6)
        assert 0 <= wave.rate_at(start) <= wave.peak_rate * (1 + 1e-12)


@given(st.lists(st.integers(-(10**9), 10**9).map(lambda ms: ms / 1024), min_size=1, max_size=50))
def test_recording_is_replayed_with_its_gaps(instants: list[float]) -> None:
    """A recording is replayed completely, in order and from 0, and its workload round-trips through JSON."""
    recorded_starts = shift_to_zero(instants)
    work = Workload(name="w").with_recording(recorded_starts)
    back = parse_workload(orjson.loads(orjson.dumps(workload_table(work))), name="w")

    assert sorted(instant - min(instants) for instant in instants) == list(work.starts(7))
    assert (len(instants), REPLAY) == (work.expected_requests, work.arrivals)
    assert digest(work.starts(0)) == digest(back.starts(1))
    assert work == back


def test_recording_is_scaled_and_cut() -> None:
    """A rate changes the speed of the recording; a duration cuts it."""
    work = Workload(name="w").with_recording((0.0, 1.0, 2.0, 3.0, 6.0, 9.0))
    faster = work.with_options(rate=work.rate * 2)
    part = work.with_options(duration=3.5)

    assert [0.0, 0.5, 1.0, 1.5, 3.0, 4.5] == list(faster.starts(0))
    assert [0.0, 1.0, 2.0, 3.0] == list(part.starts(0))
    assert (4.0, 4 / 3.5) == (part.expected_requests, part.rate)
    assert part == parse_workload(workload_table(part), name="w")


LINES = {
    "seconds": (b"12.5\n\n10\n11e0\n", "timestamp"),
    "objects": (b'{"timestamp": 10}\n{"timestamp": "11", "b": 1}\n{"timestamp": 12.5}\n', "timestamp"),
    "another key": (b'{"at": 10}\n{"at": 11}\n{"at": 12.5}\n', "at"),
    "dates": (
        b"2026-11-22T13:00:00Z\n2026-11-22T14:00:01+01:00\n2026-11-22T13:00:02.500\n",
        "timestamp",
    ),
}


@pytest.mark.parametrize("lines", LINES)
def test_documented_recording_formats_are_read(lines: str, tmp_path: Path) -> None:
    """Seconds of any epoch and dates with or without time zone are read, in JSON objects or not, in any order."""
    content, key = LINES[lines]
    (tmp_path / "a").write_bytes(content)

    assert (0.0, 1.0, 2.5) == load_instants(tmp_path / "a", key)


INVALID = {
    "nothing": (b"\n", "expected from 1 to"),
    "a word": (b"1\nsoon\n", "expected seconds or an ISO 8601 date and time in line 2 of"),
    "infinity": (b"inf\n", "expected a finite number of seconds in line 1 of"),
    "no such key": (b'{"at": 1}\n', "expected a key 'timestamp' in line 1 of"),
    "truncated JSON": (b'{"at": \n', "line 1 of"),
    "milliseconds": (
        b"1\n1700000000000\n",
        "expected seconds in line 2 of .*milliseconds.* divide every time by 1000$",
    ),
    "microseconds in JSON": (b'{"timestamp": "1.7e15"}\n', "line 1 of .* microseconds.* divide every time by 1000000$"),
    "nanoseconds": (b"1700000000000000000\n", "nanoseconds.* divide every time by 1000000000$"),
    "a byte order mark": (b"\xef\xbb\xbf1\n", "expected UTF-8 in line 1 of .*byte order mark: save it"),
    "a byte order mark in joined files": (b"1\n\xef\xbb\xbf2\n", "line 2 of .*byte order mark"),
    "UTF-16": ("1\n2\n".encode("utf-16"), "found UTF-16: convert it"),
    "a boolean": (b'{"timestamp": true}\n', "expected seconds or an ISO 8601 date"),
}


@pytest.mark.parametrize("label", INVALID)
def test_invalid_recording_is_rejected(label: str, tmp_path: Path) -> None:
    """The message names the line and says what was expected."""
    content, message = INVALID[label]
    (tmp_path / "a").write_bytes(content)
    with pytest.raises(UsageError, match=message):
        load_instants(tmp_path / "a")
    with pytest.raises(UsageError, match="cannot read the recording"):
        load_instants(tmp_path / "nowhere")


def test_recording_is_relative_to_the_workload(tmp_path: Path) -> None:
    """A recording is named by file, optionally with a key, and is cut to the duration."""
    (tmp_path / "log.jsonl").write_text('{"at": 5}\n{"at": 6}\n{"at": 8}\n')
    (tmp_path / "mine.toml").write_text('replay = { file = "log.jsonl", key = "at" }\nduration = "2s"\n')
    (tmp_path / "plain.txt").write_text("1\n3\n")
    (tmp_path / "other.toml").write_text('replay = "plain.txt"\n')

    assert [0.0, 1.0] == list(load_workload(tmp_path / "mine.toml").starts(0))
    assert [0.0, 2.0] == list(load_workload(tmp_path / "other.toml").starts(0))


TABLES = {
    "a rate and a recording": ({"replay": [0, 1], "rate": 3}, "rate: not allowed together with replay"),
    "an arrival process and a recording": (
        {"replay": [0, 1], "arrivals": "gamma"},
        "arrivals: not allowed together with replay",
    ),
    "users": ({"replay": [0, 1], "model": "closed"}, "replay: expected the open model"),
    "a list of milliseconds": (
        {"replay": [1.7e12]},
        "replay: expected seconds, found 1700000000000, which are milliseconds since 1970",
    ),
    "nothing to replay": ({"replay": []}, "replay: expected a file name"),
    "a file and more": ({"replay": {"file": "a", "speed": 2}}, "replay: expected a file name"),
    "no such file": ({"replay": "/nowhere/a"}, "replay: cannot read the recording"),
    "a variation of zero": ({"arrivals": "gamma", "variation": 0}, "variation: expected from 0.05 to 20"),
    "an amplitude above the rate": (
        {"phases": [{"name": "a", "duration": 1, "rate": [9, 5], "amplitude": 6, "period": 1}]},
        "phase a: expected an amplitude from 0 to its lowest rate, 5, found 6",
    ),
    "an amplitude without a period": (
        {"phases": [{"name": "a", "duration": 1, "rate": 9, "amplitude": 6}]},
        "expected amplitude and period together",
    ),
    "a period of zero": (
        {"phases": [{"name": "a", "duration": 1, "rate": 9, "amplitude": 6, "period": 0}]},
        "phase a: expected a period of more than 0 s",
    ),
    "a negative rate": (
        {"phases": [{"name": "a", "duration": 1, "rate": -1}]},
        "mine: phase a: expected a rate of at least 0 requests per second, found -1",
    ),
    "phases without a request": (
        {"phases": [{"name": "a", "duration": 1, "rate": 0}]},
        "the highest rate of the phases: expected more than 0 requests per second, found 0",
    ),
    "a text as body": (
        {"payloads": [{"body": "text"}]},
        "optionally name and weight, found a `body` that is no table: 'text'",
    ),
    "a negative drain": ({"drain": -1}, "drain: expected at least 0 s"),
}


@pytest.mark.parametrize("table", TABLES)
def test_invalid_plans_are_rejected(table: str) -> None:
    """The message says what was expected."""
    invalid, message = TABLES[table]
    with pytest.raises(WorkloadError) as error:
        parse_workload(invalid, name="mine")

    assert message in str(error.value)


KINDS = {
    **{name: {"arrivals": name, "variation": 3.0, "rate": 37.0, "duration": 5.0} for name in ARRIVAL_PROCESSES},
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
    "no requests, then clusters": {
        "arrivals": "gamma",
        "phases": [{"name": "a", "duration": 3, "rate": 0}, {"name": "b", "duration": 1, "rate": 90}],
    },
    "replay": {"replay": [0.0, 0.25, 0.25, 1.0, 4.0]},
}


@pytest.mark.parametrize("kind", KINDS)
@given(seed=st.integers(0, 2**32), workers=st.integers(1, 7))
def test_shares_of_workers_add_up_to_the_plan(kind: str, seed: int, workers: int) -> None:
    """Each worker draws the whole plan from the seed and takes every n-th start: together they have each start once."""
    work = parse_workload(KINDS[kind], name=kind)
    table = orjson.loads(orjson.dumps(workload_table(work)))
    single = array("d", work.starts(seed))
    plans = [array("d", parse_workload(table, name=kind).starts(seed)) for _ in range(workers)]
    shares = [plan[index::workers] for index, plan in enumerate(plans)]

    assert sorted(start for share in shares for start in share) == list(single)
    assert {digest(single)} == {digest(plan) for plan in plans}
    assert max(map(len, shares)) - min(map(len, shares)) <= 1
    assert len(single) > 0


def test_recording_duration_includes_a_mean_gap() -> None:
    """So the last instant is inside the recording; a single instant lasts a second."""
    assert (6.0, 1.0, 1.0) == (
        recording_duration([0.0, 1.0, 4.0]),
        recording_duration([0.0]),
        recording_duration([0.0, 0.0]),
    )
