"""Strict JSON parsing (RFC 8259) that gives the value or the reason why a body is not JSON."""

from __future__ import annotations

import json
from enum import Enum
from typing import cast

import orjson

JSON = dict[str, "JSON"] | list["JSON"] | str | int | float | bool | None
"""A JSON value."""


def encode_json(value: object) -> bytes:
    """
    A value as compact JSON in UTF-8. Integers may have any size. Half of a surrogate pair is escaped. Raises ValueError for
    NaN and infinity, TypeError for what JSON does not have.
    """
    try:
        return json.dumps(value, ensure_ascii=False, allow_nan=False, separators=(",", ":")).encode()
    except UnicodeEncodeError:
        return json.dumps(value, allow_nan=False, separators=(",", ":")).encode()


class InvalidJson(Enum):
    """Why a body is not JSON. The value completes the sentence "the body is …"."""

    EMPTY = "empty"
    NOT_UTF8 = "not UTF-8"
    BYTE_ORDER_MARK = "preceded by a byte order mark"
    NOT_JSON = "not JSON"


class TooDeep:
    """A body that is nested too deeply to parse. It counts neither as valid nor as invalid."""


def parse_json(body: bytes) -> JSON | InvalidJson | TooDeep:
    """
    The value of a JSON text, or why it is invalid. `NaN`, `Infinity` and trailing text are invalid (RFC 8259 §2, §6, §8.1).

    A text that the fast parser rejects is parsed again without its limits on depth and size, so that our limits never
    become a finding. An integer beyond 64 bits may be returned as the nearest float.
    """
    try:
        return cast(JSON, orjson.loads(body))
    except orjson.JSONDecodeError:
        return _parse_slowly(body)


def _parse_slowly(body: bytes) -> JSON | InvalidJson | TooDeep:
    """The result of the standard library's parser, with the reason for an error."""
    if not body.strip():
        return InvalidJson.EMPTY
    if body.startswith(b"\xef\xbb\xbf"):
        return InvalidJson.BYTE_ORDER_MARK
    try:
        text = body.decode("utf-8")
    except UnicodeDecodeError:
        return InvalidJson.NOT_UTF8
    try:
        # An integer of more than 4300 digits is valid JSON, but int() rejects it.
        return cast(JSON, json.loads(text, parse_constant=reject_constant, parse_int=_parse_integer))
    except RecursionError:
        return TooDeep()
    except ValueError:
        return InvalidJson.NOT_JSON


def reject_constant(constant: str) -> float:
    """Raise ValueError for `NaN`, `Infinity` and `-Infinity`, which Python accepts but JSON does not."""
    raise ValueError(constant)


def _parse_integer(digits: str) -> int | float:
    """An integer, or positive or negative infinity if it has too many digits for int()."""
    try:
        return int(digits)
    except ValueError:
        return float("-inf") if digits.startswith("-") else float("inf")
