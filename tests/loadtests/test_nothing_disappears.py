"""
What vanishes from the records of other load generators is on ours: slow requests at the end, killed processes, redirects,
answers that drip, and whatever a user's own code does to itself.
"""

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


def taking(seconds: float) -> Callable[[Any], Any]:
    """
    A target that answers after so long.
    """

    async def slow(told: Any) -> None:
        await asyncio.sleep(seconds)
        await told.answer()

    return slow


async def fine(told: Any) -> None:
    """As it should be."""
    await told.answer()


def results(run: Run) -> dict[str, int]:
    """
    What became of the requests, those results left out that none met.
    """
    summary = summarise_load(run)
    assert summary.accounting.adds_up
    whole = total(run.intervals)
    return {result.value: whole.count(result) for result in Result if whole.count(result)}


@pytest.mark.parametrize(("lasting", "taken", "processes"), [(3.0, 5.0, ()), (1.0, 2.0, ("--processes", "2"))])
def test_requests_slower_than_the_run_are_awaited(
    run_server: RunServer, launch: Launch, lasting: float, taken: float, processes: tuple[str, ...]
) -> None:
    """
    Five users, answers after 5 s, a run of 3 s: five requests, five answers of 5 s, and not a report of nothing.
    """
    with run_server(taking(taken)) as server:
        done = launch(server, *FIVE_USERS, f"--duration={lasting}s", *processes).end()
    whole = total(done.run.intervals)

    assert {"ok": 5} == results(done.run), done.errors
    assert 5 == len(server.requests)
    assert taken - 0.1 < whole.service_time[Result.OK].quantile(0.5) < taken + 0.5
    assert Ending.COMPLETED is done.run.end.ending


@pytest.mark.parametrize("model", [FIVE_USERS, ("--rate", "10", "--arrivals", "constant")])
def test_a_drain_has_a_bound_of_its_own(run_server: RunServer, launch: Launch, model: tuple[str, ...]) -> None:
    """
    What is unanswered when it is reached is censored, counted, and held against the objectives.
    """
    begun = time.monotonic()
    with run_server(taking(50.0)) as server:
        words = ["--duration=500ms", "--drain=500ms", "--objective=error_rate < 50%"]
        done = launch(server, *model, *words).end()

    assert {"censored": 5} == results(done.run), done.errors
    assert time.monotonic() - begun < 20
    assert 0.85 <= done.run.end.seconds < 4
    assert "UNANSWERED" in {caveat.code for caveat in summarise_load(done.run).caveats}
    assert 0.5 == done.run.manifest.settings["drain_s"]


def test_a_deadline_covers_every_byte(run_server: RunServer, launch: Launch) -> None:
    """
    A byte now and then keeps a read alive, and no request beyond its deadline.
    """

    async def drip(told: Any) -> None:
        for octet in b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}":
            await told.send_bytes(bytes([octet]))
            await asyncio.sleep(0.2)

    with run_server(drip) as server:
        done = launch(server, *FIVE_USERS, "--duration=500ms", "--deadline=1s").end()
    whole = total(done.run.intervals)

    assert {"timed_out": 5} == results(done.run), done.errors
    assert 1.0 <= done.run.end.seconds < 3
    assert {Transport.DEADLINE} == {outcome.transport for outcome in whole.outcomes}
    assert 0 == sum(times.count for times in whole.response_time.values())


def test_a_redirect_is_an_answer(run_server: RunServer, launch: Launch) -> None:
    """
    A POST that is answered 302 is not replayed as a GET: the key goes nowhere else, and the request has failed.
    """

    async def redirect(told: Any) -> None:
        await told.answer(
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
def test_an_exception_of_the_users_own_hides_no_request(
    run_server: RunServer, launch: Launch, tmp_path: Path, task: str, user: str
) -> None:
    """
    Whatever was sent before it is on record, the accounts add up, and the run is broken, which is nobody else's fault.
    """
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


def family(process: int) -> list[int]:
    """
    A process and all that it started, itself last.
    """
    children = Path(f"/proc/{process}/task/{process}/children").read_text().split()
    return [*(each for child in children for each in family(int(child))), process]


@pytest.mark.parametrize("processes", [(), ("--processes", "2")])
def test_after_everything_was_killed_the_folder_tells_all_but_the_last_seconds(
    run_server: RunServer, launch: Launch, processes: tuple[str, ...]
) -> None:
    """
    Kill -9 of every process at once: reports reads the folder, calls the run invalid, and it is two seconds short at most.
    """
    with run_server(fine) as server:
        run = launch(server, "--rate=50", "--arrivals=constant", "--duration=60s", *processes)
        run.await_intervals(3 * max(1, len(processes)))
        killed = time.monotonic()
        for process in family(run.process.pid):
            os.kill(process, signal.SIGKILL)
        run.process.communicate(timeout=20)
    report = subprocess.run(
        [sys.executable, "-P", "-m", "chainproof", "reports", str(run.folder)],
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    found = read_run(run.folder)
    sent = total(found.intervals).sent
    missing = server.arrival_times[sent:]

    assert 4 == report.returncode, report.stderr
    assert "cut off" in report.stdout
    assert found.end is None
    assert sent > 50
    assert all(killed - instant < 2.0 for instant in missing)


def test_after_a_masters_death_the_folder_can_be_read(run_server: RunServer, launch: Launch) -> None:
    """
    Its workers stop by themselves, and what they had reported stays.
    """
    with run_server(fine) as server:
        run = launch(server, "--rate=50", "--arrivals=constant", "--duration=60s", "--processes=2")
        run.await_intervals(4)
        master = run.locust()
        workers = family(master)[:-1]
        os.kill(master, signal.SIGKILL)
        done = run.end()
        give_up = time.monotonic() + 20
        while any(Path(f"/proc/{worker}").exists() for worker in workers):
            assert time.monotonic() < give_up, "workers go on without their master"
            time.sleep(0.1)
        silent = len(server.requests)
        time.sleep(0.5)

    assert 70 == done.code
    assert silent == len(server.requests)
    assert total(read_run(run.folder).intervals).sent > 50
