"""
A keep-alive connection that carries one request at a time.

Callbacks of the event loop read and parse what comes in. The greenlet that waits for the answer is woken once, when it
is complete. The event loop also watches idle connections, so that one which the target closed is not used again.
"""

from __future__ import annotations

import ssl
from collections.abc import Callable
from time import monotonic_ns
from typing import Any, cast

import httptools
from gevent import getcurrent

from chainproof.clock import Seconds
from chainproof.contract.answer import Answer, build_answer
from chainproof.results.exchange import Transport

from .answer_templates import AnswerTemplate, AnswerTemplates
from .connect import READ_SIZE, SocketStream
from .deadlines import Deadlines
from .receive_timestamps import ANCILLARY_SIZE, Nanoseconds, ReceiveTimestamps
from .reply import Reply, stored_id
from .response_memory import FIELD_OVERHEAD, ResponseMemory
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
MAX_HEADER_FIELDS = 5000
"""curl reads as many."""
MAX_BODY_BYTES = 64 << 20
"""Longer answers are a transport error."""

_READ = 1
_WRITE = 2
_BILLION = 1_000_000_000
_build_reply: Callable[[type[Reply], tuple[object, ...]], Reply] = tuple.__new__
"""Builds a Reply from all of its fields, in half the time of its constructor."""
_MAX_NAMES = 1000
_MAX_CACHED_NAME = 64
_COPIES = 3
"""How often the body of a long answer is copied at the same time: it is joined, and searched for secrets and defects."""
_NAMES: dict[bytes, str] = {}
"""Decoded header field names: a target repeats the same few."""


class KeepAliveConnection:
    """A connection and the parser of its answers."""

    __slots__ = (
        "_answer_started",
        "_body",
        "_complete",
        "_deadline",
        "_deadlines",
        "_ending",
        "_fields",
        "_first_byte",
        "_head_complete",
        "_held",
        "_hub",
        "_idle",
        "_keep_alive",
        "_memory",
        "_outside_body",
        "_parser",
        "_received",
        "_recvmsg",
        "_request_size",
        "_send",
        "_send_error",
        "_sent_at",
        "_status",
        "_stream",
        "_templates",
        "_timestamps",
        "_unsent",
        "_used",
        "_waiter",
        "_watcher",
        "_writer",
        "idle_since",
        "open",
    )

    def __init__(  # noqa: PLR0917  # everything that the connections of a client share
        self,
        stream: SocketStream,
        hub: Any,
        timestamps: ReceiveTimestamps,
        deadlines: Deadlines,
        templates: AnswerTemplates,
        memory: ResponseMemory,
        idle: list[KeepAliveConnection],
    ) -> None:
        """The connection appends itself to *idle* when it can carry another request."""
        assert stream.socket is not None
        self._stream = stream
        self._hub = hub
        self._timestamps = timestamps
        self._deadlines = deadlines
        self._templates = templates
        self._memory = memory
        self._held = 0
        """Bytes of the present answer that count towards `_memory`."""
        self._idle = idle
        self._recvmsg = stream.socket.recvmsg
        self._send = stream.socket.send
        self._parser: Any = httptools.HttpResponseParser(self)
        self._waiter: Any = None
        self._writer: Any = None
        self._unsent = memoryview(b"")
        self._used = False
        self._ending = False
        self.open = True
        self.idle_since: Nanoseconds = 0
        self._watcher = hub.loop.io(stream.socket.fileno(), _READ)
        self._watcher.start(self._readable if stream.tls is None else self._readable_tls)

    # ------------------------------------------------------------------ one request

    def exchange(self, request: bytes, deadline: Seconds) -> Reply:
        """Send a request and wait for its result until *deadline*, an instant of the monotonic clock."""
        self._received = self._outside_body = 0
        self._head_complete = self._answer_started = self._complete = False
        self._first_byte: Nanoseconds | None = None
        self._send_error: OSError | None = None
        self._deadline = deadline
        self._waiter = getcurrent()
        self._sent_at = monotonic_ns()
        self._deadlines.add(self, deadline)
        try:
            self._start_sending(request)
            while True:
                reply = self._hub.switch()
                if type(reply) is Reply:
                    return reply
        except BaseException:
            if self._waiter is not None:
                self._take_waiter()
                self._release()
                self.close()
            raise

    def usable(self) -> bool:
        """Whether another request can be sent, judging by what was received so far."""
        if self.open:
            self._readable() if self._stream.tls is None else self._readable_tls()
        return self.open

    def close(self) -> None:
        """Close the connection."""
        if self.open:
            self.open = False
            self._watcher.stop()
            self._watcher.close()
            self._stop_writing()
            self._stream.close()
            self._parser = None  # it refers back to this object
            del self._recvmsg, self._send

    def expire(self) -> None:
        """End the request because its deadline has passed, unless its answer is already in the socket buffer."""
        sent = self._sent_at
        self._readable() if self._stream.tls is None else self._readable_tls()
        # Reading may have completed the request, and the connection may carry the next one now.
        if self._waiter is not None and self._sent_at == sent:
            self._fail(deadline_exceeded(self._stage))

    # ------------------------------------------------------------------ sending

    def _start_sending(self, request: bytes) -> None:
        self._request_size = len(request)
        tls = self._stream.tls
        try:
            if tls is not None:
                tls.write(request)
                request = self._stream.outgoing.read()
            count = self._send(request)
        except BlockingIOError:
            count = 0
        except OSError as error:
            # A target that rejects a request before reading all of it may have sent an answer: read it.
            self._send_error = error
            return
        if count < len(request):
            self._send_later(memoryview(request)[count:])

    def _send_later(self, data: memoryview) -> None:
        """Send the rest when the socket becomes writable."""
        self._unsent = data
        self._writer = self._hub.loop.io(self._watcher.fd, _WRITE)
        self._writer.start(self._writable)

    def _writable(self) -> None:
        try:
            self._unsent = self._unsent[self._send(self._unsent) :]
        except BlockingIOError:
            return
        except OSError as error:
            self._send_error = error
            self._unsent = memoryview(b"")
        if not self._unsent:
            self._stop_writing()

    def _stop_writing(self) -> None:
        self._unsent = memoryview(b"")
        if self._writer is not None:
            self._writer.stop()
            self._writer.close()
            self._writer = None

    # ------------------------------------------------------------------ receiving

    def _readable(self) -> None:
        """Read once. Called by the event loop: must not raise exceptions."""
        try:
            data, ancillary, _, _ = self._recvmsg(READ_SIZE, ANCILLARY_SIZE)
        except BlockingIOError:
            return
        except OSError as error:
            self._lost(error)
            return
        if self._waiter is None:
            self.close()  # closed by the target, or bytes that belong to no request
            return
        now = monotonic_ns()
        self._receive(data, self._timestamps.received_at(ancillary, self._sent_at, now), now)

    def _readable_tls(self) -> None:
        """Read once and decrypt the TLS records that are complete."""
        try:
            data, ancillary, _, _ = self._recvmsg(READ_SIZE, ANCILLARY_SIZE)
        except BlockingIOError:
            return
        except OSError as error:
            self._lost(error)
            return
        now = monotonic_ns()
        plain, end = self._decrypt(data)
        if self._waiter is None:
            if plain or end:
                self.close()
            return
        if plain:
            self._ending = end is not None
            self._receive(plain, self._timestamps.received_at(ancillary, self._sent_at, now), now)
        # If this completed the answer, no greenlet is waiting any more.
        if end is not None and self._waiter is not None:
            if isinstance(end, OSError):
                self._lost(end)
            else:
                self._receive(b"", now, now)

    def _decrypt(self, data: bytes) -> tuple[bytes, OSError | str | None]:
        """The decrypted bytes, and what ended the stream: an error, "close_notify" or None."""
        stream = self._stream
        tls = cast(ssl.SSLObject, stream.tls)
        if data:
            stream.incoming.write(data)
        else:
            stream.incoming.write_eof()
        plain = b""
        end: OSError | str | None = None
        try:
            while True:
                part = tls.read(READ_SIZE)
                if not part:
                    end = "close_notify"
                    break
                plain += part
                if not stream.incoming.pending and not tls.pending():
                    break
            if stream.outgoing.pending:
                self._send_tls(stream.outgoing.read())
        except ssl.SSLWantReadError:
            pass
        except OSError as error:
            end = error
        return plain, end

    def _send_tls(self, data: bytes) -> None:
        """Send bytes of the TLS protocol itself, after those that are still unsent."""
        if self._unsent:
            self._unsent = memoryview(bytes(self._unsent) + data)
        elif (count := self._send(data)) < len(data):
            self._send_later(memoryview(data)[count:])

    def _receive(self, data: bytes, instant: Nanoseconds, now: Nanoseconds) -> None:
        """Process received bytes, or the end of the stream, and wake the waiting greenlet if that settles the request."""
        try:
            if not data:
                self._end()
            elif self._answer_started:
                self._feed(data)
            else:
                self._first_byte = instant
                repeated = self._templates.find(data)
                if repeated is not None:
                    self._received = len(data)
                    self._keep_alive = True
                    self._succeed(None, *repeated, instant, now)
                    return
                self._start_parsing()
                self._feed(data)
            if self._complete:
                self._keep_alive = self._keep_alive and bool(data)
                self._succeed(*self._parsed_answer(data), instant, now)
        except RequestFailed as error:
            self._fail(error)
        except Exception as error:  # noqa: BLE001  # internal error: passed on to the waiting greenlet
            waiter = self._take_waiter()
            self._release()
            self.close()
            waiter.throw(error)

    def _start_parsing(self) -> None:
        """Prepare for the first bytes of an answer."""
        self._fields: list[tuple[bytes, bytes]] = []
        self._body: list[bytes] = []
        self._status = 0
        self._keep_alive = False
        self._answer_started = True

    def _feed(self, data: bytes) -> None:
        """Parse received bytes. Raises RequestFailed if they are not HTTP or the answer is too large."""
        self._received += len(data)
        self._outside_body += len(data)
        self._hold(len(data) + len(data) // 8)  # an eighth for what the allocator adds
        try:
            self._parser.feed_data(data)
        except PROTOCOL_ERRORS as error:
            if not self._complete:
                if isinstance(error, httptools.HttpParserCallbackError) and error.__context__ is not None:
                    raise error.__context__ from None  # an exception in a callback is an internal error
                raise failure_from(error, RequestStage.READING) from None
            self._keep_alive = False  # the answer is followed by bytes that are not HTTP
        if not self._complete:
            self._check_size()

    def _check_size(self) -> None:
        """Raise RequestFailed if the answer is too large."""
        if self._outside_body > MAX_HEADER_BYTES:
            part = "chunk lines or trailers" if self._head_complete else "head"
            raise RequestFailed(Transport.TOO_LARGE, f"the answer has more than {MAX_HEADER_BYTES} bytes of {part}")
        if len(self._fields) > MAX_HEADER_FIELDS:
            raise RequestFailed(Transport.TOO_LARGE, f"the answer has more than {MAX_HEADER_FIELDS} header fields")
        if self._received > MAX_BODY_BYTES:
            raise RequestFailed(Transport.TOO_LARGE, f"the answer is longer than {MAX_BODY_BYTES} bytes")

    def _hold(self, count: int) -> None:
        """Count more bytes of the answer. Raises RequestFailed if all answers together have too many."""
        self._held += count
        self._memory.hold(count)

    def _end(self) -> None:
        """Process the end of the stream. Raises RequestFailed unless it completes the answer."""
        if self._head_complete and self._ends_with_connection():
            self._complete = True
            self._keep_alive = False
        elif self._send_error is not None:
            raise failure_from(self._send_error, self._stage)
        else:
            raise closed_early(self._stage)

    def _ends_with_connection(self) -> bool:
        """Whether the end of the connection is the end of the body (RFC 9112 §6.3, item 8)."""
        fields = {name.lower(): value.lower() for name, value in self._fields}
        coding = fields.get(b"transfer-encoding", b"").rpartition(b",")[2].strip()
        return coding != b"chunked" and (bool(coding) or b"content-length" not in fields)

    def _lost(self, error: OSError) -> None:
        """Process a broken connection."""
        if self._waiter is not None:
            self._fail(failure_from(error, self._stage))
        else:
            self.close()

    @property
    def _stage(self) -> RequestStage:
        """What the request is doing."""
        if self._answer_started:
            return RequestStage.READING
        return (
            RequestStage.SENDING
            if self._unsent or (self._send_error is not None and not self._connection_was_lost())
            else RequestStage.AWAITING
        )

    def _connection_was_lost(self) -> bool:
        return self._send_error is not None and self._send_error.errno in CONNECTION_LOSS_ERRORS

    # ------------------------------------------------------------------ settling

    def _parsed_answer(self, last: bytes) -> tuple[Answer, AnswerTemplate | None, bytes]:
        """The answer, its template if it gets one, and its request id. *last* are the bytes that were read last."""
        body = self._body
        if len(body) > 1:
            self._hold(_COPIES * sum(map(len, body)))
        answer = build_answer(
            self._status,
            tuple([(_NAMES.get(name) or _name(name), value.decode("latin-1")) for name, value in self._fields]),
            body[0] if len(body) == 1 else b"".join(body),
        )
        single = self._keep_alive and len(last) == self._received
        template = self._templates.add(last, answer) if single else None
        return answer, template, stored_id(answer.request_id)

    def _succeed(
        self,
        answer: Answer | None,
        template: AnswerTemplate | None,
        request_id: bytes,
        instant: Nanoseconds,
        now: Nanoseconds,
    ) -> None:
        """Wake the waiting greenlet with the answer; None if it is equal to the template's."""
        end = instant / _BILLION
        if end > self._deadline:
            # It came in after the deadline, before the timer fired.
            raise deadline_exceeded(RequestStage.READING)
        connect_time, tls_time = (None, None) if self._used else self._take_connect_times()
        assert self._first_byte is not None
        assert answer is not None or template is not None
        reply = _build_reply(
            Reply,
            (
                Transport.ANSWERED,
                end,
                answer,
                "",
                now / _BILLION,
                self._first_byte / _BILLION,
                connect_time,
                tls_time,
                self._request_size,
                self._received,
                0,
                template,
                request_id,
                template.body_length if template is not None else len(answer.body),  # type: ignore[union-attr]  # see above
            ),
        )
        waiter = self._take_waiter()
        if self._keep_alive and not self._ending and not self._unsent and self._send_error is None:
            self.idle_since = now
            self._idle.append(self)
        else:
            self.close()
        self._wake(waiter, reply)

    def _fail(self, error: RequestFailed) -> None:
        """Wake the waiting greenlet with a transport error."""
        now = monotonic_ns() / _BILLION
        first = self._first_byte / _BILLION if self._first_byte is not None else None
        sent = self._request_size if not self._unsent else max(self._request_size - len(self._unsent), 0)
        connect_time, tls_time = self._take_connect_times()
        reply = Reply(
            error.transport, now, None, error.reason, now, first, connect_time, tls_time, sent, self._received
        )
        waiter = self._take_waiter()
        self.close()
        self._wake(waiter, reply)

    def _take_waiter(self) -> Any:
        """The waiting greenlet, which is to be woken; the deadline is removed."""
        waiter, self._waiter = self._waiter, None
        self._deadlines.remove(self)
        return waiter

    def _wake(self, waiter: Any, reply: Reply) -> None:
        """Wake a waiting greenlet. It judges the answer before it waits again, and until then the memory is in use."""
        held, self._held = self._held, 0
        if held:
            self._fields, self._body = [], []
        waiter.switch(reply)
        self._memory.held -= held

    def _release(self) -> None:
        """Release the memory of an answer that nobody reads."""
        self._memory.held -= self._held
        self._held = 0
        self._fields, self._body = [], []

    def _take_connect_times(self) -> tuple[Seconds | None, Seconds | None]:
        """Connect time and TLS time for the first request of the connection, None for the others."""
        if self._used:
            return None, None
        self._used = True
        return self._stream.connect_time, self._stream.tls_time

    # ------------------------------------------------------------------ called by the parser

    def on_message_begin(self) -> None:
        """Prepare for an answer. Raises an exception if the request was answered already."""
        if self._complete:
            raise _UnexpectedAnswer
        self._fields = []
        self._head_complete = False

    def on_header(self, name: bytes, value: bytes) -> None:
        """Keep a header field; ignore a trailer field."""
        if not self._head_complete:
            self._hold(FIELD_OVERHEAD)
            self._fields.append((name, value))

    def on_headers_complete(self) -> None:
        """Note the status."""
        self._status = self._parser.get_status_code()
        self._head_complete = True

    def on_body(self, data: bytes) -> None:
        """Keep a part of the body."""
        self._outside_body = 0
        self._body.append(data)

    def on_message_complete(self) -> None:
        """Complete the answer, unless it is an interim one (RFC 9110 §15.2)."""
        if self._status >= 200:
            self._complete = True
            self._keep_alive = self._parser.should_keep_alive()
        else:
            self._head_complete = False


class _UnexpectedAnswer(Exception):
    """An answer without a request."""


def _name(data: bytes) -> str:
    """The name of a header field as text, from a bounded cache."""
    text = data.decode("latin-1")
    if len(_NAMES) < _MAX_NAMES and len(data) <= _MAX_CACHED_NAME:
        _NAMES[data] = text
    return text
