"""
How it fails, when it is made to.
"""

from __future__ import annotations

from collections.abc import Iterable

import pytest

from chainproof.contract import clauses
from chainproof.contract.errors import ErrorCode

from ..judging.expectation import STEER
from ..options import Depth
from ..probing.requester import PLAIN, Examination
from ..transport.request import JSON_TYPE, Request
from . import upholds

_TIMES: dict[Depth, int] = {Depth.QUICK: 2, Depth.STANDARD: 6, Depth.DEEP: 40}
"""How often each error is asked for: one that is wrong now and then shows in some."""

_ANOTHER = b'{"names":["Ada"],"chainproof":true}'


@upholds(
    clauses.STEERED_ERROR,
    clauses.ERROR_CODE,
    clauses.ERROR_CODE_STATUS,
    clauses.ERROR_MESSAGE,
    clauses.ERROR_DETAIL,
    clauses.RETRY_AFTER,
    clauses.REQUEST_ID_UNIQUE,
)
def every_documented_error_is_given_on_demand(examination: Examination) -> None:
    """
    Each of the ten codes, with a status of its row, in a body as documented and with an id of its own, each time and
    whatever the object is.
    """
    _require_steering(examination)
    for turn in range(_TIMES[examination.settings.depth]):
        for request in _wishes(examination, turn):
            examination.ask(request)


def _require_steering(examination: Examination) -> None:
    """
    Skip where errors cannot be asked for.
    """
    if not examination.settings.steerable:
        pytest.skip("the target is not said to give errors on demand (--steerable)")


def _wishes(examination: Examination, turn: int) -> Iterable[Request]:
    """
    Every code once, every other one with another object than the plain one.
    """
    known = examination.settings.echo and examination.terms.takes is None
    for number, code in enumerate(ErrorCode, turn):
        body = _ANOTHER if number % 2 and known else PLAIN
        yield examination.request(body, fields=((STEER, code.value), JSON_TYPE), label=f"{STEER}: {code.value}")


@upholds(clauses.STEERED_ERROR, clauses.OBJECT_ACCEPTED)
def an_error_on_demand_is_given_once(examination: Examination) -> None:
    """
    The request behind one that was given an error is answered as if there had been none.
    """
    _require_steering(examination)
    for code in ErrorCode:
        examination.ask(examination.request(fields=((STEER, code.value), JSON_TYPE), label=f"{STEER}: {code.value}"))
        examination.ask(examination.request())
