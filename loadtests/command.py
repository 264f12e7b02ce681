"""
`chainproof loadtests`: one load run in a Locust process of its own, its summary, and the verdict as exit code.

This process never imports Locust or gevent. It checks what was asked, finds the target, starts Locust as a child,
passes signals on, shows what the child says without the key, and has the run judged by `chainproof reports`, a child
too.
"""

from __future__ import annotations

import argparse
import os
import resource
import signal
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

from chainproof.command import build_parser, command
from chainproof.endpoint import open_endpoint
from chainproof.errors import UsageError
from chainproof.judgement.verdict import ExitCode
from chainproof.options import TARGET_VARIABLE
from chainproof.processes import chainproof_command
from chainproof.results.folder import MANIFEST, check_writable, default_run_path, utc_timestamp
from chainproof.target_options import parse_target_options
from chainproof.workload.workload import Workload, WorkloadModel

from .catalogue import workload_list
from .demand import demand
from .options import OPTIONS
from .search.calibration import run_calibration
from .search.locust_process import LOCUSTFILE, distribution_options, run_locust
from .search.runner import requested_search, run_search

__all__ = ["LOCUSTFILE", "main"]

_OTHER_FILES = 100
"""Open files that a load run needs beside its connections."""


@command("loadtests")
def main(arguments: Sequence[str]) -> int:
    """
    Run a workload against a target; the verdict on it.
    """
    ours, theirs = _apart(arguments)
    options = _options(ours)
    if options.calibrate:
        return run_calibration(options)
    workload = demand(options, options.num_users).workload
    asked = parse_target_options(vars(options))
    search = requested_search(options, workload)
    _check_files(workload, options.processes or options.workers or 1)
    if options.out is not None:
        check_writable(Path(options.out))
    with open_endpoint(asked, scenario=_scenario(options)) as chosen:
        folder = (
            Path(options.out)
            if options.out is not None
            else default_run_path(workload.name, chosen.target, utc_timestamp())
        )
        check_writable(folder)
        if search is not None:
            return run_search(options, asked, chosen, folder, theirs, workload=workload, search=search)
        code, interrupted = run_locust(options, asked, chosen, folder, [*distribution_options(options), *theirs])
    return _concluded(folder, code, interrupted=interrupted)


def _scenario(options: argparse.Namespace) -> str:
    """
    The scenario of our own emulator. Raises UsageError where none would be started.
    """
    if options.scenario is None:
        return "warm"
    if options.target or options.chain_id or options.model_id or os.environ.get(TARGET_VARIABLE):
        raise UsageError(
            "expected no target with --scenario: it is for the emulator that is started where there is none"
        )
    return str(options.scenario)


def _options(arguments: Sequence[str]) -> argparse.Namespace:
    """
    The options as given.
    """
    parser = build_parser(
        "loadtests",
        "Sends run_remote requests to a target, by a schedule (open model) or by users (closed model), and judges the answers.",
        workload_list(),
        options=OPTIONS,
    )
    return parser.parse_args(arguments)


def _apart(arguments: Sequence[str]) -> tuple[list[str], list[str]]:
    """
    Our own arguments, and those behind a bare `--`, which are Locust's.
    """
    words = list(arguments)
    here = words.index("--") if "--" in words else len(words)
    return words[:here], words[here + 1 :]


def _check_files(workload: Workload, processes: int) -> None:
    """
    Raise UsageError when the system will not let one process open as many connections as the workload may need.
    """
    # A connection each, and in the closed model a timer beside it.
    option, wanted, files = (
        ("--max-in-flight", workload.max_in_flight, 1)
        if workload.model is WorkloadModel.OPEN
        else ("--users", workload.users, 2)
    )
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if hard != resource.RLIM_INFINITY and -(-wanted // processes) * files + _OTHER_FILES > hard:
        raise UsageError(
            f"expected {option} of at most {(hard - _OTHER_FILES) // files * processes}, from the system's limit on open files, "
            f"found {wanted}; lower it, or raise the limit with ulimit -n"
        )


# ------------------------------------------------------------------ the verdict


def _concluded(folder: Path, code: int, *, interrupted: bool) -> int:
    """
    Have the run summed up, say where it is and what is wrong with it, if anything is.
    """
    if code == ExitCode.USAGE:
        return code  # the child has said what was asked wrongly
    if not (folder / MANIFEST).exists():
        return _without_run(code, interrupted=interrupted)
    verdict = _summed_up(folder)
    print(folder, flush=True)
    if code in (ExitCode.PASS, ExitCode.INVALID):
        return verdict
    if code == ExitCode.INTERRUPTED:
        return ExitCode.INTERRUPTED
    _say(f"our own error: the Locust process broke ({_ended(code)}); this says nothing about the target")
    return ExitCode.SOFTWARE


def _without_run(code: int, *, interrupted: bool) -> int:
    """
    Say why there is no run.
    """
    if interrupted:
        _say("interrupted before the first request")
        return ExitCode.INTERRUPTED
    _say(f"our own error: the Locust process did not start a run ({_ended(code)}); see above")
    return ExitCode.SOFTWARE


def _summed_up(folder: Path) -> int:
    """
    The verdict that the terminal summary ends with.
    """
    return subprocess.run(chainproof_command("reports", str(folder)), check=False).returncode


def _ended(code: int) -> str:
    return f"killed by {signal.Signals(-code).name}" if code < 0 else f"exit code {code}"


def _say(sentence: str) -> None:
    print(f"chainproof loadtests: {sentence}", file=sys.stderr)
