"""Tests of workers that join late, leave, come back or pause: the table of docs/distributed.md."""

from __future__ import annotations

import json
import signal
import subprocess
import time
import urllib.request
from array import array
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import zmq

from chainproof.contract.levels import Contract
from chainproof.judgement.load_summary import summarise_load
from chainproof.judgement.verdict import Verdict
from chainproof.loadtests.demand import Demand, Shard
from chainproof.loadtests.distributed import merge
from chainproof.loadtests.distributed.merge import DistributedRun, WorkerState
from chainproof.loadtests.distributed.messages import WorkerReport
from chainproof.loadtests.distributed.worker_token import TOKEN_VARIABLE
from chainproof.results.folder import find_runs, read_run
from chainproof.results.intervals.interval import total
from chainproof.results.manifest import Ending, RunEnd
from chainproof.workload.workload import Workload

from ...ordinary_chain.serving import wait_for_port
from ...ports import free_port
from ...waiting import PATIENCE, await_condition
from ..behaviours import fine
from ..conftest import locust_command, locust_environment
from .test_worker_protocol import TOKEN, limit, reports_of, simulated

RunServer = Callable[..., Any]


def locust(*words: str, folder: Path) -> subprocess.Popen[str]:
    """A Locust process of our locustfile, whose output is a file."""
    return subprocess.Popen(
        locust_command(*words),
        cwd=folder,
        stdin=subprocess.DEVNULL,
        stdout=(folder / "output").open("w"),
        stderr=subprocess.STDOUT,
        text=True,
        env=locust_environment(**{TOKEN_VARIABLE: TOKEN}),
    )


def await_text(path: Path, text: str, process: subprocess.Popen[str]) -> None:
    """Wait until a file contains a text."""
    await_condition(
        lambda: process.poll() is not None or (path.exists() and text in path.read_text()),
        lambda: path.read_text() if path.exists() else path,
    )
    assert text in path.read_text(), path.read_text()


@contextmanager
def workers(context: zmq.Context[Any], port: int, *names: str) -> Iterator[list[Any]]:
    """Simulated workers that are not yet connected."""
    plans = simulated.Plans()
    made = [simulated.SimulatedWorker(context, port, TOKEN, name, plans) for name in names]
    try:
        yield made
    finally:
        for each in made:
            each.socket.close(0)


def test_a_late_worker_waits_and_a_leaving_one_ends_the_run(run_server: RunServer, tmp_path: Path) -> None:
    """A worker that joins during a run gets no request. One that gets SIGTERM reports all of its requests first."""
    port, folder = free_port(), tmp_path / "run"
    with run_server(fine) as server, zmq.Context() as context, workers(context, port, "late_1") as late:
        words = ["--headless", "--master", f"--master-bind-port={port}", "--expect-workers=2", f"--out={folder}"]
        words += ["--target", server.target.origin, "--rate=60", "--duration=60s"]
        master = locust(*words, folder=tmp_path)
        (tmp_path / "0").mkdir()
        (tmp_path / "1").mkdir()
        real = [locust("--worker", f"--master-port={port}", folder=tmp_path / name) for name in "01"]
        await_text(folder / "intervals.jsonl", '"second":0', master)
        late[0].connect()
        await_text(tmp_path / "output", "3 workers connected", master)
        simulated.simulate(late, limit(0.2))
        real[0].send_signal(signal.SIGTERM)
        while master.poll() is None:
            simulated.simulate(late, limit(0.1))
        codes = [worker.wait(PATIENCE) for worker in real]
    run = read_run(folder)
    cumulative = total(run.intervals)

    assert "Got SIGTERM" not in (tmp_path / "0" / "output").read_text()  # Locust would end within its end
    assert run.end is not None
    assert (130, [0, 0]) == (master.returncode, codes), (tmp_path / "output").read_text()
    assert Ending.INTERRUPTED is run.end.ending
    assert run.end.note.startswith("worker ")
    assert run.end.note.endswith("got a signal and left")
    assert {"0", "1"} == {interval.worker for interval in run.intervals}
    assert len(server.requests) == cumulative.sent == run.end.accounting["ok"]
    assert cumulative.planned == cumulative.sent + cumulative.not_sent.total()


def test_a_worker_that_comes_back_takes_part_in_the_next_run(run_server: RunServer, tmp_path: Path) -> None:
    """The run that lost it is invalid and names it; the next run is complete, on the web page as in the run folder."""
    port, web = free_port(), free_port()

    def page(path: str, form: str | None = None) -> Any:
        with urllib.request.urlopen(f"http://127.0.0.1:{web}{path}", form.encode() if form else None) as answer:
            return json.loads(answer.read())

    def start_run(options: str, *working: Any) -> None:
        with ThreadPoolExecutor(1) as pool:  # the page answers when the workers are ready
            answer = pool.submit(page, "/swarm", f"user_count=1&spawn_rate=1&{options}")
            while not answer.done():
                simulated.simulate(list(working), limit(0.1))
        assert answer.result()["success"], answer.result()

    with run_server(fine) as server, zmq.Context() as context, workers(context, port, "a_1", "b_1", "b_2") as (a, b, c):
        words = ["--master", f"--master-bind-port={port}", f"--web-port={web}", "--target", server.target.origin]
        master = locust(*words, "--rate=40", "--duration=3s", folder=tmp_path)
        a.connect()
        try:
            await_text(tmp_path / "output", "1 workers connected", master)
            b.connect()
            await_text(tmp_path / "output", "2 workers connected", master)
            wait_for_port(web)
            start_run("duration=20s", a, b)
            path = find_started(tmp_path, 1, [a, b])
            simulated.simulate([a, b], limit(0.8))
            b.lose_report()
            give_up = time.monotonic() + PATIENCE
            while not (path / "end.json").exists():
                assert time.monotonic() < give_up
                simulated.simulate([a, b], limit(0.1))
            accounts = page("/stats/requests")["extended_stats"][2]["data"]
            c.connect()
            simulated.simulate([a, c], limit(0.8))
            start_run("duration=1s", a, c)
            path = find_started(tmp_path, 2, [a, c])
            while not (path / "end.json").exists():
                assert time.monotonic() < give_up
                simulated.simulate([a, c], limit(0.1))
        finally:
            master.kill()
            master.wait()
    first, second = (read_run(path) for path in find_runs(tmp_path / "runs"))

    assert first.end is not None
    assert second.end is not None
    assert [("1", "1 of its reports did not arrive; it ran on b")] == [
        (lost.worker, lost.why) for lost in first.end.lost_workers
    ]
    assert Verdict.INVALID is summarise_load(first).verdict
    assert any(
        row["what"] == "worker 1" and "lost: 1 of its reports did not arrive, host b" == row["meaning"]
        for row in accounts
    )
    assert (Ending.COMPLETED, ()) == (second.end.ending, second.end.lost_workers)
    assert second.end.accounting["planned"] == second.end.accounting["ok"] == total(second.intervals).sent
    assert 2 == second.manifest.settings["workers"]


def find_started(folder: Path, count: int, working: list[Any]) -> Path:
    """The latest of *count* run folders, once it exists; meanwhile the workers work."""
    give_up = time.monotonic() + PATIENCE
    while len(found := sorted(folder.glob("runs/*/manifest.json"))) < count:
        assert time.monotonic() < give_up
        simulated.simulate(working, limit(0.1))
    return max(found, key=lambda path: path.stat().st_mtime).parent


class _Sink:
    """A sink that keeps the end."""

    end: RunEnd | None = None

    def write_interval(self, _: Any) -> None: ...

    write_exemplar = write_finding = write_clause = write_requests = write_interval

    def finish(self, end: RunEnd) -> None:
        self.end = end


def test_a_pause_of_the_master_itself_loses_no_worker(monkeypatch: pytest.MonkeyPatch) -> None:
    """Reports that wait while the master is paused for 30 s are read afterwards."""
    demand = Demand(workload=Workload(name="w", rate=40.0, duration=3.0), contract=Contract.STRICT, seed=0)
    states = [WorkerState(client=name, shard=Shard(index=index, of=2)) for index, name in enumerate(("a", "b"))]
    sink, clock = _Sink(), [100.0]
    monkeypatch.setattr(merge.time, "monotonic", lambda: clock[0])
    plan: array[float] = demand.plan()
    run = DistributedRun(demand, plan, states, sink, halt=lambda _: None, terminate_worker=lambda _: "")
    run.begin(100.0)
    waiting = [(name, octets) for index, name in enumerate("ab") for octets in reports_of(index)]

    def wait(_: float) -> None:
        clock[0] += 30.0 if len(waiting) == 8 else 0.25
        if clock[0] > 131.0:
            while waiting:
                name, octets = waiting.pop(0)
                report = WorkerReport.decode(octets)
                assert report is not None
                run.add_report(name, report)

    monkeypatch.setattr(run, "_changed", SimpleNamespace(wait=wait, clear=lambda: None, set=lambda: None))
    run.supervise()

    assert sink.end is not None
    assert (Ending.COMPLETED, ()) == (sink.end.ending, sink.end.lost_workers)
