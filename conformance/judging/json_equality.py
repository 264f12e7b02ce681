"""
When two JSON texts say the same, where they differ, and where RFC 8259 leaves it to the receiver what a text says.

Read without recursion and with nothing lost: members in order and as often as they stand there, numbers as written.
"""

from __future__ import annotations

import json
import math
import re
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from decimal import Decimal, InvalidOperation

from ..inputs import sizes


class ObjectMembers(list[tuple[str, object]]):
    """
    An object's members as written, so that an array of pairs is not taken for one.
    """

    @property
    def names(self) -> list[str]:
        """In their order."""
        return [name for name, _ in self]

    @property
    def has_duplicate_names(self) -> bool:
        """Whether a name stands twice."""
        return len(dict(self)) < len(self)


class JsonNumber(str):
    """
    A number as written.
    """

    __slots__ = ()

    @property
    def is_integer(self) -> bool:
        """Whether it is written without a fraction and an exponent."""
        return self.lstrip("-").isdigit()

    @property
    def fits_double(self) -> bool:
        """Whether a double comes near it: neither infinity nor a zero that it is not."""
        if self.is_integer:
            return True
        nearest = float(self)
        return math.isfinite(nearest) and (nearest != 0 or not re.search(r"[1-9]", re.split("[eE]", self)[0]))

    @property
    def digit_count(self) -> int:
        """How many it has."""
        return sum(map(str.isdigit, self))


_LITERALS: dict[str, object] = {"true": True, "false": False, "null": None}

_TOKEN = re.compile(
    r"[ \t\n\r]*(?:"
    r"(?P<mark>[{}\[\],:])"
    r'|(?P<text>"[^"\\\x00-\x1f]*(?:\\.[^"\\\x00-\x1f]*)*")'
    r"|(?P<number>-?(?:0|[1-9][0-9]*)(?:\.[0-9]+)?(?:[eE][+-]?[0-9]+)?)"
    r"|(?P<literal>true|false|null)"
    r"|(?P<end>\Z))"
)

_NAME, _COLON, _VALUE, _NEXT = "a name", "a colon", "a value", "what comes next"
"""What a text may go on with."""


def parse_exactly(content: bytes) -> object:
    """
    The value of a JSON text, however deep: `Members`, `list`, `Number`, `str`, `bool` or None. Raises ValueError.
    """
    text = content.decode("utf-8")
    try:
        return json.loads(
            text,
            object_pairs_hook=ObjectMembers,
            parse_int=JsonNumber,
            parse_float=JsonNumber,
            parse_constant=_no_number,
        )
    except RecursionError:
        return parse_json_iteratively(text)


def _no_number(constant: str) -> object:
    """
    `NaN`, `Infinity` and `-Infinity` are Python's, not JSON's.
    """
    raise ValueError(constant)


def parse_json_iteratively(text: str) -> object:
    """
    The same, without recursion and slower.
    """
    reader = _Reader()
    place = 0
    while True:
        token = _TOKEN.match(text, place)
        if token is None:
            raise ValueError(f"no JSON at {place}")
        if token.lastgroup == "end":
            return reader.result()
        reader.take(token.lastgroup or "", token[token.lastgroup or 0])
        place = token.end()


class _Reader:
    """
    A JSON text as it is read, token by token.
    """

    def __init__(self) -> None:
        self._root: list[object] = []
        self._open: list[list[object] | ObjectMembers] = [self._root]
        self._names: list[str] = []
        self._wanted = _VALUE
        self._closable = False
        """Whether the container that has just been opened may be closed at once."""

    def result(self) -> object:
        """The whole value. Raises ValueError where there is more or less than one."""
        if self._wanted is not _NEXT or len(self._open) > 1:
            raise ValueError("the text is cut short")
        return self._root[0]

    def take(self, kind: str, text: str) -> None:
        """One token. Raises ValueError where it may not stand here."""
        if kind == "mark":
            self._mark(text)
        elif self._wanted is _NAME and kind == "text":
            self._names.append(json.loads(text))
            self._wanted = _COLON
        elif self._wanted is _VALUE:
            self._put(
                _LITERALS[text] if kind == "literal" else JsonNumber(text) if kind == "number" else json.loads(text)
            )
        else:
            raise ValueError(f"{text!r} in place of {self._wanted}")

    def _mark(self, mark: str) -> None:
        """
        A bracket, a comma or a colon.
        """
        inside = self._open[-1]
        if mark in "{[" and self._wanted is _VALUE:
            new: list[object] | ObjectMembers = ObjectMembers() if mark == "{" else []
            self._put(new)
            self._open.append(new)
            self._wanted, self._closable = (_NAME if mark == "{" else _VALUE), True
            return
        if mark in "}]" and (self._wanted is _NEXT or self._closable) and self._is_open(mark):
            self._open.pop()
            self._wanted = _NEXT
        elif mark == "," and self._wanted is _NEXT and inside is not self._root:
            self._wanted = _NAME if isinstance(inside, ObjectMembers) else _VALUE
        elif mark == ":" and self._wanted is _COLON:
            self._wanted = _VALUE
        else:
            raise ValueError(f"{mark!r} in place of {self._wanted}")
        self._closable = False

    def _is_open(self, mark: str) -> bool:
        """
        Whether a closing bracket closes what is open.
        """
        inside = self._open[-1]
        return inside is not self._root and isinstance(inside, ObjectMembers) is (mark == "}")

    def _put(self, value: object) -> None:
        """
        A value, where one was wanted.
        """
        inside = self._open[-1]
        if isinstance(inside, ObjectMembers):
            inside.append((self._names.pop(), value))
        else:
            inside.append(value)
        self._wanted, self._closable = _NEXT, False


def _walked(value: object) -> Iterator[tuple[object, int]]:
    """
    Every value within a value, itself included, with its level.
    """
    waiting = [(value, 1)]
    while waiting:
        here, level = waiting.pop()
        yield here, level
        if isinstance(here, ObjectMembers):
            waiting += [(member, level + 1) for _, member in here]
        elif isinstance(here, list):
            waiting += [(item, level + 1) for item in here]


def is_implementation_defined(content: bytes) -> bool:
    """
    Whether what becomes of a valid JSON text is left to its receiver: RFC 8259 §4 (names twice), §6 (numbers beyond a
    double), §8.2 (lone surrogates), §9 (limits on size, depth, range and length).
    """
    if len(content) > sizes.REQUIRED_BODY_BYTES:
        return True
    try:
        return any(_unsaid(value) or _beyond(value, level) for value, level in _walked(parse_exactly(content)))
    except ValueError:
        return True


def _unsaid(value: object) -> bool:
    """
    Whether receivers differ in what a value is.
    """
    if isinstance(value, JsonNumber):
        most = sizes.REQUIRED_DIGITS if value.is_integer else sizes.REQUIRED_FRACTION_DIGITS
        return not value.fits_double or value.digit_count > most
    if isinstance(value, str):
        return _halved(value)
    return isinstance(value, ObjectMembers) and (value.has_duplicate_names or any(map(_halved, value.names)))


def _halved(text: str) -> bool:
    """
    Whether a text has half of a surrogate pair.
    """
    return not text.isascii() and any("\ud800" <= character <= "\udfff" for character in text)


def _beyond(value: object, level: int) -> bool:
    """
    Whether a value goes beyond what must be taken.
    """
    if isinstance(value, ObjectMembers):
        return (
            level > sizes.REQUIRED_NESTING
            or len(value) > sizes.REQUIRED_MEMBERS
            or any(len(name) > sizes.REQUIRED_NAME_LENGTH for name in value.names)
        )
    return isinstance(value, list) and (level > sizes.REQUIRED_NESTING or len(value) > sizes.REQUIRED_ITEMS)


def duplicate_names(content: bytes) -> tuple[str, ...]:
    """
    The names that stand twice in one object of a JSON text, however they are escaped; none where it is no JSON.
    """
    try:
        objects = [
            value
            for value, _ in _walked(parse_exactly(content))
            if isinstance(value, ObjectMembers) and value.has_duplicate_names
        ]
    except ValueError:
        return ()
    return tuple(dict.fromkeys(name for value in objects for name, count in Counter(value.names).items() if count > 1))


# ------------------------------------------------------------------ two texts


@dataclass(frozen=True, slots=True, kw_only=True)
class JsonDifference:
    """
    The first place in which one text says something else than another.
    """

    kind: str
    """What differs, in words that do not depend on the values."""
    pointer: str
    """A JSON pointer."""
    values: str
    """What stood there, and what stands there."""


def is_same_json(one: bytes, other: bytes) -> bool:
    """
    Whether two texts say the same, as JSON where they are. Members have no order; the same number in another spelling is
    the same number, and a boolean is none.
    """
    if one.strip() == other.strip():
        return True
    try:
        return _difference(parse_exactly(one), parse_exactly(other), lenient=False) is None
    except ValueError:
        return False


def first_difference(sent: bytes, got: bytes) -> JsonDifference | None:
    """
    Where what came back is not what was sent, two valid JSON texts. Whatever of the first is left to its receiver may have
    become anything.
    """
    if sent == got or (len(sent) > _LARGE and _plainly(sent) == _plainly(got) is not None):
        return None
    try:
        return _difference(parse_exactly(sent), parse_exactly(got), lenient=True)
    except ValueError:
        return None


_LARGE = 2**14
"""Bytes of a text beyond which it is worth the while to look for a shorter way."""


def _plainly(content: bytes) -> str | None:
    """
    A text as Python writes it: where two are alike, the texts say the same. None where Python's limits are in the way.
    """
    try:
        return json.dumps(json.loads(content), sort_keys=True)
    except (ValueError, RecursionError):
        return None


_Step = tuple["_Step", str] | None
"""A place: the one that it is in, and its name there."""


def _difference(sent: object, got: object, *, lenient: bool) -> JsonDifference | None:
    """
    The first difference of two values, searched without recursion.
    """
    waiting: list[tuple[object, object, _Step]] = [(sent, got, None)]
    while waiting:
        here, there, place = waiting.pop()
        if lenient and _unsaid(here):
            continue
        kind = _kind_of_difference(here, there, lenient=lenient)
        if kind:
            return JsonDifference(kind=kind, pointer=_pointer(place), values=_values(here, there))
        if isinstance(here, ObjectMembers) and isinstance(there, ObjectMembers):
            members = zip(_sorted(here), _sorted(there), strict=True)
            waiting += [(one[1], other[1], (place, one[0])) for one, other in members]
        elif isinstance(here, list) and isinstance(there, list):
            pairs = zip(here, there, strict=True)
            waiting += [
                (one, other, (place, str(index)))
                for index, (one, other) in enumerate(pairs)
                if type(one) is not type(other) or not isinstance(one, str) or one != other
            ]
    return None


def _sorted(members: ObjectMembers) -> list[tuple[str, object]]:
    """
    Members in the order of their names; one name's in their own.
    """
    return sorted(members, key=lambda member: member[0])


_KINDS: dict[type, str] = {
    ObjectMembers: "an object",
    list: "an array",
    JsonNumber: "a number",
    str: "a string",
    bool: "a boolean",
    type(None): "null",
}


def _kind_of_difference(here: object, there: object, *, lenient: bool) -> str:
    """
    How two values differ by themselves, whatever is in them; empty where they do not.
    """
    if type(here) is not type(there):
        return "a value of another kind"
    if isinstance(here, ObjectMembers) and isinstance(there, ObjectMembers):
        return "" if sorted(here.names) == sorted(there.names) else "other members"
    if isinstance(here, list) and isinstance(there, list):
        return "" if len(here) == len(there) else "another number of items"
    if isinstance(here, JsonNumber) and isinstance(there, JsonNumber):
        return "" if _same_number(here, there, lenient=lenient) else "another number"
    return "" if here == there else f"another {_KINDS[type(here)].partition(' ')[2]}"


def _values(here: object, there: object) -> str:
    """
    Two values that differ, in as many characters as a line can carry.
    """
    if isinstance(here, ObjectMembers) and isinstance(there, ObjectMembers):
        gone, new = sorted(set(here.names) - set(there.names))[:1], sorted(set(there.names) - set(here.names))[:1]
        parts = [*(f"without {_short(name)}" for name in gone), *(f"with {_short(name)}" for name in new)]
        return " and ".join(parts) or "a name once more or less"
    if isinstance(here, list) and isinstance(there, list):
        return f"{len(there)} in place of {len(here)}"
    return " in place of ".join(_apart(there, here))


def _apart(one: object, other: object) -> tuple[str, str]:
    """
    Two values that differ, in a few characters: those around the first that differs where their beginnings are alike.
    """
    shown = _short(one), _short(other)
    if shown[0] != shown[1] or isinstance(one, ObjectMembers | list) or isinstance(other, ObjectMembers | list):
        return shown
    texts = [_written(one), _written(other)]
    first = next((at for at, (a, b) in enumerate(zip(*texts, strict=False)) if a != b), min(map(len, texts)))
    begin = max(first - 12, 0)
    one_part, other_part = (f"…{text[begin : first + 16]}" for text in texts)
    return f"{one_part} (from character {begin + 1})", other_part


def _written(value: object) -> str:
    """
    A value without members or items as text.
    """
    return str(value) if isinstance(value, JsonNumber) else json.dumps(value)


def _short(value: object, limit: int = 30) -> str:
    """
    A value in a few characters.
    """
    if isinstance(value, ObjectMembers | list):
        return _KINDS[type(value)]
    text = _written(value)
    return text if len(text) <= limit else f"{text[: limit - 1]}… ({len(text)} characters)"


def _pointer(place: _Step, limit: int = 60) -> str:
    """
    A place, written as a JSON pointer.
    """
    steps: list[str] = []
    while place is not None and len(steps) < limit:
        place, step = place
        steps.append(step.replace("~", "~0").replace("/", "~1"))
    pointer = "".join(f"/{step}" for step in reversed(steps)).encode("utf-8", "backslashreplace").decode()
    return pointer if len(pointer) <= limit else f"…{pointer[-limit:]}"


def _same_number(sent: JsonNumber, got: JsonNumber, *, lenient: bool) -> bool:
    """
    Integers to the last digit, fractions as doubles. A fraction may come back as an integer that is the same double.
    """
    if not sent.is_integer and (lenient or not got.is_integer):
        return float(sent) == float(got)
    try:
        return sent == got or Decimal(sent) == Decimal(got)
    except InvalidOperation:
        return False
