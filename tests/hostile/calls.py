"""
Runs `chainproof call` against many targets, each call in a process of its own that is forked from this one.

Reads a JSON object of names and ports, and prints a JSON object of names and results. Starting Python and importing the
tool once for all calls saves most of their time.
"""

from __future__ import annotations

import json
import os
import signal
import sys
import tempfile
import time
from pathlib import Path

from chainproof.conformance.call import main

PARALLEL = 6


def call(port: int, output: str, options: list[str]) -> None:
    """Make one call in this process, and end the process."""
    with Path(output).open("wb") as file:
        os.dup2(file.fileno(), 1)
        os.dup2(file.fileno(), 2)
    code = 99
    try:
        code = main(["--target", f"http://127.0.0.1:{port}/production/run_remote", *options])
        sys.stdout.flush()
    finally:
        os._exit(code)


def run_all(ports: dict[str, int], options: list[str], timeout: float) -> dict[str, list[object]]:
    """Exit code, seconds, memory in bytes and output of each call."""
    results: dict[str, list[object]] = {}
    waiting, running = list(ports.items()), dict[int, tuple[str, float, str]]()
    with tempfile.TemporaryDirectory() as folder:
        while waiting or running:
            while waiting and len(running) < PARALLEL:
                name, port = waiting.pop()
                output = f"{folder}/{name}"
                process = os.fork()
                if not process:
                    call(port, output, options)
                running[process] = name, time.monotonic(), output
            process, status, usage = os.wait4(-1, os.WNOHANG)
            if process:
                name, began, output = running.pop(process)
                text = Path(output).read_bytes().decode("utf-8", "replace")
                code, seconds = os.waitstatus_to_exitcode(status), time.monotonic() - began
                results[name] = [code, seconds, usage.ru_maxrss << 10, text]
            else:
                time.sleep(0.01)
            for late in [process for process, (_, began, _) in running.items() if time.monotonic() - began > timeout]:
                os.kill(late, signal.SIGKILL)
    return results


if __name__ == "__main__":
    request = json.load(sys.stdin)
    print(json.dumps(run_all(request["ports"], request["options"], request["timeout"])))
