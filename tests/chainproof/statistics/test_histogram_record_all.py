"""Tests of recording many durations at once."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chainproof.statistics.histogram import Histogram

durations = st.one_of(st.floats(0, 1e5), st.floats(-1e-3, 1e-6), st.integers(0, 5000).map(lambda value: value / 1e9))


@given(st.lists(durations, max_size=60), st.lists(durations, max_size=60))
def test_record_all_equals_record(first: list[float], second: list[float]) -> None:
    """Buckets, count, sum, minimum and maximum are the same as with `record`, also with earlier values."""
    batch, single = Histogram(), Histogram()
    for values in (first, second):
        batch.record_all(values)
        for value in values:
            single.record(value)

    assert single == batch
    assert (single.buckets, single.nanoseconds) == (batch.buckets, batch.nanoseconds)


@pytest.mark.parametrize("invalid", [math.nan, math.inf, -math.inf])
def test_record_all_rejects_nan_and_infinity(invalid: float) -> None:
    """NaN or infinity would make the sum useless."""
    with pytest.raises(ValueError, match="expected a finite duration"):
        Histogram().record_all([1.0, invalid, 2.0])
