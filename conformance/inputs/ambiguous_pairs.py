"""
Pairs of different inputs that a careless cache takes for equal.

Such a cache joins texts, sorts words, rounds numbers, drops repeated items, takes an empty value for none, or a text for another value. Nothing is
sent here.
"""

from __future__ import annotations

import json
import math
from collections import defaultdict
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import islice, permutations

from chainproof.chain_schema.error_text import format_path
from chainproof.json_text import JSON, is_number

from .input_variations import Accepts, Place, encoded, leaf_places, value_at, with_value

Change = Callable[[JSON], JSON]
"""Makes another input of one."""

_SEPARATORS = ("", " ", ",", "|", "\n", ":", "-")
_MAX_JOINED = 4
"""Pairs of texts of one object that may be joined."""
_LITTLE = 0.004
"""Difference of two numbers that are equal if they are rounded to two digits."""
_EMPTY: tuple[JSON, ...] = ("", [], {}, 0, False)
_ALIKE: tuple[tuple[JSON, JSON], ...] = (
    (1, True),
    (0, False),
    (1, "1"),
    (True, "True"),
    (True, "true"),
    (None, "None"),
)
"""Values that are equal in Python, or once they are written as texts."""
_MAX_ALIKE = 4
"""Pairs of each kind, besides those of joined texts."""


@dataclass(frozen=True, slots=True, kw_only=True)
class AmbiguousPair:
    """Two changes of an input, after which a careless cache takes both for equal."""

    label: str
    places: tuple[Place, ...]
    """Where the two inputs differ."""
    first: Change
    second: Change
    kept: Place = ()
    """Where a text is that becomes a part of both inputs, so that a unique one makes both new."""


def ambiguous_pairs(value: JSON, accepts: Accepts) -> Iterator[AmbiguousPair]:
    """The pairs that can be made of an accepted input."""

    def are_accepted(pair: AmbiguousPair) -> bool:
        first, second = pair.first(value), pair.second(value)
        # True equals 1 in Python, but not in JSON.
        return encoded(first) != encoded(second) and accepts(first) and accepts(second)

    merged = tuple(filter(are_accepted, _merged(value)))
    yield from merged
    yield from filter(are_accepted, _joined(value, accepts, of_items=not merged))
    yield from islice(filter(are_accepted, _reordered(value)), 1)
    for alike in (_empty(value), _repeated(value), _rounded(value, accepts), _retyped(value)):
        yield from islice(filter(are_accepted, alike), _MAX_ALIKE)


def _set(place: Place, new: JSON) -> Change:
    """A change of one value."""
    return lambda value: with_value(value, place, new)


def _merged(value: JSON) -> Iterator[AmbiguousPair]:
    """An array of two items with a text, and one of a single item whose text has both."""
    places = [place for place in _texts(value) if any(isinstance(each, int) for each in place)]
    for place in sorted(places, key=len)[:1]:
        length = max(number for number, each in enumerate(place) if isinstance(each, int))
        for separator in _SEPARATORS:
            yield AmbiguousPair(
                label=f"other texts as `{format_path(place)}` and the next item, equal when joined by {separator!r}",
                places=(place[:length],),
                first=_with_items(place, length, "", "zq"),
                second=_with_items(place, length, f"{separator}zq"),
                kept=place,
            )


def _with_items(place: Place, length: int, end: str, *others: str) -> Change:
    """A change of an array: an item with another end of the text at a place, and one with each of some texts."""

    def change(value: JSON) -> JSON:
        item, within = value_at(value, place[: length + 1]), place[length + 1 :]
        texts = (f"{value_at(value, place)}{end}", *others)
        return with_value(value, place[:length], [with_value(item, within, text) for text in texts])

    return change


def _reordered(value: JSON) -> Iterator[AmbiguousPair]:
    """A text with two words in either order."""
    for place in _texts(value):
        yield AmbiguousPair(
            label=f"the words of `{format_path(place)}` in another order",
            places=(place,),
            first=_with_text(place, "{} zq"),
            second=_with_text(place, "zq {}"),
            kept=place,
        )


def _with_text(place: Place, form: str) -> Change:
    """A change that puts a text into another one."""
    return lambda value: with_value(value, place, form.format(value_at(value, place)))


def _texts(value: JSON) -> Iterator[Place]:
    """Where an input has texts."""
    return (place for place in leaf_places(value) if isinstance(value_at(value, place), str))


def _joined(value: JSON, accepts: Accepts, *, of_items: bool) -> Iterator[AmbiguousPair]:
    """Two texts of one object or array, of which the first one ends as the second one begins."""
    siblings = defaultdict[Place, list[Place]](list)
    for place in _texts(value):
        if accepts(with_value(value, place, "zq")):
            siblings[place[:-1]].append(place)
    pairs = [pair for parent in sorted(siblings, key=len) for pair in permutations(siblings[parent], 2)]
    items = [pair for pair in pairs if isinstance(pair[0][-1], int)]
    members = [pair for pair in pairs if isinstance(pair[0][-1], str)]
    for first, second in (*members[:_MAX_JOINED], *items[: int(of_items)]):
        for separator in _SEPARATORS:
            yield AmbiguousPair(
                label=f"other texts as `{format_path(first)}` and `{format_path(second)}`, equal when joined by {separator!r}",
                places=(first, second),
                first=_joined_texts(first, f"{separator}z", second, "q"),
                second=_joined_texts(first, "", second, f"z{separator}q"),
                kept=first,
            )


def _joined_texts(first: Place, end: str, second: Place, text: str) -> Change:
    """A change that appends to one text and sets another one."""

    def change(value: JSON) -> JSON:
        return with_value(with_value(value, first, f"{value_at(value, first)}{end}"), second, text)

    return change


def _empty(value: JSON) -> Iterator[AmbiguousPair]:
    """Null, and the empty value that the place takes as well."""
    places = dict.fromkeys(leaf[:length] for leaf in leaf_places(value) for length in range(1, len(leaf) + 1))
    for place in places:
        if isinstance(place[-1], str):
            for empty in _EMPTY:
                label = f"{empty!r} in place of null as `{format_path(place)}`"
                yield AmbiguousPair(label=label, places=(place,), first=_set(place, None), second=_set(place, empty))


def _retyped(value: JSON) -> Iterator[AmbiguousPair]:
    """Two values of different types, where a place takes both."""
    for place in leaf_places(value):
        for first, second in _ALIKE:
            yield AmbiguousPair(
                label=f"{json.dumps(second)} in place of {json.dumps(first)} as `{format_path(place)}`",
                places=(place,),
                first=_set(place, first),
                second=_set(place, second),
            )


def _repeated(value: JSON) -> Iterator[AmbiguousPair]:
    """An array, and the same with its last item twice."""
    arrays = dict.fromkeys(leaf[:length] for leaf in leaf_places(value) for length in range(1, len(leaf)))
    for place in arrays:
        items = value_at(value, place)
        if isinstance(items, list):
            yield AmbiguousPair(
                label=f"the last item of `{format_path(place)}` twice",
                places=(place,),
                first=lambda value: value,
                second=_set(place, [*items, items[-1]]),
            )


def _rounded(value: JSON, accepts: Accepts) -> Iterator[AmbiguousPair]:
    """A number with a fraction, and one that is a little larger."""
    for place in leaf_places(value):
        number = value_at(value, place)
        if is_number(number) and abs(number) < 2**40:
            numbers = (1.2, 0.2, math.floor(number) + 0.2, math.floor(number) - 0.8)
            some = next((each for each in numbers if accepts(with_value(value, place, each))), None)
            if some is not None:
                label = f"a little more than {some:g} as `{format_path(place)}`"
                more = _set(place, some + _LITTLE)
                yield AmbiguousPair(label=label, places=(place,), first=_set(place, some), second=more)
