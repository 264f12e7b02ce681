"""
What ends a run early: a guard looks at it four times a second, at its totals and at what is written so far, and ends it with
a reason that is recorded and reported.

On this machine itself only two are on: a key that is refused to every request, and a target that is gone.
"""

from __future__ import annotations

import sys
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field

import gevent

from chainproof.clock import Seconds
from chainproof.durations import format_duration
from chainproof.results.exchange import Result, Transport
from chainproof.results.interval import Interval
from chainproof.results.manifest import Guard
from chainproof.workload.workload import WorkloadModel

from ..limits import Limits
from .base_run import BaseRun

CHECK_INTERVAL: Seconds = 0.25
MIN_ERRORS = 5
"""Fewer transport errors than that do not mean that the target is gone."""
MIN_REJECTIONS = 3
"""So many answers, every one of them 401 or 403, are enough to say that the key is refused."""
MIN_SETTLED = 50
"""Closed model: before so many requests are settled no error budget is burnt."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RunSnapshot:
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
    rejected: int
    """Those among them that were 401 or 403."""
    transport_errors: int
    """Transport errors other than the deadline's, as far as written."""


def snapshot(now: Seconds, planned: int | None, course: BaseRun, cumulative: Interval) -> RunSnapshot:
    """
    A run as it stands: its totals, and the outcomes that are written.
    """
    totals = course.accounting
    answered = rejected = transport_errors = 0
    for outcome, count in cumulative.outcomes.items():
        if outcome.transport is Transport.ANSWERED:
            answered += count
            rejected += count * (outcome.status in (401, 403))
        elif outcome.result is Result.FAILED:
            transport_errors += count
    return RunSnapshot(
        now=now,
        planned=planned,
        sent=totals.sent,
        ok=totals.ok,
        failed=totals.failed,
        timed_out=totals.timed_out,
        answered=answered,
        rejected=rejected,
        transport_errors=transport_errors,
    )


@dataclass(slots=True, kw_only=True)
class Guards:
    """
    Every guard of one run.
    """

    limits: Limits
    seen: deque[RunSnapshot] = field(default_factory=deque)
    """What was seen in the last so many seconds."""

    def triggered_guard(self, seen: RunSnapshot) -> tuple[Guard, str] | None:
        """The guard that ends the run now, with its reason; None as long as it may go on."""
        self.seen.append(seen)
        while len(self.seen) > 1 and self.seen[1].now <= seen.now - self.limits.gone_after:
            self.seen.popleft()
        for guard, reason_of in _REASONS.items():
            reason = reason_of(self, seen)
            if reason:
                return guard, reason
        return None

    def key_rejected(self, seen: RunSnapshot) -> str:
        """Nobody with this key is let in."""
        if seen.answered < MIN_REJECTIONS or seen.rejected < seen.answered:
            return ""
        return f"every one of the first {seen.answered} answers was 401 or 403"

    def target_unreachable(self, seen: RunSnapshot) -> str:
        """Only transport errors for so long: nobody is there any more."""
        first = self.seen[0]
        transport_errors = seen.transport_errors - first.transport_errors
        if (
            seen.now - first.now < self.limits.gone_after
            or seen.answered > first.answered
            or transport_errors < MIN_ERRORS
        ):
            return ""
        return f"nothing but {transport_errors} transport errors for {format_duration(self.limits.gone_after)}"

    def error_budget(self, seen: RunSnapshot) -> str:
        """More requests went wrong than the whole run may have."""
        settled = seen.ok + seen.failed + seen.timed_out
        of = seen.planned if seen.planned is not None else settled
        if self.limits.errors is None or (seen.planned is None and settled < MIN_SETTLED):
            return ""
        wrong = seen.failed + seen.timed_out
        if wrong <= self.limits.errors * of:
            return ""
        return f"{wrong} requests failed or timed out, more than {self.limits.errors:.3g} of the run's {of}"

    def rate(self, seen: RunSnapshot) -> str:
        """Closed model: users who get quick answers ask more than was meant."""
        before = next((other for other in reversed(self.seen) if other.now <= seen.now - 1.0), None)
        if self.limits.rate is None or seen.planned is not None or before is None:
            return ""
        rate = (seen.sent - before.sent) / (seen.now - before.now)
        if rate <= self.limits.rate:
            return ""
        return f"users sent {rate:.0f} requests a second, more than --max-rate {self.limits.rate:g}: add --think-time"


_REASONS: dict[Guard, Callable[[Guards, RunSnapshot], str]] = {
    Guard.KEY_REJECTED: Guards.key_rejected,
    Guard.TARGET_UNREACHABLE: Guards.target_unreachable,
    Guard.ERROR_BUDGET: Guards.error_budget,
    Guard.RATE: Guards.rate,
}


def run_guards(course: BaseRun, cumulative: Callable[[], Interval], limits: Limits, planned: Callable[[], int]) -> None:
    """
    Look at a run until it is over, and end it when a guard says so.
    """
    guards = Guards(limits=limits)
    while not course.wait(CHECK_INTERVAL):
        work = course.demand.workload
        of = planned() if work.model is WorkloadModel.OPEN else None
        found = guards.triggered_guard(snapshot(course.now(), of, course, cumulative()))
        if found is not None:
            guard, reason = found
            print(f"chainproof loadtests: stopped: {reason}", file=sys.stderr, flush=True)
            course.guard(guard, reason)
            return


def start_guards(
    course: BaseRun, cumulative: Callable[[], Interval], limits: Limits, planned: Callable[[], int]
) -> None:
    """
    Have a run watched from now on.
    """
    gevent.spawn(run_guards, course, cumulative, limits, planned)
