"""
One session's examination, carried through and judged as a whole.
"""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from datetime import date

import pytest

from chainproof.contract.accepted_violations import Acceptance, is_accepted
from chainproof.contract.answer import Answer
from chainproof.json_text import parse_json
from chainproof.judgement.verdict import ExitCode
from chainproof.results.finding import Finding
from chainproof.results.folder import RunWriter
from chainproof.results.manifest import Ending, RunEnd

from ..checks import Check
from ..judging.ledger import failing_levels, level_of
from ..options import Settings
from ..probing.requester import Requester
from .finding_text import finding_text


@dataclass(slots=True, kw_only=True)
class ConformanceRun:
    """
    One session's examination, and how it is going.
    """

    requester: Requester
    folder: RunWriter
    settings: Settings
    acceptances: tuple[Acceptance, ...] = ()
    day: date
    """On which the run began."""
    began: float = field(default_factory=time.monotonic)
    blocked_reason: str | None = None
    """Why next to nothing can be exercised; empty where it can, None before the first request."""
    internal_error: str = ""
    """Our own error, if there was one, in one line."""

    @property
    def failing_findings(self) -> tuple[Finding, ...]:
        """The findings that fail the run."""
        return tuple(found for found in self.requester.ledger.findings if self.fails_run(found))

    def fails_run(self, found: Finding) -> bool:
        """Whether a finding fails the run: grave enough, and not accepted."""
        return self.has_failing_level(found) and not self.is_accepted(found)

    def has_failing_level(self, found: Finding) -> bool:
        """Whether its level fails the run."""
        return level_of(found) in failing_levels(self.settings.fail_on)

    def is_accepted(self, found: Finding) -> bool:
        """Whether a finding was known of beforehand."""
        return is_accepted(found.clause, self.acceptances, self.day)

    def exit_code(self) -> ExitCode:
        """What the session comes to, interruption aside."""
        if self.internal_error:
            return ExitCode.SOFTWARE
        if self.failing_findings:
            return ExitCode.FAIL
        return ExitCode.INCONCLUSIVE if self.blocked_reason else ExitCode.PASS


@dataclass(frozen=True, slots=True, kw_only=True)
class CheckResult:
    """
    What one check has seen.
    """

    check: Check
    findings: tuple[Finding, ...]
    conformance_run: ConformanceRun

    def assert_passed(self) -> None:
        """
        Fail the test where a binding clause was departed from; where that was accepted, it fails as expected.
        """
        __tracebackhide__ = True
        binding = [found for found in self.findings if self.conformance_run.fails_run(found)]
        if binding:
            pytest.fail("\n\n".join(finding_text(found) for found in binding), pytrace=False)
        known = {found.clause: found for found in self.findings if self.conformance_run.has_failing_level(found)}
        if known:
            pytest.xfail("accepted: " + "; ".join(f"{clause}, found {found.actual}" for clause, found in known.items()))


CONFORMANCE_RUN = pytest.StashKey[ConformanceRun]()
"""Of a test: the examination that it belongs to."""


def blocked_reason(conformance_run: ConformanceRun) -> str:
    """
    Why nothing could be learnt from going on: the key is refused, or the target is busy whenever it is asked.
    """
    requester = conformance_run.requester
    requester.check_name = "the first request"
    answers = [
        requester.send_valid_body(body) for body in dict.fromkeys((requester.minimal_body, b"{}", b'{"names":["Ada"]}'))
    ]
    statuses = {answer.status for answer in answers if answer is not None}
    if statuses and statuses <= {401, 403}:
        return (
            f"the key in {conformance_run.settings.api_key_env} is refused by {requester.target.origin}: it answered "
            f"{_words(answers[-1])} to a request with that key; nothing else can be exercised"
        )
    if statuses and statuses <= {429, 502, 503, 504}:
        return (
            f"{requester.target.origin} was never ready: it answered {_words(answers[-1])} again and again; "
            "nothing else can be exercised"
        )
    return ""


def _words(answer: Answer | None) -> str:
    """
    An answer in a few words: its status, and what it says went wrong.
    """
    assert answer is not None
    value = parse_json(answer.body)
    said = value.get("error") if isinstance(value, dict) else answer.body.decode("utf-8", "replace")
    return f"{answer.status} ({str(said)[:80]!r})"


def finish_run(conformance_run: ConformanceRun, ending: Ending) -> None:
    """
    The final counts, and how the run ended.
    """
    conformance_run.requester.ledger.write_counts(final=True)
    seconds = time.monotonic() - conformance_run.began
    conformance_run.folder.finish(
        RunEnd(
            ending=ending, seconds=seconds, note=conformance_run.internal_error or conformance_run.blocked_reason or ""
        )
    )
