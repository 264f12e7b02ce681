"""
What a run keeps to, known before it starts: how many requests, how fast, how long, at what cost.

On this machine itself there are no limits but the user's own. Any other host is somebody's, and has some unless the user
says otherwise; a run says what it is about to send there.
"""

from __future__ import annotations

import argparse
from dataclasses import dataclass, replace

from chainproof.clock import PerSecond, Seconds
from chainproof.contract.target import is_loopback
from chainproof.durations import format_duration
from chainproof.endpoint import Endpoint
from chainproof.errors import UsageError
from chainproof.results.manifest import RunSettings, as_settings
from chainproof.workload.workload import Workload, WorkloadModel

from .demand import Demand

GONE_AFTER: Seconds = 10.0
"""A target that only transport errors came from for so long is gone."""

REMOTE_MAX_REQUESTS = 20_000
REMOTE_MAX_RATE: PerSecond = 200.0
REMOTE_MAX_DURATION: Seconds = 900.0
REMOTE_ERROR_BUDGET = 0.1
"""The limits against a host that is not this machine, unless the user says otherwise."""
HEAD_BYTES = 250
"""About so many bytes a request has before its body."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """
    What a run keeps to.
    """

    is_remote: bool = False
    """Whether requests go to a host that is not this machine."""
    requests: int | None = None
    stop_at_limit: bool = True
    """Whether a run ends at that many; else one that would send more is refused."""
    rate: PerSecond | None = None
    duration: Seconds | None = None
    errors: float | None = None
    """The error budget: which share of the run's requests may fail or time out."""
    gone_after: Seconds = GONE_AFTER
    cost_per_request: float | None = None
    max_cost: float | None = None

    def settings(self) -> RunSettings:
        """What a manifest says of them, where there is any."""
        said = {
            "max_rate_per_s": self.rate,
            "max_duration_s": self.duration,
            "error_budget": self.errors,
            "cost_per_request": self.cost_per_request,
            "max_cost": self.max_cost,
        }
        return as_settings(**{name: value for name, value in said.items() if value is not None})


def limits(options: argparse.Namespace, chosen: Endpoint) -> Limits:
    """
    The limits that the options set, and those that hold at other hosts unless they do. Raises UsageError.
    """
    if (options.max_cost is None) is not (options.cost_per_request is None):
        raise UsageError("expected --max-cost and --cost-per-request together")
    if options.error_budget is not None and not 0 <= options.error_budget <= 1:
        raise UsageError(
            f"expected --error-budget from 0% to 100%, found {options.error_budget:.0%}: 5 % is written 5% or 0.05"
        )
    if options.gone_after is not None and options.gone_after <= 0:
        raise UsageError("expected --gone-after of more than 0 s")
    affordable = None if options.max_cost is None else int(options.max_cost / options.cost_per_request + 1e-9)
    asked = min((count for count in (options.max_requests, affordable) if count is not None), default=None)
    if affordable == 0:
        raise UsageError(f"expected a --max-cost of at least one request's, {options.cost_per_request:g}")
    is_remote = not is_loopback(chosen.route.destination(chosen.target).host)
    default = is_remote and asked is None
    return Limits(
        is_remote=is_remote,
        requests=REMOTE_MAX_REQUESTS if default else asked,
        stop_at_limit=not default,
        rate=_or(options.max_rate, REMOTE_MAX_RATE if is_remote else None),
        duration=_or(options.max_duration, REMOTE_MAX_DURATION if is_remote else None),
        errors=_or(options.error_budget, REMOTE_ERROR_BUDGET if is_remote else None),
        gone_after=GONE_AFTER if options.gone_after is None else options.gone_after,
        cost_per_request=options.cost_per_request,
        max_cost=options.max_cost,
    )


def _or(said: float | None, otherwise: float | None) -> float | None:
    return said if said is not None else otherwise


def apply_limits(demand: Demand, limits: Limits) -> Demand:
    """
    The demand, cut where it is to be. Raises UsageError where it is beyond the limits.
    """
    work = demand.workload
    errors = []
    if limits.duration is not None and work.duration > limits.duration:
        errors.append(
            f"at most {format_duration(limits.duration)}, found {format_duration(work.duration)}: allow it with --max-duration"
        )
    if work.model is WorkloadModel.OPEN and limits.rate is not None and work.rate > limits.rate * (1 + 1e-9):
        errors.append(f"at most {limits.rate:g} requests a second, found {work.rate:g}: allow it with --max-rate")
    if (
        work.model is WorkloadModel.OPEN
        and limits.requests is not None
        and not limits.stop_at_limit
        and work.expected_requests > limits.requests
    ):
        errors.append(
            f"at most {limits.requests} requests, found about {work.expected_requests:.0f}: allow it with --max-requests"
        )
    if errors:
        where = "against a host that is not this machine, expected " if limits.is_remote else "expected "
        raise UsageError(where + "; ".join(errors))
    most = min((count for count in (limits.requests, work.max_requests) if count is not None), default=None)
    return demand if most == work.max_requests else replace(demand, workload=replace(work, max_requests=most))


def announcement(work: Workload, planned: int, url: str, limits: Limits) -> str:
    """
    What a run is about to send, and what it keeps to, in one sentence.
    """
    weights = sum(payload.weight for payload in work.payloads)
    body = sum(len(payload.encoded()) * payload.weight for payload in work.payloads) / weights
    each = body + HEAD_BYTES
    if work.model is WorkloadModel.OPEN:
        rate = f"{'up to ' * bool(work.phases)}{work.rate:g} a second"
        what = f"{planned:,} requests in {format_duration(work.duration)}, {rate}, about {_size(planned * each)}"
    else:
        what = f"requests of {work.users} users for {format_duration(work.duration)}, about {_size(each)} each"
    kept = [
        f"--max-requests {limits.requests}" if limits.requests is not None else "",
        f"--max-rate {limits.rate:g}" if limits.rate is not None else "",
        f"--max-duration {format_duration(limits.duration)}" if limits.duration is not None else "",
        f"--error-budget {limits.errors:.3g}" if limits.errors is not None else "",
        f"--max-cost {limits.max_cost:g}" if limits.max_cost is not None else "",
    ]
    return f"about to send to {url}: {what}; keeping to {', '.join(filter(None, kept))}"


def _size(octets: float) -> str:
    """
    A number of bytes for people's eyes.
    """
    for unit, scale in (("GB", 1e9), ("MB", 1e6), ("kB", 1e3)):
        if octets >= scale:
            return f"{octets / scale:.3g} {unit}"
    return f"{octets:.0f} bytes"
