"""
Requests without a valid key are rejected, whatever else they contain and however often they are sent.

Apart from the reference requests, nothing here carries the right key: an output of the chain means that
authentication was bypassed.
"""

from __future__ import annotations

import gzip
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from threading import Event

from chainproof.contract import clauses
from chainproof.contract.answer import Answer
from chainproof.contract.errors import ErrorCode
from chainproof.contract.header_fields import HeaderField

from ..inputs.bypass_requests import (
    BYPASS_METHODS,
    BYPASS_QUERIES,
    CLAIMS_TOGETHER,
    OTHER_TYPES,
    SPOOFED_HEADERS,
    bypass_paths,
)
from ..inputs.chain_inputs import padded
from ..judging.auth_bypass_cause import WRONG_KEY
from ..judging.expectation import NO_ERROR, STEERING_HEADER, expectation
from ..options import Depth, Permission
from ..probing.answer_recorder import JudgedExchange
from ..probing.concurrency import run_in_threads, run_together
from ..probing.requester import Requester
from ..probing.unusual_requests import UNUSUAL_REQUESTS, UnusualRequest, exchange_unusual, unusual_request
from ..transport.raw_connection import OPTIONAL_ANSWER_TIMEOUT, RawConnection
from ..transport.request import JSON_TYPE, CheckRequest, request_bytes
from . import check_for
from .credentials import request_without_key

_THREADS = 6

_UNAUTHENTICATED_REQUESTS: dict[Depth, int] = {Depth.QUICK: 60, Depth.STANDARD: 400, Depth.DEEP: 4000}
"""
Requests without a valid key in the check of many requests. A target that accepts 1 in 50 of them goes undetected with
a probability of 1/3, 1/3000 and 0.
"""

_WRONG_KEYS_IN_A_ROW: dict[Depth, int] = {Depth.QUICK: 16, Depth.STANDARD: 40, Depth.DEEP: 200}
_VALID_PER_UNAUTHENTICATED = 0.3
"""Requests with the right key for each request without it."""
_CLOSE_SHARE = 0.1
"""Share of the requests without a valid key that ask for the connection to be closed."""

_BURST_SIZE = 12

_ROUNDS: dict[Depth, int] = {Depth.QUICK: 2, Depth.STANDARD: 12, Depth.DEEP: 60}
"""Bursts of concurrent requests; every other request of a burst has no valid key."""

_MAX_SEARCHED = 2**20
"""Bytes of an answer that are searched for the keys of other requests."""

_UNIQUE_OBJECT = b'{"chainproof":"%s"}' % (b"x" * 120)
"""An object that no target returns by chance."""


@check_for(clauses.AUTHENTICATION_REQUIRED)
def other_headers_do_not_bypass_authentication(requester: Requester) -> None:
    """
    No header replaces the key: neither one that names another sender, route or purpose, nor one that asks for an
    error.
    """
    if _accepts(requester.send(request_without_key(requester, label="a request without Authorization"))):
        return
    for name, value in SPOOFED_HEADERS:
        label = f"a request without Authorization, with {name}: {value[:40]}"
        request = request_without_key(requester, (name, value), label=label)
        # Connection must not name a field that is for the chain (RFC 9110 §7.6.1): Varnish rejects such a message itself.
        requester.submit(replace(request, valid_message=name != "Connection"))
    for claim, fields in CLAIMS_TOGETHER:
        label = f"a request without Authorization, with {claim}"
        requester.submit(request_without_key(requester, *fields, label=label))
    for code in (NO_ERROR, ErrorCode.CLIENT_ERROR.value) * requester.settings.steerable:
        label = f"a request without Authorization, with {STEERING_HEADER}: {code}"
        requester.submit(request_without_key(requester, (STEERING_HEADER, code), label=label))
    for protocol in ("websocket", "h2c"):
        _send_upgrade_request(requester, protocol)
    _send_after_proxy_line(requester)


def _accepts(judged: JudgedExchange) -> bool:
    """True if the target accepts the request, that is, requires no key at all."""
    return judged.answer is not None and judged.answer.is_success


def _send_upgrade_request(requester: Requester, protocol: str) -> None:
    """
    Send an upgrade request that no POST can fulfil. The HTTP server itself may answer it, in its own format, or
    close. A gateway that takes the connection for a tunnel then does not authenticate what comes next.
    """
    fields = (("Connection", "Upgrade"), ("Upgrade", protocol))
    label = f"a request without Authorization, with Upgrade: {protocol}"
    after = request_without_key(requester, label=f"a request without Authorization, after one with Upgrade: {protocol}")
    with requester.raw_connection() as connection:
        for request in (request_without_key(requester, *fields, label=label), after):
            if not _send_in_any_form(requester, connection, request):
                return


def _send_after_proxy_line(requester: Requester) -> None:
    """Send a request after a line of the PROXY protocol, by which a load balancer names the client's address."""
    if not requester.is_permitted(Permission.SMUGGLING):
        return
    request = request_without_key(requester, label="a request without Authorization, after a PROXY line")
    with requester.raw_connection() as connection:
        _send_in_any_form(requester, connection, request, before=b"PROXY TCP4 127.0.0.1 127.0.0.1 65000 80\r\n")


def _send_in_any_form(
    requester: Requester, connection: RawConnection, request: CheckRequest, before: bytes = b""
) -> bool:
    """Send a request that may be rejected in any form. Returns whether the connection is open after its answer."""
    request = requester.prepare(replace(request, valid_message=False))
    within = min(OPTIONAL_ANSWER_TIMEOUT, requester.settings.deadline)
    received = connection.exchange(request, before + request_bytes(request, requester.target), within=within)
    if received.answer is None:
        return False
    requester.record(request, received, expectation(request, requester.terms))
    return not connection.is_closed and not received.closes_connection


@check_for(clauses.AUTHENTICATION_REQUIRED)
def query_parameters_do_not_bypass_authentication(requester: Requester) -> None:
    """No query parameter replaces the key."""
    for flag in BYPASS_QUERIES:
        label = f"a request without Authorization, with ?{flag}"
        requester.submit(request_without_key(requester, label=label, path=f"{requester.target.path}?{flag}"))


@check_for(clauses.AUTHENTICATION_REQUIRED)
def request_bodies_do_not_bypass_authentication(requester: Requester) -> None:
    """Authentication does not depend on the body: empty, invalid, large, chunked or of another media type."""
    without = request_without_key(requester, label="a request without Authorization")
    for label, body in (
        ("with an empty body", b""),
        ("with an array", b"[]"),
        ("with null", b"null"),
        ("with a string", b'"x"'),
        ("with a truncated object", b"{"),
        ("with bytes that are not UTF-8", b'{"\xff":1}'),
        ("with an object of 200 kB", _embedded(requester, b'{"x":"%s"}' % (b"x" * 200_000))),
        (
            "with an object of 1000 members",
            _embedded(requester, b"{%s}" % b",".join(b'"%d":%d' % (n, n) for n in range(1000))),
        ),
        *_large_bodies(requester),
    ):
        requester.submit(replace(without, body=body, label=f"{without.label}, {label}"))
    requester.submit(replace(without, chunked=True, label=f"{without.label}, chunked"))
    for media_type in OTHER_TYPES:
        fields = (("Content-Type", media_type),)
        requester.submit(
            replace(without, fields=fields, label=f"{without.label}, with {media_type or 'an empty'} Content-Type")
        )
    requester.submit(replace(without, fields=(), label=f"{without.label} or Content-Type"))
    coded = (JSON_TYPE, ("Content-Encoding", "gzip"))
    # A proxy may decode the body, and answer in its own format when that fails.
    coded_request = replace(without, fields=coded, valid_message=False)
    requester.submit(replace(coded_request, label=f"{without.label}, with Content-Encoding: gzip on a plain body"))
    compressed = gzip.compress(requester.inputs.base, mtime=0)
    label = f"{without.label}, with Content-Encoding: gzip"
    request = replace(coded_request, body=compressed, label=label)
    _record_acceptance(requester, request, requester.send(request).answer)


def _record_acceptance(requester: Requester, request: CheckRequest, answer: Answer | None) -> None:
    """Record whether a request without a key was accepted, in whatever form it was rejected."""
    if answer is None:
        return
    clause, is_accepted = clauses.AUTHENTICATION_REQUIRED, answer.is_success
    requester.record_clause(
        clause, request, answer, expected="status 401", actual=f"status {answer.status}" if is_accepted else None
    )


_BUFFERED_BYTES = 2**20
"""Bytes of a body that gateways often pass to the service that authenticates. Some let larger ones through."""


def _large_bodies(requester: Requester) -> Iterator[tuple[str, bytes]]:
    """A body that is too large to be passed to the service that authenticates, with a label."""
    if requester.is_permitted(Permission.HUGE_BODIES):
        yield "with an object of more than 1 MiB", padded(requester.inputs.base, _BUFFERED_BYTES + 1000)


def _embedded(requester: Requester, text: bytes) -> bytes:
    """An input with an object in it; the base, made as long, if the chain accepts none."""
    return requester.inputs.embed(text) or padded(requester.inputs.base, len(text))


@check_for(clauses.AUTHENTICATION_REQUIRED)
def methods_and_paths_do_not_bypass_authentication(requester: Requester) -> None:
    """Where another method or path also runs the chain, it requires the key too."""
    without = request_without_key(requester, label="without Authorization", body=_embedded(requester, _UNIQUE_OBJECT))
    for method in BYPASS_METHODS:
        requester.submit(replace(without, method=method, label=f"{method} without Authorization"))
    for path in dict.fromkeys(bypass_paths(requester.target.path)):
        requester.submit(replace(without, path=path, label=f"POST {path} without Authorization"))
    # No request has a fragment, but a gateway may compare the path with it and the target cut it off.
    fragment = replace(without, path=f"{requester.target.path}#x", label="POST with a fragment, without Authorization")
    requester.submit(replace(fragment, valid_message=False))
    origin = f"{requester.target.scheme}://{requester.target.authority}"
    requester.submit(
        replace(without, path=origin + without.path, label="POST with an absolute URL, without Authorization")
    )


@check_for(clauses.AUTHENTICATION_REQUIRED, title="`Host` headers do not bypass authentication")
def host_headers_do_not_bypass_authentication(requester: Requester) -> None:
    """No `Host` header replaces the key."""
    requester.require_permission(Permission.FOREIGN_HOSTS)
    without = request_without_key(requester, label="without Authorization", body=_embedded(requester, _UNIQUE_OBJECT))
    for host in (
        "localhost",
        "127.0.0.1",
        "chainproof.invalid",
        "admin.internal",
        "[::1]",
        "chain.default.svc.cluster.local",
    ):
        requester.submit(replace(without, host=host, label=f"a request without Authorization, with Host: {host}"))
    for host in ("localhost", "127.0.0.1"):
        label = f"a request without Authorization, with an absolute URL of {host}"
        requester.submit(replace(without, path=f"http://{host}{without.path}", label=label))


@check_for(clauses.AUTHENTICATION_REQUIRED, title="requests with an old HTTP version are authenticated")
def requests_with_an_old_http_version_are_authenticated(requester: Requester) -> None:
    """HTTP/1.0 has other rules for connections, hosts and framing, but requires the same key."""
    request = request_without_key(requester, label="a request without Authorization in HTTP/1.0")
    request = requester.prepare(replace(request, valid_message=False))
    content = request_bytes(request, requester.target).replace(b" HTTP/1.1\r\n", b" HTTP/1.0\r\n", 1)
    with requester.raw_connection() as connection:
        received = connection.exchange(request, content, http_1_0=True)
        requester.record(request, received, expectation(request, requester.terms))


@check_for(clauses.AUTHENTICATION_REQUIRED)
def unusual_framings_do_not_bypass_authentication(requester: Requester) -> None:
    """A request without a key is rejected in every framing: in chunks, in pieces, with trailers, with long header fields."""
    if _accepts(requester.send(request_without_key(requester, label="a request without Authorization"))):
        return
    within = min(OPTIONAL_ANSWER_TIMEOUT, requester.settings.deadline)

    def check(unusual: UnusualRequest) -> None:
        request = unusual_request(requester, unusual, with_key=False)
        request = replace(request, label=f"a request without Authorization: {unusual.label}")
        answer = exchange_unusual(requester, unusual, request, within).answer
        _record_acceptance(requester, request, answer)

    requester.run_each(check, UNUSUAL_REQUESTS, _THREADS)


@check_for(clauses.AUTHENTICATION_REQUIRED, clauses.KEY_VERIFIED)
def authentication_does_not_carry_over_to_other_requests(requester: Requester) -> None:
    """A request with the right key authenticates no later request, neither on its connection nor on another."""
    right, wrong, without = _right_wrong_and_no_key(requester)
    for sequence in (
        (right, without, wrong),
        (wrong, right, without, right, wrong),
        (without, right, right, without, wrong, without),
        (replace(right, method="GET"), without),
        (replace(right, body=b"["), without),
    ):
        with requester.raw_connection() as connection:
            _send_in_turn(requester, connection, sequence)
    for unauthenticated in (without, wrong):
        with requester.raw_connection() as first, requester.raw_connection() as second:
            _send_in_turn(requester, first, (right,))
            _send_in_turn(requester, second, (unauthenticated,))


def _right_wrong_and_no_key(requester: Requester) -> tuple[CheckRequest, CheckRequest, CheckRequest]:
    """A request with the right key, one with a wrong key, and one without a key."""
    wrong = ("Authorization", f"{requester.key.scheme.prefix} {WRONG_KEY}")
    return (
        requester.build_request(),
        request_without_key(requester, wrong, label="a wrong key, after a request with the right key"),
        request_without_key(requester, label="a request without Authorization, after one with the right key"),
    )


def _send_in_turn(requester: Requester, connection: RawConnection, sequence: Iterable[CheckRequest]) -> None:
    """Send the requests one after another on one connection, until the target closes it."""
    for number, turn in enumerate(sequence):
        request = requester.prepare(turn)
        received = connection.exchange(request)
        if number and received.answer is None:
            return  # the target may close any connection after an answer
        is_right = request.fields[0][1] == requester.key.authorization
        # Another clause covers whether the right key is accepted again.
        expected = None if is_right else expectation(request, requester.terms)
        requester.record(request, received, expected)
        if connection.is_closed or received.answer is None or _announces_close(received.answer):
            return


def _announces_close(answer: Answer) -> bool:
    """True if the answer is the last one on its connection."""
    return any("close" in value.lower() for value in answer.fields("connection"))


@check_for(clauses.AUTHENTICATION_REQUIRED, clauses.KEY_VERIFIED)
def every_one_of_many_requests_is_authenticated(requester: Requester) -> None:
    """Hundreds of requests without a valid key, mixed with valid ones on reused and new connections, are all rejected."""
    requester.require_permission(Permission.KEY_GUESSING)
    rng = requester.rng("authentication")
    count = requester.share(_UNAUTHENTICATED_REQUESTS[requester.settings.depth], first=12)
    for request in _unauthenticated_requests(requester, count):
        if rng.random() < _VALID_PER_UNAUTHENTICATED:
            requester.send_valid_body(requester.inputs.base)
        last = (("Connection", "close"),) if rng.random() < _CLOSE_SHARE else ()
        if _is_rate_limited(requester.send(replace(request, fields=(*request.fields, *last)))):
            return


@check_for(clauses.KEY_VERIFIED, exclusive=True)
def wrong_keys_in_a_row_are_rejected(requester: Requester) -> None:
    """Many requests with wrong keys, and no other request between them, are all rejected: rejections do not wear out."""
    requester.require_permission(Permission.KEY_GUESSING)
    rng = requester.rng("wrong keys in a row")
    requests = [
        request_without_key(
            requester,
            ("Authorization", f"{requester.key.scheme.prefix} {rng.getrandbits(32):08x}.{rng.getrandbits(128):032x}"),
            label="one of many wrong keys in a row",
        )
        for _ in range(_WRONG_KEYS_IN_A_ROW[requester.settings.depth])
    ]
    is_limited = Event()

    def send(request: CheckRequest) -> None:
        if not is_limited.is_set() and _is_rate_limited(requester.send(request)):
            is_limited.set()

    run_in_threads(send, requests, threads=requester.concurrency)


def _unauthenticated_requests(requester: Requester, times: int) -> Iterator[CheckRequest]:
    """Requests without a valid key; half of them carry no key at all."""
    rng = requester.rng("unauthenticated")
    key, prefix = requester.key.reveal(), requester.key.scheme.prefix
    for _ in range(times):
        kind = rng.randrange(4)
        wrong = f"{prefix} {rng.getrandbits(32):08x}.{rng.getrandbits(len(key) * 4):x}"
        fields: Sequence[HeaderField] = (
            () if kind < 2 else (("Authorization", wrong),) if kind == 2 else _UNKNOWN_SCHEME
        )
        yield request_without_key(requester, *fields, label="one of many requests without a valid key")


_UNKNOWN_SCHEME: Sequence[HeaderField] = (("Authorization", f"Chainproof {WRONG_KEY}"),)


def _is_rate_limited(judged: JudgedExchange) -> bool:
    """True if the target limits the rate of unauthenticated requests, which it may."""
    return judged.answer is None or judged.answer.status == 429


@check_for(clauses.AUTHENTICATION_REQUIRED, clauses.NO_CREDENTIAL_LEAK)
def concurrent_requests_are_authenticated_separately(requester: Requester) -> None:
    """
    With and without the right key at the same time, no request gets another's permission, and no answer shows
    another's key.
    """
    requester.require_permission(Permission.KEY_GUESSING)
    for turn in range(_ROUNDS[requester.settings.depth]):
        requests = list(_concurrent_requests(requester, turn))
        # On a busy machine the first request would be answered before the last is sent.
        received = run_together(requester.send, requests)
        for judged in received:
            _record_leaked_key(requester, judged, requests)
        if any(judged.status == 429 for judged in received):
            return


def _concurrent_requests(requester: Requester, turn: int) -> Iterator[CheckRequest]:
    """Concurrent requests: every other one has the right key, the rest have none or a wrong key of their own."""
    for number in range(_BURST_SIZE):
        if number % 2:
            yield requester.build_request(label="one of a dozen concurrent requests")
            continue
        wrong = f"{requester.key.scheme.prefix} chainproof{turn:03}.caller{number:03}"
        fields: Sequence[HeaderField] = () if number % 4 else (("Authorization", wrong),)
        yield request_without_key(requester, *fields, label="one of a dozen concurrent requests, without a valid key")


def _record_leaked_key(requester: Requester, judged: JudgedExchange, requests: Sequence[CheckRequest]) -> None:
    """Report an answer that contains the credentials of another request."""
    answer = judged.answer
    if answer is None:
        return
    text = repr(answer.headers) + answer.body[:_MAX_SEARCHED].decode("latin-1")
    own_keys = "".join(judged.request.values("authorization"))
    sent_keys = (value.partition(" ")[2] for request in requests for value in request.values("authorization"))
    if any(key.startswith("chainproof") and key in text and key not in own_keys for key in sent_keys):
        requester.record_clause(
            clauses.NO_CREDENTIAL_LEAK,
            judged.request,
            answer,
            expected="an answer without the credentials of other requests",
            actual=f"status {answer.status}, containing the key of a concurrent request",
        )
