"""A TCP proxy that makes any target slow: everything that the target sends arrives later by a fixed time."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator
from contextlib import contextmanager

from chainproof.clock import Seconds


class _Delayed(asyncio.Protocol):
    """One connection of a client, and the connection to the target behind it."""

    def __init__(self, port: int, delay: Seconds) -> None:
        self._port = port
        self._delay = delay
        self._loop = asyncio.get_running_loop()
        self._client: asyncio.Transport | None = None
        self._target: asyncio.Transport | None = None
        self._waiting = bytearray()
        self._connecting: asyncio.Task[None] | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._client = transport
        self._connecting = self._loop.create_task(self._connect())

    async def _connect(self) -> None:
        target, _ = await self._loop.create_connection(lambda: _FromTarget(self), "127.0.0.1", self._port)
        self._target = target
        target.write(bytes(self._waiting))

    def data_received(self, data: bytes) -> None:
        if self._target is None:
            self._waiting += data
        else:
            self._target.write(data)

    def connection_lost(self, exc: Exception | None) -> None:
        if self._target is not None:
            self._target.abort() if exc else self._target.close()

    def answer(self, data: bytes) -> None:
        """Send what came from the target, later."""
        self._loop.call_later(self._delay, self._write, data)

    def _write(self, data: bytes) -> None:
        """Send to the client, if it is still there."""
        if self._client is not None and not self._client.is_closing():
            self._client.write(data)

    def close(self) -> None:
        """Close the client's connection, later."""
        assert self._client is not None
        self._loop.call_later(self._delay, self._client.close)


class _FromTarget(asyncio.Protocol):
    """The connection to the target."""

    def __init__(self, delayed: _Delayed) -> None:
        self._delayed = delayed

    def data_received(self, data: bytes) -> None:
        self._delayed.answer(data)

    def connection_lost(self, exc: Exception | None) -> None:
        del exc
        self._delayed.close()


@contextmanager
def delaying_proxy(port: int, delay: Seconds) -> Iterator[int]:
    """A proxy in front of a port of this machine, in a thread. Yields its own port."""
    loop = asyncio.new_event_loop()

    async def serve() -> int:
        server = await loop.create_server(lambda: _Delayed(port, delay), "127.0.0.1", 0, backlog=1024)
        return int(server.sockets[0].getsockname()[1])

    thread = threading.Thread(target=loop.run_forever, daemon=True)
    thread.start()
    try:
        yield asyncio.run_coroutine_threadsafe(serve(), loop).result()
    finally:
        loop.call_soon_threadsafe(loop.stop)
        thread.join()
