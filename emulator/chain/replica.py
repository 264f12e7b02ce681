"""
A replica: runs the user's chain in its own event loop on its own thread, so that it cannot block the gateway.

As on the service: at most `predict_concurrency` requests run at once and the others wait in order; a plain run_remote
runs on one of 40 threads; invalid inputs are answered without waiting; requests whose client has left are skipped
while they wait, and complete once they run.
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
"""Maximum number of plain functions that run at once."""

ResponseCallback = Callable[[ChainResponse], None]
_Value = TypeVar("_Value")


class ChainCall:
    """
    One request to the chain.
    """

    __slots__ = ("_callback", "abandoned", "timer")

    def __init__(self, callback: ResponseCallback) -> None:
        self._callback: ResponseCallback | None = callback
        self.abandoned = False
        """Whether nobody waits for the response any more."""
        self.timer: asyncio.TimerHandle | None = None

    def abandon(self) -> None:
        """Stop waiting for the response."""
        self.abandoned = True
        self._callback = None
        if self.timer is not None:
            self.timer.cancel()

    def deliver(self, response: ChainResponse) -> None:
        """Pass the response to the callback, once."""
        callback = self._callback
        self.abandon()
        if callback is not None:
            callback(response)


class Replica:
    """
    Runs the chain. Create and call it in the gateway's event loop.
    """

    def __init__(self, chain: UserChain, gateway: asyncio.AbstractEventLoop, *, scenario: Scenario) -> None:
        self._chain = chain
        self._gateway = gateway
        self._timeout = scenario.predict_timeout
        self._loop = asyncio.new_event_loop()
        self._tasks: set[asyncio.Task[None]] = set()
        # Daemon threads: a run_remote that never returns must not keep the process alive.
        threading.Thread(target=self._run, name="chain", daemon=True).start()
        self._slots = asyncio.Semaphore(scenario.predict_concurrency)
        self._threads = asyncio.Semaphore(MAX_THREADS)

    def call(self, body: bytes, callback: ResponseCallback) -> ChainCall:
        """Run the chain on a body; *callback* is called in the gateway's event loop."""
        call = ChainCall(callback)
        call.timer = self._gateway.call_later(self._timeout, lambda: call.deliver(timeout_error(self._timeout)))
        self._loop.call_soon_threadsafe(self._create_task, body, call)
        return call

    def _run(self) -> None:
        """
        Run the chain's event loop; exceptions in the chain's own tasks do not end it.
        """
        while not self._loop.is_closed():
            with suppress(SystemExit, KeyboardInterrupt):
                self._loop.run_forever()

    def _create_task(self, body: bytes, call: ChainCall) -> None:
        """
        Create a task for a call and keep a reference to it.
        """
        task = self._loop.create_task(self._serve(body, call))
        self._tasks.add(task)
        task.add_done_callback(self._discard_task)

    def _discard_task(self, task: asyncio.Task[None]) -> None:
        """
        Forget a task. Its exception is an internal error, reported in the gateway's event loop.
        """
        self._tasks.discard(task)
        error = None if task.cancelled() else task.exception()
        if error is not None:
            self._call_in_gateway(_raise, error)

    def _call_in_gateway(self, call: Callable[[_Value], None], value: _Value) -> None:
        """
        Call in the gateway's event loop, unless that is closed.
        """
        with suppress(RuntimeError):
            self._gateway.call_soon_threadsafe(call, value)

    async def _serve(self, body: bytes, call: ChainCall) -> None:
        """
        Process one call.
        """
        if call.abandoned:
            return
        arguments = self._chain.parse_arguments(body)
        response = arguments if isinstance(arguments, ChainResponse) else await self._run_when_admitted(arguments, call)
        if response is not None:
            self._call_in_gateway(call.deliver, response)

    async def _run_when_admitted(self, arguments: dict[str, object], call: ChainCall) -> ChainResponse | None:
        """
        The response, once a slot is free; None if the call was abandoned while it waited.
        """
        async with self._slots:
            if call.abandoned:
                return None
            if self._chain.is_async:
                return await self._chain.run_async(arguments)
            async with self._threads:
                return await self._run_in_thread(arguments)

    async def _run_in_thread(self, arguments: dict[str, object]) -> ChainResponse:
        """
        The response of a plain function, run on its own thread.
        """
        future: asyncio.Future[ChainResponse] = self._loop.create_future()

        def run() -> None:
            response = self._chain.run_sync(arguments)
            self._loop.call_soon_threadsafe(future.set_result, response)

        threading.Thread(target=contextvars.copy_context().run, args=(run,), daemon=True).start()
        return await future


def _raise(error: BaseException) -> NoReturn:
    """
    Raise the error in the calling event loop.
    """
    raise error
