"""
Opening a connection: what it costs is the target's, as far as that can be had.
"""

from __future__ import annotations

import socket
import sys

import gevent
import pytest

from chainproof.loadtests.client.connect import SocketStream


def address(listening: socket.socket) -> tuple[int, int, int, tuple[str, int]]:
    """
    Where somebody listens, as getaddrinfo has it.
    """
    return socket.AF_INET, socket.SOCK_STREAM, 0, listening.getsockname()


@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere the loopback interface may take its time")
def test_whoever_connects_to_a_near_target_does_not_wait_for_the_loop() -> None:
    """
    On loopback the handshake is done when the call returns: no turn of the event loop, and of its work, is counted in.
    """
    others: list[str] = []
    with socket.create_server(("127.0.0.1", 0)) as near:
        gevent.spawn(others.append, "has had a turn")
        line = SocketStream(gevent.get_hub())
        line.connect(address(near))
        line.close()

    assert others == []
    assert line.connect_time is not None


def test_whoever_is_refused_is_told_so() -> None:
    """
    Nobody listens there: the second look must not take that for a connection.
    """
    with socket.create_server(("127.0.0.1", 0)) as gone:
        where = address(gone)
    line = SocketStream(gevent.get_hub())

    with pytest.raises(ConnectionRefusedError):
        line.connect(where)
    line.close()
