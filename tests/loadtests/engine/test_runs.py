"""Tests of complete load runs: every request is accounted for, whatever the target does and however the run ends."""

from __future__ import annotations

import asyncio
import errno
import json
import os
import resource
import signal
import sys
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from chainproof.loadtests import command
from chainproof.loadtests.locust_process import LocustExit
from chainproof.processes import chainproof_command
from chainproof.results.exchange import NotSent, Result
from chainproof.results.folder import END, Run, read_run
from chainproof.results.intervals.interval import total
from chainproof.results.manifest import Ending

from ...processes import run_process
from ...waiting import await_condition
from ..behaviours import answer_after, fine, hang_up, stall, throttle
from ..conftest import adds_up, assert_times_agree, is_late, locust_command, locust_environment

Launch = Callable[..., Any]
RunServer = Callable[..., Any]

FAST = ("--rate", "50", "--duration", "1s", "--arrivals", "constant")
ALL_CASES = os.environ.get("CHAINPROOF_SAMPLE") == "all"


async def drip(request: Any) -> None:
    """Send one byte per second."""
    for octet in b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}":
        await request.send_bytes(bytes([octet]))
        await asyncio.sleep(1)


async def half_answer(request: Any) -> None:
    """Send half an answer and close the connection."""
    await request.send_bytes(b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n{")
    raise ConnectionError


async def redirect(request: Any) -> None:
    """Answer with a redirect."""
    await request.answer(302, b"", "Location: /production/run_remote", f"X-BASETEN-REQUEST-ID: id-{request.number}")


async def garbage(request: Any) -> None:
    """Send bytes that are not HTTP."""
    await request.send_bytes(b"\x00\x01\x02 what?\r\n\r\n")


async def no_json(request: Any) -> None:
    """Answer 200 with HTML instead of JSON."""
    await request.answer(200, b"<html>", "Content-Type: text/html", f"X-BASETEN-REQUEST-ID: id-{request.number}")


async def undocumented_code(request: Any) -> None:
    """Answer with an undocumented error code."""
    await request.answer(503, b'{"error_code": "gremlins"}')


BEHAVIOURS = (fine, stall, drip, half_answer, hang_up, redirect, garbage, throttle, no_json, undocumented_code)
OUTCOMES_OF = {
    fine: ("answered", 200, None, "ok"),
    stall: ("deadline", None, None, "timed_out"),
    drip: ("deadline", None, None, "timed_out"),
    half_answer: ("closed_early", None, None, "failed"),
    hang_up: ("connection_reset", None, None, "failed"),
    redirect: ("answered", 302, None, "failed"),
    garbage: ("malformed", None, None, "failed"),
    throttle: ("answered", 429, "rate_limited", "failed"),
    no_json: ("answered", 200, None, "failed"),
    undocumented_code: ("answered", 503, "gremlins", "failed"),
}


def outcomes(run: Run) -> Counter[tuple[str, int | None, str | None, str]]:
    """The count of each outcome in a run folder."""
    return Counter(
        {
            (o.transport.value, o.status, o.error_code, o.result.value): n
            for o, n in total(run.intervals).outcomes.items()
        }
    )


def test_a_faulty_target_loses_no_request(run_server: RunServer, launch: Launch) -> None:
    """Requests to a target that stalls, trickles, disconnects or sends garbage are recorded with their outcome."""
    with run_server(*BEHAVIOURS) as server:
        done = launch(server, *FAST, "--deadline", "2s", "--seed", "5", "--objective", "error_rate < 1%").end()
    expected = Counter(OUTCOMES_OF[BEHAVIOURS[number % len(BEHAVIOURS)]] for number in range(50))

    done.assert_verdict(1)
    assert expected == outcomes(done.run)
    assert adds_up(done.run)
    assert 50 == len(server.requests)
    assert Ending.COMPLETED is done.run.end.ending
    assert {"status": 5, "output-media-type": 5, "error-code": 5} == {
        found.clause: found.count for found in done.run.findings if found.clause != "request-id-present"
    }
    assert {"answered"} == {e.transport for e in done.run.exemplars if e.request_id}
    assert f"run folder: {done.folder}" == done.output.splitlines()[-1]


def test_a_stalled_target_does_not_slow_the_open_model(run_server: RunServer, launch: Launch) -> None:
    """Every planned request is sent although none is answered, so that all are in flight at once."""
    with run_server(stall) as server:
        done = launch(server, "--rate", "100", "--duration", "1s", "--deadline", "60s", "--drain", "500ms").end()
    run = done.run
    totals = total(run.intervals)
    planned = run.manifest.settings["plan"]["arrivals"]

    assert planned == totals.sent == totals.count(Result.CENSORED) == len(server.requests)
    assert totals.in_flight_max == planned
    assert adds_up(run)


def test_requests_beyond_max_in_flight_count_as_not_sent(run_server: RunServer, launch: Launch) -> None:
    """A request waits for a slot until its deadline; then it is not sent, and counted."""
    with run_server(stall) as server:
        done = launch(server, *FAST, "--deadline", "700ms", "--max-in-flight", "7").end()
    totals = total(done.run.intervals)

    assert (50, 7) == (totals.planned, totals.in_flight_max)
    assert 7 <= totals.sent < 50
    assert {NotSent.MAX_IN_FLIGHT: 50 - totals.sent} == dict(totals.not_sent)
    assert totals.sent - 7 == totals.network.slot_wait.count
    assert adds_up(done.run)


def test_waiting_for_a_slot_counts_as_response_time(run_server: RunServer, launch: Launch) -> None:
    """It does not count as service time, nor as schedule lag of the generator."""
    with run_server(answer_after(0.1)) as server:
        options = ("--rate", "100", "--duration", "100ms", "--arrivals", "constant", "--deadline", "10s")
        done = launch(server, *options, "--max-in-flight", "1").end()
    totals = total(done.run.intervals)

    assert (10, 10, 1) == (totals.planned, totals.count(Result.OK), totals.in_flight_max)
    assert 9 == totals.network.slot_wait.count
    response, service = totals.response_time[Result.OK], totals.service_time[Result.OK]
    assert 0.8 < (response.max or 0)
    assert service.total <= (response.max or 0) + 0.11  # one after the other; the last one is planned at 90 ms
    assert response.total == pytest.approx(
        totals.schedule_lag.total + totals.network.slot_wait.total + service.total, abs=0.01
    )
    assert adds_up(done.run)


def test_closed_users_wait_for_answer_and_think_time(run_server: RunServer, launch: Launch) -> None:
    """N users have at most N requests in flight, and every planned request is sent."""
    with run_server(answer_after(0.1)) as server:
        done = launch(server, "--model", "closed", "--users", "5", "--think-time", "100ms", "--duration", "1s").end()
    totals = total(done.run.intervals)

    assert 1 <= totals.in_flight_max <= 5
    assert 5 <= totals.sent <= 5 * 5  # a cycle takes at least 200 ms
    assert totals.planned == totals.sent == len(server.requests) == totals.count(Result.OK)
    assert adds_up(done.run)
    assert {"users": 5, "think_time_s": 0.1, "model": "closed"}.items() <= done.run.manifest.settings.items()


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT] if ALL_CASES else [signal.SIGTERM])
def test_an_interrupted_run_is_drained(run_server: RunServer, launch: Launch, number: signal.Signals) -> None:
    """After SIGINT or SIGTERM in-flight requests are drained, and the rest of the plan is not sent."""
    with run_server(answer_after(0.5)) as server:
        run = launch(server, "--rate", "100", "--duration", "60s")
        run.await_intervals(1)
        run.send(number)
        done = run.end()
    totals = total(done.run.intervals)

    assert 130 == done.code, done.errors
    assert Ending.INTERRUPTED is done.run.end.ending
    assert done.run.manifest.settings["plan"]["arrivals"] == totals.planned
    assert totals.sent == totals.count(Result.OK) == len(server.requests)
    assert totals.planned - totals.sent == totals.not_sent[NotSent.STOPPED]
    assert adds_up(done.run)


MODELS = [("--model", "closed", "--users", "20"), ("--rate", "100")]


@pytest.mark.parametrize("model", MODELS if ALL_CASES else MODELS[:1])
def test_a_second_signal_censors_in_flight_requests(
    run_server: RunServer, launch: Launch, model: tuple[str, ...]
) -> None:
    """The run ends at once; unanswered requests count as censored."""
    with run_server(stall) as server:
        run = launch(server, *model, "--duration", "60s", "--deadline", "60s", "--drain", "60s")
        run.await_intervals(1)
        run.send(signal.SIGINT)
        while run.process.poll() is None:  # the operating system merges two equal signals that are pending
            time.sleep(0.3)
            run.send(signal.SIGINT)
        done = run.end()
    totals = total(done.run.intervals)

    assert 130 == done.code, done.errors
    assert done.run.end.seconds < 50  # it does not wait for the deadline
    assert totals.sent == totals.count(Result.CENSORED) > 0
    assert adds_up(done.run)


def test_the_folder_of_a_killed_run_is_readable(run_server: RunServer, launch: Launch) -> None:
    """After kill -9 of the Locust process the report says that the run was cut off, and the run is invalid."""
    with run_server(fine) as server:
        run = launch(server, "--rate", "100", "--arrivals", "constant", "--duration", "60s")
        run.await_intervals(2)
        os.kill(run.locust(), signal.SIGKILL)
        done = run.end()

    assert 4 == done.code
    assert "the load process was killed by SIGKILL, not by chainproof" in done.errors
    assert done.run.end is None
    assert [100] * max(len(done.run.intervals), 2) == [interval.planned for interval in done.run.intervals]


def test_a_run_whose_parent_was_killed_ends(run_server: RunServer, launch: Launch) -> None:
    """A load run stops when its parent process is gone."""
    with run_server(fine) as server:
        run = launch(server, "--rate", "50", "--duration", "60s")
        run.await_intervals(1)
        run.process.kill()
        await_condition((run.folder / "end.json").exists)

    assert adds_up(read_run(run.folder))


def test_an_early_signal_ends_before_the_first_request(run_server: RunServer, launch: Launch) -> None:
    """SIGINT during the start leaves no run folder and no traceback."""
    with run_server(fine) as server:
        run = launch(server, "--duration", "60s")
        run.locust()
        run.send(signal.SIGINT)
        done = run.end()

    assert 130 == done.code
    assert "Traceback" not in done.errors
    assert [] == server.requests


def test_the_key_is_sent_to_the_target_only(run_server: RunServer, launch: Launch, key: str) -> None:
    """It is in no file, no output and no command line of a run."""
    with run_server(no_json, throttle, garbage) as server:
        run = launch(server, "--rate", "20", "--duration", "500ms")
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
    """An untrusted certificate, or a server without TLS, is a usage error before anything is sent."""
    words = ("--rate", "50", "--duration", "200ms", "--arrivals", "constant")
    with run_server(fine, tls=tls_context) as server:
        url = f"https://localhost:{server.port}"
        untrusted = launch(url, *words).end()
        unsent = len(server.requests)
        trusted = launch(url, *words, SSL_CERT_FILE=str(certificate)).end()
    with run_server(fine) as plain:
        without_tls = launch(f"https://localhost:{plain.port}", *words, SSL_CERT_FILE=str(certificate)).end()
        unsent += len(plain.requests)

    for refused, why in ((untrusted, "certificate"), (without_tls, "cannot connect to https://localhost:")):
        assert 2 == refused.code, refused.errors
        assert why in refused.errors.splitlines()[-1]
        assert refused.errors.splitlines()[-1].startswith("chainproof loadtests: ")
        assert not refused.folder.exists()
    assert 0 == unsent
    assert {("answered", 200, None, "ok"): 10} == outcomes(trusted.run)


def test_a_locust_process_that_does_not_start_is_an_internal_error(
    run_server: RunServer, launch: Launch, tmp_path: Path
) -> None:
    """The output of the process is shown, and one line says that the target is not the cause."""
    (tmp_path / "locust.py").write_text("raise ImportError('no such thing as a locust')")
    with run_server(fine) as server:
        done = launch(server, PYTHONPATH=str(tmp_path)).end()

    assert 70 == done.code
    assert "no such thing as a locust" in done.errors
    assert "internal error: the Locust process did not start a run (exit code 1)" in done.errors.splitlines()[-1]


def test_a_run_folder_that_has_lost_its_manifest_is_invalid(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """It is no error in chainproof: somebody deleted the file."""
    (tmp_path / END).write_text("{}")

    assert 4 == command._judge(tmp_path, LocustExit(code=0, interrupted=False))
    assert f"the run folder {tmp_path} has lost its manifest.json" in capsys.readouterr().err


def test_a_full_disk_ends_the_run_with_its_report(run_server: RunServer, launch: Launch) -> None:
    """One line says what happened, without a traceback; the report is on the seconds before, and the run is invalid."""
    with run_server(fine) as server:
        run = launch(server, "--rate", "50", "--duration", "60s")
        run.await_intervals(1)
        size = (run.folder / "intervals.jsonl").stat().st_size
        resource.prlimit(run.locust(), resource.RLIMIT_FSIZE, (size + 1, size + 1))
        done = run.end()
    problem = f"cannot write to the run folder {run.folder}: file too large; raise the limit of the size of files"

    assert 4 == done.code, done.errors
    assert f"chainproof loadtests: {problem} (`ulimit -f`); the run ends here" in done.errors
    assert "Traceback" not in done.errors
    assert "INVALID  A problem of the machine ended the run: cannot write to the run folder" in done.output
    assert done.run.intervals
    assert done.run.end is not None
    assert Ending.MACHINE_FAULT is done.run.end.ending
    assert done.run.end.note.startswith(problem)
    assert not done.run.damage


def test_an_exception_in_a_listener_ends_the_run(run_server: RunServer, tmp_path: Path) -> None:
    """With `locust -f`, an exception that Locust would ignore ends the run and the process with exit code 70."""
    (tmp_path / "mine.py").write_text(
        "from chainproof.loadtests.locustfile import *\n"
        "from locust import events\n"
        "events.request.add_listener(lambda **_: 1 / 0)\n"
    )
    folder = tmp_path / "run"
    with run_server(fine) as server:
        words = [
            "--headless",
            "--skip-log-setup",
            "--target",
            server.target.origin,
            "--duration=300ms",
            f"--out={folder}",
        ]
        done = run_process(locust_command(*words, file=tmp_path / "mine.py"), env=locust_environment())

    assert 70 == done.returncode, done.stderr
    assert "ZeroDivisionError" in done.stderr
    assert Ending.INTERNAL_ERROR is read_run(folder).end.ending
    assert adds_up(read_run(folder))


def test_a_run_without_a_verdict_does_not_pass(monkeypatch: pytest.MonkeyPatch) -> None:
    """If the process of the summary cannot start, the run is invalid: Locust's own exit code would be 0."""
    monkeypatch.setenv("LOCUST_SKIP_MONKEY_PATCH", "1")  # Locust would patch this process when it is imported
    from chainproof.loadtests.distributed.writer_session import LocalSession  # noqa: PLC0415  # after the variable is set

    def exit_code() -> int:
        raise OSError(errno.EAGAIN, os.strerror(errno.EAGAIN))

    faults = list[str]()
    environment = SimpleNamespace(parsed_options=None, runner=None, process_exit_code=None)
    session = LocalSession.__new__(LocalSession)
    session.environment = environment
    session.run = SimpleNamespace(stop=bool, wait=bool, end_by_machine=faults.append)
    monkeypatch.setattr(session, "exit_code", exit_code)
    session.on_quitting()

    assert 4 == environment.process_exit_code
    assert 1 == len(faults)


def test_locust_runs_the_locustfile(run_server: RunServer, tmp_path: Path) -> None:
    """`locust -f locustfile.py --headless` makes the same run folder, and Locust's own files are complete."""
    folder = tmp_path / "run"
    with run_server(fine, throttle) as server:
        words = [
            "--headless",
            "--skip-log-setup",
            "--target",
            server.target.origin,
            f"--json-file={tmp_path / 'locust'}",
        ]
        words += ["--rate=40", "--arrivals=constant", "--duration=1s", f"--out={folder}"]
        done = run_process(locust_command(*words), env=locust_environment())
    entry = json.loads((tmp_path / "locust.json").read_text())[0]

    # Half of the requests failed, and the objective of smoke is an error_rate below 5 %.
    assert done.returncode == 1 or (done.returncode == 4 and is_late(read_run(folder))), done.stderr
    assert done.stdout.startswith("FAIL  Missed: " if done.returncode == 1 else "INVALID  ")
    assert f"run folder: {folder}" == done.stdout.splitlines()[-1]
    assert {"ok": 20, "failed": 20, "sent": 40}.items() <= read_run(folder).end.accounting.items()
    assert (40, 20) == (entry["num_requests"], entry["num_failures"])


SCENARIO = """
service_time = { median = "20ms", p99 = "60ms" }
[errors]
rate_limited = 0.05
application_error = 0.05
"""


MEASURED = [("--rate", "200"), ("--model", "closed", "--users", "8")]


@pytest.mark.parametrize("model", MEASURED if ALL_CASES else MEASURED[:1])
def test_counts_and_times_agree_with_the_access_log(launch: Launch, tmp_path: Path, model: tuple[str, ...]) -> None:
    """Counts by status and code are equal; the service times of each request differ only by the overhead of loopback and two processes."""
    scenario, access_log = tmp_path / "scenario.toml", tmp_path / "access.jsonl"
    scenario.write_text(SCENARIO)
    emulator = chainproof_command("emulator", str(scenario), "--port", "0", "--access-log", str(access_log), "--")
    done = launch(None, *model, "--duration", "1s", "--record-requests", "2000", wrapper=emulator).end()
    lines = [json.loads(line) for line in access_log.read_text().splitlines()]
    totals = total(done.run.intervals)
    counted = Counter[tuple[int | None, str | None]]()
    for outcome, count in totals.outcomes.items():
        counted[outcome.status, outcome.error_code] += count

    assert Counter((line["status"], line["error_code"]) for line in lines) == counted
    assert len(lines) == totals.sent > 50
    assert {e.request_id for e in done.run.exemplars} <= {line["request_id"] for line in lines}
    assert_times_agree(done.run, lines)


def test_libraries_are_not_imported_from_the_working_folder(run_server: RunServer, tmp_path: Path) -> None:
    """Locust imports from the working folder first. A checkout contains a folder `chainproof`, others a `statistics.py`."""
    for name in ("chainproof", "numpy", "scipy", "orjson", "httptools", *sys.stdlib_module_names):
        (tmp_path / name).mkdir()
        (tmp_path / name / "__init__.py").write_text("raise ImportError('not this one')")
    with run_server(fine) as server:
        words = ["--no-html", "--target", server.target.origin, *FAST, f"--out={tmp_path / 'run'}"]
        command = chainproof_command("loadtests", *words, "--objective", "error_rate < 50%")
        done = run_process(command, cwd=tmp_path, env=locust_environment())

    assert done.returncode == 0 or is_late(read_run(tmp_path / "run")), done.stderr


def test_arguments_after_two_hyphens_go_to_locust(run_server: RunServer, launch: Launch, tmp_path: Path) -> None:
    """Locust's own options are passed on unchanged."""
    with run_server(fine) as server:
        done = launch(server, *FAST, "--", f"--json-file={tmp_path / 'locust'}").end()

    assert 50 == json.loads((tmp_path / "locust.json").read_text())[0]["num_requests"], done.errors


def test_ctrl_c_ends_the_wait_for_workers(launch: Launch, run_server: RunServer) -> None:
    """Nothing is sent, and no run folder is created."""
    with run_server(fine) as server:
        options = ("--workers", "2", "--", "--master-bind-host=127.0.0.1", "--master-bind-port=0")
        run = launch(server, *options, CHAINPROOF_WORKER_TOKEN="0123456789abcdef" * 2)
        assert b"--master" in Path(f"/proc/{run.locust()}/cmdline").read_bytes()
        time.sleep(2)  # until the master waits for workers; what follows holds before, too
        run.send(signal.SIGINT)
        done = run.end()

    assert 130 == done.code, done.errors
    assert not done.folder.exists()
    assert "Traceback" not in done.errors


OBJECTIVES = [("error_rate < 50%", 0), ("p95 response_time < 1us", 1)]


@pytest.mark.parametrize(("objective", "code"), OBJECTIVES if ALL_CASES else OBJECTIVES[:1])
def test_locust_ends_with_the_exit_code_of_the_verdict(tmp_path, objective, code):
    """Locust started by hand has the exit code of `chainproof loadtests`."""
    words = ["--headless", "--skip-log-setup", "--rate", "100", "--duration", "1s", "--objective", objective]
    ended = run_process(locust_command(*words, "--out", str(tmp_path / "run")))

    assert ended.returncode == code or (ended.returncode == 4 and is_late(read_run(tmp_path / "run"))), ended.stderr
