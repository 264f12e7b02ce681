"""The rows of `requests.csv`: one for each recorded request, and one for each that was planned and not sent."""

from __future__ import annotations

import re

from chainproof.clock import Seconds
from chainproof.results.exchange import NotSent, Outcome
from chainproof.stored_text import escape_unprintable

from .in_flight_request import InFlightRequest

_FORMULA_SIGNS = ("=", "+", "-", "@")
"""A field that begins with one of these is a formula to a spreadsheet program, which may run commands."""
_PLAIN = re.compile(r"(?![=+@-])[ -~]*")
"""Printable ASCII that is no formula."""


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
    """A text as a field of CSV (RFC 4180). What a target sent cannot end a row, control a terminal or be a formula."""
    if not text:
        return ""
    if not _PLAIN.fullmatch(text):
        text = "'" * text.startswith(_FORMULA_SIGNS) + escape_unprintable(text)
    return '"' + text.replace('"', '""') + '"' if '"' in text or "," in text else text
