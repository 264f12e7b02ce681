from __future__ import annotations

import asyncio
import http.client
import json
import signal
import socket
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
import uvloop

from chainproof.contract.redaction import EMULATOR_KEY
from chainproof.emulator.transport.access_log import AccessLog
from chainproof.emulator.transport.timers import Timers
from chainproof.endpoint import start_emulator
from chainproof.machine_faults import MachineFault

from ..waiting import PATIENCE, await_condition

HEADERS = {"Authorization": f"Api-Key {EMULATOR_KEY}", "Content-Type": "application/json"}
PATH = "/production/run_remote"


def send_requests(authority: str, count: int, **headers: str) -> list[tuple[int, str | None, str | None, float, float]]:
    """The results of sending the same request repeatedly over one connection: status, code, request id, start and end."""
    connection = http.client.HTTPConnection(authority, timeout=PATIENCE)
    observed = []
    for _ in range(count):
        started = time.time()
        connection.request("POST", PATH, b'{"a":1}', {**HEADERS, **headers})
        answer = connection.getresponse()
        body = json.loads(answer.read())
        observed.append(
            (answer.status, body.get("error_code"), answer.getheader("X-BASETEN-REQUEST-ID"), started, time.time())
        )
    connection.close()
    return observed


def log_lines(path) -> list[dict[str, object]]:
    """The complete lines of an access log."""
    return [json.loads(line) for line in path.read_text().rpartition("\n")[0].splitlines()]


@pytest.fixture(scope="module")
def logged_run(tmp_path_factory):
    """Results of 4 clients with 50 requests each on the flaky scenario, and the access log of that run."""
    path = tmp_path_factory.mktemp("access-log") / "access.jsonl"
    with (
        start_emulator("flaky", options=["--access-log", str(path), "--seed", "3"]) as endpoint,
        ThreadPoolExecutor(4) as pool,
    ):
        observed = [
            row for rows in pool.map(lambda _: send_requests(endpoint.target.authority, 50), range(4)) for row in rows
        ]
    return observed, log_lines(path)


def test_every_answer_has_one_line(logged_run):
    """Status, code and request id agree with what the clients received, request by request."""
    observed, log = logged_run

    assert list(range(1, 201)) == sorted(line["number"] for line in log)
    assert {1, 2, 3, 4} == {line["connection"] for line in log}
    assert {("POST", PATH)} == {(line["method"], line["path"]) for line in log}
    assert sorted(row[:3] for row in observed if row[0] != 200) == sorted(
        (line["status"], line["error_code"], line["request_id"]) for line in log if line["status"] != 200
    )
    assert {row[2] for row in observed} == {line["request_id"] for line in log}


def test_timestamps_are_from_the_kernel_and_ordered(logged_run):
    """A request is received while its client waits, and its answer is sent no earlier than the service time says."""
    observed, log = logged_run
    instants = {row[2]: row[3:] for row in observed}

    assert {True} == {line["kernel_timestamp"] for line in log}
    for line in log:
        started, ended = instants[line["request_id"]]
        assert (
            started <= line["received_first_s"] <= line["received_s"] <= line["sent_s"] - line["service_time_s"] + 1e-6
        )
        assert line["received_s"] <= ended


def test_answers_are_sent_on_time(logged_run):
    """No answer is early, and some are sent at their due time, the last ones too: lateness does not accumulate."""
    _, log = logged_run
    lateness = [line["sent_s"] - line["received_s"] - line["service_time_s"] for line in log]

    assert min(lateness) >= -1e-6
    assert min(lateness[-50:]) < 0.02


def test_same_seed_repeats_outcomes(logged_run, tmp_path):
    """With the same seed, the n-th request has the same outcome and service time, and another request id."""
    path = tmp_path / "access.jsonl"
    with start_emulator("flaky", options=["--access-log", str(path), "--seed", "3"]) as endpoint:
        send_requests(endpoint.target.authority, 25)
    replayed = [
        (line["number"], line["status"], line["error_code"], line["service_time_s"]) for line in log_lines(path)
    ]

    assert not {line["request_id"] for line in log_lines(path)} & {line["request_id"] for line in logged_run[1]}
    by_number = {line["number"]: line for line in logged_run[1]}
    assert replayed == [
        (n, by_number[n]["status"], by_number[n]["error_code"], by_number[n]["service_time_s"]) for n in range(1, 26)
    ]


@pytest.mark.parametrize(
    "extra_fields", [b"", b"Connection: Upgrade\r\nUpgrade: h2c\r\n"], ids=["plain", "with Upgrade: h2c"]
)
def test_first_and_last_byte_have_timestamps(tmp_path, extra_fields):
    """A request in two segments has the timestamps of both, even if its head is parsed twice."""
    path = tmp_path / "access.jsonl"
    fields = b"".join(f"{name}: {value}\r\n".encode() for name, value in HEADERS.items())
    with (
        start_emulator("warm", options=["--access-log", str(path)]) as endpoint,
        socket.create_connection((endpoint.target.host, endpoint.target.port), timeout=PATIENCE) as sock,
    ):
        sock.sendall(b"POST /production/run_remote HTTP/1.1\r\n")
        time.sleep(0.05)  # a pause on the network; no clock can be passed in
        sock.sendall(b"Host: 127.0.0.1\r\nContent-Length: 2\r\n" + fields + extra_fields + b"\r\n{}")
        assert sock.recv(9) == b"HTTP/1.1 "
    (line,) = log_lines(path)

    assert 0.04 < line["received_s"] - line["received_first_s"] < PATIENCE


def test_abandoned_request_has_no_line(tmp_path):
    """A request whose client leaves before the answer is due has no line."""
    path = tmp_path / "access.jsonl"
    scenario = tmp_path / "slow.toml"
    scenario.write_text('service_time = "500ms"')
    with start_emulator(str(scenario), options=["--access-log", str(path)]) as endpoint:
        connection = http.client.HTTPConnection(endpoint.target.authority, timeout=PATIENCE)
        connection.request("POST", PATH, b"{}", HEADERS)
        connection.close()
        ((status, *_),) = send_requests(endpoint.target.authority, 1)

    assert [(200, 2)] == [(status, line["number"]) for line in log_lines(path)]


@pytest.mark.parametrize(("number", "max_lost"), [(signal.SIGTERM, 0), (signal.SIGINT, 0), (signal.SIGKILL, 1)])
def test_killed_emulator_loses_at_most_one_second(tmp_path, number, max_lost):
    """A stopped emulator writes every line; a killed one has written all lines older than a second."""
    path = tmp_path / "access.jsonl"
    scenario = tmp_path / "instant.toml"
    scenario.write_text("service_time = 0")
    command = [sys.executable, "-m", "chainproof", "emulator", str(scenario), "--access-log", str(path)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, start_new_session=True) as child:
        try:
            authority = child.stdout.readline().split("//")[1].strip()
            send_requests(authority, 50)
            if max_lost:
                await_condition(lambda: path.read_bytes().count(b"\n") >= 50)
            send_requests(authority, 1)
            child.send_signal(number)
            child.wait(PATIENCE)
        finally:
            child.kill()  # never leave a running server behind

    assert 51 - max_lost <= len(log_lines(path)) <= 51


def test_full_disk_raises_once():
    """A failed write raises once, and disables the log."""
    log = AccessLog(Path("/dev/full"))
    log.record({"number": 1})
    with pytest.raises(MachineFault, match="cannot write the access log /dev/full: no space left"):
        log.flush()

    assert (False, None) == (log.enabled, log.flush())


def test_timers_call_in_order_and_never_early():
    """Calls run in order of their instants, none early, past ones at once, even if one of them raises."""
    calls: list[tuple[float, float]] = []

    async def run() -> None:
        loop = asyncio.get_running_loop()
        loop.set_exception_handler(lambda *_: None)
        timers, now, done = Timers(loop), time.monotonic(), asyncio.Event()
        for offset in (0.02, -1.0, 0.003, 0.0101, 0.01):
            timers.call_at(now + offset, lambda instant=now + offset: calls.append((instant, time.monotonic())))
        timers.call_at(now + 0.005, lambda: 1 // 0)
        timers.call_at(now + 0.03, done.set)
        await asyncio.wait_for(done.wait(), PATIENCE)
        timers.close()

    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(run())

    assert 5 == len(calls)
    assert sorted(instant for instant, _ in calls) == [instant for instant, _ in calls]
    assert all(instant <= call_at for instant, call_at in calls)
