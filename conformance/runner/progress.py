"""The progress that `chainproof conformance` prints: one line per check, with its result and its number of requests."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from collections.abc import Set as AbstractSet
from typing import TextIO

import pytest

from chainproof.contract import clauses

from ..checks import Check
from .run import CONFORMANCE_RUN, ConformanceRun
from .schedule import CheckProgress

_MARKS = {"passed": "ok", "failed": "FAILED", "skipped": "skipped", "accepted": "--accept", "error": "ERROR"}
_NOT_RUN = "not run"
"""The mark of a check that passed because a limit let it send nothing."""
_OK_BUT = "ok, but"
"""The mark of a check that fails only for what other checks are for: FAILED beside its title would say that it found that."""

_FORM_OF_ANSWERS = frozenset(
    clause.id
    for clause in (
        clauses.OUTPUT_MEDIA_TYPE,
        clauses.ERROR_MEDIA_TYPE,
        clauses.ERROR_JSON,
        clauses.ERROR_OBJECT,
        clauses.ERROR_MESSAGE,
        clauses.ERROR_CODE,
        clauses.ERROR_DETAIL,
        clauses.ERROR_CODE_STATUS,
        clauses.ERROR_CODE_CAUSE,
        clauses.REQUEST_ID_PRESENT,
        clauses.REQUEST_ID_ON_ERRORS,
        clauses.REQUEST_ID_UNIQUE,
        clauses.SINGLETON_FIELDS,
        clauses.UNIQUE_MEMBER_NAMES,
        clauses.RETRY_AFTER,
        clauses.FIELD_SYNTAX,
        clauses.FIELD_CONVENTIONS,
        clauses.DATE_ACCURATE,
        clauses.ALLOW_HEADER,
    )
)
"""Ids of clauses about the form of an answer, whatever the request was: any check may find them violated."""
_MAX_NAMED = 3
"""Clauses of earlier lines that a line names; more are counted."""


class ProgressPlugin:
    """A pytest plugin that replaces the terminal reporter. On a terminal it also shows the check that is running."""

    def __init__(self, out: TextIO = sys.stdout, err: TextIO = sys.stderr) -> None:
        self._out = out
        self._err = err
        self._live = out.isatty()
        self._titles: dict[str, str] = {}
        self._done = 0
        self._skipped: tuple[str, int] = ("", 0)
        """The reason why the last check was skipped, and how many lines with it were left out since."""
        self._printed: set[tuple[str, str, str]] = set()
        """The findings whose clauses were printed."""
        self.errors: list[str] = []
        """Errors in chainproof: in collection, in pytest or in a check."""

    def pytest_collection_finish(self, session: pytest.Session) -> None:
        """Note the titles of the checks."""
        self._titles = {item.nodeid: _title(item) for item in session.items}

    def pytest_collectreport(self, report: pytest.CollectReport) -> None:
        """Report a file that could not be collected."""
        if report.failed:
            self._error(report.longreprtext)

    def pytest_internalerror(self, excrepr: object) -> None:
        """Report an error in pytest or in a hook."""
        self._error(str(excrepr))

    def pytest_runtest_logstart(self, nodeid: str) -> None:
        """Show the check that starts, before pytest captures the output."""
        if self._live:
            title = self._titles.get(nodeid, nodeid)
            self._out.write(f"\r\x1b[K  … {self._done + 1}/{len(self._titles)} {title}")
            self._out.flush()

    @pytest.hookimpl(wrapper=True, tryfirst=True)
    def pytest_runtest_makereport(self, item: pytest.Item):  # type: ignore[no-untyped-def]  # noqa: ANN201  # pytest's wrapper protocol
        """Print the line of a check once its result is known."""
        report: pytest.TestReport = yield
        if report.passed and report.when != "call":
            return report
        self._done += 1
        self._write_line(item, _outcome(report), report)
        return report

    def _write_line(self, item: pytest.Item, outcome: str, report: pytest.TestReport) -> None:
        """Print the line of one check."""
        conformance_run = item.stash.get(CONFORMANCE_RUN, None)
        if conformance_run is not None and conformance_run.blocked_reason and outcome == "skipped":
            return  # printed once at the end, instead of for every check
        progress = conformance_run.progress.get(_check_id(item)) if conformance_run is not None else None
        words = _skip_reason(report) if outcome == "skipped" or progress is None else _effort(progress)
        if outcome == "skipped" and words == self._skipped[0]:
            self._skipped = words, self._skipped[1] + 1
            return
        self._end_skipped(words if outcome == "skipped" else "")
        start = "\r\x1b[K" if self._live else ""
        mark = _NOT_RUN if outcome == "passed" and progress is not None and not progress.sent else _MARKS[outcome]
        is_other, violated = self._violated(item, conformance_run)
        mark = _OK_BUT if outcome == "failed" and is_other else mark
        self._out.write(f"{start}  {mark:<9}{_title(item)}{words and f'  ({words})'}{violated}\n")
        self._out.flush()
        if outcome == "error":
            self._error(report.longreprtext)

    def _violated(self, item: pytest.Item, conformance_run: ConformanceRun | None) -> tuple[bool, str]:
        """Whether a check fails only for what others are for, and the clauses that it found violated, in words."""
        check = _check(item)
        if conformance_run is None or check is None:
            return False, ""
        found = conformance_run.requester.finding_recorder.findings_of(_title(item))
        failing = {each.key: each.clause for each in found if conformance_run.evidence.has_failing_level(each)}
        words = violated_clauses({clause.id for clause in check.clauses}, failing, self._printed)
        self._printed |= failing.keys()
        return words

    def pytest_sessionfinish(self) -> None:
        """Count the skipped checks at the end."""
        self._end_skipped("")

    def _end_skipped(self, reason: str) -> None:
        """Print how many checks in a row were skipped for the same reason as the one before them, and begin with another reason."""
        number = self._skipped[1]
        self._skipped = reason, 0
        if number:
            start = "\r\x1b[K" if self._live else ""
            more = f"{number} more check{'s' * (number != 1)}"
            self._out.write(f"{start}  {_MARKS['skipped']:<9}{more}, for the same reason\n")

    def _error(self, text: str) -> None:
        """Note an error in chainproof, and print it."""
        self.errors.append(text)
        self._err.write(f"{text}\n")


def violated_clauses(
    own: AbstractSet[str], failing: Mapping[tuple[str, str, str], str], printed: AbstractSet[tuple[str, str, str]]
) -> tuple[bool, str]:
    """
    Whether a check fails although its *own* clauses hold, and it found nothing new but a wrong form of answers; and the
    clauses of its *failing* findings in words. Findings that were *printed* before come after "again".

    >>> violated_clauses({"key-verified"}, {("error-media-type", "", ""): "error-media-type"}, {("error-media-type", "", "")})
    (True, ': again error-media-type')
    >>> violated_clauses({"key-verified"}, {("key-verified", "", ""): "key-verified"}, set())
    (False, ': key-verified')
    """
    if not failing:
        return False, ""
    new = dict.fromkeys(clause for key, clause in failing.items() if key not in printed)
    known = dict.fromkeys(clause for key, clause in failing.items() if key in printed and clause not in new)
    is_other = not set(failing.values()) & own and new.keys() <= _FORM_OF_ANSWERS
    named = ", ".join(known) if len(known) <= _MAX_NAMED else f"{len(known)} clauses"
    parts = [", ".join(new)] if new else []
    parts += [f"again {named}"] if known else []
    return is_other, f": {'; '.join(parts)}"


def _effort(progress: CheckProgress) -> str:
    """The number of requests of a check, the time that they took from a second on, and how many were left out."""
    seconds = f", {progress.seconds:.0f} s" if progress.seconds >= 1 else ""
    left_out = f"; {progress.left_out} left out" if progress.left_out else ""
    return f"{progress.sent} request{'s' * (progress.sent != 1)}{seconds}{left_out}"


def _check_id(item: pytest.Item) -> str:
    """The id of the check that a test runs."""
    check = _check(item)
    return check.id if check is not None else ""


def _title(item: pytest.Item) -> str:
    """The title of the check that a test runs."""
    check = _check(item)
    return check.title if check is not None else item.name


def _check(item: pytest.Item) -> Check | None:
    """The check that a test runs."""
    check = item.callspec.params.get("check_result") if hasattr(item, "callspec") else None
    return check if isinstance(check, Check) else None


def _outcome(report: pytest.TestReport) -> str:
    """The outcome of a test: pytest's own, but `error` outside the test function and `accepted` for an expected failure."""
    if report.failed and report.when != "call":
        return "error"
    return "accepted" if report.skipped and hasattr(report, "wasxfail") else report.outcome


def _skip_reason(report: pytest.TestReport) -> str:
    """Why a check was skipped."""
    return str(report.longrepr[2]).removeprefix("Skipped: ") if isinstance(report.longrepr, tuple) else ""
