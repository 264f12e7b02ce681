"""
What a check is given: it asks, and everything that an answer shows is entered into the ledger.

Whichever check a request comes from, its answer is held against the same clauses: what any single answer reveals, what
this request leads to expect, whether the request id is new, whether the key leaks, whether the message is framed.
"""

from __future__ import annotations

import json
import random
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from enum import Enum

import pytest

from chainproof.clock import Seconds
from chainproof.contract import clauses
from chainproof.contract.answer import REQUEST_ID_HEADER, Answer
from chainproof.contract.clauses import Clause, waived
from chainproof.contract.credentials import REDACTED, ApiKey
from chainproof.contract.departures import Departure, departures
from chainproof.contract.fields import Field
from chainproof.contract.targets import Target
from chainproof.durations import format_duration
from chainproof.jsontext import JSON, Malformed, TooDeep, parse_json
from chainproof.results.exchange import Transport

from .bodies import labelled
from .client import Client
from .expectation import Expectation, Terms, expectation, only_undocumented, shown, takes
from .jsonvalue import same
from .ledger import Evidence, Ledger, exercised_by
from .request import JSON_TYPE, Request, Secret, key_secret
from .settings import EXAMPLES, PATIENCE, Settings
from .signature import ANY_OBJECT, UNKNOWN, VALID, Signature
from .traces import trace

_BUSY = frozenset({429, 502, 503, 504})
"""Statuses by which a target says that it could not get to the request, rather than what it thinks of it."""

_PAUSES: tuple[Seconds, ...] = (0.1, 0.3, 1.0, 2.0)
"""Before each further attempt at a request that found the target busy."""

_ANOTHER = b'{"names":["Ada"]}'
"""An object that is not the plainest."""

_MISSES = 3
"""Missed deadlines, or connections refused in a row, after which a run asks no more."""

_LONG_ENOUGH = 8
"""Characters of a credential whose reappearance in an answer cannot be chance."""


class Plain(Enum):
    """
    In place of a body: the simplest that the chain takes.
    """

    PLAIN = "plain"


PLAIN = Plain.PLAIN


@dataclass(frozen=True, slots=True, kw_only=True)
class Observation:
    """
    One request, what came back, and what that departed from.
    """

    request: Request
    answer: Answer | None
    departures: tuple[Departure, ...] = ()


class Examination:
    """
    One target under one set of terms: the client, the ledger, and the patience for both.
    """

    def __init__(
        self,
        client: Client,
        ledger: Ledger,
        *,
        key: ApiKey,
        settings: Settings,
        signature: Signature = UNKNOWN,
        pause: Callable[[Seconds], None] = time.sleep,
    ) -> None:
        assert settings.seed is not None
        self.ledger = ledger
        self.settings = settings
        self.seed: int = settings.seed
        self.key = key
        self.terms = Terms(
            key=key, contract=settings.contract, echo=settings.echo, takes=signature.takes, gives=signature.gives
        )
        self.plain = signature.plain
        """The simplest body that the chain takes, as far as that is known."""
        self.secret = key_secret(key, settings.api_key_env)
        self.check = ""
        """The name of the check under way."""
        self._client = client
        self._pause = pause
        self._patience = PATIENCE[settings.depth]
        self._settled: set[tuple[str, int]] = set()
        self._missed = 0
        self._refused = 0

    @property
    def target(self) -> Target:
        """Where the requests go."""
        return self._client.target

    @property
    def examples(self) -> int:
        """How many requests a generating check makes."""
        return EXAMPLES[self.settings.depth]

    def chance(self, purpose: str) -> random.Random:
        """Numbers that follow from the seed, other ones for each purpose."""
        return random.Random(f"{purpose} {self.seed}")

    def request(
        self,
        body: bytes | Plain | None = PLAIN,
        *,
        fields: Iterable[Field] = (JSON_TYPE,),
        authorization: str | None = None,
        secret: Secret | None = None,
        label: str = "",
        **parts: object,
    ) -> Request:
        """
        A request with the right key and a plain body, unless told otherwise: the starting point of every check.
        """
        body = self.plain if body is PLAIN else body
        fields = (("Authorization", authorization or self.key.authorization), *fields)
        place = {"operation": self.target.path, "path": self.target.path} | parts
        return Request(fields=fields, body=body, secret=secret or self.secret, label=label or self.label(body), **place)  # type: ignore[arg-type]  # the rest of Request's fields, as they are

    def label(self, body: bytes | None) -> str:
        """What a body is, in words."""
        known = self.terms.takes is not None and takes(self.terms, body)
        return VALID if known else labelled(body)

    def ask(self, request: Request) -> Observation:
        """
        Send a request and enter whatever its answer shows.

        A target that says it is busy is asked again a few times: whoever is rate limited has not been refused.
        """
        request = request.accompanied(self._client.fields)
        expected = expectation(request, self.terms)
        observation = self._exchange(request, expected)
        for pause in _PAUSES:
            if not self._hindered(observation, expected) or self._patience < pause:
                break
            self._patience -= pause
            self._pause(pause)
            observation = self._exchange(request, expected)
        if self._hindered(observation, expected) and expected is not None and self._can_answer(observation):
            return self._entered(observation, expected)
        return observation

    def ask_plainly(self, body: bytes) -> Answer | None:
        """
        The answer to an object with the right key, with nothing in particular expected of it.

        A busy target is asked again a few times.
        """
        request = self.request(body)
        answer = self._exchange(request, None).answer
        for pause in _PAUSES:
            if answer is None or answer.status not in _BUSY:
                break
            self._pause(pause)
            answer = self._exchange(request, None).answer
        return answer

    def hold(self, clause: Clause, departure: Departure | None, request: Request, answer: Answer | None = None) -> None:
        """
        Enter that a clause was put to the test by more than one answer, and how it came out.
        """
        if not waived(clause, self.settings.contract):
            self.ledger.enter((clause,), () if departure is None else (departure,), self._evidence(request, answer))

    def _exchange(self, request: Request, expected: Expectation | None) -> Observation:
        """
        Send a request once and enter its answer; a busy target's is not held against what was expected yet.
        """
        request = request.accompanied(self._client.fields)
        self._stop_when_in_vain()
        self.ledger.sent()
        reception = self._client.send(request)
        self._missed += reception.transport is Transport.DEADLINE
        self._refused = self._refused + 1 if reception.transport is Transport.CONNECT_FAILED else 0
        found: list[Departure] = []
        exercised: list[Clause] = [clauses.ANSWERS]
        if reception.raw:
            exercised.append(clauses.FRAMING)
        if reception.misframed or (reception.raw and reception.transport is Transport.CONNECTION_LOST):
            found.append(_misframed(reception.misframed or reception.reason, reception.raw))
        elif reception.answer is None:
            found.append(_unanswered(reception.transport, reception.reason, self._client.deadline))
        answer = reception.answer
        if answer is not None:
            found += self._leaks(request, answer)
            exercised.append(clauses.NO_SECRET)
            if self._echoes(request, answer):
                exercised.append(clauses.ANSWER_BELONGS)
                found += _another_object(request, answer)
            answer = self._without_secrets(answer, request)
            self._judge(request, answer, exercised, found)
        observation = Observation(request=request, answer=answer)
        if answer is not None and expected is not None and self._decides(observation, expected):
            exercised.append(expected.clause)
            departure = expected.departure(answer, request.label)
            found += [] if departure is None else [departure]
        kept = tuple(self._scrubbed(each, request) for each in found if not waived(each.clause, self.settings.contract))
        self.ledger.enter(self._unwaived(exercised), kept, self._evidence(request, answer))
        return replace(observation, departures=kept)

    def _judge(self, request: Request, answer: Answer, exercised: list[Clause], found: list[Departure]) -> None:
        """
        What one answer shows by itself, whatever was expected of it.
        """
        if answer.status == 405:
            exercised.append(clauses.ALLOW_LISTED)
            if answer.field("allow") is None:
                found.append(Departure(clause=clauses.ALLOW_LISTED, expected="an Allow header", actual="a 405 without"))
        if not request.of_operation:
            return
        value = parse_json(answer.body)
        exercised += exercised_by(answer, value)
        found += departures(answer, self.settings.contract)
        if answer.status == 200 and not isinstance(value, Malformed | TooDeep):
            self._hold_output(value, exercised, found)
        found += self._repeated_id(request, answer)
        found += _internals(answer)

    def _hold_output(self, value: JSON, exercised: list[Clause], found: list[Departure]) -> None:
        """
        The output against the chain's own schema, where it is known: what is no object is one departure already.
        """
        schema = ANY_OBJECT if self.settings.echo and self.terms.gives is None else self.terms.gives
        if schema is None or any(departure.clause is clauses.OUTPUT_OBJECT for departure in found):
            return
        exercised.append(clauses.OUTPUT_SCHEMA)
        mistakes = schema.mistakes(value)
        if mistakes:
            found.append(
                Departure(
                    clause=clauses.OUTPUT_SCHEMA,
                    expected=f"an output as {schema.source} has it",
                    actual=f"another one: {'; '.join(mistakes)}",
                )
            )

    def _echoes(self, request: Request, answer: Answer) -> bool:
        """
        Whether this answer must be the object that was sent.
        """
        if not (self.settings.echo and request.of_operation and answer.status == 200):
            return False
        return isinstance(parse_json(request.body or b""), dict)

    def _repeated_id(self, request: Request, answer: Answer) -> Iterable[Departure]:
        """
        The departure of an answer whose request id another one carried.
        """
        request_id = answer.request_id
        if request_id and self.ledger.seen_before(request_id, request):
            yield Departure(
                clause=clauses.REQUEST_ID_UNIQUE,
                expected=f"a {REQUEST_ID_HEADER} that no other answer carried",
                actual=f"one that another answer carried: {request_id!r}",
            )

    def _leaks(self, request: Request, answer: Answer) -> Iterable[Departure]:
        """
        The departure of an answer that repeats the caller's credentials, where the caller did not put them in plain view.
        """
        told = (request.body or b"") + request.path.encode("latin-1")
        for secret in self._secrets(request):
            spellings = {secret.encode(), json.dumps(secret)[1:-1].encode()}
            if len(secret) < _LONG_ENOUGH or secret.encode() in told:
                continue
            where = [name for name, value in answer.headers if secret in value]
            where += ["the body"] if any(spelling in answer.body for spelling in spellings) else []
            if where:
                yield Departure(
                    clause=clauses.NO_SECRET,
                    expected="an answer without the caller's credentials",
                    actual=f"status {answer.status}, the credentials in {', '.join(where)}",
                )
                return

    def _secrets(self, request: Request) -> tuple[str, ...]:
        """
        What must not reappear: the key, and whatever was made of it.
        """
        made = (request.secret.text,) if request.secret else ()
        return tuple(dict.fromkeys((self.key.reveal(), *made)))

    def _without_secrets(self, answer: Answer, request: Request) -> Answer:
        """
        The answer as it may be shown and stored.
        """
        body, fields = answer.body, answer.headers
        for secret in sorted(self._secrets(request), key=len, reverse=True):
            body = body.replace(secret.encode(), REDACTED.encode())
            fields = tuple((name, value.replace(secret, REDACTED)) for name, value in fields)
        return replace(answer, body=body, headers=fields)

    def _scrubbed(self, departure: Departure, request: Request) -> Departure:
        """
        The departure as it may be shown and stored.
        """
        actual = departure.actual
        for secret in sorted(self._secrets(request), key=len, reverse=True):
            actual = actual.replace(secret, REDACTED)
        return replace(departure, actual=actual)

    def _unwaived(self, exercised: Iterable[Clause]) -> tuple[Clause, ...]:
        """
        The clauses that hold under this contract.
        """
        return tuple(clause for clause in exercised if not waived(clause, self.settings.contract))

    def _evidence(self, request: Request, answer: Answer | None) -> Evidence:
        """
        What shows a departure.
        """
        request_id = answer.request_id if answer is not None else None
        return Evidence(request=request.accompanied(self._client.fields), request_id=request_id, check=self.check)

    def _hindered(self, observation: Observation, expected: Expectation | None) -> bool:
        """
        Whether the target was busy with something else, as far as one can tell.
        """
        answer = observation.answer
        if answer is None or expected is None or answer.status not in _BUSY or expected.keeps(answer):
            return False
        return (expected.clause.id, answer.status) not in self._settled

    def _decides(self, observation: Observation, expected: Expectation) -> bool:
        """
        Whether the answer is held against what was expected.
        """
        assert observation.answer is not None
        return not self._hindered(observation, expected) and not only_undocumented(
            observation.request, observation.answer, self.settings.contract
        )

    def _can_answer(self, observation: Observation) -> bool:
        """
        Whether another request gets through where this one, again and again, did not: then the request is the reason.

        A 429 is about the rate and never about the request.
        """
        assert observation.answer is not None
        if observation.answer.status == 429:
            return False
        # Two bodies: a target that fails on the plainest of all is not busy, it fails on that.
        answers = (self._exchange(self.request(body), None).answer for body in (self.plain, _ANOTHER))
        return any(answer is not None and answer.status not in _BUSY for answer in answers)

    def _entered(self, observation: Observation, expected: Expectation) -> Observation:
        """
        The observation with the departure that was held back, and no more patience for the next of its kind.
        """
        assert observation.answer is not None
        self._settled.add((expected.clause.id, observation.answer.status))
        departure = expected.departure(observation.answer, observation.request.label)
        assert departure is not None
        self.hold(expected.clause, departure, observation.request, observation.answer)
        return replace(observation, departures=(*observation.departures, departure))

    def _stop_when_in_vain(self) -> None:
        """
        Skip what is left to ask of a target that does not answer any more.
        """
        if self._missed >= _MISSES:
            limit = format_duration(self._client.deadline)
            pytest.skip(f"the target left {_MISSES} requests without an answer for {limit} each: no more are sent")
        if self._refused >= _MISSES:
            pytest.skip("the target takes no connections any more")


def _misframed(reason: str, raw: bytes) -> Departure:
    """
    The departure of an answer that is no whole HTTP message.
    """
    return Departure(
        clause=clauses.FRAMING, expected="one complete HTTP/1.1 message", actual=f"{reason}: {shown(raw)!r}"
    )


def _unanswered(transport: Transport, reason: str, deadline: Seconds) -> Departure:
    """
    The departure of no answer at all.
    """
    actual = f"none within {format_duration(deadline)}" if transport is Transport.DEADLINE else reason
    return Departure(clause=clauses.ANSWERS, expected="an answer", actual=actual)


def _internals(answer: Answer) -> Iterable[Departure]:
    """
    The departure of an error that shows its reader the inside of the chain.
    """
    found = trace(answer.body) if answer.status >= 400 else None
    if found is not None:
        yield Departure(
            clause=clauses.NO_INTERNALS,
            expected="a message without a stack trace or source paths",
            actual=f"status {answer.status} with {found}",
        )


def _another_object(request: Request, answer: Answer) -> Iterable[Departure]:
    """
    The departure of an echo chain that returns something else than what it was sent.
    """
    if not same(request.body or b"", answer.body):
        yield Departure(
            clause=clauses.ANSWER_BELONGS,
            expected="the object that was sent",
            actual=f"another one: {shown(answer.body)}",
        )
