"""The recorder of findings makes findings of violations."""

from __future__ import annotations

from dataclasses import replace

import pytest

from chainproof.conformance.checks import CHECKS
from chainproof.conformance.judging.finding_recorder import Evidence, FindingRecorder
from chainproof.conformance.transport.request import CheckRequest
from chainproof.contract import clauses
from chainproof.contract.target import parse_target
from chainproof.contract.violations import Violation
from chainproof.results.finding import Finding

from ..conftest import RunSuite
from ..endpoints import correct_endpoint, with_right_key


@pytest.mark.parametrize("kinds", [1, 12, 13, 40])
def test_a_finding_names_twelve_requests_and_says_if_there_are_more(kinds: int) -> None:
    """The first twelve request labels are named, each once, and the finding is the same after it is stored and read again."""
    finding_recorder = FindingRecorder(None, parse_target("http://127.0.0.1:1"), 1)
    violation = Violation(clause=clauses.STATUS, expected="a documented one", actual="418")
    for number in (*range(kinds), *range(kinds)):
        finding_recorder.record([clauses.STATUS], [violation], Evidence(request=CheckRequest(label=f"kind {number}")))
    finding = finding_recorder.findings[0]

    assert finding.cases == tuple(f"kind {number}" for number in range(min(kinds, 12)))
    assert finding.more_cases is (kinds > 12)
    assert Finding.from_json(finding.to_json()) == finding


def test_missing_authentication_does_not_count_as_verified_keys(run_suite: RunSuite) -> None:
    """If no credentials are needed, the clause on wrong keys is not exercised; without request ids, neither is their uniqueness."""
    # An HTTP server rejects a control character before it looks at the key.
    checks = [each for each in CHECKS if each.module == "credentials" and "control" not in each.name]
    finding_recorder = run_suite(
        lambda request: replace(correct_endpoint(with_right_key(request)), request_id=None), checks=checks
    ).finding_recorder

    assert finding_recorder.exercise_count(clauses.AUTHENTICATION_REQUIRED)
    assert (
        0
        == finding_recorder.exercise_count(clauses.KEY_VERIFIED)
        == finding_recorder.exercise_count(clauses.REQUEST_ID_UNIQUE)
    )
    assert (
        "authentication-required is violated, so this cannot be judged"
        == finding_recorder.coverage.not_exercised["key-verified"]
    )


def test_one_cause_is_one_finding_with_the_number_of_checks_that_saw_it() -> None:
    """However many checks it affects, a uniform wrong status is one finding; each check counts once."""
    finding_recorder = FindingRecorder(None, parse_target("http://127.0.0.1:1"), 1)
    violation = Violation(clause=clauses.STATUS, expected="a documented one", actual="422")
    for check in ("first", "second", "first", "third", "third"):
        finding_recorder.record([clauses.STATUS], [violation], Evidence(request=CheckRequest(label="x"), check=check))
    (finding,) = finding_recorder.findings

    assert (finding.checks, finding.count, finding.check) == (3, 5, "first")
    assert Finding.from_json(finding.to_json()) == finding
