"""
Wrong keys: variations of the right key, and placeholders that people send instead of one.

No label contains a part of the key: a curl line has the shell derive the wrong key from the variable.
"""

from __future__ import annotations

import base64
import hashlib
import string
from collections.abc import Iterator
from dataclasses import dataclass
from urllib.parse import quote

from chainproof.results.shell_command import Secret


@dataclass(frozen=True, slots=True, kw_only=True)
class WrongKey:
    """A wrong key and its label."""

    label: str
    secret: Secret

    @property
    def text(self) -> str:
        """The key as sent."""
        return self.secret.text


@dataclass(frozen=True, slots=True, kw_only=True)
class MisusedKey:
    """An `Authorization` value that contains the right key, at `{}`, with a wrong scheme or none."""

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
"""Placeholders for a missing key, wildcard patterns, and the example of the OpenAPI document."""


def wrong_keys(key: str, variable: str) -> Iterator[WrongKey]:
    """Every variation of the key that a careless comparison might accept. None equals the key."""
    for label, text, shell_word in (
        *_truncated(key, variable),
        *_changed(key, variable),
        *_halves(key, variable),
        *_longer(key, variable),
        *_encoded(key, variable),
    ):
        if text != key and text == text.strip() and len(text) >= _MIN_LENGTH:
            yield WrongKey(label=label, secret=Secret(text=text, shell_word=shell_word))


_MIN_LENGTH = 4
"""Shorter texts could not be recognised in a curl line."""

_Row = tuple[str, str, str]
"""The label, the text, and the double-quoted shell word that yields the text."""


def _truncated(key: str, variable: str) -> Iterator[_Row]:
    """Truncated keys."""
    yield "the key without its last character", key[:-1], f'"${{{variable}%?}}"'
    yield "the key without its first character", key[1:], f'"${{{variable}#?}}"'
    yield "the key's first eight characters", key[:8], _shell_word(variable, "cut -c1-8")


def _changed(key: str, variable: str) -> Iterator[_Row]:
    """Other keys of the same length."""
    for place, at in (("first", 0), ("middle", len(key) // 2), ("last", len(key) - 1)):
        other = "x" if key[at] not in "xX" else "y"
        text = key[:at] + other + key[at + 1 :]
        yield f"the key with its {place} character changed", text, _shell_word(variable, f"sed 's/./{other}/{at + 1}'")
    yield "the key with swapped letter case", key.swapcase(), _shell_word(variable, "tr a-zA-Z A-Za-z")
    yield "the key in upper case", key.upper(), _shell_word(variable, "tr a-z A-Z")
    yield "the key in lower case", key.lower(), _shell_word(variable, "tr A-Z a-z")
    yield "the key reversed", key[::-1], _shell_word(variable, "rev")
    yield "the key with another character for its dot", key.replace(".", "x"), _shell_word(variable, "tr . x")
    yield "question marks in the key's length", "?" * len(key), _shell_word(variable, "sed 's/./?/g'")
    wide = str.maketrans({letter: chr(ord(letter) + 0xFEE0) for letter in string.ascii_lowercase})
    look_alike = key.translate(wide).encode().decode("latin-1")
    yield (
        "the key in full-width letters",
        look_alike,
        _shell_word(variable, f"sed 'y/{string.ascii_lowercase}/{_WIDE}/'"),
    )


_WIDE = "".join(chr(ord(letter) + 0xFEE0) for letter in string.ascii_lowercase)


def _halves(key: str, variable: str) -> Iterator[_Row]:
    """One half of the key, swapped halves, and one half with a wrong other half."""
    at = key.find(".") if "." in key[1:-1] else len(key) // 2
    first, last = key[:at], key[at:].removeprefix(".")
    head, tail = _shell_word(variable, f"cut -c1-{at}"), _shell_word(variable, f"cut -c{len(key) - len(last) + 1}-")
    yield "the key's first half", first, head
    yield "the key's last half", last, tail
    yield "the key's first half and a dot", f"{first}.", f'{head}"."'
    yield "a dot and the key's last half", f".{last}", f'"."{tail}'
    yield "the key without its dot", first + last, head + tail
    yield "the key with its halves swapped", f"{last}.{first}", f'{tail}"."{head}'
    rest = _shell_word(variable, f"cut -c{at + 1}-")
    yield "the key with a space in it", f"{key[:at]} {key[at:]}", f'{head}" "{rest}'
    yield "the key with a hyphen in it", f"{key[:at]}-{key[at:]}", f'{head}"-"{rest}'
    yield "the key's first half twice", f"{first}.{first}", f'{head}"."{head}'
    yield "the key's last half twice", f"{last}.{last}", f'{tail}"."{tail}'
    yield "the key's first half with a wrong second half", f"{first}.{'x' * len(last)}", f'{head}".{"x" * len(last)}"'
    yield "the key's last half with a wrong first half", f"{'x' * len(first)}.{last}", f'"{"x" * len(first)}."{tail}'
    yield "the key's first half and an asterisk", f"{first}*", f'{head}"*"'
    yield "the key's first half and a percent sign", f"{first}%", f'{head}"%"'


_SIGNS = (
    *(("a slash", "/"), ("a backslash", "\\"), ("a number sign", "#"), ("a question mark", "?"), ("an ampersand", "&")),
    *(("a vertical bar", "|"), ("a hyphen", "-"), ("an underscore", "_"), ("an exclamation mark", "!"), ("a tilde", "~")),
    *(("an asterisk", "*"), ("a plus sign", "+"), ("an at sign", "@")),
)  # fmt: skip  # similar signs share a line
"""Characters, with their names, that some parsers or comparisons drop."""


def _longer(key: str, variable: str) -> Iterator[_Row]:
    """The key with text added."""
    place = f"${{{variable}}}"
    for label, prefix, suffix in (
        ("the key with an extra letter", "", "x"),
        ("the key with an extra digit", "", "0"),
        ("the key with a hundred extra characters", "", "x" * 100),
        ("the key after another character", "x", ""),
        ("the key with a dot after it", "", "."),
        ("the key with a third part after it", "", ".x"),
        ("the key with a comma after it", "", ","),
        ("the key with a semicolon after it", "", ";"),
        ("the key with an equals sign after it", "", "="),
        ("the key with a colon after it", "", ":"),
        ("the key with a percent sign after it", "", "%"),
        ("the key with an encoded space after it", "", "%20"),
        ("the key with an encoded line feed after it", "", "%0a"),
        ("the key with an encoded NUL after it", "", "%00"),
        ("the key with an encoded NUL and more after it", "", "%00x"),
        ("the key with an escaped line feed after it", "", "\\n"),
        ("the key with an escaped NUL after it", "", "\\0"),
        ("the key with a comment after it", "", " -- x"),
        ("the key with a word after it", "", " x"),
        ("the key after another word", "x ", ""),
        ("the key after another key", "wrong.key,", ""),
        ("the key before another key", "", ",wrong.key"),
        ("the key in double quotes", '"', '"'),
        ("the key in single quotes", "'", "'"),
        ("the key in angle brackets", "<", ">"),
        *((f"the key with {name} after it", "", sign) for name, sign in _SIGNS),
    ):
        shell_word = f'{_quoted(prefix)}"{place}"{_quoted(suffix)}'
        yield label, prefix + key + suffix, shell_word
    accented = "é".encode().decode("latin-1")
    yield "the key with an accented letter after it", key + accented, f'"{place}é"'
    yield "the key twice, with a comma between", f"{key},{key}", f'"{place},{place}"'
    yield "the key twice in a row", key + key, f'"{place}{place}"'
    yield "the key twice, with a space between", f"{key} {key}", f'"{place} {place}"'


def _encoded(key: str, variable: str) -> Iterator[_Row]:
    """The key in other encodings, and its hash."""
    content = key.encode()
    octets = "od -An -v -tx1 | tr -d ' \\n'"
    yield "the key in base64", base64.b64encode(content).decode(), _shell_word(variable, "base64 -w0")
    yield "the key in hexadecimal digits", content.hex(), _shell_word(variable, octets)
    yield (
        "the key in percent-encoding",
        "".join(f"%{octet:02x}" for octet in content),
        _shell_word(variable, f"{octets} | sed 's/../%&/g'"),
    )
    yield (
        "the key with its dot percent-encoded",
        quote(key, safe="").replace(".", "%2E"),
        _shell_word(variable, "sed 's/[.]/%2E/g'"),
    )
    yield (
        "the key's SHA-256 hash",
        hashlib.sha256(content).hexdigest(),
        _shell_word(variable, "sha256sum | cut -d' ' -f1"),
    )


def _shell_word(variable: str, command: str) -> str:
    """The shell word for the output of a command that reads the key."""
    return f'"$(printf %s "${variable}" | {command})"'


def _quoted(text: str) -> str:
    """A text quoted as a part of a shell word."""
    return f"'{text}'".replace("'''", '"\'"') if text else ""


MISUSED_KEYS: tuple[MisusedKey, ...] = (
    MisusedKey(label="the key without a scheme", value="{}"),
    *(
        MisusedKey(label=f"the key with the scheme `{scheme}`", value=f"{scheme} {{}}")
        for scheme in (
            *("Bearer", "Token", "ApiKey", "Apikey", "APIKEY", "Api_Key", "api_key", "API Key", "Api Key", "Key"),
            *("X-Api-Key", "Api-Keys", "Api-Ke", "Api--Key", "Xyz-Wxy", "Basic", "Digest", "Negotiate", "OAuth"),
            *("JWT", "AWS4-HMAC-SHA256", "Secret", "Access-Token", "Authorization", "x Api-Key", "xApi-Key"),
        )
    ),
    MisusedKey(label="the key after `Api-Key` without a space", value="Api-Key{}"),
    MisusedKey(label="the key after `Api-Key:`", value="Api-Key: {}"),
    MisusedKey(label="the key after `Api-Key:` without a space", value="Api-Key:{}"),
    MisusedKey(label="the key after `Api-Key=`", value="Api-Key={}"),
    MisusedKey(label="the key after `Api-Key,`", value="Api-Key, {}"),
    MisusedKey(label="the key after `Bearer Api-Key`", value="Bearer Api-Key {}"),
    MisusedKey(label="the key after `Authorization: Api-Key`", value="Authorization: Api-Key {}"),
    MisusedKey(label="the key as a Digest user name", value='Digest username="{}"'),
    MisusedKey(label="the key as an authentication parameter", value='ApiKeyAuth key="{}"'),
)
"""The right key with a wrong scheme. Lower-case `api-key` and other whitespace are left out: nothing forbids them."""

BASIC_CREDENTIALS: tuple[tuple[str, str], ...] = (
    ("the key as the Basic user name", "{}:"),
    ("the key as the Basic password", ":{}"),
    ("the key as the Basic user name and password", "{0}:{0}"),
    ("the key as the Basic password of user `api`", "api:{}"),
    ("the key as the Basic password of user `Api-Key`", "Api-Key:{}"),
    ("the key as the Basic user name with the password `x`", "{}:x"),
    ("the key alone, without a colon, as Basic credentials", "{}"),
)
"""The text that is encoded after `Basic`."""
