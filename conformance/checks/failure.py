"""A steerable target returns each documented error on demand."""

from __future__ import annotations

from collections.abc import Iterable

from chainproof.contract import clauses
from chainproof.contract.errors import ErrorCode

from ..judging.expectation import STEERING_HEADER
from ..options import Depth
from ..probing.check_context import DEFAULT_BODY
from ..probing.requester import Requester
from ..transport.check_skipped import CheckSkipped
from ..transport.request import JSON_TYPE, CheckRequest
from . import check_for

_REPEATS: dict[Depth, int] = {Depth.QUICK: 2, Depth.STANDARD: 6, Depth.DEEP: 40}
"""Requests for each error; repeats show errors that are wrong only sometimes."""

_OTHER_OBJECT = b'{"names":["Ada"],"chainproof":true}'


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
    Each of the ten codes comes with its documented status, a documented body and a request id of its own, for any
    object.
    """
    _require_steering(requester)
    for turn in range(_REPEATS[requester.settings.depth]):
        for request in _error_requests(requester, turn):
            requester.submit(request)


def _require_steering(requester: Requester) -> None:
    """Skip the check if the target does not return errors on demand."""
    if not requester.settings.steerable:
        raise CheckSkipped("needs --steerable: a target that returns errors on demand")


def _error_requests(requester: Requester, turn: int) -> Iterable[CheckRequest]:
    """A request for each code; every other one has another object than the minimal one."""
    accepts_any_object = requester.settings.echo and requester.terms.input_schema is None
    for number, code in enumerate(ErrorCode, turn):
        body = _OTHER_OBJECT if number % 2 and accepts_any_object else DEFAULT_BODY
        yield requester.build_request(
            body, fields=((STEERING_HEADER, code.value), JSON_TYPE), label=f"{STEERING_HEADER}: {code.value}"
        )


@check_for(clauses.ERROR_ON_DEMAND, clauses.OBJECT_ACCEPTED)
def errors_on_demand_affect_only_one_request(requester: Requester) -> None:
    """After a request for an error, the next request is answered normally."""
    _require_steering(requester)
    for code in ErrorCode:
        requester.send(
            requester.build_request(
                fields=((STEERING_HEADER, code.value), JSON_TYPE), label=f"{STEERING_HEADER}: {code.value}"
            )
        )
        requester.send(requester.build_request())
