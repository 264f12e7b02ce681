"""
Where the user's chain runs: an event loop of its own on a thread of its own, so that nothing it does stops the gateway.

As on the service: at most `predict_concurrency` requests run at once and the others wait in line; a plain run_remote runs
on one of 40 threads; a body that is no input never waits; whoever has left the line before its turn is passed over, and
what has begun runs to its end.
"""

from __future__ import annotations

import asyncio
import contextvars
import threading
from collections.abc import Callable
from contextlib import suppress
from typing import NoReturn, TypeVar

from ..scenario import Scenario
from .chain import UserChain
from .chain_response import ChainResponse, timeout_error

MAX_THREADS = 40
"""Plain functions that run at once, however many more are admitted."""

ResponseCallback = Callable[[ChainResponse], None]
_Told = TypeVar("_Told")


class ChainCall:
    """
    One request on its way through the chain.
    """

    __slots__ = ("_told", "abandoned", "timer")

    def __init__(self, told: ResponseCallback) -> None:
        self._told: ResponseCallback | None = told
        self.abandoned = False
        """Whether nobody waits for it any more."""
        self.timer: asyncio.TimerHandle | None = None

    def abandon(self) -> None:
        """Wait for it no longer."""
        self.abandoned = True
        self._told = None
        if self.timer is not None:
            self.timer.cancel()

    def deliver(self, said: ChainResponse) -> None:
        """Tell whoever waits, once."""
        told = self._told
        self.abandon()
        if told is not None:
            told(said)


class Replica:
    """
    The chain at work. Made, called and ended in the gateway's loop.
    """

    def __init__(self, chain: UserChain, gateway: asyncio.AbstractEventLoop, *, scenario: Scenario) -> None:
        self._chain = chain
        self._gateway = gateway
        self._timeout = scenario.predict_timeout
        self._loop = asyncio.new_event_loop()
        self._tasks: set[asyncio.Task[None]] = set()
        # Daemons: a run_remote that never returns must not keep the process.
        threading.Thread(target=self._run, name="chain", daemon=True).start()
        self._turns = asyncio.Semaphore(scenario.predict_concurrency)
        self._threads = asyncio.Semaphore(MAX_THREADS)

    def call(self, body: bytes, told: ResponseCallback) -> ChainCall:
        """Have the chain answer a body; *told* is told in the gateway's loop."""
        call = ChainCall(told)
        call.timer = self._gateway.call_later(self._timeout, lambda: call.deliver(timeout_error(self._timeout)))
        self._loop.call_soon_threadsafe(self._begin, body, call)
        return call

    def _run(self) -> None:
        """
        Run the chain's loop, whatever else runs in it: what a task of the chain's own raises must not end it.
        """
        while not self._loop.is_closed():
            with suppress(SystemExit, KeyboardInterrupt):
                self._loop.run_forever()

    def _begin(self, body: bytes, call: ChainCall) -> None:
        """
        A task for a call, kept until it is done.
        """
        task = self._loop.create_task(self._served(body, call))
        self._tasks.add(task)
        task.add_done_callback(self._done)

    def _done(self, task: asyncio.Task[None]) -> None:
        """
        Forget a task. What it raised is our own error, and the gateway's loop is where those are told.
        """
        self._tasks.discard(task)
        error = None if task.cancelled() else task.exception()
        if error is not None:
            self._at_gateway(_raise, error)

    def _at_gateway(self, call: Callable[[_Told], None], what: _Told) -> None:
        """
        Call in the gateway's loop, for as long as there is one.
        """
        with suppress(RuntimeError):
            self._gateway.call_soon_threadsafe(call, what)

    async def _served(self, body: bytes, call: ChainCall) -> None:
        """
        One call, from its body to what is said.
        """
        if call.abandoned:
            return
        arguments = self._chain.parse_arguments(body)
        said = arguments if isinstance(arguments, ChainResponse) else await self._in_turn(arguments, call)
        if said is not None:
            self._at_gateway(call.deliver, said)

    async def _in_turn(self, arguments: dict[str, object], call: ChainCall) -> ChainResponse | None:
        """
        Run it when it is its turn; None when nobody waits for it any more.
        """
        async with self._turns:
            if call.abandoned:
                return None
            if self._chain.is_async:
                return await self._chain.run_async(arguments)
            async with self._threads:
                return await self._threaded(arguments)

    async def _threaded(self, arguments: dict[str, object]) -> ChainResponse:
        """
        The same on a thread.
        """
        future: asyncio.Future[ChainResponse] = self._loop.create_future()

        def run() -> None:
            said = self._chain.run_sync(arguments)
            self._loop.call_soon_threadsafe(future.set_result, said)

        threading.Thread(target=contextvars.copy_context().run, args=(run,), daemon=True).start()
        return await future


def _raise(error: BaseException) -> NoReturn:
    """
    Raise it here.
    """
    raise error
