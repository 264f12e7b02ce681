"""What `chainproof conformance --plan` prints: the requests of a run by kind, and how long they take. Sends nothing."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from functools import partial

from chainproof.clock import Seconds, format_duration

from ..checks import Check
from ..inputs.chain_schema import ChainSchema
from ..options import Settings
from ..probing.budget import ResponseTimes, RunLimits
from ..transport.requested_target import requested_target
from .check_list import skip_reason
from .forecast import RequestCount, by_module
from .plan import count_of, plan_run, raised_concurrency, raised_time_limit, time_limit

_RESPONSE_TIMES: tuple[Seconds, ...] = (0.03, 0.3, 3.0)
"""Response times for which the duration is shown if none is named."""

_START: Seconds = 2.0
_FIRST_ANSWERS = 8
"""Time before the first check, and answers one after the other that come before it."""

_REJECTION_TIME: Mapping[bool, Seconds] = {True: 0.03, False: 0.005}
"""Time that the rejection of a request is assumed to take that does not reach the chain, by whether the target is remote."""


def plan_text(
    settings: Settings, chain_schema: ChainSchema, checks: Iterable[Check], limits: RunLimits, *, is_remote: bool
) -> str:
    """The plan of a run of some checks within some limits."""
    skipped: dict[str, list[Check]] = {}
    planned: list[Check] = []
    if requested_target(settings).url is None:  # the embedded emulator
        settings = replace(settings, echo=True, steerable=True, overload=True)
    for check in checks:
        reason = skip_reason(check, settings, chain_schema, is_remote=is_remote)
        if reason:
            skipped.setdefault(reason, []).append(check)
        else:
            planned.append(check)
    return "\n".join(
        (
            f"plan of {len(planned)} checks at depth {settings.depth}, as counted on the emulator; nothing is sent",
            *_request_lines({check.id: count_of(check, settings.depth) for check in planned}),
            *_duration_lines(settings, planned, limits, _REJECTION_TIME[is_remote]),
            *_limit_lines(limits),
            *_skipped_lines(skipped),
        )
    )


def _request_lines(counts: Mapping[str, RequestCount]) -> Iterator[str]:
    """The number of requests of each kind, and how many of them reach the chain."""
    yield f"  {'kind of request':<24}{'requests':>10}{'reach the chain':>18}"
    total = sum(counts.values(), start=RequestCount())
    for module, count in (*by_module(counts).items(), ("total", total)):
        yield f"  {module.replace('_', ' '):<24}{count.requests:>10,}{count.reached:>18,}"


def _duration_lines(
    settings: Settings, checks: list[Check], limits: RunLimits, rejection_time: Seconds
) -> Iterator[str]:
    """The duration of the run at each response time."""
    requests = sum(count_of(check, settings.depth).requests for check in checks)
    sent = min(1.0, limits.requests / max(requests, 1))
    times = _RESPONSE_TIMES if settings.response_time is None else (settings.response_time,)
    yield (
        "  expected duration on a machine without other work, if a request that does not reach the chain is rejected within "
        f"{format_duration(rejection_time)}"
    )
    for seconds in times:
        measured = ResponseTimes(accepted=seconds, rejected=min(seconds, rejection_time))
        own = replace(limits, seconds=min(limits.seconds, time_limit(settings, seconds)))
        if settings.concurrency is None:
            own = replace(own, concurrency=raised_concurrency(seconds, partial(_served_at_once, seconds)))
        start = _START + _FIRST_ANSWERS * seconds
        plan = plan_run(checks, measured, depth=settings.depth, limits=own)
        limit = raised_time_limit(settings, own.seconds, seconds, plan, start)
        took = min(start + sent * plan.seconds, max(own.seconds, min(limit, start + plan.full_first_seconds)))
        share = f"; the limits allow about {plan.examples_scale:.0%} of the requests" if plan.two_rounds else ""
        at_once = f", up to {plan.concurrency} at the same time" if plan.concurrency > 1 else ""
        yield f"    {format_duration(seconds):>7} per answer{at_once}: about {format_duration(float(round(took)))}{share}"


def _served_at_once(seconds: Seconds, _: int) -> Seconds:
    """How long some requests take that a target serves at the same time."""
    return seconds


def _limit_lines(limits: RunLimits) -> Iterator[str]:
    """The limits that hold whatever the response time is."""
    if limits.seconds != float("inf"):
        yield f"  at most {format_duration(limits.seconds)}, which --time-budget changes"
    if limits.requests != float("inf"):
        yield f"  at most {limits.requests:,.0f} requests"
    if limits.rate != float("inf"):
        yield f"  at most {limits.rate:g} requests per second"


def _skipped_lines(skipped: Mapping[str, list[Check]]) -> Iterator[str]:
    """The checks that are skipped, by what they need."""
    for reason, checks in skipped.items():
        yield f"  not run: {len(checks)} check{'s' * (len(checks) > 1)} ({reason})"
