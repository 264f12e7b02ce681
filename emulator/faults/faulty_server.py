"""
An endpoint with a bend in it: the honest one's connection and site, and the places where the bend takes hold.

Chosen once when the server starts, so that the honest endpoint knows nothing of it.
"""

from __future__ import annotations

import asyncio
import re
from collections import defaultdict
from collections.abc import Iterator
from functools import partial
from time import CLOCK_REALTIME, clock_gettime, monotonic

from chainproof.contract.answer import Answer
from chainproof.contract.violations import error_code

from ..behaviour.request import Request
from ..decision import Decision, Forward, Model
from ..transport.access_log import Truth
from ..transport.connection import Connection
from ..transport.protocol import Exchange, Turn, rendered
from ..transport.server_state import Site
from .hooks import Asked, Bend, End, Memory, Sending, Step

_CONTINUE = b"HTTP/1.1 100 Continue\r\n\r\n"


class BentSite(Site):
    """
    One server's model at work, and what its bend remembers.
    """

    def __init__(self, loop: asyncio.AbstractEventLoop, model: Model, truth: Truth, bend: Bend) -> None:
        super().__init__(loop, model, truth, None)
        self.bend = bend
        self.memory = Memory()
        self.waiting: defaultdict[int, list[Request]] = defaultdict(list)
        """The requests that wait for their answers, by connection."""

    def refuses_head(self, request: Request) -> bool:
        """Never: what the bend says to a request depends on its body."""
        del request
        return False

    def bent(self, request: Request, *, connection: Memory, number: int, place: int) -> Decision:
        """What the bend says to a request."""
        decisions: list[Decision] = []

        def serve(other: Request) -> Answer:
            decided = self.decide(other)
            assert isinstance(decided, Decision)  # there is no chain of the user's behind a bend
            decisions.append(decided)
            return decided.answer

        asked = Asked(
            request=request,
            key=self.model.key.reveal().encode(),
            serve=serve,
            memory=self.memory,
            connection=connection,
            place=place,
            waiting=len(self.waiting[number]),
            meanwhile=tuple(one for other, those in self.waiting.items() if other != number for one in those),
            now=monotonic(),
        )
        answer = (self.bend.decide or Asked.honest)(asked)
        longer = self.bend.wait(asked) if self.bend.wait else 0.0
        last = decisions[-1] if decisions else self.malformed("")
        code = error_code(answer)
        return Decision(
            number=last.number,
            answer=answer,
            error_code=code if isinstance(code, str) else None,
            service_time=last.service_time + longer,
        )


class BentExchange(Exchange):
    """
    The server's side of one connection, bent.
    """

    def __init__(self, connection: Connection, site: BentSite, number: int) -> None:
        super().__init__(connection, site, number)
        self._bent = site
        self._bend = site.bend
        self._memory = Memory()
        self._place = 0
        self._between = True
        """Whether no request has begun that is not whole."""
        self._sending = False
        """Whether an answer is on its way, step by step."""

    def data_received(self, data: memoryview) -> None:
        """Feed the parser what the bend makes of the bytes."""
        if self._bend.read:
            data = memoryview(self._bend.read(bytes(data), self._between))
        super().data_received(data)

    def eof_received(self) -> None:
        """Take a cut request for a whole one, where the bend does."""
        if not self._bend.takes_half:
            super().eof_received()
        elif not self._between and not self._in_head and not self._deaf:
            self.on_message_complete()
            self._deaf = True
        elif not self._turns:
            super().eof_received()

    def connection_lost(self) -> None:
        """Forget what waits."""
        self._bent.waiting.pop(self._number, None)
        super().connection_lost()

    def on_message_begin(self) -> None:
        """A request has begun."""
        self._between = False
        super().on_message_begin()

    def on_message_complete(self) -> None:
        """The request is whole."""
        self._between = True
        super().on_message_complete()

    def _decided(self, request: Request) -> Decision | Forward:
        """
        What the bend says.
        """
        self._place += 1
        waiting = self._bent.waiting
        decision = self._bent.bent(request, connection=self._memory, number=self._number, place=self._place)
        waiting[self._number].append(request)
        if decision.answer.status == 200:
            self._bent.memory.bodies.append(request.body)
        return decision

    def _ready(self, turn: Turn) -> None:
        """
        Send whatever is due, one whole answer after another.
        """
        turn.ready = True
        self._send_ready()

    def _send_ready(self) -> None:
        """
        The same, once no answer is on its way.
        """
        turns = self._turns
        while turns and turns[0].ready and not self._sending:
            self._send(turns.popleft())
        self._connection.resume()

    def _send(self, turn: Turn) -> None:
        """
        Put one answer on the wire as the bend does.
        """
        self._seen = monotonic()
        self._sending = True
        sending = self._rendered(turn)
        self._play(turn, self._bend.send(sending) if self._bend.send else iter([sending.wire]))

    def _rendered(self, turn: Turn) -> Sending:
        """
        The answer as an honest endpoint would send it.
        """
        answer = turn.decision.answer if turn.decision else None
        wire = _CONTINUE
        if answer is not None:
            wire = rendered(answer, self._site.date(), close=turn.close, bodiless=turn.method == b"HEAD")
        head, blank, body = wire.partition(b"\r\n\r\n")
        if answer is not None and answer.status == 204:  # RFC 9110 §8.6: there, the field is forbidden
            head = re.sub(rb"\r\nContent-Length: \d+", b"", head)
        return Sending(
            head=head + blank,
            body=body,
            answer=answer,
            request=turn.request,
            close=turn.close,
            memory=self._bent.memory,
            connection=self._memory,
        )

    def _play(self, turn: Turn, steps: Iterator[Step]) -> None:
        """
        Go through the steps up to the next that takes time.
        """
        for step in steps:
            if isinstance(step, bytes):
                self._connection.send(step)
            elif isinstance(step, End):
                self._end(step)
                return
            else:
                self._site.timers.at(monotonic() + step, partial(self._play_on, turn, steps))
                return
        self._sending = False
        if turn.decision is not None and self._site.truth.wanted:
            self._sent(turn, clock_gettime(CLOCK_REALTIME))
        self._answered_one(turn)
        if turn.close:
            self._connection.close()
        self._send_ready()

    def _play_on(self, turn: Turn, steps: Iterator[Step]) -> None:
        """
        Go on after a while, if somebody is still there.
        """
        if self._parser is not None:
            self._play(turn, steps)

    def _end(self, end: End) -> None:
        """
        End as the bend says.
        """
        self._deaf = True
        if end is End.CLOSE:
            self._connection.close()
        elif end is End.RESET:
            self._connection.reset()

    def _answered_one(self, turn: Turn) -> None:
        """
        Count a request no longer among those that wait.
        """
        if turn.request is not None:
            waiting = self._bent.waiting[self._number]
            self._bent.waiting[self._number] = [one for one in waiting if one is not turn.request]
