"""
Bytes to and from a target over gevent, with the instant at which the kernel received them.

A channel is one TCP connection, bare or under TLS. Receiving returns the bytes and when they arrived: Linux stamps each
packet as it comes in (SO_TIMESTAMPNS), so an answer that waits in the socket's buffer while this process is busy is not
charged to the target. A read of several packets carries the stamp of the last, which is the one that completes an
answer. Where there is no stamp, or one that lies before the sending or after the present, the instant is that of the
read.

Under TLS the records go through memory buffers, so that the bare socket is still the one that is read.
"""

from __future__ import annotations

import errno
import os
import select
import socket
import ssl
import struct
import time
from contextlib import suppress
from typing import Protocol, cast

import certifi
import gevent
from gevent.monkey import get_original

from chainproof.clock import Seconds

# As the standard library has them, patched or not: waiting is done here, on gevent's event loop.
_Socket = cast(type[socket.socket], get_original("socket", "socket"))
_poll = get_original("select", "poll")

_SO_TIMESTAMPNS = 35
"""Linux: ask for the receive time of packets, and the type of the message that brings it. Python has no name for it."""
_TIMESPEC = struct.Struct("@ll")
_ANCILLARY = socket.CMSG_SPACE(_TIMESPEC.size)
_CHUNK = 1 << 16
_READ = 1
_WRITE = 2
_BILLION = 1_000_000_000

Address = tuple[int, int, int, tuple[str, int] | tuple[str, int, int, int]]
"""Family, type, protocol and address, as getaddrinfo has them."""


class Channel(Protocol):
    """
    One connection to the target.
    """

    def send(self, octets: bytes) -> None:
        """Send them all. Raises OSError."""
        ...

    def receive(self) -> tuple[bytes, Seconds]:
        """What has come in next, and when on the monotonic clock; no bytes at the orderly end. Raises OSError."""
        ...

    def quiet(self) -> bool:
        """Whether it is still open with nothing unread, as an idle connection should be."""
        ...

    def close(self) -> None:
        """End it at once."""
        ...


class Plain:
    """
    A bare TCP connection.
    """

    __slots__ = ("_hub", "_poll", "_readable", "_sent", "_socket")

    def __init__(self, address: Address) -> None:
        """
        Connect. Raises OSError.
        """
        family, kind, protocol, name = address
        self._hub = gevent.get_hub()
        self._socket = _Socket(family, kind, protocol)
        self._readable = None
        try:
            self._socket.settimeout(0.0)
            self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            _ask_for_stamps(self._socket)
            self._connect(name)
        except BaseException:
            self._socket.close()
            raise
        self._readable = self._hub.loop.io(self._socket.fileno(), _READ)
        self._poll = _poll()
        self._poll.register(self._socket.fileno(), select.POLLIN)
        self._sent = time.monotonic_ns()

    def _connect(self, name: tuple[str, int] | tuple[str, int, int, int]) -> None:
        code = self._socket.connect_ex(name)
        if code == errno.EINPROGRESS:
            self._wait_writable()
            code = self._socket.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
        if code:
            raise OSError(code, os.strerror(code))

    def send(self, octets: bytes) -> None:
        """Send them all. Raises OSError."""
        self._sent = time.monotonic_ns()
        left = memoryview(octets)
        while left:
            try:
                left = left[self._socket.send(left) :]
            except BlockingIOError:
                self._wait_writable()

    def receive(self) -> tuple[bytes, Seconds]:
        """What has come in next, and when; no bytes at the end. Raises OSError."""
        while True:
            self._hub.wait(self._readable)
            try:
                octets, ancillary, _, _ = self._socket.recvmsg(_CHUNK, _ANCILLARY)
            except BlockingIOError:
                continue
            return octets, self._instant(ancillary)

    def _instant(self, ancillary: list[tuple[int, int, bytes]]) -> Seconds:
        """
        When the kernel received what was just read, on the monotonic clock.
        """
        now = time.monotonic_ns()
        for level, kind, stamp in ancillary:
            if level == socket.SOL_SOCKET and kind == _SO_TIMESTAMPNS and len(stamp) == _TIMESPEC.size:
                seconds, nanoseconds = _TIMESPEC.unpack(stamp)
                # The stamp is wall-clock time: what matters is how long ago it was.
                instant = now - (time.time_ns() - (int(seconds) * _BILLION + int(nanoseconds)))
                if self._sent <= instant <= now:
                    return instant / _BILLION
        return now / _BILLION

    def quiet(self) -> bool:
        """Whether it is still open with nothing unread."""
        return not self._poll.poll(0)

    def close(self) -> None:
        """End it at once."""
        if self._readable is not None:
            self._readable.stop()
            self._readable.close()
            self._readable = None
        self._socket.close()

    def _wait_writable(self) -> None:
        watcher = self._hub.loop.io(self._socket.fileno(), _WRITE)
        try:
            self._hub.wait(watcher)
        finally:
            watcher.close()


class Secure:
    """
    TLS on a bare connection, by way of memory buffers.
    """

    __slots__ = ("_arrived", "_incoming", "_outgoing", "_plain", "_tls")

    def __init__(self, plain: Plain, context: ssl.SSLContext, name: str) -> None:
        """
        Shake hands with the host *name* on a connection. Raises ssl.SSLError, or another OSError.
        """
        self._plain = plain
        self._incoming = ssl.MemoryBIO()
        self._outgoing = ssl.MemoryBIO()
        self._tls = context.wrap_bio(self._incoming, self._outgoing, server_hostname=name)
        self._arrived: Seconds = 0.0
        while True:
            try:
                self._tls.do_handshake()
            except ssl.SSLWantReadError:
                self._flush()
                self._fill()
            except ssl.SSLError:
                self._flush()  # the alert that tells the other side why
                raise
            else:
                self._flush()
                return

    def send(self, octets: bytes) -> None:
        """Send them all. Raises OSError."""
        self._tls.write(octets)
        self._flush()

    def receive(self) -> tuple[bytes, Seconds]:
        """What has come in next, and when; no bytes at the orderly end. Raises ssl.SSLError when it was not one."""
        while True:
            try:
                octets = self._tls.read(_CHUNK)
            except ssl.SSLWantReadError:
                self._flush()
                self._fill()
            else:
                return octets, self._arrived

    def quiet(self) -> bool:
        """Whether it is still open with nothing unread; session tickets are read on the way."""
        while not self._plain.quiet():
            self._fill()
            try:
                self._tls.read(1)
            except ssl.SSLWantReadError:
                continue
            except ssl.SSLError:
                return False
            return False
        return True

    def close(self) -> None:
        """End it at once."""
        self._plain.close()

    def _flush(self) -> None:
        if self._outgoing.pending:
            self._plain.send(self._outgoing.read())

    def _fill(self) -> None:
        octets, self._arrived = self._plain.receive()
        if octets:
            self._incoming.write(octets)
        else:
            self._incoming.write_eof()


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


def _ask_for_stamps(connection: socket.socket) -> None:
    """
    Ask the kernel for receive times; one that has none to give is done without.
    """
    with suppress(OSError):
        connection.setsockopt(socket.SOL_SOCKET, _SO_TIMESTAMPNS, 1)
