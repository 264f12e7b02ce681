"""
What keeps a run within bounds: limits that are known before it starts, and guards that end it early.

A guard looks at a run four times a second, at what is written so far, and ends it with a reason that is recorded and
reported. On this machine itself only two are on: a key that is refused to every request, and a target that is gone. At
any other host there are limits besides, each of which the user may move.
"""

from __future__ import annotations

import argparse
import sys
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field, replace

import gevent

from chainproof.clock import PerSecond, Seconds
from chainproof.command import Mistake
from chainproof.contract.targets import is_loopback
from chainproof.durations import format_duration
from chainproof.embedded import Endpoint
from chainproof.results.exchange import Fate, Transport
from chainproof.results.interval import Interval
from chainproof.results.manifest import Guard, Settings, as_settings
from chainproof.workload.workload import Model, Workload

from .course import Course
from .settings import Demand

LOOK: Seconds = 0.25
GONE_AFTER: Seconds = 10.0
"""A target that only transport errors came from for so long is gone."""
FEWEST_ERRORS = 5
"""… if they were at least so many."""
FEWEST_REFUSALS = 3
"""So many answers, every one of them 401 or 403, are enough to say that the key is refused."""
FEWEST_SETTLED = 50
"""Closed model: before so many requests are settled no error budget is burnt."""

STRANGERS_REQUESTS = 20_000
STRANGERS_RATE: PerSecond = 200.0
STRANGERS_DURATION: Seconds = 900.0
STRANGERS_ERRORS = 0.1
"""The limits against a host that is not this machine, unless the user says otherwise."""
HEAD_BYTES = 250
"""About so many bytes a request has before its body."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """
    What a run keeps to.
    """

    stranger: bool = False
    """Whether requests go to a host that is not this machine."""
    requests: int | None = None
    cut: bool = True
    """Whether a run ends at that many; else one that would send more is refused."""
    rate: PerSecond | None = None
    duration: Seconds | None = None
    errors: float | None = None
    """The error budget: which share of the run's requests may fail or time out."""
    gone_after: Seconds = GONE_AFTER
    cost_per_request: float | None = None
    max_cost: float | None = None

    def settings(self) -> Settings:
        """What a manifest says of them, where there is any."""
        said = {
            "max_requests": self.requests,
            "max_rate_per_s": self.rate,
            "max_duration_s": self.duration,
            "error_budget": self.errors,
            "cost_per_request": self.cost_per_request,
            "max_cost": self.max_cost,
        }
        return as_settings(**{name: value for name, value in said.items() if value is not None})


def limits(options: argparse.Namespace, chosen: Endpoint) -> Limits:
    """
    The limits that the options set, and those that hold at other hosts unless they do. Raises Mistake.
    """
    if (options.max_cost is None) is not (options.cost_per_request is None):
        raise Mistake("expected --max-cost and --cost-per-request together")
    affordable = None if options.max_cost is None else int(options.max_cost / options.cost_per_request + 1e-9)
    asked = min((count for count in (options.max_requests, affordable) if count is not None), default=None)
    if affordable == 0:
        raise Mistake(f"expected a --max-cost of at least one request's, {options.cost_per_request:g}")
    stranger = not is_loopback(chosen.route.first_hop(chosen.target).host)
    default = stranger and asked is None
    return Limits(
        stranger=stranger,
        requests=STRANGERS_REQUESTS if default else asked,
        cut=not default,
        rate=_or(options.max_rate, STRANGERS_RATE if stranger else None),
        duration=_or(options.max_duration, STRANGERS_DURATION if stranger else None),
        errors=_or(options.error_budget, STRANGERS_ERRORS if stranger else None),
        gone_after=_or(options.gone_after, GONE_AFTER) or GONE_AFTER,
        cost_per_request=options.cost_per_request,
        max_cost=options.max_cost,
    )


def _or(said: float | None, otherwise: float | None) -> float | None:
    return said if said is not None else otherwise


def within(demand: Demand, limits: Limits) -> Demand:
    """
    The demand, cut where it is to be. Raises Mistake where it is beyond the limits.
    """
    work = demand.workload
    mistakes = []
    if limits.duration is not None and work.duration > limits.duration:
        mistakes.append(
            f"at most {format_duration(limits.duration)}, found {format_duration(work.duration)}: allow it with --max-duration"
        )
    if work.model is Model.OPEN and limits.rate is not None and work.rate > limits.rate * (1 + 1e-9):
        mistakes.append(f"at most {limits.rate:g} requests a second, found {work.rate:g}: allow it with --max-rate")
    if work.model is Model.OPEN and limits.requests is not None and not limits.cut and work.expected > limits.requests:
        mistakes.append(
            f"at most {limits.requests} requests, found about {work.expected:.0f}: allow it with --max-requests"
        )
    if mistakes:
        where = "against a host that is not this machine, expected " if limits.stranger else "expected "
        raise Mistake(where + "; ".join(mistakes))
    if limits.requests is None:
        return demand
    return replace(demand, workload=replace(work, max_requests=limits.requests))


def announcement(work: Workload, planned: int, url: str, limits: Limits) -> str:
    """
    What a run is about to send, and what it keeps to, in one sentence.
    """
    weights = sum(payload.weight for payload in work.payloads)
    body = sum(len(payload.encoded()) * payload.weight for payload in work.payloads) / weights
    each = body + HEAD_BYTES
    if work.model is Model.OPEN:
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


@dataclass(frozen=True, slots=True, kw_only=True)
class Look:
    """
    What a guard sees of a run.
    """

    now: Seconds
    planned: int | None
    """How many requests the whole run has; None in the closed model."""
    sent: int
    ok: int
    failed: int
    timed_out: int
    answered: int
    """Complete answers, as far as written."""
    refused: int
    """Those among them that were 401 or 403."""
    lost: int
    """Transport errors other than the deadline's, as far as written."""


def look(now: Seconds, planned: int | None, course: Course, whole: Interval) -> Look:
    """
    A run as it stands: its totals, and the outcomes that are written.
    """
    totals = course.accounting
    answered = refused = lost = 0
    for outcome, count in whole.outcomes.items():
        if outcome.transport is Transport.ANSWERED:
            answered += count
            refused += count * (outcome.status in (401, 403))
        elif outcome.fate is Fate.FAILED:
            lost += count
    return Look(
        now=now,
        planned=planned,
        sent=totals.sent,
        ok=totals.ok,
        failed=totals.failed,
        timed_out=totals.timed_out,
        answered=answered,
        refused=refused,
        lost=lost,
    )


@dataclass(slots=True, kw_only=True)
class Guards:
    """
    Every guard of one run.
    """

    limits: Limits
    seen: deque[Look] = field(default_factory=deque)
    """What was seen in the last so many seconds."""

    def stop(self, seen: Look) -> tuple[Guard, str] | None:
        """The guard that ends the run now, with its reason; None as long as it may go on."""
        self.seen.append(seen)
        while len(self.seen) > 1 and self.seen[1].now <= seen.now - self.limits.gone_after:
            self.seen.popleft()
        for guard, reason_of in _REASONS.items():
            reason = reason_of(self, seen)
            if reason:
                return guard, reason
        return None

    def key_refused(self, seen: Look) -> str:
        """Nobody with this key is let in."""
        if seen.answered < FEWEST_REFUSALS or seen.refused < seen.answered:
            return ""
        return f"every one of the first {seen.answered} answers was 401 or 403"

    def target_gone(self, seen: Look) -> str:
        """Only transport errors for so long: nobody is there any more."""
        first = self.seen[0]
        lost = seen.lost - first.lost
        if seen.now - first.now < self.limits.gone_after or seen.answered > first.answered or lost < FEWEST_ERRORS:
            return ""
        return f"nothing but {lost} transport errors for {format_duration(self.limits.gone_after)}"

    def error_budget(self, seen: Look) -> str:
        """More requests went wrong than the whole run may have."""
        settled = seen.ok + seen.failed + seen.timed_out
        of = seen.planned if seen.planned is not None else settled
        if self.limits.errors is None or (seen.planned is None and settled < FEWEST_SETTLED):
            return ""
        wrong = seen.failed + seen.timed_out
        if wrong <= self.limits.errors * of:
            return ""
        return f"{wrong} requests failed or timed out, more than {self.limits.errors:.3g} of the run's {of}"

    def rate(self, seen: Look) -> str:
        """Closed model: users who get quick answers ask more than was meant."""
        before = next((other for other in reversed(self.seen) if other.now <= seen.now - 1.0), None)
        if self.limits.rate is None or seen.planned is not None or before is None:
            return ""
        rate = (seen.sent - before.sent) / (seen.now - before.now)
        if rate <= self.limits.rate:
            return ""
        return f"users sent {rate:.0f} requests a second, more than --max-rate {self.limits.rate:g}: add --think-time"


_REASONS: dict[Guard, Callable[[Guards, Look], str]] = {
    Guard.KEY_REFUSED: Guards.key_refused,
    Guard.TARGET_GONE: Guards.target_gone,
    Guard.ERROR_BUDGET: Guards.error_budget,
    Guard.RATE: Guards.rate,
}


def keep_watch(course: Course, whole: Callable[[], Interval], limits: Limits, planned: Callable[[], int]) -> None:
    """
    Look at a run until it is over, and end it when a guard says so.
    """
    guards = Guards(limits=limits)
    while not course.wait(LOOK):
        work = course.demand.workload
        of = planned() if work.model is Model.OPEN else None
        found = guards.stop(look(course.now(), of, course, whole()))
        if found is not None:
            guard, reason = found
            print(f"chainproof loadtests: stopped: {reason}", file=sys.stderr, flush=True)
            course.guard(guard, reason)
            return


def watch(course: Course, whole: Callable[[], Interval], limits: Limits, planned: Callable[[], int]) -> None:
    """
    Have a run watched from now on.
    """
    gevent.spawn(keep_watch, course, whole, limits, planned)
