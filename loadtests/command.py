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

from chainproof.command import TARGET_VARIABLE, Mistake, command, parser, wanted
from chainproof.endpoint import endpoint
from chainproof.judgement.verdict import Exit
from chainproof.processes import own_command
from chainproof.results.folder import MANIFEST, check_writable, default_path, now
from chainproof.workload.workload import Model, Workload

from .catalogue import described
from .demand import demand
from .options import add_own_options
from .search.calibration import calibrated
from .search.locust_process import LOCUSTFILE, distribution, driven
from .search.runner import search_of, searched

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
        return calibrated(options)
    workload = demand(options, options.num_users).workload
    asked = wanted(options)
    search = search_of(options, workload)
    _check_files(workload, options.processes or options.workers or 1)
    if options.out is not None:
        check_writable(Path(options.out))
    with endpoint(asked, scenario=_scenario(options)) as chosen:
        folder = Path(options.out) if options.out is not None else default_path(workload.name, chosen.target, now())
        check_writable(folder)
        if search is not None:
            return searched(options, asked, chosen, folder, theirs, workload=workload, search=search)
        code, interrupted = driven(options, asked, chosen, folder, [*distribution(options), *theirs])
    return _concluded(folder, code, interrupted=interrupted)


def _scenario(options: argparse.Namespace) -> str:
    """
    The scenario of our own emulator. Raises Mistake where none would be started.
    """
    if options.scenario is None:
        return "warm"
    if options.target or options.chain_id or options.model_id or os.environ.get(TARGET_VARIABLE):
        raise Mistake("expected no target with --scenario: it is for the emulator that is started where there is none")
    return str(options.scenario)


def _options(arguments: Sequence[str]) -> argparse.Namespace:
    """
    The options as given.
    """
    options = parser(
        "loadtests",
        "Drive a target with run_remote requests, by a schedule (open model) or by users (closed model), and judge it.",
        described(),
    )
    add_own_options(options)
    return options.parse_args(arguments)


def _apart(arguments: Sequence[str]) -> tuple[list[str], list[str]]:
    """
    Our own arguments, and those behind a bare `--`, which are Locust's.
    """
    words = list(arguments)
    here = words.index("--") if "--" in words else len(words)
    return words[:here], words[here + 1 :]


def _check_files(workload: Workload, processes: int) -> None:
    """
    Raise Mistake when the system will not let one process open as many connections as the workload may need.
    """
    # A connection each, and in the closed model a timer beside it.
    option, wanted, files = (
        ("--max-in-flight", workload.max_in_flight, 1)
        if workload.model is Model.OPEN
        else ("--users", workload.users, 2)
    )
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if hard != resource.RLIM_INFINITY and -(-wanted // processes) * files + _OTHER_FILES > hard:
        raise Mistake(
            f"expected {option} of at most {(hard - _OTHER_FILES) // files * processes}, from the system's limit on open files, "
            f"found {wanted}; lower it, or raise the limit with ulimit -n"
        )


# ------------------------------------------------------------------ the verdict


def _concluded(folder: Path, code: int, *, interrupted: bool) -> int:
    """
    Have the run summed up, say where it is and what is wrong with it, if anything is.
    """
    if code == Exit.USAGE:
        return code  # the child has said what was asked wrongly
    if not (folder / MANIFEST).exists():
        return _without_run(code, interrupted=interrupted)
    verdict = _summed_up(folder)
    print(folder, flush=True)
    if code in (Exit.PASS, Exit.INVALID):
        return verdict
    if code == Exit.INTERRUPTED:
        return Exit.INTERRUPTED
    _say(f"our own error: the Locust process broke ({_ended(code)}); this says nothing about the target")
    return Exit.SOFTWARE


def _without_run(code: int, *, interrupted: bool) -> int:
    """
    Say why there is no run.
    """
    if interrupted:
        _say("interrupted before the first request")
        return Exit.INTERRUPTED
    _say(f"our own error: the Locust process did not start a run ({_ended(code)}); see above")
    return Exit.SOFTWARE


def _summed_up(folder: Path) -> int:
    """
    The verdict that the terminal summary ends with.
    """
    return subprocess.run(own_command("reports", str(folder)), check=False).returncode


def _ended(code: int) -> str:
    return f"killed by {signal.Signals(-code).name}" if code < 0 else f"exit code {code}"


def _say(sentence: str) -> None:
    print(f"chainproof loadtests: {sentence}", file=sys.stderr)
