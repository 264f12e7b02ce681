"""No request is missing in the record after slow answers, killed processes, redirects, slow bytes or exceptions in tasks."""

from __future__ import annotations

import asyncio
import errno
import os
import signal
import sys
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import gevent
import pytest

from chainproof.judgement.load_summary import summarise_load
from chainproof.results.exchange import Result, Transport
from chainproof.results.folder import Run, read_run
from chainproof.results.intervals.interval import total
from chainproof.results.manifest import Ending

from ...processes import run_process
from ...waiting import PATIENCE
from ..behaviours import answer_after, fine

Launch = Callable[..., Any]
RunServer = Callable[..., Any]

ALL_CASES = os.environ.get("CHAINPROOF_SAMPLE") == "all"
DISTRIBUTED_FIRST: list[tuple[str, ...]] = [("--processes", "2"), ()]
FIVE_USERS = ("--model", "closed", "--users", "5")


def results(run: Run) -> dict[str, int]:
    """How many requests have each result, without zeros."""
    summary = summarise_load(run)
    assert summary.accounting.adds_up
    totals = total(run.intervals)
    return {result.value: totals.count(result) for result in Result if totals.count(result)}


@pytest.mark.parametrize("processes", DISTRIBUTED_FIRST if ALL_CASES else DISTRIBUTED_FIRST[:1])
def test_requests_slower_than_the_run_are_counted(
    run_server: RunServer, launch: Launch, processes: tuple[str, ...]
) -> None:
    """Five users and answers after 1.5 s in a run of 0.5 s give five answers of 1.5 s."""
    with run_server(answer_after(1.5)) as server:
        done = launch(server, *FIVE_USERS, "--duration=500ms", *processes).end()
    totals = total(done.run.intervals)

    assert {"ok": 5} == results(done.run), done.errors
    assert 5 == len(server.requests)
    assert 1.4 < (totals.service_time[Result.OK].min or 0)
    assert Ending.COMPLETED is done.run.end.ending


MODELS = [FIVE_USERS, ("--rate", "10", "--arrivals", "constant")]


@pytest.mark.parametrize("model", MODELS if ALL_CASES else MODELS[:1])
def test_requests_in_flight_at_the_end_of_the_drain_are_censored(
    run_server: RunServer, launch: Launch, model: tuple[str, ...]
) -> None:
    """Censored requests are counted with their age. What they leave open is inconclusive, and --drain is named."""
    with run_server(answer_after(500.0)) as server:
        options = ["--duration=500ms", "--drain=500ms", "--objective=error_rate < 50%"]
        done = launch(server, *model, *options).end()

    assert {"censored": 5} == results(done.run), done.errors
    assert 0.85 <= done.run.end.seconds < 100
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
    assert 1.0 <= done.run.end.seconds < 7  # the answer takes 8 s
    assert {Transport.DEADLINE} == {outcome.transport for outcome in totals.outcomes}
    assert 0 == sum(times.count for times in totals.response_time.values())


def test_a_redirect_is_not_followed(run_server: RunServer, launch: Launch) -> None:
    """A 302 is an answer: the request has failed, and the key is sent nowhere else."""

    async def redirect(request: Any) -> None:
        await request.answer(
            302, b"{}", "Content-Type: application/json", f"Location: http://127.0.0.1:{server.port}/other"
        )

    with run_server(redirect) as server:
        done = launch(server, "--rate=50", "--arrivals=constant", "--duration=200ms").end()

    assert {"failed": 10} == results(done.run), done.errors
    assert 10 == len(server.requests)
    assert all(request.startswith(b"POST /production/run_remote ") for request in server.requests)
    assert {302} == {outcome.status for outcome in total(done.run.intervals).outcomes}


TASKS = {
    "before the request": "        raise ValueError('mine')\n",
    "after the answer": "        self.client.run_remote({})\n        raise ValueError('mine')\n",
}


TASKS_OF_USERS = [
    ("before the request", "OpenUser"),
    ("after the answer", "ClosedUser"),
    ("after the answer", "OpenUser"),
]


@pytest.mark.parametrize(("task", "user"), TASKS_OF_USERS if ALL_CASES else TASKS_OF_USERS[:2])
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


@pytest.mark.parametrize("processes", DISTRIBUTED_FIRST if ALL_CASES else DISTRIBUTED_FIRST[:1])
def test_killed_runs_lose_at_most_the_last_two_seconds(
    run_server: RunServer, launch: Launch, processes: tuple[str, ...]
) -> None:
    """After SIGKILL of all processes, `reports` reads the folder, calls the run invalid, and has every request of the seconds before."""
    with run_server(fine) as server:
        run = launch(server, "--rate=50", "--arrivals=constant", "--duration=60s", *processes)
        run.await_intervals(2 * max(1, len(processes)))
        for process in process_tree(run.process.pid):
            os.kill(process, signal.SIGKILL)
        run.process.communicate(timeout=PATIENCE)
    report = run_process([sys.executable, "-P", "-m", "chainproof", "reports", str(run.folder)])
    killed_run = read_run(run.folder)
    by_second = Counter[int]()
    for interval in killed_run.intervals:
        by_second[interval.second] += interval.planned

    assert 4 == report.returncode, report.stderr
    assert "cut off" in report.stdout
    assert killed_run.end is None
    assert 50 == by_second[0]
    assert total(killed_run.intervals).sent <= len(server.requests)
    # With workers, the last second may be known from one of them only.
    assert {50} == {count for second, count in by_second.items() if second < max(by_second)}


@pytest.mark.parametrize(
    ("context", "error", "ends"),
    [
        (gevent.Greenlet(), OSError(errno.EMFILE, "too many open files"), True),
        ({"PATH_INFO": "/"}, OSError(errno.EMFILE, "too many open files"), False),
        ({"PATH_INFO": "/"}, MemoryError(), True),
    ],
)
def test_a_greenlet_that_the_machine_ended_is_no_error_of_ours(
    context: object, error: Exception, ends: bool, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Such as Locust's own monitor without open files: the run ends as invalid. A request of the web page ends alone."""
    monkeypatch.setenv("LOCUST_SKIP_MONKEY_PATCH", "1")  # Locust would patch this process when it is imported
    from chainproof.loadtests.distributed.writer_session import LocalSession  # noqa: PLC0415  # after the variable is set

    faults: list[str] = []
    session = LocalSession.__new__(LocalSession)
    session.run = cast(Any, SimpleNamespace(end_by_machine=faults.append))
    session.on_greenlet_error(context, type(error), error, None)

    assert [ends] == [bool(fault) for fault in faults or [""]]
    assert ends or "too many open files; raise the limit" in capsys.readouterr().err
