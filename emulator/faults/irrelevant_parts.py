"""Faults of gateways to which header fields and queries matter that mean nothing to the operation."""

from __future__ import annotations

import gzip
import re
from collections.abc import Callable, Iterator
from dataclasses import replace

from chainproof.contract.answer import Answer
from chainproof.contract.clauses import (
    CLOSE_IN_LIST,
    CONNECTION_PERSISTENCE,
    ERROR_JSON,
    ERROR_MEDIA_TYPE,
    OBJECT_ACCEPTED,
    RANGE_IGNORED,
    REQUEST_LINE_LENGTH,
    RESPONSE_FRAMING,
    STATUS,
    UNAUTHORIZED_STATUS,
    UPGRADE_OFFER,
)

from .fault import FaultRegistrar, FaultStage
from .hooks import (
    ConnectionEnd,
    OutgoingAnswer,
    RequestContext,
    Step,
    error,
    head_from_lines,
    rejects,
    with_body,
    with_header,
    without_lines,
)

_faults = FaultRegistrar(stage=FaultStage.PARSING)
_connection_faults = FaultRegistrar(stage=FaultStage.FRAMING)


def _field_matches(name: bytes, pattern: bytes) -> Callable[[RequestContext], object]:
    """A predicate: a header field contains a pattern."""
    return lambda context: re.search(pattern, context.field(name))


def _query_matches(pattern: bytes) -> Callable[[RequestContext], object]:
    """A predicate: the query contains a pattern."""
    return lambda context: re.search(pattern, context.request.target.partition(b"?")[2])


# ------------------------------------------------------------------ header fields

_faults.add_table(
    STATUS,
    OBJECT_ACCEPTED,
    rows={
        "first-accept-only": (
            "Of several Accept fields only the first counts: if JSON is in the second one, the answer is 406.",
            rejects(
                lambda context: (
                    len(context.request.fields(b"accept")) > 1
                    and not re.search(rb"json|\*/\*", context.request.fields(b"accept")[0])
                ),
                status=406,
            ),
        ),
        "accept-with-parameters-is-406": (
            "An Accept of JSON with a parameter such as `indent` is answered 406.",
            rejects(_field_matches(b"accept", rb"json; ?indent"), status=406),
        ),
        "invalid-accept-is-500": (
            "The Accept that Java's HttpURLConnection sends is answered 500.",
            rejects(_field_matches(b"accept", rb", \*;"), status=500),
        ),
        "language-range-is-500": (
            "A `*` in Accept-Language is answered 500: no such locale.",
            rejects(_field_matches(b"accept-language", rb"\*"), status=500),
        ),
        "invalid-cookie-is-500": (
            "A cookie without a name is answered 500.",
            rejects(_field_matches(b"cookie", rb"(^|; ?)="), status=500),
        ),
        "invalid-trace-is-500": (
            "A traceparent that cannot be parsed is answered 500.",
            rejects(_field_matches(b"traceparent", rb"^..-(?![0-9a-f]{32}-)"), status=500),
        ),
        "forwarded-port-is-500": (
            "An address with a port in X-Forwarded-For is answered 500.",
            rejects(_field_matches(b"x-forwarded-for", rb"\.\d+:\d"), status=500),
        ),
        "forwarded-host-is-404": (
            "Requests are routed by X-Forwarded-Host: another host is answered 404.",
            rejects(_field_matches(b"x-forwarded-host", rb"\."), status=404),
        ),
        "null-origin-is-403": (
            "`Origin: null`, as from a sandboxed page, is answered 403.",
            rejects(_field_matches(b"origin", rb"^null$"), status=403),
        ),
        "insecure-requests-redirected": (
            "`Upgrade-Insecure-Requests`, which browsers send, is answered 307.",
            rejects(_field_matches(b"upgrade-insecure-requests", rb"1"), status=307),
        ),
        "minimal-is-204": (
            "`Prefer: return=minimal` is answered 204, without the output.",
            lambda context: (
                replace(context.correct_answer(), status=204, body=b"")
                if context.correct_answer().status == 200 and b"return=minimal" in context.field(b"prefer")
                else context.correct_answer()
            ),
        ),
    },
)


@_faults.on_decide(RANGE_IGNORED)
def range_of_output_returned(context: RequestContext) -> Answer:
    """Of a request with Range, the first byte of the output is returned with 206, as Apache does."""
    answer = context.correct_answer()
    if answer.status != 200 or not context.field(b"range").startswith(b"bytes=0-"):
        return answer
    place = f"bytes 0-0/{len(answer.body)}"
    return with_header(replace(answer, status=206, body=answer.body[:1]), "Content-Range", place)


@_faults.on_decide(UPGRADE_OFFER)
def http_2_offer_loses_body(context: RequestContext) -> Answer:
    """The body of a request that offers an upgrade to HTTP/2 is lost."""
    has_offer = context.field(b"http2-settings") != b""
    return context.serve(replace(context.request, body=b"", length=0)) if has_offer else context.correct_answer()


# ------------------------------------------------------------------ queries

_faults.add_table(
    STATUS,
    OBJECT_ACCEPTED,
    rows={
        "port-in-query-is-404": (
            "A query that ends in a colon and digits is answered 404: the target is parsed as a whole.",
            rejects(_query_matches(rb":\d+$"), status=404),
        ),
        "slashes-in-query-redirected": (
            "A query with two slashes is answered 301, to the URL without them.",
            lambda context: (
                with_header(error(context.correct_answer(), 301, None), "Location", "/")
                if context.correct_answer().status == 200 and _query_matches(rb"//")(context)
                else context.correct_answer()
            ),
        ),
        "format-parameter-is-406": (
            "The query `format=xml` is answered 406.",
            rejects(_query_matches(rb"\bformat=xml"), status=406),
        ),
        "object-names-in-query-are-500": (
            "A query with the name of a method of every object, such as `hasOwnProperty`, is answered 500.",
            rejects(_query_matches(rb"\bhasOwnProperty="), status=500),
        ),
        "query-without-utf-8-is-500": (
            "A query with percent-encoded bytes that are not UTF-8 is answered 500.",
            rejects(_query_matches(rb"%FF"), status=500),
        ),
    },
)
_faults.add_table(
    REQUEST_LINE_LENGTH,
    rows={
        "long-query-is-414": (
            "A query above 2048 bytes is answered 414.",
            rejects(lambda context: len(context.request.target.partition(b"?")[2]) > 2048, status=414),
        ),
    },
)

# ------------------------------------------------------------------ errors


def _is_from_browser(context: RequestContext) -> bool:
    """Whether an unauthenticated request prefers HTML."""
    return context.correct_answer().status == 401 and context.field(b"accept").startswith(b"text/html")


@_faults.on_decide(ERROR_MEDIA_TYPE)
def rejection_page_for_browsers(context: RequestContext) -> Answer:
    """A 401 is an HTML page for clients that prefer HTML."""
    answer = context.correct_answer()
    return with_body(answer, b"<h1>401</h1>", "text/html") if _is_from_browser(context) else answer


@_faults.on_decide(STATUS, UNAUTHORIZED_STATUS)
def login_page_for_browsers(context: RequestContext) -> Answer:
    """Unauthenticated requests of clients that prefer HTML are redirected to a login page."""
    answer = context.correct_answer()
    return with_header(error(answer, 302, None), "Location", "/login") if _is_from_browser(context) else answer


@_faults.on_decide(ERROR_JSON)
def rejection_compressed_undeclared(context: RequestContext) -> Answer:
    """A 401 is compressed when the client accepts gzip, but Content-Encoding is missing."""
    answer = context.correct_answer()
    is_compressed = answer.status == 401 and b"gzip" in context.field(b"accept-encoding")
    return with_body(answer, gzip.compress(answer.body)) if is_compressed else answer


@_connection_faults.on_send(RESPONSE_FRAMING)
def errors_chunked_to_http_1_0(outgoing: OutgoingAnswer) -> Iterator[Step]:
    """Errors are chunked, even for HTTP/1.0 clients."""
    if outgoing.status < 400 or not outgoing.body:
        yield outgoing.wire
        return
    lines = [*without_lines(outgoing.lines(), b"content-length"), b"Transfer-Encoding: chunked"]
    yield head_from_lines(lines) + b"%x\r\n%s\r\n0\r\n\r\n" % (len(outgoing.body), outgoing.body)


# ------------------------------------------------------------------ Connection


def _ignores_close(outgoing: OutgoingAnswer, when: Callable[[OutgoingAnswer], object]) -> Iterator[Step]:
    """Send an answer, and leave the connection open where the client wanted it to be closed."""
    if outgoing.answer is None or not outgoing.close or outgoing.request is None or not when(outgoing):
        yield outgoing.wire
        return
    yield head_from_lines(without_lines(outgoing.lines(), b"connection")) + outgoing.body
    yield ConnectionEnd.KEEP_OPEN


def _options(outgoing: OutgoingAnswer) -> bytes:
    """The connection options of the request, in lower case."""
    return b", ".join(outgoing.request.fields(b"connection")).lower() if outgoing.request else b""


@_connection_faults.on_send(CLOSE_IN_LIST)
def close_in_list_ignored(outgoing: OutgoingAnswer) -> Iterator[Step]:
    """`close` beside another option of Connection is ignored."""
    yield from _ignores_close(outgoing, lambda each: b"," in _options(each) and b"close" in _options(each))


@_connection_faults.on_send(CONNECTION_PERSISTENCE)
def close_ignored_after_rejection(outgoing: OutgoingAnswer) -> Iterator[Step]:
    """A requested `Connection: close` is ignored after a 401."""
    yield from _ignores_close(outgoing, lambda each: each.status == 401)


@_connection_faults.on_send(CONNECTION_PERSISTENCE)
def close_ignored_after_chunks(outgoing: OutgoingAnswer) -> Iterator[Step]:
    """A requested `Connection: close` is ignored after a chunked body."""
    yield from _ignores_close(
        outgoing, lambda each: each.request is not None and each.request.fields(b"transfer-encoding")
    )
