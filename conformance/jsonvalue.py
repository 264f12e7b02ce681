"""
When two JSON texts say the same, and where RFC 8259 leaves it to the receiver what a text says.
"""

from __future__ import annotations

import json
import math
from decimal import Decimal

DEEPEST = 100
"""Levels of nesting that any receiver is expected to take; RFC 8259 §9 lets it set a limit."""
LARGEST = 2**20
"""Bytes that any receiver is expected to take, likewise."""
MOST_DIGITS = 1000
"""Digits of a number that any receiver is expected to take, likewise."""


class _Pairs(list[tuple[str, object]]):
    """
    An object's members as written, so that an array of pairs is not taken for one.
    """


class _Number(str):
    """
    A number as written.
    """

    __slots__ = ()


def _read(text: bytes) -> object:
    """
    The text's value with nothing lost: members in order, numbers as written. RecursionError where it is too deep.
    """
    return json.loads(
        text.decode("utf-8"), object_pairs_hook=_Pairs, parse_int=_Number, parse_float=_Number, parse_constant=_Number
    )


def discretionary(text: bytes) -> bool:
    """
    Whether what becomes of a valid JSON text is left to its receiver: RFC 8259 §4 (names twice), §6 (numbers beyond a
    double), §8.2 (lone surrogates), §9 (limits on size and depth).
    """
    if len(text) > LARGEST:
        return True
    try:
        return _discretionary(_read(text), 1)
    except RecursionError:
        return True


def _discretionary(value: object, depth: int) -> bool:
    """
    As above, for a value at a depth.
    """
    if depth > DEEPEST:
        return True
    if isinstance(value, _Number):
        return len(value) > MOST_DIGITS or (not value.lstrip("-").isdigit() and not math.isfinite(float(value)))
    if isinstance(value, str):
        return any("\ud800" <= character <= "\udfff" for character in value)
    if isinstance(value, _Pairs):
        names = [name for name, _ in value]
        return len(set(names)) < len(names) or any(
            _discretionary(name, depth) or _discretionary(member, depth + 1) for name, member in value
        )
    return isinstance(value, list) and any(_discretionary(item, depth + 1) for item in value)


def same(one: bytes, other: bytes) -> bool:
    """
    Whether two valid JSON texts say the same. Members have no order; an integer, a fraction and a boolean differ.
    """
    try:
        return _same(_read(one), _read(other))
    except (ValueError, RecursionError):
        return one.strip() == other.strip()


def _same(one: object, other: object) -> bool:
    """
    As above, for values.
    """
    if type(one) is not type(other):
        return False
    if isinstance(one, _Pairs) and isinstance(other, _Pairs):
        here, there = dict(one), dict(other)
        return here.keys() == there.keys() and all(_same(here[name], there[name]) for name in here)
    if isinstance(one, list) and isinstance(other, list):
        return len(one) == len(other) and all(map(_same, one, other))
    if isinstance(one, _Number) and isinstance(other, _Number):
        return _same_number(one, other)
    return one == other


def _same_number(one: str, other: str) -> bool:
    """
    Integers to the last digit, fractions as doubles.
    """
    whole = [number.lstrip("-").isdigit() for number in (one, other)]
    if whole[0] != whole[1]:
        return False
    if whole[0]:
        return Decimal(one) == Decimal(other)
    return float(one) == float(other)
