"""Tests of the published OpenAPI document."""

from __future__ import annotations

import hashlib

import pytest

from chainproof.contract.answer import REQUEST_ID_HEADER
from chainproof.contract.openapi import (
    METHOD,
    OPERATION,
    PATH,
    document,
    document_text,
    documented_statuses,
    lookup,
    server_templates,
)


def test_document_is_unchanged() -> None:
    """The published document is byte for byte the one with this digest."""
    digest = "51f0780afe059567e1a30be4e43713a49ff4735352076c827cad9460ee36620b"

    assert digest == hashlib.sha256(document_text().encode()).hexdigest()


def test_operation_has_seven_statuses() -> None:
    """The operation lists 200 and six errors, and no default."""
    assert documented_statuses() == (200, 400, 401, 429, 502, 503, 504)


def test_document_has_four_servers() -> None:
    """The servers are those of models and chains, each standard and regional."""
    assert server_templates() == (
        "https://model-{model_id}.api.baseten.co",
        "https://chain-{chain_id}.api.baseten.co",
        "https://model-{model_id}-{env_name}.api.baseten.co",
        "https://chain-{chain_id}-{env_name}.api.baseten.co",
    )


def test_constants_match_the_document() -> None:
    """Path, method, pointer and header in the code are those of the document."""
    assert document()["paths"] == {PATH: {METHOD.lower(): lookup(OPERATION)}}
    assert lookup(f"{OPERATION}/responses/200/headers/{REQUEST_ID_HEADER}/schema/type") == "string"


def test_references_are_resolved() -> None:
    """A pointer can lead through a `$ref`."""
    assert lookup(f"{OPERATION}/responses/502/content") == lookup("#/components/responses/Error/content")


@pytest.mark.parametrize("pointer", ["#/nowhere", "#/servers/4", "#/servers/x", "#/openapi/3", "#/info/"])
def test_invalid_pointer_raises_key_error(pointer: str) -> None:
    """The message names the pointer and the missing token."""
    with pytest.raises(KeyError, match=f"{pointer}: nothing at"):
        lookup(pointer)
