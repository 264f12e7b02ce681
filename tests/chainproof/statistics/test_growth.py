"""Tests of the trend: a queue that grows is found, one that fluctuates is not."""

from __future__ import annotations

import random

from hypothesis import given
from hypothesis import strategies as st

from chainproof.statistics.growth import trend


@given(st.integers(0, 10_000), st.floats(1.0, 1000.0), st.integers(30, 300))
def test_a_growing_number_is_found(seed: int, level: float, seconds: int) -> None:
    """It doubles, with noise of 5 %."""
    noise = random.Random(seed)
    values = [(level + 10) * (1 + second / seconds) * noise.gauss(1.0, 0.05) for second in range(seconds)]

    assert trend([values]).grows
    assert not trend([values[::-1]]).grows


def test_a_steady_number_is_rarely_found() -> None:
    """Independent noise is found in about 1 % of the cases."""
    noise = random.Random(7)
    found = sum(trend([[noise.gauss(100, 30) for _ in range(60)]]).grows for _ in range(500))

    assert found <= 15


@given(st.lists(st.floats(0, 1e6), max_size=9))
def test_a_short_or_constant_series_does_not_grow(values: list[float]) -> None:
    """Ten parts need ten values; a constant has no slope."""
    assert not trend([values]).grows
    assert not trend([[7.0] * 60]).grows
    assert not trend([]).grows


def test_a_small_rise_does_not_matter() -> None:
    """Two requests more, or 5 % more, are no growth, however regular."""
    assert not trend([[second / 30 for second in range(60)]]).grows
    assert not trend([[1000 + 50 * second / 60 for second in range(60)]]).grows


def test_several_series_share_one_slope() -> None:
    """One probe that fell outweighs one that rose by chance."""
    up, down = [10 + second / 6 for second in range(60)], [30 - second / 6 for second in range(60)]

    assert trend([up]).grows
    assert not trend([up, down]).grows
