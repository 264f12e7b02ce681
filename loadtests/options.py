"""
The options of a load run: for `chainproof loadtests`, for Locust's command line and for Locust's web form.

Locust has `--users` with the same meaning. Its `--host`, `--run-time` and `--stop-timeout` are other names of `--target`,
`--duration` and `--drain` (`locust_options.py`). Its positional arguments are user classes, so the workload is `--workload`
there.
"""

from __future__ import annotations

import argparse
from dataclasses import replace

from chainproof.clock import format_duration
from chainproof.contract.credentials import BASELINE_KEY_VARIABLE
from chainproof.options import (
    CONTRACT_OPTION,
    EVERYWHERE,
    LABEL_OPTION,
    RESPONSE_MEMORY_OPTION,
    TARGET_GROUP,
    TARGET_OPTIONS,
    Option,
    OptionGroup,
    Surface,
    count,
    duration,
    in_group,
    integer,
    number,
    positive_number,
)
from chainproof.workload.arrivals import ARRIVAL_PROCESSES, WITH_VARIATION
from chainproof.workload.replay import DEFAULT_TIMESTAMP_KEY
from chainproof.workload.search_settings import SEARCHES, SearchSettings, parse_share
from chainproof.workload.workload import ThinkTimeDistribution, WorkloadModel

from .catalogue import DEFAULT_WORKLOAD, workload_names
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

_WORKLOAD_OPTIONS = in_group(
    _WORKLOAD,
    Option(
        name="--model",
        choices=WorkloadModel,
        help="what starts a request: a schedule (open), or each user after the previous answer (closed)",
    ),
    Option(
        name="--duration",
        parse=duration,
        help="how long requests are started, such as 30s or 5m",
    ),
    Option(
        name="--deadline",
        parse=duration,
        help="how long to wait for a complete answer; after that the request has timed out",
    ),
    Option(
        name="--drain",
        parse=duration,
        help="how long to wait for in-flight requests after the last start; those unanswered then count as censored",
        default_text="the deadline",
    ),
    Option(
        name="--retry",
        choices=tuple(RETRY_POLICIES),
        help="retry failed requests as Baseten's documentation recommends; every attempt counts as a request, and the "
        "total time of all attempts of a call is reported separately",
        default_text="no retries",
    ),
    Option(
        name="--objective",
        repeatable=True,
        metavar="TEXT",
        help="objective such as 'p95 response_time < 800ms' or 'error_rate < 1%', repeatable; replaces the workload's",
    ),
    Option(
        name="--payloads",
        metavar="FILE",
        help="file with one JSON object per line; each request sends one of them, drawn at random",
        is_path=True,
    ),
    Option(
        name="--input-schema",
        metavar="FILE.json|FILE.py:CLASS",
        help="input of the chain: a JSON Schema, or a class (with type hints on run_remote, or a pydantic model); payloads are generated from it",
        is_path=True,
        valid_in=_COMMAND_LINES,
    ),
    Option(
        name="--seed",
        parse=integer,
        default=0,
        help="seed of the arrival times and the payloads",
    ),
)

_OPEN_OPTIONS = in_group(
    _OPEN,
    Option(name="--rate", parse=number, metavar="R", help="planned requests per second"),
    Option(
        name="--arrivals",
        choices=tuple(ARRIVAL_PROCESSES),
        help="arrival process: how the requests are spread over time",
    ),
    Option(
        name="--variation",
        parse=number,
        metavar="V",
        help=f"for {' or '.join(WITH_VARIATION)} arrivals: coefficient of variation of the time between requests; 1 is Poisson, more is burstier",
    ),
    Option(
        name="--replay",
        metavar="FILE",
        help="start requests at recorded times: a file with one time in seconds, or one JSON object with a time, per line",
        is_path=True,
        valid_in=_COMMAND_LINES,
    ),
    Option(
        name="--replay-key",
        metavar="KEY",
        help="key of the time in the JSON objects of --replay",
        default_text=DEFAULT_TIMESTAMP_KEY,
        valid_in=_COMMAND_LINES,
    ),
    Option(
        name="--warm-up",
        parse=duration,
        help="send for this long at the same rate before the judged part; only for workloads without phases",
    ),
    Option(
        name="--max-in-flight",
        parse=integer,
        help="limit of in-flight requests; a request beyond it waits until its deadline, then it counts as not sent",
    ),
)

_CLOSED_OPTIONS = in_group(
    _CLOSED,
    Option(
        name="--users",
        dest="num_users",
        parse=integer,
        help="number of users",
        valid_in=_COMMAND,
    ),
    Option(
        name="--think-time",
        parse=duration,
        help="pause of a user between an answer and the next request",
    ),
    Option(
        name="--think-time-distribution",
        choices=ThinkTimeDistribution,
        help="exponential: --think-time is the mean, so that users do not move in step",
        default_text=ThinkTimeDistribution.CONSTANT.value,
    ),
)

_ANSWER_OPTIONS = in_group(
    _ANSWERS,
    Option(
        name="--output-schema",
        metavar="FILE.json|FILE.py:CLASS",
        help="output of the chain, as for --input-schema; a 200 whose body does not match it has failed",
        is_path=True,
        valid_in=_COMMAND_LINES,
    ),
    Option(
        name="--output-sample",
        parse=share,
        metavar="P",
        help="share of the 200s that are checked against --output-schema, for outputs that take long to check",
        default_text="100%",
    ),
    Option(
        name="--check",
        metavar="FILE.py:FUNCTION",
        help="your own check of every 200: a function that takes payload and answer, and returns None or a description of the error",
        is_path=True,
        valid_in=_COMMAND_LINES,
    ),
    Option(
        name="--keep-bodies",
        parse=None,
        help="store up to 64 KiB of the request and answer body with each exemplar; without this option no body is stored",
    ),
    Option(
        name="--record-requests",
        parse=count,
        help="record the first N requests one by one in requests.csv; the others are only counted",
    ),
    replace(RESPONSE_MEMORY_OPTION),
)

_LIMIT_OPTIONS = in_group(
    _LIMITS,
    Option(
        name="--max-requests",
        parse=count,
        help="end the run after this many requests",
        default_text="20000",
    ),
    Option(
        name="--max-rate",
        parse=positive_number,
        metavar="R",
        help="highest rate that a run may have, in requests per second",
        default_text="200",
    ),
    Option(
        name="--max-duration",
        parse=duration,
        help="longest duration that a run may have",
        default_text="15m",
    ),
    Option(
        name="--error-budget",
        parse=share,
        metavar="P",
        help="end the run once more than this share of all its requests has failed or timed out",
        default_text="10%",
    ),
    Option(
        name="--gone-after",
        parse=duration,
        help="end the run after this long with nothing but transport errors",
        default_text="10s, also on loopback",
    ),
    Option(
        name="--cost-per-request",
        parse=positive_number,
        metavar="X",
        help="cost of one request, in any currency",
    ),
    Option(
        name="--max-cost",
        parse=positive_number,
        metavar="Y",
        help="end the run once its requests have cost this much; needs --cost-per-request",
    ),
)

_SEARCH_DEFAULTS = SearchSettings()
_SEARCH_OPTIONS = in_group(
    _SEARCH,
    Option(
        name="--search",
        choices=SEARCHES,
        help="find the highest rate that meets the objectives, starting at --rate; the workload saturation does this anyway",
        excludes="search",
    ),
    Option(
        name="--calibrate",
        parse=None,
        help="measure the lowest latency and the highest rate that this machine can measure, against a server that does nothing",
        excludes="search",
    ),
    Option(
        name="--search-max-rate",
        parse=positive_number,
        metavar="R",
        help="highest rate to try",
        default_text=f"{_SEARCH_DEFAULTS.max_rate:g}",
        replaces=("--search-to",),
    ),
    Option(
        name="--search-resolution",
        parse=share,
        metavar="P",
        help="precision: the search ends once the result is at most this far below a rate that missed the objectives",
        default_text=f"{_SEARCH_DEFAULTS.resolution:.0%}",
    ),
    Option(
        name="--search-verifications",
        parse=count,
        help="number of runs at the resulting rate that together must show that the objectives are met",
        default_text=f"{_SEARCH_DEFAULTS.verifications}",
        replaces=("--search-verify",),
    ),
    Option(
        name="--search-max-requests",
        parse=count,
        help="send at most N requests at each rate; a rate that is still open then counts as undecided",
        default_text="as many as the objectives need, 7,080 for a p95",
        replaces=("--search-max-probe-duration", "--search-longest"),
    ),
    Option(
        name="--search-max-duration",
        parse=duration,
        help="time after which the search ends",
        default_text=format_duration(_SEARCH_DEFAULTS.max_duration),
    ),
    valid_in=_COMMAND,
)

_SERIES_OPTIONS = in_group(
    _SERIES,
    Option(
        name="--repeat",
        parse=count,
        metavar="K",
        help="make K runs, one after the other; with --interleave or --duet K pairs of runs",
        default_text="one run; 6 pairs with --interleave, 1 with --duet",
    ),
    Option(
        name="--interleave",
        metavar="URL",
        help="also make runs against this baseline, in the order baseline, candidate, candidate, baseline",
        excludes="baseline",
    ),
    Option(
        name="--duet",
        metavar="URL",
        help="also send every request to this baseline, at the same time, alternating which of the two is first",
        excludes="baseline",
    ),
    Option(
        name="--pause",
        parse=duration,
        help="time between two runs, so that the target is in the same state for each",
        default_text="10s; 1s if all targets are on a loopback address",
    ),
    Option(
        name="--baseline-api-key-env",
        metavar="NAME",
        help="environment variable that holds the API key of the baseline",
        default_text=f"{BASELINE_KEY_VARIABLE} if it is set, else that of --api-key-env",
    ),
    valid_in=_COMMAND,
)

_DISTRIBUTION_OPTIONS = in_group(
    _DISTRIBUTION,
    Option(
        name="--processes",
        parse=count,
        help="spread the requests over N processes on this machine",
        excludes="distribution",
    ),
    Option(
        name="--workers",
        parse=count,
        help="wait for N workers, and spread the requests over them; they need the token of CHAINPROOF_WORKER_TOKEN, and for other machines "
        "add: -- --master-bind-host ADDRESS; start each with: "
        "locust -f $(chainproof locustfile) --worker --master-host ADDRESS",
        excludes="distribution",
    ),
    valid_in=_COMMAND,
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
    *_OPEN_OPTIONS,
    *_CLOSED_OPTIONS,
    CONTRACT_OPTION,
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
PASSED_ON = tuple(
    option
    for option in OPTIONS
    if {Surface.COMMAND, Surface.LOCUST} <= option.valid_in and option not in TARGET_OPTIONS and option.dest != "out"
)
"""The options that the command passes on to its Locust process as they are."""
