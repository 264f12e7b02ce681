"""The server of the web page: clients that send bytes slowly do not keep others out."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import Any

import gevent
import gevent.socket
import pytest

from chainproof.loadtests.locust_adapter import web_server

TIMEOUT = 0.2
SLOW = {
    "no byte": b"",
    "first line": b"GET /",
    "header": b"GET / HTTP/1.1\r\nHost: localhost\r\nX: ",
    "body": b"POST / HTTP/1.1\r\nHost: localhost\r\nContent-Length: 60000\r\n\r\n",
}


class Ui:
    """What the server needs of Locust's web UI. The application answers with the body of the request."""

    tls_key = tls_cert = None
    host, port = "127.0.0.1", 0
    server: Any = None

    def app(self, environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
        """Answer 200."""
        body: bytes = environ["wsgi.input"].read()
        start_response("200 OK", [("Content-Length", str(len(body)))])
        return [body]


def fetch(port: int) -> bytes:
    """The answer to a request with a body, as soon as there is one."""
    with gevent.socket.create_connection(("127.0.0.1", port)) as connection:
        connection.sendall(b"POST / HTTP/1.1\r\nHost: localhost\r\nContent-Length: 5\r\nConnection: close\r\n\r\n")
        connection.sendall(b"hello")
        received = b""
        while octets := connection.recv(4096):
            received += octets
    return received


def drip(connection: gevent.socket.socket, start: bytes) -> None:
    """Send one byte after the other, each in time."""
    try:
        connection.sendall(start)
        while start:
            gevent.sleep(TIMEOUT / 4)  # sockets have no clock to replace
            connection.sendall(b"a")
    except OSError:
        pass


@contextmanager
def serving() -> Iterator[int]:
    """A server of the page, as its port."""
    ui = Ui()
    greenlet = gevent.spawn(web_server.start_server, ui, lambda: False)
    while ui.server is None or not ui.server.started:
        gevent.sleep(0.001)
    try:
        yield ui.server.server_port
    finally:
        gevent.kill(greenlet)


@pytest.mark.parametrize("fields", ["X: y\r\n" * 200, f"X: {'y' * 70_000}\r\n"], ids=["many fields", "a long field"])
def test_too_large_headers_are_answered_400(fields: str, capsys: pytest.CaptureFixture[str]) -> None:
    """Nothing is printed."""
    with serving() as port, gevent.socket.create_connection(("127.0.0.1", port)) as connection:
        connection.sendall(f"GET / HTTP/1.1\r\nHost: localhost\r\n{fields}\r\n".encode())
        answer = connection.recv(4096)

    assert answer.startswith(b"HTTP/1.1 400 ")
    assert not capsys.readouterr().err


@pytest.mark.parametrize("name", SLOW)
def test_slow_clients_are_disconnected(
    name: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """
    As many as the server has connections send a byte now and then; another client is answered after the time limit. Nothing is
    printed.
    """
    monkeypatch.setattr(web_server, "READ_TIMEOUT", TIMEOUT)
    monkeypatch.setattr(web_server, "MAX_CONNECTIONS", 4)
    with serving() as port:
        connections = [gevent.socket.create_connection(("127.0.0.1", port)) for _ in range(4)]
        drips = [gevent.spawn(drip, connection, SLOW[name]) for connection in connections]
        gevent.sleep(TIMEOUT / 4)
        try:
            with gevent.Timeout(20 * TIMEOUT):
                answer = fetch(port)
        finally:
            gevent.killall(drips)
            for connection in connections:
                connection.close()

    assert answer.startswith(b"HTTP/1.1 200 OK")
    assert not capsys.readouterr().err
    assert answer.endswith(b"hello")
