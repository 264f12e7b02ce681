"""Every input that the chain's schema accepts is answered with an output: values at their bounds, combinations, large inputs."""

from __future__ import annotations

from collections.abc import Iterable

from chainproof.contract import clauses

from ...inputs.bound_values import BoundInput, bound_inputs, combined_inputs, large_inputs
from ...options import Depth
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


@check_for(clauses.OBJECT_ACCEPTED, clauses.OUTPUT_SCHEMA)
def values_at_their_bounds_are_accepted(requester: Requester) -> None:
    """
    The longest and shortest texts in every script, the largest and smallest numbers in every form, the longest and
    shortest arrays, each optional member absent and null.
    """
    source = _source(requester, "bounds")
    assert requester.terms.input_schema is not None
    _send_all(requester, bound_inputs(source.unique(), source.accepts, requester.terms.input_schema.document))


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
