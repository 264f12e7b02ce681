"""
One conformance run while it goes on, and its verdict.
"""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from datetime import date

import pytest

from chainproof.contract.accepted_violations import Acceptance
from chainproof.contract.answer import Answer
from chainproof.contract.clauses import CLAUSES
from chainproof.json_text import parse_json
from chainproof.judgement.conformance_verdict import ConformanceEvidence, conformance_verdict
from chainproof.judgement.verdict import Verdict
from chainproof.results.finding import Finding
from chainproof.results.folder import RunWriter
from chainproof.results.manifest import Ending, RunEnd

from ..checks import Check
from ..options import Settings
from ..probing.input_discovery import discover_inputs
from ..probing.requester import Requester
from .finding_text import finding_text


@dataclass(slots=True, kw_only=True)
class ConformanceRun:
    """
    A conformance run: all checks of one pytest session against one target.
    """

    requester: Requester
    folder: RunWriter
    settings: Settings
    acceptances: tuple[Acceptance, ...] = ()
    day: date
    """When the run began."""
    began: float = field(default_factory=time.monotonic)
    blocked_reason: str | None = None
    """Why nothing can be exercised; empty if it can, None before the first request."""
    internal_error: str = ""
    """An error in chainproof, in one line; empty if there was none."""
    ending: Ending | None = None
    """None until the run has ended."""

    @property
    def evidence(self) -> ConformanceEvidence:
        """What the verdict depends on, so far."""
        ledger = self.requester.ledger
        return ConformanceEvidence(
            findings=ledger.findings,
            exercised=frozenset(clause.id for clause in CLAUSES if ledger.exercise_count(clause)),
            day=self.day,
            acceptances=self.acceptances,
            contract=self.settings.contract,
            fail_on=self.settings.fail_on,
            ending=self.ending,
            blocked_reason=self.blocked_reason or "",
            cut_by=ledger.cut_by,
            internal_error=self.internal_error,
            selection=self.settings.selection,
        )

    @property
    def verdict(self) -> Verdict:
        """The verdict on the run."""
        return conformance_verdict(self.evidence)[0]


@dataclass(frozen=True, slots=True, kw_only=True)
class CheckResult:
    """
    The result of one check.
    """

    check: Check
    findings: tuple[Finding, ...]
    evidence: ConformanceEvidence
    """Of the run; tells which findings fail it."""

    def assert_passed(self) -> None:
        """
        Fail the test if a finding fails the run; mark it as an expected failure if all such findings were accepted.
        """
        __tracebackhide__ = True
        failing = [found for found in self.findings if self.evidence.fails_run(found)]
        if failing:
            pytest.fail("\n\n".join(finding_text(found) for found in failing), pytrace=False)
        accepted = {found.clause: found for found in self.findings if self.evidence.has_failing_level(found)}
        if accepted:
            reasons = (f"{clause}, found {found.actual}" for clause, found in accepted.items())
            pytest.xfail(f"accepted: {'; '.join(reasons)}")


CONFORMANCE_RUN = pytest.StashKey[ConformanceRun]()
"""Key in a test's stash: the run that the test belongs to."""


def blocked_reason(conformance_run: ConformanceRun) -> str:
    """
    Why no check can be run: the target rejects the key, or is not ready. Empty if checks can be run.

    Sends the first requests, which find out what the chain accepts.
    """
    requester = conformance_run.requester
    requester.check_name = "the first request"
    answers = discover_inputs(requester)
    statuses = {answer.status for answer in answers}
    if statuses and statuses <= {401, 403}:
        return (
            f"{requester.target.origin} rejects the key in {conformance_run.settings.api_key_env}: it answered "
            f"{_answer_text(answers[-1])} to a request with that key, so nothing could be tested"
        )
    if statuses and statuses <= {429, 502, 503, 504}:
        return (
            f"{requester.target.origin} is not ready: it answered every request with {_answer_text(answers[-1])}, "
            "so nothing could be tested"
        )
    return ""


def _answer_text(answer: Answer) -> str:
    """
    An answer in a few words: its status and its error message.
    """
    value = parse_json(answer.body)
    message = value.get("error") if isinstance(value, dict) else answer.body.decode("utf-8", "replace")
    return f"{answer.status} ({str(message)[:80]!r})"


def finish_run(conformance_run: ConformanceRun, ending: Ending) -> None:
    """
    Write the final counts and how the run ended. A complete run with an internal error counts as ended by it.
    """
    if ending is Ending.COMPLETED and conformance_run.internal_error:
        ending = Ending.INTERNAL_ERROR
    conformance_run.ending = ending
    conformance_run.requester.ledger.write_counts(final=True)
    conformance_run.folder.finish(
        RunEnd(
            ending=ending,
            seconds=time.monotonic() - conformance_run.began,
            note=conformance_run.internal_error or conformance_run.blocked_reason or "",
        )
    )
