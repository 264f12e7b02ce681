"""
Each deviation can be triggered, violates exactly the clauses in its row under the strict contract, and is allowed by
its own contract.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import pytest

from chainproof.contract import clauses, deviations
from chainproof.contract.answer import Answer
from chainproof.contract.clauses import SINGLE_ANSWER_CLAUSES, Clause
from chainproof.contract.credentials import ApiKey
from chainproof.contract.deviations import DEVIATIONS, WAIVED_FROM, Deviation, is_waived
from chainproof.contract.errors import UNPAIRED_STATUSES, ErrorCode, allowed_statuses
from chainproof.contract.levels import Contract
from chainproof.contract.redaction import EMULATOR_KEY
from chainproof.contract.violations import violations
from chainproof.emulator.behaviour.request import ReceivedRequest
from chainproof.emulator.chain.chain import load_chain
from chainproof.emulator.chain.chain_request import ChainRequest
from chainproof.emulator.decision import EmulatorConfig, EmulatorState, decide, decision_from_chain
from chainproof.emulator.scenario import Scenario

ROOT = Path(__file__).parents[2]
CHAINS = Path(__file__).with_name("recorded_chains.py")
KEY = EMULATOR_KEY.encode()
CONFIG = EmulatorConfig(
    scenario=Scenario(name="small-bodies", max_body_bytes=1000), key=ApiKey(EMULATOR_KEY), request_id_prefix="0" * 21
)
VALID_FIELDS = {b"host": b"x", b"authorization": b"Api-Key " + KEY, b"content-type": b"application/json"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Trigger:
    """A request that triggers a deviation."""

    body: bytes = b"{}"
    fields: dict[bytes, bytes | None]
    length: int | None = None
    chain: str | None = None
    """A class in recorded_chains.py; None for the echo chain."""


def trigger(body: bytes = b"{}", *, length: int | None = None, chain: str | None = None, **changed: bytes | None):
    """A valid request with some fields replaced, or left out with None."""
    fields = {name.replace("_", "-").encode(): value for name, value in changed.items()}
    return Trigger(body=body, fields=fields, length=length, chain=chain)


TRIGGERS: dict[str, Trigger] = {
    "WRONG_KEY": trigger(authorization=b"Api-Key wrong"),
    "BEARER": trigger(authorization=b"Bearer " + KEY),
    "ANY_MEDIA_TYPE": trigger(content_type=b"text/plain", content_encoding=b"br"),
    "LARGE_BODY": trigger(length=1001),
    "NON_FINITE": trigger(b'{"a":[NaN,-Infinity,"NaN"]}'),
    "BARE_ERRORS": trigger(authorization=None),
    "ATTEMPTS": trigger(),
    "INPUT_ERRORS": trigger(b"[]"),
    "ERROR_OBJECTS": trigger(b'{"names":[],"mode":"value_error"}', chain="Hello"),
    "ANY_OUTPUT": trigger(chain="Text"),
    "PLAIN_401": trigger(authorization=None),
    "HTML_502": trigger(authorization=b"Bearer"),
}
"""The request that triggers each deviation."""

CLAUSE_CHECKS: dict[Clause, Callable[[Answer], bool]] = {
    clauses.KEY_VERIFIED: lambda answer: answer.status == 401,
    clauses.KEY_PREFIX: lambda answer: answer.status == 401,
    clauses.MEDIA_TYPE_REQUIRED: lambda answer: 400 <= answer.status < 500,
    clauses.INVALID_JSON_REJECTED: lambda answer: answer.status == 400,
    clauses.NO_INTERNALS: lambda answer: b"user_stack_trace" not in answer.body,
}
"""Whether an answer satisfies a clause that cannot be checked from the answer alone."""

REPORTED_INSTEAD: dict[Clause, Clause] = {
    clauses.ERROR_JSON: clauses.ERROR_MEDIA_TYPE,
    clauses.ERROR_MESSAGE: clauses.STATUS,
}
"""Clauses that are not reported if the answer also violates the other clause."""

ROWS = [(name, getattr(deviations, name)) for name in TRIGGERS]


def answer(case: Trigger, contract: Contract) -> Answer:
    """The answer to a trigger under a contract."""
    config = replace(CONFIG, contract=contract, has_chain=case.chain is not None)
    headers = tuple((name, value) for name, value in {**VALID_FIELDS, **case.fields}.items() if value is not None)
    length = len(case.body) if case.length is None else case.length
    request = ReceivedRequest(
        method=b"POST", target=b"/production/run_remote", headers=headers, body=case.body, length=length
    )
    decision, _ = decide(request, config, EmulatorState(), 0.0)
    if not isinstance(decision, ChainRequest):
        return decision.answer
    response = load_chain(f"{CHAINS}:{case.chain}").respond(decision)
    return decision_from_chain(response, config, 1, 0.0).answer


def violated_clauses(deviation: Deviation, actual: Answer) -> set[Clause]:
    """The clauses of the strict contract that an answer violates."""
    checked = {clause for clause in deviation.violates if clause in CLAUSE_CHECKS and not CLAUSE_CHECKS[clause](actual)}
    return checked | {violation.clause for violation in violations(actual, Contract.STRICT)}


def reported_clauses(deviation: Deviation) -> set[Clause]:
    """The clauses of a deviation that are reported."""
    return {clause for clause in deviation.violates if REPORTED_INSTEAD.get(clause) not in deviation.violates}


def test_every_deviation_has_a_trigger():
    """A new deviation needs a trigger in this file."""
    assert list(DEVIATIONS) == [deviation for _, deviation in ROWS]


@pytest.mark.parametrize(("name", "deviation"), ROWS, ids=TRIGGERS)
def test_deviation_violates_exactly_its_clauses(name, deviation):
    """
    From its contract on, the deviation violates the clauses in its row and no others; under narrower contracts it
    does not occur.
    """
    for contract in Contract:
        if deviation.applies_to(contract):
            wider = {clause for other in DEVIATIONS if other.applies_to(contract) for clause in other.violates}
            actual = violated_clauses(deviation, answer(TRIGGERS[name], contract))
            assert reported_clauses(deviation) <= actual <= wider
            assert contract is not deviation.contract or reported_clauses(deviation) == actual
        else:
            strict_answer = answer(TRIGGERS[name], contract)
            assert strict_answer != answer(TRIGGERS[name], deviation.contract)
            assert contract is not Contract.STRICT or set() == violated_clauses(deviation, strict_answer)


@pytest.mark.parametrize(("name", "deviation"), ROWS, ids=TRIGGERS)
def test_deviation_is_allowed_by_its_contract(name, deviation):
    """The contract of a deviation and wider ones allow it, by a waiver or by an allowed status."""
    for contract in (contract for contract in Contract if deviation.applies_to(contract)):
        actual = answer(TRIGGERS[name], contract)

        assert () == violations(actual, contract)
        for clause in deviation.violates:
            assert is_waived(clause, contract) or (
                clause in (clauses.STATUS, clauses.KEY_VERIFIED) and actual.status in allowed_statuses(contract)
            )


@pytest.mark.parametrize("clause", WAIVED_FROM, ids=lambda clause: clause.id)
def test_waiver_starts_with_one_contract(clause):
    """All deviations that violate a waived clause begin with the same contract."""
    assert {WAIVED_FROM[clause]} == {row.contract for row in DEVIATIONS if clause in row.violates}


@pytest.mark.parametrize("status", sorted(allowed_statuses(Contract.OBSERVED) - {200}))
def test_every_status_of_a_wider_contract_can_be_requested(status):
    """X-Emulate requests a status with its code; a status without a code only where the contract has it."""
    values = [str(status)] if status in UNPAIRED_STATUSES else [f"{code} {status}" for code in ErrorCode]
    actual = {answer(trigger(x_emulate=value.encode()), Contract.DOCUMENTED).status for value in values}

    assert status in actual
    if status in UNPAIRED_STATUSES:
        assert 400 == answer(trigger(x_emulate=str(status).encode()), Contract.STRICT).status


def test_steered_error_names_its_code_under_every_contract():
    """An error requested by X-Emulate names its code even if other errors have none."""
    steered = json.loads(answer(trigger(x_emulate=b"rate_limited"), Contract.DOCUMENTED).body)
    bare = json.loads(answer(trigger(authorization=None), Contract.DOCUMENTED).body)

    assert (["error", "error_code"], ["error"]) == (sorted(steered), sorted(bare))


@pytest.mark.parametrize("row", DEVIATIONS, ids=lambda row: row.description[:30])
def test_page_lists_every_deviation(row):
    """docs/emulator.md lists each deviation with its clauses and its source."""
    clause_column = ", ".join(f"`{clause.id}`" for clause in row.violates)
    line = f"| {row.description} | `{row.contract}` | {clause_column} | {row.citation} |"

    assert line in (ROOT / "docs" / "emulator.md").read_text(encoding="utf-8").splitlines()


def test_clause_checks_cover_only_other_clauses():
    """The checks in this file do not replace checks of single answers."""
    assert set() == set(CLAUSE_CHECKS) & set(SINGLE_ANSWER_CLAUSES)
