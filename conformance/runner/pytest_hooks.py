"""
What conformance tests need of pytest: one examination for the session, and what counts as failing.

A check is asked in a fixture, and judged in the test: whatever raises while asking is our own error, which pytest calls
an error; a violation from a binding clause is the target's, which pytest calls a failure.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterable
from contextlib import ExitStack

import pytest

from chainproof.errors import UsageError
from chainproof.judgement.verdict import ExitCode
from chainproof.results.manifest import Ending

from ..checks import Check
from ..plugin import settings_of
from ..transport.asgi import App
from ..transport.not_asked import NotAsked
from .finding_text import finding_text
from .run import CONFORMANCE_RUN, CheckResult, ConformanceRun, blocked_reason, finish_run
from .setup import RUN_SETUP, ConformanceRuns

_CONDUCTS = pytest.StashKey[ConformanceRuns]()


@pytest.hookimpl(wrapper=True)
def pytest_runtestloop(session: pytest.Session) -> Generator[None, object, object]:
    """
    Close targets and run folders behind the tests, whatever happens.
    """
    if session.config.option.collectonly or not any(_is_ours(item) for item in session.items):
        return (yield)
    setup = session.config.pluginmanager.get_plugin(RUN_SETUP)
    with ExitStack() as stack:
        conformance_runs = ConformanceRuns(settings=settings_of(session.config), stack=stack, setup=setup)
        session.config.stash[_CONDUCTS] = conformance_runs
        ending = Ending.INTERNAL_ERROR
        try:
            outcome = yield
        except (KeyboardInterrupt, pytest.exit.Exception, session.Failed):
            ending = Ending.INTERRUPTED
            raise
        else:
            ending = Ending.COMPLETED
            return outcome
        finally:
            for conformance_run in conformance_runs.all:
                broken = ending is Ending.COMPLETED and conformance_run.internal_error
                finish_run(conformance_run, Ending.INTERNAL_ERROR if broken else ending)


def _is_ours(item: pytest.Item) -> bool:
    """
    Whether a test puts a check to the target.
    """
    return isinstance(item, pytest.Function) and "check_result" in item.fixturenames


@pytest.fixture(scope="session")
def chainproof_target() -> str | App | None:
    """
    What to check where no option says so: the URL of a target, or an ASGI app. Override it in a project of your own.
    """
    return None


@pytest.fixture(scope="session")
def chainproof_key() -> str | None:
    """
    The API key of that target; None stands for the environment's. Override it where a test's app has a key of its own.
    """
    return None


@pytest.fixture
def check_result(
    request: pytest.FixtureRequest, chainproof_target: str | App | None, chainproof_key: str | None
) -> CheckResult:
    """
    A check, asked: what the target did not keep of it.
    """
    check: Check = request.param
    conformance_run = _opened(request, chainproof_target, chainproof_key)
    told = request.node.user_properties  # the properties of its test case in JUnit XML
    told += [
        ("clauses", _ids(clause.id for clause in check.clauses)),
        ("contract", conformance_run.settings.contract.value),
    ]
    told += [("target", conformance_run.requester.target.url), ("seed", str(conformance_run.settings.seed))]
    if conformance_run.blocked_reason is None:
        conformance_run.blocked_reason = blocked_reason(conformance_run)
    if conformance_run.blocked_reason:
        pytest.skip("nothing can be exercised")
    ledger = conformance_run.requester.ledger
    before, sent = ledger.finding_counts(), ledger.request_count
    conformance_run.requester.check_name = check.title
    try:
        check.run(conformance_run.requester)
    except NotAsked as reason:
        ledger.record_skipped(check.clauses, str(reason))
        pytest.skip(str(reason))
    finally:
        ledger.count_module_requests(check.module, ledger.request_count - sent)
        ledger.write_counts()
    findings = ledger.findings_since(before)
    told += [("violated", _ids(found.clause for found in findings))] if findings else []
    return CheckResult(check=check, findings=findings, conformance_run=conformance_run)


def _ids(clauses: Iterable[str]) -> str:
    """
    Clauses in one property.
    """
    return ", ".join(dict.fromkeys(clauses))


def _opened(request: pytest.FixtureRequest, target: str | App | None, key: str | None) -> ConformanceRun:
    """
    The examination that a test belongs to. A mistake ends a session of nothing but checks, and fails the checks of another.
    """
    conformance_runs = request.config.stash[_CONDUCTS]
    try:
        conformance_run = conformance_runs.get(target, key)
    except UsageError as mistake:
        if conformance_runs.setup:
            conformance_runs.setup.error = mistake
        if all(_is_ours(item) for item in request.session.items):
            pytest.exit(f"chainproof: {mistake}", returncode=ExitCode.USAGE)
        pytest.fail(f"chainproof: {mistake}", pytrace=False)
    if conformance_runs.setup:
        conformance_runs.setup.conformance_run = conformance_run
    request.node.stash[CONFORMANCE_RUN] = conformance_run
    return conformance_run


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """
    Note our own errors, and keep the key out of every report.
    """
    report = yield
    conformance_run = item.stash.get(CONFORMANCE_RUN, None)
    if conformance_run is None:
        return report
    redact: Callable[[str], str] = conformance_run.requester.key.redact
    if report.failed:
        text = redact(report.longreprtext)
        report.longrepr = text
        if report.when != "call":
            conformance_run.internal_error = (
                conformance_run.internal_error or f"{item.name}: {text.strip().splitlines()[-1]}"
            )
    report.sections = [(title, redact(text)) for title, text in report.sections]
    return report


@pytest.hookimpl(trylast=True)
def pytest_sessionfinish(session: pytest.Session) -> None:
    """
    Let the exit code of a plain pytest run of nothing but checks say what pytest's own cannot: inconclusive, or our error.
    """
    conformance_runs = session.config.stash.get(_CONDUCTS, None)
    if conformance_runs is None or not all(_is_ours(item) for item in session.items):
        return
    codes = {conformance_run.exit_code() for conformance_run in conformance_runs.all}
    if session.exitstatus in (pytest.ExitCode.OK, pytest.ExitCode.TESTS_FAILED):
        if ExitCode.SOFTWARE in codes:
            session.exitstatus = ExitCode.SOFTWARE
        elif ExitCode.INCONCLUSIVE in codes and ExitCode.FAIL not in codes:
            session.exitstatus = ExitCode.INCONCLUSIVE


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    """
    Where the findings are, and why nothing could be exercised if nothing could.
    """
    conformance_runs = config.stash.get(_CONDUCTS, None)
    for conformance_run in conformance_runs.all if conformance_runs is not None else ():
        _summarised(conformance_run, terminalreporter)


def _summarised(conformance_run: ConformanceRun, terminalreporter: pytest.TerminalReporter) -> None:
    """
    One examination's words at the end.
    """
    findings = conformance_run.requester.ledger.findings
    for found in findings:
        if not conformance_run.fails_run(found):
            terminalreporter.write_line(
                f"{'accepted' if conformance_run.is_accepted(found) else 'advice'}: {finding_text(found)}"
            )
    if conformance_run.blocked_reason:
        terminalreporter.write_line(f"inconclusive: {conformance_run.blocked_reason}")
    terminalreporter.write_line(
        f"{len(findings)} findings, {conformance_run.requester.ledger.request_count} requests, seed {conformance_run.settings.seed}, "
        f"run folder {conformance_run.folder.path}"
    )
