"""
Whose answer it is: request ids, and answers under concurrency.
"""

from __future__ import annotations

from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import orjson

from chainproof.contract import clauses

from ..probing.requester import Requester
from ..transport.not_asked import NotAsked
from ..transport.request import JSON_TYPE, CheckRequest
from . import check_for

_AT_ONCE = 12


_BROUGHT = (
    "X-Baseten-Request-Id",
    "X-Request-Id",
    "X-Correlation-Id",
    "X-Amzn-Trace-Id",
    "X-Cloud-Trace-Context",
    "Request-Id",
    "traceparent",
)
"""Header fields by which callers bring an id of their own along."""


@check_for(clauses.REQUEST_ID_PRESENT, clauses.REQUEST_ID_UNIQUE)
def every_answer_has_its_own_request_id(requester: Requester) -> None:
    """
    Equal requests, refused ones of each kind and HEAD, over one connection after another, each get an id that no other has.
    """
    made = requester.build_request
    requests = (
        made(),
        made(b"[]"),
        made(b"{"),
        made(None, fields=()),
        made(None, method="HEAD", fields=()),
        made(None, method="GET", fields=()),
        replace(made(), fields=(JSON_TYPE,)),
        made(path=f"{requester.target.path}x"),
    )
    for request in requests:
        for _ in range(3):
            requester.send(replace(request, label="one of several equal requests"))
    for request in requests * 2:
        with requester.raw_connection() as talk:
            first = requester.prepare(replace(request, label="the first request of a connection"))
            talk.send_request(first)
            requester.record(first, talk.read_answer(first), None)


@check_for(clauses.REQUEST_ID_UNIQUE)
def request_ids_sent_by_the_client_are_not_reused(requester: Requester) -> None:
    """
    Callers may bring the same id along: what they bring is not what makes a request unique.
    """
    token = f"{requester.rng('brought').getrandbits(128):032x}"
    values = {"traceparent": f"00-{token}-{token[:16]}-01"}
    for name in _BROUGHT:
        fields = (JSON_TYPE, (name, values.get(name, token)))
        for body in (requester.minimal_body, b"[]"):
            for _ in range(2):
                request = requester.build_request(body, fields=fields, label=f"requests that bring the same {name}")
                requester.send(request)


@check_for(clauses.REQUEST_ID_UNIQUE)
def concurrent_requests_get_unique_request_ids(requester: Requester) -> None:
    """
    Requests in flight at the same time get different ids too, equal ones and refused ones among them.
    """
    _at_once(requester, _numbered(requester, "id"))
    equal = [requester.build_request(label="one of a burst of equal requests") for _ in range(5 * _AT_ONCE)]
    refused = [requester.build_request(b"[]", label="one of a burst of equal requests") for _ in range(_AT_ONCE)]
    _at_once(requester, equal + refused)


@check_for(clauses.ANSWER_MATCHES_REQUEST)
def concurrent_requests_get_their_own_answers(requester: Requester) -> None:
    """
    Of a dozen requests in flight, each gets its own object back.
    """
    if not requester.settings.echo:
        raise NotAsked("needs --echo: a chain that returns its input")
    for number in range(6):
        _at_once(requester, _numbered(requester, f"round {number}"))


def _numbered(requester: Requester, purpose: str) -> Iterable[CheckRequest]:
    """
    Requests whose bodies differ, in length too.
    """
    rng = requester.rng(purpose)
    for number in range(_AT_ONCE):
        body = orjson.dumps({"number": number, "token": f"{rng.getrandbits(64):016x}", "padding": "x" * number * 50})
        yield requester.build_request(body, label="one of a dozen concurrent requests")


def _at_once(requester: Requester, requests: Iterable[CheckRequest]) -> None:
    """
    Ask all of them at the same time.
    """
    with ThreadPoolExecutor(_AT_ONCE) as pool:
        list(pool.map(requester.send, requests))
