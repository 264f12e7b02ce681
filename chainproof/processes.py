"""Child processes: chainproof's tools started by each other, and signals passed on to them."""

from __future__ import annotations

import os
import re
import resource
import signal
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from chainproof.command import PARENT_VARIABLE
from chainproof.errors import UsageError
from chainproof.judgement.verdict import ExitCode
from chainproof.linux import end_with_parent
from chainproof.signals import handle_signals

_OF_EVERY_PROCESS = re.compile(
    r"PATH|HOME|USER|LOGNAME|SHELL|PWD|TERM|COLORTERM|COLUMNS|LINES|TZ|TMPDIR|TEMP|TMP|LANG|LANGUAGE|LC_\w+|NO_COLOR|FORCE_COLOR"
    r"|VIRTUAL_ENV|LD_\w+|MALLOC_\w+|PYTHON\w*|COVERAGE_\w+|XDG_\w+|FONTCONFIG_\w+"
)
"""The names of variables that say how a process runs on this machine."""


def own_environment() -> dict[str, str]:
    """
    The environment variables of a child process that sends no requests to the user's target: those that say how a process
    runs on this machine. It gets neither the API key nor anything else that the user keeps in the environment.
    """
    return {name: value for name, value in os.environ.items() if _OF_EVERY_PROCESS.fullmatch(name)}


def piped_environment() -> dict[str, str]:
    """The same for a child process whose output this one reads: it is UTF-8, whatever PYTHONIOENCODING is for the terminal."""
    return {**own_environment(), **PIPED_OUTPUT}


PIPED_OUTPUT = {"PYTHONIOENCODING": "utf-8"}
"""The variable that gives the output of a child process this encoding."""


def chainproof_command(*arguments: str) -> list[str]:
    """
    The command line of a chainproof tool, in this Python.

    `-P` keeps the working folder off the import path: in a checkout it contains a folder `chainproof` with only a part of
    the package.
    """
    return [sys.executable, "-P", "-m", "chainproof", *arguments]


@dataclass(frozen=True, slots=True, kw_only=True)
class ProcessExit:
    """How a child process ended."""

    code: int
    """Its exit code; that of an invalid run if a signal killed it."""
    interrupted: bool
    """Whether a signal was passed on to it."""
    killed: bool = False
    """Whether a signal of somebody else ended it. That is printed."""


def run_process(
    command: Sequence[str], environment: Mapping[str, str] | None = None, *, shows_results: bool = False
) -> ProcessExit:
    """
    Run a tool of ours in a child process to its end. It shares our output, and signals that ask us to end reach it as
    SIGTERM: for SIGINT, a Python that has just started prints a traceback. If it *shows_results* of a run, signals are
    ignored until it ends, because the results would be lost.

    Its environment is `own_environment` with the given one. It has its own session: Ctrl-C at a terminal would otherwise
    reach it twice. Raises OSError if it cannot be started.
    """
    child = subprocess.Popen(
        list(command),
        env={**own_environment(), **(environment or {}), PARENT_VARIABLE: str(os.getpid())},
        start_new_session=True,
        stdin=subprocess.DEVNULL,
        # A load run whose parent was killed must not go on sending to whatever listens there next.
        preexec_fn=end_with_parent,  # noqa: PLW1509  # one system call, and no thread of ours holds a lock meanwhile
    )
    forwarded: list[int] = []

    def forward(number: int) -> None:
        if not shows_results:
            forwarded.append(number)
            child.terminate()

    with handle_signals(forward):
        code = child.wait()
    killed = code < 0 and not forwarded
    if killed:
        name = f"chainproof {command[command.index('chainproof') + 1]}"
        print(f"{name}: killed by {signal.Signals(-code).name}, not by chainproof; run it again", file=sys.stderr)
    return ProcessExit(code=ExitCode.INVALID if code < 0 else code, interrupted=bool(forwarded), killed=killed)


def allow_open_files(needed: int) -> None:
    """Raise the limit of open files as far as the system permits. Raises UsageError if fewer than *needed* are permitted."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if hard != resource.RLIM_INFINITY and needed > hard:
        raise UsageError(
            f"expected a limit of at least {needed} open files, found {hard}: raise it with `ulimit -n {needed}`"
        )
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
