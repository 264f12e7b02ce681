"""A load generator that stands still never blames the target, whichever of its processes stopped."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from chainproof.clock import format_duration
from chainproof.judgement.caveat import CaveatCode
from chainproof.judgement.load_summary import LoadSummary, summarise_load
from chainproof.judgement.verdict import Verdict

from ..behaviours import answer_after, fine

Launch = Callable[..., Any]
RunServer = Callable[..., Any]

LONG = os.environ.get("CHAINPROOF_SAMPLE") == "all"
DURATION, STALL, START = (15.0, 4.0, 5.0) if LONG else (2.5, 0.8, 1.1)
"""How long a run takes, how long it is stopped, and when."""
MODELS = {"open": ("--rate=60",), "closed": ("--model=closed", "--users=6", "--think-time=100ms")}


def children(process: int) -> list[int]:
    """The child processes of a process."""
    return [int(child) for child in Path(f"/proc/{process}/task/{process}/children").read_text().split()]


def stopped_run(launch: Launch, server: Any, which: str, *options: str) -> tuple[Any, LoadSummary]:
    """A run one of whose processes is stopped for a while: the only one, a worker, the master, or all."""
    processes = () if which == "the only process" else ("--processes=2",)
    run = launch(server, f"--duration={DURATION}s", *processes, *options)
    run.await_intervals(2 if processes else 1)
    time.sleep(START - 1.0)
    locust = run.locust()
    chosen = {
        "the only process": [locust],
        "a worker": children(locust)[:1],
        "the master": [locust],
        "all": [locust, *children(locust)],
    }[which]
    for process in chosen:
        os.kill(process, signal.SIGSTOP)
    time.sleep(STALL)
    for process in chosen:
        os.kill(process, signal.SIGCONT)
    done = run.end()
    return done, summarise_load(done.run)


CASES = [
    ("open", "the only process", True),
    ("closed", "the only process", False),
    ("open", "a worker", False),
    ("closed", "a worker", True),
    ("open", "all", False),
    ("closed", "all", False),
]


@pytest.mark.parametrize(("model", "which", "is_quick"), CASES)
def test_a_stopped_generator_makes_the_run_invalid(
    run_server: RunServer, launch: Launch, model: str, which: str, is_quick: bool
) -> None:
    """An objective that is missed only because of it is invalid; the report names time and length."""
    if not is_quick and not LONG:
        pytest.skip("skipped: needs CHAINPROOF_SAMPLE=all")
    with run_server(fine) as server:
        done, summary = stopped_run(launch, server, which, *MODELS[model], "--objective=max response_time < 500ms")
    assert 4 == done.code, done.output + done.errors
    stalled = next(caveat for caveat in summary.caveats if caveat.code is CaveatCode.GENERATOR_STALLED)
    health = summary.totals.generator_health
    assert health is not None
    stall = health.longest_stall
    assert stall is not None

    assert Verdict.INVALID is summary.verdict
    assert STALL - 0.1 < stall.seconds
    assert START - 1.0 < stall.start < DURATION
    assert f"{format_duration(stall.seconds)} at {format_duration(stall.start)}" in stalled.text
    assert "max response_time < 500ms" in stalled.text
    assert STALL * 0.9 < health.loop_lag.max_value
    assert health.loop_lag.count - health.loop_lag.count_at_most(0.1) > STALL * 0.8 / 0.02
    assert "LITTLES_LAW" not in {caveat.code for caveat in summary.caveats}


@pytest.mark.skipif(not LONG, reason="skipped: needs CHAINPROOF_SAMPLE=all")
def test_a_stopped_master_changes_no_verdict(run_server: RunServer, launch: Launch) -> None:
    """The workers send and measure without it."""
    with run_server(fine) as server:
        done, summary = stopped_run(launch, server, "the master", *MODELS["open"], "--objective=max response_time < 1s")

    assert 0 == done.code, done.output + done.errors
    assert summary.accounting.planned == summary.accounting.ok


def test_a_slow_target_still_fails(run_server: RunServer, launch: Launch) -> None:
    """An objective that is missed without the stall too is missed by the target."""
    with run_server(answer_after(0.25)) as server:
        options = (*MODELS["open"], "--objective=p95 response_time < 150ms", "--objective=error_rate < 5%")
        done, summary = stopped_run(launch, server, "the only process", *options)

    health = summary.totals.generator_health
    assert health is not None
    if done.code == 4 and sum(stall.seconds for stall in health.stalls) > STALL + 0.3:
        pytest.skip("skipped: this machine is so busy that it stopped the generator more often than the test did")
    assert 1 == done.code, done.output + done.errors
    assert "Missed: p95 response_time < 150ms." == summary.reason
    assert CaveatCode.GENERATOR_STALLED in {caveat.code for caveat in summary.caveats}


def test_a_stall_that_matters_to_no_objective_is_a_caveat(run_server: RunServer, launch: Launch) -> None:
    """The run passes, and the report says that its generator stood still."""
    with run_server(fine) as server:
        done, summary = stopped_run(
            launch, server, "the only process", *MODELS["closed"], "--objective=error_rate < 5%"
        )

    stalls = summary.totals.generator_health.stalls if summary.totals.generator_health is not None else []
    assert 0 == done.code or sum(stall.seconds for stall in stalls) > STALL + 0.3, done.output + done.errors
    assert CaveatCode.GENERATOR_STALLED in {caveat.code for caveat in summary.caveats}
