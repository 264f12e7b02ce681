"""Decides how long to wait for an answer, and which requests are not worth sending, by how the target has answered so far."""

from __future__ import annotations

from collections.abc import Callable

from chainproof.clock import Seconds, format_duration
from chainproof.contract.answer import Answer
from chainproof.results.exchange import Transport

from ..judging.expectation import Expectation, Terms, accepts_body
from ..judging.unbounded_input import large_numbers
from ..options import DEFAULT_TIME_BUDGET, SLOW_TARGET, Settings
from ..transport.connection import TransportResult, is_being_sent
from ..transport.request import CheckRequest
from .budget import ResponseTimes, TimeBudget
from .liveness import Liveness, Probe
from .waits import TargetBehaviour, Waits

_WITHOUT_ANSWER = frozenset({Transport.DEADLINE, Transport.TOO_LARGE})
"""Transport errors of a target that may never send a complete answer again, and that cost much time."""

_MAX_SLOW_DEADLINES = 2
"""How many deadlines slow answers of a fast target may take together before the rest of the run gets a time limit."""


class TargetWatch:
    """How fast the target answers, and what it leaves without an answer. Any thread may use it."""

    def __init__(
        self,
        settings: Settings,
        waits: Waits,
        *,
        deadline: Seconds,
        probe: Probe,
        pause: Callable[[Seconds], None],
        note: Callable[[str], None],
    ) -> None:
        self._settings = settings
        self._deadline = deadline
        self._probe_deadline = waits.probe_deadline
        self._note = note
        self._behaviour = TargetBehaviour(waits)
        self._liveness = Liveness(probe, pauses=waits.recovery_pauses, pause=pause)

    @property
    def response_times(self) -> ResponseTimes:
        """How long the target has taken to answer so far, at best."""
        return self._behaviour.response_times

    def take_pause(self, pause: Seconds) -> bool:
        """Take a pause from the time left to wait for a busy target. Returns False if less than that is left."""
        return self._behaviour.take_pause(pause)

    def require_answers(self, check: str) -> None:
        """Raises CheckSkipped if too many requests of a check got no answer."""
        self._liveness.require_answers(check)

    def next_deadline(self, deadline: Seconds) -> Seconds:
        """The time limit for the next answer: *deadline*, or less after several answers that were missing."""
        return min(deadline, self.short_deadline) if self._liveness.is_impatient else deadline

    @property
    def short_deadline(self) -> Seconds:
        """The time limit for the answer to a simple input, and to every input after several answers that were missing."""
        return max(self._probe_deadline, 20 * self.response_times.accepted)

    def add_duration(self, began: Seconds, ended: Seconds, answer: Answer | None) -> None:
        """Add when one exchange began and ended."""
        self._behaviour.add_duration(began, ended, answer)

    def limit_slow_answers(self, budget: TimeBudget) -> None:
        """Limit the rest of a run without a time budget once slow answers have taken as long as several missing ones."""
        settings, limit = self._settings, _MAX_SLOW_DEADLINES * self._deadline
        if budget.seconds < float("inf") or settings.duration is not None or self._behaviour.slow_seconds < limit:
            return
        rest = DEFAULT_TIME_BUDGET[settings.depth]
        budget.end_within(rest)
        self._note(
            f"the target is fast, but some answers took more than {format_duration(SLOW_TARGET)}, together more than "
            f"{format_duration(limit)}. So the rest of the run was limited to {format_duration(rest)}: --time-budget changes that"
        )

    def may_be_answered(self, check: str, request: CheckRequest, expected: Expectation | None, terms: Terms) -> bool:
        """False for a request of a kind that the target has left without an answer before: it costs one deadline, not many."""
        if not self._liveness.was_answered(check, request.label):
            return False
        if not self._liveness.may_be_answered(len(request.body or b""), is_valid=_is_valid(expected)):
            return False
        slow = self._liveness.slow_members
        if not slow or terms.input_schema is None or request.body is None:
            return True
        return not any(number.path in slow for number in large_numbers(request.body, self._deadline))

    @property
    def is_impatient(self) -> bool:
        """Whether so many answers are missing that a further missing one is no violation."""
        return self._liveness.is_impatient

    def is_explained_by_input(self, request: CheckRequest, received: TransportResult, terms: Terms) -> bool:
        """
        Whether a valid input has a number that may have made the chain work beyond the deadline. Then the missing answer
        is no violation, and inputs like it are left out from now on.
        """
        if is_being_sent(received) or terms.input_schema is None or not accepts_body(terms, request.body):
            return False
        limit = self._deadline
        number = next(iter(large_numbers(request.body or b"", limit)), None)
        if number is None:
            return False
        self._liveness.slow_members.add(number.path)
        self._note(
            f"inputs with `{number.name}` of {limit:g} or more got no answer within {format_duration(limit)}, and were left out "
            "from then on. If it decides how long the chain works, give it a maximum in the input schema"
        )
        return True

    def add_result(
        self,
        check: str,
        request: CheckRequest,
        received: TransportResult,
        expected: Expectation | None,
        *,
        by_input: bool = False,
    ) -> str:
        """
        Enter what a request of a check got. Returns why the run stops; empty if it goes on.

        If a missing answer is explained *by* the *input*, requests with other inputs are still sent.
        """
        answer = received.answer
        if received.transport is Transport.DEADLINE or answer is not None:
            self._add_size(len(request.body or b""), is_valid=_is_valid(expected), is_answered=answer is not None)
        if received.transport in _WITHOUT_ANSWER:
            found = received.reason if received.transport is Transport.TOO_LARGE else "no answer in time"
            return self._liveness.add_miss(check, request.label, found, by_input=by_input)
        if received.transport is Transport.CONNECT_FAILED:
            return self._liveness.add_failed_connect()
        if answer is not None and (expected is None or answer.status < 400 or not expected.is_met_by(answer)):
            return self._liveness.add_answer(answer)
        return ""

    def _add_size(self, size: int, *, is_valid: bool, is_answered: bool) -> None:
        """Leave out bodies as large as those that got no answer."""
        left_out = self._liveness.add_large(size, is_valid=is_valid, is_answered=is_answered)
        if left_out:
            kind = "valid" if is_valid else "other"
            self._note(
                f"several {kind} requests with a body of {left_out} bytes or more got no complete answer in time; further "
                f"{kind} requests of that size were left out"
            )


def _is_valid(expected: Expectation | None) -> bool:
    """Whether a request has to be accepted."""
    return expected is not None and not expected.is_rejection
