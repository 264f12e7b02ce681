"""The load client: requests, answers, transport errors, deadlines and TLS."""

from __future__ import annotations

import asyncio
import select
import socket
import sys
import threading
import time
from collections.abc import Callable
from typing import Any

import gevent
import pytest

from chainproof.contract.credentials import ApiKey
from chainproof.contract.target import parse_target
from chainproof.loadtests.client.client import LoadClient
from chainproof.loadtests.client.reply import Reply
from chainproof.loadtests.client.request import request_bytes
from chainproof.results.exchange import Transport

from ...waiting import PATIENCE

RunServer = Callable[..., Any]
BODY = b'{"a": 1}'


def call(target: Any, deadline: float = PATIENCE, client: LoadClient | None = None) -> Reply:
    """Send one request to a target."""
    client = client if client is not None else LoadClient(target)
    return client.call(request_bytes(target, ApiKey("key"), BODY), time.monotonic() + deadline)


def sending(*parts: bytes, then: str = "stay") -> Any:
    """A target that sends the parts, 10 ms apart, and then stays, closes or resets the connection."""

    async def behave(request: Any) -> None:
        for part in parts:
            await request.send_bytes(part)
            await asyncio.sleep(0.01)
        if then == "close":
            raise ConnectionError
        if then == "reset":
            request.reset()

    return behave


OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}"

ANSWERS = {
    "with a length": (sending(OK), (200, b"{}")),
    "in pieces": (sending(OK[:5], OK[5:20], OK[20:-1], OK[-1:]), (200, b"{}")),
    "chunked": (
        sending(
            b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1\r\n{\r\n", b"1\r\n}\r\n0\r\nTrailer: t\r\n\r\n"
        ),
        (200, b"{}"),
    ),
    "until the connection closes": (sending(b"HTTP/1.1 200 OK\r\n\r\n{", b"}", then="close"), (200, b"{}")),
    "after an interim answer": (sending(b"HTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\n" + OK), (200, b"{}")),
    "a redirect": (sending(b"HTTP/1.1 302 Found\r\nLocation: /elsewhere\r\nContent-Length: 0\r\n\r\n"), (302, b"")),
    "without a body": (sending(b"HTTP/1.1 204 No Content\r\n\r\n"), (204, b"")),
    "then closed": (sending(OK, then="close"), (200, b"{}")),
    "two answers at once": (sending(OK + OK), (200, b"{}")),
    "followed by garbage": (sending(OK + b"\0garbage"), (200, b"{}")),
}


@pytest.mark.parametrize("kind", ANSWERS)
def test_complete_answers_are_read_with_any_framing(run_server: RunServer, kind: str) -> None:
    """The framing decides when an answer is complete. One request is sent; a redirect is an answer like any other."""
    behaviour, expected = ANSWERS[kind]
    with run_server(behaviour) as server:
        reply = call(server.target)

    assert (Transport.ANSWERED, expected) == (reply.transport, (reply.answer.status, reply.answer.body))
    assert 1 == len(server.requests)


FAILURES = {
    "closed before any answer": (sending(then="close"), Transport.CLOSED_EARLY, "before any answer"),
    "reset before any answer": (sending(then="reset"), Transport.CONNECTION_RESET, "before any answer"),
    "closed half-way": (sending(OK[:-1], then="close"), Transport.CLOSED_EARLY, "middle of the answer"),
    "reset half-way": (sending(OK[:-1], then="reset"), Transport.CONNECTION_RESET, "middle of the answer"),
    "chunks cut off": (
        sending(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1\r\n{\r\n", then="close"),
        Transport.CLOSED_EARLY,
        "middle of the answer",
    ),
    "only an interim answer": (
        sending(b"HTTP/1.1 100 Continue\r\n\r\n", then="close"),
        Transport.CLOSED_EARLY,
        "middle of the answer",
    ),
    "garbage": (sending(b"SSH-2.0-whatever\r\n"), Transport.MALFORMED, "not HTTP"),
    "two lengths": (
        sending(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nContent-Length: 3\r\n\r\n{}"),
        Transport.MALFORMED,
        "not HTTP",
    ),
    "an upgrade": (
        sending(b"HTTP/1.1 101 Switching\r\nUpgrade: x\r\nConnection: upgrade\r\n\r\n"),
        Transport.MALFORMED,
        "not HTTP",
    ),
    "an endless head": (
        sending(b"HTTP/1.1 200 OK\r\n", *[b"X: " + b"y" * 65000 + b"\r\n"] * 20),
        Transport.TOO_LARGE,
        "more than 1048576 bytes of head",
    ),
    "silence": (sending(), Transport.DEADLINE, "deadline"),
    "a byte at a time": (sending(*[bytes([octet]) for octet in OK]), Transport.DEADLINE, "deadline"),
    "a head and silence": (sending(OK[:-2]), Transport.DEADLINE, "deadline"),
}


@pytest.mark.parametrize("kind", FAILURES)
def test_incomplete_answers_have_a_transport_class(run_server: RunServer, kind: str) -> None:
    """The class depends on how much was received, nothing is sent again, and the deadline holds."""
    behaviour, transport, reason = FAILURES[kind]
    deadline = 0.3 if transport is Transport.DEADLINE else PATIENCE
    with run_server(behaviour) as server:
        start = time.monotonic()
        reply = call(server.target, deadline)

    assert (transport, None) == (reply.transport, reply.answer)
    assert reason in reply.reason
    assert 1 == len(server.requests)
    assert time.monotonic() - start < PATIENCE


def test_requests_follow_the_openapi_document(run_server: RunServer) -> None:
    """Method, path, authorization, media type, length and host are those of the document."""
    with run_server(sending(OK)) as server:
        call(server.target)
    head, _, body = server.requests[0].partition(b"\r\n\r\n")
    request_line, *fields = head.decode().split("\r\n")

    assert "POST /production/run_remote HTTP/1.1" == request_line
    assert {
        f"Host: 127.0.0.1:{server.port}",
        "Authorization: Api-Key key",
        "Content-Type: application/json",
        f"Content-Length: {len(BODY)}",
    } <= set(fields)
    assert BODY == body


def test_connections_are_reused_if_the_target_keeps_them_open(run_server: RunServer) -> None:
    """The next request uses the same connection, unless the answer has `Connection: close` or is followed by more bytes."""
    closing = OK.replace(b"\r\n\r\n", b"\r\nConnection: close\r\n\r\n")
    expected = {"keep-alive": 1, "close": 3, "two answers": 3}
    found = {}
    for kind, answer in {"keep-alive": OK, "close": closing, "two answers": OK + OK}.items():
        with run_server(sending(answer)) as server:
            client = LoadClient(server.target)
            for _ in range(3):
                assert Transport.ANSWERED is call(server.target, client=client).transport
        found[kind] = server.connections

    assert expected == found


def test_closed_idle_connections_are_replaced_before_sending(run_server: RunServer) -> None:
    """The next request does not fail because the target closed an idle connection."""
    with run_server(sending(OK, then="close")) as server:
        client = LoadClient(server.target)
        for _ in range(3):
            assert Transport.ANSWERED is call(server.target, client=client).transport
            (idle,) = client._idle
            assert select.select([idle._stream.socket], [], [], PATIENCE)[0]  # the target has closed the connection

    assert (3, 3) == (len(server.requests), server.connections)


def test_a_sent_request_is_never_sent_again(run_server: RunServer) -> None:
    """A request fails if its connection breaks, because the chain may have run."""
    with run_server(sending(OK), sending(then="close")) as server:
        client = LoadClient(server.target)
        transports = [call(server.target, client=client).transport for _ in range(2)]

    assert [Transport.ANSWERED, Transport.CLOSED_EARLY] == transports
    assert 2 == len(server.requests)


def test_refused_connections_and_unknown_names_differ() -> None:
    """A refused connection and an unknown name have different transport classes."""
    with socket.socket() as not_listening:
        not_listening.bind(("127.0.0.1", 0))
        refused = call(parse_target(f"http://127.0.0.1:{not_listening.getsockname()[1]}"))
    unknown = call(parse_target("https://no-such-host.invalid"), deadline=5.0)

    assert (Transport.CONNECTION_REFUSED, "connection refused") == (refused.transport, refused.reason)
    assert unknown.transport in (Transport.NAME_NOT_RESOLVED, Transport.DEADLINE)


@pytest.mark.skipif(
    sys.platform != "linux", reason="skipped: needs Linux, where a full backlog does not refuse connections"
)
def test_the_deadline_covers_connecting() -> None:
    """A request times out if the target does not accept the connection."""
    with socket.socket() as full:
        full.bind(("127.0.0.1", 0))
        full.listen(0)
        target = parse_target(f"http://127.0.0.1:{full.getsockname()[1]}")
        waiting = [socket.socket() for _ in range(4)]
        for connection in waiting:
            connection.settimeout(0.0)
            connection.connect_ex(("127.0.0.1", target.port))
        reply = call(target, 0.3)
        for connection in waiting:
            connection.close()

    assert Transport.CONNECT_TIMED_OUT is reply.transport


def test_the_deadline_covers_the_handshake() -> None:
    """A request times out if the target does not answer the TLS handshake."""
    with socket.socket() as silent:
        silent.bind(("127.0.0.1", 0))
        silent.listen(5)
        reply = call(parse_target(f"https://127.0.0.1:{silent.getsockname()[1]}"), 0.3)

    assert Transport.DEADLINE is reply.transport


@pytest.mark.skipif(sys.platform != "linux", reason="skipped: needs Linux for kernel timestamps")
def test_read_delay_is_not_part_of_the_service_time(run_server: RunServer) -> None:
    """An answer ends when the kernel received it, even if this process is busy and reads it later."""

    async def answer_after_100_ms(request: Any) -> None:
        await asyncio.sleep(0.1)
        await request.send_bytes(OK)

    with run_server(answer_after_100_ms) as server:
        client = LoadClient(server.target)
        call(server.target, client=client)  # the first timestamps may be missing
        for _ in range(5):
            start = time.monotonic()
            caller = gevent.spawn(call, server.target, client=client)
            gevent.sleep(0.001)  # the request is sent
            time.sleep(1.0)  # stands for work of this process, which must not count as the target's time
            reply = caller.get()
            if reply.read_at - start >= 1.0:
                break  # on a busy machine the answer may have arrived before

    assert reply.read_at - start >= 1.0
    assert 0.1 <= reply.end - start < 0.9


@pytest.mark.skipif(sys.platform != "linux", reason="skipped: needs Linux for kernel timestamps")
def test_an_answer_in_time_counts_even_if_it_is_read_late(run_server: RunServer) -> None:
    """
    An answer received before the deadline counts if it is read after it. The first deadline does not affect a second
    request over the same connection.
    """

    async def answer_after_50_ms(request: Any) -> None:
        await asyncio.sleep(0.05)
        await request.send_bytes(OK)

    with run_server(answer_after_50_ms) as server:
        client = LoadClient(server.target)
        call(server.target, client=client)  # the first timestamps may be missing

        def twice() -> list[Reply]:
            return [call(server.target, deadline, client) for deadline in (1.0, PATIENCE)]

        caller = gevent.spawn(twice)
        gevent.sleep(0.001)  # the request is sent
        time.sleep(1.2)  # this process is busy
        replies = caller.get()

    assert [Transport.ANSWERED] * 2 == [reply.transport for reply in replies]
    assert 1 == server.connections
    assert replies[0].end < replies[0].read_at


@pytest.fixture
def https(run_server: RunServer, tls_context: Any) -> Any:
    """A target with TLS."""
    with run_server(sending(OK), tls=tls_context) as server:
        yield server


def test_a_trusted_certificate_is_accepted(https: Any, certificate: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """TLS works with host name and address, and connections are reused."""
    monkeypatch.setenv("SSL_CERT_FILE", str(certificate))
    target = parse_target(f"https://localhost:{https.port}")
    client = LoadClient(target)
    replies = [call(target, client=client) for _ in range(3)]

    assert [(Transport.ANSWERED, b"{}")] * 3 == [(reply.transport, reply.answer.body) for reply in replies]
    assert 1 == https.connections
    assert Transport.ANSWERED is call(parse_target(f"https://127.0.0.1:{https.port}")).transport


def test_an_untrusted_certificate_is_rejected_before_the_key_is_sent(https: Any) -> None:
    """No request is sent to a target without a trusted certificate."""
    reply = call(parse_target(f"https://localhost:{https.port}"))

    assert Transport.TLS_FAILED is reply.transport
    assert "certificate not accepted" in reply.reason
    assert [] == https.requests


def test_a_certificate_of_another_host_is_rejected(
    run_server: RunServer, tls_context: Any, certificate: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A trusted certificate is valid only for the hosts that it names."""
    monkeypatch.setenv("SSL_CERT_FILE", str(certificate))
    with run_server(sending(OK), tls=tls_context, host="127.0.0.2") as server:
        reply = call(parse_target(f"https://127.0.0.2:{server.port}"))

    assert Transport.TLS_FAILED is reply.transport
    assert "IP address mismatch" in reply.reason
    assert [] == server.requests


def test_a_plain_http_target_fails_the_handshake() -> None:
    """A server without TLS at an https URL is a TLS failure."""

    def refuse(listening: socket.socket) -> None:
        connection, _ = listening.accept()
        with connection:
            connection.sendall(b"HTTP/1.1 400 Bad Request\r\n\r\n")

    with socket.create_server(("127.0.0.1", 0)) as plain:
        threading.Thread(target=refuse, args=(plain,), daemon=True).start()
        reply = call(parse_target(f"https://127.0.0.1:{plain.getsockname()[1]}"), PATIENCE)

    assert Transport.TLS_FAILED is reply.transport
