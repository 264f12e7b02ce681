"""An emulator without service time in a child process, and functions that send and read raw bytes."""

from __future__ import annotations

import socket
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager

import h11
import pytest

from chainproof.contract.answer import Answer
from chainproof.contract.redaction import EMULATOR_KEY
from chainproof.endpoint import Endpoint, start_emulator

from ..waiting import PATIENCE

SendPieces = Callable[..., list[Answer]]


@pytest.fixture(scope="session")
def instant_endpoint(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Endpoint]:
    """An emulator without service time that accepts bodies of at most 100 000 bytes."""
    scenario = tmp_path_factory.mktemp("scenario") / "at-once.toml"
    scenario.write_text("service_time = 0\nmax_body_bytes = 100_000\n")
    with start_emulator(str(scenario)) as endpoint:
        yield endpoint


@pytest.fixture(scope="session")
def connect(instant_endpoint: Endpoint) -> Callable[[], AbstractContextManager[socket.socket]]:
    """A function that opens a new connection to the emulator."""
    return lambda: socket.create_connection(
        (instant_endpoint.target.host, instant_endpoint.target.port), timeout=PATIENCE
    )


@pytest.fixture(scope="session")
def send_pieces(connect: Callable[[], AbstractContextManager[socket.socket]]) -> SendPieces:
    """A function that sends pieces over one connection, each in its own segment, and returns one answer per method."""

    def send_pieces(*pieces: bytes, methods: tuple[str, ...] = ("POST",)) -> list[Answer]:
        with connect() as sock:
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            for piece in pieces:
                sock.sendall(piece)
            return read_answers(sock, methods)

    return send_pieces


@pytest.fixture(scope="session")
def raw_post() -> Callable[..., bytes]:
    """A function that returns the bytes of a valid request with some fields replaced, or left out with None."""

    def raw_post(
        body: bytes = b"{}", *, line: bytes = b"POST /production/run_remote HTTP/1.1", **overrides: str | None
    ) -> bytes:
        fields: dict[str, str | None] = {
            "host": "127.0.0.1",
            "authorization": f"Api-Key {EMULATOR_KEY}",
            "content_type": "application/json",
            "content_length": str(len(body)),
            **overrides,
        }
        lines = [f"{name.replace('_', '-')}: {value}".encode() for name, value in fields.items() if value is not None]
        return b"\r\n".join([line, *lines, b"", body])

    return raw_post


def read_answers(sock: socket.socket, methods: tuple[str, ...]) -> list[Answer]:
    """One answer for each method, in order; fewer if the server closes. h11 raises on invalid HTTP."""
    answers: list[Answer] = []
    unread = b""
    for method in methods:
        client = h11.Connection(h11.CLIENT)
        client.send(h11.Request(method=method, target="/", headers=[("host", "x")]))
        client.send(h11.EndOfMessage())
        if unread:
            client.receive_data(unread)
        answer = _read_answer(client, sock)
        if answer is None:
            break
        answers.append(answer)
        unread = client.trailing_data[0]
    return answers


def _read_answer(client: h11.Connection, sock: socket.socket) -> Answer | None:
    head: h11.Response | None = None
    body = bytearray()
    while True:
        event = client.next_event()
        if event is h11.NEED_DATA:
            received = sock.recv(1 << 20)
            if not received and head is None and not client.trailing_data[0]:
                return None
            client.receive_data(received)
        elif isinstance(event, h11.Response):
            head = event
        elif isinstance(event, h11.Data):
            body += event.data
        elif isinstance(event, h11.EndOfMessage):
            assert head is not None
            headers = tuple(
                (name.decode("latin-1"), value.decode("latin-1")) for name, value in head.headers.raw_items()
            )
            return Answer(status=head.status_code, headers=headers, body=bytes(body))


@pytest.fixture(scope="session")
def answer_reader() -> Callable[[socket.socket, tuple[str, ...]], list[Answer]]:
    """`read_answers`, for tests that open the connection themselves."""
    return read_answers
