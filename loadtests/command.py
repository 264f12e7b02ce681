"""
`chainproof loadtests`: run a workload in a Locust child process, print a summary, and exit with the verdict.

This process never imports Locust or gevent. It checks the options, opens the endpoint, starts Locust, forwards signals,
and shows Locust's output without the API key. Another child process, `chainproof reports`, judges the run.
"""

from __future__ import annotations

import argparse
import os
import re
import resource
import shlex
import signal
import subprocess
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path

from chainproof.command import build_parser, command, print_run_folder
from chainproof.endpoint import open_endpoint
from chainproof.errors import UsageError
from chainproof.judgement.verdict import ExitCode
from chainproof.machine_faults import system_fault
from chainproof.options import TARGET_VARIABLE
from chainproof.processes import chainproof_command, piped_environment, run_process
from chainproof.results.folder import END, MANIFEST
from chainproof.results.manifest import Side
from chainproof.results.run_writer import check_writable, create_run_folder, remove_if_empty
from chainproof.target_options import parse_target_options
from chainproof.workload.workload import Workload, WorkloadModel

from .catalogue import workload_list
from .demand import demand
from .locust_options import hints
from .locust_process import LOCUSTFILE, LocustExit, LocustRun, announce_objectives, print_message, run_locust
from .options import OPTIONS
from .search.calibration import run_calibration
from .search.runner import requested_search, run_search
from .series.planning import SeriesPlan
from .series.request import requested_baseline, requested_series, with_pause
from .series.runner import SideTarget, run_series

__all__ = ["LOCUSTFILE", "locustfile", "main"]

PAGE = "report.html"
"""The file in a run folder with its HTML report."""

_OTHER_FILES = 100
"""Open files that a load run needs in addition to its connections."""


@command("loadtests")
def main(arguments: Sequence[str]) -> int:
    """Run a workload against a target. Returns the exit code of the verdict."""
    own_arguments, locust_arguments = _split_arguments(arguments)
    options = _options(own_arguments)
    _reject_pipes(options)
    if options.calibrate:
        return run_calibration(options)
    workload = demand(options, options.num_users).workload
    requested = parse_target_options(vars(options))
    search = requested_search(options, workload)
    series = requested_series(options, workload)
    _check_files(workload, options.processes or options.workers or 1)
    if options.out is not None:
        check_writable(Path(options.out))
    with open_endpoint(requested, scenario=_scenario(options)) as endpoint:
        folder = Path(options.out) if options.out is not None else create_run_folder(workload.name, endpoint.target)
        run = LocustRun(
            options=options, requested=requested, endpoint=endpoint, folder=folder, locust_arguments=locust_arguments
        )
        if search is None:
            announce_objectives(options, workload)
        try:
            if series is not None:
                return _run_series(run, series)
            if search is not None:
                code = run_search(run, workload=workload, search=search)
            else:
                ended = run_locust(run)
        finally:
            if options.out is None:
                remove_if_empty(folder)
    if search is None:
        code = _judge(folder, ended)
    if folder.exists() and code != ExitCode.USAGE and not options.no_html:
        _write_page(folder / PAGE, [str(folder)])
    return code


@command("locustfile")
def locustfile(arguments: Sequence[str]) -> int:
    """Print the path of our locustfile. Returns 0."""
    description = 'Print the path of chainproof\'s locustfile, as in: locust -f "$(chainproof locustfile)"'
    build_parser("locustfile", description).parse_args(arguments)
    print(LOCUSTFILE)
    return ExitCode.PASS


def _scenario(options: argparse.Namespace) -> str:
    """The scenario of the emulator. Raises UsageError if `--scenario` is given with a target."""
    if options.scenario is None:
        return "warm"
    if options.target or options.chain_id or options.model_id or os.environ.get(TARGET_VARIABLE):
        raise UsageError(
            "expected no target with --scenario: it applies to the emulator that is started without a target"
        )
    return str(options.scenario)


def _options(arguments: Sequence[str]) -> argparse.Namespace:
    """The parsed options."""
    parser = build_parser(
        "loadtests",
        "Send run_remote requests to a target, by a schedule (open model) or by users (closed model), and judge the answers.",
        workload_list(),
        options=OPTIONS,
        hints=hints(),
    )
    parser.usage = "chainproof loadtests [WORKLOAD] [OPTIONS] [-- LOCUST_OPTIONS]"
    return parser.parse_args(arguments)


def _split_arguments(arguments: Sequence[str]) -> tuple[list[str], list[str]]:
    """The arguments before a bare `--`, and those after it, which are for Locust."""
    words = list(arguments)
    end = words.index("--") if "--" in words else len(words)
    return words[:end], words[end + 1 :]


_OF_ONE_PROCESS = re.compile(r"/dev/(stdin|fd/.*)|/proc/self/.*")
"""Names that another process has for another file."""


def _reject_pipes(options: argparse.Namespace) -> None:
    """Raise UsageError for a pipe in place of a file of inputs: it can be read once, and each process of the run reads it."""
    for option in ("workload", "payloads", "replay"):
        path = getattr(options, option) or ""
        try:
            is_pipe = Path(path).is_fifo()
        except (OSError, ValueError):
            is_pipe = False
        if is_pipe or _OF_ONE_PROCESS.fullmatch(path):
            raise UsageError(
                f"expected a file, found {path}, which can be read only once: each process of a load test reads it; "
                "write what it contains to a file first"
            )


def _check_files(workload: Workload, processes: int) -> None:
    """Raise UsageError if the limit of open files is too low for the connections of the workload."""
    # One connection per request in flight, in the closed model also a timer.
    option, connections, files = (
        ("--max-in-flight", workload.max_in_flight, 1)
        if workload.model is WorkloadModel.OPEN
        else ("--users", workload.users, 2)
    )
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    needed = -(-connections // processes) * files + _OTHER_FILES
    if hard != resource.RLIM_INFINITY and needed > hard:
        possible = (hard - _OTHER_FILES) // files * processes
        lower = f", or lower {option} from {connections} to at most {possible}" if possible > 0 else ""
        raise UsageError(
            f"expected a limit of at least {needed} open files, for {option} {connections}, found {hard}: "
            f"raise it with `ulimit -n {needed}`{lower}"
        )


# ------------------------------------------------------------------ the verdict


def _run_series(run: LocustRun, plan: SeriesPlan) -> int:
    """Make the runs of a series like *run*, and print what follows from them. Returns the exit code."""
    with ExitStack() as stack:
        sides = {Side.CANDIDATE: SideTarget(requested=run.requested, endpoint=run.endpoint)}
        baseline = requested_baseline(run.options, run.requested)
        if baseline is not None:
            endpoint = stack.enter_context(open_endpoint(baseline))
            sides[Side.BASELINE] = SideTarget(requested=baseline, endpoint=endpoint)
        result = run_series(run, with_pause(plan, run.options, (each.endpoint for each in sides.values())), sides)
    code, arguments = result.exit_code, result.arguments
    if result.can_compare:
        print(f"comparison: {shlex.join(['chainproof', 'reports', *arguments])}\n", flush=True)
        compared = run_process(chainproof_command("reports", *arguments), shows_results=True).code
        code = compared if result.stopped is None else code
    if arguments and not run.options.no_html:
        _write_page(run.folder / PAGE, arguments)
    return code


def _judge(folder: Path, ended: LocustExit) -> int:
    """Print the summary and the path of a run folder. Returns the exit code."""
    code = ended.code
    if code == ExitCode.USAGE:
        return code  # the child has printed the message
    if not (folder / MANIFEST).exists():
        if (folder / END).exists():
            print_message(
                f"the run folder {folder} has lost its {MANIFEST}: the run is invalid; leave the folder as it is while a run goes on"
            )
            return ExitCode.INVALID
        return _without_run(code, interrupted=ended.interrupted)
    verdict = _summary_verdict(folder)
    print_run_folder(folder)
    if code in (ExitCode.PASS, ExitCode.INVALID):
        # Without a summary, an invalid run is invalid all the same.
        return code or verdict if verdict == ExitCode.USAGE else verdict
    if code == ExitCode.INTERRUPTED:
        return ExitCode.INTERRUPTED
    print_message(f"the Locust process failed ({_describe_exit(code)}), see above; this says nothing about the target")
    return ExitCode.SOFTWARE


def _without_run(code: int, *, interrupted: bool) -> int:
    """Print why there is no run. Returns the exit code."""
    if interrupted:
        print_message("interrupted before the first request")
        return ExitCode.INTERRUPTED
    if code == ExitCode.INVALID:
        return code  # the message was printed
    print_message(f"internal error: the Locust process did not start a run ({_describe_exit(code)}); see above")
    return ExitCode.SOFTWARE


def _summary_verdict(folder: Path) -> int:
    """Print the terminal summary. Returns the exit code of its verdict."""
    try:
        return run_process(chainproof_command("reports", str(folder)), shows_results=True).code
    except OSError as error:
        print_message(system_fault("cannot show the summary", error))
        return ExitCode.USAGE


def _write_page(page: Path, arguments: Sequence[str]) -> None:
    """Write the HTML report of some runs into a file, and print its path. A failure only prints a line."""
    try:
        child = subprocess.run(
            chainproof_command("reports", *arguments, "--html", str(page)),
            env=piped_environment(),
            stdin=subprocess.DEVNULL,
            capture_output=True,
            encoding="utf-8",
            errors="replace",
            check=False,
        )
        last = child.stderr.splitlines()[-1:]
        why = last[0].partition(": ")[2] or last[0] if last else _describe_exit(child.returncode)
    except (OSError, KeyboardInterrupt) as error:
        why = str(error) or "interrupted"
    if page.exists():
        print(f"HTML report: {page}", flush=True)
    else:
        print_message(f"the HTML report was not written: {why}; the verdict is not affected. --no-html leaves it out")


def _describe_exit(code: int) -> str:
    return f"killed by {signal.Signals(-code).name}" if code < 0 else f"exit code {code}"
