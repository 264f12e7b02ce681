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
    HTTP_RECOMMENDATIONS,
    NO_CREDENTIAL_LEAK,
    NO_INTERNALS,
    OUTPUT_JSON,
    OUTPUT_MEDIA_TYPE,
    REQUEST_ID_ON_ERRORS,
    REQUEST_ID_PRESENT,
    REQUEST_ID_UNIQUE,
    RETRY_AFTER,
    SINGLETON_FIELDS,
    STATUS,
    UNIQUE_MEMBER_NAMES,
)
from chainproof.json_text import JSON

from .fault import FaultRegistrar, FaultStage
from .hooks import DecideHook, RequestContext, error, with_body, with_header, with_members

_at = FaultRegistrar(stage=FaultStage.ANSWER)

Change = Callable[[Answer], Answer]


def _on(*statuses: int) -> Callable[[Change], DecideHook]:
    """
    Answers of these statuses to requests for the operation, changed.
    """

    def hook(change: Change) -> DecideHook:
        def decide(context: RequestContext) -> Answer:
            correct_answer = context.correct_answer()
            return (
                change(correct_answer)
                if correct_answer.status in statuses and context.targets_operation()
                else correct_answer
            )

        return decide

    return hook


_success = _on(200)
_refusal = _on(400)
_failure = _on(400, 401, 429, 502, 503, 504)


def _body(change: Callable[[bytes], bytes]) -> Change:
    """
    An answer with its body changed.
    """
    return lambda answer: with_body(answer, change(answer.body))


def _typed(media_type: str) -> Change:
    """
    An answer of another media type.
    """
    return lambda answer: with_header(answer, "Content-Type", *([media_type] if media_type else []))


def _with(**changes: JSON) -> Change:
    """
    An error with other members.
    """
    return lambda answer: with_members(answer, **changes)


# ------------------------------------------------------------------ what a success is

_at.add_table(
    OUTPUT_MEDIA_TYPE,
    rows={
        "output-without-content-type": ("A 200 has no Content-Type.", _success(_typed(""))),
        "output-text": ("A 200 is text/plain.", _success(_typed("text/plain; charset=utf-8"))),
    },
)


@_at.on_decide(OUTPUT_MEDIA_TYPE)
def empty_output_without_content_type(context: RequestContext) -> Answer:
    """A 200 to the empty object has no Content-Type."""
    correct_answer = context.correct_answer()
    return (
        with_header(correct_answer, "Content-Type")
        if correct_answer.status == 200 and correct_answer.body.strip() == b"{}"
        else correct_answer
    )


_at.add_table(
    OUTPUT_JSON,
    rows={
        "output-with-bom": (
            "A byte order mark stands before the output.",
            _success(_body(lambda body: b"\xef\xbb\xbf" + body)),
        ),
        "output-truncated": ("The output's last byte is missing.", _success(_body(lambda body: body[:-1]))),
        "output-with-trailing-data": (
            "A second object stands behind the output.",
            _success(_body(lambda body: body + b"{}")),
        ),
        "output-empty-body": ("A 200 has an empty body.", _success(_body(lambda _: b""))),
        "output-utf-16": (
            "The output is written in UTF-16.",
            _success(_body(lambda body: body.decode("utf-8").encode("utf-16"))),
        ),
        "large-output-truncated": (
            "Output of more than 60 000 bytes ends a byte early.",
            _success(_body(lambda body: body[:-1] if len(body) > 60_000 else body)),
        ),
    },
)


@_at.on_decide(OUTPUT_JSON)
def gzip_undeclared(context: RequestContext) -> Answer:
    """Where gzip is asked for, output is compressed and not called so."""
    correct_answer = context.correct_answer()
    wished = correct_answer.status == 200 and b"gzip" in context.field(b"accept-encoding")
    return with_body(correct_answer, gzip.compress(correct_answer.body)) if wished else correct_answer


@_at.on_decide(OUTPUT_JSON)
def output_latin_1(context: RequestContext) -> Answer:
    """Output is written in Latin-1 where that has the characters."""
    correct_answer = context.correct_answer()
    try:
        text = json.dumps(json.loads(correct_answer.body), ensure_ascii=False).encode("latin-1")
    except (ValueError, RecursionError):
        return correct_answer
    return with_body(correct_answer, text) if correct_answer.status == 200 and not text.isascii() else correct_answer


@_at.on_decide(OUTPUT_JSON)
def output_with_unescaped_controls(context: RequestContext) -> Answer:
    """Control characters are written into strings as they are."""
    correct_answer = context.correct_answer()
    return (
        with_body(correct_answer, correct_answer.body.replace(b"\\u0000", b"\0").replace(b"\\n", b"\n"))
        if correct_answer.status == 200
        else correct_answer
    )


@_at.on_decide(OUTPUT_JSON)
def output_as_python_repr(context: RequestContext) -> Answer:
    """Output with true, false or null in it is written as Python writes it."""
    correct_answer = context.correct_answer()
    try:
        text = repr(json.loads(correct_answer.body)).encode("utf-8", "replace")
    except (ValueError, RecursionError):
        return correct_answer
    odd = any(word in text for word in (b"True", b"False", b"None"))
    return with_body(correct_answer, text) if correct_answer.status == 200 and odd else correct_answer


# ------------------------------------------------------------------ what an error is

_HTML = b"<html><head><title>Bad Gateway</title></head><body><h1>502 Bad Gateway</h1></body></html>"

_at.add_table(
    ERROR_MEDIA_TYPE,
    rows={
        "errors-without-content-type": ("Errors have no Content-Type.", _failure(_typed(""))),
        "errors-text": (
            "The gate answers in plain text.",
            _on(401)(lambda answer: with_body(answer, b"Unauthorized", "text/plain; charset=utf-8")),
        ),
        "errors-html": (
            "The proxy answers 502 with a page.",
            _on(502)(lambda answer: with_body(answer, _HTML, "text/html")),
        ),
        "errors-504-empty": (
            "The proxy answers 504 with nothing at all.",
            _on(504)(lambda answer: with_header(with_body(answer, b""), "Content-Type")),
        ),
        "errors-as-problem-json": (
            "Bad requests are answered as application/problem+json.",
            _refusal(_typed("application/problem+json")),
        ),
    },
)
_at.add_table(
    ERROR_JSON,
    rows={
        "errors-bare-text": ("An error's body is a bare sentence.", _refusal(_body(lambda _: b"Bad request"))),
        "errors-empty": ("A 401 has no body.", _on(401)(_body(lambda _: b""))),
        "errors-truncated": ("Errors are cut off after 40 bytes.", _failure(_body(lambda body: body[:40]))),
        "errors-html-as-json": ("The proxy's page is called application/json.", _on(502)(_body(lambda _: _HTML))),
    },
)
_at.add_table(
    ERROR_OBJECT,
    rows={
        "errors-array": ("An error's body is an array.", _refusal(_body(lambda body: b"[" + body + b"]"))),
    },
)
_at.add_table(
    ERROR_MESSAGE,
    rows={
        "error-is-object": ("`error` is an object.", _failure(_with(error={"message": "no", "type": "bad"}))),
        "error-null": ("`error` is null.", _on(401)(_with(error=None))),
    },
)
_at.add_table(
    ERROR_DETAIL,
    rows={
        "detail-list": (
            "`detail` is a list, as of a validating framework.",
            _refusal(_with(detail=[{"loc": ["body"], "msg": "no"}])),
        ),
        "detail-null": ("`detail` is null.", _failure(_with(detail=None))),
    },
)
_at.add_table(
    ERROR_CODE,
    rows={
        "code-undocumented": ("A bad request is called `bad_request`.", _refusal(_with(error_code="bad_request"))),
        "code-in-capitals": (
            "Codes are written in capitals.",
            _failure(lambda answer: _recoded(answer, str.upper)),
        ),
    },
)
_at.add_table(
    ERROR_CODE_STATUS,
    rows={
        "code-for-another-status": ("A 400 is called `timeout`.", _refusal(_with(error_code="timeout"))),
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
    return with_members(answer, error_code=change(code)) if isinstance(code, str) else answer


@_at.on_decide(ERROR_CODE_CAUSE)
def empty_body_is_too_large(context: RequestContext) -> Answer:
    """A request without a body is called `payload_too_large`."""
    correct_answer = context.correct_answer()
    empty = (
        correct_answer.status == 400
        and not context.body
        and context.targets_operation()
        and context.request.length == 0
    )
    return with_members(correct_answer, error_code="payload_too_large") if empty else correct_answer


_at.add_table(
    UNIQUE_MEMBER_NAMES,
    rows={
        "error-member-twice": (
            "`error` stands in an error twice.",
            _refusal(_body(lambda body: b'{"error":"first",' + body.lstrip()[1:])),
        ),
        "code-member-twice": (
            "`error_code` stands in a 401 twice.",
            _on(401)(_body(lambda body: b'{"error_code":"client_error",' + body.lstrip()[1:])),
        ),
    },
)

# ------------------------------------------------------------------ statuses that the document does not have

_at.add_table(
    STATUS,
    rows={
        "success-is-201": ("A success is answered 201.", _success(lambda answer: replace(answer, status=201))),
        "success-is-204": (
            "A success with the empty object is answered 204.",
            _success(
                lambda answer: with_body(replace(answer, status=204), b"") if answer.body.strip() == b"{}" else answer
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

_at.add_table(
    NO_INTERNALS,
    rows={
        "stack-trace-in-400": ("A bad request is answered with a stack trace.", _refusal(_with(detail=_TRACE))),
        "stack-trace-of-chain": (
            "What the chain fails at is answered with its stack trace.",
            _on(502)(_with(detail=_TRACE)),
        ),
    },
)


@_at.on_decide(NO_INTERNALS)
def stack_trace_of_auth(context: RequestContext) -> Answer:
    """A credential that is no base64 is answered with the stack trace of whoever wanted to read it."""
    correct_answer = context.correct_answer()
    scheme, _, token = context.authorization().partition(b" ")
    try:
        base64.b64decode(token, validate=True)
    except ValueError:
        return (
            with_members(correct_answer, detail=_JAVA)
            if scheme == b"Basic" and correct_answer.status == 401
            else correct_answer
        )
    return correct_answer


def _telling_key(change: Callable[[Answer, str], Answer], *statuses: int) -> DecideHook:
    """
    Answers of these statuses with the caller's key in them.
    """

    def decide(context: RequestContext) -> Answer:
        correct_answer = context.correct_answer()
        authorization = context.authorization().decode("latin-1")
        return (
            change(correct_answer, authorization)
            if correct_answer.status in statuses and authorization
            else correct_answer
        )

    return decide


_at.add_table(
    NO_CREDENTIAL_LEAK,
    rows={
        "key-in-error": (
            "A 401 repeats the key that it refuses.",
            _telling_key(
                lambda answer, authorization: with_members(answer, detail=f"no such key: {authorization}"), 401
            ),
        ),
        "key-in-header": (
            "A 200 repeats the key in a header field.",
            _telling_key(
                lambda answer, authorization: with_header(answer, "X-Forwarded-Authorization", authorization), 200
            ),
        ),
    },
)


@_at.on_decide(NO_CREDENTIAL_LEAK)
def trace_echoes_key(context: RequestContext) -> Answer:
    """TRACE repeats the request, its key included."""
    if context.request.method != b"TRACE":
        return context.correct_answer()
    lines = b"".join(name + b": " + value + b"\r\n" for name, value in context.request.headers)
    return with_body(replace(context.correct_answer(), status=200), b"TRACE / HTTP/1.1\r\n" + lines, "message/http")


# ------------------------------------------------------------------ header fields

_at.add_table(
    SINGLETON_FIELDS,
    rows={
        "content-type-twice": (
            "Content-Type stands there twice.",
            _success(lambda answer: with_header(answer, "Content-Type", "application/json", "application/json")),
        ),
        "retry-after-twice": (
            "A 429 has Retry-After twice.",
            _on(429)(lambda answer: with_header(answer, "Retry-After", "1", "2")),
        ),
    },
)
_at.add_table(
    RETRY_AFTER,
    rows={
        "retry-after-words": (
            "A 429 says `Retry-After: soon`.",
            _on(429)(lambda answer: with_header(answer, "Retry-After", "soon")),
        ),
        "retry-after-iso": (
            "A 429 has an ISO date in Retry-After.",
            _on(429)(lambda answer: with_header(answer, "Retry-After", "2026-12-01T00:00:00Z")),
        ),
    },
)


def _packed(answer: Answer) -> Answer:
    """
    An answer in gzip.
    """
    return with_header(with_body(answer, gzip.compress(answer.body, mtime=0)), "Content-Encoding", "gzip")


_at.add_table(
    CONTENT_CODING,
    rows={
        "gzip-unrequested": (
            "Output is compressed whatever Accept-Encoding says.",
            lambda context: (
                _packed(context.correct_answer())
                if context.correct_answer().status == 200 and b"gzip" not in context.field(b"accept-encoding")
                else context.correct_answer()
            ),
        ),
        "gzip-falsely-declared": (
            "Output that is not compressed is called gzip.",
            _success(lambda answer: with_header(answer, "Content-Encoding", "gzip")),
        ),
    },
)


@_at.on_decide(HTTP_RECOMMENDATIONS)
def gzip_despite_q0(context: RequestContext) -> Answer:
    """`gzip;q=0` is taken for a wish."""
    correct_answer = context.correct_answer()
    refused = correct_answer.status == 200 and context.field(b"accept-encoding").replace(b" ", b"") == b"gzip;q=0"
    return _packed(correct_answer) if refused else correct_answer


# ------------------------------------------------------------------ request ids


def _identified(made: Callable[[RequestContext], str]) -> DecideHook:
    """
    Answers whose request id is made in another way.
    """
    return lambda context: with_header(context.correct_answer(), REQUEST_ID_HEADER, made(context))


_at.add_table(
    REQUEST_ID_UNIQUE,
    rows={
        "id-constant": ("There is one request id for all.", _identified(lambda _: "0")),
        "id-per-connection": (
            "The requests of a connection share an id.",
            _identified(lambda context: f"{id(context.connection):032x}"),
        ),
        "id-is-body-hash": (
            "The request id is a hash of the body.",
            _identified(lambda context: hashlib.sha256(context.body).hexdigest()[:32]),
        ),
        "id-16-bit": (
            "The request id is a random number of 16 bits.",
            _identified(lambda context: f"{context.memory.rng.getrandbits(16):04x}"),
        ),
        "id-rolls-over": (
            "The request id is a counter that begins again after 100.",
            _identified(lambda context: f"request-{_counted(context) % 100}"),
        ),
        "id-from-caller": (
            "The caller's X-BASETEN-REQUEST-ID is taken over.",
            lambda context: (
                with_header(
                    context.correct_answer(),
                    REQUEST_ID_HEADER,
                    context.field(b"x-baseten-request-id").decode("latin-1"),
                )
                if context.field(b"x-baseten-request-id")
                else context.correct_answer()
            ),
        ),
        "id-from-x-request-id": (
            "The caller's X-Request-Id is taken over.",
            lambda context: (
                with_header(
                    context.correct_answer(), REQUEST_ID_HEADER, context.field(b"x-request-id").decode("latin-1")
                )
                if context.field(b"x-request-id")
                else context.correct_answer()
            ),
        ),
        "id-constant-on-errors": (
            "All errors of a status share an id.",
            lambda context: (
                with_header(context.correct_answer(), REQUEST_ID_HEADER, f"error-{context.correct_answer().status}")
                if context.correct_answer().status != 200
                else context.correct_answer()
            ),
        ),
        "id-shared-when-concurrent": (
            "Requests that run at the same time share an id.",
            lambda context: _shared(context),  # noqa: PLW0108  # it stands below
        ),
    },
)


def _counted(context: RequestContext) -> int:
    """
    The number of a request.
    """
    context.memory.count["requests"] += 1
    return context.memory.count["requests"]


def _shared(context: RequestContext) -> Answer:
    """
    The honest answer, but with the id of the last one where requests of other connections wait.
    """
    correct_answer = context.correct_answer()
    last = context.memory.answers.get(b"")
    if context.concurrent and last is not None and last.request_id:
        return with_header(correct_answer, REQUEST_ID_HEADER, last.request_id)
    context.memory.answers[b""] = correct_answer
    return correct_answer


def _id(*values: str) -> Change:
    """
    An answer with these request ids.
    """
    return lambda answer: with_header(answer, REQUEST_ID_HEADER, *values)


_at.add_table(
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


@_at.on_decide(REQUEST_ID_PRESENT)
def id_missing_now_and_then(context: RequestContext) -> Answer:
    """Every 10th 200 has no request id."""
    correct_answer = context.correct_answer()
    return (
        _id()(correct_answer)
        if correct_answer.status == 200 and context.memory.every_nth(10, "200")
        else correct_answer
    )


@_at.on_decide(REQUEST_ID_PRESENT)
def id_missing_when_large(context: RequestContext) -> Answer:
    """A large 200 has no request id."""
    correct_answer = context.correct_answer()
    return _id()(correct_answer) if correct_answer.status == 200 and len(correct_answer.body) > 8192 else correct_answer


@_at.on_decide(REQUEST_ID_ON_ERRORS)
def id_missing_on_errors(context: RequestContext) -> Answer:
    """Errors have no request id."""
    correct_answer = context.correct_answer()
    return correct_answer if correct_answer.status == 200 else _id()(correct_answer)
