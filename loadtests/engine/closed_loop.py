"""
The closed workload model: each user sends a request, waits for its answer, pauses, and sends the next.

Users that started together would stay in step: all of them would send, and then all would pause. So the first user of a
process starts at once, and when its first answer shows how long a request takes, the others start spread over one think
time and one such response time.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator
from itertools import count

import gevent
from gevent.event import Event

from chainproof.clock import Seconds

from ..client.request import EncodedRequest
from ..recording.in_flight_request import InFlightRequest
from .precise_sleep import PreciseTimer
from .run_state import MAX_SLEEP, RunState

LONGEST_WAIT = 0.05
"""The share of the duration for which users wait for the first answer. A slow target must not delay them for long."""
LATE: Seconds = 0.100
"""A user that starts a request so late was held up together with others, and must not stay in step with them."""


class ClosedLoop:
    """The loop that each user runs. All users share the request numbers and, by default, the payloads."""

    def __init__(
        self,
        state: RunState,
        requests: Iterator[EncodedRequest],
        send: Callable[[InFlightRequest], Seconds],
        numbers: Iterator[int],
    ) -> None:
        """*numbers* are the request numbers of this process. The run ends when there are no more."""
        self._state = state
        self._requests = requests
        self._send = send
        self._numbers = numbers
        self._users = count(state.shard.index, state.shard.of)
        self._random = random.Random(f"users {state.demand.seed} {state.shard.index}")
        self._first_answer = Event()
        self._spread_start: Seconds = 0.0
        self._spread: Seconds = 0.0
        """Users start within this time after `_spread_start`."""

    def run(self, requests: Iterator[EncodedRequest] | None = None) -> None:
        """
        Send, wait, pause, until the duration of the run is over.

        The user sends *requests* instead of the payloads of the workload, if given.
        """
        state = self._state
        requests = requests if requests is not None else self._requests
        next_start = self._turn()
        timer = PreciseTimer()
        try:
            while next_start < state.demand.workload.duration and not state.stopping:
                if state.now() < next_start and not state.sleep_until(next_start, timer):
                    return
                number = self._next_number()
                if number is None:
                    return
                request = self._start(InFlightRequest(number, next_start, next(requests)))
                end = self._send(request)
                self.note_answer(request)
                next_start = end + self._pause_after(request)
                del request  # its answer may be long
        finally:
            timer.close()

    def await_turn(self) -> bool:
        """Wait until a user with tasks may start; False if the run is over before."""
        turn, timer = self._turn(), PreciseTimer()
        try:
            return self._state.sleep_until(turn, timer)
        finally:
            timer.close()

    def note_answer(self, request: InFlightRequest) -> None:
        """Note that a request was settled. After the first one the other users start."""
        if not self._first_answer.is_set() and request.start is not None:
            self._note_first_answer(request.end, request.end - request.start)

    def _note_first_answer(self, instant: Seconds, response_time: Seconds) -> None:
        self._spread_start, self._spread = instant, response_time + self._state.demand.workload.think_time
        self._first_answer.set()

    def _turn(self) -> Seconds:
        """When the present user starts. Waits for the first answer, unless the user is the first."""
        state, work = self._state, self._state.demand.workload
        user = next(self._users)
        if user == state.shard.index:
            return user % work.users / work.users * work.think_time
        longest = LONGEST_WAIT * work.duration
        while not self._first_answer.is_set() and not state.stopping:
            if state.now() >= longest:
                self._note_first_answer(longest, longest)
            else:
                self._first_answer.wait(min(longest - state.now(), MAX_SLEEP))
        return self._spread_start + (user + self._random.random()) / work.users % 1.0 * self._spread

    def _pause_after(self, request: InFlightRequest) -> Seconds:
        """The pause after a request."""
        assert request.start is not None
        pause = self.pause()
        return pause * self._random.random() if request.start - request.intended_start > LATE else pause

    def pause(self) -> Seconds:
        """The next pause of a user."""
        return self._state.demand.workload.pause(self._random)

    def start_request(self) -> InFlightRequest | None:
        """A request of a user's task that starts now, its payload to be set by the caller; None if the run is over."""
        now = self._state.now()
        if self._state.stopping or now >= self._state.demand.workload.duration:
            return None
        number = self._next_number()
        return self._start(InFlightRequest(number, max(now, 0.0), None)) if number is not None else None

    def _start(self, request: InFlightRequest) -> InFlightRequest:
        request.greenlet = gevent.getcurrent()
        self._state.requests[request.number] = request
        self._state.recorder.plan_request(request.intended_start)
        return request

    def _next_number(self) -> int | None:
        """The number of the next request; None if the maximum number of requests is reached, which ends the run."""
        number = next(self._numbers, None)
        if number is None:
            self._state.stopping = True
            self._state.finish_starting()
        return number
