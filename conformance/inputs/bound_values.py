"""
Values at the bounds of what a chain accepts, in every script and every way to write a number.

The bounds are found by asking a function whether it accepts an input, usually that of the chain's schema. So they are
those of the chain's own model, whatever keyword or validator they come from.
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice

from chainproof.chain_schema.error_text import format_path
from chainproof.json_text import JSON, is_number, values_in

from .input_variations import (
    Accepts,
    Place,
    array_places,
    encoded,
    enumerated_words,
    leaf_places,
    takes_no_fraction,
    value_at,
    variations,
    with_value,
    without_member,
)
from .sizes import REQUIRED_NESTING, REQUIRED_OWN_NESTING, nesting

_UNBOUNDED = 2**12
"""Characters or items from which a text or an array counts as unbounded."""
_UNBOUNDED_TEXT = 300
"""Characters of a text without an upper bound."""
_MAX_PARTS = 60
"""Values of which it is tried whether they may contain themselves."""
MAX_ARRAYS = 12
"""Arrays whose bounds are tried: schemas that contain themselves have many."""
_PLACEHOLDER = "\x00number\x00"

SCRIPTS: dict[str, str] = {
    "ASCII letters": "x",
    "characters of two bytes": "é",
    "characters of three bytes": "漢",
    "characters beyond U+FFFF": "😀",
    "right-to-left letters": "ש",
    "combining accents": "e\u0301",
    "quotes and backslashes": '"\\/',
    "spaces": " ",
    "line breaks and tabs": "\n\t\r\u2028",
    "control characters": "\x01\x1b\x7f\x85",
    "NUL characters": "\0",
    "markup": "<&>{}%s$;'`#?([*+",
    "letters that become several in another case": "\u0130\u00df\u0149\ufb01",
    "characters that become several if they are normalized": "\u00bd\u2460\ufdfa\u3392",
    "digits that are no decimal digits": "\u00b2\u2460\u0665",
    "invisible characters": "\u200d\ufeff\u00ad\u202e\ufe0f",
}
"""Texts that are repeated up to the length of a value."""

_WORDS = ("null", "true", "0", "-1e5", "NaN", "[]", "+/+/AA==", "+/AAA/A=", "AAAA", "constructor", "__proto__")
"""
Texts that a lenient parser reads as another type, base64 with and without padding, and names that every JavaScript object has, so that a
chain that groups texts in one finds a member where it expects none.
"""
_LARGE_TEXTS = ("Grüße 漢 😀 ", "+/Aa")
"""What large texts consist of: of many characters, and of those of base64."""

_FORMS = (
    "0001-01-01", "2024-02-29", "9999-12-31", "00:00:00", "23:59:59.999999", "00:00:00Z", "23:59:59Z",
    *(f"{day}{zone}" for day in ("0001-01-01T00:00:00", "9999-12-31T23:59:59.999999") for zone in ("", "Z")),
    "2024-02-29T23:59:59+14:00", "2024-12-31T00:00:00.000001-12:00", "2024-06-30T12:00:00+05:30",
    "PT0S", "P2W", "P1DT2H3M4.5S", "-P1DT1S",
    "https://user@[2001:db8::1]:8443/a%20b?c=d#e",
)  # fmt: skip  # one line for each kind
"""The first and the last dates and times, leap days, offsets that reach another day or have minutes, durations of every unit, and
a URL with all of its parts."""

_BETWEEN = (0, 1, -1)
"""Numbers between the bounds at which chains fail: a receiver may take 0 for no value, or divide by it."""

_MAX_WORDS = 3
"""Other words of each enumeration, and twice as many of all, with which numbers without a bound are sent."""
_BEYOND_64_BITS = 2**63
_UNBOUNDED_NUMBERS = (
    ("a number beyond 64 bits, or near the largest double", 1e308, _BEYOND_64_BITS),
    ("a negative number beyond 64 bits, or near the least double", -1e308, -(2**63) - 1),
    ("a number beyond 32 bits", 3.5e38, 2**31),
)
"""Numbers without a bound: a label, one for a place that takes fractions, and one for another. Sums and products of the former are
infinite."""

_NAMES = ("", "two words", "a.b/c-d_e", "Größe", "漢字", "😀", "x" * 100, "__class__", "0", "a(b[*")
"""Names of members where the schema permits any."""
_MANY_NAMES = 100
_NESTING = (REQUIRED_OWN_NESTING, REQUIRED_NESTING)
"""Levels of nesting of values that contain others of their kind."""
_MAX_RECURSIONS = 2
"""Ways in which a value may contain others of its kind."""
_VALUES: tuple[JSON, ...] = ("x", 1, 1.5, True, None, [], {})
"""A value of every type."""
_OTHER_TYPES: tuple[JSON, ...] = ("x", "", " ", "1", "1e2", 1, 1.5, True, False, [], {}, ["x"])
"""Values of every type but null."""


@dataclass(frozen=True, slots=True, kw_only=True)
class BoundInput:
    """An accepted input with values at their bounds."""

    label: str
    content: bytes
    parts: tuple[BoundInput, ...] = ()
    """Inputs with one of these values each, which show the one that fails."""


def text_of(script: str, length: int) -> str:
    """
    A text of some code points.

    >>> text_of("ab", 5)
    'ababa'
    """
    return (script * (length // len(script) + 1))[:length]


# ------------------------------------------------------------------ bounds


def largest(is_accepted: Callable[[int], bool], start: int) -> int:
    """
    The largest accepted number from an accepted *start* on, at most `_UNBOUNDED`.

    >>> largest(lambda number: number <= 40, 3)
    40
    """
    if is_accepted(_UNBOUNDED):  # most are unbounded, and large values take long to validate
        return _UNBOUNDED
    low, high = start, max(start * 2, 1)
    while high < _UNBOUNDED and is_accepted(high):
        low, high = high, high * 2
    high = min(high, _UNBOUNDED)
    while low < high:
        middle = (low + high + 1) // 2
        low, high = (middle, high) if is_accepted(middle) else (low, middle - 1)
    return low


def smallest(is_accepted: Callable[[int], bool], start: int) -> int:
    """
    The smallest accepted number down from an accepted *start*.

    >>> smallest(lambda number: number >= 2, 30)
    2
    """
    return next((number for number in range(min(start, 64)) if is_accepted(number)), start)


def stretched(text: str, is_accepted: Callable[[str], bool]) -> str:
    """
    A text in which each character is repeated as often as it may be, the last one first, as long as it is not very long.

    >>> import re
    >>> stretched("AB-123", lambda text: bool(re.fullmatch("[A-Z]{2}-[0-9]{3,6}", text)))
    'AB-123333'
    """
    for index in reversed(range(len(text))):
        before, char, after = text[:index], text[index], text[index + 1 :]
        if len(text) < _UNBOUNDED_TEXT:
            count = largest(lambda number: is_accepted(before + char * number + after), 1)  # noqa: B023  # called now
            text = before + char * min(count, _UNBOUNDED_TEXT) + after
    return text


def shortened(text: str, is_accepted: Callable[[str], bool]) -> str:
    """
    A text without those characters that may be left out, the last one first.

    >>> shortened("AB-12345", lambda text: len(text) > 5 and text[2] == "-")
    'AB-123'
    """
    for index in reversed(range(len(text))):
        shorter = text[:index] + text[index + 1 :]
        text = shorter if is_accepted(shorter) else text
    return text


def bound_inputs(value: JSON, accepts: Accepts, document: JSON) -> Iterator[BoundInput]:
    """The input with all texts, numbers and arrays at their bounds, one group after another."""
    yield from _with_texts(value, accepts)
    yield from _with_numbers(value, accepts, document)
    yield from _with_arrays(value, accepts)
    yield from _without_members(value, accepts)
    yield from _with_names(value, accepts)
    yield from _with_other_types(value, accepts)
    yield from _with_deep_values(value, accepts)


def _with_texts(value: JSON, accepts: Accepts) -> Iterator[BoundInput]:
    """The longest and the shortest texts, in every script."""
    texts = {place: text for place in leaf_places(value) if isinstance(text := value_at(value, place), str)}
    lengths: dict[Place, tuple[int, int]] = {}
    for place, text in texts.items():

        def is_accepted(length: int, place: Place = place) -> bool:
            return accepts(with_value(value, place, text_of("x", length)))

        if is_accepted(len(text)):
            lengths[place] = (smallest(is_accepted, len(text)), largest(is_accepted, len(text)))
    for name, script in SCRIPTS.items():
        longest: dict[Place, JSON] = {
            place: text_of(script, most if most < _UNBOUNDED else _UNBOUNDED_TEXT)
            for place, (_, most) in lengths.items()
        }
        yield from _combined(value, accepts, longest, f"the longest text, of {name}")
    for name in ("ASCII letters", "characters beyond U+FFFF"):
        shortest: dict[Place, JSON] = {place: text_of(SCRIPTS[name], least) for place, (least, _) in lengths.items()}
        yield from _combined(value, accepts, shortest, f"the shortest text, of {name}")
    for word in _WORDS:
        yield from _combined(value, accepts, dict.fromkeys(lengths, word), f"the text {word}")
    formatted = {place: text for place, text in texts.items() if place not in lengths}
    for label, change in (("longest", stretched), ("shortest", shortened)):
        yield from _combined(
            value,
            accepts,
            {place: change(text, _acceptance_at(value, place, accepts)) for place, text in formatted.items()},
            f"the {label} text of its form",
        )
    for text in _FORMS:
        yield from _combined(value, accepts, dict.fromkeys(formatted, text), text)


def _acceptance_at(value: JSON, place: Place, accepts: Accepts) -> Callable[[str], bool]:
    """A function that says which texts may be in a place."""
    return lambda text: accepts(with_value(value, place, text))


def _with_numbers(value: JSON, accepts: Accepts, document: JSON) -> Iterator[BoundInput]:
    """The largest and the smallest numbers, as they are and written in other ways."""
    accepted = accepted_numbers(value, accepts, document)
    places = [place for place in leaf_places(value) if is_number(value_at(value, place))]
    largest_numbers: dict[Place, JSON] = {place: found[-1] for place, found in accepted.items()}
    smallest_numbers: dict[Place, JSON] = {place: found[0] for place, found in accepted.items()}
    yield from _combined(value, accepts, largest_numbers, "the largest number")
    yield from _combined(value, accepts, smallest_numbers, "the smallest number")
    for number in _BETWEEN:
        yield from _combined(value, accepts, dict.fromkeys(places, number), f"the number {number}")
    whole_places = {place for place in places if takes_no_fraction(value, place, accepts)}
    for label, fraction, whole_number in _UNBOUNDED_NUMBERS:
        far: dict[Place, JSON] = {place: whole_number if place in whole_places else fraction for place in places}
        yield from _combined(value, accepts, far, label)
        for other in _with_other_words(value, accepts, document) if whole_number == _BEYOND_64_BITS else ():
            yield from _combined(other, accepts, far, f"{label}, with another word")
    whole = {place: [int(number) for number in found if number == int(number)] for place, found in accepted.items()}
    for place, numbers in whole.items():
        for number in dict.fromkeys((*numbers[:1], *numbers[-1:])):
            yield from _spelled(value, accepts, place, number)


def _with_other_words(value: JSON, accepts: Accepts, document: JSON) -> Iterator[JSON]:
    """The input with other words of its enumerations: they may say what the chain computes."""
    words = enumerated_words(document)
    changed = (each for each in variations(value, accepts, words, limit=_MAX_WORDS) if each.value in words)
    yield from (with_value(value, each.place, each.value) for each in islice(changed, 2 * _MAX_WORDS))


def accepted_numbers(value: JSON, accepts: Accepts, document: JSON) -> dict[Place, list[float]]:
    """For each number of an input, in ascending order, those numbers around the bounds of its schema that it may be as well."""
    places = [place for place in leaf_places(value) if is_number(value_at(value, place))]
    candidates = sorted({number for each in _numbers_in(document) for number in _near(each)})
    return {
        place: found
        for place in places
        if (found := [number for number in candidates if accepts(with_value(value, place, number))])
    }


def _spelled(value: JSON, accepts: Accepts, place: Place, number: int) -> Iterator[BoundInput]:
    """An input with a whole number written as a fraction and with exponents."""
    forms = [f"{number}.0", f"{number}.000e0", f"{number * 10}e-1", f"{number}E+0"]
    forms += [f"{number // 100}e2"] if number and number % 100 == 0 else []
    forms += ["-0", "-0.0"] if number == 0 else []
    text = encoded(with_value(value, place, _PLACEHOLDER))
    for form in forms:
        if accepts(with_value(value, place, json.loads(form))):
            content = text.replace(json.dumps(_PLACEHOLDER).encode(), form.encode())
            yield BoundInput(label=f"`{format_path(place)}` as {form}", content=content)


def _with_arrays(value: JSON, accepts: Accepts) -> Iterator[BoundInput]:
    """The longest and the shortest arrays, and those of one item, which a receiver may take for the item itself."""
    for place in islice(array_places(value), MAX_ARRAYS):
        items = value_at(value, place)
        assert isinstance(items, list)

        def is_accepted(length: int, place: Place = place, items: list[JSON] = items) -> bool:
            return accepts(with_value(value, place, repeated(items, length)))

        for length in dict.fromkeys((smallest(is_accepted, len(items)), 1, largest(is_accepted, len(items)))):
            if length < _UNBOUNDED and is_accepted(length):
                changed = with_value(value, place, repeated(items, length))
                yield BoundInput(label=f"`{format_path(place)}` with {length} items", content=encoded(changed))


def _without_members(value: JSON, accepts: Accepts) -> Iterator[BoundInput]:
    """Each optional member absent, and null; every value null that may be, also items of arrays."""
    for place in member_places(value):
        for label, changed in ((" absent", without_member(value, place)), (" null", with_value(value, place, None))):
            if accepts(changed):
                yield BoundInput(label=f"`{format_path(place)}`{label}", content=encoded(changed))
    yield from _combined(value, accepts, dict.fromkeys(leaf_places(value), None), "null")


def _with_names(value: JSON, accepts: Accepts) -> Iterator[BoundInput]:
    """Members with names of every kind, and many members, in each object whose names are free."""
    for place, members in _objects(value):
        item = _free_member(value, place, members, accepts)
        if item is None:
            continue
        parts, every = [], members
        for name in _NAMES:
            single = with_value(value, place, {**members, name: item})
            if accepts(single):
                label = f"`{format_path(place)}` with a member {name[:20]!r}"
                parts.append(BoundInput(label=label, content=encoded(single)))
                every = {**every, name: item}
        many: dict[str, JSON] = {f"name{number}": item for number in range(_MANY_NAMES)}
        for label, changed, each in (("names of every kind", every, tuple(parts)), (f"{_MANY_NAMES} names", many, ())):
            if accepts(with_value(value, place, changed)):
                content = encoded(with_value(value, place, changed))
                yield BoundInput(label=f"`{format_path(place)}` with {label}", content=content, parts=each)


def _with_other_types(value: JSON, accepts: Accepts) -> Iterator[BoundInput]:
    """Values of every type, in place of one of another type, where both are accepted."""
    leaves = leaf_places(value)
    containers = [place for place in (*array_places(value), *(place for place, _ in _objects(value))) if place]
    for new in _OTHER_TYPES:
        text = json.dumps(new)
        places = [place for place in leaves if not _have_equal_types(value_at(value, place), new)]
        yield from _combined(value, accepts, dict.fromkeys(places, new), f"{text} instead of another type")
        for place in containers:
            changed = with_value(value, place, new)
            if not _have_equal_types(value_at(value, place), new) and accepts(changed):
                yield BoundInput(label=f"`{format_path(place)}` as {text}", content=encoded(changed))


def _with_deep_values(value: JSON, accepts: Accepts) -> Iterator[BoundInput]:
    """Values that contain one of their own kind, as comments contain replies, on as many levels as chains have to accept."""
    for outer, step in islice(_recursions(value, accepts), _MAX_RECURSIONS):
        template = _with_one_item(value_at(value, outer), step)
        for levels in _NESTING:
            changed = value
            while nesting(deeper := _deeper(changed, outer, step, template)) <= levels and accepts(deeper):
                changed = deeper
            label = f"`{format_path((*outer, *step))}` on {nesting(changed)} levels"
            yield BoundInput(label=label, content=encoded(changed))


def _recursions(value: JSON, accepts: Accepts) -> Iterator[tuple[Place, Place]]:
    """Where a value of an input may stand inside itself: its place, and the place inside."""
    known: set[frozenset[str]] = set()
    for place, part in islice(_parts(value), _MAX_PARTS):
        for length in range(len(place)) if isinstance(part, dict | list) else ():
            outer, step = place[:length], place[length:]
            # Positions in lists are left out: a list of nodes is like a node with lists.
            names = frozenset(name for name in step if isinstance(name, str))
            template = _with_one_item(value_at(value, outer), step)
            twice = with_value(template, step, template)
            if names not in known and accepts(_deeper(with_value(value, outer, twice), outer, step, template)):
                known.add(names)
                yield outer, step


def _deeper(value: JSON, outer: Place, step: Place, template: JSON) -> JSON:
    """The input with one level more between a value and the one inside it."""
    return with_value(value, outer, with_value(template, step, value_at(value, outer)))


def _with_one_item(value: JSON, step: Place) -> JSON:
    """A value whose arrays on the way to a place have no other items."""
    if not step:
        return value
    inner = _with_one_item(value_at(value, step[:1]), step[1:])
    return [inner] if isinstance(value, list) else with_value(value, step[:1], inner)


def _have_equal_types(first: JSON, second: JSON) -> bool:
    """True if two values have the same JSON type."""
    return type(first) is type(second) or (is_number(first) and is_number(second))


def _free_member(value: JSON, place: Place, members: dict[str, JSON], accepts: Accepts) -> JSON:
    """
    A value for a further member of any name, if the schema says which values such a member may have; else None.

    A schema that ignores a member accepts any value for it.
    """
    candidates = (*list(members.values())[:1], *_VALUES)
    accepted = [item for item in candidates if accepts(with_value(value, place, {**members, "anyname": item}))]
    return accepted[0] if len(accepted) < len(candidates) and accepted else None


def _combined(value: JSON, accepts: Accepts, changes: dict[Place, JSON], label: str) -> Iterator[BoundInput]:
    """One input with all changes that are accepted."""
    changed, parts = value, []
    for place, new in changes.items():
        single, together = with_value(value, place, new), with_value(changed, place, new)
        if accepts(single):
            parts.append(BoundInput(label=f"`{format_path(place)}`: {label}", content=encoded(single)))
            changed = together if accepts(together) else changed
    if parts:
        yield BoundInput(label=f"every value: {label}", content=encoded(changed), parts=tuple(parts))


def without_optional_members(value: JSON, accepts: Accepts, *, nested: bool) -> JSON:
    """The input without those members that it may lack: its arguments, or if *nested* the members of their values."""
    for place in member_places(value):
        if (len(place) > 1) is nested:
            try:
                changed = without_member(value, place)
            except (KeyError, IndexError, TypeError):
                continue  # the place was in a member that is absent now
            value = changed if accepts(changed) else value
    return value


def with_small_numbers(value: JSON, accepts: Accepts, numbers: Sequence[int], *, argument: str | None = None) -> JSON:
    """The input with the first accepted one of some small *numbers* for each of its own, in all arguments or in one."""
    for place in leaf_places(value):
        if is_number(value_at(value, place)) and argument in {None, place[0]}:
            changed = (with_value(value, place, number) for number in numbers)
            value = next(filter(accepts, changed), value)
    return value


# ------------------------------------------------------------------ large inputs


def large_inputs(value: JSON, accepts: Accepts, size: int) -> Iterator[BoundInput]:
    """Inputs with many items, or with a long text, of about *size* bytes or as many as are accepted."""
    for place in islice(array_places(value), MAX_ARRAYS):
        items = value_at(value, place)
        assert isinstance(items, list)
        each = max(len(encoded(items)) // max(len(items), 1), 1)
        for count in (size // each, size // each // 4, size // each // 16):
            changed = with_value(value, place, repeated(items, count))
            if count > len(items) and accepts(changed):
                yield BoundInput(label=f"`{format_path(place)}` with {count} items", content=encoded(changed))
                break
    for place in leaf_places(value):
        texts = _LARGE_TEXTS if isinstance(value_at(value, place), str) else ()
        for changed in (with_value(value, place, text_of(text, size // 8 * 4)) for text in texts):
            if accepts(changed):
                yield BoundInput(label=f"`{format_path(place)}` with a long text", content=encoded(changed))
                break


# ------------------------------------------------------------------ values


def _numbers_in(document: JSON) -> Iterator[float]:
    """The numbers in a JSON Schema, and zero."""
    yield 0
    yield from (part for part in values_in(document) if is_number(part) and abs(part) < 2**53)


def _near(number: float) -> Iterator[float]:
    """A number and its neighbours, whole and fractional. Whole ones are integers, for chains that tell them apart."""
    whole = math.floor(number)
    yield from (whole - 1, whole, whole + 1)
    if number != whole:
        yield number
    yield from (number - 0.001, number + 0.001)


def _parts(value: JSON, place: Place = ()) -> Iterator[tuple[Place, JSON]]:
    """A value and the values in it, with their places; of an array only the first item."""
    yield place, value
    if isinstance(value, list) and value:
        yield from _parts(value[0], (*place, 0))
    elif isinstance(value, dict):
        for name, item in value.items():
            yield from _parts(item, (*place, name))


def _objects(value: JSON) -> list[tuple[Place, dict[str, JSON]]]:
    """The objects in a value, with their places."""
    return [(place, part) for place, part in _parts(value) if isinstance(part, dict)]


def member_places(value: JSON) -> list[Place]:
    """The places of all members."""
    return [place for place, _ in _parts(value) if place and isinstance(place[-1], str)]


def repeated(items: list[JSON], length: int) -> list[JSON]:
    """So many items: the first ones of some, which are repeated if there are fewer; none if none are given."""
    return (items * (length // max(len(items), 1) + 1))[:length] if items else []
