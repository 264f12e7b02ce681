"""
Judge an answer of the operation: what it is without its content coding, which clauses it exercises and which it violates.

Load tests judge every answer here; conformance uses the same functions and adds what it expects of each request.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

from chainproof.contract import clauses, http_clauses
from chainproof.contract.answer import Answer
from chainproof.contract.content_coding import decode_answer
from chainproof.contract.errors import DOCUMENTED_CODES, allowed_statuses
from chainproof.contract.levels import Clause, Contract
from chainproof.contract.violations import Violation, is_plainly_valid, violations_with_body
from chainproof.json_text import InvalidJson, TooComplex, parse_json

_ANY_STATUS = (clauses.STATUS, clauses.REQUEST_ID_PRESENT, clauses.SINGLETON_FIELDS)
_ERROR_MEMBERS = {
    "error": clauses.ERROR_MESSAGE,
    "error_code": clauses.ERROR_CODE,
    "detail": clauses.ERROR_DETAIL,
}

OF_OUTPUTS = (*_ANY_STATUS, clauses.OUTPUT_MEDIA_TYPE, clauses.OUTPUT_JSON, clauses.OUTPUT_OBJECT)
"""The clauses that an ordinary 200 exercises."""

_BODY_CLAUSES = frozenset(
    {
        clauses.OUTPUT_JSON,
        clauses.OUTPUT_OBJECT,
        clauses.ERROR_JSON,
        clauses.ERROR_OBJECT,
        clauses.ERROR_MESSAGE,
        clauses.ERROR_CODE,
        clauses.ERROR_CODE_STATUS,
        clauses.ERROR_DETAIL,
    }
)
"""Clauses that cannot be judged if the body cannot be decoded."""


class JudgedAnswer(NamedTuple):
    """An answer without its content coding, and what it shows."""

    # A tuple, because load tests make one for every answer that differs from earlier ones.

    answer: Answer
    """As received if it cannot be decoded."""
    exercised: tuple[Clause, ...] = OF_OUTPUTS
    violations: tuple[Violation, ...] = ()
    is_readable: bool = True
    """False if the body cannot be decoded, so that nothing is known about it."""


def judge_answer(answer: Answer, contract: Contract) -> JudgedAnswer:
    """The judgement of an answer to a POST of the operation without Accept-Encoding."""
    if is_plainly_valid(answer):
        return JudgedAnswer(answer)
    if answer.field("content-encoding") is None:
        return _judged(answer, contract)
    decoded = decode_answer(answer)
    judged = _judged(decoded.answer or answer, contract)
    is_readable = decoded.answer is not None and not decoded.coding_error
    exercised, found = judged.exercised, judged.violations
    if not is_readable:
        exercised = tuple(clause for clause in exercised if clause not in _BODY_CLAUSES)
        found = tuple(violation for violation in found if violation.clause not in _BODY_CLAUSES)
    found = (*coding_violations(decoded.coding_error, decoded.warning), *found)
    return JudgedAnswer(judged.answer, (*exercised, clauses.CONTENT_CODING), found, is_readable)


def _judged(answer: Answer, contract: Contract) -> JudgedAnswer:
    """The judgement of an answer without a content coding."""
    value = parse_json(answer.body)
    return JudgedAnswer(
        answer, exercised_clauses(answer, value, contract), violations_with_body(answer, value, contract)
    )


def exercised_clauses(answer: Answer, value: object, contract: Contract) -> tuple[Clause, ...]:
    """
    The clauses that an answer of the operation exercises; *value* is its parsed body.

    They are those that `violations_with_body` judges: of a body that is not JSON by its Content-Type none on its contents, and of
    an undocumented status none on its body.
    """
    common = _ANY_STATUS if answer.field("retry-after") is None else (*_ANY_STATUS, clauses.RETRY_AFTER)
    if answer.status >= 300:
        common = (*common, clauses.REQUEST_ID_ON_ERRORS)
    if answer.status not in allowed_statuses(contract):
        return common
    of_body = _of_output if answer.status < 300 else _of_error
    return (*common, *of_body(value, is_json=answer.media_type == "application/json"))


def _of_output(value: object, *, is_json: bool) -> Iterator[Clause]:
    """The clauses that the body of a success exercises."""
    yield clauses.OUTPUT_MEDIA_TYPE
    if not is_json or isinstance(value, TooComplex):
        return
    yield clauses.OUTPUT_JSON
    if not isinstance(value, InvalidJson):
        yield clauses.OUTPUT_OBJECT


def _of_error(value: object, *, is_json: bool) -> Iterator[Clause]:
    """The clauses that the body of an error exercises."""
    yield clauses.ERROR_MEDIA_TYPE
    if not is_json or isinstance(value, TooComplex):
        return
    yield clauses.ERROR_JSON
    if isinstance(value, InvalidJson):
        return
    yield clauses.ERROR_OBJECT
    members = value if isinstance(value, dict) else {}
    yield from (_ERROR_MEMBERS[name] for name in members if name in _ERROR_MEMBERS)
    code = members.get("error_code")
    if isinstance(code, str) and code in DOCUMENTED_CODES:
        yield clauses.ERROR_CODE_STATUS


def coding_violations(coding_error: str, warning: str) -> Iterator[Violation]:
    """The violations in the content coding of a body, from its error and its warning (empty for none)."""
    if coding_error:
        expected = "a body coded as Content-Encoding says, and as the request accepts"
        yield Violation(clause=clauses.CONTENT_CODING, expected=expected, actual=coding_error)
    if warning:
        expected = "a content coding that the request names, or none"
        yield Violation(clause=http_clauses.ACCEPT_ENCODING, expected=expected, actual=warning)
