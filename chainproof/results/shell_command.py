"""
A request as a shell command: curl, or `chainproof call --raw` for what curl would change. The key stays in the environment.

The shell passes the key on through a pipe, as an argument of `printf`, which is part of the shell. In an argument list,
every user of the machine could read it.
"""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from urllib.parse import urlsplit

from chainproof.clock import Seconds
from chainproof.contract.credentials import DEFAULT_KEY_VARIABLE
from chainproof.contract.header_fields import HeaderField
from chainproof.contract.route import Route

DIRECT_ROUTE = Route()
"""Direct to the target."""

_MAX_BODY = 2000
"""Bytes of a body that a curl command contains."""

_URL = re.compile(r"https?://[^/#\s]+/[!-\"$-~]*")
"""A URL that curl sends as it is: it cuts off a fragment."""

_TOKEN = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
_CHANGED_BY_CURL = frozenset({"transfer-encoding", "expect"})
"""Header fields that change how curl sends a body."""

_MAX_COMMAND = 3000
"""Characters of a command; a longer one is of no use to a reader."""

_MAX_SEARCHED = 2**22
"""Bytes in which repeated patterns are looked for."""

_REPEATED = re.compile(rb"([^\n\x00]{1,8}?)\1{39,}")
"""At least forty times the same few bytes, which `yes` can write and `tr` leaves unchanged."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Secret:
    """A text that must never be shown, and the shell word that stands for it."""

    text: str = field(repr=False)
    """The text as it is in a request."""
    shell_word: str
    """The double-quoted word with which the shell yields it."""
    from_target: bool = False
    """Whether the target itself has sent it, and so may send it again."""


def request_command(
    *,
    method: str,
    url: str,
    headers: Sequence[HeaderField],
    body: bytes | None,
    secret: Secret | None = None,
    variable: str = DEFAULT_KEY_VARIABLE,
    route: Route = DIRECT_ROUTE,
    deadline: Seconds | None = None,
) -> str:
    """
    A POSIX shell command that sends the same request by the same *route*; the shell inserts the *secret*.

    A body that makes the command too long is cut, with a comment. With a *deadline* the command stops waiting then. A
    proxy is left out: curl takes it from the environment, as chainproof does.
    """
    size = len(body or b"")
    if body is not None and size > _MAX_BODY:
        line = request_command(
            method=method,
            url=url,
            headers=headers,
            body=_start_without_secret(body, secret),
            secret=secret,
            variable=variable,
            route=route,
            deadline=deadline,
        )
        return f"{line}  # body cut: {size} bytes in all"
    if is_sent_by_curl(method=method, url=url, headers=headers, body=body, secret=secret):
        return curl_line(
            method=method, url=url, headers=headers, body=body, secret=secret, route=route, deadline=deadline
        )
    parts = urlsplit(url)
    origin = f"{parts.scheme}://{parts.netloc}"
    head = [f"{method} {url.removeprefix(origin)} HTTP/1.1"]
    head += [f"Host: {parts.netloc}"] * ("host" not in {name.lower() for name, _ in headers})
    head += [f"{name}: {value}" for name, value in headers if name.lower() != "content-length"]
    head += [f"Content-Length: {size}"] * (body is not None)
    sent = "\r\n".join((*head, "", "")).encode("latin-1", "replace") + (body or b"")
    options = ("--api-key-env", variable) * (variable != DEFAULT_KEY_VARIABLE)
    # The path is among the bytes; in the URL it would be an argument, which must not contain the secret.
    place = origin if secret is not None and secret.text in url else url.partition("#")[0]
    return call_line(printf_command(sent, secret), place, options=options, route=route, deadline=deadline)


def is_sent_by_curl(
    *, method: str, url: str, headers: Iterable[HeaderField], body: bytes | None, secret: Secret | None
) -> bool:
    """Whether curl sends exactly this request, with the secret read from a pipe."""
    text = secret.text if secret is not None else ""
    if not _URL.fullmatch(url) or (text and text in url) or not _TOKEN.fullmatch(method):
        return False
    if body is not None and (method == "HEAD" or len(body) > _MAX_BODY or not _is_printable(body)):
        return False
    if body and text and text.encode() in body:
        return False
    length = str(len(body)) if body is not None else None
    return all(_is_sent_unchanged(name, value, length) for name, value in headers)


def _is_sent_unchanged(name: str, value: str, length: str | None) -> bool:
    """Whether curl sends a header field as it is."""
    if not _TOKEN.fullmatch(name) or name.lower() in _CHANGED_BY_CURL:
        return False
    if name.lower() == "content-length":
        return value == length
    return value == value.strip() and value.isascii() and value.isprintable()


def curl_line(
    *,
    method: str,
    url: str,
    headers: Sequence[HeaderField],
    body: bytes | None,
    secret: Secret | None = None,
    route: Route = DIRECT_ROUTE,
    deadline: Seconds | None = None,
) -> str:
    """The curl command of a request that `is_sent_by_curl`."""
    fields = [(name, value) for name, value in headers if not _is_added_by_curl(name, value, url)]
    piped, options = _header_options(fields, secret)
    line = " ".join([*_curl(method, url), *_route_options(route, deadline), shlex.quote(url), *options])
    if body is not None:
        if "content-type" not in {name.lower() for name, _ in fields}:
            line += " -H 'Content-Type:'"
        line += f" --data-binary {shlex.quote(body.decode())}"
    return f"{piped} | {line}" if piped else line


def _header_options(fields: Sequence[HeaderField], secret: Secret | None) -> tuple[str, list[str]]:
    """The command that writes the fields with the secret, and curl's options for all fields, in their order."""
    # curl drops a header that is written `Name:`; with a semicolon it sends it empty.
    lines = [f"{name}: {value}" if value else f"{name};" for name, value in fields]
    secret_lines = [number for number, line in enumerate(lines) if secret is not None and secret.text in line]
    if not secret_lines:
        return "", [word for line in lines for word in ("-H", shlex.quote(line))]
    first, last = secret_lines[0], secret_lines[-1] + 1
    piped = printf_command("".join(f"{line}\n" for line in lines[first:last]).encode(), secret)
    options = [word for line in lines[:first] for word in ("-H", shlex.quote(line))]
    options += ["-H", "@-"]
    return piped, options + [word for line in lines[last:] for word in ("-H", shlex.quote(line))]


def _curl(method: str, url: str) -> list[str]:
    """The command, with the options that make curl send the request unchanged."""
    words = ["curl", "-sS", "-i"]
    # After `-X HEAD` curl waits for a body that never comes.
    words += ["--head"] if method == "HEAD" else ["-X", shlex.quote(method)]
    if url.startswith("https:"):
        words.append("--http1.1")
    if any(character in url for character in "[]{}"):
        words.append("--globoff")
    if "/." in url:
        words.append("--path-as-is")
    return words


def _route_options(route: Route, deadline: Seconds | None) -> list[str]:
    """The options of curl for the address, the certificates and the deadline."""
    words = []
    if route.connect_to is not None:
        words += ["--connect-to", shlex.quote(f"::{route.connect_to}"), "--noproxy", "'*'"]
    if route.ca_file is not None:
        words += ["--cacert", shlex.quote(route.ca_file)]
    if deadline is not None:
        words += ["--max-time", f"{deadline:.9g}"]
    return words


def _is_added_by_curl(name: str, value: str, url: str) -> bool:
    """Whether curl sends this field anyway: the Content-Length, and the URL's own Host."""
    return name.lower() == "content-length" or (name.lower() == "host" and value == urlsplit(url).netloc)


def _is_printable(body: bytes) -> bool:
    """Whether a body is printable text. Curl would read a leading @ as a file name."""
    try:
        text = body.decode("utf-8")
    except UnicodeDecodeError:
        return False
    return text.isprintable() and not text.startswith("@")


def call_line(
    written: str,
    url: str,
    *,
    options: Sequence[str] = (),
    route: Route = DIRECT_ROUTE,
    deadline: Seconds | None = None,
) -> str:
    """A command that sends exactly the bytes that the command *written* writes, with `chainproof call --raw` and *options*."""
    words = ["chainproof", "call", "--raw", "-", "--target", shlex.quote(url), *map(shlex.quote, options)]
    if route.connect_to is not None:
        words += ["--connect-to", shlex.quote(str(route.connect_to))]
    if route.ca_file is not None:
        words += ["--ca-file", shlex.quote(route.ca_file)]
    if deadline is not None:
        words += ["--deadline", f"{deadline:.9g}s"]
    return f"{written} | {' '.join(words)}"


def _start_without_secret(body: bytes, secret: Secret | None) -> bytes:
    """The start of a body, cut so that it contains no part of the secret."""
    text = secret.text.encode() if secret is not None else b""
    last = body.rfind(text, 0, _MAX_BODY + len(text) - 1) if text else -1
    return body[:last] if last >= 0 and last + len(text) > _MAX_BODY else body[:_MAX_BODY]


def variable_secret(text: str, variable: str) -> Secret:
    """A secret that an environment variable holds."""
    return Secret(text=text, shell_word=f'"${{{variable}}}"')


def writing_command(data: bytes, secret: Secret | None) -> str | None:
    r"""
    A command that writes *data* to its output; None if it would be too long.

    >>> print(writing_command(b'{"a":"' + b"x" * 5000 + b'"}', None))
    { printf '{"a":"'; yes x | tr -d '\n' | head -c 5000; printf '"}'; }
    """
    if len(data) <= _MAX_COMMAND // 4:
        return printf_command(data, secret)
    if len(data) > _MAX_SEARCHED:
        return None
    commands = tuple(_commands(data, secret))
    line = commands[0] if len(commands) == 1 else f"{{ {'; '.join(commands)}; }}"
    return line if len(line) <= _MAX_COMMAND else None


def printf_command(data: bytes, secret: Secret | None) -> str:
    """A `printf` command that writes *data*."""
    text = secret.text.encode("latin-1", "replace") if secret is not None else b""
    pieces = data.split(text) if text else [data]
    escaped = ["".join(map(_escape, piece)) for piece in pieces]
    if escaped[0].startswith("-"):
        escaped[0] = f"\\{ord('-'):03o}{escaped[0][1:]}"  # printf would take it for an option
    words = [secret.shell_word] * (len(pieces) - 1) if secret is not None else []
    return " ".join(("printf", f"'{'%s'.join(escaped)}'", *words))


def _commands(data: bytes, secret: Secret | None) -> Iterator[str]:
    """The commands that write *data* one after another: `printf`, and `yes` for repeated patterns."""
    at = 0
    for found in _REPEATED.finditer(data):
        if found.start() > at:
            yield printf_command(data[at : found.start()], secret)
        yield _repeating_command(found[1], len(found[0]))
        at = found.end()
    if at < len(data):
        yield printf_command(data[at:], secret)


def _repeating_command(pattern: bytes, length: int) -> str:
    """A command that writes a pattern again and again, *length* bytes in all."""
    is_plain = pattern.isascii() and pattern.decode("ascii").isprintable()
    word = shlex.quote(pattern.decode("ascii")) if is_plain else f'"$({printf_command(pattern, None)})"'
    dashes = "-- " * pattern.startswith(b"-")
    return f"yes {dashes}{word} | tr -d '\\n' | head -c {length}"


_PLAIN_BYTES = frozenset(range(0x20, 0x7F)) - frozenset(b"%'\\")
_NAMED_BYTES = {0x0D: r"\r", 0x0A: r"\n", 0x09: r"\t", 0x25: "%%", 0x5C: r"\\"}


def _escape(byte: int) -> str:
    """One byte in a format of `printf` between single quotes."""
    return chr(byte) if byte in _PLAIN_BYTES else _NAMED_BYTES.get(byte, f"\\{byte:03o}")
