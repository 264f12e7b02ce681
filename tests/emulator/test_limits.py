from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from chainproof.emulator.behaviour.rate_limit import RateLimit, take_token

LIMIT = RateLimit(rate=20.0, burst=5.0)


@given(st.lists(st.sampled_from([0.0, 0.01, 5.0]) | st.floats(0, 0.5), min_size=1, max_size=100))
def test_no_window_admits_more_than_burst_and_rate_allow(gaps):
    """
    However requests arrive, any stretch of time admits at most the burst and what the rate brings meanwhile.
    """
    now, bucket, times = 0.0, None, []
    for gap in gaps:
        now += gap
        admit, bucket = take_token(bucket, LIMIT, now)
        if admit:
            times.append(now)

    for first, start in enumerate(times):
        for last in range(first, len(times)):
            assert last - first + 1 <= LIMIT.burst + LIMIT.rate * (times[last] - start) + 1e-6


@given(st.integers(1, 100))
def test_whoever_keeps_to_the_rate_is_always_admitted(count):
    """
    Requests at the rate or slower are never refused.
    """
    bucket, verdicts = None, []
    for number in range(count):
        admit, bucket = take_token(bucket, LIMIT, number * 1.001 / LIMIT.rate)
        verdicts.append(admit)

    assert [True] * count == verdicts
