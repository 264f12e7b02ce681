"""A proxy that tunnels CONNECT requests, for tests of the route to a target."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field

TUNNEL_ACCEPTED = b"HTTP/1.1 200 Connection established\r\nX-Proxy: yes\r\n\r\n"


@dataclass(slots=True)
class ConnectProxy:
    """A proxy with a fixed answer to CONNECT, which forwards accepted connections to one loopback port."""

    answer: bytes
    """Empty: it closes the connection without an answer."""
    forward_to: int
    port: int = 0
    is_silent: bool = False
    """Whether it says nothing until the caller gives up."""
    requests: list[bytes] = field(default_factory=list)

    def serve(self, listening: socket.socket) -> None:
        """Accept connections until the listening socket is closed."""
        with suppress(OSError):
            while True:
                caller, _ = listening.accept()
                threading.Thread(target=self._tunnel, args=(caller,), daemon=True).start()

    def _tunnel(self, caller: socket.socket) -> None:
        head = b""
        while b"\r\n\r\n" not in head and (octets := caller.recv(1 << 16)):
            head += octets
        self.requests.append(head)
        if self.is_silent:
            with suppress(OSError):
                caller.recv(1)  # returns when the caller has given up
        caller.sendall(self.answer)
        if self.answer != TUNNEL_ACCEPTED:
            caller.close()
            return
        far = socket.create_connection(("127.0.0.1", self.forward_to))
        threading.Thread(target=_forward, args=(far, caller), daemon=True).start()
        _forward(caller, far)


def _forward(source: socket.socket, destination: socket.socket) -> None:
    """Copy everything from one socket to the other."""
    with suppress(OSError):
        while octets := source.recv(1 << 16):
            destination.sendall(octets)
    with suppress(OSError):
        destination.shutdown(socket.SHUT_WR)


@contextmanager
def start_proxy(
    answer: bytes = TUNNEL_ACCEPTED, forward_to: int = 0, *, is_silent: bool = False
) -> Iterator[ConnectProxy]:
    """A proxy on a free loopback port."""
    with socket.create_server(("127.0.0.1", 0)) as listening:
        proxy = ConnectProxy(answer, forward_to, listening.getsockname()[1], is_silent)
        threading.Thread(target=proxy.serve, args=(listening,), daemon=True).start()
        yield proxy
