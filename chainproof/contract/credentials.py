"""
The API key: read from the environment, sent to the target's own host, shown to nobody.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from enum import StrEnum
from typing import NoReturn

from chainproof.errors import UsageError

DEFAULT_KEY_VARIABLE = "BASETEN_API_KEY"
EMULATOR_KEY = "emulator.throw-away-key"
"""The key that the emulator accepts unless told otherwise. It opens nothing else, so it may be printed."""

REDACTED = "[API key]"


class AuthScheme(StrEnum):
    """
    How the key is presented: by the document's scheme, or by the one that Baseten's newer documents name.
    """

    API_KEY = "api-key"
    BEARER = "bearer"

    @property
    def prefix(self) -> str:
        """The word before the key."""
        return {"api-key": "Api-Key", "bearer": "Bearer"}[self.value]


class ApiKey:
    """
    A key that no `repr`, `str`, format, pickle or comparison message ever shows.
    """

    __slots__ = ("_text", "scheme")

    def __init__(self, text: str, scheme: AuthScheme = AuthScheme.API_KEY) -> None:
        self._text = text
        self.scheme = scheme

    def reveal(self) -> str:
        """The key itself, for the one place that writes it into a request."""
        return self._text

    @property
    def authorization(self) -> str:
        """The value of the Authorization header: `Api-Key …` unless another scheme was asked for."""
        return f"{self.scheme.prefix} {self._text}"

    def redact(self, text: str) -> str:
        """*text* with every occurrence of the key replaced."""
        return text.replace(self._text, REDACTED) if self._text else text

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
        raise TypeError("an API key is not pickled: it would leave this process")


class ApiKeyError(UsageError):
    """
    The environment holds no usable key; the message says which variable was looked at, never what was in it.
    """


def load_key(environment: Mapping[str, str], variable: str = DEFAULT_KEY_VARIABLE) -> ApiKey:
    """
    The key in *variable*, blanks around it removed.

    Raises ApiKeyError when the variable is unset or empty, or holds what no header field can carry.
    """
    text = environment.get(variable, "").strip()
    if not text:
        raise ApiKeyError(
            f"no API key: expected one in the environment variable {variable}, found "
            f"{'an empty value' if variable in environment else 'none'}; set it with `export {variable}=…`, "
            "or name another variable with --api-key-env"
        )
    for prefix in ("Api-Key ", "Bearer "):
        if text.lower().startswith(prefix.lower()):
            raise ApiKeyError(
                f"the key in {variable} begins with {prefix!r}: expected the bare key, the prefix is added here"
            )
    if not text.isascii() or any(character.isspace() or not character.isprintable() for character in text):
        raise ApiKeyError(
            f"the key in {variable} holds blanks, control characters or non-ASCII text: expected one bare token"
        )
    return ApiKey(text)


def load_key_from_environment(variable: str = DEFAULT_KEY_VARIABLE) -> ApiKey:
    """
    The key in *variable* of this process's environment. Raises ApiKeyError.
    """
    return load_key(os.environ, variable)
