"""A connection on which a check controls every step: which bytes are sent, in which pieces, and what is read when."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from dataclasses import replace
from types import TracebackType
from typing import Self

from chainproof.clock import Seconds, monotonic
from chainproof.contract.content_coding import decode_answer
from chainproof.contract.target import Target
from chainproof.results.exchange import Transport

from .check_skipped import AnswerNotRead
from .connection import TargetConnection, TransportResult
from .request import CheckRequest, request_bytes
from .response_memory import MemoryExhausted, with_memory
from .response_parser import MEMORY_FACTOR, AnswerParser

UNEXPECTED_DATA_TIMEOUT: Seconds = 0.05
"""How long to wait for bytes that should not arrive."""

MAX_UNEXPECTED = 2**18
"""Bytes after an answer after which reading stops."""

OPTIONAL_ANSWER_TIMEOUT: Seconds = 2.0
"""How long to wait for an answer that the target need not send."""


class RawConnection:
    """A connection on which requests are sent and answers are read in separate steps."""

    def __init__(
        self,
        connection: TargetConnection,
        target: Target,
        *,
        deadline: Seconds,
        before: Callable[[], None],
        limit: Callable[[Seconds], Seconds] = lambda seconds: seconds,
    ) -> None:
        self._connection = connection
        self._target = target
        self._deadline = deadline
        self._before = before
        self._limit = limit
        self._pending = b""
        """Bytes read after the end of the previous answer."""
        self.is_closed = False
        """Whether the target has closed it."""

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, raised: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._connection.close()

    def send_request(self, request: CheckRequest, *pieces: bytes, pause: Seconds = 0.0) -> None:
        """Send a request, or the *pieces* given for it with a *pause* between each two."""
        self._before()
        self.send_bytes(*(pieces or (request_bytes(request, self._target),)), pause=pause)

    def send_pipelined(self, requests: Iterable[CheckRequest]) -> None:
        """Send several requests at once, before any answer is read."""
        batch = tuple(requests)
        for _ in batch:
            self._before()
        self.send_bytes(b"".join(request_bytes(request, self._target) for request in batch))

    def wait_for_bytes(self, timeout: Seconds) -> bytes:
        """The first bytes that arrive within a timeout. The next `read_answer` reads them as well."""
        allowed = self._limit(timeout)
        received = self._connection.read_available(allowed)
        if received is None and allowed < timeout:
            self._limit(timeout)  # raises if none came because the run ended
        self._pending += received or b""
        return self._pending

    def send_bytes(self, *pieces: bytes, pause: Seconds = 0.0) -> None:
        """Send bytes of a request that is counted already. If the target has closed the connection, it may have answered before."""
        until = monotonic() + self._limit(self._deadline)
        for number, piece in enumerate(pieces):
            if number and pause:
                time.sleep(pause)
            try:
                self._connection.send(piece, until)
            except OSError:
                return

    def read_answer(
        self, request: CheckRequest, *, within: Seconds | None = None, http_1_0: bool = False
    ) -> TransportResult:
        """The next answer on the connection; it belongs to *request*. Raises AnswerNotRead."""
        parser = AnswerParser(request.method, http_1_0)
        deadline = self._deadline if within is None else within
        received = self._connection.read_answer(parser, monotonic() + self._limit(deadline), self._pending)
        if received.transport is Transport.DEADLINE:
            self._limit(deadline)  # raises if the answer is missing because the run ended
        self._pending = parser.trailing_bytes
        if self._pending and not parser.framing_error and self._pending.startswith(b"HTTP/"[: len(self._pending)]):
            received = replace(received, framing_error="")  # the bytes begin the next answer
        self.is_closed = self.is_closed or parser.connection_closed or received.transport is not Transport.ANSWERED
        received = without_content_coding(received, request)
        require_memory(received)
        return received

    def exchange(
        self,
        request: CheckRequest,
        *pieces: bytes,
        pause: Seconds = 0.0,
        within: Seconds | None = None,
        http_1_0: bool = False,
    ) -> TransportResult:
        """Send a request as `send_request` does, and read the next answer as `read_answer` does."""
        self.send_request(request, *pieces, pause=pause)
        return self.read_answer(request, within=within, http_1_0=http_1_0)

    def read_unexpected(self, timeout: Seconds = UNEXPECTED_DATA_TIMEOUT) -> bytes:
        """
        Bytes that arrive although no answer is due, until the timeout or until the target closes the connection. Of
        many bytes these are the first.
        """
        received, self._pending = self._pending, b""
        allowed = self._limit(timeout)
        until = monotonic() + allowed
        while not self.is_closed and len(received) < MAX_UNEXPECTED and (left := until - monotonic()) > 0:
            piece = self._connection.read_available(left)
            if piece is None:
                if allowed < timeout:
                    self._limit(timeout)  # raises if the target could not close the connection because the run ended
                break
            self.is_closed = not piece
            received += piece
        return received

    def close_writing(self) -> bool:
        """Close the sending direction. Returns False if that is not possible."""
        return self._connection.close_writing()

    def reset(self) -> None:
        """Close with a TCP reset."""
        self._connection.reset()


def without_content_coding(received: TransportResult, request: CheckRequest) -> TransportResult:
    """What came back, with the content coding of the answer undone."""
    if received.answer is None or received.answer.field("content-encoding") is None:
        return received
    accepted, has_body = request.values("accept-encoding"), request.method != "HEAD"
    decoded = decode_answer(received.answer, accepted, has_body=has_body)
    answer = decoded.answer
    if answer is not None and received.held is not None:
        try:
            received.held.add(MEMORY_FACTOR * len(answer.body))
        except MemoryExhausted as error:
            return replace(
                received, answer=None, transport=Transport.TOO_LARGE, reason=str(error), exceeds_memory=True, held=None
            )
        answer = with_memory(answer, received.held)
    return replace(received, answer=answer, coding_error=decoded.coding_error, warning=decoded.warning)


def require_memory(received: TransportResult) -> None:
    """
    Raises AnswerNotRead if an answer does not fit into our memory.

    What the target sent of it must not be in reach of the exception: its frames may stay in memory for a while.
    """
    if received.exceeds_memory:
        raise AnswerNotRead(received.reason)
