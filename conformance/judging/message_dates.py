"""Detects a Date that is not the time of its answer: far from this machine's clock, or the same for a long time."""

from __future__ import annotations

import time
from collections import OrderedDict
from email.utils import parsedate_to_datetime
from threading import Lock

from chainproof.clock import Clock, Seconds, format_duration, monotonic
from chainproof.contract import clauses
from chainproof.contract.answer import Answer
from chainproof.contract.violations import Violation

from .field_syntax import is_http_date

_MAX_OFFSET: Seconds = 3000
"""Difference from this machine's clock, which may be wrong itself. A wrong time zone makes an hour or more."""

_MAX_SAME: Seconds = 15
"""How long several answers may have the same Date. Servers write a new one every second or every few seconds."""

_MAX_REMEMBERED = 100


class MessageDates:
    """The Dates of the latest answers. Any thread may use it."""

    def __init__(self, *, now: Clock = time.time, clock: Clock = monotonic) -> None:
        self._now = now
        self._clock = clock
        self._first_seen: OrderedDict[str, Seconds] = OrderedDict()
        self._lock = Lock()

    def violation(self, answer: Answer) -> Violation | None:
        """The violation of an answer whose Date is wrong. What is no date, or comes from a cache, is not judged."""
        if not has_date(answer):
            return None
        date = (answer.field("date") or "").strip()
        offset = parsedate_to_datetime(date).timestamp() - self._now()
        if abs(offset) > _MAX_OFFSET:
            side = "ahead of" if offset > 0 else "behind"
            return _violation(date, f"{format_duration(abs(offset))} {side} the clock of this machine")
        at = self._clock()
        with self._lock:
            age = at - self._first_seen.setdefault(date, at)
            while len(self._first_seen) > _MAX_REMEMBERED:
                self._first_seen.popitem(last=False)
        return _violation(date, f"the same as {format_duration(age)} before") if age > _MAX_SAME else None


def has_date(answer: Answer) -> bool:
    """True if an answer has a valid Date of its own."""
    return answer.field("age") is None and is_http_date((answer.field("date") or "").strip())


def _violation(date: str, wrong: str) -> Violation:
    """The violation of a Date."""
    return Violation(
        clause=clauses.DATE_ACCURATE,
        expected="a Date that is about the time of the answer",
        actual=f"Date: {date}, {wrong}",
    )
