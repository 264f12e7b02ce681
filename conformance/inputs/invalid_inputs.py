"""Inputs that the chain surely rejects because of one change to a valid one, and those that it may reject."""

from __future__ import annotations

from collections.abc import Iterator
from fractions import Fraction

from chainproof.chain_schema.error_text import format_path
from chainproof.chain_schema.inputs import InputGenerator
from chainproof.chain_schema.instances import Position, allowed_types, choices
from chainproof.chain_schema.numbers import bounds, interval
from chainproof.chain_schema.objects_and_arrays import least, most
from chainproof.chain_schema.schema import Schema
from chainproof.json_text import JSON, encode_json, parse_json

from .bodies import BodyCase
from .boundary_inputs import distinct_positions, with_text_at
from .input_variations import without_member

_MAX_LENGTH = 100_000
_WRONG_TYPES: dict[str, tuple[tuple[str, JSON], ...]] = {
    # Not a number in a string, nor 0 or 1 for a boolean: many servers read those as the type that they expect.
    "integer": (("an object", {}), ("a word", "abc")),
    "number": (("an object", {}), ("a word", "abc")),
    "boolean": (("an object", {}), ("a word", "abc")),
    "string": (("an object", {}), ("an array", [])),
    "array": (("an object", {}), ("a number", 7)),
    "object": (("a number", 7), ("a word", "abc")),
}


_LOOSE_FORMATS: dict[str, tuple[tuple[str, JSON], ...]] = {
    "date-time": (
        ("a time without a zone", "2026-02-28T23:59:59"),
        ("a time after a space", "2026-02-28 23:59:59Z"),
        ("a date without a time", "2026-02-28"),
        ("seconds since 1970", 1772323199),
    ),
    "date": (("a date with a time", "2026-02-28T00:00:00Z"), ("seconds since 1970", 1772236800)),
    "time": (("a time without a zone", "23:59:59"), ("a time without seconds", "23:59Z")),
    "duration": (("a number of seconds", 90), ("hours, minutes and seconds", "01:02:03")),
    "uuid": (("a UUID without hyphens", "6f9619ff8b86d011b42d00c04fc964ff"),),
    "email": (("an address with a name", "Ada <ada@example.com>"),),
    "uri": (("an address without a scheme", "//example.com/a"),),
}
"""Texts and numbers that some receivers take for a format and others do not, by the names of JSON Schema."""


def loosely_written_inputs(schema: Schema) -> tuple[BodyCase, ...]:
    """
    Inputs that do not match the schema, with one value written as its format does not allow but many models do. The chain may
    accept or reject them. The label names the change. Raises SchemaError if there is no valid input.
    """
    rich = InputGenerator(schema).rich()
    found: dict[bytes, str] = {}
    for position in distinct_positions(rich):
        for format_name in {str(node.schema.get("format")) for node in position.nodes if isinstance(node.schema, dict)}:
            for label, value in _LOOSE_FORMATS.get(format_name, ()):
                content = with_text_at(rich, position.path, encode_json(value))
                parsed = parse_json(content)
                if isinstance(parsed, dict) and not schema.accepts(parsed):
                    found.setdefault(content, f"{label} as `{format_path(position.path)}`")
    return tuple(BodyCase(label=label, content=content) for content, label in found.items())


def invalid_inputs(schema: Schema) -> tuple[BodyCase, ...]:
    """
    Inputs that the chain surely rejects because of one change to a valid one: another type, a value out of bounds, a
    missing required argument. The label names the change. For a class, its model rejects each of them. Raises SchemaError
    if there is no valid input.
    """
    rich = InputGenerator(schema).rich()
    found: dict[bytes, str] = {}
    for position in distinct_positions(rich):
        path = format_path(position.path)
        for label, value in _changes(position):
            content = with_text_at(rich, position.path, encode_json(value))
            if _is_rejected(schema, content):
                found.setdefault(content, label.format(path=f"`{path}`"))
        if position.is_required and isinstance(position.path[-1], str):
            content = encode_json(without_member(rich.value, position.path))
            if _is_rejected(schema, content):
                found.setdefault(content, f"no `{path}`, which is required")
    return tuple(BodyCase(label=label, content=content) for content, label in found.items())


def _is_rejected(schema: Schema, content: bytes) -> bool:
    """True if an encoded input is certain to be rejected."""
    value = parse_json(content)
    return isinstance(value, dict) and schema.surely_rejects(value)


def _changes(position: Position) -> Iterator[tuple[str, JSON]]:
    """Labels and wrong values for a position. The label has a place for the path."""
    types = allowed_types(position.nodes)
    if len(types) > 2:  # nearly anything is allowed
        return
    for kind in types:
        yield from ((f"{name} as {{path}}", value) for name, value in _WRONG_TYPES.get(kind, ()))
    if position.is_required and "null" not in types:
        yield "null as {path}", None
    members = choices(position.nodes)
    if members is not None:
        yield "{path} is not a member of its enum", "chainproof-no-member"
        for word in [member for member in members if isinstance(member, str)][:1]:
            yield "{path} is a member of its enum in another letter case", word.swapcase()
            yield "{path} is a member of its enum with a space", f"{word} "
        return
    if "string" in types:
        yield from _lengths(position)
    if {"integer", "number"} & set(types):
        yield from _numbers(position, is_integer="integer" in types)


def _lengths(position: Position) -> Iterator[tuple[str, JSON]]:
    """Strings that are one character too short or too long, or do not match their pattern."""
    low, high = most(position.nodes, "minLength"), least(position.nodes, "maxLength")
    has_pattern = any("pattern" in node.schema for node in position.nodes)
    if low > 0 and not has_pattern:
        yield f"{{path}} with {low - 1} characters", "a" * (low - 1)
    if high is not None and high < _MAX_LENGTH and not has_pattern:
        yield f"{{path}} with {high + 1} characters", "a" * (high + 1)
    if has_pattern:
        yield "{path} does not match its pattern", "~ ~"


def _numbers(position: Position, *, is_integer: bool) -> Iterator[tuple[str, JSON]]:
    """Numbers just beyond a bound."""
    allowed = interval(position.nodes, integers=is_integer)
    step = allowed.step or Fraction(1)
    ends = bounds(allowed)
    for number in ends:
        for beyond in (Fraction(number) - step, Fraction(number) + step):
            value = beyond.numerator if beyond.denominator == 1 else float(beyond)
            yield f"{{path}} is {value}", value
    for label, huge in (("2^64", 2**64), ("-2^63 - 1", -(2**63) - 1), ("10^400", 10**400)):
        yield f"{{path}} is {label}", huge
    if is_integer:
        yield "{path} is 1.5", 1.5
