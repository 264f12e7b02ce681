"""
A target that costs next to nothing: it finds where a request ends and answers every one with the same bytes.

`python benchmarks/null_server.py [--tls CERTIFICATE]` prints its port and serves until its standard input ends. It understands
just enough of HTTP to tell one request from the next, so that what is measured against it is the generator: on one core
of the machine these figures were first taken on it answers more requests a second than any of the generators can send.
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
    """
    One connection: what has come in of a request.
    """

    __slots__ = ("connection", "part", "pending", "recv", "send")

    def __init__(self, connection: socket.socket) -> None:
        self.connection = connection
        self.recv = connection.recv
        self.pending: Callable[[], int] = getattr(connection, "pending", int)
        self.send = connection.send
        self.part = b""


def requests_in(octets: bytes) -> tuple[int, bytes]:
    """
    How many whole requests there are, and what is left of another.
    """
    count = 0
    while True:
        end = octets.find(b"\r\n\r\n")
        if end < 0:
            return count, octets
        named = octets.find(b"ontent-", 0, end)
        while named >= 0 and octets[named + 7 : named + 14].lower() != b"length:":
            named = octets.find(b"ontent-", named + 7, end)
        length = 0 if named < 0 else int(octets[named + 14 : octets.find(b"\r\n", named)])
        if len(octets) < end + 4 + length:
            return count, octets
        count += 1
        octets = octets[end + 4 + length :]


def serve(listening: socket.socket, context: ssl.SSLContext | None) -> None:
    """
    Answer whatever comes, until the standard input ends.
    """
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
                open_still = answer_requests(client, numbers)
            except WOULD_BLOCK:
                continue
            except OSError:
                open_still = False
            if not open_still:
                poll.unregister(file)
                clients.pop(file).connection.close()


def answer_requests(client: ServerConnection, numbers: itertools.count[int]) -> bool:
    """
    Answer what has come over a connection; False when it has ended. Raises one of WANTING, or OSError.
    """
    octets = client.recv(_READ)
    if not octets:
        return False
    while client.pending():
        octets += client.recv(_READ)  # what TLS has ready the poll does not tell of
    count, client.part = requests_in(client.part + octets if client.part else octets)
    if count:
        answers = b"".join(HEAD % (next(numbers), len(BODY)) + BODY for _ in range(count))
        if client.send(answers) != len(answers):
            return False  # nobody who measures lets a hundred octets lie about
    return True


def accept_connections(listening: socket.socket, context: ssl.SSLContext | None) -> list[socket.socket]:
    """
    Those who wait to be let in.
    """
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
    """
    Listen on a free port of loopback and say which.
    """
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--tls", metavar="PEM", help="a certificate with its key: serve over TLS")
    parser.add_argument("--core", type=int, metavar="N", help="the core to keep to")
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
