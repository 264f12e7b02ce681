"""Finds gzip and zlib data in a text that may have been decoded as Latin-1, as they are or in base64, and decompresses them."""

from __future__ import annotations

import base64
import re
import zlib
from collections.abc import Iterator

_SIGNS = ("\x1f", "\x9c", "\xda", "H4sI", "eJ", "eN")
"""One of these is in the beginning of such data: of gzip, and of zlib with its usual levels."""
_BEGINNING = re.compile(r"H4sI[\w+/-]{20,}|e[JN][\w+/-]{14,}|\x1f\x8b\x08|x[\x9c\xda]", re.ASCII)
_MAX_TRIED = 64
"""Beginnings in a text that are tried."""
_MAX_BYTES = 1 << 18
"""Bytes of compressed and of decompressed data that are looked at, of all in a text together."""


def decompressed(text: str) -> Iterator[tuple[int, int, str]]:
    """The data in a text: start, end, and what they are decompressed, or the beginning of it, decoded as Latin-1."""
    if not any(sign in text for sign in _SIGNS):
        return
    left, end = _MAX_BYTES, 0
    for tried, found in enumerate(_BEGINNING.finditer(text)):
        if tried >= _MAX_TRIED or not left:
            return
        if found.start() < end:
            continue
        is_base64 = found[0][0] in "He"
        data = _from_base64(found[0]) if is_base64 else text[found.start() :][:_MAX_BYTES].encode("latin-1", "replace")
        decoding = zlib.decompressobj(zlib.MAX_WBITS | 32)  # of either kind
        try:
            content = decoding.decompress(data[:_MAX_BYTES], left)
        except zlib.error:
            continue
        left -= len(content)
        size = len(data) - len(decoding.unused_data) if decoding.eof else len(text)
        end = found.end() if is_base64 else min(found.start() + size, len(text))
        yield found.start(), end, content.decode("latin-1")


def _from_base64(digits: str) -> bytes:
    """The bytes of base64 or base64url digits, as far as they are in groups of four."""
    groups = min(len(digits), 2 * _MAX_BYTES) // 4
    return base64.urlsafe_b64decode(digits[: 4 * groups].translate(_URL_SAFE))


_URL_SAFE = str.maketrans("+/", "-_")
