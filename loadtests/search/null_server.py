"""
A target that does nothing: it counts a request's bytes and answers, so that what is measured is the generator.

`python -P -m chainproof.loadtests.search.null_server` prints its port and serves until its standard input ends. Every request
of a connection is taken to be as long as its first: ours are, when they carry one payload.
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
    """
    One connection.
    """

    def __init__(self) -> None:
        self._each = 0
        self._head = b""
        self._open = 0
        self._transport: asyncio.Transport

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Take it."""
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport

    def data_received(self, data: bytes) -> None:
        """Answer every request that is complete."""
        if not self._each:
            self._head += data
            self._each = request_length(self._head)
            if not self._each:
                return
            data, self._head = self._head, b""
        whole, self._open = divmod(self._open + len(data), self._each)
        self._transport.write(b"".join(_ANSWER % next(_NUMBERS) for _ in range(whole)))


def request_length(octets: bytes) -> int:
    """
    How long the request is that these octets begin; 0 as long as its head is not complete.
    """
    head, ended, _ = octets.partition(b"\r\n\r\n")
    if not ended:
        return 0
    named = _LENGTH.search(head)
    return len(head) + 4 + (int(named[1]) if named is not None else 0)


async def _serve() -> None:
    loop = asyncio.get_running_loop()
    server = await loop.create_server(NullProtocol, "127.0.0.1", 0, backlog=4096)
    print(server.sockets[0].getsockname()[1], flush=True)
    gone = asyncio.Event()
    loop.add_reader(sys.stdin.fileno(), gone.set)
    await gone.wait()


if __name__ == "__main__":
    asyncio.run(_serve())
