"""
Makes inputs that the chain accepts and that no other request has.

Without a schema the target is asked which inputs it accepts. It is never asked about an input with the unique values that a
check sends later: the answer might be stored, and the check would compare the stored one with itself.
"""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, replace
from operator import itemgetter
from typing import Self

from chainproof.chain_schema.error_text import format_path
from chainproof.chain_schema.inputs import InputGenerator
from chainproof.contract.answer import Answer
from chainproof.json_text import JSON, InvalidJson, TooComplex, parse_json
from chainproof.workload.generated_payloads import generate_payloads

from ..inputs.bound_values import with_small_numbers, without_optional_members
from ..inputs.input_variations import (
    Accepts,
    Place,
    Variation,
    encoded,
    enumerated_words,
    lengthened,
    merged_input,
    reversed_arrays,
    unique_input,
    unique_places,
    value_at,
    variations,
    with_many_items,
    with_similar_values,
    with_value,
    without_member,
)
from ..judging.output_comparison import Leaves, is_comparable_size, leaves
from ..transport.check_skipped import CheckSkipped
from .requester import Requester

_MAX_ARGUMENTS = 8
"""Arguments for each of which it is tried whether its value leaves the output empty."""
_SMALL_NUMBERS = ((1, 0), (0, 1))
"""Numbers that are tried in place of one, in this order: 1 is the least count with a result, 0 a least score that each result has."""
_RICH_INPUT = "rich input"
_FAILING_PLACES = "places that fail"
_EXAMPLE_SEED = 1
"""The seed of the unique values about which the target is asked: the same ones each time, so that it is asked once."""
_TOKEN_LENGTH = 16
"""Characters of a unique text that no other text has: a long one has a tail that others have as well."""


@dataclass(frozen=True, slots=True, kw_only=True)
class InputSource:
    """An accepted input with many values, and where it takes unique ones."""

    value: JSON
    accepts: Accepts
    places: tuple[Place, ...]
    """Where unique values are accepted, strings first."""
    words: tuple[JSON, ...]
    """The values of the schema's enumerations."""
    rng: random.Random
    is_asked: bool = False
    """Whether `accepts` asks the target, which may remember what it was sent."""
    failing: frozenset[Place] = frozenset()
    """Where unique values seem to be accepted, but have no output."""

    def unique(self) -> JSON:
        """An input with a unique value at every place that takes one."""
        return self.unique_at(self.value, self.places)

    def unique_at(self, value: JSON, places: tuple[Place, ...]) -> JSON:
        """An input with unique values at some places. The target is asked once, about an example with other unique values."""
        if not self.is_asked:
            return unique_input(value, places, self.accepts, self.rng)
        example = unique_input(value, places, self.accepts, random.Random(_EXAMPLE_SEED))
        return with_similar_values(value, example, places, self.rng)

    def with_value(self, value: JSON) -> Self:
        """A source of inputs like another accepted one."""
        return replace(self, value=value, places=unique_places(value, self.accepts, self.rng)).without_places(
            self.failing
        )

    def bare(self) -> Self:
        """A source of inputs without optional arguments."""
        return self.with_value(without_optional_members(self.value, self.accepts, nested=False))

    def and_bare(self) -> Iterator[Self]:
        """The same source, and the one without optional arguments, if that is another one."""
        yield self
        bare = self.bare()
        if bare.value != self.value:
            yield bare

    def without_places(self, failing: frozenset[Place]) -> Self:
        """The same without unique values at some places."""
        return replace(self, places=tuple(each for each in self.places if each not in failing), failing=failing)

    def longer(self, length: int) -> Self:
        """A source of inputs whose texts have so many characters, as far as they are accepted."""
        return replace(self, value=lengthened(self.value, self.places, self.accepts, length))

    def with_many_items(self, count: int) -> Self:
        """A source of inputs whose arrays have so many items, as far as they are accepted."""
        return replace(self, value=with_many_items(self.value, self.accepts, count))

    def with_unique(self, value: JSON, place: Place) -> JSON:
        """An input with a unique value at one place."""
        return self.unique_at(value, (place,))

    def variations(self, limit: int = 2) -> tuple[Variation, ...]:
        """The input with one value changed, at most *limit* times in each place."""
        return tuple(variations(self.value, self.accepts, self.words, limit))

    def variations_by_argument(self) -> tuple[Variation, ...]:
        """The same and arrays in reverse order: one for each argument first, then another one for each, and so on."""
        places, arguments = Counter[Place](), Counter[Place]()
        ranked: list[tuple[int, Variation]] = []
        for each in (*self.variations(), *reversed_arrays(self.value, self.accepts)):
            ranked.append((places[each.place], each))
            places[each.place] += 1
        found: list[tuple[int, Variation]] = []
        for _, each in sorted(ranked, key=itemgetter(0)):
            found.append((arguments[each.place[:1]], each))
            arguments[each.place[:1]] += 1
        return tuple(each for _, each in sorted(found, key=itemgetter(0)))

    def tokens(self, value: JSON) -> frozenset[bytes]:
        """The unique texts of an input, by which it is recognised in an answer."""
        texts = (value_at(value, place) for place in self.places)
        return frozenset(text[:_TOKEN_LENGTH].encode() for text in texts if isinstance(text, str) and len(text) >= 8)


def input_source(requester: Requester, purpose: str) -> InputSource:
    """The source of inputs for one purpose. Raises CheckSkipped if the chain returns its input or accepts none that is known."""
    if requester.settings.echo:
        raise CheckSkipped("needs a chain that does not return its input: --echo tests the same in another way")
    if not requester.inputs.is_accepted:
        raise CheckSkipped(requester.no_accepted_input)
    schema, rng = requester.terms.input_schema, requester.rng(purpose)
    accepts = schema.accepts if schema is not None else _asking(requester)
    value = _rich_value(requester, accepts)
    source = InputSource(
        value=value,
        accepts=accepts,
        places=unique_places(value, accepts, rng),
        words=() if schema is None else enumerated_words(schema.document),
        rng=rng,
        is_asked=schema is None,
    )
    return source.without_places(_failing_places(requester, source))


def distinct_bodies(requester: Requester, source: InputSource, count: int) -> list[bytes]:
    """At most *count* accepted inputs, all different."""
    bodies = [requester.inputs.base, *(encoded(source.unique()) for _ in range(count))]
    bodies += requester.inputs.others
    return list(dict.fromkeys(bodies))[:count]


def _failing_places(requester: Requester, source: InputSource) -> frozenset[Place]:
    """
    Where the target answers unique values with an error, although the schema permits them or an answer that was stored did. An
    input with such a value has no output to compare. The first check finds these places for all.
    """
    if _FAILING_PLACES not in requester.learnt:
        failing = [] if _has_output(requester, source, source.places) else source.places
        kept: tuple[Place, ...] = ()
        for place in failing:
            kept += (place,) if _has_output(requester, source, (*kept, place)) else ()
        requester.learnt[_FAILING_PLACES] = [format_path(each) for each in failing if each not in kept]
    known = requester.learnt[_FAILING_PLACES]
    assert isinstance(known, list)
    return frozenset(each for each in source.places if format_path(each) in known)


def _has_output(requester: Requester, source: InputSource, places: tuple[Place, ...]) -> bool:
    """True if an input with unique values at some places is accepted."""
    body = encoded(source.unique_at(source.value, places))
    answer = requester.send(requester.build_request(body, label="an input with unique values")).answer
    return answer is not None and answer.status == 200


def _rich_value(requester: Requester, accepts: Accepts) -> JSON:
    """An accepted input with as many arguments and values as possible. The first check finds it for all."""
    if _RICH_INPUT not in requester.learnt:
        requester.learnt[_RICH_INPUT] = _find_rich_value(requester, accepts)
    return requester.learnt[_RICH_INPUT]


def _find_rich_value(requester: Requester, accepts: Accepts) -> JSON:
    schema = requester.terms.input_schema
    if schema is not None:
        payloads = [payload.body for payload in generate_payloads(schema, requester.seed)]
        rich = InputGenerator(schema).rich().value
        for body in (merged_input([rich, *payloads], accepts), rich, *payloads[:2]):
            answer = requester.send(requester.build_request(encoded(body))).answer
            if answer is not None and answer.status == 200:
                return _with_fuller_output(requester, body, _output(answer), accepts)
    known = [parse_json(body) for body in requester.inputs.known]
    return merged_input([value for value in known if not isinstance(value, InvalidJson | TooComplex)], accepts)


def _with_fuller_output(requester: Requester, value: JSON, output: Leaves, accepts: Accepts) -> JSON:
    """
    The input without those values that leave parts of the output empty, such as a least score that no result has: such an
    output shows little of what the chain does. The value of the simplest input comes before a small number, and that before none.
    """
    rng = requester.rng("fuller outputs")
    with_new_texts = _with_new_texts(value, accepts, rng)
    new_output = _output(requester.send(requester.build_request(encoded(with_new_texts))).answer)
    filled, base = _filled_paths(new_output or output), parse_json(requester.inputs.base)
    for name in list(value)[:_MAX_ARGUMENTS] if isinstance(value, dict) else ():
        simple = [with_value(value, (name,), base[name])] if isinstance(base, dict) and name in base else []
        small = [with_small_numbers(value, accepts, numbers, argument=name) for numbers in _SMALL_NUMBERS]
        candidates = (*simple, *small, without_member(value, (name,)))
        for changed in candidates:
            if changed == value or not accepts(changed):
                continue
            sent = _with_new_texts(changed, accepts, rng) if new_output else changed
            found = _filled_paths(_output(requester.send(requester.build_request(encoded(sent))).answer))
            if found > filled:
                value, filled = changed, found
                break
    return value


def _with_new_texts(value: JSON, accepts: Accepts, rng: random.Random) -> JSON:
    """The input with unique texts, so that its output is not a stored one."""
    places = (each for each in unique_places(value, accepts, rng) if isinstance(value_at(value, each), str))
    return unique_input(value, tuple(places), accepts, rng)


def _filled_paths(output: Leaves) -> int:
    """The number of paths at which an output has a value that is neither null nor empty."""
    return sum(any(each not in ({}, [], None, "") for each in values) for values in output.values())


def _output(answer: Answer | None) -> Leaves:
    """The values of the output in an answer; none if it has no output that can be compared."""
    output = parse_json(answer.body) if answer is not None and answer.status == 200 else None
    return leaves(output) if isinstance(output, dict | list | str) and is_comparable_size(output) else {}


def _asking(requester: Requester) -> Accepts:
    """A function that asks the target whether it accepts an input, once for each input."""
    known: dict[bytes, bool] = {}

    def accepts(value: JSON) -> bool:
        body = encoded(value)
        if body not in known:
            answer = requester.send_valid_body(body)
            known[body] = answer is not None and answer.status == 200
        return known[body]

    return accepts
