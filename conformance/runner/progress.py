"""
What `chainproof conformance` shows while it runs: which check is under way, how it came out, how many requests it took.
"""

from __future__ import annotations

import sys
from typing import TextIO

import pytest

from chainproof.clock import monotonic

from ..checks import Check
from .run import CONFORMANCE_RUN

_MARKS = {"passed": "ok", "failed": "FAILED", "skipped": "skipped", "accepted": "accepted", "error": "ERROR"}


class ProgressPlugin:
    """
    A pytest plugin in place of its terminal reporter: a line for each check, the one under way where it can be replaced.
    """

    def __init__(self, out: TextIO = sys.stdout, err: TextIO = sys.stderr) -> None:
        self._out = out
        self._err = err
        self._live = out.isatty()
        self._titles: dict[str, str] = {}
        self._done = 0
        self._requests = 0
        self._since = monotonic()
        self.outcome_counts: dict[str, int] = {}
        self.errors: list[str] = []
        """Our own errors: collection's, pytest's, a check's."""

    def pytest_collection_finish(self, session: pytest.Session) -> None:
        """Which checks there are."""
        self._titles = {item.nodeid: _title(item) for item in session.items}

    def pytest_collectreport(self, report: pytest.CollectReport) -> None:
        """A file of ours that could not be collected."""
        if report.failed:
            self._error(report.longreprtext)

    def pytest_internalerror(self, excrepr: object) -> None:
        """What broke is pytest itself, or a hook of ours."""
        self._error(str(excrepr))

    def pytest_runtest_logstart(self, nodeid: str) -> None:
        """The check under way, said before pytest captures what is written."""
        if self._live:
            title = self._titles.get(nodeid, nodeid)
            self._out.write(f"\r\x1b[K  … {self._done + 1}/{len(self._titles)} {title}")
            self._out.flush()

    @pytest.hookimpl(wrapper=True, tryfirst=True)
    def pytest_runtest_makereport(self, item: pytest.Item):  # type: ignore[no-untyped-def]  # noqa: ANN201  # pytest's wrapper protocol
        """How it came out."""
        report: pytest.TestReport = yield
        if report.when == "teardown" and report.passed:
            return report
        if report.when == "setup" and report.passed:
            return report
        outcome = _outcome(report)
        self._done += 1
        self.outcome_counts[outcome] = self.outcome_counts.get(outcome, 0) + 1
        self._line(item, outcome, report)
        return report

    def _line(self, item: pytest.Item, outcome: str, report: pytest.TestReport) -> None:
        """
        One check's line.
        """
        conformance_run = item.stash.get(CONFORMANCE_RUN, None)
        if conformance_run is not None and conformance_run.blocked_reason and outcome == "skipped":
            return  # said once, at the end, instead of for every check
        requests = conformance_run.requester.ledger.request_count if conformance_run else 0
        words = _reason(report) if outcome == "skipped" else f"{requests - self._requests} requests{self._lasted()}"
        self._requests, self._since = requests, monotonic()
        start = "\r\x1b[K" if self._live else ""
        self._out.write(f"{start}  {_MARKS[outcome]:<9}{_title(item)}  ({words})\n")
        self._out.flush()
        if outcome == "error":
            self._error(report.longreprtext)

    def _lasted(self) -> str:
        """
        How long the check took, where that was long enough to be noticed.
        """
        seconds = monotonic() - self._since
        return f", {seconds:.0f} s" if seconds >= 1 else ""

    def _error(self, text: str) -> None:
        """
        Our own error, said where it happens.
        """
        self.errors.append(text)
        self._err.write(f"{text}\n")


def _title(item: pytest.Item) -> str:
    """
    The check of a test, in words.
    """
    assert isinstance(item, pytest.Function)
    check = item.callspec.params.get("check_result") if hasattr(item, "callspec") else None
    return check.title if isinstance(check, Check) else item.name


def _outcome(report: pytest.TestReport) -> str:
    """
    What pytest calls it, save that what broke outside the test is our error, and what failed as expected was accepted.
    """
    if report.failed and report.when != "call":
        return "error"
    return "accepted" if report.skipped and hasattr(report, "wasxfail") else report.outcome


def _reason(report: pytest.TestReport) -> str:
    """
    Why a check was skipped.
    """
    return str(report.longrepr[2]).removeprefix("Skipped: ") if isinstance(report.longrepr, tuple) else ""
