"""
One request and whatever came back.

Instants are kept and durations derived, in seconds since the run began, so that no tool can mix up what the caller
waited with what the wire took.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from chainproof.clock import Seconds
from chainproof.contract.errors import DOCUMENTED_CODES


class Transport(StrEnum):
    """
    How far the bytes got: the transport class of an outcome.
    """

    ANSWERED = "answered"
    """A complete HTTP answer came back."""
    NAME_NOT_RESOLVED = "name_not_resolved"
    """The host's name could not be resolved."""
    CONNECTION_REFUSED = "connection_refused"
    """The host is there and takes no connection at the port."""
    CONNECT_TIMED_OUT = "connect_timed_out"
    """No connection by the deadline, or before the system gave up trying."""
    CONNECT_FAILED = "connect_failed"
    """No connection for another reason: unreachable, out of local ports, or a proxy that leads nowhere."""
    TLS_FAILED = "tls_failed"
    """The TLS handshake failed, the certificate's verification included, or a record could not be trusted."""
    CONNECTION_RESET = "connection_reset"
    """The other side broke the connection off before the answer was complete."""
    CLOSED_EARLY = "closed_early"
    """The other side ended the connection in good order before the answer was complete."""
    CONNECTION_LOST = "connection_lost"
    """The connection ended before the answer was complete, otherwise than by the other side, or nobody looked how."""
    MALFORMED = "malformed"
    """What came back is not HTTP."""
    TOO_LARGE = "too_large"
    """The answer is longer than we are willing to hold."""
    DEADLINE = "deadline"
    """No complete answer by the deadline."""
    DRAIN_ENDED = "drain_ended"
    """Still in flight when the run stopped waiting."""


class Result(StrEnum):
    """
    Where a sent request stands in the accounting: sent = ok + failed + timed_out + censored.
    """

    OK = "ok"
    """Answered 200, and no must-clause broken."""
    FAILED = "failed"
    """Any other answer, 429 included, or a transport error."""
    TIMED_OUT = "timed_out"
    """No complete answer by the deadline."""
    CENSORED = "censored"
    """In flight when the drain ended: it took at least that long, nobody knows how long."""


class NotSent(StrEnum):
    """
    Why a planned request was never sent.
    """

    MAX_IN_FLIGHT = "max_in_flight"
    """For as long as a request may take, as many were in flight as --max-in-flight allows."""
    STOPPED = "stopped"
    """The run was stopped before its turn came."""


class CodeKind(StrEnum):
    """
    Whether the error code of an answer is one of the ten.
    """

    DOCUMENTED = "documented"
    UNDOCUMENTED = "undocumented"
    ABSENT = "absent"


@dataclass(frozen=True, slots=True)
class Outcome:
    """
    Transport class × HTTP status × error code, and the result that follows.
    """

    transport: Transport
    status: int | None
    error_code: str | None
    """As the target spelled it: it may have invented one."""
    result: Result

    @property
    def code_kind(self) -> CodeKind | None:
        """Whether an error's code is one of the ten; None where there is no error answer to carry one."""
        if self.transport is not Transport.ANSWERED or self.status == 200:
            return None
        if self.error_code is None:
            return CodeKind.ABSENT
        return CodeKind.DOCUMENTED if self.error_code in DOCUMENTED_CODES else CodeKind.UNDOCUMENTED


@dataclass(frozen=True, slots=True, kw_only=True)
class Exchange:
    """
    One request and whatever came back, in seconds since the run began.
    """

    number: int
    """Its place in the plan, from 0."""
    intended_start: Seconds
    start: Seconds
    """When it was really sent."""
    end: Seconds
    """When the answer was complete, or when we stopped waiting for it."""
    outcome: Outcome
    slot_wait: Seconds = 0.0
    """How long no slot was free for it, with as many in flight as there may be."""
    request_id: str | None = None
    attempts: str | None = None
    """How often the gateway tried, as the answer says it."""
    first_byte: Seconds | None = None
    """When the first of the answer came in."""
    connect_time: Seconds | None = None
    """What connecting took; None on a connection that was there already."""
    tls_time: Seconds | None = None

    @property
    def time_to_first_byte(self) -> Seconds | None:
        """From the actual start to the first of the answer."""
        return None if self.first_byte is None else self.first_byte - self.start

    @property
    def response_time(self) -> Seconds:
        """What the caller waited, from the moment the schedule asked."""
        return self.end - self.intended_start

    @property
    def service_time(self) -> Seconds:
        """What the wire took, from the moment we sent it."""
        return self.end - self.start

    @property
    def schedule_lag(self) -> Seconds:
        """How late *we* were; large values indict the generator."""
        return self.start - self.intended_start - self.slot_wait
