"""Every input that the chain's schema accepts is answered with an output: values at their bounds, combinations, large inputs."""

from __future__ import annotations

import itertools
import json
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from operator import itemgetter

from chainproof.contract import clauses
from chainproof.contract.errors import ErrorCode, statuses
from chainproof.json_text import parse_json

from ...inputs.bound_values import (
    BoundInput,
    bound_inputs,
    large_inputs,
    with_small_numbers,
    without_optional_members,
)
from ...inputs.input_variations import encoded
from ...inputs.value_combinations import pairs_of_values, triples_of_values
from ...judging.rejectable_inputs import value_of_some_types
from ...options import Depth
from ...probing.answer_recorder import JudgedExchange
from ...probing.input_source import InputSource, input_source
from ...probing.outputs.item_results import judge_item_results
from ...probing.outputs.item_totals import judge_item_totals
from ...probing.requester import Requester
from ...probing.returned.replaced_values import judge_replaced_values, judge_returned_files
from ...probing.returned.returned_decimals import judge_returned_decimals
from ...probing.returned.returned_objects import judge_returned_objects
from ...probing.returned.returned_times import judge_returned_times
from ...probing.returned.returned_values import judge_returned_values
from ...transport.check_skipped import CheckSkipped
from ...transport.request import JSON_TYPE
from .. import check_for

_PAIRS: dict[Depth, int] = {Depth.QUICK: 20, Depth.STANDARD: 60, Depth.DEEP: 300}
_TRIPLES: dict[Depth, int] = {Depth.QUICK: 16, Depth.STANDARD: 60, Depth.DEEP: 300}
"""Inputs with combinations of two and of three values."""
_LARGE_SIZES: dict[Depth, tuple[int, ...]] = {
    Depth.QUICK: (100_000,),
    Depth.STANDARD: (20_000, 200_000),
    Depth.DEEP: (20_000, 200_000, 900_000),
}
"""Bytes of large inputs."""
_BATCH_SIZES: dict[Depth, tuple[int, ...]] = {
    Depth.QUICK: (33, 129),
    Depth.STANDARD: (16, 32, 33, 64, 65, 100, 128, 129, 256, 257, 1000, 1001),
    Depth.DEEP: (8, 9, 16, 17, 32, 33, 64, 65, 100, 101, 128, 129, 256, 257, 512, 513, 1000, 1001, 1024, 1025, 2049),
}
"""Items of arrays: chains process many items in batches of such sizes."""
_TRIAL_SIZE = 2_000
"""Bytes of the inputs that show which arguments have large outputs."""
_TRIALS = 2
"""Such inputs for each choice of arguments."""
_ACCEPTED_CODINGS = ("gzip", "gzip;q=0, identity", "deflate")
"""Values of Accept-Encoding that are sent in turn."""
_REPLACEMENT = "\ufffd"
"""What stands for bytes that are no UTF-8, such as a half of a character."""


@check_for(clauses.OBJECT_ACCEPTED, clauses.OUTPUT_SCHEMA, clauses.ECHO_EXACT)
def values_at_their_bounds_are_accepted(requester: Requester) -> None:
    """
    The longest and shortest texts in every script, the largest and smallest numbers in every form, the longest and
    shortest arrays, each optional member absent and null. Values that the chain returns are returned unchanged.
    """
    source = _source(requester, "bounds")
    assert requester.terms.input_schema is not None
    _send_all(requester, bound_inputs(source.unique(), source.accepts, requester.terms.input_schema.document))
    judge_returned_values(requester, source)
    judge_returned_objects(requester, source)
    judge_returned_times(requester, source)
    judge_returned_decimals(requester, source)
    judge_replaced_values(requester, source)
    # Some chains return an argument only if no other one says what to do with it.
    for each in source.and_bare():
        judge_returned_files(requester, each)


@check_for(clauses.OBJECT_ACCEPTED, clauses.OUTPUT_SCHEMA)
def combinations_of_values_are_accepted(requester: Requester) -> None:
    """Every two values of different arguments together, and every three of the most telling ones, as far as the depth allows."""
    source = _source(requester, "combinations")
    assert requester.terms.input_schema is not None
    document, depth = requester.terms.input_schema.document, requester.settings.depth
    triples = triples_of_values(source.value, source.accepts, source.words, document, _TRIPLES[depth])
    pairs = pairs_of_values(source.value, source.accepts, source.words, _PAIRS[depth])
    _send_all(requester, (*triples, *pairs), is_one_part_enough=True)


@check_for(
    clauses.OBJECT_ACCEPTED,
    clauses.CONTENT_CODING,
    clauses.OUTPUT_JSON,
    clauses.ECHO_EXACT,
    clauses.ANSWER_MATCHES_REQUEST,
)
def large_inputs_get_complete_answers(requester: Requester) -> None:
    """
    Many items and long texts, also in chunks, in UTF-8 without escapes, and with a compressed answer. No two requests have
    the same texts. However many items there are, each gets its own result, and is in the
    totals.
    """
    source = _with_largest_output(requester, _source(requester, "large inputs"))
    requester.run_parts(lambda each: _send_large(requester, each), _large_inputs(source, requester.settings.depth))
    unique = source.with_value(source.unique())
    judge_item_results(requester, unique, _BATCH_SIZES[requester.settings.depth])
    judge_item_totals(requester, unique, _BATCH_SIZES[requester.settings.depth])


@dataclass(frozen=True, slots=True, kw_only=True)
class _LargeInput:
    """Three large inputs of one kind, all different, and the values of Accept-Encoding that the last one is sent with."""

    plain: BoundInput
    in_chunks: BoundInput
    compressed: BoundInput
    codings: Sequence[str]


def _large_inputs(source: InputSource, depth: Depth) -> Iterator[_LargeInput]:
    """Large inputs of every kind and size. The smallest ones are sent with every coding."""
    codings, place = itertools.cycle(_ACCEPTED_CODINGS), next(iter(source.places), None)
    for size in _LARGE_SIZES[depth]:
        # Unique texts are ASCII.
        values = (source.unique(), source.with_unique(source.value, place) if place else source.value, source.unique())
        inputs = (large_inputs(value, source.accepts, size) for value in values)
        for plain, in_chunks, compressed in zip(*inputs, strict=False):
            own = _ACCEPTED_CODINGS if size == _LARGE_SIZES[depth][0] else (next(codings),)
            yield _LargeInput(plain=plain, in_chunks=in_chunks, compressed=compressed, codings=own)


def _send_large(requester: Requester, large: _LargeInput) -> None:
    """Send large inputs of one kind."""
    build, label = requester.build_request, f"{large.plain.label} ({len(large.plain.content):,} bytes)"
    judged = requester.send(build(large.plain.content, label=label))
    unescaped = json.dumps(json.loads(large.in_chunks.content), ensure_ascii=False).encode()
    judged_unescaped = requester.send(build(unescaped, chunked=True, label=f"{label}, in chunks of UTF-8"))
    _judge_replacements(requester, judged, judged_unescaped)
    for coding in large.codings:
        fields = (JSON_TYPE, ("Accept-Encoding", coding))
        labelled = f"{label}, with Accept-Encoding: {coding}"
        requester.send(build(large.compressed.content, fields=fields, label=labelled))


def _with_largest_output(requester: Requester, source: InputSource) -> InputSource:
    """
    The source with those other arguments that make the largest outputs of large inputs: as they are, the default ones, or small
    numbers. A limit or a filter among them may keep every output small.
    """
    values = (
        source.value,
        without_optional_members(source.value, source.accepts, nested=False),
        with_small_numbers(source.value, source.accepts, (0, 1)),
    )
    distinct = {encoded(value): value for value in values}.values()
    found = [(_output_size(requester, source.with_value(value)), value) for value in distinct]
    return source.with_value(max(found, key=itemgetter(0))[1])


def _output_size(requester: Requester, source: InputSource) -> int:
    """The largest output of some quite large inputs, in bytes."""
    sizes = [0]
    for each in itertools.islice(large_inputs(source.unique(), source.accepts, _TRIAL_SIZE), _TRIALS):
        answer = requester.send(requester.build_request(each.content, label=each.label)).answer
        if answer is not None and answer.status == 200:
            sizes.append(len(answer.body))
    return max(sizes)


def _judge_replacements(requester: Requester, escaped: JudgedExchange, unescaped: JudgedExchange) -> None:
    """
    Record replacement characters in the output for a large input, if it is sent as UTF-8. The output for a like input whose
    characters are written as escapes must have none: then the chain does not write them itself.
    """
    counts = [
        None
        if each.answer is None or each.answer.status != 200
        else str(parse_json(each.answer.body)).count(_REPLACEMENT)
        for each in (escaped, unescaped)
    ]
    if counts[0] == 0 and counts[1]:
        requester.record_clause(
            clauses.ECHO_EXACT,
            unescaped.request,
            unescaped.answer,
            expected="the characters that were sent",
            actual=f"{counts[1]} replacement characters (U+FFFD), which the input does not have",
        )


def _source(requester: Requester, purpose: str) -> InputSource:
    """The source of inputs. Raises CheckSkipped without a schema, which says what is valid."""
    if requester.terms.input_schema is None:
        raise CheckSkipped("needs --input-schema")
    return input_source(requester, purpose)


def _send_all(requester: Requester, inputs: Iterable[BoundInput], *, is_one_part_enough: bool = False) -> None:
    """Send inputs, and the parts of those that violate a clause, or only the parts until one does so as well."""

    def send(each: BoundInput) -> None:
        if not _send(requester, each).violations:
            return
        for part in each.parts:
            if _send(requester, part).violations and is_one_part_enough:
                return

    requester.run_each(send, inputs, requester.concurrency)


def _send(requester: Requester, each: BoundInput) -> JudgedExchange:
    """Send an input that the schema accepts. A rejection that is no violation is noted."""
    judged = requester.send(requester.build_request(each.content, label=each.label))
    if judged.status in statuses(ErrorCode.CLIENT_ERROR, requester.terms.contract) and not judged.violations:
        kind = value_of_some_types(requester.terms.input_schema, each.content)
        if kind is not None:
            requester.note(
                f"{kind} is rejected where the input schema permits it. Numbers, times and lengths of texts differ between languages, "
                "so it is no finding. If the schema gives the bounds, generated inputs keep to them"
            )
    return judged
