"""
One real exchange kept to illustrate an outcome or the tail, with its request id.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypedDict

from chainproof.results.exchange import CodeKind, Exchange


class ExemplarData(TypedDict):
    """
    One line of `exemplars.jsonl`. A later line for the same number replaces an earlier one.
    """

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
    fate: str
    request_id: str | None
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Exemplar:
    """
    What is worth showing of one exchange. Bodies are not kept: they are the caller's business.
    """

    number: int
    why: str
    """`slowest`, or `outcome` for one of the first of its kind."""
    intended_start: float
    response_time: float
    service_time: float
    schedule_lag: float
    transport: str
    status: int | None
    error_code: str | None
    error_code_kind: str | None
    fate: str
    request_id: str | None
    reason: str = ""
    """Why it counts as it does, in one line: a clause broken, or what the transport said."""

    def to_json(self) -> ExemplarData:
        """The exemplar as JSON types."""
        return {
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
            "fate": self.fate,
            "request_id": self.request_id,
            "reason": self.reason,
        }

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
            fate=data["fate"],
            request_id=data["request_id"],
            reason=data["reason"],
        )


def exemplar(exchange: Exchange, *, why: str, reason: str = "") -> Exemplar:
    """
    What is worth showing of an exchange, and why it is shown.
    """
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
        fate=exchange.outcome.fate.value,
        request_id=exchange.request_id,
        reason=reason,
    )
