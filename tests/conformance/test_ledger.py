"""
What a ledger makes of the departures that are entered in it.
"""

from __future__ import annotations

from dataclasses import replace

import pytest

from chainproof.conformance.checks import CHECKS
from chainproof.conformance.judging.ledger import Evidence, Ledger
from chainproof.conformance.transport.request import Request
from chainproof.contract import clauses
from chainproof.contract.target import parse_target
from chainproof.contract.violations import Departure
from chainproof.results.finding import Finding

from .conftest import Examine
from .endpoints import honest, let_in


@pytest.mark.parametrize("kinds", [1, 12, 13, 40])
def test_a_finding_says_whether_it_names_all_that_showed_it(kinds: int) -> None:
    """
    The first twelve kinds of request are named, each once, and where there are more it says so, stored and read again.
    """
    ledger = Ledger(None, parse_target("http://127.0.0.1:1"), 1)
    departure = Departure(clause=clauses.STATUS, expected="a documented one", actual="418")
    for number in (*range(kinds), *range(kinds)):
        ledger.enter([clauses.STATUS], [departure], Evidence(request=Request(label=f"kind {number}")))
    found = ledger.findings[0]

    assert found.cases == tuple(f"kind {number}" for number in range(min(kinds, 12)))
    assert found.more_cases is (kinds > 12)
    assert Finding.from_json(found.to_json()) == found


def test_what_an_open_gate_hides_is_not_called_passed(examine: Examine) -> None:
    """
    Where everybody is let in, nobody can tell what a wrong key would have opened; and ids that never came are not unique.
    """
    # HTTP itself refuses a control character, whoever sends it.
    checks = [each for each in CHECKS if each.part == "credentials" and "control" not in each.name]
    ledger = examine(lambda asked: replace(honest(let_in(asked)), request_id=None), checks=checks).ledger

    assert ledger.exercised(clauses.AUTHENTICATION_REQUIRED)
    assert 0 == ledger.exercised(clauses.KEY_VERIFIED) == ledger.exercised(clauses.REQUEST_ID_UNIQUE)
    assert "authentication-required is broken: it cannot be told" == ledger.coverage.not_exercised["key-verified"]
