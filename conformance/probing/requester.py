"""
Sends the requests of checks, and records the judgement of every answer.

Whichever check sends a request, its answer is judged by the same clauses. The requester owns everything around the pure
`judge`: pacing, further attempts at busy targets, follow-up probes, and what has to be remembered between answers.
"""

from __future__ import annotations

import copy
import random
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from enum import Enum
from typing import Protocol, Self, TypeVar

from chainproof.clock import Seconds, format_duration, monotonic
from chainproof.contract import clauses
from chainproof.contract.answer import Answer
from chainproof.contract.clauses import Clause
from chainproof.contract.credentials import ApiKey
from chainproof.contract.header_fields import HeaderField
from chainproof.contract.target import Target
from chainproof.contract.violations import Violation, violations
from chainproof.json_text import JSON, InvalidJson, TooComplex, encode_json, parse_json
from chainproof.results.exchange import Transport
from chainproof.results.shell_command import Secret

from ..inputs.bodies import describe_body
from ..inputs.chain_inputs import ChainInputs, initial_inputs
from ..inputs.chain_schema import UNKNOWN_CHAIN, ChainSchema
from ..inputs.generated_inputs import input_label
from ..inputs.input_variations import leaf_places, unique_input
from ..inputs.member_names import is_identifier
from ..judging.auth_bypass_cause import auth_bypass_cause
from ..judging.expectation import Expectation, Terms, accepts_body, canonical_json, expectation
from ..judging.finding_recorder import FindingRecorder
from ..judging.judge import BUSY_STATUSES, is_invalid_error, with_bypass_cause
from ..judging.known_answers import KnownAnswers
from ..judging.request_texts import RequestTexts
from ..judging.unbounded_input import large_numbers
from ..options import DEFAULT_TIME_BUDGET, EXAMPLES_BY_DEPTH, SLOW_TARGET, Permission, Settings
from ..transport.check_skipped import CheckSkipped
from ..transport.client import Client, connection_failure
from ..transport.connection import TransportResult, is_being_sent
from ..transport.raw_connection import RawConnection
from ..transport.request import JSON_TYPE, CheckRequest, key_secret
from .answer_recorder import AnswerRecorder, JudgedExchange
from .budget import FIRST_EXAMPLES, CheckScope, ResponseTimes, Round, RunLimits, TimeBudget
from .concurrency import ConcurrencyLimit, run_in_threads
from .liveness import Liveness
from .waits import TargetBehaviour, Waits

TOO_MANY_REQUESTS = 429

NEEDS_ECHO = "needs --echo: a chain that returns its input"
"""Why a check is skipped that compares outputs with inputs."""

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

_WITHOUT_ANSWER = frozenset({Transport.DEADLINE, Transport.TOO_LARGE})
"""Transport errors of a target that may never send a complete answer again, and that cost much time."""

_MAX_SLOW_DEADLINES = 2
"""How many deadlines slow answers of a fast target may take together before the rest of the run gets a time limit."""
_CONTROL_INTERVAL = 200
"""Rejections after which the unchanged request is sent, besides at the end of each check."""
_CONTROL_ATTEMPTS = 2
"""How often it is sent: a rare defect may hit it."""

_RUN_ENDED = "the run ended before the unchanged request could be sent"


class DefaultBody(Enum):
    """Stands for the simplest body that the chain accepts."""

    DEFAULT_BODY = "plain"


DEFAULT_BODY = DefaultBody.DEFAULT_BODY


def _terms(key: ApiKey, settings: Settings, chain_schema: ChainSchema) -> Terms:
    """What is known about the target before the first request."""
    return Terms(
        key=key,
        contract=settings.contract,
        echo=settings.echo,
        input_schema=chain_schema.input_schema,
        output_schema=chain_schema.output_schema,
        user_check=chain_schema.user_check,
    )


def _is_valid(expected: Expectation | None) -> bool:
    """Whether a request has to be accepted."""
    return expected is not None and not expected.is_rejection


class Requester:
    """What a check gets: one target, and methods to send it requests whose answers are judged."""

    def __init__(
        self,
        client: Client,
        finding_recorder: FindingRecorder,
        *,
        key: ApiKey,
        settings: Settings,
        chain_schema: ChainSchema = UNKNOWN_CHAIN,
        other_secrets: tuple[str, ...] = (),
        waits: Waits | None = None,
        pause: Callable[[Seconds], None] = time.sleep,
    ) -> None:
        assert settings.seed is not None
        self.finding_recorder = finding_recorder
        self.settings = settings
        self.seed: int = settings.seed
        self.key = key
        self.terms = replace(_terms(key, settings, chain_schema), other_secrets=other_secrets)
        self.inputs = initial_inputs(
            minimal_input=chain_schema.minimal_input,
            payloads=chain_schema.payloads,
            any_object=self.terms.any_object,
        )
        """Inputs that the chain accepts, as far as is known; `discover_inputs` asks for them."""
        self.learnt: dict[str, JSON] = {}
        """What one check has found out about the chain for all of them, by what it is."""
        self.slow_input = chain_schema.slow_input
        """An input that takes the chain long, if the user names one."""
        self._has_user_inputs = bool(chain_schema.input_schema or chain_schema.payloads or settings.echo)
        finding_recorder.chain_reasons = self._chain_reasons()
        self._unchanged: bytes | None = None
        self.secret = key_secret(key, settings.api_key_env)
        self.waits = waits or Waits.for_depth(settings.depth)
        self.started: Seconds = monotonic()
        self.time_budget = TimeBudget()
        """The time that the run has left."""
        self.scope = CheckScope()
        """The part of the running check's requests that is sent."""
        self.concurrency = 1
        """How many independent requests are sent at the same time."""
        self.in_flight = ConcurrencyLimit()
        """Limits how many requests all checks together have in flight."""
        self._submitted: list[CheckRequest] = []
        self._client = client
        self._pause = pause
        self._behaviour = TargetBehaviour(self.waits)
        self._recorder = AnswerRecorder(client, finding_recorder, self.terms, keep_bodies=settings.keep_bodies)
        self._liveness = Liveness(self._send_probe, pauses=self.waits.recovery_pauses, pause=self.pause)

    @property
    def may_search_inputs(self) -> bool:
        """Whether the user named no inputs, so that the chain's own errors are the only lead."""
        return not self._has_user_inputs

    @property
    def check_name(self) -> str:
        """The name of the running check, which is stored with its findings."""
        return self._recorder.check_name

    @check_name.setter
    def check_name(self, name: str) -> None:
        self._recorder.check_name = name

    @property
    def target(self) -> Target:
        """Where the requests go."""
        return self._client.target

    def for_check(self, scope: CheckScope) -> Self:
        """A requester for one check, which may run at the same time as others. Both share all that is known of the target."""
        requester = copy.copy(self)
        requester.scope = scope
        requester._submitted = []  # noqa: SLF001  # a copy of this object
        requester._recorder = self._recorder.for_check(scope.name)  # noqa: SLF001  # a copy of this object
        if scope.round is Round.REST:
            requester.reseed(_REST_SEED)
        return requester

    @property
    def max_examples(self) -> int:
        """How many requests a generating check makes; fewer on slow targets, so that the run ends in time."""
        return self.share(EXAMPLES_BY_DEPTH[self.settings.depth])

    def share(self, planned: int, first: int = FIRST_EXAMPLES) -> int:
        """
        How many of *planned* similar requests a check sends; fewer on slow targets.

        If the run has two rounds, the check runs twice, and *first* of them belong to the first round.
        """
        return self.scope.share(planned, first)

    def use_inputs(self, inputs: ChainInputs) -> None:
        """Use inputs that the chain has accepted, or has been found not to accept."""
        self.inputs = inputs
        if inputs.is_accepted and not inputs.any_object:
            accepted = frozenset(canonical_json(parse_json(body)) for body in inputs.known)  # type: ignore[arg-type]  # they are JSON objects
            self.terms = replace(self.terms, accepted_inputs=accepted - {""}, ignores_unnamed=inputs.ignores_unnamed)
            self._recorder.use_terms(self.terms)

    def _chain_reasons(self) -> dict[str, str]:
        """Clause ids, and why they are not exercised if they are not: what is known of the chain."""
        is_output_known = self.terms.output_schema is not None or self.terms.echo
        needs_schema = "needs --output-schema: what the chain returns is unknown"
        reasons = {
            clauses.OBJECT_ACCEPTED.id: self.no_accepted_input,
            clauses.OUTPUT_SCHEMA.id: "no output was a JSON object" if is_output_known else needs_schema,
        }
        return reasons if self.terms.echo else reasons | {clauses.ECHO_EXACT.id: NEEDS_ECHO}

    @property
    def no_accepted_input(self) -> str:
        """Why nothing can be said about inputs if none was accepted: none were given, or the chain rejected them."""
        if self._has_user_inputs:
            return "the chain accepted none of the given or generated inputs"
        return "no input is known that the chain accepts: give --input-schema or --payloads"

    def require_accepted_input(self) -> None:
        """Raises CheckSkipped if no input is known that the chain accepts."""
        if self.inputs.is_accepted is False:
            raise CheckSkipped(self.no_accepted_input)

    @contextmanager
    def confirming_rejections(self, unchanged: bytes | None = None) -> Iterator[None]:
        """
        Enter the rejections of the enclosed requests once the unchanged request has been accepted at their end. Its body
        is the base, unless another one is given.
        """
        outer, self._unchanged = self._unchanged, unchanged
        try:
            try:
                yield
            except CheckSkipped:
                self.send_submitted()
                raise
            self.send_submitted()
        except CheckSkipped:
            self.confirm_rejections()
            raise
        else:
            self.confirm_rejections()
        finally:
            self._unchanged = outer

    def confirm_rejections(self) -> None:
        """
        Send the unchanged request, unless another one was accepted since. Only if it is accepted do the rejections so far
        count.
        """
        rejections = self._recorder.take_rejections()
        if not rejections:
            return
        last_acceptance = self._recorder.last_acceptance
        why_not = ""
        if self._unchanged is not None or last_acceptance.at <= rejections.last:
            why_not = self._why_not_accepted()
        if why_not == _RUN_ENDED and last_acceptance.at > rejections.first:
            why_not = ""
        self._recorder.settle_rejections(rejections, why_not)

    def record_rejection(self, clause: Clause) -> None:
        """Enter that a request was rejected as the clause says. It counts once the unchanged request has been accepted."""
        self._recorder.record_rejection(clause)

    def _why_not_accepted(self) -> str:
        """Why a rejection shows nothing: the unchanged request is not accepted. Empty if it is."""
        if self.inputs.is_accepted is False:
            return self.no_accepted_input
        answer = None
        body = self.inputs.base if self._unchanged is None else self._unchanged
        try:
            for _ in range(_CONTROL_ATTEMPTS):
                answer = self.send_valid_body(body)
                if answer is not None and answer.status == 200:
                    return ""
        except CheckSkipped:
            return _RUN_ENDED
        if answer is None:
            return "the unchanged request was not answered, so a rejection shows nothing"
        return f"the unchanged request was answered {answer.status}, so a rejection shows nothing"

    def unique_input(self, purpose: str, size: int = 0) -> bytes:
        """An input of at least *size* bytes that no other purpose has, if the chain accepts any object; else a known one."""
        return self.inputs.unique(self.rng(purpose), size)

    def reseed(self, turn: int) -> None:
        """Derive a new seed from the run's seed; turn 0 restores the run's own."""
        assert self.settings.seed is not None
        self.seed = self.settings.seed + turn * 2**53  # more than `--seed` accepts

    def is_permitted(self, permission: Permission) -> bool:
        """Whether the target may be sent something intrusive. On loopback everything but overload may be sent."""
        if permission in self.settings.allow or (permission is Permission.OVERLOAD and self.settings.overload):
            return True
        return self._client.on_loopback and permission is not Permission.OVERLOAD

    @property
    def on_loopback(self) -> bool:
        """Whether the target is on this machine."""
        return self._client.on_loopback

    def pause(self, seconds: Seconds) -> None:
        """Wait, but not longer than the run may last."""
        self._pause(min(seconds, self.time_budget.left))

    def require_permission(self, permission: Permission) -> None:
        """Raises CheckSkipped if the target may not be sent something intrusive."""
        if not self.is_permitted(permission):
            needs = "needs" if self._client.on_loopback else "remote targets need"
            raise CheckSkipped(f"{needs} --allow {permission}")

    @property
    def limits(self) -> RunLimits:
        """What the run may spend from now on."""
        limiter = self._client.rate_limiter
        return RunLimits(
            seconds=self.time_budget.left,
            requests=limiter.left,
            rate=limiter.rate or float("inf"),
            concurrency=self.settings.concurrency,
        )

    @property
    def response_times(self) -> ResponseTimes:
        """How long this target has taken to answer so far, at best."""
        return self._behaviour.response_times

    def note(self, text: str) -> None:
        """Enter an observation about the target that is no violation."""
        self.finding_recorder.note(text)

    @property
    def notes(self) -> tuple[str, ...]:
        """The observations so far."""
        return self.finding_recorder.coverage.notes

    def rng(self, purpose: str) -> random.Random:
        """Random numbers that follow from the seed, different ones for each purpose."""
        return random.Random(f"{purpose} {self.seed}")

    def build_request(
        self,
        body: bytes | DefaultBody | None = DEFAULT_BODY,
        *,
        fields: Iterable[HeaderField] = (JSON_TYPE,),
        authorization: str | None = None,
        secret: Secret | None = None,
        label: str = "",
        **parts: object,
    ) -> CheckRequest:
        """A valid request with the right key and a simple body, except for what the arguments change."""
        body = self.inputs.base if body is DEFAULT_BODY else body
        fields = (("Authorization", authorization or self.key.authorization), *fields)
        place = {"operation": self.target.path, "path": self.target.path} | parts
        label = label or self.body_label(body)
        return CheckRequest(fields=fields, body=body, secret=secret or self.secret, label=label, **place)  # type: ignore[arg-type]  # the request's other fields, unchanged

    def body_label(self, body: bytes | None) -> str:
        """A body in words."""
        schema = self.terms.input_schema
        return describe_body(body) if schema is None else input_label(schema, body)

    def send(self, request: CheckRequest, expected: Expectation | None = None) -> JudgedExchange:
        """
        Send a request and enter the judgement of its answer, by *expected* or else by what the contract expects.

        If the target says that it is busy, the request is sent again a few times.
        """
        request = request.with_fields(self._client.fields)
        self.require_answers()
        expected = expected or expectation(request, self.terms)
        if not self._may_be_answered(request, expected):
            return JudgedExchange(request=request, answer=None)
        judged = self._exchange(request, expected)
        for pause in self.waits.retry_pauses:
            if not self._recorder.is_busy(judged.answer, expected):
                break
            if judged.status == TOO_MANY_REQUESTS:
                self.in_flight.lower()
            if not self._behaviour.take_pause(pause):
                return judged  # there is no time left to learn whether the request is the reason
            self.pause(pause)
            judged = self._exchange(request, expected)
        if expected is None or not self._recorder.is_busy(judged.answer, expected):
            return judged
        if is_invalid_error(expected, judged.violations) or not self._is_request_the_reason(judged):
            return judged
        return self._recorder.record_conclusive(judged, expected)

    def require_answers(self) -> None:
        """Raises CheckSkipped if too many requests of the running check got no answer."""
        self._liveness.require_answers(self.check_name)

    def send_nonstandard(self, request: CheckRequest, clause: Clause) -> None:
        """Send a request that an HTTP server may reject in its own words; a server failure instead violates the *clause*."""
        if not self.scope.is_selected(request.label):
            return
        answer = self.send(replace(request, valid_message=False)).answer
        if answer is None or answer.status < 500 or answer.status in BUSY_STATUSES | _UNSUPPORTED_STATUSES:
            return
        failure = Violation(clause=clause, expected="an answer, or a rejection", actual=f"status {answer.status}")
        undocumented = (each for each in violations(answer, self.settings.contract) if each.clause is clauses.STATUS)
        violation = next(undocumented, failure)
        self.record_clause(violation.clause, violation, request, answer)

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
        run_in_threads(function, [item for item in items if self.scope.is_selected(item.label)], threads=threads)

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
            deadline = self._limited(self._client.deadline)
            began = monotonic()
            received = self._client.send(request, deadline=deadline)
            self._count_request()
            self._behaviour.add_duration(began, monotonic(), received.answer)
        if received.transport is Transport.DEADLINE:
            self.time_budget.deadline(deadline)  # raises if the answer is missing because the run ended
        self._limit_slow_answers()
        return received

    def _limited(self, deadline: Seconds) -> Seconds:
        """The time limit for the next answer: less after several that were missing. Raises RunCut if nothing is left."""
        return self.time_budget.deadline(
            min(deadline, self._short_deadline) if self._liveness.is_impatient else deadline
        )

    @property
    def _short_deadline(self) -> Seconds:
        """The time limit for the answer to a simple input, and to every input after several answers that were missing."""
        return max(self.waits.probe_deadline, 20 * self._behaviour.response_times.accepted)

    def _limit_slow_answers(self) -> None:
        """Limit the rest of a run without a time budget once slow answers have taken as long as several missing ones."""
        budget, settings = self.time_budget, self.settings
        limit = _MAX_SLOW_DEADLINES * self._client.deadline
        if budget.seconds < float("inf") or settings.duration is not None or self._behaviour.slow_seconds < limit:
            return
        rest = DEFAULT_TIME_BUDGET[settings.depth]
        budget.end_within(rest)
        self.note(
            f"the target is fast, but some answers took more than {format_duration(SLOW_TARGET)}, together more than "
            f"{format_duration(limit)}. So the rest of the run was limited to {format_duration(rest)}: --time-budget changes that"
        )

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
        if received.transport is Transport.DEADLINE:
            by_input = not is_being_sent(received) and self._is_explained_by_input(request)
            if by_input or self._liveness.is_impatient:
                self._watch(request, received, expected, by_input=by_input)
                return JudgedExchange(request=request, answer=None)
        judgement = self._recorder.judgement(request, received, expected)
        bypassing = None
        if judgement.auth_bypass is not None and expected is not None:
            cause, shown = self._bypass_cause(request, judgement.auth_bypass, expected)
            judgement = with_bypass_cause(judgement, cause, request, self.terms)
            bypassing = None if shown is request else shown
        judged = self._recorder.record(request, received, judgement, bypassing)
        self._watch(request, received, expected)
        if self._is_base_accepted(judged):
            self._recorder.last_acceptance.at = monotonic()
        if self._recorder.rejection_count >= _CONTROL_INTERVAL:
            self.confirm_rejections()
        return judged

    @property
    def known_answers(self) -> KnownAnswers:
        """The outputs of the run so far."""
        return self._recorder.known_answers

    @property
    def request_texts(self) -> RequestTexts:
        """The texts of the run's requests so far."""
        return self._recorder.request_texts

    def _is_base_accepted(self, judged: JudgedExchange) -> bool:
        """True if the unchanged request was accepted."""
        request, answer = judged.request, judged.answer
        return (
            answer is not None
            and answer.status == 200
            and request.body == self.inputs.base
            and request.is_for_operation
            and request.values("authorization") == (self.key.authorization,)
            and request.values("content-type") == (JSON_TYPE[1],)
        )

    def record_clause(
        self,
        clause: Clause,
        violation: Violation | None,
        request: CheckRequest,
        answer: Answer | None = None,
        *,
        check: str = "",
    ) -> None:
        """
        Enter that several answers together exercised a clause, and its violation if there is one.

        *check* is the check that sent the request, if it is not the running one.
        """
        recorder = self._recorder.for_check(check) if check else self._recorder
        recorder.record_clause(clause, violation, request, answer)

    def _count_request(self) -> None:
        """Count a request that was sent."""
        self.finding_recorder.count_request()
        self.scope.count_request()

    def _exchange(self, request: CheckRequest, expected: Expectation | None) -> JudgedExchange:
        """
        Send a request once, and enter the judgement of its answer.

        A rejection of a valid input may be due to an earlier one with the same identifier, such as an idempotency key. Then
        the input with another identifier is judged in its place.
        """
        request = request.with_fields(self._client.fields)
        received = self.send_once(request)
        other = self._with_other_identifiers(request, received.answer, expected)
        if other is not None:
            other_received = self.send_once(other)
            if other_received.status == 200 and not self._is_form_the_reason(request):
                self.note(
                    "an input was rejected, and accepted with another identifier: the chain remembers what it got with one, "
                    "so the rejection is no finding"
                )
                request, received = other, other_received
        return self.record(request, received, expected)

    def _is_form_the_reason(self, request: CheckRequest) -> bool:
        """True if a rejected input is accepted with the same values, written in the usual form."""
        value = parse_json(request.body or b"")
        usual = replace(request, body=b"" if isinstance(value, InvalidJson | TooComplex) else encode_json(value))
        return usual.body != request.body and self.send_once(usual).status == 200

    def _with_other_identifiers(
        self, request: CheckRequest, answer: Answer | None, expected: Expectation | None
    ) -> CheckRequest | None:
        """A valid input that was rejected, with identifiers that no other request has; None if it has none."""
        schema = self.terms.input_schema
        if answer is None or answer.status != 400 or expected is None or expected.clause is not clauses.OBJECT_ACCEPTED:
            return None
        if schema is None or not accepts_body(self.terms, request.body):
            return None
        value = parse_json(request.body or b"")
        assert not isinstance(value, InvalidJson | TooComplex)
        places = tuple(filter(is_identifier, leaf_places(value)))
        new = unique_input(value, places, schema.accepts, self.rng(f"identifiers {request.body!r}"))
        return None if new == value else replace(request, body=encode_json(new))

    def _may_be_answered(self, request: CheckRequest, expected: Expectation | None) -> bool:
        """False for a request of a kind that the target has left without an answer before: it costs one deadline, not many."""
        if not self._liveness.was_answered(self.check_name, request.label):
            return False
        if not self._liveness.may_be_answered(len(request.body or b""), is_valid=_is_valid(expected)):
            return False
        slow = self._liveness.slow_members
        if not slow or self.terms.input_schema is None or request.body is None:
            return True
        return not any(number.path in slow for number in large_numbers(request.body, self._client.deadline))

    def _is_explained_by_input(self, request: CheckRequest) -> bool:
        """
        Whether a valid input has a number that may have made the chain work beyond the deadline. Then the missing answer
        is no violation, and inputs like it are left out from now on.
        """
        if self.terms.input_schema is None or not accepts_body(self.terms, request.body):
            return False
        limit = self._client.deadline
        number = next(iter(large_numbers(request.body or b"", limit)), None)
        if number is None:
            return False
        self._liveness.slow_members.add(number.path)
        self.note(
            f"an input with {number.name} = {number.value:g} got no answer within {format_duration(limit)}; inputs with "
            f"{number.name} from {limit:g} on were left out. If it decides how long the chain works, give it a maximum in the "
            "input schema"
        )
        return True

    def _watch(
        self, request: CheckRequest, received: TransportResult, expected: Expectation | None, *, by_input: bool = False
    ) -> None:
        """Stop the run if this answer, or none, shows that the target does not answer any more."""
        why, answer = "", received.answer
        if received.transport is Transport.DEADLINE or answer is not None:
            self._watch_size(len(request.body or b""), is_valid=_is_valid(expected), is_answered=answer is not None)
        if received.transport in _WITHOUT_ANSWER:
            why = self._liveness.add_miss(self.check_name, request.label, self._missing(received), by_input=by_input)
        elif received.transport is Transport.CONNECT_FAILED:
            why = self._liveness.add_failed_connect()
        elif answer is not None and (expected is None or answer.status < 400 or not expected.is_met_by(answer)):
            why = self._liveness.add_answer(answer)
        if why:
            self.time_budget.stop(why)

    def _watch_size(self, size: int, *, is_valid: bool, is_answered: bool) -> None:
        """Leave out bodies as large as those that got no answer."""
        left_out = self._liveness.add_large(size, is_valid=is_valid, is_answered=is_answered)
        if left_out:
            kind = "valid" if is_valid else "other"
            self.note(
                f"several {kind} requests with a body of {left_out} bytes or more got no complete answer in time; further "
                f"{kind} requests of that size were left out"
            )

    @staticmethod
    def _missing(received: TransportResult) -> str:
        """What a request got in place of an answer, in words."""
        return received.reason if received.transport is Transport.TOO_LARGE else "no answer in time"

    def _send_probe(self) -> Answer | None:
        """The answer to the simplest input that the chain accepts, if it comes soon."""
        deadline = self.time_budget.deadline(min(self._client.deadline, self._short_deadline))
        received = self._client.send(self.build_request().with_fields(self._client.fields), deadline=deadline)
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

    def _is_request_the_reason(self, judged: JudgedExchange) -> bool:
        """True if other requests succeed where this one got a busy status several times. A 429 is never about the request."""
        assert judged.answer is not None
        if judged.answer.status == TOO_MANY_REQUESTS:
            return False
        # Two inputs: a target that fails on the simplest one is not busy, it fails on that one.
        bodies = dict.fromkeys((self.inputs.base, self.inputs.unique(self.rng("another input"))))
        answers = (self._exchange(self.build_request(body), None).answer for body in bodies)
        return any(answer is not None and answer.status not in BUSY_STATUSES for answer in answers)
