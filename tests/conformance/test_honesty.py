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

from chainproof.conformance.checks import CHECKS, connection, framing, malformed, repetition
from chainproof.conformance.options import Depth
from chainproof.contract.clauses import CLAUSES
from chainproof.contract.levels import Contract

from .conftest import BY_HAND, WIRE, Examine
from .endpoints import (
    KEY,
    PATH,
    Asked,
    Handler,
    NoMessage,
    Said,
    Server,
    error,
    flaky,
    honest,
    on_every_answer,
    on_status,
    rendered,
    serving,
    signed,
    when,
)


def in_chunks(said: Said) -> Said:
    """
    The same answer, its body in chunks and the connection closed behind it.
    """
    plain = rendered(said).partition(b"\r\n\r\n")[0].rpartition(b"\r\n")[0]
    chunks = b"".join(b"%x\r\n%b\r\n" % (1, said.body[at : at + 1]) for at in range(min(20, len(said.body))))
    rest = said.body[20:]
    chunks += b"%x\r\n%b\r\n" % (len(rest), rest) if rest else b""
    return replace(
        said, raw=plain + b"\r\nTransfer-Encoding: chunked\r\nConnection: close\r\n\r\n" + chunks + b"0\r\n\r\n"
    )


def in_http_1_0(said: Said) -> Said:
    """
    The same answer as an old server gives it: ended by the end of the connection.
    """
    return replace(said, raw=rendered(said).replace(b"HTTP/1.1", b"HTTP/1.0", 1))


def behind_an_interim_answer(said: Said) -> Said:
    """
    The same answer behind a 103.
    """
    return replace(said, raw=b"HTTP/1.1 103 Early Hints\r\nLink: </x>\r\n\r\n" + rendered(said), stays=True)


def new(asked: Asked) -> bool:
    """
    Whether it is a POST whose answer may be in chunks and behind an interim one, and its connection kept.
    """
    closes = "close" in "".join(asked.values("connection")).lower()
    return asked.method == "POST" and asked.version == "HTTP/1.1" and not closes


def with_more_chunks(said: Said) -> Said:
    """
    The same answer in chunks with extensions, sizes in capitals behind zeros, and a trailer; the connection is kept.
    """
    head = rendered(said).partition(b"\r\n\r\n")[0].rpartition(b"\r\n")[0]
    chunks = b"".join(b'00%X;a;b="c;"\r\n%b\r\n' % (len(said.body), said.body) for _ in range(bool(said.body)))
    raw = head + b"\r\ntransfer-encoding: Chunked\r\n\r\n" + chunks + b"000\r\nX-Trailer: a\r\n\r\n"
    return replace(said, raw=raw, stays=True)


def to_the_end(said: Said) -> Said:
    """
    The same answer, its body ended by the end of the connection.
    """
    head = rendered(said).partition(b"\r\n\r\n")[0].rpartition(b"\r\n")[0]
    return replace(said, raw=head + b"\r\nConnection: close\r\n\r\n" + said.body)


def oddly_spelled(said: Said) -> Said:
    """
    The same answer without a reason, its fields in lower case, between blanks, in latin-1, and one of them empty.
    """
    head, end, body = rendered(said).partition(b"\r\n\r\n")
    line, fields = head.split(b"\r\n", 1)
    fields = re.sub(rb"(?m)^([^:]+): (.*?)\r?$", lambda m: m[1].lower() + b":\t " + m[2] + b" \t\r", fields).rstrip(
        b"\r"
    )
    more = b"\r\nx_odd-~!: \xe9\r\nset-cookie: a=b\r\nset-cookie: c=d\r\nkeep-alive: timeout=5\r\nx-empty:"
    return replace(said, raw=line[:13] + b"\r\n" + fields + more + end + body, stays=True)


def zipped(asked: Asked, said: Said) -> Said:
    """
    The same answer under the coding that the request asks for.
    """
    deflated = "".join(asked.values("accept-encoding")).startswith("deflate")
    body = zlib.compress(said.body) if deflated else gzip.compress(said.body)
    coding = (("Content-Encoding", "deflate" if deflated else "X-GZIP"), ("Vary", "Accept-Encoding"))
    return replace(said, body=body, more=(*said.more, *coding))


def takes_gzip(asked: Asked) -> bool:
    """
    Whether gzip or deflate may be sent: named without a weight of 0, or nothing said.
    """
    given = "".join(asked.values("accept-encoding"))
    return asked.method == "POST" and (not asked.values("accept-encoding") or ("gzip" in given and "q=0" not in given))


class Closing(Handler):
    """
    Closes each connection behind its seventh answer without a word, as a server may.
    """

    number = 0

    def answer(self, asked: Asked, said: Said) -> bool:
        self.number += 1
        return super().answer(asked, said) and self.number < 7


class Tired(Handler):
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

    def check(self, asked: Asked) -> None:
        super().check(asked)
        if asked.path.partition("?")[0] == PATH and asked.method == "POST" and not asked.authorized:
            raise PermissionError


class Strict(Handler):
    """
    Refuses what it may refuse, and says nothing to it.
    """

    def exchange(self) -> bool:
        try:
            asked = self.asked()
        except NoMessage:
            return False
        return asked is not None and self.answer(asked, type(self).said_by(asked))

    def asked(self) -> Asked | None:
        if self.rfile.peek(1)[:1] == b"\r":  # type: ignore[attr-defined]  # it is a BufferedReader
            raise NoMessage
        asked = super().asked()
        if asked is not None and asked.version == "HTTP/1.0":
            raise NoMessage
        return asked


class Forgiving(Handler):
    """
    Takes numbers as Python does, and header fields as they come.
    """

    def fields(self) -> tuple[tuple[str, str], ...]:
        lines = iter(lambda: self.rfile.readline(65536).strip(b"\r\n"), b"")
        pairs = (line.partition(b":") for line in lines)
        return tuple((name.decode("latin-1").strip(), value.decode("latin-1").strip()) for name, _, value in pairs)

    def check(self, asked: Asked) -> None:
        try:
            lengths = tuple(("Content-Length", str(int(each))) for each in asked.values("content-length"))
        except ValueError:
            raise NoMessage from None
        kept = tuple(each for each in asked.fields if each[0].lower() not in ("content-length", "host"))
        super().check(replace(asked, fields=(*kept, ("Host", "x"), *lengths)))

    def body(self, asked: Asked) -> bytes | None:
        lengths = tuple(("Content-Length", str(int(each))) for each in asked.values("content-length"))
        kept = tuple(each for each in asked.fields if each[0].lower() != "content-length")
        return super().body(replace(asked, fields=(*kept, *lengths)))


ON_THE_WIRE: dict[str, tuple[Server, type[Handler]]] = {
    "in more chunks": (when(new, lambda asked, said: with_more_chunks(said)), Handler),
    "to the end of the connection": (
        when(lambda asked: asked.method == "POST", lambda asked, said: to_the_end(said)),
        Handler,
    ),
    "oddly spelled": (when(new, lambda asked, said: oddly_spelled(said)), Handler),
    "under codings": (when(takes_gzip, zipped), Handler),
    "with 204 to OPTIONS": (
        when(
            lambda asked: asked.method == "OPTIONS" and asked.path == PATH,
            lambda asked, said: replace(said, status=204, body=b"", media_type=None, more=(("Allow", "POST"),)),
        ),
        Handler,
    ),
    "closing every connection and saying so": (
        when(new, lambda asked, said: replace(said, closes=True, more=(*said.more, ("Connection", "close")))),
        Handler,
    ),
    "closing now and then": (honest, Closing),
    "refusing before the body is read": (honest, Tired),
    "refusing what it may without a word": (honest, Strict),
    "forgiving": (honest, Forgiving),
    "slowly": (when(new, lambda asked, said: (time.sleep(0.002), said)[1]), Handler),
}


@pytest.mark.parametrize(("server", "reading"), ON_THE_WIRE.values(), ids=ON_THE_WIRE)
def test_an_honest_endpoint_is_accused_of_nothing_on_the_wire(
    server: Server, reading: type[Handler], examine: Examine, monkeypatch: pytest.MonkeyPatch
) -> None:
    """
    However it frames, codes and keeps, and whatever it refuses that it may refuse; advice it may get.
    """
    monkeypatch.setitem(connection._IDLE, Depth.QUICK, 0.1)
    monkeypatch.setattr(malformed, "_WAITING", 0.15)
    monkeypatch.setattr(framing, "_WAITING", 0.15)
    monkeypatch.setitem(repetition.STRETCHES, Depth.QUICK, repetition.Stretch(requests=100, seconds=1.5))
    with serving(server, reading=reading) as url:
        findings = examine(url, checks=WIRE).findings

    assert [] == [f"{found.clause}: {found.actual} {found.cases}" for found in findings if found.level != "should"]


def page(status: int) -> Callable[[Asked, Said], Said]:
    """
    A refusal by whatever stands in front, in words of its own.
    """
    return lambda asked, said: Said(status=status, body=b"<h1>No</h1>", media_type="text/html", request_id=None)


def half_a_parameter(asked: Asked) -> bool:
    """
    Whether a parameter's quotation mark has no partner.
    """
    return any(value.count('"') % 2 for value in asked.values("content-type"))


def not_for_the_front(asked: Asked) -> bool:
    """
    Whether stock servers refuse a request before anybody looks where it goes: broken cookies, keys beyond ASCII, parts that
    are none.
    """
    parts = any(value.startswith("multipart/") for value in asked.values("content-type"))
    odd = '=;=;"' in asked.values("cookie") or not "".join(asked.values("authorization")).isascii()
    return odd or (parts and not asked.body.startswith(b"--x\r\n"))


def without_a_length(asked: Asked) -> bool:
    """
    Whether a POST says nothing of a body, not even that there is none.
    """
    return asked.method == "POST" and not asked.values("content-length") and not asked.values("transfer-encoding")


fronted = when(not_for_the_front, page(400))
"""An endpoint behind a stock server."""

HONEST: dict[str, Server] = {
    "plainly": honest,
    "with a charset": on_every_answer(lambda said: replace(said, media_type="Application/JSON; charset=utf-8")),
    "with empty errors": on_status(400, lambda said: replace(said, body=b"{}")),
    "with more members": on_status(400, lambda said: replace(said, body=b'{"x":[1],"error":"","detail":"d"}')),
    "in HTTP/1.0": when(lambda asked: asked.method == "POST", lambda asked, said: in_http_1_0(said)),
    "in chunks": when(new, lambda asked, said: in_chunks(said)),
    "behind interim answers": when(new, lambda asked, said: behind_an_interim_answer(said)),
    "to a lower-case scheme": when(
        lambda asked: asked.values("authorization") == [f"api-key {KEY}"],
        lambda asked, said: Said(status=200, body=b"{}"),
    ),
    "to a byte order mark": when(
        lambda asked: asked.authorized and asked.body == b"\xef\xbb\xbf{}",
        lambda asked, said: Said(status=200, body=b"{}"),
    ),
    "taking half a parameter for none": when(half_a_parameter, lambda asked, said: error(400, "client_error")),
    "behind a front with words of its own": fronted,
    "where a length is required": when(without_a_length, page(411)),
    "that takes an upgrade for a GET": when(lambda asked: bool(asked.values("upgrade")), page(405)),
    "with redirects elsewhere": when(
        lambda asked: asked.path.endswith("remote/"),
        lambda asked, said: Said(status=307, more=(("Location", "/production/run_remote"),)),
    ),
}


@pytest.mark.parametrize("server", HONEST.values(), ids=HONEST)
def test_an_honest_endpoint_is_accused_of_nothing(server: Server, examine: Examine) -> None:
    """
    However it spells its headers, frames its bodies or words its errors.
    """
    examined = examine(server, checks=CHECKS if server in (honest, fronted) else BY_HAND, provoke=True)

    assert examined.lines == []
    assert examined.skipped.keys() <= {"generation_goes_on_for_as_long_as_told"}


def test_every_clause_is_put_to_the_test(examine: Examine) -> None:
    """
    Where the target echoes and steers, no clause is left out.
    """
    ledger = examine(honest, provoke=True).ledger

    assert [] == [clause.id for clause in CLAUSES if not ledger.exercised(clause)]


def test_a_busy_endpoint_is_accused_of_nothing(examine: Examine) -> None:
    """
    A 429, 502 or 503 now and then says nothing about the request that it hits.
    """
    assert examine(flaky()).lines == []


def test_a_chain_with_a_signature_is_accused_of_nothing(examine: Examine) -> None:
    """
    Which objects a chain takes is its own affair, and a 400 to the others is right.
    """
    examined = examine(signed, echo=False, steerable=False)

    assert examined.lines == []
    assert set(examined.skipped) == {
        "generation_goes_on_for_as_long_as_told",
        "every_documented_error_is_given_on_demand",
        "an_answer_belongs_to_its_request",
        "an_error_on_demand_is_given_once",
        "equally_long_bodies_are_told_apart",
        "nothing_of_a_request_stays_behind",
        "overload_is_answered",
        "slow_and_fast_requests_are_told_apart",
        "regional_hosts_do_not_have_the_path",
    }


@pytest.mark.parametrize(
    ("status", "instead"),
    [(401, error(403, "unauthorized")), (400, error(422, "client_error"))],
    ids=["a key refused with 403", "a body refused with 422"],
)
def test_a_wider_contract_allows_what_it_documents(status: int, instead: Said, examine: Examine) -> None:
    """
    What Baseten documents beyond the published document is a departure from the strict contract alone.
    """
    server = on_status(status, lambda said: replace(instead, request_id=said.request_id))

    assert examine(server, contract=Contract.DOCUMENTED, checks=BY_HAND).lines == []
    assert "status" in examine(server, contract=Contract.STRICT, checks=BY_HAND).clauses


def test_a_redirect_is_not_followed(examine: Examine) -> None:
    """
    Whoever a redirect leads to hears nothing of us, least of all the key.
    """
    heard: list[Asked] = []

    def elsewhere(asked: Asked) -> Said:
        heard.append(asked)
        return Said(status=200, body=b"{}")

    with serving(elsewhere) as url:
        redirect = Said(status=302, more=(("Location", f"{url}/production/run_remote"),))
        examined = examine(lambda asked: replace(redirect, request_id=Said(status=302).request_id))

    assert heard == []
    assert "status" in examined.clauses


def test_the_same_seed_asks_the_same(examine: Examine) -> None:
    """
    Two runs with one seed send the same requests, though not in the same order where they are sent at the same time.
    """

    def heard(seed: int) -> list[str]:
        requests: list[str] = []

        def noting(asked: Asked) -> Said:
            fields = [field for field in asked.fields if field[0] != "Host"]
            requests.append(repr((asked.method, asked.path, fields, asked.body)))
            return honest(asked)

        examine(noting, seed=seed, examples=10)
        return sorted(requests)

    first = heard(1)

    assert len(first) > 200
    assert first == heard(1)
    assert first != heard(2)
