"""
`chainproof <tool> …`: finds the tool by its entry point and loads only that one.

So `chainproof reports` never imports locust, hence never runs under gevent, and an extra that is not installed costs
nothing until its tool is asked for.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from functools import partial
from importlib.metadata import EntryPoint, entry_points
from importlib.util import find_spec

from chainproof import __version__
from chainproof.command import EXIT_CODES, Main, command
from chainproof.errors import UsageError
from chainproof.judgement.verdict import ExitCode

ENTRY_POINT_GROUP = "chainproof.tools"

TOOL_SUMMARIES = {
    "demo": "the main job, end to end: check the emulator, drive it, judge it, one HTML report",
    "conformance": "is the promise kept? property tests against the contract",
    "loadtests": "is it kept under load? truthful latency and error breakdowns",
    "reports": "how is it shown? HTML, JSON or Markdown from run folders",
    "emulator": "what would a faithful, or a broken, endpoint do? a server on loopback",
}
"""What each tool is for, in the order of `--help`."""


CHILD_PROCESS_PACKAGES = {
    "demo": ("uvloop", "schemathesis", "locust", "jinja2"),
    "loadtests": ("locust",),
}
"""Packages that a tool never imports itself, since only its child processes do."""


def main(arguments: Sequence[str] | None = None) -> int:
    """
    Run the tool that the first argument names with the arguments behind it; its exit code.
    """
    given = list(sys.argv[1:] if arguments is None else arguments)
    if not given or given[0] in ("-h", "--help", "help"):
        print(usage())
        return ExitCode.PASS if given else ExitCode.USAGE
    if given[0] in ("-V", "--version"):
        print(f"chainproof {__version__}")
        return ExitCode.PASS
    tools = {entry.name: entry for entry in entry_points(group=ENTRY_POINT_GROUP)}
    if given[0] not in tools:
        print(f"chainproof: expected one of {', '.join(sorted(tools))}, found {given[0]!r}", file=sys.stderr)
        return ExitCode.USAGE
    return command(given[0])(partial(_run, tools[given[0]]))(given[1:])


def usage() -> str:
    """
    What `chainproof --help` prints.
    """
    width = max(map(len, TOOL_SUMMARIES))
    lines = [f"  {name:<{width}}  {summary}" for name, summary in TOOL_SUMMARIES.items()]
    return "\n".join(
        [
            "usage: chainproof TOOL [OPTIONS]   (chainproof TOOL --help teaches the tool)",
            "",
            "Proves that POST /production/run_remote of a Baseten chain keeps its promise, and keeps it under load.",
            "",
            *lines,
            "",
            EXIT_CODES.rstrip(),
        ]
    )


def _run(entry: EntryPoint, arguments: Sequence[str]) -> int:
    """
    Load the tool and run it. Raises UsageError, naming the extra, when a package that it needs is not installed.
    """
    try:
        _look_for(CHILD_PROCESS_PACKAGES.get(entry.name, ()))
        tool: Main = entry.load()
        return tool(arguments)
    except ModuleNotFoundError as missing:
        if missing.name is None or missing.name.partition(".")[0] == "chainproof":
            raise
        extra = "all" if entry.name == "demo" else entry.name
        raise UsageError(
            f"the package {missing.name!r} is not installed; install the tool with: pip install 'chainproof[{extra}]'"
        ) from None


def _look_for(packages: Sequence[str]) -> None:
    """
    Raise ModuleNotFoundError for the first package that is not installed; none is imported.
    """
    for package in packages:
        if find_spec(package) is None:
            raise ModuleNotFoundError(name=package)


if __name__ == "__main__":
    sys.exit(main())
