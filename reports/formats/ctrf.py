"""
The report in the Common Test Report Format (CTRF, https://ctrf.io): the test cases of the JUnit report as JSON.

A case that JUnit has as an error (chainproof failed, or the measurement is invalid) has the status `other`.
"""

from __future__ import annotations

from collections import Counter
from typing import cast

from chainproof import __version__
from chainproof.json_text import JSON
from chainproof.judgement.summary import Report
from chainproof.judgement.verdict import EXIT_CODE_OF

from ..formatting.json_output import indented_json
from ..formatting.runs import start_timestamp
from .junit import Case, Suite, one_line, suites

_STATUSES = {None: "passed", "failure": "failed", "error": "other", "skipped": "skipped"}


def render(report: Report) -> str:
    """The report as CTRF JSON."""
    found = suites(report)
    tests = [_test(suite, case) for suite in found for case in suite.cases]
    counted = Counter(_STATUSES[case.ending] for suite in found for case in suite.cases)
    spans = [_span(suite) for suite in found]
    data: dict[str, JSON] = {
        "reportFormat": "CTRF",
        "specVersion": "0.0.0",
        "generatedBy": "chainproof",
        "results": {
            "tool": {"name": "chainproof", "version": __version__},
            "summary": {
                "tests": len(tests),
                **{status: counted[status] for status in ("passed", "failed", "skipped", "pending", "other")},
                "suites": len(found),
                "start": min((start for start, _ in spans if start), default=0),
                "stop": max((stop for _, stop in spans), default=0),
            },
            "tests": cast(JSON, tests),
            "extra": {
                "verdict": report.verdict.value,
                "exit_code": int(EXIT_CODE_OF[report.verdict]),
                "reason": one_line(report.reason),
            },
        },
    }
    return indented_json(data)


def _test(suite: Suite, case: Case) -> dict[str, JSON]:
    """A test case. The cases of a run have no duration of their own."""
    test: dict[str, JSON] = {
        "name": one_line(case.name),
        "status": _STATUSES[case.ending],
        "duration": 0,
        "suite": [one_line(suite.name), one_line(case.kind)],
        "type": case.kind.partition(".")[0],
    }
    if case.message:
        test["message"] = one_line(case.message)
    if case.text and case.ending in ("failure", "error"):
        test["trace"] = case.text
    elif case.text:
        test["extra"] = {"details": case.text}
    return test


def _span(suite: Suite) -> tuple[int, int]:
    """Start and end of a run, in milliseconds since the epoch; 0 if they are not known."""
    start = start_timestamp(suite.started)
    if not start:
        return 0, 0
    return round(start * 1e3), round((start + (suite.seconds or 0.0)) * 1e3)
