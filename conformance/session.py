"""
A run of `chainproof conformance` once its options are read: `--list`, `--plan`, or the checks.

The checks are the tests of `pytest conformance`, unaffected by files in the working folder.
"""

from __future__ import annotations

import os
import re
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stderr
from difflib import get_close_matches
from io import StringIO
from pathlib import Path

import pytest
from hypothesis.configuration import set_hypothesis_home_dir

from chainproof.clock import Seconds
from chainproof.command import print_run_folder
from chainproof.endpoint import open_endpoint
from chainproof.errors import UsageError
from chainproof.judgement.verdict import EXIT_CODE_OF, ExitCode
from chainproof.linux import return_freed_memory
from chainproof.machine_faults import machine_fault
from chainproof.processes import allow_open_files, chainproof_command, run_process
from chainproof.results.folder import MANIFEST
from chainproof.signals import handle_signals

from . import plugin
from .checks import Check
from .checks.catalogue import ALL_CHECKS
from .options import Settings
from .runner.check_list import check_list
from .runner.finding_text import finding_text
from .runner.plan_text import plan_text
from .runner.progress import ProgressPlugin
from .runner.setup import RUN_SETUP, RunSetup, load_options, planned_limits, prepare_run
from .transport.requested_target import EMULATOR_SCENARIO, requested_target

_FOLDER = Path(__file__).parent

_ARGUMENTS = (
    str(_FOLDER),
    "-c",
    os.devnull,
    f"--rootdir={_FOLDER}",
    f"--confcutdir={_FOLDER}",
    "--noconftest",
    "--disable-plugin-autoload",
    "--import-mode=importlib",
    "-p",
    "no:cacheprovider",
    "-p",
    "no:terminal",
)
"""Arguments that make pytest ignore ini files, conftests, plugins and caches of the working folder."""

_MIN_OPEN_FILES = 256
"""Enough for the connections of all checks. Without a free one, the target would seem to be unreachable."""

_SIMILARITY = 0.7
"""Ratio of difflib from which a misspelt word is similar to another one."""
_MAX_SIMILAR = 4
"""How many similar names are shown."""

_DECIDED = (ExitCode.PASS, ExitCode.FAIL, ExitCode.INCONCLUSIVE)
"""Exit codes of a verdict on the target, which cannot be trusted if the run folder was changed."""

_VARIABLES = ("PYTEST_ADDOPTS", "PYTEST_PLUGINS", "PYTEST_DEBUG")


def run_conformance(settings: Settings, *, began: Seconds) -> int:
    """Test a target against the contract, or print the list or the plan; the exit code is that of the verdict."""
    loaded = load_options(settings)
    selected = _selected_checks(settings.selection)
    if settings.list:
        print(check_list(settings, loaded.chain_schema, selected))
        return ExitCode.PASS
    if settings.plan:
        limits, is_remote = planned_limits(settings)
        print(plan_text(settings, loaded.chain_schema, selected, limits, is_remote=is_remote))
        return ExitCode.PASS
    allow_open_files(_MIN_OPEN_FILES)
    return_freed_memory()
    emulator = ("--contract", settings.contract.value)
    with open_endpoint(requested_target(settings), scenario=EMULATOR_SCENARIO, options=emulator) as endpoint:
        setup = prepare_run(settings, loaded, endpoint)
        setup.began = began
        print(f"checking {endpoint.target.url} against the {settings.contract} contract, seed {setup.settings.seed}")
        if settings.selection:
            print(f"selected: {len(selected)} of {len(ALL_CHECKS)} checks, -k {settings.selection!r}")
        else:
            print("\n".join(setup.forecast), flush=True)
        # Also for the report: a second signal must not cost what the first one left of the run.
        with handle_signals(setup.interruption.request):
            code = _run_checks(setup)
            if setup.conformance_run is not None and not _report(setup) and code in _DECIDED:
                code = ExitCode.INVALID
    if code is ExitCode.INTERRUPTED:
        print("chainproof conformance: interrupted", file=sys.stderr)
    return code


def _run_checks(setup: RunSetup) -> ExitCode:
    """Run the checks under pytest; the exit code follows from the verdict."""
    progress = ProgressPlugin()
    arguments = [*_ARGUMENTS, "-k", setup.settings.selection]
    status: int = pytest.ExitCode.INTERNAL_ERROR
    try:
        with _isolated():
            status = pytest.main(arguments, plugins=[plugin, _SetupPlugin(setup), progress])
    except OSError as error:  # from pytest itself, such as for a deleted working folder
        fault = machine_fault(error)
        if fault is None or setup.conformance_run is None:
            raise
        setup.conformance_run.machine_fault = setup.conformance_run.machine_fault or fault
    if setup.error is not None:
        raise setup.error
    if setup.conformance_run is not None and setup.conformance_run.machine_fault:
        fault = setup.conformance_run.machine_fault
        print(
            f"chainproof conformance: {fault}; the run ended there, and what is in the run folder is reported",
            file=sys.stderr,
        )
        return EXIT_CODE_OF[setup.conformance_run.verdict]
    if status == pytest.ExitCode.INTERRUPTED:
        return ExitCode.INTERRUPTED
    if setup.conformance_run is None or progress.errors:
        return ExitCode.SOFTWARE
    return EXIT_CODE_OF[setup.conformance_run.verdict]


def _selected_checks(selection: str) -> tuple[Check, ...]:
    """The checks that pytest's expression selects, in the order in which they run. Raises UsageError if there are none."""
    if not selection:
        return ALL_CHECKS
    collection, errors = _Collection(), StringIO()
    with _isolated(), redirect_stderr(errors):
        pytest.main([*_ARGUMENTS, "--collect-only", "-k", selection], plugins=[plugin, collection])
    if errors.getvalue():
        why = errors.getvalue().strip().rpartition(f"{selection}: ")[2]
        raise UsageError(
            f"-k: expected an expression such as 'credentials' or 'body and not generated', found {selection!r}: {why}"
        )
    if not collection.checks:
        raise UsageError(
            f"-k: no check or clause matches {selection!r}{_similar_names(selection)}; --list prints them all"
        )
    return tuple(collection.checks)


def _similar_names(selection: str) -> str:
    """The names of modules, clauses and checks, the shortest first, that have a word similar to one of an expression."""
    names = {check.module for check in ALL_CHECKS} | {check.name for check in ALL_CHECKS}
    names |= {clause.id for check in ALL_CHECKS for clause in check.clauses}
    parts = {part for name in names for part in (name, *re.split(r"[_-]", name))}
    words = set(re.findall(r"[\w-]+", selection.lower())) - {"and", "or", "not"}
    close = [part for word in words for part in get_close_matches(word, parts, n=1, cutoff=_SIMILARITY)]
    found = sorted((name for name in names if any(part in name for part in close)), key=lambda name: (len(name), name))
    return f"; similar names: {', '.join(found[:_MAX_SIMILAR])}" if found else ""


class _Collection:
    """A pytest plugin that notes the checks whose tests were selected."""

    def __init__(self) -> None:
        self.checks: list[Check] = []

    def pytest_collection_finish(self, session: pytest.Session) -> None:
        """Note the checks."""
        ids = {item.name.partition("[")[2].removesuffix("]") for item in session.items}
        self.checks = [check for check in ALL_CHECKS if check.id in ids]


class _SetupPlugin:
    """A pytest plugin that passes the setup of the run to the session."""

    def __init__(self, setup: RunSetup) -> None:
        self._setup = setup

    def pytest_configure(self, config: pytest.Config) -> None:
        """Register the setup under the name that the hooks look for."""
        config.pluginmanager.register(self._setup, RUN_SETUP)


@contextmanager
def _isolated() -> Iterator[None]:
    """Remove pytest's environment variables, and keep the `.hypothesis` folder out of the working folder."""
    variables = {name: os.environ.pop(name) for name in _VARIABLES if name in os.environ}
    with tempfile.TemporaryDirectory(prefix="chainproof-") as home:
        set_hypothesis_home_dir(home)
        try:
            yield
        finally:
            os.environ.update(variables)


def _report(setup: RunSetup) -> bool:
    """
    Print the findings and the verdict with `chainproof reports`; without it, print the findings as plain text.

    Returns whether the run folder is as the run wrote it: somebody may have changed or deleted it meanwhile.
    """
    conformance_run = setup.conformance_run
    assert conformance_run is not None
    sys.stdout.flush()
    path = conformance_run.folder.path
    try:
        exited = run_process(chainproof_command("reports", str(path)), shows_results=True)
        failures = {ExitCode.USAGE, ExitCode.SOFTWARE} - {EXIT_CODE_OF[conformance_run.verdict]}
        is_shown = exited.code not in failures and not exited.killed
        is_invalid = is_shown and exited.code == ExitCode.INVALID
    except OSError:  # no process can be started
        is_shown = is_invalid = False
    if not is_shown:
        evidence = conformance_run.evidence
        for found in conformance_run.requester.finding_recorder.findings:
            print(f"\n{'accepted: ' * evidence.is_accepted(found)}{finding_text(found)}")
        if conformance_run.blocked_reason:
            print(f"inconclusive: {conformance_run.blocked_reason}")
    print_run_folder(path)
    return not is_invalid and (path / MANIFEST).exists()
