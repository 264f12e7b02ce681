"""
Our users as they are, and a stopwatch that stops when the run folder is complete: what follows is the summary's. With a long
BENCHMARK_WARM_UP it starts with second 1 of the run, whenever that is.
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
def remember(environment: Environment, **_: Any) -> None:
    """Know where the requests are counted."""
    _environments.append(environment)


def with_end_reading(supervise: Callable[[Any], None]) -> Callable[[Any], None]:
    """
    The following of a run to its end, with a look at the clocks then.
    """

    def follow(run: Any) -> None:
        supervise(run)
        stopwatch.read_clocks("end", _environments[-1])

    return follow


def with_start_reading(begin: Callable[..., None]) -> Callable[..., None]:
    """
    The beginning of a run, with a look at the clocks as its second 1 begins.
    """

    def start(run: Any, *zero: float) -> None:
        begin(run, *zero)
        gevent.spawn_later(max(1.0 - run.now(), 0.0), lambda: stopwatch.read_clocks("begin", _environments[-1]))

    return start


for kind in (LoadRun, DistributedRun):
    kind.begin = with_start_reading(kind.begin)  # type: ignore[method-assign]  # as below
    kind.supervise = with_end_reading(kind.supervise)  # type: ignore[method-assign]  # nowhere else is it known that a run is complete
