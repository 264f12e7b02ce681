"""A target gets no more requests, and no faster, than the options allow."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chainproof.conformance.options import REMOTE_MAX_REQUESTS, REMOTE_RATE_LIMIT, Depth, Permission, Settings
from chainproof.conformance.runner import setup
from chainproof.conformance.runner.forecast import forecast_counts, forecast_lines
from chainproof.conformance.transport.check_skipped import CheckSkipped
from chainproof.conformance.transport.rate_limit import RateLimiter

from ..conftest import RunSuite
from ..endpoints import EndpointAnswer, EndpointRequest


class Clock:
    """A clock that only advances when the test says so."""

    def __init__(self) -> None:
        self.now = 100.0

    def pause(self, seconds: float) -> None:
        """Advance."""
        self.now += seconds


@given(
    rate=st.floats(0.1, 1000),
    work=st.lists(st.floats(0, 10), min_size=1, max_size=50),
)
def test_requests_keep_the_distance_of_the_rate_limit(rate: float, work: Sequence[float]) -> None:
    """Two requests are never closer than the rate allows, and a request that is late already does not wait."""
    clock = Clock()
    rate_limiter = RateLimiter(rate=rate, clock=lambda: clock.now, pause=clock.pause)
    sent = []
    for seconds in work:
        before = clock.now
        rate_limiter.acquire()
        sent.append(clock.now)
        assert clock.now - before <= 1 / rate + 1e-9
        clock.now += seconds

    assert all(later - earlier >= 1 / rate - 1e-9 for earlier, later in pairwise(sent))


@given(max_requests=st.integers(1, 30), attempts=st.integers(0, 60))
def test_no_more_than_max_requests_are_sent(max_requests: int, attempts: int) -> None:
    """A further request raises CheckSkipped, which names the option."""
    rate_limiter, skipped = RateLimiter(max_requests=max_requests), 0
    for _ in range(attempts):
        try:
            rate_limiter.acquire()
        except CheckSkipped as reason:
            skipped += "--max-requests" in str(reason)

    expected = min(max_requests, attempts), max(0, attempts - max_requests)
    assert expected == (rate_limiter.sent_count, skipped)


@pytest.mark.parametrize("max_requests", [1, 25, 150])
def test_the_limit_covers_all_requests(max_requests: int, run_suite: RunSuite) -> None:
    """The limit covers Schemathesis, generated examples, concurrent requests and raw connections."""
    methods: list[str] = []

    def counting(request: EndpointRequest) -> EndpointAnswer:
        methods.append(request.method)
        return EndpointAnswer(status=200, body=request.body or b"{}")

    result = run_suite(counting, rate_limiter=RateLimiter(max_requests=max_requests))

    assert len(methods) <= max_requests
    assert result.skipped


@pytest.mark.parametrize("depth", Depth)
@pytest.mark.parametrize(("max_requests", "rate"), [(None, None), (7, None), (None, 3.5)])
def test_remote_targets_have_limits_by_default(depth: Depth, max_requests: int | None, rate: float | None) -> None:
    """Options override the limits of remote targets. On loopback there are no limits by default."""
    settings = Settings(depth=depth, max_requests=max_requests, rate_limit=rate)
    remote = setup._rate_limiter(settings, is_remote=True)
    local = setup._rate_limiter(settings, is_remote=False)

    expected = max_requests or REMOTE_MAX_REQUESTS[depth], rate or REMOTE_RATE_LIMIT
    assert expected == (remote.max_requests, remote.rate)
    assert (max_requests, rate) == (local.max_requests, local.rate)


def test_the_forecast_names_the_requests_the_limits_and_what_is_skipped() -> None:
    """The forecast has the counted number of requests, and every permission that was not given."""
    settings = Settings(depth=Depth.QUICK, allow=(Permission.SMUGGLING,), input_schema="input.json")
    lines = "\n".join(forecast_lines(settings, RateLimiter(max_requests=50, rate=10.0), local=False))
    total = sum(count.requests for count in forecast_counts(Depth.QUICK).values())

    assert f"about {total:,} requests" in lines
    assert "at most 50; at most 10 per second: about 5 s" in lines
    assert [each for each in Permission if each.value not in lines] == [Permission.SMUGGLING]
