"""
Finds out why a request with wrong credentials was answered 2xx.

The violation names the weakest credential that is accepted: if a request without credentials is accepted, a wrong key
is no further finding. If the same request is rejected a moment later, authentication is inconsistent.
"""

from __future__ import annotations

import base64
from collections.abc import Iterator, Sequence
from dataclasses import replace

from chainproof.contract import clauses
from chainproof.contract.answer import Answer
from chainproof.contract.clauses import Clause
from chainproof.contract.openapi import METHOD
from chainproof.contract.violations import Violation

from ..transport.request import JSON_TYPE, CheckRequest
from .expectation import Expectation, Terms, expectation

AUTHENTICATION_CLAUSES: frozenset[Clause] = frozenset(
    {clauses.AUTHENTICATION_REQUIRED, clauses.KEY_VERIFIED, clauses.KEY_PREFIX, clauses.KEY_LOCATION}
)
"""The clauses that require a target to reject wrong credentials."""

WRONG_KEY = "wrong.key"
"""A key that no target accepts."""

_REPEATS = 3
"""How often a request with wrong credentials that was answered 2xx is repeated."""


def auth_bypass_cause(
    request: CheckRequest,
    violation: Violation,
    expected: Expectation,
    terms: Terms,
    probe_answers: Sequence[Answer | None],
) -> Violation | CheckRequest:
    """
    The cause of an authentication bypass, or the next request to send, on a new connection, to find the cause.

    *violation* is what the 2xx answer to *request* violates by itself. *probe_answers* are the answers to the requests
    that earlier calls returned, in order.
    """
    repeated, weaker = probe_answers[:_REPEATS], probe_answers[_REPEATS:]
    rejection = next(filter(_is_rejected, repeated), None)
    if rejection is not None:
        return Violation(
            clause=clauses.AUTHENTICATION_REQUIRED,
            expected="the same rejection each time and on every connection",
            actual=f"{violation.actual}, and {rejection.status} to the same request on another connection",
        )
    if len(repeated) < _REPEATS:
        return request
    for number, probe in enumerate(_weaker_requests(request, expected, terms)):
        if number == len(weaker):
            return probe
        cause = _bypass_violation(probe, weaker[number], terms)
        if cause is not None:
            return cause
    return violation


def _bypass_violation(request: CheckRequest, answer: Answer | None, terms: Terms) -> Violation | None:
    """The violation of a 2xx answer to a request with wrong credentials."""
    expected = expectation(request, terms)
    if expected is None or answer is None or not answer.is_success:
        return None
    return expected.violation(answer)


def _is_rejected(answer: Answer | None) -> bool:
    """True if the request itself was rejected, rather than the server being overloaded."""
    return answer is not None and 300 <= answer.status < 500 and answer.status != 429


def _weaker_requests(request: CheckRequest, expected: Expectation, terms: Terms) -> Iterator[CheckRequest]:
    """Requests with weaker credentials: a plain one without any, then the same request with a wrong key in place of the right one."""
    key = terms.key.reveal()
    if expected.clause is clauses.AUTHENTICATION_REQUIRED and request.is_for_operation:
        return
    body = None if request.body is None else request.body.replace(key.encode(), WRONG_KEY.encode())
    plain = replace(request, path=request.operation, method=METHOD, host=None, fields=(JSON_TYPE,), body=body)
    yield replace(plain, chunked=False, valid_message=True, secret=None)
    if expected.clause in (clauses.KEY_PREFIX, clauses.KEY_LOCATION):
        fields = tuple((name, _with_wrong_key(value, key)) for name, value in request.fields)
        yield replace(request, path=request.path.replace(key, WRONG_KEY), fields=fields, body=body, secret=None)


def _with_wrong_key(value: str, key: str) -> str:
    """A credential with a wrong key in place of the right one."""
    if value.startswith("Basic "):
        return f"Basic {base64.b64encode(f'{WRONG_KEY}:{WRONG_KEY}'.encode()).decode()}"
    return value.replace(key, WRONG_KEY)
