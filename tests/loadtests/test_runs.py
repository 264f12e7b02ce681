"""
Tests of complete load runs: every request is accounted for, whatever the target does and however the run ends.
"""

from __future__ import annotations

import asyncio
import json
import math
import os
import resource
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from chainproof.loadtests.command import LOCUSTFILE
from chainproof.results.exchange import NotSent, Result
from chainproof.results.folder import Run, read_run
from chainproof.results.interval import total
from chainproof.results.manifest import Ending

Launch = Callable[..., Any]
RunServer = Callable[..., Any]

FAST = ("--rate", "50", "--duration", "1s", "--arrivals", "constant")


async def fine(told: Any) -> None:
    """As it should be."""
    await told.answer()


async def stall(told: Any) -> None:
    """Never."""
    await asyncio.sleep(60)


async def drip(told: Any) -> None:
    """A byte a second."""
    for octet in b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}":
        await told.send_bytes(bytes([octet]))
        await asyncio.sleep(1)


async def half(told: Any) -> None:
    """Half an answer, and the end."""
    await told.send_bytes(b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n{")
    raise ConnectionError


async def hang_up(told: Any) -> None:
    """A reset."""
    told.reset()
    raise ConnectionError


async def redirect(told: Any) -> None:
    """Go elsewhere."""
    await told.answer(302, b"", "Location: /production/run_remote", f"X-BASETEN-REQUEST-ID: id-{told.number}")


async def garbage(told: Any) -> None:
    """No HTTP."""
    await told.send_bytes(b"\x00\x01\x02 what?\r\n\r\n")


async def throttle(told: Any) -> None:
    """429."""
    await told.answer(429, b'{"error": "slow down", "error_code": "rate_limited"}')


async def no_json(told: Any) -> None:
    """A 200 that is none."""
    await told.answer(200, b"<html>", "Content-Type: text/html", f"X-BASETEN-REQUEST-ID: id-{told.number}")


async def invent(told: Any) -> None:
    """An error code of its own."""
    await told.answer(503, b'{"error_code": "gremlins"}')


UNRULY = (fine, stall, drip, half, hang_up, redirect, garbage, throttle, no_json, invent)
OUTCOMES_OF = {
    fine: ("answered", 200, None, "ok"),
    stall: ("deadline", None, None, "timed_out"),
    drip: ("deadline", None, None, "timed_out"),
    half: ("closed_early", None, None, "failed"),
    hang_up: ("connection_reset", None, None, "failed"),
    redirect: ("answered", 302, None, "failed"),
    garbage: ("malformed", None, None, "failed"),
    throttle: ("answered", 429, "rate_limited", "failed"),
    no_json: ("answered", 200, None, "failed"),
    invent: ("answered", 503, "gremlins", "failed"),
}


def outcomes(run: Run) -> Counter[tuple[str, int | None, str | None, str]]:
    """
    The count of each outcome in a run folder.
    """
    return Counter(
        {
            (o.transport.value, o.status, o.error_code, o.result.value): n
            for o, n in total(run.intervals).outcomes.items()
        }
    )


def adds_up(run: Run) -> bool:
    """
    Whether the accounting holds, in the totals and over the intervals.
    """
    whole = total(run.intervals)
    assert run.end is not None
    told = run.end.accounting
    counted = {
        "planned": whole.planned,
        "not_sent": whole.not_sent.total(),
        "sent": whole.sent,
        **{result.value: whole.count(result) for result in Result},
    }
    assert told == counted
    assert told["planned"] == told["sent"] + told["not_sent"]
    assert told["sent"] == told["ok"] + told["failed"] + told["timed_out"] + told["censored"]
    return True


def test_a_faulty_target_loses_no_request(run_server: RunServer, launch: Launch) -> None:
    """
    Requests to a target that stalls, trickles, disconnects or sends garbage are recorded with their outcome.
    """
    with run_server(*UNRULY) as server:
        done = launch(server, *FAST, "--deadline", "1s", "--seed", "5", "--objective", "error_rate < 1%").end()
    expected = Counter(OUTCOMES_OF[UNRULY[number % len(UNRULY)]] for number in range(50))

    assert 1 == done.code, done.errors
    assert expected == outcomes(done.run)
    assert adds_up(done.run)
    assert 50 == len(server.requests)
    assert Ending.COMPLETED is done.run.end.ending
    assert {"status": 5, "output-media-type": 5, "error-code": 5} == {
        found.clause: found.count for found in done.run.findings if found.clause != "request-id-present"
    }
    assert {"answered"} == {e.transport for e in done.run.exemplars if e.request_id}
    assert str(done.folder) == done.output.splitlines()[-1]


def test_a_stalled_target_does_not_slow_the_open_model(run_server: RunServer, launch: Launch) -> None:
    """
    Every planned request starts on time although none is answered.
    """
    with run_server(stall) as server:
        done = launch(server, "--rate", "100", "--duration", "1s", "--deadline", "1s").end()
    run = done.run
    whole = total(run.intervals)
    planned = run.manifest.settings["plan"]["arrivals"]

    assert planned == whole.sent == whole.count(Result.TIMED_OUT) == len(server.requests)
    assert whole.schedule_lag.quantile(0.5) < 0.02
    assert server.arrival_times[-1] - server.arrival_times[0] < 1.5
    assert whole.in_flight_max == planned
    assert adds_up(run)


def test_requests_beyond_max_in_flight_count_as_not_sent(run_server: RunServer, launch: Launch) -> None:
    """
    A request waits for a slot until its deadline; then it is not sent, and counted.
    """
    with run_server(stall) as server:
        done = launch(server, *FAST, "--deadline", "1500ms", "--max-in-flight", "7").end()
    whole = total(done.run.intervals)

    assert (50, 7) == (whole.planned, whole.in_flight_max)
    assert 7 <= whole.sent <= 21
    assert {NotSent.MAX_IN_FLIGHT: 50 - whole.sent} == dict(whole.not_sent)
    assert whole.sent - 7 == whole.network.slot_wait.count
    assert adds_up(done.run)


def test_waiting_for_a_slot_counts_as_response_time(run_server: RunServer, launch: Launch) -> None:
    """
    It does not count as service time, nor as schedule lag of the generator.
    """

    async def slowly(told: Any) -> None:
        await asyncio.sleep(0.1)
        await told.answer()

    with run_server(slowly) as server:
        options = ("--rate", "100", "--duration", "100ms", "--arrivals", "constant", "--deadline", "10s")
        done = launch(server, *options, "--max-in-flight", "1").end()
    whole = total(done.run.intervals)

    assert (10, 10, 1) == (whole.planned, whole.count(Result.OK), whole.in_flight_max)
    assert 9 == whole.network.slot_wait.count
    assert 0.8 < (whole.response_time[Result.OK].max or 0) < 3
    assert (whole.service_time[Result.OK].quantile(0.5) or 0) < 0.3
    assert (whole.schedule_lag.quantile(0.5) or 0) < 0.05
    assert adds_up(done.run)


def test_closed_users_wait_for_answer_and_think_time(run_server: RunServer, launch: Launch) -> None:
    """
    N users have at most N requests in flight, and every planned request is sent.
    """

    async def slow(told: Any) -> None:
        await asyncio.sleep(0.1)
        await told.answer()

    with run_server(slow) as server:
        done = launch(
            server, "--model", "closed", "--users", "5", "--think-time", "100ms", "--duration", "1500ms"
        ).end()
    whole = total(done.run.intervals)

    assert 5 == whole.in_flight_max
    assert 5 * 6 <= whole.sent <= 5 * 8
    assert whole.planned == whole.sent == len(server.requests) == whole.count(Result.OK)
    assert whole.schedule_lag.quantile(0.5) < 0.02
    assert adds_up(done.run)
    assert {"users": 5, "think_time_s": 0.1, "model": "closed"}.items() <= done.run.manifest.settings.items()


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_an_interrupted_run_is_drained(run_server: RunServer, launch: Launch, number: signal.Signals) -> None:
    """
    After SIGINT or SIGTERM in-flight requests are drained, and the rest of the plan is not sent.
    """

    async def slow(told: Any) -> None:
        await asyncio.sleep(0.5)
        await told.answer()

    with run_server(slow) as server:
        run = launch(server, "--rate", "100", "--duration", "60s")
        run.await_intervals(1)
        run.send(number)
        done = run.end()
    whole = total(done.run.intervals)

    assert 130 == done.code, done.errors
    assert Ending.INTERRUPTED is done.run.end.ending
    assert done.run.manifest.settings["plan"]["arrivals"] == whole.planned
    assert whole.sent == whole.count(Result.OK) == len(server.requests)
    assert whole.planned - whole.sent == whole.not_sent[NotSent.STOPPED]
    assert adds_up(done.run)


@pytest.mark.parametrize("model", [("--rate", "100"), ("--model", "closed", "--users", "20")])
def test_a_second_signal_censors_in_flight_requests(
    run_server: RunServer, launch: Launch, model: tuple[str, ...]
) -> None:
    """
    The run ends at once; unanswered requests count as censored.
    """
    with run_server(stall) as server:
        run = launch(server, *model, "--duration", "60s", "--deadline", "60s")
        run.await_intervals(1)
        begun = time.monotonic()
        run.send(signal.SIGINT)
        time.sleep(0.3)  # two of the same signal at once are one to the operating system
        run.send(signal.SIGINT)
        done = run.end()
    whole = total(done.run.intervals)

    assert 130 == done.code, done.errors
    assert time.monotonic() - begun < 8
    assert whole.sent == whole.count(Result.CENSORED) > 0
    assert adds_up(done.run)


def test_the_folder_of_a_killed_run_is_readable(run_server: RunServer, launch: Launch) -> None:
    """
    After kill -9 of the Locust process the report says that the run was cut off, and the exit code is 70.
    """
    with run_server(fine) as server:
        run = launch(server, "--rate", "100", "--duration", "60s")
        run.await_intervals(2)
        os.kill(run.locust(), signal.SIGKILL)
        killed = time.monotonic()
        done = run.end()
    whole = total(done.run.intervals)
    lost = server.arrival_times[whole.sent :]

    assert 70 == done.code
    assert "the Locust process failed (killed by SIGKILL)" in done.errors
    assert done.run.end is None
    assert all(killed - instant < 2 for instant in lost)


def test_a_run_whose_parent_was_killed_ends(run_server: RunServer, launch: Launch) -> None:
    """
    A load run stops when its parent process is gone.
    """
    with run_server(fine) as server:
        run = launch(server, "--rate", "50", "--duration", "60s")
        run.await_intervals(1)
        run.process.kill()
        give_up = time.monotonic() + 10
        while not (run.folder / "end.json").exists():
            assert time.monotonic() < give_up
            time.sleep(0.05)

    assert adds_up(read_run(run.folder))


def test_an_early_signal_ends_before_the_first_request(run_server: RunServer, launch: Launch) -> None:
    """
    SIGINT during the start leaves no run folder and no traceback.
    """
    with run_server(fine) as server:
        run = launch(server, "--duration", "60s")
        give_up = time.monotonic() + 10
        while True:
            try:
                run.locust()
            except (StopIteration, FileNotFoundError):
                assert time.monotonic() < give_up
                time.sleep(0.01)
            else:
                break
        run.send(signal.SIGINT)
        done = run.end()

    assert 130 == done.code
    assert "Traceback" not in done.errors
    assert [] == server.requests


def test_the_key_is_sent_to_the_target_only(run_server: RunServer, launch: Launch, key: str) -> None:
    """
    It is in no file, no output and no command line of a run.
    """
    with run_server(no_json, throttle, garbage) as server:
        run = launch(server, "--rate", "20", "--duration", "2s")
        run.await_intervals(1)
        processes = [run.process.pid, run.locust()]
        commands = b"".join(Path(f"/proc/{process}/cmdline").read_bytes() for process in processes)
        done = run.end()
    files = {path.name: path.read_text() for path in done.folder.iterdir()}

    assert all(key.encode() in request for request in server.requests)
    assert b"locustfile.py" in commands
    assert key not in commands.decode()
    assert key not in done.output + done.errors
    assert {"manifest.json", "intervals.jsonl", "findings.jsonl", "exemplars.jsonl", "clauses.jsonl", "end.json"} == (
        files.keys()
    )
    assert [] == [name for name, text in files.items() if key in text]
    assert "${BASETEN_API_KEY}" in files["findings.jsonl"]


def test_tls_is_verified(run_server: RunServer, launch: Launch, tls_context: Any, certificate: Path) -> None:
    """
    An untrusted certificate, or a server without TLS, is a usage error before anything is sent.
    """
    words = ("--rate", "20", "--duration", "500ms", "--arrivals", "constant")
    with run_server(fine, tls=tls_context) as server:
        url = f"https://localhost:{server.port}"
        distrusting = launch(url, *words).end()
        unsent = len(server.requests)
        trusting = launch(url, *words, SSL_CERT_FILE=str(certificate)).end()
    with run_server(fine) as plain:
        bare = launch(f"https://localhost:{plain.port}", *words, SSL_CERT_FILE=str(certificate)).end()
        unsent += len(plain.requests)

    for refused, why in ((distrusting, "certificate"), (bare, "cannot connect to https://localhost:")):
        assert 2 == refused.code, refused.errors
        assert why in refused.errors.splitlines()[-1]
        assert refused.errors.splitlines()[-1].startswith("chainproof loadtests: ")
        assert not refused.folder.exists()
    assert 0 == unsent
    assert {("answered", 200, None, "ok"): 10} == outcomes(trusting.run)


def test_a_failing_locust_process_is_an_internal_error(run_server: RunServer, launch: Launch, tmp_path: Path) -> None:
    """
    Its output is shown, and one line says that this is not about the target.
    """
    (tmp_path / "locust.py").write_text("raise ImportError('no such thing as a locust')")
    with run_server(fine) as server:
        done = launch(server, PYTHONPATH=str(tmp_path)).end()

    assert 70 == done.code
    assert "no such thing as a locust" in done.errors
    assert "internal error: the Locust process did not start a run (exit code 1)" in done.errors.splitlines()[-1]


def test_a_full_disk_is_an_internal_error(run_server: RunServer, launch: Launch) -> None:
    """
    A run that cannot be recorded ends with exit code 70.
    """
    with run_server(fine) as server:
        run = launch(server, "--rate", "50", "--duration", "60s")
        run.await_intervals(1)
        size = sum(path.stat().st_size for path in run.folder.iterdir())
        resource.prlimit(run.locust(), resource.RLIMIT_FSIZE, (size // 4, size // 4))
        done = run.end()

    assert 70 == done.code
    assert "the Locust process failed (exit code 70)" in done.errors
    assert "File too large" in done.errors


def test_an_exception_in_a_listener_ends_the_run(run_server: RunServer, tmp_path: Path) -> None:
    """
    With `locust -f`, an exception that Locust would ignore ends the run and the process with exit code 70.
    """
    (tmp_path / "mine.py").write_text(
        "from chainproof.loadtests.locustfile import *\n"
        "from locust import events\n"
        "events.request.add_listener(lambda **_: 1 / 0)\n"
    )
    folder = tmp_path / "run"
    with run_server(fine) as server:
        words = ["-f", str(tmp_path / "mine.py"), "--headless", "--skip-log-setup", "--target", server.target.origin]
        done = subprocess.run(
            [sys.executable, "-m", "locust", *words, "--duration=300ms", f"--out={folder}"],
            capture_output=True,
            text=True,
            check=False,
            timeout=30,
            stdin=subprocess.DEVNULL,
            env={**os.environ, "BASETEN_API_KEY": "key", "LOCUST_SKIP_MONKEY_PATCH": ""},
        )

    assert 70 == done.returncode, done.stderr
    assert "ZeroDivisionError" in done.stderr
    assert Ending.INTERNAL_ERROR is read_run(folder).end.ending
    assert adds_up(read_run(folder))


def test_locust_runs_the_locustfile(run_server: RunServer, tmp_path: Path) -> None:
    """
    `locust -f locustfile.py --headless` makes the same run folder, and Locust's own files are complete.
    """
    folder = tmp_path / "run"
    with run_server(fine, throttle) as server:
        words = ["-f", str(LOCUSTFILE), "--headless", "--skip-log-setup", "--target", server.target.origin]
        words += ["--rate=40", "--arrivals=constant", "--duration=1s"]
        done = subprocess.run(
            [sys.executable, "-m", "locust", *words, f"--out={folder}", f"--json-file={tmp_path / 'locust'}"],
            capture_output=True,
            text=True,
            check=False,
            timeout=30,
            stdin=subprocess.DEVNULL,
            env={**os.environ, "BASETEN_API_KEY": "key", "LOCUST_SKIP_MONKEY_PATCH": ""},
        )
    entry = json.loads((tmp_path / "locust.json").read_text())[0]

    # Half of them failed, and smoke asks for an error_rate below 5 %: the exit code is the verdict.
    assert 1 == done.returncode, done.stderr
    assert {"ok": 20, "failed": 20, "sent": 40}.items() <= read_run(folder).end.accounting.items()
    assert (40, 20) == (entry["num_requests"], entry["num_failures"])


SCENARIO = """
service_time = { median = "20ms", p99 = "60ms" }
[errors]
rate_limited = 0.05
application_error = 0.05
"""


@pytest.mark.parametrize("model", [("--rate", "200"), ("--model", "closed", "--users", "8")])
def test_counts_and_times_agree_with_the_access_log(launch: Launch, tmp_path: Path, model: tuple[str, ...]) -> None:
    """
    Counts by status and code are equal; percentiles differ only by the overhead of loopback and two processes.
    """
    scenario, truth = tmp_path / "scenario.toml", tmp_path / "truth.jsonl"
    scenario.write_text(SCENARIO)
    emulator = (
        sys.executable,
        "-m",
        "chainproof",
        "emulator",
        str(scenario),
        "--port",
        "0",
        "--access-log",
        str(truth),
        "--",
    )
    done = launch(None, *model, "--duration", "2s", wrapper=emulator).end()
    told = [json.loads(line) for line in truth.read_text().splitlines()]
    whole = total(done.run.intervals)
    seen = Counter[tuple[int | None, str | None]]()
    for outcome, count in whole.outcomes.items():
        seen[outcome.status, outcome.error_code] += count

    assert Counter((line["status"], line["error_code"]) for line in told) == seen
    assert len(told) == whole.sent > 300
    assert {e.request_id for e in done.run.exemplars} <= {line["request_id"] for line in told}
    times = sorted(line["sent_s"] - line["received_s"] for line in told)
    merged = whole.service_time[Result.OK]
    merged.merge(whole.service_time[Result.FAILED])
    for fraction in (0.5, 0.9, 0.95, 0.99):
        expected = times[math.ceil(fraction * len(times)) - 1]

        # Ours has the way there and back besides. Our end is the kernel's, theirs is read once the kernel has taken the
        # answer: on a busy machine either process may be kept from its clock.
        assert expected * 0.95 - 0.005 <= merged.quantile(fraction) <= expected * 1.05 + 0.005, fraction


def test_a_folder_chainproof_in_the_working_folder_is_not_imported(run_server: RunServer, tmp_path: Path) -> None:
    """
    Locust would look in the working folder first, which in a checkout contains a folder `chainproof`.
    """
    (tmp_path / "chainproof").mkdir()
    (tmp_path / "chainproof" / "__init__.py").write_text("raise ImportError('not this one')")
    with run_server(fine) as server:
        words = [
            "--target",
            server.target.origin,
            *FAST,
            f"--out={tmp_path / 'run'}",
            "--objective",
            "error_rate < 50%",
        ]
        done = subprocess.run(
            [sys.executable, "-P", "-m", "chainproof", "loadtests", *words],
            capture_output=True,
            text=True,
            check=False,
            timeout=30,
            cwd=tmp_path,
            env={**os.environ, "BASETEN_API_KEY": "key", "LOCUST_SKIP_MONKEY_PATCH": ""},
        )

    assert 0 == done.returncode, done.stderr


def test_arguments_after_two_hyphens_go_to_locust(run_server: RunServer, launch: Launch, tmp_path: Path) -> None:
    """
    Locust's own options are passed on unchanged.
    """
    with run_server(fine) as server:
        done = launch(server, *FAST, "--", f"--json-file={tmp_path / 'locust'}").end()

    assert 50 == json.loads((tmp_path / "locust.json").read_text())[0]["num_requests"], done.errors


def test_ctrl_c_ends_the_waiting_for_workers(launch: Launch, run_server: RunServer) -> None:
    """
    Without workers nothing is sent, and no folder is left.
    """
    with run_server(fine) as server:
        run = launch(server, "--workers", "2", "--", "--master-bind-host=127.0.0.1", "--master-bind-port=0")
        give_up = time.monotonic() + 10
        while True:
            try:
                if b"--master" in Path(f"/proc/{run.locust()}/cmdline").read_bytes():
                    break
            except (StopIteration, FileNotFoundError):
                assert time.monotonic() < give_up
            time.sleep(0.05)
        time.sleep(2)  # until it waits
        run.send(signal.SIGINT)
        done = run.end()

    assert 130 == done.code, done.errors
    assert not done.folder.exists()
    assert "Traceback" not in done.errors


@pytest.mark.parametrize(("objective", "code"), [("p95 response_time < 10s", 0), ("p95 response_time < 1us", 1)])
def test_locust_ends_with_the_exit_code_of_the_verdict(tmp_path, objective, code):
    """
    Locust started by hand has the exit code of `chainproof loadtests`.
    """
    words = ["-f", str(LOCUSTFILE), "--headless", "--skip-log-setup", "--rate", "100", "--duration", "1s"]
    ended = subprocess.run(
        [sys.executable, "-P", "-m", "locust", *words, "--objective", objective, "--out", str(tmp_path / "run")],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )

    assert code == ended.returncode, ended.stderr
