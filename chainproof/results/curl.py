"""
A request as a curl command, with the key taken from an environment variable.
"""

from __future__ import annotations

import shlex
from collections.abc import Iterable
from urllib.parse import urlsplit

from chainproof.clock import Seconds
from chainproof.contract.credentials import DEFAULT_KEY_VARIABLE, ApiKey
from chainproof.contract.route import Route

DIRECT_ROUTE = Route()
"""Direct to the target."""

_MAX_BODY = 2000
"""Bytes of a body that a curl command contains."""


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
    A POSIX shell command that sends the same request by the same *route*, with the key replaced by `$BASETEN_API_KEY`.

    A body that is not printable text is piped from printf; a body longer than 2000 bytes is cut, with a comment. With a
    *deadline* curl stops waiting then. A proxy is left out: curl takes it from the environment, as chainproof does.
    """
    words = [*_curl(method, url), *_route_options(route, deadline), _quoted(url, key, variable)]
    fields = [(name, value) for name, value in headers if not _is_sent_by_curl(name, value, url)]
    for name, value in fields:
        # curl drops a header that is written `Name:`; with a semicolon it sends it empty.
        words += ["-H", _quoted(f"{name}: {value}" if value.strip() else f"{name};", key, variable)]
    if body is None:
        return " ".join(words)
    if "content-type" not in {name.lower() for name, _ in fields}:
        words += ["-H", "'Content-Type:'"]
    shown = _shown_body(body, key)
    text = _printable(shown)
    if text is not None:
        line = " ".join([*words, "--data-binary", _quoted(text, key, variable)])
    else:
        line = _printf(shown, key, variable) + " | " + " ".join([*words, "--data-binary", "@-"])
    return line if len(shown) == len(body) else f"{line}  # body cut: {len(body)} bytes in all"


def _curl(method: str, url: str) -> list[str]:
    """
    The command, with the options that make curl send the request unchanged.
    """
    words = ["curl", "-sS", "-i"]
    # After `-X HEAD` curl waits for a body that never comes.
    words += ["--head"] if method == "HEAD" else ["-X", shlex.quote(method)]
    if any(character in url for character in "[]{}"):
        words.append("--globoff")
    if "/." in url:
        words.append("--path-as-is")
    return words


def _route_options(route: Route, deadline: Seconds | None) -> list[str]:
    """
    The options for the address, the certificates and the deadline.
    """
    words = []
    if route.connect_to is not None:
        words += ["--connect-to", shlex.quote(f"::{route.connect_to}"), "--noproxy", "'*'"]
    if route.ca_file is not None:
        words += ["--cacert", shlex.quote(route.ca_file)]
    if deadline is not None:
        words += ["--max-time", f"{deadline:.9g}"]
    return words


def _is_sent_by_curl(name: str, value: str, url: str) -> bool:
    """
    Whether curl sends this field anyway: the Content-Length, and the URL's own Host.
    """
    return name.lower() == "content-length" or (name.lower() == "host" and value == urlsplit(url).netloc)


def _shown_body(body: bytes, key: ApiKey | None) -> bytes:
    """
    The start of a body, cut so that it contains no part of the key.
    """
    secret = key.reveal().encode() if key is not None else b""
    last = body.rfind(secret, 0, _MAX_BODY + len(secret) - 1) if secret else -1
    return body[:last] if last >= 0 and last + len(secret) > _MAX_BODY else body[:_MAX_BODY]


def _printf(body: bytes, key: ApiKey | None, variable: str) -> str:
    """
    A printf command that writes a body, with the key replaced by its variable.
    """
    secret = key.reveal().encode() if key is not None else b""
    pieces = body.split(secret) if secret else [body]
    escaped = ["".join(map(_octal, piece)) for piece in pieces]
    if escaped[0].startswith("-"):
        escaped[0] = f"\\{ord('-'):03o}{escaped[0][1:]}"  # printf would take it for an option
    return f"printf '{'%s'.join(escaped)}'" + f' "${{{variable}}}"' * (len(pieces) - 1)


def _quoted(text: str, key: ApiKey | None, variable: str) -> str:
    """
    A shell word, with the key replaced by its variable.
    """
    secret = key.reveal() if key is not None else ""
    if not secret or secret not in text:
        return shlex.quote(text)
    pieces = ["'" + piece.replace("'", "'\"'\"'") + "'" if piece else "" for piece in text.split(secret)]
    return f'"${{{variable}}}"'.join(pieces)


def _printable(body: bytes) -> str | None:
    """
    The body if it is printable text, or None. Curl would read a leading @ as a file name.
    """
    try:
        text = body.decode("utf-8")
    except UnicodeDecodeError:
        return None
    return text if text.isprintable() and not text.startswith("@") else None


def _octal(byte: int) -> str:
    """
    A byte as text of a printf format string.
    """
    plain = 0x20 <= byte < 0x7F and chr(byte) not in "\\'%"
    return chr(byte) if plain else f"\\{byte:03o}"
