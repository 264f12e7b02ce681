"""Undo the content coding of a body (RFC 9110 §8.4)."""

from __future__ import annotations

import zlib
from collections.abc import Sequence
from dataclasses import replace

from .answer import Answer

_WINDOWS = {"gzip": 31, "x-gzip": 31, "deflate": 15}
"""zlib's window bits for each supported coding; RFC 9110 §8.4.1 defines deflate as zlib data."""

MAX_SIZE = 64 * 2**20
"""Bytes that a decoded body may have."""


def content_codings(answer: Answer) -> tuple[str, ...]:
    """The codings of an answer's body, in lower case and in the order in which they were applied."""
    listed = [each.strip().lower() for value in answer.fields("content-encoding") for each in value.split(",")]
    return tuple(coding for coding in listed if coding)


def is_supported(codings: Sequence[str]) -> bool:
    """True if all codings can be undone here."""
    return all(coding in _WINDOWS or coding == "identity" for coding in codings)


def decoded_body(body: bytes, codings: Sequence[str]) -> bytes | None:
    """A body without its codings; None if it is not coded like this, becomes too large, or a coding is not supported."""
    decoded: bytes | None = body
    for coding in reversed(codings):
        decoded = _decoded(decoded, coding) if decoded is not None else None
    return decoded


def decoded_answer(answer: Answer) -> Answer | None:
    """An answer with its body decoded; None if the body is not coded as the answer says, or a coding is not supported."""
    body = decoded_body(answer.body, content_codings(answer))
    return None if body is None else replace(answer, body=body)


def _decoded(body: bytes, coding: str) -> bytes | None:
    """A body without one coding."""
    if coding == "identity":
        return body
    if coding not in _WINDOWS:
        return None
    decoded = b""
    while body:
        decompressor = zlib.decompressobj(_WINDOWS[coding])
        try:
            decoded += decompressor.decompress(body, MAX_SIZE)
        except zlib.error:
            return None
        if not decompressor.eof or len(decoded) > MAX_SIZE:
            return None
        # RFC 1952 §2.2: several gzip members are one body.
        body = decompressor.unused_data
        if body and coding == "deflate":
            return None
    return decoded
