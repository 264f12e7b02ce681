"""
Sends the requests of checks, and records the judgement of every answer.

Whichever check sends a request, its answer is judged by the same clauses. The requester owns everything around the pure
`judge`: further attempts at busy targets, follow-up probes, and the unchanged request that confirms rejections.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import Protocol, Self, TypeVar

from chainproof.clock import Seconds, monotonic
from chainproof.contract import clauses
from chainproof.contract.answer import Answer
from chainproof.contract.clauses import Clause
from chainproof.contract.violations import Violation, violations
from chainproof.json_text import parse_json
from chainproof.results.exchange import Transport

from ..inputs.chain_inputs import ChainInputs
from ..judging.auth_bypass_cause import auth_bypass_cause
from ..judging.expectation import Expectation, canonical_json, expectation
from ..judging.judge import BUSY_STATUSES, HTTP_REJECTION_STATUSES, is_invalid_error, with_bypass_cause
from ..judging.known_answers import KnownAnswers
from ..judging.output_comparison import OutputSign
from ..judging.request_texts import RequestTexts
from ..options import MOST_CONCURRENCY
from ..transport.check_skipped import CheckSkipped, RunCut
from ..transport.client import Client, connection_failure
from ..transport.connection import TransportResult
from ..transport.raw_connection import RawConnection
from ..transport.request import CheckRequest
from .answer_recorder import AnswerRecorder, JudgedExchange
from .budget import CheckScope, ResponseTimes, Round
from .check_context import CheckContext
from .concurrency import ConcurrencyLimit, run_in_threads
from .rejections import RejectionConfirmation, in_usual_form, with_new_identifiers
from .target_watch import TargetWatch

TOO_MANY_REQUESTS = 429

_DEADLINE_SHARE = 0.8
"""Share of the deadline in which a target that serves one request at a time answers all that are sent at the same time."""

_REST_SEED = 2**20
"""Which of the derived seeds the second round of a check has; `--duration` uses the first ones."""

_UNSUPPORTED_STATUSES = frozenset({501, 505})
"""Rejections of a message by HTTP that have the form of a server failure."""


class Labelled(Protocol):
    """What stands for a request with a label."""

    @property
    def label(self) -> str:
        """What is special about the request."""
        ...


LabelledItem = TypeVar("LabelledItem", bound=Labelled)
Item = TypeVar("Item")


class Requester(CheckContext):
    """What a check gets: one target, and methods to send it requests whose answers are judged."""

    def _prepare(self, client: Client) -> None:
        """Make what sends requests and judges answers."""
        self.concurrency = 1
        """How many independent requests are sent at the same time."""
        self.in_flight = ConcurrencyLimit()
        """Limits how many requests all checks together have in flight."""
        self._submitted: list[CheckRequest] = []
        self._rejections = RejectionConfirmation(self, self.send_valid_body)
        self._recorder = AnswerRecorder(
            client, self.finding_recorder, self.terms, keep_bodies=self.settings.keep_bodies
        )
        self._watch = TargetWatch(
            self.settings,
            self.waits,
            deadline=client.deadline,
            probe=self._send_probe,
            pause=self.pause,
            note=self.note,
        )

    @property
    def check_name(self) -> str:
        """The name of the running check, which is stored with its findings."""
        return self._recorder.check_name

    @check_name.setter
    def check_name(self, name: str) -> None:
        self._recorder.check_name = name

    def for_check(self, scope: CheckScope) -> Self:
        """A requester for one check, which may run at the same time as others. Both share all that is known of the target."""
        requester = copy.copy(self)
        requester.scope = scope
        requester._submitted = []  # noqa: SLF001  # a copy of this object
        requester._recorder = self._recorder.for_check(scope.name)  # noqa: SLF001  # a copy of this object
        requester._rejections = self._rejections.for_check(requester, requester.send_valid_body)  # noqa: SLF001  # a copy
        if scope.round is Round.REST:
            requester.reseed(_REST_SEED)
        return requester

    def use_inputs(self, inputs: ChainInputs) -> None:
        """Use inputs that the chain has accepted, or has been found not to accept."""
        self.inputs = inputs
        if inputs.is_accepted and not inputs.any_object:
            accepted = frozenset(canonical_json(parse_json(body)) for body in inputs.known)  # type: ignore[arg-type]  # they are JSON objects
            self.terms = replace(self.terms, accepted_inputs=accepted - {""}, ignores_unnamed=inputs.ignores_unnamed)
            self._recorder.use_terms(self.terms)

    @property
    def response_times(self) -> ResponseTimes:
        """How long this target has taken to answer so far, at best."""
        return self._watch.response_times

    @property
    def known_answers(self) -> KnownAnswers:
        """The outputs of the run so far."""
        return self._recorder.known_answers

    @property
    def request_texts(self) -> RequestTexts:
        """The texts of the run's requests so far."""
        return self._recorder.request_texts

    def send(self, request: CheckRequest, expected: Expectation | None = None) -> JudgedExchange:
        """
        Send a request and enter the judgement of its answer, by *expected* or else by what the contract expects.

        If the target says that it is busy, the request is sent again a few times.
        """
        request = request.with_fields(self._client.fields)
        self.require_answers()
        expected = expected or expectation(request, self.terms)
        if not self._watch.may_be_answered(self.check_name, request, expected, self.terms):
            return JudgedExchange(request=request, answer=None)
        judged = self._exchange(request, expected)
        for pause in self.waits.retry_pauses:
            if not self._recorder.is_busy(judged.answer, expected):
                break
            if judged.status == TOO_MANY_REQUESTS:
                self.in_flight.lower()
            if not self._watch.take_pause(pause):
                return judged  # there is no time left to learn whether the request is the reason
            self.pause(pause)
            judged = self._exchange(request, expected)
        if expected is None or not self._recorder.is_busy(judged.answer, expected):
            return judged
        if is_invalid_error(expected, judged.violations) or not self._is_request_the_reason(judged):
            return judged
        return self._recorder.record_conclusive(judged, expected)

    def _is_request_the_reason(self, judged: JudgedExchange) -> bool:
        """True if other requests succeed where this one got a busy status several times. A 429 is never about the request."""
        assert judged.answer is not None
        if judged.answer.status == TOO_MANY_REQUESTS:
            return False
        # Two inputs: a target that fails on the simplest one is not busy, it fails on that one.
        bodies = dict.fromkeys((self.inputs.base, self.inputs.unique(self.rng("another input"))))
        answers = (self._exchange(self.build_request(body), None).answer for body in bodies)
        return any(answer is not None and answer.status not in BUSY_STATUSES for answer in answers)

    def _exchange(self, request: CheckRequest, expected: Expectation | None) -> JudgedExchange:
        """
        Send a request once, and enter the judgement of its answer.

        A rejection of a valid input may be due to an earlier one with the same identifier, such as an idempotency key. Then
        the input with another identifier is judged in its place.
        """
        request = request.with_fields(self._client.fields)
        received = self.send_once(request)
        other = with_new_identifiers(request, received.answer, expected, self.terms, self.rng)
        if other is not None:
            other_received = self.send_once(other)
            if other_received.status == 200 and not self._is_form_the_reason(request):
                self.note(
                    "an input was rejected, and accepted with another identifier: the chain remembers inputs by identifier, "
                    "so the rejection is no finding"
                )
                request, received = other, other_received
        return self.record(request, received, expected)

    def _is_form_the_reason(self, request: CheckRequest) -> bool:
        """True if a rejected input is accepted with the same values, written in the usual form."""
        usual = in_usual_form(request)
        return usual.body != request.body and self.send_once(usual).status == 200

    def send_nonstandard(self, request: CheckRequest, clause: Clause) -> None:
        """Send a request that an HTTP server may reject in its own words; a server failure instead violates the *clause*."""
        if not self.scope.is_selected(request.label):
            return
        answer = self.send(replace(request, valid_message=False)).answer
        if answer is None or answer.status < 500 or answer.status in BUSY_STATUSES | _UNSUPPORTED_STATUSES:
            return
        failure = Violation(clause=clause, expected="an answer, or a rejection", actual=f"status {answer.status}")
        undocumented = (each for each in violations(answer, self.settings.contract) if each.clause is clauses.STATUS)
        self.record_violation(next(undocumented, failure), request, answer)

    def send_valid_body(self, body: bytes, *, is_compared: bool = True) -> Answer | None:
        """The answer to an object with the right key, judged without an expectation. A busy target is asked a few times."""
        request = self.build_request(body, is_compared=is_compared)
        answer = self._exchange(request, None).answer
        for pause in self.waits.retry_pauses:
            if answer is None or answer.status not in BUSY_STATUSES:
                break
            self.pause(pause)
            answer = self._exchange(request, None).answer
        return answer

    def send_once(self, request: CheckRequest) -> TransportResult:
        """Send a request once. The caller decides whether to `record` what came back."""
        request = self.prepare(request)
        with self.in_flight:
            began = monotonic()
            received = self._client.send(request, limit=self._limited)
            self._count_request()
            self._watch.add_duration(began, monotonic(), received.answer)
        if received.transport is Transport.DEADLINE:
            self.time_budget.deadline(self._client.deadline)  # raises if the answer is missing because the run ended
        self._watch.limit_slow_answers(self.time_budget)
        return received

    def submit(self, request: CheckRequest) -> None:
        """
        Send a request whose answer no other request of the check depends on.

        To a slow target such requests are sent at the end of the check, several at the same time. If the run has two rounds,
        only those of the current one are sent.
        """
        if not self.scope.is_selected(request.label):
            return
        if self.concurrency == 1:
            self.send(request)
        else:
            self._submitted.append(request)

    def send_all(self, requests: Iterable[CheckRequest]) -> None:
        """Submit several requests."""
        for request in requests:
            self.submit(request)

    def send_submitted(self) -> None:
        """Send the requests that have been submitted and not sent."""
        submitted, self._submitted = self._submitted, []
        if submitted:
            run_in_threads(self.send, submitted, threads=self.concurrency)

    def run_each(self, function: Callable[[LabelledItem], object], items: Iterable[LabelledItem], threads: int) -> None:
        """
        Call a function on several threads for each item, which stands for a request that no other depends on.

        If the run has two rounds, only those of the current one are used.
        """
        run_in_threads(
            function,
            [item for item in items if self.scope.is_selected(item.label)],
            threads=self.patient_threads(threads),
        )

    def patient_threads(self, most: int) -> int:
        """
        How many requests may be sent at the same time, *most* at most: a target that serves one at a time must be able to answer all
        of them by the deadline.
        """
        seconds = self.response_times.accepted
        return max(1, min(most, int(_DEADLINE_SHARE * self._client.deadline / seconds))) if seconds else most

    def run_parts(
        self, function: Callable[[Item], object], items: Iterable[Item], *, most: int = MOST_CONCURRENCY
    ) -> None:
        """
        Call a function for each item, which stands for some requests that those of the other items do not depend on: on several
        threads if the target is slow, and on *most* at most.
        """
        threads = min(self.concurrency, most)
        if threads == 1:
            for item in items:
                function(item)
        else:
            run_in_threads(function, list(items), threads=threads)

    @contextmanager
    def raw_connection(self) -> Iterator[RawConnection]:
        """A new connection for requests in any form. The caller decides whether to `record` what comes back."""
        try:
            connection = self._client.open_raw_connection(self._count_request, limit=self._limited)
        except OSError as error:
            self.record(self.build_request(), connection_failure(error), None)
            raise CheckSkipped("the target accepts no connection") from None
        with connection:
            yield connection

    def prepare(self, request: CheckRequest) -> CheckRequest:
        """The request with the client's own header fields. From now on its body is expected in its own answer only."""
        self._recorder.remember_body(request)
        return request.with_fields(self._client.fields)

    def record(self, request: CheckRequest, received: TransportResult, expected: Expectation | None) -> JudgedExchange:
        """Judge what came back, and enter the judgement. An authentication bypass is probed for its cause first."""
        if received.answer is not None:
            self.scope.count_answer(received.answer.status)
        if self.is_rejected_by_version(request, received):
            request = replace(request, valid_message=False)
            expected = expectation(request, self.terms)
        if received.transport is Transport.DEADLINE:
            by_input = self._watch.is_explained_by_input(request, received, self.terms)
            if by_input or self._watch.is_impatient:
                self._stop_if_gone(request, received, expected, by_input=by_input)
                return JudgedExchange(request=request, answer=None)
        judgement = self._recorder.judgement(request, received, expected)
        bypassing = None
        if judgement.auth_bypass is not None and expected is not None:
            cause, shown = self._bypass_cause(request, judgement.auth_bypass, expected)
            judgement = with_bypass_cause(judgement, cause, request, self.terms)
            bypassing = None if shown is request else shown
        shown = request
        if received.transport is Transport.CONNECT_FAILED:  # not because of this request, so that none is named
            shown = replace(self.build_request(), label="")
        judged = replace(self._recorder.record(shown, received, judgement, bypassing), request=request)
        if judgement.rejected is not None:
            self._rejections.add(judgement.rejected)
        self._stop_if_gone(request, received, expected)
        self._rejections.add_answer(judged)
        return judged

    def is_rejected_by_version(self, request: CheckRequest, received: TransportResult) -> bool:
        """
        True if a target that speaks HTTP/1.0 only rejects a body in chunks, which that version does not have: a client must not send
        them to it (RFC 9112 §6.1).
        """
        is_rejection = received.answer is not None and received.answer.status in HTTP_REJECTION_STATUSES
        return is_rejection and request.has_transfer_coding and self.speaks_only_http_1_0

    def record_clause(
        self,
        clause: Clause,
        request: CheckRequest,
        answer: Answer | None = None,
        *,
        expected: str = "",
        actual: str | None = None,
        sign: OutputSign | None = None,
    ) -> None:
        """
        Enter that one or several answers exercised a clause, and violated it if there is an *actual* value. If the output alone shows
        the violation, *sign* is what it has.
        """
        violation = None if actual is None else Violation(clause=clause, expected=expected, actual=actual)
        self._recorder.record_clause(clause, violation, request, answer, sign)

    def record_violation(
        self, violation: Violation, request: CheckRequest, answer: Answer | None = None, *, check: str = ""
    ) -> None:
        """Enter a violation by the running check, or by another *check* if that sent the request."""
        recorder = self._recorder.for_check(check) if check else self._recorder
        recorder.record_clause(violation.clause, violation, request, answer)

    def require_answers(self) -> None:
        """Raises CheckSkipped if too many requests of the running check got no answer."""
        self._watch.require_answers(self.check_name)

    def _stop_if_gone(
        self, request: CheckRequest, received: TransportResult, expected: Expectation | None, *, by_input: bool = False
    ) -> None:
        """Stop the run if this answer, or none, shows that the target does not answer any more."""
        why = self._watch.add_result(self.check_name, request, received, expected, by_input=by_input)
        if why:
            self.time_budget.stop(why)

    def _limited(self, deadline: Seconds) -> Seconds:
        """The time limit for the next answer: less after several that were missing. Raises RunCut if nothing is left."""
        if self.scope.sent_count > self.scope.most:
            raise RunCut("a higher --max-requests", "the requests of this check are sent")
        return self.time_budget.deadline(self._watch.next_deadline(deadline))

    def _count_request(self) -> None:
        """Count a request that was sent."""
        self.finding_recorder.count_request()
        self.scope.count_request()

    def _send_probe(self) -> Answer | None:
        """The answer to the simplest input that the chain accepts, if it comes soon."""

        def limit(deadline: Seconds) -> Seconds:
            return self.time_budget.deadline(min(deadline, self._watch.short_deadline))

        received = self._client.send(self.build_request().with_fields(self._client.fields), limit=limit)
        self._count_request()
        return received.answer

    def _bypass_cause(
        self, request: CheckRequest, violation: Violation, expected: Expectation
    ) -> tuple[Violation, CheckRequest]:
        """Why wrong credentials were accepted, and the request that shows it: sends the probes that `auth_bypass_cause` asks for."""
        answers: list[Answer | None] = []
        shown = request
        step = auth_bypass_cause(request, violation, expected, self.terms, answers)
        while isinstance(step, CheckRequest):
            shown = step
            answers.append(self._probe(step))
            step = auth_bypass_cause(request, violation, expected, self.terms, answers)
        return step, request if step is violation else shown

    def _probe(self, request: CheckRequest) -> Answer | None:
        """The answer to a request on a new connection, judged without an expectation."""
        with self.raw_connection() as connection:
            received = connection.exchange(request)
            judgement = self._recorder.judgement(request, received, None)
            return self._recorder.record(request, received, judgement).answer

    @contextmanager
    def confirming_rejections(self, unchanged: bytes | None = None) -> Iterator[None]:
        """
        Enter the rejections of the enclosed requests once the unchanged request has been accepted at their end. Its body
        is the base, unless another one is given.
        """
        with self._rejections.at_end(unchanged):
            try:
                yield
            except CheckSkipped:
                self.send_submitted()
                raise
            self.send_submitted()

    def record_rejection(self, clause: Clause) -> None:
        """Enter that a request was rejected as the clause says. It counts once the unchanged request has been accepted."""
        self._rejections.add(clause)
