"""Field faults: answers have invalid header fields, and valid header fields of requests are mistreated."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import replace
from email.utils import formatdate, parsedate_to_datetime

from chainproof.contract import http_clauses
from chainproof.contract.answer import Answer
from chainproof.contract.clauses import (
    DATE_ACCURATE,
    FIELD_CONVENTIONS,
    FIELD_COUNT,
    FIELD_SYNTAX,
    HOST_FORMS,
    HOST_TRAILING_DOT,
    REQUEST_FRAMING,
)

from .fault import FaultRegistrar, FaultStage
from .hooks import DecideHook, OutgoingAnswer, RequestContext, SendHook, Step, error, with_header

_faults = FaultRegistrar(stage=FaultStage.ANSWER)
_request_faults = FaultRegistrar(stage=FaultStage.PARSING)


def _with_field(name: str, *values: str, when: Callable[[Answer], bool] = lambda _: True) -> DecideHook:
    """A hook that sets one header field of the answers that meet a condition."""
    return lambda context: (
        with_header(context.correct_answer(), name, *values)
        if when(context.correct_answer())
        else context.correct_answer()
    )


def _with_date(change: Callable[[bytes], bytes]) -> SendHook:
    """A hook that changes the value of Date."""

    def send(outgoing: OutgoingAnswer) -> Iterator[Step]:
        date = re.compile(rb"(?<=\r\nDate: )[^\r]*")
        yield date.sub(lambda match: change(match[0]), outgoing.head) + outgoing.body

    return send


def _later(date: bytes, hours: int) -> bytes:
    """A date some hours later."""
    return formatdate(parsedate_to_datetime(date.decode()).timestamp() + 3600 * hours, usegmt=True).encode()


def _is_error(answer: Answer) -> bool:
    """Whether it is an error."""
    return answer.status >= 400


for _name, _description, _change in (
    ("date-iso", "Date is an ISO 8601 date.", lambda _: b"2026-11-27T10:00:00Z"),
    ("date-with-offset", "Date has the offset +0000 instead of GMT.", lambda date: date.replace(b"GMT", b"+0000")),
    (
        "date-in-another-language",
        "The names of weekday and month in Date are German.",
        lambda _: b"Fr, 27 Nov 2026 10:00:00 GMT",
    ),
    ("date-with-wrong-weekday", "Date has a weekday of another date.", lambda _: b"Mon, 27 Nov 2026 10:00:00 GMT"),
    ("date-one-digit-day", "The day in Date has one digit.", lambda _: b"Sun, 1 Nov 2026 10:00:00 GMT"),
):
    _faults.add_send(_name, _description, _with_date(_change), FIELD_SYNTAX)

for _name, _description, _change in (
    ("date-stuck", "Date is always the same.", lambda _: b"Fri, 27 Nov 2026 10:00:00 GMT"),
    ("date-in-local-time", "Date is a local time, eight hours ahead, but says GMT.", lambda date: _later(date, 8)),
):
    _faults.add_send(_name, _description, _with_date(_change), DATE_ACCURATE)

_faults.add_table(
    FIELD_SYNTAX,
    rows={
        "etag-unquoted": ("ETag has no quotation marks.", _with_field("ETag", "33a64df5")),
        "cache-control-semicolons": (
            "The directives in Cache-Control are separated by semicolons.",
            _with_field("Cache-Control", "no-store; max-age=0"),
        ),
        "cache-control-max-age-words": (
            "max-age in Cache-Control is not a number.",
            _with_field("Cache-Control", "private, max-age=60s"),
        ),
        "last-modified-unix": ("Last-Modified is a Unix time.", _with_field("Last-Modified", "1764237600")),
        "expires-in-seconds": (
            "Expires on errors is a number of seconds.",
            _with_field("Expires", "60", when=_is_error),
        ),
        "age-fraction": ("Age has a fraction.", _with_field("Age", "0.25")),
        "vary-semicolons": ("The names in Vary are separated by semicolons.", _with_field("Vary", "Accept; Origin")),
        "server-timing-equals": (
            "Metrics in Server-Timing are written as `name=duration`.",
            _with_field("Server-Timing", "chain=12.5"),
        ),
        "transport-security-without-max-age": (
            "Strict-Transport-Security has no max-age.",
            _with_field("Strict-Transport-Security", "includeSubDomains"),
        ),
        "challenge-without-scheme": (
            "WWW-Authenticate on a 401 has no scheme.",
            _with_field("WWW-Authenticate", 'realm="chain"', when=lambda answer: answer.status == 401),
        ),
        "allow-semicolons": (
            "The methods in Allow are separated by spaces.",
            _with_field("Allow", "POST OPTIONS", when=lambda answer: answer.status == 404),
        ),
        "link-without-brackets": ("The URL in Link has no angle brackets.", _with_field("Link", "/docs; rel=help")),
        "language-with-underscore": (
            "Content-Language has an underscore, as in names of locales.",
            _with_field("Content-Language", "en_US", when=_is_error),
        ),
        "origin-allowed-twice": (
            "Access-Control-Allow-Origin is sent twice: by the gateway and by the application.",
            _with_field("Access-Control-Allow-Origin", "*", "*"),
        ),
        "location-with-space": (
            "Content-Location has a space and characters outside ASCII.",
            _with_field("Content-Location", "/results/für alle"),
        ),
        "content-type-with-comma": (
            "Content-Type of a 401 lists two media types.",
            _with_field(
                "Content-Type", "application/json; charset=utf-8, text/plain", when=lambda answer: answer.status == 401
            ),
        ),
    },
)
_faults.add_table(
    FIELD_CONVENTIONS,
    FIELD_COUNT,
    rows={
        "cookie-with-space": (
            "The value of a cookie has spaces and a comma.",
            _with_field("Set-Cookie", "visit=27 Nov 2026, 10:00; Path=/"),
        ),
        "expires-zero": ("Expires is 0.", _with_field("Expires", "0")),
    },
)


# ------------------------------------------------------------------ many fields


@_request_faults.on_decide(FIELD_COUNT)
def rejects_many_fields(context: RequestContext) -> Answer:
    """Requests with more than 64 header fields are rejected."""
    answer = context.correct_answer()
    return error(answer, 400, "client_error") if answer.status == 200 and len(context.request.headers) > 64 else answer


@_request_faults.on_decide(REQUEST_FRAMING)
def ignores_fields_after_64(context: RequestContext) -> Answer:
    """Header fields after the 64th are ignored, the key included."""
    return context.serve(replace(context.request, headers=context.request.headers[:64]))


@_request_faults.on_decide(FIELD_COUNT)
def joins_equal_fields(context: RequestContext) -> Answer:
    """More than 50 equal header fields are answered 400: their joined value is too long for a buffer."""
    answer = context.correct_answer()
    names = [name for name, _ in context.request.headers]
    too_long = max(map(names.count, set(names))) > 50
    return error(answer, 400, "client_error") if answer.status == 200 and too_long else answer


# ------------------------------------------------------------------ Expect


@_request_faults.on_send(http_clauses.EXPECT_CONTINUE)
def continue_delayed(outgoing: OutgoingAnswer) -> Iterator[Step]:
    """`100 Continue` is sent after two and a half seconds."""
    yield 2.5 if outgoing.answer is None else b""
    yield outgoing.wire


# ------------------------------------------------------------------ Host


def _rejects_host(matches: Callable[[bytes], bool]) -> DecideHook:
    """A hook for a gateway that does not know some forms of its own name."""

    def decide(context: RequestContext) -> Answer:
        answer = context.correct_answer()
        name = context.field(b"host").partition(b":")[0]
        return error(answer, 404, None) if answer.status == 200 and matches(name) else answer

    return decide


_request_faults.add_table(
    HOST_FORMS,
    rows={
        "host-case-sensitive": (
            "A Host with capital letters is not recognised.",
            _rejects_host(lambda name: name != name.lower()),
        ),
        "host-in-capitals-unknown": (
            "A Host in capital letters is not recognised.",
            _rejects_host(lambda name: name.isupper()),
        ),
    },
)
_request_faults.add_table(
    HOST_TRAILING_DOT,
    rows={
        "host-with-dot-unknown": (
            "A Host with a trailing dot is not recognised.",
            _rejects_host(lambda name: name.endswith(b".")),
        ),
    },
)
