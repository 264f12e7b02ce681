"""Answer faults: wrong status, header fields, media type or body."""

from __future__ import annotations

import base64
import gzip
import json
from collections.abc import Callable
from dataclasses import replace

import orjson

from chainproof.contract.answer import Answer
from chainproof.contract.clauses import (
    CONTENT_CODING,
    ERROR_CODE,
    ERROR_CODE_CAUSE,
    ERROR_CODE_STATUS,
    ERROR_DETAIL,
    ERROR_JSON,
    ERROR_MEDIA_TYPE,
    ERROR_MESSAGE,
    ERROR_OBJECT,
    NO_CREDENTIAL_LEAK,
    NO_INTERNALS,
    OUTPUT_JSON,
    OUTPUT_MEDIA_TYPE,
    RETRY_AFTER,
    SINGLETON_FIELDS,
    STATUS,
    UNIQUE_MEMBER_NAMES,
)
from chainproof.contract.http_clauses import ACCEPT_ENCODING
from chainproof.json_text import JSON

from .fault import FaultRegistrar, FaultStage
from .hooks import DecideHook, RequestContext, error, with_body, with_header, with_members

_faults = FaultRegistrar(stage=FaultStage.ANSWER)

AnswerChange = Callable[[Answer], Answer]


def _on_status(*statuses: int) -> Callable[[AnswerChange], DecideHook]:
    """A decorator: applies a change to answers of the operation with one of these statuses."""

    def hook(change: AnswerChange) -> DecideHook:
        def decide(context: RequestContext) -> Answer:
            answer = context.correct_answer()
            return change(answer) if answer.status in statuses and context.targets_operation() else answer

        return decide

    return hook


on_success = _on_status(200)
_bad_request = _on_status(400)
_failure = _on_status(400, 401, 429, 502, 503, 504)


def _changed_body(change: Callable[[bytes], bytes]) -> AnswerChange:
    """A change of the body."""
    return lambda answer: with_body(answer, change(answer.body))


def _with_media_type(media_type: str) -> AnswerChange:
    """A change of the media type; an empty one removes Content-Type."""
    return lambda answer: with_header(answer, "Content-Type", *([media_type] if media_type else []))


def _with_error_members(**changes: JSON) -> AnswerChange:
    """A change of the members of an error."""
    return lambda answer: with_members(answer, **changes)


# ------------------------------------------------------------------ output

_faults.add_table(
    OUTPUT_MEDIA_TYPE,
    rows={
        "output-without-content-type": ("A 200 has no Content-Type.", on_success(_with_media_type(""))),
        "output-text": ("A 200 is text/plain.", on_success(_with_media_type("text/plain; charset=utf-8"))),
    },
)


@_faults.on_decide(OUTPUT_MEDIA_TYPE, needs_echo=True)
def empty_output_without_content_type(context: RequestContext) -> Answer:
    """A 200 to the empty object has no Content-Type."""
    answer = context.correct_answer()
    return with_header(answer, "Content-Type") if answer.status == 200 and answer.body.strip() == b"{}" else answer


_faults.add_table(
    OUTPUT_JSON,
    rows={
        "output-with-bom": (
            "The output starts with a byte order mark.",
            on_success(_changed_body(lambda body: b"\xef\xbb\xbf" + body)),
        ),
        "output-truncated": (
            "The last byte of the output is missing.",
            on_success(_changed_body(lambda body: body[:-1])),
        ),
        "output-with-trailing-data": (
            "A second object follows the output.",
            on_success(_changed_body(lambda body: body + b"{}")),
        ),
        "output-empty-body": ("A 200 has an empty body.", on_success(_changed_body(lambda _: b""))),
        "output-utf-16": (
            "The output is encoded in UTF-16.",
            on_success(_changed_body(lambda body: body.decode("utf-8").encode("utf-16"))),
        ),
        "large-output-truncated": (
            "Outputs above 60 000 bytes lack their last byte.",
            on_success(_changed_body(lambda body: body[:-1] if len(body) > 60_000 else body)),
        ),
    },
)


@_faults.on_decide(OUTPUT_MEDIA_TYPE)
def output_streamed_on_flag(context: RequestContext) -> Answer:
    """The output of an input with `"stream":true` is text/event-stream."""
    answer = context.correct_answer()
    is_stream = answer.status == 200 and b'"stream":true' in context.body
    return with_body(answer, b"data: " + answer.body, "text/event-stream") if is_stream else answer


@_faults.on_decide(OUTPUT_JSON)
def gzip_undeclared(context: RequestContext) -> Answer:
    """Output is compressed when the client accepts gzip, but Content-Encoding is missing."""
    answer = context.correct_answer()
    gzip_accepted = answer.status == 200 and b"gzip" in context.field(b"accept-encoding")
    return with_body(answer, gzip.compress(answer.body)) if gzip_accepted else answer


@_faults.on_decide(OUTPUT_JSON)
def output_latin_1(context: RequestContext) -> Answer:
    """Output is encoded in Latin-1 if possible."""
    answer = context.correct_answer()
    try:
        text = json.dumps(json.loads(answer.body), ensure_ascii=False).encode("latin-1")
    except (ValueError, RecursionError):
        return answer
    return with_body(answer, text) if answer.status == 200 and not text.isascii() else answer


@_faults.on_decide(OUTPUT_JSON)
def output_latin_1_if_accepted(context: RequestContext) -> Answer:
    """Output is encoded in Latin-1 if possible, for clients whose Accept-Charset names it."""
    return output_latin_1(context) if b"8859-1" in context.field(b"accept-charset") else context.correct_answer()


@_faults.on_decide(OUTPUT_JSON)
def output_with_unescaped_controls(context: RequestContext) -> Answer:
    """Control characters in strings are not escaped."""
    answer = context.correct_answer()
    return (
        with_body(answer, answer.body.replace(b"\\u0000", b"\0").replace(b"\\n", b"\n"))
        if answer.status == 200
        else answer
    )


@_faults.on_decide(OUTPUT_JSON)
def output_as_python_repr(context: RequestContext) -> Answer:
    """Output with true, false or null is written as Python literals."""
    answer = context.correct_answer()
    try:
        text = repr(json.loads(answer.body)).encode("utf-8", "replace")
    except (ValueError, RecursionError):
        return answer
    has_python_words = any(word in text for word in (b"True", b"False", b"None"))
    return with_body(answer, text) if answer.status == 200 and has_python_words else answer


# ------------------------------------------------------------------ errors

_HTML = b"<html><head><title>Bad Gateway</title></head><body><h1>502 Bad Gateway</h1></body></html>"

_faults.add_table(
    ERROR_MEDIA_TYPE,
    rows={
        "errors-without-content-type": ("Errors have no Content-Type.", _failure(_with_media_type(""))),
        "errors-text": (
            "A 401 has a plain text body.",
            _on_status(401)(lambda answer: with_body(answer, b"Unauthorized", "text/plain; charset=utf-8")),
        ),
        "errors-html": (
            "A 502 has an HTML body.",
            _on_status(502)(lambda answer: with_body(answer, _HTML, "text/html")),
        ),
        "errors-504-empty": (
            "A 504 has neither a body nor a Content-Type.",
            _on_status(504)(lambda answer: with_header(with_body(answer, b""), "Content-Type")),
        ),
        "errors-as-problem-json": (
            "A 400 has the media type application/problem+json.",
            _bad_request(_with_media_type("application/problem+json")),
        ),
    },
)
_faults.add_table(
    ERROR_JSON,
    rows={
        "errors-bare-text": (
            "The body of a 400 is a bare sentence, not JSON.",
            _bad_request(_changed_body(lambda _: b"Bad request")),
        ),
        "errors-empty": ("A 401 has no body.", _on_status(401)(_changed_body(lambda _: b""))),
        "errors-truncated": ("Errors are cut off after 40 bytes.", _failure(_changed_body(lambda body: body[:40]))),
        "errors-html-as-json": (
            "A 502 has an HTML body with the media type application/json.",
            _on_status(502)(_changed_body(lambda _: _HTML)),
        ),
    },
)
_faults.add_table(
    ERROR_OBJECT,
    rows={
        "errors-array": ("The body of a 400 is an array.", _bad_request(_changed_body(lambda body: b"[" + body + b"]")))
    },
)
_faults.add_table(
    ERROR_MESSAGE,
    rows={
        "error-is-object": (
            "`error` is an object.",
            _failure(_with_error_members(error={"message": "no", "type": "bad"})),
        ),
        "error-null": ("`error` is null.", _on_status(401)(_with_error_members(error=None))),
    },
)
_faults.add_table(
    ERROR_DETAIL,
    rows={
        "detail-list": (
            "`detail` is a list, as in FastAPI validation errors.",
            _bad_request(_with_error_members(detail=[{"loc": ["body"], "msg": "no"}])),
        ),
        "detail-null": ("`detail` is null.", _failure(_with_error_members(detail=None))),
    },
)


def _with_upper_case_code(answer: Answer) -> Answer:
    """The error with its code, if any, in upper case."""
    body = orjson.loads(answer.body)
    code = body.get("error_code")
    return with_members(answer, error_code=code.upper()) if isinstance(code, str) else answer


_faults.add_table(
    ERROR_CODE,
    rows={
        "code-undocumented": (
            "A 400 has the undocumented code `bad_request`.",
            _bad_request(_with_error_members(error_code="bad_request")),
        ),
        "code-in-capitals": (
            "Codes are written in upper case.",
            _failure(_with_upper_case_code),
        ),
    },
)
_faults.add_table(
    ERROR_CODE_STATUS,
    rows={
        "code-for-another-status": (
            "A 400 has the code `timeout`.",
            _bad_request(_with_error_members(error_code="timeout")),
        ),
        "code-unauthorized-400": (
            "A 400 has the code `unauthorized`.",
            _bad_request(_with_error_members(error_code="unauthorized")),
        ),
        "status-503-for-timeout": (
            "A timeout is answered 503 instead of 504.",
            _on_status(504)(lambda answer: replace(answer, status=503)),
        ),
    },
)


@_faults.on_decide(ERROR_CODE_CAUSE)
def empty_body_is_too_large(context: RequestContext) -> Answer:
    """A request without a body gets the code `payload_too_large`."""
    answer = context.correct_answer()
    empty = answer.status == 400 and not context.body and context.targets_operation() and context.request.length == 0
    return with_members(answer, error_code="payload_too_large") if empty else answer


_faults.add_table(
    UNIQUE_MEMBER_NAMES,
    rows={
        "error-member-twice": (
            "A 400 has the member `error` twice.",
            _bad_request(_changed_body(lambda body: b'{"error":"first",' + body.lstrip()[1:])),
        ),
        "code-member-twice": (
            "A 401 has the member `error_code` twice.",
            _on_status(401)(_changed_body(lambda body: b'{"error_code":"client_error",' + body.lstrip()[1:])),
        ),
    },
)

# ------------------------------------------------------------------ undocumented statuses


@_faults.on_decide(STATUS, needs_echo=True)
def success_is_204(context: RequestContext) -> Answer:
    """A success with an empty object is answered 204."""
    answer = context.correct_answer()
    is_empty = answer.status == 200 and answer.body.strip() == b"{}"
    return with_body(replace(answer, status=204), b"") if is_empty else answer


_faults.add_table(
    STATUS,
    rows={
        "success-is-201": ("A success is answered 201.", on_success(lambda answer: replace(answer, status=201))),
        "chain-error-is-500": (
            "An error of the chain is answered 500 instead of 502.",
            _on_status(502)(lambda answer: error(answer, 500, None)),
        ),
        "timeout-is-408": (
            "A timeout is answered 408 instead of 504.",
            _on_status(504)(lambda answer: replace(answer, status=408)),
        ),
        "unauthorized-is-404": (
            "An unauthenticated request is answered 404.",
            _on_status(401)(lambda answer: error(answer, 404, None)),
        ),
    },
)

# ------------------------------------------------------------------ exposed internals and credentials

_PYTHON_TRACEBACK = (
    "Traceback (most recent call last):\n"
    '  File "/app/packages/chain.py", line 25, in run_remote\n    raise ValueError("no")\nValueError: no'
)
_JAVA_STACK_TRACE = "java.lang.NullPointerException\n\tat com.example.Gateway.parse(Gateway.java:42)\n\tat java.base/java.lang.Thread.run"

_faults.add_table(
    NO_INTERNALS,
    rows={
        "stack-trace-in-400": (
            "A 400 contains a stack trace.",
            _bad_request(_with_error_members(detail=_PYTHON_TRACEBACK)),
        ),
        "stack-trace-of-chain": (
            "A 502 contains the stack trace of the chain.",
            _on_status(502)(_with_error_members(detail=_PYTHON_TRACEBACK)),
        ),
    },
)


@_faults.on_decide(NO_INTERNALS)
def stack_trace_of_auth(context: RequestContext) -> Answer:
    """Basic credentials that are not base64 are answered with a stack trace."""
    answer = context.correct_answer()
    scheme, _, token = context.authorization().partition(b" ")
    try:
        base64.b64decode(token, validate=True)
    except ValueError:
        return with_members(answer, detail=_JAVA_STACK_TRACE) if scheme == b"Basic" and answer.status == 401 else answer
    return answer


def _leaks_key(change: Callable[[Answer, str], Answer], *statuses: int) -> DecideHook:
    """A hook for answers with these statuses that passes the caller's Authorization value to *change*."""

    def decide(context: RequestContext) -> Answer:
        answer = context.correct_answer()
        authorization = context.authorization().decode("latin-1")
        return change(answer, authorization) if answer.status in statuses and authorization else answer

    return decide


_faults.add_table(
    NO_CREDENTIAL_LEAK,
    rows={
        "key-in-error": (
            "A 401 repeats the rejected key.",
            _leaks_key(lambda answer, authorization: with_members(answer, detail=f"no such key: {authorization}"), 401),
        ),
        "key-in-header": (
            "A 200 repeats the key in a header field.",
            _leaks_key(
                lambda answer, authorization: with_header(answer, "X-Forwarded-Authorization", authorization), 200
            ),
        ),
    },
)


@_faults.on_decide(NO_CREDENTIAL_LEAK)
def trace_echoes_key(context: RequestContext) -> Answer:
    """TRACE echoes the request including the key."""
    if context.request.method != b"TRACE":
        return context.correct_answer()
    lines = b"".join(name + b": " + value + b"\r\n" for name, value in context.request.headers)
    return with_body(replace(context.correct_answer(), status=200), b"TRACE / HTTP/1.1\r\n" + lines, "message/http")


# ------------------------------------------------------------------ header fields

_faults.add_table(
    SINGLETON_FIELDS,
    rows={
        "content-type-twice": (
            "A 200 has two Content-Type headers.",
            on_success(lambda answer: with_header(answer, "Content-Type", "application/json", "application/json")),
        ),
        "retry-after-twice": (
            "A 429 has two Retry-After headers.",
            _on_status(429)(lambda answer: with_header(answer, "Retry-After", "1", "2")),
        ),
    },
)
_faults.add_table(
    RETRY_AFTER,
    rows={
        "retry-after-words": (
            "A 429 has `Retry-After: soon`.",
            _on_status(429)(lambda answer: with_header(answer, "Retry-After", "soon")),
        ),
        "retry-after-iso": (
            "A 429 has an ISO 8601 date in Retry-After.",
            _on_status(429)(lambda answer: with_header(answer, "Retry-After", "2026-12-01T00:00:00Z")),
        ),
    },
)


def _compressed(answer: Answer) -> Answer:
    """The answer compressed with gzip."""
    return with_header(with_body(answer, gzip.compress(answer.body, mtime=0)), "Content-Encoding", "gzip")


_faults.add_table(
    CONTENT_CODING,
    rows={
        "gzip-unrequested": (
            "Output is compressed although the client does not accept gzip.",
            lambda context: (
                _compressed(context.correct_answer())
                if context.correct_answer().status == 200 and b"gzip" not in context.field(b"accept-encoding")
                else context.correct_answer()
            ),
        ),
        "gzip-falsely-declared": (
            "Uncompressed output has `Content-Encoding: gzip`.",
            on_success(lambda answer: with_header(answer, "Content-Encoding", "gzip")),
        ),
    },
)


@_faults.on_decide(ACCEPT_ENCODING)
def gzip_despite_q0(context: RequestContext) -> Answer:
    """Output is compressed although the client sends `gzip;q=0`."""
    answer = context.correct_answer()
    gzip_rejected = answer.status == 200 and context.field(b"accept-encoding").replace(b" ", b"") == b"gzip;q=0"
    return _compressed(answer) if gzip_rejected else answer
