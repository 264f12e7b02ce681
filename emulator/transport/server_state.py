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

from ..behaviour.request import Request
from ..chain.chain import Chain
from ..chain.chain_response import Said
from ..chain.replica import Call, Replica
from ..decision import Decision, Forward, Model, State, answered, decide, malformed, refused_at_head
from .access_log import FLUSH_EVERY, Truth
from .timers import Timers


class Open(Protocol):
    """
    A connection that can be ended.
    """

    def abort(self) -> None:
        """End it at once."""
        ...


class Site:
    """
    One server's model at work.
    """

    def __init__(self, loop: asyncio.AbstractEventLoop, model: Model, truth: Truth, chain: Chain | None) -> None:
        self.loop = loop
        self.model = model
        self.truth = truth
        self.timers = Timers(loop)
        self._state = State()
        self._replica = None if chain is None else Replica(chain, loop, scenario=model.scenario)
        self._open: set[Open] = set()
        self._date = ""
        self._second = 0
        self._flusher = loop.call_later(FLUSH_EVERY, self._flush)

    def decide(self, request: Request) -> Decision | Forward:
        """What is said to a request that is whole now, or that the chain is to say it."""
        decision, self._state = decide(request, self.model, self._state, monotonic())
        return decision

    def forward(self, request: Forward, told: Callable[[Decision], None]) -> Call:
        """Have the chain answer a request; *told* is told what is said once it has."""
        assert self._replica is not None
        begun = monotonic()

        def tell(said: Said) -> None:
            told(answered(said, self.model, request.number, monotonic() - begun))

        return self._replica.call(request.body, tell)

    def malformed(self, why: str) -> Decision:
        """What is said to whatever is no request."""
        decision, self._state = malformed(why, self.model, self._state)
        return decision

    def refuses_head(self, request: Request) -> bool:
        """Whether a request will be refused whatever its body says."""
        return refused_at_head(request, self.model) is not None

    def date(self) -> str:
        """The Date field's value, made once a second."""
        second = int(time())
        if second != self._second:
            self._second = second
            self._date = formatdate(second, usegmt=True)
        return self._date

    def remember(self, connection: Open) -> None:
        """Count a connection among those to end with the server."""
        self._open.add(connection)

    def forget(self, connection: Open) -> None:
        """Count it no longer."""
        self._open.discard(connection)

    def close(self) -> None:
        """End every connection and write down the rest of the truth."""
        for connection in tuple(self._open):
            connection.abort()
        self._flusher.cancel()
        self.timers.close()
        self.truth.close()

    def _flush(self) -> None:
        """
        Write down what has been answered, again and again.
        """
        self._flusher = self.loop.call_later(FLUSH_EVERY, self._flush)
        self.truth.flush()
