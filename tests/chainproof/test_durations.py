"""
What people write and what the code holds are the same duration.
"""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chainproof.durations import UNITS, format_duration, parse_duration

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
def test_a_duration_is_read_as_written(text: str) -> None:
    """
    A bare number is seconds; parts add up.
    """
    assert pytest.approx(GOOD[text]) == parse_duration(text)


@pytest.mark.parametrize("text", BAD)
def test_what_is_no_duration_is_refused(text: str) -> None:
    """
    The refusal says what was expected and repeats what was found.
    """
    with pytest.raises(ValueError, match="expected a duration such as 20s, 1m30s or 250ms, found") as refused:
        parse_duration(text)

    assert repr(text) in str(refused.value)


@given(st.text())
def test_no_text_is_worse_than_no_duration(text: str) -> None:
    """
    Whatever is written, nothing but ValueError comes of it, and no negative duration.
    """
    try:
        assert parse_duration(text) >= 0
    except ValueError:
        return


@given(st.floats(1e-6, 59.94))
def test_what_is_shown_below_a_minute_reads_back_to_three_digits(seconds: float) -> None:
    """
    Three significant digits are off by at most half of the third.
    """
    assert parse_duration(format_duration(seconds)) == pytest.approx(seconds, rel=0.0051)


@given(st.floats(59.96, 1e7))
def test_what_is_shown_above_a_minute_reads_back_to_the_second(seconds: float) -> None:
    """
    Parts are whole seconds.
    """
    assert parse_duration(format_duration(seconds)) == pytest.approx(seconds, abs=0.5)


@given(st.floats(0, 1e-6))
def test_what_is_below_a_microsecond_is_shown_to_a_hundredth_of_one(seconds: float) -> None:
    """
    Nothing here is measured finer.
    """
    assert parse_duration(format_duration(seconds)) == pytest.approx(seconds, abs=5.1e-9)


@given(st.floats(0, 1e7))
def test_a_negative_duration_is_shown_with_its_sign(seconds: float) -> None:
    """
    Differences have a direction.
    """
    assert seconds == 0 or format_duration(-seconds) == f"-{format_duration(seconds)}"


@pytest.mark.parametrize("unit", UNITS)
def test_every_unit_is_read(unit: str) -> None:
    """
    The table of units is the table of what is read.
    """
    assert UNITS[unit] == parse_duration(f"1{unit}")
