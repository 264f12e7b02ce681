"""State that the parts of a load run share: demand, clock, requests in flight, and whether more requests may start."""

from __future__ import annotations

import time
from array import array
from collections import deque
from collections.abc import Callable

from gevent.event import Event

from chainproof.clock import Seconds

from ..demand import Demand, Shard
from ..recording.in_flight_request import InFlightRequest
from ..recording.recorder import Recorder
from .precise_sleep import PreciseTimer

MAX_SLEEP: Seconds = 0.2
"""Sleeping greenlets check this often whether the run was stopped."""
SLOT_POLL_INTERVAL: Seconds = 0.005
"""How often a request that waits for a free slot checks again."""


class RunState:
    """What the open loop, the closed loop, the senders and the result recorder of one run have in common."""

    def __init__(
        self,
        demand: Demand,
        plan: array[float],
        shard: Shard,
        recorder: Recorder,
        abort_on_exception: Callable[[], None],
    ) -> None:
        """*abort_on_exception* ends the run because of the exception that is being handled."""
        self.demand = demand
        self.plan = plan
        self.shard = shard
        self.recorder = recorder
        self.abort_on_exception = abort_on_exception
        self.start_time: Seconds = 0.0
        """Second 0 of the run, on the monotonic clock."""
        self.requests: dict[int, InFlightRequest] = {}
        """Requests in flight, by number."""
        self.waiting: deque[tuple[InFlightRequest, Seconds]] = deque()
        """Requests that wait for a free slot, and since when."""
        self.retrying_callers = 0
        """Callers that may send another attempt."""
        self.stopping = False
        """True: no further request starts."""
        self.retries_ended = False
        self.all_started = Event()
        """Set when no further request will start, retries excepted."""
        self.drained = Event()
        """Set when, in addition, no request is in flight."""

    def now(self) -> Seconds:
        """Seconds since the start of the run; negative before it."""
        return time.monotonic() - self.start_time

    @property
    def max_in_flight(self) -> int:
        """The maximum number of requests in flight in this process."""
        return self.shard.share_of(self.demand.workload.max_in_flight)

    def finish_starting(self) -> None:
        """Record that no further request will start."""
        self.all_started.set()
        self.check_drained()

    def check_drained(self) -> None:
        """Set `drained` if no request is in flight and none will start."""
        if not self.requests and self.all_started.is_set() and (not self.retrying_callers or self.retries_ended):
            self.drained.set()

    def sleep_until(self, instant: Seconds, timer: PreciseTimer) -> bool:
        """Sleep until an instant of the run; False if the run was stopped or the plan replaced before."""
        plan = self.plan
        while not self.stopping and self.plan is plan:
            now = self.now()
            if now >= instant:
                return True
            timer.sleep_until(self.start_time + min(instant, now + MAX_SLEEP))
        return False
