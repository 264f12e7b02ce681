"""The requests of checks, which may be invalid on purpose: their bytes, and commands that reproduce them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace

from chainproof.clock import Seconds
from chainproof.contract.credentials import DEFAULT_KEY_VARIABLE, ApiKey
from chainproof.contract.header_fields import HeaderField
from chainproof.contract.openapi import METHOD, PATH
from chainproof.contract.route import Route
from chainproof.contract.target import Target
from chainproof.results.shell_command import (
    DIRECT_ROUTE,
    Secret,
    call_line,
    curl_line,
    is_sent_by_curl,
    variable_secret,
    writing_command,
)

JSON_TYPE = ("Content-Type", "application/json")

_CHUNK_SIZE = 7
"""Bytes of a chunk, so few that members and characters are split between chunks."""

_ACCEPT_JSON = ("Accept", "application/json")
"""With exactly this field, the service gathers the output of a chain that streams into one JSON text."""


def with_accept(fields: tuple[HeaderField, ...]) -> tuple[HeaderField, ...]:
    """The header fields of every request: those of the user, and an Accept unless the user gave one."""
    has_accept = any(name.lower() == "accept" for name, _ in fields)
    return fields if has_accept else (*fields, _ACCEPT_JSON)


@dataclass(frozen=True, slots=True, kw_only=True)
class CheckRequest:
    """A method, a path, header fields and a body. Only Host and the framing are added when it is sent."""

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
    is_compared: bool = True
    """Whether its answer is compared with those to equal inputs."""

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
        """Whether it is a valid HTTP message. Some servers parse multipart bodies early, and reject invalid ones in their own form."""
        is_multipart = any(value.lower().startswith("multipart/") for value in self.values("content-type"))
        return self.valid_message and (not is_multipart or (self.body or b"").startswith(b"--"))

    @property
    def has_transfer_coding(self) -> bool:
        """Whether the body is sent in chunks, or said to be."""
        head = (self.raw or b"").partition(b"\r\n\r\n")[0]
        return self.chunked or b"\r\ntransfer-encoding" in head.lower()

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
    """The API key as a secret; *variable* is the environment variable that has it."""
    return variable_secret(key.reveal(), variable)


def request_bytes(request: CheckRequest, target: Target) -> bytes:
    """The request's bytes."""
    if request.raw is not None:
        return request.raw
    head = [f"{request.method} {request.path} HTTP/1.1", f"Host: {request.host or target.authority}"]
    head += [f"{name}: {value}" for name, value in request.fields]
    head += [f"{name}: {value}" for name, value in _framing(request)]
    text = "\r\n".join(head).encode("latin-1") + b"\r\n\r\n"
    body = request.body or b""
    return text + (chunked(body, _CHUNK_SIZE) if request.chunked else body)


def _framing(request: CheckRequest) -> tuple[HeaderField, ...]:
    """The header field that says where the body ends."""
    if request.chunked:
        return (("Transfer-Encoding", "chunked"),)
    return () if request.body is None else (("Content-Length", str(len(request.body))),)


def chunked(body: bytes, size: int, form: str = "%x", extension: bytes = b"", trailer: bytes = b"") -> bytes:
    """A body in chunks of *size* bytes; *form* formats the size of each."""
    pieces = [body[start : start + size] for start in range(0, len(body), size)]
    chunks = [(form % len(piece)).encode() + extension + b"\r\n" + piece + b"\r\n" for piece in pieces]
    return b"".join(chunks) + (form % 0).encode() + extension + b"\r\n" + trailer + b"\r\n"


def reproduction_command(
    request: CheckRequest,
    target: Target,
    *,
    options: Sequence[str] = (),
    route: Route = DIRECT_ROUTE,
    deadline: Seconds | None = None,
    exact: bool = False,
) -> str:
    """
    A command that sends the request again by the same *route*; empty if it would be too long. The shell inserts the secret.

    It is a curl command where curl sends the same request, and *exact* bytes need not be shown. If a *deadline* was
    missed, the command waits as long. *options* are further ones of `chainproof call`.
    """
    host = (("Host", request.host),) if request.host is not None else ()
    url, headers = target.origin + request.path, (*host, *request.fields)
    is_plain = request.raw is None and not request.chunked and not exact and request.path.startswith("/")
    if is_plain and is_sent_by_curl(
        method=request.method, url=url, headers=headers, body=request.body, secret=request.secret
    ):
        return curl_line(
            method=request.method,
            url=url,
            headers=headers,
            body=request.body,
            secret=request.secret,
            route=route,
            deadline=deadline,
        )
    written = writing_command(request_bytes(request, target), request.secret)
    if written is None:
        return ""
    return call_line(written, target.url, options=options, route=route, deadline=deadline)
