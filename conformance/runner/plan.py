"""The plan of a run: how long its requests take at the speed of this target, and whether there is time for all of them."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass

from chainproof.clock import Seconds

from ..checks import Check
from ..options import DEFAULT_TIME_BUDGET, SLOW_TARGET, Depth, Settings
from ..probing.budget import ResponseTimes, Round, RunLimits
from .forecast import RequestCount, forecast_counts
from .power_order import power_of

FAST: Seconds = 0.025
"""An answer up to which a target counts as fast: it gets one request after the other."""

_OWN_TIME: Seconds = 0.003
"""Time that chainproof itself needs to send a request and judge its answer."""

_PAUSES: Mapping[Depth, Seconds] = {Depth.QUICK: 4.0, Depth.STANDARD: 8.0, Depth.DEEP: 30.0}
"""Time in which checks wait on purpose, such as for a connection to be closed."""

_UNKNOWN_COUNT = RequestCount(requests=10, reached=10)
"""The requests of a check that was added after the last count."""

_BLIND_GAIN = 0.1
"""Faults that the first requests of a check are assumed to find besides those that were measured."""

_SAFETY = 0.85
"""Share of the time that is planned for; the rest is for answers slower than the first ones."""

_MARGIN = 3.0
"""A run with less than this many times the planned time has two rounds: this machine or the target may be slower."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RunPlan:
    """How a run proceeds."""

    concurrency: int = 1
    """Requests in flight at the same time."""
    two_rounds: bool = False
    """Whether there may be no time or no request left for some of the planned requests."""
    examples_scale: float = 1.0
    """Share of the generated examples that the run has time for."""
    seconds: Seconds = 0.0
    """How long all requests of the checks at this depth take."""


def is_slow(times: ResponseTimes) -> bool:
    """Whether a target gets several requests at the same time: it is slow to answer, or delays its rejections."""
    return times.accepted > FAST or times.rejected > SLOW_TARGET


BURST = 4
_SENT_ALONE = 2
"""Requests that are sent at the same time to learn whether a target serves them so."""


def usable_concurrency(limit: int, accepted: Seconds, burst: Seconds) -> int:
    """
    How many requests at the same time are of use, if a target that takes *accepted* for one takes *burst* for `BURST` of them.

    >>> usable_concurrency(8, accepted=0.15, burst=0.16), usable_concurrency(8, accepted=0.15, burst=0.6)
    (8, 1)
    """
    alone = BURST * accepted
    return limit if burst < alone / 2 else max(1, min(limit, round(alone / burst)))


def measured_concurrency(limit: int, accepted: Seconds, seconds_of: Callable[[int], Seconds]) -> int:
    """
    The same, by how long so many equal requests at once take.

    Their input may take longer than the quickest one so far, which took *accepted*. So if they are slow, it is also sent alone.
    """
    burst = seconds_of(BURST)
    if usable_concurrency(limit, accepted, burst) < limit:
        accepted = max(accepted, *(seconds_of(1) for _ in range(_SENT_ALONE)))
    return usable_concurrency(limit, accepted, burst)


def _seconds(count: RequestCount, times: ResponseTimes) -> Seconds:
    """The time of some requests, one after the other."""
    return count.reached * times.accepted + (count.requests - count.reached) * times.rejected


def count_of(check: Check, depth: Depth) -> RequestCount:
    """How many requests a check sends at a depth."""
    return forecast_counts(depth).get(check.id, _UNKNOWN_COUNT)


def expected_seconds(
    counts: Iterable[RequestCount], times: ResponseTimes, *, depth: Depth, limits: RunLimits
) -> tuple[int, Seconds]:
    """The number of requests, and how long they take."""
    total = sum(counts, start=RequestCount())
    concurrency = limits.concurrency if is_slow(times) else 1
    own = total.requests * _OWN_TIME
    return total.requests, _PAUSES[depth] + max(
        own + _seconds(total, times) / concurrency, total.requests / limits.rate
    )


def plan_run(checks: Iterable[Check], times: ResponseTimes, *, depth: Depth, limits: RunLimits) -> RunPlan:
    """The plan for some checks of a target with these response times."""
    counts = [count_of(check, depth) for check in checks]
    requests, seconds = expected_seconds(counts, times, depth=depth, limits=limits)
    share = min(_SAFETY * limits.seconds / seconds, limits.requests / max(requests, 1))
    return RunPlan(
        concurrency=limits.concurrency if is_slow(times) else 1,
        two_rounds=share < 1 or limits.seconds < _MARGIN * seconds,
        examples_scale=min(1.0, share),
        seconds=seconds,
    )


def in_order(checks: Iterable[Check], times: ResponseTimes, *, depth: Depth, turn: Round) -> list[Check]:
    """Checks in the order in which a run with two rounds makes them: first those that find most faults per second."""

    def faults_per_second(check: Check) -> float:
        power, count = power_of(check), count_of(check, depth)
        if turn is Round.FIRST:
            share = min(1.0, power.first / max(count.requests, 1))
            return (power.gain + _BLIND_GAIN) / (share * _seconds(count, times) + _OWN_TIME)
        return power.found / (_seconds(count, times) + _OWN_TIME)

    return sorted(checks, key=faults_per_second, reverse=True)


def longest_first(checks: Iterable[Check], times: ResponseTimes, *, depth: Depth) -> list[Check]:
    """Checks that run at the same time, so that none that takes long runs alone at the end."""
    return sorted(checks, key=lambda check: _seconds(count_of(check, depth), times), reverse=True)


def time_limit(settings: Settings, response_time: Seconds, *, is_remote: bool = False) -> Seconds:
    """How long a run may last against a target that takes this long to answer; infinite if there is no limit."""
    if settings.time_budget is not None:
        return settings.time_budget
    if settings.duration is None and (is_remote or response_time > SLOW_TARGET):
        return DEFAULT_TIME_BUDGET[settings.depth]
    return float("inf")
