"""An exemplar: one real exchange that illustrates an outcome or the slowest requests, with its request id."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NotRequired, TypedDict

from chainproof.results.exchange import CodeKind, Exchange
from chainproof.results.stored_body import StoredBody, StoredBodyData


class ExemplarData(TypedDict):
    """One line of `exemplars.jsonl`. A later line for the same number replaces an earlier one."""

    number: int
    why: str
    intended_start_s: float
    response_time_s: float
    service_time_s: float
    schedule_lag_s: float
    transport: str
    status: int | None
    error_code: str | None
    error_code_kind: str | None
    result: str
    request_id: str | None
    reason: str
    attempts: NotRequired[str]
    """Present only if known, like the next three."""
    time_to_first_byte_s: NotRequired[float]
    connect_time_s: NotRequired[float]
    tls_time_s: NotRequired[float]
    request_body: NotRequired[StoredBodyData]
    """Present only with --keep-bodies, like the next."""
    answer_body: NotRequired[StoredBodyData]


@dataclass(frozen=True, slots=True, kw_only=True)
class Exemplar:
    """One exchange as it is stored and shown; with its bodies only if --keep-bodies was given."""

    number: int
    why: str
    """`slowest`, or `outcome` for one of the first exchanges with an outcome."""
    intended_start: float
    response_time: float
    service_time: float
    schedule_lag: float
    transport: str
    status: int | None
    error_code: str | None
    error_code_kind: str | None
    result: str
    request_id: str | None
    reason: str = ""
    """The reason for its result in one line: a violated clause or a transport error."""
    attempts: str | None = None
    """Number of attempts by the gateway, from the answer."""
    time_to_first_byte: float | None = None
    connect_time: float | None = None
    """None on a reused connection."""
    tls_time: float | None = None
    request_body: StoredBody | None = None
    """None without --keep-bodies."""
    answer_body: StoredBody | None = None
    """None without --keep-bodies, or without an answer."""

    def to_json(self) -> ExemplarData:
        """The exemplar as JSON types."""
        data: ExemplarData = {
            "number": self.number,
            "why": self.why,
            "intended_start_s": self.intended_start,
            "response_time_s": self.response_time,
            "service_time_s": self.service_time,
            "schedule_lag_s": self.schedule_lag,
            "transport": self.transport,
            "status": self.status,
            "error_code": self.error_code,
            "error_code_kind": self.error_code_kind,
            "result": self.result,
            "request_id": self.request_id,
            "reason": self.reason,
        }
        if self.attempts is not None:
            data["attempts"] = self.attempts
        if self.time_to_first_byte is not None:
            data["time_to_first_byte_s"] = self.time_to_first_byte
        if self.connect_time is not None:
            data["connect_time_s"] = self.connect_time
        if self.tls_time is not None:
            data["tls_time_s"] = self.tls_time
        if self.request_body is not None:
            data["request_body"] = self.request_body.to_json()
        if self.answer_body is not None:
            data["answer_body"] = self.answer_body.to_json()
        return data

    @classmethod
    def from_json(cls, data: ExemplarData) -> Exemplar:
        """The exemplar that `to_json` wrote. Raises KeyError on anything else."""
        return cls(
            number=data["number"],
            why=data["why"],
            intended_start=data["intended_start_s"],
            response_time=data["response_time_s"],
            service_time=data["service_time_s"],
            schedule_lag=data["schedule_lag_s"],
            transport=data["transport"],
            status=data["status"],
            error_code=data["error_code"],
            error_code_kind=data["error_code_kind"],
            result=data["result"],
            request_id=data["request_id"],
            reason=data["reason"],
            attempts=data.get("attempts"),
            time_to_first_byte=data.get("time_to_first_byte_s"),
            connect_time=data.get("connect_time_s"),
            tls_time=data.get("tls_time_s"),
            request_body=_body(data.get("request_body")),
            answer_body=_body(data.get("answer_body")),
        )


def _body(data: StoredBodyData | None) -> StoredBody | None:
    return None if data is None else StoredBody.from_json(data)


def exemplar(
    exchange: Exchange,
    *,
    why: str,
    reason: str = "",
    request_body: StoredBody | None = None,
    answer_body: StoredBody | None = None,
) -> Exemplar:
    """The exemplar of an exchange, and why it was selected."""
    kind: CodeKind | None = exchange.outcome.code_kind
    return Exemplar(
        number=exchange.number,
        why=why,
        intended_start=exchange.intended_start,
        response_time=exchange.response_time,
        service_time=exchange.service_time,
        schedule_lag=exchange.schedule_lag,
        transport=exchange.outcome.transport.value,
        status=exchange.outcome.status,
        error_code=exchange.outcome.error_code,
        error_code_kind=kind.value if kind is not None else None,
        result=exchange.outcome.result.value,
        request_id=exchange.request_id,
        reason=reason,
        attempts=exchange.attempts,
        time_to_first_byte=exchange.time_to_first_byte,
        connect_time=exchange.connect_time,
        tls_time=exchange.tls_time,
        request_body=request_body,
        answer_body=answer_body,
    )
