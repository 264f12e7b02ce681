"""The clauses by which conformance judges every answer, whichever check sent the request."""

from __future__ import annotations

from chainproof.contract import clauses
from chainproof.contract.clauses import Clause

EVERY_ANSWER_CLAUSES: tuple[Clause, ...] = (
    *clauses.SINGLE_ANSWER_CLAUSES,
    clauses.OUTPUT_SCHEMA,
    clauses.UNIQUE_MEMBER_NAMES,
    clauses.NO_CREDENTIAL_LEAK,
    clauses.NO_INTERNALS,
    clauses.ALLOW_HEADER,
    clauses.FIELD_SYNTAX,
    clauses.FIELD_CONVENTIONS,
    clauses.DATE_ACCURATE,
    clauses.RESPONSE_FRAMING,
    clauses.REQUEST_ANSWERED,
)
"""The clauses by which every answer that exercises them is judged, whichever check sent the request."""
