"""Streams of a user's chain on real sockets: framing, order, time limit and clients that leave."""

from __future__ import annotations

import json
import socket
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from chainproof.contract.redaction import EMULATOR_KEY
from chainproof.emulator.transport.serialization import OutgoingStream
from chainproof.endpoint import Endpoint, start_emulator

from ..waiting import PATIENCE, await_condition

CHAIN = f"{Path(__file__).with_name('slow_chains.py')}:SlowStream"
PAUSE = 0.3
"""Seconds between two chunks."""


@pytest.fixture(scope="module")
def log(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The file to which the chain and the access log write."""
    return tmp_path_factory.mktemp("log")


@pytest.fixture(scope="module")
def streaming(log: Path) -> Iterator[Endpoint]:
    """An emulator in front of a chain that streams, with a time limit of two seconds."""
    scenario = log / "short.toml"
    scenario.write_text('predict_timeout = "2s"\npredict_concurrency = 4\n')
    options = ("--chain", CHAIN, "--contract", "documented", "--access-log", str(log / "access.jsonl"))
    with start_emulator(str(scenario), options=options, variables={"SLOW_CHAIN_LOG": str(log / "chain")}) as endpoint:
        yield endpoint


@contextmanager
def connection(endpoint: Endpoint) -> Iterator[socket.socket]:
    """A new connection to the endpoint."""
    with socket.create_connection((endpoint.target.host, endpoint.target.port), timeout=PATIENCE) as sock:
        yield sock


def post(version: str = "1.1", *, accept: str = "*/*", **arguments: object) -> bytes:
    """The bytes of a request."""
    body = json.dumps(arguments).encode()
    head = (
        f"POST /production/run_remote HTTP/{version}\r\nHost: x\r\nAuthorization: Api-Key {EMULATOR_KEY}\r\n"
        f"Content-Type: application/json\r\nAccept: {accept}\r\nContent-Length: {len(body)}\r\n\r\n"
    )
    return head.encode() + body


def read_until(sock: socket.socket, end: bytes) -> bytes:
    """The bytes up to the first that end with *end*, or up to the end of the connection."""
    data = b""
    while not data.endswith(end) and (received := sock.recv(65536)):
        data += received
    return data


def test_first_chunk_arrives_before_the_second_is_made(streaming: Endpoint, log: Path) -> None:
    """Chunks are sent as they are produced, in chunked framing."""
    with connection(streaming) as sock:
        started = time.monotonic()
        sock.sendall(post(seconds=1.0, name="a"))
        first = read_until(sock, b"3\r\na0;\r\n")
        ended = "end a" in (log / "chain").read_text().splitlines() if (log / "chain").exists() else False
        rest = read_until(sock, b"0\r\n\r\n")

    head, _, chunk = first.partition(b"\r\n\r\n")
    assert (b"3\r\na0;\r\n", b"3\r\na1;\r\n0\r\n\r\n") == (chunk, rest)
    assert b"Content-Type: application/octet-stream\r\nX-BASETEN-MODEL-PREDICTION-ATTEMPTS: 1\r\n" in head
    assert b"Transfer-Encoding: chunked" in head
    assert b"Content-Length" not in head
    assert not ended
    assert time.monotonic() - started >= 1.0


def test_http_1_0_stream_ends_with_the_connection(streaming: Endpoint) -> None:
    """HTTP/1.0 has no chunks."""
    with connection(streaming) as sock:
        sock.sendall(post("1.0", seconds=0, name="b"))
        answer = read_until(sock, b"never")

    assert answer.endswith(b"\r\n\r\nb0;b1;")
    assert b"Transfer-Encoding" not in answer


def test_pipelined_answers_keep_their_order(streaming: Endpoint) -> None:
    """An answer that is ready waits for the end of the stream before it."""
    with connection(streaming) as sock:
        sock.sendall(post(seconds=PAUSE, name="c") + post(accept="application/json", seconds=0, name="d"))
        answers = read_until(sock, b'"d0;d1;"')

    assert (
        answers.index(b"c0;")
        < answers.index(b"c1;")
        < answers.index(b"0\r\n\r\nHTTP/1.1 200 OK")
        < answers.index(b"d0;")
    )


def test_time_limit_ends_a_stream_early(streaming: Endpoint) -> None:
    """After the time limit the stream ends as if it were complete: its status has already been sent."""
    with connection(streaming) as sock:
        sock.sendall(post(seconds=2.5, name="e"))
        answer = read_until(sock, b"0\r\n\r\n")

    assert answer.startswith(b"HTTP/1.1 200 ")
    assert answer.endswith(b"\r\n\r\n3\r\ne0;\r\n0\r\n\r\n")


def test_stream_runs_to_its_end_when_the_client_leaves(streaming: Endpoint, log: Path) -> None:
    """The chain goes on, as on the service, and the emulator serves others."""
    with connection(streaming) as sock:
        sock.sendall(post(seconds=PAUSE, name="f"))
        read_until(sock, b"f0;\r\n")
    with connection(streaming) as sock:
        sock.sendall(post(seconds=2 * PAUSE, name="g"))
        assert read_until(sock, b"0\r\n\r\n").endswith(b"3\r\ng1;\r\n0\r\n\r\n")

    assert "end f" in (log / "chain").read_text().splitlines()


def test_access_log_has_one_line_for_a_stream(streaming: Endpoint, log: Path) -> None:
    """A stream is logged when its last byte was sent."""
    before = len((log / "access.jsonl").read_text().splitlines())
    with connection(streaming) as sock:
        sock.sendall(post(seconds=PAUSE, name="h"))
        read_until(sock, b"0\r\n\r\n")
    await_condition(lambda: len((log / "access.jsonl").read_text().splitlines()) > before)
    lines = (log / "access.jsonl").read_text().splitlines()

    line = json.loads(lines[-1])
    assert 200 == line["status"]
    assert line["sent_s"] - line["received_s"] >= PAUSE


def test_empty_chunk_does_not_end_a_stream() -> None:
    """A chunk of length 0 would be the last one in chunked framing."""
    stream = OutgoingStream(chunked=True)
    for chunk in (b"a", b"", b"b"):
        stream.add(chunk)

    assert (b"1\r\na\r\n1\r\nb\r\n", False) == (stream.take(), stream.ended)
