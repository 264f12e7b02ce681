"""
One request as it arrived, before anyone judged it. Knows nothing of sockets, and of HTTP no more than its nouns.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class ReceivedRequest:
    """
    Method, target, header fields and body of one request.
    """

    method: bytes
    target: bytes
    """As in the request line: path and query, or a whole URL (RFC 9112 §3.2)."""
    headers: tuple[tuple[bytes, bytes], ...]
    """Names in lower case, values without surrounding blanks, in wire order, repeated fields repeated."""
    body: bytes = b""
    length: int = 0
    """The body's bytes as declared or as seen so far: a body over the limit is never held in memory."""

    def fields(self, name: bytes) -> list[bytes]:
        """Every value of a header field; the name in lower case."""
        return [value for key, value in self.headers if key == name]

    @property
    def path(self) -> bytes:
        """The target without its query, and without scheme and authority where it is a whole URL."""
        target = self.target.partition(b"?")[0]
        if target.startswith(b"/"):
            return target
        authority, slash, path = target.partition(b"://")[2].partition(b"/")
        return slash + path if authority else target

    @property
    def host(self) -> bytes:
        """The host asked for, without its port: that of a whole-URL target before that of the Host field."""
        authority = self.target.partition(b"://")[2].partition(b"?")[0].partition(b"/")[0]
        if not authority or self.target.startswith(b"/"):
            authority = next(iter(self.fields(b"host")), b"")
        name, _, port = authority.rpartition(b":")
        return name if port.isdigit() else authority
