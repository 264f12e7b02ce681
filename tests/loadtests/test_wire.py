"""
The client: what it sends, how it takes answers of every kind, and when it stops waiting.
"""

from __future__ import annotations

import asyncio
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

RunServer = Callable[..., Any]
BODY = b'{"a": 1}'


def call(target: Any, deadline: float = 2.0, client: LoadClient | None = None) -> Reply:
    """
    One request to a target.
    """
    client = client if client is not None else LoadClient(target)
    return client.call(request_bytes(target, ApiKey("key"), BODY), time.monotonic() + deadline)


def saying(*octets: bytes, then: str = "stay") -> Any:
    """
    A target that sends these bytes, a moment apart, and then stays, closes or resets the connection.
    """

    async def behave(told: Any) -> None:
        for part in octets:
            await told.send_bytes(part)
            await asyncio.sleep(0.01)
        if then == "close":
            raise ConnectionError
        if then == "reset":
            told.reset()

    return behave


OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}"

ANSWERS = {
    "with a length": (saying(OK), (200, b"{}")),
    "in pieces": (saying(OK[:5], OK[5:20], OK[20:-1], OK[-1:]), (200, b"{}")),
    "chunked": (
        saying(
            b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1\r\n{\r\n", b"1\r\n}\r\n0\r\nTrailer: t\r\n\r\n"
        ),
        (200, b"{}"),
    ),
    "until the connection closes": (saying(b"HTTP/1.1 200 OK\r\n\r\n{", b"}", then="close"), (200, b"{}")),
    "behind an interim answer": (saying(b"HTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\n" + OK), (200, b"{}")),
    "a redirect": (saying(b"HTTP/1.1 302 Found\r\nLocation: /elsewhere\r\nContent-Length: 0\r\n\r\n"), (302, b"")),
    "without a body": (saying(b"HTTP/1.1 204 No Content\r\n\r\n"), (204, b"")),
    "before reading and closing": (saying(OK, then="close"), (200, b"{}")),
    "two at once": (saying(OK + OK), (200, b"{}")),
    "with something behind it": (saying(OK + b"\0garbage"), (200, b"{}")),
}


@pytest.mark.parametrize("kind", ANSWERS)
def test_a_complete_answer_is_taken_however_it_is_framed(run_server: RunServer, kind: str) -> None:
    """
    An answer is complete when its framing says so; it is sent for once, and a redirect is an answer like any other.
    """
    behaviour, expected = ANSWERS[kind]
    with run_server(behaviour) as server:
        reply = call(server.target)

    assert (Transport.ANSWERED, expected) == (reply.transport, (reply.answer.status, reply.answer.body))
    assert 1 == len(server.requests)


FAILURES = {
    "closed before any answer": (saying(then="close"), Transport.CLOSED_EARLY, "before any answer"),
    "reset before any answer": (saying(then="reset"), Transport.CONNECTION_RESET, "before any answer"),
    "closed half-way": (saying(OK[:-1], then="close"), Transport.CLOSED_EARLY, "middle of the answer"),
    "reset half-way": (saying(OK[:-1], then="reset"), Transport.CONNECTION_RESET, "middle of the answer"),
    "chunks cut off": (
        saying(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1\r\n{\r\n", then="close"),
        Transport.CLOSED_EARLY,
        "middle of the answer",
    ),
    "only an interim answer": (
        saying(b"HTTP/1.1 100 Continue\r\n\r\n", then="close"),
        Transport.CLOSED_EARLY,
        "middle of the answer",
    ),
    "garbage": (saying(b"SSH-2.0-whatever\r\n"), Transport.MALFORMED, "not HTTP"),
    "two lengths": (
        saying(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nContent-Length: 3\r\n\r\n{}"),
        Transport.MALFORMED,
        "not HTTP",
    ),
    "an upgrade": (
        saying(b"HTTP/1.1 101 Switching\r\nUpgrade: x\r\nConnection: upgrade\r\n\r\n"),
        Transport.MALFORMED,
        "not HTTP",
    ),
    "an endless head": (
        saying(b"HTTP/1.1 200 OK\r\n", *[b"X: " + b"y" * 65000 + b"\r\n"] * 20),
        Transport.TOO_LARGE,
        "longer than",
    ),
    "silence": (saying(), Transport.DEADLINE, "deadline"),
    "a byte at a time": (saying(*[bytes([octet]) for octet in OK]), Transport.DEADLINE, "deadline"),
    "a head and silence": (saying(OK[:-2]), Transport.DEADLINE, "deadline"),
}


@pytest.mark.parametrize("kind", FAILURES)
def test_whatever_is_no_complete_answer_has_its_transport_class(run_server: RunServer, kind: str) -> None:
    """
    How far the bytes got is told apart, nothing is sent a second time, and the deadline holds for all of it.
    """
    behaviour, transport, reason = FAILURES[kind]
    deadline = 0.3 if transport is Transport.DEADLINE else 5.0
    with run_server(behaviour) as server:
        begun = time.monotonic()
        reply = call(server.target, deadline)

    assert (transport, None) == (reply.transport, reply.answer)
    assert reason in reply.reason
    assert 1 == len(server.requests)
    assert time.monotonic() - begun < deadline + 0.3


def test_the_request_is_the_documents(run_server: RunServer) -> None:
    """
    POST to the operation's path, the key behind its prefix, JSON, a length, the target's host.
    """
    with run_server(saying(OK)) as server:
        call(server.target)
    head, _, body = server.requests[0].partition(b"\r\n\r\n")
    line, *fields = head.decode().split("\r\n")

    assert "POST /production/run_remote HTTP/1.1" == line
    assert {
        f"Host: 127.0.0.1:{server.port}",
        "Authorization: Api-Key key",
        "Content-Type: application/json",
        f"Content-Length: {len(BODY)}",
    } <= set(fields)
    assert BODY == body


def test_a_connection_is_kept_as_long_as_the_target_keeps_it(run_server: RunServer) -> None:
    """
    The next request goes over the same connection, unless the answer said close or more came than was asked for.
    """
    closing = OK.replace(b"\r\n\r\n", b"\r\nConnection: close\r\n\r\n")
    expected = {"kept": 1, "closed": 3, "one too many": 3}
    found = {}
    for kind, octets in {"kept": OK, "closed": closing, "one too many": OK + OK}.items():
        with run_server(saying(octets)) as server:
            client = LoadClient(server.target)
            for _ in range(3):
                assert Transport.ANSWERED is call(server.target, client=client).transport
        found[kind] = server.connections

    assert expected == found


def test_an_idle_connection_that_was_closed_is_replaced_before_sending(run_server: RunServer) -> None:
    """
    A keep-alive connection that the target gave up is no failure of the next request.
    """
    with run_server(saying(OK, then="close")) as server:
        client = LoadClient(server.target)
        for _ in range(3):
            assert Transport.ANSWERED is call(server.target, client=client).transport
            time.sleep(0.05)  # the target's end of the connection goes out a moment after its answer

    assert (3, 3) == (len(server.requests), server.connections)


def test_a_request_that_went_out_is_never_sent_again(run_server: RunServer) -> None:
    """
    A connection that dies under a request loses it: the chain may have run.
    """
    with run_server(saying(OK), saying(then="close")) as server:
        client = LoadClient(server.target)
        transports = [call(server.target, client=client).transport for _ in range(2)]

    assert [Transport.ANSWERED, Transport.CLOSED_EARLY] == transports
    assert 2 == len(server.requests)


def test_nobody_there_and_no_such_name() -> None:
    """
    A refused connection and an unknown name are different things.
    """
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        refused = call(parse_target(f"http://127.0.0.1:{taken.getsockname()[1]}"))
    unknown = call(parse_target("https://no-such-host.invalid"), deadline=5.0)

    assert (Transport.CONNECTION_REFUSED, "connection refused") == (refused.transport, refused.reason)
    assert unknown.transport in (Transport.NAME_NOT_RESOLVED, Transport.DEADLINE)


@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere a full queue of connections refuses")
def test_the_deadline_covers_connecting() -> None:
    """
    A target that takes no connection times the request out.
    """
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
    """
    A target that accepts and never says a word of TLS times the request out.
    """
    with socket.socket() as silent:
        silent.bind(("127.0.0.1", 0))
        silent.listen(5)
        reply = call(parse_target(f"https://127.0.0.1:{silent.getsockname()[1]}"), 0.3)

    assert Transport.DEADLINE is reply.transport


@pytest.mark.skipif(sys.platform != "linux", reason="the kernel's receive stamps are Linux's")
def test_an_answer_that_waited_for_us_is_not_charged_to_the_target(run_server: RunServer) -> None:
    """
    While this process is busy the answer lies in the socket's buffer; its end is when the kernel received it.
    """
    with run_server(saying(OK)) as server:
        client = LoadClient(server.target)
        call(server.target, client=client)  # the first stamps of a machine may be missing
        time.sleep(0.1)
        begun = time.monotonic()
        caller = gevent.spawn(call, server.target, client=client)
        gevent.sleep(0.001)  # the request is out
        time.sleep(0.3)  # and we are busy
        reply = caller.get()

    assert 0 < reply.end - begun < 0.15


@pytest.mark.skipif(sys.platform != "linux", reason="the kernel's receive stamps are Linux's")
def test_an_answer_that_came_in_time_counts_though_we_looked_late(run_server: RunServer) -> None:
    """
    Busy beyond the deadline, we find an answer that came before it; and whoever is woken by it may ask again at once,
    over the same connection, without meeting the first one's deadline.
    """

    async def soon(told: Any) -> None:
        await asyncio.sleep(0.05)
        await told.send_bytes(OK)

    with run_server(soon) as server:
        client = LoadClient(server.target)
        call(server.target, client=client)  # the first stamps of a machine may be missing

        def twice() -> list[Reply]:
            return [call(server.target, deadline, client) for deadline in (0.4, 5.0)]

        caller = gevent.spawn(twice)
        gevent.sleep(0.001)  # the request is out
        time.sleep(0.8)  # and we are busy
        replies = caller.get()

    assert [Transport.ANSWERED] * 2 == [reply.transport for reply in replies]
    assert 1 == server.connections
    assert replies[0].has_kernel_timestamp
    assert replies[0].read_at - replies[0].end > 0.1


@pytest.fixture
def https(run_server: RunServer, tls_context: Any) -> Any:
    """
    A target that answers twice over TLS.
    """
    with run_server(saying(OK), tls=tls_context) as server:
        yield server


def test_a_trusted_certificate_is_accepted(https: Any, certificate: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """
    TLS works, by name and by address, and its connections are kept.
    """
    monkeypatch.setenv("SSL_CERT_FILE", str(certificate))
    target = parse_target(f"https://localhost:{https.port}")
    client = LoadClient(target)
    replies = [call(target, client=client) for _ in range(3)]

    assert [(Transport.ANSWERED, b"{}")] * 3 == [(reply.transport, reply.answer.body) for reply in replies]
    assert 1 == https.connections
    assert Transport.ANSWERED is call(parse_target(f"https://127.0.0.1:{https.port}")).transport


def test_an_untrusted_certificate_is_refused_before_the_key_goes_out(https: Any) -> None:
    """
    Nothing of a request reaches whoever cannot prove who he is.
    """
    reply = call(parse_target(f"https://localhost:{https.port}"))

    assert Transport.TLS_FAILED is reply.transport
    assert "certificate not accepted" in reply.reason
    assert [] == https.requests


def test_a_certificate_of_another_host_is_refused(
    run_server: RunServer, tls_context: Any, certificate: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """
    A trusted certificate counts for the hosts it names.
    """
    monkeypatch.setenv("SSL_CERT_FILE", str(certificate))
    with run_server(saying(OK), tls=tls_context, host="127.0.0.2") as server:
        reply = call(parse_target(f"https://127.0.0.2:{server.port}"))

    assert Transport.TLS_FAILED is reply.transport
    assert "IP address mismatch" in reply.reason
    assert [] == server.requests


def test_no_tls_where_tls_was_expected() -> None:
    """
    A plain server behind an https URL is a failed handshake.
    """

    def refuse(listening: socket.socket) -> None:
        connection, _ = listening.accept()
        with connection:
            connection.sendall(b"HTTP/1.1 400 Bad Request\r\n\r\n")

    with socket.create_server(("127.0.0.1", 0)) as plain:
        threading.Thread(target=refuse, args=(plain,), daemon=True).start()
        reply = call(parse_target(f"https://127.0.0.1:{plain.getsockname()[1]}"), 5.0)

    assert Transport.TLS_FAILED is reply.transport
