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
    KEY_LOCATION,
    KEY_PREFIX,
    KEY_VERIFIED,
    REQUEST_MALFORMED,
    STATUS,
)

from .fault import Entry, Stage
from .hooks import Asked, Decide, error

_at = Entry(stage=Stage.AUTHENTICATION)


def _opens(to: Callable[[Asked, bytes], bool]) -> Decide:
    """
    A gate that is open too for what *to* says of the request and of what stands behind `Api-Key`.
    """

    def decide(asked: Asked) -> Answer:
        scheme, _, token = asked.given().partition(b" ")
        return asked.admitted(scheme == b"Api-Key" and to(asked, token.strip()))

    return decide


_at.table(
    KEY_VERIFIED,
    REQUEST_MALFORMED,
    rows={
        "any-key": ("Any key opens, as long as there is one.", _opens(lambda _, token: token != b"")),
        "key-begins-right": (
            "Whatever begins with the key opens: compared up to the length of the right one.",
            _opens(lambda asked, token: token.startswith(asked.key)),
        ),
        "key-cut-short": (
            "A beginning of the key opens: compared up to the length of the given one.",
            _opens(lambda asked, token: len(token) > 3 and asked.key.startswith(token)),
        ),
        "key-first-part": (
            "The key's part before the dot opens: the secret behind it is not looked at.",
            _opens(lambda asked, token: token.partition(b".")[0] == asked.key.partition(b".")[0]),
        ),
        "key-letter-case": (
            "The key opens in any letter case.",
            _opens(lambda asked, token: token.lower() == asked.key.lower()),
        ),
        "key-of-same-length": (
            "Any key of the right length opens: the comparison's outcome is lost.",
            _opens(lambda asked, token: len(token) == len(asked.key)),
        ),
        "key-within": (
            "Whatever contains the key opens.",
            _opens(lambda asked, token: asked.key in token),
        ),
    },
)


@_at.decides(AUTHENTICATION_REQUIRED)
def no_key_needed(asked: Asked) -> Answer:
    """Who gives no key is let in; who gives a wrong one is not."""
    return asked.admitted(not asked.given())


@_at.decides(KEY_VERIFIED, KEY_PREFIX)
def any_authorization(asked: Asked) -> Answer:
    """Any Authorization header opens."""
    return asked.admitted(asked.given() != b"")


@_at.decides(AUTHENTICATION_REQUIRED, REQUEST_MALFORMED)
def gate_open(asked: Asked) -> Answer:
    """There is no gate."""
    return asked.admitted()


@_at.decides(KEY_PREFIX)
def key_bare(asked: Asked) -> Answer:
    """The key counts without a prefix."""
    return asked.admitted(asked.given() == asked.key)


@_at.decides(KEY_PREFIX)
def key_behind_bearer(asked: Asked) -> Answer:
    """The key counts behind Bearer."""
    return asked.admitted(asked.given() == b"Bearer " + asked.key)


@_at.decides(KEY_PREFIX)
def key_behind_anything(asked: Asked) -> Answer:
    """The key counts behind any scheme."""
    return asked.admitted(asked.given().partition(b" ")[2] == asked.key)


@_at.decides(KEY_PREFIX)
def key_in_basic(asked: Asked) -> Answer:
    """The key counts as user or password of Basic."""
    scheme, _, token = asked.given().partition(b" ")
    try:
        said = base64.b64decode(token, validate=True)
    except ValueError:
        said = b""
    return asked.admitted(scheme == b"Basic" and asked.key in said.split(b":"))


@_at.decides(KEY_LOCATION)
def key_in_query(asked: Asked) -> Answer:
    """The key counts in the query."""
    return asked.admitted(not asked.given() and b"=" + asked.key in asked.request.target)


@_at.decides(KEY_LOCATION)
def key_in_cookie(asked: Asked) -> Answer:
    """The key counts in a cookie."""
    return asked.admitted(not asked.given() and asked.key in asked.field(b"cookie"))


@_at.decides(KEY_LOCATION)
def key_in_x_api_key(asked: Asked) -> Answer:
    """The key counts in X-API-Key."""
    return asked.admitted(not asked.given() and asked.field(b"x-api-key").endswith(asked.key))


@_at.decides(KEY_LOCATION)
def key_in_proxy_authorization(asked: Asked) -> Answer:
    """The key counts in Proxy-Authorization."""
    return asked.admitted(not asked.given() and asked.field(b"proxy-authorization").endswith(asked.key))


@_at.decides(KEY_LOCATION)
def key_in_body(asked: Asked) -> Answer:
    """The key counts as a member of the body."""
    return asked.admitted(not asked.given() and asked.key in asked.body)


@_at.decides(AUTHENTICATION_REQUIRED)
def trusts_forwarded_for(asked: Asked) -> Answer:
    """Who says in X-Forwarded-For to come from 127.0.0.1 needs no key."""
    return asked.admitted(not asked.given() and asked.field(b"x-forwarded-for").startswith(b"127."))


@_at.decides(AUTHENTICATION_REQUIRED)
def gate_once_per_connection(asked: Asked) -> Answer:
    """Once the right key has come on a connection, what follows on it needs none."""
    known = asked.connection.count["right"] > 0
    asked.connection.count["right"] += asked.right()
    return asked.admitted(known and not asked.given())


@_at.decides(REQUEST_MALFORMED, AUTHENTICATION_REQUIRED)
def key_of_the_one_before(asked: Asked) -> Answer:
    """What comes without a key while another request of its connection waits is let in by that one's."""
    return asked.admitted(not asked.given() and asked.waiting > 0)


@_at.decides(AUTHENTICATION_REQUIRED)
def gate_open_to_debug(asked: Asked) -> Answer:
    """A query that was left in opens: `?debug=1`."""
    return asked.admitted(not asked.given() and asked.request.target.endswith(b"?debug=1"))


@_at.decides(AUTHENTICATION_REQUIRED)
def gate_open_to_localhost(asked: Asked) -> Answer:
    """Whoever says that it asks for localhost is let in."""
    return asked.admitted(not asked.given() and asked.request.host == b"localhost")


@_at.decides(AUTHENTICATION_REQUIRED)
def gate_open_in_a_crowd(asked: Asked) -> Answer:
    """While four others run, nobody looks."""
    return asked.admitted(not asked.given() and len(asked.meanwhile) >= 4)


@_at.decides(AUTHENTICATION_REQUIRED)
def gate_first_request_only(asked: Asked) -> Answer:
    """Only a connection's first request passes the gate."""
    return asked.admitted(asked.place > 1)


@_at.decides(AUTHENTICATION_REQUIRED)
def gate_knows_bodies(asked: Asked) -> Answer:
    """Who sends a body that has been answered before is let in: the cache stands before the gate."""
    known = asked.body in asked.memory.answers
    if asked.right() and asked.ours():
        asked.memory.answers[asked.body] = Answer(status=200, headers=())
    return asked.admitted(known and asked.ours())


@_at.decides(AUTHENTICATION_REQUIRED)
def gate_skips_chunked(asked: Asked) -> Answer:
    """A request in chunks needs no key."""
    return asked.admitted(not asked.given() and asked.field(b"transfer-encoding") != b"")


@_at.decides(AUTHENTICATION_REQUIRED)
def gate_open_now_and_then(asked: Asked) -> Answer:
    """Every 20th request without a key is let in."""
    return asked.admitted(not asked.given() and asked.memory.every(20, "without"))


@_at.decides(AUTHENTICATION_REQUIRED)
def wrong_key_now_and_then(asked: Asked) -> Answer:
    """Every 50th wrong key behind `Api-Key` is let in."""
    wrong = asked.given().startswith(b"Api-Key ") and not asked.right()
    return asked.admitted(wrong and asked.memory.every(50, "wrong"))


@_at.decides(KEY_VERIFIED)
def gate_gives_up(asked: Asked) -> Answer:
    """Behind ten refusals in a row the gate fails, and lets whoever comes with a wrong key in."""
    refused = asked.memory.count["refused"]
    asked.memory.count["refused"] = 0 if asked.right() else refused + 1
    return asked.admitted(refused > 10 and asked.given().startswith(b"Api-Key "))


@_at.decides(AUTHENTICATION_REQUIRED)
def gate_skips_double_slash(asked: Asked) -> Answer:
    """The gate looks at the path as written, the router merges slashes: `//production/run_remote` needs no key."""
    merged = asked.request.target.startswith(b"//production")
    if not merged:
        return asked.honest()
    request = asked.request
    from_gate = type(request)(
        method=request.method,
        target=request.target[1:],
        headers=(*request.headers, (b"authorization", b"Api-Key " + asked.key))
        if not asked.given()
        else request.headers,
        body=request.body,
        length=request.length,
    )
    return asked.serve(from_gate)


@_at.decides(AUTHENTICATION_REQUIRED)
def missing_key_is_400(asked: Asked) -> Answer:
    """Who gives no key is told 400."""
    honest = asked.honest()
    return error(honest, 400, "client_error") if honest.status == 401 and not asked.given() else honest


@_at.decides(KEY_VERIFIED)
def wrong_key_is_400(asked: Asked) -> Answer:
    """Who gives a wrong key is told 400."""
    wrong = asked.given().startswith(b"Api-Key ")
    honest = asked.honest()
    return error(honest, 400, "client_error") if honest.status == 401 and wrong else honest


@_at.decides(STATUS)
def wrong_key_is_403(asked: Asked) -> Answer:
    """Who gives a wrong key is told 403."""
    honest = asked.honest()
    return error(honest, 403, None) if honest.status == 401 and asked.given() else honest


@_at.decides(STATUS)
def gate_crashes_on_odd_keys(asked: Asked) -> Answer:
    """A key with anything but letters, digits, dots and hyphens is answered 500."""
    honest = asked.honest()
    token = asked.given().partition(b" ")[2]
    odd = any(not (chr(byte).isascii() and (chr(byte).isalnum() or chr(byte) in ".-_")) for byte in token)
    return error(honest, 500, None) if honest.status == 401 and odd else honest


@_at.decides(ERROR_CODE_CAUSE)
def bad_body_is_unauthorized(asked: Asked) -> Answer:
    """Whatever is wrong, even with the body, `unauthorized` is the code, with 401."""
    honest = asked.honest()
    return error(honest, 401, "unauthorized") if honest.status == 400 else honest
