"""
Who is let in: `#/security` and `#/components/securitySchemes/ApiKeyAuth`.

The key itself goes nowhere but to the target; where a probe is made of it, the curl line has the shell make it again.
"""

from __future__ import annotations

import base64
from dataclasses import replace

from chainproof.contract import clauses
from chainproof.contract.header_fields import HeaderField

from ..inputs.wrong_keys import BASIC_CREDENTIALS, MISUSED_KEYS, PLACEHOLDER_KEYS, wrong_keys
from ..judging.auth_bypass_cause import WRONG_KEY
from ..judging.expectation import expectation
from ..options import Permission
from ..probing.requester import DEFAULT_BODY, DefaultBody, Requester
from ..transport.request import JSON_TYPE, CheckRequest, Secret, request_bytes
from . import check_for


@check_for(clauses.AUTHENTICATION_REQUIRED, clauses.ERROR_CODE_CAUSE)
def requests_without_credentials_are_rejected(requester: Requester) -> None:
    """
    A request without credentials is refused, whatever its body is worth.
    """
    requester.send(request_without_key(requester, label="a request without Authorization"))
    requester.send(request_without_key(requester, label="a request without Authorization and body", body=None))


@check_for(clauses.KEY_VERIFIED, clauses.ERROR_CODE_CAUSE)
def wrong_keys_are_rejected(requester: Requester) -> None:
    """
    A key that is empty, or somebody else's, opens nothing.
    """
    prefix = requester.key.scheme.prefix
    for label, value in (
        ("an empty Authorization", ""),
        ("an empty key", prefix),
        ("an empty key", f"{prefix} "),
        ("a wrong key", f"{prefix} {WRONG_KEY}"),
        ("a wrong key", f"{prefix} abcd1234.abcd1234abcd1234abcd1234abcd1234"),
        ("a wrong key behind a scheme nobody knows", f"Chainproof {WRONG_KEY}"),
        ("a wrong key behind `Bearer`", f"Bearer {WRONG_KEY}"),
        ("a wrong bare key", WRONG_KEY),
        ("a wrong Basic credential", "Basic d3Jvbmc6a2V5"),
    ):
        requester.send(request_without_key(requester, ("Authorization", value), label=label))


@check_for(clauses.KEY_VERIFIED)
def almost_correct_keys_are_rejected(requester: Requester) -> None:
    """
    What is nearly the right key, and what stands where people have none, opens nothing.
    """
    requester.require_permission(Permission.KEY_GUESSING)
    key, prefix = requester.key.reveal(), requester.key.scheme.prefix
    for near in wrong_keys(key, requester.settings.api_key_env):
        request = request_without_key(
            requester, ("Authorization", f"{prefix} {near.text}"), label=near.label, secret=near.secret
        )
        _ask(requester, request)
    for text in PLACEHOLDER_KEYS:
        if text != key:
            label = f"`{text}` as the key"
            requester.send(request_without_key(requester, ("Authorization", f"{prefix} {text}"), label=label))
    for text in ("null", "undefined", "*", prefix * 2, f"{prefix} {prefix}"):
        requester.send(request_without_key(requester, ("Authorization", text), label=f"`{text}` as the Authorization"))


@check_for(clauses.KEY_VERIFIED)
def two_wrong_keys_are_rejected(requester: Requester) -> None:
    """
    The header twice with two wrong keys, or with a wrong one and an empty one, opens nothing.
    """
    wrong = ("Authorization", f"{requester.key.scheme.prefix} {WRONG_KEY}")
    other = ("Authorization", f"{requester.key.scheme.prefix} other.key")
    for label, fields in (
        ("two wrong keys", (wrong, other)),
        ("a wrong key twice", (wrong, wrong)),
        ("a wrong key and an empty Authorization", (wrong, ("Authorization", ""))),
        ("an empty Authorization and a wrong key", (("Authorization", ""), wrong)),
        ("an empty Authorization twice", (("Authorization", ""), ("authorization", ""))),
    ):
        # A field that may stand once alone: HTTP itself may refuse the message.
        requester.send(replace(request_without_key(requester, *fields, label=label), valid_message=False))


@check_for(clauses.KEY_VERIFIED)
def keys_with_control_characters_are_rejected(requester: Requester) -> None:
    """
    Where something else stands behind a NUL, the key is another one; HTTP itself may refuse such a message.
    """
    requester.require_permission(Permission.KEY_GUESSING)
    key, prefix, variable = requester.key.reveal(), requester.key.scheme.prefix, requester.settings.api_key_env
    middle = len(key) // 2
    for label, text, word in (
        ("a key with a NUL and more behind it", f"{key}\0x", f'"${{{variable}}}x"'),
        ("a key behind a NUL and more", f"x\0{key}", f'"x${{{variable}}}"'),
        ("a key with a NUL in it", f"{key[:middle]}\0{key[middle:]}", f'"${{{variable}}}"'),
        ("a NUL as the key", "\0", '""'),
    ):
        secret = Secret(text=text, shell_word=word)
        request = request_without_key(requester, ("Authorization", f"{prefix} {text}"), label=label, secret=secret)
        requester.send(replace(request, valid_message=False))


@check_for(clauses.KEY_PREFIX)
def keys_without_the_right_scheme_are_rejected(requester: Requester) -> None:
    """
    The right key alone, or behind another scheme, opens nothing. Whoever presents it behind `Bearer` is not asked to be
    refused for that.
    """
    key, variable = requester.key.reveal(), requester.settings.api_key_env
    for spelling in MISUSED_KEYS:
        value = spelling.value.format(key)
        if value != requester.key.authorization:
            requester.send(request_without_key(requester, ("Authorization", value), label=spelling.label))
    for label, form in BASIC_CREDENTIALS:
        pair = form.format(key)
        word = f'"$(printf {form.replace("{0}", "%s").replace("{}", "%s")} "${variable}" "${variable}" | base64 -w0)"'
        secret = Secret(text=base64.b64encode(pair.encode()).decode(), shell_word=word)
        requester.send(
            request_without_key(requester, ("Authorization", f"Basic {secret.text}"), label=label, secret=secret)
        )


_QUERY = (
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
    *("X-API-Key", "x-api-key", "secret", "bearer", "ApiKeyAuth", "baseten_api_key"),
)
"""Names under which keys are looked for in queries."""

_HEADERS = (
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
    *("From", "X-Goog-Api-Key", "Ocp-Apim-Subscription-Key", "PRIVATE-TOKEN", "X-Vault-Token", "X-CSRF-Token"),
)
"""Fields in which keys are looked for."""


@check_for(clauses.KEY_LOCATION)
def keys_outside_the_authorization_header_are_rejected(requester: Requester) -> None:
    """
    In the query, a cookie, the path, the body or another header the key is no credential.
    """
    key = requester.key.reveal()
    for name in _QUERY:
        path = f"{requester.target.path}?{name}={key}"
        requester.send(request_without_key(requester, label=f"the key in the query as {name}", path=path))
    path = f"{requester.target.path}?Authorization=Api-Key%20{key}"
    requester.send(request_without_key(requester, label="the key in the query with its prefix", path=path))
    for name in _HEADERS:
        for value in (key, f"Api-Key {key}"):
            requester.send(request_without_key(requester, (name, value), label=f"the key in {name}"))
    for name in ("api_key", "apikey", "key", "token", "auth", "session", "access_token", "Authorization", "Api-Key"):
        requester.send(request_without_key(requester, ("Cookie", f"{name}={key}"), label=f"the key in a cookie {name}"))


@check_for(clauses.KEY_LOCATION)
def keys_in_the_body_or_the_url_are_rejected(requester: Requester) -> None:
    """
    As a member, in a form, as a user in the URL, as a part of the path, or in a trailer the key is no credential.
    """
    key, target = requester.key.reveal(), requester.target
    if key.isascii() and '"' not in key and "\\" not in key:
        for name in ("api_key", "apiKey", "key", "token", "Authorization"):
            value = f"Api-Key {key}" if name == "Authorization" else key
            body = f'{{"{name}":"{value}"}}'.encode()
            requester.send(request_without_key(requester, label=f"the key in the body as {name}", body=body))
    form = request_without_key(requester, label="the key in a form", body=f"api_key={key}".encode())
    requester.send(replace(form, fields=(("Content-Type", "application/x-www-form-urlencoded"),)))
    for label, path in (
        ("the key as a user in the URL", f"{target.scheme}://{key}@{target.authority}{target.path}"),
        ("the key as a password in the URL", f"{target.scheme}://api:{key}@{target.authority}{target.path}"),
        ("the key behind the path", f"{target.path}/{key}"),
        ("the key before the path", f"/{key}{target.path}"),
        ("the key as a parameter of the path", f"{target.path};api_key={key}"),
    ):
        requester.send(request_without_key(requester, label=label, path=path))
    _ask_with_trailer(requester)


def _ask_with_trailer(requester: Requester) -> None:
    """
    RFC 9110 §6.5.1: credentials must not stand in a trailer. Some servers take its fields for header fields all the same,
    when they come in time: that is worth knowing, and no hole of the target's own.
    """
    chunked = replace(request_without_key(requester, label="a request without Authorization, in chunks"), chunked=True)
    heard = requester.send(chunked)
    if heard.answer is not None and 200 <= heard.answer.status < 300:
        return
    request = request_without_key(requester, ("Trailer", "Authorization"), label="the key in a trailer")
    request = requester.prepare(replace(request, chunked=True, valid_message=False))
    trailer = f"Authorization: {requester.key.authorization}\r\n\r\n".encode()
    with requester.raw_connection() as connection:
        connection.send_request(request, request_bytes(request, requester.target).removesuffix(b"\r\n") + trailer)
        expected = expectation(request, requester.terms)
        assert expected is not None
        requester.record(
            request, connection.read_answer(request), replace(expected, clause=clauses.HTTP_RECOMMENDATIONS)
        )


@check_for(clauses.STATUS)
def ambiguous_credentials_get_a_documented_answer(requester: Requester) -> None:
    """
    A lower-case scheme, other blanks, bytes beyond ASCII: let in or not, the answer is a documented one.
    """
    right, prefix = requester.key.authorization, requester.key.scheme.prefix
    for label, fields in (
        ("a lower-case scheme", (("Authorization", right.replace(prefix, prefix.lower(), 1)),)),
        ("a lower-case header name", (("authorization", right),)),
        ("blanks around the value", (("Authorization", f" \t{right} "),)),
        ("two blanks behind the scheme", (("Authorization", right.replace(" ", "  ", 1)),)),
        ("a tab behind the scheme", (("Authorization", right.replace(" ", "\t", 1)),)),
        ("bytes beyond ASCII in the key", (("Authorization", f"{prefix} \xff\xfe"),)),
        ("a name beyond ASCII as the key", (("Authorization", f"{prefix} \xc3\xa4\xe2\x82\xac"),)),
        ("a key of 4000 characters", (("Authorization", f"{prefix} {'x' * 4000}"),)),
    ):
        _ask(requester, request_without_key(requester, *fields, label=label))


def _ask(requester: Requester, request: CheckRequest) -> None:
    """
    Ask; what is beyond ASCII in a field some servers refuse as no field at all.
    """
    if all(value.isascii() for _, value in request.fields):
        requester.send(request)
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
    """
    A request with these credentials and no others.
    """
    request = requester.build_request(body, secret=secret, label=label)
    return replace(request, fields=(*fields, JSON_TYPE), path=path or request.path)
