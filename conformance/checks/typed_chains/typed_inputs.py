"""Every input that the chain's schema accepts is answered with an output: values at their bounds, combinations, large inputs."""

from __future__ import annotations

from collections.abc import Iterable
from typing import cast

from chainproof.contract import clauses
from chainproof.contract.violations import Violation

from ...inputs.bound_values import BoundInput, bound_inputs, combined_inputs, large_inputs
from ...inputs.input_variations import Place, encoded, format_place, value_at, with_value
from ...judging.output_comparison import Path, format_output_path
from ...options import Depth
from ...probing.difference_confirmation import send_alone
from ...probing.input_source import InputSource, input_source
from ...probing.requester import Requester
from ...transport.check_skipped import CheckSkipped
from ...transport.request import JSON_TYPE
from .. import check_for

_COMBINATIONS: dict[Depth, int] = {Depth.QUICK: 20, Depth.STANDARD: 60, Depth.DEEP: 300}
_LARGE_SIZES: dict[Depth, tuple[int, ...]] = {
    Depth.QUICK: (100_000,),
    Depth.STANDARD: (20_000, 200_000),
    Depth.DEEP: (20_000, 200_000, 900_000),
}
"""Bytes of large inputs."""


_RETURNED = 3
"""Answers in which an output value has to equal an input value before it counts as returned."""
_USUAL = 100
_LARGE_INTEGERS = (2**53 + 1, 2**63 - 1, -(2**53) - 1)
_NUMBERS_AS_TEXT = ("007", "1e3", "12345678")


@check_for(clauses.OBJECT_ACCEPTED, clauses.OUTPUT_SCHEMA, clauses.ECHO_EXACT)
def values_at_their_bounds_are_accepted(requester: Requester) -> None:
    """
    The longest and shortest texts in every script, the largest and smallest numbers in every form, the longest and
    shortest arrays, each optional member absent and null. Values that the chain returns are returned unchanged.
    """
    source = _source(requester, "bounds")
    assert requester.terms.input_schema is not None
    _send_all(requester, bound_inputs(source.unique(), source.accepts, requester.terms.input_schema.document))
    for place, path in _returned_values(requester, source).items():
        _judge_returned(requester, source, place, path)


def _returned_values(requester: Requester, source: InputSource) -> dict[Place, Path]:
    """Places of the input whose values the output has at a path: in several answers, each to another value."""
    values = [source.unique() for _ in range(_RETURNED)]
    outputs = [send_alone(requester, encoded(value), "an input with unique values") for value in values]
    found: dict[Place, Path] = {}
    for place in source.places:
        sent = [value_at(value, place) for value in values]
        for path in outputs[0] or {}:
            returned = [None if output is None else output.get(path) for output in outputs]
            if len(set(map(repr, sent))) == _RETURNED and returned == [(each,) for each in sent]:
                found.setdefault(place, path)
    return found


def _judge_returned(requester: Requester, source: InputSource, place: Place, path: Path) -> None:
    """
    Record a value of an integer argument that comes back as another one: a large integer as the nearest double, or a text as
    a number, if the argument takes texts too. A chain may round fractions or shorten texts on purpose.
    """
    takes_integers, takes_fractions = (source.accepts(with_value(source.value, place, each)) for each in (_USUAL, 0.5))
    if not takes_integers or takes_fractions:
        return  # a large integer may be read as a double
    for sent in (*_LARGE_INTEGERS, *_NUMBERS_AS_TEXT):
        value = with_value(source.value, place, sent)
        output = send_alone(requester, encoded(value), f"{sent!r} in an argument") if source.accepts(value) else None
        returned = () if output is None else output.get(path, ())
        if not returned or returned == (sent,) or not _is_misread(sent, returned[0]):
            continue
        violation = Violation(
            clause=clauses.ECHO_EXACT,
            expected="the value that was sent, as for other values",
            actual=f"{returned[0]!r} instead of {sent!r} at `{format_output_path(path)}`",
        )
        request = requester.build_request(encoded(value), label=f"{sent!r} as `{format_place(place)}`")
        requester.record_clause(violation.clause, violation, request)
        return


def _is_misread(sent: int | str, returned: object) -> bool:
    """True if a number lost its last digits, or a text became a number."""
    is_number = isinstance(returned, int | float) and not isinstance(returned, bool)
    return is_number and (isinstance(sent, str) or float(cast(float, returned)) == float(sent))


@check_for(clauses.OBJECT_ACCEPTED, clauses.OUTPUT_SCHEMA)
def combinations_of_values_are_accepted(requester: Requester) -> None:
    """Every two values of different arguments together, as far as the depth allows."""
    source = _source(requester, "combinations")
    count = _COMBINATIONS[requester.settings.depth]
    _send_all(requester, combined_inputs(source.value, source.accepts, source.words, count))


@check_for(clauses.OBJECT_ACCEPTED, clauses.CONTENT_CODING, clauses.OUTPUT_JSON)
def large_inputs_get_complete_answers(requester: Requester) -> None:
    """Many items and long texts, also in chunks, and with a compressed answer. No two requests have the same texts."""
    source = _source(requester, "large inputs")
    for size in _LARGE_SIZES[requester.settings.depth]:
        inputs = (large_inputs(source.unique(), source.accepts, size) for _ in range(3))
        for plain, in_chunks, compressed in zip(*inputs, strict=False):
            build, label = requester.build_request, f"{plain.label} ({len(plain.content):,} bytes)"
            requester.send(build(plain.content, label=label))
            requester.send(build(in_chunks.content, chunked=True, label=f"{label}, in chunks"))
            fields = (JSON_TYPE, ("Accept-Encoding", "gzip"))
            requester.send(build(compressed.content, fields=fields, label=f"{label}, with Accept-Encoding: gzip"))


def _source(requester: Requester, purpose: str) -> InputSource:
    """The source of inputs. Raises CheckSkipped without a schema, which says what is valid."""
    if requester.terms.input_schema is None:
        raise CheckSkipped("needs --input-schema")
    return input_source(requester, purpose)


def _send_all(requester: Requester, inputs: Iterable[BoundInput]) -> None:
    """Send inputs, and the parts of those that violate a clause."""

    def send(each: BoundInput) -> None:
        if requester.send(requester.build_request(each.content, label=each.label)).violations:
            for part in each.parts:
                requester.send(requester.build_request(part.content, label=part.label))

    requester.run_each(send, inputs, requester.concurrency)
