"""
Faults of memory: one request's answer depends on another.
"""

from __future__ import annotations

import json
from collections.abc import Iterator

from chainproof.contract.answer import Answer
from chainproof.contract.clauses import (
    ANSWER_MATCHES_REQUEST,
    CONNECTION_PERSISTENCE,
    ECHO_EXACT,
    OBJECT_ACCEPTED,
    OVERLOAD,
    REQUEST_FRAMING,
    REQUEST_ID_UNIQUE,
    REQUEST_ISOLATION,
    STATUS,
)
from chainproof.contract.errors import ErrorCode
from chainproof.json_text import InvalidJson

from .fault import FaultRegistrar, FaultStage
from .hooks import ConnectionEnd, FaultHook, OutgoingAnswer, RequestContext, Step, error, with_body

_at = FaultRegistrar(stage=FaultStage.STATE)


def _cached(context: RequestContext, key: bytes) -> Answer:
    """
    The output that was given first under a key, with a request id of its own.
    """
    correct_answer = context.correct_answer()
    if correct_answer.status != 200:
        return correct_answer
    return with_body(correct_answer, context.memory.answers.setdefault(key, correct_answer).body)


@_at.on_decide(REQUEST_ID_UNIQUE)
def cached_with_request_id(context: RequestContext) -> Answer:
    """A body that has been answered gets the same answer again, its request id included."""
    correct_answer = context.correct_answer()
    return (
        context.memory.answers.setdefault(context.body, correct_answer)
        if correct_answer.status == 200
        else correct_answer
    )


@_at.on_decide(ANSWER_MATCHES_REQUEST)
def cached_by_length(context: RequestContext) -> Answer:
    """Outputs are cached by the body's length."""
    return _cached(context, b"%d" % len(context.body))


@_at.on_decide(ANSWER_MATCHES_REQUEST)
def cached_by_path(context: RequestContext) -> Answer:
    """Outputs are cached by the path: the first of each two seconds is everybody's."""
    return _cached(context, b"%d" % (context.now // 2))


@_at.on_decide(ANSWER_MATCHES_REQUEST)
def cached_by_member_names(context: RequestContext) -> Answer:
    """Outputs are cached by the names of the input's members."""
    value = context.value()
    names = json.dumps(sorted(value)) if isinstance(value, dict) else ""
    return _cached(context, names.encode())


@_at.on_decide(ECHO_EXACT, ANSWER_MATCHES_REQUEST)
def cached_by_equality(context: RequestContext) -> Answer:
    """Outputs are cached by small inputs that compare equal: `1` and `true` are one."""
    value = context.value() if len(context.body) < _SMALL else None
    return (
        _cached(context, repr(sorted(_compared(value).items())).encode())
        if isinstance(value, dict)
        else context.correct_answer()
    )


_SMALL = 100
"""Bytes of an input that a cache is worth its while for."""


def _compared(members: dict[str, object]) -> dict[str, object]:
    """
    Members with each truth value as the number that it equals.
    """
    return {name: int(value) if isinstance(value, bool) else value for name, value in members.items()}


@_at.on_decide(ANSWER_MATCHES_REQUEST)
def cached_by_first_bytes(context: RequestContext) -> Answer:
    """Outputs are cached by the body's first 16 bytes."""
    return _cached(context, context.body[:16])


@_at.on_decide(ANSWER_MATCHES_REQUEST)
def swapped_when_concurrent(context: RequestContext) -> Answer:
    """A request gets the output of one that runs at the same time."""
    correct_answer = context.correct_answer()
    other = next((one.body for one in context.concurrent if one.body and one.body != context.body), None)
    return (
        with_body(correct_answer, other)
        if correct_answer.status == 200 and other and other.lstrip().startswith(b"{")
        else correct_answer
    )


@_at.on_decide(ANSWER_MATCHES_REQUEST)
def swapped_on_connection(context: RequestContext) -> Answer:
    """A request that comes while another of its connection waits gets that one's output."""
    correct_answer = context.correct_answer()
    last = context.connection.bodies[-1] if context.connection.bodies else None
    if correct_answer.status == 200:
        context.connection.bodies.append(context.body)
    return (
        with_body(correct_answer, last)
        if correct_answer.status == 200 and context.in_flight and last
        else correct_answer
    )


@_at.on_decide(ANSWER_MATCHES_REQUEST)
def stale_now_and_then(context: RequestContext) -> Answer:
    """Every 20th output is the one before it."""
    correct_answer = context.correct_answer()
    if correct_answer.status != 200 or not context.memory.every_nth(20, "200") or not context.memory.bodies:
        return correct_answer
    return with_body(correct_answer, context.memory.bodies[-1])


@_at.on_decide(ANSWER_MATCHES_REQUEST)
def stale_on_connection(context: RequestContext) -> Answer:
    """A connection's second output is its first again."""
    correct_answer = context.correct_answer()
    if correct_answer.status == 200:
        context.connection.bodies.append(context.body)
    again = correct_answer.status == 200 and len(context.connection.bodies) == 2
    return with_body(correct_answer, context.connection.bodies[0]) if again else correct_answer


@_at.on_decide(ANSWER_MATCHES_REQUEST)
def stale_after_rejection(context: RequestContext) -> Answer:
    """The first output behind a refused request of the same connection is an earlier one."""
    correct_answer = context.correct_answer()
    refused = context.connection.count["refused"] > 0
    context.connection.count["refused"] = int(correct_answer.status == 400)
    stale = correct_answer.status == 200 and refused and bool(context.memory.bodies)
    return with_body(correct_answer, context.memory.bodies[-1]) if stale else correct_answer


@_at.on_decide(ANSWER_MATCHES_REQUEST)
def members_leak(context: RequestContext) -> Answer:
    """Members of the input before stay where the next has none of that name: a default that is changed in place."""
    correct_answer = context.correct_answer()
    before = (
        json.loads(context.memory.bodies[-1]) if context.memory.bodies and len(context.memory.bodies[-1]) < 1000 else {}
    )
    value = context.value()
    if correct_answer.status != 200 or not isinstance(value, dict) or not set(before) - set(value):
        return correct_answer
    try:
        return with_body(correct_answer, json.dumps({**before, **value}).encode())
    except RecursionError:
        return correct_answer


@_at.on_decide(CONNECTION_PERSISTENCE, REQUEST_FRAMING)
def poisoned_connection(context: RequestContext) -> Answer:
    """Behind a body that is no JSON a connection's objects are answered 400 too."""
    correct_answer = context.correct_answer()
    if correct_answer.status == 400 and context.targets_operation() and context.body:
        context.connection.count["poisoned"] = 1
    poisoned = correct_answer.status == 200 and context.connection.count["poisoned"] > 0
    return error(correct_answer, 400, "client_error") if poisoned else correct_answer


@_at.on_decide(REQUEST_ISOLATION)
def poisoned_endpoint(context: RequestContext) -> Answer:
    """For a second behind a body that is no UTF-8, objects are answered 400, whoever sends them."""
    correct_answer = context.correct_answer()
    now = int(context.now * 1000)
    if correct_answer.status == 400 and context.value() is InvalidJson.NOT_UTF8:
        context.memory.count["until"] = now + 1000
    poisoned = correct_answer.status == 200 and now < context.memory.count["until"]
    return error(correct_answer, 400, "client_error") if poisoned else correct_answer


@_at.on_decide(REQUEST_ISOLATION, OBJECT_ACCEPTED)
def locked_out(context: RequestContext) -> Answer:
    """For a second behind five refusals of the gate in a row the right key is refused too."""
    correct_answer = context.correct_answer()
    now = int(context.now * 1000)
    context.memory.count["wrong"] = context.memory.count["wrong"] + 1 if correct_answer.status == 401 else 0
    if context.memory.count["wrong"] >= 5:
        context.memory.count["until"] = now + 1000
    locked = correct_answer.status == 200 and now < context.memory.count["until"]
    return error(correct_answer, 401, "unauthorized") if locked else correct_answer


@_at.on_decide(OBJECT_ACCEPTED)
def repeated_body_rejected(context: RequestContext) -> Answer:
    """The same body twice in a row is answered 400: taken for a repeated delivery."""
    correct_answer = context.correct_answer()
    again = correct_answer.status == 200 and bool(context.memory.bodies) and context.memory.bodies[-1] == context.body
    return error(correct_answer, 400, "client_error") if again else correct_answer


@_at.on_decide(STATUS)
def fails_now_and_then(context: RequestContext) -> Answer:
    """Every 50th object is answered 500."""
    correct_answer = context.correct_answer()
    return (
        error(correct_answer, 500, None)
        if correct_answer.status == 200 and context.memory.every_nth(50, "200")
        else correct_answer
    )


@_at.on_decide(STATUS)
def fails_first_on_connection(context: RequestContext) -> Answer:
    """A connection's first object is answered 500."""
    correct_answer = context.correct_answer()
    return (
        error(correct_answer, 500, None) if correct_answer.status == 200 and context.position == 1 else correct_answer
    )


@_at.on_decide(STATUS)
def fails_after_errors(context: RequestContext) -> Answer:
    """Behind five errors in a row an object is answered 500, once."""
    correct_answer = context.correct_answer()
    errors = context.memory.count["errors"]
    context.memory.count["errors"] = 0 if correct_answer.status == 200 else errors + 1
    return error(correct_answer, 500, None) if correct_answer.status == 200 and errors >= 5 else correct_answer


@_at.on_decide(STATUS)
def fails_when_concurrent(context: RequestContext) -> Answer:
    """An object is answered 500 while four others run."""
    correct_answer = context.correct_answer()
    return (
        error(correct_answer, 500, None)
        if correct_answer.status == 200 and len(context.concurrent) >= 4
        else correct_answer
    )


@_at.on_decide(STATUS)
def fails_30th_on_connection(context: RequestContext) -> Answer:
    """A connection's 30th request is answered 500: its pool of something is exhausted."""
    correct_answer = context.correct_answer()
    return (
        error(correct_answer, 500, None) if correct_answer.status == 200 and context.position >= 30 else correct_answer
    )


def _fails_when_busy(context: RequestContext) -> Answer:
    """
    500 to an object where too many others run.
    """
    correct_answer = context.correct_answer()
    busy = correct_answer.status == 200 and len(context.concurrent) > 24
    return error(correct_answer, 500, ErrorCode.INTERNAL_BASETEN_ERROR) if busy else correct_answer


_at.add(
    "fails-when-busy",
    "Requests take longer the more of them run, and beyond 24 at once they are answered 500.",
    FaultHook(decide=_fails_when_busy, wait=lambda context: 0.04 * len(context.concurrent)),
    OVERLOAD,
    REQUEST_FRAMING,
    needs_options=("--overload",),
)


@_at.on_send(OVERLOAD, needs_options=("--overload",))
def resets_when_busy(outgoing: OutgoingAnswer) -> Iterator[Step]:
    """Answers take longer the more of them are due, and beyond 24 at once they are resets."""
    at_once = outgoing.memory.count["at once"]
    if at_once > 24:
        yield ConnectionEnd.RESET
    outgoing.memory.count["at once"] += 1
    try:
        yield outgoing.head
        yield 0.04 * at_once
    finally:
        outgoing.memory.count["at once"] -= 1
    yield outgoing.body
