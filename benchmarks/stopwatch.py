"""
What a Locust process took for its requests, without the time that starting, connecting and reporting took: one line at the end.
"""

from __future__ import annotations

import json
import os
import time
from typing import Any

import gevent
from locust import events
from locust.env import Environment

WARM_UP = float(os.environ.get("BENCHMARK_WARM_UP", "1"))
"""Seconds until the clocks are looked at first: connections are there, and TLS is agreed upon."""
_LONGEST_WARM_UP = 60.0
"""Everybody has had answers, or this has passed: stock clients over TLS load a store of certificates for every user."""
SECONDS = float(os.environ.get("BENCHMARK_SECONDS", "0"))
"""How long it is to go on from then; 0 for a process that ends by itself. Locust's own --run-time may be seconds early."""

_looks: dict[str, tuple[float, float, int]] = {}


def read_clocks(name: str, environment: Environment) -> None:
    """Look at the clocks, at the beginning or at the end; the first look of a name counts."""
    assert environment.runner is not None
    requests = environment.runner.stats.total.num_requests
    _looks.setdefault(name, (time.monotonic(), time.process_time(), requests))


@events.test_start.add_listener
def begin(environment: Environment, **_: Any) -> None:
    """Look at the clocks when everybody is warm."""
    gevent.spawn(measure, environment)


def measure(environment: Environment) -> None:
    """Look at the clocks, and end the process when it has gone on for long enough, if that is said."""
    runner: Any = environment.runner
    gevent.sleep(WARM_UP)
    give_up = time.monotonic() + _LONGEST_WARM_UP
    while runner.stats.total.num_requests < 3 * runner.target_user_count and time.monotonic() < give_up:
        gevent.sleep(0.1)
    read_clocks("begin", environment)
    if SECONDS:
        gevent.sleep(SECONDS)
        read_clocks("end", environment)
        runner.quit()


@events.test_stopping.add_listener
def stop(environment: Environment, **_: Any) -> None:
    """Look at the clocks."""
    read_clocks("end", environment)


@events.test_stop.add_listener
def tell(**_: Any) -> None:
    """Say how many requests took how long."""
    (began, cpu_then, before), (ended, cpu_now, after) = _looks["begin"], _looks["end"]
    told = {"requests": after - before, "seconds": ended - began, "cpu_seconds": cpu_now - cpu_then}
    print(f"\nBENCHMARK {json.dumps(told)}", flush=True)
