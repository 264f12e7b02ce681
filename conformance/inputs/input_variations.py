"""
Changes single values of an accepted input, so that the result is still accepted.

What is accepted is decided by a function, usually that of the chain's input schema. Nothing is sent here.
"""

from __future__ import annotations

import json
import random
import re
import string
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, cast

from chainproof.chain_schema.error_text import format_path
from chainproof.json_text import JSON, is_number

Place = tuple[str | int, ...]
"""Names and indices that lead to a value of an input."""

Accepts = Callable[[JSON], bool]

_TOKEN_LENGTHS = (16, 12, 8, 6)
"""Lengths of the unique texts that are tried, the longest first."""
_FILLING = "abcdefgh "
"""What makes a text longer."""
_YEAR = re.compile("([0-9]{3})([0-9])(?=-[0-9]{2}-[0-9]{2})")
_PADDED_BASE64 = re.compile(r"(?:[\w+/-]{4})*(?:[\w+/-]{2}==|[\w+/-]{3}=)", re.ASCII)
_GROUP = 4
"""Characters of base64 that stand for three bytes. The last ones may have padding, which ends the data."""
_WRONG_VALUES: tuple[JSON, ...] = ({}, [], "", -1, None)
"""Values of which hardly any argument takes all."""
_MAX_ITEMS = 2
"""Items of an array whose values are changed; the others are alike."""
_UNIQUE_NUMBERS = (10**9, 10**6, 10**4, 1000, 100)
"""Upper limits of the unique numbers that are tried."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Variation:
    """An input with one value changed."""

    place: Place
    label: str
    """What was changed, in words."""
    value: JSON
    """The changed value at that place."""


def leaf_places(value: JSON) -> tuple[Place, ...]:
    """
    The places of the strings, numbers, booleans and nulls of an input, in their order.

    >>> leaf_places({"a": {"b": 1}, "c": ["x", "y"]})
    (('a', 'b'), ('c', 0), ('c', 1))
    """
    return tuple(_leaf_places(value, ()))


def _leaf_places(value: JSON, place: Place) -> Iterator[Place]:
    if isinstance(value, dict):
        for name, item in value.items():
            yield from _leaf_places(item, (*place, name))
    elif isinstance(value, list):
        for index, item in enumerate(value[:_MAX_ITEMS]):
            yield from _leaf_places(item, (*place, index))
    else:
        yield place


def array_places(value: JSON, place: Place = ()) -> Iterator[Place]:
    """
    The places of arrays that have items, of the first item of each.

    >>> list(array_places({"a": [{"b": [1]}, {"b": [2]}], "c": []}))
    [('a',), ('a', 0, 'b')]
    """
    if isinstance(value, list) and value:
        yield place
        yield from array_places(value[0], (*place, 0))
    elif isinstance(value, dict):
        for name, item in value.items():
            yield from array_places(item, (*place, name))


def value_at(value: JSON, place: Place) -> JSON:
    """The value at a place."""
    for key in place:
        value = cast(Any, value)[key]
    return value


def with_value(value: JSON, place: Place, new: JSON) -> JSON:
    """
    A copy of an input with another value at one place.

    >>> with_value({"a": [1, 2]}, ("a", 1), 3)
    {'a': [1, 3]}
    """
    if not place:
        return new
    copy: Any = list(value) if isinstance(value, list) else dict(cast("dict[str, JSON]", value))
    copy[place[0]] = with_value(copy[place[0]], place[1:], new)
    return cast(JSON, copy)


def without_member(value: JSON, place: Place) -> JSON:
    """A copy of an input without one member."""
    parent: Any = value_at(value, place[:-1])
    if not isinstance(parent, dict) or place[-1] not in parent:
        raise KeyError(place[-1])
    return with_value(value, place[:-1], {name: item for name, item in parent.items() if name != place[-1]})


def takes_no_fraction(value: JSON, place: Place, accepts: Accepts) -> bool:
    """
    True if only whole numbers may be in the place of a number.

    >>> takes_no_fraction({"a": 1}, ("a",), lambda value: value["a"] <= 1), takes_no_fraction({"a": 1}, ("a",), lambda value: value["a"] == 1)
    (False, True)
    """
    number = value_at(value, place)
    assert is_number(number)
    near = (number + 0.5, number - 0.5) if abs(number) < 2**52 else (0.5, 1.5)
    return not any(accepts(with_value(value, place, each)) for each in near)


# ------------------------------------------------------------------ unique values


def unique_text(rng: random.Random, length: int) -> str:
    """
    A text of hexadecimal digits that no other request has.

    >>> len(unique_text(random.Random(1), 16))
    16
    """
    return f"{rng.getrandbits(4 * length):0{length}x}"


def unique_value(value: JSON, place: Place, accepts: Accepts, rng: random.Random) -> JSON:
    """
    An accepted value for a place that hardly any other input has, if possible of the same length; None if the place takes no
    such value.
    """
    current = value_at(value, place)
    candidates: list[JSON] = []
    if isinstance(current, str):
        longest = _TOKEN_LENGTHS[0]
        candidates = [unique_text(rng, longest) + current[longest:]] if len(current) > longest else []
        candidates += [unique_text(rng, length) for length in _TOKEN_LENGTHS]
        candidates += [unique_text(rng, longest) + current[-_GROUP:]] if is_padded_base64(current) else []
    elif is_number(current):
        candidates = [rng.randrange(limit // 10, limit) for limit in _UNIQUE_NUMBERS]
    return next((each for each in candidates if accepts(with_value(value, place, each))), None)


def other_value(value: JSON, place: Place, accepts: Accepts, rng: random.Random) -> JSON:
    """
    An accepted value for a place that hardly any other input has, or at least another value. None if there is none, as for
    a constant.
    """
    unique = unique_value(value, place, accepts, rng)
    if unique is not None:
        return unique
    current = value_at(value, place)
    fraction = round(rng.random(), 6)
    similar: tuple[JSON, ...] = ()
    if isinstance(current, str):
        similar = (_shuffled(current, rng),)
    elif is_number(current) and abs(current) < 2**53:
        similar = (fraction, current + fraction, current - fraction)
    candidates = (*similar, *(new for _, new in _changes(current, ())))
    return next((each for each in candidates if each != current and accepts(with_value(value, place, each))), None)


def _shuffled(text: str, rng: random.Random) -> str:
    """A text of the same form: each ASCII letter and digit is replaced by another one of its kind."""
    kinds = (string.digits, string.ascii_lowercase, string.ascii_uppercase)
    return "".join(next((rng.choice(kind) for kind in kinds if char in kind), char) for char in text)


def unique_places(value: JSON, accepts: Accepts, rng: random.Random) -> tuple[Place, ...]:
    """The places that take unique values, strings first."""
    places = [each for each in leaf_places(value) if unique_value(value, each, accepts, rng) is not None]
    return tuple(sorted(places, key=lambda place: not isinstance(value_at(value, place), str)))


def unique_input(value: JSON, places: tuple[Place, ...], accepts: Accepts, rng: random.Random) -> JSON:
    """An input with unique values at some places."""
    for place in places:
        new = unique_value(value, place, accepts, rng)
        value = value if new is None else with_value(value, place, new)
    return value


def similar_items(value: JSON, place: Place, places: Sequence[Place], count: int, rng: random.Random) -> list[JSON]:
    """
    Items like the first one of an array, each with other texts and numbers at those *places* that are in it. They have unique
    values, so that others of the same form are accepted too.

    >>> similar_items({"a": [{"b": 1234, "c": 1}]}, ("a",), [("a", 0, "b")], 2, random.Random(1))
    [{'b': 3201, 'c': 1}, {'b': 2033, 'c': 1}]
    """
    first = (*place, 0)
    template = value_at(value, first)
    inner = [each[len(first) :] for each in places if each[: len(first)] == first]
    found = []
    for _ in range(count):
        item = template
        for each in inner:
            item = with_value(item, each, _similar_value(value_at(template, each), rng))
        found.append(item)
    return found


def with_similar_values(value: JSON, example: JSON, places: Sequence[Place], rng: random.Random) -> JSON:
    """
    An input with other unique values than an accepted *example* of it, which has some at these *places*: texts of the same form,
    and numbers that are not greater.

    >>> with_similar_values({"a": 1, "b": 1}, {"a": 345, "b": 1}, [("a",), ("b",)], random.Random(1))
    {'a': 134, 'b': 1}
    """
    for place in places:
        accepted = value_at(example, place)
        if accepted != value_at(value, place):
            value = with_value(value, place, _similar_value(accepted, rng, limit=accepted))
    return value


def _similar_value(value: JSON, rng: random.Random, limit: JSON = None) -> JSON:
    """Another unique value of the same form. If the number of its digits permits it, a number is less than the *limit*."""
    if isinstance(value, str):
        length = min(len(value), _TOKEN_LENGTHS[0])
        return unique_text(rng, length) + value[length:]
    least = int(10 ** (len(str(value)) - 1))
    return rng.randrange(least, max(limit, 2 * least) if isinstance(limit, int) else 10 * least)


def lengthened(
    value: JSON, places: tuple[Place, ...], accepts: Accepts, length: int, *, filling: str = _FILLING
) -> JSON:
    """
    An input whose texts at some places have so many characters, or half as many and so on, as far as they are accepted.

    >>> lengthened({"a": "x", "b": "y"}, (("a",),), lambda value: len(value["a"]) <= 5, 16)
    {'a': 'xabc', 'b': 'y'}
    """
    for place in places:
        text = value_at(value, place)
        size = length
        while isinstance(text, str) and size > len(text):
            candidates = (with_value(value, place, longer) for longer in _longer_texts(text, size, filling))
            found = next(filter(accepts, candidates), None)
            if found is not None:
                value = found
                break
            size //= 2
    return value


def _longer_texts(text: str, size: int, filling: str) -> Iterator[str]:
    """
    A text of *size* characters, and one that is base64 if the text is. With padding only the latter is longer for a decoder.

    >>> list(_longer_texts("rEwJwgbn4w==", 18, "ab"))
    ['rEwJwgbnabab4w==', 'rEwJwgbn4w==ababab']
    """
    longer = (text + filling * (size // len(filling) + 1))[:size]
    groups = (filling.replace(" ", "") * size)[: (size - len(text)) // _GROUP * _GROUP]
    as_base64 = text[:-_GROUP] + groups + text[-_GROUP:]
    if not groups.isascii() or len(text) % _GROUP:
        yield longer
    else:
        yield from (as_base64, longer) if is_padded_base64(text) else (longer, as_base64)


def is_padded_base64(text: str) -> bool:
    """
    True for a text that can only be base64, since it ends with padding.

    >>> is_padded_base64("AAA="), is_padded_base64("AAAA"), is_padded_base64("x = y =")
    (True, False, False)
    """
    return _PADDED_BASE64.fullmatch(text) is not None


def with_other_end(text: str) -> str:
    """
    A text with another character at its end, or in base64 the last one that is no padding.

    >>> with_other_end("abc"), with_other_end("AAAAAA=="), with_other_end("x")
    ('abx', 'AAAxAA==', 'y')
    """
    kept = text[-_GROUP:] if is_padded_base64(text) and len(text) > _GROUP else ""
    start = text.removesuffix(kept)
    return start[:-1] + ("x" if start[-1:] != "x" else "y") + kept


def with_many_items(value: JSON, accepts: Accepts, count: int) -> JSON:
    """
    An input whose arrays have so many items, as far as they are accepted.

    >>> with_many_items({"a": [1, 2], "b": [3]}, lambda value: len(value["b"]) < 2, 3)
    {'a': [1, 2, 1], 'b': [3]}
    """
    for place in dict.fromkeys(leaf[:length] for leaf in leaf_places(value) for length in range(len(leaf))):
        items = value_at(value, place)
        if isinstance(items, list) and len(items) < count:
            more = with_value(value, place, (items * count)[:count])
            value = more if accepts(more) else value
    return value


# ------------------------------------------------------------------ one change


def variations(value: JSON, accepts: Accepts, words: tuple[JSON, ...] = (), limit: int = 2) -> Iterator[Variation]:
    """
    Accepted inputs with one value changed, at most *limit* for each place. *words* are further values to try, such as
    those of enumerations.
    """
    for place in leaf_places(value):
        current = value_at(value, place)
        count = 0
        for label, new in _changes(current, words):
            if new != current and accepts(with_value(value, place, new)):
                yield Variation(place=place, label=f"`{format_path(place)}` {label}", value=new)
                count += 1
                if count == limit:
                    break


def with_invalid_argument(value: JSON, name: str, accepts: Accepts) -> JSON:
    """
    The input with a value of one argument that is not accepted; None if it takes any.

    >>> with_invalid_argument({"a": 1, "b": 2}, "b", lambda value: value["b"] != {} and value["b"] != [])
    {'a': 1, 'b': {}}
    """
    changed = (with_value(value, (name,), wrong) for wrong in _WRONG_VALUES)
    return next((each for each in changed if not accepts(each)), None)


def reversed_arrays(value: JSON, accepts: Accepts) -> Iterator[Variation]:
    """
    Accepted inputs with the items of one array in reverse order.

    >>> [each.label for each in reversed_arrays({"a": [1, 2], "b": [1, 1]}, lambda value: True)]
    ['`a` in reverse order']
    """
    for place in dict.fromkeys(leaf[:length] for leaf in leaf_places(value) for length in range(1, len(leaf))):
        items = value_at(value, place)
        if isinstance(items, list) and items != items[::-1] and accepts(with_value(value, place, items[::-1])):
            yield Variation(place=place, label=f"`{format_path(place)}` in reverse order", value=items[::-1])


def _changes(value: JSON, words: tuple[JSON, ...]) -> Iterator[tuple[str, JSON]]:
    """Other values of the same type, in the order in which they are tried."""
    if isinstance(value, bool):
        yield "negated", not value
    elif isinstance(value, str) and value not in words:
        yield "with another last character", with_other_end(value)
        yield "in another letter case", value.swapcase()
        yield from (("with another last digit", text) for text in _other_digits(value))
    elif isinstance(value, int):
        yield from (("with another number", number) for number in (value + 1, value - 1, value + 10, value * 2))
    elif isinstance(value, float):
        yield from (("with another number", number) for number in (value + 0.5, value / 2, value - 0.5, value * 2))
    if value in words:
        yield from (("with another value", word) for word in words if type(word) is type(value))


def _other_digits(text: str) -> Iterator[str]:
    """
    A text with another last digit, or with another year before a month, such as a later date.

    >>> list(_other_digits("2026-02-28T10:00:09Z")), list(_other_digits("none"))
    (['2026-02-28T10:00:08Z', '2027-02-28T10:00:09Z', '2026-02-28T10:00:01Z'], [])
    """
    index = next((index for index in reversed(range(len(text))) if text[index] in string.digits), None)
    if index is None:
        return
    digit = int(text[index])
    year = _YEAR.match(text)
    yield f"{text[:index]}{(digit - 1) % 10}{text[index + 1 :]}"
    if year is not None:
        yield f"{year[1]}{(int(year[2]) + 1) % 10}{text[year.end() :]}"
    yield f"{text[:index]}{(digit + 2) % 10}{text[index + 1 :]}"


def merged_input(values: Sequence[JSON], accepts: Accepts) -> JSON:
    """
    The input with the most values, with the arguments that it lacks or that are null or empty from the others.

    >>> merged_input([{"a": [1, 2]}, {"a": [], "b": "x"}], lambda value: True)
    {'a': [1, 2], 'b': 'x'}
    """
    ordered = sorted(values, key=_value_count, reverse=True)
    merged = ordered[0] if ordered else None
    for other in ordered[1:]:
        if not isinstance(merged, dict) or not isinstance(other, dict):
            break
        for name, item in other.items():
            changed = {**merged, name: item}
            if merged.get(name) in (None, "", []) and item not in (None, "", []) and accepts(changed):
                merged = changed
    return merged


def _value_count(value: JSON) -> int:
    """The number of values that are neither null nor empty."""
    return sum(value_at(value, place) not in (None, "") for place in leaf_places(value))


def enumerated_words(document: JSON) -> tuple[JSON, ...]:
    """
    The values of all enumerations and constants in a JSON Schema.

    >>> enumerated_words({"properties": {"a": {"enum": ["x", "y"]}, "b": {"const": 1}}})
    ('x', 'y', 1)
    """
    found: list[JSON] = []
    if isinstance(document, dict):
        for name, member in document.items():
            if name == "enum" and isinstance(member, list):
                found += member
            elif name == "const":
                found.append(member)
            else:
                found += enumerated_words(member)
    elif isinstance(document, list):
        for item in document:
            found += enumerated_words(item)
    return tuple(found)


def encoded(value: JSON) -> bytes:
    """An input as compact JSON."""
    return json.dumps(value, separators=(",", ":")).encode()
