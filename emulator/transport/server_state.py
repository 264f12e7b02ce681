"""
What all connections of one server share: the model, its state, the timers and the truth.

Here the pure decisions meet the clock.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from email.utils import formatdate
from time import monotonic, time
from typing import Protocol

from ..behaviour.request import ReceivedRequest
from ..chain.chain import UserChain
from ..chain.chain_response import ChainResponse
from ..chain.replica import ChainCall, Replica
from ..decision import (
    ChainRequest,
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


class Abortable(Protocol):
    """
    A connection that can be ended.
    """

    def abort(self) -> None:
        """End it at once."""
        ...


class ServerState:
    """
    One server's model at work.
    """

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
        """What is said to a request that is whole now, or that the chain is to say it."""
        decision, self._state = decide(request, self.config, self._state, monotonic())
        return decision

    def forward(self, request: ChainRequest, told: Callable[[Decision], None]) -> ChainCall:
        """Have the chain answer a request; *told* is told what is said once it has."""
        assert self._replica is not None
        begun = monotonic()

        def tell(said: ChainResponse) -> None:
            told(decision_from_chain(said, self.config, request.number, monotonic() - begun))

        return self._replica.call(request.body, tell)

    def decide_malformed(self, why: str) -> Decision:
        """What is said to whatever is no request."""
        decision, self._state = decide_malformed(why, self.config, self._state)
        return decision

    def rejects_head(self, request: ReceivedRequest) -> bool:
        """Whether a request will be refused whatever its body says."""
        return head_error(request, self.config) is not None

    def date(self) -> str:
        """The Date field's value, made once a second."""
        second = int(time())
        if second != self._second:
            self._second = second
            self._date = formatdate(second, usegmt=True)
        return self._date

    def add_connection(self, connection: Abortable) -> None:
        """Count a connection among those to end with the server."""
        self._open.add(connection)

    def remove_connection(self, connection: Abortable) -> None:
        """Count it no longer."""
        self._open.discard(connection)

    def close(self) -> None:
        """End every connection and write down the rest of the truth."""
        for connection in tuple(self._open):
            connection.abort()
        self._flusher.cancel()
        self.timers.close()
        self.access_log.close()

    def _flush(self) -> None:
        """
        Write down what has been answered, again and again.
        """
        self._flusher = self.loop.call_later(FLUSH_EVERY, self._flush)
        self.access_log.flush()
