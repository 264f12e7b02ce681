"""`chainproof completion SHELL`: a script that completes tools, options, their values, and files."""

from __future__ import annotations

import argparse
from collections.abc import Callable, Iterable, Sequence
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
    shell = parser.parse_args(arguments).shell
    print(shtab.complete(all_tools(shell), shell))
    return ExitCode.PASS


def all_tools(shell: str = "bash") -> argparse.ArgumentParser:
    """A parser of the options of every installed tool, from their tables, with what a shell is to offer."""
    parser = argparse.ArgumentParser(prog="chainproof")
    tools = parser.add_subparsers(dest="tool")
    tables = {entry.name: entry for entry in entry_points(group=OPTIONS_GROUP)}
    for name, summary in TOOL_SUMMARIES.items():
        tool = tools.add_parser(name, help=summary)
        if name in tables:
            _add_arguments(tool, tables[name].load(), shell)
    return parser


def _add_arguments(
    parser: argparse.ArgumentParser,
    table: Sequence[Option] | Callable[[argparse.ArgumentParser], object],
    shell: str,
) -> None:
    """Add the arguments of a tool. Values that are paths are completed as files, others as the words that the table has for them."""
    paths: set[str] = set()
    words: dict[str, Iterable[str]] = {}
    if callable(table):
        table(parser)
    else:
        add_options(parser, table)
        paths = {option.dest for option in table if option.is_path}
        words = {option.dest: option.completions for option in table if option.completions}
    for action in parser._actions:  # noqa: SLF001  # argparse has no public way to list options
        is_path = action.dest in paths or action.metavar in _PATH_METAVARS
        if action.dest in words:
            action.choices = [*words[action.dest], *(shtab.Optional.FILE if is_path else ())]
            if is_path and shell != "bash":  # shtab would offer the word "file?"
                listed = " ".join(words[action.dest])
                both = {"zsh": f"{{compadd {listed}; _files}}", "fish": f"{listed} {shtab.FILE['fish']}"}
                action.complete = both  # type: ignore[attr-defined]  # where shtab looks for it
        elif is_path:
            action.complete = shtab.FILE  # type: ignore[attr-defined]  # where shtab looks for it
