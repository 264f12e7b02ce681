"""
Finds what is in an input that a correct chain may reject: numbers, times, lengths of texts and member names that common
decoders do not have.

JSON Schema permits numbers that the types of many languages do not have: `6.0` is an integer, and numbers have no bounds unless the
schema gives them. Decoders for types such as int32 in Go, Rust, Java and C# reject `6.0`, and what is beyond their bounds. A class with
type hints says more: its model accepts such a number or does not. It may accept a whole number beyond 64 bits, and reject what a decoder
such as orjson makes of it, which is a fraction.

A time near the first or last one of a type matches every schema, and a chain that calculates with it, such as `end = start + duration`, has
to reject it: JSON Schema has no bounds for times.

`maxLength` counts code points. JavaScript (zod, Joi), Java and C# count UTF-16 code units, of which an emoji has two.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator

from chainproof.chain_schema.schema import Schema
from chainproof.json_text import JSON, InvalidJson, TooComplex, is_number, parse_json, values_in

from ..inputs.input_variations import Place, takes_no_fraction
from .json_equality import JsonNumber, ObjectMembers, parse_exactly

_MAY_HAVE_ONE = re.compile(rb"[0-9][.eE]|[0-9]{10}")
"""Whether a body may have such a number, quickly."""
_MAY_BE_BEYOND_16_BITS = re.compile(rb"[\xf0-\xf4]|\\u[dD][89abAB]")
_BEYOND_16_BITS = re.compile("[\U00010000-\U0010ffff]")
"""Characters that are two code units in UTF-16: whether a body may have one, quickly, and each."""
_LARGEST_INTEGER = 2**31 - 1
_LARGEST_FRACTION = 3.4e38
"""The largest numbers that types of 32 bits have."""
_MAX_DEPTH = 50
_MAX_PLACES = 40
"""Places that are looked at; the items of an array are one."""


_FAR_TIME = re.compile(rb'"(?:0\d{3}|1[0-5]\d\d|16[0-7]\d|22[6-9]\d|2[3-9]\d\d|[3-9]\d{3})-\d\d-\d\d(?:[T"]| \d)')
"""A date before 1680 or after 2259: 64 bits of nanoseconds since 1970, as in pandas, do not reach further."""


def value_of_some_types(schema: Schema | None, body: bytes) -> str | None:
    """What kind of value, that matches a schema but not every type, an input has, in words; None without one."""
    if schema is None:
        return None
    if _FAR_TIME.search(body) is not None:
        return "a time far from now"
    if _is_too_long_in_utf_16(schema, body):
        return "a text whose UTF-16 code units are more than its `maxLength`"
    return number_of_some_types(schema, body)


def _is_too_long_in_utf_16(schema: Schema, body: bytes) -> bool:
    """True if an input matches a JSON Schema only if each of its characters counts once. A model counts as its language does."""
    if schema.model is not None or _MAY_BE_BEYOND_16_BITS.search(body) is None:
        return False
    value = parse_json(body)
    try:
        text = json.dumps(value, ensure_ascii=False)
    except (RecursionError, TypeError):  # nested too deeply, or not JSON
        return False
    in_code_units = parse_json(_BEYOND_16_BITS.sub("..", text).encode("utf-8", "replace"))
    if isinstance(value, InvalidJson | TooComplex) or isinstance(in_code_units, InvalidJson | TooComplex):
        return False
    return schema.accepts(value) and not schema.accepts(in_code_units)


def number_of_some_types(schema: Schema | None, body: bytes) -> str | None:
    """What kind of number, that matches a schema but not every type, an input has, in words; None without one."""
    if schema is None or _MAY_HAVE_ONE.search(body) is None:
        return None
    value = parse_json(body)
    if isinstance(value, InvalidJson | TooComplex):
        return None
    if schema.model is not None:
        # Like many decoders, `parse_json` reads a whole number beyond 64 bits as one with a fraction.
        is_left_open = schema.surely_rejects(value) and schema.accepts(value)
        return "a number beyond those of 64 bits" if is_left_open else None
    named = max((abs(number) for number in values_in(schema.document) if is_number(number)), default=0)
    for place, number in _numbers(body):
        size = abs(float(number))
        limit = _LARGEST_INTEGER if takes_no_fraction(value, place, schema.accepts) else _LARGEST_FRACTION
        if size > max(limit, named):
            return "a number beyond those of 32 bits"
        if limit == _LARGEST_INTEGER and not number.is_integer:
            return "a whole number that is written with a fraction or an exponent, such as 6.0,"
    return None


def _numbers(body: bytes) -> Iterator[tuple[Place, JsonNumber]]:
    """The numbers of a JSON text as written, each with its place. Of an array, each first one with members of the same names."""
    pending: list[tuple[Place, object]] = [((), parse_exactly(body))]
    known: set[Place] = set()
    while pending and len(known) < _MAX_PLACES:
        place, part = pending.pop()
        if isinstance(part, ObjectMembers):
            pending += [((*place, name), member) for name, member in part] if len(place) < _MAX_DEPTH else []
        elif isinstance(part, list):
            pending += [((*place, index), item) for index, item in enumerate(part)] if len(place) < _MAX_DEPTH else []
        elif isinstance(part, JsonNumber) and _MAY_HAVE_ONE.search(part.encode()) is not None:
            kind = (*(each if isinstance(each, str) else 0 for each in place), "e" in part.lower() or part.is_integer)
            if kind not in known:
                known.add(kind)
                yield place, part


def has_prototype_member(body: bytes | None) -> bool:
    """
    Whether a body is an object with a member, anywhere, that some frameworks reject to keep JavaScript objects from getting another
    prototype. `secure-json-parse`, which Fastify uses, rejects a member `__proto__`, and a `constructor` with a member `prototype`.
    """
    if body is None or not any(text in body for text in (b"proto", b"\\u")):
        return False  # as most bodies, without parsing them
    value = parse_json(body)
    parts: list[JSON] = [value] if isinstance(value, dict) else []
    while parts:
        part = parts.pop()
        if isinstance(part, dict):
            constructor = part.get("constructor")
            if "__proto__" in part or (isinstance(constructor, dict) and "prototype" in constructor):
                return True
            parts.extend(part.values())
        elif isinstance(part, list):
            parts.extend(part)
    return False
