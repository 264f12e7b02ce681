"""
What a check is given: it asks, and everything that an answer shows is entered into the ledger.

Whichever check a request comes from, its answer is held against the same clauses: what any single answer reveals, what
this request leads to expect, whether the request id is new, whether the key leaks, whether the message is framed.
"""

from __future__ import annotations

import json
import random
import re
import statistics
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, replace
from enum import Enum

import pytest

from chainproof.clock import Seconds, monotonic
from chainproof.contract import clauses
from chainproof.contract.answer import REQUEST_ID_HEADER, Answer
from chainproof.contract.clauses import Clause, waived
from chainproof.contract.credentials import REDACTED, ApiKey
from chainproof.contract.errors import allowed_statuses
from chainproof.contract.header_fields import Field
from chainproof.contract.target import Target
from chainproof.contract.violations import Departure, departures, error_code
from chainproof.durations import format_duration
from chainproof.json_text import JSON, Malformed, TooDeep, parse_json
from chainproof.results.exchange import Transport
from chainproof.results.stored_body import Body, kept_body

from ..inputs.bodies import labelled
from ..inputs.chain_schema import ANY_OBJECT, UNKNOWN, VALID, Signature
from ..judging.allow_header import misallowed, speaks_of_methods
from ..judging.auth_bypass_cause import GATE, entrance
from ..judging.credential_leaks import where, without
from ..judging.echo import Others, echo_departure
from ..judging.error_code_cause import miscalled
from ..judging.expectation import STEER, Expectation, Terms, expectation, only_undocumented, shown, takes
from ..judging.json_equality import names_repeated
from ..judging.ledger import Evidence, Ledger, exercised_by
from ..judging.stack_traces import internals
from ..options import EXAMPLES, PATIENCE, Depth, Intrusion, Settings
from ..transport.client import Client, unconnected
from ..transport.connection import Reception
from ..transport.raw_connection import Conversation
from ..transport.request import JSON_TYPE, Request, Secret, key_secret

BUSY = frozenset({429, 502, 503, 504})
"""Statuses by which a target says that it could not get to the request, rather than what it thinks of it."""

_PAUSES: tuple[Seconds, ...] = (0.1, 0.3, 1.0, 2.0)
"""Before each further attempt at a request that found the target busy."""

_ANOTHER = b'{"names":["Ada"]}'
"""An object that is not the plainest."""

_OF_AN_ERROR = frozenset(
    {
        clauses.CONTENT_CODING,
        clauses.ERROR_MEDIA_TYPE,
        clauses.ERROR_JSON,
        clauses.ERROR_OBJECT,
        clauses.ERROR_CODE,
        clauses.ERROR_CODE_STATUS,
        clauses.ERROR_CODE_CAUSE,
    }
)
"""What an answer shows by itself to be no error as documented."""

_OF_AN_OUTPUT = frozenset(
    {
        clauses.FRAMING,
        clauses.CONTENT_CODING,
        clauses.OUTPUT_MEDIA_TYPE,
        clauses.OUTPUT_JSON,
        clauses.OUTPUT_OBJECT,
        clauses.OUTPUT_SCHEMA,
        clauses.NAMES_UNIQUE,
        clauses.NO_SECRET,
    }
)
"""What an output shows by itself to be wrong: it is not held against what was sent as well."""

_LARGE = 2**18
"""Bytes of an answer beyond which its names are not compared."""

_FAST: Seconds = 0.025
"""An exchange that takes no longer is one with a fast target."""

_ENOUGH = 20
"""Exchanges from which on it can be told."""

_FEWEST = 20
"""Examples that a generating check makes in any case."""

_AT_ONCE = 8
"""Requests at the same time to a target that takes its time."""

_MISSES = 3
"""Missed deadlines, or connections refused in a row, after which a run asks no more."""

_NOT_FAILED = frozenset({501, 505})
"""Refusals of HTTP's own that have the form of a failure."""

_STRAY = re.compile(r"(\d+) bytes behind the answer's end")
"""How the words begin that say how much came behind an answer."""

_REPEATED = 100_000
"""Bytes of a request's body that are looked for in an error."""


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
        self.began: Seconds = monotonic()
        """When it was opened."""
        self.check = ""
        """The name of the check under way."""
        self._client = client
        self._pause = pause
        self._patience = PATIENCE[settings.depth]
        self._took: deque[Seconds] = deque(maxlen=200)
        """How long the latest exchanges took."""
        self._others = Others()
        self._settled: set[tuple[str, int]] = set()
        self._missed = 0
        self._refused = 0

    @property
    def target(self) -> Target:
        """Where the requests go."""
        return self._client.target

    @property
    def examples(self) -> int:
        """How many requests a generating check makes: fewer where a target takes its time, since a run is to end."""
        return max(_FEWEST, round(EXAMPLES[self.settings.depth] * self.haste))

    @property
    def haste(self) -> float:
        """
        By which share of what a fast target is asked a slow one is: 1 up to some milliseconds an answer, then in proportion.
        At depth `deep` nobody is in a hurry.
        """
        if self.settings.depth is Depth.DEEP or len(self._took) < _ENOUGH:
            return 1.0
        return min(1.0, _FAST / max(_FAST, statistics.median(self._took)))

    def reseed(self, turn: int) -> None:
        """
        Have everything that follows from the seed come out anew, and the same for the same seed and turn; 0 is the seed's own.
        """
        assert self.settings.seed is not None
        self.seed = self.settings.seed + turn * 2**53  # no seed that can be asked for

    def permits(self, intrusion: Intrusion) -> bool:
        """
        Whether the target may be asked this: anything on loopback but overload, which is provoked when asked for.
        """
        if intrusion in self.settings.allow or (intrusion is Intrusion.OVERLOAD and self.settings.provoke):
            return True
        return self._client.on_loopback and intrusion is not Intrusion.OVERLOAD

    def require(self, intrusion: Intrusion) -> None:
        """
        Skip the check under way where the target may not be asked this.
        """
        if not self.permits(intrusion):
            pytest.skip(f"not asked of this target without leave (--allow {intrusion})")

    def note(self, text: str) -> None:
        """Keep what is worth knowing of the target and departs from nothing."""
        self.ledger.note(text)

    @property
    def notes(self) -> tuple[str, ...]:
        """What has been noted: where the target begins to refuse, for one."""
        return self.ledger.coverage.notes

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

    def ask(self, request: Request, expected: Expectation | None = None) -> Observation:
        """
        Send a request and enter whatever its answer shows, held against what is *expected* of it: by default, of its kind.

        A target that says it is busy is asked again a few times: whoever is rate limited has not been refused.
        """
        request = request.accompanied(self._client.fields)
        expected = expected or expectation(request, self.terms)
        observation = self._exchange(request, expected)
        for pause in _PAUSES:
            if not self._hindered(observation, expected):
                break
            if self._patience < pause:
                return observation  # whether the request is the reason cannot be told any more
            self._patience -= pause
            self._pause(pause)
            observation = self._exchange(request, expected)
        if expected is None or not self._hindered(observation, expected) or _says_it(expected, observation.departures):
            return observation
        return self._entered(observation, expected) if self._can_answer(observation) else observation

    def ask_oddly(self, request: Request, clause: Clause) -> None:
        """
        Send a request that HTTP itself may refuse, in words of its own; to fail at it is no refusal, and breaks the *clause*.
        """
        answer = self.ask(replace(request, message_valid=False)).answer
        if answer is None or answer.status < 500 or answer.status in BUSY | _NOT_FAILED:
            return
        departed = Departure(clause=clause, expected="an answer, or a refusal", actual=f"status {answer.status}")
        undocumented = (each for each in departures(answer, self.settings.contract) if each.clause is clauses.STATUS)
        found = next(undocumented, departed)
        self.hold(found.clause, found, request, answer)

    def ask_each(self, requests: Iterable[Request]) -> None:
        """
        Ask all of these in turn; a few at the same time where the target takes its time.
        """
        if self.haste == 1.0:
            for request in requests:
                self.ask(request)
            return
        with ThreadPoolExecutor(_AT_ONCE) as pool:
            for _ in pool.map(self.ask, requests):
                pass

    def ask_plainly(self, body: bytes) -> Answer | None:
        """
        The answer to an object with the right key, with nothing in particular expected of it.

        A busy target is asked again a few times.
        """
        request = self.request(body)
        answer = self._exchange(request, None).answer
        for pause in _PAUSES:
            if answer is None or answer.status not in BUSY:
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
        return self.enter(request, self.send(request), expected)

    def send(self, request: Request) -> Reception:
        """
        Send a request once; what comes of it is for `enter`, or for nobody.
        """
        request = self.prepared(request)
        self._stop_when_in_vain()
        self.ledger.sent()
        began = monotonic()
        try:
            return self._client.send(request)
        finally:
            self._took.append(monotonic() - began)

    @contextmanager
    def conversation(self) -> Iterator[Conversation]:
        """
        A connection of its own, to be spoken over by hand; what is heard over it is for `enter`.
        """
        self._stop_when_in_vain()
        try:
            conversation = self._client.converse(self.ledger.sent)
        except OSError as wrong:
            self.enter(self.request(), unconnected(wrong), None)
            pytest.skip("the target takes no connection")
        with conversation:
            yield conversation

    def prepared(self, request: Request) -> Request:
        """The request with what goes along with every one, known from now on as one whose answer is its own."""
        self._others.note(request.body)
        return request.accompanied(self._client.fields)

    def enter(self, request: Request, reception: Reception, expected: Expectation | None) -> Observation:
        """
        Enter what an answer shows, by whatever way it came.
        """
        self._missed += reception.transport is Transport.DEADLINE
        self._refused = self._refused + 1 if reception.transport is Transport.CONNECT_FAILED else 0
        found: list[Departure] = []
        exercised: list[Clause] = [clauses.ANSWERS]
        if reception.raw:
            exercised.append(clauses.FRAMING)
        if reception.misframed or (reception.raw and reception.transport is Transport.CONNECTION_LOST):
            found.append(_misframed(reception.misframed or reception.reason, reception.raw))
        elif reception.answer is None and reception.transport is not Transport.ANSWERED and request.valid:
            found.append(_unanswered(reception.transport, reception.reason, self._client.deadline))
        self._hold_coding(request, reception, exercised, found)
        self._enter_late()
        answer = reception.answer
        sound = not reception.misframed and not reception.miscoded
        if answer is not None:
            found += self._leaks(request, answer)
            exercised.append(clauses.NO_SECRET)
            untouched, answer = answer, self._without_secrets(answer, request)
            if sound:
                self._judge(request, answer, exercised, found)
            welcome = expected is None or expected.keeps(answer)
            departed = any(each.clause in _OF_AN_OUTPUT for each in found)
            if sound and welcome and self._echoes(request, untouched) and not departed:
                exercised += [clauses.ECHO_EXACT, clauses.ANSWER_BELONGS]
                departure = echo_departure(request.body or b"", untouched.body, self._others)
                found += [] if departure is None else [departure]
        observation = Observation(request=request, answer=answer)
        # What departs by itself is not held against what was asked as well, unless it lets in.
        heard = answer is not None and (sound or 200 <= answer.status < 300)
        if answer is not None and heard and expected is not None and self._decides(observation, expected, found):
            self._hold_expected(request, answer, expected, exercised, found)
        if answer is not None and not found:
            self._hold_cause(request, answer, expected, exercised, found)
        kept = tuple(self._scrubbed(each, request) for each in found if not waived(each.clause, self.settings.contract))
        evidence = self._evidence(request, answer)
        if reception.transport is Transport.DEADLINE:
            evidence = replace(evidence, deadline=self._client.deadline)
        self.ledger.enter(self._unwaived(exercised), kept, evidence)
        return replace(observation, departures=kept)

    def _hold_coding(
        self, request: Request, reception: Reception, exercised: list[Clause], found: list[Departure]
    ) -> None:
        """
        A body's coding against what the answer and the request say of it.
        """
        if reception.answer is not None and (request.values("accept-encoding") or reception.miscoded):
            exercised.append(clauses.CONTENT_CODING)
        if reception.miscoded:
            expected = "a body coded as Content-Encoding says, and as the request accepts"
            found.append(Departure(clause=clauses.CONTENT_CODING, expected=expected, actual=reception.miscoded))
        if reception.advice:
            expected = "a content coding that the request names, or none"
            found.append(Departure(clause=clauses.HTTP_ADVICE, expected=expected, actual=reception.advice))

    def _enter_late(self) -> None:
        """
        Enter what has come behind answers that were whole already.
        """
        for request, raw in self._client.late():
            self.hold(clauses.FRAMING, _misframed(f"{len(raw)} bytes behind the answer's end", raw), request)

    def _judge(self, request: Request, answer: Answer, exercised: list[Clause], found: list[Departure]) -> None:
        """
        What one answer shows by itself, whatever was expected of it.
        """
        if speaks_of_methods(request, answer):
            exercised.append(clauses.ALLOW_LISTED)
            found += misallowed(request, answer)
        if answer.status >= 400:
            exercised.append(clauses.NO_INTERNALS)
            found += _internals(request, answer)
        found += self._repeated_id(request, answer)
        if not request.of_operation or (request.unsized and answer.status == 411):
            return
        value = parse_json(answer.body)
        self.ledger.answered(answer)
        exercised += exercised_by(answer, value)
        exercised += (clauses.REQUEST_ID_UNIQUE,) * bool(answer.request_id)
        found += departures(answer, self.settings.contract)
        if answer.status == 200 and not isinstance(value, Malformed | TooDeep):
            self._hold_output(value, exercised, found)
        if isinstance(value, dict | list) and answer.media_type == "application/json":
            exercised.append(clauses.NAMES_UNIQUE)
            found += _names_twice(request, answer)

    def _hold_expected(
        self,
        request: Request,
        answer: Answer,
        expected: Expectation,
        exercised: list[Clause],
        found: list[Departure],
    ) -> None:
        """
        The answer against what was expected of it.
        """
        departure = self._departure(request, answer, expected)
        found += [] if departure is None else [departure]
        if departure is None or departure.clause is expected.clause:
            exercised.append(expected.clause)
        else:
            # Where everybody is let in, nothing is known of what a wrong key would have opened.
            self.ledger.left_out([expected.clause], f"{departure.clause.id} is broken: it cannot be told")

    def _departure(self, request: Request, answer: Answer, expected: Expectation) -> Departure | None:
        """
        Where an answer left what was expected of it; whoever lets a stranger in is asked again, to see what stands open.
        """
        departure = expected.departure(answer)
        if departure is None or expected.clause not in GATE or not 200 <= answer.status < 300:
            return departure
        return entrance(request, answer, expected, self.terms, self._look)

    def _look(self, request: Request) -> Answer | None:
        """
        The answer to a request over a connection of its own, with nothing in particular expected of it.
        """
        with self.conversation() as conversation:
            conversation.say(request)
            return self.enter(request, conversation.hear(request), None).answer

    def _hold_cause(
        self,
        request: Request,
        answer: Answer,
        expected: Expectation | None,
        exercised: list[Clause],
        found: list[Departure],
    ) -> None:
        """
        An error's code against what was wrong with the request, where nothing else is wrong with the error.
        """
        if error_code(answer) is None or not request.of_operation or request.values(STEER):
            return
        exercised.append(clauses.ERROR_CODE_CAUSE)
        departure = miscalled(request, answer, expected.wrong if expected is not None else ())
        found += [] if departure is None else [departure]

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
        The departure of an answer whose request id another one carried, or one of whose ids did where it has a list.
        """
        ids = dict.fromkeys(_plain_id(each) for value in answer.fields(REQUEST_ID_HEADER) for each in _ids(value))
        if sum(self.ledger.seen_before(each, request) for each in ids):
            yield Departure(
                clause=clauses.REQUEST_ID_UNIQUE,
                expected=f"a {REQUEST_ID_HEADER} that no other answer carried",
                actual=f"one that another answer carried: {answer.request_id!r}",
            )

    def _leaks(self, request: Request, answer: Answer) -> Iterable[Departure]:
        """
        The departure of an answer that repeats the caller's credentials, where the caller did not put them in plain view.
        """
        found = where(answer, self._secrets(request), (request.body or b"") + request.path.encode("latin-1"))
        # Who cannot read a message may say in which line.
        if found and request.valid:
            yield Departure(
                clause=clauses.NO_SECRET,
                expected="an answer without the caller's credentials",
                actual=f"status {answer.status}, the credentials in {', '.join(dict.fromkeys(found))}",
            )

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
        secrets = self._secrets(request)
        body = without(answer.body.decode("latin-1"), secrets, REDACTED).encode("latin-1")
        fields = tuple((name, without(value, secrets, REDACTED)) for name, value in answer.headers)
        return replace(answer, body=body, headers=fields)

    def _scrubbed(self, departure: Departure, request: Request) -> Departure:
        """
        The departure as it may be shown and stored.
        """
        return replace(departure, actual=without(departure.actual, self._secrets(request), REDACTED))

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
        return Evidence(
            request=request.accompanied(self._client.fields),
            request_id=request_id,
            check=self.check,
            answer_body=self._kept(request, answer),
        )

    def _kept(self, request: Request, answer: Answer | None) -> Body | None:
        """
        What of an answer is stored, where answers are to be.
        """
        if answer is None or not self.settings.keep_bodies:
            return None
        return kept_body(answer.body, self._secrets(request))

    def _hindered(self, observation: Observation, expected: Expectation | None) -> bool:
        """
        Whether the target was busy with something else, as far as one can tell.
        """
        answer = observation.answer
        if answer is None or expected is None or answer.status not in BUSY or expected.keeps(answer):
            return False
        return (expected.clause.id, answer.status) not in self._settled

    def _decides(self, observation: Observation, expected: Expectation, found: Iterable[Departure] = ()) -> bool:
        """
        Whether the answer is held against what was expected. One that says by itself that it is no documented error is not
        held against the error that was asked for as well.
        """
        assert observation.answer is not None
        if _says_it(expected, found):
            return False
        request, answer, contract = observation.request, observation.answer, self.settings.contract
        if request.of_operation and not expected.wrong and answer.status not in allowed_statuses(contract):
            return False
        return not self._hindered(observation, expected) and not only_undocumented(request, answer, contract)

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
        return any(answer is not None and answer.status not in BUSY for answer in answers)

    def _entered(self, observation: Observation, expected: Expectation) -> Observation:
        """
        The observation with the departure that was held back, and no more patience for the next of its kind.
        """
        assert observation.answer is not None
        self._settled.add((expected.clause.id, observation.answer.status))
        departure = expected.departure(observation.answer)
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


_LONG_ID = 12
"""Characters of an id beyond which two that differ in letter case alone do so on purpose."""


_LISTED = re.compile(r"[0-9A-Za-z_.-]+(?:\s*,\s*[0-9A-Za-z_.-]+)+")
"""Ids in a list, as proxies make one. A comma may as well be a part of one id."""


def _ids(value: str) -> list[str]:
    """
    The ids that a header's value holds.
    """
    value = value.strip()
    return value.split(",") if _LISTED.fullmatch(value) else [value] if value else []


def _plain_id(text: str) -> str:
    """
    A request id as somebody reads it out.
    """
    plain = text.strip().strip('"')
    return plain.lower() if len(plain) >= _LONG_ID else plain


def _says_it(expected: Expectation, found: Iterable[Departure]) -> bool:
    """
    Whether an answer shows by itself that it is no documented error, where an error was asked for.
    """
    return expected.clause is clauses.STEERED_ERROR and any(each.clause in _OF_AN_ERROR for each in found)


def _misframed(reason: str, raw: bytes) -> Departure:
    """
    The departure of an answer that is no whole HTTP message, with what is wrong with it: what stands behind it, or all of it.
    """
    behind = _STRAY.match(reason)
    raw = raw[-int(behind[1]) :] if behind else raw
    return Departure(
        clause=clauses.FRAMING, expected="one complete HTTP/1.1 message", actual=f"{reason}: '{shown(raw)}'"
    )


def _unanswered(transport: Transport, reason: str, deadline: Seconds) -> Departure:
    """
    The departure of no answer at all.
    """
    actual = f"none within {format_duration(deadline)}" if transport is Transport.DEADLINE else reason
    return Departure(clause=clauses.ANSWERS, expected="an answer", actual=actual)


def _internals(request: Request, answer: Answer) -> Iterable[Departure]:
    """
    The departure of an error that shows its reader the inside of the chain.
    """
    # What the request said itself may come back.
    told = repr((request.path, request.host, request.fields)) + (request.body or b"")[:_REPEATED].decode("latin-1")
    found = internals(answer, told)
    if found is not None:
        yield Departure(
            clause=clauses.NO_INTERNALS,
            expected="a message without a stack trace or source paths",
            actual=f"status {answer.status} with {found}",
        )


def _names_twice(request: Request, answer: Answer) -> Iterable[Departure]:
    """
    The departure of an answer that names a member twice of its own accord.
    """
    body = request.body or b""
    if answer.body == body or len(answer.body) > _LARGE:
        return
    if answer.status < 300 and not isinstance(parse_json(body), dict):
        return
    repeated = names_repeated(answer.body)
    if set(repeated) - set(names_repeated(body)):
        yield Departure(
            clause=clauses.NAMES_UNIQUE,
            expected="no name twice in an object",
            actual=f"status {answer.status}, a name twice: {json.dumps(repeated[0])[:60]}",
        )
