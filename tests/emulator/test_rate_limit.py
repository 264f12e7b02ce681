from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from chainproof.emulator.behaviour.rate_limit import RateLimit, take_token

LIMIT = RateLimit(rate=20.0, burst=5.0)


@given(st.lists(st.sampled_from([0.0, 0.01, 5.0]) | st.floats(0, 0.5), min_size=1, max_size=100))
def test_any_interval_admits_at_most_burst_and_rate(gaps):
    """Any interval admits at most the burst plus the rate times its length, for every arrival pattern."""
    now, bucket, times = 0.0, None, []
    for gap in gaps:
        now += gap
        admitted, bucket = take_token(bucket, LIMIT, now)
        if admitted:
            times.append(now)

    for first, start in enumerate(times):
        for last in range(first, len(times)):
            assert last - first + 1 <= LIMIT.burst + LIMIT.rate * (times[last] - start) + 1e-6


@given(st.integers(1, 100))
def test_requests_below_the_rate_are_admitted(count):
    """Requests at or below the rate are always admitted."""
    bucket, results = None, []
    for number in range(count):
        admitted, bucket = take_token(bucket, LIMIT, number * 1.001 / LIMIT.rate)
        results.append(admitted)

    assert [True] * count == results
