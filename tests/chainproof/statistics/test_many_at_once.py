"""
Counting many durations at once is counting each.
"""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chainproof.statistics.histogram import Histogram

durations = st.one_of(st.floats(0, 1e5), st.floats(-1e-3, 1e-6), st.integers(0, 5000).map(lambda each: each / 1e9))


@given(st.lists(durations, max_size=60), st.lists(durations, max_size=60))
def test_many_at_once_are_each_counted(first: list[float], second: list[float]) -> None:
    """
    Buckets, count, sum to the nanosecond, least and greatest, negative ones as zero, whatever was there before.
    """
    together, apart = Histogram(), Histogram()
    for values in (first, second):
        together.record_all(values)
        for value in values:
            apart.record(value)

    assert apart == together
    assert (apart.buckets, apart.nanoseconds) == (together.buckets, together.nanoseconds)


@pytest.mark.parametrize("wrong", [math.nan, math.inf, -math.inf])
def test_what_is_no_number_is_refused_among_many(wrong: float) -> None:
    """
    It would poison every sum.
    """
    with pytest.raises(ValueError, match="expected a finite duration"):
        Histogram().record_all([1.0, wrong, 2.0])
