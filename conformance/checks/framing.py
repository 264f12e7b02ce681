"""HTTP/1.1 messages: answers follow RFC 9112 and their content coding, and requests are accepted in every valid framing."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import replace
from itertools import product

from chainproof.clock import format_duration
from chainproof.contract import clauses, http_clauses
from chainproof.contract.content_coding import can_decode
from chainproof.results.exchange import Transport

from ..judging.expectation import Expectation
from ..judging.judge import BUSY_STATUSES
from ..probing.check_context import DEFAULT_BODY
from ..probing.raw_requests import (
    ReferenceAnswer,
    accepted_size,
    accepts_chunks,
    exchange_raw,
    raw_request,
    record_framed,
    send_reference_request,
)
from ..probing.requester import Requester
from ..probing.unusual_requests import (
    LONG_OUTPUT,
    UNUSUAL_REQUESTS,
    UnusualRequest,
    exchange_unusual,
    head_then_body,
    unusual_request,
)
from ..transport.check_skipped import CheckSkipped
from ..transport.connection import TransportResult
from ..transport.request import JSON_TYPE, CheckRequest, chunked
from . import check_for

_THREADS = 6
_CHUNKED = "Transfer-Encoding: chunked"
_LONG_BODY = 70_000
"""Bytes of a body that does not arrive in one read."""
_PIPELINED_SIZES = (30_000, 3000)
"""Bytes that are added to the long bodies of a pipeline."""


def requests_of_every_kind(requester: Requester) -> Iterable[CheckRequest]:
    """Requests that lead to every kind of answer."""
    build = requester.build_request
    yield build(label="a plain request")
    yield build(requester.unique_input("long", _LONG_BODY), label="a long body")
    yield build(b"[]")
    yield build(None, fields=(), label="no body")
    yield build(b"{", label="a truncated object")
    yield build(fields=(("Content-Type", "text/plain"),), label="another media type")
    yield replace(build(label="no Authorization"), fields=(JSON_TYPE,))
    yield build(path=f"{requester.target.path}x", label="another path")
    for method in ("GET", "HEAD", "OPTIONS", "PUT"):
        body = DEFAULT_BODY if method == "PUT" else None
        yield build(body, method=method, fields=(JSON_TYPE,) if body else (), label=method)
    yield replace(build(None, method="HEAD", fields=(), label="HEAD without Authorization"), fields=())
    if requester.settings.steerable:
        yield build(fields=(JSON_TYPE, ("X-Emulate", "rate_limited")), label="an error on demand")


@check_for(clauses.RESPONSE_FRAMING, title="every answer is exactly one HTTP message")
def every_answer_is_exactly_one_http_message(requester: Requester) -> None:
    """The bytes of every answer form one message, with nothing after it."""

    def check(request: CheckRequest) -> None:
        received, _, _ = exchange_raw(requester, requester.prepare(request), within=requester.settings.deadline)
        requester.record(requester.prepare(request), received, None)

    requester.run_each(check, requests_of_every_kind(requester), _THREADS)


@check_for(clauses.CONTENT_CODING, http_clauses.ACCEPT_ENCODING, title="`Content-Encoding` matches the body")
def content_encoding_matches_the_body(requester: Requester) -> None:
    """With and without Accept-Encoding, for outputs and errors, with bodies long enough to be worth compressing."""
    for accepted in (
        None,
        "",
        "identity",
        "gzip",
        "deflate, gzip",
        "deflate",
        "gzip;q=0",
        "gzip;q=0.000",
        "chainproof-gzip",
        "GZIP",
        "*",
        "br;q=0.1, gzip",
        "identity;q=1, *;q=0",
        *filter(can_decode, ("br", "zstd")),  # an answer that cannot be decoded here could not be judged
    ):
        fields = (JSON_TYPE,) if accepted is None else (JSON_TYPE, ("Accept-Encoding", accepted))
        label = "no Accept-Encoding" if accepted is None else f"Accept-Encoding: {accepted}"
        for body in (
            requester.unique_input(label, 3000),
            requester.unique_input(label),
            b"[" + b" " * 3000 + b"]",
        ):
            requester.submit(requester.build_request(body, fields=fields, label=label))
        if accepted in ("identity", "gzip"):  # the gateway's own errors may be stored in a coding
            unauthenticated = requester.build_request(label=f"no Authorization, with {label}")
            requester.submit(replace(unauthenticated, fields=fields))
    # Many gateways compress only what is long, or in pieces of 32 or 64 KiB.
    long = (JSON_TYPE, ("Accept-Encoding", "gzip"))
    body = requester.unique_input("long and compressed", LONG_OUTPUT)
    requester.submit(requester.build_request(body, fields=long, label="Accept-Encoding: gzip, with a long output"))


# ------------------------------------------------------------------ requests


@check_for(clauses.REQUEST_FRAMING, clauses.UPGRADE_OFFER)
def every_valid_request_framing_is_accepted(requester: Requester) -> None:
    """Chunked or not, in pieces or at once, with many header fields, with an offer of another protocol."""
    _send_unusual_requests(requester, [each for each in UNUSUAL_REQUESTS if each.clause is clauses.REQUEST_FRAMING])
    _send_offer_of_http_2(requester)


def _send_offer_of_http_2(requester: Requester) -> None:
    """Send a request as Java's HttpClient does to any plain http URL. A target may ignore the offer (RFC 9110 §7.8)."""
    if requester.target.scheme != "http":
        return  # with TLS, HTTP/2 is agreed on before the first request
    reference = send_reference_request(requester)
    body = requester.unique_input("offering HTTP/2")
    lines = ("Connection: Upgrade, HTTP2-Settings", "Upgrade: h2c", "HTTP2-Settings: AAMAAABkAAQAAP__")
    label = "an offer to upgrade to HTTP/2"
    request = raw_request(requester, body, *lines, f"Content-Length: {len(body)}", sent=body, label=label)
    within = reference.timeout(requester.settings.deadline)
    with requester.raw_connection() as connection:
        connection.send_request(request)
        if connection.wait_for_bytes(within).startswith(b"HTTP/1.1 101"):
            return  # HTTP/2 follows, which is not judged
        received = connection.read_answer(request, within=within)
    record_framed(requester, request, received, reference.same_status(clauses.UPGRADE_OFFER))


@check_for(
    http_clauses.CHUNKED_ANY_CASE,
    http_clauses.CHUNK_EXTENSIONS,
    http_clauses.CHUNKED_TRAILERS,
    http_clauses.LENGTH_LEADING_ZEROS,
    http_clauses.ABSOLUTE_FORM,
    http_clauses.LEADING_EMPTY_LINE,
    http_clauses.HTTP_1_0_ACCEPTED,
    title="every form of request that RFC 9112 names is accepted",
)
def every_form_of_request_is_accepted(requester: Requester) -> None:
    """Chunk extensions, trailers, absolute URLs, HTTP/1.0 and an empty line before a request are accepted."""
    _send_unusual_requests(requester, [each for each in UNUSUAL_REQUESTS if each.clause is not clauses.REQUEST_FRAMING])


def _send_unusual_requests(requester: Requester, unusual_requests: Collection[UnusualRequest]) -> None:
    """
    Send unusual requests, each on a connection of its own; chunked ones only if plain chunks are accepted, and long ones only
    if bodies of that size are.

    A request that found the target busy is sent again alone, when a request with normal framing is accepted.
    """
    reference = send_reference_request(requester)
    takes_chunks = accepts_chunks(requester, reference)
    largest = accepted_size(requester, reference, (each.size for each in unusual_requests))
    found_busy: list[UnusualRequest] = []

    def check(unusual: UnusualRequest) -> None:
        request, received = _exchange_unusual(requester, unusual, reference)
        if received.status in BUSY_STATUSES:
            found_busy.append(unusual)
        else:
            record_framed(requester, request, received, reference.same_status(unusual.clause))

    sent = [
        each
        for each in unusual_requests
        if each.size <= largest and (takes_chunks or each.clause is clauses.REQUEST_FRAMING or not each.is_chunked)
    ]
    requester.run_each(check, sent, _THREADS)
    for unusual in found_busy:
        now = send_reference_request(requester)
        request, received = _exchange_unusual(requester, unusual, now)
        record_framed(requester, request, received, now.same_status(unusual.clause))


def _exchange_unusual(
    requester: Requester, unusual: UnusualRequest, reference: ReferenceAnswer
) -> tuple[CheckRequest, TransportResult]:
    """Send one unusual request on a connection of its own. Returns the request and what came back."""
    request = unusual_request(requester, unusual)
    return request, exchange_unusual(requester, unusual, request, reference.timeout(requester.settings.deadline))


@check_for(http_clauses.EXPECT_CONTINUE, clauses.REQUEST_FRAMING, title="`Expect: 100-continue` is honoured")
def expect_100_continue_is_honoured(requester: Requester) -> None:
    """
    A request with `Expect: 100-continue` gets an interim or a final answer. Without either, the client sends the body
    anyway.
    """
    reference = send_reference_request(requester)
    if requester.speaks_only_http_1_0:
        raise CheckSkipped("needs a target that speaks HTTP/1.1: HTTP/1.0 has no interim answers")
    takes_chunks = accepts_chunks(requester, reference)
    sizes = sorted({0, accepted_size(requester, reference, [_LONG_BODY])})
    for in_chunks, size in product((False, True) if takes_chunks else (False,), sizes):
        value = "100-continue" if size == sizes[0] else "100-Continue"  # in any letter case (RFC 9110 §10.1.1)
        body = requester.unique_input(f"waiting {in_chunks} {size}", size)
        request = raw_request(
            requester,
            body,
            f"Expect: {value}",
            _CHUNKED if in_chunks else f"Content-Length: {len(body)}",
            sent=chunked(body, 9 if size == 0 else 8192) if in_chunks else body,
            label=f"`Expect: {value}` with a delayed body",
        )
        assert request.raw is not None
        head, rest = head_then_body(request.raw)
        with requester.raw_connection() as connection:
            connection.send_request(request, head)
            first = connection.wait_for_bytes(requester.waits.continue_answer)
            if not first or first.startswith((b"HTTP/1.1 1", b"HTTP/1.0 1")):
                connection.send_bytes(rest)
            received = connection.read_answer(request, within=reference.timeout(requester.settings.deadline))
        _record_expect(requester, request, received, reference, has_first=bool(first))
        if not first:
            return


def _record_expect(
    requester: Requester,
    request: CheckRequest,
    received: TransportResult,
    reference: ReferenceAnswer,
    *,
    has_first: bool,
) -> None:
    """Record whether anything came before the body was sent, and judge the answer to the whole request."""
    expected = reference.same_status(clauses.REQUEST_FRAMING)
    if expected is None:
        return
    clause = http_clauses.EXPECT_CONTINUE
    requester.record_clause(
        clause,
        request,
        received.answer,
        expected="an interim or a final answer before the body is sent",
        actual=None if has_first else f"nothing within {format_duration(requester.waits.continue_answer)}",
    )
    if has_first:
        record_framed(requester, request, received, expected)


@check_for(clauses.REQUEST_FRAMING, clauses.ANSWER_MATCHES_REQUEST)
def pipelined_requests_are_answered_in_order(requester: Requester) -> None:
    """
    Several requests sent at once over one connection get their own answers in the order of the requests (RFC 9112
    §9.3.2). The target may close after any of them.
    """
    reference = send_reference_request(requester)
    array = requester.send(requester.build_request(b"[]", label="an array")).answer
    rejects_arrays = array is not None and 400 <= array.status < 500
    largest = accepted_size(requester, reference, _PIPELINED_SIZES)
    for requests in _pipelines(requester, largest=largest, rejects_arrays=rejects_arrays):
        with requester.raw_connection() as connection:
            connection.send_pipelined(requests)
            for number, request in enumerate(requests):
                received = connection.read_answer(request, within=reference.timeout(requester.settings.deadline))
                if number and received.transport is Transport.CONNECTION_LOST and not received.raw:
                    break
                rejected = request.body == b"[]"
                record_framed(
                    requester,
                    request,
                    received,
                    _REJECTION if rejected else reference.same_status(clauses.REQUEST_FRAMING),
                )
                if connection.is_closed or received.closes_connection:
                    break
    _send_next_in_part(requester, reference)


def _send_next_in_part(requester: Requester, reference: ReferenceAnswer) -> None:
    """Send a request with the beginning of the next one, whose rest follows after the first answer."""
    first, second = (_pipeline_request(requester, requester.unique_input(f"in part {number}")) for number in range(2))
    assert first.raw is not None
    assert second.raw is not None
    half = len(second.raw) // 2
    within = reference.timeout(requester.settings.deadline)
    with requester.raw_connection() as connection:
        before = connection.exchange(first, first.raw + second.raw[:half], within=within)
        if before.answer is None or before.closes_connection or connection.is_closed:
            return
        received = connection.exchange(second, second.raw[half:], within=within)
    if received.transport is not Transport.CONNECTION_LOST or received.raw:
        record_framed(requester, second, received, reference.same_status(clauses.REQUEST_FRAMING))


_REJECTION = Expectation(
    clause=clauses.REQUEST_FRAMING,
    expected="an error, in the order of the pipelined requests",
    is_met_by=lambda answer: answer.status >= 400,
)


def _pipelines(requester: Requester, *, largest: int, rejects_arrays: bool) -> Iterable[tuple[CheckRequest, ...]]:
    """
    Rows of requests: equal ones, long and short ones, and rejected ones in between if the target rejects arrays.

    *largest* is how many bytes may be added to a body.
    """
    long, middle = (min(size, largest) for size in _PIPELINED_SIZES)

    def row(purpose: str, *shapes: tuple[int, bool]) -> tuple[CheckRequest, ...]:
        bodies = [requester.unique_input(f"{purpose} {number}", size) for number, (size, _) in enumerate(shapes)]
        return tuple(
            _pipeline_request(requester, body, in_chunks=chunks)
            for body, (_, chunks) in zip(bodies, shapes, strict=True)
        )

    yield row("alike", *(((0, False),) * 6))
    yield row("by turns", (long, False), (0, True), (middle, True), (0, False), (0, True))
    if not rejects_arrays:
        return
    first, second, third = row("between", (0, False), (0, False), (0, True))
    yield first, _pipeline_request(requester, b"[]"), second, third


def _pipeline_request(requester: Requester, body: bytes, *, in_chunks: bool = False) -> CheckRequest:
    """One request of a pipeline, chunked or not."""
    line, sent = (_CHUNKED, chunked(body, 40)) if in_chunks else (f"Content-Length: {len(body)}", body)
    return raw_request(requester, body, line, sent=sent, label="pipelined requests")
