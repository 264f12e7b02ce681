"""The times of ok answers, of all planned requests and of rejected ones."""

from __future__ import annotations

import math
from collections import Counter
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chainproof.judgement.latency import QUANTILES, Timing, interval_notes, interval_text, text_with_interval, timings
from chainproof.judgement.timing_names import RESPONSE_TIME, SERVICE_TIME, TIMING_NAMES
from chainproof.results.exchange import NotSent, Outcome, Result, Transport
from chainproof.results.intervals.request_stats import RequestStats, merge_stats
from chainproof.statistics.confidence_intervals import Estimate, quantile
from chainproof.statistics.histogram import Histogram

OK = Outcome(Transport.ANSWERED, 200, None, Result.OK)
REFUSED = Outcome(Transport.ANSWERED, 429, "rate_limited", Result.FAILED)
LOST = Outcome(Transport.CONNECTION_LOST, None, None, Result.FAILED)
TIMED_OUT = Outcome(Transport.DEADLINE, None, None, Result.TIMED_OUT)
CENSORED = Outcome(Transport.DRAIN_ENDED, None, None, Result.CENSORED)


def requests(outcomes: dict[Outcome, tuple[int, float]], *, not_sent: int = 0, stopped: int = 0) -> RequestStats:
    """Requests by outcome, with their number and their response time."""
    stats = RequestStats()
    for outcome, (count, time) in outcomes.items():
        stats.outcomes[outcome] += count
        stats.sent += count
        if outcome.transport in (Transport.ANSWERED, Transport.DRAIN_ENDED):
            stats.response_time[outcome.result].record(time, count)
            stats.service_time[outcome.result].record(time, count)
    stats.not_sent[NotSent.MAX_IN_FLIGHT], stats.not_sent[NotSent.STOPPED] = not_sent, stopped
    stats.planned = stats.sent + not_sent + stopped
    return stats


def test_fast_refusals_do_not_improve_the_headline() -> None:
    """61 % are refused in 11.8 ms: the headline is 303 ms, p50 of all planned requests is never reached."""
    found = timings(requests({OK: (390, 0.303), REFUSED: (610, 0.0118)}))
    p50 = {name: each.quantiles["p50"].value for name, each in found.items() if each.count}

    assert [390, 390, 1000, 610] == [each.count for each in found.values()][:4]
    assert (0.303, 0.0118) == (p50["response_time_s"], p50["rejected_response_time_s"])
    assert math.isinf(p50["planned_response_time_s"])
    assert "not answered" == text_with_interval(found["planned_response_time_s"], "p50")


@given(
    st.lists(st.floats(0.001, 100), max_size=40),
    st.tuples(*[st.integers(0, 30)] * 5),
)
def test_whatever_was_not_ok_was_never_answered(times: list[float], others: tuple[int, int, int, int, int]) -> None:
    """Of all planned requests, a quantile is the one of ok times and infinite ones; stopped requests are left out."""
    refused, lost, late, in_flight, unsent = others
    stats = requests(
        {REFUSED: (refused, 0.001), LOST: (lost, 0.001), TIMED_OUT: (late, 0.0), CENSORED: (in_flight, 0.5)},
        not_sent=unsent,
        stopped=7,
    )
    for time in times:
        stats.planned += 1
        stats.sent += 1
        stats.outcomes[OK] += 1
        stats.response_time[Result.OK].record(time)
    planned = timings(stats)["planned_response_time_s"]
    expected = sorted(times) + [math.inf] * sum(others)

    assert len(expected) == planned.count
    for name, fraction in QUANTILES if expected else ():
        value = expected[max(1, math.ceil(fraction * len(expected) - 1e-9)) - 1]
        assert pytest.approx(value, rel=0.001) == planned.quantiles[name].value


@given(st.integers(1, 300), st.integers(0, 300), st.sampled_from([0.5, 0.9, 0.95]))
def test_an_interval_encloses_its_quantile(answered: int, never: int, fraction: float) -> None:
    """Also if an end of it, or all of it, lies beyond the answers."""
    times = Histogram()
    times.record_all([0.01 * number for number in range(1, answered + 1)])
    found = quantile(times, fraction, beyond=never)

    assert found is not None
    assert found.low is None or found.low <= found.value
    assert found.high is None or found.value <= found.high


def test_an_interval_that_reaches_beyond_the_answers_says_so() -> None:
    """52 % are answered ok: p50 is known, its upper bound is not."""
    planned = timings(requests({OK: (52, 0.3), TIMED_OUT: (48, 0.0)}))["planned_response_time_s"]

    assert ("300 ms – never", "") == (interval_text(planned, "p50"), interval_text(planned, "p99"))


def test_nothing_at_all_has_no_times() -> None:
    """No request, no figure."""
    assert list(TIMING_NAMES) == list(timings(RequestStats()))
    assert {(0, None, None, None)} == {
        (each.count, each.max, each.min, each.mean) for each in timings(RequestStats()).values()
    }


def test_what_bounds_a_percentile_bounds_the_lower_ones() -> None:
    """A run of two states has few independent requests at p50, and p50 still has the upper bound of p90."""
    fast, slow = (requests({OK: (100, time)}) for time in (0.1, 0.2))
    seconds = [fast] * 4 + [slow] * 4
    found = timings(merge_stats(seconds), seconds)["response_time_s"].quantiles

    assert found["p50"].high is not None
    for lower, higher in pairwise(found.values()):
        assert higher.high is None or lower.high is not None


def test_an_interval_reaches_as_far_as_its_dependent_requests_leave_open() -> None:
    """A tenth of the requests is slow, in five spells: they do not show that p95 is among the slow ones."""
    seconds = []
    for number in range(50):
        second = requests({OK: (40, 0.05)})
        if number % 10 == 3:
            second = RequestStats(planned=40, sent=40, outcomes=Counter({OK: 40}))
            second.response_time[Result.OK].record_all([0.4 + 0.002 * place for place in range(40)])
        seconds.append(second)
    together, alone = merge_stats(seconds), timings(merge_stats(seconds))["response_time_s"].quantiles["p95"]
    found = timings(together, seconds)["response_time_s"].quantiles["p95"]

    assert alone.low is not None
    assert alone.low > 0.4
    assert found.low is not None
    assert found.low < 0.1


def a_timing(high: float | None) -> Timing:
    """A timing with one quantile."""
    estimate = Estimate(value=0.02, low=0.01, high=high)
    return Timing(count=100, quantiles={"p95": estimate}, max=0.05, min=0.01, mean=0.02)


@pytest.mark.parametrize(
    ("response", "service", "starts"),
    [
        (0.03, 0.03, []),
        (0.03, 0.02, []),
        (0.03, 0.1, ["Each interval"]),
        (0.03, None, ["too few: ", "Each interval"]),
        (math.inf, math.inf, ["never: "]),
        (None, None, ["too few: "]),
    ],
)
def test_what_needs_an_explanation_in_a_table_of_intervals_has_one(
    response: float | None, service: float | None, starts: list[str]
) -> None:
    """Words in place of a bound, and an interval of a part that is wider than that of the whole."""
    notes = interval_notes({RESPONSE_TIME: a_timing(response), SERVICE_TIME: a_timing(service)})

    assert len(starts) == len(notes)
    assert all(note.startswith(start) for note, start in zip(notes, starts, strict=True))
