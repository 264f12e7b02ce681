"""
The typed table of options, from which argparse, pytest, Locust's parser, its web form and the docs are generated.

pytest imports this module in every run of an environment with chainproof, so it must not import anything heavy.
"""

from __future__ import annotations

import argparse
import math
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field, replace
from enum import StrEnum
from pathlib import Path
from typing import Any, NoReturn

from chainproof.clock import parse_duration
from chainproof.contract.credentials import DEFAULT_KEY_VARIABLE, AuthScheme
from chainproof.contract.levels import Contract

TARGET_VARIABLE = "CHAINPROOF_TARGET"
"""The environment variable that stands in for `--target`."""


class Surface(StrEnum):
    """Where an option can be given."""

    COMMAND = "chainproof"
    PYTEST = "pytest"
    LOCUST = "locust"
    WEB_FORM = "web form"


EVERYWHERE = frozenset(Surface)


@dataclass(frozen=True, slots=True, kw_only=True)
class OptionGroup:
    """A heading of `--help`."""

    title: str
    description: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Option:
    """One command-line option, or one positional argument if its name has no dashes."""

    name: str
    help: str
    parse: Callable[[str], object] | None = str
    """Reads the text, as argparse's `type`; None for a switch."""
    metavar: str | None = None
    """What the help shows for the value. If it is not given: DURATION for a duration, N for a whole number."""
    choices: Iterable[str] = ()
    """The allowed values: a StrEnum or a tuple."""
    completions: Iterable[str] = ()
    """Values that a shell offers, if there are others as well or too many for the help."""
    default: object = None
    default_text: str = ""
    """The default in words, if it is not `default`."""
    repeatable: bool = False
    is_path: bool = False
    """Whether the value is, or may be, the path of a file or folder."""
    group: OptionGroup | None = None
    excludes: str = ""
    """Options of one group with the same text here exclude each other."""
    valid_in: frozenset[Surface] = EVERYWHERE
    replaces: tuple[str, ...] = ()
    """Former names. They fail with a message that gives the new name."""
    dest: str = field(default="")
    """The attribute of the parsed options; by default the name with underscores."""

    def __post_init__(self) -> None:
        if not self.dest:
            object.__setattr__(self, "dest", self.name.lstrip("-").replace("-", "_"))
        if self.metavar is None and self.parse is not None:
            object.__setattr__(self, "metavar", _METAVARS.get(self.parse))

    @property
    def is_switch(self) -> bool:
        """Whether the option takes no value."""
        return self.parse is None

    @property
    def shown_default(self) -> str:
        """The default as help and docs show it; empty if there is nothing to show."""
        return self.default_text or ("" if self.is_switch or self.default is None else str(self.default))

    @property
    def help_text(self) -> str:
        """The help with the default."""
        return f"{self.help} (default: {self.shown_default})" if self.shown_default else self.help

    def keyword_arguments(self) -> dict[str, Any]:
        """The keyword arguments of argparse's `add_argument` and of pytest's `addoption`."""
        words: dict[str, Any] = {"help": self.help_text.replace("%", "%%"), "default": self.default}
        if not self.name.startswith("-"):
            words |= {"nargs": "?"}
        else:
            words |= {"dest": self.dest}
        if self.is_switch:
            return words | {"action": "store_true", "default": bool(self.default)}
        if self.repeatable:
            words |= {"action": "append"}
        if self.choices:
            return words | {"type": _choice(self.choices), "choices": list(self.choices)}
        return words | {"type": self.parse, "metavar": self.metavar}


def in_group(group: OptionGroup, *options: Option, valid_in: frozenset[Surface] | None = None) -> tuple[Option, ...]:
    """Some options under a heading, and *valid_in* the given places only."""
    common = {"group": group} | ({} if valid_in is None else {"valid_in": valid_in})
    return tuple(replace(option, **common) for option in options)  # type: ignore[arg-type]  # these two fields


class RenamedOption(argparse.Action):
    """A former name of an option, as an argparse action: it fails with a message that gives the new name."""

    def __init__(self, option_strings: list[str], dest: str, *, new_name: str, **_: Any) -> None:
        super().__init__(option_strings, dest, nargs="?", default=argparse.SUPPRESS, help=argparse.SUPPRESS)
        self._new_name = new_name

    def __call__(
        self, parser: argparse.ArgumentParser, namespace: object, values: object, option_string: str | None = None
    ) -> NoReturn:
        """Fail."""
        del namespace, values
        parser.error(f"{option_string} was renamed: use {self._new_name}")


def add_options(
    parser: argparse.ArgumentParser,
    options: Iterable[Option],
    surface: Surface = Surface.COMMAND,
    default_group: argparse._ArgumentGroup | None = None,
    further: Callable[[Option], tuple[tuple[str, ...], dict[str, Any]]] = lambda _: ((), {}),
) -> None:
    """
    Add those options of a table that are valid on a surface to an argparse parser, under their headings.

    *further* gives the other names of an option there, and keyword arguments to add to its own.
    """
    groups: dict[OptionGroup | None, argparse._ActionsContainer] = {None: default_group or parser}
    exclusive: dict[tuple[OptionGroup | None, str], argparse._ActionsContainer] = {}
    for option in options:
        if surface not in option.valid_in:
            continue
        if option.group is not None and option.group not in groups:
            groups[option.group] = parser.add_argument_group(option.group.title, option.group.description)
        place = groups[option.group]
        if option.excludes:
            together = (option.group, option.excludes)
            if together not in exclusive:
                exclusive[together] = place.add_mutually_exclusive_group()
            place = exclusive[together]
        names, words = further(option)
        place.add_argument(*names, option.name, **option.keyword_arguments() | words)
        for old in option.replaces:
            parser.add_argument(old, action=RenamedOption, new_name=option.name)


# ------------------------------------------------------------------ parsers of values, for argparse


def _choice(choices: Iterable[str]) -> Callable[[str], str]:
    """A parser that accepts the given values."""
    by_text = {str(choice): choice for choice in choices}

    def parse(text: str) -> str:
        if text not in by_text:
            raise argparse.ArgumentTypeError(f"expected one of {', '.join(by_text)}, found {text!r}")
        return by_text[text]

    return parse


def duration(text: str) -> float:
    """A duration such as 1m30s, in seconds. A unit is required, since a bare 400 could mean seconds or milliseconds."""
    seconds = duration_or_seconds(text)
    if seconds and not text.strip()[-1].isalpha():
        raise argparse.ArgumentTypeError(
            f"expected a duration with its unit, found {text!r}: did you mean {text.strip()}ms or {text.strip()}s?"
        )
    return seconds


def duration_or_seconds(text: str) -> float:
    """A duration, or a number of seconds as Locust's options have it, in seconds."""
    try:
        return parse_duration(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from None


def positive_duration(text: str) -> float:
    """A duration of more than 0 s, in seconds."""
    seconds = duration(text)
    if seconds <= 0:
        raise argparse.ArgumentTypeError(f"expected more than 0 s, found {text!r}")
    return seconds


def count(text: str) -> int:
    """A whole number of at least 1."""
    if not text.isascii() or not text.isdecimal() or integer(text) < 1:
        raise argparse.ArgumentTypeError(f"expected a whole number of at least 1, found {text!r}")
    return int(text)


def number(text: str) -> float:
    """A finite number."""
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not math.isfinite(value):
        raise argparse.ArgumentTypeError(f"expected a number, found {text!r}")
    return value


def integer(text: str) -> int:
    """A whole number of at most 64 bits, as run folders can store it."""
    try:
        value = int(text)
    except ValueError:
        raise argparse.ArgumentTypeError(f"expected a whole number, found {text!r}") from None
    if not -(2**63) <= value < 2**63:
        raise argparse.ArgumentTypeError(f"expected a whole number of at most 64 bits, found {text!r}")
    return value


def positive_number(text: str) -> float:
    """A finite number above 0."""
    try:
        number = float(text)
    except ValueError:
        number = math.nan
    if not 0 < number < math.inf:
        raise argparse.ArgumentTypeError(f"expected a number of more than 0, found {text!r}")
    return number


_METAVARS: dict[object, str] = {
    **dict.fromkeys((duration, positive_duration), "DURATION"),
    **dict.fromkeys((count, integer), "N"),
}
"""What stands for a value in the help, by what reads it."""


def folder(text: str) -> Path:
    """A folder. An empty text is a variable that nobody set, not the working folder."""
    if not text:
        raise argparse.ArgumentTypeError("expected a folder, found an empty text")
    return Path(text)


MAX_LABEL_LENGTH = 100


def label(text: str) -> str:
    """A short text in one line, without blanks at its ends."""
    words = " ".join(text.split())
    if not words or len(words) > MAX_LABEL_LENGTH or not words.isprintable():
        raise argparse.ArgumentTypeError(
            f"expected a label of 1 to {MAX_LABEL_LENGTH} printable characters, found {text!r}"
        )
    return words


# ------------------------------------------------------------------ the options that several commands share

TARGET_GROUP = OptionGroup(title="target")

TARGET_OPTIONS = in_group(
    TARGET_GROUP,
    Option(
        name="--target",
        metavar="URL",
        help="URL to send requests to, such as https://chain-abc123.api.baseten.co",
        default_text=f"${TARGET_VARIABLE}; if that is not set, an emulator that is started for the run",
    ),
    Option(name="--chain-id", metavar="ID", help="id of a deployed chain, in place of --target"),
    Option(name="--model-id", metavar="ID", help="id of a deployed model, in place of --target"),
    Option(
        name="--environment",
        metavar="NAME",
        help="environment of the chain or model; the OpenAPI document has the path of production only, so the contract "
        "is assumed to hold for the other paths",
        default_text="production",
    ),
    Option(
        name="--deployment",
        metavar="ID",
        help="id of one deployment of the chain or model, in place of --environment",
    ),
    Option(
        name="--regional",
        parse=None,
        help="use the regional hostname, which contains the name of the environment; needs --environment",
    ),
    Option(
        name="--connect-to",
        metavar="HOST:PORT",
        help="address to connect to in place of the target's; URL, Host header and the name that TLS verifies do not change",
    ),
    Option(
        name="--ca-file",
        metavar="FILE",
        help="PEM file with certificates to trust in addition to the system's",
        is_path=True,
    ),
    Option(
        name="--header",
        metavar="'NAME: VALUE'",
        repeatable=True,
        help="header to add to every request, repeatable; headers that hold a secret or the message length are rejected",
        # Its values are not shown anywhere, and a form shows what it sets.
        valid_in=EVERYWHERE - {Surface.WEB_FORM},
    ),
    Option(
        name="--api-key-env",
        metavar="NAME",
        help="environment variable that holds the API key; the key itself is never an option",
        default=DEFAULT_KEY_VARIABLE,
        # A web page must not choose which variable of the process is sent to a target.
        valid_in=EVERYWHERE - {Surface.WEB_FORM},
    ),
    Option(
        name="--auth-scheme",
        choices=AuthScheme,
        help="how the key is sent: `Authorization: Api-Key …`, as in the OpenAPI document, or `Authorization: Bearer …`",
        default=AuthScheme.API_KEY,
    ),
)

LABEL_OPTION = Option(
    name="--label",
    parse=label,
    metavar="TEXT",
    help="name of the run in every report, such as 'before the upgrade'",
)

DEFAULT_RESPONSE_MEMORY = 256 << 20
"""Bytes of the answers that a process reads at the same time."""

RESPONSE_MEMORY_OPTION = Option(
    name="--max-response-memory",
    parse=count,
    metavar="MIB",
    default=DEFAULT_RESPONSE_MEMORY >> 20,
    help="memory for the answers that a process reads at the same time, over all connections; an answer that does not fit "
    "is not read, and its request fails as too_large",
)

CONTRACT_OPTION = Option(
    name="--contract",
    choices=Contract,
    help="which answers are correct: those of the OpenAPI document to the letter (strict), also what Baseten documents "
    "elsewhere (documented), also what third parties observed (observed)",
    default=Contract.STRICT,
)
