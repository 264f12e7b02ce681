"""
The requests of checks, which may be invalid on purpose: their bytes, and commands that reproduce them.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field, replace

from chainproof.clock import Seconds
from chainproof.contract.credentials import DEFAULT_KEY_VARIABLE, ApiKey
from chainproof.contract.header_fields import HeaderField
from chainproof.contract.openapi import METHOD, PATH
from chainproof.contract.route import Route
from chainproof.contract.target import Target
from chainproof.results.curl import DIRECT_ROUTE, curl_line

JSON_TYPE = ("Content-Type", "application/json")


@dataclass(frozen=True, slots=True, kw_only=True)
class Secret:
    """
    A text in a request that must never be shown, and the shell word that stands for it.
    """

    text: str = field(repr=False)
    """The text as it is in the request."""
    shell_word: str
    """The double-quoted word that replaces it in a curl command."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CheckRequest:
    """
    A method, a path, header fields and a body. Only Host and the framing are added when it is sent.
    """

    method: str = METHOD
    path: str = PATH
    """The request target, a query included."""
    operation: str = PATH
    """The path of the operation on the target."""
    host: str | None = None
    """The Host header, if it is not the target's own."""
    fields: tuple[HeaderField, ...] = field(default=(), repr=False)
    """In the order and the letter case in which they are sent."""
    body: bytes | None = None
    """None: no body and no Content-Length. Empty: a body of 0 bytes."""
    chunked: bool = False
    valid_message: bool = True
    """False: the HTTP server may reject it in its own form, before it looks at the path."""
    raw: bytes | None = field(default=None, repr=False)
    """The bytes to send instead, for requests with special framing. The other fields then say what they mean."""
    secret: Secret | None = field(default=None, repr=False)
    label: str = ""
    """What is special about the request, to complete "status 200 to …"."""

    @property
    def is_for_operation(self) -> bool:
        """Whether it is a valid message with the operation's method and path, on the target's own host."""
        return (
            self.method == METHOD
            and self.path.partition("?")[0] == self.operation
            and self.host is None
            and self.is_valid
        )

    @property
    def is_valid(self) -> bool:
        """
        Whether it is a valid HTTP message. Some servers parse multipart bodies early, and reject invalid ones in their own form.
        """
        is_multipart = any(value.lower().startswith("multipart/") for value in self.values("content-type"))
        return self.valid_message and (not is_multipart or (self.body or b"").startswith(b"--"))

    @property
    def has_no_length(self) -> bool:
        """Whether it states no length of a body, not even 0."""
        return self.body is None and not self.chunked and self.raw is None and not self.values("content-length")

    def with_fields(self, fields: tuple[HeaderField, ...]) -> CheckRequest:
        """The same request with further fields, except those whose names it has already."""
        own = {name.lower() for name, _ in self.fields}
        return replace(self, fields=self.fields + tuple(each for each in fields if each[0].lower() not in own))

    def values(self, name: str) -> tuple[str, ...]:
        """All values of a header field."""
        return tuple(value for key, value in self.fields if key.lower() == name.lower())

    @property
    def size(self) -> tuple[int, int]:
        """Sorts requests by size: the smaller of two is the better evidence."""
        return (len(self.body or b""), len(self.path) + sum(len(name) + len(value) for name, value in self.fields))


def key_secret(key: ApiKey, variable: str = DEFAULT_KEY_VARIABLE) -> Secret:
    """
    The API key as a secret; *variable* is the environment variable that has it.
    """
    return Secret(text=key.reveal(), shell_word=f'"${{{variable}}}"')


def request_bytes(request: CheckRequest, target: Target) -> bytes:
    """
    The request's bytes.
    """
    if request.raw is not None:
        return request.raw
    head = [f"{request.method} {request.path} HTTP/1.1", f"Host: {request.host or target.authority}"]
    head += [f"{name}: {value}" for name, value in request.fields]
    head += [f"{name}: {value}" for name, value in _framing(request)]
    text = "\r\n".join(head).encode("latin-1") + b"\r\n\r\n"
    body = request.body or b""
    return text + (b"".join(_chunks(body)) if request.chunked else body)


def _framing(request: CheckRequest) -> tuple[HeaderField, ...]:
    """
    The header field that says where the body ends.
    """
    if request.chunked:
        return (("Transfer-Encoding", "chunked"),)
    return () if request.body is None else (("Content-Length", str(len(request.body))),)


def _chunks(body: bytes, size: int = 7) -> Iterator[bytes]:
    """
    The body in small chunks, so that members and characters are split between chunks.
    """
    for start in range(0, len(body), size):
        piece = body[start : start + size]
        yield b"%x\r\n%s\r\n" % (len(piece), piece)
    yield b"0\r\n\r\n"


_PLACE = "CHAINPROOF_SECRET"


def reproduction_command(
    request: CheckRequest, target: Target, *, route: Route = DIRECT_ROUTE, deadline: Seconds | None = None
) -> str:
    """
    A curl command that sends the request again by the same *route*. The shell inserts the secret. If a *deadline* was
    missed, curl waits as long.
    """
    if request.raw is not None:
        return _printf_command(request, target)
    host = (("Host", request.host),) if request.host is not None else ()
    coding = (("Transfer-Encoding", "chunked"),) if request.chunked else ()
    line = curl_line(
        method=request.method,
        url=target.origin + request.path,
        headers=(*host, *request.fields, *coding),
        body=request.body,
        key=ApiKey(request.secret.text) if request.secret else None,
        variable=_PLACE,
        route=route,
        deadline=deadline,
    )
    return line.replace(f'"${{{_PLACE}}}"', request.secret.shell_word) if request.secret else line


_PLAIN_BYTES = frozenset(range(0x20, 0x7F)) - frozenset(b"%'\\")
_NAMED_BYTES = {0x0D: r"\r", 0x0A: r"\n", 0x09: r"\t", 0x25: "%%", 0x5C: r"\\"}


def _printf_command(request: CheckRequest, target: Target) -> str:
    """
    A shell command that sends the exact bytes of a request, which curl would correct.
    """
    assert request.raw is not None
    pieces = request.raw.split(request.secret.text.encode("latin-1")) if request.secret else [request.raw]
    words = [request.secret.shell_word] * (len(pieces) - 1) if request.secret else []
    text = "%s".join("".join(map(_printf_escape, piece)) for piece in pieces)
    host = target.host.strip("[]")
    connect = f"nc {host} {target.port}"
    if target.scheme == "https":
        connect = f"openssl s_client -quiet -connect {target.authority} -servername {host}"
    return " ".join(("printf", f"'{text}'", *words, "|", connect))


def _printf_escape(byte: int) -> str:
    """
    One byte in a format of printf between single quotes.
    """
    return chr(byte) if byte in _PLAIN_BYTES else _NAMED_BYTES.get(byte, f"\\{byte:03o}")
