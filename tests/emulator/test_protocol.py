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

BAD = (400, "client_error")


def outcome(answer):
    """
    Status and error code as a client sees them.
    """
    return answer.status, json.loads(answer.body).get("error_code") if answer.status != 200 else None


def chunked(body: bytes, size: int) -> bytes:
    """
    A body in chunks.
    """
    parts = [body[at : at + size] for at in range(0, len(body), size)]
    return b"".join(b"%x\r\n%s\r\n" % (len(part), part) for part in parts) + b"0\r\n\r\n"


# ------------------------------------------------------------------ framing of requests


def test_a_request_may_be_split_anywhere(send_pieces, raw_post):
    """
    Where the network cuts a request makes no difference, wherever that is.
    """
    body = b'{"a":"\xc3\xa9"}'
    whole = raw_post(body)

    for at in range(1, len(whole)):
        (answer,) = send_pieces(whole[:at], whole[at:])
        assert (200, body) == (answer.status, answer.body), at


def test_a_request_may_come_byte_by_byte(connect, raw_post, send_pieces):
    """
    A request is what its bytes say, however slowly they come.
    """
    whole = raw_post(b"{}", transfer_encoding="chunked", content_length=None)[:-2] + chunked(b'{"a": 1}', 3)
    (answer,) = send_pieces(*(whole[at : at + 1] for at in range(len(whole))))

    assert (200, b'{"a": 1}') == (answer.status, answer.body)


@settings(max_examples=50, deadline=None)
@given(st.dictionaries(st.text(), st.text() | st.integers() | st.none()), st.integers(1, 50))
def test_a_chunked_body_is_the_same_body(send_pieces, raw_post, value, size):
    """
    A body in chunks of any size is echoed like the body in one piece.
    """
    body = json.dumps(value).encode()
    head = raw_post(b"", transfer_encoding="chunked", content_length=None)
    (answer,) = send_pieces(head + chunked(body, size))

    assert (200, body) == (answer.status, answer.body)


def test_a_trailer_is_no_header(send_pieces, raw_post):
    """
    A key that comes behind the body comes too late.
    """
    head = raw_post(b"", transfer_encoding="chunked", content_length=None, authorization=None)
    (answer,) = send_pieces(head + b"2\r\n{}\r\n0\r\nAuthorization: Api-Key emulator.throw-away-key\r\n\r\n")

    assert (401, "unauthorized") == outcome(answer)


def test_pipelined_requests_are_answered_in_order(send_pieces, raw_post):
    """
    Good, bad and repeated requests in one segment are answered each in its turn, more of them than wait at once.
    """
    wanted = [b'{"n":%d}' % number for number in range(300)]
    answers = send_pieces(b"".join(raw_post(body) for body in wanted), methods=("POST",) * 300)

    assert wanted == [answer.body for answer in answers]
    assert 300 == len({answer.request_id for answer in answers})


def test_what_is_malformed_is_refused_behind_what_was_not(send_pieces, raw_post):
    """
    Garbage behind good requests is answered after them, once, and ends the connection.
    """
    answers = send_pieces(raw_post(b'{"n":1}') + raw_post(b"[]") + b"\x00garbage" + raw_post(), methods=("POST",) * 4)

    assert [(200, None), BAD, BAD] == [outcome(answer) for answer in answers]
    assert "close" == answers[-1].field("connection")


@pytest.fixture(scope="module")
def slow(tmp_path_factory):
    """
    An emulator whose chain takes 300 ms.
    """
    scenario = tmp_path_factory.mktemp("scenario") / "slow.toml"
    scenario.write_text('service_time = "300ms"\n')
    with start_emulator(str(scenario)) as endpoint:
        yield endpoint


def test_an_answer_waits_for_those_before_it(slow, raw_post, answer_reader):
    """
    A refusal that is ready at once stays behind an answer that takes its time.
    """
    with socket.create_connection((slow.target.host, slow.target.port), timeout=5) as sock:
        begun = time.monotonic()
        sock.sendall(raw_post() + raw_post(authorization=None))
        answers = answer_reader(sock, ("POST",) * 2)
        waited = time.monotonic() - begun

    assert [(200, None), (401, "unauthorized")] == [outcome(answer) for answer in answers]
    assert waited >= 0.3


def test_a_large_body_comes_back_whole(slow, raw_post, answer_reader):
    """
    An answer of many times what the kernel takes at once loses no byte and doubles none.
    """
    body = json.dumps({"a": list(range(2_000_000))}).encode()
    with socket.create_connection((slow.target.host, slow.target.port), timeout=5) as sock:
        sock.sendall(raw_post(body))
        (answer,) = answer_reader(sock, ("POST",))

    assert (200, True) == (answer.status, answer.body == body)


def test_no_more_is_read_than_waits_to_be_answered(slow, raw_post):
    """
    A client that sends and sends is made to wait while its first requests are served.
    """
    wire = memoryview(raw_post(b'{"a":"' + b"b" * 90_000 + b'"}') * 800)
    sent = 0
    with socket.create_connection((slow.target.host, slow.target.port), timeout=0.2) as sock:
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
def test_what_is_no_request_is_refused_and_hung_up_on(send_pieces, sent):
    """
    Malformed HTTP gets one 400 in the form of an error, and then the connection ends: the next request is unknown.
    """
    answers = send_pieces(sent, methods=("POST", "POST"))

    assert [BAD] == [outcome(answer) for answer in answers]
    assert ((), "close") == (violations(answers[0]), answers[0].field("connection"))


def test_a_head_may_be_as_long_as_the_limit(send_pieces, raw_post):
    """
    A head of a little less than 64 KiB is read, behind a body in the same segment too.
    """
    long = raw_post(x_padding="x" * 65_000)
    answers = send_pieces(
        raw_post(b'{"a":"' + b"b" * 90_000 + b'"}') + long[:100], long[100:], methods=("POST", "POST")
    )

    assert [200, 200] == [answer.status for answer in answers]


@settings(max_examples=150, deadline=None)
@given(st.integers(0, 2**32))
def test_no_mutation_of_a_request_departs_or_hangs(connect, raw_post, number):
    """
    A request with bytes changed, dropped or doubled is answered or hung up on, and never departs from the document.
    """
    chance = random.Random(number)
    sent = bytearray(raw_post(b'{"a":[1,2,{"b":null}]}'))
    for _ in range(chance.randint(1, 6)):
        at = chance.randrange(len(sent))
        sent[at : at + chance.randint(0, 2)] = chance.choice(
            [b"", b"\r\n", b":", b" ", b"\x00", b"\xff", b"0", sent[at : at + 9]]
        )
    with connect() as sock:
        sock.sendall(bytes(sent))
        sock.sendall(b"\r\n\r\n" * 50 + raw_post(b"{}", connection="close"))
        sock.settimeout(5)
        received = b""
        while part := sock.recv(65536):
            received += part

    assert received.startswith(b"HTTP/1.1 ")
    assert {b"200", b"400", b"401", b"404", b"405"} >= set(re.findall(rb"HTTP/1\.1 (\d+) [A-Z]", received))


# ------------------------------------------------------------------ bodies that are too large


@pytest.mark.parametrize("framing", ["declared", "chunked", "expected"])
def test_a_body_over_the_limit_is_refused_without_being_read(connect, raw_post, framing, answer_reader):
    """
    By its Content-Length before a byte of it, or as soon as its chunks exceed the limit; the connection ends.
    """
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


def test_whoever_sends_it_all_can_still_read_the_refusal(connect, raw_post, answer_reader):
    """
    A client that sends megabytes before it reads gets its answer, not a reset.
    """
    with connect() as sock:
        sock.sendall(raw_post(b" " * 8_000_000))
        (answer,) = answer_reader(sock, ("POST",))

    assert (400, "payload_too_large") == outcome(answer)


def test_a_body_of_the_limit_is_echoed(send_pieces, raw_post):
    """
    The limit itself is taken, whole.
    """
    body = b'{"a":"' + b"b" * (100_000 - 8) + b'"}'
    (answer,) = send_pieces(raw_post(body))

    assert (200, body) == (answer.status, answer.body)


# ------------------------------------------------------------------ connections


def test_a_client_that_asks_is_told_to_go_on(connect, raw_post, answer_reader):
    """
    `Expect: 100-continue` gets its 100 before the body is sent, and the answer after.
    """
    with connect() as sock:
        sock.sendall(raw_post(b"", content_length="2", expect="100-continue"))
        assert b"HTTP/1.1 100 Continue\r\n\r\n" == sock.recv(100)
        sock.sendall(b"{}")
        (answer,) = answer_reader(sock, ("POST",))

    assert (200, b"{}") == (answer.status, answer.body)


def test_a_client_that_asks_in_vain_is_refused_at_once(connect, raw_post, answer_reader):
    """
    Who will be refused whatever the body says is refused before sending it.
    """
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
def test_a_connection_lasts_as_long_as_it_was_meant_to(send_pieces, raw_post, line, connection, count):
    """
    HTTP/1.1 stays open unless asked to close; HTTP/1.0 never does.
    """
    sent = raw_post(line=line, connection=connection)
    answers = send_pieces(sent, sent, methods=("POST", "POST"))

    assert [200] * count == [answer.status for answer in answers]
    assert ("close" if count == 1 else None) == answers[0].field("connection")


def test_head_is_answered_without_a_body(send_pieces, raw_post):
    """
    HEAD is refused like GET, but for the body.
    """
    line = b"HEAD /production/run_remote HTTP/1.1"
    answers = send_pieces(raw_post(b"", line=line, content_length=None) + raw_post(), methods=("HEAD", "POST"))

    assert [(405, b""), (200, b"{}")] == [(answer.status, answer.body) for answer in answers]


@pytest.mark.parametrize("method", ["GET", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE", "QUERY", "PROPFIND"])
def test_other_methods_are_refused_in_words(send_pieces, raw_post, method):
    """
    405 with what is allowed, and a body in the form of an error; the connection stays.
    """
    answers = send_pieces(
        raw_post(line=f"{method} /production/run_remote HTTP/1.1".encode()) + raw_post(), methods=("GET", "POST")
    )

    assert [405, 200] == [answer.status for answer in answers]
    assert ("POST", "application/json") == (answers[0].field("allow"), answers[0].media_type)


@pytest.mark.parametrize("line", [b"CONNECT 127.0.0.1:80 HTTP/1.1", b"FROB /production/run_remote HTTP/1.1"])
def test_methods_beyond_http_end_the_connection(send_pieces, raw_post, line):
    """
    What would change the protocol, or is unknown, is refused for good.
    """
    (answer,) = send_pieces(raw_post(line=line) + raw_post(), methods=("POST", "POST"))

    assert (True, "close") == (answer.status in (400, 404), answer.field("connection"))


@pytest.mark.parametrize("cut", [None, 60, 1])
def test_a_wish_for_another_protocol_is_not_heard(send_pieces, raw_post, cut):
    """
    A request with Upgrade is answered in HTTP/1.1 as if it had none, its body included.
    """
    sent = raw_post(b'{"a":1}', connection="Upgrade", upgrade="h2c") + raw_post(b'{"a":2}')
    answers = send_pieces(*([sent] if cut is None else [sent[:-cut], sent[-cut:]]), methods=("POST", "POST"))

    assert [b'{"a":1}', b'{"a":2}'] == [answer.body for answer in answers]


def test_a_field_may_be_empty_or_padded(send_pieces, raw_post):
    """
    Blanks around a value are no part of it, and an empty value does not swallow the next field.
    """
    (answer,) = send_pieces(raw_post(x_empty="", host=" 127.0.0.1 \t", content_type="\tapplication/json  "))

    assert 200 == answer.status


def test_every_answer_says_when_and_how_long(send_pieces, raw_post):
    """
    Date and Content-Length stand in every answer, once.
    """
    for answer in send_pieces(raw_post() + raw_post(authorization=None), methods=("POST", "POST")):
        assert (1, 1) == (len(answer.fields("date")), len(answer.fields("content-length")))
        time.strptime(answer.field("date") or "", "%a, %d %b %Y %H:%M:%S GMT")


def test_whoever_leaves_is_not_missed(connect, raw_post, send_pieces):
    """
    Clients that reset or close in the middle of anything leave a server that answers the next one.
    """
    whole = raw_post(b'{"a":1}')
    for at in (0, 1, 50, len(whole) - 1, len(whole)):
        for reset in (True, False):
            with connect() as sock:
                sock.sendall(whole[:at])
                if reset:
                    sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))

    (answer,) = send_pieces(whole)

    assert 200 == answer.status


def test_whoever_reads_late_gets_every_byte(connect, raw_post, answer_reader):
    """
    A client that sends for long before it reads makes the server wait, and loses nothing.
    """
    body = b'{"a":"' + b"b" * 90_000 + b'"}'
    count = 400
    with connect() as sock:
        sock.settimeout(0.5)
        wire = memoryview(raw_post(body) * count)
        sent = 0
        while sent < len(wire):
            try:
                sent += sock.send(wire[sent:])
            except TimeoutError:  # the server has stopped reading: its answers are not being read
                break
        whole = sent // (len(wire) // count)
        assert 0 < whole < count
        sock.settimeout(5)
        answers = answer_reader(sock, ("POST",) * whole)

    assert [body] * whole == [answer.body for answer in answers]


def test_a_connection_ends_after_a_minute_of_silence(monkeypatch):
    """
    Neither earlier nor while a request waits for its answer; time is told, not waited for.
    """
    now, due, aborted = [0.0], [], []
    monkeypatch.setattr(protocol, "monotonic", lambda: now[0])
    loop = SimpleNamespace(call_later=lambda seconds, call: due.append((now[0] + seconds, call)))
    connection = SimpleNamespace(abort=lambda: aborted.append(now[0]), received_at=0.0)
    exchange = protocol.HttpProtocol(connection, SimpleNamespace(loop=loop), 1)
    now[0] = 45.0
    exchange.data_received(memoryview(b"POST "))
    exchange._pending.append(object())
    while not aborted and now[0] < 300:
        now[0], look = due.pop()
        if now[0] > 130:
            exchange._pending.clear()
        look()

    assert [pytest.approx(131, abs=1)] == aborted
