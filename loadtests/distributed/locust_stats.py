"""
Feed Locust's statistics, so that its tables, CSV files and request listeners work.

If only Locust itself listens to its request event, the statistics are updated a few times per second for many requests at
once. The figures are the same at a tenth of the CPU time, which would otherwise be the largest cost of a request.
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

_UPDATE_INTERVAL: Seconds = 0.2
"""How long Locust's tables may lag behind; they are displayed once a second."""


class NotOk(Exception):
    """A request that was not ok, for Locust's table of failures: transport result, status and error code."""


class LocustStats:
    """A listener of completed requests that updates Locust's statistics."""

    def __init__(self, environment: Environment, endpoint: Endpoint) -> None:
        self._hook: Any = environment.events.request
        self._listeners: list[Callable[..., None]] = self._hook._handlers  # noqa: SLF001  # Locust has no public way to list listeners
        self._locust_listener = next((each for each in self._listeners if each.__module__ == "locust.runners"), None)
        self._stats: Any = environment.stats
        self._target = endpoint.target
        self._failures: dict[str, NotOk] = {}
        self._offset: Seconds = time.time() - time.monotonic()
        self._due = False
        self._reset()
        events: Any = environment.events  # Locust's hooks have no type hints
        self._end_events = (events.test_stopping, events.test_stop, events.quitting)
        for event in self._end_events:
            event.add_listener(self._on_end)

    def __call__(
        self, outcome: Outcome, response_time: Seconds, reply: Reply, exchange: Callable[[], Exchange]
    ) -> None:
        """Count one completed request."""
        if len(self._listeners) != 1 or self._listeners[0] is not self._locust_listener:
            self.flush()  # keeps the order of the requests
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
            gevent.spawn_later(_UPDATE_INTERVAL, self.flush)

    def flush(self) -> None:
        """Add the counted requests to Locust's statistics."""
        self._due = False
        if not self._count:
            return
        now, stats = time.time(), self._stats
        entry: Any = StatsEntry(stats, self._target.path, METHOD)
        entry.num_requests = self._count
        entry.num_none_requests = self._count - len(self._times)
        entry.num_failures = self._failed.total()
        entry.total_response_time = sum(self._times)
        if self._times:
            entry.min_response_time, entry.max_response_time = min(self._times), max(self._times)
        entry.response_times.update(Counter(map(locust_stats.bucket_response_time, self._times)))
        entry.num_reqs_per_sec[int(now)] = self._count
        entry.total_content_length = self._length
        entry.last_request_timestamp = now
        if entry.num_failures:
            entry.num_fail_per_sec[int(now)] = entry.num_failures
        for total in (stats.total, stats.get(self._target.path, METHOD)):
            total.extend(entry)
        for failure, times in self._failed.items():
            _count_failure(stats, self._target.path, failure, times, now)
        self._reset()

    def _reset(self) -> None:
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
            # None means no response time: a deadline is not a latency.
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

    def _on_end(self, **_: Any) -> None:
        self.flush()  # all requests of a run are completed before the first of these events


def _count_failure(stats: Any, path: str, failure: NotOk, times: int, now: Seconds) -> None:
    """Add to Locust's table of failures, as its statistics do for one failure."""
    key = StatsError.create_key(METHOD, path, failure)
    error = stats.errors.get(key)
    if error is None:
        error = stats.errors[key] = StatsError(METHOD, path, failure)
    error.first_seen = now if error.first_seen is None else error.first_seen
    error.last_seen = now
    error.occurrences += times
