"""
The rival: Locust's own fast client in a closed loop, the same request to the same target.
"""

from __future__ import annotations

import os

from locust import FastHttpUser, task


class Rival(FastHttpUser):
    """
    A user who sends, awaits, and sends again.
    """

    host = os.environ["CHAINPROOF_TARGET"].removesuffix("/production/run_remote")

    @task
    def call(self) -> None:
        """One request."""
        self.client.post(
            "/production/run_remote",
            data=b'{"names":["Ada","Grace"],"greeting":"hello"}',
            headers={
                "Authorization": f"Api-Key {os.environ['BASETEN_API_KEY']}",
                "Content-Type": "application/json",
            },
            allow_redirects=False,
        )
