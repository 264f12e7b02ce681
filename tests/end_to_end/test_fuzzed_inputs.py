"""
Random inputs of every tool: each is accepted, or rejected in a message that says what was expected; never an error in chainproof.

The seed is fixed. `CHAINPROOF_SAMPLE=all pytest tests/end_to_end/test_fuzzed_inputs.py` tries 20,000, and
`CHAINPROOF_SAMPLE=50000` that number. What runs afterwards, and would send requests, is replaced.
"""

from __future__ import annotations

import argparse
import os
import resource
import signal
import socket
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from io import BytesIO, TextIOWrapper
from itertools import islice
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

import chainproof.__main__
import chainproof.conformance.call
import chainproof.conformance.command
import chainproof.demo
import chainproof.emulator.command
import chainproof.endpoint
import chainproof.loadtests.command
import chainproof.reports.command
from chainproof.command import Main, command
from chainproof.endpoint import start_emulator
from chainproof.judgement.verdict import ExitCode
from chainproof.loadtests.demand import demand
from chainproof.loadtests.limits import apply_limits, limits
from chainproof.loadtests.locust_arguments import add_locust_options, locust_arguments, requested_target
from chainproof.loadtests.locust_process import LocustExit, LocustRun
from chainproof.loadtests.search import runner
from chainproof.workload.search_settings import SearchSettings
from chainproof.workload.workload import Workload

from .fuzzed_inputs import FuzzedInput, Fuzzer

SAMPLE = os.environ.get("CHAINPROOF_SAMPLE", "1000")
COUNT = 20_000 if SAMPLE == "all" else int(SAMPLE)
BATCHES = 10
LONGEST = 60
"""Seconds after which an input counts as one that hangs."""
MAX_PLANNED = 5_000
"""Intended starts of a plan that are drawn."""


MAX_MEMORY = 1 << 30
"""Bytes of address space that an input may use."""


@pytest.fixture(autouse=True)
def memory_limit() -> Iterator[None]:
    """A limit of the address space, so that an input that uses too much ends in MemoryError."""
    before = resource.getrlimit(resource.RLIMIT_AS)
    used = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[0]) * resource.getpagesize()
    resource.setrlimit(resource.RLIMIT_AS, (used + MAX_MEMORY, before[1]))
    yield
    resource.setrlimit(resource.RLIMIT_AS, before)


class Hangs(BaseException):
    """An input took too long."""


@contextmanager
def time_limit() -> Iterator[None]:
    """Raise Hangs after some time."""

    def end(number: int, frame: object) -> None:
        del number, frame
        raise Hangs

    before = signal.signal(signal.SIGALRM, end)
    signal.alarm(LONGEST)
    try:
        yield
    finally:
        signal.alarm(0)
        signal.signal(signal.SIGALRM, before)


def locust_part(run: LocustRun) -> LocustExit:
    """What the load process does with its arguments before its first request; how it ends."""
    parser = argparse.ArgumentParser(exit_on_error=False)
    parser.add_argument("-u", "--users", type=int, dest="num_users")
    add_locust_options(parser)

    def load_process(arguments: Any) -> int:
        received = parser.parse_args(arguments)
        made = apply_limits(demand(received, received.num_users), limits(received, run.endpoint))
        requested_target(received)
        if made.workload.expected_requests < MAX_PLANNED:
            made.plan()
        else:
            list(islice(made.workload.starts(made.seed), MAX_PLANNED))
        list(islice((payload.encoded() for payload in made.workload.payloads), 100))
        return ExitCode.PASS

    words = locust_arguments(run.options, run.requested, run.folder)
    return LocustExit(code=command("loadtests")(load_process)(words), interrupted=False)


def search_part(run: LocustRun, *, workload: Workload, search: SearchSettings) -> int:
    """What a search does before its first run."""
    runner._forecast(runner._plan(run.options, run.endpoint, limits(run.options, run.endpoint), workload, search))
    return ExitCode.PASS


_getaddrinfo = socket.getaddrinfo


def loopback_only(host: Any, *words: Any, **named: Any) -> Any:
    """The addresses of a host, as long as it is this machine: an input may name any other."""
    if host in ("localhost", "::1") or str(host).startswith("127."):
        return _getaddrinfo(host, *words, **named)
    raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")


@pytest.fixture(scope="module")
def sent() -> Iterator[Any]:
    """An emulator that answers the calls."""
    with start_emulator("instant") as endpoint:
        yield endpoint


@pytest.fixture
def tools(monkeypatch: pytest.MonkeyPatch, sent: Any) -> dict[str, Main]:
    """The commands, which send nothing, except for one request of `call`."""
    patch = monkeypatch.setattr

    def nothing(*_: Any, **__: Any) -> int:
        return ExitCode.PASS

    @contextmanager
    def emulator(*_: Any, **__: Any) -> Iterator[Any]:
        yield sent

    patch(chainproof.endpoint, "check_listening", nothing)
    patch(socket, "getaddrinfo", loopback_only)
    patch(chainproof.endpoint, "start_emulator", emulator)
    patch(chainproof.demo, "start_emulator", emulator)
    patch(chainproof.demo, "run_process", lambda *_: SimpleNamespace(code=0, interrupted=True))
    patch(chainproof.loadtests.command, "run_locust", locust_part)
    patch(chainproof.loadtests.command, "run_search", search_part)
    patch(chainproof.loadtests.command, "run_calibration", nothing)
    patch(chainproof.loadtests.command, "_run_series", nothing)
    patch(chainproof.loadtests.command, "_judge", lambda folder, ended: ended.code)
    patch(chainproof.loadtests.command, "_write_page", nothing)
    patch(chainproof.emulator.command, "serve", nothing)
    return {
        "": chainproof.__main__.main,
        "demo": chainproof.demo.main,
        "call": chainproof.conformance.call.main,
        "conformance": chainproof.conformance.command.main,
        "emulator": chainproof.emulator.command.main,
        "loadtests": chainproof.loadtests.command.main,
        "reports": chainproof.reports.command.main,
    }


CODES = {
    "call": {ExitCode.PASS, ExitCode.FAIL, ExitCode.USAGE, ExitCode.INCONCLUSIVE},
    "demo": {ExitCode.PASS, ExitCode.USAGE, ExitCode.INTERRUPTED},
}
"""The exit codes that an input may lead to, where they are not 0 and 2 alone."""


def problem(tool: str, code: object, errors: str, fuzzed: FuzzedInput) -> str:
    """What is wrong with the reaction to an input; empty if nothing is."""
    if "Traceback" in errors:
        return "a traceback"
    if "not enough memory" in errors:
        return "too much memory"
    if code not in CODES.get(tool, {ExitCode.PASS, ExitCode.USAGE}):
        return f"exit code {code}"
    lines = [line for line in errors.splitlines() if line.startswith("chainproof")]
    if code == ExitCode.USAGE and fuzzed.words and not lines:
        return "no message"
    if code == ExitCode.USAGE and fuzzed.names and fuzzed.names not in errors:
        return f"a message without {fuzzed.names}"
    return ""


@pytest.mark.parametrize("batch", range(BATCHES))
def test_every_input_is_accepted_or_rejected_with_a_message(
    batch: int,
    tools: dict[str, Main],
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Exit code 0 or 2 (for calls also a verdict), a message of chainproof's own, no traceback, and an end in time."""
    fuzzer = Fuzzer(batch)
    found = []
    for number in range(COUNT // BATCHES):
        fuzzed = fuzzer.draw()
        folder = tmp_path / str(number)
        folder.mkdir()
        for name, content in fuzzed.files.items():
            (folder / name).write_bytes(content)
        errors = TextIOWrapper(BytesIO(), encoding="utf-8", errors="backslashreplace")
        with monkeypatch.context() as patch:
            patch.chdir(folder)
            patch.setattr(sys, "stderr", errors)
            patch.setattr(sys, "stdin", TextIOWrapper(BytesIO(b"{}")))
            for name, value in fuzzed.environment.items():
                patch.setenv(name, as_passed(value))
            code = exit_code(tools[fuzzed.tool], [as_passed(word) for word in fuzzed.words])
        errors.seek(0)
        text = errors.read()
        why = problem(fuzzed.tool, code, text, fuzzed)
        if why:
            found.append(f"{why}: {fuzzed}: {text[-500:]}")
        capsys.readouterr()

    assert not found, "\n".join(found)


def as_passed(text: str) -> str:
    """An argument or a variable as Python reads it from the system, where bytes that are not UTF-8 are escaped."""
    return os.fsdecode(text.encode("utf-8", "surrogatepass"))


def exit_code(main: Main, words: list[str]) -> object:
    """The exit code of a command; a text if it hangs."""
    try:
        with time_limit():
            return main(words)
    except SystemExit as ended:
        return ended.code
    except Hangs:
        return "none: it hangs"
