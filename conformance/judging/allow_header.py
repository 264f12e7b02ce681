"""Judges the Allow header: which methods an answer says that a path has."""

from __future__ import annotations

from collections.abc import Iterable

from chainproof.contract import clauses
from chainproof.contract.answer import Answer
from chainproof.contract.openapi import METHOD
from chainproof.contract.violations import Violation

from ..transport.request import CheckRequest

_SERVER_METHODS = frozenset({"TRACE", "CONNECT"})
"""Methods that a proxy rejects for every path, without knowing which methods the path has."""


def allowed_methods(answer: Answer) -> tuple[str, ...] | None:
    """The methods that all Allow headers list; None if there is no such header."""
    lines = answer.fields("allow")
    listed = (each.strip() for line in lines for each in line.split(","))
    return tuple(each for each in listed if each) if lines else None


def is_allow_header_due(request: CheckRequest, answer: Answer) -> bool:
    """True if an answer needs an Allow header (405), or has one in reply to OPTIONS."""
    # A proxy treats a request for another protocol as a GET, and rejects what it cannot parse without looking at the path.
    if request.method in _SERVER_METHODS or request.values("upgrade") or not request.is_valid:
        return False
    lists_methods = request.method == "OPTIONS" and answer.is_success and allowed_methods(answer) is not None
    return answer.status == 405 or lists_methods


def allow_header_violations(request: CheckRequest, answer: Answer) -> Iterable[Violation]:
    """The violation of an answer that lists no methods, or lists the rejected one, or misses the operation's method."""
    listed = allowed_methods(answer)
    if listed is None:
        yield _violation("an Allow header", f"a {answer.status} without one")
    elif answer.status == 405 and request.method in listed:
        yield _violation(
            "an Allow header without the rejected method", f"a 405 to a method that `{', '.join(listed)}` lists"
        )
    elif _is_for_operation_path(request) and METHOD not in listed:
        yield _violation(f"an Allow header with {METHOD}", f"a {answer.status} with `{', '.join(listed)}`")


def _is_for_operation_path(request: CheckRequest) -> bool:
    """True for a request with another method to the operation's path on the target's own host."""
    return request.path.partition("?")[0] == request.operation and request.host is None and request.method != METHOD


def _violation(expected: str, actual: str) -> Violation:
    """A violation of the clause on the Allow header."""
    return Violation(clause=clauses.ALLOW_HEADER, expected=expected, actual=actual)
