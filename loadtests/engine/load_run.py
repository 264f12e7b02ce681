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
from chainproof.contract.credentials import DEFAULT_VARIABLE
from chainproof.contract.openapi import METHOD
from chainproof.contract.violations import Departure, breaks_a_must, departures, error_code
from chainproof.endpoint import Endpoint
from chainproof.results.curl import curl_line
from chainproof.results.exchange import Exchange, Fate, NotSent, Outcome, Transport
from chainproof.results.manifest import Ending
from chainproof.results.stored_body import kept_body
from chainproof.workload.payloads import Payload
from chainproof.workload.workload import Model

from ..client.client import Client, header_fields, request_bytes
from ..client.reply import Reply
from ..demand import Demand, Share
from ..recording.exemplars import Bodies, no_bodies
from ..recording.recorder import Accounting, Recorder
from ..retries import POLICIES, Retry
from .base_run import Course
from .precise_sleep import Alarm

LEAD: Seconds = 0.1
"""From the moment everything is ready to second 0, so that the first arrivals find us waiting."""
_LONGEST_SLEEP: Seconds = 0.2
"""Whoever sleeps looks up this often to see whether the run was stopped."""
_LONGEST_HOLD: Seconds = 0.001
"""How long a late dispatcher starts requests before it lets them run."""
_AFTER_A_SECOND: Seconds = 0.005
"""Past a full second, so that whoever wakes up then finds it over."""
_GRACE: Seconds = 2.0
"""Beyond the last deadline, before a request that nobody settled is given up."""

Body = Payload | Mapping[str, Any]
"""What a user's own request carries: a JSON object, with a name or without."""

Check = Callable[[Mapping[str, Any], Answer, tuple[Departure, ...]], tuple[Departure, ...]]
"""A user's own check: the payload, its answer and how that departed; the same, with what the check says besides."""

Listener = Callable[[Outcome, Seconds, Reply, Callable[[], Exchange]], None]
"""Whoever wants to know of every settled exchange: its outcome, response time and reply, and all of it for the asking."""


@dataclass(frozen=True, slots=True)
class Prepared:
    """
    A payload as it goes over the wire, encoded once.
    """

    body: bytes
    request: bytes
    kind: str | None = None
    """The payload's name, where there are several."""


@dataclass(slots=True, eq=False)
class Flight:
    """
    A request that was started and is not settled.
    """

    number: int
    intended: Seconds
    prepared: Prepared | None
    """What it carries; None as long as a user's task has not said."""
    start: Seconds | None = None
    waited: Seconds = 0.0
    """How long no slot was free for it."""
    greenlet: gevent.Greenlet | None = field(default=None, repr=False)
    answer: Answer | None = field(default=None, repr=False)
    outcome: Outcome | None = None


class TooLate(Exception):
    """
    A plan that can no longer take another's place.
    """


class LoadRun(Course):
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
        variable: str = DEFAULT_VARIABLE,
        share: Share | None = None,
        listener: Listener | None = None,
        trouble: Callable[[], str] = str,
    ) -> None:
        super().__init__()
        share = share if share is not None else Share()
        self.demand = demand
        self.recorder = recorder
        self.seconds: Seconds = 0.0
        self._endpoint = endpoint
        self._variable = variable
        self._listener = listener
        self._trouble = trouble
        self._client = Client(endpoint.target, endpoint.route)
        self._held = _held(demand, recorder)
        self._check = _check(demand)
        self._share = share
        self._plan = plan
        self._planned = share.numbers(len(plan))
        self._dispatched = 0
        most = demand.workload.max_requests
        self._numbers = iter(range(share.index, 1 << 62 if most is None else most, share.of))
        self._prepared = self._prepare(demand.payloads(share))
        self._flights: dict[int, Flight] = {}
        self._retry = POLICIES[demand.retry] if demand.retry is not None else None
        self._callers = 0
        """Those who may yet try again."""
        self._retried_from = -(-max(len(plan), 1) // share.of) * share.of + share.index
        self._over = False
        self._queue: deque[tuple[Flight, Callable[[Flight], None] | None, Seconds]] = deque()
        """Arrivals that wait for a slot, and since when."""
        self._turns: dict[Any, Flight] = {}
        self._zero: Seconds = 0.0
        self._stopping = False
        self._all_started = Event()
        self._landed = Event()
        recorder.plan(plan[number] for number in self._planned)

    # ------------------------------------------------------------------ from beginning to end

    def begin(self, zero: Seconds | None = None) -> None:
        """Let second 0 be an instant of the monotonic clock, a moment from now unless told."""
        # The first judgement loads the document, which takes milliseconds that no request should wait.
        departures(Answer(status=200, headers=()), self.demand.contract)
        self._zero = time.monotonic() + LEAD if zero is None else zero

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
        Ask by another plan from the second *start* on; before it, the two are the same. Raises TooLate.
        """
        if self._all_started.is_set() or self.now() >= start:
            raise TooLate("everything was started, or the second from which another plan was to hold has begun")
        self.demand, self._plan = demand, plan
        self._planned = self._share.numbers(len(plan))
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
            self.break_off(_last_line())
        try:
            self._finish()
        except Exception:  # noqa: BLE001  # a full disk, say: nothing can be written about it, the exit code tells
            traceback.print_exc()
            self.break_off(_last_line())
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
                self.break_off(_last_line())
                return

    def _await_landing(self) -> None:
        if self.demand.workload.model is Model.CLOSED:
            self._all_started.wait(max(self.demand.workload.duration - self.now(), 0.0))
            self._stopping = True  # a user who wakes up late must not start one more
            self._everything_started()
        self._all_started.wait()
        work = self.demand.workload
        self._landed.wait(work.deadline + _GRACE if work.drain is None else min(work.drain, work.deadline + _GRACE))

    def _finish(self) -> None:
        self._over = True
        for number in self._planned[self._dispatched :]:
            self.recorder.leave_out(self._plan[number], NotSent.STOPPED)
        while self._queue:
            self.recorder.leave_out(self._queue.popleft()[0].intended, NotSent.STOPPED)
        self.censor()
        self.seconds = self.now()
        wrong = self.recorder.accounting.contradiction() or self._trouble()
        if wrong:
            self.break_off(wrong)
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

    def walk_plan(self, payloads: Iterator[Body] | None = None, take: Callable[[Flight], None] | None = None) -> None:
        """
        Start every planned request at its time, whatever became of those before.

        They carry *payloads* where those are given; or each is left to *take*, which is to `fly` it.
        """
        if payloads is not None:
            self._prepared = map(self.prepared, payloads)
        alarm = Alarm()
        try:
            self._walk(alarm, take)
        finally:
            alarm.close()
        self._everything_started()

    def _walk(self, alarm: Alarm, take: Callable[[Flight], None] | None) -> None:
        held = time.monotonic()
        while self._dispatched < len(self._planned):
            plan, number = self._plan, self._planned[self._dispatched]
            intended = plan[number]
            if self.now() < intended:
                self._sleep_until(intended, alarm)
                held = time.monotonic()
                if self._plan is not plan:
                    continue  # another one took its place meanwhile
            elif time.monotonic() - held > _LONGEST_HOLD:
                gevent.sleep(0)
                held = time.monotonic()
            if self._stopping:
                return  # the rest of the plan is accounted for at the end
            prepared = next(self._prepared) if take is None else None
            self._dispatched += 1
            flight = Flight(number, intended, prepared)
            if self._queue or len(self._flights) >= self._share.part(self.demand.workload.max_in_flight):
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
        most = self._share.part(self.demand.workload.max_in_flight)
        while self._queue and len(self._flights) < most and not self._stopping:
            flight, take, since = self._queue.popleft()
            flight.waited = time.monotonic() - since
            self._launch(flight, take)
        since = time.monotonic() - self.demand.workload.deadline
        while self._queue and self._queue[0][2] < since:
            self.recorder.leave_out(self._queue.popleft()[0].intended, NotSent.MAX_IN_FLIGHT)

    def _launch(self, flight: Flight, take: Callable[[Flight], None] | None) -> None:
        self._flights[flight.number] = flight
        flight.greenlet = (
            gevent.spawn(self._fly, flight) if take is None else gevent.spawn(self._leave_to, take, flight)
        )

    def _leave_to(self, take: Callable[[Flight], None], flight: Flight) -> None:
        """
        Leave a request to a user's task.
        """
        self._turns[gevent.getcurrent()] = flight
        try:
            take(flight)
        except Exception:  # noqa: BLE001  # blamed: the user's task; a request without it is none, and the run ends
            traceback.print_exc()
            self._give_up(flight, "its task raised")
            self.break_off(_last_line())
        finally:
            self._turns.pop(gevent.getcurrent(), None)

    # ------------------------------------------------------------------ users' own tasks

    def prepared(self, payload: Body) -> Prepared:
        """A payload as it goes over the wire."""
        named = payload if isinstance(payload, Payload) else Payload(name="", body=dict(payload))
        body, chosen = named.encoded(), self._endpoint
        return Prepared(body, request_bytes(chosen.target, chosen.key, body, chosen.fields), named.name or None)

    def await_zero(self) -> None:
        """Return when the run has begun."""
        while self.now() < 0 and not self._stopping:
            gevent.sleep(min(-self.now(), _LONGEST_SLEEP))

    def turn(self) -> Flight | None:
        """The planned request that the present greenlet was started for. Raises RuntimeError when it is on its way."""
        flight = self._turns.get(gevent.getcurrent())
        if flight is not None and flight.prepared is not None:
            raise RuntimeError(
                "expected one run_remote in a task of the open model: its plan says when each request starts"
            )
        return flight

    def own_turn(self) -> Flight | None:
        """A request of the closed model that starts now; None when the run is over."""
        now = self.now()
        if self._stopping or now >= self.demand.workload.duration:
            return None
        number = self._next_number()
        if number is None:
            return None
        flight = Flight(number, max(now, 0.0), None)
        flight.greenlet = gevent.getcurrent()
        self._flights[flight.number] = flight
        self.recorder.plan_one(flight.intended)
        return flight

    def fly(self, flight: Flight, prepared: Prepared) -> None:
        """Send a request that a user's task says the payload of, and settle it."""
        flight.prepared = prepared
        self._fly(flight)

    # ------------------------------------------------------------------ the closed model

    def converse(self, payloads: Iterator[Body] | None = None) -> None:
        """
        Be one user: send, await, think, until the run's duration is over.
        """
        prepared = map(self.prepared, payloads) if payloads is not None else self._prepared
        ready = 0.0
        alarm = Alarm()
        try:
            while ready < self.demand.workload.duration and not self._stopping:
                if self.now() < ready and not self._sleep_until(ready, alarm):
                    return
                number = self._next_number()
                if number is None:
                    return
                ready = self.exchange(number, ready, next(prepared)) + self.demand.workload.think_time
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

    def exchange(self, number: int, intended: Seconds, prepared: Prepared) -> Seconds:
        """
        Send a request of the closed model; when it was settled.
        """
        flight = Flight(number, intended, prepared)
        flight.greenlet = gevent.getcurrent()
        self._flights[flight.number] = flight
        self.recorder.plan_one(intended)
        return self._fly(flight)

    def _sleep_until(self, instant: Seconds, alarm: Alarm) -> bool:
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

    def _fly(self, flight: Flight) -> Seconds:
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

    def _persist(self, flight: Flight, retry: Retry) -> Seconds:
        """
        Be a caller who tries again.
        """
        end, attempts, last = self._attempt(flight), 1, flight
        while last.outcome is not None:
            wait = retry.wait(attempts, last.outcome)
            if wait is None or not self._sleep_for_another(end + wait):
                break
            last = Flight(self._another_number(), end + wait, flight.prepared, greenlet=flight.greenlet)
            self._flights[last.number] = last
            self.recorder.plan_one(last.intended)
            end, attempts = self._attempt(last), attempts + 1
        if last.outcome is not None:
            self.recorder.end_call(attempts, last.outcome.fate, end - flight.intended, self.now())
        flight.answer = last.answer
        return end

    def _sleep_for_another(self, instant: Seconds) -> bool:
        """
        Sleep until another attempt is due; False when there is to be none.
        """
        most = self.demand.workload.max_requests
        while not self._stopping and not self._over:
            if most is not None and self.recorder.accounting.sent >= self._share.part(most):
                return False
            left = instant - self.now()
            if left <= 0 and len(self._flights) < self._share.part(self.demand.workload.max_in_flight):
                return True
            gevent.sleep(min(max(left, _AFTER_A_SECOND), _LONGEST_SLEEP))
        return False

    def _another_number(self) -> int:
        """
        A number behind those of the plan, and another worker's never.
        """
        if self.demand.workload.model is Model.CLOSED:
            return next(self._numbers, self._retried_from)
        self._retried_from += self._share.of
        return self._retried_from

    def _attempt(self, flight: Flight) -> Seconds:
        """
        Send a request and settle it; when it ended.
        """
        assert flight.prepared is not None
        try:
            begun = time.monotonic()
            flight.start = begun - self._zero
            self.recorder.send(flight.start, flight.intended, flight.waited)
            reply = self._client.call(flight.prepared.request, begun + self.demand.workload.deadline)
            return self._settle(flight, reply)
        except Exception:  # noqa: BLE001  # our own error: the request is accounted for, and the run ends
            traceback.print_exc()
            self._give_up(flight, "our own error")
            self.break_off(_last_line())
            return self.now()
        except BaseException:
            self._give_up(flight, "its user was stopped")
            raise

    def _settle(self, flight: Flight, reply: Reply) -> Seconds:
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
        kind = flight.prepared.kind if flight.prepared else None
        if self.recorder.count(outcome, flight.intended, flight.start, end, self.now(), kind):
            bodies = partial(self._bodies, flight) if self.demand.keep_bodies else no_bodies
            self.recorder.keep(exchange(), reason, bodies)
        self.recorder.observe(reply, flight.start + self._zero)
        if self._queue:
            self._admit()
        if not self._flights:
            self._land()
        if self._listener is not None:
            self._listener(outcome, end - flight.intended, reply, exchange)
        return end

    def _exchange(self, flight: Flight, reply: Reply, outcome: Outcome) -> Exchange:
        """
        A settled request, for whoever looks at it closely: most are only counted.
        """
        return Exchange(
            number=flight.number,
            intended_start=flight.intended,
            start=flight.start or 0.0,
            waited=flight.waited,
            end=reply.end - self._zero,
            outcome=outcome,
            request_id=reply.answer.request_id if reply.answer is not None else None,
            attempts=reply.answer.attempts if reply.answer is not None else None,
            first_byte=reply.first_byte - self._zero if reply.first_byte is not None else None,
            connect_time=reply.connect_time,
            tls_time=reply.tls_time,
        )

    def _outcome(self, flight: Flight, reply: Reply) -> tuple[Outcome, str]:
        """
        Transport class, status, code and fate, and why it is not ok.
        """
        answer = reply.answer
        if answer is None:
            return Outcome(reply.transport, None, None, _FATES.get(reply.transport, Fate.FAILED)), reply.reason
        departed = departures(answer, self.demand.contract)
        if self._held is not None:
            departed = self._held(answer, departed)
        if self._check is not None:
            departed = self._checked(self._check, flight, answer, departed)
        self.recorder.judge(answer, departed, lambda: self._curl(flight.prepared.body if flight.prepared else b""))
        if answer.status == 200 and not departed:
            return _AS_PROMISED
        fate = Fate.OK if answer.status == 200 and not breaks_a_must(departed) else Fate.FAILED
        code = self.recorder.counted_code(_code(answer))
        return Outcome(Transport.ANSWERED, answer.status, code, fate), _why(departed)

    def _checked(
        self, check: Check, flight: Flight, answer: Answer, departed: tuple[Departure, ...]
    ) -> tuple[Departure, ...]:
        """
        What the user's own check says besides; one that raises ends the run, and says nothing of the answer.
        """
        try:
            return check(orjson.loads(flight.prepared.body) if flight.prepared is not None else {}, answer, departed)
        except Exception:  # noqa: BLE001  # blamed: the user's check
            traceback.print_exc()
            self.break_off(_last_line())
            return departed

    def _give_up(self, flight: Flight, reason: str) -> None:
        """
        Settle a request as censored, or as not sent when its turn had not come; stop whoever awaits it.
        """
        if flight.number not in self._flights:
            return
        if flight.start is None:
            del self._flights[flight.number]
            self.recorder.leave_out(flight.intended, NotSent.STOPPED)
        else:
            self._settle(flight, Reply(Transport.DRAIN_ENDED, time.monotonic(), None, reason))
        if flight.greenlet is not None and flight.greenlet is not gevent.getcurrent():
            flight.greenlet.kill(block=False)

    def _bodies(self, flight: Flight) -> Bodies:
        """
        What is kept of a request's body and its answer's.
        """
        secrets = (self._endpoint.key.reveal(),)
        sent = kept_body(flight.prepared.body, secrets) if flight.prepared is not None else None
        return sent, kept_body(flight.answer.body, secrets) if flight.answer is not None else None

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

    def _prepare(self, payloads: Iterator[Payload]) -> Iterator[Prepared]:
        """
        The payloads as they go over the wire.
        """
        chosen, prepared = self._endpoint, dict[int, Prepared]()
        several = len(self.demand.workload.kinds) > 1
        for payload in self.demand.workload.payloads:
            body = payload.encoded()
            prepared[id(payload)] = Prepared(
                body,
                request_bytes(chosen.target, chosen.key, body, chosen.fields),
                payload.name if several else None,
            )
        return (prepared[id(payload)] for payload in payloads)


def _held(
    demand: Demand, recorder: Recorder
) -> Callable[[Answer, tuple[Departure, ...]], tuple[Departure, ...]] | None:
    """
    What adds the departure of an output of another shape; None where nothing is known of its shape.
    """
    if demand.output is None:
        return None
    from .schema_check import Holding  # noqa: PLC0415  # heavy: only when a schema is named

    holding = Holding(demand.output, demand.output_sample)
    recorder.sample_outputs(lambda: holding.held)
    return holding


def _check(demand: Demand) -> Check | None:
    """
    The user's own check; None where there is none.
    """
    if demand.check is None:
        return None
    from .user_check import Checking  # noqa: PLC0415  # heavy: only when a check is named

    return Checking(demand.check)


_AS_PROMISED = (Outcome(Transport.ANSWERED, 200, None, Fate.OK), "")
"""What nearly every request comes to: one object, to be counted by its identity."""

_FATES = {
    Transport.DEADLINE: Fate.TIMED_OUT,
    Transport.CONNECT_TIMED_OUT: Fate.TIMED_OUT,
    Transport.DRAIN_ENDED: Fate.CENSORED,
}
"""The fates of requests without an answer; any other failed."""


def _code(answer: Answer) -> str | None:
    return None if answer.status == 200 else error_code(answer)


def _why(departed: tuple[Departure, ...]) -> str:
    """
    The first departure in one line; empty when there is none.
    """
    return f"{departed[0].clause.id}: {departed[0].actual}" if departed else ""


def _last_line() -> str:
    """
    The exception under way, in one line.
    """
    return traceback.format_exc(limit=0).strip().splitlines()[-1]
