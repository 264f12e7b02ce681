"""
Map exceptions of the system, of TLS and of the HTTP parser to transport errors.

The stage of the request matters: the same exception means one thing while connecting and another while reading.
"""

from __future__ import annotations

import errno
import ssl
from enum import StrEnum

import httptools

from chainproof.endpoint import tls_error_text
from chainproof.results.exchange import Transport


class RequestStage(StrEnum):
    """What a request was doing when an error occurred. The value completes "the deadline passed while …"."""

    RESOLVING = "resolving the name"
    CONNECTING = "connecting"
    TUNNELLING = "opening a tunnel through the proxy"
    TLS_HANDSHAKE = "negotiating TLS"
    SENDING = "sending"
    AWAITING = "waiting for an answer"
    READING = "reading the answer"


class RequestFailed(Exception):
    """A request that got no answer, with its transport error."""

    def __init__(self, transport: Transport, reason: str) -> None:
        super().__init__(reason)
        self.transport = transport
        self.reason = reason


CONNECT_ERRORS = {
    errno.ECONNREFUSED: Transport.CONNECTION_REFUSED,
    errno.ETIMEDOUT: Transport.CONNECT_TIMED_OUT,
    errno.ECONNRESET: Transport.CONNECTION_RESET,  # accepted, then reset
    **dict.fromkeys(
        (errno.EADDRNOTAVAIL, errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM), Transport.NO_RESOURCES
    ),
}
"""System errors while connecting. All others are CONNECT_FAILED."""

CONNECTION_LOSS_ERRORS = {
    errno.ECONNRESET: Transport.CONNECTION_RESET,
    errno.EPIPE: Transport.CONNECTION_RESET,
    errno.ECONNABORTED: Transport.CONNECTION_RESET,
    errno.ESHUTDOWN: Transport.CONNECTION_RESET,
}
"""System errors on an open connection. All others are CONNECTION_LOST."""

PROTOCOL_ERRORS = (httptools.HttpParserError, httptools.HttpParserUpgrade)
"""Exceptions of the HTTP parser."""

_BY_STAGE = {
    RequestStage.RESOLVING: Transport.NAME_NOT_RESOLVED,
    RequestStage.TUNNELLING: Transport.CONNECT_FAILED,
    RequestStage.TLS_HANDSHAKE: Transport.TLS_FAILED,
}
"""Stages in which every system error means the same."""

_STAGE_SUFFIX = {
    RequestStage.SENDING: ", while sending",
    RequestStage.AWAITING: ", before any answer",
    RequestStage.READING: ", in the middle of the answer",
}


def transport_of(error: Exception, stage: RequestStage) -> Transport:
    """The transport error for an exception in a stage. Raises TypeError unless it is an OSError or the parser's."""
    if isinstance(error, PROTOCOL_ERRORS):
        return Transport.MALFORMED
    if not isinstance(error, OSError):
        raise TypeError(f"expected an error of the system, of TLS or of the HTTP parser, found {type(error).__name__}")
    if stage in _BY_STAGE:
        return _BY_STAGE[stage]
    if isinstance(error, ssl.SSLEOFError | ssl.SSLZeroReturnError):
        return Transport.CLOSED_EARLY
    if isinstance(error, ssl.SSLError):
        return Transport.TLS_FAILED
    if stage is RequestStage.CONNECTING:
        return CONNECT_ERRORS.get(error.errno or 0, Transport.CONNECT_FAILED)
    return CONNECTION_LOSS_ERRORS.get(error.errno or 0, Transport.CONNECTION_LOST)


def failure_from(error: Exception, stage: RequestStage) -> RequestFailed:
    """The failure for an exception in a stage."""
    return RequestFailed(transport_of(error, stage), f"{reason_of(error)}{_STAGE_SUFFIX.get(stage, '')}")


def deadline_exceeded(stage: RequestStage) -> RequestFailed:
    """The failure of a request whose deadline passed."""
    transport = Transport.CONNECT_TIMED_OUT if stage is RequestStage.CONNECTING else Transport.DEADLINE
    return RequestFailed(transport, f"no complete answer by the deadline, which passed while {stage}")


def closed_early(stage: RequestStage) -> RequestFailed:
    """The failure of a request whose connection was closed in an orderly way before the answer was complete."""
    return RequestFailed(Transport.CLOSED_EARLY, f"closed{_STAGE_SUFFIX[stage]}")


def reason_of(error: Exception) -> str:
    """An exception in a few words."""
    if isinstance(error, PROTOCOL_ERRORS):
        return f"not HTTP/1.1: {str(error) or type(error).__name__}"[:120]
    if isinstance(error, ssl.SSLCertVerificationError):
        return f"certificate not accepted: {error.verify_message}"
    if isinstance(error, ssl.SSLError):
        return tls_error_text(error)
    message = error.strerror if isinstance(error, OSError) else None
    return (message or type(error).__name__).lower()
