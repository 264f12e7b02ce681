"""
The open workload model: one dispatcher starts each request at its intended start, without waiting for answers.

A dispatcher that is late sends at once, and the delay is recorded as schedule lag.
"""

from __future__ import annotations

import time
from array import array
from bisect import bisect_left
from collections.abc import Callable, Iterator

import gevent

from chainproof.clock import Seconds
from chainproof.results.exchange import NotSent

from ..client.request import EncodedRequest
from ..recording.in_flight_request import InFlightRequest
from .precise_sleep import PreciseTimer
from .result_recorder import ResultRecorder
from .run_state import SLOT_POLL_INTERVAL, RunState

_MAX_BURST: Seconds = 0.001
"""How long a late dispatcher starts requests before it lets them run."""

UserTask = Callable[[InFlightRequest], None]
"""A task of a custom user class that sends the request it is given."""


class OpenLoop:
    """Walks the plan and starts its requests, with a queue for requests that find no free slot."""

    def __init__(
        self,
        state: RunState,
        requests: Iterator[EncodedRequest],
        send: Callable[[InFlightRequest], Seconds],
        result_recorder: ResultRecorder,
    ) -> None:
        self._state = state
        self._requests = requests
        self._send = send
        self._result_recorder = result_recorder
        self._planned = state.shard.request_numbers(len(state.plan))
        self._dispatched = 0
        self._task: UserTask | None = None
        self._task_requests: dict[gevent.Greenlet, InFlightRequest] = {}
        """The request for which each greenlet of a user's task was started."""

    def run(self, requests: Iterator[EncodedRequest] | None = None, task: UserTask | None = None) -> None:
        """
        Start every planned request at its intended start.

        *requests* replace those with the payloads of the workload. With *task*, each is sent by a call of it.
        """
        self._requests = requests if requests is not None else self._requests
        self._task = task
        timer = PreciseTimer()
        try:
            self._walk_plan(timer)
        finally:
            timer.close()
        self._state.finish_starting()

    def intended_starts(self, start: Seconds = 0.0) -> Iterator[Seconds]:
        """The intended starts of this process, from *start* on."""
        plan = self._state.plan
        return (plan[number] for number in self._planned[bisect_left(self._planned, start, key=plan.__getitem__) :])

    def replace_plan(self, plan: array[float]) -> None:
        """Continue with another plan, equal to the present one as far as it was dispatched."""
        self._state.plan = plan
        self._planned = self._state.shard.request_numbers(len(plan))

    def current_request(self) -> InFlightRequest | None:
        """
        The planned request for which the current greenlet was started; None outside of a task of the open model.

        Raises RuntimeError if the request was sent already.
        """
        request = self._task_requests.get(gevent.getcurrent())
        if request is not None and request.encoded_request is not None:
            raise RuntimeError(
                "expected one run_remote call per task in the open model, found a second: the plan says when each "
                "request starts"
            )
        return request

    def count_not_sent(self) -> None:
        """Count the rest of the plan, and the requests that wait for a slot, as not sent."""
        state = self._state
        for number in self._planned[self._dispatched :]:
            state.recorder.count_not_sent(state.plan[number], NotSent.STOPPED)
        while state.waiting:
            state.recorder.count_not_sent(state.waiting.popleft()[0].intended_start, NotSent.STOPPED)

    def start_waiting(self) -> None:
        """Start waiting requests, in order, while slots are free. Give up those that have waited as long as the deadline."""
        state, max_in_flight = self._state, self._state.max_in_flight
        while state.waiting and len(state.requests) < max_in_flight and not state.stopping:
            request, since = state.waiting.popleft()
            request.slot_wait = time.monotonic() - since
            self._start(request)
        expired = time.monotonic() - state.demand.workload.deadline
        while state.waiting and state.waiting[0][1] < expired:
            state.recorder.count_not_sent(state.waiting.popleft()[0].intended_start, NotSent.MAX_IN_FLIGHT)

    def _walk_plan(self, timer: PreciseTimer) -> None:
        state = self._state
        burst_start = time.monotonic()
        while self._dispatched < len(self._planned):
            plan, number = state.plan, self._planned[self._dispatched]
            intended_start = plan[number]
            if state.now() < intended_start:
                state.sleep_until(intended_start, timer)
                burst_start = time.monotonic()
                if state.plan is not plan:
                    continue  # the plan was replaced meanwhile
            elif time.monotonic() - burst_start > _MAX_BURST:
                gevent.sleep(0)
                burst_start = time.monotonic()
            if state.stopping:
                return  # count_not_sent counts the rest of the plan
            encoded_request = next(self._requests) if self._task is None else None
            self._dispatched += 1
            request = InFlightRequest(number, intended_start, encoded_request)
            if state.waiting or len(state.requests) >= state.max_in_flight:
                state.waiting.append((request, time.monotonic()))
                self.start_waiting()
            else:
                self._start(request)
        while state.waiting and not state.stopping:
            gevent.sleep(SLOT_POLL_INTERVAL)
            self.start_waiting()

    def _start(self, request: InFlightRequest) -> None:
        self._state.requests[request.number] = request
        if self._task is None:
            request.greenlet = gevent.spawn(self._send, request)
        else:
            request.greenlet = gevent.spawn(self._run_task, self._task, request)

    def _run_task(self, task: UserTask, request: InFlightRequest) -> None:
        self._task_requests[gevent.getcurrent()] = request
        try:
            task(request)
        except Exception:  # noqa: BLE001  # responsible: the user's task; without its request the run is incomplete
            self._result_recorder.give_up(request, "its task raised an exception")
            self._state.abort_on_exception()
        finally:
            self._task_requests.pop(gevent.getcurrent(), None)
