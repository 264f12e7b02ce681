"""
Objects up to a common size are accepted, and larger ones are accepted or rejected in a documented way.

Each dimension is doubled; where an object is no longer accepted, bisection finds the limit.
"""

from __future__ import annotations

from collections.abc import Iterator

from chainproof.contract import clauses

from ..inputs.sizes import DIMENSIONS, Dimension
from ..options import Depth, Permission
from ..probing.answer_recorder import JudgedAnswer
from ..probing.requester import Requester
from . import check_for


@check_for(clauses.OBJECT_ACCEPTED, clauses.ECHO_EXACT)
def large_objects_are_accepted(requester: Requester) -> None:
    """
    Nesting, digits, members, items, names, strings and whitespace up to the required sizes.
    """
    for dimension in DIMENSIONS:
        accepted, first = 0, dimension.required if requester.settings.depth is Depth.QUICK else 1
        for size in _doubling_sizes(first, dimension.required):
            if _send(requester, dimension, size).violations:
                _find_limit(requester, dimension, accepted, size)
                break
            accepted = size


@check_for(clauses.STATUS, clauses.REQUEST_ANSWERED)
def oversized_objects_get_a_documented_answer(requester: Requester) -> None:
    """
    Larger sizes may be rejected, but must not crash the target.
    """
    requester.require_permission(Permission.HUGE_BODIES)
    for dimension in DIMENSIONS:
        accepted, bound = dimension.required, dimension.bounds[requester.settings.depth]
        for size in _doubling_sizes(2 * dimension.required, bound):
            if not _is_accepted(_send(requester, dimension, size)):
                _send(requester, dimension, bound)
                requester.note(f"{dimension.label(size)} is rejected, {accepted} is accepted")
                break
            accepted = size


def _doubling_sizes(first: int, last: int) -> Iterator[int]:
    """
    Sizes from the first to the last, each twice the previous one.
    """
    size = first
    while size < last:
        yield size
        size *= 2
    yield last


def _find_limit(requester: Requester, dimension: Dimension, accepted: int, rejected: int) -> None:
    """
    Bisect to the smallest rejected size, and send it again with a label that names the limit.
    """
    while rejected - accepted > 1:
        middle = (accepted + rejected) // 2
        if _send(requester, dimension, middle).violations:
            rejected = middle
        else:
            accepted = middle
    label = f"{dimension.label(rejected)}; the largest accepted size is {accepted}"
    requester.send(requester.build_request(dimension.make(rejected), label=label))


def _send(requester: Requester, dimension: Dimension, size: int) -> JudgedAnswer:
    """
    Send an object of a size. All sizes on the way share one label.
    """
    label = dimension.name.replace("{}", "n")
    return requester.send(requester.build_request(dimension.make(size), label=label))


def _is_accepted(judged: JudgedAnswer) -> bool:
    """
    True if the answer is an output of the chain.
    """
    return judged.answer is not None and judged.answer.status == 200
