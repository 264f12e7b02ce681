"""Shared state faults: a caller gets data, a session or a cached answer of another."""

from __future__ import annotations

import gzip
import hashlib
from collections.abc import Callable
from dataclasses import replace

from chainproof.contract import http_clauses
from chainproof.contract.answer import Answer
from chainproof.contract.clauses import (
    ANSWER_MATCHES_REQUEST,
    AUTHENTICATION_REQUIRED,
    CONTENT_CODING,
    KEY_VERIFIED,
    OBJECT_ACCEPTED,
    REQUEST_ISOLATION,
)

from .fault import FaultRegistrar, FaultStage
from .hooks import FaultHook, Memory, RequestContext, error, with_body, with_header, with_members

_faults = FaultRegistrar(stage=FaultStage.STATE)

# ------------------------------------------------------------------ data of other requests

_LAST = b"last"


def _last_text(memory: Memory, text: bytes) -> bytes:
    """The text that was remembered before, and remember another one."""
    before = memory.answers.get(_LAST)
    memory.answers[_LAST] = Answer(status=0, headers=(), body=text)
    return before.body if before is not None else b""


def _quoted(text: bytes) -> str:
    """The beginning of a text, as an error quotes it."""
    return text[:200].decode("latin-1")


@_faults.on_decide(ANSWER_MATCHES_REQUEST)
def error_quotes_previous_body(context: RequestContext) -> Answer:
    """A 400 quotes the body of the request before, from a shared buffer."""
    answer, before = context.correct_answer(), _last_text(context.memory, context.body)
    return with_members(answer, detail=f"near {_quoted(before)}") if answer.status == 400 and before else answer


@_faults.on_decide(ANSWER_MATCHES_REQUEST)
def query_of_previous_request(context: RequestContext) -> Answer:
    """A 401 has the query of the request before in a header field."""
    answer = context.correct_answer()
    query = context.request.target.partition(b"?")[2]
    before = context.memory.answers.get(_LAST)
    if query:
        _last_text(context.memory, query)
    return with_header(answer, "X-Query", _quoted(before.body)) if answer.status == 401 and before else answer


@_faults.on_decide(ANSWER_MATCHES_REQUEST)
def output_has_field_of_previous_request(context: RequestContext) -> Answer:
    """A 200 repeats a header field of the request before."""
    answer = context.correct_answer()
    field = context.field(b"x-chainproof")
    before = _last_text(context.memory, field)
    return with_header(answer, "X-Context", _quoted(before)) if answer.status == 200 and before else answer


def _filled_from_memory(context: RequestContext) -> Answer:
    """An error that quotes as many bytes as the body should have had."""
    answer = context.correct_answer()
    length = context.field(b"content-length")
    missing = int(length) - len(context.body) if length.isdigit() else 0
    before = context.memory.answers.get(_LAST)
    if missing <= 0:
        _last_text(context.memory, context.body)
        return answer
    filling = (before.body if before is not None else b"")[len(context.body) : len(context.body) + missing]
    return with_members(error(answer, 400, "client_error"), detail=f"invalid: {_quoted(context.body[:20] + filling)}")


_faults.add(
    "short-body-filled-from-memory",
    "A body shorter than its Content-Length is filled with what an earlier request left in the buffer, and quoted in a 400.",
    FaultHook(decide=_filled_from_memory, accepts_truncated_body=lambda _headers: True),
    ANSWER_MATCHES_REQUEST,
)


def _with_aborted_body(context: RequestContext) -> Answer:
    """The first error after an aborted request quotes its body."""
    answer = context.correct_answer()
    left = context.memory.answers.pop(_LAST, None) if answer.status == 400 else None
    return answer if left is None else with_members(answer, detail=f"invalid: {_quoted(left.body + context.body)}")


def _keep_aborted_body(memory: Memory, body: bytes) -> None:
    """Keep the part of a body that has arrived."""
    if body:
        _last_text(memory, body)


_faults.add(
    "aborted-body-kept",
    "What has arrived of an aborted request is put before the next invalid body, and quoted in its 400.",
    FaultHook(decide=_with_aborted_body, abort=_keep_aborted_body),
    ANSWER_MATCHES_REQUEST,
)

# ------------------------------------------------------------------ sessions


def _session(context: RequestContext) -> str:
    """The session of the right key."""
    return hashlib.sha256(context.key).hexdigest()


@_faults.on_decide(AUTHENTICATION_REQUIRED, KEY_VERIFIED)
def cookie_replaces_key(context: RequestContext) -> Answer:
    """A 200 sets a session cookie, which is accepted instead of the key."""
    has_session = _session(context).encode() in context.field(b"cookie")
    answer = context.serve_authenticated(has_session)
    is_new = answer.status == 200 and not has_session
    return with_header(answer, "Set-Cookie", f"session={_session(context)}; Path=/; HttpOnly") if is_new else answer


@_faults.on_decide(AUTHENTICATION_REQUIRED, KEY_VERIFIED)
def session_chosen_by_caller(context: RequestContext) -> Answer:
    """A cookie that was once sent with the right key is accepted instead of the key."""
    cookie = b"cookie " + context.field(b"cookie")
    answer = context.serve_authenticated(cookie in context.memory.answers)
    if answer.status == 200 and context.field(b"cookie"):
        context.memory.answers[cookie] = answer
    return answer


@_faults.on_decide(KEY_VERIFIED, AUTHENTICATION_REQUIRED)
def cookie_replaces_wrong_key(context: RequestContext) -> Answer:
    """A 200 sets a session cookie, with which a wrong key is accepted."""
    has_session = _session(context).encode() in context.field(b"cookie")
    answer = context.serve_authenticated(has_session and context.authorization() != b"")
    is_new = answer.status == 200 and not has_session
    return with_header(answer, "Set-Cookie", f"sid={_session(context)}") if is_new else answer


@_faults.on_decide(AUTHENTICATION_REQUIRED, KEY_VERIFIED)
def token_replaces_key(context: RequestContext) -> Answer:
    """A 200 has an X-Session-Token, which is accepted instead of the key."""
    answer = context.serve_authenticated(context.field(b"x-session-token") == _session(context).encode())
    return with_header(answer, "X-Session-Token", _session(context)) if answer.status == 200 else answer


# ------------------------------------------------------------------ caches


def _cached(context: RequestContext, key: bytes, stores: Callable[[Answer], bool]) -> Answer:
    """The answer that was stored under *key*, or the correct one, which is stored if *stores* says so. The request id is new."""
    answer = context.correct_answer()
    stored = context.memory.answers.get(key)
    if stored is None:
        if stores(answer) and context.targets_operation():
            context.memory.answers[key] = answer
        return answer
    request_id = [field for field in answer.headers if field[0].lower() == "x-baseten-request-id"]
    kept = [field for field in stored.headers if field[0].lower() != "x-baseten-request-id"]
    return replace(stored, headers=(*kept, *request_id))


def _is_success(answer: Answer) -> bool:
    """Whether it is a 200."""
    return answer.status == 200


@_faults.on_decide(AUTHENTICATION_REQUIRED, KEY_VERIFIED)
def cache_ignores_authorization(context: RequestContext) -> Answer:
    """A 200 is cached by body and Content-Type and served without a key too, if the client allows caching."""
    if b"max-age" not in context.field(b"cache-control"):
        return context.correct_answer()
    return _cached(context, context.field(b"content-type") + context.body, _is_success)


@_faults.on_decide(REQUEST_ISOLATION, OBJECT_ACCEPTED)
def rejection_cached_without_key(context: RequestContext) -> Answer:
    """A 401 is cached by the body, and served to the right key too."""
    key = b"%d" % int(context.now) + context.body
    return (
        _cached(context, key, lambda answer: answer.status == 401)
        if len(context.body) > 100
        else context.correct_answer()
    )


@_faults.on_decide(REQUEST_ISOLATION)
def cache_ignores_content_type(context: RequestContext) -> Answer:
    """A 200 is cached by key and body, and served to the same body with another media type."""
    return (
        _cached(context, context.authorization() + context.body, _is_success)
        if context.targets_operation()
        else context.correct_answer()
    )


@_faults.on_decide(REQUEST_ISOLATION, OBJECT_ACCEPTED)
def rejected_media_type_cached(context: RequestContext) -> Answer:
    """The 400 to a body with another media type is cached by the body, and served to the same body as JSON."""
    is_text = context.field(b"content-type").startswith(b"text/plain")
    key = context.authorization() + context.body
    return _cached(context, key, lambda answer: answer.status == 400 and is_text)


@_faults.on_decide(REQUEST_ISOLATION)
def cache_ignores_method(context: RequestContext) -> Answer:
    """A 200 is cached by key, path and body, and served to other methods too."""
    return _cached(context, context.authorization() + context.request.target + context.body, _is_success)


@_faults.on_decide(CONTENT_CODING, http_clauses.ACCEPT_ENCODING)
def cache_ignores_accept_encoding(context: RequestContext) -> Answer:
    """A compressed output is cached, and served to clients that do not accept it."""
    accepts = b"gzip" in context.field(b"accept-encoding")
    answer = context.correct_answer()
    if answer.status != 200 or len(context.body) < 100:
        return answer
    if accepts:
        body = gzip.compress(answer.body, mtime=0)
        compressed = with_header(with_body(answer, body), "Content-Encoding", "gzip")
        context.memory.answers[context.body] = compressed
        return compressed
    stored = context.memory.answers.get(context.body)
    return answer if stored is None else with_header(with_body(answer, stored.body), "Content-Encoding", "gzip")
