"""
The rival at a rate: Locust's fast client, each user at a constant throughput.
"""

from __future__ import annotations

import os
from typing import Any

import stopwatch
from locust import FastHttpUser, constant_throughput, events, task
from locust.env import Environment

__all__ = ["PacedUser", "stopwatch"]


class PacedUser(FastHttpUser):
    """
    A user who sends so many times a second, as far as the answers let him.
    """

    host = os.environ["CHAINPROOF_TARGET"].removesuffix("/production/run_remote")
    wait_time = constant_throughput(float(os.environ["BENCHMARK_RATE"]))

    @task
    def call(self) -> None:
        """One request."""
        self.client.post(
            "/production/run_remote",
            data=b'{"names":["Ada","Grace"],"greeting":"hello"}',
            headers={"Authorization": f"Api-Key {os.environ['BASETEN_API_KEY']}", "Content-Type": "application/json"},
            allow_redirects=False,
        )


@events.test_stop.add_listener
def tell(environment: Environment, **_: Any) -> None:
    """Say the percentiles that Locust reports."""
    assert environment.runner is not None
    entry = environment.runner.stats.total
    told = [entry.get_response_time_percentile(fraction) for fraction in (0.5, 0.99, 0.999)]
    print("\nPERCENTILES", *told, flush=True)
