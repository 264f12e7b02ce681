"""The received request, independent of sockets and HTTP parsing."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class ReceivedRequest:
    """Method, target, header fields and body of one request."""

    method: bytes
    target: bytes
    """The target of the request line: path and query, or an absolute URL (RFC 9112 §3.2)."""
    headers: tuple[tuple[bytes, bytes], ...]
    """Fields in order of arrival, repeated fields included. Names in lower case, values without surrounding white space."""
    body: bytes = b""
    length: int = 0
    """Length of the body as declared or received so far. A body above the limit is never stored."""

    def fields(self, name: bytes) -> list[bytes]:
        """All values of a header field, given in lower case."""
        return [value for key, value in self.headers if key == name]

    @property
    def path(self) -> bytes:
        """The path of the target, without query, scheme and authority."""
        target = self.target.partition(b"?")[0]
        if target.startswith(b"/"):
            return target
        authority, slash, path = target.partition(b"://")[2].partition(b"/")
        return slash + path if authority else target

    @property
    def host(self) -> bytes:
        """The requested host without port. An absolute target takes precedence over the Host header."""
        authority = self.target.partition(b"://")[2].partition(b"?")[0].partition(b"/")[0]
        if not authority or self.target.startswith(b"/"):
            authority = next(iter(self.fields(b"host")), b"")
        name, _, port = authority.rpartition(b":")
        return name if port.isdigit() else authority
