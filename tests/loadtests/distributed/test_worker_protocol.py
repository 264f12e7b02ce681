"""Tests of what arrives at a master's port: only workers with the token are accepted, and nothing that they send ends the run."""

from __future__ import annotations

import importlib.util
import os
import random
import signal
import socket
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import msgpack
import orjson
import pytest
import zmq

from chainproof.contract.levels import Contract
from chainproof.errors import UsageError
from chainproof.judgement.verdict import ExitCode
from chainproof.loadtests.demand import Demand, Shard
from chainproof.loadtests.distributed.locust_messages import Ignored, is_valid
from chainproof.loadtests.distributed.merge import DistributedRun, WorkerState
from chainproof.loadtests.distributed.messages import REPORT, Assignment, ReadyMessage, WorkerReport
from chainproof.loadtests.distributed.worker_token import (
    TOKEN_FILE_VARIABLE,
    TOKEN_VARIABLE,
    find_token,
    required_token,
    secret_key,
)
from chainproof.loadtests.locust_process import reserve_port
from chainproof.results.folder import Run, read_run
from chainproof.results.intervals.interval import total
from chainproof.results.manifest import Ending, RunEnd
from chainproof.target_options import TargetOptions
from chainproof.workload.workload import Workload

from ...ports import free_port
from ...processes import start_process
from ...waiting import PATIENCE
from ..conftest import is_late, locust_command, locust_environment

TOKEN = "a-token-for-tests-only"
SAMPLES = 20_000 if os.environ.get("CHAINPROOF_SAMPLE") == "all" else 1500
PATH = Path(__file__).parents[3] / "benchmarks" / "simulated_worker.py"


def load_simulated_worker() -> Any:
    """The module of the benchmarks."""
    spec = importlib.util.spec_from_file_location("simulated_worker", PATH)
    assert spec is not None
    assert spec.loader is not None
    module = sys.modules["simulated_worker"] = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


simulated = load_simulated_worker()


# ------------------------------------------------------------------ the token


def test_a_token_comes_from_a_variable_or_a_file(tmp_path: Path) -> None:
    """Surrounding white space does not count, so that a file may end in a line feed."""
    path = tmp_path / "token"
    path.write_text(f"{TOKEN}\n")

    assert find_token({}) is None
    assert TOKEN == find_token({TOKEN_VARIABLE: f" {TOKEN}"}) == find_token({TOKEN_FILE_VARIABLE: str(path)})


@pytest.mark.parametrize(
    ("environment", "expected"),
    [
        ({}, "expected a shared token for master and workers in CHAINPROOF_WORKER_TOKEN"),
        ({TOKEN_VARIABLE: "short"}, "of at least 16 characters in CHAINPROOF_WORKER_TOKEN, found 5"),
        ({TOKEN_FILE_VARIABLE: "/does/not/exist"}, "cannot read the worker token /does/not/exist"),
        ({TOKEN_VARIABLE: TOKEN, TOKEN_FILE_VARIABLE: "token"}, "found both"),
    ],
)
def test_a_missing_or_wrong_token_is_a_usage_error(environment: dict[str, str], expected: str) -> None:
    """The message says what is expected, and does not show the token."""
    with pytest.raises(UsageError) as raised:
        required_token(environment)

    assert expected in str(raised.value)
    assert TOKEN not in str(raised.value)


def test_every_token_has_its_own_key() -> None:
    """The same token gives the same key, another token another key."""
    assert secret_key(TOKEN) == secret_key(TOKEN) != secret_key(f"{TOKEN}.")


# ------------------------------------------------------------------ fuzzing, without processes


Parse = Callable[[list[bytes]], Any]


@pytest.fixture
def parse_message(monkeypatch: pytest.MonkeyPatch) -> Parse:
    """The reader of messages. Locust would patch this process when it is imported."""
    monkeypatch.setenv("LOCUST_SKIP_MONKEY_PATCH", "1")
    from chainproof.loadtests.distributed import transport  # noqa: PLC0415  # after the variable is set

    return transport.parse_message


def test_a_worker_loses_no_message_that_arrives_before_it_listens(monkeypatch: pytest.MonkeyPatch) -> None:
    """Only the acknowledgement, which Locust's connection waits for, is returned before."""
    monkeypatch.setenv("LOCUST_SKIP_MONKEY_PATCH", "1")
    import gevent  # noqa: PLC0415  # after the variable is set
    from gevent.event import Event  # noqa: PLC0415

    from chainproof.loadtests.distributed import transport  # noqa: PLC0415

    messages = iter(msgpack.dumps([kind, None, "worker"]) for kind in ("ack", "chainproof.prepare"))
    client = transport.Client.__new__(transport.Client)
    client.socket = SimpleNamespace(recv=messages.__next__)
    monkeypatch.setattr(transport, "LISTENING", Event())
    first, second = client.recv(), gevent.spawn(client.recv)
    gevent.sleep(0)
    waits = not second.ready()
    transport.LISTENING.set()

    assert "ack" == first.type
    assert waits
    assert "chainproof.prepare" == second.get(timeout=PATIENCE).type


def test_the_port_of_a_master_is_reserved_until_the_master_has_it() -> None:
    """Another server cannot bind it, before and while the master listens."""
    with reserve_port() as reserved, socket.socket() as master:
        address = reserved.getsockname()
        with pytest.raises(OSError, match="in use"), socket.socket() as other:
            other.bind(address)
        master.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        master.bind(address)
        master.listen()
        with pytest.raises(OSError, match="in use"):
            socket.create_server(address)
        with socket.create_connection(address):
            pass


@pytest.mark.parametrize("host", ["127.0.0.1", "192.0.2.1"])
def test_an_address_that_a_master_cannot_have_is_a_usage_error(
    host: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """The port has another server, or the machine has no such address: one line says so, without a traceback."""
    monkeypatch.setenv("LOCUST_SKIP_MONKEY_PATCH", "1")
    from chainproof.loadtests.distributed import transport  # noqa: PLC0415  # after the variable is set

    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        with pytest.raises(SystemExit) as ended:
            transport.Server(host, port)

    assert ExitCode.USAGE == ended.value.code
    assert f"cannot listen on {host} port {port}: " in capsys.readouterr().err


def mutated(value: Any, chance: random.Random) -> Any:
    """A JSON value in which one part is replaced, removed or added."""
    others: list[Any] = [None, True, -1, 7.5, 1e308, 2**62, "", "x", [], {}, [[]], {"a": 1}, b"\xff"]
    if isinstance(value, dict) and value and chance.random() < 0.9:
        key = chance.choice(list(value))
        copy = dict(value)
        action = chance.random()
        if action < 0.1:
            del copy[key]
        elif action < 0.2:
            copy[chance.choice([1, "unknown", ""])] = chance.choice(others)
        else:
            copy[key] = mutated(value[key], chance)
        return copy
    if isinstance(value, list) and value and chance.random() < 0.8:
        place = chance.randrange(len(value))
        return [*value[:place], mutated(value[place], chance), *value[place + chance.choice([0, 1]) :]]
    return chance.choice(others)


def flipped(octets: bytes, chance: random.Random) -> bytes:
    """Bytes with some replaced, removed or repeated."""
    for _ in range(chance.randint(1, 4)):
        start = chance.randrange(len(octets) + 1)
        end = min(len(octets), start + chance.randint(0, 8))
        octets = octets[:start] + chance.randbytes(chance.randint(0, 8)) + octets[end:]
    return octets


LOCUST_MESSAGES = {
    "client_ready": "2.43.4",
    "heartbeat": {"state": "ready", "current_cpu_usage": 1.0, "current_memory_usage": 1},
    "stats": {
        "stats": [simulated._stats_entry(30)],
        "stats_total": simulated._stats_entry(30),
        "errors": {
            "k": {"name": "n", "method": "POST", "error": "e", "occurrences": 1, "first_seen": 1.0, "last_seen": None}
        },
        "user_classes_count": {"OpenUser": 1},
        "user_count": 1,
    },
    "spawning_complete": {"user_classes_count": {"OpenUser": 1}, "user_count": 1},
    "logs": {"worker_id": "w", "logs": ["line"]},
    "exception": {"msg": "m", "traceback": "t"},
    "quit": None,
}


@pytest.mark.parametrize("kind", LOCUST_MESSAGES)
def test_messages_of_locusts_workers_are_valid(kind: str, parse_message: Parse) -> None:
    """The messages that real workers send are read."""
    octets = msgpack.packb((kind, LOCUST_MESSAGES[kind], "w"))

    assert (message := parse_message([b"w", octets])) is not None
    assert (kind, LOCUST_MESSAGES[kind], "w") == (message.type, message.data, message.node_id)


def test_a_message_in_the_name_of_another_worker_is_ignored(parse_message: Parse) -> None:
    """The id in a message must be that of its connection."""
    octets = msgpack.packb(("quit", None, "other"))

    assert parse_message([b"w", octets]) is None
    assert parse_message([b"w", b"", octets]) is None
    assert not is_valid("locustfile", {"version": "2"})


EMPTY_LISTS = b"\x90" * (2 << 20)
LARGE_MESSAGES = {
    "lists": b"\x93\xa5stats\xdd" + len(EMPTY_LISTS).to_bytes(4, "big") + EMPTY_LISTS + b"\xa1w",
    "lists in place of bytes": b"\x93\xb1chainproof.report\xdd" + len(EMPTY_LISTS).to_bytes(4, "big") + EMPTY_LISTS,
    "lists after bytes": b"\x93\xb1chainproof.report\xc6\0\0\0\1x\xdd"
    + len(EMPTY_LISTS).to_bytes(4, "big")
    + EMPTY_LISTS,
    "a text": msgpack.packb(("logs", "x" * (2 << 20), "w")),
    "a length that is not true": b"\x93\xb1chainproof.report\xc6\xff\xff\xff\xff" + b"x" * (2 << 20),
}


@pytest.mark.parametrize("name", LARGE_MESSAGES)
def test_a_large_message_is_decoded_only_if_it_is_a_report(
    name: str, parse_message: Parse, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Others could take fifty times their memory."""
    from locust.rpc import Message  # noqa: PLC0415  # after the variable of the fixture is set

    report = msgpack.packb((REPORT, b"x" * (2 << 20), "w"))
    assert (message := parse_message([b"w", report])) is not None
    assert b"x" * (2 << 20) == message.data
    monkeypatch.setattr(Message, "unserialize", lambda _: pytest.fail("it was decoded"))

    assert parse_message([b"w", LARGE_MESSAGES[name]]) is None


def test_a_report_with_too_many_values_is_ignored() -> None:
    """Decoded, it could take thirty times its memory."""
    assert WorkerReport.decode(b"[" + b"[]," * 1_300_000 + b"[]]") is None


def test_no_bytes_break_the_reader_of_messages(parse_message: Parse) -> None:
    """Mutated messages are either valid or None; the statistics of a valid one can be added by Locust."""
    from locust.stats import RequestStats, StatsEntry  # noqa: PLC0415  # after the variable of the fixture is set

    chance, read, stats = random.Random(11), 0, RequestStats()
    for _ in range(SAMPLES):
        kind = chance.choice(list(LOCUST_MESSAGES))
        octets = (
            msgpack.packb((kind, mutated(LOCUST_MESSAGES[kind], chance), "w"), default=str)
            if (chance.random() < 0.5)
            else flipped(msgpack.packb((kind, LOCUST_MESSAGES[kind], "w")), chance)
        )
        message = parse_message([chance.choice([b"w", b"\xff", b""]) if chance.random() < 0.1 else b"w", octets])
        if message is not None and message.type == "stats":
            read += 1
            for entry in (*message.data["stats"], message.data["stats_total"]):
                StatsEntry(stats, "all", "POST", use_response_times_cache=True).extend(
                    StatsEntry.unserialize(entry, stats)
                )

    assert read


class MemorySink:
    """A sink that encodes what a run folder would contain, as its writer does."""

    def __init__(self) -> None:
        self.end: RunEnd | None = None

    def write_interval(self, interval: Any) -> None:
        orjson.dumps(interval.to_json())

    write_exemplar = write_finding = write_clause = write_interval

    def write_requests(self, rows: Any) -> None:
        orjson.dumps(rows)

    def finish(self, end: RunEnd) -> None:
        self.end = end
        orjson.dumps(end.to_json())


def run_of(reports: dict[str, list[Any]]) -> RunEnd:
    """The end of a run of two workers that sent these reports, encoded or not."""
    demand = Demand(workload=Workload(name="w", rate=40.0, duration=3.0), contract=Contract.STRICT, seed=0)
    ignored, sink = Counter[str](), MemorySink()
    run = DistributedRun(
        demand,
        demand.plan(),
        [WorkerState(client=name, shard=Shard(index=index, of=2)) for index, name in enumerate(("a", "b"))],
        sink,
        halt=lambda _: None,
        terminate_worker=lambda _: "",
        ignored=ignored,
    )
    run.begin(time.monotonic())
    for name, each in ((name, each) for name, several in reports.items() for each in several):
        report = WorkerReport.decode(each)
        if report is None:
            ignored[Ignored.MALFORMED] += 1
        else:
            run.add_report(name, report)
    for state in run.worker_states.values():
        if not state.settled:
            state.last_report_at -= 60.0  # no further report comes
    run.supervise()
    assert sink.end is not None
    return sink.end


def reports_of(index: int) -> list[bytes]:
    """The reports of a worker of that run."""
    demand = Demand(workload=Workload(name="w", rate=40.0, duration=3.0), contract=Contract.STRICT, seed=0)
    assignment = Assignment(
        run="r",
        shard=Shard(index=index, of=2),
        demand=demand,
        target=TargetOptions(url="http://[::1]:1"),
        emulated=False,
    )
    return list(simulated.reports(assignment, demand.plan(), random.Random(index)))


def test_a_run_with_regular_reports_is_complete() -> None:
    """The reports of the simulated workers are those of a complete run."""
    end = run_of({"a": reports_of(0), "b": reports_of(1)})

    assert (Ending.COMPLETED, (), {}) == (end.ending, end.lost_workers, end.ignored)
    assert end.accounting["planned"] == end.accounting["ok"] > 80


@pytest.mark.parametrize(
    ("change", "ignored", "lost"),
    [
        (lambda each: [each[0], each[0], *each[1:]], {"duplicate_reports": 1}, ""),
        (lambda each: [each[1], each[0], *each[2:]], {}, "1 of its reports did not arrive"),
        (lambda each: [*each[:1], b"{}", *each[1:]], {"malformed_messages": 1}, ""),
        (lambda each: [*each[:1], b"{}", *each[2:]], {"malformed_messages": 1}, "1 of its reports did not arrive"),
        (lambda each: each[:2], {}, "no report for 5 s"),
        (lambda each: [], {}, "no report for 5 s"),
        (lambda each: [*each, each[1]], {"duplicate_reports": 1}, ""),
    ],
    ids=["duplicate", "reordered", "malformed", "replaced", "silent", "never", "late duplicate"],
)
def test_wrong_reports_are_ignored_and_missing_ones_make_a_worker_lost(change: Any, ignored: Any, lost: str) -> None:
    """A run with a missing report names the worker and its machine; all of its requests are accounted for."""
    end = run_of({"a": reports_of(0), "b": change(reports_of(1))})
    accounting = end.accounting

    assert ignored.items() <= end.ignored.items()
    assert [lost] * bool(lost) == [each.why.partition(";")[0] for each in end.lost_workers]
    assert all("it ran on b" in each.why and each.worker == "1" for each in end.lost_workers)
    assert accounting["planned"] == accounting["sent"] + accounting["not_sent"]
    assert accounting["sent"] == accounting["ok"] + accounting["censored"]


@pytest.mark.parametrize(("name", "why"), [("sent", "sent"), ("planned", "planned"), ("ok", "ok, failed")])
def test_contradictory_totals_of_a_worker_make_the_run_invalid(name: str, why: str) -> None:
    """They are not an error of the master; the message names the worker and the equation."""
    reports = reports_of(1)
    last = orjson.loads(reports[-1])
    last["accounting"][name] += 1
    end = run_of({"a": reports_of(0), "b": [*reports[:-1], orjson.dumps(last)]})

    assert end.ending is Ending.MACHINE_FAULT
    assert "worker 1 on b reported totals that contradict each other" in end.note
    assert why in end.note


def test_no_report_breaks_a_master() -> None:
    """A mutated report is ignored or counted: a run ends with every planned request, and never with an internal error."""
    chance, good = random.Random(12), (reports_of(0), reports_of(1))
    wrong = []
    for _ in range(SAMPLES // 5):
        second = list(good[1])
        place = chance.randrange(len(second))
        data = orjson.loads(second[place])
        octets = (
            orjson.dumps(mutated(data, chance), default=str, option=orjson.OPT_NON_STR_KEYS)
            if (chance.random() < 0.8)
            else flipped(second[place], chance)
        )
        second[place] = octets
        end = run_of({"a": good[0], "b": second})
        if end.ending is Ending.INTERNAL_ERROR:
            wrong.append((octets, end.note))

    assert wrong == []


def test_malformed_answers_of_workers_are_ignored() -> None:
    """The answer to an assignment is read only if each part has its type."""
    good = ReadyMessage(run="r", digest="d", pid=1)

    assert good == ReadyMessage.decode(good.encode())
    assert [None] * 4 == [ReadyMessage.decode(each) for each in (b"", b"[]", b'{"run":1,"digest":"","pid":0}', None)]


# ------------------------------------------------------------------ a real master


def master(port: int, folder: Path, *words: str, token: str = TOKEN) -> subprocess.Popen[str]:
    """A headless master of our locustfile, with the emulator as its target."""
    words = ["--headless", "--only-summary", "--master", f"--master-bind-port={port}", f"--out={folder}", *words]
    return start_process(locust_command(*words), env=locust_environment(**{TOKEN_VARIABLE: token}))


@contextmanager
def foreigners(port: int) -> Iterator[None]:
    """Peers that connect without the token: a web browser, random bytes, Locust without encryption, a wrong token."""
    with zmq.Context() as context, socket.create_connection(("127.0.0.1", port)) as browser:
        browser.sendall(b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n")
        with socket.create_connection(("127.0.0.1", port)) as noise:
            noise.sendall(random.Random(3).randbytes(4096))
        plain = context.socket(zmq.DEALER)
        plain.identity, plain.linger = b"plain_1", 0
        plain.connect(f"tcp://127.0.0.1:{port}")
        plain.send(msgpack.packb(("client_ready", "2.43.4", "plain_1")))
        other = simulated.SimulatedWorker(context, port, "another-token-entirely", "other_1", simulated.Plans())
        other.socket.linger = 0
        other.connect()
        try:
            yield
        finally:
            plain.close()
            other.socket.close()


def test_only_workers_with_the_token_take_part_in_a_run(tmp_path: Path) -> None:
    """Other peers are rejected and counted; malformed messages of a peer with the token are ignored; the run is complete."""
    port, folder, chance = free_port(), tmp_path / "run", random.Random(4)
    process = master(port, folder, "--expect-workers=3", "--rate=60", "--duration=2s", "--arrivals=constant")
    with zmq.Context() as context:
        plans = simulated.Plans()
        workers = [simulated.SimulatedWorker(context, port, TOKEN, f"host-{n}_{n}", plans) for n in range(3)]
        for worker in workers:
            worker.connect()
        while not all(worker.assignment for worker in workers):  # the run may have begun by then
            simulated.simulate(workers, limit(0.1))
            assert process.poll() is None, process.communicate()[0]
        with foreigners(port):
            spare = simulated.SimulatedWorker(context, port, TOKEN, "late_1", plans)
            spare.connect()
            for _ in range(200):
                kind = chance.choice(list(LOCUST_MESSAGES))
                octets = msgpack.packb((kind, LOCUST_MESSAGES[kind], "late_1"))
                spare.send_raw(flipped(octets, chance))
            for kind, data in (("stats", {}), ("heartbeat", None), ("spawning_complete", {}), ("unknown", 1)):
                spare.send(kind, data)
            spare.send(REPORT, replace_run(workers[0].assignment.run))
            workers[1].send(REPORT, b"not JSON")
            simulated.simulate([*workers, spare], lambda: False)
        for worker in (*workers, spare):
            worker.socket.close()
    output = process.communicate(timeout=PATIENCE)[0]
    run: Run = read_run(folder)
    cumulative = total(run.intervals)

    assert run.end is not None
    assert Ending.COMPLETED is run.end.ending, output
    assert process.returncode == 0 or (process.returncode == 4 and is_late(run)), output
    assert 120 == cumulative.planned == cumulative.sent == run.end.accounting["ok"]
    assert {"0", "1", "2"} == {interval.worker for interval in run.intervals}
    assert run.end.ignored[Ignored.CONNECTION] >= 3
    assert run.end.ignored[Ignored.MALFORMED] >= 100
    assert run.end.ignored[Ignored.FOREIGN] >= 1
    assert 1 == output.count("rejected a connection without the shared token")


def limit(seconds: float) -> Callable[[], bool]:
    """A condition that holds after some time."""
    end = time.monotonic() + seconds
    return lambda: time.monotonic() > end


def replace_run(run: str) -> bytes:
    """A valid report of a process that takes no part in the run."""
    return WorkerReport(run=run, number=0).encode()


def test_a_missing_or_wrong_token_is_reported(tmp_path: Path) -> None:
    """
    Without a token master and worker end with exit code 2; a worker with another token says so and tries again
    until Ctrl-C, and the master says that it waits.
    """
    port = free_port()
    process, tokenless = (
        master(port, tmp_path / "run", "--skip-log-setup"),
        master(free_port(), tmp_path / "none", token=""),
    )
    command = locust_command("--worker", f"--master-port={port}")
    workers = [
        start_process(command, env=locust_environment(**{TOKEN_VARIABLE: token}))
        for token in ("", "another-token-entirely")
    ]
    try:
        without = [each.communicate(timeout=PATIENCE)[0] for each in (tokenless, workers[0])]
        assert workers[1].stdout is not None
        line = ""
        while "rejects this worker" not in line:
            line = workers[1].stdout.readline()
            assert line, "the worker ended"
        workers[1].send_signal(signal.SIGINT)
        interrupted = workers[1].communicate(timeout=PATIENCE)[0]
        assert process.stdout is not None
        waiting = next((each for each in process.stdout if "waiting for workers" in each), "the master ended")
    finally:
        for each in (process, tokenless, *workers):
            each.kill()
            each.communicate()

    assert (2, 2) == (tokenless.returncode, workers[0].returncode), without
    assert all("expected a shared token for master and workers in CHAINPROOF_WORKER_TOKEN" in each for each in without)
    assert not any("Traceback" in each for each in without)
    assert f"the master at 127.0.0.1:{port} rejects this worker" in line
    assert (
        f"chainproof loadtests: interrupted while this worker waited for the master at 127.0.0.1:{port}\n"
        == interrupted
    )
    assert 130 == workers[1].returncode
    assert f"chainproof loadtests: waiting for workers: 0 of 1 are connected to 127.0.0.1:{port}\n" == waiting
