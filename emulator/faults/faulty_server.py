"""
The faulty server: server state and protocol of the correct emulator, with the places where a fault hook is called.

The server chooses between the two once, at its start, so that the correct emulator contains no code for faults.
"""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import Iterator
from functools import partial
from time import CLOCK_REALTIME, clock_gettime, monotonic
from typing import TYPE_CHECKING

from chainproof.contract.answer import Answer
from chainproof.contract.violations import error_code

from ..behaviour.request import ReceivedRequest
from ..chain.chain_request import ChainRequest
from ..decision import Decision, EmulatorConfig, decision_from_chain, scenario_service_time
from ..transport.access_log import AccessLog
from ..transport.connection import TcpConnection
from ..transport.protocol import HttpProtocol, PendingAnswer
from ..transport.serialization import serialize_answer
from ..transport.server_state import ServerState
from .hooks import ConnectionEnd, FaultHook, Memory, OutgoingAnswer, RequestContext, Step

if TYPE_CHECKING:  # pydantic, for a user's chain alone, takes as long to import as the rest of the emulator
    from ..chain.chain import UserChain

_CONTINUE = b"HTTP/1.1 100 Continue\r\n\r\n"


class FaultyServer(ServerState):
    """
    Server state with a fault hook and its memory.

    It runs the user's chain at once and one request at a time, since a hook is a plain function that may need the
    chain's answers to several requests.
    """

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        config: EmulatorConfig,
        access_log: AccessLog,
        hook: FaultHook,
        *,
        chain: UserChain | None = None,
    ) -> None:
        super().__init__(loop, config, access_log, None)
        self._chain = chain
        self.hook = hook
        self.memory = Memory()
        self.in_flight: defaultdict[int, list[ReceivedRequest]] = defaultdict(list)
        """Unanswered requests by connection number."""

    def rejects_head(self, request: ReceivedRequest) -> bool:
        """Always False: the hook decides on complete requests."""
        del request
        return False

    def decide_with_fault(
        self, request: ReceivedRequest, *, connection: Memory, number: int, position: int
    ) -> Decision:
        """The decision of the hook on a complete request."""
        decisions: list[Decision] = []

        def serve(other: ReceivedRequest) -> Answer:
            decision = self.decide(other)
            if isinstance(decision, ChainRequest):
                assert self._chain is not None
                response = self._chain.respond(decision)
                # Requests overlap as much as those to the echo chain.
                duration = scenario_service_time(self.config, decision.number)
                decision = decision_from_chain(response, self.config, decision.number, duration)
            decisions.append(decision)
            return decision.answer

        context = RequestContext(
            request=request,
            key=self.config.key.reveal().encode(),
            serve=serve,
            memory=self.memory,
            connection=connection,
            position=position,
            in_flight=len(self.in_flight[number]),
            concurrent=tuple(one for other, requests in self.in_flight.items() if other != number for one in requests),
            now=monotonic(),
        )
        answer = (self.hook.decide or RequestContext.correct_answer)(context)
        if answer.status == 200:
            self.memory.outputs.append((*context.known_answer, answer)[0].body)
        delay = self.hook.wait(context) if self.hook.wait else 0.0
        last = decisions[-1] if decisions else self.decide_malformed("")
        code = error_code(answer)
        return Decision(
            number=last.number,
            answer=answer,
            error_code=code if isinstance(code, str) else None,
            service_time=last.service_time + delay,
        )


class FaultyProtocol(HttpProtocol):
    """The server side of one connection, with a fault hook."""

    def __init__(self, connection: TcpConnection, server: FaultyServer, number: int) -> None:
        super().__init__(connection, server, number)
        self._faulty_server = server
        self._hook = server.hook
        self._memory = Memory()
        self._position = 0
        self._between_requests = True
        """Whether no request has been received in part."""
        self._sending = False
        """Whether the steps of an answer are running."""

    def data_received(self, data: memoryview) -> None:
        """Pass bytes through the hook to the parser."""
        if self._hook.read:
            data = memoryview(self._hook.read(bytes(data), self._between_requests))
        super().data_received(data)

    def eof_received(self) -> None:
        """Treat a truncated request as complete if the hook says so."""
        accepts = self._hook.accepts_truncated_body
        if accepts is None or not accepts(self._incoming.headers):
            super().eof_received()
        elif not self._between_requests and not self._in_head and not self._ended:
            self.on_message_complete()
            self._ended = True
        elif not self._pending:
            super().eof_received()

    def connection_lost(self) -> None:
        """Forget the unanswered requests of this connection."""
        self._faulty_server.in_flight.pop(self._number, None)
        if self._hook.abort and not self._between_requests:
            self._hook.abort(self._faulty_server.memory, b"".join(self._incoming.chunks))
        super().connection_lost()

    def on_message_begin(self) -> None:
        """A request has started."""
        self._between_requests = False
        super().on_message_begin()

    def on_message_complete(self) -> None:
        """A request is complete."""
        self._between_requests = True
        super().on_message_complete()

    def _decision(self, request: ReceivedRequest) -> Decision | ChainRequest:
        """The decision of the hook."""
        self._position += 1
        in_flight = self._faulty_server.in_flight
        decision = self._faulty_server.decide_with_fault(
            request, connection=self._memory, number=self._number, position=self._position
        )
        in_flight[self._number].append(request)
        if decision.answer.status == 200:
            self._faulty_server.memory.bodies.append(request.body)
        return decision

    def _ready(self, pending: PendingAnswer) -> None:
        """Send the answers that are due, one complete answer after another."""
        pending.ready = True
        self._send_ready()

    def _send_ready(self) -> None:
        """Do the same unless an answer is being sent."""
        turns = self._pending
        while turns and turns[0].ready and not self._sending:
            self._send(turns.popleft())
        self._connection.resume()

    def _send(self, pending: PendingAnswer) -> None:
        """Send one answer as the hook does."""
        self._last_activity = monotonic()
        self._sending = True
        outgoing = self._correct_outgoing(pending)
        self._run_steps(pending, self._hook.send(outgoing) if self._hook.send else iter([outgoing.wire]))

    def _correct_outgoing(self, pending: PendingAnswer) -> OutgoingAnswer:
        """The answer as the correct emulator would send it."""
        answer = pending.decision.answer if pending.decision else None
        wire = _CONTINUE
        if answer is not None:
            wire = serialize_answer(
                answer, self._server.date(), close=pending.close, bodiless=pending.method == b"HEAD"
            )
        head, blank, body = wire.partition(b"\r\n\r\n")
        return OutgoingAnswer(
            head=head + blank,
            body=body,
            answer=answer,
            request=pending.request,
            close=pending.close,
            memory=self._faulty_server.memory,
            connection=self._memory,
        )

    def _run_steps(self, pending: PendingAnswer, steps: Iterator[Step]) -> None:
        """Run steps until one of them takes time."""
        for step in steps:
            if isinstance(step, bytes):
                self._connection.send(step)
            elif isinstance(step, ConnectionEnd):
                self._end(step)
                return
            else:
                self._server.timers.call_at(monotonic() + step, partial(self._resume_steps, pending, steps))
                return
        self._sending = False
        if pending.decision is not None and self._server.access_log.enabled:
            self._sent(pending, clock_gettime(CLOCK_REALTIME))
        self._remove_in_flight(pending)
        if pending.close:
            self._connection.close()
        self._send_ready()

    def _resume_steps(self, pending: PendingAnswer, steps: Iterator[Step]) -> None:
        """Continue after a pause unless the connection is lost."""
        if self._parser is not None:
            self._run_steps(pending, steps)

    def _end(self, end: ConnectionEnd) -> None:
        """End the connection."""
        self._ended = True
        if end is ConnectionEnd.CLOSE:
            self._connection.close()
        elif end is ConnectionEnd.RESET:
            self._connection.reset()

    def _remove_in_flight(self, pending: PendingAnswer) -> None:
        """Remove an answered request from the requests in flight."""
        if pending.request is not None:
            in_flight = self._faulty_server.in_flight[self._number]
            self._faulty_server.in_flight[self._number] = [one for one in in_flight if one is not pending.request]
