"""Variants of what answers contain: JSON text, header fields, request ids, errors."""

from __future__ import annotations

import gzip
import json
import re
from collections.abc import Callable
from dataclasses import replace
from email.utils import formatdate

from chainproof.contract.answer import REQUEST_ID_HEADER, Answer
from chainproof.json_text import TooComplex

from ..hooks import FaultHook, RequestContext, error, with_body, with_header, with_members
from .variant import add_variant, changed_answer, changed_errors


def _rewritten_output(change: Callable[[object], str]) -> FaultHook:
    """A hook that writes outputs in another way. Outputs that cannot be parsed stay unchanged."""

    def decide(context: RequestContext) -> Answer:
        answer = context.correct_answer()
        if answer.status != 200 or isinstance(context.value(), TooComplex):
            return answer
        try:
            value = json.loads(answer.body)
            return with_body(answer, change(value).encode())
        except (ValueError, RecursionError):
            return answer

    return FaultHook(decide=decide)


# ------------------------------------------------------------------ JSON of outputs


def _javascript_json(value: object) -> str:
    """JSON as JavaScript writes it: whole numbers without a fraction."""
    return re.sub(
        r'("(?:[^"\\]|\\.)*")|(-?\d+)\.0(?![\d.eE])',
        lambda match: match[1] or ("0" if match[2] == "-0" else match[2]),
        json.dumps(value, separators=(",", ":"), ensure_ascii=False, allow_nan=False),
    )


def _without_infinity(text: str) -> str:
    """The text unchanged. Raises ValueError if it contains Infinity or NaN outside strings."""
    if re.search(r'"(?:[^"\\]|\\.)*"|(Infinity|NaN)', text) and re.sub(r'"(?:[^"\\]|\\.)*"', "", text).count("Inf"):
        raise ValueError(text[:20])
    return text


add_variant(
    "pretty-printed",
    "Output is indented and ends with a line break.",
    "RFC 8259 §2: white space is insignificant",
    _rewritten_output(lambda value: _without_infinity(json.dumps(value, indent=2) + "\n")),
)
add_variant(
    "sorted-members",
    "Members of the output are sorted by name.",
    "RFC 8259 §4: the order of members is insignificant",
    _rewritten_output(lambda value: _without_infinity(json.dumps(value, sort_keys=True))),
)
add_variant(
    "escaped-strings",
    "Characters outside ASCII and slashes are escaped.",
    "RFC 8259 §7: any character may be escaped",
    _rewritten_output(lambda value: _without_infinity(json.dumps(value).replace("/", "\\/"))),
)
add_variant(
    "javascript-numbers",
    "Numbers are written as in JavaScript: 1 instead of 1.0.",
    "RFC 8259 §6: a number may be written in several ways",
    _rewritten_output(lambda value: _without_infinity(_javascript_json(value))),
)

# ------------------------------------------------------------------ header fields


def _gzip(context: RequestContext, answer: Answer) -> Answer:
    """The answer compressed, if the client accepts gzip."""
    gzip_accepted = re.search(rb"(?<![-\w])gzip(?!\s*;\s*q=0(?:\.0*)?(?:\s|,|$))", context.field(b"accept-encoding"))
    if not gzip_accepted or not answer.body or context.request.method == b"HEAD":
        return answer
    compressed = with_header(with_body(answer, gzip.compress(answer.body, mtime=0)), "Content-Encoding", "gzip")
    return with_header(compressed, "Vary", "Accept-Encoding")


add_variant("gzip", "Answers are compressed if the client accepts gzip.", "RFC 9110 §12.5.3", changed_answer(_gzip))
add_variant(
    "charset",
    "The media type has the parameter `charset=UTF-8`.",
    "RFC 8259 §11: the parameter is undefined and has no effect; RFC 9110 §8.3.1",
    changed_answer(lambda _, answer: with_header(answer, "Content-Type", "application/json; charset=UTF-8")),
)
add_variant(
    "media-type-mixed-case",
    "The media type is written Application/JSON.",
    "RFC 9110 §8.3.1: type and subtype are case-insensitive",
    changed_answer(lambda _, answer: with_header(answer, "Content-Type", "Application/JSON")),
)
add_variant(
    "identity-coding",
    "Answers have `Content-Encoding: identity`.",
    "RFC 9110 §8.4.1: no effect; SHOULD NOT be sent, which is not a MUST NOT",
    changed_answer(lambda _, answer: with_header(answer, "Content-Encoding", "identity")),
)
add_variant(
    "retry-after-date",
    "429 and 503 have a date in Retry-After.",
    "RFC 9110 §10.2.3: a date or a number of seconds",
    changed_answer(
        lambda _, answer: (
            with_header(answer, "Retry-After", formatdate(usegmt=True)) if answer.status in (429, 503) else answer
        )
    ),
)
add_variant(
    "retry-after-zero",
    "429 and 503 have `Retry-After: 0`.",
    "RFC 9110 §10.2.3",
    changed_answer(
        lambda _, answer: with_header(answer, "Retry-After", "0") if answer.status in (429, 503) else answer
    ),
)
add_variant(
    "no-id-on-errors",
    "Only a 200 has a request id.",
    "the document declares the header only for 200",
    changed_errors(lambda answer: with_header(answer, REQUEST_ID_HEADER)),
)
add_variant(
    "short-ids",
    "Request ids are short and sequential.",
    "the document requires a unique string of no particular length",
    FaultHook(
        decide=lambda context: with_header(
            context.correct_answer(), REQUEST_ID_HEADER, f"r{context.memory.next_number()}"
        )
    ),
)


# ------------------------------------------------------------------ errors


def _changed_unless_requested(change: Callable[[Answer], Answer]) -> FaultHook:
    """A hook that changes errors, unless X-Emulate requests a code."""
    return changed_answer(
        lambda context, answer: answer if answer.status == 200 or context.field(b"x-emulate") else change(answer)
    )


add_variant(
    "errors-empty-object",
    "Errors are `{}`, unless X-Emulate requests a code.",
    "the document requires no member of an error",
    _changed_unless_requested(lambda answer: with_body(answer, b"{}")),
)
add_variant(
    "errors-with-extra-members",
    "Errors have additional members of other types.",
    "the schema of the document allows additional members",
    changed_errors(
        lambda answer: with_members(answer, status=answer.status, errors=[{"at": None}], trace_id="a", retryable=False)
    ),
)
add_variant(
    "errors-message-only",
    'Errors are `{"error": …}`, unless X-Emulate requests a code.',
    "the document requires no member of an error",
    _changed_unless_requested(lambda answer: error(answer, answer.status, None)),
)
_STANDARD_FIELDS = (
    ("Cache-Control", 'no-store, private="x-note", max-age=0'),
    ("Cache-Control", 'community="a, b"'),
    ("ETag", 'W/"a,b"'),
    ("Last-Modified", "Sun, 06 Nov 1994 08:49:37 GMT"),
    ("Expires", "Thu, 01 Jan 1970 00:00:00 GMT"),
    ("Age", "0"),
    ("Vary", "Accept-Encoding , Origin"),
    ("Server", "gateway/1.0 (with (nested) comment) module/2"),
    ("Server-Timing", 'db;dur=53;desc="a, b", miss'),
    ("Server-Timing", "total;dur=12.5"),
    ("Strict-Transport-Security", 'max-age="31536000" ; includeSubDomains; preload'),
    ("Link", "<https://example.com/a,b>; rel=\"next prev\"; title*=UTF-8''x, </docs>; rel=help"),
    ("Via", "1.1 gateway (comment), HTTP/1.1 other:8080"),
    ("Alt-Svc", 'h3=":443"; ma=86400, h2="alt:443"'),
    ("Set-Cookie", "visit=1; Expires=Wed, 21 Oct 2015 07:28:00 GMT; Path=/; HttpOnly"),
    ("Content-Language", "de-CH, en"),
    ("Access-Control-Allow-Origin", "*"),
    ("Access-Control-Expose-Headers", "X-Baseten-Request-Id, ETag"),
    ("Cache-Status", 'gateway; fwd=method; detail="x"'),
    ("Keep-Alive", "timeout=60, max=100"),
)

add_variant(
    "www-authenticate",
    "A 401 has WWW-Authenticate.",
    "RFC 9110 §15.5.2: a server that generates a 401 MUST send one",
    changed_answer(
        lambda _, answer: (
            with_header(answer, "WWW-Authenticate", 'Api-Key realm="chain"') if answer.status == 401 else answer
        )
    ),
)
add_variant(
    "standard-fields",
    "Answers have many standard header fields, with unusual but valid values.",
    "RFC 9110 §5.6, §8, §10.2; RFC 9111 §5; RFC 6797 §6.1; RFC 8288 §3",
    changed_answer(lambda _, answer: replace(answer, headers=(*answer.headers, *_STANDARD_FIELDS))),
)
add_variant(
    "affinity-cookie",
    "Every answer has the same cookies, which mean nothing to authentication.",
    "RFC 6265 §3: a server may set cookies that a client does not return",
    changed_answer(
        lambda _, answer: replace(
            answer,
            headers=(
                *answer.headers,
                ("Set-Cookie", "route=0a1b2c3d4e5f; Path=/"),
                ("X-Session-Id", "0a1b2c3d4e5f6071"),
            ),
        )
    ),
)
