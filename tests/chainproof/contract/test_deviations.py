"""Tests of the documented deviations and of the waivers that follow from them."""

from __future__ import annotations

from chainproof.contract import deviations
from chainproof.contract.clauses import CLAUSES
from chainproof.contract.deviations import DEVIATIONS, WAIVED_FROM, Deviation, is_waived
from chainproof.contract.levels import Contract


def test_every_deviation_is_registered() -> None:
    """DEVIATIONS has every deviation that the module defines, in the same order, each with a source."""
    assert [row for row in vars(deviations).values() if isinstance(row, Deviation)] == list(DEVIATIONS)
    assert all(row.citation for row in DEVIATIONS)


def test_waived_clause_stays_waived_in_wider_contracts() -> None:
    """The strict contract waives nothing; a clause that a contract waives is waived by every wider one."""
    assert [] == [clause.id for clause in CLAUSES if is_waived(clause, Contract.STRICT)]
    for clause, first in WAIVED_FROM.items():
        assert [contract.includes(first) for contract in Contract] == [
            is_waived(clause, contract) for contract in Contract
        ]
