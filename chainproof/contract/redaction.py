"""
Removes secrets from texts that a target sent: whole or in part, as they are or in an encoding that anybody can decode.

Of a secret no eight consecutive characters are left: in any letter case, reversed, percent-encoded, with the escapes of
JSON, HTML, a programming language or quoted-printable, in base64, base64url, base32, hexadecimal, octal or binary digits or two
of these, also in reverse, in rot13, as a list of bytes or code points, in wide or mathematical letters. Escapes of escapes count too,
and so do blanks, punctuation, tags, colours, accents, invisible characters and the like between the characters, as in a dump. The same
holds for fifteen characters in base85 or uuencode, for gzip and zlib data, as they are or in base64, and for the whole secret as a
number of base 10, 36, 58 or 62. What was removed is marked.

Not recognised are other kinds of compression, ciphers with a key of their own, pieces of less than eight characters with words or
numbers between them, and of a secret of more than 300 characters the rarer notations.
"""

from __future__ import annotations

import base64
import codecs
import json
import re
import sys
import unicodedata
from collections.abc import Collection, Iterable, Iterator, Mapping
from functools import lru_cache
from html.entities import html5
from itertools import accumulate
from typing import TYPE_CHECKING, Any, Literal

from .compressed_text import decompressed

if TYPE_CHECKING:  # numpy is heavy
    from numpy.typing import NDArray

EMULATOR_KEY = "emulator.throw-away-key"
"""The default key of the emulator. It is valid nowhere else, so a part of it may be shown."""

REDACTED = "[API key]"
REDACTED_HEADER = "[header value]"

MIN_LENGTH = 8
"""Characters of a secret that may not be left; shorter parts appear by chance. A shorter secret is removed as a whole."""

_MIN_JOINED_LENGTH = MIN_LENGTH - 1
"""Characters that must be left of a part without its separators: with fewer, it would be found by chance."""

_MIN_WITH_PUNCTUATION = 15
"""Digits of base85 or uuencode that may not be left: with fewer, too little would be left of many without the punctuation."""
_MIN_LONG = 15
"""Characters of a part of which eight begin at a multiple of eight."""
_MIN_HASHED = 1 << 12
"""Characters of a text for which hashing is faster than a set."""

_SEPARATORS = dict.fromkeys(
    [
        *range(48),
        *map(ord, ":;<=>?@[\\]^_`{|}~"),
        *range(0x7F, 0xA1),
        *(0xAD, 0xB7),
        *range(0x300, 0x370),
        *(0x61C, 0x115F, 0x1160, 0x180E, 0x2800, 0x3164, 0xFFA0),
        *range(0x2000, 0x2070),
        *range(0x3000, 0x3003),
        *range(0xFE00, 0xFE10),
        0xFEFF,
        *range(0xE0000, 0xE0080),
    ]
)
"""
Characters that may stand between those of a secret: punctuation and blanks in lists and dumps of bytes, zero bytes in UTF-16,
the ends of lines where a long line is broken, accents, and characters that nobody sees.
"""
_SEPARATOR_BYTES = bytes(each for each in _SEPARATORS if each < 0x100)

_ENTITIES = {
    name: text
    for name, text in html5.items()
    if name.endswith(";") and len(text) == 1 and (text.isascii() or ord(text) in _SEPARATORS)
}
_ESCAPE = re.compile(
    r"%(?:u00)?([0-9a-f]{2})|\\U0{4}([0-9a-f]{4})|\\u((?:0[03]|20|f[ef])[0-9a-f]{2})|\\u\{0*([0-9a-f]{2,4})\}|\\x([0-9a-f]{2})|0x([0-9a-f]{2})"
    r"|=([0-9a-f]{2})|&#x0*([0-9a-f]{2,4});?|&#0*([0-9]{2,4});?|\\([01][0-7]{2})|\\([\"/\\nrt])|u\+0*([0-9a-f]{2})\b|&("
    + "|".join(_ENTITIES)
    + ")",
    re.IGNORECASE,
)
"""
One escaped character in a URL, in JSON, in a programming language, in quoted-printable or in HTML.

Each alternative begins with a plain character, so that `re` looks only at the places where one stands.
"""
_ESCAPE_SIGNS = ("%", "\\", "=", "&", "0x", "0X", "u+", "U+")
"""With one of these an escape begins."""
_MAX_DEPTH = 2
"""Compressions of a text that are undone, one after the other."""
_TAG = re.compile(r"<[^<>]{1,200}>|\x1b\[[0-9;]{0,20}[A-Za-z]|\"[0-9]{1,5}\"(?=[ ]?:)")
"""
What may be between two characters: a tag of XML or HTML, a colour of a terminal, and the index of one in an object, as
JavaScript writes an array of bytes.
"""
_TAG_SIGNS = ("<", "\x1b[", '"0"', '"1"')
"""With one of these a tag begins, or there are indexes."""
_DECODINGS = (_ESCAPE, _ESCAPE, _ESCAPE, _TAG)
"""What is decoded, one after the other: JSON may be in a string of JSON, and tags in it."""

_LETTER_BLOCKS = (range(0x2070, 0x2150), range(0x2460, 0x2500), range(0xFF01, 0xFF5F), range(0x1D400, 0x1D800))
"""Blocks of Unicode with wide, mathematical, circled or raised forms of ASCII characters."""
_PLAIN_LETTERS: dict[int, str | None] = {
    **_SEPARATORS,
    **{
        each: None if ord(plain) in _SEPARATORS else plain
        for block in _LETTER_BLOCKS
        for each in block
        if len(plain := unicodedata.normalize("NFKC", chr(each))) == 1 and plain.isascii()
    },
}
"""Nothing for each separator, and the ASCII character for each of its other forms."""
_OTHER_LETTER = bytes.maketrans(b"?", b"\xff")
"""Replaces the question marks that stand for other characters than those of Latin-1."""
_UNUSUAL = re.compile(
    f"[{re.escape(''.join(chr(each) for each in _PLAIN_LETTERS if 0xFF < each < 0x10000))}\U00010000-\U0010ffff]"
)
"""One of these that is not in Latin-1, or any character beyond U+FFFF: `re` is fast with one range of these."""


class _Index:
    """
    Where texts may begin, by the first characters of each whose place is a multiple of their number: four or eight.

    Of a text of seven characters, four begin at a multiple of four wherever it is, and of one of fifteen, eight at a multiple
    of eight. So only one place in four, or eight, is looked at, and these characters are one number there.
    """

    def __init__(self, size: Literal[4, 8]) -> None:
        self._size = size
        self._format: Literal["I", "Q"] = "I" if size == 4 else "Q"
        self._beginnings: dict[int, set[int]] = {}
        """For each number, the lengths of the texts that have it."""
        self._hashes: _Hashes | None = None

    def add(self, text: str, lengths: Collection[int]) -> None:
        """Add all parts of a text that have one of some lengths, of at least seven or fifteen characters."""
        coded = text.encode("latin-1", "replace")
        for place in range(len(coded) - self._size + 1):
            number = int.from_bytes(coded[place : place + self._size], sys.byteorder)
            self._beginnings.setdefault(number, set()).update(lengths)

    def candidates(self, coded: bytes) -> Iterator[tuple[int, int]]:
        """Where texts may be, as start and length."""
        for index, number in self._known(coded):
            place = index * self._size
            for start in range(max(0, place - self._size + 1), place + 1):
                for length in self._beginnings[number]:
                    yield start, length

    def _known(self, coded: bytes) -> Iterable[tuple[int, int]]:
        """The known numbers in some bytes, each with its index."""
        numbers = self._numbers(coded)
        if len(coded) >= _MIN_HASHED:
            if self._hashes is None:
                self._hashes = _Hashes(self._format, self._beginnings)
            return [
                (index, numbers[index]) for index in self._hashes.places(numbers) if numbers[index] in self._beginnings
            ]
        if self._beginnings.keys().isdisjoint(numbers):
            return ()
        return [(index, number) for index, number in enumerate(numbers) if number in self._beginnings]

    def _numbers(self, coded: bytes) -> memoryview[int]:
        return memoryview(coded)[: len(coded) // self._size * self._size].cast(self._format)


class _Hashes:
    """Finds the few numbers of a long list that may be among known ones, ten times as fast as a set."""

    _BITS = 18

    def __init__(self, number_format: str, known: Iterable[int]) -> None:
        import numpy as np  # noqa: PLC0415  # heavy: for long texts only

        self._numpy, self._type = np, np.dtype(number_format)
        self._factor = self._type.type(0x9E3779B97F4A7C15 >> (64 - 8 * self._type.itemsize) | 1)
        self._shift = self._type.type(8 * self._type.itemsize - self._BITS)
        self._is_known = np.zeros(1 << self._BITS, bool)
        self._is_known[self._of(np.fromiter(known, self._type))] = True

    def _of(self, numbers: NDArray[Any]) -> NDArray[Any]:
        hashes: NDArray[Any] = (numbers * self._factor) >> self._shift
        return hashes

    def places(self, numbers: memoryview[int]) -> list[int]:
        """The indexes of the numbers that may be known."""
        found = self._is_known[self._of(self._numpy.frombuffer(numbers, self._type))]
        return [int(each) for each in self._numpy.flatnonzero(found)]


class _Parts:
    """The parts of one secret and of its encodings that may not be left, and where they are in a text."""

    def __init__(self, secret: str, min_length: int) -> None:
        self.have_separators = False
        """Whether separators have to be left in a text to find some of them."""
        self._parts: set[str] = set()
        """In lower case."""
        self._indexes = _Index(4), _Index(8)
        """Of the parts with fewer than `_MIN_LONG` characters, and of the others."""
        for form, length in dict.fromkeys(_forms(secret, min_length)):
            for text in dict.fromkeys((form.lower(), form.lower().translate(_SEPARATORS))):
                self._add(text, length)

    def _add(self, text: str, length: int) -> None:
        """Look for the parts of a length, without the separators in them unless little else is left."""
        joined = {text[start : start + length].translate(_SEPARATORS) for start in range(len(text) - length + 1)}
        short = {part for part in joined if len(part) < _MIN_JOINED_LENGTH}
        self._add_parts(text.translate(_SEPARATORS), joined - short)
        if short:
            self.have_separators = True
            parts = {text[start : start + length] for start in range(len(text) - length + 1)}
            self._add_parts(text, {part for part in parts if part.translate(_SEPARATORS) in short})

    def _add_parts(self, text: str, parts: Collection[str]) -> None:
        """Look for some parts of a text."""
        self._parts.update(parts)
        long = {len(part) for part in parts if len(part) >= _MIN_LONG}
        short = {len(part) for part in parts} - long
        for index, lengths in zip(self._indexes, (short, long), strict=True):
            if lengths:
                index.add(text, lengths)

    def places(self, lower: str, coded: bytes) -> Iterator[tuple[int, int]]:
        """Where the parts are in a lower-case text, as start and end. *coded* is the text in Latin-1."""
        for index in self._indexes:
            for start, length in index.candidates(coded):
                part = lower[start : start + length]
                if part in self._parts:
                    yield start, start + len(part)


@lru_cache(maxsize=16)
def _parts_of(secret: str, min_length: int) -> _Parts:
    """The parts of a secret: the same object for the same secret, because it takes long to make."""
    return _Parts(secret, min_length)


class Redactor:
    """Removes some secrets from texts."""

    def __init__(
        self, secrets: Iterable[str], instead: str = REDACTED, min_lengths: Mapping[str, int] | None = None
    ) -> None:
        """*instead* replaces what is removed. *min_lengths*: how many characters of some secrets may not be left, if more than 8."""
        self._instead = instead
        self._whole: list[str] = []
        """Secrets that are removed as a whole only."""
        self._parts: list[_Parts] = []
        for secret in sorted(set(filter(None, secrets)), key=len, reverse=True):
            min_length = (min_lengths or {}).get(secret, MIN_LENGTH)
            if len(secret) < min_length or secret == EMULATOR_KEY:
                self._whole += (json.dumps(secret)[1:-1], secret)
            else:
                self._parts.append(_parts_of(secret, min_length))

    def redact(self, text: str) -> str:
        """A text without the secrets."""
        spans = self._spans(text)
        if spans:
            edges = [0, *(position for span in spans for position in span), len(text)]
            text = self._instead.join(text[start:end] for start, end in zip(edges[::2], edges[1::2], strict=True))
        for secret in self._whole:
            text = text.replace(secret, self._instead)
        return text

    def redact_bytes(self, content: bytes) -> bytes:
        """Bytes without the secrets."""
        return self.redact(content.decode("latin-1")).encode("latin-1")

    def finds(self, text: str) -> bool:
        """Whether a text contains a part of a secret."""
        return bool(self._spans(text)) or any(secret in text for secret in self._whole)

    def _spans(self, text: str, depth: int = 0) -> list[tuple[int, int]]:
        """The parts of a text to be removed, in order, as start and end. Compressed data in compressed data has a depth of 1."""
        found = self._spans_of_view(text)
        if depth < _MAX_DEPTH:
            found += [(start, end) for start, end, content in decompressed(text) if self._spans(content, depth + 1)]
        decoded, before, absent = text, list[tuple[re.Pattern[str], str]](), None
        for codes in _DECODINGS:
            if codes is absent or not _has(codes, decoded):
                absent = codes
                continue
            before.append((codes, decoded))
            decoded = codes.sub(" " if codes is _TAG else _character, decoded)
            spans = self._spans_of_view(decoded)
            for each, view in reversed(before) if spans else ():  # many large texts have escapes, few have secrets
                starts = _starts(each, view)
                spans = [(starts[start], starts[end]) for start, end in spans]
            found += spans
        merged: list[tuple[int, int]] = []
        for start, end in sorted(found):
            if merged and start <= merged[-1][1]:
                merged[-1] = merged[-1][0], max(end, merged[-1][1])
            else:
                merged.append((start, end))
        return merged

    def _spans_of_view(self, text: str) -> list[tuple[int, int]]:
        """The parts of a text that are secret, also in the UTF-8 of a text that was decoded as Latin-1."""
        found = self._spans_of_characters(text)
        decoded = _decoded_again(text)
        if decoded is not None and (spans := self._spans_of_characters(decoded)):
            starts = [0, *accumulate(len(each.encode("utf-8", "surrogateescape")) for each in decoded)]
            found += [(starts[start], starts[end]) for start, end in spans]
        return found

    def _spans_of_characters(self, text: str) -> list[tuple[int, int]]:
        """The parts of a text that are secret, also with separators between their characters."""
        joined = _without_separators(text)
        found = list(self._places(_in_lower_case(joined)))
        if found:
            kept = [index for index, character in enumerate(text) if _PLAIN_LETTERS.get(ord(character), "") is not None]
            found = [(kept[start], kept[end - 1] + 1) for start, end in found]
        if len(joined) < len(text) and any(parts.have_separators for parts in self._parts):
            found += self._places(_in_lower_case(text))
        return found

    def _places(self, lower: str) -> Iterator[tuple[int, int]]:
        """Where parts of secrets are in a lower-case text."""
        coded = lower.encode("latin-1", "replace")  # characters that are in no part
        for parts in self._parts:
            yield from parts.places(lower, coded)


def _without_separators(text: str) -> str:
    """A text without the characters that may stand between those of a secret, and with ASCII letters for their other forms."""
    try:
        return text.encode("latin-1").translate(None, _SEPARATOR_BYTES).decode("latin-1")
    except UnicodeEncodeError:  # as bytes too: this is many times as fast for long texts
        plain = _UNUSUAL.sub(_plain_letter, text).replace("?", " ").encode("latin-1", "replace")
        return plain.translate(_OTHER_LETTER, _SEPARATOR_BYTES.replace(b"?", b"")).decode("latin-1")


def _plain_letter(unusual: re.Match[str]) -> str:
    """The ASCII character for another form of it, a blank for a separator, and any other character as it is."""
    plain = _PLAIN_LETTERS.get(ord(unusual[0]), unusual[0])
    return " " if plain is None else plain


def _decoded_again(text: str) -> str | None:
    """The UTF-8 of a text that was decoded as Latin-1, if it has characters that may hide a secret; else None."""
    if text.isascii():
        return None
    try:
        decoded = text.encode("latin-1").decode("utf-8", "surrogateescape")
    except UnicodeEncodeError:
        return None
    return decoded if _UNUSUAL.search(decoded) else None


def _in_lower_case(text: str) -> str:
    """A text in lower case, of the same length: some letters have two in the other case."""
    lower = text.lower()
    return lower if len(lower) == len(text) else "".join(each.lower() if each.isascii() else each for each in text)


def _forms(secret: str, min_length: int) -> Iterator[tuple[str, int]]:
    """The texts that reveal a secret, each with the length of the parts that may not be left."""
    content = secret.encode()
    for text in (secret, secret[::-1], codecs.encode(secret, "rot13")):
        yield text, min_length
    for text in (secret, secret.upper(), secret.lower(), secret[::-1]):
        yield from _coded(text.encode(), min_length)
    if len(secret) > MAX_IN_ALL_FORMS:
        return
    yield from ((text[::-1], length) for text, length in _coded(content, min_length))
    for coding, width in (("utf-16-le", 2), ("utf-32-le", 4)):  # of either byte order, without the zero bytes at an end
        yield from _coded(secret.encode(coding), width * (min_length - 1) + 1)
    for text, length in _coded(content, min_length):
        for each in (text, text.upper()) if text == content.hex() else (text,):
            yield from _coded(each.encode(), length)
    yield from ((words, 2 * min_length) for words in _in_words(content))
    for digits, length in (("d", 2), ("03d", 3), ("o", 2), ("03o", 3), ("08b", 8)):
        yield "".join(format(each, digits) for each in content), length * min_length
    yield from _in_rare_digits(content, min_length)


def _in_rare_digits(content: bytes, min_length: int) -> Iterator[tuple[str, int]]:
    """A secret in base32, base85 and uuencode, and as a number."""
    for padding in range(5):
        for coder in (base64.b32encode, base64.b32hexencode):
            yield _digits(coder(bytes(padding) + content), 5, padding, len(content)), (8 * min_length - 4) // 5
    for padding in range(4):
        whole = (bytes(padding) + content)[4 * (padding > 0) : (padding + len(content)) // 4 * 4]
        coded = base64.b85encode(whole)
        for digits85 in (coded, coded.translate(_Z85), base64.a85encode(whole)):
            yield digits85.decode(), _MIN_WITH_PUNCTUATION
    for padding in range(3):
        middle = _digits(base64.b64encode(bytes(padding) + content), 6, padding, len(content))
        yield middle.translate(_UUENCODE), _MIN_WITH_PUNCTUATION
    if len(content) >= _MIN_NUMBER:
        for digits in (_BASE58, _BASE62, _BASE62.swapcase(), _BASE62[:36], _BASE62[:10]):
            number = _number(int.from_bytes(content), digits)
            yield number, len(number)


_MIN_NUMBER = 11
"""Bytes of a secret that is also looked for as a number: with fewer, there would be such a number by chance."""
MAX_IN_ALL_FORMS = 300
"""Characters of a secret that is looked for in all notations. Those of a longer one would take much memory."""


def _number(value: int, digits: str) -> str:
    """A number in a positional notation with some digits."""
    text = ""
    while value:
        value, digit = divmod(value, len(digits))
        text = digits[digit] + text
    return text


def _in_words(content: bytes) -> Iterator[str]:
    """Some bytes as `hexdump` shows them: in words of two, of which the first is last. The first word may begin before them."""
    for start in (0, 1):
        words = range(start, len(content) - 1, 2)
        yield b"".join(content[at : at + 2][::-1] for at in words).hex()


def _coded(content: bytes, length: int) -> Iterator[tuple[str, int]]:
    """Some bytes in hexadecimal digits and in base64, with the number of digits that depend on so many of the bytes alone."""
    yield content.hex(), 2 * length
    for padding in range(3):
        middle = _digits(base64.b64encode(bytes(padding) + content), 6, padding, len(content))
        yield middle, (8 * length - 4) // 6
        yield middle.translate(_URL_SAFE), (8 * length - 4) // 6


def _digits(coded: bytes, bits: int, padding: int, length: int) -> str:
    """
    Those of some base64 or base32 digits, each of so many bits, that depend on no byte before or after the secret.

    A prefix shifts the digits: there are *padding* bytes before the *length* bytes of the secret.
    """
    return coded[-(-8 * padding // bits) : 8 * (padding + length) // bits].decode()


_URL_SAFE = str.maketrans("+/", "-_")
_BASE62 = "0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
_BASE58 = "123456789ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnopqrstuvwxyz"
_UUENCODE = str.maketrans(
    "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/",
    "`" + "".join(map(chr, range(0x21, 0x60))),
)
"""From base64 to uuencode."""
_Z85 = bytes.maketrans(
    b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz!#$%&()*+-;<=>?@^_`{|}~",
    b"0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ.-:+=^!/*?&<>()[]{}@%$#",
)
"""From the base85 of Python to that of ZeroMQ."""


def _has(codes: re.Pattern[str], text: str) -> bool:
    """Whether there is an escape, or a tag, in a text."""
    return (
        any(sign in text for sign in (_ESCAPE_SIGNS if codes is _ESCAPE else _TAG_SIGNS))
        and codes.search(text) is not None
    )


def _character(escape: re.Match[str]) -> str:
    """The character that an escape stands for."""
    return _decoded(escape[0])


@lru_cache(maxsize=8192)
def _decoded(escape: str) -> str:
    """The character that a text of an escape stands for."""
    found = _ESCAPE.fullmatch(escape)
    assert found is not None
    *hexadecimal, decimal, octal, plain, point, entity = found.groups()
    digits = next(filter(None, hexadecimal), point)
    if entity:
        return _ENTITIES.get(entity, " ")  # of some names, only one letter case is an entity
    if plain:
        return " " if plain in "nrtNRT" else plain
    return chr(int(digits, 16) if digits else int(octal, 8) if octal else int(decimal))


def _starts(codes: re.Pattern[str], text: str) -> list[int]:
    """The place of each character of the text without escapes, or tags, in the original, with its length at the end."""
    starts: list[int] = []
    at = 0
    for match in codes.finditer(text):
        starts += range(at, match.start() + 1)
        at = match.end()
    starts += range(at, len(text) + 1)
    return starts


@lru_cache(maxsize=8)
def redactor(secrets: tuple[str, ...], instead: str = REDACTED) -> Redactor:
    """The redactor of some secrets; the same object for the same secrets."""
    return Redactor(secrets, instead)
