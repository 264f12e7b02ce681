"""
The main job, end to end: an emulator checked against the contract, driven with sustained traffic, and judged.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path

from chainproof.command import add_contract_option, build_parser, command, duration_option, folder_option
from chainproof.contract.target import Target
from chainproof.endpoint import Endpoint, start_emulator
from chainproof.errors import UsageError
from chainproof.judgement.verdict import ExitCode
from chainproof.processes import ProcessExit, chainproof_command, run_process
from chainproof.results.folder import DEFAULT_ROOT, check_writable, default_run_path, utc_timestamp
from chainproof.workload.workload import Workload

OBJECTIVES = ("p95 response_time < 800ms", "error_rate < 10%")
"""What the demonstration asks of a flaky chain: quick for nearly everybody, and failing for few."""


@command("demo")
def main(arguments: Sequence[str]) -> int:
    """
    Run the demonstration; 0 when everything worked, although the flaky chain fails some requests.
    """
    options = _parser().parse_args(arguments)
    Workload(name="demo", rate=options.rate, duration=options.duration).validated()
    out = options.out or default_run_path(
        "demo", Target(scheme="http", host="emulator", port=80), utc_timestamp(), DEFAULT_ROOT
    )
    check_writable(out)
    print("1/3  Is the promise kept? The warm emulator is held against the contract.", flush=True)
    with start_emulator("warm", options=_shared(options)) as endpoint:
        ended = [_conformance(endpoint, out, options)]
    if not ended[0].interrupted:
        print(f"\n2/3  Is it kept under load? {options.rate:g} requests a second to a flaky one.", flush=True)
        with start_emulator("flaky", options=_shared(options)) as endpoint:
            ended.append(_load(endpoint, out, options))
    print("\n3/3  How is it shown? Everything on one page.", flush=True)
    ended.append(_report(out))
    if any(each.interrupted for each in ended):
        return ExitCode.INTERRUPTED
    return next((each.code for each in ended if each.code != ExitCode.PASS), ExitCode.PASS)


def _parser() -> argparse.ArgumentParser:
    """
    The options of the demonstration.
    """
    options = build_parser("demo", "The main job, end to end: check the emulator, drive it, judge it, one HTML report.")
    options.add_argument("--rate", type=float, default=100.0, help="requests a second (default: %(default)g)")
    options.add_argument(
        "--duration", type=duration_option, default=20.0, metavar="D", help="how long to send them (default: 20s)"
    )
    options.add_argument("--seed", type=int, default=1, help="what all chance is drawn from (default: %(default)s)")
    options.add_argument("--out", type=folder_option, metavar="DIR", help="the folder for both runs and the report")
    add_contract_option(options)
    return options


def _shared(options: argparse.Namespace) -> tuple[str, ...]:
    """
    What the emulator and both tools are told alike.
    """
    return ("--seed", str(options.seed), "--contract", options.contract.value)


def _conformance(endpoint: Endpoint, out: Path, options: argparse.Namespace) -> ProcessExit:
    """
    The conformance run.
    """
    return run_process(
        chainproof_command(
            *("conformance", "--depth", "quick", "--echo", "--steerable"),
            *_shared(options),
            *("--out", str(out / "conformance")),
        ),
        endpoint.environment,
    )


def _load(endpoint: Endpoint, out: Path, options: argparse.Namespace) -> ProcessExit:
    """
    The load run.
    """
    objectives = [word for objective in OBJECTIVES for word in ("--objective", objective)]
    return run_process(
        chainproof_command(
            *("loadtests", "steady", "--rate", str(options.rate), "--duration", f"{options.duration}s"),
            *objectives,
            *_shared(options),
            *("--out", str(out / "load")),
        ),
        endpoint.environment,
    )


def _report(out: Path) -> ProcessExit:
    """
    The page on whatever was run, its path printed last.
    """
    runs = [str(out / name) for name in ("conformance", "load") if (out / name / "manifest.json").exists()]
    if not runs:
        raise UsageError("no run was made, so there is nothing to report; see above")
    page = out / "report.html"
    ended = run_process(chainproof_command("reports", *runs, "--html", str(page)))
    if page.exists():
        print(page.resolve())
    return ended
