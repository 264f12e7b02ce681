"""
What conformance tests need of pytest: one examination for the session, and what counts as failing.

A check is asked in a fixture, and judged in the test: whatever raises while asking is our own error, which pytest calls
an error; a departure from a binding clause is the target's, which pytest calls a failure.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterable
from contextlib import ExitStack

import pytest

from chainproof.judgement.verdict import Exit
from chainproof.results.manifest import Ending

from ..checks import Check
from ..plugin import settings_of
from ..transport.asgi import App
from .finding_text import finding_text
from .run import CONDUCT, Conduct, Observed, finish, in_vain
from .setup import GIVEN, MISTAKES, Conducts

_CONDUCTS = pytest.StashKey[Conducts]()


@pytest.hookimpl(wrapper=True)
def pytest_runtestloop(session: pytest.Session) -> Generator[None, object, object]:
    """
    Close targets and run folders behind the tests, whatever happens.
    """
    if session.config.option.collectonly or not any(_is_ours(item) for item in session.items):
        return (yield)
    given = session.config.pluginmanager.get_plugin(GIVEN)
    with ExitStack() as stack:
        conducts = Conducts(settings=settings_of(session.config), stack=stack, given=given)
        session.config.stash[_CONDUCTS] = conducts
        ending = Ending.BROKEN
        try:
            outcome = yield
        except (KeyboardInterrupt, pytest.exit.Exception, session.Failed):
            ending = Ending.INTERRUPTED
            raise
        else:
            ending = Ending.COMPLETED
            return outcome
        finally:
            for conduct in conducts.all:
                broken = ending is Ending.COMPLETED and conduct.broken
                finish(conduct, Ending.BROKEN if broken else ending)


def _is_ours(item: pytest.Item) -> bool:
    """
    Whether a test puts a check to the target.
    """
    return isinstance(item, pytest.Function) and "observed" in item.fixturenames


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
def observed(
    request: pytest.FixtureRequest, chainproof_target: str | App | None, chainproof_key: str | None
) -> Observed:
    """
    A check, asked: what the target did not keep of it.
    """
    check: Check = request.param
    conduct = _opened(request, chainproof_target, chainproof_key)
    told = request.node.user_properties  # the properties of its test case in JUnit XML
    told += [("clauses", _ids(clause.id for clause in check.clauses)), ("contract", conduct.settings.contract.value)]
    told += [("target", conduct.examination.target.url), ("seed", str(conduct.settings.seed))]
    if conduct.in_vain is None:
        conduct.in_vain = in_vain(conduct)
    if conduct.in_vain:
        pytest.skip("nothing can be exercised")
    ledger = conduct.examination.ledger
    before, sent = ledger.counts(), ledger.requests
    conduct.examination.check = check.title
    try:
        check.ask(conduct.examination)
    except pytest.skip.Exception as skipped:
        ledger.left_out(check.clauses, skipped.msg or "")
        raise
    finally:
        ledger.took(check.part, ledger.requests - sent)
        ledger.write_counts()
    findings = ledger.since(before)
    told += [("departed", _ids(found.clause for found in findings))] if findings else []
    return Observed(check=check, findings=findings, conduct=conduct)


def _ids(clauses: Iterable[str]) -> str:
    """
    Clauses in one property.
    """
    return ", ".join(dict.fromkeys(clauses))


def _opened(request: pytest.FixtureRequest, target: str | App | None, key: str | None) -> Conduct:
    """
    The examination that a test belongs to. A mistake ends a session of nothing but checks, and fails the checks of another.
    """
    conducts = request.config.stash[_CONDUCTS]
    try:
        conduct = conducts.of(target, key)
    except MISTAKES as mistake:
        if conducts.given:
            conducts.given.mistake = mistake
        if all(_is_ours(item) for item in request.session.items):
            pytest.exit(f"chainproof: {mistake}", returncode=Exit.USAGE)
        pytest.fail(f"chainproof: {mistake}", pytrace=False)
    if conducts.given:
        conducts.given.conduct = conduct
    request.node.stash[CONDUCT] = conduct
    return conduct


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """
    Note our own errors, and keep the key out of every report.
    """
    report = yield
    conduct = item.stash.get(CONDUCT, None)
    if conduct is None:
        return report
    scrub: Callable[[str], str] = conduct.examination.key.scrub
    if report.failed:
        text = scrub(report.longreprtext)
        report.longrepr = text
        if report.when != "call":
            conduct.broken = conduct.broken or f"{item.name}: {text.strip().splitlines()[-1]}"
    report.sections = [(title, scrub(text)) for title, text in report.sections]
    return report


@pytest.hookimpl(trylast=True)
def pytest_sessionfinish(session: pytest.Session) -> None:
    """
    Let the exit code of a plain pytest run of nothing but checks say what pytest's own cannot: inconclusive, or our error.
    """
    conducts = session.config.stash.get(_CONDUCTS, None)
    if conducts is None or not all(_is_ours(item) for item in session.items):
        return
    codes = {conduct.exit_code() for conduct in conducts.all}
    if session.exitstatus in (pytest.ExitCode.OK, pytest.ExitCode.TESTS_FAILED):
        if Exit.SOFTWARE in codes:
            session.exitstatus = Exit.SOFTWARE
        elif Exit.INCONCLUSIVE in codes and Exit.FAIL not in codes:
            session.exitstatus = Exit.INCONCLUSIVE


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    """
    Where the findings are, and why nothing could be exercised if nothing could.
    """
    conducts = config.stash.get(_CONDUCTS, None)
    for conduct in conducts.all if conducts is not None else ():
        _summarised(conduct, terminalreporter)


def _summarised(conduct: Conduct, terminalreporter: pytest.TerminalReporter) -> None:
    """
    One examination's words at the end.
    """
    findings = conduct.examination.ledger.findings
    for found in findings:
        if not conduct.binds(found):
            terminalreporter.write_line(f"{'accepted' if conduct.accepts(found) else 'advice'}: {finding_text(found)}")
    if conduct.in_vain:
        terminalreporter.write_line(f"inconclusive: {conduct.in_vain}")
    terminalreporter.write_line(
        f"{len(findings)} findings, {conduct.examination.ledger.requests} requests, seed {conduct.settings.seed}, "
        f"run folder {conduct.folder.path}"
    )
