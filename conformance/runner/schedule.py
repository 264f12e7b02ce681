"""
Runs the checks of a slow target: several at the same time, and in two rounds if there is no time for all requests.

pytest asks for the outcome of one check after the other. The first question starts all checks in threads.
"""

from __future__ import annotations

import traceback
from collections.abc import Sequence
from dataclasses import dataclass
from threading import Event, Lock, Thread

from chainproof.clock import Seconds, monotonic

from ..checks import Check
from ..options import Depth
from ..probing.budget import CheckScope, ResponseTimes, Round
from ..probing.concurrency import ConcurrencyLimit, run_in_threads
from ..probing.requester import Requester
from ..transport.check_skipped import AnswerNotRead, CheckSkipped, RunCut, RunIncomplete
from .interruption import END_TIME
from .plan import RunPlan, in_order, longest_first, with_longest_first
from .power_order import power_of

_NO_REQUEST = "its requests cannot be made for this chain"
"""Why a check that had nothing to send was skipped: a check that sent nothing has not passed."""


@dataclass(slots=True, kw_only=True)
class CheckProgress:
    """What has become of one check so far."""

    sent: int = 0
    """Requests that it has sent."""
    seconds: Seconds = 0.0
    left_out: int = 0
    """Requests that were planned and not sent."""
    skipped: CheckSkipped | None = None
    """Why it was skipped; None if it was not."""
    error: BaseException | None = None
    """An error in chainproof."""

    @property
    def is_unfinished(self) -> bool:
        """Whether a second round may send more."""
        return self.left_out > 0 and self.skipped is None and self.error is None


class CheckRunner:
    """Runs checks one by one, and records what they leave out. Any thread may use it."""

    def __init__(self, requester: Requester, *, examples_scale: float = 1.0) -> None:
        self._requester = requester
        self._examples_scale = examples_scale
        self._lock = Lock()

    def run(
        self,
        check: Check,
        turn: Round = Round.ALL,
        requester: Requester | None = None,
        *,
        most: float = float("inf"),
    ) -> CheckProgress:
        """
        Run a check, or the part of it that belongs to a round, with so many requests at *most*; *requester* replaces the one of the
        run.
        """
        requester = requester or self._requester
        scope = CheckScope(
            name=check.title,
            round=turn,
            labels=power_of(check).labels,
            examples_scale=self._examples_scale,
            most=most,
        )
        progress, began = CheckProgress(), monotonic()
        own = requester.for_check(scope)
        try:
            own.time_budget.deadline(own.settings.deadline)  # raises if nothing can be sent
            try:
                check.run(own)
            finally:
                own.send_submitted()
        except CheckSkipped as reason:
            # Without the frames of its traceback, which would keep answers in memory until the end of the run.
            traceback.clear_frames(reason.__traceback__)
            progress.skipped = reason.with_traceback(None)
        except BaseException as error:  # noqa: BLE001  # raised again where pytest reports it
            progress.error = error
        progress.sent, progress.left_out, progress.seconds = scope.sent_count, scope.left_out, monotonic() - began
        limits = self._requester.limits
        if isinstance(progress.skipped, RunCut) and scope.sent_count and limits.seconds and limits.requests > 0:
            # Only the part of the time that this check gets is over.
            progress.skipped, progress.left_out = None, max(1, progress.left_out)
        has_sent = progress.sent or turn is Round.REST  # all that it sends may be in the first round
        if not (has_sent or progress.left_out or progress.skipped or progress.error):
            has_input = requester.inputs.is_accepted is not False
            progress.skipped = CheckSkipped(_NO_REQUEST if has_input else requester.no_accepted_input)
        self._enter(check, progress, turn)
        return progress

    def _enter(self, check: Check, progress: CheckProgress, turn: Round) -> None:
        """Enter the requests of a check, and why some were not sent."""
        finding_recorder = self._requester.finding_recorder
        with self._lock:
            finding_recorder.count_module_requests(check.module, progress.sent)
            if progress.skipped is not None:
                finding_recorder.record_skipped(check.clauses, str(progress.skipped))
            is_planned = turn is not Round.REST or bool(self._requester.time_budget.stopped)
            is_planned |= isinstance(progress.skipped, AnswerNotRead)
            if isinstance(progress.skipped, RunIncomplete) and is_planned:
                finding_recorder.cut_by = finding_recorder.cut_by or progress.skipped.cause
            finding_recorder.write_counts()


class Schedule:
    """All checks of a run, several at the same time."""

    def __init__(
        self, checks: Sequence[Check], requester: Requester, plan: RunPlan, times: ResponseTimes, depth: Depth
    ) -> None:
        self._checks = checks
        self._requester = requester
        self._plan = plan
        self._times = times
        self._depth = depth
        self._runner = CheckRunner(requester, examples_scale=plan.examples_scale)
        self._progress: dict[str, CheckProgress] = {}
        self._ended = {check.id: Event() for check in checks}
        self._thread = Thread(target=self._run_all, name="checks", daemon=True)

    def start(self) -> None:
        """Start the checks."""
        self._requester.concurrency = self._plan.concurrency
        # Checks of concurrent requests send several to a target that serves one at a time, too: that takes no longer.
        most = self._requester.patient_threads(self._requester.limits.concurrency)
        self._requester.in_flight = ConcurrencyLimit(max(self._plan.concurrency, most))
        self._thread.start()

    def stop(self) -> None:
        """Let the checks end soon, and wait for them."""
        self._requester.time_budget.stop("the run was interrupted")
        if self._thread.ident is not None:  # else this machine could not start it
            self._thread.join(END_TIME)

    def contains(self, check: Check) -> bool:
        """Whether this is one of the checks."""
        return check.id in self._ended

    def progress(self, check: Check) -> CheckProgress:
        """What has become of a check, as soon as it has ended."""
        self._ended[check.id].wait()
        return self._progress[check.id]

    def _run_all(self) -> None:
        """Run all checks, each in one round or in two. An error here is one of every check that has not ended."""
        failure: BaseException = RuntimeError("the check was not run")
        try:
            if self._plan.two_rounds:
                self._run_round(self._checks, Round.FIRST)
                budget = self._requester.time_budget
                budget.seconds = min(budget.seconds, max(self._plan.rest_until, budget.passed))
                unfinished = [check for check in self._checks if self._progress[check.id].is_unfinished]
                self._run_round(unfinished, Round.REST)
            else:
                self._run_round(self._checks, Round.ALL)
        except BaseException as error:  # noqa: BLE001  # raised again where pytest reports it
            failure = error
        for check in self._checks:
            if not self._ended[check.id].is_set():
                self._progress.setdefault(check.id, CheckProgress()).error = failure
                self._ended[check.id].set()

    def _run_round(self, checks: Sequence[Check], turn: Round) -> None:
        """Run a round of some checks. Those that must run alone come last, and share the time that is left."""
        ordered = in_order(checks, self._times, depth=self._depth, turn=turn) if self._plan.two_rounds else checks
        concurrent = [check for check in ordered if not check.exclusive]
        times, depth, first = self._times, self._depth, self._plan.first_seconds
        if not self._plan.two_rounds:
            concurrent = longest_first(concurrent, times, depth=depth)
        elif turn is Round.FIRST and first < self._requester.time_budget.left:
            concurrent = with_longest_first(concurrent, times, depth=depth, seconds=first)
        run_in_threads(lambda check: self._run(check, turn), concurrent, threads=self._plan.concurrency)
        exclusive = [check for check in ordered if check.exclusive]
        for number, check in enumerate(exclusive):
            alone = self._requester.for_check(CheckScope())
            alone.in_flight = ConcurrencyLimit()
            limits, share = self._requester.limits, len(exclusive) - number
            alone.time_budget = self._requester.time_budget.part(limits.seconds / share)
            self._run(check, turn, alone, most=limits.requests / share)

    def _run(
        self, check: Check, turn: Round, requester: Requester | None = None, *, most: float = float("inf")
    ) -> None:
        """Run a check in one round, and note whether it has ended."""
        progress = self._runner.run(check, turn, requester, most=most)
        first = self._progress.get(check.id, CheckProgress())
        if turn is Round.REST:
            is_cut = isinstance(progress.skipped, RunCut)
            progress.left_out = max(0, first.left_out - progress.sent) if is_cut else progress.left_out
            progress.skipped = None if is_cut else progress.skipped
            progress.sent += first.sent
            progress.seconds += first.seconds
        self._progress[check.id] = progress
        if turn is not Round.FIRST or not progress.is_unfinished:
            self._ended[check.id].set()
