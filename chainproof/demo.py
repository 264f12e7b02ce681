"""
The main job, end to end: an emulator checked against the contract, driven with sustained traffic, and judged.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path

from chainproof.command import Mistake, command, duration, parser
from chainproof.contract.targets import Target
from chainproof.embedded import Endpoint, emulator
from chainproof.judgement.verdict import Exit
from chainproof.processes import Ended, own_command, run
from chainproof.results.folder import DEFAULT_ROOT, check_writable, default_path, now

OBJECTIVES = ("p95 response_time < 800ms", "error_rate < 10%")
"""What the demonstration asks of a flaky chain: quick for nearly everybody, and failing for few."""


@command("demo")
def main(arguments: Sequence[str]) -> int:
    """
    Run the demonstration; 0 when everything worked, although the flaky chain fails some requests.
    """
    options = _parser().parse_args(arguments)
    folder = options.out or default_path("demo", Target(scheme="http", host="emulator", port=80), now(), DEFAULT_ROOT)
    check_writable(folder)
    print("1/3  Is the promise kept? The warm emulator is held against the contract.", flush=True)
    with emulator("warm", options=_seeded(options)) as endpoint:
        ended = [_conformance(endpoint, folder, options)]
    if not ended[0].interrupted:
        print(f"\n2/3  Is it kept under load? {options.rate:g} requests a second to a flaky one.", flush=True)
        with emulator("flaky", options=_seeded(options)) as endpoint:
            ended.append(_load(endpoint, folder, options))
    print("\n3/3  How is it shown? Everything on one page.", flush=True)
    ended.append(_report(folder))
    if any(each.interrupted for each in ended):
        return Exit.INTERRUPTED
    return next((each.code for each in ended if each.code != Exit.PASS), Exit.PASS)


def _parser() -> argparse.ArgumentParser:
    """
    The options of the demonstration.
    """
    options = parser("demo", "The main job, end to end: check the emulator, drive it, judge it, one HTML report.")
    options.add_argument("--rate", type=float, default=100.0, help="requests a second (default: %(default)g)")
    options.add_argument(
        "--duration", type=duration, default=20.0, metavar="D", help="how long to send them (default: 20s)"
    )
    options.add_argument("--seed", type=int, default=1, help="what all chance is drawn from (default: %(default)s)")
    options.add_argument("--out", type=Path, metavar="DIR", help="the folder for both runs and the report")
    return options


def _seeded(options: argparse.Namespace) -> tuple[str, str]:
    """
    The emulator's share of the seed.
    """
    return ("--seed", str(options.seed))


def _conformance(endpoint: Endpoint, folder: Path, options: argparse.Namespace) -> Ended:
    """
    The conformance run.
    """
    return run(
        own_command(
            *("conformance", "--depth", "quick", "--echo", "--steerable"),
            *_seeded(options),
            *("--out", str(folder / "conformance")),
        ),
        endpoint.environment,
    )


def _load(endpoint: Endpoint, folder: Path, options: argparse.Namespace) -> Ended:
    """
    The load run.
    """
    objectives = [word for objective in OBJECTIVES for word in ("--objective", objective)]
    return run(
        own_command(
            *("loadtests", "steady", "--rate", str(options.rate), "--duration", f"{options.duration}s"),
            *objectives,
            *_seeded(options),
            *("--out", str(folder / "load")),
        ),
        endpoint.environment,
    )


def _report(folder: Path) -> Ended:
    """
    The page on whatever was run, its path printed last.
    """
    runs = [str(folder / name) for name in ("conformance", "load") if (folder / name / "manifest.json").exists()]
    if not runs:
        raise Mistake("no run was made, so there is nothing to report; see above")
    page = folder / "report.html"
    ended = run(own_command("reports", *runs, "--html", str(page)))
    if page.exists():
        print(page.resolve())
    return ended
