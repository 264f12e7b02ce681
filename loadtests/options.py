"""
The options of a load run, with the same names at every door: our own command line and Locust's.

Locust already has `--users`, with our meaning, and `--host` and `--run-time`, whose place `--target` and `--duration`
take. Its positional arguments are user classes, so the workload is `--workload` there.
"""

from __future__ import annotations

import argparse

from chainproof.command import add_contract_option, add_target_options, duration
from chainproof.contract.levels import Contract
from chainproof.workload.arrivals import PROCESSES
from chainproof.workload.workload import Model

from .catalogue import DEFAULT


def add_run_options(parser: argparse.ArgumentParser) -> None:
    """
    Every option of a load run that has the same name everywhere and is new to Locust.
    """
    parser.add_argument(
        "--model",
        type=Model,
        choices=list(Model),
        help="what makes a request start: a schedule, or a user who is ready",
    )
    parser.add_argument("--rate", type=float, metavar="R", help="open model: planned requests a second")
    parser.add_argument("--arrivals", choices=list(PROCESSES), help="open model: how they are spread")
    parser.add_argument(
        "--max-in-flight",
        type=int,
        metavar="N",
        help="open model: beyond this many at once a request is not sent, and counted",
    )
    parser.add_argument(
        "--think-time",
        type=duration,
        metavar="D",
        help="closed model: pause between an answer and the user's next request",
    )
    parser.add_argument(
        "--duration", type=duration, metavar="D", help="how long requests are started, such as 30s or 5m"
    )
    parser.add_argument(
        "--deadline", type=duration, metavar="D", help="when a request without a complete answer has timed out"
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
        "--seed", type=int, default=0, metavar="N", help="of the plan and the payloads (default: %(default)s)"
    )
    add_contract_option(parser)
    add_target_options(parser)
    parser.add_argument("--out", metavar="DIR", help="the run folder, new or empty (default: a new one under runs/)")


def add_own_options(parser: argparse.ArgumentParser) -> None:
    """
    The options of `chainproof loadtests`.
    """
    parser.add_argument(
        "workload",
        nargs="?",
        default=DEFAULT,
        metavar="WORKLOAD",
        help="a name below, or a TOML file (default: %(default)s)",
    )
    parser.add_argument(
        "--users", type=int, metavar="N", dest="num_users", help="closed model: how many users there are"
    )
    add_run_options(parser)
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
    parser.add_argument("--workload", default=DEFAULT, metavar="WORKLOAD", help="a name, or a TOML file")
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
    "max_in_flight",
    "think_time",
    "duration",
    "deadline",
    "objective",
    "payloads",
    "input_schema",
    "output_schema",
    "seed",
    "contract",
    "out",
)

UNASKED = ("input_schema", "output_schema")
"""Options that the web page does not ask for, since they may name code that is run: whoever starts the process says which."""


FORM = (
    "workload",
    *(name for name in _PASSED_ON if name not in UNASKED),
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
    return [f"--{name.replace('_', '-')}={text}" for name, value in values.items() for text in _texts(value)]


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
        case Contract() | Model():
            return [value.value]
        case _:
            return [str(value)]
