"""The options of `chainproof emulator`."""

from __future__ import annotations

import argparse
from pathlib import Path

from chainproof.contract.redaction import EMULATOR_KEY
from chainproof.options import CONTRACT_OPTION, Option, count, integer

from .faults import FAULTS
from .faults.variants import VARIANTS
from .scenario import scenario_names


def port(text: str) -> int:
    """A port number, for argparse."""
    if not text.isascii() or not text.isdigit() or int(text) > 65535:
        raise argparse.ArgumentTypeError(f"expected a port between 0 and 65535, found {text!r}")
    return int(text)


OPTIONS: tuple[Option, ...] = (
    Option(
        name="scenario",
        default="warm",
        metavar="SCENARIO",
        is_path=True,
        help="name of a built-in scenario, or a TOML file",
        completions=scenario_names(),
    ),
    Option(name="--host", default="127.0.0.1", metavar="HOST", help="loopback address to listen on"),
    Option(name="--port", parse=port, metavar="PORT", default=0, default_text="a free port", help="port to listen on"),
    Option(
        name="--seed",
        parse=integer,
        default=0,
        help="seed for outcomes and service times; the same seed repeats them for the n-th request",
    ),
    Option(
        name="--chain",
        metavar="FILE.py:CLASS",
        is_path=True,
        help="run your own chain instead of the echo chain; package.module:CLASS works too",
    ),
    Option(
        name="--predict-concurrency",
        parse=count,
        help="number of requests that --chain processes at once",
        default_text="from the scenario, or 1",
    ),
    Option(
        name="--fault",
        metavar="NAME",
        help="emulate an endpoint with this fault; see --list-faults",
        completions=tuple(FAULTS),
    ),
    Option(name="--list-faults", parse=None, help="list the faults and the clauses that they violate, and exit"),
    Option(
        name="--variant",
        metavar="NAME",
        help="emulate an unusual but correct endpoint; see --list-variants",
        completions=tuple(VARIANTS),
    ),
    Option(name="--list-variants", parse=None, help="list the variants and what allows them, and exit"),
    Option(
        name="--access-log",
        parse=Path,
        metavar="FILE",
        is_path=True,
        help="write one JSON line for each request answered to this file",
        replaces=("--truth",),
    ),
    Option(name="--no-steering", parse=None, help="ignore the X-Emulate header"),
    CONTRACT_OPTION,
    Option(
        name="--api-key-env",
        metavar="NAME",
        help="environment variable that holds the API key to accept",
        default_text=f"the key {EMULATOR_KEY}",
    ),
    Option(name="--until-eof", parse=None, help="exit when standard input ends"),
)
