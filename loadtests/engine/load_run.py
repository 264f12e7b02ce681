"""
One load run in one process: requests are started by the plan or by users, followed until they are settled, and none is
ever lost sight of.

The open model has one dispatcher, which walks the plan by the clock and never waits for an answer; late, it sends at
once and the lag is on record. In the closed model each user sends, awaits and thinks. A request's service time begins
just before its connection is taken from the pool or opened, so connecting is part of it.

Stopping: nothing more is started, the rest of the plan is not sent, what is in flight is awaited until its deadline.
Stopped once more, it is censored at once.
"""

from __future__ import annotations

import time
import traceback
from array import array
from bisect import bisect_left
from collections import deque
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import gevent
import orjson
from gevent.event import Event

from chainproof.clock import Seconds
from chainproof.contract.answer import Answer
from chainproof.contract.credentials import DEFAULT_KEY_VARIABLE
from chainproof.contract.openapi import METHOD
from chainproof.contract.violations import Violation, breaks_must_clause, error_code, violations
from chainproof.endpoint import Endpoint
from chainproof.judgement.accounting import Accounting
from chainproof.results.curl import curl_line
from chainproof.results.exchange import Exchange, NotSent, Outcome, Result, Transport
from chainproof.results.manifest import Ending
from chainproof.results.stored_body import stored_body
from chainproof.workload.payloads import Payload
from chainproof.workload.workload import WorkloadModel

from ..client.client import LoadClient, header_fields, request_bytes
from ..client.reply import Reply
from ..demand import Demand, Shard
from ..recording.exemplars import KeptBodies, no_bodies
from ..recording.recorder import Recorder
from ..retries import RETRY_POLICIES, RetryPolicy
from .base_run import BaseRun
from .precise_sleep import PreciseTimer

START_DELAY: Seconds = 0.1
"""From the moment everything is ready to second 0, so that the first arrivals find us waiting."""
_LONGEST_SLEEP: Seconds = 0.2
"""Whoever sleeps looks up this often to see whether the run was stopped."""
_LONGEST_HOLD: Seconds = 0.001
"""How long a late dispatcher starts requests before it lets them run."""
_AFTER_A_SECOND: Seconds = 0.005
"""Past a full second, so that whoever wakes up then finds it over."""
_GRACE: Seconds = 2.0
"""Beyond the last deadline, before a request that nobody settled is given up."""

PayloadLike = Payload | Mapping[str, Any]
"""What a user's own request carries: a JSON object, with a name or without."""

AnswerCheck = Callable[[Mapping[str, Any], Answer, tuple[Violation, ...]], tuple[Violation, ...]]
"""A user's own check: the payload, its answer and how that departed; the same, with what the check says besides."""

ExchangeListener = Callable[[Outcome, Seconds, Reply, Callable[[], Exchange]], None]
"""Whoever wants to know of every settled exchange: its outcome, response time and reply, and all of it for the asking."""


@dataclass(frozen=True, slots=True)
class EncodedRequest:
    """
    A payload as it goes over the wire, encoded once.
    """

    body: bytes
    wire_bytes: bytes
    payload_name: str | None = None
    """The payload's name, where there are several."""


@dataclass(slots=True, eq=False)
class InFlightRequest:
    """
    A request that was started and is not settled.
    """

    number: int
    intended_start: Seconds
    encoded_request: EncodedRequest | None
    """What it carries; None as long as a user's task has not said."""
    start: Seconds | None = None
    slot_wait: Seconds = 0.0
    """How long no slot was free for it."""
    greenlet: gevent.Greenlet | None = field(default=None, repr=False)
    answer: Answer | None = field(default=None, repr=False)
    outcome: Outcome | None = None


class ReplanTooLate(Exception):
    """
    A plan that can no longer take another's place.
    """


class LoadRun(BaseRun):
    """
    The demand meeting the target.
    """

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
        super().__init__()
        shard = shard if shard is not None else Shard()
        self.demand = demand
        self.recorder = recorder
        self.seconds: Seconds = 0.0
        self._endpoint = endpoint
        self._variable = variable
        self._listener = listener
        self._trouble = unhandled_error
        self._client = LoadClient(endpoint.target, endpoint.route)
        self._held = _held(demand, recorder)
        self._check = _check(demand)
        self._share = shard
        self._plan = plan
        self._planned = shard.request_numbers(len(plan))
        self._dispatched = 0
        most = demand.workload.max_requests
        self._numbers = iter(range(shard.index, 1 << 62 if most is None else most, shard.of))
        self._prepared = self._prepare(demand.payloads(shard))
        self._flights: dict[int, InFlightRequest] = {}
        self._retry = RETRY_POLICIES[demand.retry] if demand.retry is not None else None
        self._callers = 0
        """Those who may yet try again."""
        self._retried_from = -(-max(len(plan), 1) // shard.of) * shard.of + shard.index
        self._over = False
        self._queue: deque[tuple[InFlightRequest, Callable[[InFlightRequest], None] | None, Seconds]] = deque()
        """Arrivals that wait for a slot, and since when."""
        self._turns: dict[Any, InFlightRequest] = {}
        self._zero: Seconds = 0.0
        self._stopping = False
        self._all_started = Event()
        self._landed = Event()
        recorder.plan(plan[number] for number in self._planned)

    # ------------------------------------------------------------------ from beginning to end

    def begin(self, zero: Seconds | None = None) -> None:
        """Let second 0 be an instant of the monotonic clock, a moment from now unless told."""
        # The first judgement loads the document, which takes milliseconds that no request should wait.
        violations(Answer(status=200, headers=()), self.demand.contract)
        self._zero = time.monotonic() + START_DELAY if zero is None else zero

    def now(self) -> Seconds:
        """Seconds since the run began; negative before."""
        return time.monotonic() - self._zero

    def stop(self) -> None:
        """Start nothing more; harmless when repeated, or when everything was started."""
        self._over = True  # whoever waits to try again does not
        if not self._all_started.is_set():
            self._stopping = True
            self.ending = Ending.INTERRUPTED if self.ending is Ending.COMPLETED else self.ending
            self._everything_started()
        self._land()

    def replan(self, demand: Demand, plan: array[float], start: Seconds) -> None:
        """
        Ask by another plan from the second *start* on; before it, the two are the same. Raises ReplanTooLate.
        """
        if self._all_started.is_set() or self.now() >= start:
            raise ReplanTooLate("everything was started, or the second from which another plan was to hold has begun")
        self.demand, self._plan = demand, plan
        self._planned = self._share.request_numbers(len(plan))
        later = self._planned[bisect_left(self._planned, start, key=plan.__getitem__) :]
        self.recorder.replan(start, (plan[number] for number in later))

    def censor(self) -> None:
        """Wait for nothing: settle whatever is in flight as censored, now."""
        self.stop()
        for flight in list(self._flights.values()):
            self._give_up(flight, "in flight when the drain ended")
        self._landed.set()

    @property
    def accounting(self) -> Accounting:
        """What became of the requests so far."""
        return self.recorder.accounting

    @property
    def in_flight(self) -> int:
        """Requests started and not settled."""
        return len(self._flights)

    @property
    def connections_opened(self) -> int:
        """How many connections were opened so far."""
        return self._client.opened

    def supervise(self) -> None:
        """
        Await the end of the starting, then of what is in flight, and close the run folder.
        """
        try:
            self._await_landing()
        except Exception:  # noqa: BLE001  # whatever it is, it is our own error, and the folder must say so
            self.abort(_last_line())
        try:
            self._finish()
        except Exception:  # noqa: BLE001  # a full disk, say: nothing can be written about it, the exit code tells
            traceback.print_exc()
            self.abort(_last_line())
        finally:
            self._finished.set()

    def flush_every_second(self) -> None:
        """
        Write every second as soon as it is over, as long as the run lasts.
        """
        while not self.wait(1.0 - self.now() % 1.0 + _AFTER_A_SECOND):
            try:
                self.recorder.flush(self.now())
            except Exception:  # noqa: BLE001  # our own error: the run must not go on as if it were recorded
                traceback.print_exc()
                self.abort(_last_line())
                return

    def _await_landing(self) -> None:
        if self.demand.workload.model is WorkloadModel.CLOSED:
            self._all_started.wait(max(self.demand.workload.duration - self.now(), 0.0))
            self._stopping = True  # a user who wakes up late must not start one more
            self._everything_started()
        self._all_started.wait()
        work = self.demand.workload
        self._landed.wait(work.deadline + _GRACE if work.drain is None else min(work.drain, work.deadline + _GRACE))

    def _finish(self) -> None:
        self._over = True
        for number in self._planned[self._dispatched :]:
            self.recorder.count_not_sent(self._plan[number], NotSent.STOPPED)
        while self._queue:
            self.recorder.count_not_sent(self._queue.popleft()[0].intended_start, NotSent.STOPPED)
        self.censor()
        self.seconds = self.now()
        wrong = self.recorder.accounting.contradiction() or self._trouble()
        if wrong:
            self.abort(wrong)
        self.recorder.finish(max(self.seconds, 0.0), self.ending, self.note, self._guard)
        self._client.close()

    def _everything_started(self) -> None:
        self._all_started.set()
        self._land()

    def _land(self) -> None:
        """
        Say so when nothing is in flight, and nothing more will be.
        """
        if not self._flights and self._all_started.is_set() and (not self._callers or self._over):
            self._landed.set()

    # ------------------------------------------------------------------ the open model

    def run_open_loop(
        self, payloads: Iterator[PayloadLike] | None = None, take: Callable[[InFlightRequest], None] | None = None
    ) -> None:
        """
        Start every planned request at its time, whatever became of those before.

        They carry *payloads* where those are given; or each is left to *take*, which is to `fly` it.
        """
        if payloads is not None:
            self._prepared = map(self.encoded_request, payloads)
        alarm = PreciseTimer()
        try:
            self._walk(alarm, take)
        finally:
            alarm.close()
        self._everything_started()

    def _walk(self, alarm: PreciseTimer, take: Callable[[InFlightRequest], None] | None) -> None:
        held = time.monotonic()
        while self._dispatched < len(self._planned):
            plan, number = self._plan, self._planned[self._dispatched]
            intended_start = plan[number]
            if self.now() < intended_start:
                self._sleep_until(intended_start, alarm)
                held = time.monotonic()
                if self._plan is not plan:
                    continue  # another one took its place meanwhile
            elif time.monotonic() - held > _LONGEST_HOLD:
                gevent.sleep(0)
                held = time.monotonic()
            if self._stopping:
                return  # the rest of the plan is accounted for at the end
            encoded_request = next(self._prepared) if take is None else None
            self._dispatched += 1
            flight = InFlightRequest(number, intended_start, encoded_request)
            if self._queue or len(self._flights) >= self._share.share_of(self.demand.workload.max_in_flight):
                self._queue.append((flight, take, time.monotonic()))
                self._admit()
            else:
                self._launch(flight, take)
        while self._queue and not self._stopping:
            gevent.sleep(_AFTER_A_SECOND)
            self._admit()

    def _admit(self) -> None:
        """
        Start those who wait for a slot, in their order; give up those who have waited for as long as a request may take.
        """
        most = self._share.share_of(self.demand.workload.max_in_flight)
        while self._queue and len(self._flights) < most and not self._stopping:
            flight, take, since = self._queue.popleft()
            flight.slot_wait = time.monotonic() - since
            self._launch(flight, take)
        since = time.monotonic() - self.demand.workload.deadline
        while self._queue and self._queue[0][2] < since:
            self.recorder.count_not_sent(self._queue.popleft()[0].intended_start, NotSent.MAX_IN_FLIGHT)

    def _launch(self, flight: InFlightRequest, take: Callable[[InFlightRequest], None] | None) -> None:
        self._flights[flight.number] = flight
        flight.greenlet = (
            gevent.spawn(self._fly, flight) if take is None else gevent.spawn(self._leave_to, take, flight)
        )

    def _leave_to(self, take: Callable[[InFlightRequest], None], flight: InFlightRequest) -> None:
        """
        Leave a request to a user's task.
        """
        self._turns[gevent.getcurrent()] = flight
        try:
            take(flight)
        except Exception:  # noqa: BLE001  # blamed: the user's task; a request without it is none, and the run ends
            traceback.print_exc()
            self._give_up(flight, "its task raised")
            self.abort(_last_line())
        finally:
            self._turns.pop(gevent.getcurrent(), None)

    # ------------------------------------------------------------------ users' own tasks

    def encoded_request(self, payload: PayloadLike) -> EncodedRequest:
        """A payload as it goes over the wire."""
        named = payload if isinstance(payload, Payload) else Payload(name="", body=dict(payload))
        body, chosen = named.encoded(), self._endpoint
        return EncodedRequest(body, request_bytes(chosen.target, chosen.key, body, chosen.fields), named.name or None)

    def wait_for_start(self) -> None:
        """Return when the run has begun."""
        while self.now() < 0 and not self._stopping:
            gevent.sleep(min(-self.now(), _LONGEST_SLEEP))

    def planned_request(self) -> InFlightRequest | None:
        """The planned request that the present greenlet was started for. Raises RuntimeError when it is on its way."""
        flight = self._turns.get(gevent.getcurrent())
        if flight is not None and flight.encoded_request is not None:
            raise RuntimeError(
                "expected one run_remote in a task of the open model: its plan says when each request starts"
            )
        return flight

    def start_user_request(self) -> InFlightRequest | None:
        """A request of the closed model that starts now; None when the run is over."""
        now = self.now()
        if self._stopping or now >= self.demand.workload.duration:
            return None
        number = self._next_number()
        if number is None:
            return None
        flight = InFlightRequest(number, max(now, 0.0), None)
        flight.greenlet = gevent.getcurrent()
        self._flights[flight.number] = flight
        self.recorder.plan_request(flight.intended_start)
        return flight

    def send_request(self, flight: InFlightRequest, encoded_request: EncodedRequest) -> None:
        """Send a request that a user's task says the payload of, and settle it."""
        flight.encoded_request = encoded_request
        self._fly(flight)

    # ------------------------------------------------------------------ the closed model

    def run_closed_loop(self, payloads: Iterator[PayloadLike] | None = None) -> None:
        """
        Be one user: send, await, think, until the run's duration is over.
        """
        encoded_request = map(self.encoded_request, payloads) if payloads is not None else self._prepared
        ready = 0.0
        alarm = PreciseTimer()
        try:
            while ready < self.demand.workload.duration and not self._stopping:
                if self.now() < ready and not self._sleep_until(ready, alarm):
                    return
                number = self._next_number()
                if number is None:
                    return
                ready = self.exchange(number, ready, next(encoded_request)) + self.demand.workload.think_time
        finally:
            alarm.close()

    def _next_number(self) -> int | None:
        """
        The next request's number; None when as many as there may be were sent, which ends the run.
        """
        number = next(self._numbers, None)
        if number is None:
            self._stopping = True
            self._everything_started()
        return number

    def exchange(self, number: int, intended_start: Seconds, encoded_request: EncodedRequest) -> Seconds:
        """
        Send a request of the closed model; when it was settled.
        """
        flight = InFlightRequest(number, intended_start, encoded_request)
        flight.greenlet = gevent.getcurrent()
        self._flights[flight.number] = flight
        self.recorder.plan_request(intended_start)
        return self._fly(flight)

    def _sleep_until(self, instant: Seconds, alarm: PreciseTimer) -> bool:
        """
        Sleep; False when the run was stopped meanwhile, or given another plan.
        """
        plan = self._plan
        while not self._stopping and self._plan is plan:
            now = self.now()
            if now >= instant:
                return True
            alarm.sleep_until(self._zero + min(instant, now + _LONGEST_SLEEP))
        return False

    # ------------------------------------------------------------------ one request

    def _fly(self, flight: InFlightRequest) -> Seconds:
        """
        Send a request and settle it, again and again where callers try again; when the last attempt ended.
        """
        if self._retry is None:
            return self._attempt(flight)
        self._callers += 1
        try:
            return self._persist(flight, self._retry)
        finally:
            self._callers -= 1
            self._land()

    def _persist(self, flight: InFlightRequest, retry: RetryPolicy) -> Seconds:
        """
        Be a caller who tries again.
        """
        end, attempts, last = self._attempt(flight), 1, flight
        while last.outcome is not None:
            wait = retry.wait(attempts, last.outcome)
            if wait is None or not self._sleep_for_another(end + wait):
                break
            last = InFlightRequest(self._another_number(), end + wait, flight.encoded_request, greenlet=flight.greenlet)
            self._flights[last.number] = last
            self.recorder.plan_request(last.intended_start)
            end, attempts = self._attempt(last), attempts + 1
        if last.outcome is not None:
            self.recorder.count_call(attempts, last.outcome.result, end - flight.intended_start, self.now())
        flight.answer = last.answer
        return end

    def _sleep_for_another(self, instant: Seconds) -> bool:
        """
        Sleep until another attempt is due; False when there is to be none.
        """
        most = self.demand.workload.max_requests
        while not self._stopping and not self._over:
            if most is not None and self.recorder.accounting.sent >= self._share.share_of(most):
                return False
            left = instant - self.now()
            if left <= 0 and len(self._flights) < self._share.share_of(self.demand.workload.max_in_flight):
                return True
            gevent.sleep(min(max(left, _AFTER_A_SECOND), _LONGEST_SLEEP))
        return False

    def _another_number(self) -> int:
        """
        A number behind those of the plan, and another worker's never.
        """
        if self.demand.workload.model is WorkloadModel.CLOSED:
            return next(self._numbers, self._retried_from)
        self._retried_from += self._share.of
        return self._retried_from

    def _attempt(self, flight: InFlightRequest) -> Seconds:
        """
        Send a request and settle it; when it ended.
        """
        assert flight.encoded_request is not None
        try:
            begun = time.monotonic()
            flight.start = begun - self._zero
            self.recorder.send(flight.start, flight.intended_start, flight.slot_wait)
            reply = self._client.call(flight.encoded_request.wire_bytes, begun + self.demand.workload.deadline)
            return self._settle(flight, reply)
        except Exception:  # noqa: BLE001  # our own error: the request is accounted for, and the run ends
            traceback.print_exc()
            self._give_up(flight, "our own error")
            self.abort(_last_line())
            return self.now()
        except BaseException:
            self._give_up(flight, "its user was stopped")
            raise

    def _settle(self, flight: InFlightRequest, reply: Reply) -> Seconds:
        """
        Say what became of a request, once.
        """
        end = reply.end - self._zero
        if flight.number not in self._flights or flight.start is None:
            return end
        flight.answer = reply.answer
        outcome, reason = self._outcome(flight, reply)
        flight.outcome = outcome
        exchange = partial(self._exchange, flight, reply, outcome)
        del self._flights[flight.number]
        payload_name = flight.encoded_request.payload_name if flight.encoded_request else None
        if self.recorder.count(outcome, flight.intended_start, flight.start, end, self.now(), payload_name):
            bodies = partial(self._bodies, flight) if self.demand.keep_bodies else no_bodies
            self.recorder.keep_exemplar(exchange(), reason, bodies)
        self.recorder.record_timing(reply, flight.start + self._zero)
        if self._queue:
            self._admit()
        if not self._flights:
            self._land()
        if self._listener is not None:
            self._listener(outcome, end - flight.intended_start, reply, exchange)
        return end

    def _exchange(self, flight: InFlightRequest, reply: Reply, outcome: Outcome) -> Exchange:
        """
        A settled request, for whoever looks at it closely: most are only counted.
        """
        return Exchange(
            number=flight.number,
            intended_start=flight.intended_start,
            start=flight.start or 0.0,
            slot_wait=flight.slot_wait,
            end=reply.end - self._zero,
            outcome=outcome,
            request_id=reply.answer.request_id if reply.answer is not None else None,
            attempts=reply.answer.attempts if reply.answer is not None else None,
            first_byte=reply.first_byte - self._zero if reply.first_byte is not None else None,
            connect_time=reply.connect_time,
            tls_time=reply.tls_time,
        )

    def _outcome(self, flight: InFlightRequest, reply: Reply) -> tuple[Outcome, str]:
        """
        Transport class, status, code and result, and why it is not ok.
        """
        answer = reply.answer
        if answer is None:
            return Outcome(reply.transport, None, None, _FATES.get(reply.transport, Result.FAILED)), reply.reason
        found = violations(answer, self.demand.contract)
        if self._held is not None:
            found = self._held(answer, found)
        if self._check is not None:
            found = self._checked(self._check, flight, answer, found)
        self.recorder.record_answer(
            answer, found, lambda: self._curl(flight.encoded_request.body if flight.encoded_request else b"")
        )
        if answer.status == 200 and not found:
            return _AS_PROMISED
        result = Result.OK if answer.status == 200 and not breaks_must_clause(found) else Result.FAILED
        code = self.recorder.code_label(_code(answer))
        return Outcome(Transport.ANSWERED, answer.status, code, result), _why(found)

    def _checked(
        self, check: AnswerCheck, flight: InFlightRequest, answer: Answer, found: tuple[Violation, ...]
    ) -> tuple[Violation, ...]:
        """
        What the user's own check says besides; one that raises ends the run, and says nothing of the answer.
        """
        try:
            return check(
                orjson.loads(flight.encoded_request.body) if flight.encoded_request is not None else {}, answer, found
            )
        except Exception:  # noqa: BLE001  # blamed: the user's check
            traceback.print_exc()
            self.abort(_last_line())
            return found

    def _give_up(self, flight: InFlightRequest, reason: str) -> None:
        """
        Settle a request as censored, or as not sent when its turn had not come; stop whoever awaits it.
        """
        if flight.number not in self._flights:
            return
        if flight.start is None:
            del self._flights[flight.number]
            self.recorder.count_not_sent(flight.intended_start, NotSent.STOPPED)
        else:
            self._settle(flight, Reply(Transport.DRAIN_ENDED, time.monotonic(), None, reason))
        if flight.greenlet is not None and flight.greenlet is not gevent.getcurrent():
            flight.greenlet.kill(block=False)

    def _bodies(self, flight: InFlightRequest) -> KeptBodies:
        """
        What is kept of a request's body and its answer's.
        """
        secrets = (self._endpoint.key.reveal(),)
        sent = stored_body(flight.encoded_request.body, secrets) if flight.encoded_request is not None else None
        return sent, stored_body(flight.answer.body, secrets) if flight.answer is not None else None

    def _curl(self, body: bytes) -> str:
        return curl_line(
            method=METHOD,
            url=self._endpoint.target.url,
            headers=header_fields(self._endpoint.key, self._endpoint.fields),
            body=body,
            key=self._endpoint.key,
            variable=self._variable,
            route=self._endpoint.route,
        )

    def _prepare(self, payloads: Iterator[Payload]) -> Iterator[EncodedRequest]:
        """
        The payloads as they go over the wire.
        """
        chosen, encoded_request = self._endpoint, dict[int, EncodedRequest]()
        several = len(self.demand.workload.payload_names) > 1
        for payload in self.demand.workload.payloads:
            body = payload.encoded()
            encoded_request[id(payload)] = EncodedRequest(
                body,
                request_bytes(chosen.target, chosen.key, body, chosen.fields),
                payload.name if several else None,
            )
        return (encoded_request[id(payload)] for payload in payloads)


def _held(
    demand: Demand, recorder: Recorder
) -> Callable[[Answer, tuple[Violation, ...]], tuple[Violation, ...]] | None:
    """
    What adds the violation of an output of another shape; None where nothing is known of its shape.
    """
    if demand.output is None:
        return None
    from .schema_check import OutputCheck  # noqa: PLC0415  # heavy: only when a schema is named

    holding = OutputCheck(demand.output, demand.output_sample)
    recorder.sample_outputs(lambda: holding.outputs_checked)
    return holding


def _check(demand: Demand) -> AnswerCheck | None:
    """
    The user's own check; None where there is none.
    """
    if demand.check is None:
        return None
    from .user_check import UserCheck  # noqa: PLC0415  # heavy: only when a check is named

    return UserCheck(demand.check)


_AS_PROMISED = (Outcome(Transport.ANSWERED, 200, None, Result.OK), "")
"""What nearly every request comes to: one object, to be counted by its identity."""

_FATES = {
    Transport.DEADLINE: Result.TIMED_OUT,
    Transport.CONNECT_TIMED_OUT: Result.TIMED_OUT,
    Transport.DRAIN_ENDED: Result.CENSORED,
}
"""The results of requests without an answer; any other failed."""


def _code(answer: Answer) -> str | None:
    return None if answer.status == 200 else error_code(answer)


def _why(found: tuple[Violation, ...]) -> str:
    """
    The first violation in one line; empty when there is none.
    """
    return f"{found[0].clause.id}: {found[0].actual}" if found else ""


def _last_line() -> str:
    """
    The exception under way, in one line.
    """
    return traceback.format_exc(limit=0).strip().splitlines()[-1]
