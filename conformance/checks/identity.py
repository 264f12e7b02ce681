"""Each answer belongs to one request: request ids are unique, and concurrent requests get their own answers."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

import orjson

from chainproof.contract import clauses
from chainproof.contract.header_fields import HeaderField

from ..probing.budget import Round
from ..probing.check_context import NEEDS_ECHO
from ..probing.concurrency import run_in_threads
from ..probing.requester import Requester
from ..transport.check_skipped import CheckSkipped
from ..transport.request import JSON_TYPE, CheckRequest
from . import check_for

_BURST_SIZE = 12


_CLIENT_ID_HEADERS = (
    "X-Baseten-Request-Id",
    "X-Request-Id",
    "X-Correlation-Id",
    "X-Amzn-Trace-Id",
    "X-Cloud-Trace-Context",
    "Request-Id",
    "X-Trace-Id",
    "X-B3-TraceId",
    "Idempotency-Key",
    "traceparent",
)
"""Header fields in which clients send an id of their own."""


@check_for(clauses.REQUEST_ID_PRESENT, clauses.REQUEST_ID_UNIQUE)
def every_answer_has_its_own_request_id(requester: Requester) -> None:
    """Equal requests, rejected ones and HEAD get an id that no other answer has, on reused and on new connections."""
    build = requester.build_request
    requests = (
        build(),
        build(b"[]"),
        build(b"{"),
        build(None, fields=()),
        build(None, method="HEAD", fields=()),
        build(None, method="GET", fields=()),
        replace(build(), fields=(JSON_TYPE,)),
        build(path=f"{requester.target.path}x"),
    )
    repeats = requester.share(3, first=1)
    for request in requests:
        for _ in range(repeats):
            requester.send(replace(request, label="one of several equal requests"))
    for request in requests * requester.share(2, first=1):
        with requester.raw_connection() as connection:
            first = requester.prepare(replace(request, label="the first request of a connection"))
            requester.record(first, connection.exchange(first), None)


@check_for(clauses.REQUEST_ID_UNIQUE)
def request_ids_sent_by_the_client_are_not_reused(requester: Requester) -> None:
    """Clients may send the same id with several requests; the target must not use it as the request id."""
    token = f"{requester.rng('brought').getrandbits(128):032x}"
    values = {"traceparent": f"00-{token}-{token[:16]}-01"}
    for name in _CLIENT_ID_HEADERS:
        fields = (JSON_TYPE, (name, values.get(name, token)))
        for body in (requester.inputs.base, b"[]"):
            for _ in range(requester.share(2, first=1)):
                request = requester.build_request(body, fields=fields, label=f"requests with the same {name}")
                requester.send(request)


@check_for(clauses.REQUEST_ID_UNIQUE)
def concurrent_requests_get_unique_request_ids(requester: Requester) -> None:
    """Concurrent requests get different ids, equal and rejected ones included."""
    if requester.scope.round is not Round.REST:
        run_in_threads(requester.send, _distinct_requests(requester, "id"), threads=_BURST_SIZE)
    label, bursts = "one of a burst of equal requests", requester.share(5, first=1)
    equal = [requester.build_request(label=label) for _ in range(bursts * _BURST_SIZE)]
    rejected = [requester.build_request(b"[]", label=label) for _ in range(min(1, bursts) * _BURST_SIZE)]
    run_in_threads(requester.send, equal + rejected, threads=_BURST_SIZE)


@check_for(clauses.ANSWER_MATCHES_REQUEST)
def concurrent_requests_get_their_own_answers(requester: Requester) -> None:
    """Each of a dozen concurrent requests gets its own object back, compressed or not."""
    if not requester.settings.echo:
        raise CheckSkipped(NEEDS_ECHO)
    for number in range(requester.share(6, first=1)):
        fields = (JSON_TYPE, *_COMPRESSED[: number % 2])
        run_in_threads(requester.send, _distinct_requests(requester, f"round {number}", fields), threads=_BURST_SIZE)


_COMPRESSED = (("Accept-Encoding", "gzip"),)
"""A field that lets the target compress its output. It may share what it does that with between requests."""


def _distinct_requests(
    requester: Requester, purpose: str, fields: tuple[HeaderField, ...] = (JSON_TYPE,)
) -> Iterable[CheckRequest]:
    """Requests with bodies of different content and length."""
    rng = requester.rng(purpose)
    for number in range(_BURST_SIZE):
        if requester.inputs.any_object:
            values = {"number": number, "token": f"{rng.getrandbits(64):016x}", "padding": "x" * number * 50}
            body = orjson.dumps(values)
        else:
            body = requester.unique_input(f"{purpose} {number}", number * 50)
        yield requester.build_request(body, fields=fields, label="one of a dozen concurrent requests")
