"""
What a rejection shows.

That of an invalid request counts only once the unchanged request has been accepted. That of a valid input may be due to an
identifier that an earlier input had, such as an idempotency key.
"""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from threading import Lock

from chainproof.clock import Seconds, monotonic
from chainproof.contract import clauses
from chainproof.contract.answer import Answer
from chainproof.contract.clauses import Clause
from chainproof.contract.deviations import is_waived
from chainproof.json_text import InvalidJson, TooComplex, encode_json, parse_json

from ..inputs.input_variations import leaf_places, unique_input
from ..inputs.member_names import is_identifier
from ..judging.expectation import Expectation, Terms, accepts_body
from ..transport.check_skipped import CheckSkipped
from ..transport.request import JSON_TYPE, CheckRequest
from .answer_recorder import JudgedExchange
from .check_context import CheckContext

_CONTROL_INTERVAL = 200
"""Rejections after which the unchanged request is sent, besides at the end of each check."""
_CONTROL_ATTEMPTS = 2
"""How often it is sent: a rare defect may hit it."""

_RUN_ENDED = "the run ended before the unchanged request could be sent"


@dataclass(slots=True)
class LastAcceptance:
    """When the chain last accepted the base input. All checks of a run share it."""

    at: Seconds = float("-inf")


class PendingRejections:
    """How often requests were rejected by each clause, and since when. Any thread may add to it."""

    def __init__(self) -> None:
        self._counts: Counter[Clause] = Counter()
        self._lock = Lock()
        self.first: Seconds = float("inf")
        """When the first one was added."""
        self.last: Seconds = float("-inf")
        """When the last one was added."""

    def __len__(self) -> int:
        return self._counts.total()

    def add(self, clause: Clause) -> None:
        """Add one rejection."""
        with self._lock:
            self._counts[clause] += 1
            self.last = monotonic()
            self.first = min(self.first, self.last)

    def counts(self) -> Counter[Clause]:
        """How often each clause."""
        return self._counts


class RejectionConfirmation:
    """The rejections of one check. They count once the unchanged request, whose body is the base input, is accepted."""

    def __init__(
        self,
        context: CheckContext,
        send_valid_body: Callable[[bytes], Answer | None],
        last_acceptance: LastAcceptance | None = None,
    ) -> None:
        self._context = context
        self._send_valid_body = send_valid_body
        self._last_acceptance = last_acceptance or LastAcceptance()
        self._unchanged: bytes | None = None
        self._pending = PendingRejections()

    def for_check(
        self, context: CheckContext, send_valid_body: Callable[[bytes], Answer | None]
    ) -> RejectionConfirmation:
        """The same for another check, which shares the knowledge of when an input was accepted."""
        return RejectionConfirmation(context, send_valid_body, self._last_acceptance)

    def add(self, clause: Clause) -> None:
        """Enter that a request was rejected as the clause says."""
        if not is_waived(clause, self._context.settings.contract):
            self._pending.add(clause)

    def add_answer(self, judged: JudgedExchange) -> None:
        """Enter an answer: it may be that to the unchanged request. After many rejections that request is sent."""
        if self._is_base_accepted(judged):
            self._last_acceptance.at = monotonic()
        if len(self._pending) >= _CONTROL_INTERVAL:
            self.confirm()

    @contextmanager
    def at_end(self, unchanged: bytes | None) -> Iterator[None]:
        """Confirm the rejections of the enclosed requests. *unchanged* is the body to confirm them with, if not the base."""
        outer, self._unchanged = self._unchanged, unchanged
        try:
            yield
        except CheckSkipped:
            self.confirm()
            raise
        else:
            self.confirm()
        finally:
            self._unchanged = outer

    def confirm(self) -> None:
        """Let the rejections so far count if the unchanged request is accepted. It is sent, unless one was accepted since."""
        rejections, self._pending = self._pending, PendingRejections()
        if not rejections:
            return
        last_acceptance = self._last_acceptance.at
        why_not = ""
        if self._unchanged is not None or last_acceptance <= rejections.last:
            why_not = self._why_not_accepted()
        if why_not == _RUN_ENDED and last_acceptance > rejections.first:
            why_not = ""
        finding_recorder = self._context.finding_recorder
        if why_not:
            finding_recorder.record_skipped(rejections.counts(), why_not)
        else:
            finding_recorder.record_rejections(rejections.counts())

    def _why_not_accepted(self) -> str:
        """Why a rejection shows nothing: the unchanged request is not accepted. Empty if it is."""
        if self._context.inputs.is_accepted is False:
            return self._context.no_accepted_input
        answer = None
        body = self._context.inputs.base if self._unchanged is None else self._unchanged
        try:
            for _ in range(_CONTROL_ATTEMPTS):
                answer = self._send_valid_body(body)
                if answer is not None and answer.status == 200:
                    return ""
        except CheckSkipped:
            return _RUN_ENDED
        if answer is None:
            return "the unchanged request was not answered, so a rejection shows nothing"
        return f"the unchanged request was answered {answer.status}, so a rejection shows nothing"

    def _is_base_accepted(self, judged: JudgedExchange) -> bool:
        """True if the base input was accepted, in a request without any change."""
        request = judged.request
        return (
            judged.status == 200
            and request.body == self._context.inputs.base
            and request.is_for_operation
            and request.values("authorization") == (self._context.key.authorization,)
            and request.values("content-type") == (JSON_TYPE[1],)
        )


def with_new_identifiers(
    request: CheckRequest,
    answer: Answer | None,
    expected: Expectation | None,
    terms: Terms,
    rng: Callable[[str], random.Random],
) -> CheckRequest | None:
    """A valid input that was rejected, with identifiers that no other request has; None if it has none."""
    if answer is None or answer.status != 400 or expected is None or expected.clause is not clauses.OBJECT_ACCEPTED:
        return None
    if terms.input_schema is None or not accepts_body(terms, request.body):
        return None
    value = parse_json(request.body or b"")
    assert not isinstance(value, InvalidJson | TooComplex)
    places = tuple(filter(is_identifier, leaf_places(value)))
    new = unique_input(value, places, terms.input_schema.accepts, rng(f"identifiers {request.body!r}"))
    return None if new == value else replace(request, body=encode_json(new))


def in_usual_form(request: CheckRequest) -> CheckRequest:
    """A request with the same values, written in the usual form; without a body if it is not JSON."""
    value = parse_json(request.body or b"")
    return replace(request, body=b"" if isinstance(value, InvalidJson | TooComplex) else encode_json(value))
