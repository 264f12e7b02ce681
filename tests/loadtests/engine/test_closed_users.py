"""Users of the closed model are independent of each other: they start spread out, and stay so."""

from __future__ import annotations

import cmath
import csv
import os
import random
from collections.abc import Callable
from pathlib import Path
from statistics import fmean, median, pstdev
from types import SimpleNamespace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chainproof.judgement.caveat import CaveatCode
from chainproof.judgement.load_summary import summarise_load
from chainproof.results.folder import REQUESTS
from chainproof.workload.workload import ThinkTimeDistribution, Workload

from ..behaviours import answer_after
from ..conftest import is_late

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
    "own tasks": (0.02, ("--users=50", "--think-time=500ms", "--", "-f", "FILE")),
    "two processes": (0.02, ("--users=50", "--think-time=500ms", "--processes=2")),
    "think time": (0.02, ("--users=50", "--think-time=500ms")),
    "no think time": (0.09, ("--users=20",)),
    "exponential think time": (0.02, ("--users=50", "--think-time=500ms", "--think-time-distribution=exponential")),
}
"""The service time of the target, and the options. The first two are run in CI."""


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


def concentration(starts: list[float], cycle: float) -> float:
    """
    How much users move in step, from 0 (spread evenly) to 1 (all at the same time): the median over the cycles of a run.

    It is the mean resultant length of the phases (Mardia and Jupp, Directional Statistics, 2000).
    """
    phases: dict[int, list[complex]] = {}
    for start in starts:
        phases.setdefault(int(start / cycle), []).append(cmath.exp(2j * cmath.pi * start / cycle))
    return median(abs(sum(each)) / len(each) for each in phases.values() if len(each) >= 10)


@pytest.mark.parametrize("case", CASES if os.environ.get("CHAINPROOF_SAMPLE") == "all" else list(CASES)[:2])
def test_users_do_not_move_in_step(run_server: RunServer, launch: Launch, tmp_path: Path, case: str) -> None:
    """In each cycle the requests of all users are spread over the cycle."""
    service, options = CASES[case]
    (tmp_path / "mine.py").write_text(USER)

    words = [str(tmp_path / "mine.py") if word == "FILE" else word for word in options]
    with run_server(answer_after(service)) as server:
        done = launch(server, "--model=closed", "--duration=2s", "--record-requests=2000", *words).end()
    with (done.folder / REQUESTS).open(newline="") as file:
        starts = [float(row["start_s"]) for row in csv.DictReader(file)]
    caveats = {caveat.code for caveat in summarise_load(done.run).caveats}

    assert 50 < len(starts) == len(server.requests), done.errors
    assert concentration(starts, service + (0.5 if len(options) > 1 else 0.0)) < 0.6
    assert CaveatCode.USERS_IN_STEP not in caveats or is_late(done.run)


def test_users_in_step_are_concentrated() -> None:
    """The measure tells users that start within a tenth of a cycle from users that are spread over it."""
    together = [cycle * 0.5 + user * 0.001 for cycle in range(4) for user in range(50)]
    spread = [cycle * 0.5 + user * 0.01 for cycle in range(4) for user in range(50)]

    assert concentration(spread, 0.5) < 0.1
    assert concentration(together, 0.5) > 0.9


def test_locust_stops_no_users_that_have_ended(monkeypatch: pytest.MonkeyPatch) -> None:
    """A user that ended with the run is still in Locust's group for a moment; Locust would print an error for it."""
    monkeypatch.setenv("LOCUST_SKIP_MONKEY_PATCH", "1")
    import gevent  # noqa: PLC0415  # after the variable is set
    from gevent.pool import Group  # noqa: PLC0415

    from chainproof.loadtests.distributed.writer_session import LocalSession  # noqa: PLC0415

    users = Group()
    ended, running = users.spawn(str), users.spawn(gevent.sleep, 600)
    gevent.sleep(0)
    before = set(users)
    session = LocalSession.__new__(LocalSession)
    session.run, session.runner = None, SimpleNamespace(user_greenlets=users)
    session.on_test_stopping()

    assert {ended, running} == before
    assert {running} == set(users)
    users.kill()
