"""Strings that match a regular expression of a schema."""

from __future__ import annotations

import importlib
import re
import string
from collections.abc import Callable
from functools import cache
from random import Random
from typing import Any

import jsonschema_rs

from .alternatives import TooLarge
from .error_text import truncated

_MAX_ATTEMPTS = 100
_MAX_OPERATIONS = 30_000
"""Operations of a pattern in one string, about as many as its characters."""
_MAX_ALL_OPERATIONS = 100_000
"""The same in all attempts."""
_OPERATIONS = 10
"""Operations of a pattern that take about as long as following one schema."""
_MATCHED = 15
"""Characters of a pattern, times those of a text, that are matched in the time of an operation."""
_ANY = string.ascii_letters + string.digits + "-_. é漢🙂"
"""What stands for any character."""
_PRINTABLE = string.ascii_letters + string.digits + string.punctuation + " "
_CATEGORIES = {
    "CATEGORY_DIGIT": string.digits,
    "CATEGORY_WORD": string.ascii_letters + string.digits + "_",
    "CATEGORY_SPACE": " \t",
    "CATEGORY_NOT_DIGIT": string.ascii_letters + "-_. ",
    "CATEGORY_NOT_WORD": "-. ,;!",
    "CATEGORY_NOT_SPACE": string.ascii_letters + string.digits + "-_.",
}

_parser: Any = importlib.import_module("re._parser")  # has no type hints


def matching_string(
    pattern: str, low: int, high: int | None, source: Random, spend: Callable[[int], object]
) -> str | None:
    """
    A string of *low* to *high* characters with a match of a pattern; None if a few attempts give none. Raises TooLarge.

    *spend* gets the work of each attempt, in schemas that could be followed meanwhile.
    """
    parsed = _parsed(pattern)
    if parsed is None:
        return None
    most = low + 12 if high is None else high
    operations = 0
    for attempt in range(_MAX_ATTEMPTS):
        # Repeat a little at first, then as often as the length may need.
        repeats = (2, 6, most, 1)[attempt % 4]
        sampler = _Sampler(source, max(1, min(repeats, 2000)))
        try:
            text = sampler.text(parsed)
        except _TooLongError:
            text = ""
        operations += sampler.operations
        # The validator's engine takes time in proportion to the lengths of both.
        spend((sampler.operations + len(pattern) * len(text) // _MATCHED) // _OPERATIONS)
        if operations > _MAX_ALL_OPERATIONS:
            raise TooLarge(f"the pattern {truncated(pattern)!r} takes too long to match; add `examples`")
        text += "a" * (low - len(text)) if attempt % 2 else ""
        if low <= len(text) and (high is None or len(text) <= high) and is_found(pattern, text):
            return text
    spend(operations // 4)
    return None


def is_found(pattern: str, text: str) -> bool:
    """True if a pattern is found in a text. The engine of the validator decides, since Python's may take years."""
    validator = _validator(pattern)
    try:
        return validator is not None and validator.is_valid(text)
    except UnicodeEncodeError:  # a lone surrogate, which the validator cannot read
        return False


@cache
def _validator(pattern: str) -> jsonschema_rs.Validator | None:
    """A validator of strings in which a pattern is found; None if it cannot read the pattern."""
    try:
        return jsonschema_rs.validator_for({"pattern": pattern}, offline=True)
    except (jsonschema_rs.ValidationError, ValueError):
        return None


@cache
def _parsed(pattern: str) -> Any:
    """The operations of a pattern of ECMA-262 as Python reads it; None if Python cannot."""
    text = re.sub(r"\(\?<(?![=!])", "(?P<", pattern)
    text = re.sub(r"\\p\{[^}]*\}", lambda found: _property(text, found.start()), text)
    try:
        return _parser.parse(text, re.ASCII)
    except (re.error, OverflowError, RecursionError):
        return None


def _property(text: str, position: int) -> str:
    """Letters in place of a Unicode property, inside or outside a character class."""
    before = re.sub(r"\\.", "", text[:position])
    return "a-zA-Z" if before.rfind("[") > before.rfind("]") else "[a-zA-Z]"


class _TooLongError(Exception):
    """A string would need more operations than _MAX_OPERATIONS."""


class _Sampler:
    """Makes one string from a parsed pattern."""

    def __init__(self, source: Random, repeats: int) -> None:
        self._source = source
        self._repeats = repeats
        self.operations = 0
        self._groups: dict[int, str] = {}
        self._makers: dict[str, Callable[[Any], str]] = {
            "LITERAL": chr,
            "NOT_LITERAL": lambda code: self._choice(_ANY.replace(chr(code), "")),
            "ANY": lambda _: self._choice(_ANY),
            "IN": self._character,
            "BRANCH": lambda value: self.text(self._source.choice(value[1])),
            "SUBPATTERN": self._group,
            "ATOMIC_GROUP": self.text,
            "MAX_REPEAT": self._repeat,
            "MIN_REPEAT": self._repeat,
            "POSSESSIVE_REPEAT": self._repeat,
            "GROUPREF": lambda number: self._groups.get(number, ""),
        }

    def text(self, parsed: Any) -> str:
        """A string for a sequence of operations. Positions and conditions are left to the caller. Raises _TooLongError."""
        self.operations += 1 + len(parsed)
        if self.operations > _MAX_OPERATIONS:
            raise _TooLongError
        return "".join(self._makers.get(str(code), lambda _: "")(value) for code, value in parsed)

    def _choice(self, characters: str) -> str:
        return self._source.choice(characters) if characters else ""

    def _group(self, value: Any) -> str:
        self._groups[value[0]] = text = self.text(value[-1])
        return text

    def _repeat(self, value: Any) -> str:
        low, high, part = value
        times = self._source.randint(low, max(low, min(high, low + self._repeats)))
        return "".join(self.text(part) for _ in range(times))

    def _character(self, options: Any) -> str:
        """A character of a class such as `[a-z]` or `[^"]`."""
        if str(options[0][0]) != "NEGATE":
            return self._choice(_characters(self._source.choice(options)))
        excluded = {character for option in options[1:] for character in _characters(option, whole=True)}
        allowed = "".join(character for character in _PRINTABLE if character not in excluded)
        return self._choice(allowed or "é漢🙂")


def _characters(option: Any, *, whole: bool = False) -> str:
    """Characters that a part of a class stands for: all of them if *whole*, else some of a large range."""
    code, value = option
    if str(code) == "LITERAL":
        return chr(value)
    if str(code) == "CATEGORY":
        return _CATEGORIES.get(str(value), _ANY)
    low, high = value
    step = 1 if whole or high - low < 500 else (high - low) // 500
    last = min(high, low + 1000) if whole else high
    return "".join(chr(point) for point in range(low, last + 1, step) if not 0xD800 <= point <= 0xDFFF)
