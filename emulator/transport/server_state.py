"""State shared by all connections of one server: configuration, emulator state, timers and access log."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from email.utils import formatdate
from time import monotonic, time
from typing import TYPE_CHECKING, Protocol

from ..behaviour.request import ReceivedRequest
from ..chain.chain_request import ChainRequest
from ..chain.chain_response import ChainResponse
from ..chain.replica import ChunkCallback, Replica
from ..chain.retried_call import RetriedCall
from ..decision import (
    Decision,
    EmulatorConfig,
    EmulatorState,
    decide,
    decide_malformed,
    decision_from_chain,
    head_error,
)
from .access_log import FLUSH_EVERY, AccessLog
from .timers import Timers

if TYPE_CHECKING:  # pydantic, for a user's chain alone, takes as long to import as the rest of the emulator
    from ..chain.chain import UserChain


class Abortable(Protocol):
    """A connection that can be ended."""

    def abort(self) -> None:
        """End it at once."""
        ...


class ServerState:
    """The configuration and mutable state of one server."""

    def __init__(
        self, loop: asyncio.AbstractEventLoop, config: EmulatorConfig, access_log: AccessLog, chain: UserChain | None
    ) -> None:
        self.loop = loop
        self.config = config
        self.access_log = access_log
        self.timers = Timers(loop)
        self._state = EmulatorState()
        self._replica = None if chain is None else Replica(chain, loop, scenario=config.scenario)
        self._open: set[Abortable] = set()
        self._date = ""
        self._second = 0
        self._flusher = loop.call_later(FLUSH_EVERY, self._flush)

    def decide(self, request: ReceivedRequest) -> Decision | ChainRequest:
        """The decision on a complete request, or a request to run the chain."""
        decision, self._state = decide(request, self.config, self._state, monotonic())
        return decision

    def forward(
        self, request: ChainRequest, on_decision: Callable[[Decision], None], on_chunk: ChunkCallback
    ) -> RetriedCall:
        """Run the chain. *on_decision* gets the decision on its response, then *on_chunk* the chunks of a stream."""
        replica = self._replica
        assert replica is not None
        started_at = monotonic()

        def decide_response(response: ChainResponse, attempts: int) -> None:
            time = monotonic() - started_at
            on_decision(decision_from_chain(response, self.config, request.number, time, attempts))

        return RetriedCall(
            lambda on_response: replica.call(request, on_response, on_chunk),
            decide_response,
            policy=self.config.scenario.gateway_retries,
            clock=monotonic,
            call_at=self.timers.call_at,
        )

    def decide_malformed(self, reason: str) -> Decision:
        """The decision on a malformed request."""
        decision, self._state = decide_malformed(reason, self.config, self._state)
        return decision

    def rejects_head(self, request: ReceivedRequest) -> bool:
        """Whether a request is rejected regardless of its body."""
        return head_error(request, self.config) is not None

    def date(self) -> str:
        """The value of the Date header, computed once per second."""
        second = int(time())
        if second != self._second:
            self._second = second
            self._date = formatdate(second, usegmt=True)
        return self._date

    def add_connection(self, connection: Abortable) -> None:
        """Register a connection, to be aborted when the server closes."""
        self._open.add(connection)

    def remove_connection(self, connection: Abortable) -> None:
        """Unregister a connection."""
        self._open.discard(connection)

    def close(self) -> None:
        """Abort every connection and close the access log."""
        for connection in tuple(self._open):
            connection.abort()
        self._flusher.cancel()
        self.timers.close()
        self.access_log.close()

    def _flush(self) -> None:
        """Flush the access log periodically."""
        self._flusher = self.loop.call_later(FLUSH_EVERY, self._flush)
        self.access_log.flush()
