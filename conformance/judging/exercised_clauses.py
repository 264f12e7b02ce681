"""Tells which clauses an answer exercises, whatever was expected of it."""

from __future__ import annotations

from chainproof.contract import clauses
from chainproof.contract.answer import Answer
from chainproof.contract.clauses import Clause

EVERY_ANSWER_CLAUSES: tuple[Clause, ...] = (
    *clauses.SINGLE_ANSWER_CLAUSES,
    clauses.OUTPUT_SCHEMA,
    clauses.UNIQUE_MEMBER_NAMES,
    clauses.NO_CREDENTIAL_LEAK,
    clauses.NO_INTERNALS,
    clauses.ALLOW_HEADER,
    clauses.FIELD_SYNTAX,
    clauses.FIELD_CONVENTIONS,
    clauses.RESPONSE_FRAMING,
    clauses.REQUEST_ANSWERED,
)
"""The clauses by which every answer that exercises them is judged, whichever check sent the request."""

_ANY_STATUS = (clauses.STATUS, clauses.REQUEST_ID_PRESENT, clauses.SINGLETON_FIELDS)
_OUTPUT = (clauses.OUTPUT_MEDIA_TYPE, clauses.OUTPUT_JSON, clauses.OUTPUT_OBJECT)
_ERROR = (
    clauses.ERROR_MEDIA_TYPE,
    clauses.ERROR_JSON,
    clauses.ERROR_OBJECT,
    clauses.NO_INTERNALS,
    clauses.REQUEST_ID_ON_ERRORS,
)
_ERROR_MEMBERS = {
    "error": (clauses.ERROR_MESSAGE,),
    "error_code": (clauses.ERROR_CODE, clauses.ERROR_CODE_STATUS),
    "detail": (clauses.ERROR_DETAIL,),
}


def exercised_clauses(answer: Answer, value: object) -> tuple[Clause, ...]:
    """The clauses that an answer of the operation exercises; *value* is its parsed body."""
    common = _ANY_STATUS if answer.field("retry-after") is None else (*_ANY_STATUS, clauses.RETRY_AFTER)
    if 200 <= answer.status < 300:
        return common + _OUTPUT
    if answer.status < 400:
        return common
    members = value if isinstance(value, dict) else {}
    return common + _ERROR + tuple(clause for name in members for clause in _ERROR_MEMBERS.get(name, ()))
