"""Deadlines: one timer serves many requests, and each expires on time."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from chainproof.loadtests.client.deadlines import Deadlines


class Timers:
    """An event loop with timers only, on a clock that the test sets."""

    def __init__(self) -> None:
        self.now = 100.0
        self.created = 0
        self.waiting: list[tuple[float, Any]] = []
        self.loop = SimpleNamespace(timer=self.timer)

    def timer(self, after: float, *, ref: bool) -> Any:
        self.created += 1
        entry: list[Any] = []

        def start(callback: Any, *, update: bool) -> None:
            entry.append((self.now + after, callback))
            self.waiting.append(entry[0])

        def stop() -> None:
            if entry and entry[0] in self.waiting:
                self.waiting.remove(entry[0])

        return SimpleNamespace(start=start, stop=stop, close=stop)

    def advance(self, to: float) -> None:
        """Advance the clock and call due timers."""
        while self.waiting and min(self.waiting, key=lambda each: each[0])[0] <= to:
            instant, callback = min(self.waiting, key=lambda each: each[0])
            self.waiting.remove((instant, callback))
            self.now = max(self.now, instant)
            callback()
        self.now = to


class Request:
    """A request that records when its deadline expired."""

    def __init__(self, timers: Timers, deadlines: Deadlines) -> None:
        self.expired_at: float | None = None
        self._timers = timers
        self._deadlines = deadlines

    def expire(self) -> None:
        assert self.expired_at is None
        self.expired_at = self._timers.now
        self._deadlines.remove(self)


schedules = st.lists(
    st.tuples(
        st.floats(0, 0.5),  # gap before it is sent
        st.sampled_from([0.0, 0.5, 1.0, 1.0, 1.0, 7.0]),  # time until its deadline
        st.one_of(st.none(), st.floats(0, 2)),  # response time; None: no answer
    ),
    max_size=30,
)


@given(schedules)
def test_requests_expire_at_their_deadline_unless_answered(planned: list[tuple[float, float, float | None]]) -> None:
    """A request expires at its deadline or a few milliseconds later, in any order; an answered request never expires."""
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
        timers.advance(when)
        if kind == 0:
            due[number] = when + planned[number][1]
            deadlines.add(requests[number], due[number])
        elif requests[number].expired_at is None:
            deadlines.remove(requests[number])
    timers.advance(instant + 20)

    assert 0 == len(deadlines)
    for number, (_, deadline, answered) in enumerate(planned):
        expired_at = requests[number].expired_at
        if answered is not None and answered < deadline:
            assert expired_at is None
        else:
            assert expired_at is not None
            assert due[number] <= expired_at <= due[number] + 0.005


def test_answered_requests_need_few_timers() -> None:
    """Ten thousand requests in one second with a deadline of ten seconds need fewer than five timers."""
    timers = Timers()
    deadlines = Deadlines(timers, lambda: timers.now)
    for number in range(10_000):
        timers.advance(100 + number * 1e-4)
        request = Request(timers, deadlines)
        deadlines.add(request, timers.now + 10)
        deadlines.remove(request)
    timers.advance(200)

    assert timers.created < 5
