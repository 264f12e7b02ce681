"""
Compares JSON texts: whether they are equal, where they differ, and what RFC 8259 leaves to the receiver.

Parsing loses nothing: members keep their order and duplicates, and numbers stay as written. Depth is not limited.
"""

from __future__ import annotations

import json
import math
import re
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from decimal import Decimal, InvalidOperation

from chainproof.json_text import InvalidJson, TooComplex, parse_json, reject_constant, takes_much_memory, values_in

from ..inputs import sizes


class ObjectMembers(list[tuple[str, object]]):
    """The members of an object in their order. A class of its own, since an array of pairs is a list as well."""

    @property
    def names(self) -> list[str]:
        """The names in their order."""
        return [name for name, _ in self]

    @property
    def has_duplicate_names(self) -> bool:
        """Whether a name occurs twice."""
        return len(dict(self)) < len(self)


class JsonNumber(str):
    """A number as written."""

    __slots__ = ()

    @property
    def is_integer(self) -> bool:
        """Whether it has neither a fraction nor an exponent."""
        return self.lstrip("-").isdigit()

    @property
    def fits_double(self) -> bool:
        """Whether the nearest double is neither infinite nor, for another number, zero."""
        if self.is_integer:
            return True
        nearest = float(self)
        return math.isfinite(nearest) and (nearest != 0 or not re.search(r"[1-9]", re.split("[eE]", self)[0]))

    @property
    def digit_count(self) -> int:
        """The number of digits."""
        return sum(map(str.isdigit, self))


_PLAIN_DIGITS = 15
"""Digits of an integer that every receiver reads alike."""

_LITERALS: dict[str, object] = {"true": True, "false": False, "null": None}

_TOKEN = re.compile(
    r"[ \t\n\r]*(?:"
    r"(?P<mark>[{}\[\],:])"
    r'|(?P<text>"[^"\\\x00-\x1f]*(?:\\.[^"\\\x00-\x1f]*)*")'
    r"|(?P<number>-?(?:0|[1-9][0-9]*)(?:\.[0-9]+)?(?:[eE][+-]?[0-9]+)?)"
    r"|(?P<literal>true|false|null)"
    r"|(?P<end>\Z))"
)

_NAME, _COLON, _VALUE, _NEXT = "a name", "a colon", "a value", "a comma or an end"
"""What the parser expects next."""


def parse_exactly(content: bytes) -> object:
    """The value of a JSON text of any depth: ObjectMembers, list, JsonNumber, str, bool or None. Raises ValueError."""
    text = content.decode("utf-8")
    try:
        return json.loads(
            text,
            object_pairs_hook=ObjectMembers,
            parse_int=JsonNumber,
            parse_float=JsonNumber,
            parse_constant=reject_constant,
        )
    except RecursionError:
        return parse_json_iteratively(text)


def parse_json_iteratively(text: str) -> object:
    """The same as `parse_exactly`, without recursion and slower."""
    builder = _Builder()
    position = 0
    while True:
        token = _TOKEN.match(text, position)
        if token is None:
            raise ValueError(f"no JSON at {position}")
        if token.lastgroup == "end":
            return builder.result()
        builder.add(token.lastgroup or "", token[token.lastgroup or 0])
        position = token.end()


class _Builder:
    """Builds a JSON value from tokens."""

    def __init__(self) -> None:
        self._root: list[object] = []
        self._containers: list[list[object] | ObjectMembers] = [self._root]
        self._names: list[str] = []
        self._expected = _VALUE
        self._may_close = False
        """Whether the innermost container is empty, so that it may be closed at once."""

    def result(self) -> object:
        """The complete value. Raises ValueError if there is less than one."""
        if self._expected is not _NEXT or len(self._containers) > 1:
            raise ValueError("the text is cut short")
        return self._root[0]

    def add(self, kind: str, text: str) -> None:
        """Add a token. Raises ValueError if it is not allowed here."""
        if kind == "mark":
            self._add_mark(text)
        elif self._expected is _NAME and kind == "text":
            self._names.append(json.loads(text))
            self._expected = _COLON
        elif self._expected is _VALUE:
            self._add_value(
                _LITERALS[text] if kind == "literal" else JsonNumber(text) if kind == "number" else json.loads(text)
            )
        else:
            raise ValueError(f"{text!r} in place of {self._expected}")

    def _add_mark(self, mark: str) -> None:
        """Add a bracket, a comma or a colon."""
        container = self._containers[-1]
        if mark in "{[" and self._expected is _VALUE:
            new: list[object] | ObjectMembers = ObjectMembers() if mark == "{" else []
            self._add_value(new)
            self._containers.append(new)
            self._expected, self._may_close = (_NAME if mark == "{" else _VALUE), True
            return
        if mark in "}]" and (self._expected is _NEXT or self._may_close) and self._is_closed_by(mark):
            self._containers.pop()
            self._expected = _NEXT
        elif mark == "," and self._expected is _NEXT and container is not self._root:
            self._expected = _NAME if isinstance(container, ObjectMembers) else _VALUE
        elif mark == ":" and self._expected is _COLON:
            self._expected = _VALUE
        else:
            raise ValueError(f"{mark!r} in place of {self._expected}")
        self._may_close = False

    def _is_closed_by(self, mark: str) -> bool:
        """Whether a closing bracket matches the innermost container."""
        container = self._containers[-1]
        return container is not self._root and isinstance(container, ObjectMembers) is (mark == "}")

    def _add_value(self, value: object) -> None:
        """Add a value to the innermost container."""
        container = self._containers[-1]
        if isinstance(container, ObjectMembers):
            container.append((self._names.pop(), value))
        else:
            container.append(value)
        self._expected, self._may_close = _NEXT, False


def _nested_values(value: object) -> Iterator[tuple[object, int]]:
    """A value and all values in it, with their nesting levels from 1."""
    pending = [(value, 1)]
    while pending:
        current, level = pending.pop()
        yield current, level
        if isinstance(current, ObjectMembers):
            pending += [(member, level + 1) for _, member in current]
        elif isinstance(current, list):
            pending += [(item, level + 1) for item in current]


def is_implementation_defined(content: bytes) -> bool:
    """
    True if RFC 8259 leaves the meaning of a JSON text to the receiver: §4 (duplicate names), §6 (numbers outside the range
    of a double), §8.2 (lone surrogates), §9 (limits on size, depth, range and length). Also True if it is no JSON.
    """
    if len(content) > sizes.REQUIRED_BODY_BYTES:
        return True
    try:
        values = _nested_values(parse_exactly(content))
        return any(_is_ambiguous(value) or _exceeds_limits(value, level) for value, level in values)
    except ValueError:
        return True


def _is_ambiguous(value: object) -> bool:
    """True if receivers may read a value differently."""
    if isinstance(value, JsonNumber):
        if len(value) <= _PLAIN_DIGITS and value.isdigit():
            return False  # the most common numbers, quickly: an answer may have thousands
        max_digits = sizes.REQUIRED_DIGITS if value.is_integer else sizes.REQUIRED_FRACTION_DIGITS
        return not value.fits_double or value.digit_count > max_digits
    if isinstance(value, str):
        return _has_lone_surrogate(value)
    if not isinstance(value, ObjectMembers):
        return False
    return value.has_duplicate_names or any(map(_has_lone_surrogate, value.names))


def _has_lone_surrogate(text: str) -> bool:
    """True if a text has half of a surrogate pair."""
    return not text.isascii() and any("\ud800" <= character <= "\udfff" for character in text)


def _exceeds_limits(value: object, level: int) -> bool:
    """True if a value is larger or deeper than every receiver has to accept."""
    if isinstance(value, ObjectMembers):
        return (
            level > sizes.REQUIRED_NESTING
            or len(value) > sizes.REQUIRED_MEMBERS
            or any(len(name) > sizes.REQUIRED_NAME_LENGTH for name in value.names)
        )
    return isinstance(value, list) and (level > sizes.REQUIRED_NESTING or len(value) > sizes.REQUIRED_ITEMS)


def duplicate_names(content: bytes) -> tuple[str, ...]:
    """The names that occur twice in one object of a JSON text, after unescaping. Empty if it is no JSON."""
    parsed = parse_json(content)
    if not isinstance(parsed, InvalidJson | TooComplex):
        members = sum(len(value) for value in values_in(parsed) if isinstance(value, dict))
        if members == content.count(b":"):  # quick: the parser keeps one of equal names, but each has its colon
            return ()
    try:
        objects = [
            value
            for value, _ in _nested_values(parse_exactly(content))
            if isinstance(value, ObjectMembers) and value.has_duplicate_names
        ]
    except ValueError:
        return ()
    return tuple(dict.fromkeys(name for value in objects for name, count in Counter(value.names).items() if count > 1))


# ------------------------------------------------------------------ two texts


@dataclass(frozen=True, slots=True, kw_only=True)
class JsonDifference:
    """The first difference between two JSON texts."""

    kind: str
    """The kind of difference, independent of the values."""
    pointer: str
    """Where it is, as a JSON pointer."""
    values: str
    """The value received and the value sent, shortened."""


def is_same_json(one: bytes, other: bytes) -> bool:
    """True if two texts are equal, as JSON if they are JSON. The order of members and the notation of a number do not count."""
    if one.strip() == other.strip():
        return True
    if takes_much_memory(other):
        return False
    try:
        return _difference(parse_exactly(one), parse_exactly(other), lenient=False) is None
    except ValueError:
        return False


def first_difference(sent: bytes, received: bytes) -> JsonDifference | None:
    """
    The first difference between the JSON text that was sent and the one that came back, or None. Values that RFC 8259
    leaves to the receiver are not compared.
    """
    if sent == received or (len(sent) > _LARGE and _normalized(sent) == _normalized(received) is not None):
        return None
    if takes_much_memory(received):
        return JsonDifference(
            kind="another length", pointer="", values=f"{len(received)} bytes in place of {len(sent)}"
        )
    try:
        return _difference(parse_exactly(sent), parse_exactly(received), lenient=True)
    except ValueError:
        return None


_LARGE = 2**14
"""Bytes of a text above which a faster comparison is tried first."""


def _normalized(content: bytes) -> str | None:
    """A JSON text as Python writes it; equal results mean equal texts. None if it exceeds Python's limits."""
    if takes_much_memory(content):
        return None
    try:
        return json.dumps(json.loads(content), sort_keys=True)
    except (ValueError, RecursionError):
        return None


_MAX_VALUE = 30
"""Characters of a value in a violation."""
_MAX_POINTER = 60
"""Characters of a pointer in a violation, and its steps."""

_Step = tuple["_Step", str] | None
"""A position in a value: the position of the container, and the name or index in it."""


def _difference(sent: object, received: object, *, lenient: bool) -> JsonDifference | None:
    """The first difference of two values, without recursion. If *lenient*, ambiguous values are not compared."""
    pending: list[tuple[object, object, _Step]] = [(sent, received, None)]
    while pending:
        ours, theirs, place = pending.pop()
        if lenient and _is_ambiguous(ours):
            continue
        kind = _kind_of_difference(ours, theirs, lenient=lenient)
        if kind:
            return JsonDifference(kind=kind, pointer=_pointer(place), values=_values(ours, theirs))
        if isinstance(ours, ObjectMembers) and isinstance(theirs, ObjectMembers):
            members = zip(_sorted(ours), _sorted(theirs), strict=True)
            pending += [(one[1], other[1], (place, one[0])) for one, other in members]
        elif isinstance(ours, list) and isinstance(theirs, list):
            pairs = zip(ours, theirs, strict=True)
            pending += [
                (one, other, (place, str(index)))
                for index, (one, other) in enumerate(pairs)
                if type(one) is not type(other) or not isinstance(one, str) or one != other
            ]
    return None


def _sorted(members: ObjectMembers) -> list[tuple[str, object]]:
    """Members sorted by name; duplicates keep their order."""
    return sorted(members, key=lambda member: member[0])


_KINDS: dict[type, str] = {
    ObjectMembers: "an object",
    list: "an array",
    JsonNumber: "a number",
    str: "a string",
    bool: "a boolean",
    type(None): "null",
}


def _kind_of_difference(ours: object, theirs: object, *, lenient: bool) -> str:
    """How two values differ, their members and items aside; empty if they do not."""
    if type(ours) is not type(theirs):
        return "a value of another type"
    if isinstance(ours, ObjectMembers) and isinstance(theirs, ObjectMembers):
        return "" if sorted(ours.names) == sorted(theirs.names) else "different members"
    if isinstance(ours, list) and isinstance(theirs, list):
        return "" if len(ours) == len(theirs) else "another number of items"
    if isinstance(ours, JsonNumber) and isinstance(theirs, JsonNumber):
        return "" if _is_same_number(ours, theirs, lenient=lenient) else "another number"
    return "" if ours == theirs else f"another {_KINDS[type(ours)].partition(' ')[2]}"


def _values(ours: object, theirs: object) -> str:
    """Two different values in one line."""
    if isinstance(ours, ObjectMembers) and isinstance(theirs, ObjectMembers):
        missing = sorted(set(ours.names) - set(theirs.names))[:1]
        added = sorted(set(theirs.names) - set(ours.names))[:1]
        parts = [*(f"{_short(name)} is missing" for name in missing), *(f"{_short(name)} was added" for name in added)]
        return " and ".join(parts) or "a name is repeated more or less often"
    if type(ours) is type(theirs) is list:
        return f"{len(theirs)} in place of {len(ours)}"
    return " in place of ".join(_excerpts(theirs, ours))


def _excerpts(one: object, other: object) -> tuple[str, str]:
    """Two different values, shortened; if their beginnings are equal, the characters around the first difference."""
    shortened = _short(one), _short(other)
    are_containers = isinstance(one, ObjectMembers | list) or isinstance(other, ObjectMembers | list)
    if shortened[0] != shortened[1] or are_containers:
        return shortened
    texts = [_scalar_text(one), _scalar_text(other)]
    first = next((at for at, (a, b) in enumerate(zip(*texts, strict=False)) if a != b), min(map(len, texts)))
    begin = max(first - 12, 0)
    one_part, other_part = (f"…{text[begin : first + 16]}" for text in texts)
    return f"{one_part} (from character {begin + 1})", other_part


def _scalar_text(value: object) -> str:
    """A string, number or literal as JSON."""
    return str(value) if isinstance(value, JsonNumber) else json.dumps(value)


def _short(value: object) -> str:
    """A value in a few characters."""
    if isinstance(value, ObjectMembers | list):
        return _KINDS[type(value)]
    text = _scalar_text(value)
    return text if len(text) <= _MAX_VALUE else f"{text[: _MAX_VALUE - 1]}… ({len(text)} characters)"


def _pointer(place: _Step) -> str:
    """A position as a JSON pointer, shortened."""
    steps: list[str] = []
    while place is not None and len(steps) < _MAX_POINTER:
        place, step = place
        steps.append(step.replace("~", "~0").replace("/", "~1"))
    pointer = "".join(f"/{step}" for step in reversed(steps)).encode("utf-8", "backslashreplace").decode()
    return pointer if len(pointer) <= _MAX_POINTER else f"…{pointer[-_MAX_POINTER:]}"


def _is_same_number(sent: JsonNumber, received: JsonNumber, *, lenient: bool) -> bool:
    """True if integers are equal to the last digit, or fractions as doubles. If *lenient*, an integer may stand for a fraction."""
    if not sent.is_integer and (lenient or not received.is_integer):
        return float(sent) == float(received)
    try:
        return sent == received or Decimal(sent) == Decimal(received)
    except InvalidOperation:
        return False
