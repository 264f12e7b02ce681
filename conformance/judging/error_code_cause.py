"""
Judges whether an error's code names what was wrong with the request.

The document describes the code as machine-readable, but pairs it with nothing. Clients branch on it nevertheless, and a
code for another cause misleads them. An absent code is always right.
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
"""Bytes above which a target may call a body too large."""

_CREDENTIAL_CODES = frozenset({ErrorCode.UNAUTHORIZED.value, ErrorCode.CLIENT_ERROR.value})
"""`client_error` fits credentials that are repeated or not text. With a 401, `error-code-status` rejects it."""
_BODY_CODES = frozenset({ErrorCode.CLIENT_ERROR.value})
_TEMPORARY_CODES = frozenset(
    {
        ErrorCode.RATE_LIMITED.value,
        ErrorCode.MODEL_UNAVAILABLE.value,
        ErrorCode.MODEL_NOT_READY.value,
        ErrorCode.TIMEOUT.value,
        ErrorCode.INTERNAL_BASETEN_ERROR.value,
    }
)
"""Codes that any request may get, whatever is wrong with it."""

CODES_BY_CLAUSE: Mapping[Clause, frozenset[str]] = {
    clauses.AUTHENTICATION_REQUIRED: _CREDENTIAL_CODES,
    clauses.KEY_VERIFIED: _CREDENTIAL_CODES,
    clauses.KEY_PREFIX: _CREDENTIAL_CODES,
    clauses.KEY_LOCATION: _CREDENTIAL_CODES,
    clauses.BODY_REQUIRED: _BODY_CODES,
    clauses.NON_OBJECT_REJECTED: _BODY_CODES,
    clauses.INVALID_JSON_REJECTED: _BODY_CODES,
    clauses.MEDIA_TYPE_REQUIRED: _BODY_CODES,
    clauses.MEDIA_TYPE_MISSING: _BODY_CODES,
}
"""The codes that name the clause which a request violates."""


def error_code_violation(request: CheckRequest, answer: Answer, wrong: tuple[Clause, ...]) -> Violation | None:
    """
    The violation of an error whose documented code names none of the clauses that the request violates (*wrong*), or None.

    For a request that violates no known clause, only `payload_too_large` to a small body is a violation.
    """
    code = error_code(answer)
    if code not in DOCUMENTED_CODES or code in _TEMPORARY_CODES:
        return None
    is_about_size = code == ErrorCode.PAYLOAD_TOO_LARGE.value
    if is_about_size and len(request.body or b"") > LARGE_BODY:
        return None
    if not wrong and not is_about_size:
        return None
    matching = frozenset[str]().union(*(CODES_BY_CLAUSE[clause] for clause in wrong))
    if code in matching:
        return None
    codes = " or ".join(f"`{each}`" for each in sorted(matching))
    expected = codes if wrong else "no `payload_too_large` to a small body"
    return Violation(clause=clauses.ERROR_CODE_CAUSE, expected=expected, actual=f"`{code}` with status {answer.status}")
