"""
One timer for many deadlines: everybody due is told, in time, and nobody else is.
"""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from chainproof.loadtests.client.deadlines import Deadlines


class Timers:
    """
    An event loop of timers alone, on a clock that is turned by hand.
    """

    def __init__(self) -> None:
        self.now = 100.0
        self.made = 0
        self.waiting: list[tuple[float, Any]] = []
        self.loop = SimpleNamespace(timer=self.timer)

    def timer(self, after: float, *, ref: bool) -> Any:
        self.made += 1
        entry: list[Any] = []

        def start(callback: Any, *, update: bool) -> None:
            entry.append((self.now + after, callback))
            self.waiting.append(entry[0])

        def stop() -> None:
            if entry and entry[0] in self.waiting:
                self.waiting.remove(entry[0])

        return SimpleNamespace(start=start, stop=stop, close=stop)

    def turn(self, to: float) -> None:
        """Let the time pass."""
        while self.waiting and min(self.waiting, key=lambda each: each[0])[0] <= to:
            instant, callback = min(self.waiting, key=lambda each: each[0])
            self.waiting.remove((instant, callback))
            self.now = max(self.now, instant)
            callback()
        self.now = to


class Request:
    """
    Whoever has a deadline, and notes when it was told.
    """

    def __init__(self, timers: Timers, deadlines: Deadlines) -> None:
        self.told: float | None = None
        self._timers = timers
        self._deadlines = deadlines

    def expire(self) -> None:
        assert self.told is None
        self.told = self._timers.now
        self._deadlines.remove(self)


lives = st.lists(
    st.tuples(
        st.floats(0, 0.5),  # until it is sent, after the one before
        st.sampled_from([0.0, 0.5, 1.0, 1.0, 1.0, 7.0]),  # its deadline
        st.one_of(st.none(), st.floats(0, 2)),  # when it is answered, if at all
    ),
    max_size=30,
)


@given(lives)
def test_everybody_due_is_told_in_time_and_nobody_else(planned: list[tuple[float, float, float | None]]) -> None:
    """
    Whatever the order of deadlines and answers: at the deadline or a few milliseconds later, and never once answered.
    """
    timers = Timers()
    deadlines = Deadlines(timers, lambda: timers.now)
    events: list[tuple[float, int, int]] = []
    instant = timers.now
    for number, (gap, deadline, answered) in enumerate(planned):
        instant += gap
        events.append((instant, 0, number))
        if answered is not None and answered < deadline:
            events.append((instant + answered, 1, number))
    requests = [Request(timers, deadlines) for _ in planned]
    due = {}
    for when, kind, number in sorted(events):
        timers.turn(when)
        if kind == 0:
            due[number] = when + planned[number][1]
            deadlines.add(requests[number], due[number])
        elif requests[number].told is None:
            deadlines.remove(requests[number])
    timers.turn(instant + 20)

    assert 0 == len(deadlines)
    for number, (_, deadline, answered) in enumerate(planned):
        told = requests[number].told
        if answered is not None and answered < deadline:
            assert told is None
        else:
            assert told is not None
            assert due[number] <= told <= due[number] + 0.005


def test_requests_that_are_answered_cost_no_timers() -> None:
    """
    Ten thousand requests in a second with a deadline of ten need a handful of timers.
    """
    timers = Timers()
    deadlines = Deadlines(timers, lambda: timers.now)
    for number in range(10_000):
        timers.turn(100 + number * 1e-4)
        request = Request(timers, deadlines)
        deadlines.add(request, timers.now + 10)
        deadlines.remove(request)
    timers.turn(200)

    assert timers.made < 5
