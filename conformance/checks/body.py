"""
What is accepted: `#/components/requestBodies/RunRemoteInput`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence

from chainproof.contract import clauses

from ..inputs.bodies import DISCRETIONARY, VALUES, Body
from ..inputs.chain_schema import spellings, valid
from ..inputs.invalid_json import NEAR_MISSES, elsewhere
from ..inputs.strategies import malformed, objects, others
from ..inputs.valid_json import ALONE, PLANES, SORTS, SPELLED, code_points, escaped, raw
from ..options import Depth
from ..probing.hypothesis_runner import generate
from ..probing.requester import Examination, Observation
from . import upholds

_PLAINLY: dict[Depth, float] = {Depth.QUICK: 0.25, Depth.STANDARD: 1.0, Depth.DEEP: 1.0}
"""The share of a long table that is asked about: most mistakes show in several of its rows."""

_ELSEWHERE: dict[Depth, float] = {Depth.QUICK: 0.03, Depth.STANDARD: 0.2, Depth.DEEP: 1.0}
"""The share of the near misses that is asked about deep inside an object, and behind a long one."""


@upholds(clauses.OBJECT_ACCEPTED, clauses.ECHO_EXACT)
def an_object_is_accepted_however_it_is_spelled(examination: Examination) -> None:
    """
    Blanks, empties, nulls, twins among names and their order are JSON like any other.
    """
    _ask(examination, SPELLED)
    if examination.terms.takes is not None:
        _ask(examination, spellings(examination.plain))


@upholds(clauses.OBJECT_ACCEPTED, clauses.ECHO_EXACT)
def every_sort_of_value_is_accepted(examination: Examination) -> None:
    """
    Numbers, strings, names and arrangements that some receiver has taken for something else: together, and one by one where
    the whole departed.
    """
    for sort in SORTS:
        if _asked(examination, sort.whole).departures:
            _ask(examination, sort.parts)


@upholds(clauses.OBJECT_ACCEPTED, clauses.ECHO_EXACT)
def no_name_means_anything_by_itself(examination: Examination) -> None:
    """
    An object whose only member is `data`, `inputs` or `__proto__` is that object and not what is in it.
    """
    _ask(examination, _share(examination, "names alone", ALONE, _PLAINLY))


@upholds(clauses.OBJECT_ACCEPTED, clauses.ECHO_EXACT)
def every_code_point_is_accepted(examination: Examination) -> None:
    """
    Raw and escaped; where a plane departs, halves of it are asked about until what departs is small.
    """
    quick = examination.settings.depth is Depth.QUICK
    for write, words, planes in ((raw, "as they are", PLANES), (escaped, "as escapes", 2)):
        for plane in range(1 if quick else planes):
            if _narrow(examination, code_points(plane), write, words):
                break


@upholds(clauses.OBJECT_ACCEPTED, clauses.ECHO_EXACT)
def any_object_is_accepted(examination: Examination) -> None:
    """
    Whatever object Hypothesis comes up with: any at all, and those that the chain's own signature takes.
    """
    if examination.terms.takes is not None:
        generate("inputs", valid(examination.terms.takes), examination, lambda body: _asked(examination, body))
    generate("objects", objects(), examination, lambda body: _asked(examination, body))


@upholds(clauses.OBJECT_ACCEPTED)
def a_chunked_body_is_a_body(examination: Examination) -> None:
    """
    How a body is framed does not change what it says (RFC 9112 §6.1, §7.1).
    """
    plain = Body(label=examination.label(examination.plain), content=examination.plain)
    for body in dict.fromkeys((plain, SPELLED[0], SORTS[-1].whole)):
        examination.ask(examination.request(body.content, chunked=True, label=f"{body.label}, in chunks"))


@upholds(clauses.STATUS, clauses.NAMES_UNIQUE, clauses.OUTPUT_JSON)
def what_a_receiver_may_refuse_is_answered_as_documented(examination: Examination) -> None:
    """
    Names twice, lone surrogates, numbers next to nothing, great depth: taken or not, the answer is documented.
    """
    _ask(examination, DISCRETIONARY)


@upholds(clauses.BODY_REQUIRED)
def a_body_is_required(examination: Examination) -> None:
    """
    Neither a missing body nor an empty one is an object.
    """
    for body, label in ((None, "a request without a body"), (b"", "an empty body")):
        examination.ask(examination.request(body, label=label))
    examination.ask(examination.request(b"", chunked=True, label="an empty body in chunks"))
    path = f"{examination.target.path}?a=1"
    examination.ask(examination.request(b"", path=path, label="an empty body under a query"))


@upholds(clauses.NON_OBJECT_REFUSED)
def other_values_are_refused(examination: Examination) -> None:
    """
    An array, a string, a number, a boolean and null are JSON, and no objects.
    """
    _ask(examination, VALUES)
    generate("other values", others(), examination, lambda body: _asked(examination, body))


@upholds(clauses.MALFORMED_REFUSED)
def near_misses_of_json_are_refused(examination: Examination) -> None:
    """
    Trailing commas, NaN, single quotes, comments, trailing text, raw control characters, bad UTF-8, cut texts.
    """
    _ask(examination, _share(examination, "near misses", NEAR_MISSES, _PLAINLY))


@upholds(clauses.MALFORMED_REFUSED)
def near_misses_are_refused_wherever_they_stand(examination: Examination) -> None:
    """
    Deep inside an object, and behind more than a receiver holds at once.
    """
    _ask(examination, _share(examination, "near misses elsewhere", elsewhere(), _ELSEWHERE))


@upholds(clauses.MALFORMED_REFUSED)
def any_near_miss_is_refused(examination: Examination) -> None:
    """
    The same, made from whatever object Hypothesis comes up with.
    """
    generate("near misses", malformed(), examination, lambda body: _asked(examination, body))


def _share(
    examination: Examination, purpose: str, bodies: Iterable[Body], shares: dict[Depth, float]
) -> Iterator[Body]:
    """
    As many of some bodies as the depth has time for; the seed decides which.
    """
    chance, share = examination.chance(purpose), shares[examination.settings.depth]
    return (body for body in bodies if chance.random() < share)


def _ask(examination: Examination, bodies: Iterable[Body]) -> None:
    """
    One request for each body.
    """
    examination.ask_each(examination.request(body.content, label=body.label) for body in bodies)


def _asked(examination: Examination, body: Body) -> Observation:
    """
    A body, sent with the right key under the right media type.
    """
    return examination.ask(examination.request(body.content, label=body.label))


def _narrow(
    examination: Examination, codes: Sequence[int], write: Callable[[Iterable[int]], bytes], words: str
) -> bool:
    """
    Code points in one string; where that departs, the half of them that does, and so on. Whether it did.
    """

    def departs(some: Sequence[int]) -> bool:
        label = f"the code points U+{some[0]:04X} to U+{some[-1]:04X} {words}"
        return bool(_asked(examination, Body(label=label, content=write(some))).departures)

    if not departs(codes):
        return False
    while len(codes) > 1:
        half = len(codes) // 2
        smaller = next((part for part in (codes[:half], codes[half:]) if departs(part)), None)
        if smaller is None:
            break
        codes = smaller
    return True
