"""
What every `chainproof` command shares: options with one name everywhere, mistakes in one line, exit codes.
"""

from __future__ import annotations

import argparse
import os
import ssl
import sys
import traceback
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import wraps
from pathlib import Path
from typing import TextIO, cast

from chainproof.contract.credentials import DEFAULT_KEY_VARIABLE, ApiKeyError, AuthScheme, load_key_from_environment
from chainproof.contract.header_fields import HeaderField, parse_header
from chainproof.contract.levels import Contract
from chainproof.contract.route import Address, parse_address
from chainproof.contract.target import deployment_url
from chainproof.durations import parse_duration
from chainproof.errors import UsageError
from chainproof.judgement.verdict import ExitCode

TARGET_VARIABLE = "CHAINPROOF_TARGET"
"""The environment variable that stands in for `--target`."""

EXIT_CODES = """\
exit codes:
  0    pass, also when nothing was asked
  1    fail: a clause of the contract is broken, or an objective missed
  2    asked wrongly or cannot start: bad option, no key, nobody listens
  3    inconclusive: too little was seen to say
  4    invalid: the measurement cannot be trusted
  70   our own error: says nothing about the target
  130  interrupted; the report was written all the same
"""


Main = Callable[[Sequence[str]], int]
"""A command: arguments in, exit code out."""


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
                    text = redacted(text, variable)
                print(text, file=sys.stderr)

            try:
                with _patient_output():
                    return main(arguments)
            except UsageError as mistake:
                tell(f"chainproof {tool}: {mistake}")
                return ExitCode.USAGE
            except KeyboardInterrupt:
                tell(f"chainproof {tool}: interrupted")
                return ExitCode.INTERRUPTED
            except Exception:  # noqa: BLE001  # the outermost frame: whatever arrives here is our own error
                tell(traceback.format_exc().rstrip("\n"))
                tell(f"chainproof {tool}: our own error, see above; this says nothing about the target")
                return ExitCode.SOFTWARE

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
    return (DEFAULT_KEY_VARIABLE, *named)


class _Patient:
    """
    An output whose reader may leave, as `| head` does: what is written then goes nowhere, and the verdict still counts.
    """

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream

    def write(self, text: str) -> int:
        """Write, or pass over it when nobody reads any more."""
        try:
            return self._stream.write(text)
        except BrokenPipeError:
            self._let_go()
            return len(text)

    def flush(self) -> None:
        """Flush, or pass over it when nobody reads any more."""
        try:
            self._stream.flush()
        except BrokenPipeError:
            self._let_go()

    def __getattr__(self, name: str) -> object:
        return getattr(self._stream, name)

    def _let_go(self) -> None:
        # What is still buffered, and the interpreter's own last flush, go the same way.
        os.dup2(os.open(os.devnull, os.O_WRONLY), self._stream.fileno())


@contextmanager
def _patient_output() -> Iterator[None]:
    """
    While this lasts, standard output is one whose reader may leave.
    """
    before = sys.stdout
    sys.stdout = cast(TextIO, _Patient(before))
    try:
        yield
    finally:
        sys.stdout.flush()
        sys.stdout = before


def redacted(text: str, variable: str = DEFAULT_KEY_VARIABLE) -> str:
    """
    A text without the key that the environment holds.
    """
    try:
        return load_key_from_environment(variable).redact(text)
    except ApiKeyError:
        return text


def build_parser(tool: str, description: str, epilog: str = "") -> argparse.ArgumentParser:
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
    Everything that says where requests go and with which key, the same everywhere.
    """
    group = options.add_argument_group("target")
    group.add_argument(
        "--target",
        metavar="URL",
        help=f"an https origin such as https://chain-abc123.api.baseten.co; without it ${TARGET_VARIABLE}, and without "
        "that an emulator of our own, started for the length of the command",
    )
    group.add_argument("--chain-id", metavar="ID", help="in place of --target: a deployed chain's id")
    group.add_argument("--model-id", metavar="ID", help="in place of --target: a deployed model's id")
    group.add_argument(
        "--environment",
        metavar="NAME",
        help="with an id: the environment (default: production); paths other than the document's are assumed",
    )
    group.add_argument(
        "--regional", action="store_true", help="with an id and --environment: the environment is part of the hostname"
    )
    group.add_argument(
        "--connect-to",
        metavar="HOST:PORT",
        help="send the bytes there, while URL, Host header and the name that TLS verifies stay the target's",
    )
    group.add_argument("--ca-file", metavar="FILE", help="a PEM file of certificates to trust besides the system's")
    group.add_argument(
        "--header",
        metavar="'NAME: VALUE'",
        action="append",
        default=[],
        help="a header field to send along, repeatable; never one that carries a secret or frames the request",
    )
    group.add_argument(
        "--api-key-env",
        metavar="NAME",
        default=DEFAULT_KEY_VARIABLE,
        help="the environment variable that holds the API key (default: %(default)s); the key itself is never an option",
    )
    group.add_argument(
        "--auth-scheme",
        type=AuthScheme,
        choices=list(AuthScheme),
        default=AuthScheme.API_KEY,
        help="present the key as `Api-Key …`, the document's way (the default), or as `Bearer …`",
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class TargetOptions:
    """
    Where requests are to go and with which key, as the options say it.
    """

    url: str | None = None
    """What `--target` names, or what an id and an environment amount to; None leaves it to the environment."""
    connect_to: Address | None = None
    ca_file: str | None = None
    fields: tuple[HeaderField, ...] = ()
    variable: str = DEFAULT_KEY_VARIABLE
    scheme: AuthScheme = AuthScheme.API_KEY

    def arguments(self) -> list[str]:
        """The options again, for a child process that takes them too."""
        words = ["--api-key-env", self.variable, "--auth-scheme", self.scheme.value]
        if self.url is not None:
            words += ["--target", self.url]
        if self.connect_to is not None:
            words += ["--connect-to", str(self.connect_to)]
        if self.ca_file is not None:
            words += ["--ca-file", self.ca_file]
        for name, value in self.fields:
            words += ["--header", f"{name}: {value}"]
        return words


def parse_target_options(options: argparse.Namespace) -> TargetOptions:
    """
    What the options of `add_target_options` say, looked through. Raises UsageError or TargetError.
    """
    if options.ca_file is not None:
        _check_certificates(options.ca_file)
    return TargetOptions(
        url=_url(options),
        connect_to=parse_address(options.connect_to) if options.connect_to else None,
        ca_file=options.ca_file,
        fields=tuple(parse_header(text) for text in options.header),
        variable=options.api_key_env,
        scheme=AuthScheme(options.auth_scheme),
    )


def _url(options: argparse.Namespace) -> str | None:
    """
    The target's URL, from `--target` or from an id and an environment, never from both.
    """
    if options.target == "":
        raise UsageError("expected a URL with --target, found an empty text; is the variable that should hold it set?")
    by_id = bool(options.chain_id or options.model_id)
    if by_id and options.target:
        raise UsageError("expected --target or an id, found both")
    if not by_id and (options.environment or options.regional):
        raise UsageError("expected --chain-id or --model-id with --environment and --regional")
    if options.regional and not options.environment:
        raise UsageError("expected --environment with --regional: the environment is part of the hostname")
    if not by_id:
        return cast(str | None, options.target)
    return deployment_url(
        chain_id=options.chain_id or "",
        model_id=options.model_id or "",
        environment=options.environment or "production",
        regional=options.regional,
    )


def _check_certificates(path: str) -> None:
    """
    Raise UsageError unless a file holds certificates that TLS can trust.
    """
    try:
        ssl.create_default_context(cafile=path)
    except (OSError, ssl.SSLError) as wrong:
        raise UsageError(f"expected a PEM file of certificates with --ca-file, found {path!r}: {wrong}") from None


def folder_option(text: str) -> Path:
    """
    An option's folder, for argparse. An empty text is a variable that nobody set, not the working folder.
    """
    if not text:
        raise argparse.ArgumentTypeError("expected a folder, found an empty text")
    return Path(text)


def duration_option(text: str) -> float:
    """
    An option's duration in seconds, for argparse.
    """
    try:
        return parse_duration(text)
    except ValueError as wrong:
        raise argparse.ArgumentTypeError(str(wrong)) from None
