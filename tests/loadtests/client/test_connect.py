"""Connecting: the connect time is that of the target, without our own delays."""

from __future__ import annotations

import socket
import sys

import gevent
import pytest

from chainproof.loadtests.client.connect import SocketStream


def address(listening: socket.socket) -> tuple[int, int, int, tuple[str, int]]:
    """The address of a listening socket, as getaddrinfo returns it."""
    return socket.AF_INET, socket.SOCK_STREAM, 0, listening.getsockname()


@pytest.mark.skipif(sys.platform != "linux", reason="skipped: needs Linux, where loopback connects at once")
def test_connecting_on_loopback_does_not_wait_for_the_event_loop() -> None:
    """The TCP handshake is complete when `connect` returns, so other greenlets do not run meanwhile."""
    others: list[str] = []
    with socket.create_server(("127.0.0.1", 0)) as near:
        gevent.spawn(others.append, "ran")
        stream = SocketStream(gevent.get_hub())
        stream.connect(address(near))
        stream.close()

    assert others == []
    assert stream.connect_time is not None


def test_a_refused_connection_raises_an_error() -> None:
    """Calling `connect` again does not hide that the connection was refused."""
    with socket.create_server(("127.0.0.1", 0)) as gone:
        where = address(gone)
    stream = SocketStream(gevent.get_hub())

    with pytest.raises(ConnectionRefusedError):
        stream.connect(where)
    stream.close()
