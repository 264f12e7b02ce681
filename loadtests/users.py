"""
Locust's users: one dispatcher for the open model, any number of callers for the closed one.

A locustfile may import both, or subclasses of both: a run has one model, and the users of the other are set aside.
"""

from __future__ import annotations

from typing import ClassVar

from locust import User, task
from locust.exception import StopUser

from chainproof.workload.workload import Model

from .session import session_of


class OpenUser(User):
    """
    The dispatcher of the open model: one greenlet that walks the plan, whatever --users says.
    """

    model: ClassVar = Model.OPEN
    fixed_count = 1

    @task
    def walk(self) -> None:
        """Start every planned request at its time."""
        session_of(self.environment).run.walk_plan()
        raise StopUser


class ClosedUser(User):
    """
    A caller of the closed model: sends, awaits, thinks.
    """

    model: ClassVar = Model.CLOSED

    @task
    def converse(self) -> None:
        """Call again and again until the run is over."""
        session_of(self.environment).run.converse()
        raise StopUser
