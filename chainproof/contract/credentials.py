"""The API key: read from the environment, sent only to the target, never shown."""

from __future__ import annotations

import math
import os
import re
from collections.abc import Iterator, Mapping
from enum import StrEnum
from functools import lru_cache
from typing import NoReturn

from chainproof.contract.redaction import MAX_IN_ALL_FORMS, MIN_LENGTH, Redactor, redactor
from chainproof.errors import UsageError

DEFAULT_KEY_VARIABLE = "BASETEN_API_KEY"
BASELINE_KEY_VARIABLE = "BASELINE_API_KEY"
"""The variable with the key of the target that another one is compared with, if it has its own."""


MAX_KEY_LENGTH = 4000
"""Characters of a key. To find the parts of a longer one in output would take seconds, and many servers permit header fields of 8 KiB."""

_VARIABLE = re.compile(r"[A-Z][A-Z0-9]*(_[A-Z0-9]+)+")
"""An ordinary name of an environment variable. Any other text in its place may be the key itself."""


class AuthScheme(StrEnum):
    """The authentication scheme: the document's, or the one that Baseten's newer documents name."""

    API_KEY = "api-key"
    BEARER = "bearer"

    @property
    def prefix(self) -> str:
        """The word before the key."""
        return {"api-key": "Api-Key", "bearer": "Bearer"}[self.value]


class ApiKey:
    """An API key that `repr`, `str`, formatting, pickling and failed comparisons do not show."""

    __slots__ = ("_text", "scheme")

    def __init__(self, text: str, scheme: AuthScheme = AuthScheme.API_KEY) -> None:
        self._text = text
        self.scheme = scheme

    def reveal(self) -> str:
        """The text of the key, for writing it into a request."""
        return self._text

    @property
    def authorization(self) -> str:
        """The value of the Authorization header: `Api-Key …`, or the prefix of another scheme."""
        return f"{self.scheme.prefix} {self._text}"

    def redact(self, text: str) -> str:
        """*text* without the key and without parts of it, in any common encoding."""
        return redactor((self._text,)).redact(text)

    def __repr__(self) -> str:
        return "ApiKey(…)"

    __str__ = __repr__

    def __format__(self, specification: str) -> str:
        return repr(self)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, ApiKey) and other._text == self._text

    def __hash__(self) -> int:
        return hash(self._text)

    def __reduce__(self) -> NoReturn:
        raise TypeError("expected no pickling or copying of an API key: it must not leave this process")


class ApiKeyError(UsageError):
    """The environment has no usable key. The message names the variable and does not show its value."""


def load_key(environment: Mapping[str, str], variable: str = DEFAULT_KEY_VARIABLE) -> ApiKey:
    """
    The key in *variable*, without surrounding blanks.

    Raises ApiKeyError if the variable is unset or empty, or cannot be sent in a header field.
    """
    text = environment.get(variable, "").strip()
    if not (text or variable in environment or _VARIABLE.fullmatch(variable)):
        raise ApiKeyError(
            "no API key: expected the name of an environment variable that is set, such as BASETEN_API_KEY, in place of the "
            "key itself: --api-key-env has another value, which is not shown"
        )
    if not text:
        raise ApiKeyError(
            f"no API key: expected one in the environment variable {variable}, found "
            f"{'an empty value' if variable in environment else 'none'}; set it with `export {variable}=…`, "
            "or name another variable with --api-key-env"
        )
    for prefix in ("Api-Key ", "Bearer "):
        if text.lower().startswith(prefix.lower()):
            raise ApiKeyError(
                f"the key in {variable} begins with {prefix!r}: expected the key alone; chainproof adds the prefix"
            )
    if not text.isascii() or any(character.isspace() or not character.isprintable() for character in text):
        raise ApiKeyError(
            f"the key in {variable} has blanks, control characters or non-ASCII text: expected printable ASCII without blanks"
        )
    if len(text) > MAX_KEY_LENGTH:
        raise ApiKeyError(
            f"the key in {variable} has {len(text):,} characters: expected at most {MAX_KEY_LENGTH:,}, since servers reject longer header fields"
        )
    return ApiKey(text)


def load_key_from_environment(variable: str = DEFAULT_KEY_VARIABLE) -> ApiKey:
    """The key in *variable* of this process's environment. Raises ApiKeyError."""
    return load_key(os.environ, variable)


_RARE_BITS = MIN_LENGTH * math.log2(36)
"""
A part of a key is a leak if it is at least as improbable as eight random letters and digits: of 500 runs with a million answers of 100
random characters each, one has a part of a key of 34 characters by chance. Of hexadecimal digits that takes 11, of decimal ones 13.
"""
_RARE_LENGTHS = (MIN_LENGTH, 12, 16)
"""Characters of such parts: ordinary ones, those of hexadecimal digits, and those of decimal digits or with dashes."""
_DIGITS = re.compile(r"[0-9]")
_LETTERS = re.compile(r"[A-Za-z]")
_HEXADECIMAL = re.compile(r"[0-9a-fA-F]")


def is_improbable(text: str) -> bool:
    """
    Whether a text hardly stands in another one by chance.

    >>> [is_improbable(text) for text in ("environment", "a1b2c3d4", "a1b2c3d4e5f", "q7Zk92hL", "2026112820", "2026112820061")]
    [False, False, True, True, False, True]
    """
    digits, letters, hexadecimal = (len(each.findall(text)) for each in (_DIGITS, _LETTERS, _HEXADECIMAL))
    if not digits:
        return False  # it may be words
    if hexadecimal == digits + letters:
        return hexadecimal * math.log2(16 if letters else 10) >= _RARE_BITS
    return len(text) * math.log2(36) >= _RARE_BITS


def improbable_parts(key: str) -> Iterator[tuple[str, int]]:
    """
    The parts of a key of which each piece of some length is improbable, each with that length. The shortest lengths come first.

    >>> list(improbable_parts("my-production-key-a1b2c3d4e5f60718"))
    [('n-key-a1b2c3', 8), ('-a1b2c3d4e5f60718', 12)]
    """
    counted: dict[int, set[int]] = {}
    for length in _RARE_LENGTHS:
        starts = {
            start
            for start in range(len(key) - length + 1)
            if is_improbable(key[start : start + length])
            and all(shorter.isdisjoint(range(start, start + length - size + 1)) for size, shorter in counted.items())
        }
        counted[length] = starts
        first = sorted(start for start in starts if start - 1 not in starts)
        last = sorted(start + length for start in starts if start + 1 not in starts)
        yield from ((key[start:end], length) for start, end in zip(first, last, strict=True))


@lru_cache(maxsize=8)
def leak_finder(key: str) -> Redactor:
    """Finds a key, whole or in part, in any common encoding, but no part that may be in a text by chance."""
    if len(key) > MAX_IN_ALL_FORMS:
        return Redactor([key], min_lengths={key: _RARE_LENGTHS[1]})
    lengths = dict(reversed(list(improbable_parts(key)))) or {key: max(MIN_LENGTH, len(key))}
    return Redactor(lengths, min_lengths=lengths)
