"""
TCP connections on bare sockets: bytes in with the instant the kernel received them, bytes out with the instant they left.

The loop's own transports read without ancillary data, so that the kernel's receive timestamps would be lost, and do not
say when the last byte went. This one does both and no more. SO_TIMESTAMPNS counts CLOCK_REALTIME; one read of several
segments carries the time of the last.
"""

from __future__ import annotations

import asyncio
import errno
import socket
import struct
from collections import deque
from collections.abc import Callable
from time import CLOCK_REALTIME, clock_gettime
from typing import Protocol

from chainproof.clock import Seconds

SO_TIMESTAMPNS = 35
"""From the kernel's asm-generic/socket.h; Python does not name it. Connections inherit it from the listening socket."""

_TIMESPEC = struct.Struct("ll")
_ANCILLARY = socket.CMSG_SPACE(_TIMESPEC.size)
_READ_SIZE = 1 << 18
_HIGH_WATER = 1 << 20
"""Bytes waiting to be sent above which nothing more is read."""
_NO_LINGER = struct.pack("ii", 1, 0)
_LINGER: Seconds = 2.0
"""How long what a client still sends is thrown away before the connection is cut: a reset would destroy the answer."""


class ConnectionCallbacks(Protocol):
    """
    Whoever speaks over a connection.
    """

    def data_received(self, data: memoryview) -> None:
        """Bytes have come; they are the caller's again when this returns."""
        ...

    def eof_received(self) -> None:
        """The other side sends no more."""
        ...

    def connection_lost(self) -> None:
        """Nothing more will come or can be sent."""
        ...


class TcpConnection:
    """
    One accepted connection.
    """

    __slots__ = ("_buffer", "_closing", "_fd", "_linger", "_loop", "_out", "_paused", "_sock", "_waiting", "kernel_timestamp",
                 "protocol", "received_at")  # fmt: skip

    def __init__(self, loop: asyncio.AbstractEventLoop, sock: socket.socket, buffer: bytearray) -> None:
        self.received_at: Seconds = 0.0
        """When the latest bytes came, by CLOCK_REALTIME."""
        self.kernel_timestamp = False
        """Whether the kernel said so; else it is when we read them."""
        self.protocol: ConnectionCallbacks | None = None
        self._loop = loop
        self._sock = sock
        self._fd = sock.fileno()
        self._buffer = buffer
        self._out: deque[tuple[memoryview, Callable[[Seconds], None] | None]] = deque()
        self._waiting = 0
        self._paused = False
        self._closing = False
        self._linger: asyncio.TimerHandle | None = None

    def start(self, protocol: ConnectionCallbacks) -> None:
        """Begin to read for whoever speaks over it."""
        self.protocol = protocol
        self._loop.add_reader(self._fd, self._readable)

    def send(self, data: bytes, sent: Callable[[Seconds], None] | None = None) -> None:
        """Send, now or as soon as the kernel takes it; *sent* is told when the kernel has taken the last byte."""
        if self.protocol is None or self._closing:
            return
        rest = memoryview(data)
        if not self._out:
            try:
                rest = rest[self._sock.send(rest) :]
            except BlockingIOError:
                pass
            except OSError:
                self._lost()
                return
            if not rest:
                if sent is not None:
                    sent(clock_gettime(CLOCK_REALTIME))
                return
            self._loop.add_writer(self._fd, self._writable)
        self._out.append((rest, sent))
        self._waiting += len(rest)
        if self._waiting > _HIGH_WATER:
            self.pause()

    def pause(self) -> None:
        """Read nothing until `resume`: the client has asked for more than is being answered."""
        # A descriptor that has been let go may already be another connection's.
        if self.protocol is not None:
            self._paused = True
            self._loop.remove_reader(self._fd)

    def resume(self) -> None:
        """Read again."""
        if self._paused and self.protocol is not None and self._waiting <= _HIGH_WATER:
            self._paused = False
            self._loop.add_reader(self._fd, self._readable)

    def close(self) -> None:
        """Send what is waiting, then end the connection so that the client can still read it."""
        if self._closing or self.protocol is None:
            return
        self._closing = True
        if not self._out:
            self._finish()

    def abort(self) -> None:
        """End it at once."""
        self._lost()

    def reset(self) -> None:
        """End it at once, with a reset: the other side may lose what it has not read yet."""
        if self.protocol is not None:
            self._sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _NO_LINGER)
            self._lost()

    def _readable(self) -> None:
        """
        Read once and pass it on.
        """
        try:
            size, ancillary, _, _ = self._sock.recvmsg_into((self._buffer,), _ANCILLARY)
        except (BlockingIOError, InterruptedError):
            return
        except OSError:
            self._lost()
            return
        if size == 0:
            self._ended()
            return
        if self._closing:
            return  # thrown away: see _LINGER
        if ancillary and ancillary[0][1] == SO_TIMESTAMPNS:
            seconds, nanoseconds = _TIMESPEC.unpack(ancillary[0][2])
            self.received_at = seconds + nanoseconds * 1e-9
            self.kernel_timestamp = True
        else:
            self.received_at = clock_gettime(CLOCK_REALTIME)
            self.kernel_timestamp = False
        assert self.protocol is not None
        self.protocol.data_received(memoryview(self._buffer)[:size])

    def _ended(self) -> None:
        """
        Tell that the other side sends no more.
        """
        self._loop.remove_reader(self._fd)
        if self._closing or self.protocol is None:
            self._lost()
        else:
            self._paused = True  # reading on would tell the same again
            self.protocol.eof_received()

    def _writable(self) -> None:
        """
        Send on from where the kernel had enough.
        """
        while self._out:
            data, sent = self._out[0]
            try:
                size = self._sock.send(data)
            except (BlockingIOError, InterruptedError):
                return
            except OSError:
                self._lost()
                return
            self._waiting -= size
            if size < len(data):
                self._out[0] = (data[size:], sent)
                return
            self._out.popleft()
            if sent is not None:
                sent(clock_gettime(CLOCK_REALTIME))
        self._loop.remove_writer(self._fd)
        if self._closing:
            self._finish()
        else:
            self.resume()

    def _finish(self) -> None:
        """
        Say that nothing more comes, and throw away what does until the client closes, or long enough.
        """
        try:
            self._sock.shutdown(socket.SHUT_WR)
        except OSError:
            self._lost()
            return
        if self._paused:
            self._paused = False
            self._loop.add_reader(self._fd, self._readable)
        self._linger = self._loop.call_later(_LINGER, self._lost)

    def _lost(self) -> None:
        """
        Let go of the socket, once.
        """
        protocol, self.protocol = self.protocol, None
        if protocol is None:
            return
        self._loop.remove_reader(self._fd)
        self._loop.remove_writer(self._fd)
        if self._linger is not None:
            self._linger.cancel()
        self._out.clear()
        self._sock.close()
        protocol.connection_lost()


class Listener:
    """
    A listening socket that turns whoever connects into a connection.
    """

    def __init__(
        self, loop: asyncio.AbstractEventLoop, sock: socket.socket, accept: Callable[[TcpConnection], None]
    ) -> None:
        self._loop = loop
        self._sock = sock
        self._accept = accept
        # One buffer serves all connections: one read is passed on whole before the next.
        self._buffer = bytearray(_READ_SIZE)
        loop.add_reader(sock.fileno(), self._acceptable)

    def close(self) -> None:
        """Take no more connections."""
        self._loop.remove_reader(self._sock.fileno())
        self._sock.close()

    def _acceptable(self) -> None:
        """
        Accept whoever waits, a few at a time so that those already here are not kept waiting.
        """
        for _ in range(64):
            try:
                sock, _address = self._sock.accept()
            except OSError as wrong:
                if wrong.errno in (errno.EMFILE, errno.ENFILE):
                    self._breathe()
                return
            sock.settimeout(0)
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            self._accept(TcpConnection(self._loop, sock, self._buffer))

    def _breathe(self) -> None:
        """
        Wait until connections have ended: no more descriptors are to be had.
        """
        fd = self._sock.fileno()
        self._loop.remove_reader(fd)
        self._loop.call_later(0.1, lambda: self._sock.fileno() == fd and self._loop.add_reader(fd, self._acceptable))


def listening_socket(host: str, port: int) -> socket.socket:
    """
    A listening socket whose connections tell when their bytes were received. Raises OSError.
    """
    family, kind, protocol, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
    sock = socket.socket(family, kind, protocol)
    try:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        sock.setsockopt(socket.SOL_SOCKET, SO_TIMESTAMPNS, 1)
        sock.settimeout(0)
        sock.bind(address)
        sock.listen(4096)
    except OSError:
        sock.close()
        raise
    return sock
