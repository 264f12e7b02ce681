"""
The faults of the emulator are found, and correct variants have no findings.

One fault of each clause is tested with the checks that can find it, beside those of test_checks.py. A sample of the
faults and variants is tested with all checks together, but for those with large bodies and long waits. Set `CHAINPROOF_SAMPLE=all` to test all of them, which takes more than an
hour.
"""

from __future__ import annotations

import os
import random
from collections.abc import Iterable

import pytest

from chainproof.conformance.checks import Check
from chainproof.conformance.checks.catalogue import ALL_CHECKS
from chainproof.conformance.options import Depth
from chainproof.contract import clauses
from chainproof.contract.clauses import CLAUSES, SINGLE_ANSWER_CLAUSES, Clause
from chainproof.contract.levels import Level
from chainproof.emulator.faults import FAULTS, FaultStage
from chainproof.emulator.faults.variants import VARIANTS, Variant

from .serving import QUICK_WAITS, attempts, run_checks, running_emulator
from .test_checks import FAULT_FOR_CHECK

CLAUSES_WITHOUT_FAULT = {
    clauses.ANSWER_REPEATABLE: "the outputs of an echo chain are compared with its inputs; tests/typed_chain violates it",
    clauses.OUTPUT_SCHEMA: "an echo chain has no schema of its own; tests/conformance/faults/test_faults.py violates it",
}

IMPLIED_VIOLATIONS: dict[Clause, tuple[Clause, ...]] = {
    # Without authentication, keys in other places are accepted too.
    clauses.AUTHENTICATION_REQUIRED: (clauses.KEY_LOCATION, clauses.KEY_VERIFIED),
    # An answer with wrong framing affects the next request on its connection.
    clauses.RESPONSE_FRAMING: (
        clauses.CONNECTION_PERSISTENCE,
        clauses.REQUEST_ANSWERED,
        clauses.ANSWER_MATCHES_REQUEST,
        clauses.AUTHENTICATION_REQUIRED,
        clauses.REQUEST_FRAMING,
        clauses.REQUEST_ID_UNIQUE,
    ),
    clauses.CONNECTION_PERSISTENCE: (clauses.REQUEST_ANSWERED, clauses.RESPONSE_FRAMING, clauses.KEY_VERIFIED),
    clauses.SINGLETON_FIELDS: (clauses.RESPONSE_FRAMING,),
    clauses.REQUEST_FRAMING: (clauses.RESPONSE_FRAMING, clauses.OBJECT_ACCEPTED),
    # The answer to another request is not the object that was sent.
    clauses.ANSWER_MATCHES_REQUEST: (clauses.ECHO_EXACT,),
    clauses.ECHO_EXACT: (clauses.ANSWER_MATCHES_REQUEST,),
    clauses.OUTPUT_OBJECT: (clauses.ECHO_EXACT,),
    # A request that is rejected or answered wrongly is so in every form.
    clauses.OBJECT_ACCEPTED: (clauses.MEDIA_TYPE_PARAMETERS,),
    clauses.STATUS: (clauses.REQUEST_FRAMING, clauses.CONNECTION_PERSISTENCE, clauses.REQUEST_ISOLATION),
    clauses.REQUEST_ISOLATION: (
        clauses.CONNECTION_PERSISTENCE,
        clauses.MEDIA_TYPE_PARAMETERS,
        clauses.OBJECT_ACCEPTED,
        clauses.REQUEST_FRAMING,
    ),
    clauses.NON_OBJECT_REJECTED: (clauses.REQUEST_FRAMING, clauses.ERROR_CODE_CAUSE),
    clauses.INVALID_JSON_REJECTED: (clauses.REQUEST_ANSWERED, clauses.ERROR_CODE_CAUSE, clauses.MEDIA_TYPE_REQUIRED),
    clauses.OTHER_PATHS_REJECTED: (clauses.PATH_LINE_BREAK, clauses.REGIONAL_HOST),
    # A wrong error code is undocumented, whether the error was requested or not.
    clauses.KEY_VERIFIED: (clauses.ERROR_ON_DEMAND,),
    clauses.ERROR_CODE_CAUSE: (
        clauses.BODY_REQUIRED,
        clauses.ERROR_ON_DEMAND,
        clauses.INVALID_JSON_REJECTED,
        clauses.NON_OBJECT_REJECTED,
    ),
}
"""Clauses that may be reported besides the violated one, because its violation implies theirs."""

QUICK_MODULES = (
    "failure",
    "credentials",
    "identity",
    "framing",
    "routing",
    "internals",
    "media_type",
    "body",
    "connection",
)
"""Modules with quick checks, the quickest first."""

CORRECT_DEADLINE = 10.0
"""Deadline for the answers of an otherwise correct endpoint, in seconds."""

SAMPLE_SIZE = None if os.environ.get("CHAINPROOF_SAMPLE") == "all" else 1

TOGETHER = [check for check in ALL_CHECKS if SAMPLE_SIZE is None or check.module not in ("limits", "recovery")]
"""The checks that are run together on a fault or variant; all of them with `CHAINPROOF_SAMPLE=all`."""


def sample(names: Iterable[str]) -> list[str]:
    """The same few names in each run, or all of them."""
    names = sorted(names)
    return names if SAMPLE_SIZE is None else random.Random(1).sample(names, SAMPLE_SIZE)


def checks_for(clause: Clause) -> list[Check]:
    """The checks of a clause and those whose answers may also show a violation, the quickest first."""
    quick = sorted(
        (check for check in ALL_CHECKS if check.module in QUICK_MODULES),
        key=lambda check: QUICK_MODULES.index(check.module),
    )
    ordered = [*quick, *(check for check in ALL_CHECKS if check not in quick)]
    with_clause = [check for check in ordered if clause in check.clauses]
    others = [check for check in quick if check not in with_clause]
    return others + with_clause if clause in SINGLE_ANSWER_CLAUSES else with_clause + others


def one_for_each_clause() -> list[str]:
    """The names of faults, one for each clause and the same in each run; or of all faults."""
    if SAMPLE_SIZE is None:
        return list(FAULTS)
    names: dict[Clause, list[str]] = {}
    for name, fault in sorted(FAULTS.items()):
        if name not in FAULT_FOR_CHECK.values():
            names.setdefault(fault.violates, []).append(name)
    dice = random.Random(1)
    return [dice.choice(each) for each in names.values()]


@pytest.mark.parametrize("name", one_for_each_clause())
def test_a_fault_is_reported_for_its_clause(name: str) -> None:
    """The checks report the clause that the fault violates."""
    fault = FAULTS[name]
    found = set()
    for _ in attempts(fault):
        with running_emulator(fault.hook) as url:
            checks = checks_for(fault.violates)
            findings = run_checks(url, checks, wanted=fault.violates.id, needs_options=fault.needs_options)
        found |= {each.clause for each in findings}
        if fault.violates.id in found:
            break

    assert fault.violates.id in found


@pytest.mark.parametrize("name", sample(FAULTS))
def test_a_fault_violates_no_unexpected_clause(name: str) -> None:
    """All checks together report the clauses that the fault violates or implies, and no others."""
    fault = FAULTS[name]
    with running_emulator(fault.hook) as url:
        found = run_checks(
            url,
            TOGETHER,
            depth=Depth.QUICK,
            deadline=CORRECT_DEADLINE,
            needs_options=fault.needs_options,
            waits=QUICK_WAITS,
        )

    allowed = {
        clause.id for clause in (fault.violates, *fault.also_violates, *IMPLIED_VIOLATIONS.get(fault.violates, ()))
    } | warning_clauses()
    assert [] == [f"{each.clause}: {each.actual}" for each in found if each.clause not in allowed]


@pytest.mark.parametrize("name", sample(VARIANTS))
def test_a_correct_variant_has_no_findings(name: str) -> None:
    """All checks together report no violation of a binding clause."""
    variant: Variant = VARIANTS[name]
    with running_emulator(variant.hook) as url:
        found = run_checks(url, TOGETHER, depth=Depth.QUICK, deadline=CORRECT_DEADLINE, waits=QUICK_WAITS)

    assert [] == [f"{each.clause}: {each.actual}" for each in found if each.clause not in warning_clauses()]


def warning_clauses() -> set[str]:
    """The clauses whose violations are warnings."""
    return {clause.id for clause in CLAUSES if clause.level is Level.SHOULD}


def test_every_clause_has_a_fault() -> None:
    """A clause without a fault might have no check that finds its violations."""
    violated = {fault.violates for fault in FAULTS.values()}

    assert [] == [clause.id for clause in CLAUSES if clause not in violated and clause not in CLAUSES_WITHOUT_FAULT]


def test_every_stage_has_a_fault() -> None:
    """There are faults at every stage of a request."""
    assert set(FaultStage) == {fault.stage for fault in FAULTS.values()}


def test_descriptions_are_unique_and_complete() -> None:
    """Faults and variants have different, complete descriptions."""
    descriptions = [each.description for each in (*FAULTS.values(), *VARIANTS.values())]

    assert len(descriptions) == len(set(descriptions))
    assert all(each.description.endswith(".") for each in FAULTS.values())
    assert all(each.allowed_by for each in VARIANTS.values())
