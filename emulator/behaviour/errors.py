"""
A request that is not served: with what status, which of the ten codes, and in which words.
"""

from __future__ import annotations

from dataclasses import dataclass

from chainproof.contract.errors import PAIRING_BY_CODE, ErrorCode


@dataclass(frozen=True, slots=True, kw_only=True)
class NonJsonBody:
    """
    A body that is no JSON.
    """

    media_type: str
    text: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ErrorReply:
    """
    Why a request is not served. The words never repeat the request: nothing secret can come back.
    """

    status: int
    code: ErrorCode
    detail: str
    error: str = ""
    """Empty: the sentence that the code has in `ERROR_MESSAGES`."""
    headers: tuple[tuple[str, str], ...] = ()
    on_demand: bool = False
    """Whether the caller asked for this very code: then the answer names it, whatever the contract's errors look like."""
    non_json_body: NonJsonBody | None = None
    """What is said in place of an `ErrorResponse`."""

    @property
    def message(self) -> str:
        """What `error` says."""
        return self.error or ERROR_MESSAGES[self.code]


ERROR_MESSAGES: dict[ErrorCode, str] = {
    ErrorCode.TIMEOUT: "The chain did not finish within the time allowed.",
    ErrorCode.CLIENT_ERROR: "The request cannot be served as it was sent.",
    ErrorCode.MODEL_UNAVAILABLE: "No replica of the chain could be reached.",
    ErrorCode.MODEL_NOT_READY: "The chain is still starting.",
    ErrorCode.MODEL_DOES_NOT_EXIST: "There is no such chain, or it was deleted.",
    ErrorCode.RATE_LIMITED: "Too many requests.",
    ErrorCode.PAYLOAD_TOO_LARGE: "The request body is too large.",
    ErrorCode.UNAUTHORIZED: "The API key is missing or invalid.",
    ErrorCode.APPLICATION_ERROR: "The chain's own code failed.",
    ErrorCode.INTERNAL_BASETEN_ERROR: "The platform failed while serving the request.",
}
"""What `error` says with each code."""


def bad_request(detail: str) -> ErrorReply:
    """
    What the caller has to change before sending the request again.
    """
    return ErrorReply(status=400, code=ErrorCode.CLIENT_ERROR, detail=detail)


def failure(code: ErrorCode, detail: str, status: int | None = None) -> ErrorReply:
    """
    A code with the first status of its row in the strict contract, or with another one.
    """
    return ErrorReply(status=status or PAIRING_BY_CODE[code].strict[0], code=code, detail=detail)
