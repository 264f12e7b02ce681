"""Commands as users start them: at the same time as others, with closed or full streams, few files, and a closed terminal."""

from __future__ import annotations

import os
import shlex
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest

from chainproof.command import command
from chainproof.endpoint import Endpoint, start_emulator
from chainproof.judgement.verdict import ExitCode
from chainproof.processes import chainproof_command
from chainproof.results.folder import find_runs, read_run
from chainproof.results.manifest import Ending
from chainproof.signals import (
    ENDING_SIGNALS,
    first_signal_interrupts,
    handle_signals,
    signals_deferred,
    start_without_signals,
)

from ..processes import clean_environment, run_process, start_process
from ..waiting import PATIENCE, await_condition

ALL_CASES = os.environ.get("CHAINPROOF_SAMPLE") == "all"
SHORT_LOAD = ("loadtests", "--rate", "20", "--duration", "0.2s", "--objective", "error_rate < 100%")


def environment(endpoint: Endpoint) -> dict[str, str]:
    """The environment of a command that finds the emulator."""
    return clean_environment(**endpoint.environment)


def test_simultaneous_runs_get_folders_of_their_own(emulator: Endpoint, tmp_path: Path) -> None:
    """Load runs that are started within one second, without --out, all complete. Their last line names report or folder."""
    runs = [
        start_process(
            chainproof_command(*SHORT_LOAD, "--label", "  before the   upgrade ", *words),
            cwd=tmp_path,
            env=environment(emulator),
        )
        for words in ((), ("--no-html",))
    ]
    ends = [(run.communicate(timeout=PATIENCE)[0], run.returncode) for run in runs]
    pages = [Path(line.removeprefix("HTML report: ")) for line in ends[0][0].splitlines()[-1:]]
    folders = [pages[0].parent, Path(ends[1][0].splitlines()[-1].removeprefix("run folder: "))]

    assert {code for _, code in ends} <= {0, 4}, ends  # 4: invalid, on a busy machine
    assert b"<html" in (tmp_path / pages[0]).read_bytes()
    assert {tmp_path / folder for folder in folders} == set(find_runs(tmp_path / "runs"))
    for folder in folders:
        found = read_run(tmp_path / folder)
        assert found.end is not None
        assert "before the upgrade" == found.manifest.label
    assert all('Load run smoke "before the upgrade"' in output for output, _ in ends)


@pytest.mark.parametrize("service_time", ["40ms", "1ms"] if ALL_CASES else ["40ms"])
def test_checks_can_be_distributed_over_processes(service_time: str, tmp_path: Path) -> None:
    """With pytest -n 2 and without --out, each worker writes a run folder of its own. A slow target gets several requests at once."""
    scenario = tmp_path / "constant.toml"
    scenario.write_text(f'description = "constant"\nservice_time = "{service_time}"\n', encoding="utf-8")
    with start_emulator(str(scenario)) as emulator:
        ended = run_process(
            [
                sys.executable,
                "-P",
                "-m",
                "pytest",
                "-n2",
                "--pyargs",
                "chainproof.conformance",
                "--depth=quick",
                "-k",
                "without_a_body or single_member",
            ],
            cwd=tmp_path,
            env=environment(emulator),
        )

    assert 0 == ended.returncode, ended.stdout + ended.stderr


CHECK = ("conformance", "-k", "without_a_body", "--depth", "quick")
STREAMS = {
    "a closed output": ("--version >&-", 2, "chainproof: cannot write to the standard output: it is closed; redirect"),
    "a full output": (
        "loadtests --help >/dev/full",
        2,
        "chainproof loadtests: cannot write to the standard output: no space",
    ),
    "a full output of a run": (
        shlex.join(CHECK) + " >/dev/full",
        2,
        "chainproof conformance: cannot write to the standard",
    ),
    "an output in ASCII": ('call --payload \'{"a": "\u00b5"}\'', 0, ""),
    "a closed input": ("--version <&- >/dev/null", 0, ""),
    "full errors": ("nonsense 2>/dev/full", 2, ""),
    "closed errors": ("reports /nowhere 2>&-", 2, ""),
    "nothing open": ("--version <&- >&- 2>&-", 2, ""),
    "few files for conformance": (
        f"{shlex.join(CHECK)}",
        2,
        "chainproof conformance: expected a limit of at least 256 open files",
    ),
    "few files for load": (
        shlex.join(SHORT_LOAD),
        2,
        "chainproof loadtests: expected a limit of at least 300 open files",
    ),
    "few files for an emulator": ("emulator", 2, "chainproof emulator: expected a limit of at least 100 open files"),
}


@pytest.mark.parametrize("case", STREAMS)
def test_unusable_streams_and_limits_are_reported_in_one_line(case: str, emulator: Endpoint, tmp_path: Path) -> None:
    """A command whose output is lost, or that may open too few files, says so in one line and exits with 2."""
    words, code, message = STREAMS[case]
    limit = "ulimit -n 40; " if case.startswith("few") else ""
    if case.endswith("ASCII"):
        limit = "export LC_ALL=C PYTHONCOERCECLOCALE=0 PYTHONUTF8=0 PYTHONIOENCODING=ascii TERM=dumb; unset HOME; "
    line = f"{limit}{shlex.join(chainproof_command())} {words}"
    ended = run_process(["bash", "-c", line], cwd=tmp_path, env=environment(emulator))
    lines = [each for each in ended.stderr.splitlines() if each.startswith("chainproof") or "Error" in each]

    assert code == ended.returncode, ended.stderr
    assert [message] == [each[: len(message)] for each in lines] if message else not lines
    assert ("\nrun folder: " in ended.stderr) is (case == "a full output of a run")  # what was saved


LONG_LOAD = ("loadtests", "--rate", "20", "--duration", "60s")
LONG_CONFORMANCE = ("conformance", "--depth", "standard")


SIGNALS = [
    (LONG_LOAD, [signal.SIGHUP]),
    (LONG_LOAD, [signal.SIGINT] * 60),
    (LONG_CONFORMANCE, [signal.SIGTERM] + [signal.SIGINT] * 60),
    (LONG_CONFORMANCE, [signal.SIGHUP]),
    (LONG_CONFORMANCE, [signal.SIGINT] * 60),
]


@pytest.mark.parametrize(("words", "signals"), SIGNALS if ALL_CASES else SIGNALS[:3])
def test_signals_end_a_run_with_its_report(
    words: tuple[str, ...], signals: list[signal.Signals], emulator: Endpoint, tmp_path: Path
) -> None:
    """
    SIGHUP acts as Ctrl-C does: the run folder is complete, the exit code is 130, no traceback. Further signals, also while
    the results are shown, cost nothing.
    """
    run = subprocess.Popen(
        chainproof_command(*words, "--out", str(tmp_path / "run")),
        env=environment(emulator),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    written = tmp_path / "run" / ("exemplars.jsonl" if words[0] == "loadtests" else "clauses.jsonl")
    await_condition(written.exists)
    for number in signals:
        run.send_signal(number)  # none to a process that has ended
        with suppress(subprocess.TimeoutExpired):
            run.wait(0.05)  # so that the kernel does not merge two equal signals
    output, errors = run.communicate(timeout=PATIENCE)
    end = read_run(tmp_path / "run").end

    assert 130 == run.returncode, errors
    assert "Traceback" not in output + errors
    assert end is not None
    assert Ending.INTERRUPTED is end.ending
    assert f"run folder: {tmp_path / 'run'}" in output


SEARCH = ("loadtests", "saturation", "--rate", "5", "--search-max-rate", "10", "--duration", "5s", "--warm-up", "1s")
COMMANDS = (SEARCH, (*LONG_LOAD, "--processes", "2"), ("loadtests", "--calibrate"), ("demo",), ("emulator",), CHECK)


@pytest.mark.skipif(not ALL_CASES, reason="skipped: needs CHAINPROOF_SAMPLE=all")
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
@pytest.mark.parametrize("words", COMMANDS)
def test_repeated_signals_leave_no_traceback(words: tuple[str, ...], number: signal.Signals, tmp_path: Path) -> None:
    """Whenever they arrive, a command ends soon: killed while it is loaded, else interrupted; the emulator ends as planned."""
    for delay in (0.6, 1.5, 4.0):
        run = start_process(chainproof_command(*words), cwd=tmp_path)
        time.sleep(delay)  # the moment does not matter
        for _ in range(4):
            run.send_signal(number)
            time.sleep(0.05)
        output = run.communicate(timeout=PATIENCE)[0]

        # Python ends by SIGINT, which a shell shows as 130, if KeyboardInterrupt was raised in code that exec has compiled.
        assert run.returncode in (0, 130, -number, -signal.SIGINT), output
        assert "Traceback" not in output


def test_a_run_outlives_its_terminal_with_nohup() -> None:
    """A SIGHUP that is ignored from the start stays ignored."""
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        with handle_signals(bool):
            assert signal.SIG_IGN is signal.getsignal(signal.SIGHUP)
    finally:
        signal.signal(signal.SIGHUP, before)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_a_signal_does_not_interrupt_an_import(number: signal.Signals) -> None:
    """It arrives after the import: the exception of its handler, raised within an extension module, can crash the process."""
    reached = []
    try:
        with first_signal_interrupts():
            with signals_deferred():
                os.kill(os.getpid(), number)
                reached.append("the end of the import")
            reached.append("the code after it")
    except KeyboardInterrupt:
        reached.append("an interruption")

    assert ["the end of the import", "an interruption"] == reached


def test_signals_reach_the_main_thread_only() -> None:
    """Another thread would not wake it up, so that the second of two signals would wait for a third."""
    before = signal.pthread_sigmask(signal.SIG_BLOCK, [])
    blocked: list[set[int]] = []
    thread = threading.Thread(target=lambda: blocked.append(set(signal.pthread_sigmask(signal.SIG_BLOCK, []))))
    start_without_signals(thread)
    thread.join()

    assert [before | set(ENDING_SIGNALS)] == blocked
    assert before == signal.pthread_sigmask(signal.SIG_BLOCK, [])


def test_a_signal_while_handlers_are_installed_ends_the_command(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """One line, and 130: the window between the handlers and the command is small, but a supervisor may hit it."""

    @contextmanager
    def signalled() -> Iterator[None]:
        with first_signal_interrupts():
            os.kill(os.getpid(), signal.SIGTERM)
            yield

    monkeypatch.setattr("chainproof.command.first_signal_interrupts", signalled)

    assert ExitCode.INTERRUPTED == command("some")(lambda _: ExitCode.PASS)([])
    assert "chainproof some: interrupted\n" == capsys.readouterr().err
