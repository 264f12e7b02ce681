"""
Keys that are nearly the right one, and what people send where none is: tables, each row with the words for it.

No row holds a word of the key: a curl line has the shell make it from the variable.
"""

from __future__ import annotations

import base64
import hashlib
import string
from collections.abc import Iterator
from dataclasses import dataclass
from urllib.parse import quote

from ..transport.request import Secret


@dataclass(frozen=True, slots=True, kw_only=True)
class WrongKey:
    """
    A text in the place of a key.
    """

    label: str
    secret: Secret

    @property
    def text(self) -> str:
        """As it stands in the request."""
        return self.secret.text


@dataclass(frozen=True, slots=True, kw_only=True)
class MisusedKey:
    """
    A text that holds the right key as it is: within the value of an Authorization field, `{}` in its place.
    """

    label: str
    value: str


PLACEHOLDER_KEYS: tuple[str, ...] = (
    *("null", "undefined", "None", "nil", "true", "false", "0", "NaN", "[object Object]", "{}", "[]", '""', "''"),
    *(
        "test",
        "admin",
        "changeme",
        "secret",
        "anonymous",
        "guest",
        "YOUR_API_KEY",
        "<your-api-key>",
        "$BASETEN_API_KEY",
    ),
    *("*", "%", "_", ".*", "^.*$", "' or 1=1 --", "' or '1'='1", "admin'--", '{"$ne":null}', "*)(uid=*))(|(uid=*", "."),
    *("abcd1234.abcd1234", "eyJhbGciOiJub25lIn0.eyJzdWIiOiJhZG1pbiJ9.", "../../../../dev/null", "\\0", "%00"),
)
"""What stands where a key is missing, what patterns match, and the document's own example: none is anybody's key."""


def wrong_keys(key: str, variable: str) -> Iterator[WrongKey]:
    """
    Every text that differs from the key by what a careless comparison passes over. None is the key.
    """
    for label, text, word in (
        *_cut(key, variable),
        *_changed(key, variable),
        *_halves(key, variable),
        *_longer(key, variable),
        *_coded(key, variable),
    ):
        if text != key and text == text.strip() and len(text) >= _LEAST:
            yield WrongKey(label=label, secret=Secret(text=text, shell_word=word))


_LEAST = 4
"""Characters of a text that a curl line can tell from the rest of it."""

_Row = tuple[str, str, str]
"""In words; the text; the double-quoted shell word that makes it."""


def _cut(key: str, variable: str) -> Iterator[_Row]:
    """
    Less of it.
    """
    yield "a key cut by its last character", key[:-1], f'"${{{variable}%?}}"'
    yield "a key cut by its first character", key[1:], f'"${{{variable}#?}}"'
    yield "a key's first eight characters", key[:8], _made(variable, "cut -c1-8")


def _changed(key: str, variable: str) -> Iterator[_Row]:
    """
    As long, and another one.
    """
    for place, at in (("first", 0), ("middle", len(key) // 2), ("last", len(key) - 1)):
        other = "x" if key[at] not in "xX" else "y"
        text = key[:at] + other + key[at + 1 :]
        yield f"a key with its {place} character changed", text, _made(variable, f"sed 's/./{other}/{at + 1}'")
    yield "a key in the other letter case", key.swapcase(), _made(variable, "tr a-zA-Z A-Za-z")
    yield "a key in upper case", key.upper(), _made(variable, "tr a-z A-Z")
    yield "a key in lower case", key.lower(), _made(variable, "tr A-Z a-z")
    yield "a key reversed", key[::-1], _made(variable, "rev")
    yield "a key with another character for its dot", key.replace(".", "x"), _made(variable, "tr . x")
    yield "a key in question marks", "?" * len(key), _made(variable, "sed 's/./?/g'")
    wide = str.maketrans({letter: chr(ord(letter) + 0xFEE0) for letter in string.ascii_lowercase})
    look_alike = key.translate(wide).encode().decode("latin-1")
    yield "a key in letters that look alike", look_alike, _made(variable, f"sed 'y/{string.ascii_lowercase}/{_WIDE}/'")


_WIDE = "".join(chr(ord(letter) + 0xFEE0) for letter in string.ascii_lowercase)


def _halves(key: str, variable: str) -> Iterator[_Row]:
    """
    One half of it, its halves the wrong way round, and one half with another other one.
    """
    at = key.find(".") if "." in key[1:-1] else len(key) // 2
    first, last = key[:at], key[at:].removeprefix(".")
    head, tail = _made(variable, f"cut -c1-{at}"), _made(variable, f"cut -c{len(key) - len(last) + 1}-")
    yield "a key's first half", first, head
    yield "a key's last half", last, tail
    yield "a key's first half and a dot", f"{first}.", f'{head}"."'
    yield "a dot and a key's last half", f".{last}", f'"."{tail}'
    yield "a key without its dot", first + last, head + tail
    yield "a key with its halves exchanged", f"{last}.{first}", f'{tail}"."{head}'
    yield "a key's first half twice", f"{first}.{first}", f'{head}"."{head}'
    yield "a key's last half twice", f"{last}.{last}", f'{tail}"."{tail}'
    yield "a key's first half with another second", f"{first}.{'x' * len(last)}", f'{head}".{"x" * len(last)}"'
    yield "a key's last half with another first", f"{'x' * len(first)}.{last}", f'"{"x" * len(first)}."{tail}'
    yield "a key's first half and an asterisk", f"{first}*", f'{head}"*"'
    yield "a key's first half and a percent sign", f"{first}%", f'{head}"%"'


def _longer(key: str, variable: str) -> Iterator[_Row]:
    """
    More than it.
    """
    place = f"${{{variable}}}"
    for label, before, behind in (
        ("a key longer by a character", "", "x"),
        ("a key longer by a digit", "", "0"),
        ("a key longer by a hundred characters", "", "x" * 100),
        ("a key behind another character", "x", ""),
        ("a key with a dot behind it", "", "."),
        ("a key with another half behind it", "", ".x"),
        ("a key with a comma behind it", "", ","),
        ("a key with a semicolon behind it", "", ";"),
        ("a key with an equals sign behind it", "", "="),
        ("a key with a colon behind it", "", ":"),
        ("a key with a percent sign behind it", "", "%"),
        ("a key with an encoded blank behind it", "", "%20"),
        ("a key with an encoded line feed behind it", "", "%0a"),
        ("a key with an encoded NUL behind it", "", "%00"),
        ("a key with an encoded NUL and more behind it", "", "%00x"),
        ("a key with an escaped line feed behind it", "", "\\n"),
        ("a key with an escaped NUL behind it", "", "\\0"),
        ("a key with a comment behind it", "", " -- x"),
        ("a key with a word behind it", "", " x"),
        ("a key behind another word", "x ", ""),
        ("a key behind another key", "wrong.key,", ""),
        ("a key before another key", "", ",wrong.key"),
        ("a key in double quotes", '"', '"'),
        ("a key in single quotes", "'", "'"),
        ("a key in angle brackets", "<", ">"),
    ):
        word = f'{_quoted(before)}"{place}"{_quoted(behind)}'
        yield label, before + key + behind, word
    yield "a key twice", f"{key},{key}", f'"{place},{place}"'
    yield "a key twice in a row", key + key, f'"{place}{place}"'
    yield "a key twice with a blank between", f"{key} {key}", f'"{place} {place}"'


def _coded(key: str, variable: str) -> Iterator[_Row]:
    """
    It in a code.
    """
    content = key.encode()
    octets = "od -An -v -tx1 | tr -d ' \\n'"
    yield "a key in base64", base64.b64encode(content).decode(), _made(variable, "base64 -w0")
    yield "a key in hexadecimal digits", content.hex(), _made(variable, octets)
    yield (
        "a key in percent-encoding",
        "".join(f"%{octet:02x}" for octet in content),
        _made(variable, f"{octets} | sed 's/../%&/g'"),
    )
    yield "a key with its dot encoded", quote(key, safe="").replace(".", "%2E"), _made(variable, "sed 's/[.]/%2E/g'")
    yield (
        "a key's SHA-256",
        hashlib.sha256(content).hexdigest(),
        _made(variable, "sha256sum | cut -d' ' -f1"),
    )


def _made(variable: str, command: str) -> str:
    """
    The shell word for what a command makes of the key.
    """
    return f'"$(printf %s "${variable}" | {command})"'


def _quoted(text: str) -> str:
    """
    A text as a part of a shell word.
    """
    return f"'{text}'".replace("'''", '"\'"') if text else ""


MISUSED_KEYS: tuple[MisusedKey, ...] = (
    MisusedKey(label="a bare key", value="{}"),
    *(
        MisusedKey(label=f"the key behind `{scheme}`", value=f"{scheme} {{}}")
        for scheme in (
            *("Bearer", "Token", "ApiKey", "Apikey", "APIKEY", "Api_Key", "api_key", "API Key", "Api Key", "Key"),
            *("X-Api-Key", "Api-Keys", "Api-Ke", "Api--Key", "Xyz-Wxy", "Basic", "Digest", "Negotiate", "OAuth"),
            *("JWT", "AWS4-HMAC-SHA256", "Secret", "Access-Token", "Authorization", "x Api-Key", "xApi-Key"),
        )
    ),
    MisusedKey(label="the key behind `Api-Key` without a blank", value="Api-Key{}"),
    MisusedKey(label="the key behind `Api-Key:`", value="Api-Key: {}"),
    MisusedKey(label="the key behind `Api-Key:` without a blank", value="Api-Key:{}"),
    MisusedKey(label="the key behind `Api-Key=`", value="Api-Key={}"),
    MisusedKey(label="the key behind `Api-Key,`", value="Api-Key, {}"),
    MisusedKey(label="the key behind `Bearer Api-Key`", value="Bearer Api-Key {}"),
    MisusedKey(label="the key behind `Authorization: Api-Key`", value="Authorization: Api-Key {}"),
    MisusedKey(label="the key as a Digest user", value='Digest username="{}"'),
    MisusedKey(label="the key as a parameter", value='ApiKeyAuth key="{}"'),
)
"""The right key, and not behind its prefix. A lower-case `api-key` is left out, as are other blanks: nobody forbids them."""

BASIC_CREDENTIALS: tuple[tuple[str, str], ...] = (
    ("the key as a Basic user", "{}:"),
    ("the key as a Basic password", ":{}"),
    ("the key as a Basic user and password", "{0}:{0}"),
    ("the key as the Basic password of `api`", "api:{}"),
    ("the key as the Basic password of `Api-Key`", "Api-Key:{}"),
    ("the key as a Basic user with the password `x`", "{}:x"),
    ("the key as a Basic credential", "{}"),
)
"""What is encoded behind `Basic`."""
