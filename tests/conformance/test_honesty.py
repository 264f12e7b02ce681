"""
Who keeps the contract is accused of nothing.
"""

from __future__ import annotations

import gzip
import re
import time
import uuid
import zlib
from collections.abc import Callable
from dataclasses import replace

import pytest

from chainproof.conformance.checks import CHECKS, repetition
from chainproof.conformance.options import Depth
from chainproof.contract.clauses import CLAUSES
from chainproof.contract.levels import Contract

from .conftest import HANDWRITTEN_CHECKS, WIRE_CHECKS, RunSuite
from .endpoints import (
    KEY,
    PATH,
    AnswerFunction,
    EndpointAnswer,
    EndpointHandler,
    EndpointRequest,
    InvalidRequest,
    answer_bytes,
    correct_endpoint,
    error,
    on_every_answer,
    on_status,
    serve,
    sometimes_busy,
    typed_endpoint,
    when,
)


def in_chunks(said: EndpointAnswer) -> EndpointAnswer:
    """
    The same answer, its body in chunks and the connection closed behind it.
    """
    plain = answer_bytes(said).partition(b"\r\n\r\n")[0].rpartition(b"\r\n")[0]
    chunks = b"".join(b"%x\r\n%b\r\n" % (1, said.body[at : at + 1]) for at in range(min(20, len(said.body))))
    rest = said.body[20:]
    chunks += b"%x\r\n%b\r\n" % (len(rest), rest) if rest else b""
    return replace(
        said, raw=plain + b"\r\nTransfer-Encoding: chunked\r\nConnection: close\r\n\r\n" + chunks + b"0\r\n\r\n"
    )


def in_http_1_0(said: EndpointAnswer) -> EndpointAnswer:
    """
    The same answer as an old server gives it: ended by the end of the connection.
    """
    return replace(said, raw=answer_bytes(said).replace(b"HTTP/1.1", b"HTTP/1.0", 1))


def behind_an_interim_answer(said: EndpointAnswer) -> EndpointAnswer:
    """
    The same answer behind a 103.
    """
    return replace(said, raw=b"HTTP/1.1 103 Early Hints\r\nLink: </x>\r\n\r\n" + answer_bytes(said), stays_open=True)


def new(asked: EndpointRequest) -> bool:
    """
    Whether it is a POST whose answer may be in chunks and behind an interim one, and its connection kept.
    """
    closes = "close" in "".join(asked.values("connection")).lower()
    return asked.method == "POST" and asked.version == "HTTP/1.1" and not closes


def with_more_chunks(said: EndpointAnswer) -> EndpointAnswer:
    """
    The same answer in chunks with extensions, sizes in capitals behind zeros, and a trailer; the connection is kept.
    """
    head = answer_bytes(said).partition(b"\r\n\r\n")[0].rpartition(b"\r\n")[0]
    chunks = b"".join(b'00%X;a;b="c;"\r\n%b\r\n' % (len(said.body), said.body) for _ in range(bool(said.body)))
    raw = head + b"\r\ntransfer-encoding: Chunked\r\n\r\n" + chunks + b"000\r\nX-Trailer: a\r\n\r\n"
    return replace(said, raw=raw, stays_open=True)


def to_the_end(said: EndpointAnswer) -> EndpointAnswer:
    """
    The same answer, its body ended by the end of the connection.
    """
    head = answer_bytes(said).partition(b"\r\n\r\n")[0].rpartition(b"\r\n")[0]
    return replace(said, raw=head + b"\r\nConnection: close\r\n\r\n" + said.body)


def oddly_spelled(said: EndpointAnswer) -> EndpointAnswer:
    """
    The same answer without a reason, its fields in lower case, between blanks, in latin-1, and one of them empty.
    """
    head, end, body = answer_bytes(said).partition(b"\r\n\r\n")
    line, fields = head.split(b"\r\n", 1)
    fields = re.sub(rb"(?m)^([^:]+): (.*?)\r?$", lambda m: m[1].lower() + b":\t " + m[2] + b" \t\r", fields).rstrip(
        b"\r"
    )
    more = b"\r\nx_odd-~!: \xe9\r\nset-cookie: a=b\r\nset-cookie: c=d\r\nkeep-alive: timeout=5\r\nx-empty:"
    return replace(said, raw=line[:13] + b"\r\n" + fields + more + end + body, stays_open=True)


def zipped(asked: EndpointRequest, said: EndpointAnswer) -> EndpointAnswer:
    """
    The same answer under the coding that the request asks for.
    """
    deflated = "".join(asked.values("accept-encoding")).startswith("deflate")
    body = zlib.compress(said.body) if deflated else gzip.compress(said.body)
    coding = (("Content-Encoding", "deflate" if deflated else "X-GZIP"), ("Vary", "Accept-Encoding"))
    return replace(said, body=body, more=(*said.more, *coding))


def takes_gzip(asked: EndpointRequest) -> bool:
    """
    Whether gzip or deflate may be sent: named without a weight of 0, or nothing said.
    """
    given = "".join(asked.values("accept-encoding"))
    return asked.method == "POST" and (not asked.values("accept-encoding") or ("gzip" in given and "q=0" not in given))


class Closing(EndpointHandler):
    """
    Closes each connection behind its seventh answer without a word, as a server may.
    """

    number = 0

    def answer(self, asked: EndpointRequest, said: EndpointAnswer) -> bool:
        self.number += 1
        return super().answer(asked, said) and self.number < 7


class Tired(EndpointHandler):
    """
    Says that it closes behind every refusal, which it makes before it reads the body.
    """

    def exchange(self) -> bool:
        try:
            return super().exchange()
        except PermissionError:
            body = b'{"error":"No.","error_code":"unauthorized"}'
            head = b"HTTP/1.1 401 No\r\nContent-Type: application/json\r\nConnection: close\r\nX-Baseten-Request-Id: "
            self.wfile.write(head + uuid.uuid4().hex.encode() + b"\r\nContent-Length: %d\r\n\r\n" % len(body) + body)
            self.linger()
            return False

    def check(self, asked: EndpointRequest) -> None:
        super().check(asked)
        if asked.path.partition("?")[0] == PATH and asked.method == "POST" and not asked.authorized:
            raise PermissionError


class Strict(EndpointHandler):
    """
    Refuses what it may refuse, and says nothing to it.
    """

    def exchange(self) -> bool:
        try:
            asked = self.asked()
        except InvalidRequest:
            return False
        return asked is not None and self.answer(asked, type(self).answer_function(asked))

    def asked(self) -> EndpointRequest | None:
        if self.rfile.peek(1)[:1] == b"\r":  # type: ignore[attr-defined]  # it is a BufferedReader
            raise InvalidRequest
        asked = super().asked()
        if asked is not None and asked.version == "HTTP/1.0":
            raise InvalidRequest
        return asked


class Forgiving(EndpointHandler):
    """
    Takes numbers as Python does, and header fields as they come.
    """

    def fields(self) -> tuple[tuple[str, str], ...]:
        lines = iter(lambda: self.rfile.readline(65536).strip(b"\r\n"), b"")
        pairs = (line.partition(b":") for line in lines)
        return tuple((name.decode("latin-1").strip(), value.decode("latin-1").strip()) for name, _, value in pairs)

    def check(self, asked: EndpointRequest) -> None:
        try:
            lengths = tuple(("Content-Length", str(int(each))) for each in asked.values("content-length"))
        except ValueError:
            raise InvalidRequest from None
        kept = tuple(each for each in asked.fields if each[0].lower() not in ("content-length", "host"))
        super().check(replace(asked, fields=(*kept, ("Host", "x"), *lengths)))

    def body(self, asked: EndpointRequest) -> bytes | None:
        lengths = tuple(("Content-Length", str(int(each))) for each in asked.values("content-length"))
        kept = tuple(each for each in asked.fields if each[0].lower() != "content-length")
        return super().body(replace(asked, fields=(*kept, *lengths)))


WIRE_VARIANTS: dict[str, tuple[AnswerFunction, type[EndpointHandler]]] = {
    "in more chunks": (when(new, lambda asked, said: with_more_chunks(said)), EndpointHandler),
    "to the end of the connection": (
        when(lambda asked: asked.method == "POST", lambda asked, said: to_the_end(said)),
        EndpointHandler,
    ),
    "oddly spelled": (when(new, lambda asked, said: oddly_spelled(said)), EndpointHandler),
    "under codings": (when(takes_gzip, zipped), EndpointHandler),
    "with 204 to OPTIONS": (
        when(
            lambda asked: asked.method == "OPTIONS" and asked.path == PATH,
            lambda asked, said: replace(said, status=204, body=b"", media_type=None, more=(("Allow", "POST"),)),
        ),
        EndpointHandler,
    ),
    "closing every connection and saying so": (
        when(new, lambda asked, said: replace(said, closes=True, more=(*said.more, ("Connection", "close")))),
        EndpointHandler,
    ),
    "closing now and then": (correct_endpoint, Closing),
    "refusing before the body is read": (correct_endpoint, Tired),
    "refusing what it may without a word": (correct_endpoint, Strict),
    "forgiving": (correct_endpoint, Forgiving),
    "slowly": (when(new, lambda asked, said: (time.sleep(0.002), said)[1]), EndpointHandler),
}


@pytest.mark.parametrize(("server", "reading"), WIRE_VARIANTS.values(), ids=WIRE_VARIANTS)
def test_an_honest_endpoint_is_accused_of_nothing_on_the_wire(
    server: AnswerFunction, reading: type[EndpointHandler], run_suite: RunSuite, monkeypatch: pytest.MonkeyPatch
) -> None:
    """
    However it frames, codes and keeps, and whatever it refuses that it may refuse; advice it may get.
    """
    monkeypatch.setitem(
        repetition.REPETITION_LIMITS, Depth.QUICK, repetition.RepetitionLimits(requests=100, seconds=1.5)
    )
    with serve(server, reading=reading) as url:
        findings = run_suite(url, checks=WIRE_CHECKS).findings

    assert [] == [f"{found.clause}: {found.actual} {found.cases}" for found in findings if found.level != "should"]


def page(status: int) -> Callable[[EndpointRequest, EndpointAnswer], EndpointAnswer]:
    """
    A refusal by whatever stands in front, in words of its own.
    """
    return lambda asked, said: EndpointAnswer(
        status=status, body=b"<h1>No</h1>", media_type="text/html", request_id=None
    )


def half_a_parameter(asked: EndpointRequest) -> bool:
    """
    Whether a parameter's quotation mark has no partner.
    """
    return any(value.count('"') % 2 for value in asked.values("content-type"))


def not_for_the_front(asked: EndpointRequest) -> bool:
    """
    Whether stock servers refuse a request before anybody looks where it goes: broken cookies, keys beyond ASCII, parts that
    are none.
    """
    parts = any(value.startswith("multipart/") for value in asked.values("content-type"))
    odd = '=;=;"' in asked.values("cookie") or not "".join(asked.values("authorization")).isascii()
    return odd or (parts and not asked.body.startswith(b"--x\r\n"))


def without_a_length(asked: EndpointRequest) -> bool:
    """
    Whether a POST says nothing of a body, not even that there is none.
    """
    return asked.method == "POST" and not asked.values("content-length") and not asked.values("transfer-encoding")


fronted = when(not_for_the_front, page(400))
"""An endpoint behind a stock server."""

CORRECT_VARIANTS: dict[str, AnswerFunction] = {
    "plainly": correct_endpoint,
    "with a charset": on_every_answer(lambda said: replace(said, media_type="Application/JSON; charset=utf-8")),
    "with empty errors": on_status(400, lambda said: replace(said, body=b"{}")),
    "with more members": on_status(400, lambda said: replace(said, body=b'{"x":[1],"error":"","detail":"d"}')),
    "in HTTP/1.0": when(lambda asked: asked.method == "POST", lambda asked, said: in_http_1_0(said)),
    "in chunks": when(new, lambda asked, said: in_chunks(said)),
    "behind interim answers": when(new, lambda asked, said: behind_an_interim_answer(said)),
    "to a lower-case scheme": when(
        lambda asked: asked.values("authorization") == [f"api-key {KEY}"],
        lambda asked, said: EndpointAnswer(status=200, body=b"{}"),
    ),
    "to a byte order mark": when(
        lambda asked: asked.authorized and asked.body == b"\xef\xbb\xbf{}",
        lambda asked, said: EndpointAnswer(status=200, body=b"{}"),
    ),
    "taking half a parameter for none": when(half_a_parameter, lambda asked, said: error(400, "client_error")),
    "behind a front with words of its own": fronted,
    "where a length is required": when(without_a_length, page(411)),
    "that takes an upgrade for a GET": when(lambda asked: bool(asked.values("upgrade")), page(405)),
    "with redirects elsewhere": when(
        lambda asked: asked.path.endswith("remote/"),
        lambda asked, said: EndpointAnswer(status=307, more=(("Location", "/production/run_remote"),)),
    ),
}


@pytest.mark.parametrize("server", CORRECT_VARIANTS.values(), ids=CORRECT_VARIANTS)
def test_an_honest_endpoint_is_accused_of_nothing(server: AnswerFunction, run_suite: RunSuite) -> None:
    """
    However it spells its headers, frames its bodies or words its errors.
    """
    examined = run_suite(
        server, checks=CHECKS if server in (correct_endpoint, fronted) else HANDWRITTEN_CHECKS, overload=True
    )

    assert examined.lines == []
    assert examined.skipped.keys() <= {"extended_generation_finds_no_violations"}


def test_every_clause_is_put_to_the_test(run_suite: RunSuite) -> None:
    """
    Where the target echoes and steers, no clause is left out.
    """
    ledger = run_suite(correct_endpoint, overload=True).ledger

    assert [] == [clause.id for clause in CLAUSES if not ledger.exercise_count(clause)]


def test_a_busy_endpoint_is_accused_of_nothing(run_suite: RunSuite) -> None:
    """
    A 429, 502 or 503 now and then says nothing about the request that it hits.
    """
    assert run_suite(sometimes_busy()).lines == []


def test_a_chain_with_a_signature_is_accused_of_nothing(run_suite: RunSuite) -> None:
    """
    Which objects a chain takes is its own affair, and a 400 to the others is right.
    """
    examined = run_suite(typed_endpoint, echo=False, steerable=False)

    assert examined.lines == []
    assert set(examined.skipped) == {
        "extended_generation_finds_no_violations",
        "every_documented_error_is_returned_on_demand",
        "concurrent_requests_get_their_own_answers",
        "errors_on_demand_affect_only_one_request",
        "similar_requests_get_their_own_answers",
        "no_data_leaks_from_one_request_into_later_ones",
        "overload_gets_documented_answers",
        "slow_and_fast_requests_get_their_own_answers",
        "regional_hosts_reject_environment_paths",
    }


@pytest.mark.parametrize(
    ("status", "instead"),
    [(401, error(403, "unauthorized")), (400, error(422, "client_error"))],
    ids=["a key refused with 403", "a body refused with 422"],
)
def test_a_wider_contract_allows_what_it_documents(status: int, instead: EndpointAnswer, run_suite: RunSuite) -> None:
    """
    What Baseten documents beyond the published document is a violation from the strict contract alone.
    """
    server = on_status(status, lambda said: replace(instead, request_id=said.request_id))

    assert run_suite(server, contract=Contract.DOCUMENTED, checks=HANDWRITTEN_CHECKS).lines == []
    assert "status" in run_suite(server, contract=Contract.STRICT, checks=HANDWRITTEN_CHECKS).clauses


def test_a_redirect_is_not_followed(run_suite: RunSuite) -> None:
    """
    Whoever a redirect leads to hears nothing of us, least of all the key.
    """
    heard: list[EndpointRequest] = []

    def elsewhere(asked: EndpointRequest) -> EndpointAnswer:
        heard.append(asked)
        return EndpointAnswer(status=200, body=b"{}")

    with serve(elsewhere) as url:
        redirect = EndpointAnswer(status=302, more=(("Location", f"{url}/production/run_remote"),))
        examined = run_suite(lambda asked: replace(redirect, request_id=EndpointAnswer(status=302).request_id))

    assert heard == []
    assert "status" in examined.clauses


def test_the_same_seed_asks_the_same(run_suite: RunSuite) -> None:
    """
    Two runs with one seed send the same requests, though not in the same order where they are sent at the same time.
    """

    def heard(seed: int) -> list[str]:
        requests: list[str] = []

        def noting(asked: EndpointRequest) -> EndpointAnswer:
            fields = [field for field in asked.fields if field[0] != "Host"]
            requests.append(repr((asked.method, asked.path, fields, asked.body)))
            return correct_endpoint(asked)

        run_suite(noting, seed=seed, examples=10)
        return sorted(requests)

    first = heard(1)

    assert len(first) > 200
    assert first == heard(1)
    assert first != heard(2)
