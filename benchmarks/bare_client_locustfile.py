"""
Our client in a Locust user with nothing around it: every request is an event of Locust's and a line in its statistics.
"""

from __future__ import annotations

import os
import time

import stopwatch
from locust import User, task

from chainproof.contract.credentials import ApiKey
from chainproof.contract.openapi import METHOD
from chainproof.contract.route import Route
from chainproof.contract.target import parse_target
from chainproof.loadtests.client.client import LoadClient
from chainproof.loadtests.client.request import request_bytes

__all__ = ["ClientOnlyUser", "stopwatch"]

TARGET = parse_target(os.environ["CHAINPROOF_TARGET"].removesuffix("/production/run_remote"), loopback=True)
REQUEST = request_bytes(TARGET, ApiKey(os.environ["BASETEN_API_KEY"]), b'{"names":["Ada","Grace"],"greeting":"hello"}')
DEADLINE = 20.0


class ClientOnlyUser(User):
    """
    A user who sends, awaits, and sends again.
    """

    client = LoadClient(TARGET, Route(ca_file=os.environ["BENCHMARK_CA_FILE"]))

    @task
    def call(self) -> None:
        """Requests until the end."""
        fire = self.environment.events.request.fire
        while True:
            begun = time.monotonic()
            reply = self.client.call(REQUEST, begun + DEADLINE)
            answer = reply.answer
            right = answer is not None and answer.status == 200
            fire(
                request_type=METHOD,
                name=TARGET.path,
                response_time=(reply.end - begun) * 1e3,
                response_length=len(answer.body) if answer is not None else 0,
                exception=None if right else RuntimeError(reply.reason or "no 200"),
                context={},
            )
