"""
The three contracts, held against an emulator of each: a run names exactly what its contract has not taken back.
"""

from __future__ import annotations

from pathlib import Path

import pytest

from chainproof.contract import clauses
from chainproof.contract.credentials import EMULATOR_KEY
from chainproof.contract.deviations import DEVIATIONS
from chainproof.contract.levels import Contract
from chainproof.endpoint import start_emulator

from .conftest import HANDWRITTEN_CHECKS, RunSuite

TALKATIVE = f"{Path(__file__).with_name('talkative.py')}:TextChain"

NUMBERED = tuple(check for check in HANDWRITTEN_CHECKS if check.module == "identity")
"""The checks whose bodies have numbers."""

ONE_DEPARTURE = {clauses.KEY_VERIFIED.id}
"""A refusal with a status that the contract does not know departs once, from the statuses: the key has been verified."""

BEHIND = {clauses.ERROR_JSON.id: clauses.ERROR_MEDIA_TYPE.id, clauses.ERROR_MESSAGE.id: clauses.STATUS.id}
"""What says by its media type or its status that it is something else is not held to the error's shape as well."""


def broken(shown: Contract, held: Contract) -> set[str]:
    """
    The clauses that whoever shows one contract breaks of another.
    """
    rows = [row for row in DEVIATIONS if row.applies_to(shown) and not row.applies_to(held)]
    names = {clause.id for row in rows for clause in row.violates} - ONE_DEPARTURE
    return names - {hidden for hidden, speaks in BEHIND.items() if speaks in names}


@pytest.mark.parametrize("shown", [Contract.DOCUMENTED, Contract.OBSERVED])
def test_a_contract_names_what_a_wider_one_shows(shown: Contract, run_suite: RunSuite) -> None:
    """
    Held strictly, the service's documented deviations are named and nothing else; held as it is documented, none is.
    """
    found: dict[Contract, set[str]] = {held: set() for held in Contract}
    options = ("--contract", shown.value)
    with start_emulator(options=options) as echo, start_emulator(options=(*options, "--chain", TALKATIVE)) as chain:
        for held in Contract:
            known = {"contract": held, "key": EMULATOR_KEY, "examples": 1}
            found[held] |= run_suite(echo.target.origin, checks=HANDWRITTEN_CHECKS, **known).clauses
            found[held] |= run_suite(chain.target.origin, checks=NUMBERED, echo=False, steerable=False, **known).clauses

    assert {held: broken(shown, held) for held in Contract} == found
