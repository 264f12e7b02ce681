"""
How large an object may be: what must be taken is, and what is larger is taken or refused as documented.

Limits are looked for by growth: each dimension doubles, and where an object is no longer taken, the place is searched.
"""

from __future__ import annotations

from collections.abc import Iterator

from chainproof.contract import clauses

from ..inputs.sizes import DIMENSIONS, Dimension
from ..options import Depth, Intrusion
from ..probing.requester import Examination, Observation
from . import upholds


@upholds(clauses.OBJECT_ACCEPTED, clauses.ECHO_EXACT)
def an_object_may_be_as_large_as_any_receiver_takes(examination: Examination) -> None:
    """
    Nesting, digits, members, items, names, strings and blanks, up to the sizes that must be taken.
    """
    for dimension in DIMENSIONS:
        taken, first = 0, dimension.must if examination.settings.depth is Depth.QUICK else 1
        for size in _doubled(first, dimension.must):
            if _asked(examination, dimension, size).departures:
                _search(examination, dimension, taken, size)
                break
            taken = size


@upholds(clauses.STATUS, clauses.ANSWERS)
def a_larger_object_is_taken_or_refused_as_documented(examination: Examination) -> None:
    """
    Beyond those sizes, where a refusal is right, and where servers have been seen to fall.
    """
    examination.require(Intrusion.HUGE_BODIES)
    for dimension in DIMENSIONS:
        taken, bound = dimension.must, dimension.bounds[examination.settings.depth]
        for size in _doubled(2 * dimension.must, bound):
            if not _taken(_asked(examination, dimension, size)):
                _asked(examination, dimension, bound)
                examination.note(f"{dimension.label(size)} is not taken, one of {taken} is")
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


def _search(examination: Examination, dimension: Dimension, taken: int, refused: int) -> None:
    """
    Ask in the middle, again and again, until the least size that departs is known; its request says it.
    """
    while refused - taken > 1:
        middle = (taken + refused) // 2
        if _asked(examination, dimension, middle).departures:
            refused = middle
        else:
            taken = middle
    label = f"{dimension.label(refused)}, where {taken} is the most that is taken"
    examination.ask(examination.request(dimension.make(refused), label=label))


def _asked(examination: Examination, dimension: Dimension, size: int) -> Observation:
    """
    An object of a size; how many were asked for on the way is no case of its own.
    """
    label = dimension.name.replace("{}", "so many")
    return examination.ask(examination.request(dimension.make(size), label=label))


def _taken(observation: Observation) -> bool:
    """
    Whether it was answered by what the chain returns.
    """
    return observation.answer is not None and observation.answer.status == 200
