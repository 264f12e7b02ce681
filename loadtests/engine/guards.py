"""
Guards that stop a run early, for a reason that is recorded and reported.

They check the totals and the intervals written so far, four times a second. Against a target on loopback, only the
guards for a rejected key and for an unreachable target are active.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field

import gevent

from chainproof.clock import Seconds, format_duration
from chainproof.command import print_message
from chainproof.results.exchange import OWN_ERRORS, Result, Transport
from chainproof.results.intervals.interval import Interval
from chainproof.results.manifest import Guard
from chainproof.statistics.confidence_sequence import is_sequentially_above
from chainproof.workload.workload import WorkloadModel

from ..limits import Limits
from .base_run import BaseRun

CHECK_INTERVAL: Seconds = 0.25
MIN_ERRORS = 5
"""Fewer transport errors do not mean that the target is unreachable."""
MIN_REJECTIONS = 3
"""If the first answers are all 401 or 403, this many are enough to conclude that the key is rejected."""
MIN_SETTLED = 50
"""Closed model: the error budget applies from this many settled requests on."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RunSnapshot:
    """The totals of a run at one instant."""

    now: Seconds
    planned: int | None
    """Number of requests in the plan of the run; None in the closed model."""
    sent: int
    ok: int
    failed: int
    timed_out: int
    answered: int
    """Complete answers, of the intervals written so far."""
    rejected: int
    """Those of them with status 401 or 403."""
    transport_errors: int
    """Transport errors except for deadlines, of the intervals written so far."""


def snapshot(now: Seconds, planned: int | None, run: BaseRun, cumulative: Interval) -> RunSnapshot:
    """A snapshot of a run, given its merged intervals."""
    totals = run.accounting
    answered = rejected = transport_errors = 0
    for outcome, count in cumulative.outcomes.items():
        if outcome.transport is Transport.ANSWERED:
            answered += count
            rejected += count * outcome.rejects_key
        elif outcome.result is Result.FAILED and outcome.transport not in OWN_ERRORS:
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
class ErrorShares:
    """
    The share of errors in each second of a closed model, and whether they exceed a budget.

    A look every quarter of a second would find an excess by chance sooner or later, so the bound is that of a confidence
    sequence. Errors come in spells, so a second with any number of requests counts as one observation. (The likelihood
    ratio of a share between 0 and 1 is at most that of a binary value with the same mean, so the bound holds.)
    """

    seconds: int = 0
    total: float = 0.0
    """The sum of the shares."""
    settled: int = 0
    errors: int = 0
    """Requests and errors up to the last full second."""
    now: Seconds = 0.0

    def exceed(self, budget: float, now: Seconds, settled: int, errors: int) -> bool:
        """True if a second is complete and shares are above the budget, with 95 % confidence over all looks together."""
        if now < self.now + 1.0 or settled == self.settled:
            return False
        self.seconds += 1
        self.total += (errors - self.errors) / (settled - self.settled)
        self.now, self.settled, self.errors = now, settled, errors
        return is_sequentially_above(self.total, self.seconds, budget)


@dataclass(slots=True, kw_only=True)
class Guards:
    """All guards of one run."""

    limits: Limits
    recent: deque[RunSnapshot] = field(default_factory=deque)
    """Snapshots of the last `limits.gone_after` seconds and the one before."""
    error_shares: ErrorShares = field(default_factory=ErrorShares)

    def triggered_guard(self, snapshot: RunSnapshot) -> tuple[Guard, str] | None:
        """The guard that stops the run now, with the reason; None if the run may go on."""
        self.recent.append(snapshot)
        while len(self.recent) > 1 and self.recent[1].now <= snapshot.now - self.limits.gone_after:
            self.recent.popleft()
        for guard, reason_of in _REASONS.items():
            reason = reason_of(self, snapshot)
            if reason:
                return guard, reason
        return None

    def key_rejected(self, snapshot: RunSnapshot) -> str:
        """The target rejects the key."""
        if snapshot.answered < MIN_REJECTIONS or snapshot.rejected < snapshot.answered:
            return ""
        return f"all of the first {snapshot.answered} answers were 401 or 403"

    def target_unreachable(self, snapshot: RunSnapshot) -> str:
        """There were only transport errors for a while: the target does not answer any more."""
        first = self.recent[0]
        transport_errors = snapshot.transport_errors - first.transport_errors
        if (
            snapshot.now - first.now < self.limits.gone_after
            or snapshot.answered > first.answered
            or transport_errors < MIN_ERRORS
        ):
            return ""
        return f"{transport_errors} transport errors and no answer for {format_duration(self.limits.gone_after)}"

    def error_budget(self, snapshot: RunSnapshot) -> str:
        """
        More requests failed or timed out than the error budget of the run allows.

        In the open model the budget is a share of the plan, which is known. In the closed model it is a share of what will
        be sent, which is estimated from the errors so far.
        """
        settled, errors = snapshot.ok + snapshot.failed + snapshot.timed_out, snapshot.failed + snapshot.timed_out
        total, budget = snapshot.planned if snapshot.planned is not None else settled, self.limits.errors
        if budget is None:
            return ""
        exceeds = errors > budget * total
        if snapshot.planned is None:
            certain = self.error_shares.exceed(budget, snapshot.now, settled, errors)
            exceeds = exceeds and certain and settled >= MIN_SETTLED
        if not exceeds:
            return ""
        return f"{errors} requests failed or timed out, more than {budget:.3g} of the run's {total}"

    def rate(self, snapshot: RunSnapshot) -> str:
        """Closed model: fast answers make the users send more requests than allowed."""
        before = next((other for other in reversed(self.recent) if other.now <= snapshot.now - 1.0), None)
        if self.limits.rate is None or snapshot.planned is not None or before is None:
            return ""
        rate = (snapshot.sent - before.sent) / (snapshot.now - before.now)
        if rate <= self.limits.rate:
            return ""
        return f"users sent {rate:.0f} requests per second, more than --max-rate {self.limits.rate:g}; add --think-time"


_REASONS: dict[Guard, Callable[[Guards, RunSnapshot], str]] = {
    Guard.KEY_REJECTED: Guards.key_rejected,
    Guard.TARGET_UNREACHABLE: Guards.target_unreachable,
    Guard.ERROR_BUDGET: Guards.error_budget,
    Guard.RATE: Guards.rate,
}


def run_guards(run: BaseRun, cumulative: Callable[[], Interval], limits: Limits, planned: Callable[[], int]) -> None:
    """Check a run until it ends, and stop it if a guard is triggered."""
    guards = Guards(limits=limits)
    while not run.wait(CHECK_INTERVAL):
        work = run.demand.workload
        total = planned() if work.model is WorkloadModel.OPEN else None
        triggered = guards.triggered_guard(snapshot(run.now(), total, run, cumulative()))
        if triggered is not None:
            guard, reason = triggered
            print_message("chainproof loadtests", f"stopped: {reason}")
            run.guard(guard, reason)
            return


def start_guards(run: BaseRun, cumulative: Callable[[], Interval], limits: Limits, planned: Callable[[], int]) -> None:
    """Run the guards in a greenlet."""
    gevent.spawn(run_guards, run, cumulative, limits, planned)
