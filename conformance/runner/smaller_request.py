"""Finds a smaller input that shows the same violation: most of its values are those of the simplest input."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from itertools import islice

from chainproof.clock import Seconds
from chainproof.json_text import JSON, parse_json

from ..inputs.input_variations import Accepts, array_places, encoded, value_at, with_value
from ..probing.requester import Requester
from ..transport.request import CheckRequest

_MAX_TIME: Seconds = 2.0
"""Time that the answers to smaller inputs may take, if each takes as long as that to the simplest one."""
_MAX_REQUESTS = 24
_MAX_ARRAYS = 4


def smaller_request(
    requester: Requester, request: CheckRequest, is_shown: Callable[[CheckRequest], bool]
) -> CheckRequest:
    """The request with the smallest input that is found to show the violation as well; the request itself if there is none."""
    schema, value = requester.terms.input_schema, parse_json(request.body or b"")
    simplest = parse_json(requester.inputs.base)
    if schema is None or request.raw is not None or not isinstance(value, dict) or not isinstance(simplest, dict):
        return request
    # The violation may be about an input that the model of a class accepts although its schema does not.
    accepts = schema.accepts if schema.model is None else schema.model.accepts
    best: dict[str, JSON] = value
    left = min(_MAX_REQUESTS, int(_MAX_TIME / max(requester.response_times.accepted, _MAX_TIME / _MAX_REQUESTS)))
    known = {request.body}
    while left > 0:
        candidates = ((encoded(each), each) for each in _simpler(best, simplest, accepts))
        largest = len(request.body or b"")
        body, changed = next(
            ((body, each) for body, each in candidates if len(body) < largest and body not in known), (b"", best)
        )
        if not body:
            break
        known.add(body)
        left -= 1
        smaller = replace(request, body=body)
        if is_shown(smaller):
            request, best = smaller, changed
    return request


def _simpler(value: dict[str, JSON], simplest: dict[str, JSON], accepts: Accepts) -> Iterator[dict[str, JSON]]:
    """The inputs that are simpler by one step, those first that are simpler by much."""
    yield from filter(accepts, _with_fewer_arguments(value, simplest))
    for place in islice(array_places(value), _MAX_ARRAYS):
        items = value_at(value, place)
        assert isinstance(items, list)
        middle = len(items) // 2
        for kept in (items[:1], items[-1:], items[:middle], items[middle:]) if middle else ():
            changed = with_value(value, place, kept)
            if isinstance(changed, dict) and accepts(changed):
                yield changed


def _with_fewer_arguments(value: dict[str, JSON], simplest: dict[str, JSON]) -> Iterator[dict[str, JSON]]:
    """The simplest input with one argument of another one, and that one without an argument."""
    for name in sorted(value, key=lambda each: len(encoded(value[each])), reverse=True):
        yield {**simplest, name: value[name]}
    for name in value:
        kept = {each: item for each, item in value.items() if each != name}
        yield {**kept, name: simplest[name]} if name in simplest else kept
