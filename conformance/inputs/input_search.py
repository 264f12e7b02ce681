"""
Looks for an input that the chain accepts, guided by the errors with which it rejects others.

Real chains, FastAPI, jsonschema and Python itself name what is missing or has the wrong type. The search gives each named
argument a simple value, and another one when the error names it again. It guesses no names.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from itertools import pairwise
from random import Random

from chainproof.chain_schema.alternatives import TooLarge
from chainproof.chain_schema.patterns import matching_string
from chainproof.contract.answer import Answer
from chainproof.json_text import JSON, InvalidJson, TooComplex, parse_json, values_in
from chainproof.stored_text import beginning

MAX_ATTEMPTS = 40
"""Inputs that are tried at most."""

_MAX_SEARCHED = 2**16
"""Bytes of an error that is read."""
_MAX_ERRORS = 100
"""Arguments of one error that are looked at."""
_MAX_STEPS = 20
"""Names and indices that may lead to an argument."""

_Path = tuple[str | int, ...]

_BY_WORD: tuple[tuple[str, JSON], ...] = (
    ("uuid", "00000000-0000-4000-8000-000000000000"),
    ("datetime", "2026-01-01T00:00:00Z"),
    ("timezone", "2026-01-01T00:00:00Z"),
    ("date", "2026-01-01"),
    ("url", "https://example.com"),
    ("email", "ada@example.com"),
    ("boolean", True),
    ("bool", True),
    ("integer", 1),
    ("number", 1),
    ("float", 1),
    ("decimal", 1),
    ("list", ["Ada"]),
    ("array", ["Ada"]),
    ("tuple", ["Ada"]),
    ("sequence", ["Ada"]),
    ("dictionary", {}),
    ("mapping", {}),
    ("object", {}),
    ("instance of", {}),
    ("string", "Ada"),
)
"""Words in an error message, and a value for each; the first word that occurs decides."""

_VALUES: tuple[JSON, ...] = ("Ada", 1, ["Ada"], True, {}, [], 0.5, None, [1], [{}])
"""Values for an argument of which nothing is known, in the order in which they are tried."""

_CHOICES = re.compile(r"'([^']*)'(?:,| or )|\bor '([^']*)'|(?:one of|be) '([^']*)'")
_PATTERN = re.compile(r"(?:match(?:es)?|pattern)(?: pattern)?:? (?:'(.{1,200})'|\"(.{1,200})\")")
"""`String should match pattern '^[0-9]{5}$'` (pydantic), `'Ada' does not match '^a'` (jsonschema), `must match pattern "^a"` (Ajv)."""
_BOUND = re.compile(
    r"(greater|less) than (or equal to )?(-?\d{1,15}(?:\.\d{1,15})?)|at (?:least|most) (\d{1,4})(?!\d)",
    re.ASCII | re.IGNORECASE,
)

_MISSING: tuple[re.Pattern[str], ...] = (
    re.compile(r"[`'\"]([\w.\[\]-]+)[`'\"]:? (?:is )?(?:a )?(?:field )?(?:is )?(?:required|missing)", re.IGNORECASE),
    re.compile(r"missing (?:a )?(?:required )?(?:field|argument|property|parameter|member|key):? [`'\"]?([\w.-]+)", re.IGNORECASE),
    re.compile(r"(?<![\w.])([A-Za-z_][\w.]*): (?:this )?(?:field|property|argument|value) (?:is )?required", re.IGNORECASE),
    re.compile(r"KeyError\(?:? ?'([\w-]+)'"),
)  # fmt: skip  # one line each
_PYTHON_MISSING = re.compile(r"missing \d+ required (?:positional|keyword-only) arguments?: (.*)")
_INDEX = re.compile(r"[0-9]{1,9}")
_NAMED = re.compile(r"`([^`]+)`: ([^\n]*)")
"""`names`: Field required."""


class InputSearch:
    """The next input to try after each rejection."""

    def __init__(self) -> None:
        self._input: dict[str, JSON] = {}
        self._tried: dict[_Path, int] = {}

    def next_input(self, answer: Answer) -> bytes | None:
        """Another input, changed where the answer's error says so; None if the error names nothing, or nothing new."""
        before = json.dumps(self._input)
        for path, message in named_errors(answer):
            self._set(path, self._value(path, message))
        text = json.dumps(self._input)
        return None if text == before else text.encode()

    def _value(self, path: _Path, message: str) -> JSON:
        """A value for an argument, by its error; another one each time if the error does not help."""
        turn = self._tried[path] = self._tried.get(path, -1) + 1
        hinted = _hinted_value(message)
        if hinted is not None and hinted != _value_at(self._input, path):
            return hinted
        return _VALUES[turn % len(_VALUES)]

    def _set(self, path: _Path, value: JSON) -> None:
        """Set the value at a path, and create the containers on the way."""
        container: JSON = self._input
        for step, following in pairwise(path):
            empty: JSON = [] if isinstance(following, int) else {}
            existing = _value_at(container, (step,))
            if not isinstance(existing, type(empty)):
                _put(container, step, empty)
            container = _value_at(container, (step,))
        _put(container, path[-1], value)


def _put(container: JSON, step: str | int, value: JSON) -> None:
    """Set one item of an object or array."""
    if isinstance(container, dict):
        container[str(step)] = value
    elif isinstance(container, list) and isinstance(step, int):
        if step < len(container):
            container[step] = value
        else:
            container.append(value)


def _value_at(value: JSON, path: _Path) -> JSON:
    """The value at a path, None if there is none."""
    for step in path:
        if isinstance(value, dict):
            value = value.get(str(step))
        elif isinstance(value, list) and isinstance(step, int) and step < len(value):
            value = value[step]
        else:
            return None
    return value


def _hinted_value(message: str) -> JSON:
    """The value that a message asks for, None if it names no type."""
    pattern = _PATTERN.search(message)
    if pattern:
        return _matching(pattern[1] or pattern[2])
    choice = _CHOICES.search(message)
    if choice:
        return next(found for found in choice.groups() if found is not None)
    bound = _BOUND.search(message)
    if bound and bound[4]:
        count = int(bound[4])
        return ["Ada"] * count if "item" in message else "A" * count
    if bound:
        limit = float(bound[3])
        step = 0 if bound[2] else 1 if bound[1].lower() == "greater" else -1
        return int(limit + step) if limit.is_integer() else limit + step
    words = message.lower()
    return next((value for word, value in _BY_WORD if re.search(rf"\b{word}", words)), None)


def _matching(pattern: str) -> str | None:
    """A text in which a pattern is found; None if a few attempts give none."""
    try:
        return matching_string(pattern, 0, None, Random(0), lambda _: None)
    except TooLarge:
        return None


def named_errors(answer: Answer) -> tuple[tuple[_Path, str], ...]:
    """The arguments that an error names, each with its message."""
    value = parse_json(answer.body) if len(answer.body) <= _MAX_SEARCHED else InvalidJson.NOT_JSON
    if isinstance(value, InvalidJson | TooComplex):
        errors = _errors_in_text(beginning(answer.body, _MAX_SEARCHED))
    else:
        parts = tuple(values_in(value))
        structured = tuple(error for part in parts for error in _located_error(part))
        texts = (part for part in parts if isinstance(part, str))
        errors = iter(structured) if structured else (error for text in texts for error in _errors_in_text(text))
    found: dict[_Path, str] = {}
    for path, message in errors:
        if 0 < len(path) <= _MAX_STEPS:
            found.setdefault(path, message)
        if len(found) == _MAX_ERRORS:
            break
    return tuple(found.items())


def _located_error(part: JSON) -> Iterator[tuple[_Path, str]]:
    """The error in the form of pydantic and FastAPI, an object with `loc` and `msg`."""
    place = part.get("loc") if isinstance(part, dict) else None
    if not isinstance(part, dict) or not isinstance(place, list):
        return
    path = tuple(step for step in place if isinstance(step, str | int))
    if len(path) == len(place):
        path = path[1:] if path[:1] == ("body",) else path
        if path and isinstance(path[0], str):
            yield path, str(part.get("msg", ""))


def _errors_in_text(text: str) -> Iterator[tuple[_Path, str]]:
    """The arguments that an error message names."""
    for name, message in _NAMED.findall(text):
        if name != "__root__":
            yield _path(name), message
    for pattern in _MISSING:
        for name in pattern.findall(text):
            yield _path(name), "required"
    for names in _PYTHON_MISSING.findall(text):
        for name in re.findall(r"'(\w+)'", names):
            if name != "self":
                yield (name,), "required"


def _path(name: str) -> _Path:
    """The path that `opts.names[0]` or `opts.names.0` writes."""
    steps = re.findall(r"[^.\[\]]+", name)
    return tuple(int(step) if _INDEX.fullmatch(step) and at else step for at, step in enumerate(steps))
