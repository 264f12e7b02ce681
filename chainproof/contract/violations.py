"""
What any single answer reveals, in any tool and at any rate.

Conformance holds every answer it provokes against these clauses, and so does the load test at thousands a second: hence
one function, plain values, and a short way through for the answer that is as it should be.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from email.utils import parsedate_to_datetime

from chainproof.contract import clauses
from chainproof.contract.answer import REQUEST_ID_HEADER, Answer
from chainproof.contract.clauses import Clause
from chainproof.contract.deviations import is_waived
from chainproof.contract.errors import DOCUMENTED_CODES, allowed_statuses, statuses
from chainproof.contract.levels import Contract, Level
from chainproof.json_text import InvalidJson, TooDeep, parse_json

_REQUEST_ID = REQUEST_ID_HEADER.lower()
_SHOWN = 120
"""Characters of an answer that a violation repeats."""

SINGLETONS = frozenset(
    {"content-type", "content-length", "content-location", "date", "etag", "last-modified", "location", "retry-after"}
)
"""Response header fields, in lower case, that hold one value and no list (RFC 9110 §5.5, §8, §10.2)."""

_SECONDS = re.compile(r"[0-9]+")


@dataclass(frozen=True, slots=True, kw_only=True)
class Violation:
    """
    Where an answer left the contract: expected, actual.
    """

    clause: Clause
    expected: str
    actual: str


def violations(answer: Answer, contract: Contract = Contract.STRICT) -> tuple[Violation, ...]:
    """
    Every clause that this one answer of the operation breaks, in the order of `clauses.SINGLE_ANSWER_CLAUSES`.

    The answer must be one of the operation itself (POST to its path): what a server says elsewhere is its own affair.
    """
    if answer.status == 200 and _plainly_right(answer):
        return ()
    return tuple(found for found in _departures(answer, contract) if not is_waived(found.clause, contract))


_PLAIN_FIELDS = frozenset({"content-type", "content-length", "date", "server", "connection", "transfer-encoding"})
"""Fields beside the request id that are right whatever they say, where each comes once and the answer was read."""
_MOST_PLACES = 1000
_PLACES: dict[tuple[str, ...], tuple[int, int] | None] = {}


def _plainly_right(answer: Answer) -> bool:
    """
    Whether a 200 is as it should be at a glance. Most are; any other is looked at closely, and may be right as well.
    """
    names = tuple([name for name, _ in answer.headers])
    try:
        places = _PLACES[names]
    except KeyError:
        places = _places(names)
    if places is None:
        return False
    media_type, request_id = places
    if answer.headers[media_type][1] != "application/json" or not answer.headers[request_id][1].strip():
        return False
    return isinstance(parse_json(answer.body), dict)


def _places(names: tuple[str, ...]) -> tuple[int, int] | None:
    """
    Where media type and request id stand among fields that are all plain; None when they are not.

    A target sends the same fields in the same order again and again: what is found is remembered.
    """
    lower = [name.lower() for name in names]
    plain = (
        set(lower) <= _PLAIN_FIELDS | {_REQUEST_ID}
        and len(set(lower)) == len(lower)
        and {"content-type", _REQUEST_ID} <= set(lower)
    )
    found = (lower.index("content-type"), lower.index(_REQUEST_ID)) if plain else None
    if len(_PLACES) < _MOST_PLACES:
        _PLACES[names] = found
    return found


def breaks_must_clause(found: tuple[Violation, ...]) -> bool:
    """
    Whether an answer with these violations cannot count as ok.
    """
    return any(violation.clause.level is Level.MUST for violation in found)


def error_code(answer: Answer) -> str | None:
    """
    The error code of an error answer as the target spelled it, documented or not; None for a 200 and where none is named.
    """
    if answer.status == 200:
        return None
    value = parse_json(answer.body)
    code = value.get("error_code") if isinstance(value, dict) else None
    # Half a surrogate pair is JSON, and cannot be stored as UTF-8: it is kept as it is escaped.
    return code.encode("utf-8", "backslashreplace").decode() if isinstance(code, str) else None


def _departures(answer: Answer, contract: Contract) -> Iterator[Violation]:
    """
    The violations before any waiver.
    """
    allowed = allowed_statuses(contract)
    if answer.status not in allowed:
        yield Violation(
            clause=clauses.STATUS,
            expected=f"one of {', '.join(map(str, sorted(allowed)))}",
            actual=str(answer.status),
        )  # what has no documented status has no documented shape either: its status says all that is wrong with it
    elif answer.status < 300:
        yield from _output(answer)
    else:
        yield from _error(answer, contract)
    yield from _fields(answer)
    yield from _request_id(answer)


def _output(answer: Answer) -> Iterator[Violation]:
    """
    The clauses of a success.
    """
    if answer.media_type != "application/json":
        # What says it is something else need not be JSON: one violation, not two.
        yield _media_type(clauses.OUTPUT_MEDIA_TYPE, answer)
        return
    value = parse_json(answer.body)
    if isinstance(value, InvalidJson):
        yield _malformed(clauses.OUTPUT_JSON, answer, value)
    elif not isinstance(value, dict | TooDeep):
        yield Violation(clause=clauses.OUTPUT_OBJECT, expected="a JSON object", actual=_kind(value, answer))


def _error(answer: Answer, contract: Contract) -> Iterator[Violation]:
    """
    The clauses of an error.
    """
    if answer.media_type != "application/json":
        yield _media_type(clauses.ERROR_MEDIA_TYPE, answer)
        return
    value = parse_json(answer.body)
    if isinstance(value, InvalidJson):
        yield _malformed(clauses.ERROR_JSON, answer, value)
        return
    if isinstance(value, TooDeep):
        return
    if not isinstance(value, dict):
        yield Violation(clause=clauses.ERROR_OBJECT, expected="a JSON object", actual=_kind(value, answer))
        return
    for member, clause in (("error", clauses.ERROR_MESSAGE), ("detail", clauses.ERROR_DETAIL)):
        if member in value and not isinstance(value[member], str):
            yield Violation(clause=clause, expected=f"`{member}` is a string", actual=_kind(value[member], answer))
    if "error_code" in value:
        yield from _error_code(value["error_code"], answer, contract)


def _error_code(code: object, answer: Answer, contract: Contract) -> Iterator[Violation]:
    """
    A code of the ten, with a status of its row. An absent code is no violation: the document requires none.
    """
    if not isinstance(code, str) or code not in DOCUMENTED_CODES:
        yield Violation(
            clause=clauses.ERROR_CODE,
            expected=f"one of {', '.join(sorted(DOCUMENTED_CODES))}",
            actual=_shown(repr(code)),
        )
    elif answer.status not in statuses(code, contract):
        row = ", ".join(map(str, sorted(statuses(code, contract))))
        yield Violation(
            clause=clauses.ERROR_CODE_STATUS,
            expected=f"`{code}` with status {row}",
            actual=f"`{code}` with status {answer.status}",
        )


def _fields(answer: Answer) -> Iterator[Violation]:
    """
    Header fields whose form an RFC lays down.
    """
    names = [name.lower() for name, _ in answer.headers]
    if "retry-after" in names:
        yield from _retry_after(answer)
    if len(set(names)) < len(names):
        repeated = [
            f"{names.count(name)} times {name}"
            for name in dict.fromkeys(names)
            if names.count(name) > 1 and name in SINGLETONS
        ]
        if repeated:
            yield Violation(
                clause=clauses.SINGLETON_FIELDS,
                expected="each of these fields once",
                actual=f"status {answer.status}, {', '.join(repeated)}",
            )


def _retry_after(answer: Answer) -> Iterator[Violation]:
    """
    When to come back, in one of two forms.
    """
    wrong = [
        value for value in answer.fields("retry-after") if not _SECONDS.fullmatch(value.strip()) and not _is_date(value)
    ]
    if wrong:
        yield Violation(
            clause=clauses.RETRY_AFTER,
            expected="a number of seconds or a date",
            actual=f"status {answer.status}, Retry-After: {_shown(wrong[0])}",
        )


def _is_date(value: str) -> bool:
    """
    Whether a field's value is an instant, in any of the forms that RFC 9110 §5.6.7 has recipients take.
    """
    try:
        parsedate_to_datetime(value)
    except ValueError:
        return False
    return True


def _request_id(answer: Answer) -> Iterator[Violation]:
    """
    Exactly one, and not empty; an error may do without.
    """
    values = answer.fields(REQUEST_ID_HEADER)
    if not values and answer.status >= 300:
        yield Violation(clause=clauses.REQUEST_ID_ON_ERRORS, expected=f"a {REQUEST_ID_HEADER}", actual="none")
    elif len(values) != 1 or not values[0].strip():
        actual = "none" if not values else "an empty one" if len(values) == 1 else f"{len(values)} of them"
        yield Violation(clause=clauses.REQUEST_ID_PRESENT, expected=f"one non-empty {REQUEST_ID_HEADER}", actual=actual)


def _media_type(clause: Clause, answer: Answer) -> Violation:
    """
    The violation of an answer under another media type.
    """
    actual = answer.field("content-type")
    return Violation(
        clause=clause,
        expected="Content-Type: application/json",
        actual=f"status {answer.status} " + ("without Content-Type" if actual is None else f"as {_shown(actual)}"),
    )


def _malformed(clause: Clause, answer: Answer, why: InvalidJson) -> Violation:
    """
    The violation of a body that is no JSON text.
    """
    quoted = f": {_shown(answer.body.decode('utf-8', 'replace'))!r}" if answer.body.strip() else ""
    return Violation(
        clause=clause, expected="a JSON text in UTF-8", actual=f"status {answer.status}, body {why.value}{quoted}"
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
    """
    What a JSON value is, in words, with the status it came with.
    """
    name = next(words for kind, words in _KINDS if isinstance(value, kind))
    return f"status {answer.status}, {name}"


def _shown(text: str) -> str:
    """
    As much of a text as a violation repeats.
    """
    return text if len(text) <= _SHOWN else text[: _SHOWN - 1] + "…"
