"""Inputs in which every two values of different arguments occur together, and every three of the most telling ones."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import combinations, islice, product

from chainproof.chain_schema.error_text import format_path
from chainproof.json_text import JSON

from .bound_values import MAX_ARRAYS, BoundInput, accepted_numbers, member_places, repeated
from .input_variations import (
    Accepts,
    Place,
    array_places,
    encoded,
    value_at,
    variations,
    with_value,
    without_member,
)

_MAX_VARIATIONS = 2
"""Other values of each place that are combined with those of others, besides null and none."""
_MAX_WORDS = 3
"""Other values of an enumeration of which every three are combined."""
_MAX_TELLING = 6
"""Places of which every three values are combined."""


class _Absent:
    """Stands for no member."""


_Option = tuple[Place, list[JSON | _Absent]]
"""A place, and the values that are combined with those of others."""
_Values = frozenset[tuple[int, int]]
"""Some values of different places, as indexes of options and of their values."""


def pairs_of_values(value: JSON, accepts: Accepts, words: tuple[JSON, ...], count: int) -> list[BoundInput]:
    """At most *count* inputs in which every two values of different places occur together."""
    return _covering_inputs(value, accepts, _options(value, accepts, words), 2, count)


def triples_of_values(
    value: JSON, accepts: Accepts, words: tuple[JSON, ...], document: JSON, count: int
) -> list[BoundInput]:
    """
    At most *count* inputs in which every three of the values occur together that change most: those of an enumeration, true
    and false, the largest and the smallest number, and the shortest array.
    """
    return _covering_inputs(value, accepts, _telling_options(value, accepts, words, document), 3, count)


def _covering_inputs(
    value: JSON, accepts: Accepts, options: Sequence[_Option], strength: int, count: int
) -> list[BoundInput]:
    """At most *count* inputs in which as many values of different places as *strength* says occur together."""
    missing = {
        frozenset(zip(places, chosen, strict=True))
        for places in combinations(range(len(options)), strength)
        for chosen in product(*(range(len(options[place][1])) for place in places))
    }
    found: list[BoundInput] = []
    while missing and len(found) < count:
        chosen = _covering(options, missing, strength)
        changed = value
        used: list[tuple[int, int]] = []
        for index, option in chosen:
            together = _changed(changed, options[index][0], options[index][1][option])
            if together is not None and accepts(together):
                changed = together
                used.append((index, option))
        covered = {frozenset(each) for each in combinations(used, strength)} & missing
        # The values that the input was made for may exclude each other.
        missing -= covered | {frozenset(chosen[:strength])}
        if covered:
            changes = [(options[index][0], options[index][1][option]) for index, option in used if option]
            parts = tuple(_smaller_combinations(value, accepts, changes, strength))
            found.append(BoundInput(label="a combination of values", content=encoded(changed), parts=parts))
    return found


def _smaller_combinations(
    value: JSON, accepts: Accepts, changes: Sequence[tuple[Place, JSON | _Absent]], strength: int
) -> Iterator[BoundInput]:
    """The input with each one, each two and so on of some changes."""
    for count in range(1, strength + 1):
        for some in combinations(changes, count):
            changed: JSON | None = value
            for place, option in some:
                changed = _changed(changed, place, option)
            if changed is not None and accepts(changed):
                names = " and ".join(f"`{format_path(place)}`" for place, _ in some)
                yield BoundInput(label=f"another value of {names}", content=encoded(changed))


def _options(value: JSON, accepts: Accepts, words: tuple[JSON, ...]) -> list[_Option]:
    """For each place that can be changed, the values to combine."""
    found: dict[Place, list[JSON | _Absent]] = {}
    for each in variations(value, accepts, words, limit=_MAX_VARIATIONS):
        current = value_at(value, each.place)
        if not isinstance(current, str) or current in words:
            found.setdefault(each.place, [current]).append(each.value)
    for place in member_places(value):
        if accepts(without_member(value, place)):
            found.setdefault(place, [value_at(value, place)]).append(_Absent())
        if accepts(with_value(value, place, None)):
            found.setdefault(place, [value_at(value, place)]).append(None)
    return list(found.items())


def _telling_options(value: JSON, accepts: Accepts, words: tuple[JSON, ...], document: JSON) -> list[_Option]:
    """The values that change most, of a few places: whole arguments before parts of them, and words before numbers."""
    found: dict[Place, list[JSON | _Absent]] = {}
    for each in variations(value, accepts, words, limit=_MAX_WORDS):
        current = value_at(value, each.place)
        if isinstance(current, bool) or current in words:
            found.setdefault(each.place, [current]).append(each.value)
    for place in islice(array_places(value), MAX_ARRAYS):
        items = value_at(value, place)
        assert isinstance(items, list)
        fewer = (with_value(value, place, repeated(items, length)) for length in range(min(len(items), 2)))
        shortest = next(filter(accepts, fewer), None)
        if shortest is not None:
            found.setdefault(place, [items]).append(value_at(shortest, place))
    for place, numbers in accepted_numbers(value, accepts, document).items():
        if any(isinstance(name, int) for name in place):
            continue  # one item of several is not telling
        for number in dict.fromkeys((numbers[-1], numbers[0])):
            if place not in found or number not in found[place]:
                found.setdefault(place, [value_at(value, place)]).append(number)
    return sorted(found.items(), key=lambda option: len(option[0]))[:_MAX_TELLING]


def _covering(options: Sequence[_Option], missing: set[_Values], strength: int) -> list[tuple[int, int]]:
    """A choice for each place that covers many of the missing values, beginning with those that change most of the input."""
    chosen = sorted(max(missing, key=sorted))
    begun = {index for index, _ in chosen}
    for index, (_, values) in enumerate(options):
        if index in begun:
            continue
        others = list(combinations(chosen, strength - 1))
        best = max(
            range(len(values)),
            key=lambda option: sum(frozenset(((index, option), *each)) in missing for each in others),
        )
        chosen.append((index, best))
    return chosen


def _changed(value: JSON, place: Place, option: JSON | _Absent) -> JSON | None:
    """The value with one option; None if another option has removed the place."""
    try:
        return without_member(value, place) if isinstance(option, _Absent) else with_value(value, place, option)
    except (KeyError, IndexError, TypeError, ValueError):
        return None
