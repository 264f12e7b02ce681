"""
The shared token that admits workers to a master: from an environment variable or a file, never from an argument.

The keys of the encrypted connection are derived from it (`transport.py`). It has nothing to do with the API key.
"""

from __future__ import annotations

import hashlib
import secrets
from collections.abc import Mapping
from pathlib import Path

from chainproof.errors import UsageError
from chainproof.text_files import read_bytes

TOKEN_VARIABLE = "CHAINPROOF_WORKER_TOKEN"
TOKEN_FILE_VARIABLE = "CHAINPROOF_WORKER_TOKEN_FILE"
MIN_TOKEN_LENGTH = 16
_EXAMPLE = "openssl rand -hex 32"


def new_token() -> str:
    """A random token."""
    return secrets.token_urlsafe(32)


def find_token(environment: Mapping[str, str]) -> str | None:
    """The token of an environment; None without one. Raises UsageError."""
    text, path = environment.get(TOKEN_VARIABLE, ""), environment.get(TOKEN_FILE_VARIABLE, "")
    if text and path:
        raise UsageError(f"expected {TOKEN_VARIABLE} or {TOKEN_FILE_VARIABLE}, found both: unset one of them")
    if not text and not path:
        return None
    source = TOKEN_VARIABLE
    if path:
        source = path
        try:
            text = read_bytes(Path(path), "the worker token").decode("utf-8")
        except UnicodeDecodeError:
            raise UsageError(
                f"expected UTF-8 in the worker token {path}, named by {TOKEN_FILE_VARIABLE}, found other bytes"
            ) from None
    token = text.strip()
    if len(token) < MIN_TOKEN_LENGTH:
        raise UsageError(
            f"expected a worker token of at least {MIN_TOKEN_LENGTH} characters in {source}, found {len(token)}: "
            f"create one with {_EXAMPLE}"
        )
    return token


def required_token(environment: Mapping[str, str]) -> str:
    """The token of an environment. Raises UsageError without one."""
    token = find_token(environment)
    if token is None:
        raise UsageError(
            f"expected a shared token for master and workers in {TOKEN_VARIABLE}, or in a file that {TOKEN_FILE_VARIABLE} "
            f"names, found none: set the same token for all of them; {_EXAMPLE} creates one"
        )
    return token


def secret_key(token: str) -> bytes:
    """
    The master's secret Curve25519 key (32 bytes).

    scrypt (RFC 7914) makes guesses of a weak token expensive; the salt only separates this use from others.
    """
    return hashlib.scrypt(token.encode(), salt=b"chainproof worker token, version 1", n=1 << 14, r=8, p=1, dklen=32)
