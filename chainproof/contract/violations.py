"""
The violations that a single answer shows.

Conformance tests every answer here, and so does the load test, at thousands of answers per second. Valid answers
therefore take a fast path.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from email.utils import parsedate_to_datetime

from chainproof.contract import clauses
from chainproof.contract.answer import REQUEST_ID_HEADER, Answer
from chainproof.contract.clauses import Clause
from chainproof.contract.deviations import ANY_OUTPUT, is_waived
from chainproof.contract.errors import DOCUMENTED_CODES, allowed_statuses, statuses
from chainproof.contract.levels import Contract, Level
from chainproof.json_text import InvalidJson, TooComplex, parse_json
from chainproof.stored_text import beginning, shortened

_REQUEST_ID = REQUEST_ID_HEADER.lower()
_MAX_QUOTED = 120
"""Characters of an answer that a violation quotes."""

SINGLETONS = frozenset(
    {"content-type", "content-length", "content-location", "date", "etag", "last-modified", "location", "retry-after"}
)
"""Response header fields, in lower case, that hold a single value, not a list (RFC 9110 §5.5, §8, §10.2)."""

_SECONDS = re.compile(r"[0-9]+")


@dataclass(frozen=True, slots=True, kw_only=True)
class Violation:
    """A clause that an answer breaks, with the expected and the actual value."""

    clause: Clause
    expected: str
    actual: str


def violations(answer: Answer, contract: Contract = Contract.STRICT) -> tuple[Violation, ...]:
    """
    Every violation that this answer of the operation shows, in the order of `clauses.SINGLE_ANSWER_CLAUSES`.

    The request must be a POST to the operation's path: the contract says nothing about other answers.
    """
    return () if is_plainly_valid(answer) else violations_with_body(answer, parse_json(answer.body), contract)


def violations_with_body(answer: Answer, value: object, contract: Contract) -> tuple[Violation, ...]:
    """The same of an answer whose body was parsed already; *value* is the result."""
    found = _strict_violations(answer, value, contract)
    return tuple(violation for violation in found if not is_waived(violation.clause, contract))


_PLAIN_FIELDS = frozenset({"content-type", "content-length", "date", "server", "connection", "transfer-encoding"})
"""Header fields, beside the request id, whose values need no test if each is sent once."""
_MAX_POSITIONS = 1000
_MAX_CACHED_NAMES = 2000
"""Characters of the names in one entry."""
_POSITIONS: dict[tuple[str, ...], tuple[int, int] | None] = {}


def is_plainly_valid(answer: Answer) -> bool:
    """True for a 200 that is valid in the most common way. Any other answer takes the slow path, and may be valid too."""
    if answer.status != 200:
        return False
    names = tuple([name for name, _ in answer.headers])
    try:
        positions = _POSITIONS[names]
    except KeyError:
        positions = _header_positions(names)
    if positions is None:
        return False
    media_type, request_id = positions
    if answer.headers[media_type][1] != "application/json" or not answer.headers[request_id][1].strip():
        return False
    return isinstance(parse_json(answer.body), dict)


def _header_positions(names: tuple[str, ...]) -> tuple[int, int] | None:
    """
    The positions of media type and request id; None if the fields need the slow path.

    The result is cached, since a target sends the same fields in the same order again and again.
    """
    lower = [name.lower() for name in names]
    plain = (
        set(lower) <= _PLAIN_FIELDS | {_REQUEST_ID}
        and len(set(lower)) == len(lower)
        and {"content-type", _REQUEST_ID} <= set(lower)
    )
    positions = (lower.index("content-type"), lower.index(_REQUEST_ID)) if plain else None
    if len(_POSITIONS) < _MAX_POSITIONS and sum(map(len, names)) <= _MAX_CACHED_NAMES:
        _POSITIONS[names] = positions
    return positions


def breaks_must_clause(found: tuple[Violation, ...]) -> bool:
    """True if an answer with these violations does not count as ok."""
    return any(violation.clause.level is Level.MUST for violation in found)


def error_code(answer: Answer) -> str | None:
    """The error code of an error as the target wrote it, documented or not; None for a 200 and if there is none."""
    if answer.status == 200:
        return None
    value = parse_json(answer.body)
    code = value.get("error_code") if isinstance(value, dict) else None
    # A lone surrogate is valid JSON but cannot be stored as UTF-8, so its escape sequence is stored.
    return code.encode("utf-8", "backslashreplace").decode() if isinstance(code, str) else None


def _strict_violations(answer: Answer, value: object, contract: Contract) -> Iterator[Violation]:
    """The violations without regard to waivers."""
    allowed = allowed_statuses(contract)
    if answer.status not in allowed:
        yield Violation(
            clause=clauses.STATUS,
            expected=f"status {', '.join(map(str, sorted(allowed)))}",
            actual=f"status {answer.status}",
        )  # no clause describes the body of an undocumented status
    elif answer.status < 300:
        yield from _output(answer, value, contract)
    else:
        yield from _error(answer, value, contract)
    yield from _fields(answer)
    yield from _request_id(answer)


STREAM_TYPES = frozenset({"application/octet-stream", "text/event-stream"})
"""Media types of chains that stream their output: its contents cannot be judged."""


def _output(answer: Answer, value: object, contract: Contract) -> Iterator[Violation]:
    """The violations in the body of a success."""
    if answer.media_type == "application/octet-stream" and ANY_OUTPUT.applies_to(contract):
        return
    if answer.media_type != "application/json":
        # Do not report the body as well: under another media type it need not be JSON.
        yield _media_type(clauses.OUTPUT_MEDIA_TYPE, answer)
        return
    if isinstance(value, InvalidJson):
        yield _malformed(clauses.OUTPUT_JSON, answer, value)
    elif not isinstance(value, dict | TooComplex):
        yield Violation(clause=clauses.OUTPUT_OBJECT, expected="a JSON object", actual=_kind(value, answer))


def _error(answer: Answer, value: object, contract: Contract) -> Iterator[Violation]:
    """The violations in the body of an error."""
    if answer.media_type != "application/json":
        yield _media_type(clauses.ERROR_MEDIA_TYPE, answer)
        return
    if isinstance(value, InvalidJson):
        yield _malformed(clauses.ERROR_JSON, answer, value)
        return
    if isinstance(value, TooComplex):
        return
    if not isinstance(value, dict):
        yield Violation(clause=clauses.ERROR_OBJECT, expected="a JSON object", actual=_kind(value, answer))
        return
    for member, clause in (("error", clauses.ERROR_MESSAGE), ("detail", clauses.ERROR_DETAIL)):
        if member in value and not isinstance(value[member], str):
            yield Violation(clause=clause, expected=f"a string as `{member}`", actual=_kind(value[member], answer))
    if "error_code" in value:
        yield from _error_code(value["error_code"], answer, contract)


def _error_code(code: object, answer: Answer, contract: Contract) -> Iterator[Violation]:
    """An undocumented code, or one with the wrong status. A missing code is no violation: the document does not require it."""
    if not isinstance(code, str) or code not in DOCUMENTED_CODES:
        yield Violation(
            clause=clauses.ERROR_CODE,
            expected=f"one of {', '.join(sorted(DOCUMENTED_CODES))}",
            actual=_quoted(repr(code)),
        )
    elif answer.status not in statuses(code, contract):
        row = ", ".join(map(str, sorted(statuses(code, contract))))
        yield Violation(
            clause=clauses.ERROR_CODE_STATUS,
            expected=f"`{code}` with status {row}",
            actual=f"`{code}` with status {answer.status}",
        )


def _fields(answer: Answer) -> Iterator[Violation]:
    """The violations of RFCs in the header fields."""
    names = [name.lower() for name, _ in answer.headers]
    if "retry-after" in names:
        yield from _retry_after(answer)
    if len(set(names)) < len(names):
        repeated = [
            f"{names.count(name)} × {name}"
            for name in dict.fromkeys(names)
            if name in SINGLETONS and names.count(name) > 1
        ]
        if repeated:
            yield Violation(
                clause=clauses.SINGLETON_FIELDS,
                expected="each of these header fields once",
                actual=f"status {answer.status}, {', '.join(repeated)}",
            )


def _retry_after(answer: Answer) -> Iterator[Violation]:
    """A Retry-After that is neither a number of seconds nor a date."""
    invalid = [
        value for value in answer.fields("retry-after") if not _SECONDS.fullmatch(value.strip()) and not _is_date(value)
    ]
    if invalid:
        yield Violation(
            clause=clauses.RETRY_AFTER,
            expected="a number of seconds or a date",
            actual=f"status {answer.status}, Retry-After: {_quoted(invalid[0])}",
        )


def _is_date(value: str) -> bool:
    """True if a field's value is a date in a form that recipients must accept (RFC 9110 §5.6.7)."""
    if len(value) > _MAX_QUOTED:
        return False
    try:
        parsedate_to_datetime(value)
    except (ValueError, OverflowError):
        return False
    return True


def _request_id(answer: Answer) -> Iterator[Violation]:
    """A missing, empty or repeated request id. An error may have none, with a warning."""
    values = answer.fields(REQUEST_ID_HEADER)
    if not values and answer.status >= 300:
        yield Violation(clause=clauses.REQUEST_ID_ON_ERRORS, expected=f"an {REQUEST_ID_HEADER}", actual="none")
    elif len(values) != 1 or not values[0].strip():
        actual = "none" if not values else "an empty value" if len(values) == 1 else f"{len(values)} values"
        yield Violation(clause=clauses.REQUEST_ID_PRESENT, expected=f"one non-empty {REQUEST_ID_HEADER}", actual=actual)


def _media_type(clause: Clause, answer: Answer) -> Violation:
    """The violation of an answer with another media type."""
    actual = answer.field("content-type")
    return Violation(
        clause=clause,
        expected="Content-Type: application/json",
        actual=f"status {answer.status} "
        + ("without Content-Type" if actual is None else f"with Content-Type {_quoted(actual)}")
        + (": the chain streams its output" if answer.status == 200 and answer.media_type in STREAM_TYPES else ""),
    )


def _malformed(clause: Clause, answer: Answer, reason: InvalidJson) -> Violation:
    """The violation of a body that is not valid JSON."""
    quoted = f": {beginning(answer.body, _MAX_QUOTED)!r}" if reason is not InvalidJson.EMPTY else ""
    return Violation(
        clause=clause, expected="a JSON text in UTF-8", actual=f"status {answer.status}, body is {reason.value}{quoted}"
    )


_KINDS: tuple[tuple[type, str], ...] = (
    (bool, "a boolean"),
    (dict, "an object"),
    (list, "an array"),
    (str, "a string"),
    (int, "a number"),
    (float, "a number"),
    (type(None), "null"),
)


def _kind(value: object, answer: Answer) -> str:
    """The type of a JSON value in words, after the status of its answer."""
    name = next(words for kind, words in _KINDS if isinstance(value, kind))
    return f"status {answer.status}, {name}"


def _quoted(text: str) -> str:
    """The start of a text, cut to the length that a violation quotes."""
    return shortened(text, _MAX_QUOTED)
