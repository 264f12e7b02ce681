"""
One connection, spoken over by hand: what is sent, in which pieces, and what is waited for is the check's own affair.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from dataclasses import replace
from types import TracebackType
from typing import Self

from chainproof.clock import Seconds, monotonic
from chainproof.contract.target import Target
from chainproof.results.exchange import Transport

from .connection import TargetConnection, TransportResult
from .content_coding import decode_answer
from .request import CheckRequest, request_bytes
from .response_parser import AnswerParser

UNEXPECTED_DATA_TIMEOUT: Seconds = 0.05
"""How long a connection on which nothing more is due is listened to."""

OPTIONAL_ANSWER_TIMEOUT: Seconds = 2.0
"""How long an answer is waited for that need not come."""


class RawConnection:
    """
    A connection on which requests are written and answers read as two things.
    """

    def __init__(
        self, connection: TargetConnection, target: Target, *, deadline: Seconds, before: Callable[[], None]
    ) -> None:
        self._connection = connection
        self._target = target
        self._deadline = deadline
        self._before = before
        self._pending = b""
        """What has come behind the answer before."""
        self.is_closed = False
        """Whether the target has closed it."""

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, raised: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._connection.close()

    def send_request(self, request: CheckRequest, *pieces: bytes, pause: Seconds = 0.0) -> None:
        """
        Send a request: whole, or in the pieces that are given for it, with a pause between any two.
        """
        self._before()
        self.send_bytes(*(pieces or (request_bytes(request, self._target),)), pause=pause)

    def send_pipelined(self, requests: Iterable[CheckRequest]) -> None:
        """
        Send several requests in one go.
        """
        asked = tuple(requests)
        for _ in asked:
            self._before()
        self.send_bytes(b"".join(request_bytes(request, self._target) for request in asked))

    def wait_for_bytes(self, patience: Seconds) -> bytes:
        """
        The first bytes of what comes within so long, kept for `hear`.
        """
        self._pending += self._connection.read_available(patience) or b""
        return self._pending

    def send_bytes(self, *pieces: bytes, pause: Seconds = 0.0) -> None:
        """
        Send bytes that belong to a request which is counted already.
        """
        until = monotonic() + self._deadline
        for number, piece in enumerate(pieces):
            if number and pause:
                time.sleep(pause)
            try:
                self._connection.send(piece, until)
            except OSError:  # whoever has closed it may have answered before: the reading tells
                return

    def read_answer(
        self, request: CheckRequest, *, within: Seconds | None = None, http_1_0: bool = False
    ) -> TransportResult:
        """
        The next answer; *request* is what it is the answer to.
        """
        parser = AnswerParser(request.method, http_1_0)
        until = monotonic() + (self._deadline if within is None else within)
        received = self._connection.read_answer(parser, until, self._pending)
        self._pending = parser.trailing_bytes
        if self._pending and not parser.framing_error and self._pending.startswith(b"HTTP/"[: len(self._pending)]):
            received = replace(received, framing_error="")  # the next answer
        self.is_closed = self.is_closed or parser.connection_closed or received.transport is not Transport.ANSWERED
        return without_content_coding(received, request)

    def read_unexpected(self, patience: Seconds = UNEXPECTED_DATA_TIMEOUT) -> bytes:
        """
        What comes although nothing is due: listens for so long, or until the target closes.
        """
        heard, self._pending = self._pending, b""
        until = monotonic() + patience
        while not self.is_closed and (left := until - monotonic()) > 0:
            piece = self._connection.read_available(left)
            if piece is None:
                break
            self.is_closed = not piece
            heard += piece
        return heard

    def close_writing(self) -> bool:
        """Say that nothing more comes, and listen on; False where that cannot be said."""
        return self._connection.close_writing()

    def reset(self) -> None:
        """Break it off."""
        self._connection.reset()


def without_content_coding(received: TransportResult, request: CheckRequest) -> TransportResult:
    """
    What came back, its content coding undone.
    """
    if received.answer is None or received.answer.field("content-encoding") is None:
        return received
    found = decode_answer(received.answer, request)
    return replace(received, answer=found.answer, coding_error=found.coding_error, warning=found.warning)
