"""Numbers within the bounds of a schema, with exact arithmetic."""

from __future__ import annotations

import math
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from fractions import Fraction
from functools import lru_cache
from random import Random
from typing import Any

from chainproof.json_text import is_number

from .references import Node

_REACH = 1000
"""The distance of a missing bound from the other bound or from 0."""
_DIGITS = 3
"""Decimal places of a generated number, if the bounds leave room."""


@dataclass(frozen=True, slots=True, kw_only=True)
class NumberRange:
    """The numbers that a conjunction of schemas allows."""

    low: Fraction | None
    high: Fraction | None
    low_open: bool = False
    """True if the bound itself is not allowed."""
    high_open: bool = False
    step: Fraction | None = None
    """Every number is a multiple of it; None without `multipleOf`."""
    reach: tuple[Fraction, Fraction]
    """The bounds, with something in place of a missing one."""

    def factors(self) -> tuple[int, int] | None:
        """The first and last factor of the step; None if no multiple is allowed. A missing bound is near the other one."""
        assert self.step is not None
        low, high = self.reach
        first, last = math.ceil(low / self.step), math.floor(high / self.step)
        first += self.low_open and first * self.step == low
        last -= self.high_open and last * self.step == high
        return (first, last) if first <= last else None


@lru_cache(maxsize=1024)
def interval(nodes: tuple[Node, ...], *, integers: bool) -> NumberRange:
    """The numbers that all schemas allow."""
    low: tuple[Fraction, bool] | None = None
    high: tuple[Fraction, bool] | None = None
    step = Fraction(1) if integers else None
    for node in nodes:
        for value, is_open in _bounds(node, "minimum", "exclusiveMinimum"):
            low = max(low, (value, is_open)) if low is not None else (value, is_open)
        for value, is_open in _bounds(node, "maximum", "exclusiveMaximum"):
            high = min(high, (value, not is_open)) if high is not None else (value, not is_open)
        if "multipleOf" in (node.schema if isinstance(node.schema, dict) else {}):
            step = _common_multiple(step, _fraction(node.get("multipleOf")))
    return NumberRange(
        low=low[0] if low else None,
        high=high[0] if high else None,
        low_open=bool(low and low[1]),
        high_open=bool(high and not high[1]),
        step=step,
        reach=_reach(low[0] if low else None, high[0] if high else None, step),
    )


def _reach(low: Fraction | None, high: Fraction | None, step: Fraction | None) -> tuple[Fraction, Fraction]:
    """The bounds; a missing one is near the other one."""
    width = _REACH * max(step or 1, 1)
    first = low if low is not None else min(-width, (high or 0) - width)
    return Fraction(first), Fraction(high if high is not None else max(width, first + width))


def _bounds(node: Node, inclusive: str, exclusive: str) -> Iterator[tuple[Fraction, bool]]:
    """The bounds of a schema, and whether they are exclusive; in draft 4 that is a boolean."""
    given, limit = node.get(inclusive), node.get(exclusive)
    if is_number(given):
        yield _fraction(given), limit is True
    if is_number(limit):
        yield _fraction(limit), True


def _fraction(number: Any) -> Fraction:
    """A number as it is written: 0.1 is a tenth."""
    if isinstance(number, float) and math.isinf(number):
        return Fraction(10) ** 400 * (1 if number > 0 else -1)
    return Fraction(str(number)) if isinstance(number, float) else Fraction(number)


def _common_multiple(one: Fraction | None, other: Fraction) -> Fraction:
    """The least common multiple."""
    if one is None:
        return other
    return Fraction(math.lcm(one.numerator, other.numerator), math.gcd(one.denominator, other.denominator))


def simplest_number(allowed: NumberRange) -> int | float | None:
    """The allowed number nearest to 0; None if there is none."""
    if allowed.step is not None:
        factors = allowed.factors()
        return None if factors is None else _number(min(max(0, factors[0]), factors[1]) * allowed.step)
    low, high = allowed.reach
    for candidate in (
        Fraction(0),
        Fraction(math.floor(low) + 1),
        Fraction(math.ceil(high) - 1),
        low,
        high,
        (low + high) / 2,
    ):
        if _is_allowed(candidate, allowed):
            return _number(candidate)
    return None


_FEW_NUMBERS = 100_000
"""Numbers of a range up to which each turn gets the next one."""


def any_number(allowed: NumberRange, source: Random, digits: int = _DIGITS) -> int | float | None:
    """An allowed number of so many decimal places, often one of the bounds; None if there is none."""
    if allowed.step is not None:
        factors = allowed.factors()
        if factors is None:
            return None
        first, last = factors
        chosen = source.choice([first, last, *(source.randint(first, last) for _ in range(6))])
        return _number(chosen * allowed.step)
    low, high = allowed.reach
    share, kind = source.random(), source.randrange(5)
    if kind > 1:
        with suppress(OverflowError):
            start, end = float(low), float(high)
            quick: float = round(start * (1 - share) + end * share, digits)
            if start < quick < end:
                return quick
    candidates = (low if kind == 0 else high, low + (high - low) * Fraction(share), (low + high) / 2)
    return next((_number(candidate) for candidate in candidates if _is_allowed(candidate, allowed)), None)


def next_number(allowed: NumberRange, turn: int) -> int | float | None:
    """Another allowed number each turn, until there is none left; None if there are more than a few, or no multiples."""
    factors = allowed.factors() if allowed.step is not None else None
    if factors is None or factors[1] - factors[0] >= _FEW_NUMBERS:
        return None
    assert allowed.step is not None
    return _number((factors[0] + turn % (factors[1] - factors[0] + 1)) * allowed.step)


def bounds(allowed: NumberRange) -> tuple[int | float, ...]:
    """The smallest and the largest allowed number, where the schema sets them."""
    if allowed.step is not None:
        factors = allowed.factors()
        if factors is None:
            return ()
        ends = [(allowed.low, factors[0]), (allowed.high, factors[1])]
        return tuple(_number(factor * allowed.step) for bound, factor in ends if bound is not None)
    return tuple(
        _number(bound) for bound in (allowed.low, allowed.high) if bound is not None and _is_allowed(bound, allowed)
    )


def _is_allowed(number: Fraction, allowed: NumberRange) -> bool:
    """True if the number, as a float, is within the bounds."""
    low, high = allowed.reach
    exact = Fraction(_number(number))
    above = exact > low if allowed.low_open else exact >= low
    return above and (exact < high if allowed.high_open else exact <= high)


def _number(value: Fraction) -> int | float:
    """A whole number as int, else the nearest float."""
    if value.denominator == 1:
        return value.numerator
    try:
        return float(value)
    except OverflowError:
        return int(value)
