"""A Date is judged by the clock of this machine, and by how long answers have had it."""

from __future__ import annotations

from email.utils import formatdate

import pytest

from chainproof.conformance.judging.message_dates import MessageDates
from chainproof.contract.answer import Answer

NOW = 1_764_000_000.0


def answer(offset: float, *more: tuple[str, str]) -> Answer:
    """An answer whose Date is some seconds from now."""
    return Answer(status=200, headers=(("Date", formatdate(NOW + offset, usegmt=True)), *more))


@pytest.mark.parametrize(
    ("offset", "wrong"),
    [(0, ""), (-300, ""), (2700, ""), (3600, "1h ahead of"), (-8 * 3600, "8h behind"), (-NOW, "behind")],
)
def test_a_date_is_compared_with_the_clock(offset: float, wrong: str) -> None:
    """A difference that a wrong clock can explain is none; one of a time zone is."""
    violation = MessageDates(now=lambda: NOW, clock=lambda: 0.0).violation(answer(offset))

    assert bool(wrong) == (violation is not None)
    assert wrong in (violation.actual if violation else "")


@pytest.mark.parametrize(
    ("step", "expected"), [(0.0, [False, False, True]), (2.0, [False, False, False]), (10.0, [False] * 3)]
)
def test_a_date_that_stays_the_same_is_a_violation(step: float, expected: list[bool]) -> None:
    """The same Date may be sent for some seconds, not for 20. *step* is by how much it changes in 10 seconds."""
    times = iter((0.0, 10.0, 20.0))
    dates = MessageDates(now=lambda: NOW, clock=lambda: next(times))

    assert expected == [dates.violation(answer(number * step)) is not None for number in range(3)]


def test_dates_from_a_cache_and_dates_that_are_none_are_not_judged() -> None:
    """An answer with Age is older than it looks, and an invalid Date violates another clause."""
    dates = MessageDates(now=lambda: NOW, clock=lambda: 0.0)

    assert dates.violation(answer(-9000, ("Age", "9000"))) is None
    assert dates.violation(Answer(status=200, headers=(("Date", "yesterday"),))) is None
    assert dates.violation(Answer(status=200, headers=())) is None
