"""
chainproof's users, with a stopwatch that stops when the run folder is complete and so excludes the summary. With a long
BENCHMARK_WARM_UP it starts with second 1 of the run.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import gevent
import stopwatch
from locust import events
from locust.env import Environment

from chainproof.loadtests import ClosedUser, OpenUser
from chainproof.loadtests.distributed.merge import DistributedRun
from chainproof.loadtests.engine.load_run import LoadRun

__all__ = ["ClosedUser", "OpenUser"]

_environments: list[Environment] = []


@events.test_start.add_listener
def store_environment(environment: Environment, **_: Any) -> None:
    """Store the environment, which counts the requests."""
    _environments.append(environment)


def with_end_reading(supervise: Callable[[Any], None]) -> Callable[[Any], None]:
    """*supervise*, followed by a reading of the clocks."""

    def follow(run: Any) -> None:
        supervise(run)
        stopwatch.read_clocks("end", _environments[-1])

    return follow


def with_start_reading(begin: Callable[..., None]) -> Callable[..., None]:
    """*begin*, with a reading of the clocks at second 1 of the run."""

    def start(run: Any, *zero: float) -> None:
        begin(run, *zero)
        gevent.spawn_later(max(1.0 - run.now(), 0.0), lambda: stopwatch.read_clocks("begin", _environments[-1]))

    return start


for kind in (LoadRun, DistributedRun):
    kind.begin = with_start_reading(kind.begin)  # type: ignore[method-assign]  # as below
    kind.supervise = with_end_reading(kind.supervise)  # type: ignore[method-assign]  # nowhere else is it known that a run is complete
