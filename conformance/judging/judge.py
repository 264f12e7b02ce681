"""
Judges one answer: which clauses it exercises, and which of them it violates.

`judge` is a pure function. It sends nothing and writes nothing; what earlier answers have shown comes in as `History`.
"""

from __future__ import annotations

import json
import re
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field, replace

from chainproof.clock import Seconds, format_duration
from chainproof.contract import clauses, http_clauses
from chainproof.contract.answer import Answer
from chainproof.contract.clauses import Clause
from chainproof.contract.deviations import is_waived
from chainproof.contract.errors import allowed_statuses
from chainproof.contract.judged_answer import coding_violations, exercised_clauses
from chainproof.contract.redaction import REDACTED
from chainproof.contract.violations import Violation, error_code, violations_with_body
from chainproof.json_text import JSON, InvalidJson, TooComplex, parse_json
from chainproof.results.exchange import Transport
from chainproof.stored_text import MAX_FOUND_LENGTH, shortened

from ..inputs.chain_schema import ANY_OBJECT
from ..transport.connection import TRAILING_BYTES, TransportResult
from ..transport.request import CheckRequest
from .allow_header import allow_header_violations, is_allow_header_due
from .auth_bypass_cause import AUTHENTICATION_CLAUSES
from .credential_leaks import has_secret, leak_locations, redact, redact_values
from .echo import RecentBodies, echo_violation
from .error_code_cause import error_code_violation
from .expectation import STEERING_HEADER, Expectation, Terms, excerpt
from .field_syntax import field_violations, has_judged_field
from .json_equality import duplicate_names
from .message_dates import has_date
from .request_ids import repeated_id_violation
from .stack_traces import exposed_internals

BUSY_STATUSES = frozenset({429, 502, 503, 504})
"""Statuses by which a target says that it could not process the request now, whatever the request was."""

HTTP_REJECTION_STATUSES = frozenset({400, 408, 411, 413, 414, 417, 421, 426, 429, 431, 501, 503, 505})
"""Statuses by which an HTTP server rejects a message before anybody reads its content."""

_INVALID_ERROR_CLAUSES = frozenset(
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
"""An answer that violates one of these is not a documented error."""

_DOUBTFUL_CODE_CLAUSES = _INVALID_ERROR_CLAUSES | {clauses.RESPONSE_FRAMING, clauses.STATUS}
"""An answer that violates one of these says nothing more with its code. Without a request id, say, it still does."""

_INVALID_OUTPUT_CLAUSES = frozenset(
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
"""An output that violates one of these is not compared with the input as well."""

_MAX_COMPARED_NAMES = 2**18
"""Bytes of an answer above which its member names are not compared."""

_MAX_REDACTED = 2**20
"""Bytes of a body above which it is not redacted as a whole."""

_MAX_COMPARED_BODY = 100_000
"""Bytes of a request's body that are searched for in an error."""

_INTERIM = re.compile(rb"\A(?:HTTP/1\.1 1\d\d[^\r]*\r\n(?:[^\r]+\r\n)*\r\n)+")
"""Interim answers, which say nothing about the final one."""

_TRAILING_BYTES = re.compile(rf"(\d+) bytes? {TRAILING_BYTES}")
"""How a framing error begins that says how many bytes follow an answer."""


@dataclass(frozen=True, slots=True, kw_only=True)
class AnswerHistory:
    """What earlier answers of the run have shown, as far as a further answer is judged by it."""

    recent_bodies: RecentBodies = field(default_factory=RecentBodies)
    has_repeated_request_id: bool = False
    """Whether another answer had this answer's request id."""
    date_violation: Violation | None = None
    """The violation of this answer's Date, if it is wrong."""
    conclusive: Collection[tuple[str, int]] = frozenset()
    """Pairs of clause id and busy status that are known to be about the request, see `is_busy`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Judgement:
    """The clauses that one answer exercises and violates. Waived clauses are left out, and credentials are redacted."""

    answer: Answer | None = None
    exercised: tuple[Clause, ...] = ()
    violations: tuple[Violation, ...] = ()
    rejected: Clause | None = None
    """
    The clause by which the request was rejected, as it has to be. It is not in `exercised`: the rejection shows something
    only if the unchanged request is accepted.
    """
    not_exercised: Mapping[Clause, str] = field(default_factory=dict)
    """Clauses that could not be judged, and why."""
    undecided: Mapping[Clause, str] = field(default_factory=dict)
    """Clauses that the run may not say are kept, and why: the answer does not keep them, but violates another one already."""
    auth_bypass: Violation | None = None
    """
    Set if wrong credentials were accepted; not in `violations`. `auth_bypass_cause` says which requests find the cause,
    and `with_bypass_cause` adds it.
    """
    is_counted: bool = False
    """Whether the answer counts in the run's statuses and error codes: it is the operation's own."""


def judge(
    request: CheckRequest,
    received: TransportResult,
    expected: Expectation | None,
    terms: Terms,
    history: AnswerHistory,
    *,
    deadline: Seconds,
) -> Judgement:
    """
    The judgement of what came back for one request.

    *expected* is None if any documented answer will do. A busy target's answer is not compared with what was expected.
    """
    draft = _Draft()
    _judge_transport(draft, request, received, deadline)
    _judge_content_coding(draft, request, received)
    if received.answer is None:
        draft.add(*_leaks(request, Answer(status=0, headers=(), body=received.raw), terms, is_redacted=True))
        return draft.judgement(request, terms)
    # Redaction changes an answer that has a part of the key by chance, such as the digits 12345678. So the answer is judged as it
    # came, and what leaves this function is redacted.
    answer = received.answer
    redacted = _redacted_answer(answer, request, terms)
    is_readable = not received.framing_error and not received.coding_error
    draft.exercise(clauses.NO_CREDENTIAL_LEAK)
    draft.add(*_leaks(request, answer, terms, is_redacted=redacted is not answer))
    if is_readable:
        _judge_message(draft, request, answer, history)
        if is_operation_answer(request, answer):
            _judge_operation_answer(draft, request, answer, terms)
            _judge_by_user(draft, request, answer, terms)
        if expected is None or expected.is_met_by(answer):
            _judge_echo(draft, request, answer, terms, history)
    # An unreadable answer has its violation already. If it accepts wrong credentials, that is another one.
    auth_bypass, found = None, len(draft.violations)
    if expected is not None and (is_readable or answer.is_success):
        auth_bypass = _judge_expected(draft, request, answer, expected, terms=terms, history=history)
    is_as_expected = auth_bypass is None and len(draft.violations) == found
    if is_as_expected and not draft.violates_any(_DOUBTFUL_CODE_CLAUSES):
        _judge_error_code(draft, request, answer, expected)
    judgement = draft.judgement(request, terms)
    is_counted = is_readable and is_operation_answer(request, answer)
    return replace(judgement, answer=redacted, auth_bypass=auth_bypass, is_counted=is_counted)


def with_bypass_cause(judgement: Judgement, cause: Violation, request: CheckRequest, terms: Terms) -> Judgement:
    """A judgement with the cause of its authentication bypass."""
    assert judgement.auth_bypass is not None
    clause = judgement.auth_bypass.clause
    added = _Draft()
    added.add(cause)
    if cause.clause is clause:
        added.exercise(clause)
    reported = added.judgement(request, terms)
    # If no credentials are needed, nothing is known about what a wrong key would have led to.
    masked = {} if cause.clause is clause else {clause: f"{cause.clause.id} is violated, so this cannot be judged"}
    return replace(
        judgement,
        exercised=judgement.exercised + reported.exercised,
        violations=judgement.violations + reported.violations,
        not_exercised=masked,
        auth_bypass=None,
    )


def is_busy(answer: Answer | None, expected: Expectation | None, conclusive: Collection[tuple[str, int]]) -> bool:
    """
    True if an answer says that the target was busy, so that nothing is known about what was expected.

    *conclusive* are pairs of clause id and status that other requests have shown to be about the request itself.
    """
    if answer is None or expected is None or answer.status not in BUSY_STATUSES or expected.is_met_by(answer):
        return False
    return (expected.clause.id, answer.status) not in conclusive


def is_invalid_error(expected: Expectation, found: Iterable[Violation]) -> bool:
    """True if an error was asked for, and the answer is not a documented error at all."""
    return expected.clause is clauses.ERROR_ON_DEMAND and any(each.clause in _INVALID_ERROR_CLAUSES for each in found)


def request_secrets(request: CheckRequest, terms: Terms) -> tuple[str, ...]:
    """Texts that no answer may repeat: the key, the secret that the request makes from it, and values of added headers."""
    own = (request.secret.text,) if request.secret else ()
    return tuple(dict.fromkeys((terms.key.reveal(), *own, *terms.other_secrets)))


def misframed(reason: str, raw: bytes) -> Violation:
    """The violation of an answer that is not one complete HTTP message. It quotes the bytes that follow it, or all of them."""
    trailing = _TRAILING_BYTES.match(reason)
    raw = raw[-int(trailing[1]) :] if trailing else raw
    return Violation(
        clause=clauses.RESPONSE_FRAMING, expected="one complete HTTP/1.1 message", actual=f"{reason}: '{excerpt(raw)}'"
    )


@dataclass(slots=True)
class _Draft:
    """A judgement in the making."""

    exercised: list[Clause] = field(default_factory=list)
    violations: list[Violation] = field(default_factory=list)
    rejected: Clause | None = None
    undecided: dict[Clause, str] = field(default_factory=dict)

    def exercise(self, *exercised: Clause) -> None:
        """Add clauses that the answer exercises."""
        self.exercised += exercised

    def add(self, *found: Violation) -> None:
        """Add violations."""
        self.violations += found

    def violates_any(self, of: Collection[Clause]) -> bool:
        """Whether one of some clauses is violated."""
        return any(each.clause in of for each in self.violations)

    def judgement(self, request: CheckRequest, terms: Terms) -> Judgement:
        """The judgement, without waived clauses and without credentials."""
        secrets = request_secrets(request, terms)
        return Judgement(
            exercised=tuple(clause for clause in self.exercised if not is_waived(clause, terms.contract)),
            violations=tuple(
                replace(each, actual=redact(shortened(each.actual, 2 * MAX_FOUND_LENGTH), secrets, REDACTED))
                for each in self.violations
                if not is_waived(each.clause, terms.contract)
            ),
            rejected=None if self.rejected is None or is_waived(self.rejected, terms.contract) else self.rejected,
            undecided=self.undecided,
        )


def is_operation_answer(request: CheckRequest, answer: Answer) -> bool:
    """True if the operation itself has to answer, and not the HTTP server before it."""
    return request.is_for_operation and not (request.has_no_length and answer.status == 411)


def _redacted_answer(answer: Answer, request: CheckRequest, terms: Terms) -> Answer:
    """
    The answer without credentials, as it may be shown and stored.

    The same object is returned if there are none. A long body is left as it is, because this takes time. What a finding quotes
    of it is redacted in any case.
    """
    secrets = request_secrets(request, terms)
    body = answer.body
    if len(body) <= _MAX_REDACTED:
        if not has_secret(answer, secrets):
            return answer
        body = redact(body.decode("latin-1"), secrets, REDACTED).encode("latin-1")
    values = redact_values([value for _, value in answer.headers], secrets, REDACTED)
    fields = tuple(
        (name, value) for (name, _), value in zip(answer.headers, values, strict=False)
    )  # without fields there is one empty text
    return replace(answer, body=body, headers=fields)


def _judge_transport(draft: _Draft, request: CheckRequest, received: TransportResult, deadline: Seconds) -> None:
    """Judge whether one complete HTTP message came back."""
    draft.exercise(clauses.REQUEST_ANSWERED)
    if received.raw:
        draft.exercise(clauses.RESPONSE_FRAMING)
    if received.framing_error or (received.raw and received.transport is Transport.CONNECTION_LOST):
        draft.add(misframed(received.framing_error or received.reason, received.raw))
    elif received.answer is None and received.transport is not Transport.ANSWERED and request.is_valid:
        is_late = received.transport is Transport.DEADLINE
        part = "only a part of one" if _INTERIM.sub(b"", received.raw) else "none"
        actual = f"{part} within {format_duration(deadline)}" if is_late else received.reason
        draft.add(Violation(clause=clauses.REQUEST_ANSWERED, expected="an answer", actual=actual))


def _judge_content_coding(draft: _Draft, request: CheckRequest, received: TransportResult) -> None:
    """Judge the content coding of a body against its Content-Encoding and the request's Accept-Encoding."""
    if received.answer is not None and (request.values("accept-encoding") or received.coding_error):
        draft.exercise(clauses.CONTENT_CODING, http_clauses.ACCEPT_ENCODING)
    draft.add(*coding_violations(received.coding_error, received.warning))


def _judge_message(draft: _Draft, request: CheckRequest, answer: Answer, history: AnswerHistory) -> None:
    """Judge what every HTTP server has to keep, also for requests that are not for the operation."""
    if is_allow_header_due(request, answer):
        draft.exercise(clauses.ALLOW_HEADER)
        draft.add(*allow_header_violations(request, answer))
    if answer.status >= 400:
        draft.exercise(clauses.NO_INTERNALS)
        draft.add(*_internals(request, answer))
    if history.has_repeated_request_id:
        draft.add(repeated_id_violation(answer))
    if has_judged_field(answer):
        draft.exercise(clauses.FIELD_SYNTAX, clauses.FIELD_CONVENTIONS)
        draft.add(*field_violations(answer))
    if has_date(answer):
        draft.exercise(clauses.DATE_ACCURATE)
    if history.date_violation is not None:
        draft.add(history.date_violation)


def _judge_operation_answer(draft: _Draft, request: CheckRequest, answer: Answer, terms: Terms) -> None:
    """Judge an answer of the operation by everything that it shows without an expectation."""
    value = parse_json(answer.body)
    draft.exercise(*exercised_clauses(answer, value, terms.contract))
    if answer.request_id:
        draft.exercise(clauses.REQUEST_ID_UNIQUE)
    draft.add(*violations_with_body(answer, value, terms.contract))
    if answer.status == 200 and not isinstance(value, InvalidJson | TooComplex):
        _judge_output(draft, value, terms)
    if isinstance(value, dict | list) and answer.media_type == "application/json":
        draft.exercise(clauses.UNIQUE_MEMBER_NAMES)
        draft.add(*_duplicate_members(request, answer))


def _judge_output(draft: _Draft, value: JSON, terms: Terms) -> None:
    """Judge an output by the chain's schema, if that is known. An output that is no object has its violation already."""
    schema = ANY_OBJECT if terms.echo and terms.output_schema is None else terms.output_schema
    if schema is None or draft.violates_any({clauses.OUTPUT_OBJECT}):
        return
    draft.exercise(clauses.OUTPUT_SCHEMA)
    errors = schema.errors(value)
    if errors:
        expected = f"an output that matches {schema.source}"
        draft.add(
            Violation(clause=clauses.OUTPUT_SCHEMA, expected=expected, actual=f"one that does not: {'; '.join(errors)}")
        )


def _judge_by_user(draft: _Draft, request: CheckRequest, answer: Answer, terms: Terms) -> None:
    """Judge an output by the user's check, if there is one. Raises UserCheckError."""
    if terms.user_check is None or answer.status != 200 or draft.violates_any(_INVALID_OUTPUT_CLAUSES):
        return
    payload, output = parse_json(request.body or b""), parse_json(answer.body)
    if not isinstance(payload, dict) or not isinstance(output, dict):
        return
    draft.exercise(clauses.USER_CHECK)
    violation = terms.user_check.violation(payload, answer)
    if violation is not None:
        draft.add(violation)


def _judge_echo(draft: _Draft, request: CheckRequest, answer: Answer, terms: Terms, history: AnswerHistory) -> None:
    """Judge whether an echo chain returned the object that it was sent. Without the right key it should not have run."""
    is_authentic = request.values("authorization") == (terms.key.authorization,)
    has_echo = terms.echo and request.is_for_operation and answer.status == 200 and is_authentic
    if not has_echo or not isinstance(parse_json(request.body or b""), dict):
        return
    if draft.violates_any(_INVALID_OUTPUT_CLAUSES):
        return
    draft.exercise(clauses.ECHO_EXACT, clauses.ANSWER_MATCHES_REQUEST)
    violation = echo_violation(request.body or b"", answer.body, history.recent_bodies)
    if violation is not None:
        draft.add(violation)


def _judge_expected(
    draft: _Draft, request: CheckRequest, answer: Answer, expected: Expectation, *, terms: Terms, history: AnswerHistory
) -> Violation | None:
    """Judge the answer by what was expected. Returns the violation instead of adding it if its cause has to be found."""
    if is_invalid_error(expected, draft.violations) or is_busy(answer, expected, history.conclusive):
        return None
    if _is_rejected_otherwise(request, answer, expected, terms):
        draft.rejected = expected.clause
        return None
    is_undocumented = request.is_for_operation and answer.status not in allowed_statuses(terms.contract)
    is_refused_input = is_undocumented and expected.clause is clauses.OBJECT_ACCEPTED and not answer.is_success
    if is_refused_input and terms.is_status_accepted:
        is_undocumented = False  # no finding would fail the run otherwise
    if is_undocumented and not (expected.violated_by_request and answer.is_success):
        if is_refused_input:
            draft.undecided[expected.clause] = _REFUSED_INPUT
        return None  # it violates the status clause already
    violation = expected.violation(answer)
    if violation is not None and violation.clause in AUTHENTICATION_CLAUSES and answer.is_success:
        return violation
    if expected.clause in AUTHENTICATION_CLAUSES and request.is_for_operation:
        draft.exercise(clauses.UNAUTHORIZED_STATUS)
    if violation is None and expected.is_rejection:
        draft.rejected = expected.clause
        return None
    draft.exercise(expected.clause)
    if violation is not None:
        draft.add(_without_bypass(violation, answer))
    return None


_REFUSED_INPUT = "valid inputs were answered with an undocumented error, see `status`"


def _without_bypass(violation: Violation, answer: Answer) -> Violation:
    """The violation of a rejection with another status than 401. No caller got access, so it is no violation of authentication."""
    if violation.clause not in AUTHENTICATION_CLAUSES or not 400 <= answer.status < 500:
        return violation
    return replace(
        violation,
        clause=clauses.UNAUTHORIZED_STATUS,
        expected=f"{violation.expected} to a request whose credentials alone are wrong",
    )


_OTHER_REJECTIONS = frozenset({406, 409, 411, 413, 415, 422})
"""Undocumented statuses that reject a body nevertheless. An authentication clause has to be named by 401."""


def _is_rejected_otherwise(request: CheckRequest, answer: Answer, expected: Expectation, terms: Terms) -> bool:
    """True if a body is rejected as it has to be, but with a status that the contract does not have."""
    return (
        request.is_for_operation
        and expected.is_rejection
        and AUTHENTICATION_CLAUSES.isdisjoint(expected.violated_by_request)
        and answer.status in _OTHER_REJECTIONS
        and answer.status not in allowed_statuses(terms.contract)
    )


def _judge_error_code(draft: _Draft, request: CheckRequest, answer: Answer, expected: Expectation | None) -> None:
    """Judge an error's code by what was wrong with the request. Call it only if the error is readable and expected."""
    if error_code(answer) is None or not request.is_for_operation or request.values(STEERING_HEADER):
        return
    draft.exercise(clauses.ERROR_CODE_CAUSE)
    violation = error_code_violation(request, answer, expected.violated_by_request if expected is not None else ())
    if violation is not None:
        draft.add(violation)


def _leaks(request: CheckRequest, answer: Answer, terms: Terms, *, is_redacted: bool) -> Iterable[Violation]:
    """The violation of an answer that repeats the client's credentials, unless the client sent them in the body or the path."""
    sent = (request.body or b"") + request.path.encode("latin-1")
    is_ours = request.secret is not None and not request.secret.from_target
    # A target may repeat the value of an added header, such as a trace id.
    secrets = (terms.key.reveal(), *((request.secret.text,) if is_ours and request.secret is not None else ()))
    found = leak_locations(answer, secrets, sent, is_redacted=is_redacted)
    # A server that cannot parse a message may quote the line it could not parse.
    if found and request.is_valid:
        yield Violation(
            clause=clauses.NO_CREDENTIAL_LEAK,
            expected="an answer without the client's credentials",
            actual=f"status {answer.status}, the credentials in {', '.join(dict.fromkeys(found))}"
            if answer.status
            else "the credentials in an answer that cannot be read",
        )


def _internals(request: CheckRequest, answer: Answer) -> Iterable[Violation]:
    """The violation of an error that exposes the chain's internals."""
    # An error may quote the request.
    sent = repr((request.path, request.host, request.fields))
    sent += (request.body or b"")[:_MAX_COMPARED_BODY].decode("latin-1")
    found = exposed_internals(answer, sent)
    if found is not None:
        yield Violation(
            clause=clauses.NO_INTERNALS,
            expected="a message without a stack trace or source paths",
            actual=f"status {answer.status} with {found}",
        )


def _duplicate_members(request: CheckRequest, answer: Answer) -> Iterable[Violation]:
    """The violation of an answer with a duplicate member name that the request does not have."""
    body = request.body or b""
    if answer.body == body or len(answer.body) > _MAX_COMPARED_NAMES:
        return
    if answer.status < 300 and not isinstance(parse_json(body), dict):
        return
    repeated = duplicate_names(answer.body)
    if set(repeated) - set(duplicate_names(body)):
        yield Violation(
            clause=clauses.UNIQUE_MEMBER_NAMES,
            expected="unique member names in each object",
            actual=f"status {answer.status}, a duplicate name: {json.dumps(repeated[0])[:60]}",
        )
