"""
Our own tools as child processes: how tools that never import each other use each other.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from types import FrameType

from chainproof.linux import end_with_parent

FORWARDED_SIGNALS = (signal.SIGINT, signal.SIGTERM)
"""The signals by which people and machines ask a command to end."""


def chainproof_command(*arguments: str) -> list[str]:
    """
    The command line of one of our tools, in this very Python.

    `-P` keeps the working folder off the import path: in a checkout it holds a folder `chainproof` that is only a part
    of the installed package.
    """
    return [sys.executable, "-P", "-m", "chainproof", *arguments]


@dataclass(frozen=True, slots=True, kw_only=True)
class ProcessExit:
    """
    How a child process ended.
    """

    code: int
    """Its exit code as a shell gives it: 128 + n for death by signal n."""
    interrupted: bool
    """Whether we were asked to end meanwhile, and passed that on."""


def run_process(command: Sequence[str], environment: Mapping[str, str] | None = None) -> ProcessExit:
    """
    Run a child to its end, its output ours, SIGINT and SIGTERM passed on to it, once for each that arrives.

    The child has a session of its own, so that Ctrl-C at a terminal reaches it through us alone and not twice. Raises
    OSError when it cannot be started.
    """
    child = subprocess.Popen(
        list(command),
        env={**os.environ, **(environment or {})},
        start_new_session=True,
        stdin=subprocess.DEVNULL,
        # A load run whose parent was killed must not go on sending to whatever listens there next.
        preexec_fn=end_with_parent,  # noqa: PLW1509  # one system call, and no thread of ours holds a lock meanwhile
    )
    with forward_signals(child) as passed_on:
        code = child.wait()
    return ProcessExit(code=shell_exit_code(code), interrupted=bool(passed_on))


@contextmanager
def forward_signals(child: subprocess.Popen[bytes]) -> Iterator[list[int]]:
    """
    While this lasts, SIGINT and SIGTERM that reach us are sent to the child; the list holds those that were.
    """
    passed_on: list[int] = []

    def forward(number: int, frame: FrameType | None) -> None:
        del frame
        passed_on.append(number)
        child.send_signal(number)

    before = {number: signal.signal(number, forward) for number in FORWARDED_SIGNALS}
    try:
        yield passed_on
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def shell_exit_code(code: int) -> int:
    """
    An exit code as a shell gives it: subprocess reports death by signal n as -n.
    """
    return code if code >= 0 else 128 - code
