"""
What is accepted: `#/components/requestBodies/RunRemoteInput`.
"""

from __future__ import annotations

from collections.abc import Iterable

from chainproof.contract import clauses

from ..bodies import DISCRETIONARY, NEAR_MISSES, SPELLINGS, VALUES, Body, malformed, objects, others
from ..examination import Examination, Observation
from ..generation import generate
from ..signature import spellings, valid
from . import upholds


@upholds(clauses.OBJECT_ACCEPTED)
def an_object_is_accepted_however_it_is_spelled(examination: Examination) -> None:
    """
    Blanks, escapes, raw UTF-8, exponents, many members and deep nesting are JSON like any other.
    """
    _ask(examination, SPELLINGS)
    if examination.terms.takes is not None:
        _ask(examination, spellings(examination.plain))


@upholds(clauses.OBJECT_ACCEPTED)
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
    for body in dict.fromkeys((plain, SPELLINGS[0], SPELLINGS[3])):
        examination.ask(examination.request(body.content, chunked=True, label=f"{body.label}, in chunks"))


@upholds(clauses.STATUS)
def what_a_receiver_may_refuse_is_answered_as_documented(examination: Examination) -> None:
    """
    Names twice, lone surrogates, numbers beyond a double, great size and depth: taken or not, the answer is documented.
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
    _ask(examination, NEAR_MISSES)


@upholds(clauses.MALFORMED_REFUSED)
def any_near_miss_is_refused(examination: Examination) -> None:
    """
    The same, made from whatever object Hypothesis comes up with.
    """
    generate("near misses", malformed(), examination, lambda body: _asked(examination, body))


def _ask(examination: Examination, bodies: Iterable[Body]) -> None:
    """
    One request for each body.
    """
    for body in bodies:
        _asked(examination, body)


def _asked(examination: Examination, body: Body) -> Observation:
    """
    A body, sent with the right key under the right media type.
    """
    return examination.ask(examination.request(body.content, label=body.label))
