"""
Who is let in: `#/security` and `#/components/securitySchemes/ApiKeyAuth`.

The key itself goes nowhere but to the target; where a probe is made of it, the curl line has the shell make it again.
"""

from __future__ import annotations

import base64
from dataclasses import replace

from chainproof.contract import clauses
from chainproof.contract.fields import Field

from ..examination import PLAIN, Examination, Plain
from ..request import JSON_TYPE, Request, Secret
from . import upholds


@upholds(clauses.AUTHENTICATION_REQUIRED)
def nobody_gets_in_without_credentials(examination: Examination) -> None:
    """
    A request without credentials is refused, whatever its body is worth.
    """
    examination.ask(_with(examination, label="a request without Authorization"))
    examination.ask(_with(examination, label="a request without Authorization and body", body=None))


@upholds(clauses.KEY_VERIFIED)
def only_the_right_key_opens(examination: Examination) -> None:
    """
    A key that is empty, another one, or off by a character opens nothing.
    """
    key, variable, prefix = examination.key.reveal(), examination.settings.api_key_env, examination.key.scheme.prefix
    for label, value in (
        ("an empty Authorization", ""),
        ("an empty key", prefix),
        ("an empty key", f"{prefix} "),
        ("a wrong key", f"{prefix} wrong.key"),
        ("a wrong key", f"{prefix} abcd1234.abcd1234abcd1234abcd1234abcd1234"),
        ("a wrong key", f"{prefix} null"),
        ("a wrong key behind a scheme nobody knows", "Chainproof wrong.key"),
    ):
        examination.ask(_with(examination, ("Authorization", value), label=label))
    for label, text, word in (
        ("a key cut by its last character", key[:-1], f'"${{{variable}%?}}"'),
        ("a key cut by its first character", key[1:], f'"${{{variable}#?}}"'),
        ("a key in the other letter case", key.swapcase(), f'"$(printf %s "${variable}" | tr a-zA-Z A-Za-z)"'),
        ("a key longer by a character", key + "x", f'"${{{variable}}}x"'),
        ("a key behind another character", "x" + key, f'"x${{{variable}}}"'),
        ("a key twice", f"{key},{key}", f'"${{{variable}}},${{{variable}}}"'),
    ):
        if text not in (key, ""):
            secret = Secret(text=text, word=word)
            examination.ask(_with(examination, ("Authorization", f"{prefix} {text}"), label=label, secret=secret))


@upholds(clauses.KEY_PREFIX)
def the_key_needs_its_prefix(examination: Examination) -> None:
    """
    The right key alone, or behind another scheme, opens nothing. Whoever presents it behind `Bearer` is not asked to be
    refused for that.
    """
    key, variable = examination.key.reveal(), examination.settings.api_key_env
    for label, value in (
        ("a bare key", key),
        ("the key behind `Bearer`", f"Bearer {key}"),
        ("the key behind `Token`", f"Token {key}"),
        ("the key behind `ApiKey`", f"ApiKey {key}"),
        ("the key behind `Api-Key:`", f"Api-Key: {key}"),
    ):
        if value != examination.key.authorization:
            examination.ask(_with(examination, ("Authorization", value), label=label))
    for label, pair in (("the key as a Basic user", f"{key}:"), ("the key as a Basic password", f":{key}")):
        word = f'"$(printf {pair.replace(key, "%s")} "${variable}" | base64 -w0)"'
        secret = Secret(text=base64.b64encode(pair.encode()).decode(), word=word)
        examination.ask(_with(examination, ("Authorization", f"Basic {secret.text}"), label=label, secret=secret))


@upholds(clauses.KEY_LOCATION)
def the_key_counts_in_its_header_alone(examination: Examination) -> None:
    """
    In the query, a cookie, the body or another header the key is no credential.
    """
    key = examination.key.reveal()
    for name in ("api_key", "apikey", "key", "Authorization"):
        path = f"{examination.target.path}?{name}={key}"
        examination.ask(_with(examination, label=f"the key in the query as {name}", path=path))
    for header, value in (
        ("X-API-Key", key),
        ("Api-Key", key),
        ("X-Authorization", f"Api-Key {key}"),
        ("Proxy-Authorization", f"Api-Key {key}"),
        ("Cookie", f"api_key={key}; Authorization={key}"),
    ):
        examination.ask(_with(examination, (header, value), label=f"the key in {header}"))
    body = b'{"api_key":"%s"}' % key.encode()
    if key.isascii() and '"' not in key and "\\" not in key:
        examination.ask(_with(examination, label="the key in the body", body=body))


@upholds(clauses.STATUS)
def what_no_sentence_decides_is_answered_as_documented(examination: Examination) -> None:
    """
    A lower-case scheme, blanks around the value, the header twice: let in or not, the answer is a documented one.
    """
    right, prefix = examination.key.authorization, examination.key.scheme.prefix
    for label, fields in (
        ("a lower-case scheme", (("Authorization", right.replace(prefix, prefix.lower(), 1)),)),
        ("a lower-case header name", (("authorization", right),)),
        ("blanks around the value", (("Authorization", f" \t{right} "),)),
        ("two blanks behind the scheme", (("Authorization", right.replace(" ", "  ", 1)),)),
        ("the header twice", (("Authorization", right), ("Authorization", right))),
        ("the header twice, a wrong key first", (("Authorization", f"{prefix} wrong.key"), ("Authorization", right))),
        ("the header twice, a wrong key last", (("Authorization", right), ("Authorization", f"{prefix} wrong.key"))),
        ("bytes beyond ASCII in the key", (("Authorization", f"{prefix} \xff\xfe"),)),
    ):
        examination.ask(_with(examination, *fields, label=label))


def _with(
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
