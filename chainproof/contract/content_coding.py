"""Undo the content coding of an answer's body (RFC 9110 §8.4), and tell what is wrong with the coding."""

from __future__ import annotations

import zlib
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from functools import lru_cache, partial
from importlib import import_module
from typing import Any

from chainproof.stored_text import shortened

from .answer import Answer

MAX_SIZE = 16 * 2**20
"""Bytes that a decoded body may have."""
_MAX_MEMBERS = 1000
"""Parts of a gzip body that are decoded. More would take time that grows with their square."""

_MAX_CODINGS = 10
"""Codings of a body that are undone."""
_MAX_QUOTED = 100
"""Characters of the field that a violation quotes."""

_IDENTITY = "identity"


class _TooLarge(Exception):
    """A body that is longer than `MAX_SIZE` once it is decoded."""


class _Malformed(Exception):
    """A body that is not coded as its Content-Encoding says."""


@dataclass(frozen=True, slots=True, kw_only=True)
class DecodedAnswer:
    """An answer without its content coding, and the errors of that coding."""

    answer: Answer | None
    """None if it cannot be decoded."""
    coding_error: str = ""
    warning: str = ""
    """A recommendation that the answer does not follow, or why it cannot be decoded here."""


def decode_answer(answer: Answer, accept_encoding: Sequence[str] = (), *, has_body: bool = True) -> DecodedAnswer:
    """
    An answer with its Content-Encoding undone.

    *accept_encoding* are the values of the request's Accept-Encoding. *has_body* is False for an answer to HEAD.
    """
    codings = _listed(answer.fields("content-encoding"))
    if not codings:
        return DecodedAnswer(answer=answer)
    header = f"Content-Encoding: {shortened(', '.join(codings), _MAX_QUOTED)}"
    coding_error, warning = _unaccepted(codings, accept_encoding, header)
    try:
        body = _decoded(answer.body, codings) if has_body else answer.body
    except _TooLarge:
        why = f"{header}, whose body is longer than {MAX_SIZE >> 20} MiB once it is decoded: it is not judged"
        return DecodedAnswer(answer=None, coding_error=coding_error, warning=warning or why)
    except _Malformed:
        uncoded = answer if answer.body[:1] in (b"{", b"[") else None
        error = coding_error or f"{header}, but the body is not coded like this"
        return DecodedAnswer(answer=uncoded, coding_error=error, warning=warning)
    if body is None:
        why = f"{header}, which chainproof cannot decode: the body is not judged"
        return DecodedAnswer(answer=None, coding_error=coding_error, warning=warning or why)
    return DecodedAnswer(answer=replace(answer, body=body), coding_error=coding_error, warning=warning)


def _listed(values: Sequence[str]) -> list[str]:
    """The items of a list-based field, in lower case and in their order."""
    return [item for value in values for each in value.split(",") if (item := each.strip().lower())]


def _unaccepted(codings: Sequence[str], accept_encoding: Sequence[str], header: str) -> tuple[str, str]:
    """An error and a warning: what the request does not accept of these codings."""
    is_accepted_as_it_is = bool(accept_encoding) and set(_listed(accept_encoding)) <= {_IDENTITY}
    # RFC 9110 §8.4.1 recommends not to send `identity`, but it changes nothing.
    if is_accepted_as_it_is and set(codings) != {_IDENTITY}:
        return f"{header}, but the request accepts `identity` only", ""
    if accept_encoding and not _are_accepted(codings, accept_encoding):
        return "", f"{header}, which the request does not accept"
    return "", "Content-Encoding: identity, which is for Accept-Encoding only" if _IDENTITY in codings else ""


def _are_accepted(codings: Sequence[str], accept_encoding: Sequence[str]) -> bool:
    """True if the request accepts all codings (RFC 9110 §12.5.3)."""
    weights: dict[str, float] = {}
    for each in ",".join(accept_encoding).lower().split(","):
        coding, _, parameters = each.partition(";")
        weight = parameters.strip().removeprefix("q=")
        weights[coding.strip()] = float(weight) if weight.replace(".", "", 1).isdigit() else 1.0
    names = [coding.removeprefix("x-") for coding in codings if coding != _IDENTITY]
    return all(weights.get(name, weights.get("*", 0.0)) > 0 for name in names)


# ------------------------------------------------------------------ decoding


def _decoded(body: bytes, codings: Sequence[str]) -> bytes | None:
    """A body without its codings, the last of which was applied last; None if one cannot be decoded here."""
    if not body:
        return body
    applied = [coding for coding in codings if coding != _IDENTITY]
    if len(applied) > _MAX_CODINGS:
        return None
    decoders = [_decoder(coding) for coding in reversed(applied)]
    for decoder in decoders:
        if decoder is None:
            return None
        body = decoder(body)
    return body


def can_decode(coding: str) -> bool:
    """
    True if there is a library that undoes a coding.

    >>> can_decode("gzip"), can_decode("chainproof")
    (True, False)
    """
    return _decoder(coding) is not None


@lru_cache(maxsize=16)
def _decoder(coding: str) -> Callable[[bytes], bytes] | None:
    """The function that undoes a coding; None if there is no library for it."""
    if coding in ("gzip", "x-gzip"):
        return partial(_decompressed, partial(zlib.decompressobj, 31), zlib.error, members=_MAX_MEMBERS)
    if coding == "deflate":  # RFC 9110 §8.4.1 defines it as zlib data
        return partial(_decompressed, zlib.decompressobj, zlib.error, members=1)
    with suppress(ImportError, AttributeError):  # these libraries are optional
        if coding == "br":
            return partial(_without_brotli, import_module("brotli"))
        if coding == "zstd":
            library = import_module("compression.zstd")
            return partial(_decompressed, library.ZstdDecompressor, library.ZstdError, members=_MAX_MEMBERS)
    return None


def _decompressed(decompressor: Callable[[], Any], error: type[Exception], body: bytes, *, members: int) -> bytes:
    """A body decoded by a decompressor of the standard library. Several members are one body (RFC 1952 §2.2)."""
    pieces, size = [], 0
    for _ in range(members):
        decoding = decompressor()
        try:
            pieces.append(decoding.decompress(body, MAX_SIZE - size + 1))
        except error:
            raise _Malformed from None
        size += len(pieces[-1])
        if size > MAX_SIZE:
            raise _TooLarge
        if not decoding.eof:
            raise _Malformed
        body = decoding.unused_data
        if not body:
            return b"".join(pieces)
    raise _Malformed


def _without_brotli(library: Any, body: bytes) -> bytes:
    """A body decoded by the brotli library."""
    decoding = library.Decompressor()
    try:
        decoded = bytes(decoding.process(body, output_buffer_limit=MAX_SIZE + 1))
    except TypeError:  # before 1.2 its memory cannot be limited
        raise _TooLarge from None
    except library.error:
        raise _Malformed from None
    if len(decoded) > MAX_SIZE:
        raise _TooLarge
    if not decoding.is_finished():
        raise _Malformed
    return decoded
