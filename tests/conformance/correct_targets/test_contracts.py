"""The three contracts: a run reports exactly the deviations that its contract does not allow."""

from __future__ import annotations

from pathlib import Path

import pytest

from chainproof.contract import clauses
from chainproof.contract.deviations import DEVIATIONS
from chainproof.contract.levels import Contract
from chainproof.contract.redaction import EMULATOR_KEY
from chainproof.endpoint import start_emulator

from ..conftest import LIGHT_HANDWRITTEN_CHECKS, RunSuite
from ..sampling import ALL

TEXT_CHAIN = f"{Path(__file__).parents[1] / 'text_chain.py'}:TextChain"

CHECKS = [
    check
    for check in LIGHT_HANDWRITTEN_CHECKS
    if check.module not in ("shared_state", "state", "connection", "malformed", "framing")
    and (ALL or (check.module != "auth_bypass" and not check.name.startswith("almost_valid_json")))
]
"""The checks of single answers: no deviation concerns connections, sizes or several requests."""

PAYLOADS = tuple(b'{"number":%d}' % number for number in range(8))
"""Inputs of the chain, which raises an exception for some of them."""

REPORTED_AS_STATUS = {clauses.KEY_VERIFIED.id}
"""An undocumented status of a rejection violates only the clause on statuses: the key was verified."""

HIDDEN_BY = {clauses.ERROR_JSON.id: clauses.ERROR_MEDIA_TYPE.id, clauses.ERROR_MESSAGE.id: clauses.STATUS.id}
"""An answer with another media type or status is not checked for the shape of an error as well."""


def expected_violations(emulated: Contract, tested: Contract) -> set[str]:
    """The clauses of one contract that an emulator of another one violates."""
    rows = [row for row in DEVIATIONS if row.applies_to(emulated) and not row.applies_to(tested)]
    names = {clause.id for row in rows for clause in row.violates} - REPORTED_AS_STATUS
    if clauses.MEDIA_TYPE_REQUIRED.id in names:
        names.add(clauses.MEDIA_TYPE_MISSING.id)  # a warning about the same deviation
    return names - {hidden for hidden, hiding in HIDDEN_BY.items() if hiding in names}


@pytest.mark.parametrize("emulated", [Contract.DOCUMENTED, Contract.OBSERVED])
def test_a_run_reports_exactly_what_its_contract_does_not_allow(emulated: Contract, run_suite: RunSuite) -> None:
    """Against the strict contract the documented deviations are reported and nothing else; against its own contract none."""
    found: dict[Contract, set[str]] = {tested: set() for tested in Contract}
    options = ("--contract", emulated.value)
    with start_emulator(options=options) as echo, start_emulator(options=(*options, "--chain", TEXT_CHAIN)) as chain:
        for tested in Contract:
            options_of_run = {"contract": tested, "key": EMULATOR_KEY, "examples": 1}
            found[tested] |= run_suite(echo.target.origin, checks=CHECKS, **options_of_run).clauses
            found[tested] |= run_suite(
                chain.target.origin,
                checks=[check for check in CHECKS if check.module == "identity"],
                payloads=PAYLOADS,
                **options_of_run,
            ).clauses

    assert {tested: expected_violations(emulated, tested) for tested in Contract} == found
