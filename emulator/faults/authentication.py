"""
Faults of the gate: who is let in, with what, and when.
"""

from __future__ import annotations

import base64
from collections.abc import Callable

from chainproof.contract.answer import Answer
from chainproof.contract.clauses import (
    AUTHENTICATION_REQUIRED,
    ERROR_CODE_CAUSE,
    INVALID_FRAMING_REJECTED,
    KEY_LOCATION,
    KEY_PREFIX,
    KEY_VERIFIED,
    STATUS,
)

from .fault import FaultRegistrar, FaultStage
from .hooks import DecideHook, RequestContext, error

_at = FaultRegistrar(stage=FaultStage.AUTHENTICATION)


def _opens(to: Callable[[RequestContext, bytes], bool]) -> DecideHook:
    """
    A gate that is open too for what *to* says of the request and of what stands behind `Api-Key`.
    """

    def decide(context: RequestContext) -> Answer:
        scheme, _, token = context.authorization().partition(b" ")
        return context.serve_authenticated(scheme == b"Api-Key" and to(context, token.strip()))

    return decide


_at.add_table(
    KEY_VERIFIED,
    INVALID_FRAMING_REJECTED,
    rows={
        "any-key": ("Any key opens, as long as there is one.", _opens(lambda _, token: token != b"")),
        "key-with-suffix": (
            "Whatever begins with the key opens: compared up to the length of the right one.",
            _opens(lambda context, token: token.startswith(context.key)),
        ),
        "key-truncated": (
            "A beginning of the key opens: compared up to the length of the given one.",
            _opens(lambda context, token: len(token) > 3 and context.key.startswith(token)),
        ),
        "key-first-part": (
            "The key's part before the dot opens: the secret behind it is not looked at.",
            _opens(lambda context, token: token.partition(b".")[0] == context.key.partition(b".")[0]),
        ),
        "key-case-insensitive": (
            "The key opens in any letter case.",
            _opens(lambda context, token: token.lower() == context.key.lower()),
        ),
        "key-of-same-length": (
            "Any key of the right length opens: the comparison's outcome is lost.",
            _opens(lambda context, token: len(token) == len(context.key)),
        ),
        "key-as-substring": (
            "Whatever contains the key opens.",
            _opens(lambda context, token: context.key in token),
        ),
    },
)


@_at.on_decide(AUTHENTICATION_REQUIRED)
def no_key_needed(context: RequestContext) -> Answer:
    """Who gives no key is let in; who gives a wrong one is not."""
    return context.serve_authenticated(not context.authorization())


@_at.on_decide(KEY_VERIFIED, KEY_PREFIX)
def any_authorization(context: RequestContext) -> Answer:
    """Any Authorization header opens."""
    return context.serve_authenticated(context.authorization() != b"")


@_at.on_decide(AUTHENTICATION_REQUIRED, INVALID_FRAMING_REJECTED)
def auth_disabled(context: RequestContext) -> Answer:
    """There is no gate."""
    return context.serve_authenticated()


@_at.on_decide(KEY_PREFIX)
def key_without_scheme(context: RequestContext) -> Answer:
    """The key counts without a prefix."""
    return context.serve_authenticated(context.authorization() == context.key)


@_at.on_decide(KEY_PREFIX)
def key_with_bearer(context: RequestContext) -> Answer:
    """The key counts behind Bearer."""
    return context.serve_authenticated(context.authorization() == b"Bearer " + context.key)


@_at.on_decide(KEY_PREFIX)
def key_with_any_scheme(context: RequestContext) -> Answer:
    """The key counts behind any scheme."""
    return context.serve_authenticated(context.authorization().partition(b" ")[2] == context.key)


@_at.on_decide(KEY_PREFIX)
def key_in_basic(context: RequestContext) -> Answer:
    """The key counts as user or password of Basic."""
    scheme, _, token = context.authorization().partition(b" ")
    try:
        said = base64.b64decode(token, validate=True)
    except ValueError:
        said = b""
    return context.serve_authenticated(scheme == b"Basic" and context.key in said.split(b":"))


@_at.on_decide(KEY_LOCATION)
def key_in_query(context: RequestContext) -> Answer:
    """The key counts in the query."""
    return context.serve_authenticated(not context.authorization() and b"=" + context.key in context.request.target)


@_at.on_decide(KEY_LOCATION)
def key_in_cookie(context: RequestContext) -> Answer:
    """The key counts in a cookie."""
    return context.serve_authenticated(not context.authorization() and context.key in context.field(b"cookie"))


@_at.on_decide(KEY_LOCATION)
def key_in_x_api_key(context: RequestContext) -> Answer:
    """The key counts in X-API-Key."""
    return context.serve_authenticated(
        not context.authorization() and context.field(b"x-api-key").endswith(context.key)
    )


@_at.on_decide(KEY_LOCATION)
def key_in_proxy_authorization(context: RequestContext) -> Answer:
    """The key counts in Proxy-Authorization."""
    return context.serve_authenticated(
        not context.authorization() and context.field(b"proxy-authorization").endswith(context.key)
    )


@_at.on_decide(KEY_LOCATION)
def key_in_body(context: RequestContext) -> Answer:
    """The key counts as a member of the body."""
    return context.serve_authenticated(not context.authorization() and context.key in context.body)


@_at.on_decide(AUTHENTICATION_REQUIRED)
def trusts_forwarded_for(context: RequestContext) -> Answer:
    """Who says in X-Forwarded-For to come from 127.0.0.1 needs no key."""
    return context.serve_authenticated(
        not context.authorization() and context.field(b"x-forwarded-for").startswith(b"127.")
    )


@_at.on_decide(AUTHENTICATION_REQUIRED)
def auth_once_per_connection(context: RequestContext) -> Answer:
    """Once the right key has come on a connection, what follows on it needs none."""
    known = context.connection.count["right"] > 0
    context.connection.count["right"] += context.has_valid_key()
    return context.serve_authenticated(known and not context.authorization())


@_at.on_decide(INVALID_FRAMING_REJECTED, AUTHENTICATION_REQUIRED)
def key_of_previous_request(context: RequestContext) -> Answer:
    """What comes without a key while another request of its connection waits is let in by that one's."""
    return context.serve_authenticated(not context.authorization() and context.in_flight > 0)


@_at.on_decide(AUTHENTICATION_REQUIRED)
def auth_skipped_for_debug(context: RequestContext) -> Answer:
    """A query that was left in opens: `?debug=1`."""
    return context.serve_authenticated(not context.authorization() and context.request.target.endswith(b"?debug=1"))


@_at.on_decide(AUTHENTICATION_REQUIRED)
def auth_skipped_for_localhost(context: RequestContext) -> Answer:
    """Whoever says that it asks for localhost is let in."""
    return context.serve_authenticated(not context.authorization() and context.request.host == b"localhost")


@_at.on_decide(AUTHENTICATION_REQUIRED)
def auth_skipped_when_concurrent(context: RequestContext) -> Answer:
    """While four others run, nobody looks."""
    return context.serve_authenticated(not context.authorization() and len(context.concurrent) >= 4)


@_at.on_decide(AUTHENTICATION_REQUIRED)
def auth_on_first_request_only(context: RequestContext) -> Answer:
    """Only a connection's first request passes the gate."""
    return context.serve_authenticated(context.position > 1)


@_at.on_decide(AUTHENTICATION_REQUIRED)
def cache_before_auth(context: RequestContext) -> Answer:
    """Who sends a body that has been answered before is let in: the cache stands before the gate."""
    known = context.body in context.memory.answers
    if context.has_valid_key() and context.targets_operation():
        context.memory.answers[context.body] = Answer(status=200, headers=())
    return context.serve_authenticated(known and context.targets_operation())


@_at.on_decide(AUTHENTICATION_REQUIRED)
def auth_skipped_for_chunked(context: RequestContext) -> Answer:
    """A request in chunks needs no key."""
    return context.serve_authenticated(not context.authorization() and context.field(b"transfer-encoding") != b"")


@_at.on_decide(AUTHENTICATION_REQUIRED)
def auth_skipped_now_and_then(context: RequestContext) -> Answer:
    """Every 20th request without a key is let in."""
    return context.serve_authenticated(not context.authorization() and context.memory.every_nth(20, "without"))


@_at.on_decide(AUTHENTICATION_REQUIRED)
def wrong_key_accepted_now_and_then(context: RequestContext) -> Answer:
    """Every 50th wrong key behind `Api-Key` is let in."""
    wrong = context.authorization().startswith(b"Api-Key ") and not context.has_valid_key()
    return context.serve_authenticated(wrong and context.memory.every_nth(50, "wrong"))


@_at.on_decide(KEY_VERIFIED)
def auth_fails_open(context: RequestContext) -> Answer:
    """Behind ten refusals in a row the gate fails, and lets whoever comes with a wrong key in."""
    refused = context.memory.count["refused"]
    context.memory.count["refused"] = 0 if context.has_valid_key() else refused + 1
    return context.serve_authenticated(refused > 10 and context.authorization().startswith(b"Api-Key "))


@_at.on_decide(AUTHENTICATION_REQUIRED)
def auth_skipped_for_double_slash(context: RequestContext) -> Answer:
    """The gate looks at the path as written, the router merges slashes: `//production/run_remote` needs no key."""
    merged = context.request.target.startswith(b"//production")
    if not merged:
        return context.correct_answer()
    request = context.request
    from_gate = type(request)(
        method=request.method,
        target=request.target[1:],
        headers=(*request.headers, (b"authorization", b"Api-Key " + context.key))
        if not context.authorization()
        else request.headers,
        body=request.body,
        length=request.length,
    )
    return context.serve(from_gate)


@_at.on_decide(AUTHENTICATION_REQUIRED)
def missing_key_is_400(context: RequestContext) -> Answer:
    """Who gives no key is told 400."""
    correct_answer = context.correct_answer()
    return (
        error(correct_answer, 400, "client_error")
        if correct_answer.status == 401 and not context.authorization()
        else correct_answer
    )


@_at.on_decide(KEY_VERIFIED)
def wrong_key_is_400(context: RequestContext) -> Answer:
    """Who gives a wrong key is told 400."""
    wrong = context.authorization().startswith(b"Api-Key ")
    correct_answer = context.correct_answer()
    return error(correct_answer, 400, "client_error") if correct_answer.status == 401 and wrong else correct_answer


@_at.on_decide(STATUS)
def wrong_key_is_403(context: RequestContext) -> Answer:
    """Who gives a wrong key is told 403."""
    correct_answer = context.correct_answer()
    return (
        error(correct_answer, 403, None) if correct_answer.status == 401 and context.authorization() else correct_answer
    )


@_at.on_decide(STATUS)
def auth_crashes_on_odd_keys(context: RequestContext) -> Answer:
    """A key with anything but letters, digits, dots and hyphens is answered 500."""
    correct_answer = context.correct_answer()
    token = context.authorization().partition(b" ")[2]
    odd = any(not (chr(byte).isascii() and (chr(byte).isalnum() or chr(byte) in ".-_")) for byte in token)
    return error(correct_answer, 500, None) if correct_answer.status == 401 and odd else correct_answer


@_at.on_decide(ERROR_CODE_CAUSE)
def bad_body_is_unauthorized(context: RequestContext) -> Answer:
    """Whatever is wrong, even with the body, `unauthorized` is the code, with 401."""
    correct_answer = context.correct_answer()
    return error(correct_answer, 401, "unauthorized") if correct_answer.status == 400 else correct_answer
