"""
From a target's name to a connection that a request can be sent over: resolved, connected, led through a proxy, secured.

One deadline holds for all of it, and each step is timed apart. Every line is opened for a request that waits for it.
"""

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

# As the standard library has them, patched or not: waiting is done here, on gevent's event loop.
_Socket = cast(type[socket.socket], get_original("socket", "socket"))
_resolve = get_original("socket", "getaddrinfo")

READ_SIZE = 1 << 16
"""What is read at once."""
_READ = 1
_WRITE = 2
_MOST_TUNNEL_BYTES = 1 << 16
"""What we are willing to read of a proxy's answer."""

SocketAddress = tuple[str, int] | tuple[str, int, int, int]
AddressInfo = tuple[int, int, int, SocketAddress]
"""Family, type, protocol and address, as getaddrinfo has them."""


_UNDER_WAY = frozenset({errno.EINPROGRESS, errno.EALREADY})
"""What connecting answers as long as it is not known how it ends."""


class SocketStream:
    """
    A connection as it is being opened: waiting on it blocks the greenlet that does.
    """

    __slots__ = ("_hub", "connect_time", "incoming", "outgoing", "socket", "stage", "tls", "tls_time")

    def __init__(self, hub: Any) -> None:
        self._hub = hub
        self.stage = RequestStage.RESOLVING
        self.socket: socket.socket | None = None
        self.tls: ssl.SSLObject | None = None
        self.incoming = self.outgoing = cast(ssl.MemoryBIO, None)  # under TLS alone
        self.connect_time: Seconds = 0.0
        self.tls_time: Seconds | None = None

    def connect(self, address: AddressInfo) -> None:
        """Connect. Raises OSError."""
        family, kind, protocol, name = address
        self.close()
        begun = time.monotonic()
        self.socket = made = _Socket(family, kind, protocol)
        made.setblocking(False)  # noqa: FBT003  # the standard library's
        made.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        enable_receive_timestamps(made)
        code = made.connect_ex(name)
        if code == errno.EINPROGRESS:
            # A near target has answered by now; whoever waits for the loop to say so is charged for what else it does.
            code = made.connect_ex(name)
        if code in _UNDER_WAY:
            self._wait(_WRITE)
            code = made.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
        elif code == errno.EISCONN:
            code = 0
        if code:
            raise OSError(code, os.strerror(code))
        self.connect_time = time.monotonic() - begun

    def start_tls(self, context: ssl.SSLContext, name: str) -> None:
        """Shake hands with the host *name*. Raises ssl.SSLError, or another OSError."""
        begun = time.monotonic()
        self.incoming, self.outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        self.tls = context.wrap_bio(self.incoming, self.outgoing, server_hostname=name)
        while True:
            try:
                self.tls.do_handshake()
            except ssl.SSLWantReadError:
                self._flush()
                self._fill()
            except ssl.SSLError:
                self._flush()  # the alert that tells the other side why
                raise
            else:
                self._flush()
                self.tls_time = time.monotonic() - begun
                return

    def send(self, octets: bytes) -> None:
        """Send them all, before there is any TLS. Raises OSError."""
        assert self.socket is not None
        left = memoryview(octets)
        while left:
            try:
                left = left[self.socket.send(left) :]
            except BlockingIOError:
                self._wait(_WRITE)

    def receive(self) -> bytes:
        """What has come in next, before there is any TLS; no bytes at the end. Raises OSError."""
        assert self.socket is not None
        while True:
            self._wait(_READ)
            try:
                return self.socket.recv(READ_SIZE)
            except BlockingIOError:
                continue

    def close(self) -> None:
        """End it at once."""
        if self.socket is not None:
            self.socket.close()
            self.socket = None

    def _wait(self, what: int) -> None:
        assert self.socket is not None
        watcher = self._hub.loop.io(self.socket.fileno(), what)
        try:
            self._hub.wait(watcher)
        finally:
            watcher.close()

    def _flush(self) -> None:
        if self.outgoing.pending:
            self.send(self.outgoing.read())

    def _fill(self) -> None:
        octets = self.receive()
        if octets:
            self.incoming.write(octets)
        else:
            self.incoming.write_eof()


class Connector:
    """
    How a process gets to its target.
    """

    def __init__(self, target: Target, route: Route) -> None:
        self._target = target
        self._route = route
        self._hub = gevent.get_hub()
        self._context = verifying_context(route.ca_file) if target.scheme == "https" else None
        self._addresses: tuple[AddressInfo, ...] = ()
        # Encoded here: the first use of the codec loads it, which takes milliseconds that no request should wait.
        hop = route.first_hop(target)
        self._host = hop.host.encode("idna")
        self._port = hop.port
        self._lookup: gevent.Greenlet | None = None

    def open(self, until: Seconds) -> SocketStream:
        """A new line, at the latest *until* that instant of the monotonic clock. Raises Failed."""
        line = SocketStream(self._hub)
        timeout = Timeout.start_new(max(until - time.monotonic(), 0.0))
        try:
            self._connect(line, self._resolved())
            self._tunnel(line)
            self._secure(line)
        except Timeout as fired:
            line.close()
            if fired is not timeout:
                raise
            raise deadline_exceeded(line.stage) from None
        except OSError as wrong:
            line.close()
            raise failure_from(wrong, line.stage) from None
        except BaseException:
            line.close()
            raise
        finally:
            timeout.close()
        return line

    def _connect(self, line: SocketStream, addresses: tuple[AddressInfo, ...]) -> None:
        """
        Connect to the first of the host's addresses that takes a connection.
        """
        line.stage = RequestStage.CONNECTING
        refusal: OSError | None = None
        for address in addresses:
            try:
                line.connect(address)
            except OSError as wrong:
                refusal = wrong
            else:
                return
        if refusal is None:
            raise RequestFailed(Transport.NAME_NOT_RESOLVED, "the name has no address")
        raise refusal

    def _tunnel(self, line: SocketStream) -> None:
        """
        Have the proxy lead the connection on to the target, where there is a proxy.
        """
        proxy = self._route.proxy
        if proxy is None:
            return
        line.stage = RequestStage.TUNNELLING
        try:
            _ask(line, proxy, proxy.connect_request(self._route.destination(self._target)))
        except OSError as wrong:
            said = f"{reason_of(wrong)}, at the proxy {proxy.address}"
            raise RequestFailed(transport_of(wrong, line.stage), said) from None

    def _secure(self, line: SocketStream) -> None:
        """
        Shake hands where the target asks for TLS.
        """
        if self._context is not None:
            line.stage = RequestStage.TLS_HANDSHAKE
            line.start_tls(self._context, self._target.host)

    def _resolved(self) -> tuple[AddressInfo, ...]:
        """
        The target's addresses: asked for once in a run, by one request for all that wait.
        """
        if not self._addresses:
            if self._lookup is None:
                self._lookup = gevent.spawn(self._look_up)
            lookup = self._lookup
            wrong = lookup.get()
            if wrong is not None:
                # Whoever comes next asks again.
                self._lookup = None if self._lookup is lookup else self._lookup
                raise wrong
        return self._addresses

    def _look_up(self) -> OSError | None:
        """
        Resolve the name in a thread of gevent's, an address at once; what went wrong, if anything did.
        """
        host, port = self._host, self._port
        try:
            found = _resolve(host, port, type=socket.SOCK_STREAM, flags=socket.AI_NUMERICHOST)
        except OSError:
            try:
                found = getaddrinfo(host, port, type=socket.SOCK_STREAM)
            except OSError as wrong:
                return wrong
        self._addresses = tuple((family, kind, protocol, name) for family, kind, protocol, _, name in found)
        return None


def _ask(line: SocketStream, proxy: Proxy, request: bytes) -> None:
    """
    Ask a proxy for a tunnel and await its consent. Raises Failed when it refuses, OSError when it is lost.
    """
    line.send(request)
    said = b""
    while b"\r\n\r\n" not in said:
        octets = line.receive()
        said += octets
        if not octets or len(said) > _MOST_TUNNEL_BYTES:
            break
    head, end, more = said.partition(b"\r\n\r\n")
    words = head.partition(b"\r\n")[0].split(b" ", 2)
    consented = len(words) > 1 and words[0].startswith(b"HTTP/1.") and words[1][:1] == b"2" and len(words[1]) == 3
    # Nobody but the proxy has spoken yet: what follows its consent is none of the target's.
    if not consented or not end or more:
        told = b" ".join(words[1:]).decode("latin-1")[:80] if words[0].startswith(b"HTTP/") else "no HTTP"
        raise RequestFailed(
            Transport.CONNECT_FAILED,
            f"the proxy {proxy.address} opened no tunnel: {told if said else 'closed before any answer'}",
        )


def verifying_context(ca_file: str | None = None) -> ssl.SSLContext:
    """
    TLS that verifies the certificate and the host's name, and speaks HTTP/1.1.

    Trusted is what SSL_CERT_FILE or SSL_CERT_DIR names, where one is set; else the system's store and certifi's; and
    the certificates in *ca_file* besides.
    """
    context = ssl.create_default_context()
    if not (os.environ.get("SSL_CERT_FILE") or os.environ.get("SSL_CERT_DIR")):
        context.load_verify_locations(certifi.where())
    if ca_file is not None:
        context.load_verify_locations(cafile=ca_file)
    context.set_alpn_protocols(["http/1.1"])
    return context
