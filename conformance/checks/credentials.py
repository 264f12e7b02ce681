"""
Only the right API key, in the `Authorization` header, is accepted.

Sources: `#/security`, `#/components/securitySchemes/ApiKeyAuth`. No curl line contains a part of the key: where a wrong
key is derived from it, the shell derives it again.
"""

from __future__ import annotations

import base64
from dataclasses import replace

from chainproof.contract import clauses, http_clauses
from chainproof.contract.errors import ErrorCode, statuses
from chainproof.contract.header_fields import HeaderField
from chainproof.results.shell_command import Secret

from ..inputs.chain_inputs import with_member
from ..inputs.wrong_keys import BASIC_CREDENTIALS, MISUSED_KEYS, PLACEHOLDER_KEYS, wrong_keys
from ..judging.auth_bypass_cause import WRONG_KEY
from ..judging.expectation import Expectation, expectation
from ..options import Permission
from ..probing.check_context import DEFAULT_BODY, DefaultBody
from ..probing.requester import Requester
from ..transport.request import JSON_TYPE, CheckRequest, request_bytes
from . import check_for
from .media_type import BROWSER_ACCEPT


@check_for(clauses.AUTHENTICATION_REQUIRED, clauses.UNAUTHORIZED_STATUS, clauses.ERROR_CODE_CAUSE)
def requests_without_credentials_are_rejected(requester: Requester) -> None:
    """A request without credentials is rejected, with a valid body and without one, and for a browser too."""
    requester.submit(request_without_key(requester, label="a request without Authorization"))
    label = "a request without Authorization, as of a browser"
    requester.submit(request_without_key(requester, ("Accept", BROWSER_ACCEPT), label=label))
    requester.submit(request_without_key(requester, label="a request without Authorization or body", body=None))


@check_for(clauses.KEY_VERIFIED, clauses.UNAUTHORIZED_STATUS, clauses.ERROR_CODE_CAUSE)
def wrong_keys_are_rejected(requester: Requester) -> None:
    """An empty key and an unknown key are rejected."""
    prefix = requester.key.scheme.prefix
    for label, value in (
        ("an empty Authorization", ""),
        ("an empty key", prefix),
        ("an empty key", f"{prefix} "),
        ("a wrong key", f"{prefix} {WRONG_KEY}"),
        ("a wrong key", f"{prefix} abcd1234.abcd1234abcd1234abcd1234abcd1234"),
        ("a wrong key with an unknown scheme", f"Chainproof {WRONG_KEY}"),
        ("a wrong key with the scheme `Bearer`", f"Bearer {WRONG_KEY}"),
        ("a wrong key without a scheme", WRONG_KEY),
        ("wrong Basic credentials", "Basic d3Jvbmc6a2V5"),
        ("a wrong key of 4000 characters", f"{prefix} {'x' * 4000}"),
    ):
        requester.submit(request_without_key(requester, ("Authorization", value), label=label))
    # Larger than the service that authenticates may accept. Servers may reject such a field themselves.
    large = ("Authorization", f"{prefix} {'x' * _LARGE_KEY}")
    request = request_without_key(requester, large, label=f"a wrong key of {_LARGE_KEY} characters")
    requester.submit(replace(request, valid_message=False))


_LARGE_KEY = 16_000
"""Characters of a key that is larger than most servers' limit for a header field."""

_INVALID_CONTENTS: tuple[tuple[str, bytes, tuple[HeaderField, ...]], ...] = (
    ("a body that is not JSON", b"{", (JSON_TYPE,)),
    ("an array as the body", b"[]", (JSON_TYPE,)),
    ("an input without arguments", b"{}", (JSON_TYPE,)),
    ("another media type", b"{}", (("Content-Type", "text/plain"),)),
)


@check_for(clauses.AUTHENTICATION_FIRST)
def keys_are_checked_before_bodies(requester: Requester) -> None:
    """Without the right key, an invalid body or media type is answered like a valid one, if that is rejected."""
    rejected = statuses(ErrorCode.UNAUTHORIZED, requester.settings.contract)
    about_body = statuses(ErrorCode.CLIENT_ERROR, requester.settings.contract) - rejected | {422}
    expected = Expectation(
        clause=clauses.AUTHENTICATION_FIRST,
        expected=f"status {' or '.join(map(str, sorted(rejected)))}",
        is_met_by=lambda answer: answer.status not in about_body,
    )
    wrong_key = ("Authorization", f"{requester.key.scheme.prefix} {WRONG_KEY}")
    for fields, credentials in (((), "without Authorization"), ((wrong_key,), "with a wrong key")):
        answer = requester.send(request_without_key(requester, *fields, label=f"a request {credentials}")).answer
        if answer is None or answer.status not in rejected:
            continue  # the key is not verified at all, or another status is used: other findings
        for content, body, others in _INVALID_CONTENTS:
            request = request_without_key(requester, *fields, label=f"a request {credentials} and {content}", body=body)
            request = replace(request, fields=(*fields, *others))
            received = requester.send_once(request)
            if received.answer is None or expected.is_met_by(received.answer):
                requester.record(requester.prepare(request), received, expected)
            else:
                requester.send(request, expected)  # once more: the key may be verified only now and then


@check_for(clauses.KEY_VERIFIED)
def almost_correct_keys_are_rejected(requester: Requester) -> None:
    """Keys that differ slightly from the right one are rejected, and so are common placeholders."""
    requester.require_permission(Permission.KEY_GUESSING)
    key, prefix = requester.key.reveal(), requester.key.scheme.prefix
    for wrong_key in wrong_keys(key, requester.settings.api_key_env):
        request = request_without_key(
            requester, ("Authorization", f"{prefix} {wrong_key.text}"), label=wrong_key.label, secret=wrong_key.secret
        )
        _send(requester, request)
    for text in PLACEHOLDER_KEYS:
        if text != key:
            label = f"`{text}` as the key"
            requester.submit(request_without_key(requester, ("Authorization", f"{prefix} {text}"), label=label))
    for text in ("null", "undefined", "*", prefix * 2, f"{prefix} {prefix}"):
        requester.submit(
            request_without_key(requester, ("Authorization", text), label=f"`{text}` as the Authorization")
        )


@check_for(clauses.KEY_VERIFIED)
def two_wrong_keys_are_rejected(requester: Requester) -> None:
    """Two `Authorization` headers with wrong or empty keys are rejected."""
    wrong = ("Authorization", f"{requester.key.scheme.prefix} {WRONG_KEY}")
    other = ("Authorization", f"{requester.key.scheme.prefix} other.key")
    for label, fields in (
        ("two wrong keys", (wrong, other)),
        ("a wrong key twice", (wrong, wrong)),
        ("a wrong key and an empty Authorization", (wrong, ("Authorization", ""))),
        ("an empty Authorization and a wrong key", (("Authorization", ""), wrong)),
        ("an empty Authorization twice", (("Authorization", ""), ("authorization", ""))),
    ):
        # `Authorization` must not be repeated: the HTTP server may reject the message itself.
        requester.submit(replace(request_without_key(requester, *fields, label=label), valid_message=False))


@check_for(clauses.KEY_VERIFIED, http_clauses.FIELD_VALUE_CHARACTERS)
def keys_with_control_characters_are_rejected(requester: Requester) -> None:
    """
    A NUL does not end a key: with it the key is wrong. The HTTP server may reject such a message itself. HAProxy neither
    rejects it nor compares what follows, but anyone who sends it knows the whole key: to accept it is a violation of HTTP.
    """
    requester.require_permission(Permission.KEY_GUESSING)
    prefix, variable = requester.key.scheme.prefix, requester.settings.api_key_env
    request = request_without_key(requester, ("Authorization", f"{prefix} \0"), label="a NUL as the key")
    received = requester.send(replace(request, valid_message=False))
    if received.answer is not None and received.answer.is_success:
        return
    secret = Secret(text=requester.key.reveal(), shell_word=f'"${{{variable}}}"')
    for label, text in (
        ("the key followed by a NUL and more text", f"{secret.text}\0x"),
        ("the key after other text and a NUL", f"x\0{secret.text}"),
        ("the key after a NUL", f"\0{secret.text}"),
    ):
        request = request_without_key(requester, ("Authorization", f"{prefix} {text}"), label=label, secret=secret)
        request = requester.prepare(replace(request, valid_message=False))
        expected = expectation(request, requester.terms)
        assert expected is not None
        requester.send(request, replace(expected, clause=http_clauses.FIELD_VALUE_CHARACTERS))


@check_for(clauses.KEY_PREFIX)
def keys_without_the_right_scheme_are_rejected(requester: Requester) -> None:
    """
    The right key without a scheme, or with another scheme, is rejected. A scheme that the run itself uses is left
    out.
    """
    key, variable = requester.key.reveal(), requester.settings.api_key_env
    for misused in MISUSED_KEYS:
        value = misused.value.format(key)
        if value != requester.key.authorization:
            requester.submit(request_without_key(requester, ("Authorization", value), label=misused.label))
    for label, form in BASIC_CREDENTIALS:
        pair = form.format(key)
        shell_word = (
            f'"$(printf {form.replace("{0}", "%s").replace("{}", "%s")} "${variable}" "${variable}" | base64 -w0)"'
        )
        secret = Secret(text=base64.b64encode(pair.encode()).decode(), shell_word=shell_word)
        requester.submit(
            request_without_key(requester, ("Authorization", f"Basic {secret.text}"), label=label, secret=secret)
        )


_KEY_QUERIES = (
    *(
        "api_key",
        "apikey",
        "api-key",
        "apiKey",
        "key",
        "Authorization",
        "authorization",
        "auth",
        "token",
        "access_token",
    ),
    *("X-API-Key", "x-api-key", "secret", "bearer", "ApiKeyAuth", "baseten_api_key", "subscription-key", "code"),
)
"""Query parameters in which servers look for keys."""

_KEY_HEADERS = (
    *("X-API-Key", "Api-Key", "ApiKey", "Apikey", "Key", "X-Key", "X-Authorization", "Proxy-Authorization"),
    *("Authentication", "X-Auth", "X-Auth-Token", "X-Auth-Key", "X-Access-Token", "Access-Token", "Token", "X-Token"),
    *("X-Forwarded-Authorization", "X-Original-Authorization", "X-Baseten-Api-Key", "X-Amz-Security-Token", "X-Secret"),
    *(
        "Authorization-Key",
        "HTTP-Authorization",
        "X-HTTP-Authorization",
        "Sec-WebSocket-Protocol",
        "User-Agent",
        "Referer",
    ),
    *(
        "Grpc-Metadata-Authorization",
        "X-Serverless-Authorization",
        "X-Forwarded-Access-Token",
        "X-Amzn-Remapped-Authorization",
    ),
    *(
        "From",
        "X-Goog-Api-Key",
        "Ocp-Apim-Subscription-Key",
        "PRIVATE-TOKEN",
        "X-Vault-Token",
        "X-CSRF-Token",
        "X-Functions-Key",
    ),
)
"""Header fields in which servers look for keys."""


@check_for(clauses.KEY_LOCATION, title="keys outside the `Authorization` header are rejected")
def keys_outside_the_authorization_header_are_rejected(requester: Requester) -> None:
    """A key in the query, a cookie or another header is no credential."""
    key = requester.key.reveal()
    for name in _KEY_QUERIES:
        path = f"{requester.target.path}?{name}={key}"
        requester.submit(request_without_key(requester, label=f"the key in the query as {name}", path=path))
    path = f"{requester.target.path}?Authorization=Api-Key%20{key}"
    requester.submit(request_without_key(requester, label="the key in the query with its prefix", path=path))
    for name in _KEY_HEADERS:
        for value in (key, f"Api-Key {key}"):
            requester.submit(request_without_key(requester, (name, value), label=f"the key in {name}"))
    for name in ("api_key", "apikey", "key", "token", "auth", "session", "access_token", "Authorization", "Api-Key"):
        requester.submit(
            request_without_key(requester, ("Cookie", f"{name}={key}"), label=f"the key in a cookie {name}")
        )


@check_for(clauses.KEY_LOCATION, title="keys in the body or the URL are rejected")
def keys_in_the_body_or_the_url_are_rejected(requester: Requester) -> None:
    """A key in the body, a form, the user part of the URL, the path or a trailer is no credential."""
    key, target = requester.key.reveal(), requester.target
    if key.isascii() and '"' not in key and "\\" not in key:
        for name in ("api_key", "apiKey", "key", "token", "Authorization"):
            value = f"Api-Key {key}" if name == "Authorization" else key
            body = with_member(requester.inputs.base, f'"{name}":"{value}"'.encode())
            requester.submit(request_without_key(requester, label=f"the key in the body as {name}", body=body))
    form = request_without_key(requester, label="the key in a form", body=f"api_key={key}".encode())
    requester.submit(replace(form, fields=(("Content-Type", "application/x-www-form-urlencoded"),)))
    for label, path in (
        ("the key as the user name in the URL", f"{target.scheme}://{key}@{target.authority}{target.path}"),
        ("the key as the password in the URL", f"{target.scheme}://api:{key}@{target.authority}{target.path}"),
        ("the key after the path", f"{target.path}/{key}"),
        ("the key before the path", f"/{key}{target.path}"),
        ("the key as a path parameter", f"{target.path};api_key={key}"),
    ):
        requester.submit(request_without_key(requester, label=label, path=path))


@check_for(http_clauses.TRAILERS_NOT_MERGED)
def a_key_in_a_trailer_is_rejected(requester: Requester) -> None:
    """
    The key in a trailer, where credentials are forbidden (RFC 9110 §6.5.1), does not authenticate. Some servers merge
    trailers into the header fields if they arrive in time.
    """
    chunked = replace(request_without_key(requester, label="a chunked request without Authorization"), chunked=True)
    received = requester.send(chunked)
    if received.answer is not None and received.answer.is_success:
        return
    request = request_without_key(requester, ("Trailer", "Authorization"), label="the key in a trailer")
    request = requester.prepare(replace(request, chunked=True, valid_message=False))
    trailer = f"Authorization: {requester.key.authorization}\r\n\r\n".encode()
    request = replace(request, raw=request_bytes(request, requester.target).removesuffix(b"\r\n") + trailer)
    with requester.raw_connection() as connection:
        connection.send_request(request)
        expected = expectation(request, requester.terms)
        assert expected is not None
        requester.record(
            request, connection.read_answer(request), replace(expected, clause=http_clauses.TRAILERS_NOT_MERGED)
        )


@check_for(clauses.STATUS)
def ambiguous_credentials_get_a_documented_answer(requester: Requester) -> None:
    """A lower-case scheme, other whitespace and non-ASCII bytes may be accepted or rejected, in a documented way."""
    right, prefix = requester.key.authorization, requester.key.scheme.prefix
    for label, fields in (
        ("a lower-case scheme", (("Authorization", right.replace(prefix, prefix.lower(), 1)),)),
        ("a lower-case header name", (("authorization", right),)),
        ("whitespace around the value", (("Authorization", f" \t{right} "),)),
        ("two spaces after the scheme", (("Authorization", right.replace(" ", "  ", 1)),)),
        ("a tab after the scheme", (("Authorization", right.replace(" ", "\t", 1)),)),
        ("non-ASCII bytes in the key", (("Authorization", f"{prefix} \xff\xfe"),)),
        ("non-ASCII text as the key", (("Authorization", f"{prefix} \xc3\xa4\xe2\x82\xac"),)),
        ("a key of 4000 characters", (("Authorization", f"{prefix} {'x' * 4000}"),)),
    ):
        _send(requester, request_without_key(requester, *fields, label=label))


def _send(requester: Requester, request: CheckRequest) -> None:
    """Send a request. Some servers reject non-ASCII bytes in a header field as invalid HTTP."""
    if all(value.isascii() for _, value in request.fields):
        requester.submit(request)
    else:
        requester.send_nonstandard(request, clauses.KEY_VERIFIED)


def request_without_key(
    requester: Requester,
    *fields: HeaderField,
    label: str,
    secret: Secret | None = None,
    path: str | None = None,
    body: bytes | DefaultBody | None = DEFAULT_BODY,
) -> CheckRequest:
    """A request with only the given header fields and `Content-Type`, and so without the right key."""
    request = requester.build_request(body, secret=secret, label=label)
    return replace(request, fields=(*fields, JSON_TYPE), path=path or request.path)
