"""Tests of reading and writing durations."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chainproof.clock import UNITS, format_duration, parse_duration

GOOD = {
    "20": 20.0,
    "1.5": 1.5,
    ".5": 0.5,
    "0": 0.0,
    "20s": 20.0,
    "250ms": 0.25,
    "12us": 12e-6,
    "12µs": 12e-6,
    "12 µs": 12e-6,
    "1m30s": 90.0,
    "1m 30s": 90.0,
    " 1h ": 3600.0,
    "1h0m1s": 3601.0,
    "0.5h": 1800.0,
}
BAD = ["", " ", "s", "1", "soon", "-1", "-1s", "1x", "1d", "1s!", "1m30", "30 1m", "1 0s", "1..5s", "1e3", "inf", "nan"]
BAD += ["9" * 400, "9" * 400 + "h", "1m\x00"]
BAD.remove("1")  # a bare number is seconds


@pytest.mark.parametrize("text", GOOD)
def test_duration_is_parsed(text: str) -> None:
    """A bare number is seconds, and parts add up."""
    assert pytest.approx(GOOD[text]) == parse_duration(text)


@pytest.mark.parametrize("text", BAD)
def test_invalid_duration_is_rejected(text: str) -> None:
    """The message says what was expected and quotes the text."""
    with pytest.raises(ValueError, match="expected a duration such as 20s, 1m30s or 250ms, found") as error:
        parse_duration(text)

    assert repr(text) in str(error.value)


@given(st.text())
def test_any_text_is_parsed_or_rejected(text: str) -> None:
    """Parsing any text gives a duration of 0 or more, or raises ValueError."""
    try:
        assert parse_duration(text) >= 0
    except ValueError:
        return


@given(st.floats(1e-6, 59.94))
def test_format_below_a_minute_has_three_digits(seconds: float) -> None:
    """A formatted duration is parsed back with an error of at most half of the third digit."""
    assert parse_duration(format_duration(seconds)) == pytest.approx(seconds, rel=0.0051)


@given(st.floats(59.96, 1e7))
def test_format_above_a_minute_has_seconds(seconds: float) -> None:
    """A formatted duration is parsed back to the nearest second."""
    assert parse_duration(format_duration(seconds)) == pytest.approx(seconds, abs=0.5)


@given(st.floats(0, 1e-6))
def test_format_below_a_microsecond_has_two_decimals(seconds: float) -> None:
    """A formatted duration is parsed back to the nearest 10 ns."""
    assert parse_duration(format_duration(seconds)) == pytest.approx(seconds, abs=5.1e-9)


@given(st.floats(0, 1e7))
def test_negative_duration_has_a_sign(seconds: float) -> None:
    """Differences can be negative."""
    assert seconds == 0 or format_duration(-seconds) == f"-{format_duration(seconds)}"


@pytest.mark.parametrize("unit", UNITS)
def test_every_unit_is_parsed(unit: str) -> None:
    """Every unit in the table is parsed."""
    assert UNITS[unit] == parse_duration(f"1{unit}")
