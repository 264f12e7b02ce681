"""
The options of a load run, with the same names at every door: our own command line and Locust's.

Locust already has `--users`, with our meaning, and `--host` and `--run-time`, whose place `--target` and `--duration`
take. Its positional arguments are user classes, so the workload is `--workload` there.
"""

from __future__ import annotations

import argparse

from chainproof.command import add_contract_option, add_target_options, duration_option
from chainproof.contract.levels import Contract
from chainproof.workload.arrivals import ARRIVAL_PROCESSES
from chainproof.workload.replay import DEFAULT_TIMESTAMP_KEY
from chainproof.workload.search_settings import SEARCHES, parse_share
from chainproof.workload.workload import WorkloadModel

from .catalogue import DEFAULT_WORKLOAD
from .retries import RETRY_POLICIES


def add_run_options(parser: argparse.ArgumentParser) -> None:
    """
    Every option of a load run that has the same name everywhere and is new to Locust.
    """
    parser.add_argument(
        "--model",
        type=WorkloadModel,
        choices=list(WorkloadModel),
        help="what makes a request start: a schedule, or a user who is ready",
    )
    parser.add_argument("--rate", type=float, metavar="R", help="open model: planned requests a second")
    parser.add_argument("--arrivals", choices=list(ARRIVAL_PROCESSES), help="open model: how they are spread")
    parser.add_argument(
        "--variation",
        type=float,
        metavar="V",
        help="open model, gamma arrivals: the coefficient of variation of the gaps; 1 is Poisson, above it arrivals cluster",
    )
    parser.add_argument(
        "--replay",
        metavar="FILE",
        help="open model: start requests at the instants of a file, one in seconds a line, or JSON objects with one each",
    )
    parser.add_argument(
        "--replay-key",
        metavar="KEY",
        help=f"where such an object has its instant (default: {DEFAULT_TIMESTAMP_KEY})",
    )
    parser.add_argument(
        "--warm-up",
        type=duration_option,
        metavar="D",
        help="open model: ask so long at the same rate before what is judged; for workloads without phases",
    )
    parser.add_argument(
        "--max-in-flight",
        type=int,
        metavar="N",
        help="open model: beyond this many at once an arrival waits for a slot, up to its deadline, then it is not sent and counted",
    )
    parser.add_argument(
        "--think-time",
        type=duration_option,
        metavar="D",
        help="closed model: pause between an answer and the user's next request",
    )
    parser.add_argument(
        "--duration", type=duration_option, metavar="D", help="how long requests are started, such as 30s or 5m"
    )
    parser.add_argument(
        "--deadline", type=duration_option, metavar="D", help="when a request without a complete answer has timed out"
    )
    parser.add_argument(
        "--drain",
        type=duration_option,
        metavar="D",
        help="how long what is in flight is awaited once no more is started (default: as long as the deadline); what is "
        "unanswered then is censored, and counted",
    )
    parser.add_argument(
        "--retry",
        choices=list(RETRY_POLICIES),
        help="callers try again as Baseten recommends it: each attempt is an exchange of its own, the caller's total stands "
        "beside them (default: nothing is tried again)",
    )
    parser.add_argument(
        "--objective",
        action="append",
        metavar="TEXT",
        help="such as 'p95 response_time < 800ms' or 'error_rate < 1%%'; may be repeated; replaces the workload's own",
    )
    parser.add_argument(
        "--payloads",
        metavar="FILE",
        help="a file with one JSON object a line, drawn from in place of the workload's payloads",
    )
    parser.add_argument(
        "--input-schema",
        metavar="FILE.json|FILE.py:CLASS",
        help="the chain's own input, a JSON Schema or the type hints of its run_remote: payloads are made from it, in place "
        "of the workload's",
    )
    parser.add_argument(
        "--output-schema",
        metavar="FILE.json|FILE.py:CLASS",
        help="the chain's own output, likewise: a 200 that is not as it says has failed",
    )
    parser.add_argument(
        "--output-sample",
        type=_share,
        metavar="P",
        help="with --output-schema: the share of 200s that are held against it, for outputs that take long to (default: 100%%)",
    )
    parser.add_argument(
        "--check",
        metavar="FILE.py:FUNCTION",
        help="your own check of every 200: a function of payload and answer that returns None, or what is wrong in words",
    )
    parser.add_argument(
        "--seed", type=int, default=0, metavar="N", help="of the plan and the payloads (default: %(default)s)"
    )
    parser.add_argument(
        "--keep-bodies",
        action="store_true",
        help="keep, with each exemplar in the run folder, up to 64 KiB of what was sent and of what came back; without this no "
        "body is stored",
    )
    add_limit_options(parser)
    add_contract_option(parser)
    add_target_options(parser)
    parser.add_argument("--out", metavar="DIR", help="the run folder, new or empty (default: a new one under runs/)")


def add_limit_options(parser: argparse.ArgumentParser) -> None:
    """
    What a run keeps to, wherever it is asked for.
    """
    group = parser.add_argument_group(
        "limits", "On this machine there are none unless you set them; any other host has those in parentheses."
    )
    group.add_argument("--max-requests", type=_several, metavar="N", help="end the run at so many requests (20000)")
    group.add_argument("--max-rate", type=_positive, metavar="R", help="ask no more a second (200)")
    group.add_argument("--max-duration", type=duration_option, metavar="D", help="start requests no longer (15m)")
    group.add_argument(
        "--error-budget",
        type=_share,
        metavar="P",
        help="end the run when more than this share of all its requests failed or timed out (10%%)",
    )
    group.add_argument(
        "--gone-after",
        type=duration_option,
        metavar="D",
        help="end the run when nothing but transport errors came for so long (10s, everywhere)",
    )
    group.add_argument("--cost-per-request", type=_positive, metavar="X", help="what a request costs, in any currency")
    group.add_argument(
        "--max-cost", type=_positive, metavar="Y", help="end the run when requests for so much were sent"
    )


def _positive(text: str) -> float:
    """
    A number above 0, for argparse.
    """
    try:
        number = float(text)
    except ValueError:
        number = 0.0
    if not 0 < number < float("inf"):
        raise argparse.ArgumentTypeError(f"expected a number of more than 0, found {text!r}")
    return number


def add_command_options(parser: argparse.ArgumentParser) -> None:
    """
    The options of `chainproof loadtests`.
    """
    parser.add_argument(
        "workload",
        nargs="?",
        default=DEFAULT_WORKLOAD,
        metavar="WORKLOAD",
        help="a name below, or a TOML file (default: %(default)s)",
    )
    parser.add_argument(
        "--users", type=int, metavar="N", dest="num_users", help="closed model: how many users there are"
    )
    add_run_options(parser)
    parser.add_argument(
        "--scenario",
        metavar="NAME",
        help="of the emulator that is started where there is no target: a name or a TOML file (default: warm)",
    )
    add_search_options(parser)
    group = parser.add_argument_group("distribution", "What follows a bare -- is passed on to Locust as it is.")
    several = group.add_mutually_exclusive_group()
    several.add_argument(
        "--processes", type=_several, metavar="N", help="share the requests out among N processes of this machine"
    )
    several.add_argument(
        "--workers",
        type=_several,
        metavar="N",
        help="share them out among N workers started elsewhere: locust -f …/locustfile.py --worker --master-host HERE",
    )


def add_search_options(parser: argparse.ArgumentParser) -> None:
    """
    The options of commands that make many runs.
    """
    group = parser.add_argument_group("search", "Many runs in place of one; each has a folder of its own.")
    what = group.add_mutually_exclusive_group()
    what.add_argument(
        "--search",
        choices=SEARCHES,
        help="find the highest rate that meets the objectives, from --rate up; the workload saturation does so unasked",
    )
    what.add_argument(
        "--calibrate",
        action="store_true",
        help="measure this machine's own floor (latency) and ceiling (rate) against a server that does nothing",
    )
    group.add_argument("--search-max-rate", type=_positive, metavar="R", help="the highest rate that is asked for")
    group.add_argument(
        "--search-resolution", type=_share, metavar="P", help="how close to a rate that is not met, such as 5%%"
    )
    group.add_argument(
        "--search-verifications", type=_several, metavar="N", help="how many runs more the answer must pass"
    )
    group.add_argument(
        "--search-max-probe-duration",
        type=duration_option,
        metavar="D",
        help="how long an undecided run may become (1 min)",
    )


def _share(text: str) -> float:
    """
    A share, for argparse.
    """
    try:
        return parse_share(text)
    except ValueError as wrong:
        raise argparse.ArgumentTypeError(str(wrong)) from None


def _several(text: str) -> int:
    """
    At least one.
    """
    if not text.isascii() or not text.isdigit() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"expected a number of at least 1, found {text!r}")
    return int(text)


def add_form_options(parser: argparse.ArgumentParser) -> None:
    """
    The options of a run where the workload has no place of its own.
    """
    parser.add_argument("--workload", default=DEFAULT_WORKLOAD, metavar="WORKLOAD", help="a name, or a TOML file")
    add_run_options(parser)


def add_locust_options(parser: argparse.ArgumentParser, **_: object) -> None:
    """
    The options that Locust's command line gains.
    """
    parser.set_defaults(web_host="127.0.0.1")  # whoever wants it bound to more says so
    group = parser.add_argument_group("chainproof", "What a load run is; see chainproof loadtests --help.")
    add_form_options(parser)
    group.add_argument(
        "--until-eof",
        action="store_true",
        help="stop as on Ctrl-C when the standard input ends: whoever started us has gone",
    )
    group.add_argument(
        "--overwrite-progress", action="store_true", help="write the progress on one line, over and over"
    )


_PASSED_ON = (
    "model",
    "rate",
    "arrivals",
    "variation",
    "replay",
    "replay_key",
    "warm_up",
    "max_in_flight",
    "think_time",
    "duration",
    "deadline",
    "drain",
    "retry",
    "objective",
    "payloads",
    "input_schema",
    "output_schema",
    "output_sample",
    "check",
    "seed",
    "keep_bodies",
    "max_requests",
    "max_rate",
    "max_duration",
    "error_budget",
    "gone_after",
    "cost_per_request",
    "max_cost",
    "contract",
    "out",
)

COMMAND_LINE_ONLY = ("input_schema", "output_schema", "check", "replay", "replay_key")
"""
Options that the web page does not ask for, since they may name code that is run, or a file whose lines a mistake would
show: whoever starts the process says which.
"""


FORM_FLAGS = ("keep_bodies", "regional")
"""Options of the page that are on or off."""

FORM_OPTIONS = (
    "workload",
    *(name for name in _PASSED_ON if name not in COMMAND_LINE_ONLY),
    "target",
    "chain_id",
    "model_id",
    "environment",
    "regional",
    "connect_to",
    "ca_file",
    "header",
    "auth_scheme",
)
"""The options that the web page asks for. Where the key is found is no matter of a page's."""


def locust_arguments(options: argparse.Namespace, **others: str | None) -> list[str]:
    """
    Our own options as Locust's command line takes them, those in *others* replaced.
    """
    values = {name: getattr(options, name) for name in _PASSED_ON} | {"users": options.num_users} | others
    return [word for name, value in values.items() for word in _words(f"--{name.replace('_', '-')}", value)]


def _words(option: str, value: object) -> list[str]:
    """
    An option with its value, or values, as words of a command line; a switch has none.
    """
    if isinstance(value, bool):
        return [option] if value else []
    return [f"{option}={text}" for text in _texts(value)]


def _texts(value: object) -> list[str]:
    """
    An option's value as words of a command line.
    """
    match value:
        case None:
            return []
        case list():
            return [str(item) for item in value]
        case float():
            return [f"{value:.9f}"]
        case Contract() | WorkloadModel():
            return [value.value]
        case _:
            return [str(value)]
