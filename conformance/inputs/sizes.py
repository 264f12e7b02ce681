"""
The sizes of objects that every receiver must accept, and the larger sizes that are tried.

RFC 8259 §9 lets a parser limit size and depth, the range of numbers and the length of strings, without stating
values. Each limit here is below what common parsers and servers reject by default: 64 levels in .NET, 1000 digits and
names of 50 000 characters in Jackson, 2^20 bytes in aiohttp and Fastify.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from ..options import Depth

REQUIRED_NESTING = 64
"""Levels of nesting; the outermost object is the first."""
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

_KIB = 2**10
_MIB = 2**20


@dataclass(frozen=True, slots=True, kw_only=True)
class Dimension:
    """
    One way in which an object can grow.
    """

    name: str
    """Label with a placeholder for the size, to complete "status 400 to …"."""
    required: int
    """The size that must be accepted."""
    bounds: dict[Depth, int]
    """The largest size that is tried; at most *required* if huge bodies are not permitted."""
    make: Callable[[int], bytes]
    """Makes an object of a size."""

    def label(self, size: int) -> str:
        """The label of an object of a size."""
        return self.name.format(size)


def _bounds(quick: int, standard: int, deep: int) -> dict[Depth, int]:
    """
    One bound for each depth.
    """
    return {Depth.QUICK: quick, Depth.STANDARD: standard, Depth.DEEP: deep}


def _nested(before: str, after: str, levels: int) -> bytes:
    """
    An object with *levels* levels of nesting, itself included.
    """
    return ('{"a":' + before * (levels - 2) + "{}" + after * (levels - 2) + "}").encode() if levels > 1 else b"{}"


def _filled(filling: str, length: int, prefix: str = '{"a":"', suffix: str = '"}') -> bytes:
    """
    An object of *length* bytes, filled with a character.
    """
    room = length - len((prefix + suffix).encode())
    return (prefix + filling * (room // len(filling.encode())) + suffix).encode()


DIMENSIONS: tuple[Dimension, ...] = (
    Dimension(
        name="objects nested {} deep",
        required=REQUIRED_NESTING,
        bounds=_bounds(2_000, 100_000, 1_000_000),
        make=lambda size: _nested('{"a":', "}", size),
    ),
    Dimension(
        name="arrays nested {} deep in an object",
        required=REQUIRED_NESTING,
        bounds=_bounds(2_000, 100_000, 1_000_000),
        make=lambda size: _nested("[", "]", size),
    ),
    Dimension(
        name="an integer of {} digits",
        required=REQUIRED_DIGITS,
        bounds=_bounds(5_000, 20_000, 1_000_000),
        make=lambda size: b'{"a":' + b"9" * size + b"}",
    ),
    Dimension(
        name="a fraction of {} digits",
        required=REQUIRED_FRACTION_DIGITS,
        bounds=_bounds(5_000, 20_000, 1_000_000),
        make=lambda size: b'{"a":0.' + b"3" * max(1, size - 1) + b"}",
    ),
    Dimension(
        name="an object of {} members",
        required=REQUIRED_MEMBERS,
        bounds=_bounds(20_000, 100_000, 1_000_000),
        make=lambda size: ("{" + ",".join(f'"m{number}":{number}' for number in range(size)) + "}").encode(),
    ),
    Dimension(
        name="an array of {} items",
        required=REQUIRED_ITEMS,
        bounds=_bounds(131_072, 262_144, 4_194_304),
        make=lambda size: b'{"a":[' + b",".join([b"0"] * size) + b"]}",
    ),
    Dimension(
        name="a name of {} characters",
        required=REQUIRED_NAME_LENGTH,
        bounds=_bounds(65_536, _MIB, 16 * _MIB),
        make=lambda size: b'{"' + b"n" * size + b'":1}',
    ),
    Dimension(
        name="a body of {} bytes, mostly one string",
        required=REQUIRED_BODY_BYTES,
        bounds=_bounds(2 * _MIB, 8 * _MIB, 64 * _MIB),
        make=lambda size: _filled("a", size),
    ),
    Dimension(
        name="a body of {} bytes, mostly non-ASCII characters",
        required=REQUIRED_BODY_BYTES,
        bounds=_bounds(2 * _MIB, 2 * _MIB, 16 * _MIB),
        make=lambda size: _filled("é", size),
    ),
    Dimension(
        name="a body of {} bytes, mostly escapes",
        required=REQUIRED_BODY_BYTES,
        bounds=_bounds(2 * _MIB, 2 * _MIB, 16 * _MIB),
        make=lambda size: _filled("\\u00e9", size),
    ),
    Dimension(
        name="a body of {} bytes, mostly whitespace",
        required=REQUIRED_BODY_BYTES,
        bounds=_bounds(2 * _MIB, 2 * _MIB, 16 * _MIB),
        make=lambda size: _filled(" ", size, '{"a":', "1}"),
    ),
)
"""Every way in which an object can grow."""
