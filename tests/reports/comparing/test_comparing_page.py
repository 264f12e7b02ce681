"""The worked example of docs/comparing.md is what the library computes."""

from __future__ import annotations

import math
import re
from pathlib import Path

import pytest

from chainproof.statistics.run_differences import Difference, RunValue, difference

PAGE = (Path(__file__).parents[3] / "docs" / "comparing.md").read_text(encoding="utf-8")


def side(name: str, count: int) -> list[RunValue]:
    """The first runs of one row of the table."""
    row = re.search(rf"^\| {name} \| (.+) \|$", PAGE, re.MULTILINE)
    assert row is not None
    return [RunValue(math.log(float(cell)), 0.0) for cell in row[1].split(" | ")[:count]]


def compared(count: int) -> Difference:
    """The comparison of the first runs."""
    return difference(side("candidate", count), side("baseline", count))


def percent(value: float) -> str:
    """A change as the page writes it."""
    return f"{100 * math.expm1(value):.1f} %"


@pytest.mark.parametrize("count", [2, 5])
def test_the_intervals_are_those_of_the_page(count: int) -> None:
    """The page has the interval of two and of five runs a side."""
    low, high = map(percent, compared(count).interval())

    assert re.search(rf"\+{re.escape(low)} (to|and) \+{re.escape(high)}", PAGE)


def test_the_change_and_the_detectable_change_are_those_of_the_page() -> None:
    """The ratio of the means and the smallest detectable change are named, and the two verdicts follow."""
    found = compared(5)

    assert f"slower by {percent(found.value)}" in PAGE
    assert f"A change of {percent(found.smallest_detectable())} or more" in PAGE
    assert found.p_value_above(math.log(1.05)) < 0.025 < found.p_value_above(math.log(1.10))
