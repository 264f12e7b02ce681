"""
The sizes of objects that every receiver must accept, and the larger sizes that are tried.

RFC 8259 §9 lets a parser limit size and depth, the range of numbers and the length of strings, without stating
values. Each limit here is below what common parsers and servers reject by default: 64 levels in .NET, 1000 digits and
names of 50 000 characters in Jackson, 2^20 bytes in aiohttp and Fastify.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from chainproof.json_text import JSON

from ..options import Depth
from .chain_inputs import ChainInputs, Place, padded

REQUIRED_NESTING = 64
"""Levels of nesting; the outermost object is the first."""
REQUIRED_OWN_NESTING = 20
"""Levels of nesting that a chain with a schema must accept in its own arguments. A schema that contains itself cannot say how many
levels it permits, so a chain may reject more."""
REQUIRED_BODY_BYTES = 1_000_000
"""Bytes of a body, whitespace included; nearly all of them may be one string."""
REQUIRED_DIGITS = 300
"""Digits of an integer; with 309 it exceeds a double, and so JavaScript, Go and Rust."""
REQUIRED_FRACTION_DIGITS = 1_000
"""Digits of a number with a fraction or an exponent."""
REQUIRED_MEMBERS = 10_000
"""Members of one object."""
REQUIRED_ITEMS = 65_536
"""Items of one array."""
REQUIRED_NAME_LENGTH = 32_768
"""Characters of a member name."""
REQUIRED_FIELD_BYTES = 4_096
"""Bytes of a request header's value."""

_MIB = 2**20


@dataclass(frozen=True, slots=True, kw_only=True)
class Dimension:
    """One way in which an object can grow."""

    name: str
    """Label with a placeholder for the size, to complete "status 400 to …"."""
    required: int
    """The size that must be accepted."""
    bounds: dict[Depth, int]
    """The largest size that is tried; at most *required* if huge bodies are not permitted."""
    make: Callable[[ChainInputs, int], bytes | None]
    """Makes an input of a size; None if the chain accepts none."""

    def label(self, size: int) -> str:
        """The label of an object of a size."""
        return self.name.format(size)


def nesting(value: JSON) -> int:
    """
    The levels of nesting of a value, itself included.

    >>> nesting({"a": [1, {"b": 2}]})
    3
    """
    levels, layer = 0, [value]
    while layer := [part for part in layer if isinstance(part, dict | list)]:
        levels += 1
        layer = [item for part in layer for item in (part.values() if isinstance(part, dict) else part)]
    return levels


def _bounds(quick: int, standard: int, deep: int) -> dict[Depth, int]:
    """One bound for each depth."""
    return {Depth.QUICK: quick, Depth.STANDARD: standard, Depth.DEEP: deep}


def _with_value(inputs: ChainInputs, text: bytes) -> bytes | None:
    """An input with a JSON value."""
    return None if inputs.value_place is None else inputs.value_place.put(text)


def _nested(inputs: ChainInputs, before: bytes, after: bytes, levels: int) -> bytes | None:
    """An input with *levels* levels of nesting, itself included."""
    return _with_value(inputs, before * (levels - 2) + b"{}" + after * (levels - 2)) if levels > 1 else inputs.base


def _filled(inputs: ChainInputs, filling: str, length: int) -> bytes | None:
    """An input of *length* bytes, filled with a text."""
    place = inputs.text_place
    if place is None:
        return None
    if inputs.any_object:
        place = Place(before=b'{"a":"', after=b'"}')
    filled = filling.encode()
    return place.put(filled * max(0, (length - len(place.put(b""))) // len(filled)))


DIMENSIONS: tuple[Dimension, ...] = (
    Dimension(
        name="objects nested {} deep",
        required=REQUIRED_NESTING,
        bounds=_bounds(2_000, 100_000, 1_000_000),
        make=lambda inputs, size: _nested(inputs, b'{"a":', b"}", size),
    ),
    Dimension(
        name="arrays nested {} deep in an object",
        required=REQUIRED_NESTING,
        bounds=_bounds(2_000, 100_000, 1_000_000),
        make=lambda inputs, size: _nested(inputs, b"[", b"]", size),
    ),
    Dimension(
        name="an integer of {} digits",
        required=REQUIRED_DIGITS,
        bounds=_bounds(5_000, 20_000, 1_000_000),
        make=lambda inputs, size: _with_value(inputs, b"9" * size),
    ),
    Dimension(
        name="a fraction of {} digits",
        required=REQUIRED_FRACTION_DIGITS,
        bounds=_bounds(5_000, 20_000, 1_000_000),
        make=lambda inputs, size: _with_value(inputs, b"0." + b"3" * max(1, size - 1)),
    ),
    Dimension(
        name="an object of {} members",
        required=REQUIRED_MEMBERS,
        bounds=_bounds(20_000, 100_000, 1_000_000),
        make=lambda inputs, size: inputs.embed(
            ("{" + ",".join(f'"m{number}":{number}' for number in range(size)) + "}").encode()
        ),
    ),
    Dimension(
        name="an array of {} items",
        required=REQUIRED_ITEMS,
        bounds=_bounds(131_072, 262_144, 4_194_304),
        make=lambda inputs, size: _with_value(inputs, b"[" + b",".join([b"0"] * size) + b"]"),
    ),
    Dimension(
        name="a name of {} characters",
        required=REQUIRED_NAME_LENGTH,
        bounds=_bounds(65_536, _MIB, 16 * _MIB),
        make=lambda inputs, size: inputs.embed(b'{"' + b"n" * size + b'":1}'),
    ),
    Dimension(
        name="a body of {} bytes, mostly one string",
        required=REQUIRED_BODY_BYTES,
        bounds=_bounds(2 * _MIB, 8 * _MIB, 64 * _MIB),
        make=lambda inputs, size: _filled(inputs, "a", size),
    ),
    Dimension(
        name="a body of {} bytes, mostly non-ASCII characters",
        required=REQUIRED_BODY_BYTES,
        bounds=_bounds(2 * _MIB, 2 * _MIB, 16 * _MIB),
        make=lambda inputs, size: _filled(inputs, "é", size),
    ),
    Dimension(
        name="a body of {} bytes, mostly escapes",
        required=REQUIRED_BODY_BYTES,
        bounds=_bounds(2 * _MIB, 2 * _MIB, 16 * _MIB),
        make=lambda inputs, size: _filled(inputs, "\\u00e9", size),
    ),
    Dimension(
        name="a body of {} bytes, mostly whitespace",
        required=REQUIRED_BODY_BYTES,
        bounds=_bounds(2 * _MIB, 2 * _MIB, 16 * _MIB),
        make=lambda inputs, size: padded(b'{"a":1}' if inputs.any_object else inputs.base, size),
    ),
)
"""Every way in which an object can grow."""
