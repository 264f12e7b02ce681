"""
From what the system, TLS and the parser raise to how far a request got.

One table for every stage of a request: the same error means another thing while connecting than while reading.
"""

from __future__ import annotations

import errno
import ssl
from enum import StrEnum

import httptools

from chainproof.results.exchange import Transport


class RequestStage(StrEnum):
    """
    What a request was at when something went wrong; the value completes "the deadline came while …".
    """

    RESOLVING = "resolving the name"
    CONNECTING = "connecting"
    TUNNELLING = "asking the proxy"
    TLS_HANDSHAKE = "shaking hands for TLS"
    SENDING = "sending"
    AWAITING = "awaiting an answer"
    READING = "reading the answer"


class RequestFailed(Exception):
    """
    A request that got no answer, and how far it came.
    """

    def __init__(self, transport: Transport, reason: str) -> None:
        super().__init__(reason)
        self.transport = transport
        self.reason = reason


CONNECT_ERRORS = {
    errno.ECONNREFUSED: Transport.CONNECTION_REFUSED,
    errno.ETIMEDOUT: Transport.CONNECT_TIMED_OUT,
    errno.ECONNRESET: Transport.CONNECTION_RESET,  # taken, and broken off before we had looked
}
"""What the system says of a connection that does not come about; anything else is CONNECT_FAILED."""

CONNECTION_LOSS_ERRORS = {
    errno.ECONNRESET: Transport.CONNECTION_RESET,
    errno.EPIPE: Transport.CONNECTION_RESET,
    errno.ECONNABORTED: Transport.CONNECTION_RESET,
    errno.ESHUTDOWN: Transport.CONNECTION_RESET,
}
"""What the system says of a connection that comes to an end; anything else is CONNECTION_LOST."""

PROTOCOL_ERRORS = (httptools.HttpParserError, httptools.HttpParserUpgrade)
"""What the parser raises."""

_OUTRIGHT = {
    RequestStage.RESOLVING: Transport.NAME_NOT_RESOLVED,
    RequestStage.TUNNELLING: Transport.CONNECT_FAILED,
    RequestStage.TLS_HANDSHAKE: Transport.TLS_FAILED,
}
"""Stages that fail in one way, whatever the system says."""

_PART = {
    RequestStage.SENDING: ", while sending",
    RequestStage.AWAITING: ", before any answer",
    RequestStage.READING: ", in the middle of the answer",
}


def transport_of(wrong: Exception, stage: RequestStage) -> Transport:
    """
    The transport class of what was raised at a stage. Anything but OSError and the parser's errors is a TypeError.
    """
    if isinstance(wrong, PROTOCOL_ERRORS):
        return Transport.MALFORMED
    if not isinstance(wrong, OSError):
        raise TypeError(f"expected an error of the system's, of TLS or of the parser, found {type(wrong).__name__}")
    if stage in _OUTRIGHT:
        return _OUTRIGHT[stage]
    if isinstance(wrong, ssl.SSLEOFError | ssl.SSLZeroReturnError):
        return Transport.CLOSED_EARLY
    if isinstance(wrong, ssl.SSLError):
        return Transport.TLS_FAILED
    if stage is RequestStage.CONNECTING:
        return CONNECT_ERRORS.get(wrong.errno or 0, Transport.CONNECT_FAILED)
    return CONNECTION_LOSS_ERRORS.get(wrong.errno or 0, Transport.CONNECTION_LOST)


def failure_from(wrong: Exception, stage: RequestStage) -> RequestFailed:
    """
    What was raised at a stage, as how far the request got.
    """
    return RequestFailed(transport_of(wrong, stage), f"{reason_of(wrong)}{_PART.get(stage, '')}")


def deadline_exceeded(stage: RequestStage) -> RequestFailed:
    """
    The deadline, as how far the request got.
    """
    transport = Transport.CONNECT_TIMED_OUT if stage is RequestStage.CONNECTING else Transport.DEADLINE
    return RequestFailed(transport, f"no complete answer by the deadline, which came while {stage}")


def closed_early(stage: RequestStage) -> RequestFailed:
    """
    The orderly end of a connection in the midst of a request.
    """
    return RequestFailed(Transport.CLOSED_EARLY, f"closed{_PART[stage]}")


def reason_of(wrong: Exception) -> str:
    """
    What was raised, in a few words.
    """
    if isinstance(wrong, PROTOCOL_ERRORS):
        return f"not HTTP/1.1: {str(wrong) or type(wrong).__name__}"[:120]
    if isinstance(wrong, ssl.SSLCertVerificationError):
        return f"certificate not accepted: {wrong.verify_message}"
    if isinstance(wrong, ssl.SSLError):
        return (wrong.reason or "end of file").lower().replace("_", " ")
    words = wrong.strerror if isinstance(wrong, OSError) else None
    return (words or type(wrong).__name__).lower()
