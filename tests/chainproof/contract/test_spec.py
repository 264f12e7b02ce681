"""
The document is as published, and every place in it can be reached.
"""

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


def test_the_document_is_as_published() -> None:
    """
    No byte of the published document was changed; a newer publication brings its own digest.
    """
    digest = "51f0780afe059567e1a30be4e43713a49ff4735352076c827cad9460ee36620b"

    assert digest == hashlib.sha256(document_text().encode()).hexdigest()


def test_the_operation_has_seven_statuses() -> None:
    """
    200 and six errors; there is no default.
    """
    assert documented_statuses() == (200, 400, 401, 429, 502, 503, 504)


def test_the_document_has_four_servers() -> None:
    """
    Models and chains, each standard and regional.
    """
    assert server_templates() == (
        "https://model-{model_id}.api.baseten.co",
        "https://chain-{chain_id}.api.baseten.co",
        "https://model-{model_id}-{env_name}.api.baseten.co",
        "https://chain-{chain_id}-{env_name}.api.baseten.co",
    )


def test_the_operation_stands_where_the_constants_say() -> None:
    """
    Path, method, pointer and header of the code are the document's.
    """
    assert document()["paths"] == {PATH: {METHOD.lower(): lookup(OPERATION)}}
    assert lookup(f"{OPERATION}/responses/200/headers/{REQUEST_ID_HEADER}/schema/type") == "string"


def test_a_reference_is_followed() -> None:
    """
    A pointer goes through `$ref` as if what it points to stood there.
    """
    assert lookup(f"{OPERATION}/responses/502/content") == lookup("#/components/responses/Error/content")


@pytest.mark.parametrize("pointer", ["#/nowhere", "#/servers/4", "#/servers/x", "#/openapi/3", "#/info/"])
def test_a_pointer_that_leads_nowhere_says_where_it_ended(pointer: str) -> None:
    """
    The refusal names the pointer and the token.
    """
    with pytest.raises(KeyError, match=f"{pointer}: nothing at"):
        lookup(pointer)
