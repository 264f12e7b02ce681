"""Ports for the servers that a test starts."""

from __future__ import annotations

import socket

_reserved: list[socket.socket] = []


def free_port() -> int:
    """
    A port without a listener, for a server that this test starts.

    It stays bound to a socket that does not listen, until the tests end. So the system gives it to nobody else, and only a
    server that asks for this port, with SO_REUSEADDR as all of ours do, can have it.
    """
    reserved = socket.socket()
    reserved.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    reserved.bind(("127.0.0.1", 0))
    _reserved.append(reserved)
    return int(reserved.getsockname()[1])
