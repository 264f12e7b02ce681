"""Redaction: nothing of a secret is left in a text, in any encoding, and other texts stay as they are."""

from __future__ import annotations

import base64
import html
import json
import urllib.parse
from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chainproof.contract.redaction import MIN_LENGTH, REDACTED, Redactor

KEY = "aB3dE6gH.9kLmN0pQr2StUvW4xYz+/7=~AbCdEfGh"

ENCODINGS: dict[str, tuple[Callable[[str], str], Callable[[str], str]]] = {
    "as it is": (str, str),
    "in lower case": (str.lower, str),
    "in upper case": (str.upper, str),
    "reversed": (lambda text: text[::-1], lambda text: text[::-1]),
    "in base64": (
        lambda text: base64.b64encode(text.encode()).decode(),
        lambda text: base64.b64decode(text + "==").decode("latin-1"),
    ),
    "in base64url": (
        lambda text: base64.urlsafe_b64encode(text.encode()).decode().rstrip("="),
        lambda text: base64.urlsafe_b64decode(text + "==").decode("latin-1"),
    ),
    "in hexadecimal digits": (lambda text: text.encode().hex(), str),
    "percent-encoded": (urllib.parse.quote, urllib.parse.unquote),
    "percent-encoded completely": (lambda text: "".join(f"%{ord(each):02X}" for each in text), urllib.parse.unquote),
    "with JSON escapes": (
        lambda text: "".join(f"\\u{ord(each):04x}" for each in text),
        lambda text: json.loads(f'"{text}"'),
    ),
    "with some JSON escapes": (
        lambda text: "".join(each if each.isalnum() else f"\\u{ord(each):04X}" for each in text),
        lambda text: json.loads(f'"{text}"'),
    ),
    "with escaped slashes": (lambda text: text.replace("/", "\\/"), lambda text: text.replace("\\/", "/")),
    "with HTML escapes": (lambda text: "".join(f"&#{ord(each)};" for each in text), html.unescape),
    "with hexadecimal HTML escapes": (lambda text: "".join(f"&#x{ord(each):x};" for each in text), html.unescape),
}


def parts(secret: str) -> set[str]:
    """All parts of the smallest length that may not be left, in lower case."""
    return {secret[start : start + MIN_LENGTH].lower() for start in range(len(secret) - MIN_LENGTH + 1)}


def is_left(text: str) -> bool:
    """Whether eight consecutive characters of the key are in a text."""
    return any(part in text.lower() for part in parts(KEY))


AROUND = st.text(st.characters(codec="utf-8", exclude_characters="%\\&"), max_size=20)


@pytest.mark.parametrize("encoding", ENCODINGS)
@given(
    before=AROUND, after=AROUND, start=st.integers(0, len(KEY) - MIN_LENGTH), length=st.integers(MIN_LENGTH, len(KEY))
)
def test_no_eight_characters_are_left(encoding: str, before: str, after: str, start: int, length: int) -> None:
    """Of the key or of a part of it, whatever is before and after, and what was removed is marked."""
    encode, _ = ENCODINGS[encoding]
    coded = encode(KEY[start : start + length])
    shown = Redactor([KEY]).redact(before + coded + after)

    assert REDACTED in shown
    assert coded not in shown
    assert not is_left(shown)
    assert shown.startswith(before[: len(before) - 3])


@given(prefix=st.binary(max_size=7), suffix=st.binary(max_size=7), start=st.integers(0, len(KEY) - MIN_LENGTH))
def test_base64_of_a_text_with_the_key_is_removed(prefix: bytes, suffix: bytes, start: int) -> None:
    """What is left of it decodes to less than eight characters of the key, at every offset."""
    coded = base64.b64encode(prefix + KEY[start : start + MIN_LENGTH].encode() + suffix).decode()
    left = Redactor([KEY], instead=" ").redact(coded)

    assert left != coded
    for piece in left.split():
        for offset in range(4):
            digits = piece[offset:].rstrip("=")
            decoded = base64.b64decode(digits[: len(digits) // 4 * 4]).decode("latin-1")
            assert not is_left(decoded)


@given(st.text(max_size=300))
def test_other_texts_stay_as_they_are(text: str) -> None:
    """Also with letters whose lower case is longer, and with escapes."""
    assert Redactor([KEY]).redact(text) == text
    assert not Redactor([KEY]).finds(text)


@pytest.mark.parametrize("text", ["İİ" + KEY, KEY + "ẞ", f"%41{KEY}%", f"{KEY[:7]} {KEY[8:15]}"])
def test_letters_that_grow_do_not_shift_what_is_removed(text: str) -> None:
    """The places of removed parts are those of the text, not of its lower case."""
    assert Redactor([KEY]).redact(text) == text.replace(KEY, REDACTED)


def test_a_short_secret_is_removed_as_a_whole() -> None:
    """There are no eight characters of it; without secrets nothing is removed."""
    assert Redactor(["k3y"]).redact("a k3y, K3Y") == f"a {REDACTED}, K3Y"
    assert Redactor([]).redact(KEY) == KEY
    assert Redactor([""]).redact(KEY) == KEY


def test_bytes_are_redacted_whatever_they_are() -> None:
    """Bytes that are no UTF-8 stay."""
    assert Redactor([KEY]).redact_bytes(b"\xff" + KEY.encode() + b"\xfe") == b"\xff" + REDACTED.encode() + b"\xfe"
