"""
The options of a load run: for `chainproof loadtests`, for Locust's command line and for Locust's web form.

Locust has `--users` with the same meaning. Its `--host`, `--run-time` and `--stop-timeout` are other names of `--target`,
`--duration` and `--drain` (`locust_options.py`). Its positional arguments are user classes, so the workload is `--workload`
there.
"""

from __future__ import annotations

import argparse
import json
import os
from dataclasses import replace
from pathlib import Path
from typing import Any

from chainproof.clock import format_duration
from chainproof.contract.credentials import BASELINE_KEY_VARIABLE
from chainproof.errors import UsageError
from chainproof.options import (
    CONTRACT_OPTION,
    EVERYWHERE,
    LABEL_OPTION,
    RESPONSE_MEMORY_OPTION,
    TARGET_GROUP,
    TARGET_OPTIONS,
    TARGET_VARIABLE,
    Option,
    OptionGroup,
    Surface,
    add_options,
    count,
    duration,
    duration_or_seconds,
    integer,
    number,
    positive_number,
)
from chainproof.target_options import TargetOptions, parse_target_options
from chainproof.workload.arrivals import ARRIVAL_PROCESSES, WITH_VARIATION
from chainproof.workload.replay import DEFAULT_TIMESTAMP_KEY
from chainproof.workload.search_settings import SEARCHES, SearchSettings, parse_share
from chainproof.workload.workload import ThinkTimeDistribution, WorkloadModel

from .catalogue import DEFAULT_WORKLOAD, workload_names
from .locust_options import REJECTED, locust_names
from .retries import RETRY_POLICIES

_COMMAND = frozenset({Surface.COMMAND})
_LOCUST = frozenset({Surface.LOCUST})
_FORM = frozenset({Surface.LOCUST, Surface.WEB_FORM})
_COMMAND_LINES = EVERYWHERE - {Surface.WEB_FORM}
"""For options that a web page must not set: they name code that is run, or a file whose lines an error message quotes."""


def share(text: str) -> float:
    """A share such as 5% or 0.05, for argparse."""
    try:
        return parse_share(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from None


_WORKLOAD = OptionGroup(title="workload", description="Options that are not given keep the workload's value.")
_OPEN = OptionGroup(
    title="open model", description="Requests start at planned times, whether or not earlier ones were answered."
)
_CLOSED = OptionGroup(title="closed model", description="Each user waits for an answer before the user's next request.")
_ANSWERS = OptionGroup(title="answers", description="How answers are judged and stored.")
_LIMITS = OptionGroup(
    title="limits",
    description="A target on a loopback address has no limits unless you set them; a remote target has the defaults below.",
)
_SEARCH = OptionGroup(title="search", description="Many runs in place of one, each with its own run folder.")
_SERIES = OptionGroup(
    title="series",
    description="Several runs of the same workload, each with its own run folder. With a second target, the target (the "
    "candidate) is compared with it (the baseline), and the exit code is that of the comparison.",
)
_DISTRIBUTION = OptionGroup(
    title="distribution", description="Arguments after a bare -- are passed on to Locust unchanged."
)

_WORKLOAD_OPTIONS = (
    Option(
        name="--model",
        choices=WorkloadModel,
        help="what starts a request: a schedule (open), or each user after the previous answer (closed)",
        group=_WORKLOAD,
    ),
    Option(
        name="--duration",
        parse=duration,
        metavar="DURATION",
        help="how long requests are started, such as 30s or 5m",
        group=_WORKLOAD,
    ),
    Option(
        name="--deadline",
        parse=duration,
        metavar="DURATION",
        help="how long to wait for a complete answer; after that the request has timed out",
        group=_WORKLOAD,
    ),
    Option(
        name="--drain",
        parse=duration,
        metavar="DURATION",
        help="how long to wait for in-flight requests after the last start; those unanswered then count as censored",
        default_text="the deadline",
        group=_WORKLOAD,
    ),
    Option(
        name="--retry",
        choices=tuple(RETRY_POLICIES),
        help="retry failed requests as Baseten's documentation recommends; every attempt counts as a request, and the "
        "total time of all attempts of a call is reported separately",
        default_text="no retries",
        group=_WORKLOAD,
    ),
    Option(
        name="--objective",
        repeatable=True,
        metavar="TEXT",
        help="objective such as 'p95 response_time < 800ms' or 'error_rate < 1%', repeatable; replaces the workload's",
        group=_WORKLOAD,
    ),
    Option(
        name="--payloads",
        metavar="FILE",
        help="file with one JSON object per line; each request sends one of them, drawn at random",
        is_path=True,
        group=_WORKLOAD,
    ),
    Option(
        name="--input-schema",
        metavar="FILE.json|FILE.py:CLASS",
        help="input of the chain: a JSON Schema, or a class (with type hints on run_remote, or a pydantic model); payloads are generated from it",
        is_path=True,
        group=_WORKLOAD,
        valid_in=_COMMAND_LINES,
    ),
    Option(
        name="--seed",
        parse=integer,
        metavar="N",
        default=0,
        help="seed of the arrival times and the payloads",
        group=_WORKLOAD,
    ),
)

_MODEL_OPTIONS = (
    Option(name="--rate", parse=number, metavar="R", help="planned requests per second", group=_OPEN),
    Option(
        name="--arrivals",
        choices=tuple(ARRIVAL_PROCESSES),
        help="arrival process: how the requests are spread over time",
        group=_OPEN,
    ),
    Option(
        name="--variation",
        parse=number,
        metavar="V",
        help=f"for {' or '.join(WITH_VARIATION)} arrivals: coefficient of variation of the time between requests; 1 is Poisson, more is burstier",
        group=_OPEN,
    ),
    Option(
        name="--replay",
        metavar="FILE",
        help="start requests at recorded times: a file with one time in seconds, or one JSON object with a time, per line",
        is_path=True,
        group=_OPEN,
        valid_in=_COMMAND_LINES,
    ),
    Option(
        name="--replay-key",
        metavar="KEY",
        help="key of the time in the JSON objects of --replay",
        default_text=DEFAULT_TIMESTAMP_KEY,
        group=_OPEN,
        valid_in=_COMMAND_LINES,
    ),
    Option(
        name="--warm-up",
        parse=duration,
        metavar="DURATION",
        help="send for this long at the same rate before the judged part; only for workloads without phases",
        group=_OPEN,
    ),
    Option(
        name="--max-in-flight",
        parse=integer,
        metavar="N",
        help="limit of in-flight requests; a request beyond it waits until its deadline, then it counts as not sent",
        group=_OPEN,
    ),
    Option(
        name="--users",
        dest="num_users",
        parse=integer,
        metavar="N",
        help="number of users",
        group=_CLOSED,
        valid_in=_COMMAND,
    ),
    Option(
        name="--think-time",
        parse=duration,
        metavar="DURATION",
        help="pause of a user between an answer and the next request",
        group=_CLOSED,
    ),
    Option(
        name="--think-time-distribution",
        choices=ThinkTimeDistribution,
        help="exponential: --think-time is the mean, so that users do not move in step",
        default_text=ThinkTimeDistribution.CONSTANT.value,
        group=_CLOSED,
    ),
)

_ANSWER_OPTIONS = (
    CONTRACT_OPTION,
    Option(
        name="--output-schema",
        metavar="FILE.json|FILE.py:CLASS",
        help="output of the chain, as for --input-schema; a 200 whose body does not match it has failed",
        is_path=True,
        group=_ANSWERS,
        valid_in=_COMMAND_LINES,
    ),
    Option(
        name="--output-sample",
        parse=share,
        metavar="P",
        help="share of the 200s that are checked against --output-schema, for outputs that take long to check",
        default_text="100%",
        group=_ANSWERS,
    ),
    Option(
        name="--check",
        metavar="FILE.py:FUNCTION",
        help="your own check of every 200: a function that takes payload and answer, and returns None or a description of the error",
        is_path=True,
        group=_ANSWERS,
        valid_in=_COMMAND_LINES,
    ),
    Option(
        name="--keep-bodies",
        parse=None,
        help="store up to 64 KiB of the request and answer body with each exemplar; without this option no body is stored",
        group=_ANSWERS,
    ),
    Option(
        name="--record-requests",
        parse=count,
        metavar="N",
        help="record the first N requests one by one in requests.csv; the others are only counted",
        group=_ANSWERS,
    ),
    replace(RESPONSE_MEMORY_OPTION, group=_ANSWERS),
)

_LIMIT_OPTIONS = (
    Option(
        name="--max-requests",
        parse=count,
        metavar="N",
        help="end the run after this many requests",
        default_text="20000",
        group=_LIMITS,
    ),
    Option(
        name="--max-rate",
        parse=positive_number,
        metavar="R",
        help="highest rate that a run may have, in requests per second",
        default_text="200",
        group=_LIMITS,
    ),
    Option(
        name="--max-duration",
        parse=duration,
        metavar="DURATION",
        help="longest duration that a run may have",
        default_text="15m",
        group=_LIMITS,
    ),
    Option(
        name="--error-budget",
        parse=share,
        metavar="P",
        help="end the run once more than this share of all its requests has failed or timed out",
        default_text="10%",
        group=_LIMITS,
    ),
    Option(
        name="--gone-after",
        parse=duration,
        metavar="DURATION",
        help="end the run after this long with nothing but transport errors",
        default_text="10s, also on loopback",
        group=_LIMITS,
    ),
    Option(
        name="--cost-per-request",
        parse=positive_number,
        metavar="X",
        help="cost of one request, in any currency",
        group=_LIMITS,
    ),
    Option(
        name="--max-cost",
        parse=positive_number,
        metavar="Y",
        help="end the run once its requests have cost this much; needs --cost-per-request",
        group=_LIMITS,
    ),
)

_SEARCH_DEFAULTS = SearchSettings()
_SEARCH_OPTIONS = (
    Option(
        name="--search",
        choices=SEARCHES,
        help="find the highest rate that meets the objectives, starting at --rate; the workload saturation does this anyway",
        group=_SEARCH,
        excludes="search",
        valid_in=_COMMAND,
    ),
    Option(
        name="--calibrate",
        parse=None,
        help="measure the lowest latency and the highest rate that this machine can measure, against a server that does nothing",
        group=_SEARCH,
        excludes="search",
        valid_in=_COMMAND,
    ),
    Option(
        name="--search-max-rate",
        parse=positive_number,
        metavar="R",
        help="highest rate to try",
        default_text=f"{_SEARCH_DEFAULTS.max_rate:g}",
        group=_SEARCH,
        valid_in=_COMMAND,
        replaces=("--search-to",),
    ),
    Option(
        name="--search-resolution",
        parse=share,
        metavar="P",
        help="precision: the search ends once the result is at most this far below a rate that missed the objectives",
        default_text=f"{_SEARCH_DEFAULTS.resolution:.0%}",
        group=_SEARCH,
        valid_in=_COMMAND,
    ),
    Option(
        name="--search-verifications",
        parse=count,
        metavar="N",
        help="number of runs at the resulting rate that together must show that the objectives are met",
        default_text=f"{_SEARCH_DEFAULTS.verifications}",
        group=_SEARCH,
        valid_in=_COMMAND,
        replaces=("--search-verify",),
    ),
    Option(
        name="--search-max-requests",
        parse=count,
        metavar="N",
        help="send at most N requests at each rate; a rate that is still open then counts as undecided",
        default_text="as many as the objectives need, 7,080 for a p95",
        group=_SEARCH,
        valid_in=_COMMAND,
        replaces=("--search-max-probe-duration", "--search-longest"),
    ),
    Option(
        name="--search-max-duration",
        parse=duration,
        metavar="DURATION",
        help="time after which the search ends",
        default_text=format_duration(_SEARCH_DEFAULTS.max_duration),
        group=_SEARCH,
        valid_in=_COMMAND,
    ),
)

_SERIES_OPTIONS = (
    Option(
        name="--repeat",
        parse=count,
        metavar="K",
        help="make K runs, one after the other; with --interleave or --duet K pairs of runs",
        default_text="one run; 6 pairs with --interleave, 1 with --duet",
        group=_SERIES,
        valid_in=_COMMAND,
    ),
    Option(
        name="--interleave",
        metavar="URL",
        help="also make runs against this baseline, in the order baseline, candidate, candidate, baseline",
        group=_SERIES,
        excludes="baseline",
        valid_in=_COMMAND,
    ),
    Option(
        name="--duet",
        metavar="URL",
        help="also send every request to this baseline, at the same time, alternating which of the two is first",
        group=_SERIES,
        excludes="baseline",
        valid_in=_COMMAND,
    ),
    Option(
        name="--pause",
        parse=duration,
        metavar="DURATION",
        help="time between two runs, so that the target is in the same state for each",
        default_text="10s; 1s if all targets are on a loopback address",
        group=_SERIES,
        valid_in=_COMMAND,
    ),
    Option(
        name="--baseline-api-key-env",
        metavar="NAME",
        help="environment variable that holds the API key of the baseline",
        default_text=f"{BASELINE_KEY_VARIABLE} if it is set, else that of --api-key-env",
        group=_SERIES,
        valid_in=_COMMAND,
    ),
)

_DISTRIBUTION_OPTIONS = (
    Option(
        name="--processes",
        parse=count,
        metavar="N",
        help="spread the requests over N processes on this machine",
        group=_DISTRIBUTION,
        excludes="distribution",
        valid_in=_COMMAND,
    ),
    Option(
        name="--workers",
        parse=count,
        metavar="N",
        help="wait for N workers, and spread the requests over them; they need the token of CHAINPROOF_WORKER_TOKEN, and for other machines "
        "add: -- --master-bind-host ADDRESS; start each with: "
        "locust -f $(chainproof locustfile) --worker --master-host ADDRESS",
        group=_DISTRIBUTION,
        excludes="distribution",
        valid_in=_COMMAND,
    ),
)

_LOCUST_OPTIONS = (
    Option(
        name="--target-json",
        metavar="JSON",
        help="the target as chainproof loadtests passes it on; it replaces the other target options",
        group=TARGET_GROUP,
        valid_in=_LOCUST,
    ),
    Option(
        name="--until-eof",
        parse=None,
        help="stop as on Ctrl-C when the standard input ends, which means that the parent process has ended",
        valid_in=_LOCUST,
    ),
    Option(
        name="--series-json",
        metavar="JSON",
        help="the place of the run in a series, as chainproof loadtests passes it on; a run of a duet begins at the instant of "
        "the monotonic clock that a line of the standard input says",
        valid_in=_LOCUST,
    ),
)

_WORKLOAD_NAME = Option(
    name="workload",
    metavar="WORKLOAD",
    default=DEFAULT_WORKLOAD,
    help="name of a built-in workload, or a TOML file",
    is_path=True,
    completions=workload_names(),
    valid_in=_COMMAND,
)

OPTIONS: tuple[Option, ...] = (
    _WORKLOAD_NAME,
    replace(_WORKLOAD_NAME, name="--workload", valid_in=_FORM),
    *_WORKLOAD_OPTIONS,
    *_MODEL_OPTIONS,
    *_ANSWER_OPTIONS,
    *_LIMIT_OPTIONS,
    *TARGET_OPTIONS,
    Option(
        name="--scenario",
        metavar="NAME",
        help="scenario of the emulator that is started without a target: a name or a TOML file",
        is_path=True,
        default_text="warm",
        group=TARGET_GROUP,
        valid_in=_COMMAND,
    ),
    *_SEARCH_OPTIONS,
    *_SERIES_OPTIONS,
    *_DISTRIBUTION_OPTIONS,
    LABEL_OPTION,
    Option(
        name="--out",
        metavar="DIR",
        help="run folder, new or empty; a search and a series have a folder in it for each run",
        default_text="a new folder under runs/",
        is_path=True,
    ),
    Option(name="--quiet", parse=None, help="do not show the progress of the run", valid_in=_COMMAND),
    Option(
        name="--metrics",
        parse=count,
        metavar="PORT",
        help="serve the metrics of the run for Prometheus while it goes on, at http://127.0.0.1:PORT/metrics",
        valid_in=_COMMAND,
    ),
    Option(
        name="--no-html",
        parse=None,
        help="do not write an HTML report into the run folder at the end",
        valid_in=_COMMAND,
    ),
    *_LOCUST_OPTIONS,
)
"""Every option of a load run."""

LOCUST_NAMES = frozenset(option.dest for option in OPTIONS if Surface.LOCUST in option.valid_in)
"""The names that chainproof's options have among Locust's."""
FORM_OPTIONS = tuple(option for option in OPTIONS if Surface.WEB_FORM in option.valid_in)
"""The options that Locust's web form shows."""
_PASSED_ON = tuple(
    option
    for option in OPTIONS
    if {Surface.COMMAND, Surface.LOCUST} <= option.valid_in and option not in TARGET_OPTIONS and option.dest != "out"
)
"""The options that the command passes on to its Locust process as they are."""


def add_locust_options(parser: argparse.ArgumentParser, **_: object) -> None:
    """Add the options to Locust's command line, and replace or reject those of Locust that are not as they were."""
    # Not reachable from other machines unless --web-host or --master-bind-host says so.
    parser.set_defaults(web_host="127.0.0.1", master_bind_host="127.0.0.1")
    parser.set_defaults(host=None, run_time=None, stop_timeout=0)  # Locust reads them, and they have no options now
    parser.conflict_handler = "resolve"  # a later option takes the names of an earlier one
    before = dict(parser._option_string_actions)  # noqa: SLF001  # argparse has no public way to list options
    group = parser.add_argument_group("chainproof", "Options of a load run; see also chainproof loadtests --help.")
    for option in REJECTED:
        if option.name in before:
            _reject(group, before[option.name], option.text)

    def further(option: Option) -> tuple[tuple[str, ...], dict[str, Any]]:
        names = locust_names(option.name)
        words = {"action": StoreOnce} | _variable(before.get(names[-1])) if names else {}
        return names, words | as_in_locust(option)

    add_options(parser, OPTIONS, Surface.LOCUST, group, further)


def as_in_locust(option: Option) -> dict[str, Any]:
    """Keyword arguments for Locust's command line and page, where a bare number is a duration in seconds."""
    return {"type": duration_or_seconds} if option.parse is duration else {}


_LOCUST_HOST = "LOCUST_HOST"
_TARGET_NAMES = frozenset(option.name for option in TARGET_OPTIONS)


def _variable(action: argparse.Action | None) -> dict[str, Any]:
    """The environment variable of one of Locust's options, as its parser takes it."""
    variable = getattr(action, "env_var", None)
    return {"env_var": variable} if variable else {}


def _reject(group: argparse._ArgumentGroup, action: argparse.Action, reason: str) -> None:
    """Let an option of Locust fail with the reason, also in a variable or a configuration file."""
    group.add_argument(
        *list(action.option_strings),
        action=RejectedOption,
        dest=action.dest,
        default=action.default,
        nargs="*" if action.nargs == "*" else "?",
        reason=reason,
        is_switch=action.nargs == 0,
        help=argparse.SUPPRESS,
        **_variable(action),
    )


class StoreOnce(argparse.Action):
    """Store a value. A second value under another name of the option is an error."""

    def __call__(
        self, parser: argparse.ArgumentParser, namespace: object, values: object, option_string: str | None = None
    ) -> None:
        """Store the value."""
        del option_string
        found = getattr(namespace, self.dest)
        if found not in (None, values):
            parser.error(f"expected one value of {'/'.join(self.option_strings)}, found {found} and {values}")
        setattr(namespace, self.dest, values)


class RejectedOption(argparse.Action):
    """An option of Locust that has no meaning here."""

    def __init__(self, option_strings: list[str], dest: str, *, reason: str, is_switch: bool, **words: Any) -> None:
        super().__init__(option_strings, dest, **words)
        self._reason = reason
        self._is_switch = is_switch

    def __call__(
        self, parser: argparse.ArgumentParser, namespace: object, values: object, option_string: str | None = None
    ) -> None:
        """Fail, unless the value switches the option off."""
        del namespace, option_string
        if self._is_switch and str(values).lower() in _OFF:
            return
        variable = getattr(self, "env_var", None)
        name = self.option_strings[-1] + (f" (or {variable})" if variable else "")
        parser.error(f"expected no {name} with chainproof's users: {self._reason}")


_OFF = ("false", "no", "off", "0")


def given_options(options: argparse.Namespace) -> list[str]:
    """The names of our options on Locust's command line, in a variable or a configuration file, as far as they are not the defaults."""
    ours = {option.name: option for option in OPTIONS if Surface.LOCUST in option.valid_in}
    return [name for name, each in ours.items() if getattr(options, each.dest) != each.keyword_arguments()["default"]]


def requested_target(options: argparse.Namespace) -> TargetOptions:
    """The target that Locust's options describe. Raises UsageError."""
    host = os.environ.get(_LOCUST_HOST)
    if host and host == options.target and os.environ.get(TARGET_VARIABLE) not in (None, host):
        raise UsageError(f"expected {_LOCUST_HOST} or {TARGET_VARIABLE}, found both with different values; unset one")
    if options.target_json is not None:
        also = [name for name in given_options(options) if name in _TARGET_NAMES]
        if also:
            raise UsageError(f"expected {also[0]} as an option of chainproof loadtests, found it among those of Locust")
        return TargetOptions.from_json(json.loads(options.target_json))
    return parse_target_options(vars(options))


def locust_arguments(options: argparse.Namespace, target: TargetOptions, folder: Path) -> list[str]:
    """The arguments of the Locust process for a run with the command's options."""
    values = {option.name: getattr(options, option.dest) for option in _PASSED_ON}
    values |= {"--workload": options.workload, "--users": options.num_users, "--out": str(folder)}
    values |= {"--target-json": json.dumps(target.to_json())}
    return [word for name, value in values.items() for word in _words(name, value)]


def _words(name: str, value: object) -> list[str]:
    """An option with its value, or values, as arguments."""
    match value:
        case None | False:
            return []
        case True:
            return [name]
        case list():
            return [f"{name}={item}" for item in value]
        case float():
            return [f"{name}={value:.9f}"]
        case _:
            return [f"{name}={value}"]
