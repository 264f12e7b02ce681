"""Send requests and settle them, with retries if there is a retry policy."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator

import gevent

from chainproof.clock import Seconds

from ..client.client import LoadClient
from ..recording.in_flight_request import InFlightRequest
from ..retries import RetryPolicy
from .result_recorder import ResultRecorder
from .run_state import MAX_SLEEP, SLOT_POLL_INTERVAL, RunState


class RequestSender:
    """Sends requests once each."""

    def __init__(self, state: RunState, client: LoadClient, result_recorder: ResultRecorder) -> None:
        self._state = state
        self._client = client
        self._result_recorder = result_recorder

    def send(self, request: InFlightRequest) -> Seconds:
        """Send a request, wait for its answer and settle it. Returns when it ended, in seconds of the run."""
        assert request.encoded_request is not None
        state = self._state
        try:
            start = time.monotonic()
            request.start = start - state.start_time
            state.recorder.count_sent(request)
            reply = self._client.call(request.encoded_request.wire_bytes, start + state.demand.workload.deadline)
            return self._result_recorder.settle(request, reply)
        except Exception:  # noqa: BLE001  # internal error: the request is accounted for, and the run ends
            self._result_recorder.give_up(request, "internal error of the load generator")
            state.abort_on_exception()
            return state.now()
        except BaseException:
            self._result_recorder.give_up(request, "its user was stopped")
            raise


class RetryingSender:
    """Sends requests, and retries them according to a policy. Each attempt is a request of its own in the record."""

    def __init__(
        self,
        state: RunState,
        send_once: Callable[[InFlightRequest], Seconds],
        policy: RetryPolicy,
        numbers: Iterator[int],
    ) -> None:
        """*numbers* are the request numbers of the retries."""
        self._state = state
        self._send_once = send_once
        self._policy = policy
        self._numbers = numbers

    def send(self, request: InFlightRequest) -> Seconds:
        """Send a request until it needs no retry. Returns when the last attempt ended."""
        self._state.retrying_callers += 1
        try:
            return self._send_with_retries(request)
        finally:
            self._state.retrying_callers -= 1
            self._state.check_drained()

    def _send_with_retries(self, request: InFlightRequest) -> Seconds:
        state = self._state
        end, attempts, last = self._send_once(request), 1, request
        while last.outcome is not None:
            wait = self._policy.wait(attempts, last.outcome)
            slot_wait = None if wait is None else self._sleep_until_retry(end + wait)
            if wait is None or slot_wait is None:
                break
            last = InFlightRequest(
                next(self._numbers), end + wait, request.encoded_request, slot_wait=slot_wait, greenlet=request.greenlet
            )
            state.requests[last.number] = last
            state.recorder.plan_request(last.intended_start)
            end, attempts = self._send_once(last), attempts + 1
        if last.outcome is not None:
            state.recorder.count_call(attempts, last.outcome.result, end - request.intended_start, state.now())
        request.reply = last.reply
        return end

    def _sleep_until_retry(self, instant: Seconds) -> Seconds | None:
        """Sleep until a retry is due and a slot is free. Returns the wait for a slot; None if it must not be sent."""
        state = self._state
        due: Seconds | None = None
        max_requests = state.demand.workload.max_requests
        while not state.stopping and not state.retries_ended:
            if max_requests is not None and state.recorder.accounting.sent >= state.shard.share_of(max_requests):
                return None
            now = state.now()
            left = instant - now
            due = now if due is None and left <= 0 else due
            if due is not None and len(state.requests) < state.max_in_flight:
                return now - due
            gevent.sleep(min(max(left, SLOT_POLL_INTERVAL), MAX_SLEEP))
        return None
