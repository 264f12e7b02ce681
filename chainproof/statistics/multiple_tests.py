"""Several tests at once: at which probability of error each one is made."""

from __future__ import annotations

from collections.abc import Sequence


def holm_errors(p_values: Sequence[float], error: float) -> list[float]:
    """
    The probability of error of each test, so that together they err in at most *error* (Holm 1979).

    The surest decision is made at a fraction of it, one per test; each decision leaves more for the others.

    >>> [round(each, 4) for each in holm_errors([0.2, 0.001, 0.04], 0.06)]
    [0.03, 0.02, 0.03]
    """
    found, left = [error] * len(p_values), len(p_values)
    for place in sorted(range(len(p_values)), key=p_values.__getitem__):
        found[place] = error / left
        left -= p_values[place] <= error / left
    return found
