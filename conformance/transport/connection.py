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

from .response_parser import AnswerParser, UnparsableAnswer

_READ = 65536
_CONSENT = re.compile(rb"HTTP/1\.[01] 2\d\d(?: |$)")
"""RFC 9110 §9.3.6: any 2xx says that the tunnel is open."""
_LARGEST = 64 * 2**20
"""Bytes of an answer beyond which we stop reading: nothing we send deserves more."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TransportResult:
    """
    What came back for one request, or why nothing did.
    """

    transport: Transport
    answer: Answer | None = None
    reason: str = ""
    """What the transport said, where there is no answer."""
    framing_error: str = ""
    """What is wrong with the answer as an HTTP message; an answer there may be all the same."""
    raw: bytes = b""
    """Everything that was read."""
    closes_connection: bool = False
    """Whether the answer says that the connection is closed behind it."""
    is_close_delimited: bool = False
    """Whether the answer's body has no other end than the connection's."""
    interim_statuses: tuple[int, ...] = ()
    """Statuses of the interim answers before it."""
    coding_error: str = ""
    """What is wrong with the answer's content coding; `answer` is without one."""
    warning: str = ""
    """What of all this is worth knowing and breaks nobody's contract."""


class ConnectTarget:
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


def _connected(connect_target: ConnectTarget, deadline: Seconds) -> socket.socket:
    """
    A socket all the way to the target: by its address or another, through a proxy or not, under TLS where the URL has it.
    """
    target, route = connect_target.target, connect_target.route
    hop = route.first_hop(target)
    raw = socket.create_connection((hop.host, hop.port), timeout=_remaining(deadline))
    try:
        raw.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        if route.proxy is not None:
            _tunnel(raw, route.proxy.connect_request(route.destination(target)), deadline)
        if connect_target.tls is None:
            return raw
        raw.settimeout(_remaining(deadline))
        return connect_target.tls.wrap_socket(raw, server_hostname=target.host)
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


class TargetConnection:
    """
    A TCP or TLS connection to a target, good for one exchange after another.
    """

    def __init__(self, connect_target: ConnectTarget, deadline: Seconds) -> None:
        """
        Connect by the deadline, an instant. Raises OSError; ssl.SSLError among them.
        """
        self._socket = _connected(connect_target, deadline)
        self.reusable = True
        self.exchange_count = 0
        """How many answers it has carried."""

    def close(self) -> None:
        """Close it; harmless when repeated."""
        self._socket.close()

    def reset(self) -> None:
        """Break it off, so that the target hears of a reset and not of an end."""
        self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self._socket.close()

    def close_writing(self) -> bool:
        """Say that nothing more comes, and listen on; False where that cannot be said."""
        if isinstance(self._socket, ssl.SSLSocket):
            return False  # Python would stop deciphering what still comes
        try:
            self._socket.shutdown(socket.SHUT_WR)
        except OSError:
            return False
        return True

    @property
    def is_stale(self) -> bool:
        """Whether the target has closed it, or said something nobody asked for, while it lay idle."""
        return self.read_available(0.0) is not None

    def read_available(self, patience: Seconds) -> bytes | None:
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

    def exchange(self, sent: bytes, method: str, deadline: Seconds) -> TransportResult:
        """
        Send a whole message, and read the answer to it by the deadline, an instant.
        """
        self.reusable = False
        parser = AnswerParser(method)
        try:
            self.send(sent, deadline)
        except TimeoutError:
            return transport_result(parser, Transport.DEADLINE, "no complete answer by the deadline")
        except OSError as wrong:
            return transport_result(parser, Transport.CONNECTION_LOST, wrong.strerror or str(wrong))
        received = self.read_answer(parser, deadline)
        self.reusable = parser.keeps_connection_open
        return received

    def read_answer(self, parser: AnswerParser, deadline: Seconds, ahead: bytes = b"") -> TransportResult:
        """
        Read one answer to its end by the deadline, an instant; *ahead* is what of it has come already.
        """
        try:
            if ahead:
                parser.feed(ahead)
            while not parser.complete:
                if len(parser.raw) > _LARGEST:
                    raise ConnectionAbortedError(f"an answer of more than {_LARGEST} bytes")
                self._socket.settimeout(_remaining(deadline))
                parser.feed(self._socket.recv(_READ))
        except UnparsableAnswer as wrong:
            return transport_result(parser, _broken(bytes(parser.raw)), f"{wrong}")
        except TimeoutError:
            return transport_result(parser, Transport.DEADLINE, "no complete answer by the deadline")
        except OSError as wrong:
            return transport_result(parser, Transport.CONNECTION_LOST, wrong.strerror or str(wrong))
        self.exchange_count += 1
        return transport_result(parser, Transport.ANSWERED)

    def send(self, sent: bytes, deadline: Seconds) -> None:
        """
        Every byte, or as many as the target takes: one that refuses early may have answered already.
        """
        self._socket.settimeout(_remaining(deadline))
        try:
            self._socket.sendall(sent)
        except (BrokenPipeError, ConnectionResetError):
            return


def transport_result(parser: AnswerParser, transport: Transport, reason: str = "") -> TransportResult:
    """
    What it came to.
    """
    framing_error = reason if transport is Transport.MALFORMED else parser.framing_error
    if not framing_error and parser.trailing_bytes:
        framing_error = f"{len(parser.trailing_bytes)} bytes behind the answer's end"
    return TransportResult(
        transport=transport,
        answer=parser.answer,
        reason=reason,
        framing_error=framing_error,
        raw=bytes(parser.raw),
        closes_connection=parser.closes_connection,
        is_close_delimited=parser.is_close_delimited,
        interim_statuses=tuple(parser.interim_statuses),
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
