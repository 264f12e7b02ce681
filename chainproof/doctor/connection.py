"""One connection to the target by its route, and requests on it: only the header of an answer is read."""

from __future__ import annotations

import http.client
import io
import re
import socket
import ssl
import time
from dataclasses import dataclass, field

from chainproof.clock import Seconds
from chainproof.contract.answer import REQUEST_ID_HEADER
from chainproof.contract.route import Route
from chainproof.contract.target import Target, TargetError, check_address
from chainproof.endpoint import tls_error_text

TIME_LIMIT: Seconds = 10.0
"""For connecting, for the TLS handshake, and for each answer."""
_MAX_HEAD = 1 << 16
_STATUS_LINE = re.compile(rb"HTTP/(\d\.\d) (\d{3})(?: |\r|$)")


class ConnectionFailed(Exception):
    """No connection or no HTTP answer. The message says why."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Head:
    """The header of an answer."""

    version: str
    status: int
    fields: http.client.HTTPMessage = field(repr=False)
    time: Seconds
    """From sending the request until the header was complete."""
    received_at: Seconds
    """The local time of day then, in seconds since 1970."""

    @property
    def keeps_connection(self) -> bool:
        """Whether the connection can be used again (RFC 9112 §9.3)."""
        options = self.fields.get("Connection", "").lower()
        return "close" not in options and (self.version != "1.0" or "keep-alive" in options)

    @property
    def is_json(self) -> bool:
        """Whether the body is JSON, by its media type."""
        media_type = self.fields.get_content_type() if "Content-Type" in self.fields else ""
        return media_type == "application/json" or media_type.endswith("+json")

    @property
    def has_request_id(self) -> bool:
        """Whether the answer has a request id."""
        return REQUEST_ID_HEADER in self.fields


class DoctorConnection:
    """A connection to the target."""

    def __init__(self, target: Target, route: Route) -> None:
        """Connect, through the proxy if there is one. Raises ConnectionFailed."""
        self._target = target
        hop = route.first_hop(target)
        start = time.monotonic()
        try:
            self._socket = socket.create_connection((hop.host, hop.port), timeout=TIME_LIMIT)
            check_address(target, str(self._socket.getpeername()[0]))
        except OSError as error:
            raise ConnectionFailed(reason_of(error)) from None
        except TargetError as error:
            self.close()
            raise ConnectionFailed(str(error)) from None
        self.connect_time = time.monotonic() - start
        self.tls: ssl.SSLSocket | None = None
        if route.proxy is not None:
            head = self._ask(route.proxy.connect_request(route.destination(target)))
            if head.status // 100 != 2:
                self.close()
                raise ConnectionFailed(f"the proxy {hop} answered {head.status} to CONNECT")

    def start_tls(self, context: ssl.SSLContext) -> Seconds:
        """Do the TLS handshake; returns how long it took. Raises ConnectionFailed."""
        start = time.monotonic()
        try:
            self._socket = self.tls = context.wrap_socket(self._socket, server_hostname=self._target.tls_name)
        except OSError as error:
            self.close()
            raise ConnectionFailed(reason_of(error)) from None
        return time.monotonic() - start

    def request(self, method: str, path: str, *fields: tuple[str, str], body: bytes = b"") -> Head:
        """Send a request and read the header of its answer. Raises ConnectionFailed."""
        length = [("Content-Length", str(len(body)))] if body else []
        lines = [f"{method} {path} HTTP/1.1", f"Host: {self._target.authority}"]
        lines += [f"{name}: {value}" for name, value in (("User-Agent", "chainproof-doctor"), *fields, *length)]
        return self._ask("\r\n".join((*lines, "", "")).encode("latin-1") + body)

    def close(self) -> None:
        """Close the connection."""
        self._socket.close()

    def _ask(self, octets: bytes) -> Head:
        start = time.monotonic()
        received = bytearray()
        try:
            self._socket.settimeout(TIME_LIMIT)
            self._socket.sendall(octets)
            # Byte by byte: with a proxy, bytes after the empty line belong to TLS.
            while not received.endswith(b"\r\n\r\n"):
                self._socket.settimeout(max(start + TIME_LIMIT - time.monotonic(), 0.001))
                byte = self._socket.recv(1)
                if not byte or len(received) > _MAX_HEAD:
                    break
                received += byte
        except OSError as error:
            self.close()
            raise ConnectionFailed(reason_of(error)) from None
        return _head(bytes(received), time.monotonic() - start)


def _head(received: bytes, took: Seconds) -> Head:
    """The header in the bytes that were received. Raises ConnectionFailed."""
    line, _, rest = received.partition(b"\n")
    match = _STATUS_LINE.match(line)
    if match is None or not received.endswith(b"\r\n\r\n"):
        found = "the connection was closed" if not received else "no HTTP/1.1 answer was sent"
        raise ConnectionFailed(f"{found} in reply to a request")
    try:
        fields = http.client.parse_headers(io.BytesIO(rest))
    except http.client.HTTPException:
        raise ConnectionFailed("an answer with an invalid header was sent") from None
    version, status = match[1].decode(), int(match[2])
    return Head(version=version, status=status, fields=fields, time=took, received_at=time.time())


def reason_of(error: OSError) -> str:
    """Why a connection failed, in a few words."""
    if isinstance(error, ssl.SSLCertVerificationError):
        return f"the certificate is not trusted: {error.verify_message.lower().rstrip('.')}"
    if isinstance(error, ssl.SSLError):
        return f"the TLS handshake failed: {tls_error_text(error)}"
    if isinstance(error, TimeoutError):
        return f"no answer within {TIME_LIMIT:g} s"
    return (error.strerror or str(error)).lower()
