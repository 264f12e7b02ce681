"""
The fixtures and hooks that run checks under pytest.

A check sends its requests in a fixture; the test then fails if a finding fails the run. So pytest reports an exception
in a check, which is an error in chainproof, as an error, and a violation by the target as a failure.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterable, Sequence
from contextlib import ExitStack
from functools import partial
from typing import NoReturn

import pytest

from chainproof.errors import YOUR_CODE, UsageError, UserCodeError
from chainproof.judgement.verdict import EXIT_CODE_OF, ExitCode, Verdict, worst_verdict
from chainproof.results.manifest import Ending

from ..checks import Check
from ..checks.catalogue import ALL_CHECKS
from ..plugin import settings_of
from ..transport.asgi import App
from ..transport.check_skipped import CheckSkipped
from .finding_text import finding_text
from .run import (
    CONFORMANCE_RUN,
    CheckResult,
    ConformanceRun,
    blocked_reason,
    finish_run,
    noting_machine_fault,
    run_check,
)
from .setup import RUN_SETUP, ConformanceRuns

_RUNS = pytest.StashKey[ConformanceRuns]()


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Let `-k` match a check by the ids of its clauses, too. Called before pytest selects."""
    for item in items:
        if (check := _check_of(item)) is not None:
            item.extra_keyword_matches.update(clause.id for clause in check.clauses)


@pytest.hookimpl(wrapper=True)
def pytest_runtestloop(session: pytest.Session) -> Generator[None, object, object]:
    """Open the runs of a session, and close their targets and run folders after the last test, whatever happens."""
    if session.config.option.collectonly or not any(map(_check_of, session.items)):
        return (yield)
    setup = session.config.pluginmanager.get_plugin(RUN_SETUP)
    with ExitStack() as stack:
        runs = ConformanceRuns(
            settings=settings_of(session.config), stack=stack, setup=setup, not_selected=_not_selected(session.items)
        )
        session.config.stash[_RUNS] = runs
        ending = Ending.INTERNAL_ERROR
        try:
            outcome = yield
        except (KeyboardInterrupt, pytest.exit.Exception, session.Failed):
            ending = Ending.INTERNAL_ERROR if session.shouldfail == YOUR_CODE else Ending.INTERRUPTED
            raise
        else:
            ending = Ending.COMPLETED
            return outcome
        finally:
            for conformance_run in runs.all:
                finish_run(conformance_run, ending)


def _not_selected(items: Iterable[pytest.Item]) -> frozenset[str]:
    """The ids of the clauses that no check of a session exercises."""
    known = {clause.id for check in ALL_CHECKS for clause in check.clauses}
    return frozenset(known - {clause.id for check in filter(None, map(_check_of, items)) for clause in check.clauses})


def _check_of(item: pytest.Item) -> Check | None:
    """The check that a test runs; None for other tests."""
    if not isinstance(item, pytest.Function) or "check_result" not in item.fixturenames:
        return None
    check = item.callspec.params["check_result"]
    return check if isinstance(check, Check) else None


@pytest.fixture(scope="session")
def chainproof_target() -> str | App | None:
    """The target if no option names one: a URL or an ASGI app. Override it in your own project."""
    return None


@pytest.fixture(scope="session")
def chainproof_key() -> str | None:
    """The API key of that target; None takes it from the environment. Override it if your app has its own key."""
    return None


@pytest.fixture
def check_result(
    request: pytest.FixtureRequest, chainproof_target: str | App | None, chainproof_key: str | None
) -> CheckResult:
    """The result of a check, after it has sent its requests. Skips the test if the check cannot or may not run."""
    check: Check = request.param
    conformance_run = _conformance_run(request, chainproof_target, chainproof_key)
    properties = request.node.user_properties  # the properties of the test case in JUnit XML
    properties += [
        ("clauses", _ids(clause.id for clause in check.clauses)),
        ("contract", conformance_run.settings.contract.value),
        ("target", conformance_run.requester.target.url),
        ("seed", str(conformance_run.settings.seed)),
    ]
    result = None
    try:
        with noting_machine_fault(conformance_run):
            result = _run_check(check, conformance_run, _checks_with(request))
    except CheckSkipped as reason:
        pytest.skip(str(reason))  # the one place where a skipped check becomes a skipped test
    except UserCodeError as error:
        conformance_run.internal_error = conformance_run.redact(str(error))
        if _runs_only_checks(request.session):
            request.session.shouldfail = YOUR_CODE  # every further check would fail in the same way
        raise
    if result is None:
        _end_session(request.session, conformance_run.machine_fault, ExitCode.INVALID)
    if result.findings:
        properties.append(("violated", _ids(found.clause for found in result.findings)))
    return result


def _run_check(check: Check, conformance_run: ConformanceRun, all_checks: Sequence[Check]) -> CheckResult:
    """Run a check and count what it found. Raises CheckSkipped."""
    budget, interruption = conformance_run.requester.time_budget, conformance_run.interruption
    if conformance_run.blocked_reason is None:
        conformance_run.blocked_reason = interruption.call(partial(blocked_reason, conformance_run), budget)
    if conformance_run.blocked_reason:
        raise CheckSkipped("nothing can be exercised")
    progress = interruption.call(partial(run_check, conformance_run, check, all_checks), budget)
    if progress.error is not None:
        raise progress.error
    findings, evidence = conformance_run.requester.finding_recorder.findings_of(check.title), conformance_run.evidence
    if progress.skipped is not None and not any(evidence.has_failing_level(found) for found in findings):
        raise progress.skipped
    return CheckResult(findings=findings, evidence=evidence)


def _checks_with(request: pytest.FixtureRequest) -> Sequence[Check]:
    """
    The checks that may run at the same time as the one that is requested: those of its file, which have the same target.

    A worker of pytest-xdist does not know which checks the others run, so there it is the requested one alone.
    """
    if hasattr(request.config, "workerinput"):
        return [request.param]
    items = (item for item in request.session.items if item.path == request.path)
    return list(filter(None, map(_check_of, items)))


def _end_session(session: pytest.Session, why: str, code: ExitCode) -> NoReturn:
    """End a session that only runs checks with an exit code; in other sessions, fail the checks and nothing else."""
    if _runs_only_checks(session):
        pytest.exit(f"chainproof: {why}", returncode=code)
    pytest.fail(f"chainproof: {why}", pytrace=False)


def _runs_only_checks(session: pytest.Session) -> bool:
    """Whether a session has no tests of other projects."""
    return all(map(_check_of, session.items))


def _ids(clauses: Iterable[str]) -> str:
    """Clause ids, each once, as one property."""
    return ", ".join(dict.fromkeys(clauses))


def _conformance_run(request: pytest.FixtureRequest, target: str | App | None, key: str | None) -> ConformanceRun:
    """The run that a test belongs to."""
    runs = request.config.stash[_RUNS]
    try:
        conformance_run = runs.get(target, key)
    except UsageError as error:
        if runs.setup:
            runs.setup.error = error
        _end_session(request.session, str(error), ExitCode.USAGE)
    if runs.setup:
        runs.setup.conformance_run = conformance_run
    request.node.stash[CONFORMANCE_RUN] = conformance_run
    return conformance_run


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item, call: pytest.CallInfo[None]
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Note errors in chainproof and in the user's code, and redact secrets in every report."""
    report = yield
    conformance_run = item.stash.get(CONFORMANCE_RUN, None)
    if conformance_run is None:
        return report
    redact: Callable[[str], str] = conformance_run.redact
    if report.failed:
        error = call.excinfo.value if call.excinfo is not None else None
        text = redact(str(error) if isinstance(error, UserCodeError) else report.longreprtext)
        report.longrepr = text
        if report.when != "call" and not (conformance_run.internal_error or conformance_run.machine_fault):
            lines = text if call.excinfo is None else redact(call.excinfo.exconly(tryshort=True))
            conformance_run.internal_error = f"{item.name}: {lines.strip().splitlines()[-1]}"
    if isinstance(report.longrepr, tuple):  # of a skipped check
        path, line, reason = report.longrepr
        report.longrepr = (path, line, redact(reason))
    report.sections = [(title, redact(text)) for title, text in report.sections]
    return report


@pytest.hookimpl(trylast=True)
def pytest_sessionfinish(session: pytest.Session) -> None:
    """Set the exit code of a session that only runs checks, where pytest has none: inconclusive, or an error in chainproof."""
    runs = session.config.stash.get(_RUNS, None)
    if runs is None or not _runs_only_checks(session):
        return
    verdict = worst_verdict(conformance_run.verdict for conformance_run in runs.all)
    by_pytest = session.exitstatus in (pytest.ExitCode.OK, pytest.ExitCode.TESTS_FAILED)
    if by_pytest and verdict in (Verdict.ERROR, Verdict.INCONCLUSIVE):
        session.exitstatus = EXIT_CODE_OF[verdict]


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    """Print the findings that failed no test, and where the run folders are."""
    runs = config.stash.get(_RUNS, None)
    for conformance_run in runs.all if runs is not None else ():
        for line in _summary_lines(conformance_run):
            terminalreporter.write_line(line)


def _summary_lines(conformance_run: ConformanceRun) -> Iterable[str]:
    """The summary of one run."""
    finding_recorder, evidence = conformance_run.requester.finding_recorder, conformance_run.evidence
    for found in finding_recorder.findings:
        if not evidence.fails_run(found):
            yield f"{'accepted' if evidence.is_accepted(found) else 'warning'}: {finding_text(found)}"
    if conformance_run.blocked_reason:
        yield f"inconclusive: {conformance_run.blocked_reason}"
    yield (
        f"findings: {len(finding_recorder.findings)}, requests: {finding_recorder.request_count}, seed: {conformance_run.settings.seed}, "
        f"run folder: {conformance_run.folder.path}"
    )
