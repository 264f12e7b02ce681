"""
The one table of codes and statuses is the agreed one, and every code has somebody who is to act on it.
"""

from __future__ import annotations

import pytest

from chainproof.contract.errors import (
    DOCUMENTED_CODES,
    PAIRINGS,
    ErrorCode,
    Pairing,
    Responsible,
    allowed_statuses,
    responsible,
    statuses,
)
from chainproof.contract.levels import Contract
from chainproof.contract.openapi import documented_statuses, lookup

TABLE = {
    "unauthorized": ({401}, {403}),
    "client_error": ({400}, {404, 405, 415, 422}),
    "payload_too_large": ({400}, {413}),
    "model_does_not_exist": ({400}, {404}),
    "rate_limited": ({429}, {529}),
    "application_error": ({502}, {500}),
    "internal_baseten_error": ({502, 503}, {500}),
    "model_unavailable": ({502, 503}, set[int]()),
    "model_not_ready": ({503}, {400}),
    "timeout": ({504}, set[int]()),
}


def test_the_codes_are_the_documents_in_its_order() -> None:
    """
    An eleventh documented code makes this fail until somebody assigns its responsible and its statuses.
    """
    documented = lookup("#/components/schemas/ErrorResponse/properties/error_code/enum")

    assert documented == [code.value for code in ErrorCode]
    assert set(ErrorCode) == {pairing.code for pairing in PAIRINGS}
    assert len(PAIRINGS) == len(DOCUMENTED_CODES) == 10


@pytest.mark.parametrize("code", TABLE)
def test_a_code_goes_with_the_statuses_of_its_row(code: str) -> None:
    """
    Exactly the row in the strict contract, exactly the wider row in the documented and the observed one.
    """
    strict, also = TABLE[code]

    assert [strict, strict | also, strict | also] == [statuses(code, contract) for contract in Contract]


@pytest.mark.parametrize("pairing", PAIRINGS, ids=lambda pairing: pairing.code)
def test_a_row_is_whole(pairing: Pairing) -> None:
    """
    Strict statuses are the document's errors; what is added has a citation; an answer is never our own fault.
    """
    assert set(pairing.strict) <= set(documented_statuses()) - {200}
    assert bool(pairing.documented) is bool(pairing.citation)
    assert pairing.responsible is not Responsible.US
    assert responsible(pairing.code, None) is pairing.responsible


def test_a_code_outside_the_ten_has_no_status() -> None:
    """
    Nobody promised anything about it.
    """
    assert statuses("gremlins", Contract.OBSERVED) == frozenset()


def test_a_wider_contract_allows_every_status_of_a_narrower_one() -> None:
    """
    Strict allows the document's seven; documented adds those of its rows, and 402, which has no code.
    """
    added = {status for _, also in TABLE.values() for status in also} | {402}

    assert allowed_statuses(Contract.STRICT) == set(documented_statuses())
    assert allowed_statuses(Contract.DOCUMENTED) == set(documented_statuses()) | added
    assert allowed_statuses(Contract.DOCUMENTED) <= allowed_statuses(Contract.OBSERVED)


@pytest.mark.parametrize(
    ("code", "status", "expected"),
    [
        ("timeout", 400, Responsible.CHAIN),
        ("rate_limited", 503, Responsible.CALLER),
        ("gremlins", 404, Responsible.CALLER),
        (None, 429, Responsible.CALLER),
        (None, 504, Responsible.CHAIN),
        (None, 502, Responsible.PLATFORM),
        (None, None, Responsible.PLATFORM),
    ],
)
def test_whoever_names_no_cause_is_judged_by_the_status(
    code: str | None, status: int | None, expected: Responsible
) -> None:
    """
    A documented code decides; without one the status does.
    """
    assert expected is responsible(code, status)


def test_contracts_include_what_stands_before_them() -> None:
    """
    Strict is part of documented, documented of observed.
    """
    assert [[True, False, False], [True, True, False], [True, True, True]] == [
        [contract.includes(other) for other in Contract] for contract in Contract
    ]
