"""A body is accepted as `application/json` only, and other header fields and queries do not matter."""

from __future__ import annotations

import gzip
import zlib
from collections.abc import Iterable
from dataclasses import replace
from urllib.parse import urlencode

from chainproof.contract import clauses
from chainproof.contract.header_fields import HeaderField
from chainproof.json_text import encode_json, parse_json

from ..inputs.sizes import REQUIRED_FIELD_BYTES
from ..judging.expectation import expectation
from ..judging.judge import BUSY_STATUSES
from ..probing.requester import Requester
from ..transport.request import JSON_TYPE, CheckRequest
from . import check_for

_EQUIVALENT_TYPES = (
    "application/json; charset=utf-8",
    "application/json;charset=UTF-8",
    'application/json; charset="utf-8"',
    # No tab: type-is 1, which Express 4 and Koa use, does not read one.
    'application/json ; charset="UTF-8"',
    "application/json; Charset=Utf-8",
    "Application/JSON",
    "APPLICATION/JSON;CHARSET=UTF-8",
    "application/json ; x=y",
    'application/json; x="y z"',
    "application/json; charset=utf-8; x=y",
    "application/json; x=y; charset=utf-8",
    "  application/json  ",
)

_OTHER_TYPES = (
    *("text/plain", "text/plain; charset=utf-8", "text/html", "text/xml", "text/csv", "text/javascript", "text/yaml"),
    *("application/xml", "application/x-www-form-urlencoded", "application/octet-stream", "application/javascript"),
    *("application/jsonx", "application/json5", "application/jsonp", "application/x-json", "application/jsonlines"),
    *("application/x-ndjson", "application/json-seq", "application/msgpack", "application/cbor", "application/yaml"),
    *("application/x-www-form-urlencoded; charset=utf-8", "multipart/form-data", "multipart/form-data; boundary=x"),
    *("application", "json", "/json", "application/", "*/*", "application/*", "image/png", "audio/json", "x-application/json"),
    *("text/plain; x=application/json", 'text/plain; x="y\\\\z"', "text/plain;json", "null", "application json", "application/jsonjson", ";"),
)  # fmt: skip  # similar values share a line

_AMBIGUOUS_TYPES = (
    *("application/json; charset=iso-8859-1", "application/json; charset=utf-16", "application/json; charset=us-ascii"),
    *(
        "application/json; charset=utf8",
        "application/json; charset=x",
        "application/json; charset=",
        "application/json;",
    ),
    *("application/json; charset", 'application/json; charset="utf-8', "application/json;;charset=utf-8"),
    *("application/vnd.api+json", "application/json-patch+json", "application/ld+json", "application/problem+json"),
    *(
        "text/json",
        "application/json, text/plain",
        "text/plain, application/json",
        "application/json, application/json",
    ),
)
"""Media types that servers treat differently and no specification decides."""

_OTHER_FORMATS: tuple[tuple[str, str, bytes], ...] = (
    ("a form", "application/x-www-form-urlencoded", b"a=1&b=2"),
    ("an object sent as a form field", "application/x-www-form-urlencoded", b'{"x":1}='),
    ("multipart", "multipart/form-data; boundary=x", b'--x\r\nContent-Disposition: form-data; name="a"\r\n\r\n1\r\n--x--\r\n'),
    ("XML", "application/xml", b"<a>1</a>"),
    ("YAML", "application/yaml", b"a: 1\n"),
    ("MessagePack", "application/msgpack", b"\x81\xa1a\x01"),
    ("text", "text/plain", b"hello"),
    ("CSV", "text/csv", b"a,b\r\n1,2\r\n"),
)  # fmt: skip  # one line each
"""Bodies in other formats, with their labels and media types."""


def _in_other_formats(text: bytes) -> Iterable[tuple[str, str, bytes]]:
    """An object in other formats: a chain with required arguments accepts no other content in them."""
    value = parse_json(text)
    if not isinstance(value, dict) or not value:
        return
    members = [(name, each if isinstance(each, str) else encode_json(each).decode()) for name, each in value.items()]
    yield (
        "the input's members as a form",
        "application/x-www-form-urlencoded",
        urlencode(members, errors="replace").encode(),
    )
    parts = (f'--x\r\nContent-Disposition: form-data; name="{name}"\r\n\r\n{each}\r\n' for name, each in members)
    yield (
        "the input's members as multipart",
        "multipart/form-data; boundary=x",
        "".join((*parts, "--x--\r\n")).encode(errors="replace"),
    )
    yield "the input as YAML", "application/yaml", text


_TEXT_AND_NUMBERS = '{"text":"Grüße","fraction":-1234.5}'.encode()
"""An object whose output shows in which charset it was read and written, and in which notation of numbers."""


def _input_with_text(requester: Requester) -> bytes:
    """The input with text and numbers if the target returns it unchanged, so that only the header fields can be the reason."""
    if requester.inputs.any_object:
        request = requester.build_request(_TEXT_AND_NUMBERS, label="an object with text and numbers")
        judged = requester.send(request)
        if judged.answer is not None and judged.answer.status == 200 and not judged.violations:
            return _TEXT_AND_NUMBERS
    return requester.inputs.base


@check_for(clauses.MEDIA_TYPE_PARAMETERS, title="`Content-Type` case and parameters are ignored")
def content_type_case_and_parameters_are_ignored(requester: Requester) -> None:
    """In every valid form, `application/json` gets the same answer as in its simplest one."""
    body = _input_with_text(requester)
    simplest = requester.send(requester.build_request(body)).answer
    for name in ("content-type", "CONTENT-TYPE"):
        requester.submit(requester.build_request(body, fields=((name, "application/json"),), label=f"a {name} field"))

    def compare(request: CheckRequest) -> None:
        answer = requester.send(request).answer
        if requester.settings.echo or simplest is None or answer is None:
            return
        if {simplest.status, answer.status} <= {200, 400, 415}:
            requester.record_clause(
                clauses.MEDIA_TYPE_PARAMETERS,
                request,
                answer,
                expected=f"status {simplest.status}, as with `application/json`",
                actual=None if simplest.status == answer.status else f"status {answer.status}",
            )

    requests = [
        requester.build_request(body, fields=(("Content-Type", media_type),), label=f"Content-Type: {media_type}")
        for media_type in _EQUIVALENT_TYPES
    ]
    requester.run_each(compare, requests, requester.concurrency)


@check_for(clauses.MEDIA_TYPE_REQUIRED, clauses.MEDIA_TYPE_MISSING)
def other_media_types_are_rejected(requester: Requester) -> None:
    """An object with another media type or none is rejected, and so is another format with its own media type."""
    for label, fields in (("an object without Content-Type", ()), ("an empty Content-Type", (("Content-Type", ""),))):
        requester.submit(requester.build_request(fields=fields, label=label))
    for name in _OTHER_TYPES:
        request = requester.build_request(fields=(("Content-Type", name),), label=f"an object as {name}")
        if request.is_valid:
            requester.submit(request)
        else:
            requester.send_nonstandard(request, clauses.STATUS)
    for label, name, content in (*_OTHER_FORMATS, *_in_other_formats(requester.inputs.base)):
        requester.submit(requester.build_request(content, fields=(("Content-Type", name),), label=f"{label} as {name}"))


@check_for(clauses.STATUS)
def ambiguous_media_types_get_a_documented_answer(requester: Requester) -> None:
    """
    Another charset, an incomplete parameter, a list, `+json`, a repeated field or a content coding may be accepted or
    rejected, in a documented way.
    """
    for name in _AMBIGUOUS_TYPES:
        requester.submit(requester.build_request(fields=(("Content-Type", name),), label=f"an object as {name}"))
    for one, other in (("application/json", "application/json"), ("application/json", "text/plain")):
        fields = (("Content-Type", one), ("Content-Type", other))
        request = requester.build_request(fields=fields, label="two Content-Type fields")
        requester.send_nonstandard(request, clauses.STATUS)
    plain = requester.inputs.base
    for coding, content in (
        ("gzip", gzip.compress(plain, mtime=0)),
        ("deflate", zlib.compress(plain)),
        ("gzip", plain),
        ("gzip", gzip.compress(plain, mtime=0)[:-9]),
        ("br", plain),
        ("identity", plain),
        ("chainproof", plain),
    ):
        fields = (JSON_TYPE, ("Content-Encoding", coding))
        request = requester.build_request(content, fields=fields, label=f"a body with Content-Encoding: {coding}")
        # A proxy may decode the body, and answer in its own format when that fails. aiohttp's own answer to a damaged one is 500.
        requester.submit(replace(request, valid_message=coding == "identity"))


BROWSER_ACCEPT = "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8"
"""Accept of a browser that opens a page."""

_IRRELEVANT_FIELDS: tuple[HeaderField, ...] = (
    *(("Accept", value) for value in ("*/*", "application/json", "application/*;q=0.8", "application/json;q=0.1, */*;q=0")),
    *(("Accept", value) for value in ("application/json; charset=utf-8", "text/plain, application/json", "", BROWSER_ACCEPT)),
    *(("Accept", value) for value in ("text/html", "application/xml", "text/event-stream", "image/*", "application/json;q=0")),
    *(("Accept", value) for value in ("text/html;q=0.1, application/json", "application/json; indent=4")),
    ("Accept-Charset", "iso-8859-1"),
    ("Accept-Language", "de-DE,de;q=0.9"),
    ("Accept-Language", "zh-Hant-TW, x-chainproof;q=0.5, *;q=0.1"),
    ("Content-Language", "de"),
    ("Content-Location", "/x"),
    ("User-Agent", ""),
    ("User-Agent", "Mozilla/5.0 (X11; Linux x86_64; rv:128.0) Gecko/20100101 Firefox/128.0"),
    ("User-Agent", "python-requests/2.32.3"),
    ("User-Agent", "Go-http-client/1.1"),
    ("User-Agent", "curl/8.5.0"),
    ("Origin", "https://example.com"),
    ("Origin", "null"),
    ("Referer", "https://example.com/x?y"),
    ("Cookie", "a=b; c=d"),
    ("Cache-Control", "no-cache"),
    ("Pragma", "no-cache"),
    ("Prefer", "respond-async"),
    ("Prefer", "return=minimal"),
    ("Idempotency-Key", "chainproof"),
    # RFC 9110 §13.1.3: a recipient ignores it unless the method is GET or HEAD. The others are met.
    ("If-Modified-Since", "Fri, 31 Dec 2038 23:59:59 GMT"),
    ("If-Unmodified-Since", "Fri, 31 Dec 2038 23:59:59 GMT"),
    ("If-None-Match", '"chainproof"'),
    ("TE", "trailers"),
    ("Upgrade-Insecure-Requests", "1"),
    ("constructor", "1"),
    ("Priority", "u=1, i"),
    ("baggage", "chainproof=1;x=y"),
    ("Sec-Fetch-Site", "cross-site"),
    ("Request-Timeout-Ms", "60000"),
    ("X-Requested-With", "XMLHttpRequest"),
    ("X-Forwarded-For", "203.0.113.7"),
    ("X-Forwarded-For", "203.0.113.7:54321, 2001:db8::1"),  # some load balancers add the port
    ("X-Forwarded-Host", "chainproof.example"),
    ("X-Forwarded-Proto", "http"),
    ("Forwarded", 'for="[2001:db8::1]:54321";proto=https, for=unknown'),
    ("Via", "1.1 chainproof"),
    ("X-Request-Id", "chainproof"),
    ("traceparent", "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"),
    ("X-Debug", "1"),
    ("X-Chainproof", ""),
    ("X-Chainproof", "\xe9\xff"),
    ("x-chainproof.b!#$%&'*+-^_`|~", "1"),
)  # fmt: skip  # similar fields share a line


_INVALID_FIELDS: tuple[HeaderField, ...] = (
    # HttpURLConnection of Java sends this Accept with every request.
    ("Accept", "text/html, image/gif, image/jpeg, *; q=.2, */*; q=.2"),
    ("Accept", "json"),
    ("Accept-Language", "_"),
    ("Cookie", 'chainproof; =x; a="b; $Version=1'),
    ("X-Forwarded-For", "unknown, _chainproof, 999.1.1.1"),
    ("Forwarded", "for=2001:db8::1;;"),
    ("traceparent", "00-chainproof"),
)
"""Header fields whose values are invalid. A target may reject or ignore them, but not fail."""

_COOKIE_BYTES = 3000
"""Bytes of a cookie. Browsers keep cookies of up to 4,096 bytes."""


@check_for(
    clauses.OBJECT_ACCEPTED,
    clauses.STATUS,
    clauses.OUTPUT_MEDIA_TYPE,
    clauses.ERROR_MEDIA_TYPE,
    clauses.RESPONSE_FRAMING,
    clauses.RANGE_IGNORED,
)
def other_headers_and_queries_are_ignored(requester: Requester) -> None:
    """Other header fields, however many or long, and queries do not change how the body is handled."""
    accepted = _input_with_text(requester)
    for name, value in _IRRELEVANT_FIELDS:
        for body in (accepted, b"[]")[: 1 + (name == "Accept")]:
            fields = (JSON_TYPE, (name, value))
            requester.submit(requester.build_request(body, fields=fields, label=f"a request with {name}: {value}"))
    for types in (("text/html", "application/json"), ("application/json", "text/html")):
        both = (JSON_TYPE, *(("Accept", each) for each in types))
        requester.submit(requester.build_request(accepted, fields=both, label=f"two Accept fields: {', '.join(types)}"))
    _send_invalid_fields(requester)
    _send_range(requester, accepted)
    _send_conditional_requests(requester)
    long = (JSON_TYPE, ("X-Chainproof", "x" * REQUIRED_FIELD_BYTES))
    requester.submit(
        requester.build_request(fields=long, label=f"a request with a header field of {REQUIRED_FIELD_BYTES} bytes")
    )
    cookie = (JSON_TYPE, ("Cookie", f"chainproof={'x' * _COOKIE_BYTES}"))
    requester.submit(requester.build_request(fields=cookie, label=f"a request with a cookie of {_COOKIE_BYTES} bytes"))
    many = (JSON_TYPE, *((f"X-Chainproof-{number}", "x") for number in range(40)))
    requester.submit(requester.build_request(fields=many, label="a request with 40 more header fields"))
    for query in (*_QUERIES, f"?{'&'.join(f'p{number}=1' for number in range(_QUERY_PARAMETERS))}"):
        path = requester.target.path + query
        requester.submit(requester.build_request(accepted, path=path, label=f"a request with the query {query[:20]}"))
    path = f"{requester.target.path}?x=%FF"
    request = requester.build_request(path=path, label="a query that is not UTF-8")
    requester.send_nonstandard(request, clauses.OBJECT_ACCEPTED)
    _send_underscored_names(requester)
    _send_encoded_line_breaks(requester)


_QUERIES = (
    *("?", "?x=1", "?x=1&x=2&y", "?%7B%7D", "?callback=x&jsonp=x", "?pretty", "?x=1&x%5By%5D=2", "?" + "x" * 1000),
    # Some gateways look for a path, a host or a port in the whole request target.
    *("?x=https://example.com:8443/a//b?d", "?x=:80", "?x=%2F%3F%26%23%25%E2%82%AC", "?=1&&x", "?a=1;b=2"),
    *("?format=xml", "?_format=html", "?version=2"),
    # Some gateways let the caller select members of the output.
    *("?fields=x", "?$select=x&select=x&include=x", "?exclude=x&limit=0&page=2&envelope=true&debug=1"),
    # Names of every object in JavaScript.
    "?hasOwnProperty=1&toString=2&constructor=3&__proto__=4&__proto__%5Bx%5D=5",
)
_QUERY_PARAMETERS = 150

_INJECTED = ("X-Chainproof-Injected", "1")
"""A header field that no answer has, unless the target takes a part of the request for the head of the answer."""


def _send_encoded_line_breaks(requester: Requester) -> None:
    """
    Send an encoded line break with a header field behind it. A target may reject the request; one that decodes it and
    puts it into a header field, such as Location, lets the sender write the answer.
    """
    path, breaks = requester.target.path, f"%0D%0A{_INJECTED[0]}:{_INJECTED[1]}"
    for where, place in (("query", f"{path}?x={breaks}"), ("path", f"{path}{breaks}"), ("path", f"/{breaks}{path}")):
        request = requester.build_request(path=place, label=f"a line break and a header field in the {where}")
        # What cannot be right may be rejected in any form.
        answer = requester.send(replace(request, valid_message=False)).answer
        if answer is None:
            continue
        found = answer.field(_INJECTED[0]) is not None
        requester.record_clause(
            clauses.RESPONSE_FRAMING,
            request,
            answer,
            expected=f"no header field that the {where} of the request contains",
            actual=f"{_INJECTED[0]}: {_INJECTED[1]} in the header section of the answer" if found else None,
        )


_UNDERSCORED_FIELDS: tuple[HeaderField, ...] = (
    ("Content_Type", "text/plain"),
    ("Content_Length", "1"),
    ("Transfer_Encoding", "chunked"),
)
"""
Fields that have a meaning for a gateway or an application that treats an underscore like a hyphen, as CGI does: one of the
two may then read another message than the other.
"""


def _send_underscored_names(requester: Requester) -> None:
    """A name with an underscore is a name of its own. A target may reject all such names, as Envoy can be configured to."""
    request = requester.build_request(fields=(JSON_TYPE, ("X_Chainproof", "1")), label="a request with X_Chainproof: 1")
    usual = requester.send(replace(request, valid_message=False)).answer
    if usual is None or usual.status >= 300:
        return
    for name, value in _UNDERSCORED_FIELDS:
        fields = (JSON_TYPE, (name, value))
        request = requester.build_request(fields=fields, label=f"a request with {name}: {value}")
        # What reads another message than we sent may reject it in its own words.
        answer = requester.send(replace(request, valid_message=False)).answer
        if answer is None or answer.status in BUSY_STATUSES:
            continue
        requester.record_clause(
            clauses.OBJECT_ACCEPTED,
            request,
            answer,
            expected=f"status {usual.status}, as with another field whose name has an underscore",
            actual=f"status {answer.status}" if answer.status != usual.status else None,
        )


def _send_invalid_fields(requester: Requester) -> None:
    """Send fields with invalid values, as some clients and proxies do. The HTTP server may reject them."""
    for name, value in _INVALID_FIELDS:
        label = f"a request with an invalid {name}: {value}"
        request = requester.build_request(fields=(JSON_TYPE, (name, value)), label=label)
        requester.send_nonstandard(request, clauses.OBJECT_ACCEPTED)


def _send_range(requester: Requester, accepted: bytes) -> None:
    """Send Range, which is for GET only. A part of the output, as Apache returns it, is what the request asked for."""
    fields = (JSON_TYPE, ("Range", "bytes=0-0"))
    request = requester.prepare(
        requester.build_request(accepted, fields=fields, label="a request with Range: bytes=0-0")
    )
    received = requester.send_once(request)
    answer = received.answer
    if answer is None or answer.status != 206 or answer.field("content-range") is None:
        requester.record(request, received, expectation(request, requester.terms))
        if answer is not None and answer.status == 200:
            requester.record_clause(clauses.RANGE_IGNORED, request, answer)
        return
    requester.record_clause(
        clauses.RANGE_IGNORED, request, answer, expected="the whole output", actual=f"status {answer.status}"
    )


def _send_conditional_requests(requester: Requester) -> None:
    """Send an input with the validators of its own answer. A 304 would mean that the client has the output already."""
    answer = requester.send(requester.build_request(requester.inputs.base, label="an input")).answer
    for validator, name in (("etag", "If-None-Match"), ("last-modified", "If-Modified-Since")):
        value = None if answer is None else answer.field(validator)
        if value is not None:
            fields = (JSON_TYPE, (name, value))
            label = f"a request with {name}: {value}"
            requester.submit(requester.build_request(requester.inputs.base, fields=fields, label=label))
