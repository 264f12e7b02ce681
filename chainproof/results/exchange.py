"""
One request and its answer, if any.

Instants are stored and durations derived, in seconds since the run began, so that no tool confuses response time with
service time.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from chainproof.clock import Seconds
from chainproof.contract.errors import DOCUMENTED_CODES, Responsible
from chainproof.contract.responsibility import responsible


class Transport(StrEnum):
    """The transport class of an outcome: an answer, or what prevented it."""

    ANSWERED = "answered"
    """A complete HTTP answer was received."""
    NAME_NOT_RESOLVED = "name_not_resolved"
    """The host's name could not be resolved."""
    CONNECTION_REFUSED = "connection_refused"
    """The host refused the connection."""
    CONNECT_TIMED_OUT = "connect_timed_out"
    """No connection by the deadline, or within the timeout of the operating system."""
    CONNECT_FAILED = "connect_failed"
    """No connection for another reason: unreachable, or a failing proxy."""
    NO_RESOURCES = "no_resources"
    """This machine had no free port, file or memory for another connection."""
    TLS_FAILED = "tls_failed"
    """The TLS handshake or the verification of the certificate failed, or a TLS record was invalid."""
    CONNECTION_RESET = "connection_reset"
    """The target reset the connection before the answer was complete."""
    CLOSED_EARLY = "closed_early"
    """The target closed the connection before the answer was complete."""
    CONNECTION_LOST = "connection_lost"
    """The connection ended before the answer was complete, in another or an unknown way."""
    MALFORMED = "malformed"
    """The answer is not valid HTTP."""
    TOO_LARGE = "too_large"
    """The answer is longer than chainproof's limit."""
    DEADLINE = "deadline"
    """No complete answer by the deadline."""
    DRAIN_ENDED = "drain_ended"
    """Still in flight when the drain ended."""


OWN_ERRORS = frozenset({Transport.NO_RESOURCES, Transport.TOO_LARGE})
"""Errors of the load generator: they say nothing about the target."""


class Result(StrEnum):
    """The result of a sent request: sent = ok + failed + timed_out + censored."""

    OK = "ok"
    """Answered 200 without violating a must clause."""
    FAILED = "failed"
    """Any other answer, 429 included, or a transport error."""
    TIMED_OUT = "timed_out"
    """No complete answer by the deadline."""
    CENSORED = "censored"
    """In flight when the drain ended: the service time is at least that long."""


class NotSent(StrEnum):
    """Why a planned request was never sent."""

    MAX_IN_FLIGHT = "max_in_flight"
    """--max-in-flight requests were in flight for as long as a request may take."""
    STOPPED = "stopped"
    """The run was stopped before its turn came."""


class CodeKind(StrEnum):
    """Whether the error code of an answer is a documented one."""

    DOCUMENTED = "documented"
    UNDOCUMENTED = "undocumented"
    ABSENT = "absent"


@dataclass(frozen=True, slots=True)
class Outcome:
    """Transport class × HTTP status × error code, and the result that follows."""

    transport: Transport
    status: int | None
    error_code: str | None
    """As the target wrote it; may be undocumented."""
    result: Result
    responsible: Responsible | None = None
    """Who is responsible for an answer that is not ok; None if there is no answer, or it was not recorded."""

    @property
    def code_kind(self) -> CodeKind | None:
        """Whether the error code is documented; None if there is no error answer."""
        if self.transport is not Transport.ANSWERED or self.status == 200:
            return None
        if self.error_code is None:
            return CodeKind.ABSENT
        return CodeKind.DOCUMENTED if self.error_code in DOCUMENTED_CODES else CodeKind.UNDOCUMENTED

    @property
    def rejects_key(self) -> bool:
        """True if the gateway rejects the caller's key. A chain may answer 401 because of another key."""
        return self.status in (401, 403) and self.responsible is not Responsible.CHAIN


def responsible_for_outcome(outcome: Outcome) -> Responsible | None:
    """Who is responsible for an outcome; None if it is ok, or it is unknown."""
    if outcome.responsible is not None:
        return outcome.responsible
    if outcome.transport in OWN_ERRORS:
        return Responsible.GENERATOR
    if outcome.transport is not Transport.ANSWERED or outcome.result is Result.OK:
        return None
    return Responsible.CHAIN if outcome.status == 200 else responsible(outcome.error_code, outcome.status)


@dataclass(frozen=True, slots=True, kw_only=True)
class Exchange:
    """One request and its answer, if any; times in seconds since the run began."""

    number: int
    """Index in the plan, from 0."""
    intended_start: Seconds
    start: Seconds
    """When it was sent."""
    end: Seconds
    """When the answer was complete, or when waiting for it ended."""
    outcome: Outcome
    slot_wait: Seconds = 0.0
    """Time that it waited for a free slot because --max-in-flight requests were in flight."""
    request_id: str | None = None
    attempts: str | None = None
    """Number of attempts by the gateway, from the answer."""
    first_byte: Seconds | None = None
    """When the first byte of the answer arrived."""
    connect_time: Seconds | None = None
    """None on a reused connection."""
    tls_time: Seconds | None = None

    @property
    def time_to_first_byte(self) -> Seconds | None:
        """Time from the actual start to the first byte of the answer."""
        return None if self.first_byte is None else self.first_byte - self.start

    @property
    def response_time(self) -> Seconds:
        """Time that the caller waited, measured from the intended start."""
        return self.end - self.intended_start

    @property
    def service_time(self) -> Seconds:
        """Time from the actual start to the end."""
        return self.end - self.start

    @property
    def schedule_lag(self) -> Seconds:
        """How late the generator sent it, without the wait for a slot."""
        return self.start - self.intended_start - self.slot_wait
