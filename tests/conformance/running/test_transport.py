"""The client sends requests unchanged, and reads answers exactly to their end."""

from __future__ import annotations

import errno
import gzip
import os
import socket
import ssl
import subprocess
import sys
import threading
import time
import zlib
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import replace
from pathlib import Path

import pytest

from chainproof.conformance.transport.client import Client, connection_failure
from chainproof.conformance.transport.request import (
    JSON_TYPE,
    CheckRequest,
    key_secret,
    reproduction_command,
    request_bytes,
)
from chainproof.conformance.transport.response_parser import AnswerParser, UnparsableAnswer
from chainproof.contract.answer import Answer
from chainproof.contract.content_coding import decode_answer
from chainproof.contract.credentials import ApiKey
from chainproof.contract.route import Route
from chainproof.contract.target import Target, parse_target
from chainproof.results.exchange import Transport

from ..endpoints import KEY, EndpointAnswer, EndpointRequest, correct_endpoint, serve

TARGET = Target(scheme="http", host="127.0.0.1", port=8080)
REQUEST = CheckRequest(fields=(("Authorization", f"Api-Key {KEY}"), JSON_TYPE), body=b"{}")


def test_only_host_and_framing_are_added_to_a_request() -> None:
    """All other bytes come from the check."""
    request = CheckRequest(fields=(("auTHorization", " x\xff "), ("a", "1"), ("a", "2")), body=b"\x00")

    assert request_bytes(request, TARGET) == (
        b"POST /production/run_remote HTTP/1.1\r\nHost: 127.0.0.1:8080\r\nauTHorization:  x\xff \r\na: 1\r\na: 2\r\n"
        b"Content-Length: 1\r\n\r\n\x00"
    )
    assert (
        request_bytes(CheckRequest(method="GET", path="/x", host="h"), TARGET) == b"GET /x HTTP/1.1\r\nHost: h\r\n\r\n"
    )


@contextmanager
def serving(*answers: bytes, pause: float = 0.0) -> Iterator[Target]:
    """
    A server that sends the next answer on each connection, whatever the request, and closes it. With a *pause*, it waits
    before each byte.
    """
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def serve() -> None:
            for answer in answers:
                connection, _ = listener.accept()
                with connection:
                    connection.recv(65536)
                    if not pause:
                        connection.sendall(answer)
                        continue
                    for byte in answer:
                        time.sleep(pause)
                        try:
                            connection.sendall(bytes([byte]))
                        except OSError:
                            return

        thread = threading.Thread(target=serve, daemon=True)
        thread.start()
        yield parse_target(f"http://127.0.0.1:{listener.getsockname()[1]}")


COMPLETE = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nX-Odd-CASE: a\r\nx-odd-case: b\r\n\r\n{}"


@pytest.mark.parametrize(
    ("answer", "transport", "body", "framing_error"),
    [
        (COMPLETE, Transport.ANSWERED, b"{}", False),
        (b"HTTP/1.1 100 Continue\r\n\r\n" + COMPLETE, Transport.ANSWERED, b"{}", False),
        (b"HTTP/1.0 200 OK\r\n\r\nto the end", Transport.ANSWERED, b"to the end", False),
        (COMPLETE + b"!", Transport.ANSWERED, b"{}", True),
        (b"", Transport.CONNECTION_LOST, None, False),
        (COMPLETE[:-1], Transport.MALFORMED, None, True),
        (COMPLETE[:20], Transport.MALFORMED, None, True),
        (b"SSH-2.0-OpenSSH\r\n\r\n", Transport.MALFORMED, None, True),
        (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n", Transport.MALFORMED, None, True),
    ],
)
def test_an_answer_is_read_to_its_end(
    answer: bytes, transport: Transport, body: bytes | None, framing_error: bool
) -> None:
    """All bytes are kept of answers that are complete, cut short, followed by more bytes, or not HTTP."""
    with serving(answer) as target:
        received = Client(target, deadline=5.0).send(REQUEST)

    assert received.transport is transport
    assert (received.answer.body if received.answer else None) == body
    assert bool(received.framing_error) == framing_error
    assert answer.startswith(received.raw)


HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n"


@pytest.mark.parametrize(
    ("answer", "body", "message"),
    [
        (HEAD + b"Content-Length: 2\n\r\n{}", b"{}", "ends in LF without CR"),
        (HEAD + b"X-A : b\r\nContent-Length: 2\r\n\r\n{}", b"{}", "whitespace before the colon"),
        (HEAD + b"X-A: b\r\n c\r\nContent-Length: 2\r\n\r\n{}", b"{}", "folded"),
        (HEAD + b"X-A\r\nContent-Length: 2\r\n\r\n{}", b"{}", "without a colon"),
        (HEAD + b"X A: b\r\nContent-Length: 2\r\n\r\n{}", b"{}", "not a token"),
        (HEAD + b"X-A: b\x7f\r\nContent-Length: 2\r\n\r\n{}", b"{}", "a control character"),
        (b"HTTP/1.1 200\r\nContent-Length: 2\r\n\r\n{}", b"{}", "an invalid status line"),
        (b"HTTP/1.1  200 OK\r\nContent-Length: 2\r\n\r\n{}", b"{}", "an invalid status line"),
        (b"HTTP/2 200 OK\r\nContent-Length: 2\r\n\r\n{}", b"{}", "an invalid status line"),
        (HEAD + b"Content-Length: 2, 2\r\n\r\n{}", b"{}", "not a number"),
        (HEAD + b"Content-Length: 2\r\nContent-Length: 3\r\n\r\n{} ", None, "two different lengths"),
        (HEAD + b"Content-Length: 0x2\r\n\r\n{}", None, "not a number"),
        (HEAD + b"Content-Length: -2\r\n\r\n{}", None, "not a number"),
        (HEAD + b"Content-Length: 3\r\n\r\n{}", None, "1 bytes before the end"),
        (HEAD + b"Content-Length: 2\r\nTransfer-Encoding: chunked\r\n\r\n2\r\n{}\r\n0\r\n\r\n", b"{}", "both"),
        (HEAD + b"Transfer-Encoding: gzip, chunked\r\n\r\n2\r\n{}\r\n0\r\n\r\n", b"{}", "not requested"),
        (HEAD + b"Transfer-Encoding: identity\r\n\r\n{}", None, "not requested"),
        (HEAD + b"Transfer-Encoding: chunked\r\n\r\n2 \r\n{}\r\n0\r\n\r\n", b"{}", "a chunk size"),
        (HEAD + b"Transfer-Encoding: chunked\r\n\r\n0x2\r\n{}\r\n0\r\n\r\n", None, "an invalid chunk size"),
        (HEAD + b"Transfer-Encoding: chunked\r\n\r\n-2\r\n{}\r\n0\r\n\r\n", None, "an invalid chunk size"),
        (HEAD + b"Transfer-Encoding: chunked\r\n\r\n1\r\n{}\r\n0\r\n\r\n", None, "longer than its size"),
        (HEAD + b"Transfer-Encoding: chunked\r\n\r\n2\r\n{}\r\n0\r\n", None, "closed within"),
        (HEAD + b"Transfer-Encoding: chunked\r\n\r\n2\r\n{}\r\n", None, "closed within"),
        (HEAD + b"Transfer-Encoding: chunked\r\n\r\n2\r\n{}\r\n0\r\nContent-Length: 2\r\n\r\n", b"{}", "a trailer"),
        (b"HTTP/1.1 204 No\r\nContent-Length: 2\r\n\r\n{}", b"", "a 204 with Content-Length"),
        (b"HTTP/1.1 101 Other\r\n\r\n", None, "a 101"),
    ],
)
@pytest.mark.parametrize("size", [1, 7, 1000])
def test_the_first_framing_error_is_reported(answer: bytes, body: bytes | None, message: str, size: int) -> None:
    """However the bytes are split, the first error is reported, and the answer is parsed nevertheless if its meaning is clear."""
    parser, error = AnswerParser("POST"), ""
    try:
        for start in range(0, len(answer), size):
            parser.feed(answer[start : start + size])
        parser.feed(b"")
    except UnparsableAnswer as raised:
        error = str(raised)

    assert message in (error or parser.framing_error)
    assert body == (parser.answer.body if parser.answer else None)


@pytest.mark.parametrize(
    "answer",
    [
        HEAD + b"Content-Length: 2\r\n\r\n{}",
        HEAD + b"content-length:2\r\nX-A:\t \xe9 \t\r\nX-B:\r\n\r\n{}",
        HEAD + b'Transfer-Encoding: CHUNKED\r\n\r\n002;a;b="c;\\""\r\n{}\r\n00;x\r\nX-T: 1\r\n\r\n',
        HEAD + b"Transfer-Encoding: chunked\r\n\r\n1\r\n{\r\n1\r\n}\r\n0\r\n\r\n",
        b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Hints\r\nLink: x\r\n\r\n" + HEAD + b"Content-Length: 2\r\n\r\n{}",
        b"HTTP/1.1 200 \r\nContent-Length: 2\r\n\r\n{}",
        b"HTTP/1.0 200 OK\r\n\r\n{}",
        HEAD + b"Connection: close\r\n\r\n{}",
    ],
)
@pytest.mark.parametrize("size", [1, 7, 1000])
def test_valid_framing_is_no_error(answer: bytes, size: int) -> None:
    """Valid answers are parsed without an error, however the bytes are split."""
    parser = AnswerParser("POST")
    for start in range(0, len(answer), size):
        parser.feed(answer[start : start + size])
    parser.feed(b"")

    assert parser.framing_error == ""
    assert parser.trailing_bytes == b""
    assert parser.answer is not None
    assert parser.answer.body == b"{}"


@pytest.mark.parametrize(
    ("accepted", "coding", "body", "is_error", "is_warning"),
    [
        (None, "gzip", gzip.compress(b"{}", mtime=0), False, False),
        ("gzip", "X-GZIP", gzip.compress(b"{}", mtime=0) + gzip.compress(b"", mtime=0), False, False),
        ("deflate, gzip", "deflate", zlib.compress(b"{}"), False, False),
        ("*", "deflate, gzip", gzip.compress(zlib.compress(b"{}"), mtime=0), False, False),
        ("gzip", "gzip", b"{}", True, False),
        ("gzip", "gzip", gzip.compress(b"{}", mtime=0)[:-1], True, False),
        ("deflate", "deflate", zlib.compress(b"{}")[2:-4], True, False),
        ("identity", "gzip", gzip.compress(b"{}", mtime=0), True, False),
        ("", "gzip", gzip.compress(b"{}", mtime=0), True, False),
        ("gzip;q=0", "gzip", gzip.compress(b"{}", mtime=0), False, True),
        ("deflate", "gzip", gzip.compress(b"{}", mtime=0), False, True),
        (None, "identity", b"{}", False, True),
        (None, "compress", b"{}", False, True),
    ],
)
def test_a_content_coding_is_decoded(
    accepted: str | None, coding: str, body: bytes, is_error: bool, is_warning: bool
) -> None:
    """Bodies are decoded if possible, and errors of their coding are reported."""
    values = () if accepted is None else (accepted,)
    decoded = decode_answer(Answer(status=200, headers=(("Content-Encoding", coding),), body=body), values)

    assert (is_error, is_warning) == (bool(decoded.coding_error), bool(decoded.warning))
    assert decoded.answer is None or decoded.answer.body == b"{}"


def test_late_bytes_are_returned_once() -> None:
    """Bytes that arrive after a complete answer are kept with its request, until they are taken."""

    def server(request: EndpointRequest) -> EndpointAnswer:
        return replace(correct_endpoint(request), late=b"!")

    with serve(server) as url:
        client = Client(parse_target(url), deadline=5.0)
        client.send(REQUEST)
        time.sleep(0.1)
        client.send(REQUEST)

    assert client.take_late_bytes() == [(REQUEST, b"!")]
    assert client.take_late_bytes() == []


def test_every_request_is_counted() -> None:
    """The client counts requests on raw connections too."""
    with serve(correct_endpoint) as url:
        client = Client(parse_target(url), deadline=5.0)
        client.send(REQUEST)
        with client.open_raw_connection() as connection:
            connection.send_pipelined([REQUEST, REQUEST])
            answers = [connection.read_answer(REQUEST).answer for _ in range(2)]

    assert client.sent_count == 3
    assert [200, 200] == [answer and answer.status for answer in answers]


def test_a_printf_command_sends_the_exact_bytes() -> None:
    """Bytes that curl would correct are sent with `chainproof call`, and the shell inserts the key."""
    raw = bytes(range(1, 256)) + b"%s \\ ' Api-Key " + KEY.encode() + b"\r\n\r\n\x00"
    request = replace(REQUEST, raw=raw, secret=key_secret(ApiKey(KEY), "THE_KEY"))
    line = reproduction_command(request, TARGET)
    printf = line.rpartition(" | ")[0]
    printed = subprocess.run(
        ["sh", "-c", printf], env={**os.environ, "THE_KEY": KEY}, capture_output=True, check=True, timeout=10
    )

    assert line.endswith(" | chainproof call --raw - --target http://127.0.0.1:8080/production/run_remote")
    assert KEY not in line
    assert raw == printed.stdout


def _environment_of_commands() -> dict[str, str]:
    """An environment with the key, in which `chainproof` is that of this interpreter."""
    return {**os.environ, "THE_KEY": KEY, "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}"}


def test_header_fields_keep_case_order_and_repetitions() -> None:
    """The header fields of an answer are kept as received."""
    with serving(COMPLETE) as target:
        answer = Client(target, deadline=5.0).send(REQUEST).answer

    assert answer is not None
    assert answer.headers == (("Content-Length", "2"), ("X-Odd-CASE", "a"), ("x-odd-case", "b"))


def test_slow_bytes_do_not_extend_the_deadline() -> None:
    """An answer whose bytes trickle in misses the deadline."""
    with serving(COMPLETE, pause=0.1) as target:
        began = time.monotonic()
        received = Client(target, deadline=0.5).send(REQUEST)
        duration = time.monotonic() - began

    assert received.transport is Transport.DEADLINE
    assert duration < 2.0
    assert COMPLETE.startswith(received.raw)


def test_a_connection_closed_while_idle_is_replaced() -> None:
    """The next request opens a new connection."""
    with serving(COMPLETE, COMPLETE, COMPLETE) as target:
        client = Client(target, deadline=5.0)
        statuses = [received.answer and received.answer.status for received in (client.send(REQUEST) for _ in range(3))]

    assert statuses == [200, 200, 200]


@pytest.mark.parametrize(
    "request_",
    [
        REQUEST,
        CheckRequest(fields=(JSON_TYPE,), body=b"{}", path=f"/production/run_remote?api_key={KEY}"),
        CheckRequest(fields=(("Authorization", "Api-Key x'y"), JSON_TYPE), body=b"\x00'\xff%"),
        CheckRequest(fields=(("Authorization", f"Bearer {KEY}"), ("X-Empty", "")), body=None),
        CheckRequest(
            method="PUT", path="/x?y=[1]", host="chain-a-b.api.baseten.co", fields=(JSON_TYPE,), body=b'{"a":"$HOME"}'
        ),
        CheckRequest(fields=(("Authorization", f"Api-Key {KEY}"), JSON_TYPE), body=b'{"a":1}', chunked=True),
    ],
    ids=lambda request: f"{request.method} {request.path[:30]}",
)
def test_a_command_sends_the_same_request(request_: CheckRequest) -> None:
    """The target receives the same request, and the shell inserts the key."""
    requests: list[EndpointRequest] = []

    def recording(request: EndpointRequest) -> EndpointAnswer:
        requests.append(request)
        return correct_endpoint(request)

    with serve(recording) as url:
        target = parse_target(url)
        Client(target, deadline=5.0).send(request_)
        line = reproduction_command(
            replace(request_, secret=key_secret(ApiKey(KEY), "THE_KEY")), target, options=("--api-key-env", "THE_KEY")
        )
        subprocess.run(["sh", "-c", line], env=_environment_of_commands(), capture_output=True, check=False, timeout=30)

    ignored = {"user-agent", "accept", "content-length"}
    first, second = (
        (each.method, each.path, sorted((n.lower(), v) for n, v in each.fields if n.lower() not in ignored), each.body)
        for each in requests
    )
    assert KEY not in line
    assert first == second


def test_a_handshake_that_takes_too_long_is_named() -> None:
    """The text of the exception names a line of the source of Python."""
    late = TimeoutError("_ssl.c:989: The handshake operation timed out")

    assert "no connection by the deadline" == connection_failure(late).reason
    assert (
        os.strerror(errno.ETIMEDOUT)
        == connection_failure(OSError(errno.ETIMEDOUT, os.strerror(errno.ETIMEDOUT))).reason
    )


@pytest.mark.parametrize("is_awaited", [False, True])
def test_a_server_that_requires_a_certificate_of_the_client_is_named(is_awaited: bool) -> None:  # both ways to read
    """In TLS 1.3 the handshake succeeds, and the alert comes in place of the answer, also if `call` awaits its first byte."""
    certificate = Path(__file__).parents[2] / "loadtests" / "localhost.pem"
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH, cafile=certificate)
    context.load_cert_chain(certificate)
    context.verify_mode = ssl.CERT_REQUIRED
    with socket.create_server(("127.0.0.1", 0)) as listening:

        def reject() -> None:
            connection, _ = listening.accept()
            with connection, suppress(OSError):
                context.wrap_socket(connection, server_side=True)

        rejecting = threading.Thread(target=reject)
        rejecting.start()
        target = parse_target(f"https://127.0.0.1:{listening.getsockname()[1]}")
        with Client(target, deadline=5.0, route=Route(ca_file=str(certificate))).open_raw_connection() as connection:
            if is_awaited:
                connection.wait_for_bytes(5.0)
            received = connection.read_answer(REQUEST)
        rejecting.join()

    assert Transport.CONNECTION_LOST is received.transport
    assert "the TLS connection failed: tlsv13 alert certificate required" == received.reason
