"""
`chainproof loadtests`: one load run in a Locust process of its own, its summary, and the verdict as exit code.

This process never imports Locust or gevent. It checks what was asked, finds the target, starts Locust as a child,
passes signals on, shows what the child says without the key, and has the run judged by `chainproof reports`, a child
too.
"""

from __future__ import annotations

import argparse
import os
import resource
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from types import FrameType
from typing import IO

from chainproof.command import Mistake, Wanted, command, parser, wanted
from chainproof.contract.credentials import DEFAULT_VARIABLE, ApiKey
from chainproof.embedded import EMULATED_VARIABLE, Endpoint, endpoint
from chainproof.judgement.verdict import Exit
from chainproof.processes import own_command
from chainproof.results.folder import MANIFEST, check_writable, default_path, now
from chainproof.workload.workload import Model, Workload

from .catalogue import described
from .options import add_own_options, locust_arguments
from .settings import check_way, demand

LOCUSTFILE = Path(__file__).with_name("locustfile.py")

_FIXED = ("--headless", "--only-summary", "--skip-log-setup", "--until-eof")
"""Locust's own logging is left out: its tables are not ours, and warnings come through all the same."""

_OTHER_FILES = 100
"""Open files that a load run needs beside its connections."""


@command("loadtests")
def main(arguments: Sequence[str]) -> int:
    """
    Run a workload against a target; the verdict on it.
    """
    ours, theirs = _apart(arguments)
    options = _options(ours)
    workload = demand(options, options.num_users).workload
    asked = wanted(options)
    _check_files(workload, options.processes or options.workers or 1)
    if options.out is not None:
        check_writable(Path(options.out))
    with endpoint(asked) as chosen:
        check_way(asked, chosen)
        folder = Path(options.out) if options.out is not None else default_path(workload.name, chosen.target, now())
        check_writable(folder)
        code, interrupted = _driven(options, asked, chosen, folder, [*_distribution(options), *theirs])
    return _concluded(folder, code, interrupted=interrupted)


def _options(arguments: Sequence[str]) -> argparse.Namespace:
    """
    The options as given.
    """
    options = parser(
        "loadtests",
        "Drive a target with run_remote requests, by a schedule (open model) or by users (closed model), and judge it.",
        described(),
    )
    add_own_options(options)
    return options.parse_args(arguments)


def _apart(arguments: Sequence[str]) -> tuple[list[str], list[str]]:
    """
    Our own arguments, and those behind a bare `--`, which are Locust's.
    """
    words = list(arguments)
    here = words.index("--") if "--" in words else len(words)
    return words[:here], words[here + 1 :]


def _distribution(options: argparse.Namespace) -> list[str]:
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


def _check_files(workload: Workload, processes: int) -> None:
    """
    Raise Mistake when the system will not let one process open as many connections as the workload may need.
    """
    # A connection each, and in the closed model a timer beside it.
    option, wanted, files = (
        ("--max-in-flight", workload.max_in_flight, 1)
        if workload.model is Model.OPEN
        else ("--users", workload.users, 2)
    )
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if hard != resource.RLIM_INFINITY and -(-wanted // processes) * files + _OTHER_FILES > hard:
        raise Mistake(
            f"expected {option} of at most {(hard - _OTHER_FILES) // files * processes}, from the system's limit on open files, "
            f"found {wanted}; lower it, or raise the limit with ulimit -n"
        )


# ------------------------------------------------------------------ the Locust process


def _driven(
    options: argparse.Namespace, asked: Wanted, chosen: Endpoint, folder: Path, others: list[str]
) -> tuple[int, bool]:
    """
    Run Locust to its end: its exit code, and whether it was interrupted.
    """
    # The embedded emulator's key is in the usual variable, whatever --api-key-env says.
    variable = asked.variable if asked.variable in chosen.environment else DEFAULT_VARIABLE
    words = locust_arguments(options, workload=options.workload, out=str(folder))
    words += replace(asked, variable=variable).arguments()
    overwrite = ["--overwrite-progress"] if sys.stderr.isatty() else []
    child = subprocess.Popen(
        [
            sys.executable,
            "-P",
            "-m",
            "chainproof.loadtests.start",
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
    sys.stderr.write(key.scrub(octets.decode("utf-8", "replace")))
    sys.stderr.flush()


# ------------------------------------------------------------------ the verdict


def _concluded(folder: Path, code: int, *, interrupted: bool) -> int:
    """
    Have the run summed up, say where it is and what is wrong with it, if anything is.
    """
    if code == Exit.USAGE:
        return code  # the child has said what was asked wrongly
    if not (folder / MANIFEST).exists():
        return _without_run(code, interrupted=interrupted)
    verdict = _summed_up(folder)
    print(folder, flush=True)
    if code in (Exit.PASS, Exit.INVALID):
        return verdict
    if code == Exit.INTERRUPTED:
        return Exit.INTERRUPTED
    _say(f"our own error: the Locust process broke ({_ended(code)}); this says nothing about the target")
    return Exit.SOFTWARE


def _without_run(code: int, *, interrupted: bool) -> int:
    """
    Say why there is no run.
    """
    if interrupted:
        _say("interrupted before the first request")
        return Exit.INTERRUPTED
    _say(f"our own error: the Locust process did not start a run ({_ended(code)}); see above")
    return Exit.SOFTWARE


def _summed_up(folder: Path) -> int:
    """
    The verdict that the terminal summary ends with.
    """
    return subprocess.run(own_command("reports", str(folder)), check=False).returncode


def _ended(code: int) -> str:
    return f"killed by {signal.Signals(-code).name}" if code < 0 else f"exit code {code}"


def _say(sentence: str) -> None:
    print(f"chainproof loadtests: {sentence}", file=sys.stderr)
