"""
Whose answer it is: request ids, and answers under concurrency.
"""

from __future__ import annotations

from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import orjson
import pytest

from chainproof.contract import clauses

from ..probing.requester import Examination
from ..transport.request import JSON_TYPE, Request
from . import upholds

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


@upholds(clauses.REQUEST_ID_PRESENT, clauses.REQUEST_ID_UNIQUE)
def every_request_has_an_id_of_its_own(examination: Examination) -> None:
    """
    Equal requests, refused ones of each kind and HEAD, over one connection after another, each get an id that no other has.
    """
    made = examination.request
    requests = (
        made(),
        made(b"[]"),
        made(b"{"),
        made(None, fields=()),
        made(None, method="HEAD", fields=()),
        made(None, method="GET", fields=()),
        replace(made(), fields=(JSON_TYPE,)),
        made(path=f"{examination.target.path}x"),
    )
    for request in requests:
        for _ in range(3):
            examination.ask(replace(request, label="one of several equal requests"))
    for request in requests * 2:
        with examination.conversation() as talk:
            first = examination.prepared(replace(request, label="the first request of a connection"))
            talk.say(first)
            examination.enter(first, talk.hear(first), None)


@upholds(clauses.REQUEST_ID_UNIQUE)
def an_id_is_not_the_callers(examination: Examination) -> None:
    """
    Callers may bring the same id along: what they bring is not what makes a request unique.
    """
    token = f"{examination.chance('brought').getrandbits(128):032x}"
    values = {"traceparent": f"00-{token}-{token[:16]}-01"}
    for name in _BROUGHT:
        fields = (JSON_TYPE, (name, values.get(name, token)))
        for body in (examination.plain, b"[]"):
            for _ in range(2):
                request = examination.request(body, fields=fields, label=f"requests that bring the same {name}")
                examination.ask(request)


@upholds(clauses.REQUEST_ID_UNIQUE)
def ids_are_unique_among_concurrent_requests(examination: Examination) -> None:
    """
    Requests in flight at the same time get different ids too, equal ones and refused ones among them.
    """
    _at_once(examination, _numbered(examination, "id"))
    equal = [examination.request(label="one of a burst of equal requests") for _ in range(5 * _AT_ONCE)]
    refused = [examination.request(b"[]", label="one of a burst of equal requests") for _ in range(_AT_ONCE)]
    _at_once(examination, equal + refused)


@upholds(clauses.ANSWER_BELONGS)
def an_answer_belongs_to_its_request(examination: Examination) -> None:
    """
    Of a dozen requests in flight, each gets its own object back.
    """
    if not examination.settings.echo:
        pytest.skip("the target's chain is not said to return what it is sent (--echo)")
    for number in range(6):
        _at_once(examination, _numbered(examination, f"round {number}"))


def _numbered(examination: Examination, purpose: str) -> Iterable[Request]:
    """
    Requests whose bodies differ, in length too.
    """
    chance = examination.chance(purpose)
    for number in range(_AT_ONCE):
        body = orjson.dumps({"number": number, "token": f"{chance.getrandbits(64):016x}", "padding": "x" * number * 50})
        yield examination.request(body, label="one of a dozen concurrent requests")


def _at_once(examination: Examination, requests: Iterable[Request]) -> None:
    """
    Ask all of them at the same time.
    """
    with ThreadPoolExecutor(_AT_ONCE) as pool:
        list(pool.map(examination.ask, requests))
