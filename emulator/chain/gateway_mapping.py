"""
How each contract passes on what the chain's server says: unchanged, as the service does, or in the document's own terms.
"""

from __future__ import annotations

from chainproof.contract.deviations import ANY_OUTPUT, ERROR_OBJECTS
from chainproof.contract.errors import ErrorCode
from chainproof.contract.levels import Contract

from ..behaviour.errors import ErrorReply, failure
from .chain_response import ChainResponse, ChainResponseKind

_CODES: dict[ChainResponseKind, ErrorCode] = {
    ChainResponseKind.BAD_INPUT: ErrorCode.CLIENT_ERROR,
    ChainResponseKind.EXCEPTION: ErrorCode.APPLICATION_ERROR,
    ChainResponseKind.SERVER_ERROR: ErrorCode.APPLICATION_ERROR,
    ChainResponseKind.PROCESS_EXITED: ErrorCode.MODEL_UNAVAILABLE,
    ChainResponseKind.TIMED_OUT: ErrorCode.TIMEOUT,
}
"""What the strict contract calls each way to fail."""


def replacement_error(said: ChainResponse, contract: Contract) -> ErrorReply | None:
    """
    The refusal that a contract has in place of what the chain's server says; None where that is passed on unchanged.
    """
    if said.kind is ChainResponseKind.OUTPUT:
        # An output is JSON already: its first character tells its kind.
        if ANY_OUTPUT.applies_to(contract) or said.body.lstrip(b" \t\r\n").startswith(b"{"):
            return None
        return failure(
            ErrorCode.APPLICATION_ERROR, "Expected run_remote to return an object; it returned another value."
        )
    return None if ERROR_OBJECTS.applies_to(contract) else failure(_CODES[said.kind], said.public_message)
