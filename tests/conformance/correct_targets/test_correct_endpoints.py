"""Correct endpoints have no findings, however unusual their answers and connections are."""

from __future__ import annotations

import gzip
import re
import time
import uuid
import zlib
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace

import pytest

from chainproof.conformance.checks import Check, repetition
from chainproof.conformance.checks.catalogue import ALL_CHECKS
from chainproof.conformance.options import Depth
from chainproof.contract.clauses import CLAUSES
from chainproof.contract.levels import Contract

from ..conftest import (
    COSTLY_MODULES,
    GENERATED_CHECKS,
    LIGHT_CHECKS,
    LIGHT_HANDWRITTEN_CHECKS,
    WIRE_CHECKS,
    RunSuite,
    checks_in,
    checks_named,
)
from ..endpoints import (
    KEY,
    PATH,
    EndpointAnswer,
    EndpointHandler,
    EndpointRequest,
    InvalidRequest,
    Variation,
    answer_bytes,
    correct_endpoint,
    error,
    given,
    given_status,
    serve,
    sometimes_busy,
    typed_endpoint,
    varied,
)
from ..sampling import ALL

CHECKS_OF_TYPED_CHAINS = {check.name for check in checks_in("typed_inputs", "consistency")}


def in_chunks(answer: EndpointAnswer) -> EndpointAnswer:
    """The answer with a chunked body, after which the connection is closed."""
    head = answer_bytes(answer).partition(b"\r\n\r\n")[0].rpartition(b"\r\n")[0]
    chunks = b"".join(b"%x\r\n%b\r\n" % (1, answer.body[at : at + 1]) for at in range(min(20, len(answer.body))))
    rest = answer.body[20:]
    chunks += b"%x\r\n%b\r\n" % (len(rest), rest) if rest else b""
    return replace(
        answer, raw=head + b"\r\nTransfer-Encoding: chunked\r\nConnection: close\r\n\r\n" + chunks + b"0\r\n\r\n"
    )


def in_http_1_0(answer: EndpointAnswer) -> EndpointAnswer:
    """The answer of an HTTP/1.0 server, which ends with the connection."""
    return replace(answer, raw=answer_bytes(answer).replace(b"HTTP/1.1", b"HTTP/1.0", 1))


def after_interim_answer(answer: EndpointAnswer) -> EndpointAnswer:
    """The answer after a 103."""
    return replace(
        answer, raw=b"HTTP/1.1 103 Early Hints\r\nLink: </x>\r\n\r\n" + answer_bytes(answer), stays_open=True
    )


def may_be_chunked(request: EndpointRequest) -> bool:
    """True if it is a POST whose answer may be chunked and follow an interim answer, on a connection that stays open."""
    closes = "close" in "".join(request.values("connection")).lower()
    return request.method == "POST" and request.version == "HTTP/1.1" and not closes


def with_chunk_extensions(answer: EndpointAnswer) -> EndpointAnswer:
    """
    The answer chunked with extensions, upper-case sizes with leading zeros and a trailer, on a connection that stays
    open.
    """
    head = answer_bytes(answer).partition(b"\r\n\r\n")[0].rpartition(b"\r\n")[0]
    chunks = b"".join(b'00%X;a;b="c;"\r\n%b\r\n' % (len(answer.body), answer.body) for _ in range(bool(answer.body)))
    raw = head + b"\r\ntransfer-encoding: Chunked\r\n\r\n" + chunks + b"000\r\nX-Trailer: a\r\n\r\n"
    return replace(answer, raw=raw, stays_open=True)


def until_close(answer: EndpointAnswer) -> EndpointAnswer:
    """The answer with a body that ends with the connection."""
    head = answer_bytes(answer).partition(b"\r\n\r\n")[0].rpartition(b"\r\n")[0]
    return replace(answer, raw=head + b"\r\nConnection: close\r\n\r\n" + answer.body)


def with_unusual_fields(answer: EndpointAnswer) -> EndpointAnswer:
    """The answer without a reason phrase, its fields in lower case, with whitespace, Latin-1 and an empty value."""
    head, end, body = answer_bytes(answer).partition(b"\r\n\r\n")
    line, fields = head.split(b"\r\n", 1)
    fields = re.sub(rb"(?m)^([^:]+): (.*?)\r?$", lambda m: m[1].lower() + b":\t " + m[2] + b" \t\r", fields).rstrip(
        b"\r"
    )
    more = b"\r\nx_odd-~!: \xe9\r\nset-cookie: a=b\r\nset-cookie: c=d\r\nkeep-alive: timeout=5\r\nx-empty:"
    return replace(answer, raw=line[:13] + b"\r\n" + fields + more + end + body, stays_open=True)


def compressed(request: EndpointRequest, answer: EndpointAnswer) -> EndpointAnswer:
    """The answer with the content coding that the request asks for."""
    deflated = "".join(request.values("accept-encoding")).startswith("deflate")
    body = zlib.compress(answer.body) if deflated else gzip.compress(answer.body)
    coding = (("Content-Encoding", "deflate" if deflated else "X-GZIP"), ("Vary", "Accept-Encoding"))
    return replace(answer, body=body, extra_fields=(*answer.extra_fields, *coding))


def accepts_compression(request: EndpointRequest) -> bool:
    """True if gzip or deflate may be sent: named with a quality above 0, or no Accept-Encoding."""
    accepted = "".join(request.values("accept-encoding"))
    return request.method == "POST" and (
        not request.values("accept-encoding") or ("gzip" in accepted and "q=0" not in accepted)
    )


class ClosesSometimes(EndpointHandler):
    """Closes each connection after its seventh answer without announcing it, as a server may."""

    number = 0

    def send_answer(self, request: EndpointRequest, answer: EndpointAnswer) -> bool:
        self.number += 1
        return super().send_answer(request, answer) and self.number < 7


class RejectsEarly(EndpointHandler):
    """Rejects unauthenticated requests before it reads the body, and announces that it closes."""

    def handle_request(self) -> bool:
        try:
            return super().handle_request()
        except PermissionError:
            body = b'{"error":"No.","error_code":"unauthorized"}'
            head = b"HTTP/1.1 401 No\r\nContent-Type: application/json\r\nConnection: close\r\nX-Baseten-Request-Id: "
            self.wfile.write(head + uuid.uuid4().hex.encode() + b"\r\nContent-Length: %d\r\n\r\n" % len(body) + body)
            self.drain()
            return False

    def check_head(self, request: EndpointRequest) -> None:
        super().check_head(request)
        if request.path.partition("?")[0] == PATH and request.method == "POST" and not request.authorized:
            raise PermissionError


class ClosesWithoutAnswer(EndpointHandler):
    """Closes without an answer wherever a server may."""

    def handle_request(self) -> bool:
        try:
            request = self.read_request()
        except InvalidRequest:
            return False
        return request is not None and self.send_answer(request, type(self).answer_function(request))

    def read_request(self) -> EndpointRequest | None:
        if self.rfile.peek(1)[:1] == b"\r":  # type: ignore[attr-defined]  # it is a BufferedReader
            raise InvalidRequest
        request = super().read_request()
        if request is not None and request.version == "HTTP/1.0":
            raise InvalidRequest
        return request


class Lenient(EndpointHandler):
    """Parses numbers as Python does, and accepts header fields that are not valid."""

    def read_fields(self) -> tuple[tuple[str, str], ...]:
        lines = iter(lambda: self.rfile.readline(65536).strip(b"\r\n"), b"")
        pairs = [line.partition(b":") for line in lines]
        if any(name != name.strip() for name, _, _ in pairs):
            raise InvalidRequest
        return tuple((name.decode("latin-1"), value.decode("latin-1").strip()) for name, _, value in pairs)

    def check_head(self, request: EndpointRequest) -> None:
        try:
            lengths = tuple(("Content-Length", str(int(each))) for each in request.values("content-length"))
        except ValueError:
            raise InvalidRequest from None
        other_fields = tuple(each for each in request.fields if each[0].lower() not in ("content-length", "host"))
        super().check_head(replace(request, fields=(*other_fields, ("Host", "x"), *lengths)))

    def read_body(self, request: EndpointRequest) -> bytes | None:
        lengths = tuple(("Content-Length", str(int(each))) for each in request.values("content-length"))
        other_fields = tuple(each for each in request.fields if each[0].lower() != "content-length")
        return super().read_body(replace(request, fields=(*other_fields, *lengths)))


class SpeaksOnlyHttp10(EndpointHandler):
    """Has neither chunks nor interim answers."""

    def handle_request(self) -> bool:
        """Answer one request, an invalid one in HTTP/1.0 too."""
        try:
            request = self.read_request()
        except InvalidRequest:
            self.wfile.write(b"HTTP/1.0 400 Bad Request\r\n\r\n")
            self.drain()
            return False
        return request is not None and self.send_answer(request, type(self).answer_function(request))

    def read_body(self, request: EndpointRequest) -> bytes | None:
        """The body, for which `Expect` and Transfer-Encoding mean nothing."""
        if request.values("transfer-encoding"):
            raise InvalidRequest
        return super().read_body(replace(request, fields=tuple(each for each in request.fields if each[0] != "Expect")))


def of_http_1_0(request: EndpointRequest, answer: EndpointAnswer) -> EndpointAnswer:
    """The answer to any method of an HTTP/1.0 server."""
    return replace(answer, raw=answer_bytes(answer, request.method).replace(b"HTTP/1.1", b"HTTP/1.0", 1))


WIRE_VARIANTS: dict[str, tuple[tuple[Variation, ...], type[EndpointHandler]]] = {
    "in chunks with extensions and trailers": (
        (given(may_be_chunked, lambda request, answer: with_chunk_extensions(answer)),),
        EndpointHandler,
    ),
    "to the end of the connection": (
        (given(lambda request: request.method == "POST", lambda request, answer: until_close(answer)),),
        EndpointHandler,
    ),
    "with unusual header fields": (
        (given(may_be_chunked, lambda request, answer: with_unusual_fields(answer)),),
        EndpointHandler,
    ),
    "with content codings": ((given(accepts_compression, compressed),), EndpointHandler),
    "with 204 to OPTIONS": (
        (
            given(
                lambda request: request.method == "OPTIONS" and request.path == PATH,
                lambda request, answer: replace(
                    answer, status=204, body=b"", media_type=None, extra_fields=(("Allow", "POST"),)
                ),
            ),
        ),
        EndpointHandler,
    ),
    "closing every connection as announced": (
        (
            given(
                may_be_chunked,
                lambda request, answer: replace(
                    answer, closes=True, extra_fields=(*answer.extra_fields, ("Connection", "close"))
                ),
            ),
        ),
        EndpointHandler,
    ),
    "closing connections sometimes": ((), ClosesSometimes),
    "rejecting before the body is read": ((), RejectsEarly),
    "closing without an answer where permitted": ((), ClosesWithoutAnswer),
    "lenient": ((), Lenient),
    "speaking only HTTP/1.0": ((of_http_1_0,), SpeaksOnlyHttp10),
    "slow answers": ((given(may_be_chunked, lambda request, answer: (time.sleep(0.002), answer)[1]),), EndpointHandler),
}

WIRE_COMBINATIONS = (
    ("with content codings", "with 204 to OPTIONS", "in chunks with extensions and trailers", "closing connections sometimes"),
    ("slow answers", "with unusual header fields", "rejecting before the body is read"),
    ("to the end of the connection", "closing without an answer where permitted"),
    ("closing every connection as announced", "lenient"),
    ("speaking only HTTP/1.0",),
)  # fmt: skip  # one line each
"""Each variant is in one of these. `CHAINPROOF_SAMPLE=all` also tests each of them alone."""


def test_every_variant_is_in_a_combination() -> None:
    """Each variant is tested with others in any case."""
    assert sorted(WIRE_VARIANTS) == sorted(name for names in WIRE_COMBINATIONS for name in names)
    assert sorted(CORRECT_VARIANTS) == sorted(name for names in CORRECT_COMBINATIONS for name in names)


def alone(names: Iterable[str]) -> Iterator[tuple[str, ...]]:
    """Combinations of one variant each, if all of them are tested."""
    return ((name,) for name in names if ALL)


@pytest.mark.parametrize("names", [*WIRE_COMBINATIONS, *alone(WIRE_VARIANTS)], ids=", ".join)
def test_a_correct_endpoint_has_no_findings_on_the_wire(
    names: tuple[str, ...], run_suite: RunSuite, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Framing, codings, connections and permitted rejections may vary; only warnings are reported."""
    monkeypatch.setitem(
        repetition.REPETITION_LIMITS, Depth.QUICK, repetition.RepetitionLimits(requests=100, seconds=1.5)
    )
    variations = [variation for name in names for variation in WIRE_VARIANTS[name][0]]
    with serve(varied(*variations), handler=WIRE_VARIANTS[names[-1]][1]) as url:
        findings = run_suite(url, checks=WIRE_CHECKS).findings

    assert [] == [f"{found.clause}: {found.actual} {found.cases}" for found in findings if found.level != "should"]


def proxy_error(status: int) -> Variation:
    """The answer of a proxy, in its own format."""
    return lambda request, answer: EndpointAnswer(
        status=status, body=b"<h1>No</h1>", media_type="text/html", request_id=None
    )


def has_incomplete_parameter(request: EndpointRequest) -> bool:
    """True if a parameter's quotation mark is not closed."""
    return any(value.count('"') % 2 for value in request.values("content-type"))


def is_rejected_by_proxies(request: EndpointRequest) -> bool:
    """True if common servers reject the request before routing: invalid cookies, non-ASCII keys, invalid multipart."""
    parts = any(value.startswith("multipart/") for value in request.values("content-type"))
    is_invalid = '=;=;"' in request.values("cookie") or not "".join(request.values("authorization")).isascii()
    return is_invalid or (parts and not request.body.startswith(b"--x\r\n"))


def has_no_length(request: EndpointRequest) -> bool:
    """True if a POST announces no body at all."""
    return request.method == "POST" and not request.values("content-length") and not request.values("transfer-encoding")


CORRECT_VARIANTS: dict[str, Variation] = {
    "with a charset": lambda request, answer: replace(answer, media_type="Application/JSON; charset=utf-8"),
    "with empty errors": given_status(400, lambda answer: replace(answer, body=b"{}")),
    "with additional error members": given_status(
        400, lambda answer: replace(answer, body=b'{"x":[1],"error":"","detail":"d"}')
    ),
    "in HTTP/1.0": given(lambda request: request.method == "POST", lambda request, answer: in_http_1_0(answer)),
    "in chunks": given(may_be_chunked, lambda request, answer: in_chunks(answer)),
    "after interim answers": given(may_be_chunked, lambda request, answer: after_interim_answer(answer)),
    "accepting a lower-case scheme": given(
        lambda request: request.values("authorization") == [f"api-key {KEY}"],
        lambda request, answer: EndpointAnswer(status=200, body=b"{}"),
    ),
    "accepting a byte order mark": given(
        lambda request: request.authorized and request.body == b"\xef\xbb\xbf{}",
        lambda request, answer: EndpointAnswer(status=200, body=b"{}"),
    ),
    "rejecting an incomplete parameter": given(
        has_incomplete_parameter, lambda request, answer: error(400, "client_error")
    ),
    "behind a proxy with its own errors": given(is_rejected_by_proxies, proxy_error(400)),
    "behind a server that fails on damaged codings": given(
        lambda request: request.values("content-encoding") == ["gzip"] and not request.body.startswith(b"\x1f\x8b"),
        proxy_error(500),
    ),
    "requiring a Content-Length": given(has_no_length, proxy_error(411)),
    "answering 405 to an upgrade": given(lambda request: bool(request.values("upgrade")), proxy_error(405)),
    "with redirects at other paths": given(
        lambda request: request.path.endswith("remote/"),
        lambda request, answer: EndpointAnswer(status=307, extra_fields=(("Location", "/production/run_remote"),)),
    ),
}

CORRECT_COMBINATIONS = (
    ("behind a proxy with its own errors",),
    ("with empty errors", "accepting a lower-case scheme", "accepting a byte order mark", "rejecting an incomplete parameter", "in HTTP/1.0"),
    ("with additional error members", "requiring a Content-Length", "answering 405 to an upgrade", "in chunks"),
    ("with a charset", "with redirects at other paths", "after interim answers", "behind a server that fails on damaged codings"),
)  # fmt: skip  # one line each
"""Each variant is in one of these. `CHAINPROOF_SAMPLE=all` also tests each of them alone."""


@pytest.mark.parametrize("names", [*CORRECT_COMBINATIONS, *alone(CORRECT_VARIANTS)], ids=", ".join)
def test_a_correct_endpoint_has_no_findings(names: tuple[str, ...], run_suite: RunSuite) -> None:
    """Headers, body framing and error texts may vary."""
    is_behind_proxy = names == CORRECT_COMBINATIONS[0]
    server = varied(*(CORRECT_VARIANTS[name] for name in names))
    result = run_suite(server, checks=LIGHT_CHECKS if is_behind_proxy else LIGHT_HANDWRITTEN_CHECKS, overload=True)

    assert result.lines == []
    assert result.skipped.keys() <= {"extended_generation_finds_no_violations", *CHECKS_OF_TYPED_CHAINS}


def test_a_missing_length_may_be_answered_411_also_to_schemathesis(run_suite: RunSuite) -> None:
    """The server in front may require a Content-Length, as lighttpd does; Schemathesis sends requests without one."""
    checks = checks_in("openapi_document")
    result = run_suite(varied(CORRECT_VARIANTS["requiring a Content-Length"]), checks=checks)

    assert result.lines == []


def test_the_simplest_endpoint_has_no_findings_and_exercises_every_clause(run_suite: RunSuite) -> None:
    """With an echo and errors on demand, every clause is exercised, except those of Date, which it does not send, and of other chains."""
    result = run_suite(correct_endpoint, overload=True)
    exercised = result.finding_recorder.exercise_count

    assert result.lines == []
    assert result.skipped.keys() <= {"extended_generation_finds_no_violations", *CHECKS_OF_TYPED_CHAINS}
    assert ["date-accurate", "answer-repeatable"] == [clause.id for clause in CLAUSES if not exercised(clause)]


def test_a_busy_endpoint_has_no_findings(run_suite: RunSuite) -> None:
    """An occasional 429, 502 or 503 says nothing about the request."""
    assert run_suite(sometimes_busy()).lines == []


def test_a_chain_with_an_input_schema_has_no_findings(run_suite: RunSuite) -> None:
    """A chain may accept some objects only, and reject others with 400."""
    result = run_suite(typed_endpoint, echo=False, steerable=False, checks=LIGHT_CHECKS)

    assert result.lines == []
    assert set(result.skipped) - CHECKS_OF_TYPED_CHAINS == {
        "extended_generation_finds_no_violations",
        "every_documented_error_is_returned_on_demand",
        "concurrent_requests_get_their_own_answers",
        "errors_on_demand_affect_only_one_request",
        "similar_requests_get_their_own_answers",
        "no_data_leaks_from_one_request_into_later_ones",
        *(["overload_gets_documented_answers"] if ALL else []),
        "slow_and_fast_requests_get_their_own_answers",
        "regional_hosts_reject_environment_paths",
    }


OTHER_ERRORS = {401: error(403, "unauthorized"), 400: error(422, "client_error")}
"""Statuses that the documented contract allows in place of those of the strict one, for a wrong key and a wrong body."""


def with_other_error(status: int) -> Variation:
    """Another error in place of this status."""
    return given_status(status, lambda answer: replace(OTHER_ERRORS[status], request_id=answer.request_id))


def test_the_documented_contract_allows_more_than_the_strict_one(run_suite: RunSuite) -> None:
    """What Baseten documents beyond the published document violates the strict contract only."""
    documented = varied(*map(with_other_error, OTHER_ERRORS))
    quick = checks_in("credentials", "media_type")

    assert run_suite(documented, contract=Contract.DOCUMENTED, checks=LIGHT_HANDWRITTEN_CHECKS).lines == []
    for status in OTHER_ERRORS:
        strict = run_suite(varied(with_other_error(status)), contract=Contract.STRICT, checks=quick)
        assert "status" in strict.clauses


def test_a_redirect_is_not_followed(run_suite: RunSuite) -> None:
    """The target of a redirect gets no request, and so no key."""
    received: list[EndpointRequest] = []

    def redirect_target(request: EndpointRequest) -> EndpointAnswer:
        received.append(request)
        return EndpointAnswer(status=200, body=b"{}")

    with serve(redirect_target) as url:
        redirect = EndpointAnswer(status=302, extra_fields=(("Location", f"{url}/production/run_remote"),))
        result = run_suite(
            lambda request: replace(redirect, request_id=EndpointAnswer(status=302).request_id),
            checks=[*GENERATED_CHECKS, *checks_in("failure", "framing")],
        )

    assert received == []
    assert "status" in result.clauses


def test_the_same_seed_sends_the_same_requests(run_suite: RunSuite) -> None:
    """Two runs with one seed send the same requests; concurrent ones may arrive in another order."""

    def sent_requests(seed: int, checks: Sequence[Check]) -> list[str]:
        requests: list[str] = []

        def recording(request: EndpointRequest) -> EndpointAnswer:
            fields = [field for field in request.fields if field[0] != "Host"]
            # How often the simplest input is sent to confirm rejections depends on which answer came first.
            if request.body != b"{}":
                # The port differs from run to run. A body may be a request, too.
                body = request.body.replace("".join(request.values("host")).encode(), b"")
                requests.append(repr((request.method, request.path, fields, body)))
            return correct_endpoint(request)

        run_suite(recording, seed=seed, checks=checks)
        return sorted(requests)

    # Those left out send large bodies or many equal requests, and draw nothing but bodies for these.
    left_out = ("slow_and_fast_requests_get_their_own_answers", "bad_requests_do_not_affect_later_ones")
    drawing = [
        check for check in ALL_CHECKS if check.module not in COSTLY_MODULES and (ALL or check.name not in left_out)
    ]
    first = sent_requests(1, drawing)

    assert len(first) > 200
    assert first == sent_requests(1, drawing)
    generated = checks_named("generated_objects_are_accepted")
    assert sent_requests(1, generated) != sent_requests(2, generated)
