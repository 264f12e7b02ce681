"""Authentication faults: requests accepted without the right key, or rejected in the wrong way."""

from __future__ import annotations

import base64
from collections.abc import Callable
from dataclasses import replace

from chainproof.contract.answer import Answer
from chainproof.contract.clauses import (
    AUTHENTICATION_FIRST,
    AUTHENTICATION_REQUIRED,
    ERROR_CODE_CAUSE,
    KEY_LOCATION,
    KEY_PREFIX,
    KEY_VERIFIED,
    STATUS,
    UNAUTHORIZED_STATUS,
)
from chainproof.contract.http_clauses import MESSAGE_BOUNDARY

from .fault import FaultRegistrar, FaultStage
from .hooks import DecideHook, RequestContext, error, with_field

_faults = FaultRegistrar(stage=FaultStage.AUTHENTICATION)


def _accepts_credential(accepts: Callable[[RequestContext, bytes], bool]) -> DecideHook:
    """A hook that also authenticates requests whose `Api-Key` token *accepts* returns True for."""

    def decide(context: RequestContext) -> Answer:
        scheme, _, token = context.authorization().partition(b" ")
        return context.serve_authenticated(scheme == b"Api-Key" and accepts(context, token.strip()))

    return decide


_faults.add_table(
    KEY_VERIFIED,
    rows={
        "any-key": (
            "Any key is accepted, as long as there is one.",
            _accepts_credential(lambda _, token: token != b""),
        ),
        "key-with-suffix": (
            "Any key that starts with the right key is accepted: the comparison stops at the length of the right key.",
            _accepts_credential(lambda context, token: token.startswith(context.key)),
        ),
        "key-truncated": (
            "A prefix of the key is accepted: the comparison stops at the length of the key received.",
            _accepts_credential(lambda context, token: len(token) > 3 and context.key.startswith(token)),
        ),
        "key-first-part": (
            "Only the part of the key before the dot is compared; the secret after it is ignored.",
            _accepts_credential(lambda context, token: token.partition(b".")[0] == context.key.partition(b".")[0]),
        ),
        "key-case-insensitive": (
            "The key is compared without regard to case.",
            _accepts_credential(lambda context, token: token.lower() == context.key.lower()),
        ),
        "key-of-same-length": (
            "Any key of the right length is accepted: the result of the comparison is ignored.",
            _accepts_credential(lambda context, token: len(token) == len(context.key)),
        ),
        "key-as-substring": (
            "Any key that contains the right key is accepted.",
            _accepts_credential(lambda context, token: context.key in token),
        ),
    },
)


@_faults.on_decide(AUTHENTICATION_REQUIRED)
def no_key_needed(context: RequestContext) -> Answer:
    """Requests without a key are accepted; requests with a wrong key are rejected."""
    return context.serve_authenticated(not context.authorization())


@_faults.on_decide(AUTHENTICATION_FIRST)
def validates_before_authenticating(context: RequestContext) -> Answer:
    """An invalid body is answered 400, whatever the key is."""
    with_key = context.serve_authenticated()
    return with_key if with_key.status == 400 else context.correct_answer()


@_faults.on_decide(KEY_VERIFIED, KEY_PREFIX)
def any_authorization(context: RequestContext) -> Answer:
    """Any Authorization header is accepted."""
    return context.serve_authenticated(context.authorization() != b"")


@_faults.on_decide(AUTHENTICATION_REQUIRED)
def auth_disabled(context: RequestContext) -> Answer:
    """Requests are not authenticated at all."""
    return context.serve_authenticated()


@_faults.on_decide(KEY_PREFIX)
def key_without_scheme(context: RequestContext) -> Answer:
    """The key is accepted without a scheme."""
    return context.serve_authenticated(context.authorization() == context.key)


@_faults.on_decide(KEY_PREFIX)
def key_with_bearer(context: RequestContext) -> Answer:
    """The key is accepted with the scheme Bearer."""
    return context.serve_authenticated(context.authorization() == b"Bearer " + context.key)


@_faults.on_decide(KEY_PREFIX)
def key_with_any_scheme(context: RequestContext) -> Answer:
    """The key is accepted with any scheme."""
    return context.serve_authenticated(context.authorization().partition(b" ")[2] == context.key)


@_faults.on_decide(KEY_PREFIX)
def key_in_basic(context: RequestContext) -> Answer:
    """The key is accepted as the user name or password of Basic authentication."""
    scheme, _, token = context.authorization().partition(b" ")
    try:
        credentials = base64.b64decode(token, validate=True)
    except ValueError:
        credentials = b""
    return context.serve_authenticated(scheme == b"Basic" and context.key in credentials.split(b":"))


@_faults.on_decide(KEY_LOCATION)
def key_in_query(context: RequestContext) -> Answer:
    """The key is accepted in the query string."""
    return context.serve_authenticated(not context.authorization() and b"=" + context.key in context.request.target)


@_faults.on_decide(KEY_LOCATION)
def key_in_cookie(context: RequestContext) -> Answer:
    """The key is accepted in a cookie."""
    return context.serve_authenticated(not context.authorization() and context.key in context.field(b"cookie"))


@_faults.on_decide(KEY_LOCATION)
def key_in_x_api_key(context: RequestContext) -> Answer:
    """The key is accepted in X-API-Key."""
    return context.serve_authenticated(
        not context.authorization() and context.field(b"x-api-key").endswith(context.key)
    )


@_faults.on_decide(KEY_LOCATION)
def key_in_proxy_authorization(context: RequestContext) -> Answer:
    """The key is accepted in Proxy-Authorization."""
    return context.serve_authenticated(
        not context.authorization() and context.field(b"proxy-authorization").endswith(context.key)
    )


@_faults.on_decide(KEY_LOCATION)
def key_in_body(context: RequestContext) -> Answer:
    """The key is accepted as a member of the body."""
    return context.serve_authenticated(not context.authorization() and context.key in context.body)


@_faults.on_decide(AUTHENTICATION_REQUIRED)
def trusts_forwarded_for(context: RequestContext) -> Answer:
    """Requests with a loopback address in X-Forwarded-For need no key."""
    return context.serve_authenticated(
        not context.authorization() and context.field(b"x-forwarded-for").startswith(b"127.")
    )


@_faults.on_decide(AUTHENTICATION_REQUIRED)
def auth_skipped_for_preflight_fields(context: RequestContext) -> Answer:
    """A request with Origin and Access-Control-Request-Method counts as a preflight, whatever its method, and needs no key."""
    is_preflight = bool(context.field(b"origin") and context.field(b"access-control-request-method"))
    return context.serve_authenticated(not context.authorization() and is_preflight)


@_faults.on_decide(AUTHENTICATION_REQUIRED)
def auth_once_per_connection(context: RequestContext) -> Answer:
    """After one authenticated request, later requests on the same connection need no key."""
    known = context.connection.count["right"] > 0
    context.connection.count["right"] += context.has_valid_key()
    return context.serve_authenticated(known and not context.authorization())


@_faults.on_decide(MESSAGE_BOUNDARY, AUTHENTICATION_REQUIRED)
def key_of_previous_request(context: RequestContext) -> Answer:
    """A pipelined request without a key is authenticated with the key of the request before it."""
    return context.serve_authenticated(not context.authorization() and context.in_flight > 0)


@_faults.on_decide(AUTHENTICATION_REQUIRED)
def auth_skipped_for_debug(context: RequestContext) -> Answer:
    """The query `?debug=1` turns authentication off."""
    return context.serve_authenticated(not context.authorization() and context.request.target.endswith(b"?debug=1"))


@_faults.on_decide(AUTHENTICATION_REQUIRED)
def auth_skipped_for_localhost(context: RequestContext) -> Answer:
    """Requests with `Host: localhost` need no key."""
    return context.serve_authenticated(not context.authorization() and context.request.host == b"localhost")


@_faults.on_decide(AUTHENTICATION_REQUIRED)
def auth_skipped_when_concurrent(context: RequestContext) -> Answer:
    """Requests need no key while four or more others are in flight."""
    return context.serve_authenticated(not context.authorization() and len(context.concurrent) >= 4)


@_faults.on_decide(AUTHENTICATION_REQUIRED)
def auth_on_first_request_only(context: RequestContext) -> Answer:
    """Only the first request of a connection is authenticated."""
    return context.serve_authenticated(context.position > 1)


@_faults.on_decide(AUTHENTICATION_REQUIRED)
def cache_before_auth(context: RequestContext) -> Answer:
    """A body that was answered before needs no key: the cache runs before authentication."""
    known = context.body in context.memory.answers
    if context.has_valid_key() and context.targets_operation():
        context.memory.answers[context.body] = Answer(status=200, headers=())
    return context.serve_authenticated(known and context.targets_operation())


@_faults.on_decide(AUTHENTICATION_REQUIRED)
def auth_skipped_for_chunked(context: RequestContext) -> Answer:
    """Requests with a chunked body need no key."""
    return context.serve_authenticated(not context.authorization() and context.field(b"transfer-encoding") != b"")


@_faults.on_decide(AUTHENTICATION_REQUIRED)
def auth_skipped_now_and_then(context: RequestContext) -> Answer:
    """Every 20th request without a key is accepted."""
    return context.serve_authenticated(not context.authorization() and context.memory.every_nth(20, "without"))


@_faults.on_decide(AUTHENTICATION_REQUIRED)
def auth_skipped_for_named_fields(context: RequestContext) -> Answer:
    """Requests whose Connection names X-Forwarded-For need no key: without that field they seem to be internal."""
    return context.serve_authenticated(b"x-forwarded-for" in context.field(b"connection").lower())


@_faults.on_decide(AUTHENTICATION_REQUIRED)
def auth_skipped_for_long_fields(context: RequestContext) -> Answer:
    """Requests with a header field above 4000 bytes need no key."""
    return context.serve_authenticated(any(len(value) > 4000 for _, value in context.request.headers))


@_faults.on_decide(AUTHENTICATION_REQUIRED)
def auth_skipped_for_large(context: RequestContext) -> Answer:
    """Requests with a body above 1 MiB need no key: they are too large for the service that authenticates."""
    return context.serve_authenticated(len(context.body) > 2**20)


@_faults.on_decide(AUTHENTICATION_REQUIRED)
def auth_skipped_for_fragments(context: RequestContext) -> Answer:
    """Authentication compares the path with its fragment, routing without: `/production/run_remote#x` needs no key."""
    path, mark, _ = context.request.target.partition(b"#")
    if not mark or context.authorization():
        return context.correct_answer()
    request = with_field(context.request, b"authorization", b"Api-Key " + context.key)
    return context.serve(replace(request, target=path))


@_faults.on_decide(AUTHENTICATION_REQUIRED)
def wrong_key_accepted_now_and_then(context: RequestContext) -> Answer:
    """Every 50th request with a wrong `Api-Key` is accepted."""
    has_wrong_key = context.authorization().startswith(b"Api-Key ") and not context.has_valid_key()
    return context.serve_authenticated(has_wrong_key and context.memory.every_nth(50, "wrong"))


@_faults.on_decide(KEY_VERIFIED)
def auth_fails_open(context: RequestContext) -> Answer:
    """After ten rejections in a row, wrong keys are accepted."""
    rejections = context.memory.count["rejected"]
    context.memory.count["rejected"] = 0 if context.has_valid_key() else rejections + 1
    return context.serve_authenticated(rejections > 10 and context.authorization().startswith(b"Api-Key "))


@_faults.on_decide(AUTHENTICATION_REQUIRED)
def auth_skipped_for_double_slash(context: RequestContext) -> Answer:
    """Authentication compares the path as sent, routing merges slashes: `//production/run_remote` needs no key."""
    merged = context.request.target.startswith(b"//production")
    if not merged:
        return context.correct_answer()
    request = context.request
    authenticated = type(request)(
        method=request.method,
        target=request.target[1:],
        headers=(*request.headers, (b"authorization", b"Api-Key " + context.key))
        if not context.authorization()
        else request.headers,
        body=request.body,
        length=request.length,
    )
    return context.serve(authenticated)


@_faults.on_decide(UNAUTHORIZED_STATUS)
def missing_key_is_400(context: RequestContext) -> Answer:
    """A request without a key is answered 400."""
    answer = context.correct_answer()
    return error(answer, 400, "client_error") if answer.status == 401 and not context.authorization() else answer


@_faults.on_decide(UNAUTHORIZED_STATUS)
def wrong_key_is_400(context: RequestContext) -> Answer:
    """A request with a wrong key is answered 400."""
    has_wrong_key = context.authorization().startswith(b"Api-Key ")
    answer = context.correct_answer()
    return error(answer, 400, "client_error") if answer.status == 401 and has_wrong_key else answer


@_faults.on_decide(STATUS)
def wrong_key_is_403(context: RequestContext) -> Answer:
    """A request with a wrong key is answered 403."""
    answer = context.correct_answer()
    return error(answer, 403, None) if answer.status == 401 and context.authorization() else answer


@_faults.on_decide(STATUS)
def auth_crashes_on_odd_keys(context: RequestContext) -> Answer:
    """A key with characters other than letters, digits, dots and hyphens is answered 500."""
    answer = context.correct_answer()
    token = context.authorization().partition(b" ")[2]
    has_other_characters = any(
        not (chr(byte).isascii() and (chr(byte).isalnum() or chr(byte) in ".-_")) for byte in token
    )
    return error(answer, 500, None) if answer.status == 401 and has_other_characters else answer


@_faults.on_decide(ERROR_CODE_CAUSE)
def bad_body_is_unauthorized(context: RequestContext) -> Answer:
    """Invalid bodies are answered 401 with the code `unauthorized` too."""
    answer = context.correct_answer()
    return error(answer, 401, "unauthorized") if answer.status == 400 else answer
