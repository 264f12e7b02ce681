"""Gateway mapping: under each contract, which responses of the chain are passed on and which are replaced by an error."""

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
    ChainResponseKind.CONNECTION_LOST: ErrorCode.MODEL_UNAVAILABLE,
    ChainResponseKind.TIMED_OUT: ErrorCode.TIMEOUT,
}
"""The error code of each kind of failure under the strict contract."""


def replacement_error(response: ChainResponse, contract: Contract) -> ErrorReply | None:
    """The error that replaces a response of the chain; None if the response is passed on unchanged."""
    if response.kind is ChainResponseKind.OUTPUT:
        # An output is valid JSON, so the first character determines its type.
        if ANY_OUTPUT.applies_to(contract) or response.body.lstrip(b" \t\r\n").startswith(b"{"):
            return None
        return failure(
            ErrorCode.APPLICATION_ERROR, "Expected run_remote to return an object; it returned another value."
        )
    return None if ERROR_OBJECTS.applies_to(contract) else failure(_CODES[response.kind], response.public_message)
