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
    payload = encoded.payload_name if encoded is not None else None
    status = "" if outcome.status is None else outcome.status
    return ",".join(
        (
            f"{request.intended_start:.9f},{request.start:.9f},{request.end:.9f}",
            f"{outcome.result.value},{outcome.transport.value},{status}",
            *map(_field, (outcome.error_code, phase, payload, request_id)),
            worker,
        )
    )


def unsent_row(intended_start: Seconds, why: NotSent, *, phase: str | None, worker: str) -> str:
    """The row of a planned request that was not sent."""
    return f"{intended_start:.9f},,,not_sent,{why.value},,,{_field(phase)},,,{worker}"


def _field(text: str | None) -> str:
    """A text as a field of CSV (RFC 4180). What a target sent cannot end a row."""
    if text is None or _PLAIN.fullmatch(text):
        return text or ""
    return '"' + _UNPRINTABLE.sub(" ", text).replace('"', '""') + '"'
