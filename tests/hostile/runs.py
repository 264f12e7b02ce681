"""Runs of the tools against a hostile server, with the memory and the time that they took."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

from chainproof.processes import chainproof_command

from ..processes import clean_environment

KEY = "zQ7vXw2K.pL9mNb4RtYc6HsJd8FgWe3Au5"


@dataclass(frozen=True, slots=True, kw_only=True)
class ToolRun:
    """How a run ended."""

    code: int
    output: str
    """What it printed, errors included."""
    seconds: float
    cpu_seconds: float
    memory: int
    """The largest resident set of the tool and its child processes, in bytes."""
    folder: Path


_MEASURED = """
import json, os, sys
_, status, usage = os.wait4(os.posix_spawn(sys.argv[2], sys.argv[2:], os.environ), 0)
with open(sys.argv[1], "w") as file:
    json.dump([os.waitstatus_to_exitcode(status), usage.ru_utime + usage.ru_stime, usage.ru_maxrss << 10], file)
"""
"""
Runs a command and writes its exit code, CPU seconds and memory to a file.

In a small process of its own: a process that a larger one starts counts that one's memory as its own (getrusage(2)).
"""


def run_tool(folder: Path, *words: str, timeout: float = 120.0) -> ToolRun:
    """Run a command of chainproof in a folder. It is killed after the timeout, with code -9."""
    began = time.monotonic()
    with tempfile.TemporaryFile() as printed, tempfile.NamedTemporaryFile() as usage:
        child = subprocess.Popen(
            [sys.executable, "-I", "-S", "-c", _MEASURED, usage.name, *chainproof_command(*words)],
            cwd=folder,
            env=clean_environment(BASETEN_API_KEY=KEY, COLUMNS="200"),
            stdin=subprocess.DEVNULL,
            stdout=printed,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
        try:
            child.wait(timeout)
        except subprocess.TimeoutExpired:
            os.killpg(child.pid, signal.SIGKILL)
            child.wait()
        code, cpu_seconds, memory = json.loads(usage.read() or f"[{-signal.SIGKILL}, 0.0, 0]")
        printed.seek(0)
        output = printed.read().decode("utf-8", "replace")
    return ToolRun(
        code=code,
        output=output,
        seconds=time.monotonic() - began,
        cpu_seconds=cpu_seconds,
        memory=memory,
        folder=folder,
    )


def start_servers() -> subprocess.Popen[str]:
    """The process of the servers; its first line has the ports."""
    program = Path(__file__).with_name("servers.py")
    return subprocess.Popen([sys.executable, str(program)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
