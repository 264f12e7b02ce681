"""
Compares two outputs of a chain by the paths of their values, such as `lines[].amount`.

Outputs are equal if they differ only in the order of members, in how a number is written, or in the last digits of a
fraction, which may depend on how a sum was computed: on a GPU, also on the requests that are computed in one batch.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

from chainproof.json_text import JSON, is_number

Path = tuple[str, ...]
"""The names that lead to a value. `[]` stands for any item of an array."""

Leaves = Mapping[Path, tuple[object, ...]]
"""The values at each path, in the order of the output."""

OutputSign = tuple[Path, tuple[object, ...]]
"""A path and the values there, by which an output is recognised as the one that was found."""

ANY_ITEM = "[]"
_TOLERANCE = 1e-4
"""Relative difference up to which two fractions are equal: long sums of 32-bit numbers differ by about so much with their order."""
_VECTOR_LENGTH = 32
"""Fractions at a path from which they are the components of a vector, or the like, rather than values of their own."""
_VECTOR_TOLERANCE = 1e-2
"""Difference of two components up to which they are equal, relative to the largest: bfloat16 has two or three digits."""

_DISTINCTIVE_DIGITS = 5
"""Digits of a number that two outputs hardly have in common by chance."""
_DISTINCTIVE_LENGTH = 6
"""Characters of a string for which the same holds."""

_MAX_STEPS = 100_000
"""Names and indices on the way to all values of an output that is compared."""


@dataclass(frozen=True, slots=True, kw_only=True)
class FirstOutputs:
    """The outputs for an input that is sent before all others of a run, and again after the first others."""

    body: bytes
    before: Sequence[Leaves]
    after: Sequence[Leaves]


def is_comparable_size(value: JSON) -> bool:
    """True if an output is small enough to be compared: its paths take more memory than the output itself."""
    steps, todo = 0, [(0, value)]
    while todo and steps <= _MAX_STEPS:
        depth, part = todo.pop()
        steps += depth
        if isinstance(part, dict):
            todo += [(depth + 1, item) for item in part.values()]
        elif isinstance(part, list):
            todo += [(depth + 1, item) for item in part]
    return steps <= _MAX_STEPS


def leaves(value: JSON) -> Leaves:
    """The values of an output by path. An empty container is a value too."""
    found: dict[Path, list[object]] = {}
    # Not recursive, since outputs may be nested more deeply than calls.
    todo: list[tuple[Path, JSON]] = [((), value)]
    while todo:
        path, part = todo.pop()
        if isinstance(part, dict) and part:
            todo.extend(((*path, name), item) for name, item in sorted(part.items(), reverse=True))
        elif isinstance(part, list) and part:
            todo.extend(((*path, ANY_ITEM), item) for item in reversed(part))
        else:
            found.setdefault(path, []).append(part)
    return {path: tuple(values) for path, values in found.items()}


def differing_paths(first: Leaves, second: Leaves) -> frozenset[Path]:
    """The paths at which two outputs have different values, or a different number of them."""
    return frozenset(
        path for path in first.keys() | second.keys() if not _are_equal(first.get(path, ()), second.get(path, ()))
    )


def without(paths: Collection[Path], ignored: Collection[Path]) -> frozenset[Path]:
    """The paths that are neither ignored nor inside an ignored one."""
    return frozenset(path for path in paths if not any(path[: len(each)] == each for each in ignored))


def agree_at(paths: Collection[Path], first: Leaves, second: Leaves) -> bool:
    """True if two outputs have equal values at some paths."""
    return all(_are_equal(first.get(path, ()), second.get(path, ())) for path in paths)


def is_distinctive(paths: Collection[Path], output: Leaves) -> bool:
    """True if an output has a value at one of the paths that another output hardly has by chance."""
    return any(_is_distinctive_value(value) for path in paths for value in output.get(path, ()))


def format_output_path(path: Path) -> str:
    """
    A path as text.

    >>> format_output_path(("lines", "[]", "amount"))
    'lines[].amount'
    """
    return ".".join(path).replace(f".{ANY_ITEM}", ANY_ITEM) or "the top level"


def _are_equal(first: tuple[object, ...], second: tuple[object, ...]) -> bool:
    """True if two lists of values are equal."""
    if len(first) != len(second):
        return False
    return all(map(_are_equal_values, first, second)) or _are_equal_vectors(first, second)


def _are_equal_vectors(first: tuple[object, ...], second: tuple[object, ...]) -> bool:
    """True if two long lists of fractions differ little, compared with the largest of them."""
    if len(first) < _VECTOR_LENGTH:
        return False
    numbers = [value for value in (*first, *second) if isinstance(value, float) or (value == 0 and value is not False)]
    if len(numbers) < 2 * len(first):
        return False
    limit = _VECTOR_TOLERANCE * max(map(abs, numbers))
    return all(abs(one - two) <= limit for one, two in zip(numbers, numbers[len(first) :], strict=False))


def _are_equal_values(first: object, second: object) -> bool:
    """True if two values are equal. `1` equals `1.0`, and `true` does not equal `1`."""
    if isinstance(first, bool) or isinstance(second, bool):
        return first is second
    if isinstance(first, float) or isinstance(second, float):
        return (
            isinstance(first, int | float)
            and isinstance(second, int | float)
            and (first == second or _are_close(first, second))
        )
    return type(first) is type(second) and first == second


def _are_close(first: float, second: float) -> bool:
    """True if two numbers, one of them a fraction, differ by rounding at most."""
    try:
        return math.isclose(first, second, rel_tol=_TOLERANCE)
    except OverflowError:  # an integer beyond doubles
        return False


def _is_distinctive_value(value: object) -> bool:
    """True for a string or number with enough characters or digits."""
    if isinstance(value, str):
        return len(value) >= _DISTINCTIVE_LENGTH
    if not is_number(value):
        return False
    return sum(map(str.isdigit, str(value))) >= _DISTINCTIVE_DIGITS
