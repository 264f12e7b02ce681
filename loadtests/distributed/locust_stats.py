"""
Feed Locust's statistics, so that its tables, CSV files and request listeners work.

If only Locust itself listens to its request event, the statistics are updated for many requests at once, at least once a
second. The figures are the same at a tenth of the CPU time, which would otherwise be the largest cost of a request.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Sequence
from typing import Any

from locust import stats as locust_stats
from locust.env import Environment
from locust.stats import StatsEntry, StatsError

from chainproof.clock import Seconds
from chainproof.contract.openapi import METHOD
from chainproof.endpoint import Endpoint
from chainproof.results.exchange import Exchange, Outcome, Result, Transport

from ..client.reply import Reply

_LOCUST_BUCKET = locust_stats.bucket_response_time
"""Locust's own function, which users may replace."""


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

    @property
    def wants_each(self) -> bool:
        """Whether others listen to Locust's request event."""
        return len(self._listeners) != 1 or self._listeners[0] is not self._locust_listener

    def tell(self, exchange: Exchange, reply: Reply) -> None:
        """Fire Locust's request event for one request. Locust's own listener counts it."""
        outcome = exchange.outcome
        answered = outcome.transport is Transport.ANSWERED
        self._hook.fire(
            request_type=METHOD,
            name=self._target.path,
            # None means no response time: a deadline is not a latency.
            response_time=exchange.response_time * 1e3 if answered else None,
            response_length=reply.body_length,
            response=reply.answer,
            exception=None if outcome.result is Result.OK else self._failure(outcome),
            context={"number": exchange.number, "intended_start_s": exchange.intended_start},
            start_time=self._offset + reply.end - exchange.service_time,
            url=self._target.url,
        )

    def count(self, outcome: Outcome, response_times: Sequence[Seconds], body_bytes: int) -> None:
        """Count many requests with the same outcome, whose bodies have so many bytes together."""
        now, stats = time.time(), self._stats
        count, second = len(response_times), int(now)
        times = [each * 1e3 for each in response_times] if outcome.transport is Transport.ANSWERED else []
        entry: Any = StatsEntry(stats, self._target.path, METHOD)
        entry.num_requests = entry.num_reqs_per_sec[second] = count
        entry.num_none_requests = count - len(times)
        entry.total_content_length = body_bytes
        entry.last_request_timestamp = now
        if times:
            entry.total_response_time = sum(times)
            entry.min_response_time, entry.max_response_time = min(times), max(times)
            entry.response_times.update(_response_time_counts(times, entry.max_response_time))
        if outcome.result is not Result.OK:
            entry.num_failures = entry.num_fail_per_sec[second] = count
            _count_failure(stats, self._target.path, self._failure(outcome), count, now)
        for total in (stats.total, stats.get(self._target.path, METHOD)):
            total.extend(entry)

    def _failure(self, outcome: Outcome) -> NotOk:
        parts = (outcome.transport.value,) if outcome.status is None else (str(outcome.status), outcome.error_code)
        text = " ".join(part for part in parts if part)
        return self._failures.setdefault(text, NotOk(text))


def _response_time_counts(milliseconds: list[float], longest: float) -> Counter[int]:
    """The number of response times in each of Locust's buckets. Below 100 ms these are whole milliseconds."""
    bucket = locust_stats.bucket_response_time
    return Counter(map(round if bucket is _LOCUST_BUCKET and longest < 100 else bucket, milliseconds))


def _count_failure(stats: Any, path: str, failure: NotOk, times: int, now: Seconds) -> None:
    """Add to Locust's table of failures, as its statistics do for one failure."""
    key = StatsError.create_key(METHOD, path, failure)
    error = stats.errors.get(key)
    if error is None:
        error = stats.errors[key] = StatsError(METHOD, path, failure)
    error.first_seen = now if error.first_seen is None else error.first_seen
    error.last_seen = now
    error.occurrences += times
