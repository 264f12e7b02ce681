"""
Locust as a child process of ours: started with what was asked, its output shown without the key, signals passed on.

The process that does this never imports Locust or gevent.
"""

from __future__ import annotations

import argparse
import os
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from types import FrameType
from typing import IO

from chainproof.command import TargetOptions
from chainproof.contract.credentials import DEFAULT_KEY_VARIABLE, ApiKey
from chainproof.endpoint import EMULATED_VARIABLE, Endpoint
from chainproof.results.folder import MANIFEST

from ..options import locust_arguments

LOCUSTFILE = Path(__file__).parents[1] / "locustfile.py"

_FIXED = ("--headless", "--only-summary", "--skip-log-setup", "--until-eof")
"""Locust's own logging is left out: its tables are not ours, and warnings come through all the same."""


def run_locust(
    options: argparse.Namespace, asked: TargetOptions, chosen: Endpoint, folder: Path, others: list[str]
) -> tuple[int, bool]:
    """
    Run Locust to its end: its exit code, and whether it was interrupted.
    """
    # The embedded emulator's key is in the usual variable, whatever --api-key-env says.
    variable = asked.variable if asked.variable in chosen.environment else DEFAULT_KEY_VARIABLE
    words = locust_arguments(options, workload=options.workload, out=str(folder))
    words += replace(asked, variable=variable).arguments()
    overwrite = ["--overwrite-progress"] if sys.stderr.isatty() else []
    child = subprocess.Popen(
        [
            sys.executable,
            "-P",
            "-m",
            "chainproof.loadtests.locust_adapter.start",
            "-f",
            str(LOCUSTFILE),
            *_FIXED,
            *overwrite,
            *words,
            *others,
        ],
        env=_environment(os.environ, chosen.environment),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        # A session of its own: Ctrl-C at the terminal reaches it through us, and once.
        start_new_session=True,
    )
    assert child.stdout is not None
    relay = threading.Thread(target=_relay, args=(child.stdout, chosen.key), daemon=True)
    relay.start()
    with _forwarding(child, folder) as forwarded:
        code = child.wait()
    relay.join(timeout=5.0)
    return code, bool(forwarded)


def _environment(ours: Mapping[str, str], endpoints: Mapping[str, str]) -> dict[str, str]:
    """
    What the child finds in its environment: the endpoint, and nothing that would change what Locust was asked.
    """
    kept = {name: value for name, value in ours.items() if not name.startswith("LOCUST_") and name != EMULATED_VARIABLE}
    return {**kept, **endpoints}


@contextmanager
def _forwarding(child: subprocess.Popen[bytes], folder: Path) -> Iterator[list[int]]:
    """
    Pass Ctrl-C and SIGTERM on to the child, each as often as it comes; the signals so far.
    """
    forwarded: list[int] = []

    def forward(number: int, _: FrameType | None) -> None:
        forwarded.append(number)
        # Before there is a run there is nothing to drain, and Python would show where Ctrl-C found it.
        child.send_signal(number if (folder / MANIFEST).exists() else signal.SIGTERM)

    before = {number: signal.signal(number, forward) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield forwarded
    finally:
        for number, known in before.items():
            signal.signal(number, known)


def _relay(stream: IO[bytes], key: ApiKey) -> None:
    """
    Show on stderr what the child says, line by line, without the key.
    """
    rest = b""
    while octets := os.read(stream.fileno(), 1 << 16):
        lines = (rest + octets).splitlines(keepends=True)
        rest = lines.pop() if lines and not lines[-1].endswith((b"\n", b"\r")) else b""
        _show(b"".join(lines), key)
    _show(rest, key)


def _show(octets: bytes, key: ApiKey) -> None:
    sys.stderr.write(key.redact(octets.decode("utf-8", "replace")))
    sys.stderr.flush()


def distribution_options(options: argparse.Namespace) -> list[str]:
    """
    Locust's options for the processes or workers that were asked for.
    """
    if options.workers:
        return ["--master", f"--expect-workers={options.workers}"]
    if not options.processes:
        return []
    # On loopback and a port of its own: several runs at once must not meet.
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    where = ["--master-bind-host=127.0.0.1", f"--master-bind-port={port}", f"--master-port={port}"]
    return [f"--processes={options.processes}", *where]
