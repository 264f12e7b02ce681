"""
Who is let in: `#/security` and `#/components/securitySchemes/ApiKeyAuth`.

The key itself goes nowhere but to the target; where a probe is made of it, the curl line has the shell make it again.
"""

from __future__ import annotations

import base64
from dataclasses import replace

from chainproof.contract import clauses
from chainproof.contract.header_fields import Field

from ..inputs.wrong_keys import BASIC, PLACEHOLDERS, SPELLINGS, near_misses
from ..judging.auth_bypass_cause import WRONG
from ..judging.expectation import expectation
from ..options import Intrusion
from ..probing.requester import PLAIN, Examination, Plain
from ..transport.request import JSON_TYPE, Request, Secret, message
from . import upholds


@upholds(clauses.AUTHENTICATION_REQUIRED, clauses.ERROR_CODE_CAUSE)
def nobody_gets_in_without_credentials(examination: Examination) -> None:
    """
    A request without credentials is refused, whatever its body is worth.
    """
    examination.ask(asking(examination, label="a request without Authorization"))
    examination.ask(asking(examination, label="a request without Authorization and body", body=None))


@upholds(clauses.KEY_VERIFIED, clauses.ERROR_CODE_CAUSE)
def only_the_right_key_opens(examination: Examination) -> None:
    """
    A key that is empty, or somebody else's, opens nothing.
    """
    prefix = examination.key.scheme.prefix
    for label, value in (
        ("an empty Authorization", ""),
        ("an empty key", prefix),
        ("an empty key", f"{prefix} "),
        ("a wrong key", f"{prefix} {WRONG}"),
        ("a wrong key", f"{prefix} abcd1234.abcd1234abcd1234abcd1234abcd1234"),
        ("a wrong key behind a scheme nobody knows", f"Chainproof {WRONG}"),
        ("a wrong key behind `Bearer`", f"Bearer {WRONG}"),
        ("a wrong bare key", WRONG),
        ("a wrong Basic credential", "Basic d3Jvbmc6a2V5"),
    ):
        examination.ask(asking(examination, ("Authorization", value), label=label))


@upholds(clauses.KEY_VERIFIED)
def a_key_is_compared_whole(examination: Examination) -> None:
    """
    What is nearly the right key, and what stands where people have none, opens nothing.
    """
    examination.require(Intrusion.KEY_GUESSING)
    key, prefix = examination.key.reveal(), examination.key.scheme.prefix
    for near in near_misses(key, examination.settings.api_key_env):
        request = asking(examination, ("Authorization", f"{prefix} {near.text}"), label=near.label, secret=near.secret)
        _ask(examination, request)
    for text in PLACEHOLDERS:
        if text != key:
            label = f"`{text}` as the key"
            examination.ask(asking(examination, ("Authorization", f"{prefix} {text}"), label=label))
    for text in ("null", "undefined", "*", prefix * 2, f"{prefix} {prefix}"):
        examination.ask(asking(examination, ("Authorization", text), label=f"`{text}` as the Authorization"))


@upholds(clauses.KEY_VERIFIED)
def two_wrong_keys_are_no_right_one(examination: Examination) -> None:
    """
    The header twice with two wrong keys, or with a wrong one and an empty one, opens nothing.
    """
    wrong = ("Authorization", f"{examination.key.scheme.prefix} {WRONG}")
    other = ("Authorization", f"{examination.key.scheme.prefix} other.key")
    for label, fields in (
        ("two wrong keys", (wrong, other)),
        ("a wrong key twice", (wrong, wrong)),
        ("a wrong key and an empty Authorization", (wrong, ("Authorization", ""))),
        ("an empty Authorization and a wrong key", (("Authorization", ""), wrong)),
        ("an empty Authorization twice", (("Authorization", ""), ("authorization", ""))),
    ):
        # A field that may stand once alone: HTTP itself may refuse the message.
        examination.ask(replace(asking(examination, *fields, label=label), message_valid=False))


@upholds(clauses.KEY_VERIFIED)
def a_control_character_does_not_end_a_key(examination: Examination) -> None:
    """
    Where something else stands behind a NUL, the key is another one; HTTP itself may refuse such a message.
    """
    examination.require(Intrusion.KEY_GUESSING)
    key, prefix, variable = examination.key.reveal(), examination.key.scheme.prefix, examination.settings.api_key_env
    middle = len(key) // 2
    for label, text, word in (
        ("a key with a NUL and more behind it", f"{key}\0x", f'"${{{variable}}}x"'),
        ("a key behind a NUL and more", f"x\0{key}", f'"x${{{variable}}}"'),
        ("a key with a NUL in it", f"{key[:middle]}\0{key[middle:]}", f'"${{{variable}}}"'),
        ("a NUL as the key", "\0", '""'),
    ):
        secret = Secret(text=text, word=word)
        request = asking(examination, ("Authorization", f"{prefix} {text}"), label=label, secret=secret)
        examination.ask(replace(request, message_valid=False))


@upholds(clauses.KEY_PREFIX)
def the_key_needs_its_prefix(examination: Examination) -> None:
    """
    The right key alone, or behind another scheme, opens nothing. Whoever presents it behind `Bearer` is not asked to be
    refused for that.
    """
    key, variable = examination.key.reveal(), examination.settings.api_key_env
    for spelling in SPELLINGS:
        value = spelling.value.format(key)
        if value != examination.key.authorization:
            examination.ask(asking(examination, ("Authorization", value), label=spelling.label))
    for label, form in BASIC:
        pair = form.format(key)
        word = f'"$(printf {form.replace("{0}", "%s").replace("{}", "%s")} "${variable}" "${variable}" | base64 -w0)"'
        secret = Secret(text=base64.b64encode(pair.encode()).decode(), word=word)
        examination.ask(asking(examination, ("Authorization", f"Basic {secret.text}"), label=label, secret=secret))


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


@upholds(clauses.KEY_LOCATION)
def the_key_counts_in_its_header_alone(examination: Examination) -> None:
    """
    In the query, a cookie, the path, the body or another header the key is no credential.
    """
    key = examination.key.reveal()
    for name in _QUERY:
        path = f"{examination.target.path}?{name}={key}"
        examination.ask(asking(examination, label=f"the key in the query as {name}", path=path))
    path = f"{examination.target.path}?Authorization=Api-Key%20{key}"
    examination.ask(asking(examination, label="the key in the query with its prefix", path=path))
    for name in _HEADERS:
        for value in (key, f"Api-Key {key}"):
            examination.ask(asking(examination, (name, value), label=f"the key in {name}"))
    for name in ("api_key", "apikey", "key", "token", "auth", "session", "access_token", "Authorization", "Api-Key"):
        examination.ask(asking(examination, ("Cookie", f"{name}={key}"), label=f"the key in a cookie {name}"))


@upholds(clauses.KEY_LOCATION)
def the_key_does_not_count_in_a_body_or_a_url(examination: Examination) -> None:
    """
    As a member, in a form, as a user in the URL, as a part of the path, or in a trailer the key is no credential.
    """
    key, target = examination.key.reveal(), examination.target
    if key.isascii() and '"' not in key and "\\" not in key:
        for name in ("api_key", "apiKey", "key", "token", "Authorization"):
            value = f"Api-Key {key}" if name == "Authorization" else key
            body = f'{{"{name}":"{value}"}}'.encode()
            examination.ask(asking(examination, label=f"the key in the body as {name}", body=body))
    form = asking(examination, label="the key in a form", body=f"api_key={key}".encode())
    examination.ask(replace(form, fields=(("Content-Type", "application/x-www-form-urlencoded"),)))
    for label, path in (
        ("the key as a user in the URL", f"{target.scheme}://{key}@{target.authority}{target.path}"),
        ("the key as a password in the URL", f"{target.scheme}://api:{key}@{target.authority}{target.path}"),
        ("the key behind the path", f"{target.path}/{key}"),
        ("the key before the path", f"/{key}{target.path}"),
        ("the key as a parameter of the path", f"{target.path};api_key={key}"),
    ):
        examination.ask(asking(examination, label=label, path=path))
    _ask_with_trailer(examination)


def _ask_with_trailer(examination: Examination) -> None:
    """
    RFC 9110 §6.5.1: credentials must not stand in a trailer. Some servers take its fields for header fields all the same,
    when they come in time: that is worth knowing, and no hole of the target's own.
    """
    chunked = replace(asking(examination, label="a request without Authorization, in chunks"), chunked=True)
    heard = examination.ask(chunked)
    if heard.answer is not None and 200 <= heard.answer.status < 300:
        return
    request = asking(examination, ("Trailer", "Authorization"), label="the key in a trailer")
    request = examination.prepared(replace(request, chunked=True, message_valid=False))
    trailer = f"Authorization: {examination.key.authorization}\r\n\r\n".encode()
    with examination.conversation() as conversation:
        conversation.say(request, message(request, examination.target).removesuffix(b"\r\n") + trailer)
        expected = expectation(request, examination.terms)
        assert expected is not None
        examination.enter(request, conversation.hear(request), replace(expected, clause=clauses.HTTP_ADVICE))


@upholds(clauses.STATUS)
def what_no_sentence_decides_is_answered_as_documented(examination: Examination) -> None:
    """
    A lower-case scheme, other blanks, bytes beyond ASCII: let in or not, the answer is a documented one.
    """
    right, prefix = examination.key.authorization, examination.key.scheme.prefix
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
        _ask(examination, asking(examination, *fields, label=label))


def _ask(examination: Examination, request: Request) -> None:
    """
    Ask; what is beyond ASCII in a field some servers refuse as no field at all.
    """
    if all(value.isascii() for _, value in request.fields):
        examination.ask(request)
    else:
        examination.ask_oddly(request, clauses.KEY_VERIFIED)


def asking(
    examination: Examination,
    *fields: Field,
    label: str,
    secret: Secret | None = None,
    path: str | None = None,
    body: bytes | Plain | None = PLAIN,
) -> Request:
    """
    A request with these credentials and no others.
    """
    request = examination.request(body, secret=secret, label=label)
    return replace(request, fields=(*fields, JSON_TYPE), path=path or request.path)
