"""`chainproof demo`: check an emulator against the contract, run a load test against it, and report on both."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path

from chainproof.command import build_parser, command
from chainproof.contract.target import Target
from chainproof.endpoint import Endpoint, start_emulator
from chainproof.errors import UsageError
from chainproof.judgement.verdict import ExitCode
from chainproof.options import CONTRACT_OPTION, Option, duration, folder, integer, number
from chainproof.processes import ProcessExit, chainproof_command, run_process
from chainproof.results.folder import MANIFEST
from chainproof.results.run_writer import check_writable, create_run_folder
from chainproof.workload.workload import Workload

OBJECTIVES = ("p95 response_time < 800ms", "error_rate < 10%")
"""Objectives that the flaky scenario meets: most requests are fast, and a few fail."""

OPTIONS = (
    Option(name="--rate", parse=number, metavar="R", default=100.0, help="requests per second of the load test"),
    Option(
        name="--duration",
        parse=duration,
        default=20.0,
        default_text="20s",
        help="how long the load test starts requests",
    ),
    Option(name="--seed", parse=integer, default=1, help="seed of all random values"),
    Option(name="--out", parse=folder, metavar="DIR", is_path=True, help="folder for both run folders and the report"),
    CONTRACT_OPTION,
)


@command("demo")
def main(arguments: Sequence[str]) -> int:
    """Run the demonstration; 0 if every step passed. The requests that the flaky scenario fails are within the objectives."""
    parser = build_parser(
        "demo",
        "Check an emulator against the contract, run a load test against it, and write one HTML report on both.",
        options=OPTIONS,
    )
    options = parser.parse_args(arguments)
    Workload(name="demo", rate=options.rate, duration=options.duration).validated()
    if options.out:
        check_writable(options.out)
    out = options.out or create_run_folder("demo", Target(scheme="http", host="emulator", port=80))
    print("1/3  Conformance: checking the emulator (scenario warm) against the contract.", flush=True)
    with start_emulator("warm", options=_shared(options)) as endpoint:
        exits = [_conformance(endpoint, out, options)]
    if not exits[0].interrupted:
        print(f"\n2/3  Load test: {options.rate:g} requests per second to the emulator (scenario flaky).", flush=True)
        with start_emulator("flaky", options=_shared(options)) as endpoint:
            exits.append(_load(endpoint, out, options))
    print("\n3/3  Report: one HTML page.", flush=True)
    exits.append(_report(out, interrupted=any(each.interrupted for each in exits)))
    if any(each.interrupted for each in exits):
        return ExitCode.INTERRUPTED
    return next((each.code for each in exits if each.code != ExitCode.PASS), ExitCode.PASS)


def _shared(options: argparse.Namespace) -> tuple[str, ...]:
    """The options that the emulator and both tools get."""
    return ("--seed", str(options.seed), "--contract", options.contract.value)


def _conformance(endpoint: Endpoint, out: Path, options: argparse.Namespace) -> ProcessExit:
    """The conformance run."""
    return run_process(
        chainproof_command(
            *("conformance", "--depth", "quick", "--echo", "--steerable"),
            *_shared(options),
            *("--out", str(out / "conformance")),
        ),
        endpoint.environment,
    )


def _load(endpoint: Endpoint, out: Path, options: argparse.Namespace) -> ProcessExit:
    """The load run."""
    objectives = [word for objective in OBJECTIVES for word in ("--objective", objective)]
    return run_process(
        chainproof_command(
            *("loadtests", "steady", "--rate", str(options.rate), "--duration", f"{options.duration}s", "--no-html"),
            *objectives,
            *_shared(options),
            *("--out", str(out / "load")),
        ),
        endpoint.environment,
    )


def _report(out: Path, *, interrupted: bool) -> ProcessExit:
    """
    The report on the runs that were made; its path is the last line of output. Raises KeyboardInterrupt if none was made
    because the demonstration was *interrupted*.
    """
    runs = [str(out / name) for name in ("conformance", "load") if (out / name / MANIFEST).exists()]
    if not runs and interrupted:
        raise KeyboardInterrupt
    if not runs:
        raise UsageError("no run was made, so there is nothing to report; see above")
    page = out / "report.html"
    exited = run_process(chainproof_command("reports", *runs, "--html", str(page)), shows_results=True)
    if page.exists():
        print(page.resolve())
    return exited
