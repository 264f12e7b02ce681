"""
One load run in one process, from its start to the complete run folder.

A run ends in up to three steps. `stop` starts no further request; the rest of the plan counts as not sent. Requests in
flight are then waited for until their deadline, at most for the drain time. `censor` settles them at once as censored.
"""

from __future__ import annotations

import itertools
import time
from array import array
from collections.abc import Callable, Iterator

import gevent

from chainproof.clock import Seconds
from chainproof.contract.answer import Answer
from chainproof.contract.credentials import DEFAULT_KEY_VARIABLE
from chainproof.contract.violations import violations
from chainproof.endpoint import Endpoint
from chainproof.judgement.accounting import Accounting
from chainproof.results.manifest import Ending
from chainproof.workload.workload import WorkloadModel

from ..client.client import LoadClient
from ..client.request import EncodedRequest, PayloadLike, encode_request
from ..demand import Demand, Shard
from ..recording.in_flight_request import InFlightRequest
from ..recording.recorder import Recorder
from ..retries import RETRY_POLICIES
from .base_run import BaseRun
from .closed_loop import ClosedLoop
from .open_loop import OpenLoop, UserTask
from .result_recorder import ExchangeListener, ResultRecorder
from .run_state import MAX_SLEEP, RunState
from .sender import RequestSender, RetryingSender

START_DELAY: Seconds = 0.1
"""Time until second 0 when everything is ready, so that the dispatcher waits when the first request is due."""
_FLUSH_DELAY: Seconds = 0.005
"""A second is written this long after its end, so that it is surely over."""
_GRACE: Seconds = 2.0
"""How long after the last deadline an unsettled request is given up."""


class PlanChangeTooLate(Exception):
    """The plan can no longer be replaced."""


class LoadRun(BaseRun):
    """Sends the demand to the endpoint and records what happens."""

    def __init__(
        self,
        demand: Demand,
        plan: array[float],
        endpoint: Endpoint,
        recorder: Recorder,
        *,
        variable: str = DEFAULT_KEY_VARIABLE,
        shard: Shard | None = None,
        listener: ExchangeListener | None = None,
        unhandled_error: Callable[[], str] = str,
    ) -> None:
        """
        *variable* names the environment variable of the key in curl lines. *unhandled_error* returns the last error
        outside of the run's own greenlets.
        """
        super().__init__()
        shard = shard if shard is not None else Shard()
        self.demand = demand
        self.recorder = recorder
        self.seconds: Seconds = 0.0
        """Length of the run; 0 until it is finished."""
        self._endpoint = endpoint
        self._unhandled_error = unhandled_error
        self._client = LoadClient(endpoint.target, endpoint.route, demand.max_response_memory)
        state = self._state = RunState(demand, plan, shard, recorder, self.abort_on_exception)
        self._result_recorder = ResultRecorder(
            state,
            endpoint,
            variable=variable,
            listener=listener,
            start_waiting=lambda: self._open_loop.start_waiting(),  # noqa: PLW0108  # made below
        )
        numbers = _request_numbers(demand, shard)
        self._send = RequestSender(state, self._client, self._result_recorder).send
        if demand.retry is not None:
            policy = RETRY_POLICIES[demand.retry]
            self._send = RetryingSender(state, self._send, policy, _retry_numbers(state, numbers)).send
        requests = _encoded_requests(demand, shard, endpoint)
        self._open_loop = OpenLoop(state, requests, self._send, self._result_recorder)
        self._closed_loop = ClosedLoop(state, requests, self._send, numbers)
        recorder.plan(self._open_loop.intended_starts())

    # ------------------------------------------------------------------ start and stop

    def begin(self, zero: Seconds | None = None) -> None:
        """Set second 0 of the run to an instant of the monotonic clock, by default a moment from now."""
        # The first call loads the OpenAPI document, which takes milliseconds: do it before the first request.
        violations(Answer(status=200, headers=()), self.demand.contract)
        self._state.start_time = time.monotonic() + START_DELAY if zero is None else zero

    def now(self) -> Seconds:
        """Seconds since the start of the run; negative before it."""
        return self._state.now()

    def stop(self) -> None:
        """Start no further request. Has no effect when all were started."""
        state = self._state
        state.retries_ended = True
        if not state.all_started.is_set():
            state.stopping = True
            self.ending = Ending.INTERRUPTED if self.ending is Ending.COMPLETED else self.ending
            state.finish_starting()
        state.check_drained()

    def censor(self) -> None:
        """Stop, and settle all requests in flight as censored without waiting for their answers."""
        self.stop()
        for request in list(self._state.requests.values()):
            self._result_recorder.give_up(request, "in flight when the drain ended")
        self._state.drained.set()

    def change_plan(self, demand: Demand, plan: array[float], start: Seconds) -> None:
        """Replace the plan from the second *start* on; before it, both plans are equal. Raises PlanChangeTooLate."""
        if self._state.all_started.is_set() or self.now() >= start:
            raise PlanChangeTooLate("all requests were started, or the second at which the new plan begins is over")
        self.demand = self._state.demand = demand
        self._open_loop.replace_plan(plan)
        self.recorder.change_plan(start, self._open_loop.intended_starts(start))

    @property
    def accounting(self) -> Accounting:
        """The totals so far."""
        return self.recorder.accounting

    @property
    def in_flight(self) -> int:
        """How many requests are in flight."""
        return len(self._state.requests)

    @property
    def connections_opened(self) -> int:
        """How many connections were opened so far."""
        return self._client.opened

    # ------------------------------------------------------------------ called by Locust's users

    def run_open_loop(self, payloads: Iterator[PayloadLike] | None = None, task: UserTask | None = None) -> None:
        """
        Start every planned request at its intended start.

        They carry *payloads* instead of those of the workload, if given. With *task*, each is sent by a call of it.
        """
        self._open_loop.run(self._encode(payloads), task)

    def run_closed_loop(self, payloads: Iterator[PayloadLike] | None = None) -> None:
        """Run one user: send, wait, pause, until the duration of the run is over."""
        self._closed_loop.run(self._encode(payloads))

    def pause(self) -> Seconds:
        """The next pause of a user of the closed model."""
        return self._closed_loop.pause()

    def await_turn(self) -> bool:
        """Wait until a user of the closed model with tasks may start; False if the run is over before."""
        return self._closed_loop.await_turn()

    def run_remote(self, payload: PayloadLike) -> InFlightRequest | None:
        """
        Send one request of a user's task and return it when it is settled; None if the run is over.

        Raises RuntimeError for the second request of a task in the open model.
        """
        while self.now() < 0 and not self._state.stopping:
            gevent.sleep(min(-self.now(), MAX_SLEEP))
        request = self._open_loop.current_request() or self._closed_loop.start_request()
        if request is not None:
            request.encoded_request = encode_request(self._endpoint, payload)
            self._send(request)
            self._closed_loop.note_answer(request)
        return request

    def _encode(self, payloads: Iterator[PayloadLike] | None) -> Iterator[EncodedRequest] | None:
        return (encode_request(self._endpoint, payload) for payload in payloads) if payloads is not None else None

    # ------------------------------------------------------------------ background greenlets

    def supervise(self) -> None:
        """Wait until all requests are started and settled, then complete the run folder."""
        try:
            self._wait_until_drained()
        except Exception:  # noqa: BLE001  # responsible: us; the run folder must say so
            self.abort_on_exception()
        try:
            self._finish()
        except Exception:  # noqa: BLE001  # the folder was deleted, for example; only the exit code can tell
            self.abort_on_exception()
        finally:
            self._finished.set()

    def flush_every_second(self) -> None:
        """Write each second when it is over, until the run ends."""
        while not self.wait(1.0 - self.now() % 1.0 + _FLUSH_DELAY):
            try:
                self.recorder.flush(self.now())
            except Exception:  # noqa: BLE001  # responsible: us; a run that is not recorded must not go on
                self.abort_on_exception()
                return

    def _wait_until_drained(self) -> None:
        state, work = self._state, self.demand.workload
        if work.model is WorkloadModel.CLOSED:
            state.all_started.wait(max(work.duration - self.now(), 0.0))
            state.stopping = True  # a user who wakes up late must not start another request
            state.finish_starting()
        state.all_started.wait()
        work = self.demand.workload  # may have been replaced
        state.drained.wait(work.deadline + _GRACE if work.drain is None else min(work.drain, work.deadline + _GRACE))

    def _finish(self) -> None:
        self._state.retries_ended = True
        self._open_loop.count_not_sent()
        self.censor()
        self.seconds = self.now()
        error = self.recorder.accounting.contradiction() or self._unhandled_error()
        if error:
            self.abort(error)
        seconds = max(self.seconds, 0.0)
        try:
            self.recorder.finish(seconds, self.ending, self.note, self._guard)
        except Exception:  # noqa: BLE001  # a full disk, for example: the report is on what was written before
            self.abort_on_exception()
            self.recorder.write_end(seconds, self.ending, self.note, self._guard)
        self._client.close()


def _request_numbers(demand: Demand, shard: Shard) -> Iterator[int]:
    """The request numbers of this process in the closed model, up to the maximum number of requests."""
    max_requests = demand.workload.max_requests
    return iter(range(shard.index, 1 << 62 if max_requests is None else max_requests, shard.of))


def _retry_numbers(state: RunState, numbers: Iterator[int]) -> Iterator[int]:
    """Request numbers for retries: above those of the plan, and different from those of other workers."""
    shard = state.shard
    first = (-(-max(len(state.plan), 1) // shard.of) + 1) * shard.of + shard.index
    closed = state.demand.workload.model is WorkloadModel.CLOSED
    return itertools.chain(numbers if closed else (), itertools.count(first, shard.of))


def _encoded_requests(demand: Demand, shard: Shard, endpoint: Endpoint) -> Iterator[EncodedRequest]:
    """The requests of this process with the payloads of the workload, each payload encoded once."""
    several = len(demand.workload.payload_names) > 1
    encoded = {id(payload): encode_request(endpoint, payload, named=several) for payload in demand.workload.payloads}
    return (encoded[id(payload)] for payload in demand.payloads(shard))
