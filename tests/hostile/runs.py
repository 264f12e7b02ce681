"""Runs of the tools against a hostile server, with the memory and the time that they took."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import time
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from chainproof.processes import chainproof_command

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


def run_tool(folder: Path, *words: str, timeout: float = 120.0) -> ToolRun:
    """Run a command of chainproof in a folder. It is killed after the timeout, with code -9."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith(("CHAINPROOF", "PYTEST"))}
    began = time.monotonic()
    with tempfile.TemporaryFile() as printed:
        child = subprocess.Popen(
            chainproof_command(*words),
            cwd=folder,
            env={**environment, "BASETEN_API_KEY": KEY, "COLUMNS": "200"},
            stdin=subprocess.DEVNULL,
            stdout=printed,
            stderr=subprocess.STDOUT,
        )
        usage, status = None, None
        while usage is None:
            pid, status, found = os.wait4(child.pid, os.WNOHANG)
            if pid:
                usage = found
            elif time.monotonic() - began > timeout:
                with suppress(ProcessLookupError):
                    child.kill()
                _, status, usage = os.wait4(child.pid, 0)
            else:
                time.sleep(0.01)
        assert status is not None
        child.returncode = os.waitstatus_to_exitcode(status)
        printed.seek(0)
        output = printed.read().decode("utf-8", "replace")
    return ToolRun(
        code=child.returncode,
        output=output,
        seconds=time.monotonic() - began,
        cpu_seconds=usage.ru_utime + usage.ru_stime,
        memory=usage.ru_maxrss << 10,
        folder=folder,
    )


def start_servers() -> subprocess.Popen[str]:
    """The process of the servers; its first line has the ports."""
    program = Path(__file__).with_name("servers.py")
    return subprocess.Popen([sys.executable, str(program)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
