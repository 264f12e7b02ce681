"""
The limits of a load run: requests, rate, duration, errors and cost.

A target on loopback has only the limits that the user sets. A remote target has default limits, and a run announces what
it is going to send there.
"""

from __future__ import annotations

import argparse
from dataclasses import dataclass, replace

from chainproof.clock import PerSecond, Seconds, format_duration
from chainproof.contract.target import is_loopback
from chainproof.endpoint import Endpoint
from chainproof.errors import UsageError
from chainproof.results.manifest import RunSettings, as_settings
from chainproof.workload.workload import Workload, WorkloadModel

from .demand import Demand

GONE_AFTER: Seconds = 10.0
"""A run ends after this long with nothing but transport errors."""

REMOTE_MAX_REQUESTS = 20_000
REMOTE_MAX_RATE: PerSecond = 200.0
REMOTE_MAX_DURATION: Seconds = 900.0
REMOTE_ERROR_BUDGET = 0.1
"""The default limits for remote targets."""
HEAD_BYTES = 250
"""Approximate size of a request without its body."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """The limits of a run; None: no limit."""

    is_remote: bool = False
    """Whether the target is remote: not on a loopback address."""
    requests: int | None = None
    stop_at_limit: bool = True
    """Whether a run ends at that number; otherwise a workload with more requests is a usage error."""
    rate: PerSecond | None = None
    duration: Seconds | None = None
    errors: float | None = None
    """Error budget: the share of requests that may fail or time out."""
    gone_after: Seconds = GONE_AFTER
    cost_per_request: float | None = None
    max_cost: float | None = None

    def settings(self) -> RunSettings:
        """The limits for the manifest, without those that are not set."""
        values = {
            "max_rate_per_s": self.rate,
            "max_duration_s": self.duration,
            "error_budget": self.errors,
            "cost_per_request": self.cost_per_request,
            "max_cost": self.max_cost,
        }
        return as_settings(**{name: value for name, value in values.items() if value is not None})


def limits(options: argparse.Namespace, endpoint: Endpoint) -> Limits:
    """The limits of the options, with the defaults for a remote target. Raises UsageError."""
    if (options.max_cost is None) is not (options.cost_per_request is None):
        raise UsageError("expected --max-cost and --cost-per-request together")
    if options.error_budget is not None and not 0 <= options.error_budget <= 1:
        raise UsageError(
            f"expected --error-budget from 0% to 100%, found {options.error_budget:.0%}: 5 % is written 5% or 0.05"
        )
    if options.gone_after is not None and options.gone_after <= 0:
        raise UsageError("expected --gone-after of more than 0 s")
    affordable = None if options.max_cost is None else int(options.max_cost / options.cost_per_request + 1e-9)
    requested = min((count for count in (options.max_requests, affordable) if count is not None), default=None)
    if affordable == 0:
        raise UsageError(f"expected --max-cost of at least the cost of one request, {options.cost_per_request:g}")
    is_remote = not is_loopback(endpoint.route.destination(endpoint.target).host)
    is_default = is_remote and requested is None
    return Limits(
        is_remote=is_remote,
        requests=REMOTE_MAX_REQUESTS if is_default else requested,
        stop_at_limit=not is_default,
        rate=_first(options.max_rate, REMOTE_MAX_RATE if is_remote else None),
        duration=_first(options.max_duration, REMOTE_MAX_DURATION if is_remote else None),
        errors=_first(options.error_budget, REMOTE_ERROR_BUDGET if is_remote else None),
        gone_after=GONE_AFTER if options.gone_after is None else options.gone_after,
        cost_per_request=options.cost_per_request,
        max_cost=options.max_cost,
    )


def _first(value: float | None, default: float | None) -> float | None:
    return value if value is not None else default


def apply_limits(demand: Demand, limits: Limits) -> Demand:
    """The demand with its number of requests limited. Raises UsageError if it exceeds another limit."""
    work = demand.workload
    errors = []
    if limits.duration is not None and work.duration > limits.duration:
        errors.append(
            f"at most {format_duration(limits.duration)}, found {format_duration(work.duration)}: raise the limit with --max-duration"
        )
    if work.model is WorkloadModel.OPEN and limits.rate is not None and work.rate > limits.rate * (1 + 1e-9):
        errors.append(
            f"at most {limits.rate:g} requests per second, found {work.rate:g}: raise the limit with --max-rate"
        )
    if (
        work.model is WorkloadModel.OPEN
        and limits.requests is not None
        and not limits.stop_at_limit
        and work.expected_requests > limits.requests
    ):
        errors.append(
            f"at most {limits.requests} requests, found about {work.expected_requests:.0f}: raise the limit with --max-requests"
        )
    if errors:
        where = "for a remote target, expected " if limits.is_remote else "expected "
        raise UsageError(where + "; ".join(errors))
    max_requests = min((count for count in (limits.requests, work.max_requests) if count is not None), default=None)
    return (
        demand
        if max_requests == work.max_requests
        else replace(demand, workload=replace(work, max_requests=max_requests))
    )


def announcement(work: Workload, planned: int, url: str, limits: Limits) -> str:
    """A sentence that says what a run is going to send, and its limits."""
    weights = sum(payload.weight for payload in work.payloads)
    body = sum(len(payload.encoded()) * payload.weight for payload in work.payloads) / weights
    each = body + HEAD_BYTES
    if work.model is WorkloadModel.OPEN:
        rate = f"{'up to ' * bool(work.phases)}{work.rate:g} per second"
        what = f"{planned:,} requests in {format_duration(work.duration)}, {rate}, about {_size(planned * each)}"
    else:
        what = f"requests of {work.users} users for {format_duration(work.duration)}, about {_size(each)} each"
    kept_limits = [
        f"--max-requests {limits.requests}" if limits.requests is not None else "",
        f"--max-rate {limits.rate:g}" if limits.rate is not None else "",
        f"--max-duration {format_duration(limits.duration)}" if limits.duration is not None else "",
        f"--error-budget {limits.errors:.3g}" if limits.errors is not None else "",
        f"--max-cost {limits.max_cost:g}" if limits.max_cost is not None else "",
    ]
    return f"about to send to {url}: {what}; limits: {', '.join(filter(None, kept_limits))}"


def _size(octets: float) -> str:
    """A number of bytes with its unit."""
    for unit, scale in (("GB", 1e9), ("MB", 1e6), ("kB", 1e3)):
        if octets >= scale:
            return f"{octets / scale:.3g} {unit}"
    return f"{octets:.0f} bytes"
