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
from typing import TYPE_CHECKING, NoReturn, TypeVar

from chainproof.clock import Seconds

from ..scenario import Scenario
from .chain_request import ChainRequest
from .chain_response import STREAM_STARTED, ChainResponse, timeout_error

if TYPE_CHECKING:  # pydantic, for a user's chain alone, takes as long to import as the rest of the emulator
    from .chain import Arguments, UserChain

MAX_THREADS = 40
"""Maximum number of plain functions that run at once."""

ResponseCallback = Callable[[ChainResponse], None]
ChunkCallback = Callable[[bytes | None], None]
"""Takes a chunk of a stream; None at its end."""
_Value = TypeVar("_Value")


class ChainCall:
    """One request to the chain."""

    __slots__ = ("_on_chunk", "_on_response", "abandoned", "timer")

    def __init__(self, on_response: ResponseCallback, on_chunk: ChunkCallback) -> None:
        self._on_response: ResponseCallback | None = on_response
        self._on_chunk: ChunkCallback | None = on_chunk
        self.abandoned = False
        """Whether nobody waits for the response any more."""
        self.timer: asyncio.TimerHandle | None = None

    def abandon(self) -> None:
        """Stop waiting for the response."""
        self.abandoned = True
        self._on_response = self._on_chunk = None
        if self.timer is not None:
            self.timer.cancel()

    def deliver(self, response: ChainResponse) -> None:
        """Pass the response to the callback, once. The time limit goes on for a stream."""
        callback, self._on_response = self._on_response, None
        if not response.streaming:
            self.abandon()
        if callback is not None:
            callback(response)

    def deliver_chunk(self, chunk: bytes | None) -> None:
        """Pass a chunk of a stream to its callback, or None at the end."""
        callback = self._on_chunk
        if chunk is None:
            self.abandon()
        if callback is not None:
            callback(chunk)

    def expire(self, time_limit: Seconds) -> None:
        """End the call because of the time limit: a stream ends early, since its status was already sent."""
        if self._on_response is None:
            self.deliver_chunk(None)
        else:
            self.deliver(timeout_error(time_limit))


class Replica:
    """Runs the chain. Create and call it in the gateway's event loop."""

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

    def call(self, request: ChainRequest, on_response: ResponseCallback, on_chunk: ChunkCallback) -> ChainCall:
        """Run the chain on a request; the callbacks are called in the gateway's event loop."""
        call = ChainCall(on_response, on_chunk)
        call.timer = self._gateway.call_later(self._timeout, call.expire, self._timeout)
        self._loop.call_soon_threadsafe(self._create_task, request, call)
        return call

    def _run(self) -> None:
        """Run the chain's event loop; exceptions in the chain's own tasks do not end it."""
        while not self._loop.is_closed():
            with suppress(SystemExit, KeyboardInterrupt):
                self._loop.run_forever()

    def _create_task(self, request: ChainRequest, call: ChainCall) -> None:
        """Create a task for a call and keep a reference to it."""
        task = self._loop.create_task(self._serve(request, call))
        self._tasks.add(task)
        task.add_done_callback(self._discard_task)

    def _discard_task(self, task: asyncio.Task[None]) -> None:
        """Forget a task. Its exception is an internal error, reported in the gateway's event loop."""
        self._tasks.discard(task)
        error = None if task.cancelled() else task.exception()
        if error is not None:
            self._call_in_gateway(_raise, error)

    def _call_in_gateway(self, call: Callable[[_Value], None], value: _Value) -> None:
        """Call in the gateway's event loop, unless that is closed."""
        with suppress(RuntimeError):
            self._gateway.call_soon_threadsafe(call, value)

    async def _serve(self, request: ChainRequest, call: ChainCall) -> None:
        """Process one call."""
        if call.abandoned:
            return
        arguments = self._chain.parse_arguments(request)
        if isinstance(arguments, ChainResponse):
            self._call_in_gateway(call.deliver, arguments)
            return
        async with self._slots:
            if not call.abandoned:
                await self._run_chain(arguments, request, call)

    async def _run_chain(self, arguments: Arguments, request: ChainRequest, call: ChainCall) -> None:
        """Deliver the response. A stream goes on when its caller has left, as on the service."""
        if not self._chain.streams:
            self._call_in_gateway(call.deliver, await self._response(arguments, request))
        elif request.gathers_stream:
            self._call_in_gateway(call.deliver, await self._chain.gather(arguments, binary=request.binary))
        else:
            self._call_in_gateway(call.deliver, STREAM_STARTED)
            async for chunk in self._chain.stream(arguments):
                self._call_in_gateway(call.deliver_chunk, chunk)
            self._call_in_gateway(call.deliver_chunk, None)

    async def _response(self, arguments: Arguments, request: ChainRequest) -> ChainResponse:
        """The response of a run_remote that returns its output at once."""
        if self._chain.is_async:
            return await self._chain.run_async(arguments, binary=request.binary)
        async with self._threads:
            return await self._run_in_thread(arguments, binary=request.binary)

    async def _run_in_thread(self, arguments: Arguments, *, binary: bool) -> ChainResponse:
        """The response of a plain function, run on its own thread."""
        future: asyncio.Future[ChainResponse] = self._loop.create_future()

        def run() -> None:
            response = self._chain.run_sync(arguments, binary=binary)
            self._loop.call_soon_threadsafe(future.set_result, response)

        threading.Thread(target=contextvars.copy_context().run, args=(run,), daemon=True).start()
        return await future


def _raise(error: BaseException) -> NoReturn:
    """Raise the error in the calling event loop."""
    raise error
