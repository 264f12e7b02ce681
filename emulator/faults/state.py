"""
Faults of memory: one request's answer depends on another.
"""

from __future__ import annotations

import json
from collections.abc import Iterator

from chainproof.contract.answer import Answer
from chainproof.contract.clauses import (
    ANSWER_BELONGS,
    CONNECTION,
    ECHO_EXACT,
    OBJECT_ACCEPTED,
    OVERLOAD,
    REQUEST_FRAMING,
    REQUEST_ID_UNIQUE,
    STATUS,
    UNAFFECTED,
)
from chainproof.contract.errors import ErrorCode
from chainproof.json_text import Malformed

from .fault import Entry, Stage
from .hooks import Asked, Bend, End, Sending, Step, error, saying

_at = Entry(stage=Stage.STATE)


def _cached(asked: Asked, key: bytes) -> Answer:
    """
    The output that was given first under a key, with a request id of its own.
    """
    honest = asked.honest()
    if honest.status != 200:
        return honest
    return saying(honest, asked.memory.answers.setdefault(key, honest).body)


@_at.decides(REQUEST_ID_UNIQUE)
def cached_whole(asked: Asked) -> Answer:
    """A body that has been answered gets the same answer again, its request id included."""
    honest = asked.honest()
    return asked.memory.answers.setdefault(asked.body, honest) if honest.status == 200 else honest


@_at.decides(ANSWER_BELONGS)
def cached_by_length(asked: Asked) -> Answer:
    """Outputs are cached by the body's length."""
    return _cached(asked, b"%d" % len(asked.body))


@_at.decides(ANSWER_BELONGS)
def cached_by_path(asked: Asked) -> Answer:
    """Outputs are cached by the path: the first of each two seconds is everybody's."""
    return _cached(asked, b"%d" % (asked.now // 2))


@_at.decides(ANSWER_BELONGS)
def cached_by_names(asked: Asked) -> Answer:
    """Outputs are cached by the names of the input's members."""
    value = asked.value()
    names = json.dumps(sorted(value)) if isinstance(value, dict) else ""
    return _cached(asked, names.encode())


@_at.decides(ECHO_EXACT, ANSWER_BELONGS)
def cached_by_equality(asked: Asked) -> Answer:
    """Outputs are cached by small inputs that compare equal: `1` and `true` are one."""
    value = asked.value() if len(asked.body) < _SMALL else None
    return (
        _cached(asked, repr(sorted(_compared(value).items())).encode()) if isinstance(value, dict) else asked.honest()
    )


_SMALL = 100
"""Bytes of an input that a cache is worth its while for."""


def _compared(members: dict[str, object]) -> dict[str, object]:
    """
    Members with each truth value as the number that it equals.
    """
    return {name: int(value) if isinstance(value, bool) else value for name, value in members.items()}


@_at.decides(ANSWER_BELONGS)
def cached_by_beginning(asked: Asked) -> Answer:
    """Outputs are cached by the body's first 16 bytes."""
    return _cached(asked, asked.body[:16])


@_at.decides(ANSWER_BELONGS)
def swapped_at_once(asked: Asked) -> Answer:
    """A request gets the output of one that runs at the same time."""
    honest = asked.honest()
    other = next((one.body for one in asked.meanwhile if one.body and one.body != asked.body), None)
    return saying(honest, other) if honest.status == 200 and other and other.lstrip().startswith(b"{") else honest


@_at.decides(ANSWER_BELONGS)
def swapped_on_connection(asked: Asked) -> Answer:
    """A request that comes while another of its connection waits gets that one's output."""
    honest = asked.honest()
    last = asked.connection.bodies[-1] if asked.connection.bodies else None
    if honest.status == 200:
        asked.connection.bodies.append(asked.body)
    return saying(honest, last) if honest.status == 200 and asked.waiting and last else honest


@_at.decides(ANSWER_BELONGS)
def stale_now_and_then(asked: Asked) -> Answer:
    """Every 20th output is the one before it."""
    honest = asked.honest()
    if honest.status != 200 or not asked.memory.every(20, "200") or not asked.memory.bodies:
        return honest
    return saying(honest, asked.memory.bodies[-1])


@_at.decides(ANSWER_BELONGS)
def stale_on_connection(asked: Asked) -> Answer:
    """A connection's second output is its first again."""
    honest = asked.honest()
    if honest.status == 200:
        asked.connection.bodies.append(asked.body)
    again = honest.status == 200 and len(asked.connection.bodies) == 2
    return saying(honest, asked.connection.bodies[0]) if again else honest


@_at.decides(ANSWER_BELONGS)
def stale_after_refusal(asked: Asked) -> Answer:
    """The first output behind a refused request of the same connection is an earlier one."""
    honest = asked.honest()
    refused = asked.connection.count["refused"] > 0
    asked.connection.count["refused"] = int(honest.status == 400)
    stale = honest.status == 200 and refused and bool(asked.memory.bodies)
    return saying(honest, asked.memory.bodies[-1]) if stale else honest


@_at.decides(ANSWER_BELONGS)
def members_stay(asked: Asked) -> Answer:
    """Members of the input before stay where the next has none of that name: a default that is changed in place."""
    honest = asked.honest()
    before = json.loads(asked.memory.bodies[-1]) if asked.memory.bodies and len(asked.memory.bodies[-1]) < 1000 else {}
    value = asked.value()
    if honest.status != 200 or not isinstance(value, dict) or not set(before) - set(value):
        return honest
    try:
        return saying(honest, json.dumps({**before, **value}).encode())
    except RecursionError:
        return honest


@_at.decides(CONNECTION, REQUEST_FRAMING)
def poisoned_connection(asked: Asked) -> Answer:
    """Behind a body that is no JSON a connection's objects are answered 400 too."""
    honest = asked.honest()
    if honest.status == 400 and asked.ours() and asked.body:
        asked.connection.count["poisoned"] = 1
    poisoned = honest.status == 200 and asked.connection.count["poisoned"] > 0
    return error(honest, 400, "client_error") if poisoned else honest


@_at.decides(UNAFFECTED)
def poisoned_endpoint(asked: Asked) -> Answer:
    """For a second behind a body that is no UTF-8, objects are answered 400, whoever sends them."""
    honest = asked.honest()
    now = int(asked.now * 1000)
    if honest.status == 400 and asked.value() is Malformed.NOT_UTF8:
        asked.memory.count["until"] = now + 1000
    poisoned = honest.status == 200 and now < asked.memory.count["until"]
    return error(honest, 400, "client_error") if poisoned else honest


@_at.decides(UNAFFECTED, OBJECT_ACCEPTED)
def locked_out(asked: Asked) -> Answer:
    """For a second behind five refusals of the gate in a row the right key is refused too."""
    honest = asked.honest()
    now = int(asked.now * 1000)
    asked.memory.count["wrong"] = asked.memory.count["wrong"] + 1 if honest.status == 401 else 0
    if asked.memory.count["wrong"] >= 5:
        asked.memory.count["until"] = now + 1000
    locked = honest.status == 200 and now < asked.memory.count["until"]
    return error(honest, 401, "unauthorized") if locked else honest


@_at.decides(OBJECT_ACCEPTED)
def second_time_refused(asked: Asked) -> Answer:
    """The same body twice in a row is answered 400: taken for a repeated delivery."""
    honest = asked.honest()
    again = honest.status == 200 and bool(asked.memory.bodies) and asked.memory.bodies[-1] == asked.body
    return error(honest, 400, "client_error") if again else honest


@_at.decides(STATUS)
def fails_now_and_then(asked: Asked) -> Answer:
    """Every 50th object is answered 500."""
    honest = asked.honest()
    return error(honest, 500, None) if honest.status == 200 and asked.memory.every(50, "200") else honest


@_at.decides(STATUS)
def fails_first_on_connection(asked: Asked) -> Answer:
    """A connection's first object is answered 500."""
    honest = asked.honest()
    return error(honest, 500, None) if honest.status == 200 and asked.place == 1 else honest


@_at.decides(STATUS)
def fails_behind_errors(asked: Asked) -> Answer:
    """Behind five errors in a row an object is answered 500, once."""
    honest = asked.honest()
    errors = asked.memory.count["errors"]
    asked.memory.count["errors"] = 0 if honest.status == 200 else errors + 1
    return error(honest, 500, None) if honest.status == 200 and errors >= 5 else honest


@_at.decides(STATUS)
def fails_at_once(asked: Asked) -> Answer:
    """An object is answered 500 while four others run."""
    honest = asked.honest()
    return error(honest, 500, None) if honest.status == 200 and len(asked.meanwhile) >= 4 else honest


@_at.decides(STATUS)
def fails_30th_on_connection(asked: Asked) -> Answer:
    """A connection's 30th request is answered 500: its pool of something is exhausted."""
    honest = asked.honest()
    return error(honest, 500, None) if honest.status == 200 and asked.place >= 30 else honest


def _fails_when_busy(asked: Asked) -> Answer:
    """
    500 to an object where too many others run.
    """
    honest = asked.honest()
    busy = honest.status == 200 and len(asked.meanwhile) > 24
    return error(honest, 500, ErrorCode.INTERNAL_BASETEN_ERROR) if busy else honest


_at.enter(
    "fails-when-busy",
    "Requests take longer the more of them run, and beyond 24 at once they are answered 500.",
    Bend(decide=_fails_when_busy, wait=lambda asked: 0.04 * len(asked.meanwhile)),
    OVERLOAD,
    REQUEST_FRAMING,
    needs=("--provoke",),
)


@_at.sends(OVERLOAD, needs=("--provoke",))
def drops_when_busy(sending: Sending) -> Iterator[Step]:
    """Answers take longer the more of them are due, and beyond 24 at once they are resets."""
    at_once = sending.memory.count["at once"]
    if at_once > 24:
        yield End.RESET
    sending.memory.count["at once"] += 1
    try:
        yield sending.head
        yield 0.04 * at_once
    finally:
        sending.memory.count["at once"] -= 1
    yield sending.body
