from __future__ import annotations

import json
import random
import re
import socket
import struct
import time
from types import SimpleNamespace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from chainproof.contract.violations import violations
from chainproof.emulator.transport import protocol
from chainproof.endpoint import start_emulator

from ..waiting import PATIENCE

BAD = (400, "client_error")


def outcome(answer):
    """Status and error code as the client sees them."""
    return answer.status, json.loads(answer.body).get("error_code") if answer.status != 200 else None


def chunked(body: bytes, size: int) -> bytes:
    """A body in chunks of a size."""
    parts = [body[at : at + size] for at in range(0, len(body), size)]
    return b"".join(b"%x\r\n%s\r\n" % (len(part), part) for part in parts) + b"0\r\n\r\n"


# ------------------------------------------------------------------ request framing


def test_request_may_be_split_anywhere(send_pieces, raw_post):
    """The position of a segment boundary makes no difference."""
    body = b'{"a":"\xc3\xa9"}'
    complete = raw_post(body)

    for at in range(1, len(complete)):
        (answer,) = send_pieces(complete[:at], complete[at:])
        assert (200, body) == (answer.status, answer.body), at


def test_request_may_arrive_byte_by_byte(connect, raw_post, send_pieces):
    """A request in one-byte segments is answered like any other."""
    complete = raw_post(b"{}", transfer_encoding="chunked", content_length=None)[:-2] + chunked(b'{"a": 1}', 3)
    (answer,) = send_pieces(*(complete[at : at + 1] for at in range(len(complete))))

    assert (200, b'{"a": 1}') == (answer.status, answer.body)


@settings(max_examples=50, deadline=None)
@given(st.dictionaries(st.text(), st.text() | st.integers() | st.none()), st.integers(1, 50))
def test_chunked_body_is_echoed(send_pieces, raw_post, value, size):
    """A body in chunks of any size is echoed like a body in one piece."""
    body = json.dumps(value).encode()
    head = raw_post(b"", transfer_encoding="chunked", content_length=None)
    (answer,) = send_pieces(head + chunked(body, size))

    assert (200, body) == (answer.status, answer.body)


def test_trailer_field_is_ignored(send_pieces, raw_post):
    """A key in a trailer field does not authenticate the request."""
    head = raw_post(b"", transfer_encoding="chunked", content_length=None, authorization=None)
    (answer,) = send_pieces(head + b"2\r\n{}\r\n0\r\nAuthorization: Api-Key emulator.throw-away-key\r\n\r\n")

    assert (401, "unauthorized") == outcome(answer)


def test_pipelined_requests_are_answered_in_order(send_pieces, raw_post):
    """More pipelined requests than MAX_PIPELINED are answered, each once and in order."""
    expected = [b'{"n":%d}' % number for number in range(300)]
    answers = send_pieces(b"".join(raw_post(body) for body in expected), methods=("POST",) * 300)

    assert expected == [answer.body for answer in answers]
    assert 300 == len({answer.request_id for answer in answers})


def test_malformed_request_is_answered_after_earlier_ones(send_pieces, raw_post):
    """Bytes that are not a request are answered once, after the earlier requests, and end the connection."""
    answers = send_pieces(raw_post(b'{"n":1}') + raw_post(b"[]") + b"\x00garbage" + raw_post(), methods=("POST",) * 4)

    assert [(200, None), BAD, BAD] == [outcome(answer) for answer in answers]
    assert "close" == answers[-1].field("connection")


@pytest.fixture(scope="module")
def slow_endpoint(tmp_path_factory):
    """An emulator with a service time of 300 ms."""
    scenario = tmp_path_factory.mktemp("scenario") / "slow.toml"
    scenario.write_text('service_time = "300ms"\n')
    with start_emulator(str(scenario)) as endpoint:
        yield endpoint


def test_answers_keep_the_order_of_requests(slow_endpoint, raw_post, answer_reader):
    """An error that is ready at once waits for the slow answer before it."""
    with socket.create_connection((slow_endpoint.target.host, slow_endpoint.target.port), timeout=PATIENCE) as sock:
        started = time.monotonic()
        sock.sendall(raw_post() + raw_post(authorization=None))
        answers = answer_reader(sock, ("POST",) * 2)
        waited = time.monotonic() - started

    assert [(200, None), (401, "unauthorized")] == [outcome(answer) for answer in answers]
    assert waited >= 0.3


def test_large_body_is_echoed(slow_endpoint, raw_post, answer_reader):
    """An answer much larger than the socket buffer arrives complete."""
    body = json.dumps({"a": list(range(500_000))}).encode()
    with socket.create_connection((slow_endpoint.target.host, slow_endpoint.target.port), timeout=PATIENCE) as sock:
        sock.sendall(raw_post(body))
        (answer,) = answer_reader(sock, ("POST",))

    assert (200, True) == (answer.status, answer.body == body)


def test_reading_pauses_while_answers_are_pending(slow_endpoint, raw_post):
    """A client that keeps sending is blocked while its first requests are processed."""
    wire = memoryview(raw_post(b'{"a":"' + b"b" * 90_000 + b'"}') * 800)
    sent = 0
    with socket.create_connection((slow_endpoint.target.host, slow_endpoint.target.port), timeout=0.2) as sock:
        while sent < len(wire):
            try:
                sent += sock.send(wire[sent : sent + 1_000_000])
            except TimeoutError:
                break

    assert sent < len(wire)


HOST = b"Host: 127.0.0.1\r\n"
MALFORMED = {
    "garbage": b"\x16\x03\x01\x02\x00\x01",
    "no version": b"POST /production/run_remote\r\n\r\n",
    "version 2.0": b"POST /production/run_remote HTTP/2.0\r\n" + HOST + b"\r\n",
    "no host": b"POST /production/run_remote HTTP/1.1\r\n\r\n",
    "two hosts": b"POST / HTTP/1.1\r\n" + HOST + HOST + b"\r\n",
    "a host with a blank": b"POST / HTTP/1.1\r\nHost: a b\r\n\r\n",
    "bare line feeds": b"POST / HTTP/1.1\nHost: a\n\n",
    "a blank before the colon": b"POST / HTTP/1.1\r\nHost : a\r\n\r\n",
    "a folded field": b"POST / HTTP/1.1\r\n" + HOST + b"A: b\r\n c\r\n\r\n",
    "a NUL in a field": b"POST / HTTP/1.1\r\n" + HOST + b"A: \x00\r\n\r\n",
    "two lengths": b"POST / HTTP/1.1\r\n" + HOST + b"Content-Length: 2\r\nContent-Length: 3\r\n\r\n{}",
    "a negative length": b"POST / HTTP/1.1\r\n" + HOST + b"Content-Length: -2\r\n\r\n{}",
    "a signed length": b"POST / HTTP/1.1\r\n" + HOST + b"Content-Length: +2\r\n\r\n{}",
    "a list of lengths": b"POST / HTTP/1.1\r\n" + HOST + b"Content-Length: 2, 2\r\n\r\n{}",
    "a length beyond numbers": b"POST / HTTP/1.1\r\n" + HOST + b"Content-Length: 99999999999999999999\r\n\r\n{}",
    "length and chunks": b"POST / HTTP/1.1\r\n" + HOST + b"Content-Length: 2\r\nTransfer-Encoding: chunked\r\n\r\n",
    "chunks and length": b"POST / HTTP/1.1\r\n" + HOST + b"Transfer-Encoding: chunked\r\nContent-Length: 2\r\n\r\n",
    "an unknown transfer coding": b"POST / HTTP/1.1\r\n" + HOST + b"Transfer-Encoding: gzip\r\n\r\n",
    "two transfer codings": b"POST / HTTP/1.1\r\n" + HOST + b"Transfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n",
    "chunks in HTTP/1.0": b"POST / HTTP/1.0\r\n" + HOST + b"Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    "a chunk without a size": b"POST / HTTP/1.1\r\n"
    + HOST
    + b"Transfer-Encoding: chunked\r\n\r\nzz\r\n{}\r\n0\r\n\r\n",
    "a chunk longer than its size": b"POST / HTTP/1.1\r\n"
    + HOST
    + b"Transfer-Encoding: chunked\r\n\r\n1\r\n{}\r\n0\r\n\r\n",
    "a head without end": b"POST / HTTP/1.1\r\nA: " + b"b" * 600_000,
    "a target without end": b"POST /" + b"b" * 600_000,
    "a head too long": b"POST / HTTP/1.1\r\n" + HOST + b"A: " + b"b" * 65_536 + b"\r\n\r\n",
    "too many fields": b"POST / HTTP/1.1\r\n" + HOST + b"A: b\r\n" * 20_000 + b"\r\n",
}


@pytest.mark.parametrize("sent", MALFORMED.values(), ids=MALFORMED)
def test_malformed_request_is_answered_400_and_closed(send_pieces, sent):
    """Malformed HTTP is answered with one 400, and the connection closes: the next request has no known start."""
    answers = send_pieces(sent, methods=("POST", "POST"))

    assert [BAD] == [outcome(answer) for answer in answers]
    assert ((), "close") == (violations(answers[0]), answers[0].field("connection"))


def test_head_up_to_the_limit_is_accepted(send_pieces, raw_post):
    """A head slightly below 64 KiB is accepted, even if it starts in the segment of an earlier body."""
    long_request = raw_post(x_padding="x" * 65_000)
    answers = send_pieces(
        raw_post(b'{"a":"' + b"b" * 90_000 + b'"}') + long_request[:100], long_request[100:], methods=("POST", "POST")
    )

    assert [200, 200] == [answer.status for answer in answers]


@settings(max_examples=150, deadline=None)
@given(st.integers(0, 2**32))
def test_mutated_requests_are_answered(connect, raw_post, number):
    """A request with bytes changed, removed or repeated is answered with a documented status or closed."""
    rng = random.Random(number)
    sent = bytearray(raw_post(b'{"a":[1,2,{"b":null}]}'))
    for _ in range(rng.randint(1, 6)):
        at = rng.randrange(len(sent))
        sent[at : at + rng.randint(0, 2)] = rng.choice(
            [b"", b"\r\n", b":", b" ", b"\x00", b"\xff", b"0", sent[at : at + 9]]
        )
    with connect() as sock:
        sock.sendall(bytes(sent))
        sock.sendall(b"\r\n\r\n" * 50 + raw_post(b"{}", connection="close"))
        sock.settimeout(PATIENCE)
        received = b""
        while part := sock.recv(65536):
            received += part

    assert received.startswith(b"HTTP/1.1 ")
    assert {b"200", b"400", b"401", b"404", b"405"} >= set(re.findall(rb"HTTP/1\.1 (\d+) [A-Z]", received))


# ------------------------------------------------------------------ large bodies


@pytest.mark.parametrize("framing", ["declared", "chunked", "expected"])
def test_body_above_the_limit_is_rejected_unread(connect, raw_post, framing, answer_reader):
    """The 400 follows the Content-Length, or the chunk that exceeds the limit; the connection closes."""
    with connect() as sock:
        if framing == "chunked":
            sock.sendall(raw_post(b"", transfer_encoding="chunked", content_length=None))
            sock.sendall(b"186a1\r\n" + b" " * 100_001)
        else:
            sock.sendall(
                raw_post(b"", content_length="100001", expect="100-continue" if framing == "expected" else None)
            )
        answers = answer_reader(sock, ("POST", "POST"))

    assert [(400, "payload_too_large")] == [outcome(answer) for answer in answers]
    assert "close" == answers[0].field("connection")


def test_rejection_is_readable_after_sending_everything(connect, raw_post, answer_reader):
    """A client that sends megabytes before it reads gets the answer, not a reset."""
    with connect() as sock:
        sock.sendall(raw_post(b" " * 8_000_000))
        (answer,) = answer_reader(sock, ("POST",))

    assert (400, "payload_too_large") == outcome(answer)


def test_body_at_the_limit_is_echoed(send_pieces, raw_post):
    """A body of the maximum size is accepted."""
    body = b'{"a":"' + b"b" * (100_000 - 8) + b'"}'
    (answer,) = send_pieces(raw_post(body))

    assert (200, body) == (answer.status, answer.body)


# ------------------------------------------------------------------ connections


def test_expect_continue_is_answered_100(connect, raw_post, answer_reader):
    """`Expect: 100-continue` gets 100 before the body is sent, and the answer after it."""
    with connect() as sock:
        sock.sendall(raw_post(b"", content_length="2", expect="100-continue"))
        assert b"HTTP/1.1 100 Continue\r\n\r\n" == sock.recv(100)
        sock.sendall(b"{}")
        (answer,) = answer_reader(sock, ("POST",))

    assert (200, b"{}") == (answer.status, answer.body)


def test_expect_continue_is_rejected_before_the_body(connect, raw_post, answer_reader):
    """A request that is rejected regardless of its body is answered before the body is sent."""
    with connect() as sock:
        sock.sendall(raw_post(b"", content_length="2", expect="100-continue", authorization="Api-Key wrong"))
        (answer,) = answer_reader(sock, ("POST",))

    assert ((401, "unauthorized"), "close") == (outcome(answer), answer.field("connection"))


CONNECTIONS = {
    "HTTP/1.1": (b"POST /production/run_remote HTTP/1.1", None, 2),
    "HTTP/1.1, close": (b"POST /production/run_remote HTTP/1.1", "close", 1),
    "HTTP/1.0": (b"POST /production/run_remote HTTP/1.0", None, 1),
    "HTTP/1.0, keep-alive": (b"POST /production/run_remote HTTP/1.0", "keep-alive", 1),
}


@pytest.mark.parametrize(("line", "connection", "count"), CONNECTIONS.values(), ids=CONNECTIONS)
def test_connections_persist_as_requested(send_pieces, raw_post, line, connection, count):
    """HTTP/1.1 connections stay open unless the client asks to close; HTTP/1.0 connections close."""
    sent = raw_post(line=line, connection=connection)
    answers = send_pieces(sent, sent, methods=("POST", "POST"))

    assert [200] * count == [answer.status for answer in answers]
    assert ("close" if count == 1 else None) == answers[0].field("connection")


def test_head_is_answered_without_a_body(send_pieces, raw_post):
    """HEAD is answered 405 like GET, without a body."""
    line = b"HEAD /production/run_remote HTTP/1.1"
    answers = send_pieces(raw_post(b"", line=line, content_length=None) + raw_post(), methods=("HEAD", "POST"))

    assert [(405, b""), (200, b"{}")] == [(answer.status, answer.body) for answer in answers]


@pytest.mark.parametrize("method", ["GET", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE", "QUERY", "PROPFIND"])
def test_other_methods_are_answered_405(send_pieces, raw_post, method):
    """The answer has Allow and an error body, and the connection stays open."""
    answers = send_pieces(
        raw_post(line=f"{method} /production/run_remote HTTP/1.1".encode()) + raw_post(), methods=("GET", "POST")
    )

    assert [405, 200] == [answer.status for answer in answers]
    assert ("POST", "application/json") == (answers[0].field("allow"), answers[0].media_type)


@pytest.mark.parametrize("line", [b"CONNECT 127.0.0.1:80 HTTP/1.1", b"FROB /production/run_remote HTTP/1.1"])
def test_connect_and_unknown_methods_close_the_connection(send_pieces, raw_post, line):
    """CONNECT and methods unknown to the parser are rejected, and the connection closes."""
    (answer,) = send_pieces(raw_post(line=line) + raw_post(), methods=("POST", "POST"))

    assert (True, "close") == (answer.status in (400, 404), answer.field("connection"))


@pytest.mark.parametrize("cut", [None, 60, 1])
def test_upgrade_is_ignored(send_pieces, raw_post, cut):
    """A request with Upgrade, with its body, is answered in HTTP/1.1."""
    sent = raw_post(b'{"a":1}', connection="Upgrade", upgrade="h2c") + raw_post(b'{"a":2}')
    answers = send_pieces(*([sent] if cut is None else [sent[:-cut], sent[-cut:]]), methods=("POST", "POST"))

    assert [b'{"a":1}', b'{"a":2}'] == [answer.body for answer in answers]


def test_header_value_may_be_empty_or_padded(send_pieces, raw_post):
    """White space around a value is ignored, and an empty value does not affect the next field."""
    (answer,) = send_pieces(raw_post(x_empty="", host=" 127.0.0.1 \t", content_type="\tapplication/json  "))

    assert 200 == answer.status


def test_every_answer_has_date_and_content_length(send_pieces, raw_post):
    """Each answer has both fields exactly once."""
    for answer in send_pieces(raw_post() + raw_post(authorization=None), methods=("POST", "POST")):
        assert (1, 1) == (len(answer.fields("date")), len(answer.fields("content-length")))
        time.strptime(answer.field("date") or "", "%a, %d %b %Y %H:%M:%S GMT")


def test_server_survives_lost_connections(connect, raw_post, send_pieces):
    """After clients reset or close at any point, the next client is served."""
    complete = raw_post(b'{"a":1}')
    for at in (0, 1, 50, len(complete) - 1, len(complete)):
        for reset in (True, False):
            with connect() as sock:
                sock.sendall(complete[:at])
                if reset:
                    sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))

    (answer,) = send_pieces(complete)

    assert 200 == answer.status


def test_slow_reader_gets_every_byte(connect, raw_post, answer_reader):
    """A client that does not read blocks the server, and loses nothing."""
    body = b'{"a":"' + b"b" * 90_000 + b'"}'
    count = 400
    with connect() as sock:
        sock.settimeout(0.5)
        wire = memoryview(raw_post(body) * count)
        sent = 0
        while sent < len(wire):
            try:
                sent += sock.send(wire[sent:])
            except TimeoutError:  # the server stopped reading because its answers are not read
                break
        complete = sent // (len(wire) // count)
        assert 0 < complete < count
        sock.settimeout(PATIENCE)
        answers = answer_reader(sock, ("POST",) * complete)

    assert [body] * complete == [answer.body for answer in answers]


def test_idle_connection_is_closed_after_a_minute(monkeypatch):
    """It is closed neither earlier nor while a request is unanswered. The clock is simulated."""
    now, due, aborted = [0.0], [], []
    monkeypatch.setattr(protocol, "monotonic", lambda: now[0])
    loop = SimpleNamespace(call_later=lambda seconds, call: due.append((now[0] + seconds, call)))
    connection = SimpleNamespace(abort=lambda: aborted.append(now[0]), received_at=0.0)
    server_side = protocol.HttpProtocol(connection, SimpleNamespace(loop=loop), 1)
    now[0] = 45.0
    server_side.data_received(memoryview(b"POST "))
    server_side._pending.append(object())
    while not aborted and now[0] < 300:
        now[0], check = due.pop()
        if now[0] > 130:
            server_side._pending.clear()
        check()

    assert [pytest.approx(131, abs=1)] == aborted


def test_connection_that_is_lost_with_an_answer_ignores_the_pipelined_requests(raw_post):
    """The client is gone when the first is answered: the second, which arrived in the same bytes, is not an error."""
    decided = []

    def decide(request):
        decided.append(request)
        server_side.connection_lost()
        return SimpleNamespace(service_time=9.0)

    server = SimpleNamespace(
        loop=SimpleNamespace(call_later=lambda *_: SimpleNamespace(cancel=lambda: None)),
        timers=SimpleNamespace(call_at=lambda *_: None),
        config=SimpleNamespace(scenario=SimpleNamespace(max_body_bytes=1000)),
        decide=decide,
        remove_connection=lambda _: None,
    )
    connection = SimpleNamespace(received_at=time.time(), kernel_timestamp=False, abort=lambda: None)
    server_side = protocol.HttpProtocol(connection, server, 1)
    server_side.data_received(memoryview(raw_post(b"{}") * 3))

    assert 1 == len(decided)
