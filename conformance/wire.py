"""
One connection: bytes out, one answer back, every byte of it kept.

The request is written as it is told to be, so that it can be wrong on purpose; h11 only reads the answer. Redirects are
never followed. The deadline is absolute: a drip of bytes does not extend it.
"""

from __future__ import annotations

import re
import select
import socket
import ssl
from dataclasses import dataclass

import h11

from chainproof.clock import Seconds, monotonic
from chainproof.contract.answer import Answer
from chainproof.contract.route import Route
from chainproof.contract.targets import Target
from chainproof.results.exchange import Transport

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

    def close(self) -> None:
        """Close it; harmless when repeated."""
        self._socket.close()

    @property
    def stale(self) -> bool:
        """Whether the target has closed it, or said something nobody asked for, while it lay idle."""
        readable, _, _ = select.select([self._socket], [], [], 0)
        return bool(readable)

    def exchange(self, sent: bytes, method: str, deadline: Seconds) -> Reception:
        """
        Send a whole message, and read the answer to it by the deadline, an instant.
        """
        self.reusable = False
        reading = _Reading(method)
        try:
            self._send(sent, deadline)
            while not reading.complete:
                self._socket.settimeout(_remaining(deadline))
                reading.feed(self._socket.recv(_READ))
        except h11.RemoteProtocolError as wrong:
            return reading.reception(_broken(reading.raw), f"{wrong}")
        except TimeoutError:
            return reading.reception(Transport.DEADLINE, "no complete answer by the deadline")
        except OSError as wrong:
            return reading.reception(Transport.CONNECTION_LOST, wrong.strerror or str(wrong))
        self.reusable = reading.keeps_open
        return reading.reception(Transport.ANSWERED)

    def _send(self, sent: bytes, deadline: Seconds) -> None:
        """
        Every byte, or as many as the target takes: one that refuses early may have answered already.
        """
        self._socket.settimeout(_remaining(deadline))
        try:
            self._socket.sendall(sent)
        except (BrokenPipeError, ConnectionResetError):
            return


class _Reading:
    """
    An answer as it arrives.
    """

    def __init__(self, method: str) -> None:
        self._parser = h11.Connection(h11.CLIENT, max_incomplete_event_size=2**20)
        # The parser must know what was asked, since the answer to HEAD has no body; these bytes are sent nowhere.
        self._parser.send(h11.Request(method=method, target="/", headers=[("Host", "unsent")]))
        self._parser.send(h11.EndOfMessage())
        self._head: h11.Response | None = None
        self._body = bytearray()
        self._raw = bytearray()
        self.complete = False

    @property
    def raw(self) -> bytes:
        """Everything read so far."""
        return bytes(self._raw)

    @property
    def keeps_open(self) -> bool:
        """Whether the connection may carry another exchange."""
        return self._parser.their_state is h11.DONE and not self._stray

    @property
    def _stray(self) -> bytes:
        """
        What stands behind the answer: nothing may, since nothing else was asked.
        """
        return bytes(self._parser.trailing_data[0])

    def feed(self, data: bytes) -> None:
        """
        Read on; no data is the connection's end. Raises h11.RemoteProtocolError, or ConnectionError where it ends early.
        """
        if not data and not self._raw:
            raise ConnectionResetError("the connection was closed without an answer")
        self._raw += data
        if len(self._raw) > _LARGEST:
            raise ConnectionAbortedError(f"an answer of more than {_LARGEST} bytes")
        self._parser.receive_data(data)
        while not self.complete:
            event = self._parser.next_event()
            if event is h11.NEED_DATA:
                return
            self._take(event)

    def _take(self, event: object) -> None:
        """
        One part of the answer; an interim one (1xx) is passed over.
        """
        if isinstance(event, h11.Response):
            self._head = event
        elif isinstance(event, h11.Data):
            self._body += event.data
        elif isinstance(event, h11.EndOfMessage):
            self.complete = True
        elif isinstance(event, h11.ConnectionClosed):
            raise ConnectionResetError("the connection was closed without an answer")

    def reception(self, transport: Transport, reason: str = "") -> Reception:
        """
        What it came to.
        """
        misframed = reason if transport is Transport.MALFORMED else ""
        if self.complete and self._stray:
            misframed = f"{len(self._stray)} bytes behind the answer's end"
        return Reception(
            transport=transport, answer=self._answer(), reason=reason, misframed=misframed, raw=bytes(self._raw)
        )

    def _answer(self) -> Answer | None:
        """
        The whole answer, names in wire case.
        """
        if not self.complete or self._head is None:
            return None
        fields = tuple(
            (name.decode("latin-1"), value.decode("latin-1")) for name, value in self._head.headers.raw_items()
        )
        return Answer(status=self._head.status_code, headers=fields, body=bytes(self._body))


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
