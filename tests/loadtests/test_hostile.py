"""
Servers that say anything at all: the client never hangs, never raises, and gives every request one transport class.
"""

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
from chainproof.loadtests.client.client import LoadClient
from chainproof.loadtests.client.reply import Reply
from chainproof.loadtests.client.request import request_bytes
from chainproof.results.exchange import Transport

OK = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 2\r\n\r\n{}"
DEADLINE = 0.25
SLACK = 1.0
"""What a loaded machine may add."""


@dataclass(slots=True)
class Act:
    """
    What a server does on its next connection: some bytes, a moment apart, and an end.
    """

    parts: list[bytes]
    end: str
    reads: bool = True
    over: threading.Event = field(default_factory=threading.Event)

    def await_end(self) -> None:
        """Return when the server has done all of it."""
        assert self.end == "stay" or self.over.wait(5)
        gevent.sleep(0.002)


@dataclass(slots=True)
class Stage:
    """
    A server that plays acts, one to a connection.
    """

    port: int
    tls: ssl.SSLContext | None
    acts: queue.Queue[Act] = field(default_factory=queue.Queue)

    def serve(self, listening: socket.socket) -> None:
        """Play whatever is put on, until the listening socket is closed."""
        while True:
            try:
                connection, _ = listening.accept()
            except OSError:
                return
            threading.Thread(target=self.play, args=(connection,), daemon=True).start()

    def play(self, raw: socket.socket) -> None:
        """Play one act, and then an honest server to whoever asks again on the same connection."""
        act = self.acts.get(timeout=5)
        raw.settimeout(5)
        raw.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        connection: Any = raw
        with suppress(OSError):
            if self.tls is not None:
                connection = self.tls.wrap_socket(raw, server_side=True)
            if act.reads:
                _request(connection)
            for part in act.parts:
                connection.sendall(part)
                time.sleep(0.001)
            self.end(raw, connection, act.end)
            if act.end == "stay":
                while _request(connection):
                    connection.sendall(OK.replace(b"{}", b"[]"))
        connection.close()
        act.over.set()

    def end(self, raw: socket.socket, connection: Any, how: str) -> None:
        """End the connection in one of several ways."""
        if how == "reset":
            raw.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        elif how == "garbage below TLS" and self.tls is not None:
            socket.socket(fileno=connection.detach()).sendall(b"\x17\x03\x03\x00\x20" + b"?" * 32)
        elif how == "orderly" and self.tls is not None:
            connection.unwrap()


def _request(connection: Any) -> bool:
    """
    Read a whole request; False when there is none.
    """
    said = b""
    while b"\r\n\r\n" not in said:
        octets = connection.recv(65536)
        if not octets:
            return False
        said += octets
    head, _, body = said.partition(b"\r\n\r\n")
    length = int(head.lower().partition(b"content-length:")[2].partition(b"\r\n")[0])
    while len(body) < length:
        octets = connection.recv(65536)
        if not octets:
            return False
        body += octets
    return True


@contextmanager
def staging(tls: ssl.SSLContext | None = None) -> Iterator[Stage]:
    """
    A server on a free port of loopback.
    """
    with socket.create_server(("127.0.0.1", 0), backlog=100) as listening:
        stage = Stage(listening.getsockname()[1], tls)
        threading.Thread(target=stage.serve, args=(listening,), daemon=True).start()
        yield stage


@pytest.fixture(scope="module")
def stage() -> Iterator[Stage]:
    """A server over plain TCP."""
    with staging() as found:
        yield found


@pytest.fixture(scope="module")
def secure_stage() -> Iterator[Stage]:
    """A server over TLS."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(Path(__file__).with_name("localhost.pem"))
    with staging(context) as found:
        yield found


def client(stage: Stage) -> tuple[LoadClient, bytes]:
    """
    A client of that server, and a request.
    """
    scheme = "http" if stage.tls is None else "https"
    target = parse_target(f"{scheme}://localhost:{stage.port}", loopback=True)
    route = Route(ca_file=str(Path(__file__).with_name("localhost.pem")))
    return LoadClient(target, route), request_bytes(target, ApiKey("key"), b'{"a": 1}')


def met(stage: Stage, act: Act, deadline: float = DEADLINE) -> tuple[Reply, float, LoadClient, bytes]:
    """
    What becomes of a request to a server that acts like this, and how long that took.
    """
    caller, request = client(stage)
    stage.acts.put(act)
    begun = time.monotonic()
    reply = caller.call(request, begun + deadline)
    return reply, time.monotonic() - begun, caller, request


# ------------------------------------------------------------------ whatever is valid is taken as it is

tokens = st.from_regex(rb"[A-Za-z][A-Za-z0-9-]{0,20}", fullmatch=True).filter(
    lambda name: name.lower() not in (b"content-length", b"transfer-encoding", b"connection", b"upgrade", b"keep-alive")
)
values = st.from_regex(rb"[!-~]([ -~]{0,30}[!-~])?", fullmatch=True)
fields = st.lists(st.tuples(tokens, values), max_size=5)


@st.composite
def answers(draw: st.DrawFn) -> tuple[bytes, int, list[tuple[bytes, bytes]], bytes, str]:
    """
    A valid answer: its bytes, status, fields, body, and how the connection goes on.
    """
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
        octets, left = b"", body
        for size in [*sizes, len(body)]:
            part, left = left[:size], left[size:]
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


def cut(octets: bytes, places: list[int]) -> list[bytes]:
    """
    Bytes in pieces.
    """
    ends = sorted({place % (len(octets) + 1) for place in places} | {len(octets)})
    starts = [0, *ends[:-1]]
    return [octets[start:end] for start, end in zip(starts, ends, strict=True) if end > start]


def as_sent(parts: list[tuple[bytes, bytes]]) -> list[tuple[str, str]]:
    """
    Header fields as an answer has them.
    """
    return [(name.decode(), value.decode()) for name, value in parts]


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(answers(), st.lists(st.integers(0, 5000), max_size=6))
def test_a_valid_answer_is_taken_as_it_is_however_it_is_framed_and_cut(
    stage: Stage, answer: tuple[bytes, int, list[tuple[bytes, bytes]], bytes, str], places: list[int]
) -> None:
    """
    Status, fields in their order, body; and another request over whatever connection there is then meets an honest server.
    """
    octets, status, named, body, end = answer
    act = Act(cut(octets, places), end)
    reply, _, caller, request = met(stage, act, deadline=5.0)
    act.await_end()
    stage.acts.put(Act([OK], "stay"))
    second = caller.call(request, time.monotonic() + 5.0)
    caller.close()
    with suppress(queue.Empty):
        stage.acts.get_nowait()  # the second went over the first one's connection

    assert (Transport.ANSWERED, "") == (reply.transport, reply.reason)
    assert reply.answer is not None
    assert (status, as_sent(named), body) == (reply.answer.status, list(reply.answer.headers), reply.answer.body)
    assert len(octets) == reply.received
    assert len(request) == reply.sent
    assert second.answer is not None
    assert second.answer.body in (b"{}", b"[]")


# ------------------------------------------------------------------ whatever is not valid has one class

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


def holds_together(reply: Reply, took: float, deadline: float = DEADLINE) -> None:
    """
    What is true of any reply.
    """
    assert (reply.answer is None) == bool(reply.reason)
    assert (reply.transport is Transport.ANSWERED) == (reply.answer is not None)
    assert took < deadline + SLACK
    assert reply.transport is not Transport.DEADLINE or took >= deadline
    assert reply.end <= reply.read_at


@settings(max_examples=250, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(noise, st.sampled_from(ENDS), st.booleans())
def test_a_hostile_server_costs_no_more_than_the_deadline_and_gets_one_class(
    stage: Stage, parts: list[bytes], end: str, reads: bool
) -> None:
    """
    Whatever comes back, in time there is one reply; and what one answer left behind is never the next one's.
    """
    act = Act(parts, end, reads)
    reply, took, caller, request = met(stage, act)
    act.await_end()  # whatever comes behind an answer finds the connection idle
    stage.acts.put(Act([OK], "stay"))
    second = caller.call(request, time.monotonic() + 5.0)
    caller.close()
    with suppress(queue.Empty):
        stage.acts.get_nowait()

    assert reply.transport in POSSIBLE
    holds_together(reply, took)
    if reads:
        assert second.answer is not None
        assert second.answer.body in (b"{}", b"[]")


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(noise, st.sampled_from([*ENDS, "garbage below TLS"]))
def test_under_tls_too(secure_stage: Stage, parts: list[bytes], end: str) -> None:
    """
    The same over TLS, where besides a record may be broken.
    """
    reply, took, caller, _ = met(secure_stage, Act(parts, end), deadline=0.5)
    caller.close()

    assert reply.transport in POSSIBLE | {Transport.TLS_FAILED}
    assert reply.transport is not Transport.TLS_FAILED or end == "garbage below TLS"
    holds_together(reply, took, 0.5)


def test_an_end_without_close_notify_completes_no_answer(secure_stage: Stage) -> None:
    """
    Under TLS a body that lasts until the end may have been cut off by anybody, unless the server says that it was the end.
    """
    parts = [b"HTTP/1.1 200 OK\r\n\r\n{", b"}"]
    said, cut_off = (met(secure_stage, Act(parts, end), deadline=2.0)[0] for end in ("orderly", "abrupt"))

    assert (Transport.ANSWERED, Transport.CLOSED_EARLY) == (said.transport, cut_off.transport)


def test_a_broken_record_is_no_answer(secure_stage: Stage) -> None:
    """
    Bytes that TLS cannot vouch for are not read as HTTP.
    """
    reply = met(secure_stage, Act([OK[:-1]], "garbage below TLS"), deadline=2.0)[0]

    assert Transport.TLS_FAILED is reply.transport


@pytest.mark.parametrize("secure", [False, True], ids=["plain", "tls"])
def test_a_long_request_goes_out_as_the_server_takes_it(stage: Stage, secure_stage: Stage, secure: bool) -> None:
    """
    A body that fits no buffer is sent in parts, while the loop goes on; one byte of it is missing nowhere.
    """
    where = secure_stage if secure else stage
    caller, short = client(where)
    target = parse_target(f"{'https' if secure else 'http'}://localhost:{where.port}", loopback=True)
    body = b'{"a": "' + b"x" * (20 << 20) + b'"}'
    ticks = []
    ticking = gevent.spawn(lambda: [ticks.append(gevent.sleep(0.001)) for _ in range(10_000)])
    where.acts.put(Act([OK], "stay"))
    reply = caller.call(request_bytes(target, ApiKey("key"), body), time.monotonic() + 20)
    again = caller.call(short, time.monotonic() + 5)
    caller.close()
    ticking.kill()

    assert (Transport.ANSWERED, b"{}") == (reply.transport, reply.answer and reply.answer.body)
    assert reply.sent > len(body)
    assert (Transport.ANSWERED, b"[]") == (again.transport, again.answer and again.answer.body)
    assert len(ticks) > 3


def test_an_answer_before_the_end_of_the_request_is_an_answer(stage: Stage) -> None:
    """
    Who refuses a long request says so before reading it all; the connection is not used again.
    """
    caller, _ = client(stage)
    target = parse_target(f"http://localhost:{stage.port}", loopback=True)
    refusal = b"HTTP/1.1 413 Too Large\r\nContent-Length: 0\r\n\r\n"
    stage.acts.put(Act([refusal], "stay", reads=False))
    reply = caller.call(request_bytes(target, ApiKey("key"), b"x" * (20 << 20)), time.monotonic() + 5)

    assert (Transport.ANSWERED, 413) == (reply.transport, reply.answer and reply.answer.status)
    assert [] == caller._idle


def test_more_than_we_hold_is_too_large(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    """
    Neither an endless body nor endless interim answers fill our memory.
    """
    monkeypatch.setattr("chainproof.loadtests.client.connection.MAX_BODY_BYTES", 1000)
    monkeypatch.setattr("chainproof.loadtests.client.connection.MAX_HEADER_BYTES", 1000)
    endless = {
        "length": [b"HTTP/1.1 200 OK\r\nContent-Length: 5000\r\n\r\n", *[b"x" * 500] * 4],
        "chunked": [b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", *[b"1f4\r\n" + b"x" * 500 + b"\r\n"] * 4],
        "until closed": [b"HTTP/1.1 200 OK\r\n\r\n", *[b"x" * 500] * 4],
        "interim": [b"HTTP/1.1 100 Continue\r\n\r\n" * 20] * 4,
    }
    found = {name: met(stage, Act(parts, "stay"), deadline=2.0)[0].transport for name, parts in endless.items()}

    assert dict.fromkeys(endless, Transport.TOO_LARGE) == found
