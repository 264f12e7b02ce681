"""Error replies: status, code and message for requests that are not served."""

from __future__ import annotations

from dataclasses import dataclass

from chainproof.contract.errors import PAIRING_BY_CODE, ErrorCode


@dataclass(frozen=True, slots=True, kw_only=True)
class NonJsonBody:
    """A body that is not JSON, sent instead of an `ErrorResponse`."""

    media_type: str
    text: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ErrorReply:
    """The error for a request that is not served. Its texts never quote the request, so that secrets cannot leak."""

    status: int
    code: ErrorCode
    detail: str
    error: str = ""
    """The `error` member; if empty, the text in `ERROR_MESSAGES`."""
    headers: tuple[tuple[str, str], ...] = ()
    on_demand: bool = False
    """Whether X-Emulate requested this code. If so, the answer names the code under every contract."""
    non_json_body: NonJsonBody | None = None
    """Replaces the `ErrorResponse`."""

    @property
    def message(self) -> str:
        """The value of `error`."""
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
"""The default value of `error` for each code."""


def bad_request(detail: str) -> ErrorReply:
    """A 400 that says what the caller must change."""
    return ErrorReply(status=400, code=ErrorCode.CLIENT_ERROR, detail=detail)


def failure(code: ErrorCode, detail: str, status: int | None = None) -> ErrorReply:
    """The error for a code, by default with the strict contract's first status for it."""
    return ErrorReply(status=status or PAIRING_BY_CODE[code].strict[0], code=code, detail=detail)
