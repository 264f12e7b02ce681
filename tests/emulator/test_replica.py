"""Concurrency and time limits of a user's chain, tested with real processes."""

from __future__ import annotations

import http.client
import json
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from itertools import accumulate
from pathlib import Path

import pytest

from chainproof.contract.redaction import EMULATOR_KEY
from chainproof.endpoint import Endpoint, start_emulator

from ..processes import run_process
from ..waiting import PATIENCE, await_condition

CHAINS = Path(__file__).with_name("slow_chains.py")
CALL_DURATION = 0.25
"""Seconds that one call takes."""

StartChain = Callable[..., AbstractContextManager[Endpoint]]


@pytest.fixture
def start_chain(tmp_path: Path) -> StartChain:
    """A function that starts an emulator with one of the slow chains and these scenario keys."""

    @contextmanager
    def start(name: str, *options: str, log: Path = tmp_path / "chain.log", **keys: object) -> Iterator[Endpoint]:
        scenario = tmp_path / "slow.toml"
        scenario.write_text("\n".join(f"{key} = {json.dumps(value)}" for key, value in keys.items()))
        variables = {"SLOW_CHAIN_LOG": str(log)}
        chain = ("--chain", f"{CHAINS}:{name}", *options)
        with start_emulator(str(scenario), options=chain, variables=variables) as endpoint:
            yield endpoint

    return start


def send_request(endpoint: Endpoint, **arguments: object) -> tuple[int, dict[str, object], float]:
    """Status, body and duration in seconds of one request."""
    connection = http.client.HTTPConnection(endpoint.target.host, endpoint.target.port, timeout=PATIENCE)
    headers = {"Authorization": f"Api-Key {EMULATOR_KEY}", "Content-Type": "application/json"}
    started = time.monotonic()
    connection.request("POST", "/production/run_remote", json.dumps(arguments), headers)
    answer = connection.getresponse()
    result = answer.status, json.loads(answer.read()), time.monotonic() - started
    connection.close()
    return result


def concurrent_durations(endpoint: Endpoint, count: int, units: int = 1) -> list[float]:
    """Sorted durations of *count* concurrent requests of *units* calls each, in units of CALL_DURATION."""
    durations: list[float] = []

    def send() -> None:
        status, _, seconds = send_request(endpoint, seconds=units * CALL_DURATION)
        durations.append(seconds if status == 200 else 1e9)

    threads = [threading.Thread(target=send) for _ in range(count)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return [seconds / CALL_DURATION for seconds in sorted(durations)]


def running(log: Path) -> list[int]:
    """How many calls were running after each start and each end of a call."""
    lines = log.read_text().splitlines() if log.exists() else []
    return list(accumulate(1 if line.startswith("start") else -1 for line in lines))


@pytest.mark.parametrize("name", ["Plain", "Coroutine"])
def test_excess_requests_wait(name, start_chain, tmp_path):
    """Six calls with concurrency 2 take at least 1, 1, 2, 2, 3, 3 units; the option overrides the scenario."""
    log = tmp_path / "log"
    with start_chain(name, "--predict-concurrency", "2", log=log, predict_concurrency=6) as endpoint:
        units = concurrent_durations(endpoint, 6)

    assert all(value > least - 0.1 for value, least in zip(units, [1, 1, 2, 2, 3, 3], strict=True)), units
    assert 2 == max(running(log))
    assert 12 == len(running(log))


def test_default_concurrency_is_one(start_chain, tmp_path):
    """By default requests run one after another, as on the service."""
    log = tmp_path / "log"
    with start_chain("Coroutine", log=log) as endpoint:
        concurrent_durations(endpoint, 3)

    assert [1, 0] * 3 == running(log)


def test_plain_function_runs_on_40_threads(start_chain, tmp_path):
    """At most forty of sixty admitted calls run at once."""
    log = tmp_path / "log"
    with start_chain("Plain", log=log, predict_concurrency=100) as endpoint:
        units = concurrent_durations(endpoint, 60, units=4)

    assert (60, 120) == (len(units), len(running(log)))
    assert 10 < max(running(log)) <= 40  # on a busy machine, some requests arrive after the first have completed


def test_blocking_coroutine_does_not_block_the_gateway(start_chain):
    """While the chain's event loop is blocked, the gateway still rejects requests and times out."""
    with start_chain("Blocking", predict_timeout="300ms") as endpoint:
        assert 504 == send_request(endpoint, seconds=600.0)[0]  # it goes on
        with socket.create_connection((endpoint.target.host, endpoint.target.port), timeout=PATIENCE) as sock:
            sock.sendall(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
            assert sock.recv(4096).startswith(b"HTTP/1.1 404 ")


@pytest.mark.parametrize("name", ["Plain", "Coroutine", "Blocking"])
def test_hanging_chain_is_answered_504(name, start_chain):
    """After predict_timeout the request is answered 504, and the emulator can still be stopped."""
    with start_chain(name, predict_timeout="300ms") as endpoint:
        status, body, seconds = send_request(endpoint, seconds=600.0)
        started = time.monotonic()

    assert (504, "timeout") == (status, body["error_code"])
    assert 0.3 <= seconds < PATIENCE
    assert time.monotonic() - started < PATIENCE


def test_exit_in_a_callback_does_not_stop_the_chain(start_chain):
    """A SystemExit in a callback ends neither the chain's event loop nor the request."""
    with start_chain("ExitsLater", predict_timeout="60s") as endpoint:
        assert [200, 200] == [send_request(endpoint)[0] for _ in range(2)]


def test_input_error_does_not_wait(start_chain, tmp_path):
    """An invalid input is answered at once even if every slot is taken."""
    log = tmp_path / "log"
    with start_chain("Coroutine", log=log) as endpoint:
        busy = threading.Thread(target=send_request, args=(endpoint,), kwargs={"seconds": 2.0})
        busy.start()
        await_condition(lambda: running(log))
        status = send_request(endpoint, seconds="long")[0]
        meanwhile = running(log)
        busy.join()

    assert (400, [1]) == (status, meanwhile)


@pytest.mark.parametrize("name", ["Plain", "Coroutine"])
def test_abandoned_request_completes_or_is_skipped(name, start_chain, tmp_path):
    """When its client leaves, a running call completes and a waiting call never starts."""
    log = tmp_path / "log"
    with start_chain(name, log=log) as endpoint:
        for label in ("runs", "waits"):
            body = json.dumps({"seconds": 1.0, "name": label}).encode()
            with socket.create_connection((endpoint.target.host, endpoint.target.port)) as sock:
                head = f"POST /production/run_remote HTTP/1.1\r\nHost: x\r\nAuthorization: Api-Key {EMULATOR_KEY}\r\n"
                head += f"Content-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n"
                sock.sendall(head.encode() + body)
                await_condition(lambda: running(log))
                time.sleep(0.1)  # until the second request has been read, too
        assert 200 == send_request(endpoint, seconds=0.0, name="last")[0]

    assert ["start runs", "end runs", "start last", "end last"] == log.read_text().splitlines()


def test_access_log_has_the_duration_of_the_chain(tmp_path):
    """The service time is the duration of the call, including the wait for a slot."""
    log = tmp_path / "access.jsonl"
    options = ("--chain", f"{CHAINS}:Coroutine", "--access-log", str(log), "--predict-concurrency", "2")
    with start_emulator("warm", options=options) as endpoint:
        send_request(endpoint, seconds=CALL_DURATION)
        send_request(endpoint, seconds="long")
    lines = [json.loads(line) for line in log.read_text().splitlines()]

    assert [200, 400] == [line["status"] for line in lines]
    assert [None, "client_error"] == [line["error_code"] for line in lines]
    assert CALL_DURATION <= lines[0]["service_time_s"] <= lines[0]["sent_s"] - lines[0]["received_s"] + 0.01
    assert lines[1]["service_time_s"] < 10 * CALL_DURATION


EMULATOR = [sys.executable, "-m", "chainproof", "emulator"]


def test_stdout_has_only_the_url_line():
    """Output of the chain goes to stderr; the URL line names the chain."""
    with subprocess.Popen(
        [*EMULATOR, "--chain", f"{CHAINS}:Loud"], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as child:
        try:
            line = child.stdout.readline()
            connection = http.client.HTTPConnection(line.split("//")[1].strip(), timeout=PATIENCE)
            headers = {"Authorization": f"Api-Key {EMULATOR_KEY}", "Content-Type": "application/json"}
            connection.request("POST", "/production/run_remote", b"{}", headers)
            assert 200 == connection.getresponse().status
            child.send_signal(signal.SIGTERM)
            out, errors = child.communicate(timeout=PATIENCE)
        finally:
            child.kill()  # never leave a running server behind

    assert line.startswith(f"chainproof emulator: warm, {CHAINS}:Loud at http://127.0.0.1:")
    assert ("", "imported\nconstructed\nrun\n", 0) == (out, errors, child.returncode)


def test_command_knows_that_the_chain_is_not_an_echo():
    """With --chain, CHAINPROOF_EMULATED is 0."""
    script = "import os; print(os.environ['CHAINPROOF_TARGET'][:16], os.environ['CHAINPROOF_EMULATED'])"
    command = [*EMULATOR, "--chain", f"{CHAINS}:Plain", "--", sys.executable, "-c", script]
    completed = run_process(command)

    assert (0, "http://127.0.0.1 0\n") == (completed.returncode, completed.stdout)


USAGE_ERRORS = {
    "no such file": (["--chain", "nowhere.py:Hello"], "cannot read nowhere.py: No such file or directory"),
    "no such class": (
        ["--chain", f"{CHAINS}:Fast"],
        "has no class 'Fast'; it has Blocking, Coroutine, Draining, ExitsLater, Loud, Plain",
    ),
    "no class": (["--chain", "slow"], "expected FILE.py:Class or package.module:Class"),
    "no concurrency": (["--predict-concurrency", "0"], "expected a whole number of at least 1, found '0'"),
}


@pytest.mark.parametrize(("arguments", "words"), USAGE_ERRORS.values(), ids=USAGE_ERRORS)
def test_unusable_chain_exits_2(arguments, words):
    """The error is reported in one line, and nothing is served."""
    completed = run_process([*EMULATOR, *arguments])

    assert (2, "") == (completed.returncode, completed.stdout)
    assert words in completed.stderr
    assert "Traceback" not in completed.stderr
