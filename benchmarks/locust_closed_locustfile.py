"""
The rivals: Locust's own clients in a closed loop, the same request to the same target.
"""

from __future__ import annotations

import os

import stopwatch
from locust import FastHttpUser, HttpUser, task

__all__ = ["StockFastHttpUser", "StockHttpUser", "stopwatch"]

HOST = os.environ["CHAINPROOF_TARGET"].removesuffix("/production/run_remote")
BODY = b'{"names":["Ada","Grace"],"greeting":"hello"}'
FIELDS = {"Authorization": f"Api-Key {os.environ['BASETEN_API_KEY']}", "Content-Type": "application/json"}


class StockFastHttpUser(FastHttpUser):
    """
    A user who sends, awaits, and sends again.
    """

    host = HOST

    @task
    def call(self) -> None:
        """One request."""
        self.client.post("/production/run_remote", data=BODY, headers=FIELDS, allow_redirects=False)


class StockHttpUser(HttpUser):
    """
    The same by requests.
    """

    host = HOST

    @task
    def call(self) -> None:
        """One request."""
        self.client.post("/production/run_remote", data=BODY, headers=FIELDS, allow_redirects=False)
