"""
How a conformance run is asked for: one table of options for the command and for pytest.

Nothing heavy is imported here, since pytest reads the options in every run of the environment.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from enum import StrEnum

from chainproof.clock import Seconds
from chainproof.contract.credentials import DEFAULT_VARIABLE
from chainproof.contract.levels import Contract, Level
from chainproof.durations import parse_duration


class Depth(StrEnum):
    """
    How much is generated.
    """

    QUICK = "quick"
    STANDARD = "standard"
    DEEP = "deep"


EXAMPLES: dict[Depth, int] = {Depth.QUICK: 25, Depth.STANDARD: 250, Depth.DEEP: 2500}
"""Requests that each generating check makes, before it looks for a smaller one that shows the same."""

PATIENCE: dict[Depth, Seconds] = {Depth.QUICK: 10.0, Depth.STANDARD: 30.0, Depth.DEEP: 120.0}
"""Seconds that a run waits in all for a target that says it is busy."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """
    What shapes a conformance run. The names are the options', with underscores.
    """

    target: str | None = None
    api_key_env: str = DEFAULT_VARIABLE
    contract: Contract = Contract.STRICT
    depth: Depth = Depth.STANDARD
    seed: int | None = None
    """None: drawn when the run begins."""
    steerable: bool = False
    echo: bool = False
    fail_on: Level = Level.ASSUMED
    """The least grave level whose departures fail the run."""
    deadline: Seconds = 30.0
    out: str | None = None


def _deadline(text: str) -> Seconds:
    """
    A deadline's seconds, for argparse.
    """
    try:
        seconds = parse_duration(text)
    except ValueError as wrong:
        raise argparse.ArgumentTypeError(str(wrong)) from None
    if seconds <= 0:
        raise argparse.ArgumentTypeError(f"expected more than 0 s, found {text!r}")
    return seconds


def _seed(text: str) -> int:
    """
    A seed, for argparse.
    """
    if not text.isdecimal() or int(text) >= 2**53:
        raise argparse.ArgumentTypeError(f"expected a whole number from 0 to 2^53 - 1, found {text!r}")
    return int(text)


def _one_of(choices: type[StrEnum]) -> Callable[[str], object]:
    """
    How the name of a choice is read, for argparse.
    """

    def parse(text: str) -> StrEnum:
        try:
            return choices(text)
        except ValueError:
            raise argparse.ArgumentTypeError(f"expected one of {', '.join(choices)}, found {text!r}") from None

    return parse


@dataclass(frozen=True, slots=True, kw_only=True)
class Option:
    """
    One option, described in words that argparse and pytest both take.
    """

    name: str
    help: str
    parse: Callable[[str], object] | None = None
    """How its text is read; None for a switch."""
    metavar: str | None = None
    choices: tuple[str, ...] = ()

    @property
    def field(self) -> str:
        """The name in `Settings`."""
        return self.name.removeprefix("--").replace("-", "_")

    def words(self) -> dict[str, object]:
        """What `add_argument` and `addoption` are called with. The default is None: `Settings` has the real one."""
        if self.parse is None:
            return {"action": "store_true", "default": None, "help": self.help}
        words: dict[str, object] = {"type": self.parse, "default": None, "help": self.help}
        if self.choices:
            return words | {"choices": [self.parse(choice) for choice in self.choices]}
        return words | {"metavar": self.metavar}


OPTIONS: tuple[Option, ...] = (
    Option(
        name="--target",
        parse=str,
        metavar="URL",
        help="an https origin such as https://chain-abc123.api.baseten.co; without it $CHAINPROOF_TARGET, and without "
        "that an emulator of our own, started for the length of the run",
    ),
    Option(
        name="--api-key-env",
        parse=str,
        metavar="NAME",
        help=f"the environment variable that holds the API key (default: {DEFAULT_VARIABLE}); the key is never an option",
    ),
    Option(
        name="--contract",
        parse=_one_of(Contract),
        choices=tuple(Contract),
        help="what answers are held against: the published document to the letter (strict, the default), what Baseten "
        "documents beyond it, or what third parties observed",
    ),
    Option(
        name="--depth",
        parse=_one_of(Depth),
        choices=tuple(Depth),
        help="how much is generated: quick, standard (the default) or deep",
    ),
    Option(
        name="--seed",
        parse=_seed,
        metavar="N",
        help="generates the same requests again (default: drawn, and recorded in the run folder)",
    ),
    Option(
        name="--steerable",
        help="the target gives errors on demand by the X-Emulate request header, as the emulator does",
    ),
    Option(
        name="--echo",
        help="the target's chain takes any object and returns it, as the emulator's does",
    ),
    Option(
        name="--fail-on",
        parse=_one_of(Level),
        choices=tuple(Level),
        help="the least grave level whose departures fail the run: must, assumed (the default) or should",
    ),
    Option(
        name="--deadline",
        parse=_deadline,
        metavar="DURATION",
        help="for each whole answer (default: 30s)",
    ),
    Option(
        name="--out",
        parse=str,
        metavar="DIR",
        help="the run folder (default: runs/<utc>_<depth>_<target>)",
    ),
)


def settings_from(values: Mapping[str, object]) -> Settings:
    """
    The settings that option values amount to; None stands for the default.
    """
    return Settings(**{name: value for name, value in values.items() if value is not None})  # type: ignore[arg-type]  # each value was read by its own option's parser
