"""Tests of shares that can only fall: neighbours sharpen the bounds and repair the order."""

from __future__ import annotations

from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from chainproof.statistics.confidence_intervals import proportion
from chainproof.statistics.isotonic import LevelCounts, falling_shares

LEVELS = st.lists(
    st.integers(1, 500).flatmap(lambda total: st.tuples(st.integers(0, total), st.just(total))), min_size=1, max_size=8
)


@given(LEVELS)
def test_shares_fall_and_lie_within_their_bounds(rows: list[tuple[int, int]]) -> None:
    """Estimates fall from level to level; the bounds are at least as tight as those of the level alone."""
    levels = [LevelCounts(good=good, total=total, effective=float(total)) for good, total in rows]
    found = falling_shares(levels, 0.98)

    for (good, total), each in zip(rows, found, strict=True):
        alone = proportion(good, total, 0.98)
        assert each.low >= alone.low
        assert each.high <= alone.high
    for first, second in pairwise(found):
        assert first.value >= second.value - 1e-12


def test_the_estimate_is_the_isotonic_regression() -> None:
    """Levels in the wrong order get their common share (pool adjacent violators)."""
    rows = [(90, 100), (95, 100), (40, 100), (60, 200)]
    levels = [LevelCounts(good=good, total=total, effective=float(total)) for good, total in rows]

    assert [0.925, 0.925, 0.4, 0.3] == [each.value for each in falling_shares(levels, 0.98)]


def test_dependence_widens_and_unknown_requests_count_both_ways() -> None:
    """Fewer effective requests give wider bounds; unknown ones lower the low end and raise the high one."""
    plain, dependent, unknown = (
        falling_shares([LevelCounts(good=90, unknown=more, total=100, effective=size)], 0.98)[0]
        for more, size in ((0, 100.0), (0, 20.0), (5, 100.0))
    )

    assert dependent.low < plain.low < plain.high < dependent.high
    assert unknown.low == plain.low
    assert unknown.high > plain.high
