"""Locust's FastHttpUser at a rate, with constant_throughput."""

from __future__ import annotations

import os
from typing import Any

import stopwatch
from locust import FastHttpUser, constant_throughput, events, task
from locust.env import Environment

__all__ = ["PacedUser", "stopwatch"]


class PacedUser(FastHttpUser):
    """A user that sends BENCHMARK_RATE requests per second, if the answers are fast enough."""

    host = os.environ["CHAINPROOF_TARGET"].removesuffix("/production/run_remote")
    wait_time = constant_throughput(float(os.environ["BENCHMARK_RATE"]))

    @task
    def call(self) -> None:
        """Send one request."""
        self.client.post(
            "/production/run_remote",
            data=b'{"names":["Ada","Grace"],"greeting":"hello"}',
            headers={"Authorization": f"Api-Key {os.environ['BASETEN_API_KEY']}", "Content-Type": "application/json"},
            allow_redirects=False,
        )


@events.test_stop.add_listener
def print_percentiles(environment: Environment, **_: Any) -> None:
    """Print the percentiles that Locust reports."""
    assert environment.runner is not None
    entry = environment.runner.stats.total
    percentiles = [entry.get_response_time_percentile(fraction) for fraction in (0.5, 0.99, 0.999)]
    print("\nPERCENTILES", *percentiles, flush=True)
