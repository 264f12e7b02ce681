"""
Finds what one request leaves behind for later ones: arguments that stick, stored answers that another argument changes, and
outputs that become longer with each request.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import pairwise

from chainproof.contract import clauses
from chainproof.contract.violations import Violation
from chainproof.json_text import JSON, parse_json

from ..inputs.bound_values import without_optional_members
from ..inputs.input_variations import Place, Variation, encoded, value_at, with_value, without_member
from ..inputs.member_names import is_identifier
from ..judging.output_comparison import Leaves, Path, differing_paths, format_output_path
from .difference_confirmation import send_alone
from .input_source import InputSource
from .requester import Requester

_MAX_ARGUMENTS = 6
"""Optional arguments that are left out one at a time."""
_MAX_WORDS = 3
"""Further values of enumerations that an input has in every place."""


def sticking_cases(source: InputSource, base: bytes) -> Iterator[tuple[bytes, tuple[JSON, JSON]]]:
    """
    Inputs that lack something, each with a pair of inputs that are sent before it in turn. Those that find most come first.

    First the simplest input, and others that lack arguments or nested members, but whose other values affect the output; then
    those that lack one argument; and those with other values of enumerations.
    """
    bare, nested = (without_optional_members(source.value, source.accepts, nested=nested) for nested in (False, True))
    simple = _distinct(source, (encoded(bare), base, encoded(nested)))
    pairs = _alternating_inputs(source)
    yield from ((body, pair) for pair in pairs for body in simple)
    lacking = _distinct(source, map(encoded, _lacking_one(source)))
    yield from ((body, pair) for pair in pairs for body in lacking if body not in simple)
    worded = _distinct(source, map(encoded, (bare, *_with_other_words(source.with_value(bare)))))
    # With an equal value in both, since a chain may keep a text only together with a certain one.
    usual = [(each, each) for each in (source.value, *_with_other_words(source))] if source.words else []
    yield from ((body, pair) for pair in usual for body in dict.fromkeys((*worded, *simple)))


def _distinct(source: InputSource, bodies: Iterable[bytes]) -> list[bytes]:
    """The bodies without those that are equal, or equal to the input with all arguments."""
    return [body for body in dict.fromkeys(bodies) if parse_json(body) != source.value]


def _lacking_one(source: InputSource) -> Iterator[JSON]:
    """The input without one of its optional arguments: without all of them, an argument may have no effect."""
    names = list(source.value) if isinstance(source.value, dict) else []
    lacking = (without_member(source.value, (name,)) for name in names)
    found = [each for each in lacking if source.accepts(each)]
    yield from found[:_MAX_ARGUMENTS] if len(found) > 1 else ()


def _with_other_words(source: InputSource) -> Iterator[JSON]:
    """The input with another value in all places of enumerations: a chain may keep what it got with a certain one."""
    words: dict[Place, list[JSON]] = {}
    for each in source.variations(limit=_MAX_WORDS):
        if each.value in source.words and value_at(source.value, each.place) in source.words:
            words.setdefault(each.place, []).append(each.value)
    for number in range(max(map(len, words.values()), default=0)):
        value = source.value
        for place, others in words.items():
            changed = with_value(value, place, others[number % len(others)])
            value = changed if source.accepts(changed) else value
        yield value


def _alternating_inputs(source: InputSource) -> list[tuple[JSON, JSON]]:
    """
    Pairs of inputs with the same arguments and, as far as possible, different values.

    The first pair has the usual values. It shows nothing if a chain keeps only values that are not the default, and the usual
    value is the default. The second pair has other values, where there are more than two.
    """
    values: dict[Place, list[JSON]] = {}
    for variation in source.variations():
        values.setdefault(variation.place, []).append(variation.value)
    varied = [source.value, source.value]
    for place, others in values.items():
        for number, new in enumerate((others[-1], others[-2:][0])):
            changed = with_value(varied[number], place, new)
            varied[number] = changed if source.accepts(changed) else varied[number]
    first, second = varied
    return [(source.value, first), *([(second, first)] if second != first else [])]


# ------------------------------------------------------------------ answers that another argument changes

_CONFIRMATIONS = 3


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
            if source.accepts(with_value(source.value, each.place, each.value)):
                _judge_variation(requester, source, each, is_changed_first=is_changed_first)


def _judge_variation(
    requester: Requester, source: InputSource, variation: Variation, *, is_changed_first: bool
) -> None:
    """Record whether one such answer changes, each time with another input."""

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
    violation = None
    if paths:
        violation = Violation(
            clause=clauses.REQUEST_ISOLATION,
            expected="the same answer as before",
            actual=f"another `{format_output_path(min(paths))}` after an equal input with {variation.label}",
        )
    request = requester.build_request(encoded(value), label=f"an input again after one with {variation.label}")
    requester.record_clause(clauses.REQUEST_ISOLATION, violation, request)


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
    violation = None
    if paths:
        violation = Violation(
            clause=clauses.REQUEST_ISOLATION,
            expected="an output of equal size for an input of equal size",
            actual=f"`{format_output_path(min(paths))}` becomes longer with each request",
        )
    requester.record_clause(clauses.REQUEST_ISOLATION, violation, requester.build_request(encoded(value), label=_LABEL))


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
