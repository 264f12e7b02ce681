"""The rows of `requests.csv`: one for each recorded request, and one for each that was planned and not sent."""

from __future__ import annotations

import re

from chainproof.clock import Seconds
from chainproof.results.exchange import NotSent, Outcome

from .in_flight_request import InFlightRequest

_PLAIN = re.compile(r'[^",\x00-\x1f\x7f]*')
_UNPRINTABLE = re.compile(r"[\x00-\x1f\x7f]")


def request_row(request: InFlightRequest, outcome: Outcome, *, phase: str | None, request_id: str, worker: str) -> str:
    """The row of a request that was sent, without the end of the line."""
    encoded = request.encoded_request
    assert request.start is not None
    return _row(
        f"{request.intended_start:.9f}",
        f"{request.start:.9f}",
        f"{request.end:.9f}",
        outcome.result.value,
        outcome.transport.value,
        "" if outcome.status is None else str(outcome.status),
        outcome.error_code or "",
        phase or "",
        (encoded.payload_name if encoded is not None else None) or "",
        request_id,
        worker,
    )


def unsent_row(intended_start: Seconds, why: NotSent, *, phase: str | None, worker: str) -> str:
    """The row of a planned request that was not sent."""
    return _row(f"{intended_start:.9f}", "", "", "not_sent", why.value, "", "", phase or "", "", "", worker)


def _row(*fields: str) -> str:
    """Fields as CSV (RFC 4180). What a target sent cannot end a row."""
    return ",".join(field if _PLAIN.fullmatch(field) else _quoted(field) for field in fields)


def _quoted(field: str) -> str:
    """A field in quotes, without control characters."""
    return '"' + _UNPRINTABLE.sub(" ", field).replace('"', '""') + '"'
