"""
Confirms that an answer contains data of another request, by an experiment with new texts.

The other request is sent again with texts that did not exist before, and then the present one, which has no value in
common with it. Only a target that keeps data of one request for another can answer with one of the new texts. A constant, a
list of permitted values, or a store that returns what belongs to a key of the request do not.
"""

from __future__ import annotations

import random
from collections.abc import Iterator
from dataclasses import replace
from itertools import islice

from chainproof.contract import clauses
from chainproof.contract.violations import Violation
from chainproof.json_text import JSON, InvalidJson, TooComplex, encode_json, parse_json

from ..inputs.input_variations import Accepts, Place, enumerated_words, other_value, value_at, with_value
from ..judging.request_texts import SuspectedLeak, answer_text, sent_text, text_keys
from ..transport.request import CheckRequest
from .requester import Requester

_ATTEMPTS = 3
"""How often a leak is tried to be shown again, with one, two and three requests before."""
_MAX_PLACES = 40
"""Values of a request that are changed."""
_MAX_SHARED = 10
"""Values that two requests may have in common at first."""


def confirm_leaks(requester: Requester) -> None:
    """Report the answer with data of another request, if that is confirmed. All of a run are one finding."""
    for leak in requester.request_texts.take_suspected():
        rng = requester.rng(f"leak {leak.text}")
        if any(_shows_again(requester, leak, number, rng) for number in range(_ATTEMPTS)):
            requester.request_texts.confirm()
            _report(requester, leak)
            return


def _report(requester: Requester, leak: SuspectedLeak) -> None:
    violation = Violation(
        clause=clauses.ANSWER_MATCHES_REQUEST,
        expected="an answer without data of other requests",
        actual=f"status {leak.answer.status} with data of another request: {leak.owner.label}",
    )
    violation = requester.known_answers.first_mixed_up(violation)
    requester.record_violation(violation, leak.request, leak.answer, check=leak.check)


def _shows_again(requester: Requester, leak: SuspectedLeak, number: int, rng: random.Random) -> bool:
    """Whether the answer to the present request has a new text of requests that were sent before it."""
    present = leak.request if number != 1 else _renewed(requester, leak.request, set(), rng)
    used = _texts(present)
    owners = [_renewed(requester, leak.owner, used, rng, leak.text) for _ in range(1 + number)]
    separate = _separate(requester, present, owners, rng)
    if separate is None:
        return False
    old = text_keys(leak.owner.body or b"")
    new = {key for owner in owners for key in text_keys(owner.body or b"") - old if key not in sent_text(separate)}
    for owner in owners:
        requester.send(owner)
    answer = requester.send(separate).answer
    text = "" if answer is None else answer_text(answer)
    return any(key in text for key in new)


def _renewed(
    requester: Requester, request: CheckRequest, used: set[str], rng: random.Random, text: str = ""
) -> CheckRequest:
    """
    A request with another value at every place that takes one, if possible none of the *used* ones.

    In a body that is not JSON, only *text* is replaced.
    """
    value, body = _value(request), (request.body or b"").decode("utf-8", "replace")
    if value is None:
        new = f"{rng.getrandbits(48):012x}"
        return replace(request, body=body.replace(text, new).encode() if text else request.body, is_compared=False)
    accepts = _accepts(requester, value)
    for place, _ in islice(_leaves(value), _MAX_PLACES):

        def is_new(changed: JSON, place: Place = place) -> bool:
            return _text(value_at(changed, place)) not in used and accepts(changed)

        new_value = other_value(value, place, is_new, rng)
        value = value if new_value is None else with_value(value, place, new_value)
    return replace(request, body=encode_json(value), is_compared=False)


def _separate(
    requester: Requester, present: CheckRequest, owners: list[CheckRequest], rng: random.Random
) -> CheckRequest | None:
    """The present request without any value of the others; None if that is not possible."""
    value = _value(present)
    if value is None:
        return replace(present, is_compared=False)
    schema = requester.terms.input_schema
    words = () if schema is None else enumerated_words(schema.document)
    theirs = {text for owner in owners for text in _texts(owner)}
    accepts = _accepts(requester, value)
    shared = [place for place, item in _leaves(value) if _text(item) in theirs and item not in words]
    for place in shared:
        new = other_value(value, place, accepts, rng) if len(shared) <= _MAX_SHARED else None
        if new is None or _text(new) in theirs:
            return None
        value = with_value(value, place, new)
    return replace(present, body=encode_json(value), is_compared=False)


def _value(request: CheckRequest) -> JSON:
    """The JSON value of a body; None if it is none, or if it cannot be written again (`1e999`)."""
    value = parse_json(request.body or b"")
    if isinstance(value, InvalidJson | TooComplex):
        return None
    try:
        encode_json(value)
    except ValueError:
        return None
    return value


def _accepts(requester: Requester, value: JSON) -> Accepts:
    """What may replace an input: an accepted one only by an accepted one."""
    schema = requester.terms.input_schema
    return schema.accepts if schema is not None and schema.accepts(value) else lambda _: True


def _leaves(value: JSON) -> Iterator[tuple[Place, JSON]]:
    """The strings and numbers of a value, with their places."""
    todo: list[tuple[Place, JSON]] = [((), value)]
    while todo:
        place, part = todo.pop()
        if isinstance(part, dict):
            todo.extend(((*place, name), item) for name, item in part.items())
        elif isinstance(part, list):
            todo.extend(((*place, index), item) for index, item in enumerate(part))
        elif isinstance(part, str | int | float) and not isinstance(part, bool):
            yield place, part


def _texts(request: CheckRequest) -> set[str]:
    """The strings and numbers of a body."""
    return {_text(item) for _, item in _leaves(_value(request))}


def _text(item: JSON) -> str:
    """A value as text: equal numbers are equal texts."""
    return str(float(item)) if isinstance(item, int) and abs(item) < 2**53 else str(item)
