"""
A server that only counts the bytes of requests and answers, so that a load run measures the generator.

`python -P -m chainproof.loadtests.search.null_server` prints its port and serves until its standard input ends. It assumes
that all requests of a connection have the length of the first, which holds for a workload with one payload.
"""

from __future__ import annotations

import asyncio
import re
import sys
from itertools import count

_LENGTH = re.compile(rb"content-length: *(\d+)", re.IGNORECASE)
_ANSWER = (
    b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 2\r\nX-BASETEN-REQUEST-ID: null-%x\r\n\r\n{}"
)
_NUMBERS = count()


class NullProtocol(asyncio.Protocol):
    """A connection of the server."""

    def __init__(self) -> None:
        self._request_length = 0
        self._head = b""
        self._unanswered_bytes = 0
        self._transport: asyncio.Transport

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Keep the transport."""
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport

    def data_received(self, data: bytes) -> None:
        """Answer every complete request."""
        if not self._request_length:
            self._head += data
            self._request_length = request_length(self._head)
            if not self._request_length:
                return
            data, self._head = self._head, b""
        complete, self._unanswered_bytes = divmod(self._unanswered_bytes + len(data), self._request_length)
        self._transport.write(b"".join(_ANSWER % next(_NUMBERS) for _ in range(complete)))


def request_length(octets: bytes) -> int:
    """The length of the request that begins with these bytes; 0 while its head is not complete."""
    head, ended, _ = octets.partition(b"\r\n\r\n")
    if not ended:
        return 0
    match = _LENGTH.search(head)
    return len(head) + 4 + (int(match[1]) if match is not None else 0)


async def _serve() -> None:
    loop = asyncio.get_running_loop()
    server = await loop.create_server(NullProtocol, "127.0.0.1", 0, backlog=4096)
    print(server.sockets[0].getsockname()[1], flush=True)
    ended = asyncio.Event()
    loop.add_reader(sys.stdin.fileno(), ended.set)
    await ended.wait()


if __name__ == "__main__":
    asyncio.run(_serve())
