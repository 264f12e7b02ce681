"""
A request as a curl line that anybody can run, the key left to the shell.
"""

from __future__ import annotations

import shlex
from collections.abc import Iterable

from chainproof.contract.credentials import DEFAULT_VARIABLE, ApiKey

_LONGEST = 2000
"""Bytes of a body that a curl line repeats; beyond that it would be no line any more."""


def curl_line(
    *,
    method: str,
    url: str,
    headers: Iterable[tuple[str, str]],
    body: bytes | None,
    key: ApiKey | None = None,
    variable: str = DEFAULT_VARIABLE,
) -> str:
    """
    A POSIX shell line that sends the same request. The key, wherever it stands, becomes `$BASETEN_API_KEY`.

    A body that is no printable text, or a long one, is fed by printf; one beyond 2000 bytes is cut and says so.
    """
    words = ["curl", "-sS", "-i", "-X", method, _quoted(url, key, variable)]
    names = {name.lower() for name, _ in headers}
    for name, value in headers:
        if name.lower() not in ("host", "content-length"):
            # curl drops a header that is written `Name:`; with a semicolon it sends it empty.
            field = f"{name}: {value}" if value else f"{name};"
            words += ["-H", _quoted(field, key, variable)]
    if body is None:
        return " ".join(words)
    if "content-type" not in names:
        words += ["-H", "'Content-Type:'"]
    kept = body[:_LONGEST]
    text = _printable(kept)
    if text is not None:
        line = " ".join([*words, "--data-binary", _quoted(text, key, variable)])
    else:
        escaped = "".join(_octal(byte) for byte in kept)
        line = f"printf '{escaped}' | " + " ".join([*words, "--data-binary", "@-"])
    return line if len(kept) == len(body) else f"{line}  # body cut: {len(body)} bytes in all"


def _quoted(text: str, key: ApiKey | None, variable: str) -> str:
    """
    A shell word, the key in it replaced by its variable.
    """
    secret = key.reveal() if key is not None else ""
    if not secret or secret not in text:
        return shlex.quote(text)
    pieces = ["'" + piece.replace("'", "'\"'\"'") + "'" if piece else "" for piece in text.split(secret)]
    return f'"${{{variable}}}"'.join(pieces)


def _printable(body: bytes) -> str | None:
    """
    The body as text that a terminal shows as it is, or None. A leading @ would be a file's name to curl.
    """
    try:
        text = body.decode("utf-8")
    except UnicodeDecodeError:
        return None
    return text if text.isprintable() and not text.startswith("@") else None


def _octal(byte: int) -> str:
    """
    A byte in a printf format string.
    """
    plain = 0x20 <= byte < 0x7F and chr(byte) not in "\\'%"
    return chr(byte) if plain else f"\\{byte:03o}"
