"""Open connections to the target: name resolution, TCP connect, proxy tunnel and TLS handshake, under one deadline."""

from __future__ import annotations

import errno
import os
import socket
import ssl
import time
from typing import Any, cast

import certifi
import gevent
from gevent import Timeout
from gevent.monkey import get_original
from gevent.socket import getaddrinfo

from chainproof.clock import Seconds
from chainproof.contract.route import Proxy, Route
from chainproof.contract.target import Target
from chainproof.results.exchange import Transport

from .receive_timestamps import enable_receive_timestamps
from .transport_errors import RequestFailed, RequestStage, deadline_exceeded, failure_from, reason_of, transport_of

# The originals of the standard library, even if gevent patched it: this module waits on gevent's event loop itself.
_Socket = cast(type[socket.socket], get_original("socket", "socket"))
_getaddrinfo = get_original("socket", "getaddrinfo")

READ_SIZE = 1 << 16
"""Bytes per read."""
_READ = 1
_WRITE = 2
_MAX_PROXY_ANSWER_BYTES = 1 << 16

SocketAddress = tuple[str, int] | tuple[str, int, int, int]
AddressInfo = tuple[int, int, int, SocketAddress]
"""Family, type, protocol and address, as getaddrinfo returns them."""

_IN_PROGRESS = frozenset({errno.EINPROGRESS, errno.EALREADY})
"""Codes of connect while its result is unknown."""


class SocketStream:
    """A socket with its TLS state. Until the connection is open, its methods block the calling greenlet."""

    __slots__ = ("_hub", "connect_time", "incoming", "outgoing", "socket", "stage", "tls", "tls_time")

    def __init__(self, hub: Any) -> None:
        self._hub = hub
        self.stage = RequestStage.RESOLVING
        self.socket: socket.socket | None = None
        self.tls: ssl.SSLObject | None = None
        self.incoming = self.outgoing = cast(ssl.MemoryBIO, None)  # set under TLS only
        self.connect_time: Seconds = 0.0
        self.tls_time: Seconds | None = None

    def connect(self, address: AddressInfo) -> None:
        """Connect. Raises OSError."""
        family, kind, protocol, name = address
        self.close()
        start = time.monotonic()
        self.socket = new = _Socket(family, kind, protocol)
        new.setblocking(False)  # noqa: FBT003  # signature of the standard library
        new.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        enable_receive_timestamps(new)
        code = new.connect_ex(name)
        if code == errno.EINPROGRESS:
            # Retry connect before polling, so that event-loop delay is not counted as connect time.
            code = new.connect_ex(name)
        if code in _IN_PROGRESS:
            self._wait(_WRITE)
            code = new.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
        elif code == errno.EISCONN:
            code = 0
        if code:
            raise OSError(code, os.strerror(code))
        self.connect_time = time.monotonic() - start

    def start_tls(self, context: ssl.SSLContext, name: str) -> None:
        """Do the TLS handshake with the host *name*. Raises OSError, ssl.SSLError included."""
        start = time.monotonic()
        self.incoming, self.outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        self.tls = context.wrap_bio(self.incoming, self.outgoing, server_hostname=name)
        while True:
            try:
                self.tls.do_handshake()
            except ssl.SSLWantReadError:
                self._flush()
                self._fill()
            except ssl.SSLError:
                self._flush()  # send the TLS alert
                raise
            else:
                self._flush()
                self.tls_time = time.monotonic() - start
                return

    def send(self, data: bytes) -> None:
        """Send all bytes, unencrypted. Raises OSError."""
        assert self.socket is not None
        left = memoryview(data)
        while left:
            try:
                left = left[self.socket.send(left) :]
            except BlockingIOError:
                self._wait(_WRITE)

    def receive(self) -> bytes:
        """The next bytes received, not decrypted; empty at the end of the stream. Raises OSError."""
        assert self.socket is not None
        while True:
            self._wait(_READ)
            try:
                return self.socket.recv(READ_SIZE)
            except BlockingIOError:
                continue

    def close(self) -> None:
        """Close the socket."""
        if self.socket is not None:
            self.socket.close()
            self.socket = None

    def _wait(self, events: int) -> None:
        assert self.socket is not None
        watcher = self._hub.loop.io(self.socket.fileno(), events)
        try:
            self._hub.wait(watcher)
        finally:
            watcher.close()

    def _flush(self) -> None:
        if self.outgoing.pending:
            self.send(self.outgoing.read())

    def _fill(self) -> None:
        data = self.receive()
        if data:
            self.incoming.write(data)
        else:
            self.incoming.write_eof()


class Connector:
    """Opens connections to one target, through a proxy if there is one."""

    def __init__(self, target: Target, route: Route) -> None:
        self._target = target
        self._route = route
        self._hub = gevent.get_hub()
        self._context = verifying_context(route.ca_file) if target.scheme == "https" else None
        self._addresses: tuple[AddressInfo, ...] = ()
        # Encode now: the first use of the codec takes milliseconds, which must not delay a request.
        hop = route.first_hop(target)
        self._host = hop.host.encode("idna")
        self._port = hop.port
        self._lookup: gevent.Greenlet | None = None

    def open(self, deadline: Seconds) -> SocketStream:
        """A new connection before *deadline*, an instant of the monotonic clock. Raises RequestFailed."""
        stream = SocketStream(self._hub)
        timeout = Timeout.start_new(max(deadline - time.monotonic(), 0.0))
        try:
            self._connect(stream, self._resolve())
            self._open_tunnel(stream)
            self._start_tls(stream)
        except Timeout as fired:
            stream.close()
            if fired is not timeout:
                raise
            raise deadline_exceeded(stream.stage) from None
        except OSError as error:
            stream.close()
            raise failure_from(error, stream.stage) from None
        except BaseException:
            stream.close()
            raise
        finally:
            timeout.close()
        return stream

    def _connect(self, stream: SocketStream, addresses: tuple[AddressInfo, ...]) -> None:
        """Connect to the first address that accepts a connection."""
        stream.stage = RequestStage.CONNECTING
        last_error: OSError | None = None
        for address in addresses:
            try:
                stream.connect(address)
            except OSError as error:
                last_error = error
            else:
                return
        if last_error is None:
            raise RequestFailed(Transport.NAME_NOT_RESOLVED, "the host name has no address")
        raise last_error

    def _open_tunnel(self, stream: SocketStream) -> None:
        """Open a tunnel to the target if there is a proxy."""
        proxy = self._route.proxy
        if proxy is None:
            return
        stream.stage = RequestStage.TUNNELLING
        try:
            _connect_through(stream, proxy, proxy.connect_request(self._route.destination(self._target)))
        except OSError as error:
            reason = f"{reason_of(error)}, at the proxy {proxy.address}"
            raise RequestFailed(transport_of(error, stream.stage), reason) from None

    def _start_tls(self, stream: SocketStream) -> None:
        if self._context is not None:
            stream.stage = RequestStage.TLS_HANDSHAKE
            stream.start_tls(self._context, self._target.tls_name)

    def _resolve(self) -> tuple[AddressInfo, ...]:
        """The addresses of the target. Resolved once per run, with one lookup for all greenlets that wait. Raises OSError."""
        if not self._addresses:
            if self._lookup is None:
                self._lookup = gevent.spawn(self._look_up)
            lookup = self._lookup
            error = lookup.get()
            if error is not None:
                # The next request resolves the name again.
                self._lookup = None if self._lookup is lookup else self._lookup
                raise error
        return self._addresses

    def _look_up(self) -> OSError | None:
        """Resolve the name in gevent's thread pool; returns the error, if any. A literal address needs no lookup."""
        host, port = self._host, self._port
        try:
            found = _getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_NUMERICHOST)
        except OSError:
            try:
                found = getaddrinfo(host, port, type=socket.SOCK_STREAM)
            except OSError as error:
                return error
        self._addresses = tuple((family, kind, protocol, name) for family, kind, protocol, _, name in found)
        return None


def _connect_through(stream: SocketStream, proxy: Proxy, request: bytes) -> None:
    """Send a CONNECT request to a proxy and read its answer. Raises RequestFailed if it is not 2xx, and OSError."""
    stream.send(request)
    answer = b""
    while b"\r\n\r\n" not in answer:
        data = stream.receive()
        answer += data
        if not data or len(answer) > _MAX_PROXY_ANSWER_BYTES:
            break
    head, end, rest = answer.partition(b"\r\n\r\n")
    words = head.partition(b"\r\n")[0].split(b" ", 2)
    accepted = len(words) > 1 and words[0].startswith(b"HTTP/1.") and words[1][:1] == b"2" and len(words[1]) == 3
    # The target has received nothing yet, so bytes after the answer cannot come from it.
    if not accepted or not end or rest:
        status = b" ".join(words[1:]).decode("latin-1")[:80] if words[0].startswith(b"HTTP/") else "not HTTP"
        raise RequestFailed(
            Transport.CONNECT_FAILED,
            f"the proxy {proxy.address} did not open a tunnel: {status if answer else 'closed before any answer'}",
        )


def verifying_context(ca_file: str | None = None) -> ssl.SSLContext:
    """
    A TLS context that verifies the certificate and the host name, and offers HTTP/1.1.

    It trusts the certificates that SSL_CERT_FILE or SSL_CERT_DIR names if one is set, otherwise those of the system and
    of certifi; in addition those in *ca_file*.
    """
    context = ssl.create_default_context()
    if not (os.environ.get("SSL_CERT_FILE") or os.environ.get("SSL_CERT_DIR")):
        context.load_verify_locations(certifi.where())
    if ca_file is not None:
        context.load_verify_locations(cafile=ca_file)
    context.set_alpn_protocols(["http/1.1"])
    return context
