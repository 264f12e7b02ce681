"""
What conformance tests need of pytest: one examination for the session, its run folder, and what counts as failing.

A check is asked in a fixture, and judged in the test: whatever raises while asking is our own error, which pytest calls
an error; a departure from a binding clause is the target's, which pytest calls a failure.
"""

from __future__ import annotations

import secrets
import time
from collections.abc import Callable, Generator
from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from pathlib import Path

import pytest

from chainproof.command import Mistake
from chainproof.contract.answer import Answer
from chainproof.contract.credentials import NoKey
from chainproof.contract.targets import BadTarget
from chainproof.embedded import Endpoint, endpoint
from chainproof.judgement.verdict import Exit
from chainproof.results.finding import Finding
from chainproof.results.folder import DEFAULT_ROOT, FolderMistake, RunWriter, check_writable, default_path, now
from chainproof.results.manifest import End, Ending, Kind, Manifest, as_settings, versions

from .checks import Check
from .client import Client
from .examination import Examination
from .ledger import Ledger, binding_levels, level_of
from .plugin import settings_of
from .settings import Settings
from .wording import finding_text

MISTAKES = (Mistake, BadTarget, NoKey, FolderMistake)
"""Asked wrongly, or cannot start."""


@dataclass(slots=True, kw_only=True)
class Conduct:
    """
    One session's examination, and how it is going.
    """

    examination: Examination
    folder: RunWriter
    settings: Settings
    began: float = field(default_factory=time.monotonic)
    in_vain: str = ""
    """Why next to nothing can be exercised; empty where it can."""
    broken: str = ""
    """Our own error, if there was one, in one line."""

    @property
    def binding(self) -> tuple[Finding, ...]:
        """The findings that fail the run."""
        levels = binding_levels(self.settings.fail_on)
        return tuple(found for found in self.examination.ledger.findings if level_of(found) in levels)

    def exit_code(self) -> Exit:
        """What the session comes to, interruption aside."""
        if self.broken:
            return Exit.SOFTWARE
        if self.binding:
            return Exit.FAIL
        return Exit.INCONCLUSIVE if self.in_vain else Exit.PASS


@dataclass(frozen=True, slots=True, kw_only=True)
class Observed:
    """
    What one check has seen.
    """

    check: Check
    findings: tuple[Finding, ...]
    conduct: Conduct

    def stands(self) -> None:
        """
        Fail the test where a binding clause was departed from.
        """
        __tracebackhide__ = True
        levels = binding_levels(self.conduct.settings.fail_on)
        binding = [found for found in self.findings if level_of(found) in levels]
        if binding:
            pytest.fail("\n\n".join(finding_text(found) for found in binding), pytrace=False)


CONDUCT = pytest.StashKey[Conduct]()

GIVEN = "chainproof-given"
"""Under which name `chainproof conformance` registers what it has opened itself."""


@dataclass(slots=True)
class Given:
    """
    What `chainproof conformance` hands to its pytest session, and gets back.
    """

    settings: Settings
    endpoint: Endpoint
    path: Path
    conduct: Conduct | None = None


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
            conduct = _opened(given or _asked(session.config, stack), stack)
            session.config.stash[CONDUCT] = conduct
            if given:
                given.conduct = conduct
            ending = Ending.BROKEN
            try:
                conduct.in_vain = _in_vain(conduct)
                outcome = yield
            except (KeyboardInterrupt, pytest.exit.Exception):
                ending = Ending.INTERRUPTED
                raise
            else:
                ending = Ending.BROKEN if conduct.broken else Ending.COMPLETED
                return outcome
            finally:
                _finish(conduct, ending)
    except MISTAKES as mistake:
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
    found = stack.enter_context(endpoint(settings.target, settings.api_key_env))
    return prepared(settings, found)


def prepared(settings: Settings, found: Endpoint) -> Given:
    """
    Everything settled that can be before the first request: the seed, what an emulator can do, the run folder's place.

    Raises FolderMistake, or Mistake where the target takes no connection.
    """
    seed = secrets.randbelow(2**32) if settings.seed is None else settings.seed
    emulated = found.target.emulated
    settled = replace(settings, seed=seed, steerable=settings.steerable or emulated, echo=settings.echo or emulated)
    path = Path(settings.out) if settings.out else default_path(settings.depth, found.target, now(), DEFAULT_ROOT)
    check_writable(path)
    client = Client(found.target, settings.deadline)
    client.check()
    client.close()
    return Given(settings=settled, endpoint=found, path=path)


def _opened(given: Given, stack: ExitStack) -> Conduct:
    """
    The run folder and the client.
    """
    settings, target = given.settings, given.endpoint.target
    assert settings.seed is not None
    folder = stack.enter_context(RunWriter(given.path, _manifest(given)))
    client = Client(target, settings.deadline)
    stack.callback(client.close)
    ledger = Ledger(folder, target, settings.seed)
    examination = Examination(client, ledger, key=given.endpoint.key, settings=settings)
    return Conduct(examination=examination, folder=folder, settings=settings)


def _manifest(given: Given) -> Manifest:
    """
    What is known before the first request.
    """
    settings, target = given.settings, given.endpoint.target
    assert settings.seed is not None
    return Manifest(
        kind=Kind.CONFORMANCE,
        name=settings.depth.value,
        started=now(),
        target=target.url,
        emulated=target.emulated,
        contract=settings.contract.value,
        seed=settings.seed,
        settings=as_settings(
            depth=settings.depth.value,
            steerable=settings.steerable,
            echo=settings.echo,
            fail_on=settings.fail_on.value,
            deadline_s=settings.deadline,
        ),
        versions=versions("h11", "hypothesis", "pytest", "schemathesis"),
    )


def _in_vain(conduct: Conduct) -> str:
    """
    Why nothing could be learnt from going on: the key is refused, or the target is busy whenever it is asked.
    """
    examination = conduct.examination
    examination.check = "the first request"
    answers = [examination.ask_plainly(body) for body in (b"{}", b'{"names":["Ada"]}')]
    statuses = {answer.status for answer in answers if answer is not None}
    if statuses and statuses <= {401, 403}:
        return (
            f"the key in {conduct.settings.api_key_env} is refused by {examination.target.origin}: it answered "
            f"{_words(answers[-1])} to a request with that key; nothing else can be exercised"
        )
    if statuses and statuses <= {429, 502, 503, 504}:
        return (
            f"{examination.target.origin} was never ready: it answered {_words(answers[-1])} again and again; "
            "nothing else can be exercised"
        )
    return ""


def _words(answer: Answer | None) -> str:
    """
    An answer in a few words.
    """
    assert answer is not None
    text = answer.body.decode("utf-8", "replace")
    return f"{answer.status} {text[:120]!r}"


def _finish(conduct: Conduct, ending: Ending) -> None:
    """
    The final counts, and how the run ended.
    """
    conduct.examination.ledger.write_counts(final=True)
    seconds = time.monotonic() - conduct.began
    conduct.folder.finish(End(ending=ending, seconds=seconds, note=conduct.broken or conduct.in_vain))


@pytest.fixture
def observed(request: pytest.FixtureRequest) -> Observed:
    """
    A check, asked: what the target did not keep of it.
    """
    check: Check = request.param
    conduct = request.config.stash[CONDUCT]
    if conduct.in_vain:
        pytest.skip(conduct.in_vain)
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
