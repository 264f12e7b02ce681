"""
`chainproof TOOL …`: find the tool by its entry point and load only that one.

So `chainproof reports` does not import Locust and gevent, and a tool needs only the packages of its own extra.
"""

from __future__ import annotations

import signal
import sys

if sys.argv[0] == __file__ or sys.argv[0].endswith("/chainproof"):
    # Ctrl-C during the imports below would print a traceback; `main` handles it later. Only in a process of our own.
    signal.signal(signal.SIGINT, signal.SIG_DFL)

from collections.abc import Sequence
from functools import partial
from importlib.metadata import EntryPoint, entry_points
from importlib.util import find_spec

from chainproof import __version__
from chainproof.command import EXIT_CODES, Main, command, did_you_mean
from chainproof.errors import UsageError
from chainproof.judgement.verdict import ExitCode
from chainproof.machine_faults import require_address_space, require_stack
from chainproof.signals import ignore_signals, signals_deferred

ENTRY_POINT_GROUP = "chainproof.tools"

TOOL_SUMMARIES = {
    "demo": "check and load-test an emulator, and write one HTML report",
    "doctor": "check this machine and the way to a target",
    "call": "send one request and show it completely",
    "conformance": "check a target against the contract",
    "loadtests": "send a workload to a target and measure latency and errors",
    "locustfile": "print the path of the locustfile for Locust's own command line",
    "reports": "summarise run folders on the terminal or as HTML, JSON, Markdown or JUnit XML",
    "emulator": "run a local server that behaves like a Baseten chain",
    "completion": "print a script for the completion of bash, zsh or fish",
}
"""What each tool does, in the order of `--help`."""

CHILD_PROCESS_PACKAGES = {
    "demo": ("uvloop", "schemathesis", "locust", "jinja2"),
    "loadtests": ("locust",),
    "locustfile": ("locust",),
}
"""Packages that only the child processes of a tool import."""


_EXTRAS = {"demo": "all", "call": "conformance", "locustfile": "loadtests"}
"""The extra that installs a tool, where it has another name."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the tool that the first argument names, with the remaining arguments. Returns its exit code."""
    given = list(sys.argv[1:] if arguments is None else arguments)
    tools = {entry.name: entry for entry in entry_points(group=ENTRY_POINT_GROUP)}
    if given and given[0] in tools:
        code = command(given[0])(partial(_run, tools[given[0]]))(given[1:])
    else:
        code = command("")(partial(_show_usage, sorted(tools)))(given)
    if arguments is None:
        ignore_signals()
    return code


def _show_usage(tools: Sequence[str], arguments: Sequence[str]) -> int:
    """Print the usage or the version. Raises UsageError for anything else."""
    if arguments and arguments[0] not in ("-h", "--help", "help", "-V", "--version"):
        raise UsageError(
            f"expected one of {', '.join(tools)}, found {arguments[0]!r}{did_you_mean(arguments[0], tools)}"
        )
    print(f"chainproof {__version__}" if arguments and arguments[0] in ("-V", "--version") else usage())
    return ExitCode.PASS if arguments else ExitCode.USAGE


def usage() -> str:
    """The text of `chainproof --help`."""
    width = max(map(len, TOOL_SUMMARIES))
    lines = [f"  {name:<{width}}  {summary}" for name, summary in TOOL_SUMMARIES.items()]
    return "\n".join(
        [
            "usage: chainproof TOOL [OPTIONS]   (chainproof TOOL --help shows the options of a tool)",
            "",
            "Conformance checks and load tests for POST /production/run_remote of Baseten chains.",
            "",
            *lines,
            "",
            EXIT_CODES.rstrip(),
        ]
    )


def _run(entry: EntryPoint, arguments: Sequence[str]) -> int:
    """Load the tool and run it. Raises UsageError with the extra to install if a package is missing."""
    try:
        _check_installed(CHILD_PROCESS_PACKAGES.get(entry.name, ()))
        require_stack()
        require_address_space()
        with signals_deferred():
            tool: Main = entry.load()
        return tool(arguments)
    except ModuleNotFoundError as missing:
        if missing.name is None or missing.name.partition(".")[0] == "chainproof":
            raise
        extra = _EXTRAS.get(entry.name, entry.name)
        raise UsageError(
            f"the package {missing.name!r} is not installed; install the tool with: pip install 'chainproof[{extra}]'"
        ) from None


def _check_installed(packages: Sequence[str]) -> None:
    """Raise ModuleNotFoundError for the first package that is not installed, without importing any."""
    for package in packages:
        if find_spec(package) is None:
            raise ModuleNotFoundError(name=package)


if __name__ == "__main__":
    sys.exit(main())
