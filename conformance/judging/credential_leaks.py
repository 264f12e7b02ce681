"""Finds credentials in an answer: whole or in part, as they are or in an encoding that anybody can decode."""

from __future__ import annotations

import base64
import json
from collections.abc import Callable, Iterable, Sequence
from functools import cache
from urllib.parse import quote

from chainproof.contract.answer import Answer
from chainproof.contract.credentials import is_improbable, leak_finder
from chainproof.contract.redaction import EMULATOR_KEY, redactor

_MIN_LENGTH = 8
"""Shorter texts may appear in an answer by chance."""

_BETWEEN_FIELDS = "\ue000"
"""Stands in no header field, which is decoded as latin-1, and is no separator within a secret."""
_BETWEEN_TEXTS = "\xb6"
"""Is no separator within a secret either, and one of latin-1, in which a search is fast."""
_MAX_SEARCHED = 1 << 16
"""Characters of an answer that are searched for parts of a secret."""


@cache
def encodings(secret: str) -> tuple[str, ...]:
    """
    The texts that reveal a secret: the secret and its encodings, and its parts around a dot. Longest first.

    >>> encodings("xyz12345.q7Zk92hL")[-2:]
    ('q7Zk92hL', 'xyz12345')
    """
    parts = [part for part in secret.split(".") if is_improbable(part)]
    found = dict.fromkeys(parts)
    if len(secret) >= _MIN_LENGTH:
        found |= dict.fromkeys(_encodings_of_text(secret))
    return tuple(sorted(found, key=lambda text: (-len(text), text)))


def _encodings_of_text(secret: str) -> Iterable[str]:
    """A secret as it is, in other letter cases, reversed, and in JSON, URL, base64 and hexadecimal encoding."""
    content = secret.encode()
    yield secret
    yield secret.swapcase()
    yield secret.lower()
    yield secret.upper()
    yield json.dumps(secret)[1:-1]
    yield quote(secret, safe="")
    # A prefix shifts base64 by one or two bytes; the middle is the same after any prefix.
    for padding in (b"", b"_", b"__"):
        yield _middle(base64.b64encode(padding + content).decode(), len(padding))
        yield _middle(base64.urlsafe_b64encode(padding + content).decode(), len(padding))
    yield content.hex()
    yield secret[::-1]


def _middle(coded: str, shift: int) -> str:
    """The characters of a base64 text that do not depend on the text around the secret."""
    digits = coded.rstrip("=")
    first = 4 * (shift > 0)
    last = len(digits) - 1 if coded.endswith("=") else len(digits)
    return digits[first:last]


def _locations(answer: Answer, finds: Callable[[str], bool]) -> list[str]:
    """The names of header fields, and "the body", in which something is found. Only the beginning of a long answer is searched."""
    searched = [(name, f"{name}: {value}"[:_MAX_SEARCHED]) for name, value in answer.headers]
    if not finds(_BETWEEN_FIELDS.join(text for _, text in searched)[:_MAX_SEARCHED]):
        searched = []
    searched.append(("the body", answer.body[:_MAX_SEARCHED].decode("latin-1")))
    return [name for name, text in searched if finds(text)]


def has_secret(answer: Answer, secrets: Iterable[str]) -> bool:
    """Whether `redact` would remove anything from an answer. One search of the whole answer is fast, and few answers have one."""
    fields = [f"{name}: {value}" for name, value in answer.headers]
    return redactor(tuple(secrets)).finds(_BETWEEN_TEXTS.join([*fields, answer.body.decode("latin-1")]))


def leak_locations(answer: Answer, secrets: Iterable[str], sent: bytes, *, is_redacted: bool = True) -> list[str]:
    """
    Header names, and "the body", in which an answer repeats one of several secrets. Texts in *sent* do not count.

    If nothing had to be redacted (see `has_secret`), nothing is found, apart from the emulator's key: it is not redacted in parts.
    """
    for secret in secrets:
        if secret.encode() in sent or not (is_redacted or secret == EMULATOR_KEY):
            continue
        texts = [text for text in encodings(secret) if text.encode() not in sent]
        fields = [name for name, value in answer.headers if any(text in value for text in texts)]
        found = fields + ["the body"] * any(text.encode() in answer.body for text in texts)
        if not found and secret != EMULATOR_KEY:
            finds = leak_finder(secret).finds
            found = _locations(answer, finds)
            found = [] if found and finds(sent.decode("latin-1")) else found
        if found:
            return found
    return []


def redact_values(values: Sequence[str], secrets: Iterable[str], instead: str) -> list[str]:
    """Values of header fields without the secrets: at once, because there may be many."""
    return redact(_BETWEEN_FIELDS.join(values), secrets, instead).split(_BETWEEN_FIELDS)


def redact(text: str, secrets: Iterable[str], instead: str) -> str:
    """A text without the secrets and without parts of them, in any common encoding."""
    return redactor(tuple(secrets), instead).redact(text)
