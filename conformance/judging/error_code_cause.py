"""
Whether an error's code says what was wrong with the request.

The document describes the code as machine-readable and pairs it with nothing. A caller branches on it all the same: a code
that names another cause than the one there was sends it the wrong way. A code that is absent is always right.
"""

from __future__ import annotations

from collections.abc import Mapping

from chainproof.contract import clauses
from chainproof.contract.answer import Answer
from chainproof.contract.clauses import Clause
from chainproof.contract.errors import DOCUMENTED_CODES, ErrorCode
from chainproof.contract.violations import Violation, error_code

from ..transport.request import CheckRequest

LARGE_BODY = 10_000
"""Bytes of a body that may be called too large by whoever likes them small."""

_OF_CREDENTIALS = frozenset({ErrorCode.UNAUTHORIZED.value, ErrorCode.CLIENT_ERROR.value})
"""The second of credentials that are no text, or stand twice; with 401 it goes against the table of codes and statuses."""
_OF_THE_BODY = frozenset({ErrorCode.CLIENT_ERROR.value})
_OF_SIZE = frozenset({ErrorCode.PAYLOAD_TOO_LARGE.value})
_OF_THE_MOMENT = frozenset(
    {
        ErrorCode.RATE_LIMITED.value,
        ErrorCode.MODEL_UNAVAILABLE.value,
        ErrorCode.MODEL_NOT_READY.value,
        ErrorCode.TIMEOUT.value,
        ErrorCode.INTERNAL_BASETEN_ERROR.value,
    }
)
"""What may happen to any request, whatever is wrong with it."""

CODES_BY_CLAUSE: Mapping[Clause, frozenset[str]] = {
    clauses.AUTHENTICATION_REQUIRED: _OF_CREDENTIALS,
    clauses.KEY_VERIFIED: _OF_CREDENTIALS,
    clauses.KEY_PREFIX: _OF_CREDENTIALS,
    clauses.KEY_LOCATION: _OF_CREDENTIALS,
    clauses.BODY_REQUIRED: _OF_THE_BODY,
    clauses.NON_OBJECT_REJECTED: _OF_THE_BODY,
    clauses.INVALID_JSON_REJECTED: _OF_THE_BODY,
    clauses.MEDIA_TYPE_REQUIRED: _OF_THE_BODY,
}
"""By what a request goes against: the codes that say so."""


def error_code_violation(request: CheckRequest, answer: Answer, wrong: tuple[Clause, ...]) -> Violation | None:
    """
    The violation of an error whose code names another cause than what is *wrong* with the request; None where it names one
    of these, or nothing, or a code that nobody documented.

    Of a request with nothing wrong that we know of, only one thing is sure: a small body is not too large.
    """
    code = error_code(answer)
    if code not in DOCUMENTED_CODES or code in _OF_THE_MOMENT:
        return None
    large = len(request.body or b"") > LARGE_BODY
    if code in _OF_SIZE and large:
        return None
    if not wrong:
        return _departure("no `payload_too_large` to a small body", code, answer) if code in _OF_SIZE else None
    fitting = frozenset[str]().union(*(CODES_BY_CLAUSE[clause] for clause in wrong))
    if code in fitting:
        return None
    return _departure(" or ".join(f"`{each}`" for each in sorted(fitting)), code, answer)


def _departure(expected: str, code: str, answer: Answer) -> Violation:
    """
    The violation of a code that names another cause.
    """
    return Violation(clause=clauses.ERROR_CODE_CAUSE, expected=expected, actual=f"`{code}` with status {answer.status}")
