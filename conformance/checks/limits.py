"""
How large an object may be: what must be taken is, and what is larger is taken or refused as documented.

Limits are looked for by growth: each dimension doubles, and where an object is no longer taken, the place is searched.
"""

from __future__ import annotations

from collections.abc import Iterator

from chainproof.contract import clauses

from ..inputs.sizes import DIMENSIONS, Dimension
from ..options import Depth, Permission
from ..probing.requester import JudgedAnswer, Requester
from . import check_for


@check_for(clauses.OBJECT_ACCEPTED, clauses.ECHO_EXACT)
def large_objects_are_accepted(requester: Requester) -> None:
    """
    Nesting, digits, members, items, names, strings and blanks, up to the sizes that must be taken.
    """
    for dimension in DIMENSIONS:
        taken, first = 0, dimension.required if requester.settings.depth is Depth.QUICK else 1
        for size in _doubled(first, dimension.required):
            if _asked(requester, dimension, size).violations:
                _search(requester, dimension, taken, size)
                break
            taken = size


@check_for(clauses.STATUS, clauses.REQUEST_ANSWERED)
def oversized_objects_get_a_documented_answer(requester: Requester) -> None:
    """
    Beyond those sizes, where a refusal is right, and where servers have been seen to fall.
    """
    requester.require_permission(Permission.HUGE_BODIES)
    for dimension in DIMENSIONS:
        taken, bound = dimension.required, dimension.bounds[requester.settings.depth]
        for size in _doubled(2 * dimension.required, bound):
            if not _taken(_asked(requester, dimension, size)):
                _asked(requester, dimension, bound)
                requester.note(f"{dimension.label(size)} is not taken, one of {taken} is")
                break
            taken = size


def _doubled(first: int, last: int) -> Iterator[int]:
    """
    Sizes from the first to the last, each twice the one before.
    """
    size = first
    while size < last:
        yield size
        size *= 2
    yield last


def _search(requester: Requester, dimension: Dimension, taken: int, refused: int) -> None:
    """
    Ask in the middle, again and again, until the least size that departs is known; its request says it.
    """
    while refused - taken > 1:
        middle = (taken + refused) // 2
        if _asked(requester, dimension, middle).violations:
            refused = middle
        else:
            taken = middle
    label = f"{dimension.label(refused)}, where {taken} is the most that is taken"
    requester.send(requester.build_request(dimension.make(refused), label=label))


def _asked(requester: Requester, dimension: Dimension, size: int) -> JudgedAnswer:
    """
    An object of a size; how many were asked for on the way is no case of its own.
    """
    label = dimension.name.replace("{}", "so many")
    return requester.send(requester.build_request(dimension.make(size), label=label))


def _taken(judged: JudgedAnswer) -> bool:
    """
    Whether it was answered by what the chain returns.
    """
    return judged.answer is not None and judged.answer.status == 200
