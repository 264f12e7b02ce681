"""`chainproof completion SHELL`: a script that completes tools, options, their values, and files."""

from __future__ import annotations

import argparse
from collections.abc import Callable, Sequence
from importlib.metadata import entry_points

import shtab

from chainproof.__main__ import TOOL_SUMMARIES
from chainproof.command import build_parser, command
from chainproof.judgement.verdict import ExitCode
from chainproof.options import Option, add_options

OPTIONS_GROUP = "chainproof.options"
"""The entry points of the option tables, by tool; a tool without a table has a function that adds its arguments."""
_PATH_METAVARS = ("FILE", "DIR", "RUN", "BASELINE")

OPTIONS: tuple[Option, ...] = (
    Option(name="shell", metavar="SHELL", choices=("bash", "zsh", "fish"), default="bash", help="bash, zsh or fish"),
)

EPILOG = """\
bash: chainproof completion bash > ~/.local/share/bash-completion/completions/chainproof
zsh:  chainproof completion zsh > "${fpath[1]}/_chainproof"
fish: chainproof completion fish > ~/.config/fish/completions/chainproof.fish"""


@command("completion")
def main(arguments: Sequence[str]) -> int:
    """Print the script."""
    parser = build_parser("completion", "Print a script for the completion of a shell.", EPILOG, options=OPTIONS)
    print(shtab.complete(all_tools(), parser.parse_args(arguments).shell))
    return ExitCode.PASS


def all_tools() -> argparse.ArgumentParser:
    """A parser of the options of every installed tool, from their tables."""
    parser = argparse.ArgumentParser(prog="chainproof")
    tools = parser.add_subparsers(dest="tool")
    tables = {entry.name: entry for entry in entry_points(group=OPTIONS_GROUP)}
    for name, summary in TOOL_SUMMARIES.items():
        tool = tools.add_parser(name, help=summary)
        if name in tables:
            _add_arguments(tool, tables[name].load())
    return parser


def _add_arguments(
    parser: argparse.ArgumentParser, table: Sequence[Option] | Callable[[argparse.ArgumentParser], object]
) -> None:
    """Add the arguments of a tool. Values that are paths are completed as files."""
    paths: set[str] = set()
    if callable(table):
        table(parser)
    else:
        add_options(parser, table)
        paths = {option.dest for option in table if option.is_path}
    for action in parser._actions:  # noqa: SLF001  # argparse has no public way to list options
        if action.dest in paths or action.metavar in _PATH_METAVARS:
            action.complete = shtab.FILE  # type: ignore[attr-defined]  # where shtab looks for it
