"""Finds what one request leaves behind for later ones: answers that another argument changes, and outputs that grow."""

from __future__ import annotations

from itertools import pairwise

from chainproof.contract import clauses
from chainproof.json_text import JSON

from ...inputs.input_variations import Variation, encoded, with_value
from ...inputs.member_names import is_identifier
from ...judging.output_comparison import Leaves, Path, differing_paths, format_output_path
from ..input_source import InputSource
from ..requester import Requester
from .difference_confirmation import send_alone

_CONFIRMATIONS = 7
"""How often a change is tried again: a value may be one of a few by chance."""


def judge_similar_inputs(requester: Requester, source: InputSource, limit: int) -> None:
    """
    Send inputs that were not sent before, each again after the same with another value of one argument, and record answers
    that change then, and do not without the other one.

    A chain may remember by design what it got with the same identifier.
    """
    if any(map(is_identifier, source.places)):
        return
    for each in source.variations_by_argument()[:limit]:
        for is_changed_first in (False, True):
            if source.accepts(with_value(source.value, each.place, each.value)) and _is_changed_by(
                requester, source, each, is_changed_first=is_changed_first
            ):
                return  # others have the same cause


def _is_changed_by(requester: Requester, source: InputSource, variation: Variation, *, is_changed_first: bool) -> bool:
    """Record whether one such answer changes, each time with another input. True after a violation."""

    def changed_paths(*, is_between: bool) -> tuple[frozenset[Path], JSON]:
        value = source.unique()
        pair = (value, with_value(value, variation.place, variation.value))
        first, second = pair[::-1] if is_changed_first else pair
        label = f"an input again after one with {variation.label}"
        bodies = (first, second if is_between else first, first)  # as much time passes: an output may have its age
        outputs = [send_alone(requester, encoded(each), label) for each in bodies]
        if outputs[0] is None or outputs[-1] is None:
            return frozenset(), first
        return differing_paths(outputs[0], outputs[-1]), first

    paths, value = changed_paths(is_between=True)
    for _ in range(_CONFIRMATIONS):
        if not paths:
            break
        paths -= changed_paths(is_between=False)[0]
        paths &= changed_paths(is_between=True)[0]
    actual = None
    if paths:
        actual = f"another `{format_output_path(min(paths))}` after an equal input with {variation.label}"
    request = requester.build_request(encoded(value), label=f"an input again after one with {variation.label}")
    requester.record_clause(clauses.REQUEST_ISOLATION, request, expected="the same answer as before", actual=actual)
    return bool(paths)


# ------------------------------------------------------------------ outputs that grow

_REQUESTS = 7
"""Outputs, each of which has to be longer than the one before: of outputs with random lengths one in 5,040 series is so."""
_ROUNDS = 2
_LABEL = "one of several inputs of equal size"


def judge_growing_outputs(requester: Requester, source: InputSource) -> None:
    """
    Send different inputs of equal size, and record arrays and texts that become longer each time.

    Each input has its own texts, so that it is no conversation of one user. A number may grow: chains count requests.
    """
    paths: frozenset[Path] | None = None
    value: JSON = source.value
    for _ in range(_ROUNDS):
        outputs: list[Leaves] = []
        for _ in range(_REQUESTS):
            value = source.unique()
            output = send_alone(requester, encoded(value), _LABEL)
            if output is None or (len(outputs) > 1 and not _growing(outputs)):
                return
            outputs.append(output)
        paths = _growing(outputs) if paths is None else paths & _growing(outputs)
    requester.record_clause(
        clauses.REQUEST_ISOLATION,
        requester.build_request(encoded(value), label=_LABEL),
        expected="an output of equal size for an input of equal size",
        actual=f"`{format_output_path(min(paths))}` becomes longer with each request" if paths else None,
    )


def _growing(outputs: list[Leaves]) -> frozenset[Path]:
    """Where each output has more values, or longer texts, than the one before."""
    return frozenset(
        path
        for path in outputs[-1]
        if all(_size(first, path) < _size(second, path) for first, second in pairwise(outputs))
    )


def _size(output: Leaves, path: Path) -> int:
    """The number of values at a path, and of the characters of texts there."""
    values = output.get(path, ())
    return sum(len(each) if isinstance(each, str) else 1 for each in values)
