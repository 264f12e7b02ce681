"""
The user's chain at work: who waits for whom, and for how long. Real processes, as users have them.
"""

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

from chainproof.contract.credentials import EMULATOR_KEY
from chainproof.endpoint import Endpoint, start_emulator

SLOW = Path(__file__).with_name("slow.py")
UNIT = 0.25
"""Seconds that one call takes."""

Emulating = Callable[..., AbstractContextManager[Endpoint]]


@pytest.fixture
def emulating(tmp_path: Path) -> Emulating:
    """
    An emulator with one of the slow chains, and keys of a scenario.
    """

    @contextmanager
    def emulate(name: str, *options: str, **keys: object) -> Iterator[Endpoint]:
        scenario = tmp_path / "slow.toml"
        scenario.write_text("\n".join(f"{key} = {json.dumps(value)}" for key, value in keys.items()))
        with start_emulator(str(scenario), options=("--chain", f"{SLOW}:{name}", *options)) as endpoint:
            yield endpoint

    return emulate


def ask(endpoint: Endpoint, **arguments: object) -> tuple[int, dict[str, object], float]:
    """
    Status, body and seconds of one request.
    """
    connection = http.client.HTTPConnection(endpoint.target.host, endpoint.target.port, timeout=20)
    headers = {"Authorization": f"Api-Key {EMULATOR_KEY}", "Content-Type": "application/json"}
    begun = time.monotonic()
    connection.request("POST", "/production/run_remote", json.dumps(arguments), headers)
    answer = connection.getresponse()
    told = answer.status, json.loads(answer.read()), time.monotonic() - begun
    connection.close()
    return told


def at_once(endpoint: Endpoint, count: int, units: int = 1) -> list[float]:
    """
    How long each of so many requests, of so many units, took that were sent at the same time, in units, sorted.
    """
    took: list[float] = []

    def one() -> None:
        status, _, seconds = ask(endpoint, seconds=units * UNIT)
        took.append(seconds if status == 200 else 1e9)

    threads = [threading.Thread(target=one) for _ in range(count)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return [seconds / UNIT for seconds in sorted(took)]


def whole(units: list[float]) -> list[int]:
    """
    Units as whole numbers; what a busy machine adds is less than half of one.
    """
    return [int(value + 0.1) for value in units]


@pytest.mark.parametrize("name", ["Plain", "Coroutine"])
def test_the_others_wait_in_line(name, emulating):
    """
    Six calls of one unit, two at once: 1, 1, 2, 2, 3, 3, as measured; the option stands above the scenario's key.
    """
    with emulating(name, "--predict-concurrency", "2", predict_concurrency=6) as endpoint:
        assert [1, 1, 2, 2, 3, 3] == whole(at_once(endpoint, 6))


def test_one_runs_at_once_unless_told(emulating):
    """
    The service's own default.
    """
    with emulating("Coroutine") as endpoint:
        assert [1, 2, 3] == whole(at_once(endpoint, 3))


def test_a_plain_function_has_40_threads(emulating, tmp_path, monkeypatch):
    """
    However many are admitted: of sixty calls no more than forty run at once, and the others wait for one of those.
    """
    log = tmp_path / "log"
    monkeypatch.setenv("SLOW_CHAIN_LOG", str(log))
    with emulating("Plain", predict_concurrency=100) as endpoint:
        units = at_once(endpoint, 60, units=4)
    running = list(accumulate(1 if line.startswith("start") else -1 for line in log.read_text().splitlines()))

    assert (60, 120) == (len(units), len(running))
    assert 30 < max(running) <= 40  # on a busy machine not all of them come while the first still run


def test_a_coroutine_that_blocks_stops_no_gateway(emulating):
    """
    While the chain's own loop hangs, the gateway refuses and times out as ever.
    """
    with emulating("Blocking", predict_timeout="300ms") as endpoint:
        hanging = threading.Thread(target=ask, args=(endpoint,), kwargs={"seconds": 2.0})
        hanging.start()
        with socket.create_connection((endpoint.target.host, endpoint.target.port), timeout=1) as sock:
            sock.sendall(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
            assert sock.recv(4096).startswith(b"HTTP/1.1 404 ")
        hanging.join()


@pytest.mark.parametrize("name", ["Plain", "Coroutine", "Blocking"])
def test_a_chain_that_hangs_is_answered_504(name, emulating):
    """
    After predict_timeout, in the form of the contract; the emulator still ends when it is told to.
    """
    with emulating(name, predict_timeout="300ms") as endpoint:
        status, body, seconds = ask(endpoint, seconds=30.0)
        begun = time.monotonic()

    assert (504, "timeout") == (status, body["error_code"])
    assert 0.3 <= seconds < 1.0
    assert time.monotonic() - begun < 2.0


def test_what_a_chain_leaves_behind_ends_nothing(emulating):
    """
    A callback of the chain's that raises SystemExit later ends neither the chain's loop nor the request.
    """
    with emulating("ExitsLater", predict_timeout="3s") as endpoint:
        assert [200, 200] == [ask(endpoint)[0] for _ in range(2)]


def test_an_input_error_waits_for_nobody(emulating):
    """
    A body that is no input is told so while every place is taken.
    """
    with emulating("Coroutine") as endpoint:
        busy = threading.Thread(target=ask, args=(endpoint,), kwargs={"seconds": 1.0})
        busy.start()
        time.sleep(0.1)  # until it has its place
        status, _, seconds = ask(endpoint, seconds="long")
        busy.join()

    assert 400 == status
    assert seconds < 0.5


@pytest.mark.parametrize("name", ["Plain", "Coroutine"])
def test_who_leaves_stops_nothing_and_is_passed_over(name, emulating, tmp_path, monkeypatch):
    """
    A call that runs when its client leaves runs to its end; one that still waits is never begun.
    """
    log = tmp_path / "log"
    monkeypatch.setenv("SLOW_CHAIN_LOG", str(log))
    with emulating(name) as endpoint:
        for caller in ("runs", "waits"):
            body = json.dumps({"seconds": 0.4, "name": caller}).encode()
            with socket.create_connection((endpoint.target.host, endpoint.target.port)) as sock:
                head = f"POST /production/run_remote HTTP/1.1\r\nHost: x\r\nAuthorization: Api-Key {EMULATOR_KEY}\r\n"
                head += f"Content-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n"
                sock.sendall(head.encode() + body)
                time.sleep(0.1)  # until it has been read
        assert 200 == ask(endpoint, seconds=0.0, name="last")[0]

    assert ["start runs", "end runs", "start last", "end last"] == log.read_text().splitlines()


def test_the_truth_tells_what_a_chain_took(tmp_path):
    """
    Receive and send times stand as for the echo; the service time is the chain's, its wait in line included.
    """
    truth = tmp_path / "truth.jsonl"
    options = ("--chain", f"{SLOW}:Coroutine", "--access-log", str(truth), "--predict-concurrency", "2")
    with start_emulator("warm", options=options) as endpoint:
        ask(endpoint, seconds=UNIT)
        ask(endpoint, seconds="long")
    lines = [json.loads(line) for line in truth.read_text().splitlines()]

    assert [200, 400] == [line["status"] for line in lines]
    assert [None, "client_error"] == [line["error_code"] for line in lines]
    assert UNIT <= lines[0]["service_time_s"] <= lines[0]["sent_s"] - lines[0]["received_s"] + 0.01
    assert lines[1]["service_time_s"] < UNIT


EMULATOR = [sys.executable, "-m", "chainproof", "emulator"]


def test_stdout_has_one_line_whatever_a_chain_prints():
    """
    What it prints on import, in its constructor and while it runs goes to stderr; the line names the chain.
    """
    with subprocess.Popen(
        [*EMULATOR, "--chain", f"{SLOW}:Loud"], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as child:
        try:
            line = child.stdout.readline()
            connection = http.client.HTTPConnection(line.split("//")[1].strip(), timeout=5)
            headers = {"Authorization": f"Api-Key {EMULATOR_KEY}", "Content-Type": "application/json"}
            connection.request("POST", "/production/run_remote", b"{}", headers)
            assert 200 == connection.getresponse().status
            child.send_signal(signal.SIGTERM)
            out, errors = child.communicate(timeout=10)
        finally:
            child.kill()  # whatever went wrong, nobody waits for a server that serves on

    assert line.startswith(f"chainproof emulator: warm, {SLOW}:Loud at http://127.0.0.1:")
    assert ("", "imported\nconstructed\nrun\n", 0) == (out, errors, child.returncode)


def test_a_command_is_not_told_that_a_chain_echoes():
    """
    Around a command with a chain, the target is one like any other: neither an echo nor steered by default.
    """
    script = "import os; print(os.environ['CHAINPROOF_TARGET'][:16], os.environ['CHAINPROOF_EMULATED'])"
    command = [*EMULATOR, "--chain", f"{SLOW}:Plain", "--", sys.executable, "-c", script]
    done = subprocess.run(command, capture_output=True, text=True, timeout=20, check=False)

    assert (0, "http://127.0.0.1 0\n") == (done.returncode, done.stdout)


MISTAKES = {
    "no such file": (["--chain", "nowhere.py:Hello"], "cannot read nowhere.py: No such file or directory"),
    "no such class": (
        ["--chain", f"{SLOW}:Fast"],
        "has no class 'Fast'; it has Blocking, Coroutine, ExitsLater, Loud, Plain",
    ),
    "no class": (["--chain", "slow"], "expected FILE.py:Class or package.module:Class"),
    "nobody at once": (["--predict-concurrency", "0"], "expected an integer of at least 1, found '0'"),
}


@pytest.mark.parametrize(("arguments", "words"), MISTAKES.values(), ids=MISTAKES)
def test_a_chain_that_cannot_be_had_is_told_in_a_line(arguments, words):
    """
    Asked wrongly: exit code 2, and nothing is served.
    """
    done = subprocess.run([*EMULATOR, *arguments], capture_output=True, text=True, timeout=20, check=False)

    assert (2, "") == (done.returncode, done.stdout)
    assert words in done.stderr
    assert "Traceback" not in done.stderr
