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

from ..behaviour.request import ReceivedRequest
from ..decision import ChainRequest, Decision, EmulatorConfig
from ..transport.access_log import AccessLog
from ..transport.connection import TcpConnection
from ..transport.protocol import HttpProtocol, PendingAnswer, serialize_answer
from ..transport.server_state import ServerState
from .hooks import ConnectionEnd, FaultHook, Memory, OutgoingAnswer, RequestContext, Step

_CONTINUE = b"HTTP/1.1 100 Continue\r\n\r\n"


class FaultyServer(ServerState):
    """
    One server's model at work, and what its bend remembers.
    """

    def __init__(
        self, loop: asyncio.AbstractEventLoop, config: EmulatorConfig, access_log: AccessLog, hook: FaultHook
    ) -> None:
        super().__init__(loop, config, access_log, None)
        self.hook = hook
        self.memory = Memory()
        self.in_flight: defaultdict[int, list[ReceivedRequest]] = defaultdict(list)
        """The requests that wait for their answers, by connection."""

    def rejects_head(self, request: ReceivedRequest) -> bool:
        """Never: what the bend says to a request depends on its body."""
        del request
        return False

    def decide_with_fault(
        self, request: ReceivedRequest, *, connection: Memory, number: int, position: int
    ) -> Decision:
        """What the bend says to a request."""
        decisions: list[Decision] = []

        def serve(other: ReceivedRequest) -> Answer:
            decided = self.decide(other)
            assert isinstance(decided, Decision)  # there is no chain of the user's behind a bend
            decisions.append(decided)
            return decided.answer

        context = RequestContext(
            request=request,
            key=self.config.key.reveal().encode(),
            serve=serve,
            memory=self.memory,
            connection=connection,
            position=position,
            in_flight=len(self.in_flight[number]),
            concurrent=tuple(one for other, those in self.in_flight.items() if other != number for one in those),
            now=monotonic(),
        )
        answer = (self.hook.decide or RequestContext.correct_answer)(context)
        longer = self.hook.wait(context) if self.hook.wait else 0.0
        last = decisions[-1] if decisions else self.decide_malformed("")
        code = error_code(answer)
        return Decision(
            number=last.number,
            answer=answer,
            error_code=code if isinstance(code, str) else None,
            service_time=last.service_time + longer,
        )


class FaultyProtocol(HttpProtocol):
    """
    The server's side of one connection, bent.
    """

    def __init__(self, connection: TcpConnection, site: FaultyServer, number: int) -> None:
        super().__init__(connection, site, number)
        self._bent = site
        self._bend = site.hook
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
        if not self._bend.accepts_truncated_body:
            super().eof_received()
        elif not self._between and not self._in_head and not self._deaf:
            self.on_message_complete()
            self._deaf = True
        elif not self._turns:
            super().eof_received()

    def connection_lost(self) -> None:
        """Forget what waits."""
        self._bent.in_flight.pop(self._number, None)
        super().connection_lost()

    def on_message_begin(self) -> None:
        """A request has begun."""
        self._between = False
        super().on_message_begin()

    def on_message_complete(self) -> None:
        """The request is whole."""
        self._between = True
        super().on_message_complete()

    def _decided(self, request: ReceivedRequest) -> Decision | ChainRequest:
        """
        What the bend says.
        """
        self._place += 1
        in_flight = self._bent.in_flight
        decision = self._bent.decide_with_fault(
            request, connection=self._memory, number=self._number, position=self._place
        )
        in_flight[self._number].append(request)
        if decision.answer.status == 200:
            self._bent.memory.bodies.append(request.body)
        return decision

    def _ready(self, pending: PendingAnswer) -> None:
        """
        Send whatever is due, one whole answer after another.
        """
        pending.ready = True
        self._send_ready()

    def _send_ready(self) -> None:
        """
        The same, once no answer is on its way.
        """
        turns = self._turns
        while turns and turns[0].ready and not self._sending:
            self._send(turns.popleft())
        self._connection.resume()

    def _send(self, pending: PendingAnswer) -> None:
        """
        Put one answer on the wire as the bend does.
        """
        self._seen = monotonic()
        self._sending = True
        outgoing = self._rendered(pending)
        self._play(pending, self._bend.send(outgoing) if self._bend.send else iter([outgoing.wire]))

    def _rendered(self, pending: PendingAnswer) -> OutgoingAnswer:
        """
        The answer as an honest endpoint would send it.
        """
        answer = pending.decision.answer if pending.decision else None
        wire = _CONTINUE
        if answer is not None:
            wire = serialize_answer(answer, self._site.date(), close=pending.close, bodiless=pending.method == b"HEAD")
        head, blank, body = wire.partition(b"\r\n\r\n")
        if answer is not None and answer.status == 204:  # RFC 9110 §8.6: there, the field is forbidden
            head = re.sub(rb"\r\nContent-Length: \d+", b"", head)
        return OutgoingAnswer(
            head=head + blank,
            body=body,
            answer=answer,
            request=pending.request,
            close=pending.close,
            memory=self._bent.memory,
            connection=self._memory,
        )

    def _play(self, pending: PendingAnswer, steps: Iterator[Step]) -> None:
        """
        Go through the steps up to the next that takes time.
        """
        for step in steps:
            if isinstance(step, bytes):
                self._connection.send(step)
            elif isinstance(step, ConnectionEnd):
                self._end(step)
                return
            else:
                self._site.timers.call_at(monotonic() + step, partial(self._play_on, pending, steps))
                return
        self._sending = False
        if pending.decision is not None and self._site.access_log.enabled:
            self._sent(pending, clock_gettime(CLOCK_REALTIME))
        self._answered_one(pending)
        if pending.close:
            self._connection.close()
        self._send_ready()

    def _play_on(self, pending: PendingAnswer, steps: Iterator[Step]) -> None:
        """
        Go on after a while, if somebody is still there.
        """
        if self._parser is not None:
            self._play(pending, steps)

    def _end(self, end: ConnectionEnd) -> None:
        """
        End as the bend says.
        """
        self._deaf = True
        if end is ConnectionEnd.CLOSE:
            self._connection.close()
        elif end is ConnectionEnd.RESET:
            self._connection.reset()

    def _answered_one(self, pending: PendingAnswer) -> None:
        """
        Count a request no longer among those that wait.
        """
        if pending.request is not None:
            in_flight = self._bent.in_flight[self._number]
            self._bent.in_flight[self._number] = [one for one in in_flight if one is not pending.request]
