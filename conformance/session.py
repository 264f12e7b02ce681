"""
What conformance tests need of pytest: one examination for the session, and what counts as failing.

A check is asked in a fixture, and judged in the test: whatever raises while asking is our own error, which pytest calls
an error; a departure from a binding clause is the target's, which pytest calls a failure.
"""

from __future__ import annotations

from collections.abc import Callable, Generator
from contextlib import ExitStack

import pytest

from chainproof.command import Mistake
from chainproof.contract.credentials import NoKey
from chainproof.contract.targets import BadTarget
from chainproof.embedded import endpoint
from chainproof.judgement.verdict import Exit
from chainproof.results.folder import FolderMistake
from chainproof.results.manifest import Ending

from .checks import Check
from .conduct import CONDUCT, GIVEN, Given, Observed, finish, in_vain, opened, prepared
from .plugin import settings_of
from .wording import finding_text

MISTAKES = (Mistake, BadTarget, NoKey, FolderMistake)
"""Asked wrongly, or cannot start."""


@pytest.hookimpl(wrapper=True)
def pytest_runtestloop(session: pytest.Session) -> Generator[None, object, object]:
    """
    Open the target and the run folder around the tests, and close them whatever happens.
    """
    if session.config.option.collectonly or not any(_is_ours(item) for item in session.items):
        return (yield)
    given = session.config.pluginmanager.get_plugin(GIVEN)
    try:
        with ExitStack() as stack:
            conduct = opened(given or _asked(session.config, stack), stack)
            session.config.stash[CONDUCT] = conduct
            if given:
                given.conduct = conduct
            ending = Ending.BROKEN
            try:
                conduct.in_vain = in_vain(conduct)
                outcome = yield
            except (KeyboardInterrupt, pytest.exit.Exception, session.Failed):
                ending = Ending.INTERRUPTED
                raise
            else:
                ending = Ending.BROKEN if conduct.broken else Ending.COMPLETED
                return outcome
            finally:
                finish(conduct, ending)
    except MISTAKES as mistake:
        if given:
            given.mistake = mistake
        pytest.exit(f"chainproof: {mistake}", returncode=Exit.USAGE)


def _is_ours(item: pytest.Item) -> bool:
    """
    Whether a test puts a check to the target.
    """
    return isinstance(item, pytest.Function) and "observed" in item.fixturenames


def _asked(config: pytest.Config, stack: ExitStack) -> Given:
    """
    What the options of a plain pytest run ask for, opened.
    """
    settings = settings_of(config)
    emulator = ("--contract", settings.contract.value)
    found = stack.enter_context(endpoint(settings.target, settings.api_key_env, options=emulator))
    return prepared(settings, found)


@pytest.fixture
def observed(request: pytest.FixtureRequest) -> Observed:
    """
    A check, asked: what the target did not keep of it.
    """
    check: Check = request.param
    conduct = request.config.stash[CONDUCT]
    if conduct.in_vain:
        pytest.skip("nothing can be exercised")
    ledger = conduct.examination.ledger
    before = ledger.counts()
    conduct.examination.check = check.title
    try:
        check.ask(conduct.examination)
    finally:
        ledger.write_counts()
    return Observed(check=check, findings=ledger.since(before), conduct=conduct)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """
    Note our own errors, and keep the key out of every report.
    """
    report = yield
    conduct = item.config.stash.get(CONDUCT, None)
    if conduct is None or not _is_ours(item):
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
    conduct = session.config.stash.get(CONDUCT, None)
    if conduct is None or not all(_is_ours(item) for item in session.items):
        return
    own = conduct.exit_code()
    if session.exitstatus in (pytest.ExitCode.OK, pytest.ExitCode.TESTS_FAILED) and own in (
        Exit.SOFTWARE,
        Exit.INCONCLUSIVE,
    ):
        session.exitstatus = own


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    """
    Where the findings are, and why nothing could be exercised if nothing could.
    """
    conduct = config.stash.get(CONDUCT, None)
    if conduct is None:
        return
    findings = conduct.examination.ledger.findings
    advice = [found for found in findings if found not in conduct.binding]
    for found in advice:
        terminalreporter.write_line(f"advice: {finding_text(found)}")
    if conduct.in_vain:
        terminalreporter.write_line(f"inconclusive: {conduct.in_vain}")
    terminalreporter.write_line(
        f"{len(findings)} findings, {conduct.examination.ledger.requests} requests, seed {conduct.settings.seed}, "
        f"run folder {conduct.folder.path}"
    )
