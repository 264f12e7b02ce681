"""
No clause is upheld by nothing.
"""

from __future__ import annotations

from chainproof.contract.clauses import CLAUSES

from .test_faults import FAULTS
from .test_faults_gate import FAULTS as AT_THE_GATE
from .test_faults_input import FAULTS as IN_THE_INPUT
from .test_faults_wire import FAULTS as ON_THE_WIRE


def test_every_clause_has_its_fault() -> None:
    """
    A clause that no fault breaks would be upheld by nothing.
    """
    broken = set().union(*(fault.breaks for fault in (*FAULTS, *AT_THE_GATE, *IN_THE_INPUT)))

    assert {clause.id for clause in CLAUSES} - broken - {fault.breaks for fault in ON_THE_WIRE} == set()
