"""Accepted violations: they fail no run, are always shown, and expire."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date, timedelta
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chainproof.contract.accepted_violations import Acceptance
from chainproof.contract.clauses import CLAUSE_BY_ID, CLAUSES
from chainproof.judgement.conformance_summary import ClauseState, ConformanceSummary, summarise_conformance
from chainproof.judgement.load_summary import summarise_load
from chainproof.judgement.summary import acceptance
from chainproof.judgement.verdict import Verdict
from chainproof.results.finding import ClauseCount, Finding
from chainproof.results.folder import Run
from chainproof.results.manifest import Ending, Manifest, RunEnd, RunKind

STARTED = date(2026, 11, 22)
ids = st.sampled_from(sorted(CLAUSE_BY_ID))


def a_run(
    broken: Sequence[str],
    accepting: Sequence[Acceptance],
    *,
    kind: RunKind = RunKind.CONFORMANCE,
    ending: Ending = Ending.COMPLETED,
    started: str = f"{STARTED}T23:59:59.999Z",
    exercised: int = 30,
) -> Run:
    """A run that exercised every clause and violated some."""
    findings = tuple(
        Finding(
            clause=clause,
            level=CLAUSE_BY_ID[clause].level.value,
            source="",
            quotation="",
            expected="this",
            actual="that",
            count=1,
            reproduce="",
        )
        for clause in broken
    )
    return Run(
        path=Path("a"),
        manifest=Manifest(
            kind=kind,
            name="standard",
            started=started,
            target="http://127.0.0.1/",
            settings={"fail_on": "should", "accept": [dict(each.to_json()) for each in accepting]},
        ),
        findings=findings,
        clauses=tuple(
            ClauseCount(clause=clause.id, exercised=exercised, violations=clause.id in broken) for clause in CLAUSES
        ),
        end=RunEnd(ending=ending, seconds=1.0),
    )


def codes(found: ConformanceSummary) -> dict[str, str]:
    """The texts of the caveats by code."""
    return {caveat.code: caveat.text for caveat in found.caveats}


@given(st.sets(ids, max_size=4), st.sets(ids, max_size=4))
def test_only_violations_that_are_not_accepted_fail(broken: set[str], known: set[str]) -> None:
    """Every finding is reported, accepted or not."""
    found = summarise_conformance(a_run(sorted(broken), [Acceptance(clause=clause) for clause in sorted(known)]))
    states = {row.clause.id: row.state for row in found.clauses}

    assert (Verdict.FAIL if broken - known else Verdict.PASS) is found.verdict
    assert broken == {each.clause for each in found.findings}
    assert broken - known == {clause for clause, state in states.items() if state is ClauseState.FAILED}
    assert broken & known == {row.clause.id for row in found.clauses if row.acceptance is not None}
    assert broken & known == {each.clause for each in found.findings if acceptance(found, each) is not None}
    assert all(clause in found.reason for clause in broken)
    assert ("UNUSED_ACCEPTANCE" in codes(found)) is bool(known - broken)


@given(st.integers(-400, 400))
def test_acceptances_are_judged_on_the_day_of_the_run(days: int) -> None:
    """A report written years later has the same verdict."""
    until = STARTED + timedelta(days=days)
    found = summarise_conformance(a_run(["error-code"], [Acceptance(clause="error-code", until=until)]))

    assert (Verdict.PASS if days >= 0 else Verdict.FAIL) is found.verdict
    assert ("ACCEPTANCE_EXPIRED" in codes(found)) is (days < 0)
    assert "UNUSED_ACCEPTANCE" not in codes(found)


def test_dated_acceptances_expire_if_the_day_of_the_run_is_unknown() -> None:
    """An acceptance without a date applies."""
    dated = a_run(["error-code"], [Acceptance(clause="error-code", until=date(9000, 1, 1))], started="yesterday")
    endless = a_run(["error-code"], [Acceptance(clause="error-code")], started="yesterday")

    assert [Verdict.FAIL, Verdict.PASS] == [summarise_conformance(run).verdict for run in (dated, endless)]


@pytest.mark.parametrize(
    ("changes", "expected"),
    [({}, ["UNUSED_ACCEPTANCE"]), ({"ending": Ending.INTERRUPTED}, []), ({"exercised": 0}, [])],
    ids=["complete", "interrupted", "not exercised"],
)
def test_an_acceptance_is_unused_only_if_its_clause_was_exercised(
    changes: dict[str, object], expected: list[str]
) -> None:
    """A run that did not test the clause cannot tell."""
    run = a_run([], [Acceptance(clause="error-code")], **changes)  # type: ignore[arg-type]  # of several types

    assert expected == [code for code in codes(summarise_conformance(run)) if code == "UNUSED_ACCEPTANCE"]


def test_accepted_violations_under_load_give_no_caveat() -> None:
    """CONTRACT_VIOLATIONS names the clauses that are not accepted; without any, there is no such caveat."""
    both = ["error-code", "request-id-present"]
    texts = [
        {caveat.code: caveat.text for caveat in summarise_load(run).caveats}.get("CONTRACT_VIOLATIONS", "")
        for run in (
            a_run(both, [Acceptance(clause=clause) for clause in known], kind=RunKind.LOAD)
            for known in ([], both[:1], both)
        )
    ]

    assert ["error-code" in texts[0], "request-id-present" in texts[0]] == [True, True]
    assert ["error-code" in texts[1], "request-id-present" in texts[1]] == [False, True]
    assert "" == texts[2]
