"""
What every `chainproof` command shares: options with one name everywhere, mistakes in one line, exit codes.
"""

from __future__ import annotations

import argparse
import os
import select
import sys
import traceback
from collections.abc import Callable, Sequence
from functools import wraps

from chainproof.contract.credentials import DEFAULT_VARIABLE, NoKey, key_from_environment
from chainproof.contract.levels import Contract
from chainproof.contract.targets import BadTarget
from chainproof.durations import parse_duration
from chainproof.judgement.verdict import Exit
from chainproof.results.folder import FolderMistake
from chainproof.workload.objectives import BadObjective
from chainproof.workload.workload import BadWorkload

TARGET_VARIABLE = "CHAINPROOF_TARGET"
"""The environment variable that stands in for `--target`."""

EXIT_CODES = """\
exit codes:
  0    pass, also when nothing was asked
  1    fail: the target departed from the contract or missed an objective
  2    asked wrongly or cannot start: bad option, no key, nobody listens
  3    inconclusive: too little was seen to say
  4    invalid: the measurement cannot be trusted
  70   our own error: says nothing about the target
  130  interrupted; the report was written all the same
"""


class Mistake(Exception):
    """
    Asked wrongly, or cannot start; the message is the one line that the user reads.
    """


Main = Callable[[Sequence[str]], int]
"""A command: arguments in, exit code out."""

_MISTAKES = (Mistake, BadTarget, BadWorkload, BadObjective, FolderMistake, NoKey)


def command(tool: str) -> Callable[[Main], Main]:
    """
    Make a function that may raise into a command that only returns exit codes.

    A mistake is one line on stderr and 2; Ctrl-C is 130; anything else is our own error: a traceback without the key,
    and 70.
    """

    def decorate(main: Main) -> Main:
        @wraps(main)
        def guarded(arguments: Sequence[str]) -> int:
            def tell(text: str) -> None:
                for variable in _key_variables(arguments):
                    text = scrubbed(text, variable)
                print(text, file=sys.stderr)

            try:
                return main(arguments)
            except _MISTAKES as mistake:
                tell(f"chainproof {tool}: {mistake}")
                return Exit.USAGE
            except KeyboardInterrupt:
                tell(f"chainproof {tool}: interrupted")
                return Exit.INTERRUPTED
            except Exception as wrong:  # noqa: BLE001  # the outermost frame: whatever arrives here is our own error
                if isinstance(wrong, BrokenPipeError) and _reader_has_gone():
                    # Pointing stdout elsewhere keeps the interpreter's own flush quiet.
                    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
                    return Exit.PASS
                tell(traceback.format_exc().rstrip("\n"))
                tell(f"chainproof {tool}: our own error, see above; this says nothing about the target")
                return Exit.SOFTWARE

        return guarded

    return decorate


def _key_variables(arguments: Sequence[str]) -> tuple[str, ...]:
    """
    The environment variables that may hold this command's key: the usual one and what `--api-key-env` names.
    """
    words = zip(arguments, [*arguments[1:], ""], strict=False)
    named = (
        word.partition("=")[2] or following for word, following in words if word.partition("=")[0] == "--api-key-env"
    )
    return (DEFAULT_VARIABLE, *named)


def _reader_has_gone() -> bool:
    """
    Whether it is our own output that nobody reads any more, rather than some other pipe or connection that broke.
    """
    try:
        descriptor = sys.stdout.fileno()
    except OSError:  # no file at all: replaced in this process
        return False
    watched = select.poll()
    watched.register(descriptor, 0)
    return any(event & select.POLLERR for _, event in watched.poll(0))


def scrubbed(text: str, variable: str = DEFAULT_VARIABLE) -> str:
    """
    A text without the key that the environment holds.
    """
    try:
        return key_from_environment(variable).scrub(text)
    except NoKey:
        return text


def parser(tool: str, description: str, epilog: str = "") -> argparse.ArgumentParser:
    """
    An argument parser in our manner: the exit codes below, no abbreviated options.
    """
    return argparse.ArgumentParser(
        prog=f"chainproof {tool}",
        description=description,
        epilog=f"{epilog}\n\n{EXIT_CODES}" if epilog else EXIT_CODES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )


def add_contract_option(options: argparse.ArgumentParser) -> None:
    """
    `--contract`, the same everywhere.
    """
    options.add_argument(
        "--contract",
        type=Contract,
        choices=list(Contract),
        default=Contract.STRICT,
        help="what answers are held against: the published document to the letter (strict, the default), what Baseten "
        "documents beyond it, or what third parties observed",
    )


def add_target_options(options: argparse.ArgumentParser) -> None:
    """
    `--target` and `--api-key-env`, the same everywhere.
    """
    options.add_argument(
        "--target",
        metavar="URL",
        help=f"an https origin such as https://chain-abc123.api.baseten.co; without it ${TARGET_VARIABLE}, and without "
        "that an emulator of our own, started for the length of the command",
    )
    options.add_argument(
        "--api-key-env",
        metavar="NAME",
        default=DEFAULT_VARIABLE,
        help="the environment variable that holds the API key (default: %(default)s); the key itself is never an option",
    )


def duration(text: str) -> float:
    """
    An option's duration in seconds, for argparse.
    """
    try:
        return parse_duration(text)
    except ValueError as wrong:
        raise argparse.ArgumentTypeError(str(wrong)) from None
