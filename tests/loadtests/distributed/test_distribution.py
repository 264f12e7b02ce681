"""Tests of distributed runs: same plan, same counts, and lost workers are detected."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from array import array
from collections import Counter
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chainproof.command import build_parser
from chainproof.contract.levels import Contract
from chainproof.endpoint import start_emulator
from chainproof.loadtests.command import LOCUSTFILE
from chainproof.loadtests.demand import Demand, Shard, demand
from chainproof.loadtests.distributed.merge import DistributedRun, WorkerState, closing_intervals
from chainproof.loadtests.distributed.messages import Assignment, WorkerReport
from chainproof.loadtests.distributed.worker_token import TOKEN_VARIABLE
from chainproof.loadtests.options import OPTIONS
from chainproof.processes import chainproof_command
from chainproof.results.exchange import NotSent, Outcome, Result, Transport
from chainproof.results.folder import read_run
from chainproof.results.intervals.interval import Interval, total
from chainproof.results.manifest import Ending, RunEnd, Side
from chainproof.target_options import TargetOptions
from chainproof.workload.workload import Workload

from ...ports import free_port
from ...processes import start_process
from ...waiting import PATIENCE, await_condition
from ..behaviours import answer_after, fine
from ..conftest import adds_up, assert_times_agree, is_late, locust_command, locust_environment

Launch = Callable[..., Any]
RunServer = Callable[..., Any]
TOKEN = "a-token-for-tests-only"
ALL_CASES = os.environ.get("CHAINPROOF_SAMPLE") == "all"
OK = Outcome(Transport.ANSWERED, 200, None, Result.OK)


SCENARIO = """
service_time = { median = "20ms", p99 = "60ms" }
[errors]
rate_limited = 0.05
"""


def test_two_processes_send_the_same_plan_as_one(launch: Launch, tmp_path: Path) -> None:
    """The plan is that of its seed, the counts equal the access log, and both workers sent half of the requests."""
    scenario, access_log = tmp_path / "scenario.toml", tmp_path / "access.jsonl"
    scenario.write_text(SCENARIO)
    emulator = (*chainproof_command("emulator", str(scenario), "--access-log", str(access_log)), "--")
    words = ("--rate=150", "--duration=1s", "--seed=7", "--record-requests=1000")
    run = launch(None, *words, "--processes", "2", wrapper=emulator).end().run
    lines = [json.loads(line) for line in access_log.read_text().splitlines()]
    planned = demand(build_parser("loadtests", "…", options=OPTIONS).parse_args(words), None)
    cumulative = total(run.intervals)
    statuses = Counter[int | None]()
    for outcome, count in cumulative.outcomes.items():
        statuses[outcome.status] += count
    shares = Counter[str]()
    for interval in run.intervals:
        shares[interval.worker] += interval.sent

    assert planned.settings(planned.plan())["plan"] == run.manifest.settings["plan"]
    assert 2 == run.manifest.settings["workers"]
    assert len(planned.plan()) == cumulative.planned == cumulative.sent == len(lines)
    assert Counter(line["status"] for line in lines) == statuses
    assert {"0": -(-cumulative.sent // 2), "1": cumulative.sent // 2} == shares
    assert adds_up(run)
    assert_times_agree(run, lines)


def locust(*words: str, key: str = "key") -> subprocess.Popen[str]:
    """A Locust process of our locustfile."""
    command = locust_command("--headless", "--only-summary", *words)
    return start_process(command, env=locust_environment(key, **{TOKEN_VARIABLE: TOKEN}))


def test_a_master_with_two_workers_agrees_with_the_access_log(tmp_path: Path) -> None:
    """With `--master` and two `--worker`, counts by status equal the access log, and every planned request is sent."""
    scenario, access_log, folder, port = tmp_path / "s.toml", tmp_path / "access.jsonl", tmp_path / "run", free_port()
    scenario.write_text(SCENARIO)
    with start_emulator(str(scenario), options=("--access-log", str(access_log))) as served:
        words = ["--target", served.target.origin, "--rate=150", "--duration=1s", f"--out={folder}"]
        words += ["--record-requests=1000"]
        bind = ["--master-bind-host=127.0.0.1", f"--master-bind-port={port}", "--expect-workers=2"]
        key = served.key.reveal()
        master = locust("--master", *bind, *words, key=key)
        workers = [locust("--worker", "--master-host=127.0.0.1", f"--master-port={port}", key=key) for _ in range(2)]
        output = master.communicate(timeout=PATIENCE)[0]
        for worker in workers:
            worker.communicate(timeout=PATIENCE)
    run = read_run(folder)
    lines = [json.loads(line) for line in access_log.read_text().splitlines()]
    cumulative, statuses = total(run.intervals), Counter[int | None]()
    for outcome, count in cumulative.outcomes.items():
        statuses[outcome.status] += count

    assert cumulative.planned == cumulative.sent == len(lines), output
    assert Counter(line["status"] for line in lines) == statuses
    assert {"0", "1"} == {interval.worker for interval in run.intervals if interval.sent}
    assert adds_up(run)
    assert_times_agree(run, lines)


def test_a_master_divides_users_and_limits_among_its_workers(run_server: RunServer, tmp_path: Path) -> None:
    """Users are divided exactly, and every answer is counted once."""
    port, folder = free_port(), tmp_path / "run"
    with run_server(answer_after(0.05)) as server:
        words = ["--target", server.target.origin, "--model=closed", "--users=5", "--duration=1s", f"--out={folder}"]
        bind = ["--master-bind-host=127.0.0.1", f"--master-bind-port={port}", "--expect-workers=2"]
        master = locust("--master", *bind, *words)
        workers = [locust("--worker", "--master-host=127.0.0.1", f"--master-port={port}") for _ in range(2)]
        output = master.communicate(timeout=PATIENCE)[0]
        for worker in workers:
            worker.communicate(timeout=PATIENCE)
        ended = [worker.returncode for worker in workers]
    run = read_run(folder)
    cumulative = total(run.intervals)
    in_flight_max = {"0": 0, "1": 0}
    for interval in run.intervals:
        # The maximum over all seconds: on a busy machine the workers may start seconds after their master.
        in_flight_max[interval.worker] = max(in_flight_max[interval.worker], interval.in_flight_max)

    assert [0, 0] == ended, output
    assert master.returncode == 0 or (master.returncode == 4 and is_late(run)), output
    assert in_flight_max in ({"0": 3, "1": 2}, {"0": 2, "1": 3})
    assert len(server.requests) == cumulative.sent == cumulative.count(Result.OK) > 10
    assert adds_up(run)


def test_restarted_workers_take_part_in_every_probe_of_a_search(run_server: RunServer, tmp_path: Path) -> None:
    """Each probe uses the two connected workers, which exit after it and are restarted for the next probe."""
    port, folder, give_up = free_port(), tmp_path / "search", time.monotonic() + PATIENCE
    worker_options = ["--worker", "--master-host=127.0.0.1", f"--master-port={port}"]
    with run_server(fine) as server:
        words = [
            "--rate=20",
            "--search-max-rate=40",
            "--duration=500ms",
            "--warm-up=0s",
            "--objective=error_rate < 50%",
        ]
        words += ["--workers=2", f"--target={server.target.origin}", f"--out={folder}"]
        words += ["--", "--master-bind-host=127.0.0.1", f"--master-bind-port={port}"]
        search = start_process(
            [sys.executable, "-P", "-m", "chainproof", "loadtests", "saturation", "--no-html", *words],
            env={**os.environ, "BASETEN_API_KEY": "key", TOKEN_VARIABLE: TOKEN},
        )
        workers = [locust(*worker_options) for _ in range(2)]
        while search.poll() is None and time.monotonic() < give_up:
            workers = [worker if worker.poll() is None else locust(*worker_options) for worker in workers]
            with suppress(subprocess.TimeoutExpired):
                search.wait(0.2)
        for process in (search, *workers):
            process.kill()
        output = search.communicate()[0]
    found = json.loads((folder / "search.json").read_text())
    runs = [read_run(folder / probe["folder"]) for probe in found["probes"]]

    assert 3 == search.returncode, output  # the highest rate met the objectives, so there is no limit to report
    assert [20, 40] == [probe["rate"] for probe in found["probes"]], output
    assert [2, 2] == [run.manifest.settings["workers"] for run in runs]
    assert all({"0", "1"} == {interval.worker for interval in run.intervals if interval.sent} for run in runs)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM] if ALL_CASES else [signal.SIGINT])
def test_a_signal_drains_every_worker(run_server: RunServer, launch: Launch, number: signal.Signals) -> None:
    """SIGINT and SIGTERM reach the workers through the master; in-flight requests are drained and accounted for."""
    with run_server(answer_after(0.5)) as server:
        run = launch(server, "--rate", "100", "--duration", "60s", "--processes", "2")
        run.await_intervals(2)
        run.send(number)
        done = run.end()
    cumulative = total(done.run.intervals)

    assert 130 == done.code, done.errors
    assert Ending.INTERRUPTED is done.run.end.ending
    assert cumulative.sent == cumulative.count(Result.OK) == len(server.requests)
    assert adds_up(done.run)


def workers_of(process: int) -> list[int]:
    """The worker processes of a Locust master."""
    children = Path(f"/proc/{process}/task/{process}/children").read_text().split()
    return [int(child) for child in children if b"locustfile.py" in Path(f"/proc/{child}/cmdline").read_bytes()]


def test_lost_workers_make_the_run_invalid(run_server: RunServer, launch: Launch) -> None:
    """A killed and a hanging worker end the run with verdict invalid and exit code 4; the report names them and the time."""
    with run_server(fine) as server:
        run = launch(server, "--rate", "60", "--duration", "600s", "--processes", "3")
        run.await_intervals(3)
        killed, hanging, _ = workers_of(run.locust())
        os.kill(hanging, signal.SIGSTOP)
        os.kill(killed, signal.SIGKILL)
        done = run.end()
    end = done.run.end
    exercised = {count.clause: count.exercised for count in done.run.clauses}["status"]

    assert 4 == done.code, done.errors
    assert total(done.run.intervals).answered <= exercised <= len(server.requests)
    assert 2 <= len(end.lost_workers)  # on a busy machine the third one may be lost, too
    assert all(lost.start < lost.end < 600 for lost in end.lost_workers)
    assert "WORKER_LOST" in done.output
    for lost in end.lost_workers:
        assert f"Worker {lost.worker} did not report from" in " ".join(done.output.split())
    assert adds_up(done.run)


def test_workers_do_not_outlive_their_master(run_server: RunServer, launch: Launch) -> None:
    """After kill -9 of the master no worker keeps sending, and what they had reported is in the run folder."""
    with run_server(fine) as server:
        run = launch(server, "--rate", "60", "--duration", "60s", "--processes", "2")
        run.await_intervals(2)
        master = run.locust()
        workers = workers_of(master)
        os.kill(master, signal.SIGKILL)
        done = run.end()
        await_condition(lambda: not any(Path(f"/proc/{worker}").exists() for worker in workers))

    assert 4 == done.code
    assert 2 == len(workers)
    assert total(done.run.intervals).sent > 20


def test_a_worker_without_a_key_stops_the_run_before_its_first_request(run_server: RunServer, tmp_path: Path) -> None:
    """The master shows the worker's error with the worker's name, the worker shows it too, and nothing is sent."""
    port = free_port()
    with run_server(fine) as server:
        words = ["--target", server.target.origin, "--duration=2s", f"--out={tmp_path / 'run'}"]
        bind = ["--master-bind-host=127.0.0.1", f"--master-bind-port={port}", "--expect-workers=1"]
        master = locust("--master", *bind, *words)
        keyless = {name: value for name, value in os.environ.items() if name != "BASETEN_API_KEY"}
        worker = subprocess.Popen(
            [
                sys.executable,
                "-m",
                "locust",
                "-f",
                str(LOCUSTFILE),
                "--worker",
                f"--master-port={port}",
                "--rate=9",
                "-t",
                "1s",
            ],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
            env={**keyless, TOKEN_VARIABLE: TOKEN, "LOCUST_SKIP_MONKEY_PATCH": ""},
        )
        output = master.communicate(timeout=PATIENCE)[0]
        errors = worker.communicate(timeout=PATIENCE)[1]

    assert 2 == master.returncode, output
    assert "chainproof loadtests: no API key" in errors
    assert "chainproof loadtests: a worker does not use --duration, --rate: its master decides" in errors
    assert "worker 0" in output
    assert "no API key: expected one in the environment variable BASETEN_API_KEY" in output
    assert [] == server.requests
    assert not (tmp_path / "run").exists()


# ------------------------------------------------------------------ merging, without processes


class MemorySink:
    """A sink that stores the intervals and the end."""

    def __init__(self) -> None:
        self.intervals: list[Interval] = []
        self.end: RunEnd | None = None

    def write_interval(self, interval: Interval) -> None:
        self.intervals.append(interval)

    def write_exemplar(self, _: Any) -> None: ...

    def write_finding(self, _: Any) -> None: ...

    def write_clause(self, _: Any) -> None: ...
    def write_requests(self, _: Any) -> None: ...

    def finish(self, end: RunEnd) -> None:
        self.end = end


@given(
    st.lists(st.floats(0, 9, exclude_max=True), max_size=60).map(sorted),
    st.integers(0, 9),
    st.lists(st.sampled_from(["ok", "in flight", "not sent"]), max_size=60),
)
def test_every_request_of_a_lost_worker_is_accounted_for(starts: list[float], reports: int, results: list[str]) -> None:
    """Each planned request is sent or not sent, and each sent request has a result."""
    worker_state = WorkerState(client="a", shard=Shard())
    for second in range(reports):
        interval = Interval(second=second)
        for number, start in enumerate(starts):
            if int(start) == second:
                result = results[number % len(results)] if results else "ok"
                interval.count_planned()
                if result == "not sent":
                    interval.count_not_sent(NotSent.MAX_IN_FLIGHT)
                else:
                    interval.count_all_sent([0.0])
                    if result == "ok":
                        interval.count_outcomes(OK, [0.1], [0.1])
        worker_state.add_report(WorkerReport(run="", number=second, complete_until=second + 1.0, intervals=[interval]))
    unreported = Counter((int(start), None) for start in starts) - worker_state.planned
    cumulative = total([worker_state.cumulative, *closing_intervals(worker_state, unreported)])

    assert len(starts) == cumulative.planned == cumulative.sent + cumulative.not_sent.total()
    assert cumulative.sent == cumulative.outcomes.total()


def test_a_missing_report_makes_a_worker_lost() -> None:
    """Later reports of that worker are ignored."""
    halted: list[str] = []
    terminated: list[WorkerState] = []
    sink = MemorySink()
    run = DistributedRun(
        Demand(workload=Workload(name="w"), contract=Contract.STRICT, seed=0),
        array("d", [0.5, 1.5, 2.5]),
        [WorkerState(client="a", shard=Shard())],
        sink,
        halt=halted.append,
        terminate_worker=terminated.append,
    )
    run.begin(time.monotonic())
    first, third = Interval(second=0), Interval(second=2)
    first.count_planned()
    first.count_all_sent([0.0])
    first.count_outcomes(OK, [0.1], [0.1])
    run.add_report(
        "a", WorkerReport(run="", number=0, complete_until=1.0, intervals=[first], accounting={"planned": 3})
    )
    run.add_report("a", WorkerReport(run="", number=2, complete_until=3.0, intervals=[third]))
    run.supervise()

    assert sink.end is not None
    assert [("0", 1.0, "1 of its reports did not arrive; it ran on a")] == [
        (w.worker, w.start, w.why) for w in sink.end.lost_workers
    ]
    assert {"planned": 3, "sent": 1, "not_sent": 2, "ok": 1}.items() <= sink.end.accounting.items()
    assert (["interrupt"], ["a"]) == (halted, [state.client for state in terminated])


@given(st.integers(1, 9), st.integers(0, 100))
def test_a_number_is_divided_exactly(workers: int, number: int) -> None:
    """The parts of a limit or of users add up to the total, and differ by at most one."""
    parts = [Shard(index=index, of=workers).share_of(number) for index in range(workers)]

    assert number == sum(parts)
    assert max(parts) - min(parts) <= 1


def test_an_assignment_survives_encoding() -> None:
    """The demand and the target are the same after encoding and decoding."""
    demand = Demand(workload=Workload(name="w", rate=3.5, deadline=1.25), contract=Contract.DOCUMENTED, seed=7)
    assignment = Assignment(
        run="r",
        shard=Shard(index=1, of=3),
        demand=demand,
        target=TargetOptions(url="http://[::1]:1", headers=(("A", "b"),)),
        emulated=True,
        duet_side=Side.BASELINE,
    )

    assert assignment == Assignment.decode(assignment.encode())
