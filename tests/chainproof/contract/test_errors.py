"""Tests of the table of error codes and statuses."""

from __future__ import annotations

import pytest

from chainproof.contract.errors import (
    DOCUMENTED_CODES,
    PAIRINGS,
    ErrorCode,
    Pairing,
    Responsible,
    allowed_statuses,
    statuses,
)
from chainproof.contract.levels import Contract
from chainproof.contract.openapi import documented_statuses, lookup
from chainproof.contract.responsibility import responsible

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


def test_codes_match_the_document() -> None:
    """The ten codes and their order are those of the document, and each has a row."""
    documented = lookup("#/components/schemas/ErrorResponse/properties/error_code/enum")

    assert documented == [code.value for code in ErrorCode]
    assert set(ErrorCode) == {pairing.code for pairing in PAIRINGS}
    assert len(PAIRINGS) == len(DOCUMENTED_CODES) == 10


@pytest.mark.parametrize("code", TABLE)
def test_codes_have_the_statuses_of_their_row(code: str) -> None:
    """A code has the statuses of its row; the documented and the observed contract allow more than the strict one."""
    strict, also = TABLE[code]

    assert [strict, strict | also, strict | also] == [statuses(code, contract) for contract in Contract]


@pytest.mark.parametrize("pairing", PAIRINGS, ids=lambda pairing: pairing.code)
def test_row_has_valid_statuses_citation_and_responsible(pairing: Pairing) -> None:
    """Strict statuses are errors of the document, and additional ones have a citation."""
    assert set(pairing.strict) <= set(documented_statuses()) - {200}
    assert bool(pairing.documented) is bool(pairing.citation)
    assert responsible(pairing.code, None) is pairing.responsible


def test_unknown_code_has_no_status() -> None:
    """A code that is not one of the ten has no statuses."""
    assert statuses("gremlins", Contract.OBSERVED) == frozenset()


def test_wider_contract_allows_more_statuses() -> None:
    """Strict allows the seven of the document; documented adds those of its rows, and 402, which has no code."""
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
def test_responsible_is_given_by_code_or_status(code: str | None, status: int | None, expected: Responsible) -> None:
    """A documented code decides who is responsible; without one the status does."""
    assert expected is responsible(code, status)


def test_contracts_include_narrower_ones() -> None:
    """Strict is part of documented, documented is part of observed."""
    assert [[True, False, False], [True, True, False], [True, True, True]] == [
        [contract.includes(other) for other in Contract] for contract in Contract
    ]
