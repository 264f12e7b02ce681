"""
One connection: bytes out, one answer back, every byte of it kept.

The request is written as it is told to be, so that it can be wrong on purpose. Redirects are never followed. The deadline is absolute: a drip of bytes does not extend it.
"""

from __future__ import annotations

import re
import select
import socket
import ssl
import struct
from dataclasses import dataclass

from chainproof.clock import Seconds, monotonic
from chainproof.contract.answer import Answer
from chainproof.contract.route import Route
from chainproof.contract.target import Target
from chainproof.results.exchange import Transport

from .response_parser import Reading, Unreadable

_READ = 65536
_CONSENT = re.compile(rb"HTTP/1\.[01] 2\d\d(?: |$)")
"""RFC 9110 §9.3.6: any 2xx says that the tunnel is open."""
_LARGEST = 64 * 2**20
"""Bytes of an answer beyond which we stop reading: nothing we send deserves more."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Reception:
    """
    What came back for one request, or why nothing did.
    """

    transport: Transport
    answer: Answer | None = None
    reason: str = ""
    """What the transport said, where there is no answer."""
    misframed: str = ""
    """What is wrong with the answer as an HTTP message; an answer there may be all the same."""
    raw: bytes = b""
    """Everything that was read."""
    closes: bool = False
    """Whether the answer says that the connection is closed behind it."""
    to_the_end: bool = False
    """Whether the answer's body has no other end than the connection's."""
    interim: tuple[int, ...] = ()
    """Statuses of the interim answers before it."""
    miscoded: str = ""
    """What is wrong with the answer's content coding; `answer` is without one."""
    advice: str = ""
    """What of all this is worth knowing and breaks nobody's contract."""


class Way:
    """
    A target and the route there, with whom TLS trusts.
    """

    def __init__(self, target: Target, route: Route) -> None:
        """
        Read the certificates once. Raises OSError where there are none in the file.
        """
        self.target = target
        self.route = route
        self.tls: ssl.SSLContext | None = None
        if target.scheme == "https":
            self.tls = ssl.create_default_context()
            if route.ca_file is not None:
                self.tls.load_verify_locations(cafile=route.ca_file)


def _connected(way: Way, deadline: Seconds) -> socket.socket:
    """
    A socket all the way to the target: by its address or another, through a proxy or not, under TLS where the URL has it.
    """
    target, route = way.target, way.route
    hop = route.first_hop(target)
    raw = socket.create_connection((hop.host, hop.port), timeout=_remaining(deadline))
    try:
        raw.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        if route.proxy is not None:
            _tunnel(raw, route.proxy.connect_request(route.destination(target)), deadline)
        if way.tls is None:
            return raw
        raw.settimeout(_remaining(deadline))
        return way.tls.wrap_socket(raw, server_hostname=target.host)
    except OSError:
        raw.close()
        raise


def _tunnel(raw: socket.socket, asking: bytes, deadline: Seconds) -> None:
    """
    Have a proxy open a tunnel. Raises OSError where it does not.
    """
    raw.settimeout(_remaining(deadline))
    raw.sendall(asking)
    said = bytearray()
    # One by one: what stands behind the blank line is the target's, and TLS wants it from the socket.
    while not said.endswith(b"\r\n\r\n"):
        raw.settimeout(_remaining(deadline))
        byte = raw.recv(1)
        if not byte or len(said) >= _READ:
            raise ConnectionRefusedError(f"the proxy gave no answer to CONNECT: {bytes(said[:60])!r}")
        said += byte
    line = said.partition(b"\r\n")[0]
    if not _CONSENT.match(line):
        raise ConnectionRefusedError(f"the proxy refused to connect: {line[:60].decode('latin-1')}")


class Connection:
    """
    A TCP or TLS connection to a target, good for one exchange after another.
    """

    def __init__(self, way: Way, deadline: Seconds) -> None:
        """
        Connect by the deadline, an instant. Raises OSError; ssl.SSLError among them.
        """
        self._socket = _connected(way, deadline)
        self.reusable = True
        self.exchanges = 0
        """How many answers it has carried."""

    def close(self) -> None:
        """Close it; harmless when repeated."""
        self._socket.close()

    def reset(self) -> None:
        """Break it off, so that the target hears of a reset and not of an end."""
        self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self._socket.close()

    def finish(self) -> bool:
        """Say that nothing more comes, and listen on; False where that cannot be said."""
        if isinstance(self._socket, ssl.SSLSocket):
            return False  # Python would stop deciphering what still comes
        try:
            self._socket.shutdown(socket.SHUT_WR)
        except OSError:
            return False
        return True

    @property
    def stale(self) -> bool:
        """Whether the target has closed it, or said something nobody asked for, while it lay idle."""
        return self.heard(0.0) is not None

    def heard(self, patience: Seconds) -> bytes | None:
        """What comes within so long: bytes, nothing where the target has closed it, None where it is silent."""
        pending = self._socket.pending() if isinstance(self._socket, ssl.SSLSocket) else 0
        if not pending and not _readable(self._socket, patience):
            return None
        self._socket.settimeout(max(patience, 0.05))
        try:
            return self._socket.recv(_READ)
        except TimeoutError:  # a TLS record that carries no data
            return None
        except OSError:
            return b""

    def exchange(self, sent: bytes, method: str, deadline: Seconds) -> Reception:
        """
        Send a whole message, and read the answer to it by the deadline, an instant.
        """
        self.reusable = False
        reading = Reading(method)
        try:
            self.send(sent, deadline)
        except TimeoutError:
            return received(reading, Transport.DEADLINE, "no complete answer by the deadline")
        except OSError as wrong:
            return received(reading, Transport.CONNECTION_LOST, wrong.strerror or str(wrong))
        reception = self.receive(reading, deadline)
        self.reusable = reading.keeps_open
        return reception

    def receive(self, reading: Reading, deadline: Seconds, ahead: bytes = b"") -> Reception:
        """
        Read one answer to its end by the deadline, an instant; *ahead* is what of it has come already.
        """
        try:
            if ahead:
                reading.feed(ahead)
            while not reading.complete:
                if len(reading.raw) > _LARGEST:
                    raise ConnectionAbortedError(f"an answer of more than {_LARGEST} bytes")
                self._socket.settimeout(_remaining(deadline))
                reading.feed(self._socket.recv(_READ))
        except Unreadable as wrong:
            return received(reading, _broken(bytes(reading.raw)), f"{wrong}")
        except TimeoutError:
            return received(reading, Transport.DEADLINE, "no complete answer by the deadline")
        except OSError as wrong:
            return received(reading, Transport.CONNECTION_LOST, wrong.strerror or str(wrong))
        self.exchanges += 1
        return received(reading, Transport.ANSWERED)

    def send(self, sent: bytes, deadline: Seconds) -> None:
        """
        Every byte, or as many as the target takes: one that refuses early may have answered already.
        """
        self._socket.settimeout(_remaining(deadline))
        try:
            self._socket.sendall(sent)
        except (BrokenPipeError, ConnectionResetError):
            return


def received(reading: Reading, transport: Transport, reason: str = "") -> Reception:
    """
    What it came to.
    """
    misframed = reason if transport is Transport.MALFORMED else reading.departure
    if not misframed and reading.stray:
        misframed = f"{len(reading.stray)} bytes behind the answer's end"
    return Reception(
        transport=transport,
        answer=reading.answer,
        reason=reason,
        misframed=misframed,
        raw=bytes(reading.raw),
        closes=reading.closes,
        to_the_end=reading.to_the_end,
        interim=tuple(reading.interim),
    )


def _readable(sock: socket.socket, patience: Seconds) -> bool:
    """
    Whether something comes within so long: select knows no descriptor beyond 1023, so poll is asked.
    """
    poll = select.poll()
    poll.register(sock, select.POLLIN)
    return bool(poll.poll(patience * 1000))


def _broken(raw: bytes) -> Transport:
    """
    What to call an answer that does not parse: nothing at all is a lost connection.
    """
    return Transport.MALFORMED if raw else Transport.CONNECTION_LOST


def _remaining(deadline: Seconds) -> Seconds:
    """
    How long a system call may take. Raises TimeoutError when the deadline has passed.
    """
    left = deadline - monotonic()
    if left <= 0:
        raise TimeoutError
    return left
