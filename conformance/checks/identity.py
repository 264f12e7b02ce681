"""
Whose answer it is: request ids, and answers under concurrency.
"""

from __future__ import annotations

from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor

import orjson
import pytest

from chainproof.contract import clauses

from ..examination import Examination
from ..request import Request
from . import upholds

_AT_ONCE = 12


@upholds(clauses.REQUEST_ID_PRESENT, clauses.REQUEST_ID_UNIQUE)
def every_request_has_an_id_of_its_own(examination: Examination) -> None:
    """
    Equal requests, refused ones, and ones that bring an id along, each get an id that no other has.
    """
    for body in (examination.plain, b"[]"):
        for _ in range(3):
            examination.ask(examination.request(body))
    brought = (("X-Baseten-Request-Id", "chainproof"), ("Content-Type", "application/json"))
    for _ in range(2):
        examination.ask(examination.request(fields=brought))


@upholds(clauses.REQUEST_ID_UNIQUE)
def ids_are_unique_among_concurrent_requests(examination: Examination) -> None:
    """
    Requests in flight at the same time get different ids too.
    """
    _at_once(examination, _numbered(examination, "id"))


@upholds(clauses.ANSWER_BELONGS)
def an_answer_belongs_to_its_request(examination: Examination) -> None:
    """
    Of a dozen requests in flight, each gets its own object back.
    """
    if not examination.settings.echo:
        pytest.skip("the target's chain is not said to return what it is sent (--echo)")
    for number in range(3):
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
