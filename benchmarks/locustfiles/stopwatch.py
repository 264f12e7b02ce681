"""Measure requests, time and CPU time of a Locust process without startup, connecting and reporting. Prints one line."""

from __future__ import annotations

import json
import os
import time
from typing import Any

import gevent
from locust import events
from locust.env import Environment

WARM_UP = float(os.environ.get("BENCHMARK_WARM_UP", "1"))
"""Seconds before the first reading, for connections and TLS handshakes."""
_MAX_WARM_UP = 60.0
"""The longest wait for an answer to every user. Locust's clients load a certificate store per user."""
SECONDS = float(os.environ.get("BENCHMARK_SECONDS", "0"))
"""The measured duration; 0 for a process that ends by itself. (Locust's --run-time may end seconds early.)"""

_readings: dict[str, tuple[float, float, int]] = {}


def read_clocks(name: str, environment: Environment) -> None:
    """Store a reading of the clocks under a name, unless there is one already."""
    assert environment.runner is not None
    requests = environment.runner.stats.total.num_requests
    _readings.setdefault(name, (time.monotonic(), time.process_time(), requests))


@events.test_start.add_listener
def begin(environment: Environment, **_: Any) -> None:
    """Start the measurement after the warm-up."""
    gevent.spawn(measure, environment)


def measure(environment: Environment) -> None:
    """Read the clocks after the warm-up, and end the process after BENCHMARK_SECONDS, if given."""
    runner: Any = environment.runner
    gevent.sleep(WARM_UP)
    deadline = time.monotonic() + _MAX_WARM_UP
    while runner.stats.total.num_requests < 3 * runner.target_user_count and time.monotonic() < deadline:
        gevent.sleep(0.1)
    read_clocks("begin", environment)
    if SECONDS:
        gevent.sleep(SECONDS)
        read_clocks("end", environment)
        runner.quit()


@events.test_stopping.add_listener
def stop(environment: Environment, **_: Any) -> None:
    """Read the clocks at the end."""
    read_clocks("end", environment)


@events.test_stop.add_listener
def print_result(**_: Any) -> None:
    """Print the number of requests and their times."""
    (start, start_cpu, start_requests), (end, end_cpu, end_requests) = _readings["begin"], _readings["end"]
    result = {
        "requests": end_requests - start_requests,
        "seconds": end - start,
        "cpu_seconds": end_cpu - start_cpu,
    }
    print(f"\nBENCHMARK {json.dumps(result)}", flush=True)
