"""
What any receiver of this contract is expected to take, and how far beyond that it is asked.

RFC 8259 §9 lets a parser set limits on size and depth, on the range of numbers and on the length of strings, and says none.
Each of these lies below what common parsers and servers refuse by default: 64 levels in .NET, 1000 digits in Jackson,
50 000 characters of a name there, 2^20 bytes in aiohttp and Fastify.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from ..options import Depth

REQUIRED_NESTING = 64
"""Levels of nesting, the outermost object being the first."""
REQUIRED_BODY_BYTES = 1_000_000
"""Bytes of a body, blanks included; a string may have as many, save what stands around it."""
REQUIRED_DIGITS = 300
"""Digits of an integer: with 309 it is beyond a double, and so beyond JavaScript, Go and Rust."""
REQUIRED_FRACTION_DIGITS = 1_000
"""Digits of a number with a fraction or an exponent."""
REQUIRED_MEMBERS = 10_000
"""Members of one object."""
REQUIRED_ITEMS = 65_536
"""Items of one array."""
REQUIRED_NAME_LENGTH = 32_768
"""Characters of a member's name."""
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
    """With its size in it, to complete "status 400 to …"."""
    required: int
    """The size that must be taken."""
    bounds: dict[Depth, int]
    """How far it is asked to grow; no further than *must* where huge bodies are not permitted."""
    make: Callable[[int], bytes]
    """An object of a size."""

    def label(self, size: int) -> str:
        """What an object of a size is called."""
        return self.name.format(size)


def _bounds(quick: int, standard: int, deep: int) -> dict[Depth, int]:
    """
    One bound for each depth.
    """
    return {Depth.QUICK: quick, Depth.STANDARD: standard, Depth.DEEP: deep}


def _nested(opening: str, closing: str, levels: int) -> bytes:
    """
    One object around so many levels less one.
    """
    return ('{"a":' + opening * (levels - 2) + "{}" + closing * (levels - 2) + "}").encode() if levels > 1 else b"{}"


def _around(filling: str, length: int, before: str = '{"a":"', behind: str = '"}') -> bytes:
    """
    An object of so many bytes, filled with a character.
    """
    room = length - len((before + behind).encode())
    return (before + filling * (room // len(filling.encode())) + behind).encode()


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
        name="a body of {} bytes, most of them one string",
        required=REQUIRED_BODY_BYTES,
        bounds=_bounds(2 * _MIB, 8 * _MIB, 64 * _MIB),
        make=lambda size: _around("a", size),
    ),
    Dimension(
        name="a body of {} bytes, most of them beyond ASCII",
        required=REQUIRED_BODY_BYTES,
        bounds=_bounds(2 * _MIB, 2 * _MIB, 16 * _MIB),
        make=lambda size: _around("é", size),
    ),
    Dimension(
        name="a body of {} bytes, most of them escapes",
        required=REQUIRED_BODY_BYTES,
        bounds=_bounds(2 * _MIB, 2 * _MIB, 16 * _MIB),
        make=lambda size: _around("\\u00e9", size),
    ),
    Dimension(
        name="a body of {} bytes, most of them blanks",
        required=REQUIRED_BODY_BYTES,
        bounds=_bounds(2 * _MIB, 2 * _MIB, 16 * _MIB),
        make=lambda size: _around(" ", size, '{"a":', "1}"),
    ),
)
"""Every way in which an object is made to grow, from small to its bound."""
