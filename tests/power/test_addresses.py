"""The operation's addresses: each is served correctly, and faults are found at each."""

from __future__ import annotations

import os

import pytest

from chainproof.conformance.checks.catalogue import ALL_CHECKS
from chainproof.conformance.options import Depth
from chainproof.contract.addresses import ADDRESSES, REGIONAL, OperationAddress, ServerKind
from chainproof.contract.clauses import CLAUSES
from chainproof.contract.levels import Level
from chainproof.contract.route import parse_address
from chainproof.emulator.faults import FAULTS
from chainproof.emulator.scenario import Scenario
from chainproof.results.finding import Finding

from .serving import run_checks, running_emulator

NAMES = {placeholder: names[-1] for placeholder, names in Scenario(name="").names}
"""For each placeholder, a name or an id that the emulator has."""
MODULES = ("routing", "credentials", "failure")
FAULT_NAMES = ("any-key", "path-prefix", "any-path", "get-executes", "errors-html")
ALL = os.environ.get("CHAINPROOF_SAMPLE") == "all"
"""Whether every fault is tested at every address, and not at every second one."""
WARNINGS = {clause.id for clause in CLAUSES if clause.level is Level.SHOULD}


def findings_at(address: OperationAddress, fault: str | None = None) -> tuple[Finding, ...]:
    """The findings of some checks at an address of the emulator, with a fault if one is named."""
    hook = FAULTS[fault].hook if fault else None
    checks = [check for check in ALL_CHECKS if check.module in MODULES]
    wanted = FAULTS[fault].violates.id if fault else None
    with running_emulator(hook) as served:
        connect_to = parse_address(served.removeprefix("http://"))
        regional = ServerKind.REGIONAL_CHAIN.url("abc123", "prod-us").replace("https:", "http:")
        url = regional if address is REGIONAL else served
        path = address.path(NAMES[address.identifier.placeholder] if address.identifier else "")
        return run_checks(url + path, checks, depth=Depth.QUICK, wanted=wanted, connect_to=connect_to, deadline=5.0)


@pytest.mark.parametrize("address", ADDRESSES, ids=lambda address: address.operation_id)
def test_emulator_is_correct_at_every_address(address: OperationAddress) -> None:
    """No check reports a violation."""
    assert [] == [f"{each.clause}: {each.actual}" for each in findings_at(address)]


@pytest.mark.parametrize(
    ("fault", "address"),
    [
        pytest.param(fault, address, id=f"{fault}-{address.operation_id}")
        for row, fault in enumerate(FAULT_NAMES)
        for column, address in enumerate(ADDRESSES[1:])
        if ALL or (row + column) % 2 == 0
    ],
)
def test_faults_are_found_at_every_address(address: OperationAddress, fault: str) -> None:
    """A fault that is found at the document's address is found at the others too."""
    assert FAULTS[fault].violates.id in {each.clause for each in findings_at(address, fault)}


@pytest.mark.parametrize(
    "address", [each for each in ADDRESSES if not each.regional], ids=lambda each: each.operation_id
)
def test_unknown_environments_that_are_served_are_a_warning(address: OperationAddress) -> None:
    """A gateway that takes every name for production is reported, but does not fail the run."""
    found = {each.clause for each in findings_at(address, "any-environment")}

    assert "unknown-environment-rejected" in found
    assert found <= WARNINGS
