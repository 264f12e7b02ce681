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
from chainproof.contract.clauses import Clause, is_waived
from chainproof.contract.credentials import REDACTED, ApiKey
from chainproof.contract.errors import allowed_statuses
from chainproof.contract.header_fields import HeaderField
from chainproof.contract.target import Target
from chainproof.contract.violations import Violation, error_code, violations
from chainproof.durations import format_duration
from chainproof.json_text import JSON, InvalidJson, TooDeep, parse_json
from chainproof.results.exchange import Transport
from chainproof.results.stored_body import StoredBody, stored_body

from ..inputs.bodies import describe_body
from ..inputs.chain_schema import ANY_OBJECT, UNKNOWN_CHAIN, VALID_INPUT_LABEL, ChainSchema
from ..judging.allow_header import allow_header_violations, is_allow_header_due
from ..judging.auth_bypass_cause import AUTHENTICATION_CLAUSES, auth_bypass_violation
from ..judging.credential_leaks import leak_locations, redact
from ..judging.echo import RecentBodies, echo_violation
from ..judging.error_code_cause import error_code_violation
from ..judging.expectation import (
    STEERING_HEADER,
    Expectation,
    Terms,
    accepts_body,
    excerpt,
    expectation,
    is_undocumented_refusal,
)
from ..judging.json_equality import duplicate_names
from ..judging.ledger import Evidence, Ledger, exercised_clauses
from ..judging.stack_traces import exposed_internals
from ..options import EXAMPLES_BY_DEPTH, MAX_BUSY_WAIT, Depth, Permission, Settings
from ..transport.client import Client, connection_failure
from ..transport.connection import TransportResult
from ..transport.raw_connection import RawConnection
from ..transport.request import JSON_TYPE, CheckRequest, Secret, key_secret

BUSY_STATUSES = frozenset({429, 502, 503, 504})
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
        clauses.RESPONSE_FRAMING,
        clauses.CONTENT_CODING,
        clauses.OUTPUT_MEDIA_TYPE,
        clauses.OUTPUT_JSON,
        clauses.OUTPUT_OBJECT,
        clauses.OUTPUT_SCHEMA,
        clauses.UNIQUE_MEMBER_NAMES,
        clauses.NO_CREDENTIAL_LEAK,
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


class DefaultBody(Enum):
    """
    In place of a body: the simplest that the chain takes.
    """

    DEFAULT_BODY = "plain"


DEFAULT_BODY = DefaultBody.DEFAULT_BODY


@dataclass(frozen=True, slots=True, kw_only=True)
class JudgedAnswer:
    """
    One request, what came back, and what that departed from.
    """

    request: CheckRequest
    answer: Answer | None
    violations: tuple[Violation, ...] = ()


class Requester:
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
        chain_schema: ChainSchema = UNKNOWN_CHAIN,
        pause: Callable[[Seconds], None] = time.sleep,
    ) -> None:
        assert settings.seed is not None
        self.ledger = ledger
        self.settings = settings
        self.seed: int = settings.seed
        self.key = key
        self.terms = Terms(
            key=key,
            contract=settings.contract,
            echo=settings.echo,
            input_schema=chain_schema.input_schema,
            output_schema=chain_schema.output_schema,
        )
        self.minimal_body = chain_schema.minimal_input
        """The simplest body that the chain takes, as far as that is known."""
        self.secret = key_secret(key, settings.api_key_env)
        self.started: Seconds = monotonic()
        """When it was opened."""
        self.check_name = ""
        """The name of the check under way."""
        self._client = client
        self._pause = pause
        self._patience = MAX_BUSY_WAIT[settings.depth]
        self._took: deque[Seconds] = deque(maxlen=200)
        """How long the latest exchanges took."""
        self._others = RecentBodies()
        self._settled: set[tuple[str, int]] = set()
        self._missed = 0
        self._refused = 0

    @property
    def target(self) -> Target:
        """Where the requests go."""
        return self._client.target

    @property
    def max_examples(self) -> int:
        """How many requests a generating check makes: fewer where a target takes its time, since a run is to end."""
        return max(_FEWEST, round(EXAMPLES_BY_DEPTH[self.settings.depth] * self.scale_factor))

    @property
    def scale_factor(self) -> float:
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

    def is_permitted(self, permission: Permission) -> bool:
        """
        Whether the target may be asked this: anything on loopback but overload, which is provoked when asked for.
        """
        if permission in self.settings.allow or (permission is Permission.OVERLOAD and self.settings.overload):
            return True
        return self._client.on_loopback and permission is not Permission.OVERLOAD

    def require_permission(self, permission: Permission) -> None:
        """
        Skip the check under way where the target may not be asked this.
        """
        if not self.is_permitted(permission):
            pytest.skip(f"not asked of this target without leave (--allow {permission})")

    def note(self, text: str) -> None:
        """Keep what is worth knowing of the target and departs from nothing."""
        self.ledger.note(text)

    @property
    def notes(self) -> tuple[str, ...]:
        """What has been noted: where the target begins to refuse, for one."""
        return self.ledger.coverage.notes

    def rng(self, purpose: str) -> random.Random:
        """Numbers that follow from the seed, other ones for each purpose."""
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
        """
        A request with the right key and a plain body, unless told otherwise: the starting point of every check.
        """
        body = self.minimal_body if body is DEFAULT_BODY else body
        fields = (("Authorization", authorization or self.key.authorization), *fields)
        place = {"operation": self.target.path, "path": self.target.path} | parts
        label = label or self.body_label(body)
        return CheckRequest(fields=fields, body=body, secret=secret or self.secret, label=label, **place)  # type: ignore[arg-type]  # the rest of the request's fields, as they are

    def body_label(self, body: bytes | None) -> str:
        """What a body is, in words."""
        known = self.terms.input_schema is not None and accepts_body(self.terms, body)
        return VALID_INPUT_LABEL if known else describe_body(body)

    def send(self, request: CheckRequest, expected: Expectation | None = None) -> JudgedAnswer:
        """
        Send a request and enter whatever its answer shows, held against what is *expected* of it: by default, of its kind.

        A target that says it is busy is asked again a few times: whoever is rate limited has not been refused.
        """
        request = request.with_fields(self._client.fields)
        expected = expected or expectation(request, self.terms)
        judged = self._exchange(request, expected)
        for pause in _PAUSES:
            if not self._hindered(judged, expected):
                break
            if self._patience < pause:
                return judged  # whether the request is the reason cannot be told any more
            self._patience -= pause
            self._pause(pause)
            judged = self._exchange(request, expected)
        if expected is None or not self._hindered(judged, expected) or _says_it(expected, judged.violations):
            return judged
        return self._entered(judged, expected) if self._can_answer(judged) else judged

    def send_nonstandard(self, request: CheckRequest, clause: Clause) -> None:
        """
        Send a request that HTTP itself may refuse, in words of its own; to fail at it is no refusal, and breaks the *clause*.
        """
        answer = self.send(replace(request, valid_message=False)).answer
        if answer is None or answer.status < 500 or answer.status in BUSY_STATUSES | _NOT_FAILED:
            return
        violated = Violation(clause=clause, expected="an answer, or a refusal", actual=f"status {answer.status}")
        undocumented = (each for each in violations(answer, self.settings.contract) if each.clause is clauses.STATUS)
        found = next(undocumented, violated)
        self.record_clause(found.clause, found, request, answer)

    def count_all_sent(self, requests: Iterable[CheckRequest]) -> None:
        """
        Ask all of these in turn; a few at the same time where the target takes its time.
        """
        if self.scale_factor == 1.0:
            for request in requests:
                self.send(request)
            return
        with ThreadPoolExecutor(_AT_ONCE) as pool:
            for _ in pool.map(self.send, requests):
                pass

    def send_valid_body(self, body: bytes) -> Answer | None:
        """
        The answer to an object with the right key, with nothing in particular expected of it.

        A busy target is asked again a few times.
        """
        request = self.build_request(body)
        answer = self._exchange(request, None).answer
        for pause in _PAUSES:
            if answer is None or answer.status not in BUSY_STATUSES:
                break
            self._pause(pause)
            answer = self._exchange(request, None).answer
        return answer

    def record_clause(
        self, clause: Clause, violation: Violation | None, request: CheckRequest, answer: Answer | None = None
    ) -> None:
        """
        Enter that a clause was put to the test by more than one answer, and how it came out.
        """
        if not is_waived(clause, self.settings.contract):
            self.ledger.record((clause,), () if violation is None else (violation,), self._evidence(request, answer))

    def _exchange(self, request: CheckRequest, expected: Expectation | None) -> JudgedAnswer:
        """
        Send a request once and enter its answer; a busy target's is not held against what was expected yet.
        """
        request = request.with_fields(self._client.fields)
        return self.record(request, self.send_once(request), expected)

    def send_once(self, request: CheckRequest) -> TransportResult:
        """
        Send a request once; what comes of it is for `enter`, or for nobody.
        """
        request = self.prepare(request)
        self._stop_when_in_vain()
        self.ledger.count_request()
        began = monotonic()
        try:
            return self._client.send(request)
        finally:
            self._took.append(monotonic() - began)

    @contextmanager
    def raw_connection(self) -> Iterator[RawConnection]:
        """
        A connection of its own, to be spoken over by hand; what is heard over it is for `enter`.
        """
        self._stop_when_in_vain()
        try:
            connection = self._client.open_raw_connection(self.ledger.count_request)
        except OSError as wrong:
            self.record(self.build_request(), connection_failure(wrong), None)
            pytest.skip("the target takes no connection")
        with connection:
            yield connection

    def prepare(self, request: CheckRequest) -> CheckRequest:
        """The request with what goes along with every one, known from now on as one whose answer is its own."""
        self._others.add(request.body)
        return request.with_fields(self._client.fields)

    def record(self, request: CheckRequest, received: TransportResult, expected: Expectation | None) -> JudgedAnswer:
        """
        Enter what an answer shows, by whatever way it came.
        """
        self._missed += received.transport is Transport.DEADLINE
        self._refused = self._refused + 1 if received.transport is Transport.CONNECT_FAILED else 0
        found: list[Violation] = []
        exercised: list[Clause] = [clauses.REQUEST_ANSWERED]
        if received.raw:
            exercised.append(clauses.RESPONSE_FRAMING)
        if received.framing_error or (received.raw and received.transport is Transport.CONNECTION_LOST):
            found.append(_misframed(received.framing_error or received.reason, received.raw))
        elif received.answer is None and received.transport is not Transport.ANSWERED and request.is_valid:
            found.append(_unanswered(received.transport, received.reason, self._client.deadline))
        self._hold_coding(request, received, exercised, found)
        self._enter_late()
        answer = received.answer
        sound = not received.framing_error and not received.coding_error
        if answer is not None:
            found += self._leaks(request, answer)
            exercised.append(clauses.NO_CREDENTIAL_LEAK)
            untouched, answer = answer, self._without_secrets(answer, request)
            if sound:
                self._judge(request, answer, exercised, found)
            welcome = expected is None or expected.is_met_by(answer)
            violated = any(each.clause in _OF_AN_OUTPUT for each in found)
            if sound and welcome and self._echoes(request, untouched) and not violated:
                exercised += [clauses.ECHO_EXACT, clauses.ANSWER_MATCHES_REQUEST]
                violation = echo_violation(request.body or b"", untouched.body, self._others)
                found += [] if violation is None else [violation]
        judged = JudgedAnswer(request=request, answer=answer)
        # What departs by itself is not held against what was asked as well, unless it lets in.
        heard = answer is not None and (sound or 200 <= answer.status < 300)
        if answer is not None and heard and expected is not None and self._decides(judged, expected, found):
            self._hold_expected(request, answer, expected, exercised, found)
        if answer is not None and not found:
            self._hold_cause(request, answer, expected, exercised, found)
        kept = tuple(
            self._scrubbed(each, request) for each in found if not is_waived(each.clause, self.settings.contract)
        )
        evidence = self._evidence(request, answer)
        if received.transport is Transport.DEADLINE:
            evidence = replace(evidence, deadline=self._client.deadline)
        self.ledger.record(self._unwaived(exercised), kept, evidence)
        return replace(judged, violations=kept)

    def _hold_coding(
        self, request: CheckRequest, received: TransportResult, exercised: list[Clause], found: list[Violation]
    ) -> None:
        """
        A body's coding against what the answer and the request say of it.
        """
        if received.answer is not None and (request.values("accept-encoding") or received.coding_error):
            exercised.append(clauses.CONTENT_CODING)
        if received.coding_error:
            expected = "a body coded as Content-Encoding says, and as the request accepts"
            found.append(Violation(clause=clauses.CONTENT_CODING, expected=expected, actual=received.coding_error))
        if received.warning:
            expected = "a content coding that the request names, or none"
            found.append(Violation(clause=clauses.HTTP_RECOMMENDATIONS, expected=expected, actual=received.warning))

    def _enter_late(self) -> None:
        """
        Enter what has come behind answers that were whole already.
        """
        for request, raw in self._client.take_late_bytes():
            self.record_clause(
                clauses.RESPONSE_FRAMING, _misframed(f"{len(raw)} bytes behind the answer's end", raw), request
            )

    def _judge(self, request: CheckRequest, answer: Answer, exercised: list[Clause], found: list[Violation]) -> None:
        """
        What one answer shows by itself, whatever was expected of it.
        """
        if is_allow_header_due(request, answer):
            exercised.append(clauses.ALLOW_HEADER)
            found += allow_header_violations(request, answer)
        if answer.status >= 400:
            exercised.append(clauses.NO_INTERNALS)
            found += _internals(request, answer)
        found += self._repeated_id(request, answer)
        if not request.is_for_operation or (request.has_no_length and answer.status == 411):
            return
        value = parse_json(answer.body)
        self.ledger.count_answer(answer)
        exercised += exercised_clauses(answer, value)
        exercised += (clauses.REQUEST_ID_UNIQUE,) * bool(answer.request_id)
        found += violations(answer, self.settings.contract)
        if answer.status == 200 and not isinstance(value, InvalidJson | TooDeep):
            self._hold_output(value, exercised, found)
        if isinstance(value, dict | list) and answer.media_type == "application/json":
            exercised.append(clauses.UNIQUE_MEMBER_NAMES)
            found += _names_twice(request, answer)

    def _hold_expected(
        self,
        request: CheckRequest,
        answer: Answer,
        expected: Expectation,
        exercised: list[Clause],
        found: list[Violation],
    ) -> None:
        """
        The answer against what was expected of it.
        """
        violation = self._departure(request, answer, expected)
        found += [] if violation is None else [violation]
        if violation is None or violation.clause is expected.clause:
            exercised.append(expected.clause)
        else:
            # Where everybody is let in, nothing is known of what a wrong key would have opened.
            self.ledger.record_skipped([expected.clause], f"{violation.clause.id} is broken: it cannot be told")

    def _departure(self, request: CheckRequest, answer: Answer, expected: Expectation) -> Violation | None:
        """
        Where an answer left what was expected of it; whoever lets a stranger in is asked again, to see what stands open.
        """
        violation = expected.violation(answer)
        if violation is None or expected.clause not in AUTHENTICATION_CLAUSES or not 200 <= answer.status < 300:
            return violation
        return auth_bypass_violation(request, answer, expected, self.terms, self._look)

    def _look(self, request: CheckRequest) -> Answer | None:
        """
        The answer to a request over a connection of its own, with nothing in particular expected of it.
        """
        with self.raw_connection() as connection:
            connection.send_request(request)
            return self.record(request, connection.read_answer(request), None).answer

    def _hold_cause(
        self,
        request: CheckRequest,
        answer: Answer,
        expected: Expectation | None,
        exercised: list[Clause],
        found: list[Violation],
    ) -> None:
        """
        An error's code against what was wrong with the request, where nothing else is wrong with the error.
        """
        if error_code(answer) is None or not request.is_for_operation or request.values(STEERING_HEADER):
            return
        exercised.append(clauses.ERROR_CODE_CAUSE)
        violation = error_code_violation(request, answer, expected.violated_by_request if expected is not None else ())
        found += [] if violation is None else [violation]

    def _hold_output(self, value: JSON, exercised: list[Clause], found: list[Violation]) -> None:
        """
        The output against the chain's own schema, where it is known: what is no object is one violation already.
        """
        schema = ANY_OBJECT if self.settings.echo and self.terms.output_schema is None else self.terms.output_schema
        if schema is None or any(violation.clause is clauses.OUTPUT_OBJECT for violation in found):
            return
        exercised.append(clauses.OUTPUT_SCHEMA)
        errors = schema.errors(value)
        if errors:
            found.append(
                Violation(
                    clause=clauses.OUTPUT_SCHEMA,
                    expected=f"an output as {schema.source} has it",
                    actual=f"another one: {'; '.join(errors)}",
                )
            )

    def _echoes(self, request: CheckRequest, answer: Answer) -> bool:
        """
        Whether this answer must be the object that was sent.
        """
        if not (self.settings.echo and request.is_for_operation and answer.status == 200):
            return False
        return isinstance(parse_json(request.body or b""), dict)

    def _repeated_id(self, request: CheckRequest, answer: Answer) -> Iterable[Violation]:
        """
        The violation of an answer whose request id another one carried, or one of whose ids did where it has a list.
        """
        ids = dict.fromkeys(_plain_id(each) for value in answer.fields(REQUEST_ID_HEADER) for each in _ids(value))
        if sum(self.ledger.register_request_id(each, request) for each in ids):
            yield Violation(
                clause=clauses.REQUEST_ID_UNIQUE,
                expected=f"a {REQUEST_ID_HEADER} that no other answer carried",
                actual=f"one that another answer carried: {answer.request_id!r}",
            )

    def _leaks(self, request: CheckRequest, answer: Answer) -> Iterable[Violation]:
        """
        The violation of an answer that repeats the caller's credentials, where the caller did not put them in plain view.
        """
        found = leak_locations(answer, self._secrets(request), (request.body or b"") + request.path.encode("latin-1"))
        # Who cannot read a message may say in which line.
        if found and request.is_valid:
            yield Violation(
                clause=clauses.NO_CREDENTIAL_LEAK,
                expected="an answer without the caller's credentials",
                actual=f"status {answer.status}, the credentials in {', '.join(dict.fromkeys(found))}",
            )

    def _secrets(self, request: CheckRequest) -> tuple[str, ...]:
        """
        What must not reappear: the key, and whatever was made of it.
        """
        made = (request.secret.text,) if request.secret else ()
        return tuple(dict.fromkeys((self.key.reveal(), *made)))

    def _without_secrets(self, answer: Answer, request: CheckRequest) -> Answer:
        """
        The answer as it may be shown and stored.
        """
        secrets = self._secrets(request)
        body = redact(answer.body.decode("latin-1"), secrets, REDACTED).encode("latin-1")
        fields = tuple((name, redact(value, secrets, REDACTED)) for name, value in answer.headers)
        return replace(answer, body=body, headers=fields)

    def _scrubbed(self, violation: Violation, request: CheckRequest) -> Violation:
        """
        The violation as it may be shown and stored.
        """
        return replace(violation, actual=redact(violation.actual, self._secrets(request), REDACTED))

    def _unwaived(self, exercised: Iterable[Clause]) -> tuple[Clause, ...]:
        """
        The clauses that hold under this contract.
        """
        return tuple(clause for clause in exercised if not is_waived(clause, self.settings.contract))

    def _evidence(self, request: CheckRequest, answer: Answer | None) -> Evidence:
        """
        What shows a violation.
        """
        request_id = answer.request_id if answer is not None else None
        return Evidence(
            request=request.with_fields(self._client.fields),
            request_id=request_id,
            check=self.check_name,
            answer_body=self._kept(request, answer),
        )

    def _kept(self, request: CheckRequest, answer: Answer | None) -> StoredBody | None:
        """
        What of an answer is stored, where answers are to be.
        """
        if answer is None or not self.settings.keep_bodies:
            return None
        return stored_body(answer.body, self._secrets(request))

    def _hindered(self, judged: JudgedAnswer, expected: Expectation | None) -> bool:
        """
        Whether the target was busy with something else, as far as one can tell.
        """
        answer = judged.answer
        if answer is None or expected is None or answer.status not in BUSY_STATUSES or expected.is_met_by(answer):
            return False
        return (expected.clause.id, answer.status) not in self._settled

    def _decides(self, judged: JudgedAnswer, expected: Expectation, found: Iterable[Violation] = ()) -> bool:
        """
        Whether the answer is held against what was expected. One that says by itself that it is no documented error is not
        held against the error that was asked for as well.
        """
        assert judged.answer is not None
        if _says_it(expected, found):
            return False
        request, answer, contract = judged.request, judged.answer, self.settings.contract
        if (
            request.is_for_operation
            and not expected.violated_by_request
            and answer.status not in allowed_statuses(contract)
        ):
            return False
        return not self._hindered(judged, expected) and not is_undocumented_refusal(request, answer, contract)

    def _can_answer(self, judged: JudgedAnswer) -> bool:
        """
        Whether another request gets through where this one, again and again, did not: then the request is the reason.

        A 429 is about the rate and never about the request.
        """
        assert judged.answer is not None
        if judged.answer.status == 429:
            return False
        # Two bodies: a target that fails on the plainest of all is not busy, it fails on that.
        answers = (self._exchange(self.build_request(body), None).answer for body in (self.minimal_body, _ANOTHER))
        return any(answer is not None and answer.status not in BUSY_STATUSES for answer in answers)

    def _entered(self, judged: JudgedAnswer, expected: Expectation) -> JudgedAnswer:
        """
        The observation with the violation that was held back, and no more patience for the next of its kind.
        """
        assert judged.answer is not None
        self._settled.add((expected.clause.id, judged.answer.status))
        violation = expected.violation(judged.answer)
        assert violation is not None
        self.record_clause(expected.clause, violation, judged.request, judged.answer)
        return replace(judged, violations=(*judged.violations, violation))

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


def _says_it(expected: Expectation, found: Iterable[Violation]) -> bool:
    """
    Whether an answer shows by itself that it is no documented error, where an error was asked for.
    """
    return expected.clause is clauses.ERROR_ON_DEMAND and any(each.clause in _OF_AN_ERROR for each in found)


def _misframed(reason: str, raw: bytes) -> Violation:
    """
    The violation of an answer that is no whole HTTP message, with what is wrong with it: what stands behind it, or all of it.
    """
    behind = _STRAY.match(reason)
    raw = raw[-int(behind[1]) :] if behind else raw
    return Violation(
        clause=clauses.RESPONSE_FRAMING, expected="one complete HTTP/1.1 message", actual=f"{reason}: '{excerpt(raw)}'"
    )


def _unanswered(transport: Transport, reason: str, deadline: Seconds) -> Violation:
    """
    The violation of no answer at all.
    """
    actual = f"none within {format_duration(deadline)}" if transport is Transport.DEADLINE else reason
    return Violation(clause=clauses.REQUEST_ANSWERED, expected="an answer", actual=actual)


def _internals(request: CheckRequest, answer: Answer) -> Iterable[Violation]:
    """
    The violation of an error that shows its reader the inside of the chain.
    """
    # What the request said itself may come back.
    told = repr((request.path, request.host, request.fields)) + (request.body or b"")[:_REPEATED].decode("latin-1")
    found = exposed_internals(answer, told)
    if found is not None:
        yield Violation(
            clause=clauses.NO_INTERNALS,
            expected="a message without a stack trace or source paths",
            actual=f"status {answer.status} with {found}",
        )


def _names_twice(request: CheckRequest, answer: Answer) -> Iterable[Violation]:
    """
    The violation of an answer that names a member twice of its own accord.
    """
    body = request.body or b""
    if answer.body == body or len(answer.body) > _LARGE:
        return
    if answer.status < 300 and not isinstance(parse_json(body), dict):
        return
    repeated = duplicate_names(answer.body)
    if set(repeated) - set(duplicate_names(body)):
        yield Violation(
            clause=clauses.UNIQUE_MEMBER_NAMES,
            expected="no name twice in an object",
            actual=f"status {answer.status}, a name twice: {json.dumps(repeated[0])[:60]}",
        )
