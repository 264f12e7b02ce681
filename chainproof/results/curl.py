"""
A request as a curl line that anybody can run, the key left to the shell.
"""

from __future__ import annotations

import shlex
from collections.abc import Iterable
from urllib.parse import urlsplit

from chainproof.clock import Seconds
from chainproof.contract.credentials import DEFAULT_KEY_VARIABLE, ApiKey
from chainproof.contract.route import Route

DIRECT_ROUTE = Route()
"""Straight to the target."""

_LONGEST = 2000
"""Bytes of a body that a curl line repeats; beyond that it would be no line any more."""


def curl_line(
    *,
    method: str,
    url: str,
    headers: Iterable[tuple[str, str]],
    body: bytes | None,
    key: ApiKey | None = None,
    variable: str = DEFAULT_KEY_VARIABLE,
    route: Route = DIRECT_ROUTE,
    deadline: Seconds | None = None,
) -> str:
    """
    A POSIX shell line that sends the same request by the same *route*. The key, wherever it stands, becomes
    `$BASETEN_API_KEY`.

    A body that is no printable text is fed by printf; one beyond 2000 bytes is cut and says so. With a *deadline* the line
    waits so long and no longer. A proxy is not repeated: curl takes it from the environment, as we did.
    """
    words = [*_curl(method, url), *_way(route, deadline), _quoted(url, key, variable)]
    fields = [(name, value) for name, value in headers if not _by_curl_itself(name, value, url)]
    for name, value in fields:
        # curl drops a header that is written `Name:`; with a semicolon it sends it empty.
        words += ["-H", _quoted(f"{name}: {value}" if value.strip() else f"{name};", key, variable)]
    if body is None:
        return " ".join(words)
    if "content-type" not in {name.lower() for name, _ in fields}:
        words += ["-H", "'Content-Type:'"]
    kept = _kept(body, key)
    text = _printable(kept)
    if text is not None:
        line = " ".join([*words, "--data-binary", _quoted(text, key, variable)])
    else:
        line = _printf(kept, key, variable) + " | " + " ".join([*words, "--data-binary", "@-"])
    return line if len(kept) == len(body) else f"{line}  # body cut: {len(body)} bytes in all"


def _curl(method: str, url: str) -> list[str]:
    """
    The command with the options that keep it from improving on the request.
    """
    words = ["curl", "-sS", "-i"]
    # After `-X HEAD` curl waits for a body that never comes.
    words += ["--head"] if method == "HEAD" else ["-X", shlex.quote(method)]
    if any(character in url for character in "[]{}"):
        words.append("--globoff")
    if "/." in url:
        words.append("--path-as-is")
    return words


def _way(route: Route, deadline: Seconds | None) -> list[str]:
    """
    The options that lead curl where the run went, and away from it when the run gave up.
    """
    words = []
    if route.connect_to is not None:
        # Whoever is told where to connect asks no proxy.
        words += ["--connect-to", shlex.quote(f"::{route.connect_to}"), "--noproxy", "'*'"]
    if route.ca_file is not None:
        words += ["--cacert", shlex.quote(route.ca_file)]
    if deadline is not None:
        words += ["--max-time", f"{deadline:.9g}"]
    return words


def _by_curl_itself(name: str, value: str, url: str) -> bool:
    """
    Whether curl sends this field unasked: the body's length, and the URL's own host.
    """
    return name.lower() == "content-length" or (name.lower() == "host" and value == urlsplit(url).netloc)


def _kept(body: bytes, key: ApiKey | None) -> bytes:
    """
    As much of a body as a curl line repeats, never a part of the key.
    """
    secret = key.reveal().encode() if key is not None else b""
    last = body.rfind(secret, 0, _LONGEST + len(secret) - 1) if secret else -1
    return body[:last] if last >= 0 and last + len(secret) > _LONGEST else body[:_LONGEST]


def _printf(body: bytes, key: ApiKey | None, variable: str) -> str:
    """
    A printf command that writes any bytes, the key in them replaced by its variable.
    """
    secret = key.reveal().encode() if key is not None else b""
    pieces = body.split(secret) if secret else [body]
    escaped = ["".join(map(_octal, piece)) for piece in pieces]
    if escaped[0].startswith("-"):
        escaped[0] = f"\\{ord('-'):03o}{escaped[0][1:]}"  # printf would take it for an option
    return f"printf '{'%s'.join(escaped)}'" + f' "${{{variable}}}"' * (len(pieces) - 1)


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
