"""What all `chainproof` commands share: their argument parser, one-line error messages and exit codes."""

from __future__ import annotations

import argparse
import difflib
import os
import sys
import traceback
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from functools import wraps
from typing import NoReturn, TextIO, cast

from chainproof.contract.credentials import DEFAULT_KEY_VARIABLE, ApiKeyError, load_key_from_environment
from chainproof.errors import UsageError
from chainproof.judgement.verdict import ExitCode
from chainproof.options import Option, add_options

EXIT_CODES = """\
exit codes:
  0    pass, or help was shown
  1    fail: a clause of the contract is violated, or an objective is missed
  2    usage error or cannot start: bad option, no API key, target not reachable
  3    inconclusive: too little was observed for a verdict
  4    invalid: the measurement cannot be trusted
  70   error in chainproof, or in your own check or locustfile; it says nothing about the target
  130  interrupted; results up to then were written
"""

Main = Callable[[Sequence[str]], int]
"""A command: arguments in, exit code out."""


def command(tool: str) -> Callable[[Main], Main]:
    """
    A decorator that turns exceptions of a command into exit codes.

    A UsageError is printed as one line on stderr and gives 2, Ctrl-C gives 130, and anything else is an internal error:
    a traceback without the API key, and 70.
    """

    def decorate(main: Main) -> Main:
        @wraps(main)
        def guarded(arguments: Sequence[str]) -> int:
            def print_error(text: str) -> None:
                for variable in _key_variables(arguments):
                    text = redacted(text, variable)
                print(text, file=sys.stderr)

            try:
                with _output_to_closed_pipe_discarded():
                    return main(arguments)
            except UsageError as error:
                print_error(f"chainproof {tool}: {error}")
                return ExitCode.USAGE
            except KeyboardInterrupt:
                print_error(f"chainproof {tool}: interrupted")
                return ExitCode.INTERRUPTED
            except Exception:  # noqa: BLE001  # the outermost frame: any other exception is an internal error
                print_error(traceback.format_exc().rstrip("\n"))
                print_error(f"chainproof {tool}: internal error, see above; this says nothing about the target")
                return ExitCode.SOFTWARE

        return guarded

    return decorate


def _key_variables(arguments: Sequence[str]) -> tuple[str, ...]:
    """The environment variables that may hold this command's API key: the default one and that of `--api-key-env`."""
    words = zip(arguments, [*arguments[1:], ""], strict=False)
    named = (
        word.partition("=")[2] or following for word, following in words if word.partition("=")[0] == "--api-key-env"
    )
    return (DEFAULT_KEY_VARIABLE, *named)


class _OutputStream:
    """A text stream that discards its output once the reader has closed the pipe, as `| head` does."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream

    def write(self, text: str) -> int:
        """Write, or discard the text."""
        try:
            return self._stream.write(text)
        except BrokenPipeError:
            self._discard_output()
            return len(text)

    def flush(self) -> None:
        """Flush, or discard what is buffered."""
        try:
            self._stream.flush()
        except BrokenPipeError:
            self._discard_output()

    def __getattr__(self, name: str) -> object:
        return getattr(self._stream, name)

    def _discard_output(self) -> None:
        # On the file descriptor, so that buffered text and the interpreter's own last flush are discarded too.
        os.dup2(os.open(os.devnull, os.O_WRONLY), self._stream.fileno())


@contextmanager
def _output_to_closed_pipe_discarded() -> Iterator[None]:
    """Keep a closed pipe on standard output from changing the exit code."""
    before = sys.stdout
    sys.stdout = cast(TextIO, _OutputStream(before))
    try:
        yield
    finally:
        sys.stdout.flush()
        sys.stdout = before


def redacted(text: str, variable: str = DEFAULT_KEY_VARIABLE) -> str:
    """*text* without the API key that an environment variable holds."""
    try:
        return load_key_from_environment(variable).redact(text)
    except ApiKeyError:
        return text


class CommandParser(argparse.ArgumentParser):
    """A parser whose errors are one line, with the nearest option in place of an unknown one."""

    def error(self, message: str) -> NoReturn:
        """Print the message and exit with 2."""
        words = message.partition("unrecognized arguments: ")[2].split()
        options = [name for action in self._actions for name in action.option_strings]
        names = [word.partition("=")[0] for word in words if word.startswith("-")]
        # Values of unknown options are left out: a value may be a secret.
        if names:
            message = f"unknown option {names[0]}{did_you_mean(names[0], options)}"
        self.exit(ExitCode.USAGE, f"{self.prog}: {message}\n")


def did_you_mean(word: str, known: Iterable[str]) -> str:
    """The end of a message about an unknown word: the known one that it resembles, or where to look."""
    nearest = difflib.get_close_matches(word, list(known), n=1)
    return f"; did you mean {nearest[0]}?" if nearest else "; see --help"


def build_parser(
    tool: str, description: str, epilog: str = "", *, options: Iterable[Option] = ()
) -> argparse.ArgumentParser:
    """The argument parser of a command: its options, no abbreviations, and the exit codes at the end of `--help`."""
    parser = CommandParser(
        prog=f"chainproof {tool}",
        description=description,
        epilog=f"{epilog}\n\n{EXIT_CODES}" if epilog else EXIT_CODES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    add_options(parser, options)
    return parser
