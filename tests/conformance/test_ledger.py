"""
What a ledger makes of the violations that are entered in it.
"""

from __future__ import annotations

from dataclasses import replace

import pytest

from chainproof.conformance.checks import CHECKS
from chainproof.conformance.judging.ledger import Evidence, Ledger
from chainproof.conformance.transport.request import CheckRequest
from chainproof.contract import clauses
from chainproof.contract.target import parse_target
from chainproof.contract.violations import Violation
from chainproof.results.finding import Finding

from .conftest import RunSuite
from .endpoints import correct_endpoint, with_right_key


@pytest.mark.parametrize("kinds", [1, 12, 13, 40])
def test_a_finding_says_whether_it_names_all_that_showed_it(kinds: int) -> None:
    """
    The first twelve kinds of request are named, each once, and where there are more it says so, stored and read again.
    """
    ledger = Ledger(None, parse_target("http://127.0.0.1:1"), 1)
    violation = Violation(clause=clauses.STATUS, expected="a documented one", actual="418")
    for number in (*range(kinds), *range(kinds)):
        ledger.record([clauses.STATUS], [violation], Evidence(request=CheckRequest(label=f"kind {number}")))
    found = ledger.findings[0]

    assert found.cases == tuple(f"kind {number}" for number in range(min(kinds, 12)))
    assert found.more_cases is (kinds > 12)
    assert Finding.from_json(found.to_json()) == found


def test_what_an_open_gate_hides_is_not_called_passed(run_suite: RunSuite) -> None:
    """
    Where everybody is let in, nobody can tell what a wrong key would have opened; and ids that never came are not unique.
    """
    # HTTP itself refuses a control character, whoever sends it.
    checks = [each for each in CHECKS if each.module == "credentials" and "control" not in each.name]
    ledger = run_suite(
        lambda asked: replace(correct_endpoint(with_right_key(asked)), request_id=None), checks=checks
    ).ledger

    assert ledger.exercise_count(clauses.AUTHENTICATION_REQUIRED)
    assert 0 == ledger.exercise_count(clauses.KEY_VERIFIED) == ledger.exercise_count(clauses.REQUEST_ID_UNIQUE)
    assert (
        "authentication-required is violated, so this cannot be judged" == ledger.coverage.not_exercised["key-verified"]
    )
