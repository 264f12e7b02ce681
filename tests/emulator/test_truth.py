from __future__ import annotations

import asyncio
import http.client
import json
import os
import signal
import socket
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
import uvloop

from chainproof.contract.credentials import EMULATOR_KEY
from chainproof.emulator.transport.access_log import AccessLog
from chainproof.emulator.transport.timers import Timers
from chainproof.endpoint import start_emulator

HEADERS = {"Authorization": f"Api-Key {EMULATOR_KEY}", "Content-Type": "application/json"}
PATH = "/production/run_remote"


def ask(authority: str, count: int, **headers: str) -> list[tuple[int, str | None, str | None, float, float]]:
    """
    The same request again and again over one connection: status, code, request id, and when each began and ended.
    """
    connection = http.client.HTTPConnection(authority, timeout=5)
    seen = []
    for _ in range(count):
        begun = time.time()
        connection.request("POST", PATH, b'{"a":1}', {**HEADERS, **headers})
        answer = connection.getresponse()
        body = json.loads(answer.read())
        seen.append(
            (answer.status, body.get("error_code"), answer.getheader("X-BASETEN-REQUEST-ID"), begun, time.time())
        )
    connection.close()
    return seen


def lines(path) -> list[dict[str, object]]:
    """
    The whole lines of a file of truth.
    """
    return [json.loads(line) for line in path.read_text().rpartition("\n")[0].splitlines()]


@pytest.fixture(scope="module")
def told(tmp_path_factory):
    """
    What 4 clients saw of 50 requests each on the flaky scenario, and what the emulator says of them.
    """
    path = tmp_path_factory.mktemp("truth") / "truth.jsonl"
    with (
        start_emulator("flaky", options=["--access-log", str(path), "--seed", "3"]) as endpoint,
        ThreadPoolExecutor(4) as pool,
    ):
        seen = [row for rows in pool.map(lambda _: ask(endpoint.target.authority, 50), range(4)) for row in rows]
    return seen, lines(path)


def test_each_answer_has_one_line(told):
    """
    Counts agree exactly, request by request: status, code and id as the clients saw them.
    """
    seen, truth = told

    assert list(range(1, 201)) == sorted(line["number"] for line in truth)
    assert {1, 2, 3, 4} == {line["connection"] for line in truth}
    assert {("POST", PATH)} == {(line["method"], line["path"]) for line in truth}
    assert sorted(row[:3] for row in seen if row[0] != 200) == sorted(
        (line["status"], line["error_code"], line["request_id"]) for line in truth if line["status"] != 200
    )
    assert {row[2] for row in seen} == {line["request_id"] for line in truth}


def test_its_instants_are_the_kernels_and_in_order(told):
    """
    A request is received while its client waits, answered no earlier than its service time says, and read after that.
    """
    seen, truth = told
    instants = {row[2]: row[3:] for row in seen}

    assert {True} == {line["kernel_timestamp"] for line in truth}
    for line in truth:
        begun, ended = instants[line["request_id"]]
        assert begun <= line["received_first_s"] <= line["received_s"] <= line["sent_s"] - line["service_time_s"] + 1e-6
        assert line["received_s"] <= ended


def test_answers_go_out_when_they_are_due(told):
    """
    Half of the answers leave within 2 ms of their instant, on a busy machine too: lateness does not add up.
    """
    _, truth = told
    late = sorted(line["sent_s"] - line["received_s"] - line["service_time_s"] for line in truth)

    assert late[len(late) // 2] < 0.002


def test_the_same_seed_tells_the_same_story(told, tmp_path):
    """
    Another run, one client instead of four: the n-th request has the same outcome and service time, under another id.
    """
    path = tmp_path / "truth.jsonl"
    with start_emulator("flaky", options=["--access-log", str(path), "--seed", "3"]) as endpoint:
        ask(endpoint.target.authority, 25)
    story = [(line["number"], line["status"], line["error_code"], line["service_time_s"]) for line in lines(path)]

    assert not {line["request_id"] for line in lines(path)} & {line["request_id"] for line in told[1]}
    by_number = {line["number"]: line for line in told[1]}
    assert story == [
        (n, by_number[n]["status"], by_number[n]["error_code"], by_number[n]["service_time_s"]) for n in range(1, 26)
    ]


@pytest.mark.parametrize(
    "wish", [b"", b"Connection: Upgrade\r\nUpgrade: h2c\r\n"], ids=["plain", "with a wish for h2c"]
)
def test_the_first_byte_may_come_long_before_the_last(tmp_path, wish):
    """
    A request in two segments has the instants of both, also where its head is read a second time.
    """
    path = tmp_path / "truth.jsonl"
    fields = b"".join(f"{name}: {value}\r\n".encode() for name, value in HEADERS.items())
    with (
        start_emulator("warm", options=["--access-log", str(path)]) as endpoint,
        socket.create_connection((endpoint.target.host, endpoint.target.port), timeout=5) as sock,
    ):
        sock.sendall(b"POST /production/run_remote HTTP/1.1\r\n")
        time.sleep(0.05)  # the network's pause, which no clock of ours can make
        sock.sendall(b"Host: 127.0.0.1\r\nContent-Length: 2\r\n" + fields + wish + b"\r\n{}")
        assert sock.recv(9) == b"HTTP/1.1 "
    (line,) = lines(path)

    assert 0.04 < line["received_s"] - line["received_first_s"] < 1


def test_whoever_leaves_early_is_not_told_of(tmp_path):
    """
    A request whose client has gone before its answer was due is not answered, and has no line.
    """
    path = tmp_path / "truth.jsonl"
    scenario = tmp_path / "slow.toml"
    scenario.write_text('service_time = "200ms"')
    with start_emulator(str(scenario), options=["--access-log", str(path)]) as endpoint:
        connection = http.client.HTTPConnection(endpoint.target.authority, timeout=5)
        connection.request("POST", PATH, b"{}", HEADERS)
        connection.close()
        ((status, *_),) = ask(endpoint.target.authority, 1)

    assert [(200, 2)] == [(status, line["number"]) for line in lines(path)]


@pytest.mark.parametrize(("number", "lost"), [(signal.SIGTERM, 0), (signal.SIGINT, 0), (signal.SIGKILL, 1)])
def test_a_killed_emulator_has_told_all_but_the_last_second(tmp_path, number, lost):
    """
    Asked to stop, it writes every line; killed, it has written all that is older than a second.
    """
    path = tmp_path / "truth.jsonl"
    scenario = tmp_path / "at-once.toml"
    scenario.write_text("service_time = 0")
    command = [sys.executable, "-m", "chainproof", "emulator", str(scenario), "--access-log", str(path)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, start_new_session=True) as child:
        try:
            authority = child.stdout.readline().split("//")[1].strip()
            ask(authority, 50)
            until = time.monotonic() + 1
            while lost and path.read_bytes().count(b"\n") < 50 and time.monotonic() < until:
                os.sched_yield()
            ask(authority, 1)
            child.send_signal(number)
            child.wait(5)
        finally:
            child.kill()  # whatever went wrong, nobody waits for a server that serves on

    assert 51 - lost <= len(lines(path)) <= 51


def test_a_full_disk_is_told_once():
    """
    When the lines cannot be written that is an error, and no line is kept for later.
    """
    truth = AccessLog(None)
    with Path("/dev/full").open("wb", buffering=0) as full:
        truth._file = full
        truth.record({"number": 1})
        with pytest.raises(OSError, match="No space left"):
            truth.flush()

    assert (False, None) == (truth.enabled, truth.flush())


def test_timers_call_in_order_and_never_early():
    """
    What is due is called in the order of its instants, none before its own, past ones at once, an error in one or not.
    """
    called: list[tuple[float, float]] = []

    async def run() -> None:
        loop = asyncio.get_running_loop()
        loop.set_exception_handler(lambda *_: None)
        timers, now, over = Timers(loop), time.monotonic(), asyncio.Event()
        for offset in (0.02, -1.0, 0.003, 0.0101, 0.01):
            timers.call_at(now + offset, lambda instant=now + offset: called.append((instant, time.monotonic())))
        timers.call_at(now + 0.005, lambda: 1 // 0)
        timers.call_at(now + 0.03, over.set)
        await asyncio.wait_for(over.wait(), 5)
        timers.close()

    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(run())

    assert 5 == len(called)
    assert sorted(instant for instant, _ in called) == [instant for instant, _ in called]
    assert all(instant <= call_at for instant, call_at in called)
