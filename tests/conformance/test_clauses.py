"""
Every clause has a fault.
"""

from __future__ import annotations

from chainproof.contract.clauses import CLAUSES

from .test_faults import FAULTS
from .test_faults_authentication import FAULTS as AUTHENTICATION_FAULTS
from .test_faults_input import FAULTS as INPUT_FAULTS
from .test_faults_wire import FAULTS as WIRE_FAULTS


def test_every_clause_has_a_fault() -> None:
    """
    Without a fault nothing shows that a check detects violations of the clause.
    """
    violated = set().union(*(fault.breaks for fault in (*FAULTS, *AUTHENTICATION_FAULTS, *INPUT_FAULTS)))

    assert {clause.id for clause in CLAUSES} - violated - {fault.breaks for fault in WIRE_FAULTS} == set()
