"""
What a wider contract shows beside the strict one: each deviation can be shown, is named by the strict contract, and is
taken back by the contract that shows it.
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
from chainproof.contract.credentials import EMULATOR_KEY, ApiKey
from chainproof.contract.deviations import DEVIATIONS, WAIVED_FROM, Deviation, is_waived
from chainproof.contract.errors import UNPAIRED_STATUSES, ErrorCode, allowed_statuses
from chainproof.contract.levels import Contract
from chainproof.contract.violations import violations
from chainproof.emulator.behaviour.request import ReceivedRequest
from chainproof.emulator.chain.chain import load_chain
from chainproof.emulator.chain.chain_response import ChainResponse
from chainproof.emulator.decision import ChainRequest, EmulatorConfig, EmulatorState, decide, decision_from_chain
from chainproof.emulator.scenario import Scenario

ROOT = Path(__file__).parents[2]
PROBED = Path(__file__).with_name("probed.py")
KEY = EMULATOR_KEY.encode()
MODEL = EmulatorConfig(
    scenario=Scenario(name="calm", max_body_bytes=1000), key=ApiKey(EMULATOR_KEY), request_id_prefix="0" * 21
)
GOOD = {b"host": b"x", b"authorization": b"Api-Key " + KEY, b"content-type": b"application/json"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Showing:
    """
    A request that shows a deviation.
    """

    body: bytes = b"{}"
    fields: dict[bytes, bytes | None]
    length: int | None = None
    chain: str | None = None
    """A class of the probed module; None for the echo chain."""


def showing(body: bytes = b"{}", *, length: int | None = None, chain: str | None = None, **changed: bytes | None):
    """
    A good request but for what is named.
    """
    fields = {name.replace("_", "-").encode(): value for name, value in changed.items()}
    return Showing(body=body, fields=fields, length=length, chain=chain)


SHOWN: dict[str, Showing] = {
    "WRONG_KEY": showing(authorization=b"Api-Key wrong"),
    "BEARER": showing(authorization=b"Bearer " + KEY),
    "ANY_MEDIA_TYPE": showing(content_type=b"text/plain", content_encoding=b"br"),
    "LARGE_BODY": showing(length=1001),
    "NON_FINITE": showing(b'{"a":[NaN,-Infinity,"NaN"]}'),
    "BARE_ERRORS": showing(authorization=None),
    "ATTEMPTS": showing(),
    "INPUT_ERRORS": showing(b"[]"),
    "ERROR_OBJECTS": showing(b'{"names":[],"mode":"value_error"}', chain="Hello"),
    "ANY_OUTPUT": showing(chain="Text"),
    "PLAIN_401": showing(authorization=None),
    "HTML_502": showing(authorization=b"Bearer"),
}
"""The request that shows each row."""

PROBES: dict[Clause, Callable[[Answer], bool]] = {
    clauses.KEY_VERIFIED: lambda answer: answer.status == 401,
    clauses.KEY_PREFIX: lambda answer: answer.status == 401,
    clauses.MEDIA_TYPE_REQUIRED: lambda answer: 400 <= answer.status < 500,
    clauses.INVALID_JSON_REJECTED: lambda answer: answer.status == 400,
    clauses.NO_INTERNALS: lambda answer: b"user_stack_trace" not in answer.body,
}
"""Whether an answer to such a request keeps a clause that the answer alone does not show."""

BEHIND: dict[Clause, Clause] = {
    clauses.ERROR_JSON: clauses.ERROR_MEDIA_TYPE,
    clauses.ERROR_MESSAGE: clauses.STATUS,
}
"""What is not held against an answer that breaks another clause first."""

ROWS = [(name, getattr(deviations, name)) for name in SHOWN]


def answer(shown: Showing, contract: Contract) -> Answer:
    """
    What a contract answers to a showing.
    """
    config = replace(MODEL, contract=contract, has_chain=shown.chain is not None)
    headers = tuple((name, value) for name, value in {**GOOD, **shown.fields}.items() if value is not None)
    length = len(shown.body) if shown.length is None else shown.length
    request = ReceivedRequest(
        method=b"POST", target=b"/production/run_remote", headers=headers, body=shown.body, length=length
    )
    decision, _ = decide(request, config, EmulatorState(), 0.0)
    if not isinstance(decision, ChainRequest):
        return decision.answer
    chain = load_chain(f"{PROBED}:{shown.chain}")
    arguments = chain.parse_arguments(decision.body)
    said = arguments if isinstance(arguments, ChainResponse) else chain.run_sync(arguments)
    return decision_from_chain(said, config, 1, 0.0).answer


def broken(deviation: Deviation, found: Answer) -> set[Clause]:
    """
    The clauses of the strict contract that an answer to the showing of a deviation breaks.
    """
    probed = {clause for clause in deviation.violates if clause in PROBES and not PROBES[clause](found)}
    return probed | {violation.clause for violation in violations(found, Contract.STRICT)}


def named(deviation: Deviation) -> set[Clause]:
    """
    Of the clauses that a deviation goes against, those that come first.
    """
    return {clause for clause in deviation.violates if BEHIND.get(clause) not in deviation.violates}


def test_every_deviation_has_its_showing():
    """
    A new row makes this fail until somebody shows it.
    """
    assert list(DEVIATIONS) == [deviation for _, deviation in ROWS]


@pytest.mark.parametrize(("name", "deviation"), ROWS, ids=SHOWN)
def test_the_strict_contract_names_exactly_what_a_deviation_breaks(name, deviation):
    """
    From its contract on it is shown, and breaks the clauses of its row and no other: those that come first are named. Before that nothing is broken.
    """
    for contract in Contract:
        if deviation.applies_to(contract):
            wider = {clause for other in DEVIATIONS if other.applies_to(contract) for clause in other.violates}
            found = broken(deviation, answer(SHOWN[name], contract))
            assert named(deviation) <= found <= wider
            assert contract is not deviation.contract or named(deviation) == found
        else:
            before = answer(SHOWN[name], contract)
            assert before != answer(SHOWN[name], deviation.contract)
            assert contract is not Contract.STRICT or set() == broken(deviation, before)


@pytest.mark.parametrize(("name", "deviation"), ROWS, ids=SHOWN)
def test_the_contract_that_shows_a_deviation_names_none(name, deviation):
    """
    Whatever a wider contract shows, that contract and those beyond it allow: by a waiver, or by a status of its table.
    """
    for contract in (contract for contract in Contract if deviation.applies_to(contract)):
        found = answer(SHOWN[name], contract)

        assert () == violations(found, contract)
        for clause in deviation.violates:
            assert is_waived(clause, contract) or (
                clause in (clauses.STATUS, clauses.KEY_VERIFIED) and found.status in allowed_statuses(contract)
            )


@pytest.mark.parametrize("clause", WAIVED_FROM, ids=lambda clause: clause.id)
def test_a_clause_is_waived_from_one_contract_on(clause):
    """
    All deviations that violate a waived clause begin with the same contract.
    """
    assert {WAIVED_FROM[clause]} == {row.contract for row in DEVIATIONS if clause in row.violates}


@pytest.mark.parametrize("status", sorted(allowed_statuses(Contract.OBSERVED) - {200}))
def test_every_status_of_a_wider_contract_can_be_shown(status):
    """
    By its code and itself in X-Emulate; a status without a code by itself, and in no contract that does not know it.
    """
    wishes = [str(status)] if status in UNPAIRED_STATUSES else [f"{code} {status}" for code in ErrorCode]
    found = {answer(showing(x_emulate=wish.encode()), Contract.DOCUMENTED).status for wish in wishes}

    assert status in found
    if status in UNPAIRED_STATUSES:
        assert 400 == answer(showing(x_emulate=str(status).encode()), Contract.STRICT).status


def test_a_wish_names_its_code_in_every_contract():
    """
    Whoever asks for a code is told it, though the service's own errors name none.
    """
    wished = json.loads(answer(showing(x_emulate=b"rate_limited"), Contract.DOCUMENTED).body)
    bare = json.loads(answer(showing(authorization=None), Contract.DOCUMENTED).body)

    assert (["error", "error_code"], ["error"]) == (sorted(wished), sorted(bare))


@pytest.mark.parametrize("row", DEVIATIONS, ids=lambda row: row.description[:30])
def test_the_page_has_every_row(row):
    """
    docs/emulator.md tells each deviation with its clauses and its citation.
    """
    broken_clauses = ", ".join(f"`{clause.id}`" for clause in row.violates)
    line = f"| {row.description} | `{row.contract}` | {broken_clauses} | {row.citation} |"

    assert line in (ROOT / "docs" / "emulator.md").read_text(encoding="utf-8").splitlines()


def test_single_answers_show_what_they_can():
    """
    A probe above stands in for nothing that an answer shows by itself.
    """
    assert set() == set(PROBES) & set(SINGLE_ANSWER_CLAUSES)
