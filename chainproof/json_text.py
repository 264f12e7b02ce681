"""Strict JSON parsing (RFC 8259) that gives the value or the reason why a body is not JSON."""

from __future__ import annotations

import json
import math
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from enum import Enum
from typing import Any, TypeGuard, cast

import orjson

JSON = dict[str, "JSON"] | list["JSON"] | str | int | float | bool | None
"""A JSON value."""


def is_number(value: object) -> TypeGuard[int | float]:
    """True for a JSON number. In Python, a boolean is one too."""
    return isinstance(value, int | float) and not isinstance(value, bool)


def values_in(value: JSON) -> Iterator[JSON]:
    """
    A JSON value and all values in it, in their order.

    >>> list(values_in({"a": [1, 2]}))
    [{'a': [1, 2]}, [1, 2], 1, 2]
    """
    waiting = [value]
    while waiting:  # not recursive, since a value may be nested more deeply than calls
        part = waiting.pop()
        yield part
        if isinstance(part, list):
            waiting += reversed(part)
        elif isinstance(part, dict):
            waiting += reversed(part.values())


def encode_json(value: object, default: Callable[[Any], object] | None = None) -> bytes:
    """
    A value as compact JSON in UTF-8. Integers may have any size. Half of a surrogate pair is escaped. Raises ValueError for
    NaN and infinity, TypeError for what JSON does not have and *default* does not convert.
    """
    with long_integers():
        try:
            return json.dumps(
                value, ensure_ascii=False, allow_nan=False, separators=(",", ":"), default=default
            ).encode()
        except UnicodeEncodeError:
            return json.dumps(value, allow_nan=False, separators=(",", ":"), default=default).encode()


@contextmanager
def long_integers() -> Iterator[None]:
    """Read and write integers of more than 4300 digits, which Python otherwise rejects. For input of the user only."""
    limit = sys.get_int_max_str_digits()
    sys.set_int_max_str_digits(0)
    try:
        yield
    finally:
        sys.set_int_max_str_digits(limit)


class InvalidJson(Enum):
    """Why a body is not JSON. The value completes the sentence "the body is …"."""

    EMPTY = "empty"
    NOT_UTF8 = "not UTF-8"
    BYTE_ORDER_MARK = "preceded by a byte order mark"
    NOT_JSON = "not JSON"


class TooComplex:
    """A body that is nested too deeply to parse, or would take too much memory. It counts neither as valid nor as invalid."""


_ALWAYS_PARSED = 1 << 20
"""Bytes of a text that is parsed whatever it contains."""
_MAX_VALUES = 1_200_000
"""Values of a text that is parsed. Each takes up to 100 bytes, though a text needs only three for it."""
_MAX_NON_ASCII = 16 << 20
"""Bytes of a text that may have characters outside ASCII: one of them can make each of the others take four bytes."""


def parse_json(body: bytes) -> JSON | InvalidJson | TooComplex:
    """
    The value of a JSON text, or why it is invalid. `NaN`, `Infinity` and trailing text are invalid (RFC 8259 §2, §6, §8.1).

    A text that the fast parser rejects is parsed again without its limits on depth and size, so that our limits never
    become a finding. An integer beyond 64 bits may be returned as the nearest float.
    """
    if takes_much_memory(body):
        return TooComplex()
    try:
        return cast(JSON, orjson.loads(body))
    except orjson.JSONDecodeError:
        return _parse_slowly(body)


def takes_much_memory(body: bytes) -> bool:
    """Whether the value of a long text may take many times the memory of the text."""
    if len(body) <= _ALWAYS_PARSED:
        return False
    if len(body) > _MAX_NON_ASCII and not body.isascii():
        return True
    # Each value but the first follows one of these.
    return body.count(b",") + body.count(b"[") + body.count(b"{") > _MAX_VALUES


def parse_object(text: bytes) -> dict[str, JSON]:
    """
    The JSON object in a text that a user wrote. Raises ValueError with what was found and what to do.

    Numbers that a reader would take for infinity are rejected as well, such as 1e400. A float takes the place of an integer
    beyond 64 bits: the text is what is sent.
    """
    try:
        value = cast(JSON, orjson.loads(text))
    except orjson.JSONDecodeError:
        literal = _non_finite_literal(text)
        if literal:
            raise ValueError(
                f"expected finite numbers, found {literal}: JSON has no such number; write a string or null"
            ) from None
        parsed = _parse_slowly(text)
        if isinstance(parsed, TooComplex):
            raise ValueError("expected a JSON object that can be checked, found one nested too deeply") from None  # noqa: TRY004  # the caller handles one type
        if isinstance(parsed, InvalidJson):
            raise ValueError(f"expected a JSON object, found a text that is {why_invalid(text, parsed)}") from None  # noqa: TRY004  # as above
        value = parsed
    if not isinstance(value, dict):
        raise ValueError(f"expected a JSON object, found {_TYPE_NAMES[type(value)]}")  # noqa: TRY004  # as above
    return value


_TYPE_NAMES = {
    list: "an array",
    str: "a string",
    int: "a number",
    float: "a number",
    bool: "a boolean",
    type(None): "null",
}


def exact_value(text: bytes) -> Any:
    """The value of a JSON text of ours, with integers of any size. Slower than the parsers of answers."""
    with long_integers():
        return json.loads(text)


def _non_finite_literal(text: bytes) -> str:
    """The first number of a text that is not finite, as written: `NaN`, `-Infinity`, `1e400`; empty if there is none."""

    def finite(literal: str) -> float:
        value = float(literal)
        if not math.isfinite(value):
            raise OverflowError(literal)
        return value

    try:
        json.loads(text, parse_float=finite, parse_constant=finite, parse_int=bool)
    except OverflowError as error:
        return str(error)
    except (ValueError, RecursionError):
        pass  # invalid for another reason
    return ""


def why_invalid(text: bytes, invalid: InvalidJson) -> str:
    r"""
    Why a text is not JSON, with the place of a syntax error.

    >>> why_invalid(b'{"a" 1}', InvalidJson.NOT_JSON)
    "not JSON (expecting ':' delimiter at column 6)"
    >>> why_invalid(b'{\n  "a": 1,\n}', InvalidJson.NOT_JSON)
    'not JSON (expecting property name enclosed in double quotes at line 3, column 1)'
    """
    if invalid is not InvalidJson.NOT_JSON:
        return str(invalid.value)
    try:
        json.loads(text)
    except json.JSONDecodeError as error:
        line = f"line {error.lineno}, " if b"\n" in text.strip() else ""
        return f"not JSON ({error.msg.lower()} at {line}column {error.colno})"
    except (ValueError, RecursionError):
        pass  # a text that Python accepts, or that has no place of its own
    return "not JSON"


def _parse_slowly(body: bytes) -> JSON | InvalidJson | TooComplex:
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
        return TooComplex()
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
