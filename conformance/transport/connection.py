"""
One TCP or TLS connection to a target: sends bytes and reads answers, with every byte kept.

The bytes are sent unchanged, so that a request may be invalid on purpose. Redirects are never followed. A deadline is an
instant, and bytes that trickle in do not extend it.
"""

from __future__ import annotations

import re
import select
import socket
import ssl
import struct
from dataclasses import dataclass, field, replace

from chainproof.clock import Seconds, monotonic
from chainproof.contract.answer import Answer
from chainproof.contract.route import Route
from chainproof.contract.target import Target
from chainproof.endpoint import tls_error_text
from chainproof.results.exchange import Transport

from .response_memory import AnswerTooLarge, HeldBytes, MemoryExhausted, ResponseMemory, with_memory
from .response_parser import AnswerParser, UnparsableAnswer

_READ_SIZE = 65536
_TUNNEL_OPEN = re.compile(rb"HTTP/1\.[01] 2\d\d(?: |$)")
"""RFC 9110 §9.3.6: any 2xx opens the tunnel."""
_LENGTH_IN_HEAD = re.compile(rb"\r\ncontent-length:[ \t]*[0-9]+.*\r\n\r\n", re.IGNORECASE | re.DOTALL)
TRAILING_BYTES = "after the end of the answer"


@dataclass(frozen=True, slots=True, kw_only=True)
class TransportResult:
    """What came back for one request, or why nothing came back."""

    transport: Transport
    answer: Answer | None = None
    reason: str = ""
    """Why there is no answer."""
    framing_error: str = ""
    """What is wrong with the answer as an HTTP message. There may be an answer nevertheless."""
    raw: bytes = b""
    """The bytes that were read, see `AnswerParser.raw`."""
    size: int = 0
    """How many bytes were read."""
    closes_connection: bool = False
    """Whether the answer says that the connection is closed after it."""
    is_close_delimited: bool = False
    """Whether the body ends where the connection ends."""
    coding_error: str = ""
    """What is wrong with the answer's content coding; `answer` is decoded."""
    warning: str = ""
    """A recommendation that the answer does not follow."""
    exceeds_memory: bool = False
    """Whether it was not read to its end because it does not fit into our memory."""
    held: HeldBytes | None = field(default=None, repr=False, compare=False)
    """The memory of the answer."""

    @property
    def status(self) -> int | None:
        """The status of the answer; None without one."""
        return None if self.answer is None else self.answer.status

    @property
    def in_words(self) -> str:
        """The status, or why there is no answer."""
        return f"status {self.answer.status}" if self.answer is not None else self.reason or "no answer"


class ConnectTarget:
    """A target, the route there, and the certificates that TLS trusts."""

    def __init__(self, target: Target, route: Route) -> None:
        """Read the certificates once. Raises OSError if the file has none."""
        self.target = target
        self.route = route
        self.tls: ssl.SSLContext | None = None
        if target.scheme == "https":
            self.tls = ssl.create_default_context()
            if route.ca_file is not None:
                self.tls.load_verify_locations(cafile=route.ca_file)


def _connected_socket(connect_target: ConnectTarget, deadline: Seconds) -> socket.socket:
    """A socket connected to the target by the route, through its proxy and with TLS if needed."""
    target, route = connect_target.target, connect_target.route
    hop = route.first_hop(target)
    raw = socket.create_connection((hop.host, hop.port), timeout=_remaining(deadline))
    try:
        raw.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        if route.proxy is not None:
            _open_tunnel(raw, route.proxy.connect_request(route.destination(target)), deadline)
        if connect_target.tls is None:
            return raw
        raw.settimeout(_remaining(deadline))
        return connect_target.tls.wrap_socket(raw, server_hostname=target.tls_name)
    except OSError:
        raw.close()
        raise


def _open_tunnel(raw: socket.socket, connect_request: bytes, deadline: Seconds) -> None:
    """Open a tunnel through a proxy. Raises OSError if the proxy does not open it."""
    raw.settimeout(_remaining(deadline))
    raw.sendall(connect_request)
    head = bytearray()
    # Read byte by byte: the bytes after the empty line belong to the target, and TLS reads them from the socket.
    while not head.endswith(b"\r\n\r\n"):
        raw.settimeout(_remaining(deadline))
        byte = raw.recv(1)
        if not byte or len(head) >= _READ_SIZE:
            raise ConnectionRefusedError(f"the proxy gave no answer to CONNECT: {bytes(head[:60])!r}")
        head += byte
    line = head.partition(b"\r\n")[0]
    if not _TUNNEL_OPEN.match(line):
        raise ConnectionRefusedError(f"the proxy refused to connect: {line[:60].decode('latin-1')}")


class TargetConnection:
    """A TCP or TLS connection to a target, for one exchange after another."""

    def __init__(self, connect_target: ConnectTarget, deadline: Seconds, memory: ResponseMemory) -> None:
        """Connect by the deadline, an instant. Raises OSError, also for TLS errors. *memory* limits all answers together."""
        self._socket = _connected_socket(connect_target, deadline)
        self._memory = memory
        self._tls_error: ssl.SSLError | None = None
        """What ended the connection when bytes were awaited, such as that the server requires a certificate of the client."""
        self.reusable = True

    def close(self) -> None:
        """Close it. May be called again."""
        self._socket.close()

    def reset(self) -> None:
        """Close with a TCP reset."""
        self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self._socket.close()

    def close_writing(self) -> bool:
        """Close the sending direction. Returns False if that is not possible."""
        if isinstance(self._socket, ssl.SSLSocket):
            return False  # Python would stop decrypting what still arrives
        try:
            self._socket.shutdown(socket.SHUT_WR)
        except OSError:
            return False
        return True

    def read_available(self, timeout: Seconds) -> bytes | None:
        """Bytes that arrive within a timeout; empty if the target has closed the connection, None if nothing arrives."""
        pending = self._socket.pending() if isinstance(self._socket, ssl.SSLSocket) else 0
        if not pending and not _is_readable(self._socket, timeout):
            return None
        self._socket.settimeout(max(timeout, 0.05))
        try:
            return self._socket.recv(_READ_SIZE)
        except TimeoutError:  # a TLS record without data
            return None
        except OSError as error:
            self._tls_error = error if isinstance(error, ssl.SSLError) else None
            return b""

    def exchange(self, sent: bytes, method: str, deadline: Seconds) -> TransportResult:
        """Send a complete message and read its answer by the deadline, an instant."""
        self.reusable = False
        parser = AnswerParser(method)
        try:
            self.send(sent, deadline)
        except OSError as error:
            return _failed(parser, error)
        received = self.read_answer(parser, deadline)
        self.reusable = parser.keeps_connection_open
        return received

    def read_answer(self, parser: AnswerParser, deadline: Seconds, already_read: bytes = b"") -> TransportResult:
        """Read one answer to its end by the deadline, an instant; *already_read* is its beginning."""
        held = HeldBytes(self._memory)
        parser.hold = held.add
        try:
            received = self._read_answer(parser, deadline, already_read)
            answer = received.answer and with_memory(received.answer, held)
            return replace(received, answer=answer, held=held)
        finally:
            parser.stop()

    def _read_answer(self, parser: AnswerParser, deadline: Seconds, already_read: bytes) -> TransportResult:
        """Read one answer to its end."""
        try:
            if already_read:
                parser.feed(already_read)
            while not parser.complete:
                if self._tls_error is not None:
                    raise self._tls_error
                self._socket.settimeout(_remaining(deadline))
                parser.feed(self._socket.recv(_READ_SIZE))
        except AnswerTooLarge as error:
            received = transport_result(parser, Transport.TOO_LARGE, str(error))
            return replace(received, exceeds_memory=isinstance(error, MemoryExhausted))
        except UnparsableAnswer as error:
            # An answer without a single byte is a lost connection.
            transport = Transport.MALFORMED if parser.received else Transport.CONNECTION_LOST
            return transport_result(parser, transport, str(error))
        except OSError as error:
            return _failed(parser, error)
        return transport_result(parser, Transport.ANSWERED)

    def send(self, sent: bytes, deadline: Seconds) -> None:
        """Send bytes, as many as the target reads: a target that rejects early may have answered already."""
        self._socket.settimeout(_remaining(deadline))
        try:
            self._socket.sendall(sent)
        except (BrokenPipeError, ConnectionResetError):
            return


def is_being_sent(received: TransportResult) -> bool:
    """Whether the length of an answer had arrived by the deadline: the chain had ended its work, unlike with a stream."""
    return _LENGTH_IN_HEAD.search(received.raw) is not None


def trailing_bytes_error(trailing: bytes) -> str:
    """The framing error of an answer that is followed by bytes."""
    return f"{len(trailing)} byte{'s' * (len(trailing) != 1)} {TRAILING_BYTES}"


def with_trailing_bytes(received: TransportResult, trailing: bytes) -> TransportResult:
    """What came back, with a framing error if bytes followed the answer."""
    if not trailing or received.framing_error:
        return received
    return replace(received, framing_error=trailing_bytes_error(trailing), raw=received.raw + trailing)


def transport_result(parser: AnswerParser, transport: Transport, reason: str = "") -> TransportResult:
    """The result of an exchange, from what was parsed and how it ended."""
    framing_error = reason if transport is Transport.MALFORMED else parser.framing_error
    if not framing_error and parser.trailing_bytes:
        framing_error = trailing_bytes_error(parser.trailing_bytes)
    return TransportResult(
        transport=transport,
        answer=parser.answer,
        reason=reason,
        framing_error=framing_error,
        raw=parser.raw,
        size=parser.received,
        closes_connection=parser.closes_connection,
        is_close_delimited=parser.is_close_delimited,
    )


def _failed(parser: AnswerParser, error: OSError) -> TransportResult:
    """The result of an exchange that an error of the connection ended."""
    if isinstance(error, TimeoutError):
        return transport_result(parser, Transport.DEADLINE, "no complete answer by the deadline")
    if isinstance(error, ssl.SSLError):
        return transport_result(
            parser, Transport.CONNECTION_LOST, f"the TLS connection failed: {tls_error_text(error)}"
        )
    return transport_result(parser, Transport.CONNECTION_LOST, error.strerror or str(error))


def _is_readable(sock: socket.socket, timeout: Seconds) -> bool:
    """True if bytes arrive within a timeout. Uses poll, since select does not support file descriptors above 1023."""
    poll = select.poll()
    poll.register(sock, select.POLLIN)
    return bool(poll.poll(timeout * 1000))


def _remaining(deadline: Seconds) -> Seconds:
    """Seconds until the deadline. Raises TimeoutError if it has passed."""
    remaining = deadline - monotonic()
    if remaining <= 0:
        raise TimeoutError
    return remaining
