"""
Finds sums and means of the numbers of an array that leave some out, if the array has as many items as a batch or some more.

Which numbers of the output are such totals is learnt from arrays of few items, all with other numbers.
"""

from __future__ import annotations

import math
import statistics
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import islice

from chainproof.chain_schema.error_text import format_path
from chainproof.contract import clauses
from chainproof.json_text import JSON, is_number

from ...inputs.input_variations import Place, array_places, encoded, leaf_places, similar_items, value_at, with_value
from ...judging.output_comparison import Leaves, Path, format_output_path
from ..input_source import InputSource
from ..requester import Requester
from .difference_confirmation import send_alone

_FEW = (3, 2, 5)
"""Items of the arrays that show where totals are."""
_MAX_ARRAYS = 3
_MAX_NUMBERS = 2
"""Numbers of an item whose totals are looked for."""
_MOST = 257
"""Items of the largest array: the sums of few large numbers and of many small ones are similar, so that no upper limit is met."""
_LARGE_NUMBERS = range(5_000, 10_000)
_TOLERANCE = 1e-5
"""Relative difference of numbers that were added in 32 bits."""
_ROUNDED = 1e-3
"""Relative difference of a total that was rounded to few digits."""

_Total = Callable[[Sequence[float]], float]
_TOTALS: Mapping[str, _Total] = {"sum": math.fsum, "mean": statistics.fmean}


@dataclass(frozen=True, slots=True, kw_only=True)
class _Array:
    """An array of the input, and where each item has a number."""

    place: Place
    inner: Place


@dataclass(frozen=True, slots=True, kw_only=True)
class _Answered:
    """The output for some items."""

    value: JSON
    numbers: Sequence[float]
    output: Leaves


def judge_item_totals(requester: Requester, source: InputSource, sizes: Sequence[int]) -> None:
    """Send arrays of *sizes* items, and record totals that leave out items although the rest of the output has them."""

    def judge(array: _Array) -> None:
        own = replace(source, rng=requester.rng(f"totals of {format_path((*array.place, 0, *array.inner))}"))
        _judge_array(requester, own, array, [size for size in sizes if size <= _MOST])

    requester.run_parts(judge, list(_arrays(source)))


def _arrays(source: InputSource) -> Iterator[_Array]:
    """The arrays whose items have numbers."""
    for place in islice(array_places(source.value), _MAX_ARRAYS):
        first = value_at(source.value, (*place, 0))
        numbers = (inner for inner in leaf_places(first) if is_number(value_at(first, inner)))
        yield from (_Array(place=place, inner=inner) for inner in islice(numbers, _MAX_NUMBERS))


def _judge_array(requester: Requester, source: InputSource, array: _Array, sizes: Sequence[int]) -> None:
    """The same for one number of the items of one array."""
    totals = _learnt_totals(requester, source, array)
    for count in sizes if totals else ():
        for path, name in totals:
            first = _send(requester, source, array, count)
            if first is None or not _leaves_out(first, path, _TOTALS[name]):
                continue
            again = _send(requester, source, array, count)
            if again is not None and _leaves_out(again, path, _TOTALS[name]):
                _record(requester, array, again, path, name)
                return


def _learnt_totals(requester: Requester, source: InputSource, array: _Array) -> list[tuple[Path, str]]:
    """Where arrays of few items have the total of their numbers, and which."""
    found: set[tuple[Path, str]] | None = None
    for count in _FEW:
        answered = _send(requester, source, array, count)
        here = {
            (path, name)
            for path in (answered.output if answered is not None else ())
            for name, total in _TOTALS.items()
            if answered is not None and _equals(_number_at(answered.output, path), total(answered.numbers))
        }
        found = here if found is None else found & here
        if not found:
            return []
    return sorted(found or ())


def _send(requester: Requester, source: InputSource, array: _Array, count: int) -> _Answered | None:
    """The output for new items, all with another number; None if the input is not valid or has no output."""
    items = similar_items(source.value, array.place, source.places, count, source.rng)
    numbers = source.rng.sample(_LARGE_NUMBERS if count in _FEW else range(1, 2 * count), count)
    with_own = [with_value(item, array.inner, number) for item, number in zip(items, numbers, strict=True)]
    for candidate in (with_own, items):
        value = with_value(source.value, array.place, candidate)
        if source.accepts(value):
            output = send_alone(requester, encoded(value), _label(array, count))
            sent = [value_at(item, array.inner) for item in candidate]
            numbers_sent = [float(each) for each in sent if is_number(each)]
            return None if output is None else _Answered(value=value, numbers=numbers_sent, output=output)
    return None


def _leaves_out(answered: _Answered, path: Path, total: _Total) -> bool:
    """
    True if a total is that of the first or of the last items only, although the output has a value for each, or their number.
    Otherwise a chain may have a limit of items, or a discount for many.
    """
    numbers, found, count = answered.numbers, _number_at(answered.output, path), len(answered.numbers)
    if found is None or math.isclose(found, total(numbers), rel_tol=_ROUNDED):
        return False
    is_of_part = any(
        _equals(found, total(part)) for size in range(1, count) for part in (numbers[:size], numbers[-size:])
    )
    has_all = any(len(values) >= count or values == (count,) for values in answered.output.values())
    return has_all and is_of_part


def _number_at(output: Leaves, path: Path) -> float | None:
    """The only value at a path as a number, which may be in a text."""
    values = output.get(path, ())
    value = values[0] if len(values) == 1 else None
    if isinstance(value, str):
        try:
            return float(value)
        except ValueError:
            return None
    return float(value) if isinstance(value, int | float) and not isinstance(value, bool) else None


def _equals(first: float | None, second: float) -> bool:
    return first is not None and math.isclose(first, second, rel_tol=_TOLERANCE)


def _label(array: _Array, count: int) -> str:
    return f"`{format_path(array.place)}` with {count} different numbers"


def _record(requester: Requester, array: _Array, answered: _Answered, path: Path, name: str) -> None:
    """Enter a total that leaves out items."""
    count = len(answered.numbers)
    requester.record_clause(
        clauses.ANSWER_MATCHES_REQUEST,
        requester.build_request(encoded(answered.value), label=_label(array, count)),
        expected=f"the {name} of all {count} items, as for few items",
        actual=f"`{format_output_path(path)}`: {_number_at(answered.output, path):.15g} instead of {_TOTALS[name](answered.numbers):.15g}",
        sign=(path, answered.output[path]),
    )
