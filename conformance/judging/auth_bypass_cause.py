"""
What stands open where somebody was let in who should not have been.

The least that opens is the violation: where no credentials at all are needed, it is no news that a wrong key opens too; and
a gate that refuses the same request a moment later is not a gate that takes this key, but one that is not always there.
"""

from __future__ import annotations

import base64
from collections.abc import Callable, Iterator
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
"""The clauses by which a stranger is refused."""

WRONG_KEY = "wrong.key"
"""A key that opens nothing."""

_AGAIN = 3
"""How often somebody who was let in knocks again."""

SendProbe = Callable[[CheckRequest], Answer | None]
"""Asks over a connection of its own, with nothing in particular expected."""


def auth_bypass_violation(
    request: CheckRequest, answer: Answer, expected: Expectation, terms: Terms, send_probe: SendProbe
) -> Violation | None:
    """
    The violation of an answer that lets a stranger in, as far as the gate is open.
    """
    refusal = next(filter(_refuses, (send_probe(request) for _ in range(_AGAIN))), None)
    if refusal is not None:
        return Violation(
            clause=clauses.AUTHENTICATION_REQUIRED,
            expected="the same refusal each time and on every connection",
            actual=f"status {answer.status}, and {refusal.status} to the same request on another connection",
        )
    for weaker in _weaker(request, expected, terms):
        less = send_probe(weaker)
        judged = expectation(weaker, terms)
        violation = judged.violation(less) if judged is not None and less is not None and _lets_in(less) else None
        if violation is not None:
            return violation
    return expected.violation(answer)


def _lets_in(answer: Answer) -> bool:
    """
    Whether whoever asked is in.
    """
    return 200 <= answer.status < 300


def _refuses(answer: Answer | None) -> bool:
    """
    Whether whoever asked is not, because of what was asked and not because of the moment.
    """
    return answer is not None and 300 <= answer.status < 500 and answer.status != 429


def _weaker(request: CheckRequest, expected: Expectation, terms: Terms) -> Iterator[CheckRequest]:
    """
    What opens less: the operation's plain request without credentials, and the same request with another key in the right
    one's place.
    """
    key = terms.key.reveal()
    if expected.clause is clauses.AUTHENTICATION_REQUIRED and request.is_for_operation:
        return
    body = None if request.body is None else request.body.replace(key.encode(), WRONG_KEY.encode())
    plain = replace(request, path=request.operation, method=METHOD, host=None, fields=(JSON_TYPE,), body=body)
    yield replace(plain, chunked=False, valid_message=True, secret=None)
    if expected.clause in (clauses.KEY_PREFIX, clauses.KEY_LOCATION):
        fields = tuple((name, _with_another(value, key)) for name, value in request.fields)
        yield replace(request, path=request.path.replace(key, WRONG_KEY), fields=fields, body=body, secret=None)


def _with_another(value: str, key: str) -> str:
    """
    A credential with another key in the right one's place.
    """
    if value.startswith("Basic "):
        return f"Basic {base64.b64encode(f'{WRONG_KEY}:{WRONG_KEY}'.encode()).decode()}"
    return value.replace(key, WRONG_KEY)
