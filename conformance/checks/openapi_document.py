"""Requests that Schemathesis generates from the OpenAPI document get documented answers."""

from __future__ import annotations

from chainproof.contract import clauses

from ..probing.requester import Requester
from . import check_for


@check_for(
    clauses.STATUS,
    clauses.OBJECT_ACCEPTED,
    clauses.NON_OBJECT_REJECTED,
    clauses.INVALID_JSON_REJECTED,
    title="Schemathesis requests get documented answers",
)
def schemathesis_requests_get_documented_answers(requester: Requester) -> None:
    """Its examples, coverage and fuzzing phases, with valid and invalid requests."""
    from ..probing.schemathesis_runner import fuzz  # noqa: PLC0415  # heavy: Schemathesis, for this check only

    fuzz(requester)
