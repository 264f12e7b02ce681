"""
Removes secrets from texts that a target sent: whole or in part, as they are or in an encoding that anybody can decode.

Of a secret no eight consecutive characters are left: in any letter case, reversed, percent-encoded, with the escapes of
JSON or HTML, in base64, base64url or hexadecimal digits. What was removed is marked.
"""

from __future__ import annotations

import base64
import json
import re
from collections.abc import Iterable, Iterator
from functools import lru_cache

EMULATOR_KEY = "emulator.throw-away-key"
"""The default key of the emulator. It is valid nowhere else, so a part of it may be shown."""

REDACTED = "[API key]"
REDACTED_HEADER = "[header value]"

MIN_LENGTH = 8
"""Characters of a secret that may not be left; shorter parts appear by chance. A shorter secret is removed as a whole."""

_BASE64_LENGTH = 10
"""Base64 digits that depend on eight bytes alone, wherever these begin."""

_ESCAPE = re.compile(
    r"%([0-9a-f]{2})|\\u00([0-9a-f]{2})|\\x([0-9a-f]{2})|&#x0{0,6}([0-9a-f]{2});|&#0{0,6}([0-9]{2,3});|\\([\"/\\])",
    re.IGNORECASE,
)
"""One escaped ASCII character in a URL, in JSON, in a programming language or in HTML."""


class Redactor:
    """Removes some secrets from texts."""

    def __init__(self, secrets: Iterable[str], instead: str = REDACTED) -> None:
        """*instead* is written in place of each part that is removed."""
        self._instead = instead
        self._whole: list[str] = []
        """Secrets that are removed as a whole only."""
        self._parts: set[str] = set()
        """The parts of the secrets and of their encodings that may not be left, in lower case."""
        self._blocks: dict[str, int] = {}
        """Halves of such parts, one of which is in each of them, with the length of the parts. They are found quickly."""
        for secret in sorted(set(filter(None, secrets)), key=len, reverse=True):
            if len(secret) < MIN_LENGTH or secret == EMULATOR_KEY:
                self._whole += (json.dumps(secret)[1:-1], secret)
                continue
            for form, length in _forms(secret):
                lower, half = form.lower(), length // 2
                self._parts.update(lower[start : start + length] for start in range(len(lower) - length + 1))
                blocks = (lower[start : start + half] for start in range(0, len(lower) - half + 1, half))
                self._blocks |= dict.fromkeys(blocks, length)

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

    def _spans(self, text: str) -> list[tuple[int, int]]:
        """The parts of a text to be removed, in order, as start and end."""
        found = list(self._matches(_in_lower_case(text)))
        if _ESCAPE.search(text):
            spans = list(self._matches(_in_lower_case(_ESCAPE.sub(_character, text))))
            starts = _starts(text) if spans else []  # many large texts have escapes, few have secrets
            found += [(starts[start], starts[end]) for start, end in spans]
        merged: list[tuple[int, int]] = []
        for start, end in sorted(found):
            if merged and start <= merged[-1][1]:
                merged[-1] = merged[-1][0], max(end, merged[-1][1])
            else:
                merged.append((start, end))
        return merged

    def _matches(self, lower: str) -> Iterator[tuple[int, int]]:
        """Where parts of secrets are in a lower-case text."""
        for block, length in self._blocks.items():
            at = lower.find(block)
            while at >= 0:
                for start in range(max(at - length // 2, 0), at + 1):
                    if lower[start : start + length] in self._parts:
                        yield start, start + length
                at = lower.find(block, at + 1)


def _in_lower_case(text: str) -> str:
    """A text in lower case, of the same length: some letters have two in the other case."""
    lower = text.lower()
    return lower if len(lower) == len(text) else "".join(each.lower() if each.isascii() else each for each in text)


def _forms(secret: str) -> Iterator[tuple[str, int]]:
    """The texts that reveal a secret, each with the length of the parts that may not be left."""
    content = secret.encode()
    yield secret, MIN_LENGTH
    yield secret[::-1], MIN_LENGTH
    yield content.hex(), 2 * MIN_LENGTH
    for padding, first in enumerate((0, 2, 3)):
        # A prefix of one or two bytes shifts the digits. The first and the last may also depend on the text around.
        digits = base64.b64encode(b"\0" * padding + content).rstrip(b"=").decode()
        depends_on_next = 6 * len(digits) > 8 * (padding + len(content))
        middle = digits[first : len(digits) - depends_on_next]
        yield middle, _BASE64_LENGTH
        yield middle.translate(_URL_SAFE), _BASE64_LENGTH


_URL_SAFE = str.maketrans("+/", "-_")


def _character(escape: re.Match[str]) -> str:
    """The character that an escape stands for."""
    return _decoded(escape[0])


@lru_cache(maxsize=1024)
def _decoded(escape: str) -> str:
    """The character that a text of an escape stands for."""
    found = _ESCAPE.fullmatch(escape)
    assert found is not None
    *hexadecimal, decimal, plain = found.groups()
    digits = next(filter(None, hexadecimal), None)
    return plain or chr(int(digits, 16) if digits else int(decimal))


def _starts(text: str) -> list[int]:
    """The place of each character of the text without escapes in the original, with its length at the end."""
    starts: list[int] = []
    at = 0
    for match in _ESCAPE.finditer(text):
        starts += range(at, match.start() + 1)
        at = match.end()
    starts += range(at, len(text) + 1)
    return starts


@lru_cache(maxsize=8)
def redactor(secrets: tuple[str, ...], instead: str = REDACTED) -> Redactor:
    """The redactor of some secrets; the same object for the same secrets."""
    return Redactor(secrets, instead)
