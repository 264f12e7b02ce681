"""Servers that send arbitrary bytes: the client never hangs or raises, and each request gets one transport class."""

from __future__ import annotations

import queue
import socket
import ssl
import struct
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import gevent
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from chainproof.contract.credentials import ApiKey
from chainproof.contract.route import Route
from chainproof.contract.target import parse_target
from chainproof.loadtests.client.answer_templates import MAX_ID_LENGTH
from chainproof.loadtests.client.client import LoadClient
from chainproof.loadtests.client.reply import Reply
from chainproof.loadtests.client.request import request_bytes
from chainproof.results.exchange import Transport

from ...hostile.servers import read_request
from ...waiting import PATIENCE

OK = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 2\r\n\r\n{}"
DEADLINE = 0.25
SLACK = PATIENCE
"""Additional time on a loaded machine, so that only a client that hangs exceeds it."""


@dataclass(slots=True)
class Script:
    """What a server does on its next connection: send parts, 1 ms apart, and end the connection."""

    parts: list[bytes]
    end: str
    reads: bool = True
    over: threading.Event = field(default_factory=threading.Event)

    def await_end(self) -> None:
        """Wait until the server has finished."""
        assert self.end == "stay" or self.over.wait(PATIENCE)
        gevent.sleep(0.002)


@dataclass(slots=True)
class ScriptServer:
    """A server that plays one script per connection."""

    port: int
    tls: ssl.SSLContext | None
    scripts: queue.Queue[Script] = field(default_factory=queue.Queue)

    def serve(self, listening: socket.socket) -> None:
        """Accept connections until the listening socket is closed."""
        while True:
            try:
                connection, _ = listening.accept()
            except OSError:
                return
            threading.Thread(target=self.play, args=(connection,), daemon=True).start()

    def play(self, raw: socket.socket) -> None:
        """Play one script, then answer further requests on the same connection correctly."""
        script = self.scripts.get(timeout=PATIENCE)
        raw.settimeout(PATIENCE)
        raw.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        connection: Any = raw
        with suppress(OSError):
            if self.tls is not None:
                connection = self.tls.wrap_socket(raw, server_side=True)
            if script.reads:
                read_request(connection)
            for part in script.parts:
                connection.sendall(part)
                time.sleep(0.001)  # each part arrives as a packet of its own: sockets have no clock to replace
            self.end(raw, connection, script.end)
            if script.end == "stay":
                while read_request(connection) is not None:
                    connection.sendall(OK.replace(b"{}", b"[]"))
        connection.close()
        script.over.set()

    def end(self, raw: socket.socket, connection: Any, how: str) -> None:
        """End the connection as the script requires."""
        if how == "reset":
            raw.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        elif how == "garbage below TLS" and self.tls is not None:
            socket.socket(fileno=connection.detach()).sendall(b"\x17\x03\x03\x00\x20" + b"?" * 32)
        elif how == "orderly" and self.tls is not None:
            connection.unwrap()


@contextmanager
def start_server(tls: ssl.SSLContext | None = None) -> Iterator[ScriptServer]:
    """A server on a free loopback port."""
    with socket.create_server(("127.0.0.1", 0), backlog=100) as listening:
        server = ScriptServer(listening.getsockname()[1], tls)
        threading.Thread(target=server.serve, args=(listening,), daemon=True).start()
        yield server


@pytest.fixture(scope="module")
def server() -> Iterator[ScriptServer]:
    """A server over plain TCP."""
    with start_server() as started:
        yield started


@pytest.fixture(scope="module")
def tls_server() -> Iterator[ScriptServer]:
    """A server over TLS."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(Path(__file__).parents[1] / "localhost.pem")
    with start_server(context) as started:
        yield started


def client(server: ScriptServer) -> tuple[LoadClient, bytes]:
    """A client for a server, and a request."""
    scheme = "http" if server.tls is None else "https"
    target = parse_target(f"{scheme}://localhost:{server.port}", loopback=True)
    route = Route(ca_file=str(Path(__file__).parents[1] / "localhost.pem"))
    return LoadClient(target, route), request_bytes(target, ApiKey("key"), b'{"a": 1}')


def send_to(server: ScriptServer, script: Script, deadline: float = DEADLINE) -> tuple[Reply, float, LoadClient, bytes]:
    """Send one request to a server with a script: reply, elapsed time, client and request."""
    load_client, request = client(server)
    server.scripts.put(script)
    start = time.monotonic()
    reply = load_client.call(request, start + deadline)
    return reply, time.monotonic() - start, load_client, request


# ------------------------------------------------------------------ valid answers

tokens = st.from_regex(rb"[A-Za-z][A-Za-z0-9-]{0,20}", fullmatch=True).filter(
    lambda name: name.lower() not in (b"content-length", b"transfer-encoding", b"connection", b"upgrade", b"keep-alive")
)
values = st.from_regex(rb"[!-~]([ -~]{0,30}[!-~])?", fullmatch=True)
fields = st.lists(st.tuples(tokens, values), max_size=5)


@st.composite
def answers(draw: st.DrawFn) -> tuple[bytes, int, list[tuple[bytes, bytes]], bytes, str]:
    """A valid answer: its bytes, status, header fields, body, and how the connection ends."""
    interim = b"".join(
        b"HTTP/1.1 %d Wait\r\n\r\n" % draw(st.sampled_from([100, 102, 103])) for _ in range(draw(st.integers(0, 2)))
    )
    status = draw(st.sampled_from([200, 201, 302, 400, 401, 404, 418, 429, 500, 503, 504, 599]))
    body = draw(st.binary(max_size=3000))
    own = draw(fields)
    framing = draw(st.sampled_from(["length", "chunked", "close"]))
    framed = {"length": [(b"Content-Length", b"%d" % len(body))], "chunked": [(b"Transfer-Encoding", b"chunked")]}
    named = [*own, *framed.get(framing, [])]
    octets = body
    if framing == "chunked":
        sizes = draw(st.lists(st.integers(1, 900), max_size=6))
        octets, rest = b"", body
        for size in [*sizes, len(body)]:
            part, rest = rest[:size], rest[size:]
            octets += b"%x%s\r\n%s\r\n" % (len(part), draw(st.sampled_from([b"", b";a=b"])), part) if part else b""
        octets += b"0\r\n" + draw(st.sampled_from([b"", b"X-Trailer: t\r\n"])) + b"\r\n"
    head = b"HTTP/1.1 %d Reason\r\n" % status + b"".join(b"%s: %s\r\n" % pair for pair in named) + b"\r\n"
    return (
        interim + head + octets,
        status,
        named,
        body,
        "orderly" if framing == "close" else draw(st.sampled_from(["stay", "orderly"])),
    )


def split(octets: bytes, places: list[int]) -> list[bytes]:
    """Bytes in several parts."""
    ends = sorted({place % (len(octets) + 1) for place in places} | {len(octets)})
    starts = [0, *ends[:-1]]
    return [octets[start:end] for start, end in zip(starts, ends, strict=True) if end > start]


def header_fields(parts: list[tuple[bytes, bytes]]) -> list[tuple[str, str]]:
    """Header fields in the form that an answer has."""
    return [(name.decode(), value.decode()) for name, value in parts]


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(answers(), st.lists(st.integers(0, 5000), max_size=6))
def test_valid_answers_are_read_unchanged(
    server: ScriptServer, answer: tuple[bytes, int, list[tuple[bytes, bytes]], bytes, str], places: list[int]
) -> None:
    """Status, header fields and body are those sent, with any framing and splitting; the next request succeeds too."""
    octets, status, named, body, end = answer
    script = Script(split(octets, places), end)
    reply, _, load_client, request = send_to(server, script, deadline=PATIENCE)
    script.await_end()
    server.scripts.put(Script([OK], "stay"))
    second = load_client.call(request, time.monotonic() + PATIENCE)
    load_client.close()
    with suppress(queue.Empty):
        server.scripts.get_nowait()  # the second request used the same connection

    assert (Transport.ANSWERED, "") == (reply.transport, reply.reason)
    assert reply.answer is not None
    assert (status, header_fields(named), body) == (reply.answer.status, list(reply.answer.headers), reply.answer.body)
    assert len(octets) == reply.received
    assert len(request) == reply.sent
    assert second.answer is not None
    assert second.answer.body in (b"{}", b"[]")


# ------------------------------------------------------------------ invalid answers

ENDS = ["stay", "orderly", "abrupt", "reset"]
PIECES = [
    b"HTTP/1.1 ", b"HTTP/1.0 ", b"HTTP/2 ", b"200 OK", b"100 Continue", b"101 Switching", b"204 No", b"999 x", b"-1 x", b"\r\n", b"\n", b"\r", b"\0",
    b"Content-Length: ", b"Content-Length: 2", b"Content-Length: -1", b"Content-Length: 18446744073709551617", b"Transfer-Encoding: chunked",
    b"Transfer-Encoding: gzip, chunked", b"Transfer-Encoding: chunked, gzip", b"Connection: close", b"Connection: upgrade", b"Upgrade: x",
    b"X: y", b" : ", b"0\r\n\r\n", b"ffffffffffffffffff\r\n", b"2\r\n{}\r\n", b"{}", b"\xff\xfe", OK, OK[:-1], b"\x15\x03\x01\x00\x02\x02\x28",
]  # fmt: skip
noise = st.one_of(
    st.lists(st.binary(max_size=200), max_size=4),
    st.lists(st.sampled_from(PIECES), max_size=14).map(lambda pieces: [b"".join(pieces)]),
    st.tuples(st.integers(0, len(OK)), st.integers(0, 8), st.binary(max_size=8)).map(
        lambda change: [OK[: change[0]] + change[2] + OK[change[0] + change[1] :]]
    ),
)
POSSIBLE = {
    Transport.ANSWERED,
    Transport.CONNECTION_RESET,
    Transport.CLOSED_EARLY,
    Transport.MALFORMED,
    Transport.DEADLINE,
}


def assert_consistent(reply: Reply, elapsed: float, deadline: float = DEADLINE) -> None:
    """Assert what holds for every reply."""
    assert (reply.answer is None) == bool(reply.reason)
    assert (reply.transport is Transport.ANSWERED) == (reply.answer is not None)
    assert elapsed < deadline + SLACK
    assert reply.transport is not Transport.DEADLINE or elapsed >= deadline
    assert reply.end <= reply.read_at


@settings(max_examples=250, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(noise, st.sampled_from(ENDS), st.booleans())
def test_arbitrary_bytes_give_one_transport_class_within_the_deadline(
    server: ScriptServer, parts: list[bytes], end: str, reads: bool
) -> None:
    """There is one reply in time, and bytes left over from one answer never become part of the next."""
    script = Script(parts, end, reads)
    reply, elapsed, load_client, request = send_to(server, script)
    script.await_end()  # bytes after an answer arrive on an idle connection
    server.scripts.put(Script([OK], "stay"))
    second = load_client.call(request, time.monotonic() + PATIENCE)
    load_client.close()
    with suppress(queue.Empty):
        server.scripts.get_nowait()

    assert reply.transport in POSSIBLE
    assert_consistent(reply, elapsed)
    if reads:
        assert second.answer is not None
        assert second.answer.body in (b"{}", b"[]")


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(noise, st.sampled_from([*ENDS, "garbage below TLS"]))
def test_arbitrary_bytes_over_tls_give_one_transport_class(
    tls_server: ScriptServer, parts: list[bytes], end: str
) -> None:
    """The same holds over TLS, including broken TLS records."""
    reply, elapsed, load_client, _ = send_to(tls_server, Script(parts, end))
    load_client.close()

    assert reply.transport in POSSIBLE | {Transport.TLS_FAILED}
    assert reply.transport is not Transport.TLS_FAILED or end == "garbage below TLS"
    assert_consistent(reply, elapsed)


def test_an_end_without_close_notify_does_not_complete_an_answer(tls_server: ScriptServer) -> None:
    """Without close_notify, a body that ends with the connection may have been truncated by an attacker."""
    parts = [b"HTTP/1.1 200 OK\r\n\r\n{", b"}"]
    complete, truncated = (
        send_to(tls_server, Script(parts, end), deadline=PATIENCE)[0] for end in ("orderly", "abrupt")
    )

    assert (Transport.ANSWERED, Transport.CLOSED_EARLY) == (complete.transport, truncated.transport)


def test_a_broken_tls_record_is_a_tls_failure(tls_server: ScriptServer) -> None:
    """Bytes that TLS does not authenticate are not read as HTTP."""
    reply = send_to(tls_server, Script([OK[:-1]], "garbage below TLS"), deadline=PATIENCE)[0]

    assert Transport.TLS_FAILED is reply.transport


@pytest.mark.parametrize("secure", [False, True], ids=["plain", "tls"])
def test_a_long_request_is_sent_in_parts(server: ScriptServer, tls_server: ScriptServer, secure: bool) -> None:
    """A body larger than the socket buffer is sent completely, and other greenlets run meanwhile."""
    where = tls_server if secure else server
    load_client, short = client(where)
    target = parse_target(f"{'https' if secure else 'http'}://localhost:{where.port}", loopback=True)
    body = b'{"a": "' + b"x" * (20 << 20) + b'"}'
    ticks = []
    ticking = gevent.spawn(lambda: [ticks.append(gevent.sleep(0.001)) for _ in range(10_000)])
    where.scripts.put(Script([OK], "stay"))
    reply = load_client.call(request_bytes(target, ApiKey("key"), body), time.monotonic() + PATIENCE)
    again = load_client.call(short, time.monotonic() + PATIENCE)
    load_client.close()
    ticking.kill()

    assert (Transport.ANSWERED, b"{}") == (reply.transport, reply.answer and reply.answer.body)
    assert reply.sent > len(body)
    assert (Transport.ANSWERED, b"[]") == (again.transport, again.answer and again.answer.body)
    assert ticks


def test_an_early_answer_to_a_long_request_is_read(server: ScriptServer) -> None:
    """A server may reject a long request before reading it all. The connection is not reused."""
    load_client, _ = client(server)
    target = parse_target(f"http://localhost:{server.port}", loopback=True)
    rejection = b"HTTP/1.1 413 Too Large\r\nContent-Length: 0\r\n\r\n"
    server.scripts.put(Script([rejection], "stay", reads=False))
    reply = load_client.call(request_bytes(target, ApiKey("key"), b"x" * (20 << 20)), time.monotonic() + PATIENCE)

    assert (Transport.ANSWERED, 413) == (reply.transport, reply.answer and reply.answer.status)
    assert [] == load_client._idle


def test_endless_answers_are_too_large(server: ScriptServer, monkeypatch: pytest.MonkeyPatch) -> None:
    """Endless bodies and endless interim answers do not fill the memory."""
    monkeypatch.setattr("chainproof.loadtests.client.connection.MAX_BODY_BYTES", 1000)
    monkeypatch.setattr("chainproof.loadtests.client.connection.MAX_HEADER_BYTES", 1000)
    endless = {
        "length": [b"HTTP/1.1 200 OK\r\nContent-Length: 5000\r\n\r\n", *[b"x" * 500] * 4],
        "chunked": [b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", *[b"1f4\r\n" + b"x" * 500 + b"\r\n"] * 4],
        "until closed": [b"HTTP/1.1 200 OK\r\n\r\n", *[b"x" * 500] * 4],
        "interim": [b"HTTP/1.1 100 Continue\r\n\r\n" * 20] * 4,
    }
    found = {
        name: send_to(server, Script(parts, "stay"), deadline=PATIENCE)[0].transport for name, parts in endless.items()
    }

    assert dict.fromkeys(endless, Transport.TOO_LARGE) == found


LIMIT = 1 << 20
HOARDERS = {
    "bodies": [b"HTTP/1.1 200 OK\r\nContent-Length: 90000000\r\n\r\n", *[b"x" * 50_000] * 10],
    "chunks": [b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", *[b"1\r\nx\r\n" * 9000] * 10],
    "header fields": [b"HTTP/1.1 200 OK\r\n", *[b"a:\r\n" * 2000] * 10],
    "long values": [b"HTTP/1.1 200 OK\r\nX-Long: ", *[b"x" * 50_000] * 10],
}


@pytest.mark.parametrize("kind", HOARDERS)
def test_all_answers_together_have_a_budget(server: ScriptServer, kind: str) -> None:
    """Each of eight answers is short enough, but not all of them: some requests fail, and their memory is free again."""
    target = parse_target(f"http://127.0.0.1:{server.port}")
    request = request_bytes(target, ApiKey("key"), b"{}")
    for deadline in (0.5, 1.5, 15.0):  # on a busy machine the answers take longer to arrive
        client = LoadClient(target, max_response_memory=LIMIT)
        for _ in range(8):
            server.scripts.put(Script(HOARDERS[kind], "stay"))
        calls = [gevent.spawn(client.call, request, time.monotonic() + deadline) for _ in range(8)]
        largest = 0
        while not all(call.ready() for call in calls):
            largest = max(largest, client._memory.held)
            gevent.sleep(0.001)
        transports = [call.value.transport for call in calls]

        assert largest <= LIMIT
        assert 0 == client._memory.held
        if Transport.TOO_LARGE in transports and largest:
            break

    assert Transport.TOO_LARGE in transports
    assert 0 < largest


@pytest.mark.parametrize(("size", "transport"), [(LIMIT // 5, Transport.ANSWERED), (LIMIT // 3, Transport.TOO_LARGE)])
def test_the_copies_of_an_answer_count(server: ScriptServer, size: int, transport: Transport) -> None:
    """A body is joined, and copied again while it is judged: it takes four times its bytes."""
    target = parse_target(f"http://127.0.0.1:{server.port}")
    client = LoadClient(target, max_response_memory=LIMIT)
    pieces = [b"x" * 50_000] * (size // 50_000)
    server.scripts.put(
        Script([b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % sum(map(len, pieces)), *pieces], "close")
    )
    call = gevent.spawn(client.call, request_bytes(target, ApiKey("key"), b"{}"), time.monotonic() + PATIENCE)
    reply = call.get()
    gevent.sleep(0)

    assert transport is reply.transport
    assert 0 == client._memory.held


def test_long_request_ids_are_stored_in_part(server: ScriptServer) -> None:
    """They have at most 200 bytes, and two that differ only at the end stay different."""
    ids = [b"x" * 100_000 + end for end in (b"1", b"2", b"1")] + [b"y" * 200]
    head = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nX-BASETEN-REQUEST-ID: "
    found = [
        send_to(server, Script([head + request_id + b"\r\nContent-Length: 2\r\n\r\n{}"], "close"), deadline=PATIENCE)[0]
        for request_id in ids
    ]
    stored = [reply.request_id for reply in found]

    assert all(len(request_id) <= MAX_ID_LENGTH for request_id in stored)
    assert stored[0] == stored[2] != stored[1]
    assert b"y" * 200 == stored[3]
