"""Tells which clauses an answer exercises, whatever was expected of it."""

from __future__ import annotations

from chainproof.contract import clauses
from chainproof.contract.answer import Answer
from chainproof.contract.clauses import Clause
from chainproof.contract.errors import DOCUMENTED_CODES
from chainproof.json_text import TooComplex

_ANY_STATUS = (clauses.STATUS, clauses.REQUEST_ID_PRESENT, clauses.SINGLETON_FIELDS)
_OUTPUT = (clauses.OUTPUT_MEDIA_TYPE, clauses.OUTPUT_JSON, clauses.OUTPUT_OBJECT)
_ERROR = (
    clauses.ERROR_MEDIA_TYPE,
    clauses.ERROR_JSON,
    clauses.ERROR_OBJECT,
    clauses.REQUEST_ID_ON_ERRORS,
)
_ERROR_MEMBERS = {
    "error": clauses.ERROR_MESSAGE,
    "error_code": clauses.ERROR_CODE,
    "detail": clauses.ERROR_DETAIL,
}

OF_OUTPUTS = _ANY_STATUS + _OUTPUT
"""The clauses that an ordinary 200 exercises."""


def exercised_clauses(answer: Answer, value: object) -> tuple[Clause, ...]:
    """
    The clauses that an answer of the operation exercises; *value* is its parsed body.

    A body that is too complex to parse exercises no clause on its contents.
    """
    common = _ANY_STATUS if answer.field("retry-after") is None else (*_ANY_STATUS, clauses.RETRY_AFTER)
    if 200 <= answer.status < 300:
        return (*common, clauses.OUTPUT_MEDIA_TYPE) if isinstance(value, TooComplex) else common + _OUTPUT
    if answer.status < 400:
        return (*common, clauses.REQUEST_ID_ON_ERRORS)
    if isinstance(value, TooComplex):
        return (*common, clauses.ERROR_MEDIA_TYPE, clauses.REQUEST_ID_ON_ERRORS)
    members = value if isinstance(value, dict) else {}
    exercised = common + _ERROR + tuple(_ERROR_MEMBERS[name] for name in members if name in _ERROR_MEMBERS)
    code = members.get("error_code")
    return (*exercised, clauses.ERROR_CODE_STATUS) if isinstance(code, str) and code in DOCUMENTED_CODES else exercised
