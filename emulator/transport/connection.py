"""
TCP connections on plain sockets that report when bytes were received and when the last byte was sent.

The event loop's transports discard the kernel's receive timestamps and do not report when the last byte was sent.
SO_TIMESTAMPNS uses CLOCK_REALTIME; when one read returns several segments, the timestamp is that of the last.
"""

from __future__ import annotations

import asyncio
import errno
import socket
import struct
import sys
from collections import deque
from collections.abc import Callable
from time import CLOCK_REALTIME, clock_gettime
from typing import Protocol

from chainproof.clock import Seconds
from chainproof.linux import SO_TIMESTAMPNS, TIMESPEC
from chainproof.machine_faults import system_fault

_ANCILLARY = socket.CMSG_SPACE(TIMESPEC.size)
_READ_SIZE = 1 << 18
_HIGH_WATER = 1 << 20
"""Unsent bytes above which reading pauses."""
_NO_LINGER = struct.pack("ii", 1, 0)
_LINGER: Seconds = 2.0
"""Seconds during which further input is discarded before the connection closes: a reset would destroy the answer."""


class ConnectionCallbacks(Protocol):
    """The protocol that uses a connection."""

    def data_received(self, data: memoryview) -> None:
        """Bytes have arrived. The buffer is reused after this call."""
        ...

    def eof_received(self) -> None:
        """The client sends no more."""
        ...

    def connection_lost(self) -> None:
        """The connection has ended."""
        ...


class TcpConnection:
    """One accepted connection."""

    __slots__ = ("_buffer", "_closing", "_fd", "_linger", "_loop", "_out", "_paused", "_sock", "_unsent_bytes", "kernel_timestamp",
                 "protocol", "received_at")  # fmt: skip

    def __init__(self, loop: asyncio.AbstractEventLoop, sock: socket.socket, buffer: bytearray) -> None:
        self.received_at: Seconds = 0.0
        """When the latest bytes arrived (CLOCK_REALTIME)."""
        self.kernel_timestamp = False
        """Whether `received_at` comes from the kernel; otherwise it is the time of the read."""
        self.protocol: ConnectionCallbacks | None = None
        self._loop = loop
        self._sock = sock
        self._fd = sock.fileno()
        self._buffer = buffer
        self._out: deque[tuple[memoryview, Callable[[Seconds], None] | None]] = deque()
        self._unsent_bytes = 0
        self._paused = False
        self._closing = False
        self._linger: asyncio.TimerHandle | None = None

    def start(self, protocol: ConnectionCallbacks) -> None:
        """Start to read for a protocol."""
        self.protocol = protocol
        self._loop.add_reader(self._fd, self._readable)

    def send(self, data: bytes, on_sent: Callable[[Seconds], None] | None = None) -> None:
        """Send now, or once the kernel accepts more. *on_sent* is called when the kernel has accepted the last byte."""
        if self.protocol is None or self._closing:
            return
        unsent = memoryview(data)
        if not self._out:
            try:
                unsent = unsent[self._sock.send(unsent) :]
            except BlockingIOError:
                pass
            except OSError:
                self._release()
                return
            if not unsent:
                if on_sent is not None:
                    on_sent(clock_gettime(CLOCK_REALTIME))
                return
            self._loop.add_writer(self._fd, self._writable)
        self._out.append((unsent, on_sent))
        self._unsent_bytes += len(unsent)
        if self._unsent_bytes > _HIGH_WATER:
            self.pause()

    def pause(self) -> None:
        """Stop reading until `resume`: the client sends faster than it is answered."""
        # A released descriptor may already belong to another connection.
        if self.protocol is not None:
            self._paused = True
            self._loop.remove_reader(self._fd)

    def resume(self) -> None:
        """Read again."""
        if self._paused and self.protocol is not None and self._unsent_bytes <= _HIGH_WATER:
            self._paused = False
            self._loop.add_reader(self._fd, self._readable)

    def close(self) -> None:
        """Send unsent bytes, then close so that the client can still read the answer."""
        if self._closing or self.protocol is None:
            return
        self._closing = True
        if not self._out:
            self._half_close()

    def abort(self) -> None:
        """Close at once."""
        self._release()

    def reset(self) -> None:
        """Close at once with a TCP reset; the client may lose unread bytes."""
        if self.protocol is not None:
            self._sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _NO_LINGER)
            self._release()

    def _readable(self) -> None:
        """Read once."""
        try:
            size, ancillary, _, _ = self._sock.recvmsg_into((self._buffer,), _ANCILLARY)
        except (BlockingIOError, InterruptedError):
            return
        except OSError:
            self._release()
            return
        if size == 0:
            self._end_of_stream()
            return
        if self._closing:
            return  # discarded: see _LINGER
        if ancillary and ancillary[0][1] == SO_TIMESTAMPNS:
            seconds, nanoseconds = TIMESPEC.unpack(ancillary[0][2])
            self.received_at = seconds + nanoseconds * 1e-9
            self.kernel_timestamp = True
        else:
            self.received_at = clock_gettime(CLOCK_REALTIME)
            self.kernel_timestamp = False
        assert self.protocol is not None
        self.protocol.data_received(memoryview(self._buffer)[:size])

    def _end_of_stream(self) -> None:
        """Report that the client sends no more."""
        self._loop.remove_reader(self._fd)
        if self._closing or self.protocol is None:
            self._release()
        else:
            self._paused = True  # reading again would report the same end
            self.protocol.eof_received()

    def _writable(self) -> None:
        """Send more of the unsent bytes."""
        while self._out:
            data, on_sent = self._out[0]
            try:
                size = self._sock.send(data)
            except (BlockingIOError, InterruptedError):
                return
            except OSError:
                self._release()
                return
            self._unsent_bytes -= size
            if size < len(data):
                self._out[0] = (data[size:], on_sent)
                return
            self._out.popleft()
            if on_sent is not None:
                on_sent(clock_gettime(CLOCK_REALTIME))
        self._loop.remove_writer(self._fd)
        if self._closing:
            self._half_close()
        else:
            self.resume()

    def _half_close(self) -> None:
        """Close the sending side, and discard input until the client closes or `_LINGER` has passed."""
        try:
            self._sock.shutdown(socket.SHUT_WR)
        except OSError:
            self._release()
            return
        if self._paused:
            self._paused = False
            self._loop.add_reader(self._fd, self._readable)
        self._linger = self._loop.call_later(_LINGER, self._release)

    def _release(self) -> None:
        """Close the socket once."""
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
    """Accepts connections on a listening socket."""

    def __init__(
        self, loop: asyncio.AbstractEventLoop, sock: socket.socket, accept: Callable[[TcpConnection], None]
    ) -> None:
        self._loop = loop
        self._sock = sock
        self._accept = accept
        self._has_reported = False
        # One buffer for all connections: each read is processed before the next.
        self._buffer = bytearray(_READ_SIZE)
        loop.add_reader(sock.fileno(), self._accept_ready)

    def close(self) -> None:
        """Stop accepting."""
        self._loop.remove_reader(self._sock.fileno())
        self._sock.close()

    def _accept_ready(self) -> None:
        """Accept a limited number of waiting connections, so that existing ones are served in between."""
        for _ in range(64):
            try:
                sock, _address = self._sock.accept()
            except OSError as error:
                if error.errno in (errno.EMFILE, errno.ENFILE):
                    self._report_no_files(error)
                    self._pause_accepting()
                return
            sock.settimeout(0)
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            self._accept(TcpConnection(self._loop, sock, self._buffer))

    def _report_no_files(self, error: OSError) -> None:
        """Print once why connections wait."""
        if not self._has_reported:
            self._has_reported = True
            print(f"chainproof emulator: {system_fault('new connections wait', error)}", file=sys.stderr, flush=True)

    def _pause_accepting(self) -> None:
        """Stop accepting for a while: the process has no free descriptors."""
        fd = self._sock.fileno()
        self._loop.remove_reader(fd)
        self._loop.call_later(0.1, lambda: self._sock.fileno() == fd and self._loop.add_reader(fd, self._accept_ready))


def listening_socket(host: str, port: int) -> socket.socket:
    """A listening socket whose connections have receive timestamps. Raises OSError."""
    family, socket_type, protocol, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
    sock = socket.socket(family, socket_type, protocol)
    try:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        sock.setsockopt(socket.SOL_SOCKET, SO_TIMESTAMPNS, 1)  # accepted connections inherit it
        sock.settimeout(0)
        sock.bind(address)
        sock.listen(4096)
    except OSError:
        sock.close()
        raise
    return sock
