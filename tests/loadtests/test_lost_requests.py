"""No request is missing in the record after slow answers, killed processes, redirects, slow bytes or exceptions in tasks."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from chainproof.judgement.load_summary import summarise_load
from chainproof.results.exchange import Result, Transport
from chainproof.results.folder import Run, read_run
from chainproof.results.interval import total
from chainproof.results.manifest import Ending

Launch = Callable[..., Any]
RunServer = Callable[..., Any]

FIVE_USERS = ("--model", "closed", "--users", "5")


def answer_after(seconds: float) -> Callable[[Any], Any]:
    """A target that answers after some seconds."""

    async def slow(request: Any) -> None:
        await asyncio.sleep(seconds)
        await request.answer()

    return slow


async def fine(request: Any) -> None:
    """Answer 200."""
    await request.answer()


def results(run: Run) -> dict[str, int]:
    """How many requests have each result, without zeros."""
    summary = summarise_load(run)
    assert summary.accounting.adds_up
    totals = total(run.intervals)
    return {result.value: totals.count(result) for result in Result if totals.count(result)}


@pytest.mark.parametrize(("duration", "response_time", "processes"), [(3.0, 5.0, ()), (1.0, 2.0, ("--processes", "2"))])
def test_requests_slower_than_the_run_are_counted(
    run_server: RunServer, launch: Launch, duration: float, response_time: float, processes: tuple[str, ...]
) -> None:
    """Five users and answers after 5 s in a run of 3 s give five answers of 5 s."""
    with run_server(answer_after(response_time)) as server:
        done = launch(server, *FIVE_USERS, f"--duration={duration}s", *processes).end()
    totals = total(done.run.intervals)

    assert {"ok": 5} == results(done.run), done.errors
    assert 5 == len(server.requests)
    assert response_time - 0.1 < totals.service_time[Result.OK].quantile(0.5) < response_time + 0.5
    assert Ending.COMPLETED is done.run.end.ending


@pytest.mark.parametrize("model", [FIVE_USERS, ("--rate", "10", "--arrivals", "constant")])
def test_requests_in_flight_at_the_end_of_the_drain_are_censored(
    run_server: RunServer, launch: Launch, model: tuple[str, ...]
) -> None:
    """Censored requests are counted with their age. What they leave open is inconclusive, and --drain is named."""
    start = time.monotonic()
    with run_server(answer_after(50.0)) as server:
        options = ["--duration=500ms", "--drain=500ms", "--objective=error_rate < 50%"]
        done = launch(server, *model, *options).end()

    assert {"censored": 5} == results(done.run), done.errors
    assert time.monotonic() - start < 20
    assert 0.85 <= done.run.end.seconds < 4
    assert 3 == done.code
    assert "Wait longer for them with --drain" in done.output
    assert 5 == total(done.run.intervals).response_time[Result.CENSORED].count
    assert "CENSORED" in {caveat.code for caveat in summarise_load(done.run).caveats}
    assert 0.5 == done.run.manifest.settings["drain_s"]


def test_a_deadline_covers_every_byte(run_server: RunServer, launch: Launch) -> None:
    """A target that sends a byte now and then does not extend the deadline."""

    async def drip(request: Any) -> None:
        for octet in b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}":
            await request.send_bytes(bytes([octet]))
            await asyncio.sleep(0.2)

    with run_server(drip) as server:
        done = launch(server, *FIVE_USERS, "--duration=500ms", "--deadline=1s").end()
    totals = total(done.run.intervals)

    assert {"timed_out": 5} == results(done.run), done.errors
    assert 1.0 <= done.run.end.seconds < 3
    assert {Transport.DEADLINE} == {outcome.transport for outcome in totals.outcomes}
    assert 0 == sum(times.count for times in totals.response_time.values())


def test_a_redirect_is_not_followed(run_server: RunServer, launch: Launch) -> None:
    """A 302 is an answer: the request has failed, and the key is sent nowhere else."""

    async def redirect(request: Any) -> None:
        await request.answer(
            302, b"{}", "Content-Type: application/json", f"Location: http://127.0.0.1:{server.port}/other"
        )

    with run_server(redirect) as server:
        done = launch(server, "--rate=20", "--arrivals=constant", "--duration=500ms").end()

    assert {"failed": 10} == results(done.run), done.errors
    assert 10 == len(server.requests)
    assert all(request.startswith(b"POST /production/run_remote ") for request in server.requests)
    assert {302} == {outcome.status for outcome in total(done.run.intervals).outcomes}


TASKS = {
    "before the request": "        raise ValueError('mine')\n",
    "after the answer": "        self.client.run_remote({})\n        raise ValueError('mine')\n",
}


@pytest.mark.parametrize(
    ("task", "user"),
    [("before the request", "OpenUser"), ("after the answer", "OpenUser"), ("after the answer", "ClosedUser")],
)
def test_an_exception_in_a_task_hides_no_request(
    run_server: RunServer, launch: Launch, tmp_path: Path, task: str, user: str
) -> None:
    """Requests sent before it are counted, the accounting adds up, and the run ends with an internal error."""
    (tmp_path / "mine.py").write_text(
        "from locust import task\n"
        f"from chainproof.loadtests import {user}\n"
        f"class Mine({user}):\n"
        "    @task\n"
        "    def mine(self):\n" + TASKS[task]
    )
    model = ("--model", "closed", "--users", "1") if user == "ClosedUser" else ("--rate", "20")
    with run_server(fine) as server:
        done = launch(server, *model, "--duration=5s", "--", "-f", str(tmp_path / "mine.py")).end()
    summary = summarise_load(done.run)

    assert 70 == done.code
    assert "ValueError" in done.errors
    assert Ending.INTERNAL_ERROR is done.run.end.ending
    assert len(server.requests) == summary.accounting.sent == summary.accounting.ok
    assert (task == "after the answer") is bool(server.requests)
    assert summary.accounting.adds_up


def process_tree(process: int) -> list[int]:
    """A process and its descendants, itself last."""
    children = Path(f"/proc/{process}/task/{process}/children").read_text().split()
    return [*(each for child in children for each in process_tree(int(child))), process]


@pytest.mark.parametrize("processes", [(), ("--processes", "2")])
def test_killed_runs_lose_at_most_the_last_two_seconds(
    run_server: RunServer, launch: Launch, processes: tuple[str, ...]
) -> None:
    """After SIGKILL of all processes, `reports` reads the folder, calls the run invalid, and misses at most two seconds."""
    with run_server(fine) as server:
        run = launch(server, "--rate=50", "--arrivals=constant", "--duration=60s", *processes)
        run.await_intervals(3 * max(1, len(processes)))
        killed = time.monotonic()
        for process in process_tree(run.process.pid):
            os.kill(process, signal.SIGKILL)
        run.process.communicate(timeout=20)
    report = subprocess.run(
        [sys.executable, "-P", "-m", "chainproof", "reports", str(run.folder)],
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    killed_run = read_run(run.folder)
    sent = total(killed_run.intervals).sent
    missing = server.arrival_times[sent:]

    assert 4 == report.returncode, report.stderr
    assert "cut off" in report.stdout
    assert killed_run.end is None
    assert sent > 50
    assert all(killed - instant < 2.0 for instant in missing)


def test_a_run_whose_master_was_killed_can_be_read(run_server: RunServer, launch: Launch) -> None:
    """The workers stop, and what they had reported is in the run folder."""
    with run_server(fine) as server:
        run = launch(server, "--rate=50", "--arrivals=constant", "--duration=60s", "--processes=2")
        run.await_intervals(4)
        master = run.locust()
        workers = process_tree(master)[:-1]
        os.kill(master, signal.SIGKILL)
        done = run.end()
        give_up = time.monotonic() + 20
        while any(Path(f"/proc/{worker}").exists() for worker in workers):
            assert time.monotonic() < give_up, "workers are still running without their master"
            time.sleep(0.1)
        sent_at_end = len(server.requests)
        time.sleep(0.5)

    assert 4 == done.code
    assert sent_at_end == len(server.requests)
    assert total(read_run(run.folder).intervals).sent > 50
