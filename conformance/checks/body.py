"""
What is accepted: `#/components/requestBodies/RunRemoteInput`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence

from chainproof.contract import clauses

from ..inputs.bodies import IMPLEMENTATION_DEFINED, NON_OBJECTS, BodyCase
from ..inputs.chain_schema import serializations, valid_input_bodies
from ..inputs.invalid_json import INVALID_JSON, invalid_json_elsewhere
from ..inputs.strategies import almost_json, json_objects, non_objects
from ..inputs.valid_json import (
    BODY_GROUPS,
    SINGLE_MEMBER_OBJECTS,
    UNICODE_PLANES,
    VALID_BODIES,
    code_points,
    escaped_string_object,
    raw_string_object,
)
from ..options import Depth
from ..probing.hypothesis_runner import run_property
from ..probing.requester import JudgedAnswer, Requester
from . import check_for

_PLAINLY: dict[Depth, float] = {Depth.QUICK: 0.25, Depth.STANDARD: 1.0, Depth.DEEP: 1.0}
"""The share of a long table that is asked about: most mistakes show in several of its rows."""

_ELSEWHERE: dict[Depth, float] = {Depth.QUICK: 0.03, Depth.STANDARD: 0.2, Depth.DEEP: 1.0}
"""The share of the near misses that is asked about deep inside an object, and behind a long one."""


@check_for(clauses.OBJECT_ACCEPTED, clauses.ECHO_EXACT)
def valid_json_objects_are_accepted(requester: Requester) -> None:
    """
    Blanks, empties, nulls, twins among names and their order are JSON like any other.
    """
    _ask(requester, VALID_BODIES)
    if requester.terms.input_schema is not None:
        _ask(requester, serializations(requester.minimal_body))


@check_for(clauses.OBJECT_ACCEPTED, clauses.ECHO_EXACT)
def objects_with_any_kind_of_value_are_accepted(requester: Requester) -> None:
    """
    Numbers, strings, names and arrangements that some receiver has taken for something else: together, and one by one where
    the whole departed.
    """
    for group in BODY_GROUPS:
        if _asked(requester, group.combined).violations:
            _ask(requester, group.single)


@check_for(clauses.OBJECT_ACCEPTED, clauses.ECHO_EXACT)
def objects_with_a_single_member_are_not_unwrapped(requester: Requester) -> None:
    """
    An object whose only member is `data`, `inputs` or `__proto__` is that object and not what is in it.
    """
    _ask(requester, _share(requester, "names alone", SINGLE_MEMBER_OBJECTS, _PLAINLY))


@check_for(clauses.OBJECT_ACCEPTED, clauses.ECHO_EXACT)
def every_unicode_code_point_is_accepted(requester: Requester) -> None:
    """
    Raw and escaped; where a plane departs, halves of it are asked about until what departs is small.
    """
    quick = requester.settings.depth is Depth.QUICK
    for write, words, planes in (
        (raw_string_object, "as they are", UNICODE_PLANES),
        (escaped_string_object, "as escapes", 2),
    ):
        for plane in range(1 if quick else planes):
            if _narrow(requester, code_points(plane), write, words):
                break


@check_for(clauses.OBJECT_ACCEPTED, clauses.ECHO_EXACT)
def generated_objects_are_accepted(requester: Requester) -> None:
    """
    Whatever object Hypothesis comes up with: any at all, and those that the chain's own signature takes.
    """
    if requester.terms.input_schema is not None:
        run_property(
            "inputs", valid_input_bodies(requester.terms.input_schema), requester, lambda body: _asked(requester, body)
        )
    run_property("objects", json_objects(), requester, lambda body: _asked(requester, body))


@check_for(clauses.OBJECT_ACCEPTED)
def chunked_bodies_are_accepted(requester: Requester) -> None:
    """
    How a body is framed does not change what it says (RFC 9112 §6.1, §7.1).
    """
    plain = BodyCase(label=requester.body_label(requester.minimal_body), content=requester.minimal_body)
    for body in dict.fromkeys((plain, VALID_BODIES[0], BODY_GROUPS[-1].combined)):
        requester.send(requester.build_request(body.content, chunked=True, label=f"{body.label}, in chunks"))


@check_for(clauses.STATUS, clauses.UNIQUE_MEMBER_NAMES, clauses.OUTPUT_JSON)
def implementation_defined_json_gets_a_documented_answer(requester: Requester) -> None:
    """
    Names twice, lone surrogates, numbers next to nothing, great depth: taken or not, the answer is documented.
    """
    _ask(requester, IMPLEMENTATION_DEFINED)


@check_for(clauses.BODY_REQUIRED)
def requests_without_a_body_are_rejected(requester: Requester) -> None:
    """
    Neither a missing body nor an empty one is an object.
    """
    for body, label in ((None, "a request without a body"), (b"", "an empty body")):
        requester.send(requester.build_request(body, label=label))
    requester.send(requester.build_request(b"", chunked=True, label="an empty body in chunks"))
    path = f"{requester.target.path}?a=1"
    requester.send(requester.build_request(b"", path=path, label="an empty body under a query"))


@check_for(clauses.NON_OBJECT_REJECTED)
def json_values_other_than_objects_are_rejected(requester: Requester) -> None:
    """
    An array, a string, a number, a boolean and null are JSON, and no objects.
    """
    _ask(requester, NON_OBJECTS)
    run_property("other values", non_objects(), requester, lambda body: _asked(requester, body))


@check_for(clauses.INVALID_JSON_REJECTED)
def almost_valid_json_is_rejected(requester: Requester) -> None:
    """
    Trailing commas, NaN, single quotes, comments, trailing text, raw control characters, bad UTF-8, cut texts.
    """
    _ask(requester, _share(requester, "near misses", INVALID_JSON, _PLAINLY))


@check_for(clauses.INVALID_JSON_REJECTED)
def almost_valid_json_is_rejected_at_every_position(requester: Requester) -> None:
    """
    Deep inside an object, and behind more than a receiver holds at once.
    """
    _ask(requester, _share(requester, "near misses elsewhere", invalid_json_elsewhere(), _ELSEWHERE))


@check_for(clauses.INVALID_JSON_REJECTED)
def generated_invalid_json_is_rejected(requester: Requester) -> None:
    """
    The same, made from whatever object Hypothesis comes up with.
    """
    run_property("near misses", almost_json(), requester, lambda body: _asked(requester, body))


def _share(
    requester: Requester, purpose: str, bodies: Iterable[BodyCase], shares: dict[Depth, float]
) -> Iterator[BodyCase]:
    """
    As many of some bodies as the depth has time for; the seed decides which.
    """
    rng, share = requester.rng(purpose), shares[requester.settings.depth]
    return (body for body in bodies if rng.random() < share)


def _ask(requester: Requester, bodies: Iterable[BodyCase]) -> None:
    """
    One request for each body.
    """
    requester.send_all(requester.build_request(body.content, label=body.label) for body in bodies)


def _asked(requester: Requester, body: BodyCase) -> JudgedAnswer:
    """
    A body, sent with the right key under the right media type.
    """
    return requester.send(requester.build_request(body.content, label=body.label))


def _narrow(requester: Requester, codes: Sequence[int], write: Callable[[Iterable[int]], bytes], words: str) -> bool:
    """
    Code points in one string; where that departs, the half of them that does, and so on. Whether it did.
    """

    def departs(some: Sequence[int]) -> bool:
        label = f"the code points U+{some[0]:04X} to U+{some[-1]:04X} {words}"
        return bool(_asked(requester, BodyCase(label=label, content=write(some))).violations)

    if not departs(codes):
        return False
    while len(codes) > 1:
        half = len(codes) // 2
        smaller = next((part for part in (codes[:half], codes[half:]) if departs(part)), None)
        if smaller is None:
            break
        codes = smaller
    return True
