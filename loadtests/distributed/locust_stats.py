"""
Locust's own event for every request, so that its tables, CSV files and whoever listens go on working.

Where nobody but Locust itself listens, its statistics are entered several times a second for many requests at once: the
same figures at a tenth of the cost, which would otherwise be the greatest of all that a request causes here.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable
from typing import Any

import gevent
from locust import stats as locust_stats
from locust.env import Environment
from locust.stats import StatsEntry, StatsError

from chainproof.clock import Seconds
from chainproof.contract.openapi import METHOD
from chainproof.endpoint import Endpoint
from chainproof.results.exchange import Exchange, Outcome, Result, Transport

from ..client.reply import Reply

_EVERY: Seconds = 0.2
"""How long Locust's tables may lag behind: they are looked at once a second."""


class NotOk(Exception):
    """
    What Locust's tables show of a request that was not ok: transport, status and code, never an id of its own.
    """


class LocustStats:
    """
    What Locust is told of settled exchanges.
    """

    def __init__(self, environment: Environment, chosen: Endpoint) -> None:
        self._hook: Any = environment.events.request
        self._listeners: list[Callable[..., None]] = self._hook._handlers  # noqa: SLF001  # it has no other way to ask who listens
        self._locusts_own = next((each for each in self._listeners if each.__module__ == "locust.runners"), None)
        self._stats: Any = environment.stats
        self._target = chosen.target
        self._failures: dict[str, NotOk] = {}
        self._offset: Seconds = time.time() - time.monotonic()
        self._due = False
        self._forget()
        events: Any = environment.events  # Locust's hooks carry no types
        self._endings = (events.test_stopping, events.test_stop, events.quitting)
        for ending in self._endings:
            ending.add_listener(self._at_the_end)

    def __call__(
        self, outcome: Outcome, response_time: Seconds, reply: Reply, exchange: Callable[[], Exchange]
    ) -> None:
        """Tell of one settled exchange."""
        if len(self._listeners) != 1 or self._listeners[0] is not self._locusts_own:
            self.flush()  # in the order in which they happened
            self._fire(exchange(), reply)
            return
        self._count += 1
        if reply.answer is not None:
            self._times.append(response_time * 1e3)
            self._length += len(reply.answer.body)
        if outcome.result is not Result.OK:
            self._failed[self._failure(outcome)] += 1
        if not self._due:
            self._due = True
            gevent.spawn_later(_EVERY, self.flush)

    def flush(self) -> None:
        """Enter in Locust's statistics what was noted."""
        self._due = False
        if not self._count:
            return
        now, stats = time.time(), self._stats
        told: Any = StatsEntry(stats, self._target.path, METHOD)
        told.num_requests = self._count
        told.num_none_requests = self._count - len(self._times)
        told.num_failures = self._failed.total()
        told.total_response_time = sum(self._times)
        if self._times:
            told.min_response_time, told.max_response_time = min(self._times), max(self._times)
        told.response_times.update(Counter(map(locust_stats.bucket_response_time, self._times)))
        told.num_reqs_per_sec[int(now)] = self._count
        told.total_content_length = self._length
        told.last_request_timestamp = now
        if told.num_failures:
            told.num_fail_per_sec[int(now)] = told.num_failures
        for entry in (stats.total, stats.get(self._target.path, METHOD)):
            entry.extend(told)
        for failure, times in self._failed.items():
            _count_failure(stats, self._target.path, failure, times, now)
        self._forget()

    def _forget(self) -> None:
        self._count = 0
        self._length = 0
        self._times: list[float] = []
        self._failed: Counter[NotOk] = Counter()

    def _fire(self, exchange: Exchange, reply: Reply) -> None:
        outcome = exchange.outcome
        answered = outcome.transport is Transport.ANSWERED
        self._hook.fire(
            request_type=METHOD,
            name=self._target.path,
            # Locust takes None for a request whose time is not known: a deadline is not a latency.
            response_time=exchange.response_time * 1e3 if answered else None,
            response_length=len(reply.answer.body) if reply.answer is not None else 0,
            response=reply.answer,
            exception=None if outcome.result is Result.OK else self._failure(outcome),
            context={"number": exchange.number, "intended_start_s": exchange.intended_start},
            start_time=self._offset + reply.end - exchange.service_time,
            url=self._target.url,
        )

    def _failure(self, outcome: Outcome) -> NotOk:
        parts = (outcome.transport.value,) if outcome.status is None else (str(outcome.status), outcome.error_code)
        text = " ".join(part for part in parts if part)
        return self._failures.setdefault(text, NotOk(text))

    def _at_the_end(self, **_: Any) -> None:
        self.flush()  # a run's last requests are settled before the first of these


def _count_failure(stats: Any, path: str, failure: NotOk, times: int, now: Seconds) -> None:
    """
    Enter a failure in Locust's table of failures, as its own statistics do for one.
    """
    key = StatsError.create_key(METHOD, path, failure)
    known = stats.errors.get(key)
    if known is None:
        known = stats.errors[key] = StatsError(METHOD, path, failure)
    known.first_seen = now if known.first_seen is None else known.first_seen
    known.last_seen = now
    known.occurrences += times
