"""State faults: the answer to one request depends on other requests."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from contextlib import suppress

from chainproof.contract.answer import Answer
from chainproof.contract.clauses import (
    ANSWER_MATCHES_REQUEST,
    ANSWER_REPEATABLE,
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

_faults = FaultRegistrar(stage=FaultStage.STATE)


def _cached(context: RequestContext, key: bytes) -> Answer:
    """The answer with the body that was first stored under *key*; the request id is its own."""
    answer = context.correct_answer()
    if answer.status != 200:
        return answer
    return with_body(answer, context.memory.answers.setdefault(key, answer).body)


@_faults.on_decide(REQUEST_ID_UNIQUE)
def cached_with_request_id(context: RequestContext) -> Answer:
    """A repeated body gets the whole earlier answer, including its request id."""
    answer = context.correct_answer()
    return context.memory.answers.setdefault(context.body, answer) if answer.status == 200 else answer


@_faults.on_decide(ANSWER_MATCHES_REQUEST)
def cached_by_length(context: RequestContext) -> Answer:
    """Outputs are cached by the length of the body."""
    return _cached(context, b"%d" % len(context.body))


@_faults.on_decide(ANSWER_MATCHES_REQUEST)
def cached_by_path(context: RequestContext) -> Answer:
    """Outputs are cached by path for two seconds: every request gets the first output."""
    return _cached(context, b"%d" % (context.now // 2))


@_faults.on_decide(ANSWER_MATCHES_REQUEST)
def cached_by_member_names(context: RequestContext) -> Answer:
    """Outputs are cached by the member names of the input."""
    value = context.value()
    names = json.dumps(sorted(value)) if isinstance(value, dict) else ""
    return _cached(context, names.encode())


@_faults.on_decide(ECHO_EXACT, ANSWER_MATCHES_REQUEST)
def cached_by_equality(context: RequestContext) -> Answer:
    """Outputs of small inputs are cached by equality: `1` and `true` share an entry."""
    value = context.value() if len(context.body) < _CACHEABLE_SIZE else None
    return (
        _cached(context, repr(sorted(_booleans_as_numbers(value).items())).encode())
        if isinstance(value, dict)
        else context.correct_answer()
    )


_CACHEABLE_SIZE = 100
"""Largest body in bytes that is cached."""


def _booleans_as_numbers(members: dict[str, object]) -> dict[str, object]:
    """The members with booleans replaced by the integers that they equal."""
    return {name: int(value) if isinstance(value, bool) else value for name, value in members.items()}


@_faults.on_decide(ANSWER_MATCHES_REQUEST)
def cached_by_first_bytes(context: RequestContext) -> Answer:
    """Outputs are cached by the first 16 bytes of the body."""
    return _cached(context, context.body[:16])


@_faults.on_decide(ANSWER_MATCHES_REQUEST, ECHO_EXACT)
def cached_by_first_member(context: RequestContext) -> Answer:
    """Outputs are cached by the first member of the input: later members do not count."""
    value = context.value()
    first = next(iter(value.items()), None) if isinstance(value, dict) else None
    try:
        return context.correct_answer() if first is None else _cached(context, repr(first).encode())
    except RecursionError:  # a value that is nested too deeply to be written
        return context.correct_answer()


@_faults.on_decide(ECHO_EXACT, ANSWER_MATCHES_REQUEST)
def cached_ignoring_case(context: RequestContext) -> Answer:
    """Outputs are cached by the lower-cased body."""
    return _cached(context, context.body.lower())


@_faults.on_decide(ECHO_EXACT, ANSWER_REPEATABLE)
def changed_now_and_then(context: RequestContext) -> Answer:
    """In every 30th output, the first number is one too high."""
    answer = context.correct_answer()
    if answer.status != 200 or not context.memory.every_nth(30, "200"):
        return answer
    return with_body(answer, _NUMBER.sub(lambda digits: b"%d" % (int(digits[0]) + 1), answer.body, count=1))


_NUMBER = re.compile(rb"(?<=[:\[,])[1-9][0-9]{0,8}(?=[,\]}])")


@_faults.on_decide(ANSWER_MATCHES_REQUEST)
def swapped_when_concurrent(context: RequestContext) -> Answer:
    """A request gets the output of a concurrent request."""
    answer = context.correct_answer()
    other = next((one for one in context.concurrent if one.body and one.body != context.body), None)
    output = context.output_for(other) if answer.status == 200 and other is not None else b""
    return with_body(answer, output) if output else answer


@_faults.on_decide(ANSWER_MATCHES_REQUEST)
def swapped_on_connection(context: RequestContext) -> Answer:
    """A pipelined request gets the output of the request before it."""
    answer = context.correct_answer()
    last = context.connection.outputs[-1] if context.connection.outputs else None
    if answer.status == 200:
        context.connection.outputs.append(answer.body)
    return with_body(answer, last) if answer.status == 200 and context.in_flight and last else answer


@_faults.on_decide(ANSWER_MATCHES_REQUEST)
def stale_now_and_then(context: RequestContext) -> Answer:
    """Every 20th output is that of the previous request."""
    answer = context.correct_answer()
    if answer.status != 200 or not context.memory.every_nth(20, "200") or not context.memory.outputs:
        return answer
    return with_body(answer, context.memory.outputs[-1])


@_faults.on_decide(ANSWER_MATCHES_REQUEST)
def stale_on_connection(context: RequestContext) -> Answer:
    """The second output of a connection repeats the first."""
    answer = context.correct_answer()
    if answer.status == 200:
        context.connection.outputs.append(answer.body)
    repeated = answer.status == 200 and len(context.connection.outputs) == 2
    return with_body(answer, context.connection.outputs[0]) if repeated else answer


@_faults.on_decide(ANSWER_MATCHES_REQUEST)
def stale_after_rejection(context: RequestContext) -> Answer:
    """After a rejected request, the next output on the connection is an earlier one."""
    answer = context.correct_answer()
    after_rejection = context.connection.count["rejected"] > 0
    context.connection.count["rejected"] = int(answer.status == 400)
    stale = answer.status == 200 and after_rejection and bool(context.memory.outputs)
    return with_body(answer, context.memory.outputs[-1]) if stale else answer


@_faults.on_decide(ANSWER_MATCHES_REQUEST, REQUEST_ISOLATION)
def members_leak(context: RequestContext) -> Answer:
    """Members of the previous input appear in outputs that lack them: a mutable default is shared."""
    answer = context.correct_answer()
    previous: dict[str, object] = {}
    if context.memory.bodies and len(context.memory.bodies[-1]) < 10_000:
        with suppress(ValueError):  # an integer with more digits than Python converts
            previous = json.loads(context.memory.bodies[-1])
    value = context.value()
    if answer.status != 200 or not isinstance(value, dict) or not set(previous) - set(value):
        return answer
    try:
        merged = context.serve_body(json.dumps({**previous, **value}).encode())
    except (RecursionError, ValueError):
        return answer
    return with_body(answer, merged.body) if merged.status == 200 else answer


@_faults.on_decide(CONNECTION_PERSISTENCE, REQUEST_FRAMING)
def poisoned_connection(context: RequestContext) -> Answer:
    """After an invalid body, all later requests of the connection are answered 400."""
    answer = context.correct_answer()
    if answer.status == 400 and context.targets_operation() and context.body:
        context.connection.count["poisoned"] = 1
    poisoned = answer.status == 200 and context.connection.count["poisoned"] > 0
    return error(answer, 400, "client_error") if poisoned else answer


@_faults.on_decide(REQUEST_ISOLATION)
def poisoned_endpoint(context: RequestContext) -> Answer:
    """For one second after a body that is not UTF-8, all requests are answered 400."""
    answer = context.correct_answer()
    now = int(context.now * 1000)
    if answer.status == 400 and context.value() is InvalidJson.NOT_UTF8:
        context.memory.count["until"] = now + 1000
    poisoned = answer.status == 200 and now < context.memory.count["until"]
    return error(answer, 400, "client_error") if poisoned else answer


@_faults.on_decide(REQUEST_ISOLATION, OBJECT_ACCEPTED)
def locked_out(context: RequestContext) -> Answer:
    """For one second after five authentication failures in a row, the right key is rejected too."""
    answer = context.correct_answer()
    now = int(context.now * 1000)
    context.memory.count["wrong"] = context.memory.count["wrong"] + 1 if answer.status == 401 else 0
    if context.memory.count["wrong"] >= 5:
        context.memory.count["until"] = now + 1000
    locked = answer.status == 200 and now < context.memory.count["until"]
    return error(answer, 401, "unauthorized") if locked else answer


@_faults.on_decide(OBJECT_ACCEPTED)
def repeated_body_rejected(context: RequestContext) -> Answer:
    """The same body twice in a row is answered 400, as a duplicate delivery."""
    answer = context.correct_answer()
    repeated = answer.status == 200 and bool(context.memory.bodies) and context.memory.bodies[-1] == context.body
    return error(answer, 400, "client_error") if repeated else answer


@_faults.on_decide(STATUS)
def fails_now_and_then(context: RequestContext) -> Answer:
    """Every 50th valid request is answered 500."""
    answer = context.correct_answer()
    return error(answer, 500, None) if answer.status == 200 and context.memory.every_nth(50, "200") else answer


@_faults.on_decide(STATUS)
def fails_first_on_connection(context: RequestContext) -> Answer:
    """The first request of each connection is answered 500."""
    answer = context.correct_answer()
    return error(answer, 500, None) if answer.status == 200 and context.position == 1 else answer


@_faults.on_decide(STATUS)
def fails_after_errors(context: RequestContext) -> Answer:
    """After five errors in a row, the next valid request is answered 500."""
    answer = context.correct_answer()
    errors = context.memory.count["errors"]
    context.memory.count["errors"] = 0 if answer.status == 200 else errors + 1
    return error(answer, 500, None) if answer.status == 200 and errors >= 5 else answer


@_faults.on_decide(STATUS)
def fails_when_concurrent(context: RequestContext) -> Answer:
    """A request is answered 500 while four or more others are in flight."""
    answer = context.correct_answer()
    return error(answer, 500, None) if answer.status == 200 and len(context.concurrent) >= 4 else answer


@_faults.on_decide(STATUS)
def fails_30th_on_connection(context: RequestContext) -> Answer:
    """From the 30th request on, requests on a connection are answered 500, as if a pool were exhausted."""
    answer = context.correct_answer()
    return error(answer, 500, None) if answer.status == 200 and context.position >= 30 else answer


@_faults.on_decide(REQUEST_ISOLATION)
def unavailable_from_30th_on_connection(context: RequestContext) -> Answer:
    """From the 30th request on, requests on a connection are answered 502, as if the one to the chain were lost."""
    answer = context.correct_answer()
    is_lost = answer.status == 200 and context.position >= 30
    return error(answer, 502, ErrorCode.INTERNAL_BASETEN_ERROR) if is_lost else answer


def _fails_when_busy(context: RequestContext) -> Answer:
    """500 when more than 24 other requests are in flight."""
    answer = context.correct_answer()
    busy = answer.status == 200 and len(context.concurrent) > 24
    return error(answer, 500, ErrorCode.INTERNAL_BASETEN_ERROR) if busy else answer


_faults.add(
    "fails-when-busy",
    "Each request in flight adds latency; with more than 24 others in flight, requests are answered 500.",
    FaultHook(decide=_fails_when_busy, wait=lambda context: 0.04 * len(context.concurrent)),
    OVERLOAD,
    REQUEST_FRAMING,
    needs_options=("--overload",),
)


def _fails_under_slow_inputs(context: RequestContext) -> Answer:
    """500 when more than 12 other requests are in flight."""
    answer = context.correct_answer()
    return error(answer, 500, None) if answer.status == 200 and len(context.concurrent) > 12 else answer


_faults.add(
    "fails-under-slow-inputs",
    "Inputs with the member `slow` take a second; with more than 12 others in flight, requests are answered 500.",
    FaultHook(
        decide=_fails_under_slow_inputs, wait=lambda context: 1.0 if context.body.startswith(b'{"slow"') else 0.0
    ),
    OVERLOAD,
    STATUS,
    needs_options=("--overload", "--slow-payload"),
)


def _late_after_slow_input(context: RequestContext) -> Answer:
    """504 to an input with the member `slow`, whose output is the answer to the next request of the connection."""
    answer = context.correct_answer()
    if answer.status == 200 and context.body.startswith(b'{"slow"'):
        context.connection.answers[b"late"] = answer
        return error(answer, 504, "timeout")
    late = context.connection.answers.pop(b"late", None) if answer.status == 200 else None
    return answer if late is None else with_body(answer, late.body)


_faults.add(
    "late-answer-after-slow-input",
    "An input with the member `slow` is answered 504, and its output is the answer to the next request of the connection.",
    FaultHook(decide=_late_after_slow_input),
    ANSWER_MATCHES_REQUEST,
    needs_options=("--slow-payload",),
)


@_faults.on_send(OVERLOAD, needs_options=("--overload",))
def resets_when_busy(outgoing: OutgoingAnswer) -> Iterator[Step]:
    """Each request in flight adds latency; with more than 24 others in flight, connections are reset."""
    at_once = outgoing.memory.count["concurrent"]
    if at_once > 24:
        yield ConnectionEnd.RESET
    outgoing.memory.count["concurrent"] += 1
    try:
        yield outgoing.head
        yield 0.04 * at_once
    finally:
        outgoing.memory.count["concurrent"] -= 1
    yield outgoing.body
