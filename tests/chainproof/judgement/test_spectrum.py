"""The percentile spectrum: the values of the tables, and nothing that the sample does not support."""

from __future__ import annotations

import random
from math import ceil

from hypothesis import given, settings
from hypothesis import strategies as st

from chainproof.judgement.judged_requests import JudgedRequests
from chainproof.judgement.latency import spectrum, timings
from chainproof.judgement.timing_names import RESPONSE_TIME
from chainproof.results.exchange import Outcome, Result, Transport
from chainproof.results.intervals.interval import Interval, total

OK = Outcome(Transport.ANSWERED, 200, None, Result.OK)


def run(seconds: int, rate: int, seed: int) -> list[Interval]:
    """Ok answers in some seconds."""
    dice, intervals = random.Random(seed), []
    for second in range(seconds):
        interval = Interval(second=second)
        for _ in range(rate):
            interval.count_planned()
            interval.count_all_sent([0.0])
            time = dice.lognormvariate(-2, 0.6)
            interval.count_outcomes(OK, [time], [time])
        intervals.append(interval)
    return intervals


def judged(intervals: list[Interval]) -> JudgedRequests:
    """The requests of a run without phases."""
    return JudgedRequests(stats=total(intervals), seconds=intervals)


@settings(max_examples=25, deadline=None)
@given(seconds=st.integers(1, 30), rate=st.integers(0, 40), seed=st.integers(0, 5))
def test_a_spectrum_rises_within_its_intervals_and_the_sample(seconds, rate, seed):
    """Values and ends rise, every value lies in its interval, and at least one answer is slower than the last percentile."""
    intervals = run(seconds, rate, seed)
    points = spectrum(judged(intervals))

    assert sorted(point.value for point in points) == [point.value for point in points]
    assert all(point.low <= point.value <= point.high for point in points)
    assert all(
        point.slower == seconds * rate - ceil(point.fraction * seconds * rate - 1e-9) and point.slower >= 1
        for point in points
    )
    assert not points or seconds * rate >= 2


def test_a_spectrum_has_the_quantiles_and_intervals_of_the_tables():
    """At the quantiles that every report gives, value and interval are equal to those; p99.9 has none with 2,000 answers."""
    intervals = run(20, 100, 3)
    requests = judged(intervals)
    table = timings(requests.stats, requests.seconds)[RESPONSE_TIME].quantiles
    points = {round(point.fraction, 6): point for point in spectrum(requests)}

    for name, fraction in (("p50", 0.5), ("p90", 0.9), ("p95", 0.95), ("p99", 0.99)):
        point = points[fraction]

        assert (table[name].value, table[name].low, table[name].high) == (point.value, point.low, point.high)
    assert table["p99.9"].high is None
    assert 0.999 not in points
