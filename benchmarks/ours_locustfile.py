"""
Our users as they are, and a stopwatch that stops when the run folder is complete: what follows is the summary's.
"""

from __future__ import annotations

from typing import Any

import stopwatch
from locust import events
from locust.env import Environment

from chainproof.loadtests import ClosedUser, OpenUser
from chainproof.loadtests.run import LoadRun

__all__ = ["ClosedUser", "OpenUser"]

_supervise = LoadRun.supervise
_environments: list[Environment] = []


@events.test_start.add_listener
def remember(environment: Environment, **_: Any) -> None:
    """Know where the requests are counted."""
    _environments.append(environment)


def supervise(run: LoadRun) -> None:
    """Follow a run to its end, and look at the clocks."""
    _supervise(run)
    stopwatch.look("end", _environments[-1])


LoadRun.supervise = supervise  # type: ignore[method-assign]  # nowhere else is it known that the folder is complete
