"""
How a conformance run is asked for: one table of options for the command and for pytest.

Nothing heavy is imported here, since pytest reads the options in every run of the environment.
"""

from __future__ import annotations

import argparse
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from enum import StrEnum

from chainproof.clock import Seconds
from chainproof.contract.credentials import DEFAULT_KEY_VARIABLE, AuthScheme
from chainproof.contract.levels import Contract, Level
from chainproof.durations import parse_duration


class Depth(StrEnum):
    """
    How much is generated.
    """

    QUICK = "quick"
    STANDARD = "standard"
    DEEP = "deep"


class Permission(StrEnum):
    """
    What a stranger's service is not asked without leave.
    """

    SMUGGLING = "smuggling"
    """Messages whose framing is invalid or says two things: what stands in front may pass a part on as another request."""
    FOREIGN_HOSTS = "foreign-hosts"
    """A Host that is not the target's own. The key never goes along."""
    HUGE_BODIES = "huge-bodies"
    """Bodies beyond what must be taken, up to the depth's bound."""
    KEY_GUESSING = "key-guessing"
    """Near misses of the key, which whoever watches the gate may take for an attack."""
    OVERLOAD = "overload"
    """More requests at once than a polite caller has: also `--overload`."""


EXAMPLES_BY_DEPTH: dict[Depth, int] = {Depth.QUICK: 25, Depth.STANDARD: 250, Depth.DEEP: 2500}
"""Requests that each generating check makes, before it looks for a smaller one that shows the same."""

REMOTE_RATE_LIMIT = 20.0
"""Requests a second that a target which is not on loopback gets at most, unless `--rate-limit` says otherwise."""

REMOTE_MAX_REQUESTS: dict[Depth, int] = {Depth.QUICK: 1_000, Depth.STANDARD: 10_000, Depth.DEEP: 100_000}
"""Requests that it gets at most, unless `--max-requests` says otherwise."""

MAX_BUSY_WAIT: dict[Depth, Seconds] = {Depth.QUICK: 10.0, Depth.STANDARD: 30.0, Depth.DEEP: 120.0}
"""Seconds that a run waits in all for a target that says it is busy."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """
    What shapes a conformance run. The names are the options', with underscores.
    """

    target: str | None = None
    chain_id: str | None = None
    model_id: str | None = None
    environment: str | None = None
    regional: bool = False
    connect_to: str | None = None
    ca_file: str | None = None
    header: tuple[str, ...] = ()
    api_key_env: str = DEFAULT_KEY_VARIABLE
    auth_scheme: AuthScheme = AuthScheme.API_KEY
    contract: Contract = Contract.STRICT
    depth: Depth = Depth.STANDARD
    seed: int | None = None
    """None: drawn when the run begins."""
    steerable: bool = False
    echo: bool = False
    input_schema: str | None = None
    output_schema: str | None = None
    fail_on: Level = Level.ASSUMED
    """The least grave level whose violations fail the run."""
    accept: tuple[str, ...] = ()
    """Clauses whose violations are known of: as written, since the contract is too heavy to be read here."""
    allow: tuple[Permission, ...] = ()
    """What may be asked of a target that is not on loopback; there, everything but overload may."""
    max_requests: int | None = None
    """None: any number on loopback, elsewhere what `POLITE_REQUESTS` says."""
    rate_limit: float | None = None
    """Requests a second. None: as fast as they are answered on loopback, elsewhere `POLITE_RATE`."""
    overload: bool = False
    """Whether overload may be provoked, wherever the target is."""
    duration: Seconds | None = None
    """For how long generation goes on with further seeds behind the last check; None: not at all."""
    deadline: Seconds = 30.0
    keep_bodies: bool = False
    """Whether findings keep what was answered; what was asked they keep anyway."""
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


def _count(text: str) -> int:
    """
    A number of requests, for argparse.
    """
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"expected a whole number of requests, at least 1, found {text!r}")
    return int(text)


def _rate(text: str) -> float:
    """
    Requests a second, for argparse.
    """
    try:
        rate = float(text)
    except ValueError:
        rate = math.nan
    if not 0 < rate < math.inf:
        raise argparse.ArgumentTypeError(f"expected requests a second, more than 0, found {text!r}")
    return rate


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
    repeatable: bool = False

    @property
    def field(self) -> str:
        """The name in `Settings`."""
        return self.name.removeprefix("--").replace("-", "_")

    def keyword_arguments(self) -> dict[str, object]:
        """What `add_argument` and `addoption` are called with. The default is None: `Settings` has the real one."""
        if self.parse is None:
            return {"action": "store_true", "default": None, "help": self.help}
        words: dict[str, object] = {"type": self.parse, "default": None, "help": self.help}
        if self.repeatable:
            words |= {"action": "append"}
        if self.choices:
            return words | {"choices": [self.parse(choice) for choice in self.choices]}
        return words | {"metavar": self.metavar}


TARGET_OPTIONS: tuple[Option, ...] = (
    Option(
        name="--target",
        parse=str,
        metavar="URL",
        help="an https origin such as https://chain-abc123.api.baseten.co; without it $CHAINPROOF_TARGET, and without "
        "that an emulator of our own, started for the length of the run",
    ),
    Option(name="--chain-id", parse=str, metavar="ID", help="in place of --target: a deployed chain's id"),
    Option(name="--model-id", parse=str, metavar="ID", help="in place of --target: a deployed model's id"),
    Option(
        name="--environment",
        parse=str,
        metavar="NAME",
        help="with an id: the environment (default: production); paths other than the document's are assumed",
    ),
    Option(name="--regional", help="with an id and --environment: the environment is part of the hostname"),
    Option(
        name="--connect-to",
        parse=str,
        metavar="HOST:PORT",
        help="send the bytes there, while URL, Host header and the name that TLS verifies stay the target's",
    ),
    Option(
        name="--ca-file",
        parse=str,
        metavar="FILE",
        help="a PEM file of certificates to trust besides the system's",
    ),
    Option(
        name="--header",
        parse=str,
        metavar="'NAME: VALUE'",
        repeatable=True,
        help="a header field to send along, repeatable; never one that carries a secret or frames the request",
    ),
    Option(
        name="--api-key-env",
        parse=str,
        metavar="NAME",
        help=f"the environment variable that holds the API key (default: {DEFAULT_KEY_VARIABLE}); the key is never an option",
    ),
    Option(
        name="--auth-scheme",
        parse=_one_of(AuthScheme),
        choices=tuple(AuthScheme),
        help="present the key as `Api-Key …`, the document's way (the default), or as `Bearer …`",
    ),
)
"""
The names of `chainproof.command.add_target_options`, stated again: what that imports is too heavy for every pytest run.
"""

OPTIONS: tuple[Option, ...] = (
    *TARGET_OPTIONS,
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
        name="--input-schema",
        parse=str,
        metavar="FILE.json|FILE.py:CLASS",
        help="the chain's own input, a JSON Schema or the type hints of its run_remote: what is valid must be answered 200, "
        "and inputs are generated from it",
    ),
    Option(
        name="--output-schema",
        parse=str,
        metavar="FILE.json|FILE.py:CLASS",
        help="the chain's own output, likewise: every 200 is held against it",
    ),
    Option(
        name="--fail-on",
        parse=_one_of(Level),
        choices=tuple(Level),
        help="the least grave level whose violations fail the run: must, assumed (the default) or should",
    ),
    Option(
        name="--accept",
        parse=str,
        metavar="CLAUSE[:YYYY-MM-DD]",
        repeatable=True,
        help="a clause whose violations are known of, repeatable: shown as accepted, they fail neither a test nor the run; "
        "with the last day on which that counts",
    ),
    Option(
        name="--allow",
        parse=_one_of(Permission),
        choices=tuple(Permission),
        repeatable=True,
        help="what may be asked of a target that is not on loopback, repeatable: smuggling, foreign-hosts, huge-bodies, "
        "key-guessing or overload; without it such checks are not exercised there",
    ),
    Option(
        name="--max-requests",
        parse=_count,
        metavar="N",
        help="send no more than N requests, of whatever kind; the checks that are left are not exercised (default: no limit "
        "on loopback; elsewhere 1000 at quick, 10000 at standard, 100000 at deep)",
    ),
    Option(
        name="--rate-limit",
        parse=_rate,
        metavar="R",
        help="send no more than R requests a second, evenly spread (default: no limit on loopback; elsewhere 20)",
    ),
    Option(
        name="--overload",
        help="provoke overload, by more requests at once than the target is likely to serve",
    ),
    Option(
        name="--duration",
        parse=_deadline,
        metavar="DURATION",
        help="behind the last check, go on generating with further seeds until the run has lasted so long, such as 10m",
    ),
    Option(
        name="--deadline",
        parse=_deadline,
        metavar="DURATION",
        help="for each whole answer (default: 30s)",
    ),
    Option(
        name="--keep-bodies",
        help="keep, with each finding in the run folder, up to 64 KiB of the answer's body; without this no answer is stored",
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
    given = {name: tuple(value) if isinstance(value, list) else value for name, value in values.items()}
    return Settings(**{name: value for name, value in given.items() if value is not None})  # type: ignore[arg-type]  # each value was read by its own option's parser
