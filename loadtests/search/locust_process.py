"""
Locust as a child process: started with the command's options, its output shown without the API key.

This process never imports Locust or gevent.
"""

from __future__ import annotations

import argparse
import os
import re
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import IO

from chainproof.contract.credentials import DEFAULT_KEY_VARIABLE, ApiKey
from chainproof.endpoint import EMULATED_VARIABLE, Endpoint
from chainproof.judgement.verdict import ExitCode
from chainproof.linux import oom_kills
from chainproof.processes import forward_signals, own_environment
from chainproof.results.folder import MANIFEST
from chainproof.target_options import TargetOptions

from ..metrics_endpoint import serve_metrics
from ..options import locust_arguments
from ..progress import ProgressDisplay, live_progress

LOCUSTFILE = Path(__file__).parents[1] / "locustfile.py"

_OUT_OF_MEMORY = (
    "the kernel killed the load process because memory ran out: the run ends there and is invalid; give this machine or "
    "container more memory, or lower --max-in-flight, --users or the number of requests"
)
_KILLED = "the load process was killed by {signal}, not by chainproof: the run ends there and is invalid; run it again"
_FIXED = ("--headless", "--only-summary", "--skip-log-setup", "--until-eof")
"""Locust would log its own tables, so its log is not set up; warnings are shown nevertheless."""


def run_locust(
    options: argparse.Namespace, requested: TargetOptions, endpoint: Endpoint, folder: Path, extra: list[str]
) -> tuple[int, bool]:
    """
    Run Locust to its end. Returns its exit code, and whether it was interrupted.

    If it was killed, by the kernel for lack of memory or by somebody else, this prints a message and the run is invalid.
    """
    with serve_metrics(folder, options.metrics):
        return _run_locust(options, requested, endpoint, folder, extra)


def _run_locust(
    options: argparse.Namespace, requested: TargetOptions, endpoint: Endpoint, folder: Path, extra: list[str]
) -> tuple[int, bool]:
    """Run Locust to its end, as `run_locust` does."""
    # The key of an emulator is in the default variable, even with --api-key-env.
    variable = requested.key_variable if requested.key_variable in endpoint.environment else DEFAULT_KEY_VARIABLE
    command = [sys.executable, "-P", "-m", "chainproof.loadtests.locust_adapter.start", "-f", str(LOCUSTFILE), *_FIXED]
    kills = oom_kills()
    child = subprocess.Popen(
        [*command, *locust_arguments(options, replace(requested, key_variable=variable), folder), *extra],
        env={**_inherited(os.environ, options), **endpoint.environment},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        start_new_session=True,  # Ctrl-C at a terminal would otherwise reach it twice
    )
    assert child.stdout is not None

    def signal_for(number: int) -> int:
        # Before the run has begun there is nothing to drain, and Python would print a traceback for SIGINT.
        return number if (folder / MANIFEST).exists() else signal.SIGTERM

    with live_progress(folder, sys.stderr, quiet=options.quiet) as display:
        relay = threading.Thread(target=_relay, args=(child.stdout, endpoint.key, display), daemon=True)
        relay.start()
        with forward_signals(child, signal_for) as forwarded:
            code = child.wait()
        relay.join(timeout=5.0)
    if code < 0 and not forwarded:
        is_out_of_memory = code == -signal.SIGKILL and oom_kills() > kills
        message = _OUT_OF_MEMORY if is_out_of_memory else _KILLED.format(signal=signal.Signals(-code).name)
        print(f"chainproof loadtests: {message}", file=sys.stderr, flush=True)
        return ExitCode.INVALID, False
    return code, bool(forwarded)


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


def distribution_options(options: argparse.Namespace) -> list[str]:
    """Locust's options for `--processes` or `--workers`."""
    if options.workers:
        return ["--master", f"--expect-workers={options.workers}"]
    if not options.processes:
        return []
    # On loopback and a port of its own, so that concurrent runs do not share a master.
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    address = ["--master-bind-host=127.0.0.1", f"--master-bind-port={port}", f"--master-port={port}"]
    return [f"--processes={options.processes}", *address]
