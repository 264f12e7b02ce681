"""A Locust user with chainproof's HTTP client and Locust's own statistics."""

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
    """A user that sends the next request after each answer."""

    client = LoadClient(TARGET, Route(ca_file=os.environ["BENCHMARK_CA_FILE"]))

    @task
    def call(self) -> None:
        """Send requests until the end."""
        fire = self.environment.events.request.fire
        while True:
            start = time.monotonic()
            reply = self.client.call(REQUEST, start + DEADLINE)
            answer = reply.answer
            is_ok = answer is not None and answer.status == 200
            fire(
                request_type=METHOD,
                name=TARGET.path,
                response_time=(reply.end - start) * 1e3,
                response_length=len(answer.body) if answer is not None else 0,
                exception=None if is_ok else RuntimeError(reply.reason or "status is not 200"),
                context={},
            )
