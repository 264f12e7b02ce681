"""
A JSON text as RFC 8259 has it: its value, or why it has none.
"""

from __future__ import annotations

import json
from enum import Enum
from typing import cast

import orjson

JSON = dict[str, "JSON"] | list["JSON"] | str | int | float | bool | None
"""A JSON value."""


class InvalidJson(Enum):
    """
    Why a body is not JSON as RFC 8259 has it; the value completes the sentence "the body is …".
    """

    EMPTY = "empty"
    NOT_UTF8 = "not UTF-8"
    BYTE_ORDER_MARK = "led by a byte order mark"
    NOT_JSON = "not JSON"


class TooDeep:
    """
    A body nested deeper than we can follow: neither valid nor invalid, and no violation.
    """


def parse_json(body: bytes) -> JSON | InvalidJson | TooDeep:
    """
    The value of a JSON text, or why it is none. `NaN`, `Infinity` and trailing text are refused (RFC 8259 §2, §6, §8.1).

    A fast parser goes first; what it refuses is tried again by one without its limits on depth and size, so that our
    own limits never become the target's finding. An integer beyond 64 bits may come back as the float nearest to it.
    """
    try:
        return cast(JSON, orjson.loads(body))
    except orjson.JSONDecodeError:
        return _parse_slowly(body)


def _parse_slowly(body: bytes) -> JSON | InvalidJson | TooDeep:
    """
    The same verdict by the standard library, which names the reason.
    """
    if not body.strip():
        return InvalidJson.EMPTY
    if body.startswith(b"\xef\xbb\xbf"):
        return InvalidJson.BYTE_ORDER_MARK
    try:
        text = body.decode("utf-8")
    except UnicodeDecodeError:
        return InvalidJson.NOT_UTF8
    try:
        # An integer of more than 4300 digits is valid JSON that int() refuses; its size is all we keep of it.
        return cast(JSON, json.loads(text, parse_constant=_refuse_constant, parse_int=_any_integer))
    except RecursionError:
        return TooDeep()
    except ValueError:
        return InvalidJson.NOT_JSON


def _refuse_constant(constant: str) -> float:
    """
    `NaN`, `Infinity` and `-Infinity` are Python's, not JSON's.
    """
    raise ValueError(constant)


def _any_integer(digits: str) -> int | float:
    """
    An integer, or infinity with its sign when it has too many digits for Python to convert.
    """
    try:
        return int(digits)
    except ValueError:
        return float("-inf") if digits.startswith("-") else float("inf")
