"""
A kept-alive connection that carries one request at a time.

What comes in is read and parsed where the event loop reports it; the greenlet that awaits the answer is woken once, by
the whole of it. The loop watches the connection all its life, so that one which the target closes while it is idle is
known to be closed before anybody sends over it.
"""

from __future__ import annotations

import ssl
from time import monotonic_ns
from typing import Any, cast

import httptools
from gevent import getcurrent

from chainproof.clock import Seconds
from chainproof.contract.answer import build_answer
from chainproof.results.exchange import Transport

from .connect import READ_SIZE, SocketStream
from .deadlines import Deadlines
from .receive_timestamps import ANCILLARY_SIZE, Nanoseconds, ReceiveTimestamps
from .reply import Reply
from .transport_errors import (
    CONNECTION_LOSS_ERRORS,
    PROTOCOL_ERRORS,
    RequestFailed,
    RequestStage,
    closed_early,
    deadline_exceeded,
    failure_from,
)

MAX_HEADER_BYTES = 1 << 20
MAX_BODY_BYTES = 100 << 20
"""What we are willing to hold in memory of one answer; the documentation's limit for a request's body."""

_READ = 1
_WRITE = 2
_BILLION = 1_000_000_000
_MOST_NAMES = 1000
_NAMES: dict[bytes, str] = {}
"""Names of header fields as text: a target has few, and sends them again and again."""


class KeepAliveConnection:
    """
    A connection with the parser that reads its answers.
    """

    __slots__ = (
        "_begun",
        "_body",
        "_complete",
        "_deadlines",
        "_ending",
        "_fields",
        "_first",
        "_headed",
        "_hub",
        "_idle",
        "_kept",
        "_line",
        "_parser",
        "_received",
        "_recvmsg",
        "_refused",
        "_rest",
        "_send",
        "_sent",
        "_size",
        "_stamps",
        "_status",
        "_until",
        "_used",
        "_waiter",
        "_watcher",
        "_writer",
        "idle_since",
        "open",
    )

    def __init__(
        self,
        line: SocketStream,
        hub: Any,
        stamps: ReceiveTimestamps,
        deadlines: Deadlines,
        idle: list[KeepAliveConnection],
    ) -> None:
        """
        *idle* is where the connection puts itself when another request may follow.
        """
        assert line.socket is not None
        self._line = line
        self._hub = hub
        self._stamps = stamps
        self._deadlines = deadlines
        self._idle = idle
        self._recvmsg = line.socket.recvmsg
        self._send = line.socket.send
        self._parser: Any = httptools.HttpResponseParser(self)
        self._waiter: Any = None
        self._writer: Any = None
        self._rest = memoryview(b"")
        self._used = False
        self._ending = False
        self.open = True
        self.idle_since: Nanoseconds = 0
        self._watcher = hub.loop.io(line.socket.fileno(), _READ)
        self._watcher.start(self._readable if line.tls is None else self._readable_secured)

    # ------------------------------------------------------------------ one request

    def exchange(self, request: bytes, until: Seconds) -> Reply:
        """
        Send a request and await what becomes of it, at the latest *until* that instant of the monotonic clock.
        """
        self._fields: list[tuple[bytes, bytes]] = []
        self._body: list[bytes] = []
        self._status = self._received = self._size = 0
        self._headed = self._begun = self._complete = self._kept = False
        self._first: Nanoseconds | None = None
        self._refused: OSError | None = None
        self._until = until
        self._waiter = getcurrent()
        self._sent = monotonic_ns()
        self._deadlines.add(self, until)
        try:
            self._begin_to_send(request)
            while True:
                reply = self._hub.switch()
                if type(reply) is Reply:
                    return reply
        except BaseException:
            if self._waiter is not None:
                self._settled()
                self.close()
            raise

    def usable(self) -> bool:
        """Whether another request may be sent over it, as far as can be known."""
        if self.open:
            self._readable() if self._line.tls is None else self._readable_secured()
        return self.open

    def close(self) -> None:
        """End it at once."""
        if self.open:
            self.open = False
            self._watcher.stop()
            self._watcher.close()
            self._stop_writing()
            self._line.close()
            self._parser = None  # it refers back to us
            del self._recvmsg, self._send

    def expire(self) -> None:
        """The deadline is over; what came in before it still counts."""
        sent = self._sent
        self._readable() if self._line.tls is None else self._readable_secured()
        # Whoever was woken may by now await the answer to another request.
        if self._waiter is not None and self._sent == sent:
            self._fail(deadline_exceeded(self._stage))

    # ------------------------------------------------------------------ sending

    def _begin_to_send(self, request: bytes) -> None:
        self._size = len(request)
        tls = self._line.tls
        try:
            if tls is not None:
                tls.write(request)
                request = self._line.outgoing.read()
            count = self._send(request)
        except BlockingIOError:
            count = 0
        except OSError as wrong:
            # Whoever refuses a request before reading all of it may have said why: reading will tell.
            self._refused = wrong
            return
        if count < len(request):
            self._send_later(memoryview(request)[count:])

    def _send_later(self, octets: memoryview) -> None:
        """
        Send the rest as the kernel takes it.
        """
        self._rest = octets
        self._writer = self._hub.loop.io(self._watcher.fd, _WRITE)
        self._writer.start(self._writable)

    def _writable(self) -> None:
        try:
            self._rest = self._rest[self._send(self._rest) :]
        except BlockingIOError:
            return
        except OSError as wrong:
            self._refused = wrong
            self._rest = memoryview(b"")
        if not self._rest:
            self._stop_writing()

    def _stop_writing(self) -> None:
        self._rest = memoryview(b"")
        if self._writer is not None:
            self._writer.stop()
            self._writer.close()
            self._writer = None

    # ------------------------------------------------------------------ receiving

    def _readable(self) -> None:
        """
        Read once. On the event loop: nothing may be raised from here.
        """
        try:
            octets, ancillary, _, _ = self._recvmsg(READ_SIZE, ANCILLARY_SIZE)
        except BlockingIOError:
            return
        except OSError as wrong:
            self._lost(wrong)
            return
        if self._waiter is None:
            self.close()  # the target has closed it, or says what nobody asked for
            return
        now = monotonic_ns()
        self._take(octets, self._stamps.received_at(ancillary, self._sent, now), now)

    def _readable_secured(self) -> None:
        """
        Read once, and whatever that completes of TLS records.
        """
        try:
            octets, ancillary, _, _ = self._recvmsg(READ_SIZE, ANCILLARY_SIZE)
        except BlockingIOError:
            return
        except OSError as wrong:
            self._lost(wrong)
            return
        now = monotonic_ns()
        plain, end = self._decrypted(octets)
        if self._waiter is None:
            if plain or end:
                self.close()
            return
        if plain:
            self._ending = end is not None
            self._take(plain, self._stamps.received_at(ancillary, self._sent, now), now)
        # An answer that this completed has closed the connection: nobody else waits on it.
        if end is not None and self._waiter is not None:
            if isinstance(end, OSError):
                self._lost(end)
            else:
                self._take(b"", now, now)

    def _decrypted(self, octets: bytes) -> tuple[bytes, OSError | str | None]:
        """
        What has come in under TLS; and what ended it, an error or the word that it was the end, if anything did.
        """
        line = self._line
        tls = cast(ssl.SSLObject, line.tls)
        if octets:
            line.incoming.write(octets)
        else:
            line.incoming.write_eof()
        plain = b""
        end: OSError | str | None = None
        try:
            while True:
                part = tls.read(READ_SIZE)
                if not part:
                    end = "close_notify"
                    break
                plain += part
                if not line.incoming.pending and not tls.pending():
                    break
            if line.outgoing.pending:
                self._answer_tls(line.outgoing.read())
        except ssl.SSLWantReadError:
            pass
        except OSError as wrong:
            end = wrong
        return plain, end

    def _answer_tls(self, octets: bytes) -> None:
        """
        Send what TLS itself has to say, behind whatever is still to be sent.
        """
        if self._rest:
            self._rest = memoryview(bytes(self._rest) + octets)
        elif (count := self._send(octets)) < len(octets):
            self._send_later(memoryview(octets)[count:])

    def _take(self, octets: bytes, instant: Nanoseconds, now: Nanoseconds) -> None:
        """
        Take what has come in, or the end; wake whoever waits when that decides his request.
        """
        try:
            if octets:
                if self._first is None:
                    self._first = instant
                self._feed(octets)
            else:
                self._end()
            if self._complete:
                self._succeed(instant, now, reusable=bool(octets))
        except RequestFailed as wrong:
            self._fail(wrong)
        except Exception as wrong:  # noqa: BLE001  # our own error: whoever waits must know of it
            waiter = self._settled()
            self.close()
            waiter.throw(wrong)

    def _feed(self, octets: bytes) -> None:
        """
        Have the parser take what has come in. Raises Failed when it is not HTTP, or more than we hold.
        """
        self._begun = True
        self._received += len(octets)
        try:
            self._parser.feed_data(octets)
        except PROTOCOL_ERRORS as wrong:
            if not self._complete:
                if isinstance(wrong, httptools.HttpParserCallbackError) and wrong.__context__ is not None:
                    raise wrong.__context__ from None  # a callback's error is our own
                raise failure_from(wrong, RequestStage.READING) from None
            self._kept = False  # something follows the answer that is none
        if not self._complete and self._received > (MAX_BODY_BYTES if self._headed else MAX_HEADER_BYTES):
            raise RequestFailed(Transport.TOO_LARGE, f"the answer is longer than {self._received - 1} bytes")

    def _end(self) -> None:
        """
        Take it that nothing more comes. Raises Failed unless that completes the answer.
        """
        if self._headed and self._until_close():
            self._complete = True
            self._kept = False
        elif self._refused is not None:
            raise failure_from(self._refused, self._stage)
        else:
            raise closed_early(self._stage)

    def _until_close(self) -> bool:
        """
        Whether the body ends with the connection (RFC 9112 §6.3, item 8).
        """
        fields = {name.lower(): value.lower() for name, value in self._fields}
        coding = fields.get(b"transfer-encoding", b"").rpartition(b",")[2].strip()
        return coding != b"chunked" and (bool(coding) or b"content-length" not in fields)

    def _lost(self, wrong: OSError) -> None:
        """
        Take it that the connection is broken.
        """
        if self._waiter is not None:
            self._fail(failure_from(wrong, self._stage))
        else:
            self.close()

    @property
    def _stage(self) -> RequestStage:
        """
        What the request is at.
        """
        if self._begun:
            return RequestStage.READING
        return (
            RequestStage.SENDING
            if self._rest or (self._refused is not None and not self._is_loss())
            else RequestStage.AWAITING
        )

    def _is_loss(self) -> bool:
        return self._refused is not None and self._refused.errno in CONNECTION_LOSS_ERRORS

    # ------------------------------------------------------------------ what becomes of it

    def _succeed(self, instant: Nanoseconds, now: Nanoseconds, *, reusable: bool) -> None:
        """
        Wake whoever waits for the answer.
        """
        end = instant / _BILLION
        if end > self._until:
            # It came in after the deadline, and before anybody looked.
            raise deadline_exceeded(RequestStage.READING)
        body = self._body
        answer = build_answer(
            self._status,
            tuple([(_NAMES.get(name) or _name(name), value.decode("latin-1")) for name, value in self._fields]),
            body[0] if len(body) == 1 else b"".join(body),
        )
        connect_time, tls_time = (None, None) if self._used else self._opened()
        assert self._first is not None
        reply = Reply(
            Transport.ANSWERED,
            end,
            answer,
            "",
            now / _BILLION,
            self._first / _BILLION,
            connect_time,
            tls_time,
            self._size,
            self._received,
        )
        waiter = self._settled()
        if self._kept and reusable and not self._ending and not self._rest and self._refused is None:
            self.idle_since = now
            self._idle.append(self)
        else:
            self.close()
        waiter.switch(reply)

    def _fail(self, wrong: RequestFailed) -> None:
        """
        Wake whoever waits in vain.
        """
        now = monotonic_ns() / _BILLION
        first = self._first / _BILLION if self._first is not None else None
        sent = self._size if not self._rest else max(self._size - len(self._rest), 0)
        connect_time, tls_time = self._opened()
        reply = Reply(
            wrong.transport, now, None, wrong.reason, now, first, connect_time, tls_time, sent, self._received
        )
        waiter = self._settled()
        self.close()
        waiter.switch(reply)

    def _settled(self) -> Any:
        """
        Whoever waited, and waits no more.
        """
        waiter, self._waiter = self._waiter, None
        self._deadlines.remove(self)
        return waiter

    def _opened(self) -> tuple[Seconds | None, Seconds | None]:
        """
        What connecting and the handshake took, for the first request of the connection.
        """
        if self._used:
            return None, None
        self._used = True
        return self._line.connect_time, self._line.tls_time

    # ------------------------------------------------------------------ called by the parser

    def on_message_begin(self) -> None:
        """Anything after the answer is one too many; after an interim one it is the next."""
        if self._complete:
            raise _OneTooMany
        self._fields = []
        self._headed = False

    def on_header(self, name: bytes, value: bytes) -> None:
        """A header field, or a trailer, which is not kept."""
        if not self._headed:
            self._fields.append((name, value))

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
            self._complete = True
            self._kept = self._parser.should_keep_alive()
        else:
            self._headed = False


class _OneTooMany(Exception):
    """
    An answer that nobody asked for.
    """


def _name(octets: bytes) -> str:
    """
    The name of a header field as text, remembered as long as there are not too many.
    """
    text = octets.decode("latin-1")
    if len(_NAMES) < _MOST_NAMES:
        _NAMES[octets] = text
    return text
