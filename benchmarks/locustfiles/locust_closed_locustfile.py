"""Locust's own clients in a closed loop, with the same request."""

from __future__ import annotations

import os

import stopwatch
from locust import FastHttpUser, HttpUser, task

__all__ = ["StockFastHttpUser", "StockHttpUser", "stopwatch"]

HOST = os.environ["CHAINPROOF_TARGET"].removesuffix("/production/run_remote")
BODY = b'{"names":["Ada","Grace"],"greeting":"hello"}'
FIELDS = {"Authorization": f"Api-Key {os.environ['BASETEN_API_KEY']}", "Content-Type": "application/json"}


class StockFastHttpUser(FastHttpUser):
    """A FastHttpUser that sends the next request after each answer."""

    host = HOST

    @task
    def call(self) -> None:
        """Send one request."""
        self.client.post("/production/run_remote", data=BODY, headers=FIELDS, allow_redirects=False)


class StockHttpUser(HttpUser):
    """The same with HttpUser, which uses requests."""

    host = HOST

    @task
    def call(self) -> None:
        """Send one request."""
        self.client.post("/production/run_remote", data=BODY, headers=FIELDS, allow_redirects=False)
