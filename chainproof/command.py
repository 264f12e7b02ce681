"""What all `chainproof` commands share: their argument parser, one-line error messages and exit codes."""

from __future__ import annotations

import argparse
import difflib
import os
import sys
import traceback
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import wraps
from pathlib import Path
from typing import Any, NoReturn, TextIO, cast

from chainproof.contract.credentials import (
    BASELINE_KEY_VARIABLE,
    DEFAULT_KEY_VARIABLE,
    ApiKeyError,
    load_key_from_environment,
)
from chainproof.errors import UsageError
from chainproof.judgement.verdict import ExitCode
from chainproof.machine_faults import machine_fault
from chainproof.options import Option, add_options
from chainproof.signals import first_signal_interrupts
from chainproof.stored_text import escape_unprintable

EXIT_CODES = """\
exit codes:
  0    pass, or help was shown
  1    fail: a clause of the contract is violated, or an objective is missed
  2    usage error, or cannot start or go on: bad option, no API key, target not reachable, disk full; or the output could not be written
  3    inconclusive: too little was observed for a verdict
  4    invalid: the measurement cannot be trusted, or a problem of this machine ended it
  70   error in chainproof, or in your own check or locustfile; it says nothing about the target
  130  interrupted; results up to then were written
"""

PARENT_VARIABLE = "CHAINPROOF_PARENT_PID"
"""The process id of the chainproof command that shares its standard output with a child process."""

_MAX_MESSAGE = 2000
"""Characters of a message; of a longer one, its two ends are shown."""

Main = Callable[[Sequence[str]], int]
"""A command: arguments in, exit code out."""


def command(tool: str) -> Callable[[Main], Main]:
    """
    A decorator that turns exceptions of a command into exit codes.

    A UsageError, or a problem of the machine, is printed as one line on stderr and gives 2. Ctrl-C, SIGTERM and SIGHUP give
    130. Anything else is an internal error: a traceback without the API key, and 70.
    """
    name = f"chainproof {tool}".rstrip()

    def decorate(main: Main) -> Main:
        @wraps(main)
        def guarded(arguments: Sequence[str]) -> int:
            # With little memory, numpy's linear algebra waits for ever for threads that it cannot start. None are needed.
            os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
            output = None
            try:
                with _guarded_output(name) as output:
                    code = ExitCode.USAGE if output.has_failed else _exit_code(main, name, arguments)
            except KeyboardInterrupt:  # while the signal handlers were installed or removed
                print(f"{name}: interrupted", file=sys.stderr)
                code = ExitCode.INTERRUPTED
            except SystemExit as ended:  # argparse has printed the help or a usage error
                if ended.code:
                    raise
                code = ExitCode.PASS
            return ExitCode.USAGE if code == ExitCode.PASS and output is not None and output.has_failed else code

        return guarded

    return decorate


def _exit_code(main: Main, name: str, arguments: Sequence[str]) -> int:
    """The exit code of a command, after printing why it could not go on if that is so."""

    def print_error(text: str) -> None:
        print(_without_keys(text, arguments), file=sys.stderr)

    with first_signal_interrupts():
        try:
            return main(arguments)
        except UsageError as error:
            print_error(one_line(f"{name}: {error}"))
            return ExitCode.USAGE
        except KeyboardInterrupt:
            print_error(f"{name}: interrupted")
            return ExitCode.INTERRUPTED
        except Exception as error:  # noqa: BLE001  # the outermost frame: any other exception is an internal error
            fault = machine_fault(error)
            if fault is not None:
                print_error(one_line(f"{name}: {fault}"))
                return ExitCode.USAGE
            print_error(traceback.format_exc().rstrip("\n"))
            print_error(f"{name}: internal error, see above; this says nothing about the target")
            return ExitCode.SOFTWARE


_KEY_OPTIONS = ("--api-key-env", "--baseline-api-key-env")


def _key_variables(arguments: Sequence[str]) -> tuple[str, ...]:
    """The environment variables that may hold a key of this command: the default ones, and those that options name."""
    words = zip(arguments, [*arguments[1:], ""], strict=False)
    named = (word.partition("=")[2] or following for word, following in words if word.partition("=")[0] in _KEY_OPTIONS)
    return (DEFAULT_KEY_VARIABLE, BASELINE_KEY_VARIABLE, *named)


def _without_keys(text: str, arguments: Sequence[str]) -> str:
    """A text without the keys of a command."""
    for variable in _key_variables(arguments):
        text = redacted(text, variable)
    return text


class _OutputStream:
    """A text stream that discards its output once it cannot be written, and says so unless the reader closed the pipe."""

    def __init__(self, stream: TextIO, on_failure: Callable[[str], object]) -> None:
        self._stream = stream
        self._on_failure = on_failure
        self.has_failed = False
        """Whether output was lost for another reason than a closed pipe, which `| head` closes on purpose."""

    def write(self, text: str) -> int:
        """Write, or discard the text. Characters outside of the encoding become question marks."""
        try:
            return self._stream.write(text)
        except UnicodeEncodeError:
            encoding = self._stream.encoding
            return self._stream.write(text.encode(encoding, "replace").decode(encoding))
        except OSError as error:
            self._discard_output(error)
            return len(text)

    def flush(self) -> None:
        """Flush, or discard what is buffered."""
        try:
            self._stream.flush()
        except OSError as error:
            self._discard_output(error)

    def __getattr__(self, name: str) -> object:
        return getattr(self._stream, name)

    def _discard_output(self, error: OSError) -> None:
        # On the file descriptor, so that buffered text and the interpreter's own last flush are discarded too.
        null = os.open(os.devnull, os.O_WRONLY)
        os.dup2(null, self._stream.fileno())
        os.close(null)
        if not isinstance(error, BrokenPipeError) and not self.has_failed:
            self.has_failed = True
            self._on_failure((error.strerror or str(error)).lower())


@contextmanager
def _guarded_output(name: str) -> Iterator[_OutputStream]:
    """
    Keep standard streams that are closed or full from ending a command; gives the standard output.

    What cannot be written is discarded. One line on the standard error says that the standard output is lost. If it is closed,
    it has failed from the start. Within another such context, gives the output of that.
    """
    if isinstance(cast(object, sys.stdout), _OutputStream):
        yield cast(_OutputStream, sys.stdout)
        return
    closed = _open_closed_streams()

    def report_failure(why: str) -> None:
        if os.environ.get(PARENT_VARIABLE) != str(os.getppid()):  # else the parent says it
            print(f"{name}: cannot write to the standard output: {why}", file=sys.stderr)

    before = sys.stdout, sys.stderr
    errors = _OutputStream(before[1], bool)
    output = _OutputStream(before[0], report_failure)
    sys.stdout, sys.stderr = cast(TextIO, output), cast(TextIO, errors)
    if 1 in closed:
        output.has_failed = True
        report_failure("it is closed; redirect it to a file or to /dev/null")
    try:
        yield output
    finally:
        output.flush()
        errors.flush()
        sys.stdout, sys.stderr = before


def _open_closed_streams() -> list[int]:
    """
    Open those of the three standard streams that are closed, on the null device. Returns their file descriptors.

    A file of a run would otherwise get the number of one of them, and the output of a child process.
    """
    closed = []
    for number, mode in ((0, "r"), (1, "w"), (2, "w")):
        try:
            os.fstat(number)
        except OSError:
            os.open(os.devnull, os.O_RDWR)  # gets the lowest number that is free: this one
            os.set_inheritable(number, True)  # noqa: FBT003  # signature of the standard library
            name, stream = ("stdin", "stdout", "stderr")[number], os.fdopen(number, mode, closefd=False)
            setattr(sys, name, stream)
            setattr(sys, f"__{name}__", stream)  # which pytest needs
            closed.append(number)
    return closed


def print_run_folder(path: Path, what: str = "run folder") -> None:
    """Print where the results of a run are; if the standard output is lost, on the standard error too."""
    print(f"{what}: {path}", flush=True)
    if getattr(sys.stdout, "has_failed", False):
        print(f"{what}: {path}", file=sys.stderr)


def one_line(message: str) -> str:
    r"""
    A message in one line of moderate length: a value of the user that it repeats may have line breaks, and any length.

    >>> one_line("cannot read a\nb")
    'cannot read a\\nb'
    """
    text = escape_unprintable(message)
    if len(text) <= _MAX_MESSAGE:
        return text
    half = _MAX_MESSAGE // 2
    return f"{text[:half]} … {text[-half:]}"


def print_message(name: str, message: str) -> None:
    """Print a message of a command in one line on the standard error. It may repeat a text of the target."""
    print(one_line(f"{name}: {message}"), file=sys.stderr, flush=True)


def redacted(text: str, variable: str = DEFAULT_KEY_VARIABLE) -> str:
    """*text* without the API key that an environment variable holds."""
    try:
        return load_key_from_environment(variable).redact(text)
    except ApiKeyError:
        return text


class CommandParser(argparse.ArgumentParser):
    """A parser whose errors are one line, with the nearest option in place of an unknown one."""

    hints: Mapping[str, str]
    """What to do in place of an option that another tool has."""

    def error(self, message: str) -> NoReturn:
        """Print the message and exit with 2."""
        words = message.partition("unrecognized arguments: ")[2].split()
        shown = (action for action in self._actions if action.help != argparse.SUPPRESS)
        options = [name for action in shown for name in action.option_strings]
        names = [word.partition("=")[0] for word in words if word.startswith("-")]
        # Values of unknown options are left out: a value may be a secret.
        if names:
            same = next((each for each in _SYNONYMS.get(names[0], ()) if each in options), "")
            hint = self.hints.get(names[0]) or (f"use {same}" if same else "")
            message = f"unknown option {names[0]}{f'; {hint}' if hint else did_you_mean(names[0], options)}"
        elif words:
            is_url = words[0].startswith(("http://", "https://")) and "--target" in options
            message = f"{message}; {'use --target URL' if is_url else 'see --help'}"
        # The key is no value of any option, but may have been given as one.
        self.exit(ExitCode.USAGE, _without_keys(one_line(f"{self.prog}: {message}"), sys.argv) + "\n")

    def _get_values(self, action: argparse.Action, arg_strings: list[str]) -> Any:
        """The value of an option. Before Python 3.13, argparse takes `--name=--` for an option without a value."""
        if action.option_strings and arg_strings == ["--"]:
            self.error(f"argument {action.option_strings[0]}: expected a value, found '--'")
        return super()._get_values(action, arg_strings)


_SYNONYMS: Mapping[str, tuple[str, ...]] = {
    "--timeout": ("--deadline",),
    "--slo": ("--objective",),
    "--threshold": ("--objective",),
    "--rps": ("--rate", "--rate-limit"),
    "--qps": ("--rate", "--rate-limit"),
    "--vus": ("--users",),
    "--concurrency": ("--users",),
    "--connections": ("--users", "--concurrency"),
    "--url": ("--target",),
    "--host": ("--target",),
    "--key": ("--api-key-env",),
    "--api-key": ("--api-key-env",),
    "--token": ("--api-key-env",),
    "--time": ("--duration",),
    "--output": ("--out",),
    "--schema": ("--input-schema",),
    "--data": ("--payload", "--payloads"),
    "--body": ("--payload", "--payloads"),
    "--input": ("--payload", "--payloads"),
    "--cacert": ("--ca-file",),
    "--baseline": ("--against",),
    "--pdf": ("--html",),
}
"""Names that other tools have for options of ours: the first one that a command has is suggested."""

_SIMILARITY = 0.7
"""Ratio of difflib from which a word is similar to another one."""


def did_you_mean(word: str, known: Iterable[str]) -> str:
    """
    The end of a message about an unknown word: the known one that it resembles, or where to look.

    >>> did_you_mean("--dept", ["--depth"]), did_you_mean("--timeout", ["--out"])
    ('; did you mean --depth?', '; see --help')
    """
    by_name = {each.lstrip("-"): each for each in known}
    nearest = difflib.get_close_matches(word.lstrip("-"), list(by_name), n=1, cutoff=_SIMILARITY)
    return f"; did you mean {by_name[nearest[0]]}?" if nearest else "; see --help"


def build_parser(
    tool: str,
    description: str,
    epilog: str = "",
    *,
    options: Iterable[Option] = (),
    hints: Mapping[str, str] | None = None,
    exit_codes: str = EXIT_CODES,
) -> argparse.ArgumentParser:
    """
    The argument parser of a command: its options, no abbreviations, and the exit codes at the end of `--help`.

    *hints* say what to do in place of options that another tool has.
    """
    parser = CommandParser(
        prog=f"chainproof {tool}",
        description=description,
        epilog=f"{epilog}\n\n{exit_codes}" if epilog else exit_codes,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    parser.hints = hints or {}
    add_options(parser, options)
    return parser
