"""Valid inputs with one value at a bound of the schema."""

from __future__ import annotations

import json
from collections.abc import Iterator
from random import Random

from chainproof.chain_schema.alternatives import Unsatisfiable
from chainproof.chain_schema.error_text import format_path
from chainproof.chain_schema.inputs import GeneratedInput, InputGenerator
from chainproof.chain_schema.instances import Position, Style, allowed_types, choices
from chainproof.chain_schema.numbers import bounds, interval
from chainproof.chain_schema.objects_and_arrays import least, most
from chainproof.chain_schema.references import Node
from chainproof.chain_schema.schema import Schema
from chainproof.json_text import encode_json, parse_json

from .bodies import BodyCase
from .input_variations import with_value, without_member

_MAX_LENGTH = 100_000
"""Longer strings are not sent."""
_MAX_ITEMS = 1_000
_MARK = "chainproof mark \ue000"
"""Stands for the text that is put into the encoded input."""
_ALPHABETS = {"letters": "a", "letters with accents": "é", "Han characters": "漢", "characters beyond U+FFFF": "🙂"}


def boundary_inputs(schema: Schema) -> tuple[BodyCase, ...]:
    """
    Valid inputs with one value at a bound: string lengths in characters of several scripts, numbers in every JSON
    notation, array lengths, members of an enum, an optional property left out. Raises SchemaError if there is no valid input.
    """
    generator = InputGenerator(schema)
    rich = generator.rich()
    found: dict[bytes, str] = {}
    for position in distinct_positions(rich):
        path = format_path(position.path)
        for label, text in _texts(position, generator, schema):
            content = with_text_at(rich, position.path, text)
            if _is_accepted(schema, content):
                found.setdefault(content, f"`{path}` {label}")
        if not position.is_required and isinstance(position.path[-1], str):
            content = encode_json(without_member(rich.value, position.path))
            if _is_accepted(schema, content):
                found.setdefault(content, f"no `{path}`, which is optional")
    return tuple(BodyCase(label=label, content=content) for content, label in found.items())


def distinct_positions(generated: GeneratedInput) -> Iterator[Position]:
    """The parts of an input, but of several items with the same schema only the first."""
    seen: set[tuple[object, ...]] = set()
    for position in generated.positions:
        places = tuple("*" if isinstance(step, int) else step for step in position.path)
        key = (places, position.nodes)
        if position.path and key not in seen:
            seen.add(key)
            yield position


def with_text_at(generated: GeneratedInput, path: tuple[str | int, ...], text: bytes) -> bytes:
    """An input as JSON, with a text in place of the value at a path."""
    return encode_json(with_value(generated.value, path, _MARK)).replace(encode_json(_MARK), text, 1)


def _is_accepted(schema: Schema, content: bytes) -> bool:
    """True if the schema accepts an encoded input."""
    value = parse_json(content)
    return isinstance(value, dict) and schema.accepts(value)


def _texts(position: Position, generator: InputGenerator, schema: Schema) -> Iterator[tuple[str, bytes]]:
    """The values at the bounds of a position, as labels and JSON texts."""
    given = choices(position.nodes)
    if given is not None:
        yield from ((f"is {json.dumps(choice)[:40]}", encode_json(choice)) for choice in given)
        return
    types = allowed_types(position.nodes)
    if len(types) > 2:
        return
    for kind in types:
        if kind == "boolean":
            yield from (("is true", b"true"), ("is false", b"false"))
        elif kind == "string":
            yield from _strings(position, generator)
        elif kind in ("integer", "number"):
            yield from _numbers(position, is_integer=kind == "integer", spelled=schema.model is not None)
        elif kind == "array":
            yield from _arrays(position, generator)


def _strings(position: Position, generator: InputGenerator) -> Iterator[tuple[str, bytes]]:
    """Strings of the smallest and the largest length, counted in characters."""
    low, high = most(position.nodes, "minLength"), least(position.nodes, "maxLength")
    is_free = not any({"pattern", "format"} & node.schema.keys() for node in position.nodes)
    for length in dict.fromkeys(length for length in (low, high) if length is not None and length <= _MAX_LENGTH):
        if is_free:
            for name, character in _ALPHABETS.items() if length else (("characters", ""),):
                yield f"with {length} {name}", encode_json(character * length)
        else:
            bound = {"minLength": length, "maxLength": length}
            yield from ((f"with {length} characters", text) for text in _generated(position, generator, bound))


def _numbers(position: Position, *, is_integer: bool, spelled: bool) -> Iterator[tuple[str, bytes]]:
    """The smallest and the largest number, in several notations; integers only if a model is known to read them."""
    for number in bounds(interval(position.nodes, integers=is_integer)):
        for text in _notations(number) if spelled or not is_integer else (str(number),):
            yield f"is {text}", text.encode()


def _notations(number: float) -> Iterator[str]:
    """
    A number as JSON texts of the same value.

    >>> list(_notations(120))
    ['120', '120.0', '120e0', '12E+1', '1200e-1']
    """
    text = str(number)
    yield text
    if isinstance(number, int):
        yield f"{text}.0"
        yield f"{text}e0"
        if text.endswith("0") and number:
            yield f"{text[:-1]}E+1"
        yield f"{number * 10}e-1"
    elif "e" not in text:
        yield f"{text}0"
        yield f"{text}E0"


def _arrays(position: Position, generator: InputGenerator) -> Iterator[tuple[str, bytes]]:
    """Arrays of the smallest and the largest length."""
    low, high = most(position.nodes, "minItems"), least(position.nodes, "maxItems")
    for length in dict.fromkeys(length for length in (low, high) if length is not None and length <= _MAX_ITEMS):
        for text in _generated(position, generator, {"minItems": length, "maxItems": length}):
            yield f"with {length} items", text


def _generated(position: Position, generator: InputGenerator, bound: dict[str, int]) -> Iterator[bytes]:
    """One more generated value of a position, with further bounds."""
    if not position.nodes:
        return
    node = position.nodes[0]
    bounded = Position(
        path=position.path, nodes=(*position.nodes, Node(bound, node.resolver, node.draft)), is_required=True
    )
    try:
        yield encode_json(generator.value_at(bounded, Random(0), Style.RICH))
    except Unsatisfiable:
        return
