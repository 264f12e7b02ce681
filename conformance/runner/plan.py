"""The plan of a run: how long its requests take at the speed of this target, and whether there is time for all of them."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass

from chainproof.clock import Seconds

from ..checks import Check
from ..options import (
    DEFAULT_TIME_BUDGET,
    MAX_DEFAULT_TIME_BUDGET,
    MODERATE_ANSWER,
    MOST_CONCURRENCY,
    SLOW_TARGET,
    USUAL_CONCURRENCY,
    Depth,
    Settings,
)
from ..probing.budget import ResponseTimes, Round, RunLimits
from .forecast import RequestCount, first_round_counts, forecast_counts
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

_IDLE = 1.25
"""Times the time of requests that share the allowed number at the same time: the last checks of a round run alone."""

_EXCLUSIVE_CONCURRENCY = {
    "answers_depend_on_the_whole_input": 4,
    "arguments_of_one_request_do_not_affect_the_next": 1,
    "requests_after_a_pause_are_answered": 1,
}
"""How many requests at the same time each check sends that runs alone and sends few."""

_EXCLUSIVE_SHARE = 0.1
"""Time of exclusive checks in a first round, as a share of that of the others."""

MORE_TIME = 1.2
"""Times the planned time that is enough for a run: answers are slower than the first ones."""

_WORTH_MORE: Seconds = 0.3
"""An answer from which on more requests at the same time are tried than the usual number."""

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
    first_seconds: Seconds = 0.0
    """How long those of the first round take, without which a run cannot pass."""
    full_first_seconds: Seconds = 0.0
    """The same if exclusive checks need not end after a part of that."""
    rest_until: Seconds = float("inf")
    """When the second round ends, counted from the beginning of the run, if the first one ends before."""


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


PAIR = 2
"""Requests that are sent at the same time to a target that takes too long for `BURST` of them."""


def pair_concurrency(limit: int, accepted: Seconds, pair: Seconds) -> int:
    """
    The same, if it takes *pair* for two of them.

    >>> pair_concurrency(8, accepted=6.0, pair=6.1), pair_concurrency(8, accepted=6.0, pair=12.0)
    (8, 1)
    """
    return 1 if pair > _TOGETHER * accepted else limit


_TOGETHER = 1.5
"""Times the time of one request that two may take which are served at the same time."""


def measured_concurrency(limit: int, accepted: Seconds, seconds_of: Callable[[int], Seconds]) -> int:
    """
    The same, by how long so many equal requests at once take.

    Their input may take longer than the quickest one so far, which took *accepted*. So if they are slow, it is also sent alone.
    """
    burst = seconds_of(BURST)
    if usable_concurrency(limit, accepted, burst) < limit:
        accepted = max(accepted, *(seconds_of(1) for _ in range(_SENT_ALONE)))
    return usable_concurrency(limit, accepted, burst)


def raised_concurrency(accepted: Seconds, seconds_of: Callable[[int], Seconds], *, most: int = MOST_CONCURRENCY) -> int:
    """
    How many requests at the same time are of use for a target that serves `BURST` of them so, by how long the largest number takes.

    >>> raised_concurrency(1.0, lambda count: 1.1), raised_concurrency(1.0, lambda count: count / 4)
    (15, 4)
    >>> raised_concurrency(0.1, lambda count: count / 40)  # fast enough with the usual number
    8
    """
    if accepted < _WORTH_MORE or most < USUAL_CONCURRENCY:
        return USUAL_CONCURRENCY
    return max(1, min(most, round(most * accepted / seconds_of(most))))


def _seconds(count: RequestCount, times: ResponseTimes) -> Seconds:
    """The time of some requests, one after the other."""
    return count.reached * times.accepted + (count.requests - count.reached) * times.rejected


def count_of(check: Check, depth: Depth) -> RequestCount:
    """How many requests a check sends at a depth."""
    return forecast_counts(depth).get(check.id, _UNKNOWN_COUNT)


def first_count_of(check: Check, depth: Depth) -> RequestCount:
    """How many of them belong to the first round."""
    return first_round_counts(depth).get(check.id, _UNKNOWN_COUNT)


def first_seconds_of(check: Check, times: ResponseTimes, depth: Depth) -> Seconds:
    """The time of these, one after the other."""
    return _seconds(first_count_of(check, depth), times)


def expected_seconds(
    counts: Mapping[Check, RequestCount],
    times: ResponseTimes,
    *,
    depth: Depth,
    limits: RunLimits,
    is_first: bool = False,
) -> Seconds:
    """
    How long some requests of each check take. To a slow target they are sent at the same time, but for those of exclusive checks. In a
    *first* round, these have to end after a part of the time.
    """
    concurrency = limits.concurrency if is_slow(times) else 1
    shared = alone = 0.0
    for check, count in counts.items():
        at_once = min(concurrency, _EXCLUSIVE_CONCURRENCY.get(check.name, concurrency))
        idle = _IDLE if at_once > 1 else 1.0
        seconds = _seconds(count, times) / at_once * idle + count.requests * _OWN_TIME
        shared, alone = (shared, alone + seconds) if check.exclusive else (shared + seconds, alone)
    alone = min(alone, _EXCLUSIVE_SHARE * shared) if is_first else alone
    requests = sum(count.requests for count in counts.values())
    return _PAUSES[depth] + max(shared + alone, requests / limits.rate)


def plan_run(checks: Iterable[Check], times: ResponseTimes, *, depth: Depth, limits: RunLimits) -> RunPlan:
    """The plan for some checks of a target with these response times."""
    counts = {check: count_of(check, depth) for check in checks}
    first = {check: first_count_of(check, depth) for check in counts}
    seconds = expected_seconds(counts, times, depth=depth, limits=limits)
    first_seconds = expected_seconds(first, times, depth=depth, limits=limits, is_first=True)
    requests = sum(count.requests for count in counts.values())
    share = min(_SAFETY * limits.seconds / seconds, limits.requests / max(requests, 1))
    return RunPlan(
        concurrency=limits.concurrency if is_slow(times) else 1,
        two_rounds=share < 1 or limits.seconds < _MARGIN * seconds,
        examples_scale=min(1.0, share),
        seconds=seconds,
        first_seconds=first_seconds,
        full_first_seconds=expected_seconds(first, times, depth=depth, limits=limits),
    )


def in_order(checks: Iterable[Check], times: ResponseTimes, *, depth: Depth, turn: Round) -> list[Check]:
    """Checks in the order in which a run with two rounds makes them: first those that find most faults per second."""

    def faults_per_second(check: Check) -> float:
        power = power_of(check)
        if turn is Round.FIRST:
            return (power.gain + _BLIND_GAIN) / (first_seconds_of(check, times, depth) + _OWN_TIME)
        return power.found / (_seconds(count_of(check, depth), times) + _OWN_TIME)

    return sorted(checks, key=faults_per_second, reverse=True)


def with_longest_first(checks: Iterable[Check], times: ResponseTimes, *, depth: Depth, seconds: Seconds) -> list[Check]:
    """
    The checks of a first round that takes so many *seconds*, in another order: those that alone take half of that start first, so that
    they do not run alone at the end.
    """
    return sorted(checks, key=lambda check: first_seconds_of(check, times, depth) < seconds / 2)


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


def raised_time_limit(
    settings: Settings, limit: Seconds, response_time: Seconds, plan: RunPlan, passed: Seconds
) -> Seconds:
    """
    A limit that leaves a run the time for its first round, if that is not much. It ends before that, with its first round.

    >>> quick = Settings(depth=Depth.QUICK)
    >>> plans = [RunPlan(first_seconds=first, full_first_seconds=full) for first, full in ((40, 50), (60, 90), (200, 400), (400, 400))]
    >>> [raised_time_limit(quick, 75.0, 0.3, plan, passed=5.0) for plan in plans]
    [75.0, 360.0, 360.0, 75.0]
    >>> raised_time_limit(quick, 75.0, 3.0, plans[1], 5.0), raised_time_limit(Settings(time_budget=75.0), 75.0, 0.3, plans[1], 5.0)
    (75.0, 75.0)
    """
    most = MAX_DEFAULT_TIME_BUDGET[settings.depth]
    is_enough = passed + MORE_TIME * plan.full_first_seconds <= limit
    is_own = settings.time_budget is not None
    is_too_much = response_time > MODERATE_ANSWER or passed + plan.first_seconds > most
    return limit if is_enough or is_own or is_too_much else max(limit, most)
