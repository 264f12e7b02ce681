"""Redaction: nothing of a secret is left in a text, in any encoding, and other texts stay as they are."""

from __future__ import annotations

import base64
import binascii
import codecs
import gzip
import html
import json
import random
import string
import time
import urllib.parse
import zlib
from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chainproof.contract.redaction import MIN_LENGTH, REDACTED, Redactor

KEY = "aB3dE6gH.9kLmN0pQr2StUvW4xYz+/7=~AbCdEfGh"
REDACTOR = Redactor([KEY])

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


def as_number(content: bytes, digits: str) -> str:
    """Some bytes as a number in a positional notation."""
    value, text = int.from_bytes(content), ""
    while value:
        value, digit = divmod(value, len(digits))
        text = digits[digit] + text
    return text


WRITTEN = {
    "a dump": ":".join(f"{each:02x}" for each in KEY.encode()),
    "a dump with words": " ".join(KEY.encode().hex()[start : start + 4] for start in range(0, 2 * len(KEY), 4)),
    "numbers": ", ".join(f"0x{each:02x}" for each in KEY.encode()),
    "escaped twice for a URL": "".join(f"%25{each:02X}" for each in KEY.encode()),
    "escaped twice in JSON": json.dumps("".join(f"\\u{each:04x}" for each in KEY.encode())),
    "escaped in JSON and for a URL": "".join(f"\\u0025{each:02x}" for each in KEY.encode()),
    "octal escapes": "".join(f"\\{ord(each):03o}" for each in KEY),
    "long escapes": "".join(f"\\U{ord(each):08x}" for each in KEY),
    "escapes with braces": "".join(f"\\u{{{ord(each):x}}}" for each in KEY),
    "HTML without semicolons": "".join(f"&#{ord(each)}" for each in KEY),
    "HTML with many zeros": "".join(f"&#x{ord(each):010x};" for each in KEY),
    "HTML in HTML": "".join(f"&amp;#{ord(each)};" for each in KEY),
    "names of HTML": html.escape(KEY).replace(".", "&period;").replace("+", "&plus;"),
    "quoted-printable": "".join(f"={each:02X}" for each in KEY.encode()),
    "quoted-printable with short lines": "=\r\n".join(KEY[start : start + 5] for start in range(0, len(KEY), 5)),
    "UTF-16": KEY.encode("utf-16-le").decode("latin-1"),
    "UTF-16 with the other order": KEY.encode("utf-16-be").decode("latin-1"),
    "UTF-16 in JSON": json.dumps(KEY.encode("utf-16-le").decode("latin-1")),
    "one character a line": "\n".join(KEY),
    "folded": "\r\n\t".join(KEY[start : start + 6] for start in range(0, len(KEY), 6)),
    "a list of characters": json.dumps(list(KEY)),
    "a list of bytes": json.dumps(list(KEY.encode())),
    "a list of bytes in lines": "\n".join(map(str, KEY.encode())),
    "UTF-16 in hexadecimal digits": KEY.encode("utf-16-le").hex(),
    "UTF-16 with the other order in hexadecimal digits": KEY.encode("utf-16-be").hex(" "),
    "UTF-16 in base64": base64.b64encode(KEY.encode("utf-16-le")).decode(),
    "UTF-16 with the other order in base64": base64.b64encode(KEY.encode("utf-16-be")).decode(),
    "wide letters": "".join(chr(ord(each) + 0xFEE0) for each in KEY),
    "mathematical letters": "".join(
        chr(ord(each) - 65 + 0x1D400) if each.isupper() else chr(ord(each) - 97 + 0x1D41A) if each.islower() else each
        for each in KEY
    ),
    **{
        f"with {ord(each):x} between": each.join(KEY)
        for each in "_- \t\u034f\u1160\u2800\u3164\u2009\u2062\u2066\u202e\ufe0f\U000e0041"
    },
    "zero-width spaces": "\u200b".join(KEY),
    **{
        f"with {each} between": each.join(KEY)
        for each in ("/", ".", " -> ", "] [", "},{", "\u0301", "&#8203;", "&zwnj;")
    },
    **{
        f"with {each} between, again": each.join(KEY)
        for each in ("\\u200b", "\\ufeff", "</b><b>", "&lt;br&gt;", "<!-- -->")
    },
    **{
        f"a list of bytes with {each}": each.join(map(str, KEY.encode()))
        for each in ("/", "\\", "<br>", "&nbsp;", ") (")
    },
    "colours of a terminal": "\x1b[0m\x1b[32m".join(KEY),
    "colours of a terminal in JSON": json.dumps("\x1b[1;31m".join(KEY)),
    "an array of bytes of JavaScript": json.dumps(dict(enumerate(KEY.encode()))),
    "a text of JavaScript as an object": json.dumps(dict(enumerate(KEY)), separators=(",", ":")),
    "an object in a text of JSON": json.dumps(json.dumps(dict(enumerate(KEY.encode()))))[7:-3],
    **{
        f"a dump in words of two bytes{after}": " ".join(
            f"{high:02x}{low:02x}" for low, high in zip(content[::2], content[1::2], strict=True)
        )
        for after, content in (("", f"{KEY}=".encode()), (", after another byte", f"-{KEY}".encode()))
    },
    "XML": "".join(f"<c>{ord(each)}</c>" for each in KEY),
    "code points": " ".join(f"U+{ord(each):04X}" for each in KEY),
    "a dump with dollars": " ".join(f"${each:02x}" for each in KEY.encode()),
    "octal digits": " ".join(f"{each:03o}" for each in KEY.encode()),
    "octal digits without zeros": " ".join(f"{each:o}" for each in KEY.encode()),
    "rot13": codecs.encode(KEY, "rot13"),
    "base64 of base64": base64.b64encode(base64.b64encode(KEY.encode())).decode(),
    "base64 of hexadecimal digits": base64.b64encode(KEY.encode().hex().encode()).decode(),
    "base64 of large hexadecimal digits": base64.b64encode(KEY.encode().hex().upper().encode()).decode(),
    "base64 in hexadecimal digits": base64.b64encode(KEY.encode()).hex(),
    "base32 with the other alphabet": base64.b32hexencode(KEY.encode()).decode(),
    "base64 in lines": "\r\n".join(
        base64.b64encode(KEY.encode()).decode()[start : start + 8] for start in range(0, 56, 8)
    ),
    "base64 in lines, in JSON": "\\n".join(
        base64.b64encode(KEY.encode()).decode()[start : start + 8] for start in range(0, 56, 8)
    ),
    "base64 of the reversed key": base64.b64encode(KEY[::-1].encode()).decode(),
    "base64 of the key in upper case": base64.b64encode(KEY.upper().encode()).decode(),
    "the key in lower case in hexadecimal digits": KEY.lower().encode().hex(),
    "base32": base64.b32encode(KEY.encode()).decode(),
    "binary digits": " ".join(f"{each:08b}" for each in KEY.encode()),
    **{
        f"{name} in reverse": (text + "=")[::-1]
        for name, text in (
            ("base64", base64.b64encode(KEY.encode()).decode()),
            ("base64url of a longer text", base64.urlsafe_b64encode(b"K: " + KEY.encode()).decode()),
            ("hexadecimal digits", KEY.encode().hex()),
        )
    },
    "UTF-32": KEY.encode("utf-32-le").decode("latin-1"),
    "UTF-32 in hexadecimal digits": KEY.encode("utf-32-be").hex(),
    "UTF-32 in base64": base64.b64encode(KEY.encode("utf-32-le")).decode(),
    "a list of bytes of three digits": " ".join(f"{each:03d}" for each in KEY.encode()),
    "uuencode": binascii.b2a_uu(KEY.encode()[:45]).decode()[1:],
    "uuencode with blanks": binascii.b2a_uu(KEY.encode()[:45], backtick=False).decode()[1:],
    "punycode": f"{KEY}é".encode("punycode").decode(),
    **{
        f"base {len(digits)}": as_number(KEY.encode(), digits)
        for digits in (
            "123456789ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnopqrstuvwxyz",
            string.digits + string.ascii_letters,
            string.digits + string.ascii_lowercase,
            string.digits,
        )
    },
    "gzip": gzip.compress(KEY.encode()).decode("latin-1"),
    "zlib": zlib.compress(KEY.encode()).decode("latin-1"),
    "gzip of gzip": gzip.compress(gzip.compress(KEY.encode())).decode("latin-1"),
    "gzip in base64": base64.b64encode(gzip.compress(KEY.encode() + bytes(99))).decode().rstrip("="),
    "zlib in base64url": base64.urlsafe_b64encode(zlib.compress(KEY.encode(), 9)).decode().rstrip("="),
}
"""How else the key may be written."""


@pytest.mark.parametrize("name", WRITTEN)
def test_nothing_of_a_key_in_another_notation_is_left(name: str) -> None:
    """Escapes of escapes, dumps, lines that are broken, and encodings of the key in another letter case."""
    before, after = "<b>Zürich, İ</b> ", " the end"
    shown = REDACTOR.redact(before + WRITTEN[name] + after)

    assert REDACTED in shown
    assert shown.startswith(before.rstrip())
    assert shown.endswith(after.lstrip())
    assert len(shown.replace(REDACTED, "")) <= len(before + after) + 8


@pytest.mark.parametrize(
    "name", ["wide letters", "mathematical letters", "zero-width spaces", "with 2062 between", "with e0041 between"]
)
def test_nothing_is_left_in_bytes_either(name: str) -> None:
    """Bytes of UTF-8, and of another coding around them, as in a header field."""
    redactor, before, after = REDACTOR, b"\xff <b>\xc3\xbc</b> ", b" \xe9 the end"
    content = before + WRITTEN[name].encode() + after
    shown = redactor.redact_bytes(content)

    assert shown.startswith(before)
    assert shown.endswith(after)
    assert len(shown) <= len(before + after) + len(REDACTED) + 8
    assert redactor.finds(content.decode("latin-1"))


Z85 = string.digits + string.ascii_lowercase + string.ascii_uppercase + ".-:+=^!/*?&<>()[]{}@%$#"
B85 = string.digits + string.ascii_uppercase + string.ascii_lowercase + "!#$%&()*+-;<=>?@^_`{|}~"


@pytest.mark.parametrize("prefix", range(4))
@pytest.mark.parametrize(
    "encode",
    [
        base64.b85encode,
        base64.a85encode,
        lambda text: base64.b85encode(text).translate(bytes.maketrans(B85.encode(), Z85.encode())),
    ],
    ids=["Python", "Adobe", "ZeroMQ"],
)
def test_base85_is_removed(encode: Callable[[bytes], bytes], prefix: int) -> None:
    """All groups of four characters of the key, at every offset."""
    coded = encode(b"x" * prefix + KEY.encode()).decode()
    shown = REDACTOR.redact(f"before {json.dumps(coded)} after")

    assert len(f'before "{REDACTED}" after') + 10 >= len(shown)
    assert shown.startswith('before "')
    assert shown.endswith('" after')


@pytest.mark.parametrize(
    "text", ["H4sI" * 50_000, "eJ" * 100_000, "\x1f\x8b\x08" * 70_000, zlib.compress(bytes(10**8), 9).decode("latin-1")]
)
def test_compressed_data_cost_little(text: str) -> None:
    """Data that are damaged, or that expand to very much, are tried a few times, and decompressed in part."""
    began = time.process_time()
    assert REDACTOR.redact(text) == text
    assert time.process_time() - began < 0.5


_IN_CODES = string.ascii_letters + string.digits + "%\\&+/=-_.~"
AROUND = st.text(st.characters(codec="utf-8", exclude_characters=_IN_CODES), max_size=20)
"""Texts that neither have a part of the key nor continue a code of it."""


@pytest.mark.parametrize("encoding", ENCODINGS)
@given(
    before=AROUND, after=AROUND, start=st.integers(0, len(KEY) - MIN_LENGTH), length=st.integers(MIN_LENGTH, len(KEY))
)
def test_no_eight_characters_are_left(encoding: str, before: str, after: str, start: int, length: int) -> None:
    """Of the key or of a part of it, whatever is before and after, and what was removed is marked."""
    encode, _ = ENCODINGS[encoding]
    coded = encode(KEY[start : start + length])
    shown = REDACTOR.redact(before + coded + after)

    assert REDACTED in shown
    assert coded not in shown
    assert not is_left(shown)
    assert shown.startswith(before)


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


ORDINARY = "".join(json.dumps({"ñ": number, "text": f"a <b>word</b> of {number / 7}"}) for number in range(50))


@pytest.mark.parametrize("letter", ["a", "é", "字", "😀"])
@pytest.mark.parametrize("scale", [0, 1])
def test_a_part_is_found_at_every_place(scale: int, letter: str) -> None:
    """In short and in long texts, whichever letters are around it."""
    for before in range(9):
        for start in range(0, len(KEY) - MIN_LENGTH + 1, 8 - 7 * (before == 0)):
            part = KEY[start : start + MIN_LENGTH]
            for coded in (part, part.encode().hex()):
                shown = REDACTOR.redact(f"{letter * before}{coded}{ORDINARY * scale}")
                assert REDACTED in shown
                assert coded not in shown
                assert len(shown) <= before + 1 + len(REDACTED + ORDINARY * scale)


@given(st.text(max_size=300))
def test_other_texts_stay_as_they_are(text: str) -> None:
    """Also with letters whose lower case is longer, and with escapes."""
    assert REDACTOR.redact(text) == text
    assert not REDACTOR.finds(text)


@pytest.mark.parametrize(
    "text",
    [
        json.dumps(list(random.Random(1).randbytes(20_000))),
        json.dumps([random.Random(2).random() for _ in range(3000)]),
        random.Random(3).randbytes(30_000).hex(),
        base64.b64encode(random.Random(4).randbytes(40_000)).decode(),
        "snake_case_names, kebab-case-names and ｗｉｄｅ ⓛⓔⓣⓣⓔⓡⓢ 𝐨𝐟 𝟐𝟎𝟐𝟔",
    ],
    ids=["bytes", "numbers", "hexadecimal digits", "base64", "names"],
)
def test_large_ordinary_answers_stay_as_they_are(text: str) -> None:
    """Lists of bytes and numbers, digests, files in base64, and unusual letters."""
    assert REDACTOR.redact(text) == text


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
