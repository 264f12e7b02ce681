"""
Header fields: those of answers follow their grammar, and requests may have many of them.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

from chainproof.contract import clauses
from chainproof.contract.violations import Violation

from ..judging.judge import BUSY_STATUSES
from ..probing.raw_requests import send_reference_request
from ..probing.requester import Requester
from ..transport.request import CheckRequest
from . import check_for
from .framing import requests_of_every_kind

_MANY_FIELDS = 90
"""Fields that a request may have. Common servers accept 100."""

_REJECTED_AS_TOO_LARGE = frozenset({400, 413, 431})
"""Statuses by which a server rejects a head that is larger than it wishes to process (RFC 9110 §5.4, RFC 6585 §5)."""


@check_for(clauses.FIELD_SYNTAX, clauses.FIELD_CONVENTIONS)
def header_fields_of_answers_follow_their_grammar(requester: Requester) -> None:
    """
    Date, Content-Type, Cache-Control and other standard fields are valid in answers of every kind.
    """
    for request in requests_of_every_kind(requester):
        requester.send(request)


# ------------------------------------------------------------------ many fields


@check_for(clauses.FIELD_COUNT, clauses.REQUEST_FRAMING)
def many_header_fields_are_accepted(requester: Requester) -> None:
    """
    A request with 90 small header fields is answered like one with few, wherever the key stands among them. To reject it
    as too large is only a warning; to ignore some fields is not.
    """
    reference = send_reference_request(requester)
    if reference.status is None:
        return
    for request in _requests_with_many_fields(requester):
        received = requester.send_once(request)
        answer = received.answer
        if answer is None or answer.status == reference.status:
            requester.record(request, received, None)
        if answer is None or answer.status == reference.status:
            requester.record_clause(clauses.FIELD_COUNT, None, request, answer)
        elif answer.status not in BUSY_STATUSES:
            clause = clauses.FIELD_COUNT if answer.status in _REJECTED_AS_TOO_LARGE else clauses.REQUEST_FRAMING
            violation = Violation(
                clause=clause,
                expected=f"status {reference.status}, as for a request with few header fields",
                actual=f"status {answer.status} to a request with {_MANY_FIELDS} header fields",
            )
            requester.record_clause(clause, violation, request, answer)


def _requests_with_many_fields(requester: Requester) -> Iterable[CheckRequest]:
    """
    Requests with many header fields: different ones after the others, before them, and one field many times.
    """
    plain = requester.prepare(requester.build_request())
    count = _MANY_FIELDS - len(plain.fields) - 2  # Host and Content-Length are added when it is sent
    different = tuple((f"X-Chainproof-{number}", f"{number}") for number in range(count))
    label = f"a request with {_MANY_FIELDS} header fields"
    yield replace(plain, fields=(*plain.fields, *different), label=label)
    yield replace(plain, fields=(*different, *plain.fields), label=f"{label}, the key last")
    yield replace(plain, fields=((("X-Chainproof", "1"),) * count + plain.fields), label=f"{label}, most of them equal")
