"""
Finds results of items that get lost, or belong to other items, if an array has as many items as a batch or some more, and
equal items with different results.

Which values of the output are results of items is learnt from arrays of few items: if the items are sent in reverse order, so
are the results.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

from chainproof.chain_schema.error_text import format_path
from chainproof.clock import Seconds, monotonic
from chainproof.contract import clauses
from chainproof.json_text import JSON

from ...inputs.input_variations import Place, array_places, encoded, similar_items, value_at, with_value
from ...judging.output_comparison import Leaves, Path, agree_at, format_output_path
from ..input_source import InputSource
from ..requester import Requester
from .difference_confirmation import send_alone

_FEW = (3, 2, 5)
"""Items of the arrays that show how results belong to items."""
_EQUAL_ROUNDS = 3
"""Arrays with two equal items whose results must differ before that is no chance."""
_MAX_ARRAYS = 4
_SLOW: Seconds = 1.0
"""Time that the answers to an array may take; no more items are sent after slower ones."""
_DEADLINE_SHARE = 0.3
"""Part of the deadline that more items may take, if each takes as long as those before."""
_MAX_BYTES = 900_000
"""Bytes of an input. Larger ones need not be accepted."""
_MIN_MISPLACED = 2
"""Results that must be those of other items: one may equal another one by chance."""

_Chunk = tuple[object, ...]
"""The values of one item at one path."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _ResultPath:
    """Where the output has results of items."""

    path: Path
    per_item: int
    """Values of each item."""

    def chunks(self, output: Leaves) -> list[_Chunk]:
        """The results in their order."""
        values = output.get(self.path, ())
        return [tuple(values[start : start + self.per_item]) for start in range(0, len(values), self.per_item)]


@dataclass(frozen=True, slots=True, kw_only=True)
class _Paths:
    """What arrays of few items show of the output."""

    results: frozenset[_ResultPath]
    numbers: frozenset[Path]
    """Where each item has its number: 0, 1, 2 and so on."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _BothOrders:
    """The outputs for some items, and for the same ones in reverse order."""

    value: JSON
    count: int
    there: Leaves
    back: Leaves


@dataclass(frozen=True, slots=True, kw_only=True)
class _Counts:
    """How many results some items have at each path, if these are the results of the first items."""

    value: JSON
    count: int
    results: Mapping[_ResultPath, int]


def judge_item_results(requester: Requester, source: InputSource, sizes: Sequence[int]) -> None:
    """Send arrays of *sizes* items, all different, and record results that are lost, repeated, or those of other items."""

    def judge(place: Place) -> None:
        own = replace(source, rng=requester.rng(f"items of {format_path(place)}"))
        _judge_array(requester, own, place, sizes)

    requester.run_parts(judge, list(array_places(source.value))[:_MAX_ARRAYS])


def _judge_array(requester: Requester, source: InputSource, place: Place, sizes: Sequence[int]) -> None:
    """The same for one array."""
    began = monotonic()
    paths = _learnt_paths(requester, source, place)
    seconds_per_item = (monotonic() - began) / (2 * sum(_FEW))
    if paths.results and _judge_equal_items(requester, source, place, paths):
        return
    counted: list[_Counts] = []
    for count in sizes:
        if seconds_per_item * count > _DEADLINE_SHARE * requester.settings.deadline:
            break
        began = monotonic()
        if not paths.results:
            _send(requester, source, place, count)
        elif (outputs := _send_both_orders(requester, source, place, count)) is not None:
            found = _first_fault(paths, outputs)
            if found is not None and _is_found_again(requester, source, place, paths, count):
                _record(requester, place, outputs.value, count, found)
                return
            counted.append(_counts(paths.results, outputs))
        seconds_per_item = (monotonic() - began) / count
        if monotonic() - began > _SLOW:
            break
    for counts, found in _incomplete(paths.results, counted):
        again = _send_both_orders(requester, source, place, counts.count)
        larger = [each for each in counted if each.count > counts.count]
        if again is not None and found in [
            each for _, each in _incomplete(paths.results, [_counts(paths.results, again), *larger])
        ]:
            _record(requester, place, counts.value, counts.count, found)
            return
    _note_limit(requester, place, counted)


def _note_limit(requester: Requester, place: Place, counted: Sequence[_Counts]) -> None:
    """Enter that the last items of the largest array have no results."""
    if not counted:
        return
    count, results = counted[-1].count, min(counted[-1].results.values(), default=counted[-1].count)
    if 0 < results < count:
        requester.note(
            f"{count:,} items of `{format_path(place)}` have {results:,} results, those of the first items. A chain may limit them, "
            "so it is no finding"
        )


def _judge_equal_items(requester: Requester, source: InputSource, place: Place, paths: _Paths) -> bool:
    """Record whether two equal items of an array have different results or equal numbers. True after a violation."""
    value: JSON = None
    different, misnumbered = paths.results, paths.numbers
    output: Leaves = {}
    for _ in range(_EQUAL_ROUNDS):
        first, second = similar_items(source.value, place, source.places, 2, source.rng)
        value = with_value(source.value, place, [first, second, first])
        output = _output(requester, source, place, value, 3) or {}
        chunks = {each: each.chunks(output) for each in different}
        if chunks and all(len(found) == 2 for found in chunks.values()):
            requester.note(
                f"equal items of `{format_path(place)}` share one result. A chain may do that, so it is no finding"
            )
        different = frozenset(
            each for each, found in chunks.items() if len(found) == 3 and not _are_equal(found[0], found[2])
        )
        misnumbered = frozenset(
            path for path in misnumbered if len(output.get(path, ())) == 3 and not _are_numbers(output[path])
        )
        if not different and not misnumbered:
            return False
    if different:
        found = (min(each.path for each in different), "another result for an equal item")
    else:
        found = (min(misnumbered), "equal items have the same number")
    _record(requester, place, value, 3, found, shown=output)
    return True


def _learnt_paths(requester: Requester, source: InputSource, place: Place) -> _Paths:
    """Where arrays of few items have a result for each item, all different and in the order of the items, and its number."""
    paths: frozenset[_ResultPath] | None = None
    numbers: frozenset[Path] | None = None
    for count in _FEW:
        outputs = _send_both_orders(requester, source, place, count)
        if outputs is None:
            return _Paths(results=frozenset(), numbers=frozenset())
        counted = frozenset(
            path for path, values in outputs.there.items() if len(values) == count and _are_numbers(values)
        )
        numbers = counted if numbers is None else numbers & counted
        candidates = (
            _ResultPath(path=path, per_item=len(values) // count)
            for path, values in outputs.there.items()
            if values and len(values) % count == 0
        )
        found = frozenset(each for each in candidates if _is_reversed(each, outputs))
        paths = found if paths is None else paths & found
        if not paths:
            break
    return _Paths(results=paths or frozenset(), numbers=numbers or frozenset())


def _are_numbers(values: _Chunk) -> bool:
    """True if the values are 0, 1, 2 and so on, or begin with 1."""
    is_counted = any(list(values) == list(range(start, start + len(values))) for start in (0, 1))
    return is_counted and not any(isinstance(value, bool) for value in values)


def _is_reversed(path: _ResultPath, outputs: _BothOrders) -> bool:
    """True if the results for reversed items are reversed, and no two are equal."""
    there, back = path.chunks(outputs.there), path.chunks(outputs.back)
    return (
        len(there) == len(back) == outputs.count == len(set(map(repr, there)))
        and there != back
        and all(map(_are_equal, there, reversed(back)))
    )


def _are_equal(first: _Chunk, second: _Chunk) -> bool:
    return agree_at([()], {(): first}, {(): second})


def _first_fault(paths: _Paths, outputs: _BothOrders) -> tuple[Path, str] | None:
    """A path with too many results, with wrong numbers, or with the results of other items, and what is wrong."""
    for path in sorted(paths.numbers):
        values = outputs.there.get(path, ())
        if len(values) == outputs.count and not _are_numbers(values):
            return path, f"the numbers of {outputs.count} results are not 0, 1, 2 and so on"
    for each in sorted(paths.results, key=lambda found: found.path):
        there, back = each.chunks(outputs.there), each.chunks(outputs.back)[::-1]
        if len(there) > outputs.count:
            return each.path, f"{len(there)} results for {outputs.count} items"
        if len(there) < outputs.count or len(back) != outputs.count:
            continue
        others = {repr(chunk): number for number, chunk in enumerate(back)}
        misplaced = [
            (number, others[repr(chunk)])
            for number, chunk in enumerate(there)
            if not _are_equal(chunk, back[number]) and repr(chunk) in others
        ]
        if len(misplaced) >= _MIN_MISPLACED:
            number, other = misplaced[0]
            what = f"item {number + 1} of {outputs.count} has the result of item {other + 1} in the reverse order"
            return each.path, what
    return None


def _is_found_again(requester: Requester, source: InputSource, place: Place, paths: _Paths, count: int) -> bool:
    """True if other items have the same fault."""
    outputs = _send_both_orders(requester, source, place, count)
    return outputs is not None and _first_fault(paths, outputs) is not None


def _counts(paths: frozenset[_ResultPath], outputs: _BothOrders) -> _Counts:
    """How many results there are."""
    results = {
        each: len(each.chunks(outputs.there))
        for each in paths
        if len(each.chunks(outputs.there)) == outputs.count or _is_beginning(each, outputs)
    }
    return _Counts(value=outputs.value, count=outputs.count, results=results)


def _incomplete(paths: frozenset[_ResultPath], seen: Sequence[_Counts]) -> Iterator[tuple[_Counts, tuple[Path, str]]]:
    """Arrays of which the last items have no results although larger ones have more results: that is no upper limit."""
    for path in sorted(paths, key=lambda found: found.path):
        most = 0
        for each in reversed(seen):
            count = each.results.get(path, 0)
            if 0 < count < min(most, each.count):
                yield each, (path.path, f"{count} results for {each.count} items, and more for more items")
            most = max(most, count)


def _is_beginning(path: _ResultPath, outputs: _BothOrders) -> bool:
    """True if the results are those of the first items: more than half of them, in both orders."""
    there, back, total = path.chunks(outputs.there), path.chunks(outputs.back), outputs.count
    count = len(there)
    return (
        count == len(back)
        and 2 * count > total
        and all(_are_equal(there[number], back[total - 1 - number]) for number in range(total - count, count))
    )


def _send_both_orders(requester: Requester, source: InputSource, place: Place, count: int) -> _BothOrders | None:
    """The outputs for new items in both orders; None if an input is not valid or has no output."""
    items = similar_items(source.value, place, source.places, count, source.rng)
    # A chain may sort long texts to process them together.
    for candidate in (_of_different_lengths(items, source, place), items):
        value, items = with_value(source.value, place, candidate), candidate
        if source.accepts(value):
            break
    there = _output(requester, source, place, value, count)
    back = (
        _output(requester, source, place, with_value(value, place, items[::-1]), count) if there is not None else None
    )
    if there is None or back is None:
        return None
    return _BothOrders(value=value, count=count, there=there, back=back)


def _of_different_lengths(items: list[JSON], source: InputSource, place: Place) -> list[JSON]:
    """The items with longer texts, in no order of their lengths."""
    first = (*place, 0)
    inner = next((each[len(first) :] for each in source.places if each[: len(first)] == first), None)
    found = []
    for number, item in enumerate(items):
        text = value_at(item, inner) if inner is not None else None
        longer = f"{text} {'x' * (number * 5 % 7)}" if isinstance(text, str) and number % 7 else None
        found.append(item if longer is None or inner is None else with_value(item, inner, longer))
    return found


def _send(requester: Requester, source: InputSource, place: Place, count: int) -> None:
    """Send one array of new items."""
    items = similar_items(source.value, place, source.places, count, source.rng)
    _output(requester, source, place, with_value(source.value, place, items), count)


def _output(requester: Requester, source: InputSource, place: Place, value: JSON, count: int) -> Leaves | None:
    body = encoded(value)
    return (
        send_alone(requester, body, _label(place, count)) if len(body) <= _MAX_BYTES and source.accepts(value) else None
    )


def _label(place: Place, count: int) -> str:
    return f"`{format_path(place)}` with {count} different items"


def _record(
    requester: Requester, place: Place, value: JSON, count: int, found: tuple[Path, str], *, shown: Leaves | None = None
) -> None:
    """Enter the violation of an input with *count* items. If an output alone shows it, *shown* is the output."""
    path, what = found
    request = requester.build_request(encoded(value), label=_label(place, count))
    requester.record_clause(
        clauses.ANSWER_MATCHES_REQUEST,
        request,
        expected="a result for each item in the order of the items, as for few items",
        actual=f"`{format_output_path(path)}`: {what}",
        sign=None if shown is None else (path, shown.get(path, ())),
    )
