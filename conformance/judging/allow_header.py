"""
What an answer says of the methods that a path answers.
"""

from __future__ import annotations

from collections.abc import Iterable

from chainproof.contract import clauses
from chainproof.contract.answer import Answer
from chainproof.contract.openapi import METHOD
from chainproof.contract.violations import Violation

from ..transport.request import CheckRequest

_OF_THE_SERVER = frozenset({"TRACE", "CONNECT"})


def allowed_methods(answer: Answer) -> tuple[str, ...] | None:
    """
    The methods that the Allow header lists, in every line of it; None where there is no such header.
    """
    lines = answer.fields("allow")
    listed = (each.strip() for line in lines for each in line.split(","))
    return tuple(each for each in listed if each) if lines else None


def is_allow_header_due(request: CheckRequest, answer: Answer) -> bool:
    """
    Whether an answer has to say, or says, which methods the path answers. What stands in front refuses TRACE and CONNECT for
    all paths, and knows of none what it answers; and takes what asks for another protocol for the GET that this begins with.
    """
    if request.method in _OF_THE_SERVER or request.values("upgrade"):
        return False
    asked = request.method == "OPTIONS" and 200 <= answer.status < 300 and allowed_methods(answer) is not None
    return answer.status == 405 or asked


def allow_header_violations(request: CheckRequest, answer: Answer) -> Iterable[Violation]:
    """
    The violation of an answer that names no methods, or not the one that the operation has, or the one that it refuses.
    """
    listed = allowed_methods(answer)
    if listed is None:
        yield _departure("an Allow header", f"a {answer.status} without")
    elif answer.status == 405 and request.method in listed:
        yield _departure(
            "an Allow header without the method that was refused", f"a 405 to a method of `{_words(listed)}`"
        )
    elif _is_of_its_path(request) and METHOD not in listed:
        yield _departure(f"an Allow header with {METHOD}", f"a {answer.status} with `{_words(listed)}`")


def _is_of_its_path(request: CheckRequest) -> bool:
    """
    Whether a request is for the operation's own path, on the target's own host.
    """
    return request.path.partition("?")[0] == request.operation and request.host is None and request.method != METHOD


def _words(listed: tuple[str, ...]) -> str:
    """
    Methods as a header lists them.
    """
    return ", ".join(listed)


def _departure(expected: str, actual: str) -> Violation:
    """
    The violation of what an answer says of methods.
    """
    return Violation(clause=clauses.ALLOW_HEADER, expected=expected, actual=actual)
