"""Finds arguments of one request that affect later ones, which lack them."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Sequence
from itertools import islice

from chainproof.contract import clauses
from chainproof.json_text import JSON, is_number, parse_json
from chainproof.stored_text import beginning

from ...inputs.bound_values import without_optional_members
from ...inputs.input_variations import Place, encoded, value_at, with_value, without_member
from ...inputs.member_names import is_identifier
from ...judging.output_comparison import Leaves, Path, agree_at, differing_paths, format_output_path, without
from ...options import Depth
from ..input_source import InputSource
from ..requester import Requester
from .difference_confirmation import send_alone

_MAX_ARGUMENTS = 6
"""Optional arguments that are left out one at a time."""
_MAX_WORDS = 3
"""Further values of enumerations that an input has in every place."""
_CASES: dict[Depth, int] = {Depth.QUICK: 24, Depth.STANDARD: 48, Depth.DEEP: 100}
"""Inputs that are sent after inputs with other arguments."""
_SHOWN = 200
"""Characters of such an input that a finding shows."""
_FIRST_CASES = 6
"""Those of a run that has no time for all."""
_CONFIRMATIONS = 5
_CONTROLS = 6
"""Answers that must be equal before a difference is no chance."""


def judge_sticking_arguments(requester: Requester, source: InputSource) -> bool:
    """Record whether the output for an input changes after others with more arguments. True after a violation."""
    warm: JSON = None
    cases = islice(_cases(source, requester.inputs.base), _CASES[requester.settings.depth])
    for body, others in requester.part(list(cases), first=_FIRST_CASES):
        if others[1] != warm:
            warm = others[1]
            for other in others:
                source.unique_at(other, source.places)  # asks the target now, and not while it is watched
            send_alone(requester, encoded(warm), "an input with many arguments")
        paths = _sticking_paths(requester, source, body, others)
        if paths is None:
            continue
        actual = None
        if paths and _is_constant(requester, body, paths):
            other = beginning(encoded(others[0]), _SHOWN)
            actual = f"another value of `{format_output_path(min(paths))}` after an input like {other}"
        request = requester.build_request(body, label="a simple input after one with many arguments")
        requester.record_clause(clauses.REQUEST_ISOLATION, request, expected="the same answer as before", actual=actual)
        if actual is not None:
            return True
    return False


def _sticking_paths(
    requester: Requester, source: InputSource, body: bytes, others: tuple[JSON, JSON]
) -> frozenset[Path] | None:
    """Where the output for an input changes after each of two others in turn. None without an answer."""
    paths = frozenset[Path]()
    outputs: list[Leaves] = []
    for number in range(1 + _CONFIRMATIONS):
        # With other unique values, since a chain may remember arguments by one of them, such as a session.
        other = source.unique_at(others[number % 2], source.places)
        found = _changed_by(requester, body, encoded(other))
        if found is None:
            return None
        changed, output = found
        outputs.append(output)
        paths = changed if not number else paths & changed
        if not paths:
            return paths
    # The number of players so far grows with each new one.
    return paths - _growing(paths, outputs) if any(map(is_identifier, source.places)) else paths


def _growing(paths: Collection[Path], outputs: Sequence[Leaves]) -> frozenset[Path]:
    """The paths with a number that becomes larger, or smaller, from each output to the next."""
    growing = set[Path]()
    for path in paths:
        values = [value for output in outputs for value in output.get(path, ()) if is_number(value)]
        if len(values) == len(outputs) and values in (sorted(set(values)), sorted(set(values), reverse=True)):
            growing.add(path)
    return frozenset(growing)


def _changed_by(requester: Requester, base: bytes, other: bytes) -> tuple[frozenset[Path], Leaves] | None:
    """
    Where the output for *base* changes because *other* is sent, and not because time passes, and the changed output. None
    without an answer.
    """
    label = "a simple input before and after one with many arguments"
    send_alone(requester, base, label)  # its answer may still show what was sent before
    first, second = send_alone(requester, base, label), send_alone(requester, base, label)
    send_alone(requester, other, "an input with many arguments")
    third = send_alone(requester, base, label)
    if first is None or second is None or third is None:
        return None
    varying = differing_paths(first, second)
    containers = {path[:length] for path in varying for length in range(1, len(path))}  # they may be empty at times
    return without(differing_paths(second, third), varying) - containers, third


def _is_constant(requester: Requester, body: bytes, paths: Collection[Path]) -> bool:
    """True if an input that is sent several times in a row has the same values at some paths."""
    send_alone(requester, body)  # its answer may still show what was sent before
    outputs = [send_alone(requester, body) for _ in range(_CONTROLS)]
    answered = [output for output in outputs if output is not None]
    return len(answered) == _CONTROLS and all(agree_at(paths, answered[0], output) for output in answered)


# ------------------------------------------------------------------ inputs


def _cases(source: InputSource, base: bytes) -> Iterator[tuple[bytes, tuple[JSON, JSON]]]:
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
