"""An exemplar: one real exchange that illustrates an outcome or the slowest requests, with its request id."""

from __future__ import annotations

from dataclasses import MISSING, dataclass, fields
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


_TIMES = (
    *("intended_start", "response_time", "service_time", "schedule_lag"),
    *("time_to_first_byte", "connect_time", "tls_time"),
)
_JSON_NAMES = {name: f"{name}_s" for name in _TIMES}
"""The names in JSON that differ from those of the fields."""


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
        """The exemplar as JSON types, without what is not known."""
        data: dict[str, object] = {}
        for each in fields(self):
            value = getattr(self, each.name)
            if value is not None or each.default is MISSING:
                data[_JSON_NAMES.get(each.name, each.name)] = (
                    value.to_json() if isinstance(value, StoredBody) else value
                )
        return data  # type: ignore[return-value]  # the names are those of the fields

    @classmethod
    def from_json(cls, data: ExemplarData) -> Exemplar:
        """The exemplar that `to_json` wrote. Raises KeyError on anything else."""
        values: dict[str, object] = {}
        for each in fields(cls):
            name = _JSON_NAMES.get(each.name, each.name)
            if name in data or each.default is MISSING:
                values[each.name] = data[name]  # type: ignore[literal-required]  # the names are those of the fields
        for name in ("request_body", "answer_body"):
            if name in values:
                values[name] = StoredBody.from_json(data[name])  # type: ignore[literal-required]  # one of its keys
        return cls(**values)  # type: ignore[arg-type]  # by name


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
