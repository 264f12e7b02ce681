"""
No clause is upheld by nothing.
"""

from __future__ import annotations

from chainproof.contract.clauses import CLAUSES

from .test_faults import FAULTS
from .test_faults_authentication import FAULTS as AUTHENTICATION_FAULTS
from .test_faults_input import FAULTS as INPUT_FAULTS
from .test_faults_wire import FAULTS as WIRE_FAULTS


def test_every_clause_has_its_fault() -> None:
    """
    A clause that no fault breaks would be upheld by nothing.
    """
    broken = set().union(*(fault.breaks for fault in (*FAULTS, *AUTHENTICATION_FAULTS, *INPUT_FAULTS)))

    assert {clause.id for clause in CLAUSES} - broken - {fault.breaks for fault in WIRE_FAULTS} == set()
