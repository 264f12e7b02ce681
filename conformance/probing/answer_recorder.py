"""Judges answers with what earlier answers have shown, and records the judgements."""

from __future__ import annotations

import copy
from contextlib import nullcontext
from dataclasses import dataclass, replace
from threading import Lock
from typing import Self

from chainproof.contract import clauses
from chainproof.contract.answer import Answer
from chainproof.contract.clauses import Clause
from chainproof.contract.deviations import is_waived
from chainproof.contract.violations import STREAM_TYPES, Violation
from chainproof.results.exchange import Transport
from chainproof.results.stored_body import stored_body

from ..judging.auth_bypass_cause import AUTHENTICATION_CLAUSES
from ..judging.echo import RecentBodies
from ..judging.expectation import Expectation, Terms
from ..judging.finding_recorder import Evidence, FindingRecorder
from ..judging.judge import AnswerHistory, Judgement, is_busy, judge, misframed, request_secrets
from ..judging.known_answers import KnownAnswers
from ..judging.message_dates import MessageDates
from ..judging.output_comparison import OutputSign
from ..judging.request_ids import SeenRequestIds
from ..judging.request_texts import RequestTexts
from ..transport.client import Client
from ..transport.connection import TransportResult, trailing_bytes_error
from ..transport.request import CheckRequest

_LARGE_BODY = 2**16
"""Bytes of a body above which one answer is judged after the other: its JSON value takes many times the memory."""


@dataclass(frozen=True, slots=True, kw_only=True)
class JudgedExchange:
    """One request, its answer without credentials, and what the answer violates."""

    request: CheckRequest
    answer: Answer | None
    violations: tuple[Violation, ...] = ()

    @property
    def status(self) -> int | None:
        """The status of the answer; None without one."""
        return None if self.answer is None else self.answer.status


class AnswerRecorder:
    """The recorder of findings of one target, and the memory that `judge` does not have. Any thread may use it."""

    def __init__(self, client: Client, finding_recorder: FindingRecorder, terms: Terms, *, keep_bodies: bool) -> None:
        self.check_name = ""
        """The name of the running check."""
        self._client = client
        self._finding_recorder = finding_recorder
        self._terms = terms
        self._keep_bodies = keep_bodies
        self._recent_bodies = RecentBodies()
        self._request_ids = SeenRequestIds()
        self._dates = MessageDates()
        self._conclusive: set[tuple[str, int]] = set()
        self.known_answers = KnownAnswers()
        """The outputs of the run. An echo chain's outputs are not remembered: their inputs say what they have to be."""
        self.request_texts = RequestTexts()
        """The texts of the latest requests, which no other answer has."""
        self._large_bodies = Lock()

    def for_check(self, name: str) -> Self:
        """A recorder for the named check. Both share what earlier answers have shown."""
        recorder = copy.copy(self)
        recorder.check_name = name
        return recorder

    def use_terms(self, terms: Terms) -> None:
        """Judge later answers with what is known of the chain's inputs."""
        self._terms = terms

    def remember_body(self, request: CheckRequest) -> None:
        """Expect a request's body in its own answer only."""
        self._recent_bodies.add(request.body)
        self.request_texts.add(request)

    def judgement(self, request: CheckRequest, received: TransportResult, expected: Expectation | None) -> Judgement:
        """The judgement of what came back. Bytes that arrived after earlier answers are entered first."""
        self._record_late_bytes()
        answer, is_readable = received.answer, not received.framing_error and not received.coding_error
        history = AnswerHistory(
            recent_bodies=self._recent_bodies,
            has_repeated_request_id=answer is not None and is_readable and self._request_ids.add(answer),
            date_violation=self._dates.violation(answer) if answer is not None and is_readable else None,
            conclusive=self._conclusive,
        )
        is_large = answer is not None and len(answer.body) > _LARGE_BODY
        with self._large_bodies if is_large else nullcontext():
            return judge(request, received, expected, self._terms, history, deadline=self._client.deadline)

    def record(
        self,
        request: CheckRequest,
        received: TransportResult,
        judgement: Judgement,
        bypassing: CheckRequest | None = None,
    ) -> JudgedExchange:
        """Enter a judgement. *bypassing* is the request that shows its authentication bypass, if that is another one."""
        answer = judgement.answer
        if answer is not None and not (self._terms.echo and answer.status == 200):  # an echo is judged by its input
            self.request_texts.observe(request, answer, self.check_name)
        if answer is not None and judgement.is_counted:
            self._finding_recorder.count_answer(answer)
        if answer is not None and answer.status == 200 and answer.media_type in STREAM_TYPES:
            self._finding_recorder.note(
                f"the chain streams its output as {answer.media_type}: framing and completeness are judged, contents are not"
            )
        for clause, why in judgement.not_exercised.items():
            self._finding_recorder.record_skipped([clause], why)
        self._finding_recorder.record_undecided(judgement.undecided)
        evidence = self._evidence(request, answer)
        if received.transport is Transport.DEADLINE:
            evidence = replace(evidence, deadline=self._client.deadline)
        found = judgement.violations
        if bypassing is not None:
            by_bypass = tuple(each for each in found if each.clause in AUTHENTICATION_CLAUSES)
            self._finding_recorder.record((), by_bypass, self._evidence(bypassing, answer))
            found = tuple(each for each in found if each.clause not in AUTHENTICATION_CLAUSES)
        self._finding_recorder.record((*judgement.exercised, *self._repeated(request, answer)), found, evidence)
        return JudgedExchange(request=request, answer=answer, violations=judgement.violations)

    def record_clause(
        self,
        clause: Clause,
        violation: Violation | None,
        request: CheckRequest,
        answer: Answer | None = None,
        sign: OutputSign | None = None,
    ) -> None:
        """Enter that several answers together exercised a clause, and its violation if there is one."""
        if not is_waived(clause, self._terms.contract):
            evidence = replace(self._evidence(request, answer), sign=sign)
            self._finding_recorder.record((clause,), () if violation is None else (violation,), evidence)

    def _repeated(self, request: CheckRequest, answer: Answer | None) -> tuple[Clause, ...]:
        """The clause that an answer exercises if it was compared with an earlier one."""
        if self._terms.echo or answer is None or not self.known_answers.observe(request, answer, self.check_name):
            return ()
        return (clauses.ANSWER_REPEATABLE,)

    def is_busy(self, answer: Answer | None, expected: Expectation | None) -> bool:
        """True if an answer says that the target was busy, and is not known to be about the request."""
        return is_busy(answer, expected, self._conclusive)

    def record_conclusive(self, judged: JudgedExchange, expected: Expectation) -> JudgedExchange:
        """Enter the violation of a busy status that is about the request. Later ones of its kind are judged at once."""
        assert judged.answer is not None
        self._conclusive.add((expected.clause.id, judged.answer.status))
        violation = expected.violation(judged.answer)
        assert violation is not None
        self.record_clause(expected.clause, violation, judged.request, judged.answer)
        return replace(judged, violations=(*judged.violations, violation))

    def _record_late_bytes(self) -> None:
        """Enter what arrived after complete answers."""
        for request, raw in self._client.take_late_bytes():
            violation = misframed(trailing_bytes_error(raw), raw)
            self.record_clause(clauses.RESPONSE_FRAMING, violation, request)

    def _evidence(self, request: CheckRequest, answer: Answer | None) -> Evidence:
        """The request and what is stored of its answer."""
        body = None
        if answer is not None and self._keep_bodies:
            body = stored_body(answer.body, request_secrets(request, self._terms))
        return Evidence(
            request=request.with_fields(self._client.fields),
            request_id=answer.request_id if answer is not None else None,
            server=answer.server if answer is not None else "",
            check=self.check_name,
            answer_body=body,
        )
