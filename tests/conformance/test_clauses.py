"""
Every clause has a fault.
"""

from __future__ import annotations

from chainproof.contract.clauses import CLAUSES
from chainproof.emulator.faults import FAULTS as EMULATOR_FAULTS

from .test_faults import FAULTS
from .test_faults_authentication import FAULTS as AUTHENTICATION_FAULTS
from .test_faults_input import FAULTS as INPUT_FAULTS
from .test_faults_wire import FAULTS as WIRE_FAULTS


def test_every_clause_has_a_fault() -> None:
    """
    Without a fault of the emulator or of these tests, nothing shows that a check detects violations of the clause.
    """
    violated = set().union(*(fault.breaks for fault in (*FAULTS, *AUTHENTICATION_FAULTS, *INPUT_FAULTS)))
    violated |= {fault.breaks for fault in WIRE_FAULTS} | {fault.violates.id for fault in EMULATOR_FAULTS.values()}

    assert {clause.id for clause in CLAUSES} - violated == set()
