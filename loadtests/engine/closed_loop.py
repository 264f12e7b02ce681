"""The closed workload model: each user sends a request, waits for its answer, pauses, and sends the next."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import gevent

from chainproof.clock import Seconds

from ..client.request import EncodedRequest
from ..recording.in_flight_request import InFlightRequest
from .precise_sleep import PreciseTimer
from .run_state import RunState


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

    def run(self, requests: Iterator[EncodedRequest] | None = None) -> None:
        """
        Send, wait, pause, until the duration of the run is over.

        The user sends *requests* instead of the payloads of the workload, if given.
        """
        state = self._state
        requests = requests if requests is not None else self._requests
        next_start = 0.0
        timer = PreciseTimer()
        try:
            while next_start < state.demand.workload.duration and not state.stopping:
                if state.now() < next_start and not state.sleep_until(next_start, timer):
                    return
                number = self._next_number()
                if number is None:
                    return
                request = self._start(InFlightRequest(number, next_start, next(requests)))
                next_start = self._send(request) + state.demand.workload.think_time
        finally:
            timer.close()

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
