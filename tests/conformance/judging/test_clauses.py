"""Every clause has a fault."""

from __future__ import annotations

from chainproof.contract.clauses import CLAUSES
from chainproof.contract.http_clauses import HTTP_CLAUSE_BY_ID

from ...typed_chain.endpoints import FAULTS as TYPED_FAULTS
from ..faults.test_faults import FAULTS
from ..faults.test_faults_authentication import FAULTS as AUTHENTICATION_FAULTS
from ..faults.test_faults_input import FAULTS as INPUT_FAULTS
from ..faults.test_faults_kinds import FAULTS as FAULTS_OF_KINDS
from ..faults.test_faults_wire import FAULTS as WIRE_FAULTS


def test_every_clause_has_a_fault() -> None:
    """Without a fault nothing shows that a check detects violations of the clause."""
    in_tests_of_power = {*HTTP_CLAUSE_BY_ID, "unknown-environment-rejected"}
    faults = (*FAULTS, *AUTHENTICATION_FAULTS, *INPUT_FAULTS, *WIRE_FAULTS, *FAULTS_OF_KINDS)

    violated = set().union(*(fault.breaks for fault in faults), *(fault.found_as for fault in TYPED_FAULTS))

    assert {clause.id for clause in CLAUSES} - violated - in_tests_of_power == set()
