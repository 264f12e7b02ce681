"""
The client: HTTP/1.1 on kept-alive connections, one request at a time on each.

It exists because measuring needs what general clients hide. A request is sent once: redirects are not followed, nothing
is retried. The deadline is one instant for all of it: resolving, connecting, the TLS handshake, sending, every read. The
end is the instant at which the kernel received the answer's last bytes.

An idle connection that the target closed meanwhile is noticed before sending and replaced. One that dies after the
request went out is a lost connection: a POST that may have been carried out must not be sent again (RFC 9110 §9.2.2),
and a client that does so in silence hides what its users will see.
"""

from __future__ import annotations

import socket
import ssl
import time
from collections.abc import Callable
from dataclasses import dataclass

import gevent
import httptools
from gevent import Timeout
from gevent.monkey import get_original
from gevent.socket import getaddrinfo

from chainproof import __version__
from chainproof.clock import Seconds
from chainproof.contract.answer import Answer
from chainproof.contract.credentials import ApiKey
from chainproof.contract.fields import Field
from chainproof.contract.route import Proxy, Route
from chainproof.contract.spec import METHOD
from chainproof.contract.targets import Target
from chainproof.results.exchange import Transport

from .channel import Address, Channel, Plain, Secure, verifying_context

_resolve = get_original("socket", "getaddrinfo")

MOST_HEADER_BYTES = 1 << 20
MOST_BODY_BYTES = 100 << 20
"""What we are willing to hold in memory of one answer; the documentation's limit for a request's body."""

HEADERS = (
    ("Content-Type", "application/json"),
    ("Accept", "application/json"),
    ("User-Agent", f"chainproof/{__version__}"),
)
"""Header fields of every request, beside Host, Authorization and Content-Length, unless the caller sends its own."""

_MOST_TUNNEL_BYTES = 1 << 16
"""What we are willing to read of a proxy's answer."""


@dataclass(frozen=True, slots=True)
class Reply:
    """
    How far a request got, and when that was known, on the monotonic clock.
    """

    transport: Transport
    end: Seconds
    answer: Answer | None = None
    reason: str = ""
    """What the transport said where no answer came."""


class _Failed(Exception):
    """
    A request that got no answer, and how far it came.
    """

    def __init__(self, transport: Transport, reason: str) -> None:
        super().__init__(reason)
        self.transport = transport
        self.reason = reason


def header_fields(key: ApiKey, others: tuple[Field, ...] = ()) -> tuple[Field, ...]:
    """
    What a request says of itself, the caller's fields in place of ours of the same name.
    """
    named = {name.lower() for name, _ in others}
    ours = (field for field in HEADERS if field[0].lower() not in named)
    return (("Authorization", key.authorization), *ours, *others)


def request_bytes(target: Target, key: ApiKey, body: bytes, others: tuple[Field, ...] = ()) -> bytes:
    """
    The request as it goes over the wire, with the caller's *others* among its header fields.
    """
    fields = (("Host", target.authority), *header_fields(key, others), ("Content-Length", str(len(body))))
    head = "".join(f"{name}: {value}\r\n" for name, value in fields)
    return f"{METHOD} {target.path} HTTP/1.1\r\n{head}\r\n".encode("ascii") + body


class Client:
    """
    The connections of one process to one target, the last used first.
    """

    def __init__(self, target: Target, route: Route | None = None) -> None:
        route = route if route is not None else Route()
        self._target = target
        self._route = route
        self._context = verifying_context(route.ca_file) if target.scheme == "https" else None
        self._addresses: tuple[Address, ...] = ()
        # Encoded here: the first use of the codec loads it, which takes milliseconds that no request should wait.
        hop = route.first_hop(target)
        self._host = hop.host.encode("idna")
        self._port = hop.port
        self._lookup: gevent.Greenlet | None = None
        self._idle: list[_Connection] = []

    def call(self, request: bytes, until: Seconds) -> Reply:
        """
        Send a request and await its answer, at the latest *until* that instant of the monotonic clock.
        """
        connection: _Connection | None = None
        reply: Reply | None = None
        timeout = Timeout.start_new(max(until - time.monotonic(), 0.0))
        try:
            connection = self._taken() or self._connected()
            answer, end = connection.exchange(request)
            reply = Reply(Transport.ANSWERED, end, answer)
        except Timeout as fired:
            if fired is not timeout:
                raise
            return _late()
        except _Failed as failed:
            return Reply(failed.transport, time.monotonic(), None, failed.reason)
        finally:
            timeout.close()
            if connection is not None:
                if reply is not None and connection.reusable:
                    self._idle.append(connection)
                else:
                    connection.close()
        # The last bytes may have come in after the deadline, and before anybody looked.
        return reply if reply.end <= until else _late()

    def close(self) -> None:
        """Close the idle connections."""
        while self._idle:
            self._idle.pop().close()

    def _taken(self) -> _Connection | None:
        """
        The idle connection that was used last and is still open; None when there is none.
        """
        while self._idle:
            connection = self._idle.pop()
            if connection.quiet():
                return connection
            connection.close()
        return None

    def _connected(self) -> _Connection:
        """
        A new connection, to the first of the host's addresses that takes one.
        """
        refusal = _Failed(Transport.NAME_UNKNOWN, "the name has no address")
        for address in self._resolved():
            try:
                plain = Plain(address)
            except OSError as wrong:
                refusal = _Failed(Transport.CONNECT_FAILED, _reason(wrong))
                continue
            self._tunnelled(plain)
            return _Connection(self._secured(plain))
        raise refusal

    def _resolved(self) -> tuple[Address, ...]:
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
                raise _Failed(Transport.NAME_UNKNOWN, _reason(wrong))
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

    def _tunnelled(self, plain: Plain) -> None:
        """
        Have the proxy lead the connection on to the target, where there is a proxy.
        """
        proxy = self._route.proxy
        if proxy is None:
            return
        try:
            _tunnel(plain, proxy, proxy.connect_request(self._route.destination(self._target)))
        except OSError as wrong:
            plain.close()
            raise _Failed(Transport.CONNECT_FAILED, f"{_reason(wrong)}, at the proxy {proxy.address}") from None
        except BaseException:
            plain.close()
            raise

    def _secured(self, plain: Plain) -> Channel:
        """
        The connection, under TLS where the target asks for it.
        """
        if self._context is None:
            return plain
        try:
            return Secure(plain, self._context, self._target.host)
        except OSError as wrong:
            plain.close()
            raise _Failed(Transport.TLS_FAILED, _reason(wrong)) from None
        except BaseException:
            plain.close()
            raise


def _tunnel(plain: Plain, proxy: Proxy, request: bytes) -> None:
    """
    Ask a proxy for a tunnel and await its consent. Raises _Failed when it refuses, OSError when it is lost.
    """
    plain.send(request)
    said = b""
    while b"\r\n\r\n" not in said:
        octets, _ = plain.receive()
        said += octets
        if not octets or len(said) > _MOST_TUNNEL_BYTES:
            break
    head, end, more = said.partition(b"\r\n\r\n")
    words = head.partition(b"\r\n")[0].split(b" ", 2)
    consented = len(words) > 1 and words[0].startswith(b"HTTP/1.") and words[1][:1] == b"2" and len(words[1]) == 3
    # Nobody but the proxy has spoken yet: what follows its consent is none of the target's.
    if not consented or not end or more:
        told = b" ".join(words[1:]).decode("latin-1")[:80] if words[0].startswith(b"HTTP/") else "no HTTP"
        raise _Failed(
            Transport.CONNECT_FAILED,
            f"the proxy {proxy.address} opened no tunnel: {told if said else 'closed before any answer'}",
        )


class _Connection:
    """
    A channel with the parser that reads its answers.
    """

    __slots__ = ("_answers", "_channel", "close", "quiet", "reusable")

    def __init__(self, channel: Channel) -> None:
        self._channel = channel
        self._answers = _Answers()
        self.quiet: Callable[[], bool] = channel.quiet
        self.close: Callable[[], None] = channel.close
        self.reusable = False

    def exchange(self, request: bytes) -> tuple[Answer, Seconds]:
        """
        Send a request and read its answer; when the kernel received the last of it. Raises _Failed.
        """
        self.reusable = False
        answers = self._answers
        answers.begin()
        self._send(request)
        while True:
            octets, instant = self._received()
            if octets:
                answers.feed(octets)
            else:
                answers.end()
            if answers.complete:
                self.reusable = answers.reusable and bool(octets)
                return answers.answer(), instant

    def _send(self, request: bytes) -> None:
        try:
            self._channel.send(request)
        except (BrokenPipeError, ConnectionResetError):
            return  # whoever refuses a request before reading all of it may have said why: reading will tell
        except OSError as wrong:
            raise _Failed(Transport.CONNECTION_LOST, f"{_reason(wrong)}, while sending") from None

    def _received(self) -> tuple[bytes, Seconds]:
        try:
            return self._channel.receive()
        except OSError as wrong:
            part = "in the middle of the answer" if self._answers.begun else "before any answer"
            raise _Failed(Transport.CONNECTION_LOST, f"{_reason(wrong)}, {part}") from None


class _Answers:
    """
    What the parser calls: the answer to one request after another.
    """

    __slots__ = ("_body", "_fields", "_headed", "_kept", "_parser", "_size", "_status", "begun", "complete")

    def __init__(self) -> None:
        self._parser = httptools.HttpResponseParser(self)
        self.begin()

    def begin(self) -> None:
        """Forget the answer before."""
        self._fields: list[tuple[str, str]] = []
        self._body: list[bytes] = []
        self._size = 0
        self._status = 0
        self._headed = False
        self._kept = False
        self.begun = False
        self.complete = False

    def feed(self, octets: bytes) -> None:
        """Take what has come in. Raises _Failed when it is not HTTP, or more than we hold."""
        self.begun = True
        self._size += len(octets)
        try:
            self._parser.feed_data(octets)
        except (httptools.HttpParserError, httptools.HttpParserUpgrade) as wrong:
            if not self.complete:
                raise _Failed(Transport.MALFORMED, _parser_reason(wrong)) from None
            self._kept = False  # something follows the answer that is none
        if not self.complete and self._size > (MOST_BODY_BYTES if self._headed else MOST_HEADER_BYTES):
            raise _Failed(Transport.MALFORMED, f"the answer is longer than {self._size - 1} bytes")

    def end(self) -> None:
        """Take it that nothing more comes. Raises _Failed unless that completes the answer."""
        if self._headed and self._until_close():
            self.complete = True
            return
        part = "in the middle of the answer" if self.begun else "before any answer"
        raise _Failed(Transport.CONNECTION_LOST, f"closed {part}")

    def answer(self) -> Answer:
        """The complete answer."""
        return Answer(status=self._status, headers=tuple(self._fields), body=b"".join(self._body))

    @property
    def reusable(self) -> bool:
        """Whether another request may follow on the same connection."""
        return self._kept

    def _until_close(self) -> bool:
        """
        Whether the body ends with the connection (RFC 9112 §6.3, item 8).
        """
        fields = {name.lower(): value.lower() for name, value in self._fields}
        coding = fields.get("transfer-encoding", "").rpartition(",")[2].strip()
        return coding != "chunked" and (bool(coding) or "content-length" not in fields)

    # ------------------------------------------------------------------ called by the parser

    def on_message_begin(self) -> None:
        """Anything after the answer is one too many; after an interim one it is the next."""
        if self.complete:
            self._kept = False
            raise _OneTooMany
        self._fields = []
        self._headed = False

    def on_header(self, name: bytes, value: bytes) -> None:
        """A header field, or a trailer, which is not kept."""
        if not self._headed:
            self._fields.append((name.decode("latin-1"), value.decode("latin-1")))

    def on_headers_complete(self) -> None:
        """The head is whole."""
        self._status = self._parser.get_status_code()
        self._headed = True

    def on_body(self, octets: bytes) -> None:
        """A part of the body."""
        self._body.append(octets)

    def on_message_complete(self) -> None:
        """The answer is whole, or an interim one (RFC 9110 §15.2) that another follows."""
        if self._status >= 200:
            self.complete = True
            self._kept = self._parser.should_keep_alive()
        else:
            self._headed = False


class _OneTooMany(Exception):
    """
    An answer that nobody asked for.
    """


def _late() -> Reply:
    return Reply(Transport.DEADLINE, time.monotonic(), None, "no complete answer by the deadline")


def _reason(wrong: OSError) -> str:
    """
    What the system said, in a few words.
    """
    if isinstance(wrong, ssl.SSLCertVerificationError):
        return f"certificate not accepted: {wrong.verify_message}"
    if isinstance(wrong, ssl.SSLError):
        return (wrong.reason or "end of file").lower().replace("_", " ")
    return (wrong.strerror or type(wrong).__name__).lower()


def _parser_reason(wrong: Exception) -> str:
    """
    What the parser said, in a few words.
    """
    return f"not HTTP/1.1: {str(wrong) or type(wrong).__name__}"[:120]
