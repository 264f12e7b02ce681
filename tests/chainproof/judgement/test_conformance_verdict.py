"""The verdict on a conformance run, as one table and one property."""

from __future__ import annotations

from dataclasses import replace
from datetime import date

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chainproof.contract import clauses, http_clauses
from chainproof.contract.accepted_violations import Acceptance, parse_acceptance
from chainproof.contract.clauses import CLAUSE_BY_ID, Clause
from chainproof.contract.levels import Contract, Level
from chainproof.contract.violations import Violation
from chainproof.judgement.conformance_verdict import ENOUGH_ANSWERS, ConformanceEvidence, conformance_verdict
from chainproof.judgement.severity import failing_levels
from chainproof.judgement.verdict import Verdict
from chainproof.results.finding import Finding, finding
from chainproof.results.manifest import Ending

DAY = date(2026, 12, 31)


def violated(clause: Clause) -> Finding:
    """A finding on a clause."""
    return finding(Violation(clause=clause, expected="a string", actual="a list"))


PASSED = ConformanceEvidence(findings=(), exercised={clauses.STATUS.id: ENOUGH_ANSWERS}, day=DAY)
FAILED = replace(PASSED, findings=(violated(clauses.ERROR_MESSAGE),))
ACCEPTED = replace(FAILED, acceptances=(Acceptance(clause="error-message"),))
WARNED = replace(PASSED, findings=(violated(clauses.REQUEST_ID_ON_ERRORS),))
BLOCKED = "the target rejects the key"

VERDICTS: dict[str, tuple[ConformanceEvidence, Verdict, str]] = {
    "no violation": (PASSED, Verdict.PASS, "1 clause tested and passed."),
    "a violation": (FAILED, Verdict.FAIL, "1 clause violated: error-message."),
    "an accepted violation": (
        ACCEPTED,
        Verdict.PASS,
        "1 clause tested and passed. Violated, but accepted: error-message.",
    ),
    "accepted violations of one clause": (
        replace(ACCEPTED, findings=2 * ACCEPTED.findings),
        Verdict.PASS,
        "1 clause tested and passed. Violated, but accepted: error-message (2 findings).",
    ),
    "a warning": (WARNED, Verdict.PASS, "1 clause tested and passed. 1 clause with warnings."),
    "an accepted warning": (
        replace(WARNED, acceptances=(Acceptance(clause="request-id-on-errors"),)),
        Verdict.PASS,
        "1 clause tested and passed.",
    ),
    "a check of the user": (
        replace(PASSED, exercised={each.id: ENOUGH_ANSWERS for each in (clauses.STATUS, clauses.USER_CHECK)}),
        Verdict.PASS,
        "2 clauses tested and passed.",
    ),
    "a warning with --fail-on should": (replace(WARNED, fail_on=Level.SHOULD), Verdict.FAIL, "request-id-on-errors"),
    "an accepted violation and another one": (
        replace(ACCEPTED, findings=(*ACCEPTED.findings, violated(clauses.STATUS))),
        Verdict.FAIL,
        "1 clause violated: status. Violated, but accepted: error-message.",
    ),
    "blocked": (replace(PASSED, blocked_reason=BLOCKED), Verdict.INCONCLUSIVE, f"{BLOCKED}."),
    "blocked, a violation": (replace(FAILED, blocked_reason=BLOCKED), Verdict.FAIL, "error-message"),
    "nothing exercised": (replace(PASSED, exercised={}), Verdict.INCONCLUSIVE, "No clause was tested."),
    "too few answers for the only clause": (
        replace(PASSED, exercised={clauses.STATUS.id: ENOUGH_ANSWERS - 1}),
        Verdict.INCONCLUSIVE,
        "No violation, but too few answers. 1 clause inconclusive: no violation, but fewer than the 29 answers",
    ),
    "too few answers for the only clause of the selected checks": (
        replace(PASSED, exercised={clauses.STATUS.id: 3}, selection="routing"),
        Verdict.PASS,
        "No violation by the checks that -k 'routing' selects. 1 clause inconclusive: ",
    ),
    "one answer for a special message": (
        replace(PASSED, exercised={http_clauses.HOST_MISSING.id: 1}),
        Verdict.PASS,
        "1 clause tested and passed.",
    ),
    "too few answers for one clause of two": (
        replace(PASSED, exercised={clauses.STATUS.id: ENOUGH_ANSWERS, clauses.OUTPUT_JSON.id: 1}),
        Verdict.PASS,
        "1 clause tested and passed. 1 clause inconclusive: no violation, but fewer than",
    ),
    "too few answers for the only clause, a violation": (
        replace(FAILED, exercised={clauses.STATUS.id: 1}),
        Verdict.FAIL,
        "1 clause violated: error-message.",
    ),
    "only a waived clause exercised": (
        replace(PASSED, exercised={clauses.OUTPUT_OBJECT.id: ENOUGH_ANSWERS}, contract=Contract.DOCUMENTED),
        Verdict.INCONCLUSIVE,
        "No clause was tested.",
    ),
    "interrupted": (replace(PASSED, ending=Ending.INTERRUPTED), Verdict.INCONCLUSIVE, "ended early"),
    "interrupted, a violation": (replace(FAILED, ending=Ending.INTERRUPTED), Verdict.FAIL, "error-message"),
    "a violation in a run that was cut": (
        replace(FAILED, cut_by="the target does not accept connections any more"),
        Verdict.FAIL,
        "error-message. The run is incomplete: the target does not accept connections any more; ",
    ),
    "a violation in a run that was interrupted": (
        replace(FAILED, ending=Ending.INTERRUPTED),
        Verdict.FAIL,
        "error-message. The run ended early; ",
    ),
    "a violation, and no 200": (
        replace(FAILED, was_accepted=False),
        Verdict.FAIL,
        f"error-message. No request was answered 200; {len(CLAUSE_BY_ID) - 2} clauses not tested.",
    ),
    "no 200": (replace(PASSED, was_accepted=False), Verdict.INCONCLUSIVE, "the run needs inputs"),
    "no 200 with inputs": (
        replace(PASSED, was_accepted=False, has_inputs=True),
        Verdict.INCONCLUSIVE,
        "the target rejects the given inputs",
    ),
    "killed": (replace(PASSED, ending=None), Verdict.INVALID, "did not end"),
    "damaged": (replace(PASSED, damage={"findings.jsonl": "the file is missing"}), Verdict.INVALID, "findings.jsonl"),
    "damaged, a violation": (replace(FAILED, damage={"findings.jsonl": "1 line of 3"}), Verdict.INVALID, "1 line of 3"),
    "killed, a violation": (
        replace(FAILED, ending=None),
        Verdict.INVALID,
        "The run did not end: it was killed, or is still running. Violated until then: error-message.",
    ),
    "killed, an accepted violation": (
        replace(ACCEPTED, ending=None),
        Verdict.INVALID,
        "No violation until then. Violated, but accepted: error-message.",
    ),
    "a problem of the machine, a violation": (
        replace(FAILED, ending=Ending.MACHINE_FAULT, machine_fault="the disk is full"),
        Verdict.INVALID,
        "A problem of the machine ended the run: the disk is full. Violated until then: error-message.",
    ),
    "an internal error": (replace(PASSED, internal_error="disk full"), Verdict.ERROR, "disk full"),
    "an internal error, a violation": (replace(FAILED, internal_error="disk full"), Verdict.ERROR, "disk full"),
    "an error in the user's code": (
        replace(PASSED, internal_error="a check: your code: mine.py:check raised KeyError (mine.py, line 3)"),
        Verdict.ERROR,
        "Your code failed; this says nothing about the target: mine.py:check raised KeyError (mine.py, line 3).",
    ),
    "an internal error without a reason": (
        replace(PASSED, ending=Ending.INTERNAL_ERROR),
        Verdict.ERROR,
        "no reason recorded",
    ),
}


@pytest.mark.parametrize("case", VERDICTS)
def test_the_verdict_on_a_conformance_run(case: str) -> None:
    """An internal error, a kill and a fault of the machine outweigh a violation; it outweighs an interruption and a rejected key."""
    evidence, expected, words = VERDICTS[case]
    verdict, reason = conformance_verdict(evidence)

    assert expected is verdict
    assert words in reason


@given(st.sets(st.sampled_from(sorted(CLAUSE_BY_ID))), st.sets(st.sampled_from(sorted(CLAUSE_BY_ID))), st.data())
def test_a_complete_run_fails_exactly_if_a_finding_fails_it(
    broken: set[str], accepted: set[str], data: st.DataObject
) -> None:
    """The verdict agrees with what the tests and the reports say about each finding."""
    evidence = replace(
        PASSED,
        findings=tuple(violated(CLAUSE_BY_ID[name]) for name in sorted(broken)),
        acceptances=tuple(Acceptance(clause=name) for name in sorted(accepted)),
        fail_on=data.draw(st.sampled_from(Level)),
    )
    failing = {found.clause for found in evidence.findings if evidence.fails_run(found)}
    verdict, reason = conformance_verdict(evidence)

    assert bool(failing) is (verdict is Verdict.FAIL)
    assert all(name in reason for name in failing)


def test_enough_answers_show_a_violation_in_1_of_10() -> None:
    """With 95 % probability, and one answer less does not."""
    assert 0.9**ENOUGH_ANSWERS <= 0.05 < 0.9 ** (ENOUGH_ANSWERS - 1)


@pytest.mark.parametrize(
    ("fail_on", "levels"),
    [("must", {"must"}), ("assumed", {"must", "assumed"}), ("should", {"must", "assumed", "should"})],
)
def test_fail_on_includes_higher_levels(fail_on: str, levels: set[str]) -> None:
    """`--fail-on` names the lowest level that fails a run."""
    assert levels == failing_levels(Level(fail_on))


@pytest.mark.parametrize(
    ("accept", "fail_on", "fails"),
    [
        ((), "assumed", True),
        ((), "must", True),
        (("error-message",), "assumed", False),
        (("error-message:2026-12-31",), "assumed", False),
        (("error-message:2026-12-30",), "assumed", True),
        (("error-code", "error-detail"), "assumed", True),
    ],
)
def test_an_acceptance_applies_until_its_last_day(accept: tuple[str, ...], fail_on: str, fails: bool) -> None:
    """It applies to its clause only, and the day is that on which the run began."""
    evidence = replace(PASSED, acceptances=tuple(map(parse_acceptance, accept)), fail_on=Level(fail_on))

    assert fails == evidence.fails_run(violated(clauses.ERROR_MESSAGE))
