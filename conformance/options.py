"""
The options and settings of a conformance run, for the command and for pytest.

pytest imports this module in every run of an environment with chainproof, so it must not import anything heavy.
"""

from __future__ import annotations

import argparse
from collections.abc import Mapping
from dataclasses import dataclass, replace
from enum import StrEnum

from chainproof.clock import Seconds
from chainproof.contract.clauses import CLAUSE_BY_ID
from chainproof.contract.credentials import DEFAULT_KEY_VARIABLE, AuthScheme
from chainproof.contract.levels import Contract, Level
from chainproof.options import (
    CONTRACT_OPTION,
    DEFAULT_RESPONSE_MEMORY,
    LABEL_OPTION,
    RESPONSE_MEMORY_OPTION,
    TARGET_GROUP,
    TARGET_OPTIONS,
    Option,
    OptionGroup,
    Surface,
    count,
    in_group,
    positive_duration,
    positive_number,
)


class Depth(StrEnum):
    """How many requests the generating checks make."""

    QUICK = "quick"
    STANDARD = "standard"
    DEEP = "deep"


class Permission(StrEnum):
    """What is sent to a remote target only with `--allow`."""

    SMUGGLING = "smuggling"
    """Messages with invalid or ambiguous framing. A proxy in front may forward a part of one as another request."""
    FOREIGN_HOSTS = "foreign-hosts"
    """Requests whose Host is not the target's. They never carry the key."""
    HUGE_BODIES = "huge-bodies"
    """Bodies larger than those that must be accepted, up to the limit of the depth."""
    KEY_GUESSING = "key-guessing"
    """Slightly wrong keys. Monitoring may take them for an attack."""
    OVERLOAD = "overload"
    """More concurrent requests than a normal client sends; `--overload` allows it too."""


EXAMPLES_BY_DEPTH: dict[Depth, int] = {Depth.QUICK: 25, Depth.STANDARD: 250, Depth.DEEP: 2500}
"""Requests that each generating check makes, not counting those that shrink a failing example."""

REMOTE_RATE_LIMIT = 20.0
"""Requests per second that a remote target receives at most, unless `--rate-limit` sets another limit."""

REMOTE_MAX_REQUESTS: dict[Depth, int] = {Depth.QUICK: 1_000, Depth.STANDARD: 10_000, Depth.DEEP: 100_000}
"""Requests that a remote target receives at most, unless `--max-requests` sets another limit."""

DEFAULT_TIME_BUDGET: dict[Depth, Seconds] = {Depth.QUICK: 75.0, Depth.STANDARD: 160.0, Depth.DEEP: 3600.0}
"""How long a run against a remote or a slow target lasts at most, unless `--time-budget` says otherwise.

So a command ends within 90 seconds and 3 minutes, start and report included. At `REMOTE_RATE_LIMIT` there is time for 1,600 and
3,300 requests: many times the requests that find a fault of the emulator which those before them do not find. At deep there is
time for all requests.
"""

MAX_DEFAULT_TIME_BUDGET: dict[Depth, Seconds] = {Depth.QUICK: 360.0, Depth.STANDARD: 600.0, Depth.DEEP: 3600.0}
"""
To which the default is raised if that completes the first round, and an answer takes at most `MODERATE_ANSWER`. Otherwise no run of a
correct chain that is slow, or serves one request at a time, could pass.
"""

MODERATE_ANSWER: Seconds = 2.5
"""Response time up to which that is done. Slower targets get a first look, unless `--time-budget` allows more."""

USUAL_CONCURRENCY = 8
MOST_CONCURRENCY = 16
"""Requests at the same time that a slow target gets at most, unless `--concurrency` says otherwise."""

SLOW_TARGET: Seconds = 0.1
"""Response time above which a target on loopback has a time limit, too."""

MAX_BUSY_WAIT: dict[Depth, Seconds] = {Depth.QUICK: 10.0, Depth.STANDARD: 30.0, Depth.DEEP: 120.0}
"""Seconds that a run waits in total for a target that answers that it is busy."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """The settings of a conformance run: the value of each option, by its name with underscores."""

    target: str | None = None
    chain_id: str | None = None
    model_id: str | None = None
    environment: str | None = None
    deployment: str | None = None
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
    deterministic: bool = False
    input_schema: str | None = None
    output_schema: str | None = None
    check: str | None = None
    payloads: str | None = None
    slow_payload: str | None = None
    fail_on: Level = Level.ASSUMED
    accept: tuple[str, ...] = ()
    """Clauses, optionally with a day, as text: the module that parses them is too heavy to import here."""
    allow: tuple[Permission, ...] = ()
    """Permissions for a remote target; on loopback everything but overload is allowed."""
    max_requests: int | None = None
    """None: no limit on loopback, `REMOTE_MAX_REQUESTS` elsewhere."""
    rate_limit: float | None = None
    """Requests per second. None: no limit on loopback, `REMOTE_RATE_LIMIT` elsewhere."""
    concurrency: int | None = None
    """None: `USUAL_CONCURRENCY`, or `MOST_CONCURRENCY` for a slow target that serves as many at the same time."""
    max_response_memory: int = DEFAULT_RESPONSE_MEMORY >> 20
    """MiB."""
    time_budget: Seconds | None = None
    """None: `DEFAULT_TIME_BUDGET` for remote and for slow targets, else no limit."""
    overload: bool = False
    duration: Seconds | None = None
    """None: generation ends with the last check."""
    deadline: Seconds = 30.0
    keep_bodies: bool = False
    out: str | None = None
    label: str | None = None
    """The name of the run in reports."""
    selection: str = ""
    """pytest's expression for the checks to run; empty: all of them."""
    list: bool = False
    """Print the checks instead of running them."""
    plan: bool = False
    """Print how many requests a run sends and how long it takes, instead of running it."""
    response_time: Seconds | None = None
    """With `plan`: how long the target takes to answer; None: several examples."""


def _seed(text: str) -> int:
    """A seed that JSON readers keep exact."""
    if not text.isdecimal() or int(text) >= 2**53:
        raise argparse.ArgumentTypeError(f"expected a whole number from 0 to 2^53 - 1, found {text!r}")
    return int(text)


_CHAIN = OptionGroup(title="chain", description="What chainproof may assume about the chain behind the target.")
_VERDICT = OptionGroup(title="verdict")
_LIMITS = OptionGroup(title="limits", description="A remote target is one that is not on a loopback address.")

_OPTIONS: tuple[Option, ...] = (
    *TARGET_OPTIONS,
    CONTRACT_OPTION,
    Option(name="--depth", choices=Depth, help="how many requests the checks with generated inputs send"),
    Option(
        name="--seed",
        parse=_seed,
        metavar="N",
        help="seed of the generated requests; the same seed generates the same requests",
        default_text="random, and recorded in the run folder",
    ),
    Option(
        name="--duration",
        parse=positive_duration,
        help="after the last check, keep generating requests from new seeds until the run has lasted this long, such as 10m",
    ),
    Option(
        name="--deadline",
        parse=positive_duration,
        help="time limit for each complete answer",
        default_text="30s",
    ),
    Option(
        name="-k",
        dest="selection",
        metavar="EXPR",
        help="run only the checks whose names or clauses match, as in pytest: `credentials`, `request-id-unique`, "
        "`body and not generated`; the verdict covers only these",
        default_text="all checks",
        completions=tuple(CLAUSE_BY_ID),
        valid_in=frozenset({Surface.COMMAND}),  # pytest has it
    ),
    Option(
        name="--list",
        parse=None,
        help="print the checks with their clauses and what they need, and send nothing; with -k only those that match",
        valid_in=frozenset({Surface.COMMAND}),  # pytest has --collect-only
    ),
    Option(
        name="--plan",
        parse=None,
        help="print how many requests of each kind a run sends and how long they take, and send nothing; with -k only those of the checks that match",
        valid_in=frozenset({Surface.COMMAND}),
    ),
    Option(
        name="--response-time",
        parse=positive_duration,
        help="with --plan: how long the target takes to answer a request that reaches the chain",
        default_text="30ms, 300ms and 3s",
        valid_in=frozenset({Surface.COMMAND}),
    ),
    LABEL_OPTION,
    Option(name="--out", metavar="DIR", is_path=True, help="run folder", default_text="a new folder under runs/"),
    Option(
        name="--keep-bodies",
        parse=None,
        help="store up to 64 KiB of the answer's body with each finding; without this option no answer body is stored",
    ),
    *in_group(
        _CHAIN,
        Option(
            name="--steerable",
            parse=None,
            help="the target returns errors on demand through the X-Emulate request header, as the emulator does",
        ),
        Option(
            name="--echo",
            parse=None,
            help="the chain accepts any JSON object and returns it unchanged, as the emulator's does",
        ),
        Option(
            name="--deterministic",
            parse=None,
            help="the chain always gives equal inputs equal outputs: every difference is a finding; without this option, values "
            "that change when an input is sent again are ignored",
        ),
        Option(
            name="--input-schema",
            metavar="FILE.json|FILE.py:CLASS",
            is_path=True,
            help="input of the chain: a JSON Schema, or a class (with type hints on run_remote, or a pydantic model); inputs are generated from it, "
            "and each valid input must be answered with 200",
        ),
        Option(
            name="--output-schema",
            metavar="FILE.json|FILE.py:CLASS",
            is_path=True,
            help="output of the chain, in the same forms; the body of every 200 must match it",
        ),
        Option(
            name="--payloads",
            metavar="FILE.jsonl",
            is_path=True,
            help="inputs that the chain accepts, one JSON object per line; each is sent byte for byte as in "
            "the file, and each test request is one of them with one change",
            default_text="inputs from --input-schema, else an input found by following the chain's error messages",
        ),
        Option(
            name="--slow-payload",
            metavar="FILE.json",
            is_path=True,
            help="an input that the chain accepts and needs a second or more for; the overload check sends it, so that concurrent "
            "requests overlap",
            default_text="the simplest input",
        ),
        Option(
            name="--check",
            metavar="FILE.py:FUNCTION",
            is_path=True,
            help="your own check of every 200: a function that takes payload and answer, and returns None or a description of "
            "the error",
        ),
    ),
    *in_group(
        _VERDICT,
        Option(
            name="--fail-on",
            choices=Level,
            help="lowest severity that fails the run; must is the highest, should the lowest",
        ),
        Option(
            name="--accept",
            metavar="CLAUSE[:YYYY-MM-DD]",
            repeatable=True,
            completions=tuple(CLAUSE_BY_ID),
            help="known violation, repeatable: all findings of this clause, also new ones, are shown as accepted and do not fail the run, up "
            "to and including the day if one is given",
        ),
    ),
    *in_group(
        _LIMITS,
        Option(
            name="--allow",
            choices=Permission,
            repeatable=True,
            help="kind of request that a remote target may receive, repeatable; checks that need one that is not allowed are skipped",
        ),
        Option(
            name="--max-requests",
            parse=count,
            help="send at most N requests; the remaining checks are skipped",
            default_text="no limit on loopback; for a remote target 1000 at quick, 10000 at standard, 100000 at deep",
        ),
        Option(
            name="--rate-limit",
            parse=positive_number,
            metavar="R",
            help="send at most R requests per second, evenly spaced",
            default_text="no limit on loopback; 20 for a remote target",
        ),
        Option(
            name="--time-budget",
            parse=positive_duration,
            help="end the run after this time, such as 90s; the requests that find most faults are sent first, and the report says "
            "what was left out",
            default_text="75s at quick, 2m40s at standard, 1h at deep for remote targets and for targets slower than 100 ms, up to 5m "
            "and 10m if needed and answers take at most 2.5s; no limit for others, or with --duration",
        ),
        Option(
            name="--concurrency",
            parse=count,
            help="send at most N independent requests at the same time to a target that takes longer than 25 ms to answer",
            default_text="8, or up to 16 if an answer takes 300 ms or longer and the target serves as many at the same time",
        ),
        replace(
            RESPONSE_MEMORY_OPTION,
            help="memory for the answers that are read and judged at the same time; an answer that does not fit is not judged, "
            "and the run is inconclusive unless it finds a violation",
        ),
        Option(
            name="--overload",
            parse=None,
            help="try to overload the target with more concurrent requests than it is likely to serve",
            replaces=("--provoke",),
        ),
    ),
)

_DEFAULTS = Settings()
OPTIONS = tuple(
    option if option.repeatable else replace(option, default=getattr(_DEFAULTS, option.dest)) for option in _OPTIONS
)
"""Every option of a conformance run, with the default that `Settings` has."""


_OPTIONS_OF_CALL = ("contract", "deadline", "echo", "input_schema", "output_schema", "max_response_memory")
"""The options of a conformance run that a single request has too, besides those of the target."""

CALL_OPTIONS = (
    *(option for option in OPTIONS if option.group is TARGET_GROUP or option.dest in _OPTIONS_OF_CALL),
    Option(
        name="--payload",
        metavar="JSON|FILE",
        is_path=True,
        help="the body: JSON text, a file, or - for the standard input; it is sent as it is",
        default_text="the simplest input of --input-schema, else {}",
    ),
    Option(
        name="--raw",
        metavar="FILE",
        is_path=True,
        help="a file, or - for the standard input, with all bytes to send: request line, header fields and body. Nothing is "
        "added, not even the key",
    ),
)
"""The options of `chainproof call`."""


def settings_from(values: Mapping[str, object]) -> Settings:
    """The settings for parsed option values; None stands for the default."""
    given = {name: tuple(value) if isinstance(value, list) else value for name, value in values.items()}
    return Settings(**{name: value for name, value in given.items() if value is not None})  # type: ignore[arg-type]  # each value was read by its own option's parser
