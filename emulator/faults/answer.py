"""
Faults of the answer: status, header fields, media type, body, and the identifier of the request.
"""

from __future__ import annotations

import base64
import gzip
import hashlib
import json
from collections.abc import Callable
from dataclasses import replace

import orjson

from chainproof.contract.answer import REQUEST_ID_HEADER, Answer
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
    HTTP_ADVICE,
    NAMES_UNIQUE,
    NO_INTERNALS,
    NO_SECRET,
    OUTPUT_JSON,
    OUTPUT_MEDIA_TYPE,
    REQUEST_ID_ON_ERRORS,
    REQUEST_ID_PRESENT,
    REQUEST_ID_UNIQUE,
    RETRY_AFTER,
    SINGLETON_FIELDS,
    STATUS,
)
from chainproof.json_text import JSON

from .fault import Entry, Stage
from .hooks import Asked, Decide, error, members, saying, stating

_at = Entry(stage=Stage.ANSWER)

Change = Callable[[Answer], Answer]


def _on(*statuses: int) -> Callable[[Change], Decide]:
    """
    Answers of these statuses to requests for the operation, changed.
    """

    def bend(change: Change) -> Decide:
        def decide(asked: Asked) -> Answer:
            honest = asked.honest()
            return change(honest) if honest.status in statuses and asked.ours() else honest

        return decide

    return bend


_success = _on(200)
_refusal = _on(400)
_failure = _on(400, 401, 429, 502, 503, 504)


def _body(change: Callable[[bytes], bytes]) -> Change:
    """
    An answer with its body changed.
    """
    return lambda answer: saying(answer, change(answer.body))


def _typed(media_type: str) -> Change:
    """
    An answer of another media type.
    """
    return lambda answer: stating(answer, "Content-Type", *([media_type] if media_type else []))


def _with(**changes: JSON) -> Change:
    """
    An error with other members.
    """
    return lambda answer: members(answer, **changes)


# ------------------------------------------------------------------ what a success is

_at.table(
    OUTPUT_MEDIA_TYPE,
    rows={
        "output-untyped": ("A 200 has no Content-Type.", _success(_typed(""))),
        "output-text": ("A 200 is text/plain.", _success(_typed("text/plain; charset=utf-8"))),
    },
)


@_at.decides(OUTPUT_MEDIA_TYPE)
def output_untyped_when_empty(asked: Asked) -> Answer:
    """A 200 to the empty object has no Content-Type."""
    honest = asked.honest()
    return stating(honest, "Content-Type") if honest.status == 200 and honest.body.strip() == b"{}" else honest


_at.table(
    OUTPUT_JSON,
    rows={
        "output-mark": (
            "A byte order mark stands before the output.",
            _success(_body(lambda body: b"\xef\xbb\xbf" + body)),
        ),
        "output-cut": ("The output's last byte is missing.", _success(_body(lambda body: body[:-1]))),
        "output-followed": ("A second object stands behind the output.", _success(_body(lambda body: body + b"{}"))),
        "output-empty-body": ("A 200 has an empty body.", _success(_body(lambda _: b""))),
        "output-utf-16": (
            "The output is written in UTF-16.",
            _success(_body(lambda body: body.decode("utf-8").encode("utf-16"))),
        ),
        "output-cut-when-large": (
            "Output of more than 60 000 bytes ends a byte early.",
            _success(_body(lambda body: body[:-1] if len(body) > 60_000 else body)),
        ),
    },
)


@_at.decides(OUTPUT_JSON)
def gzip_unclaimed(asked: Asked) -> Answer:
    """Where gzip is asked for, output is compressed and not called so."""
    honest = asked.honest()
    wished = honest.status == 200 and b"gzip" in asked.field(b"accept-encoding")
    return saying(honest, gzip.compress(honest.body)) if wished else honest


@_at.decides(OUTPUT_JSON)
def output_latin_1(asked: Asked) -> Answer:
    """Output is written in Latin-1 where that has the characters."""
    honest = asked.honest()
    try:
        text = json.dumps(json.loads(honest.body), ensure_ascii=False).encode("latin-1")
    except (ValueError, RecursionError):
        return honest
    return saying(honest, text) if honest.status == 200 and not text.isascii() else honest


@_at.decides(OUTPUT_JSON)
def output_raw_controls(asked: Asked) -> Answer:
    """Control characters are written into strings as they are."""
    honest = asked.honest()
    return (
        saying(honest, honest.body.replace(b"\\u0000", b"\0").replace(b"\\n", b"\n"))
        if honest.status == 200
        else honest
    )


@_at.decides(OUTPUT_JSON)
def output_of_python(asked: Asked) -> Answer:
    """Output with true, false or null in it is written as Python writes it."""
    honest = asked.honest()
    try:
        text = repr(json.loads(honest.body)).encode("utf-8", "replace")
    except (ValueError, RecursionError):
        return honest
    odd = any(word in text for word in (b"True", b"False", b"None"))
    return saying(honest, text) if honest.status == 200 and odd else honest


# ------------------------------------------------------------------ what an error is

_HTML = b"<html><head><title>Bad Gateway</title></head><body><h1>502 Bad Gateway</h1></body></html>"

_at.table(
    ERROR_MEDIA_TYPE,
    rows={
        "errors-untyped": ("Errors have no Content-Type.", _failure(_typed(""))),
        "errors-text": (
            "The gate answers in plain text.",
            _on(401)(lambda answer: saying(answer, b"Unauthorized", "text/plain; charset=utf-8")),
        ),
        "errors-html": (
            "The proxy answers 502 with a page.",
            _on(502)(lambda answer: saying(answer, _HTML, "text/html")),
        ),
        "errors-504-empty": (
            "The proxy answers 504 with nothing at all.",
            _on(504)(lambda answer: stating(saying(answer, b""), "Content-Type")),
        ),
        "errors-problem": (
            "Bad requests are answered as application/problem+json.",
            _refusal(_typed("application/problem+json")),
        ),
    },
)
_at.table(
    ERROR_JSON,
    rows={
        "errors-bare-text": ("An error's body is a bare sentence.", _refusal(_body(lambda _: b"Bad request"))),
        "errors-empty": ("A 401 has no body.", _on(401)(_body(lambda _: b""))),
        "errors-cut": ("Errors are cut off after 40 bytes.", _failure(_body(lambda body: body[:40]))),
        "errors-html-as-json": ("The proxy's page is called application/json.", _on(502)(_body(lambda _: _HTML))),
    },
)
_at.table(
    ERROR_OBJECT,
    rows={
        "errors-array": ("An error's body is an array.", _refusal(_body(lambda body: b"[" + body + b"]"))),
    },
)
_at.table(
    ERROR_MESSAGE,
    rows={
        "error-object-inside": ("`error` is an object.", _failure(_with(error={"message": "no", "type": "bad"}))),
        "error-null": ("`error` is null.", _on(401)(_with(error=None))),
    },
)
_at.table(
    ERROR_DETAIL,
    rows={
        "detail-list": (
            "`detail` is a list, as of a validating framework.",
            _refusal(_with(detail=[{"loc": ["body"], "msg": "no"}])),
        ),
        "detail-null": ("`detail` is null.", _failure(_with(detail=None))),
    },
)
_at.table(
    ERROR_CODE,
    rows={
        "code-invented": ("A bad request is called `bad_request`.", _refusal(_with(error_code="bad_request"))),
        "code-in-capitals": (
            "Codes are written in capitals.",
            _failure(lambda answer: _recoded(answer, str.upper)),
        ),
    },
)
_at.table(
    ERROR_CODE_STATUS,
    rows={
        "code-of-another-status": ("A 400 is called `timeout`.", _refusal(_with(error_code="timeout"))),
        "code-unauthorized-400": ("A 400 is called `unauthorized`.", _refusal(_with(error_code="unauthorized"))),
        "status-503-for-timeout": (
            "A timeout has the status 503.",
            _on(504)(lambda answer: replace(answer, status=503)),
        ),
    },
)


def _recoded(answer: Answer, change: Callable[[str], str]) -> Answer:
    """
    An error with its code spelled in another way.
    """
    said = orjson.loads(answer.body)
    code = said.get("error_code")
    return members(answer, error_code=change(code)) if isinstance(code, str) else answer


@_at.decides(ERROR_CODE_CAUSE)
def empty_body_is_too_large(asked: Asked) -> Answer:
    """A request without a body is called `payload_too_large`."""
    honest = asked.honest()
    empty = honest.status == 400 and not asked.body and asked.ours() and asked.request.length == 0
    return members(honest, error_code="payload_too_large") if empty else honest


_at.table(
    NAMES_UNIQUE,
    rows={
        "error-named-twice": (
            "`error` stands in an error twice.",
            _refusal(_body(lambda body: b'{"error":"first",' + body.lstrip()[1:])),
        ),
        "code-named-twice": (
            "`error_code` stands in a 401 twice.",
            _on(401)(_body(lambda body: b'{"error_code":"client_error",' + body.lstrip()[1:])),
        ),
    },
)

# ------------------------------------------------------------------ statuses that the document does not have

_at.table(
    STATUS,
    rows={
        "success-is-201": ("A success is answered 201.", _success(lambda answer: replace(answer, status=201))),
        "success-is-204": (
            "A success with the empty object is answered 204.",
            _success(
                lambda answer: saying(replace(answer, status=204), b"") if answer.body.strip() == b"{}" else answer
            ),
        ),
        "chain-error-is-500": (
            "What the chain fails at is answered 500.",
            _on(502)(lambda answer: error(answer, 500, None)),
        ),
        "timeout-is-408": ("504 is answered 408.", _on(504)(lambda answer: replace(answer, status=408))),
        "unauthorized-is-404": ("Who has no key is told 404.", _on(401)(lambda answer: error(answer, 404, None))),
    },
)

# ------------------------------------------------------------------ what should stay inside

_TRACE = (
    "Traceback (most recent call last):\n"
    '  File "/app/packages/chain.py", line 25, in run_remote\n    raise ValueError("no")\nValueError: no'
)
_JAVA = "java.lang.NullPointerException\n\tat com.example.Gateway.parse(Gateway.java:42)\n\tat java.base/java.lang.Thread.run"

_at.table(
    NO_INTERNALS,
    rows={
        "tells-its-stack": ("A bad request is answered with a stack trace.", _refusal(_with(detail=_TRACE))),
        "tells-stack-of-chain": (
            "What the chain fails at is answered with its stack trace.",
            _on(502)(_with(detail=_TRACE)),
        ),
    },
)


@_at.decides(NO_INTERNALS)
def tells_stack_of_gate(asked: Asked) -> Answer:
    """A credential that is no base64 is answered with the stack trace of whoever wanted to read it."""
    honest = asked.honest()
    scheme, _, token = asked.given().partition(b" ")
    try:
        base64.b64decode(token, validate=True)
    except ValueError:
        return members(honest, detail=_JAVA) if scheme == b"Basic" and honest.status == 401 else honest
    return honest


def _telling_key(change: Callable[[Answer, str], Answer], *statuses: int) -> Decide:
    """
    Answers of these statuses with the caller's key in them.
    """

    def decide(asked: Asked) -> Answer:
        honest = asked.honest()
        given = asked.given().decode("latin-1")
        return change(honest, given) if honest.status in statuses and given else honest

    return decide


_at.table(
    NO_SECRET,
    rows={
        "key-in-error": (
            "A 401 repeats the key that it refuses.",
            _telling_key(lambda answer, given: members(answer, detail=f"no such key: {given}"), 401),
        ),
        "key-in-header": (
            "A 200 repeats the key in a header field.",
            _telling_key(lambda answer, given: stating(answer, "X-Forwarded-Authorization", given), 200),
        ),
    },
)


@_at.decides(NO_SECRET)
def trace_tells_key(asked: Asked) -> Answer:
    """TRACE repeats the request, its key included."""
    if asked.request.method != b"TRACE":
        return asked.honest()
    lines = b"".join(name + b": " + value + b"\r\n" for name, value in asked.request.headers)
    return saying(replace(asked.honest(), status=200), b"TRACE / HTTP/1.1\r\n" + lines, "message/http")


# ------------------------------------------------------------------ header fields

_at.table(
    SINGLETON_FIELDS,
    rows={
        "content-type-twice": (
            "Content-Type stands there twice.",
            _success(lambda answer: stating(answer, "Content-Type", "application/json", "application/json")),
        ),
        "retry-after-twice": (
            "A 429 has Retry-After twice.",
            _on(429)(lambda answer: stating(answer, "Retry-After", "1", "2")),
        ),
    },
)
_at.table(
    RETRY_AFTER,
    rows={
        "retry-after-words": (
            "A 429 says `Retry-After: soon`.",
            _on(429)(lambda answer: stating(answer, "Retry-After", "soon")),
        ),
        "retry-after-iso": (
            "A 429 has an ISO date in Retry-After.",
            _on(429)(lambda answer: stating(answer, "Retry-After", "2026-12-01T00:00:00Z")),
        ),
    },
)


def _packed(answer: Answer) -> Answer:
    """
    An answer in gzip.
    """
    return stating(saying(answer, gzip.compress(answer.body, mtime=0)), "Content-Encoding", "gzip")


_at.table(
    CONTENT_CODING,
    rows={
        "gzip-unasked": (
            "Output is compressed whatever Accept-Encoding says.",
            lambda asked: (
                _packed(asked.honest())
                if asked.honest().status == 200 and b"gzip" not in asked.field(b"accept-encoding")
                else asked.honest()
            ),
        ),
        "gzip-claimed": (
            "Output that is not compressed is called gzip.",
            _success(lambda answer: stating(answer, "Content-Encoding", "gzip")),
        ),
    },
)


@_at.decides(HTTP_ADVICE)
def gzip_though_refused(asked: Asked) -> Answer:
    """`gzip;q=0` is taken for a wish."""
    honest = asked.honest()
    refused = honest.status == 200 and asked.field(b"accept-encoding").replace(b" ", b"") == b"gzip;q=0"
    return _packed(honest) if refused else honest


# ------------------------------------------------------------------ request ids


def _identified(made: Callable[[Asked], str]) -> Decide:
    """
    Answers whose request id is made in another way.
    """
    return lambda asked: stating(asked.honest(), REQUEST_ID_HEADER, made(asked))


_at.table(
    REQUEST_ID_UNIQUE,
    rows={
        "id-constant": ("There is one request id for all.", _identified(lambda _: "0")),
        "id-per-connection": (
            "The requests of a connection share an id.",
            _identified(lambda asked: f"{id(asked.connection):032x}"),
        ),
        "id-of-body": (
            "The request id is a hash of the body.",
            _identified(lambda asked: hashlib.sha256(asked.body).hexdigest()[:32]),
        ),
        "id-of-16-bits": (
            "The request id is a random number of 16 bits.",
            _identified(lambda asked: f"{asked.memory.chance.getrandbits(16):04x}"),
        ),
        "id-rolls-over": (
            "The request id is a counter that begins again after 100.",
            _identified(lambda asked: f"request-{_counted(asked) % 100}"),
        ),
        "id-from-caller": (
            "The caller's X-BASETEN-REQUEST-ID is taken over.",
            lambda asked: (
                stating(asked.honest(), REQUEST_ID_HEADER, asked.field(b"x-baseten-request-id").decode("latin-1"))
                if asked.field(b"x-baseten-request-id")
                else asked.honest()
            ),
        ),
        "id-from-x-request-id": (
            "The caller's X-Request-Id is taken over.",
            lambda asked: (
                stating(asked.honest(), REQUEST_ID_HEADER, asked.field(b"x-request-id").decode("latin-1"))
                if asked.field(b"x-request-id")
                else asked.honest()
            ),
        ),
        "id-of-errors-constant": (
            "All errors of a status share an id.",
            lambda asked: (
                stating(asked.honest(), REQUEST_ID_HEADER, f"error-{asked.honest().status}")
                if asked.honest().status != 200
                else asked.honest()
            ),
        ),
        "id-shared-at-once": (
            "Requests that run at the same time share an id.",
            lambda asked: _shared(asked),  # noqa: PLW0108  # it stands below
        ),
    },
)


def _counted(asked: Asked) -> int:
    """
    The number of a request.
    """
    asked.memory.count["requests"] += 1
    return asked.memory.count["requests"]


def _shared(asked: Asked) -> Answer:
    """
    The honest answer, but with the id of the last one where requests of other connections wait.
    """
    honest = asked.honest()
    last = asked.memory.answers.get(b"")
    if asked.meanwhile and last is not None and last.request_id:
        return stating(honest, REQUEST_ID_HEADER, last.request_id)
    asked.memory.answers[b""] = honest
    return honest


def _id(*values: str) -> Change:
    """
    An answer with these request ids.
    """
    return lambda answer: stating(answer, REQUEST_ID_HEADER, *values)


_at.table(
    REQUEST_ID_PRESENT,
    rows={
        "id-missing": ("A 200 has no request id.", _success(_id())),
        "id-empty": ("A 200 has an empty request id.", _success(_id(""))),
        "id-twice": (
            "A 200 has two request ids.",
            _success(lambda answer: _id(answer.request_id or "", "x" + (answer.request_id or ""))(answer)),
        ),
    },
)


@_at.decides(REQUEST_ID_PRESENT)
def id_missing_now_and_then(asked: Asked) -> Answer:
    """Every 10th 200 has no request id."""
    honest = asked.honest()
    return _id()(honest) if honest.status == 200 and asked.memory.every(10, "200") else honest


@_at.decides(REQUEST_ID_PRESENT)
def id_missing_when_large(asked: Asked) -> Answer:
    """A large 200 has no request id."""
    honest = asked.honest()
    return _id()(honest) if honest.status == 200 and len(honest.body) > 8192 else honest


@_at.decides(REQUEST_ID_ON_ERRORS)
def id_missing_on_errors(asked: Asked) -> Answer:
    """Errors have no request id."""
    honest = asked.honest()
    return honest if honest.status == 200 else _id()(honest)
