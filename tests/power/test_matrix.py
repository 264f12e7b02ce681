"""
Whoever breaks a clause is caught for it, and whoever is merely odd is left alone.

Each fault of the emulator is put to the checks that can show its own clause. A few of them, and a few of the variants, are
put to every check: which ones follows from the day, so that all have their turn.
"""

from __future__ import annotations

import os
import random
from datetime import UTC, datetime

import pytest

from chainproof.conformance.checks import CHECKS, Check
from chainproof.conformance.options import Depth
from chainproof.contract import clauses
from chainproof.contract.clauses import CLAUSES, SINGLE_ANSWER_CLAUSES, Clause
from chainproof.contract.levels import Level
from chainproof.emulator.faults import FAULTS, Fault, FaultStage
from chainproof.emulator.faults.variants import VARIANTS, Variant

from .serving import run_checks, running_emulator

CLAUSES_WITHOUT_FAULT = {
    clauses.OUTPUT_SCHEMA: "an echo chain has no shape of its own: tests/conformance/test_faults.py breaks it",
}

IMPLIED_VIOLATIONS: dict[Clause, tuple[Clause, ...]] = {
    # A gate that stands open lets in what stands behind a body, and is asked with keys in many places.
    clauses.AUTHENTICATION_REQUIRED: (clauses.INVALID_FRAMING_REJECTED, clauses.KEY_LOCATION, clauses.KEY_VERIFIED),
    # What ends elsewhere than it says leaves its connection to whoever comes next.
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
    clauses.REQUEST_FRAMING: (clauses.RESPONSE_FRAMING, clauses.OBJECT_ACCEPTED, clauses.INVALID_FRAMING_REJECTED),
    clauses.HTTP_STRICTNESS: (clauses.INVALID_FRAMING_REJECTED,),
    # Another's output is not what was sent either.
    clauses.ANSWER_MATCHES_REQUEST: (clauses.ECHO_EXACT,),
    clauses.ECHO_EXACT: (clauses.ANSWER_MATCHES_REQUEST,),
    clauses.OUTPUT_OBJECT: (clauses.ECHO_EXACT,),
    # What is refused is so in every guise, and what is answered otherwise is so in every place.
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
    clauses.OTHER_PATHS_REJECTED: (clauses.REGIONAL_HOST,),
    # A refusal by the wrong name is no refusal as documented, steered or not.
    clauses.KEY_VERIFIED: (clauses.ERROR_ON_DEMAND,),
    clauses.ERROR_CODE_CAUSE: (
        clauses.BODY_REQUIRED,
        clauses.ERROR_ON_DEMAND,
        clauses.INVALID_JSON_REJECTED,
        clauses.NON_OBJECT_REJECTED,
    ),
}
"""What may be named besides a clause, by the rule that stands above it: the one cannot be broken and the other be whole."""

ORDER = ("failure", "credentials", "identity", "framing", "routing", "internals", "media_type", "body", "connection")
"""The parts whose checks are quick, the quickest first."""

PATIENCE = 10.0
"""Seconds that a correct endpoint has for each answer."""

SEED = int(os.environ.get("CHAINPROOF_SAMPLE_SEED", datetime.now(UTC).strftime("%Y%m%d")))
"""Which faults and variants have their turn at everything."""

TURN = random.Random(SEED)
FULL_FAULTS = TURN.sample(sorted(FAULTS), 2)
FULL_VARIANTS = TURN.sample(sorted(VARIANTS), 2)


def checks_for(clause: Clause) -> list[Check]:
    """
    The checks that uphold a clause, and those whose answers may show it all the same, the quickest first.
    """
    quick = sorted((check for check in CHECKS if check.module in ORDER), key=lambda check: ORDER.index(check.module))
    quick_and_not = [*quick, *(check for check in CHECKS if check not in quick)]
    own = [check for check in quick_and_not if clause in check.clauses]
    rest = [check for check in quick if check not in own]
    return rest + own if clause in SINGLE_ANSWER_CLAUSES else own + rest


@pytest.mark.parametrize("fault", FAULTS.values(), ids=list(FAULTS))
def test_a_fault_is_caught_for_its_own_clause(fault: Fault) -> None:
    """
    Each fault of the emulator is found, and named by the clause that it breaks.
    """
    with running_emulator(fault.hook) as url:
        found = run_checks(
            url, checks_for(fault.violates), wanted=fault.violates.id, overload="--overload" in fault.needs_options
        )

    assert fault.violates.id in {each.clause for each in found}


@pytest.mark.parametrize("name", FULL_FAULTS)
def test_a_fault_is_one_finding(name: str) -> None:
    """
    Put to every check, a fault is found for its own clause, and for others only where it is said to break them too, or
    where they follow from its own.
    """
    fault = FAULTS[name]
    print(f"CHAINPROOF_SAMPLE_SEED={SEED}")
    with running_emulator(fault.hook) as url:
        found = run_checks(
            url, CHECKS, depth=Depth.QUICK, deadline=PATIENCE, overload="--overload" in fault.needs_options
        )

    said = {
        clause.id for clause in (fault.violates, *fault.also_violates, *IMPLIED_VIOLATIONS.get(fault.violates, ()))
    } | warning_clauses()
    assert [] == [f"{each.clause}: {each.actual}" for each in found if each.clause not in said]


@pytest.mark.parametrize("name", FULL_VARIANTS)
def test_a_variant_is_not_accused(name: str) -> None:
    """
    Put to every check, an odd but legal endpoint departs from no binding clause.
    """
    variant: Variant = VARIANTS[name]
    print(f"CHAINPROOF_SAMPLE_SEED={SEED}")
    with running_emulator(variant.hook) as url:
        found = run_checks(url, CHECKS, depth=Depth.QUICK, deadline=PATIENCE)

    assert [] == [f"{each.clause}: {each.actual}" for each in found if each.clause not in warning_clauses()]


def warning_clauses() -> set[str]:
    """
    The clauses whose violations fail no run.
    """
    return {clause.id for clause in CLAUSES if clause.level is Level.SHOULD}


def test_every_clause_has_a_fault() -> None:
    """
    A clause that no fault breaks is one that no check is known to uphold.
    """
    broken = {fault.violates for fault in FAULTS.values()}

    assert [] == [clause.id for clause in CLAUSES if clause not in broken and clause not in CLAUSES_WITHOUT_FAULT]


def test_every_stage_has_a_fault() -> None:
    """
    Endpoints go wrong at every stage of a request.
    """
    assert set(FaultStage) == {fault.stage for fault in FAULTS.values()}


def test_names_and_words_are_their_own() -> None:
    """
    No two faults or variants say that they do the same.
    """
    description = [each.description for each in (*FAULTS.values(), *VARIANTS.values())]

    assert len(description) == len(set(description))
    assert all(each.description.endswith(".") for each in FAULTS.values())
    assert all(each.allowed_by for each in VARIANTS.values())
