"""
Locust as a child process: started with the command's options, its output shown without the API key.

This process never imports Locust or gevent.
"""

from __future__ import annotations

import argparse
import json
import math
import os
import re
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack, suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import IO

import orjson

from chainproof import command
from chainproof.clock import Seconds
from chainproof.contract.credentials import DEFAULT_KEY_VARIABLE, ApiKey
from chainproof.endpoint import EMULATED_VARIABLE, Endpoint
from chainproof.judgement.verdict import ExitCode
from chainproof.linux import oom_kills
from chainproof.processes import PIPED_OUTPUT, own_environment
from chainproof.results.folder import END, MANIFEST
from chainproof.results.manifest import Ending, Series
from chainproof.signals import announce_suspension, handle_signals, start_without_signals
from chainproof.target_options import TargetOptions
from chainproof.workload.workload import Workload

from .catalogue import objective_texts
from .locust_arguments import locust_arguments
from .metrics_endpoint import serve_metrics
from .progress import ProgressDisplay, live_progress

LOCUSTFILE = Path(__file__).parent / "locustfile.py"

_OUT_OF_MEMORY = (
    "the kernel killed the load process because memory ran out: the run ends there and is invalid; give this machine or "
    "container more memory, or lower --max-in-flight, --users or the number of requests"
)
_KILLED = "the load process was killed by {signal}, not by chainproof: the run ends there and is invalid; run it again"
_SUSPENDED = (
    "stopped with Ctrl-Z, but its requests go on: continue it with `fg` or `bg`, and end it with `fg` and Ctrl-C"
)
_FIXED = ("--headless", "--only-summary", "--skip-log-setup", "--until-eof")
"""Locust would log its own tables, so its log is not set up; warnings are shown nevertheless."""
_POLL_INTERVAL: Seconds = 0.05
_PATIENCE: Seconds = 2.0
"""How long a process that is not ready may take to end before a further signal is passed on."""
_START_DELAY: Seconds = 2.0
"""Time from the message with second 0 until then: it must reach every process, with its workers."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LocustRun:
    """A run that a Locust process is to make."""

    options: argparse.Namespace
    requested: TargetOptions
    endpoint: Endpoint
    folder: Path
    locust_arguments: Sequence[str] = ()
    """The user's arguments for Locust."""
    series: Series | None = None

    def command(self, port: int) -> list[str]:
        """The command line of the process, with a free port for the master of --processes. The API key is not in it."""
        # The key of an emulator is in the default variable, even with --api-key-env.
        named = self.requested.key_variable
        variable = named if named in self.endpoint.environment else DEFAULT_KEY_VARIABLE
        target = replace(self.requested, key_variable=variable)
        python = [sys.executable, "-P", "-m", "chainproof.loadtests.locust_adapter.start", "-f", str(LOCUSTFILE)]
        series = [] if self.series is None else [f"--series-json={json.dumps(self.series.to_json())}"]
        arguments = [*locust_arguments(self.options, target, self.folder), *series]
        return [*python, *_FIXED, *arguments, *_distribution_options(self.options, port), *self.locust_arguments]


@dataclass(frozen=True, slots=True, kw_only=True)
class LocustExit:
    """How a Locust process ended."""

    code: int
    interrupted: bool
    """Whether a signal that asked this command to end was passed on to it."""


def run_locust(run: LocustRun) -> LocustExit:
    """
    Make a run to its end.

    If it was killed, by the kernel for lack of memory or by somebody else, this prints a message and the run is invalid.
    """
    return run_together({"": run})[0]


def run_together(runs: Mapping[str, LocustRun], title: Callable[[], str] = str) -> list[LocustExit]:
    """
    Make runs to their end: one, or those of a duet, which share second 0. If one ends early, the other is stopped.

    The keys name the runs in the progress, and *title* is the line above it. With --metrics, those of the first run are
    served meanwhile.
    """
    first = next(iter(runs.values()))
    folders = {name: run.folder for name, run in runs.items()}
    kills, forwarded, processes = oom_kills(), list[int](), list[_Process]()

    def forward(number: int) -> None:
        forwarded.append(number)
        for process in processes:
            process.interrupt(number)

    with (
        serve_metrics(first.folder, first.options.metrics),
        live_progress(folders, sys.stderr, quiet=first.options.quiet, title=title) as display,
        handle_signals(forward),
        announce_suspension(lambda: print_message(_SUSPENDED)),
        ExitStack() as stack,
    ):
        for run in runs.values():
            processes.append(_Process(run, display))
            stack.callback(processes[-1].close)
        for number in forwarded[:1]:  # it arrived before all of them were there
            forward(number)
        if len(runs) > 1 and not _await_first_end(processes) and not forwarded:
            for process in processes:
                process.stop()
        codes = [process.wait() for process in processes]
    if forwarded:  # a further signal may end a process that is ending
        codes = [ExitCode.INTERRUPTED if -code in (*forwarded, signal.SIGTERM) else code for code in codes]
    else:
        codes = [_code(code, process, oom_kills() > kills) for code, process in zip(codes, processes, strict=True)]
    return [LocustExit(code=code, interrupted=bool(forwarded)) for code in codes]


def _code(code: int, process: _Process, has_oom_kills: bool) -> int:  # noqa: FBT001  # private
    """The exit code of a process to which no signal was passed on. If it was killed, this prints a message and it is invalid."""
    if code >= 0 or process.is_stopped:
        return code
    is_out_of_memory = code == -signal.SIGKILL and has_oom_kills
    message = _OUT_OF_MEMORY if is_out_of_memory else _KILLED.format(signal=signal.Signals(-code).name)
    print_message(message)
    return ExitCode.INVALID


def print_message(message: str) -> None:
    """Print a line for the user."""
    command.print_message("chainproof loadtests", message)


def announce_objectives(options: argparse.Namespace, workload: Workload) -> None:
    """Say which objectives apply because the workload has them, and not the user."""
    if workload.objectives and not options.objective:
        print_message(
            f"objectives of the workload {workload.name}: {objective_texts(workload)}; --objective replaces them"
        )


class _Process:
    """A Locust process and the thread that shows its output."""

    def __init__(self, run: LocustRun, display: ProgressDisplay) -> None:
        """A run of a duet waits for `begin` when it is ready."""
        self.is_stopped = False
        """Whether it was stopped because another one ended early."""
        self._folder = run.folder
        self._asked_at: Seconds = -math.inf
        """When it was asked to end before it was ready."""
        self._reserved = reserve_port()
        self._child = subprocess.Popen(
            run.command(self._reserved.getsockname()[1]),
            env={**_inherited(os.environ, run.options), **PIPED_OUTPUT, **run.endpoint.environment},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            start_new_session=True,  # Ctrl-C at a terminal would otherwise reach it twice
        )
        assert self._child.stdout is not None
        arguments = (self._child.stdout, run.endpoint.key, display)
        self._relay = threading.Thread(target=_relay, args=arguments, daemon=True)
        start_without_signals(self._relay)

    @property
    def is_ready(self) -> bool:
        """Whether the run has been prepared."""
        return (self._folder / MANIFEST).exists()

    @property
    def has_ended(self) -> bool:
        """Whether the process has ended."""
        return self._child.poll() is not None

    @property
    def ended_early(self) -> bool:
        """Whether the process has ended and its run is not complete."""
        if not self.has_ended:
            return False
        try:
            return bool(orjson.loads((self._folder / END).read_bytes())["ending"] != Ending.COMPLETED)
        except (OSError, ValueError, LookupError, TypeError):
            return True

    def begin(self, instant: Seconds) -> None:
        """Say when second 0 of the run is, as an instant of the monotonic clock."""
        assert self._child.stdin is not None
        with suppress(BrokenPipeError):  # it has ended meanwhile
            self._child.stdin.write(f"{instant!r}\n".encode())
            self._child.stdin.flush()

    def interrupt(self, number: int) -> None:
        """Pass a signal on."""
        if self.is_ready:
            self._child.send_signal(number)
        elif time.monotonic() - self._asked_at > _PATIENCE:
            # Before the run has begun there is nothing to drain, and Python would print a traceback for SIGINT. A further
            # SIGTERM would interrupt Locust, which ends its workers.
            self._asked_at = time.monotonic()
            self._child.send_signal(signal.SIGTERM)

    def stop(self) -> None:
        """Stop it because another one has ended early."""
        self.is_stopped = not self.has_ended
        self.interrupt(signal.SIGTERM)

    def wait(self) -> int:
        """Wait for the end of the process and of its output. Returns its exit code."""
        code = self._child.wait()
        self._relay.join(timeout=5.0)
        return code

    def close(self) -> None:
        """Close the standard input, which ends the process if it is still there, and wait for it."""
        assert self._child.stdin is not None
        with suppress(BrokenPipeError):
            self._child.stdin.close()
        self.wait()
        self._reserved.close()


def _await_first_end(processes: Sequence[_Process]) -> bool:
    """Begin all runs at the same instant once all are prepared, and wait until one has ended. False if it ended early."""
    while not all(process.is_ready for process in processes):
        if any(process.has_ended for process in processes):
            return False
        time.sleep(_POLL_INTERVAL)
    instant = time.monotonic() + _START_DELAY
    for process in processes:
        process.begin(instant)
    while not any(process.has_ended for process in processes):
        time.sleep(_POLL_INTERVAL)
    return not any(process.ended_early for process in processes)


_OF_THE_LOAD = re.compile(r"(?i)\w+_proxy|SSL_CERT_\w+|CHAINPROOF_WORKER_\w+|GEVENT\w*")
"""The names of variables that a load process needs besides those of every process."""


def _inherited(ours: Mapping[str, str], options: argparse.Namespace) -> dict[str, str]:
    """
    The variables that the child inherits. If it runs code of the user, these are all, without those that would change
    Locust's options.
    """
    if any(".py" in (getattr(options, name, None) or "") for name in ("check", "input_schema", "output_schema")):
        return {
            name: each for name, each in ours.items() if not name.startswith("LOCUST_") and name != EMULATED_VARIABLE
        }
    return {**own_environment(), **{name: each for name, each in ours.items() if _OF_THE_LOAD.fullmatch(name)}}


def _relay(stream: IO[bytes], key: ApiKey, display: ProgressDisplay) -> None:
    """Show the child's output, line by line, without the API key."""
    rest = b""
    while octets := os.read(stream.fileno(), 1 << 16):
        lines = (rest + octets).splitlines(keepends=True)
        rest = lines.pop() if lines and not lines[-1].endswith((b"\n", b"\r")) else b""
        display.write(key.redact(b"".join(lines).decode("utf-8", "replace")))
    display.write(key.redact(rest.decode("utf-8", "replace")))


def reserve_port() -> socket.socket:
    """
    A socket that is bound to a free port of loopback and does not listen.

    As long as it is open, the system gives the port to nobody who asks for any port. A server that asks for this one, with
    SO_REUSEADDR as ZeroMQ does, gets it.
    """
    reserved = socket.socket()
    reserved.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    reserved.bind(("127.0.0.1", 0))
    return reserved


def _distribution_options(options: argparse.Namespace, port: int) -> list[str]:
    """Locust's options for `--processes` or `--workers`."""
    if options.workers:
        return ["--master", f"--expect-workers={options.workers}"]
    if not options.processes:
        return []
    # On loopback and a port of its own, so that concurrent runs do not share a master.
    address = ["--master-bind-host=127.0.0.1", f"--master-bind-port={port}", f"--master-port={port}"]
    return [f"--processes={options.processes}", *address]
