"""
Send one request and settle it.
"""

from __future__ import annotations

import time

from chainproof.clock import Seconds

from ..client.client import LoadClient
from ..recording.in_flight_request import InFlightRequest
from .run_state import RunState
from .settlement import Settlement


class RequestSender:
    """
    Sends requests once each.
    """

    def __init__(self, state: RunState, client: LoadClient, settlement: Settlement) -> None:
        self._state = state
        self._client = client
        self._settlement = settlement

    def send(self, request: InFlightRequest) -> Seconds:
        """Send a request, wait for its answer and settle it. Returns when it ended, in seconds since the start of the run."""
        assert request.encoded_request is not None
        state = self._state
        try:
            start = time.monotonic()
            request.start = start - state.start_time
            state.recorder.count_sent(request)
            reply = self._client.call(request.encoded_request.wire_bytes, start + state.demand.workload.deadline)
            return self._settlement.settle(request, reply)
        except Exception:  # noqa: BLE001  # our own error: the request is accounted for, and the run ends
            self._settlement.give_up(request, "internal error of the load generator")
            state.abort_on_exception()
            return state.now()
        except BaseException:
            self._settlement.give_up(request, "its user was stopped")
            raise
