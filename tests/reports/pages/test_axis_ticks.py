"""The labels of logarithmic axes are round numbers that do not overlap."""

from __future__ import annotations

import math
from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from chainproof.reports.charts.axis_ticks import log_ticks


@given(low=st.floats(1e-3, 1e5), ratio=st.floats(1.06, 1e9), max_ticks=st.integers(5, 12))
def test_labels_have_room(low: float, ratio: float, max_ticks: int) -> None:
    """Neighbours are as far apart as if the most labels were spread evenly; every label is on the axis."""
    ticks = log_ticks(low, low * ratio, max_ticks)
    gaps = [math.log(after / before) for before, after in pairwise(ticks)]

    assert ticks
    assert all(low * 0.999 <= tick <= low * ratio * 1.001 for tick in ticks)
    assert all(gap >= math.log(ratio) / (max_ticks + 1) - 1e-9 for gap in gaps)
