"""
How it fails, when it is made to.
"""

from __future__ import annotations

from collections.abc import Iterable

from chainproof.contract import clauses
from chainproof.contract.errors import ErrorCode

from ..judging.expectation import STEERING_HEADER
from ..options import Depth
from ..probing.requester import DEFAULT_BODY, Requester
from ..transport.not_asked import NotAsked
from ..transport.request import JSON_TYPE, CheckRequest
from . import check_for

_TIMES: dict[Depth, int] = {Depth.QUICK: 2, Depth.STANDARD: 6, Depth.DEEP: 40}
"""How often each error is asked for: one that is wrong now and then shows in some."""

_ANOTHER = b'{"names":["Ada"],"chainproof":true}'


@check_for(
    clauses.ERROR_ON_DEMAND,
    clauses.ERROR_CODE,
    clauses.ERROR_CODE_STATUS,
    clauses.ERROR_MESSAGE,
    clauses.ERROR_DETAIL,
    clauses.RETRY_AFTER,
    clauses.REQUEST_ID_UNIQUE,
)
def every_documented_error_is_returned_on_demand(requester: Requester) -> None:
    """
    Each of the ten codes, with a status of its row, in a body as documented and with an id of its own, each time and
    whatever the object is.
    """
    _require_steering(requester)
    for turn in range(_TIMES[requester.settings.depth]):
        for request in _wishes(requester, turn):
            requester.send(request)


def _require_steering(requester: Requester) -> None:
    """
    Skip where errors cannot be asked for.
    """
    if not requester.settings.steerable:
        raise NotAsked("needs --steerable: a target that returns errors on demand")


def _wishes(requester: Requester, turn: int) -> Iterable[CheckRequest]:
    """
    Every code once, every other one with another object than the plain one.
    """
    known = requester.settings.echo and requester.terms.input_schema is None
    for number, code in enumerate(ErrorCode, turn):
        body = _ANOTHER if number % 2 and known else DEFAULT_BODY
        yield requester.build_request(
            body, fields=((STEERING_HEADER, code.value), JSON_TYPE), label=f"{STEERING_HEADER}: {code.value}"
        )


@check_for(clauses.ERROR_ON_DEMAND, clauses.OBJECT_ACCEPTED)
def errors_on_demand_affect_only_one_request(requester: Requester) -> None:
    """
    The request behind one that was given an error is answered as if there had been none.
    """
    _require_steering(requester)
    for code in ErrorCode:
        requester.send(
            requester.build_request(
                fields=((STEERING_HEADER, code.value), JSON_TYPE), label=f"{STEERING_HEADER}: {code.value}"
            )
        )
        requester.send(requester.build_request())
