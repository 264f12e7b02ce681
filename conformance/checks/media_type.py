"""
Under which Content-Type a body is accepted.
"""

from __future__ import annotations

from chainproof.contract import clauses
from chainproof.contract.departures import Departure
from chainproof.contract.fields import Field

from ..examination import Examination
from . import upholds

_SPELLINGS = (
    "application/json; charset=utf-8",
    "application/json;charset=UTF-8",
    'application/json; charset="utf-8"',
    "Application/JSON",
    "application/json ; x=y",
)

_OTHERS: tuple[tuple[str, tuple[Field, ...]], ...] = (
    ("a body without Content-Type", ()),
    ("an empty Content-Type", (("Content-Type", ""),)),
    *(
        (f"an object as {name}", (("Content-Type", name),))
        for name in (
            "text/plain",
            "text/json",
            "application/xml",
            "application/x-www-form-urlencoded",
            "application/octet-stream",
            "application/jsonx",
            "application",
            "multipart/form-data",
            "*/*",
        )
    ),
)


@upholds(clauses.MEDIA_TYPE_PARAMETERS)
def letter_case_and_parameters_change_nothing(examination: Examination) -> None:
    """
    However `application/json` is spelled, the answer is the one that its plain spelling gets.
    """
    plain = examination.ask(examination.request())
    for spelling in _SPELLINGS:
        request = examination.request(fields=(("Content-Type", spelling),), label=f"Content-Type: {spelling}")
        other = examination.ask(request)
        if examination.settings.echo or plain.answer is None or other.answer is None:
            continue
        here, there = plain.answer.status, other.answer.status
        if {here, there} <= {200, 400, 415}:
            departure = Departure(
                clause=clauses.MEDIA_TYPE_PARAMETERS,
                expected=f"status {here}, as under application/json",
                actual=f"status {there} to {request.label}",
            )
            examination.hold(clauses.MEDIA_TYPE_PARAMETERS, None if here == there else departure, request, other.answer)


@upholds(clauses.MEDIA_TYPE_REQUIRED)
def other_media_types_are_refused(examination: Examination) -> None:
    """
    An object under another media type, or under none, is not what the document describes.
    """
    for label, fields in _OTHERS:
        examination.ask(examination.request(fields=fields, label=label))
