"""
How each contract passes on what the chain's server says: unchanged, as the service does, or in the document's own terms.
"""

from __future__ import annotations

from chainproof.contract.errors import ErrorCode
from chainproof.contract.levels import Contract

from ..behaviour.deviations import ANY_OUTPUT, ERROR_OBJECTS
from ..behaviour.errors import Refusal, failure
from .chain_response import Kind, Said

_CODES: dict[Kind, ErrorCode] = {
    Kind.INPUT: ErrorCode.CLIENT_ERROR,
    Kind.RAISED: ErrorCode.APPLICATION_ERROR,
    Kind.SURPRISE: ErrorCode.APPLICATION_ERROR,
    Kind.LOST: ErrorCode.MODEL_UNAVAILABLE,
    Kind.LATE: ErrorCode.TIMEOUT,
}
"""What the strict contract calls each way to fail."""


def refused_as(said: Said, contract: Contract) -> Refusal | None:
    """
    The refusal that a contract has in place of what the chain's server says; None where that is passed on unchanged.
    """
    if said.kind is Kind.OUTPUT:
        # An output is JSON already: its first character tells its kind.
        if ANY_OUTPUT.shown(contract) or said.body.lstrip(b" \t\r\n").startswith(b"{"):
            return None
        return failure(
            ErrorCode.APPLICATION_ERROR, "Expected run_remote to return an object; it returned another value."
        )
    return None if ERROR_OBJECTS.shown(contract) else failure(_CODES[said.kind], said.words)
