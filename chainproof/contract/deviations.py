"""
The ways in which the service differs from the published document, and the clauses that the wider contracts waive for it.

Each deviation names the first contract that allows it, the clauses of the strict contract that it violates, and its
source. The emulator shows a deviation under the contracts that allow it, and the checks do not report it there.
"""

from __future__ import annotations

from dataclasses import dataclass

from chainproof.contract import clauses
from chainproof.contract.clauses import Clause
from chainproof.contract.levels import Contract

_NEVER_WAIVED = frozenset({clauses.STATUS, clauses.KEY_VERIFIED})
"""Clauses that hold in every contract: a wider one allows more statuses (`errors.allowed_statuses`) instead."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Deviation:
    """One way in which the service differs from the strict contract."""

    description: str
    contract: Contract
    """The first contract that allows it."""
    violates: tuple[Clause, ...] = ()
    """The clauses of the strict contract that it violates; none where the document says nothing."""
    citation: str

    def applies_to(self, contract: Contract) -> bool:
        """True if *contract* allows it."""
        return contract.includes(self.contract)

    @property
    def waives(self) -> tuple[Clause, ...]:
        """The clauses that no longer hold under the contracts that allow this deviation."""
        return tuple(clause for clause in self.violates if clause not in _NEVER_WAIVED)


WRONG_KEY = Deviation(
    description="a wrong key is answered 403",
    contract=Contract.DOCUMENTED,
    violates=(clauses.STATUS, clauses.KEY_VERIFIED),
    citation="inference/errors groups 401 and 403 as a missing or invalid API key",
)
BEARER = Deviation(
    description="the key is accepted with the prefix `Bearer`",
    contract=Contract.DOCUMENTED,
    violates=(clauses.KEY_PREFIX,),
    citation="inference OpenAPI document since 2026-06-08: BearerAuth, with Api-Key accepted as the legacy scheme",
)
ANY_MEDIA_TYPE = Deviation(
    description="the body is read as JSON; Content-Type and Content-Encoding are ignored, except that `application/octet-stream` "
    "announces msgpack, in the body and in the output",
    contract=Contract.DOCUMENTED,
    violates=(clauses.MEDIA_TYPE_REQUIRED,),
    citation="basetenlabs/truss: the chain's server reads a JSON body under every media type but application/octet-stream",
)
LARGE_BODY = Deviation(
    description="a body over the limit is answered 413",
    contract=Contract.DOCUMENTED,
    violates=(clauses.STATUS,),
    citation="inference/errors: a body above 100 MB is answered 413",
)
NON_FINITE = Deviation(
    description="`NaN` and `Infinity` in a body are accepted, and returned as null",
    contract=Contract.DOCUMENTED,
    violates=(clauses.INVALID_JSON_REJECTED,),
    citation="basetenlabs/truss: the chain's server parses with Python's json, which accepts both, and writes with pydantic",
)
BARE_ERRORS = Deviation(
    description='errors are `{"error": "<message>"}`, without `error_code` and `detail`',
    contract=Contract.DOCUMENTED,
    citation="inference/errors: every failed response is JSON of that form",
)
ATTEMPTS = Deviation(
    description="`X-BASETEN-MODEL-PREDICTION-ATTEMPTS: 1` on every answer that comes from the chain",
    contract=Contract.DOCUMENTED,
    citation="deployment/autoscaling/request-lifecycle: the gateway retries; the header counts the attempts",
)
INPUT_ERRORS = Deviation(
    description="the chain's server writes its own input errors, with `X-BASETEN-ERROR-SOURCE: 04` and `-CODE: 700`",
    contract=Contract.DOCUMENTED,
    citation="basetenlabs/truss, truss/templates/server: errors.py",
)
ERROR_OBJECTS = Deviation(
    description="an exception in run_remote is answered 500 (an HTTPException: its own status), with an object as `error`",
    contract=Contract.DOCUMENTED,
    violates=(clauses.STATUS, clauses.ERROR_MESSAGE, clauses.NO_INTERNALS),
    citation="basetenlabs/truss: the answer holds its class, message and stack trace; the gateway passes it on unchanged",
)
ANY_OUTPUT = Deviation(
    description="the output is any JSON value, or a stream as `application/octet-stream`, which exactly `Accept: "
    "application/json` turns into one JSON string",
    contract=Contract.DOCUMENTED,
    violates=(clauses.OUTPUT_OBJECT,),
    citation="docs.baseten.co/development/chain/getting-started: the first example returns a string",
)
PLAIN_401 = Deviation(
    description="a request without Authorization is answered 401 with `No Authorization header provided` as text/plain",
    contract=Contract.OBSERVED,
    violates=(clauses.ERROR_MEDIA_TYPE, clauses.ERROR_JSON),
    citation="third party, inference.poolside.ai, 2026-09-26: a gateway of Baseten; it is not known whether a chain was behind it",
)
HTML_502 = Deviation(
    description="`Authorization: Bearer` without a key is answered 502 with HTML",
    contract=Contract.OBSERVED,
    violates=(
        clauses.ERROR_MEDIA_TYPE,
        clauses.ERROR_JSON,
    ),  # not authentication-required: the request is still rejected
    citation="third party, a proxy in front of the same kind of gateway",
)

DEVIATIONS: tuple[Deviation, ...] = (
    WRONG_KEY,
    BEARER,
    ANY_MEDIA_TYPE,
    LARGE_BODY,
    NON_FINITE,
    BARE_ERRORS,
    ATTEMPTS,
    INPUT_ERRORS,
    ERROR_OBJECTS,
    ANY_OUTPUT,
    PLAIN_401,
    HTML_502,
)
"""Every deviation, in the order of the generated tables."""

WAIVED_FROM: dict[Clause, Contract] = {clause: row.contract for row in DEVIATIONS for clause in row.waives}
"""The first contract that waives a clause, for every clause that one waives."""


def is_waived(clause: Clause, contract: Contract) -> bool:
    """True if *clause* does not hold under *contract*."""
    first = WAIVED_FROM.get(clause)
    return first is not None and contract.includes(first)
