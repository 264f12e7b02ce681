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

from .connection import Connection, Reception
from .content_coding import decoded
from .request import Request, message
from .response_parser import Reading

LINGER: Seconds = 0.05
"""How long a connection on which nothing more is due is listened to."""

WORDLESS: Seconds = 2.0
"""How long an answer is waited for that need not come."""


class Conversation:
    """
    A connection on which requests are written and answers read as two things.
    """

    def __init__(
        self, connection: Connection, target: Target, *, deadline: Seconds, before: Callable[[], None]
    ) -> None:
        self._connection = connection
        self._target = target
        self._deadline = deadline
        self._before = before
        self._pending = b""
        """What has come behind the answer before."""
        self.ended = False
        """Whether the target has closed it."""

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, raised: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._connection.close()

    def say(self, request: Request, *pieces: bytes, pause: Seconds = 0.0) -> None:
        """
        Send a request: whole, or in the pieces that are given for it, with a pause between any two.
        """
        self._before()
        self.utter(*(pieces or (message(request, self._target),)), pause=pause)

    def say_together(self, requests: Iterable[Request]) -> None:
        """
        Send several requests in one go.
        """
        asked = tuple(requests)
        for _ in asked:
            self._before()
        self.utter(b"".join(message(request, self._target) for request in asked))

    def waits(self, patience: Seconds) -> bytes:
        """
        The first bytes of what comes within so long, kept for `hear`.
        """
        self._pending += self._connection.heard(patience) or b""
        return self._pending

    def utter(self, *pieces: bytes, pause: Seconds = 0.0) -> None:
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

    def hear(self, request: Request, *, within: Seconds | None = None, http_1_0: bool = False) -> Reception:
        """
        The next answer; *request* is what it is the answer to.
        """
        reading = Reading(request.method, http_1_0)
        until = monotonic() + (self._deadline if within is None else within)
        reception = self._connection.receive(reading, until, self._pending)
        self._pending = reading.stray
        if self._pending and not reading.departure and self._pending.startswith(b"HTTP/"[: len(self._pending)]):
            reception = replace(reception, misframed="")  # the next answer
        self.ended = self.ended or reading.ended or reception.transport is not Transport.ANSWERED
        return uncoded(reception, request)

    def overheard(self, patience: Seconds = LINGER) -> bytes:
        """
        What comes although nothing is due: listens for so long, or until the target closes.
        """
        heard, self._pending = self._pending, b""
        until = monotonic() + patience
        while not self.ended and (left := until - monotonic()) > 0:
            piece = self._connection.heard(left)
            if piece is None:
                break
            self.ended = not piece
            heard += piece
        return heard

    def finish(self) -> bool:
        """Say that nothing more comes, and listen on; False where that cannot be said."""
        return self._connection.finish()

    def reset(self) -> None:
        """Break it off."""
        self._connection.reset()


def uncoded(reception: Reception, request: Request) -> Reception:
    """
    What came back, its content coding undone.
    """
    if reception.answer is None or reception.answer.field("content-encoding") is None:
        return reception
    found = decoded(reception.answer, request)
    return replace(reception, answer=found.answer, miscoded=found.departure, advice=found.advice)
