"""Fixtures: scripted target servers, and load runs as child processes."""

from __future__ import annotations

import asyncio
import csv
import os
import signal
import socket
import ssl
import struct
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Coroutine, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from chainproof.contract.target import Target, parse_target
from chainproof.judgement.verdict import ExitCode
from chainproof.loadtests.command import LOCUSTFILE
from chainproof.processes import chainproof_command
from chainproof.results.exchange import Result
from chainproof.results.folder import REQUESTS, Run, read_run
from chainproof.results.intervals.interval import total
from chainproof.statistics.histogram import merge_histograms

from ..processes import clean_environment
from ..waiting import PATIENCE, await_condition

KEY = "a-key.that-must-not-be-seen"
HERE = Path(__file__).parent
CERTIFICATE = HERE / "localhost.pem"
"""A self-signed certificate for localhost and 127.0.0.1 with its private key, for tests only."""

Behaviour = Callable[["ServedRequest"], Coroutine[None, None, None]]


@dataclass(slots=True)
class ServedRequest:
    """One request as a target sees it, and the means to answer."""

    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter
    number: int
    request: bytes

    async def send_bytes(self, octets: bytes) -> None:
        """Send some bytes."""
        self.writer.write(octets)
        await self.writer.drain()

    async def answer(self, status: int = 200, body: bytes = b'{"fine": true}', *fields: str) -> None:
        """Send a complete answer, a valid 200 by default."""
        named = fields or ("Content-Type: application/json", f"X-BASETEN-REQUEST-ID: id-{self.number}")
        head = [f"HTTP/1.1 {status} Whatever", f"Content-Length: {len(body)}", *named]
        await self.send_bytes("\r\n".join(head).encode() + b"\r\n\r\n" + body)

    def reset(self) -> None:
        """End the connection with a reset."""
        linger = struct.pack("ii", 1, 0)
        self.writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
        self.writer.transport.abort()


@dataclass(slots=True)
class ScriptedServer:
    """A target that answers each request with the next of its behaviours, in turn."""

    behaviours: list[Behaviour]
    port: int = 0
    requests: list[bytes] = field(default_factory=list)
    arrival_times: list[float] = field(default_factory=list)
    connections: int = 0

    @property
    def target(self) -> Target:
        """The target for its address."""
        return parse_target(f"http://127.0.0.1:{self.port}")

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Answer the requests of one connection."""
        self.connections += 1
        try:
            while True:
                first = await reader.readexactly(1)
                if first == b"\x16":  # a TLS handshake
                    await ServedRequest(reader, writer, len(self.requests), first).answer(400, b"")
                    return
                head = first + await reader.readuntil(b"\r\n\r\n")
                length = int(head.lower().partition(b"content-length:")[2].partition(b"\r\n")[0])
                body = await reader.readexactly(length)
                number = len(self.requests)
                self.requests.append(head + body)
                self.arrival_times.append(time.monotonic())
                behaviour = self.behaviours[number % len(self.behaviours)]
                await behaviour(ServedRequest(reader, writer, number, head + body))
        except (asyncio.IncompleteReadError, ConnectionError, ssl.SSLError, asyncio.CancelledError):
            pass
        finally:
            writer.close()


@contextmanager
def run_server(
    *behaviours: Behaviour, tls: ssl.SSLContext | None = None, host: str = "127.0.0.1"
) -> Iterator[ScriptedServer]:
    """Run a server with these behaviours in a thread, on a free loopback port."""
    server = ScriptedServer(list(behaviours))
    loop = asyncio.new_event_loop()
    ready = threading.Event()

    async def start() -> None:
        listening = await asyncio.start_server(server.serve, host, 0, ssl=tls, backlog=1000)
        server.port = listening.sockets[0].getsockname()[1]
        ready.set()

    def run_loop() -> None:
        asyncio.set_event_loop(loop)
        loop.set_exception_handler(lambda *_: None)
        loop.run_until_complete(start())
        loop.run_forever()
        for task in asyncio.all_tasks(loop):
            task.cancel()
        loop.run_until_complete(asyncio.sleep(0))

    thread = threading.Thread(target=run_loop, daemon=True)
    thread.start()
    assert ready.wait(PATIENCE)
    try:
        yield server
    finally:
        loop.call_soon_threadsafe(loop.stop)
        thread.join(PATIENCE)


def tls_context() -> ssl.SSLContext:
    """A TLS context for a server, with the certificate of this folder."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(CERTIFICATE)
    return context


@pytest.fixture(name="run_server")
def run_server_fixture() -> Callable[..., AbstractContextManager[ScriptedServer]]:
    """The context manager that runs a server with these behaviours."""
    return run_server


@pytest.fixture(name="tls_context")
def tls_context_fixture() -> ssl.SSLContext:
    """A TLS context for a server."""
    return tls_context()


@pytest.fixture
def certificate() -> Path:
    """The certificate of the server, which clients can trust."""
    return CERTIFICATE


# ------------------------------------------------------------------ runs


def environment(**others: str) -> dict[str, str]:
    """The environment of a child process, with a key and without variables that affect the tests."""
    return clean_environment(BASETEN_API_KEY=KEY) | others


def locust_command(*words: str, file: Path = LOCUSTFILE) -> list[str]:
    """The command line of Locust with our locustfile or another one."""
    return [sys.executable, "-P", "-m", "locust", "-f", str(file), *words]


def locust_environment(key: str = "key", **variables: str) -> dict[str, str]:
    """The environment of a Locust process. The tests themselves may tell Locust not to patch the standard library."""
    return {**os.environ, "BASETEN_API_KEY": key, "LOCUST_SKIP_MONKEY_PATCH": "", **variables}


def is_late(run: Run) -> bool:
    """Whether a record shows that the generator was late, stood still or had too little CPU time, as on a busy machine."""
    totals = total(run.intervals)
    health = totals.generator_health
    lag = totals.schedule_lag.quantile(0.99)
    return (lag is not None and lag > 0.05) or (health is not None and (bool(health.stalls) or health.cpu > 0.95))


def adds_up(run: Run) -> bool:
    """Assert that the accounting equals the totals of the intervals and covers every request."""
    cumulative = total(run.intervals)
    assert run.end is not None
    accounting = run.end.accounting
    results = {result.value: cumulative.count(result) for result in Result}
    assert accounting == {
        "planned": cumulative.planned,
        "not_sent": cumulative.not_sent.total(),
        "sent": cumulative.sent,
        **results,
    }
    assert accounting["planned"] == accounting["sent"] + accounting["not_sent"]
    assert accounting["sent"] == sum(results.values())
    return True


def assert_times_agree(run: Run, lines: list[dict[str, Any]]) -> None:
    """
    Assert that no request was faster than its service time in the access log, and some hardly slower.

    On a busy machine either process may be late; for each of the requests only if the generator was late too.
    """
    with (run.path / REQUESTS).open(newline="") as file:
        ours = {row["request_id"]: float(row["end_s"]) - float(row["start_s"]) for row in csv.DictReader(file)}
    overheads = [ours[line["request_id"]] - line["service_time_s"] for line in lines]
    service = merge_histograms(total(run.intervals).service_time.values())

    assert min(overheads) >= -1e-4
    assert min(overheads) < 0.01 or is_late(run)
    assert sum(ours.values()) == pytest.approx(service.total, rel=1e-3)


@dataclass(slots=True)
class FinishedRun:
    """A load run that has ended."""

    code: int
    output: str
    errors: str
    folder: Path

    @property
    def run(self) -> Run:
        """The run, read from its folder."""
        assert self.folder.exists(), self.output + self.errors
        return read_run(self.folder)

    def assert_verdict(self, code: int) -> None:
        """
        Assert its exit code.

        On a busy machine the generator is late. Then the run is invalid instead, and its record has to show the lateness.
        """
        assert self.code == code or (self.code == ExitCode.INVALID and is_late(self.run)), self.output + self.errors

    @property
    def accounting(self) -> dict[str, int]:
        """The accounting at the end of the run."""
        end = self.run.end
        assert end is not None, self.errors
        return dict(end.accounting)


@dataclass(slots=True)
class StartedRun:
    """A load run in progress."""

    process: subprocess.Popen[str]
    folder: Path

    def await_intervals(self, count: int) -> None:
        """Wait until *count* intervals of the run are written."""
        path = self.folder / "intervals.jsonl"
        await_condition(
            lambda: self.process.poll() is not None or (path.exists() and path.read_bytes().count(b"\n") >= count),
            lambda: f"expected {count} intervals",
        )
        assert self.process.poll() is None, self.process.communicate()

    def locust(self) -> int:
        """The process id of its Locust process, once it has one."""
        found: list[int] = []

        def is_started() -> bool:
            with suppress(FileNotFoundError, ProcessLookupError):  # a child that has ended meanwhile
                children = Path(f"/proc/{self.process.pid}/task/{self.process.pid}/children").read_text().split()
                commands = {int(child): Path(f"/proc/{child}/cmdline").read_bytes() for child in children}
                found.extend(child for child, command in commands.items() if b"locustfile.py" in command)
            return bool(found) or self.process.poll() is not None

        await_condition(is_started)
        assert found, self.process.communicate()
        return found[0]

    def send(self, number: signal.Signals) -> None:
        """Send it a signal."""
        self.process.send_signal(number)

    def end(self) -> FinishedRun:
        """Wait for it to end."""
        output, errors = self.process.communicate(timeout=PATIENCE)
        return FinishedRun(self.process.returncode, output, errors, self.folder)


@pytest.fixture
def launch(tmp_path: Path) -> Iterator[Callable[..., StartedRun]]:
    """A function that starts `chainproof loadtests` against a server. Runs are killed at the end of the test."""
    launched: list[StartedRun] = []

    def start(
        server: ScriptedServer | str | None, *options: str, wrapper: Sequence[str] = (), **variables: str
    ) -> StartedRun:
        url = server.target.origin if isinstance(server, ScriptedServer) else server
        folder = tmp_path / f"run-{len(launched)}"
        where = ("--target", url) if url is not None else ()
        words = [*wrapper, *chainproof_command("loadtests", *where, "--no-html", "--out", str(folder), *options)]
        process = subprocess.Popen(
            words, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment(**variables)
        )
        launched.append(StartedRun(process, folder))
        return launched[-1]

    yield start
    for run in launched:
        if run.process.poll() is None:
            run.process.kill()
            run.process.communicate()


@pytest.fixture
def key() -> str:
    """The API key of the runs."""
    return KEY
