"""
A minimal HTTP server that answers every request with the same bytes.

`python benchmarks/null_server.py [--tls CERTIFICATE]` prints its port and serves until its standard input ends. It only
finds the end of each request, so it is faster than the load generators that are measured with it.
"""

from __future__ import annotations

import argparse
import itertools
import os
import select
import socket
import ssl
import sys
from collections.abc import Callable
from contextlib import suppress

BODY = b'{"greetings":["Hello, Ada","Hello, Grace"]}'
HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nX-BASETEN-REQUEST-ID: %016x\r\nContent-Length: %d\r\n\r\n"
_READ = 1 << 16

WOULD_BLOCK = (BlockingIOError, ssl.SSLWantReadError, ssl.SSLWantWriteError)


class ServerConnection:
    """A connection and the received part of its next request."""

    __slots__ = ("connection", "part", "pending", "recv", "send")

    def __init__(self, connection: socket.socket) -> None:
        self.connection = connection
        self.recv = connection.recv
        self.pending: Callable[[], int] = getattr(connection, "pending", int)
        self.send = connection.send
        self.part = b""


def requests_in(data: bytes) -> tuple[int, bytes]:
    """The number of complete requests, and the bytes after them."""
    count = 0
    while True:
        end = data.find(b"\r\n\r\n")
        if end < 0:
            return count, data
        position = data.find(b"ontent-", 0, end)
        while position >= 0 and data[position + 7 : position + 14].lower() != b"length:":
            position = data.find(b"ontent-", position + 7, end)
        length = 0 if position < 0 else int(data[position + 14 : data.find(b"\r\n", position)])
        if len(data) < end + 4 + length:
            return count, data
        count += 1
        data = data[end + 4 + length :]


def serve(listening: socket.socket, context: ssl.SSLContext | None) -> None:
    """Answer requests until the standard input ends."""
    numbers = itertools.count()
    poll = select.epoll()
    clients: dict[int, ServerConnection] = {}
    poll.register(listening.fileno(), select.EPOLLIN)
    poll.register(sys.stdin.fileno(), select.EPOLLIN | select.EPOLLHUP)
    while True:
        for file, _ in poll.poll():
            client = clients.get(file)
            if client is None:
                if file != listening.fileno():
                    return
                for connection in accept_connections(listening, context):
                    clients[connection.fileno()] = ServerConnection(connection)
                    poll.register(connection.fileno(), select.EPOLLIN)
                continue
            try:
                is_open = answer_requests(client, numbers)
            except WOULD_BLOCK:
                continue
            except OSError:
                is_open = False
            if not is_open:
                poll.unregister(file)
                clients.pop(file).connection.close()


def answer_requests(client: ServerConnection, numbers: itertools.count[int]) -> bool:
    """Answer the received requests; False if the connection has ended. Raises one of WOULD_BLOCK, or OSError."""
    data = client.recv(_READ)
    if not data:
        return False
    while client.pending():
        data += client.recv(_READ)  # epoll does not report data that TLS has buffered
    count, client.part = requests_in(client.part + data if client.part else data)
    if count:
        answers = b"".join(HEAD % (next(numbers), len(BODY)) + BODY for _ in range(count))
        if client.send(answers) != len(answers):
            return False  # the client does not read
    return True


def accept_connections(listening: socket.socket, context: ssl.SSLContext | None) -> list[socket.socket]:
    """The new connections."""
    connections = []
    with suppress(OSError):
        while True:
            connection, _ = listening.accept()
            connection.settimeout(0.0)
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            if context is not None:
                connection = context.wrap_socket(connection, server_side=True, do_handshake_on_connect=False)
            connections.append(connection)
    return connections


def main() -> None:
    """Serve on a free loopback port and print it."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--tls", metavar="PEM", help="serve over TLS with this certificate and key")
    parser.add_argument("--core", type=int, metavar="N", help="the CPU core to run on")
    options = parser.parse_args()
    if options.core is not None:
        os.sched_setaffinity(0, {options.core})
    context = None
    if options.tls:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(options.tls)
    listening = socket.create_server(("127.0.0.1", 0), backlog=4096)
    listening.settimeout(0.0)
    print(listening.getsockname()[1], flush=True)
    serve(listening, context)


if __name__ == "__main__":
    main()
