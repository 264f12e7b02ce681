"""
Where an answer repeats a credential, whole or in part, plainly or in a spelling that anybody can undo.
"""

from __future__ import annotations

import base64
import json
import re
from collections.abc import Iterable
from functools import cache
from urllib.parse import quote

from chainproof.contract.answer import Answer

_LONG_ENOUGH = 8
"""Characters whose reappearance in an answer cannot be chance."""

_DRAWN = re.compile(r"(?=.*[0-9])(?=.*[A-Za-z])")
"""A part of a key counts where it looks drawn: letters and digits, and no word that an answer may have of its own."""


@cache
def encodings(secret: str) -> tuple[str, ...]:
    """
    What must not reappear of a secret: itself, its parts around a dot, and both in codes that hide nothing. Longest first.

    >>> spellings("abcd1234.q7Zk92hL")[-2:]
    ('abcd1234', 'q7Zk92hL')
    """
    parts = [part for part in secret.split(".") if len(part) >= _LONG_ENOUGH and _DRAWN.match(part)]
    found = dict.fromkeys(parts)
    if len(secret) >= _LONG_ENOUGH:
        found |= dict.fromkeys(_spelled(secret))
    return tuple(sorted(found, key=lambda text: (-len(text), text)))


def _spelled(secret: str) -> Iterable[str]:
    """
    A secret as it is and as JSON, a URL, base64 and hexadecimal digits have it.
    """
    content = secret.encode()
    yield secret
    yield secret.swapcase()
    yield secret.lower()
    yield secret.upper()
    yield json.dumps(secret)[1:-1]
    yield quote(secret, safe="")
    # What stands before it shifts base64 by a byte or two: the middle is the same behind any prefix.
    for padding in (b"", b"_", b"__"):
        yield _middle(base64.b64encode(padding + content).decode(), len(padding))
        yield _middle(base64.urlsafe_b64encode(padding + content).decode(), len(padding))
    yield content.hex()
    yield secret[::-1]


def _middle(coded: str, shift: int) -> str:
    """
    The characters of a base64 text that what stands around the secret does not change.
    """
    whole = coded.rstrip("=")
    first = 4 * (shift > 0)
    last = len(whole) - 1 if coded.endswith("=") else len(whole)
    return whole[first:last]


def leak_locations(answer: Answer, secrets: Iterable[str], told: bytes) -> list[str]:
    """
    Where an answer repeats one of several secrets, in words, save what the request had *told* in plain view.
    """
    for secret in secrets:
        shown = [text for text in encodings(secret) if text.encode() not in told]
        if secret.encode() in told:
            continue
        fields = [name for name, value in answer.headers if any(text in value for text in shown)]
        found = fields + ["the body"] * any(text.encode() in answer.body for text in shown)
        if found:
            return found
    return []


def redact(text: str, secrets: Iterable[str], instead: str) -> str:
    """
    A text with every spelling of every secret replaced.
    """
    for spelling in sorted({each for secret in secrets for each in encodings(secret)}, key=len, reverse=True):
        text = text.replace(spelling, instead)
    return text
