"""Users of the closed model are independent of each other: they start spread out, and stay so."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable
from statistics import fmean, pstdev
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chainproof.judgement.caveat import CaveatCode
from chainproof.judgement.load_summary import summarise_load
from chainproof.workload.workload import ThinkTimeDistribution, Workload

Launch = Callable[..., Any]
RunServer = Callable[..., Any]

USER = """
from locust import task
from chainproof.loadtests import ClosedUser

class Mine(ClosedUser):
    @task
    def ask(self):
        self.client.run_remote({"names": ["Ada"]})
"""
CASES = {
    "think time": (0.02, ("--users=50", "--think-time=500ms")),
    "exponential think time": (0.02, ("--users=50", "--think-time=500ms", "--think-time-distribution=exponential")),
    "no think time": (0.4, ("--users=50",)),
    "own tasks": (0.02, ("--users=50", "--think-time=500ms", "--", "-f", "FILE")),
    "two processes": (0.02, ("--users=50", "--think-time=500ms", "--processes=2")),
}


@given(st.floats(0.001, 100), st.integers())
def test_pauses_have_the_mean_of_the_think_time(think_time: float, seed: int) -> None:
    """Constant ones are all the same; exponential ones have a standard deviation equal to their mean."""
    generator = random.Random(seed)
    constant = Workload(name="w", think_time=think_time)
    exponential = Workload(name="w", think_time=think_time, think_time_distribution=ThinkTimeDistribution.EXPONENTIAL)
    pauses = [exponential.pause(generator) for _ in range(2000)]

    assert think_time == constant.pause(generator)
    assert fmean(pauses) == pytest.approx(think_time, rel=0.15)
    assert pstdev(pauses) == pytest.approx(think_time, rel=0.25)
    assert Workload(name="w", think_time_distribution=ThinkTimeDistribution.EXPONENTIAL).pause(generator) == 0.0


@pytest.mark.parametrize("case", CASES)
def test_users_do_not_move_in_step(run_server: RunServer, launch: Launch, tmp_path: Any, case: str) -> None:
    """No tenth of a second has far more requests than its share, in the first cycle as well as later."""
    service, options = CASES[case]
    (tmp_path / "mine.py").write_text(USER)

    async def same(request: Any) -> None:
        await asyncio.sleep(service)
        await request.answer()

    words = [str(tmp_path / "mine.py") if word == "FILE" else word for word in options]
    share = 50 / (service + 0.5 if "--users=50" in options and len(options) > 1 else service) * 0.1
    most = 2.5 * share + 5
    for _ in range(3):  # a busy machine, too, lets users move in step
        with run_server(same) as server:
            done = launch(server, "--model=closed", "--duration=2500ms", *words).end()
        counts = [0] * 30
        for instant in server.arrival_times:
            counts[min(int((instant - server.arrival_times[0]) / 0.1), 29)] += 1
        if max(counts) < most:
            break

    assert done.code in {0, 3}, done.errors  # so short a run may be inconclusive
    assert max(counts) < most, counts
    assert sum(counts) > 0.7 * share * 25
    assert CaveatCode.USERS_IN_STEP not in {caveat.code for caveat in summarise_load(done.run).caveats}
