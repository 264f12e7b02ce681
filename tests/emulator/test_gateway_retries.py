"""Retries by the gateway: when the chain is asked again, and when its failure is passed on."""

from __future__ import annotations

import http.client
from collections.abc import Callable
from dataclasses import dataclass, field
from heapq import heappop, heappush
from itertools import accumulate, pairwise
from pathlib import Path
from typing import cast

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chainproof.contract.redaction import EMULATOR_KEY
from chainproof.emulator.behaviour.gateway_retries import RetryPolicy
from chainproof.emulator.chain.chain_response import ChainResponse, ChainResponseKind, output, timeout_error
from chainproof.emulator.chain.replica import ChainCall, ResponseCallback
from chainproof.emulator.chain.retried_call import RetriedCall
from chainproof.endpoint import start_emulator

from ..waiting import PATIENCE

CHAINS = Path(__file__).with_name("slow_chains.py")
DRAINING = ChainResponse(kind=ChainResponseKind.EXCEPTION, status=503, body=b"{}")


def test_default_delays_are_those_of_the_documentation() -> None:
    """The first delays are 0.5 s, 0.75 s and so on; they grow to a minute, and no attempt starts after 15 minutes."""
    delays, elapsed = [], 0.0
    while (delay := RetryPolicy().delay_after(len(delays) + 1, elapsed)) is not None:
        delays.append(delay)
        elapsed += delay

    assert [0.5, 0.75, 1.125, 1.6875] == delays[:4]
    assert 60.0 == max(delays) == delays[-1]
    assert (24, 848.7) == (len(delays), round(elapsed, 1))


@given(
    policy=st.builds(
        RetryPolicy,
        first_delay=st.floats(0, 10),
        factor=st.floats(1, 1e300),
        max_delay=st.floats(10, 100),
        give_up_after=st.floats(0, 1000),
    ),
    attempts=st.integers(1, 100),
    elapsed=st.floats(0, 2000),
)
def test_delays_grow_and_stay_within_their_limits(policy: RetryPolicy, attempts: int, elapsed: float) -> None:
    """A delay is at most the longest one, and no attempt starts after the time to give up."""
    delays = [delay for number in range(1, attempts + 1) if (delay := policy.delay_after(number, elapsed)) is not None]

    assert all(first <= second for first, second in pairwise(delays))
    assert all(delay <= policy.max_delay and elapsed + delay <= policy.give_up_after for delay in delays)


@dataclass(slots=True, kw_only=True)
class FakeGateway:
    """A clock that jumps to the next scheduled call, and a chain with prepared responses."""

    responses: list[ChainResponse]
    now: float = 100.0
    sent_at: list[float] = field(default_factory=list)
    due: list[tuple[float, int, Callable[[], None]]] = field(default_factory=list)
    final: list[tuple[ChainResponse, int]] = field(default_factory=list)

    def send(self, on_response: ResponseCallback) -> ChainCall:
        """Answer with the next response, after no time."""
        self.sent_at.append(self.now - 100.0)
        response = self.responses.pop(0)
        heappush(self.due, (self.now, len(self.sent_at), lambda: on_response(response)))
        return ChainCall(on_response, lambda _: None)

    def call_at(self, instant: float, call: Callable[[], None]) -> None:
        """Schedule a call."""
        heappush(self.due, (instant, 1000, call))

    def start(self, policy: RetryPolicy | None) -> RetriedCall:
        """Send a request."""
        return RetriedCall(
            self.send,
            lambda response, attempts: self.final.append((response, attempts)),
            policy=policy,
            clock=lambda: self.now,
            call_at=self.call_at,
        )

    def run(self) -> None:
        """Run every scheduled call."""
        while self.due:
            self.now, _, call = heappop(self.due)
            call()


def test_failures_are_retried_until_the_chain_recovers() -> None:
    """The caller sees latency in place of two failures, and the attempts are counted."""
    gateway = FakeGateway(responses=[DRAINING, DRAINING, output(b"{}")])
    gateway.start(RetryPolicy())
    gateway.run()

    assert [(output(b"{}"), 3)] == gateway.final
    assert list(accumulate([0.0, 0.5, 0.75])) == gateway.sent_at


@pytest.mark.parametrize(
    ("policy", "response"),
    [
        (None, DRAINING),
        (RetryPolicy(), timeout_error(1.0)),
        (RetryPolicy(), ChainResponse(kind=ChainResponseKind.EXCEPTION, status=500, body=b"")),
        (RetryPolicy(give_up_after=0.4), DRAINING),
    ],
    ids=["no retries", "the gateway's own timeout", "another status", "no time left"],
)
def test_other_failures_are_passed_on(policy: RetryPolicy | None, response: ChainResponse) -> None:
    """They reach the caller after one attempt."""
    gateway = FakeGateway(responses=[response])
    gateway.start(policy)
    gateway.run()

    assert [(response, 1)] == gateway.final


def test_abandoned_request_is_not_retried() -> None:
    """Nobody waits for the answer any more."""
    gateway = FakeGateway(responses=[DRAINING, output(b"{}")])
    call = gateway.start(RetryPolicy())
    heappop(gateway.due)[2]()  # the first response arrives
    call.abandon()
    gateway.run()

    assert ([0.0], []) == (gateway.sent_at, gateway.final)


def test_client_sees_the_number_of_attempts(tmp_path: Path) -> None:
    """A draining chain behind the whole emulator: one answer 200, and three attempts in its header."""
    scenario = tmp_path / "retries.toml"
    scenario.write_text('gateway_retries = { first_delay = "1ms", max_delay = "2ms" }\n')
    options = ("--chain", f"{CHAINS}:Draining", "--contract", "documented")
    with start_emulator(str(scenario), options=options) as endpoint:
        connection = http.client.HTTPConnection(endpoint.target.host, cast(int, endpoint.target.port), timeout=PATIENCE)
        headers = {"Authorization": f"Api-Key {EMULATOR_KEY}", "Content-Type": "application/json"}
        connection.request("POST", "/production/run_remote", b"{}", headers)
        answer = connection.getresponse()

        assert (200, "3", b'{"calls":3}') == (
            answer.status,
            answer.getheader("X-BASETEN-MODEL-PREDICTION-ATTEMPTS"),
            answer.read(),
        )
        connection.close()
