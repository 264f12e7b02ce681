"""Finds a changed value that has no effect after an equal input without it: a cache whose key lacks the value."""

from __future__ import annotations

import copy
import re
from collections.abc import Collection, Iterator
from itertools import islice

from chainproof.chain_schema.error_text import format_path
from chainproof.contract import clauses
from chainproof.json_text import JSON

from ...inputs.ambiguous_pairs import AmbiguousPair, Change
from ...inputs.input_variations import Place, Variation, encoded, value_at, with_value
from ...inputs.member_names import is_identifier, tells_of_cache
from ...judging.output_comparison import ANY_ITEM, Leaves, Path, agree_at, differing_paths, format_output_path
from ..input_source import InputSource
from ..requester import Requester
from .difference_confirmation import send_alone
from .mixed_up_outputs import OWN_ANSWER

HAS_COMPARED = "outputs with a changed value were compared"
"""The name of this among what is learnt about the chain."""
_TOKEN_LENGTH, _LEAST_TOKEN = 16, 8
"""Characters at the beginning of a text that no other request has."""
_WORD = "word "
"""What the last name of the path of a word begins with."""
_MAX_WORDS = 300
_COUNT = "count of values"
"""The last name of the path of the number of values in an array."""
_MAX_DETOURS = 3
"""Changes without an effect that are tried for inputs with equal outputs."""
_CONTROLS = 6
"""Answers that must be equal before a difference is no chance."""


def setting(variation: Variation) -> Change:
    """The change of one value."""
    return lambda value: with_value(value, variation.place, variation.value)


def are_equal(first: Leaves | None, second: Leaves | None, *, varying: Collection[Path] = ()) -> bool:
    """True if there are two outputs, with equal values except at *varying* paths."""
    return first is not None and second is not None and not differing_paths(first, second).difference(varying)


class CacheProbe:
    """Sends pairs of inputs that differ in one change only, each pair with another unique value at one place."""

    def __init__(
        self,
        requester: Requester,
        source: InputSource,
        place: Place,
        usual: Change = lambda value: value,
        others: tuple[Place, ...] = (),
    ) -> None:
        self._requester = requester
        self._source = source
        self._place = place
        self._places = (place, *others)
        self._usual = usual
        first, second = self._send(usual), self._send(usual)
        self._base = first
        self._stable: frozenset[Path] = frozenset()
        """Where the output does not depend on the unique value."""
        if first is not None and second is not None:
            self._stable = frozenset(first) - differing_paths(first, second)

    def with_source(self, source: InputSource) -> CacheProbe:
        """The same probe, with other random numbers for its unique values."""
        probe = copy.copy(self)
        probe._source = source  # noqa: SLF001  # a copy of this object
        return probe

    def find(self, change: Change, place: Place, label: str) -> bool:
        """Record whether a change has its effect on the output also after an input without it. True after a violation."""
        first = self._send(change)
        if first is None or self._base is None:
            return False
        paths = differing_paths(self._base, first) & self._stable
        second = self._send(change) if paths else None
        paths = paths - differing_paths(first, second) if second is not None else frozenset()
        if not paths:
            return False
        changed = change(self._source.value)
        if not all(self._is_ignored_once(change, paths, first) for _ in range(2)):
            self._record(changed, label)
            return False
        paths = self._lasting(change, paths, first)
        if not paths:
            return False
        if self._is_remembered():
            self._requester.note(
                f"an input gets the `{_format_path(min(paths))}` of an earlier one with the same "
                f"`{format_path(self._place)}`, whatever its own `{format_path(place)}` is. That is right for a chain "
                "that remembers it, such as a store, and wrong for a cache, so it is no finding"
            )
            return True
        self._record(
            changed, label, f"`{_format_path(min(paths))}` as in the answer to an earlier input that differs only there"
        )
        return True

    def find_by_detour(self, pair: AmbiguousPair, varying: Collection[Path]) -> bool:
        """
        The same for a pair whose outputs depend on the unique value in every place. A change without an effect, which makes the input
        new to a cache, shows whether the second input has the output of the first one by right. True after a violation.
        """
        if is_identifier(self._place) or are_equal(self._base, self._send(self._usual), varying=varying):
            return False
        for detour in islice(self._detours(pair), _MAX_DETOURS):
            if all(self._is_taken_for_first(pair, detour, varying) for _ in range(_CONTROLS)):
                actual = "the answer to an earlier input, which differs only there"
                self._record(pair.second(self._source.value), pair.label, actual)
                return True
        return False

    def _detours(self, pair: AmbiguousPair) -> Iterator[Change]:
        """Changes of other arguments than those of a pair, and a member that the chain ignores."""
        if self._requester.inputs.ignores_unnamed:
            member: dict[str, JSON] = {f"chainproof{self._source.rng.getrandbits(32)}": 1}
            yield lambda value: {**value, **member} if isinstance(value, dict) else value
        arguments = {place[:1] for place in (*pair.places, self._place)}
        for each in self._source.variations_by_argument():
            if each.place[:1] not in arguments:
                yield setting(each)

    def _is_taken_for_first(self, pair: AmbiguousPair, detour: Change, varying: Collection[Path]) -> bool:
        """True if the second input of a pair has the output of the first one before it, and another one with a change without an effect."""
        for change in (pair.first, pair.second):
            value = change(self._unique())
            if not are_equal(self._alone(value), self._alone(detour(value)), varying=varying):
                return False
        base = self._unique()
        first, second, own = (
            self._alone(each) for each in (pair.first(base), pair.second(base), detour(pair.second(base)))
        )
        return (
            own is not None
            and are_equal(first, second, varying=varying)
            and not are_equal(second, own, varying=varying)
        )

    def _is_remembered(self) -> bool:
        """
        True if the chain may remember inputs by the unique value: its name says so, or the first answer for a value
        differs from all later ones in the same way. A cache does not change its answers.
        """
        if is_identifier(self._place):
            return True
        values = [self._unique() for _ in range(3)]
        order = (0, 0, 1, 2, 2, 2, 1)  # irregular, so that workers that take turns do not look like it
        outputs = [self._alone(values[number]) for number in order]
        known = [output for output in outputs if output is not None]
        if len(known) < len(order):
            return False
        first, *others = (known[order.index(number)] for number in range(3))
        later = [output for index, output in enumerate(known) if order.index(order[index]) != index]
        paths = frozenset(first).intersection(*(differing_paths(first, output) for output in later))
        return any(
            not tells_of_cache(path) and all(agree_at([path], first, output) for output in others) for path in paths
        )

    def _lasting(self, change: Change, paths: Collection[Path], wanted: Leaves) -> frozenset[Path]:
        """
        Where the change has the same effect with every unique value: a value of few, such as a word, may depend on all of the
        input.
        """
        lasting = frozenset(paths)
        for _ in range(_CONTROLS):
            usual, changed = self._send(self._usual), self._send(change)
            if usual is None or changed is None or self._base is None:
                return frozenset()
            lasting -= differing_paths(usual, self._base) | differing_paths(changed, wanted)
        return lasting

    def _is_ignored_once(self, change: Change, paths: Collection[Path], wanted: Leaves) -> bool:
        """True if the change has no effect after an equal input without it, in both orders."""
        base = self._unique()
        unchanged, changed = self._alone(self._usual(base)), self._alone(change(base))
        if unchanged is None or changed is None or agree_at(paths, changed, wanted):
            return False
        if not agree_at(paths, changed, unchanged):
            return False
        base = self._unique()
        changed, unchanged = self._alone(change(base)), self._alone(self._usual(base))
        return unchanged is not None and changed is not None and agree_at(paths, changed, unchanged)

    def _record(self, value: JSON, label: str, actual: str | None = None) -> None:
        self._requester.learnt[HAS_COMPARED] = True
        request = self._requester.build_request(encoded(value), label=f"an input with {label}")
        self._requester.record_clause(clauses.ANSWER_MATCHES_REQUEST, request, expected=OWN_ANSWER, actual=actual)

    def _unique(self) -> JSON:
        """The input with unique values."""
        return self._source.unique_at(self._source.value, self._places)

    def _send(self, change: Change) -> Leaves | None:
        return self._alone(change(self._unique()))

    def _alone(self, value: JSON) -> Leaves | None:
        """The output for an input. The unique texts, if they are in there, do not make it another one."""
        output = send_alone(self._requester, encoded(value), "an input that differs from others in one value")
        unique = [value_at(value, place) for place in self._places]
        tokens = [each[:_TOKEN_LENGTH] for each in unique if isinstance(each, str) and len(each) >= _LEAST_TOKEN]
        if output is None or not tokens:
            return output if output is None else _with_words(output)
        pattern = re.compile("|".join(map(re.escape, tokens)))
        return _with_words(
            {
                path: tuple(pattern.sub("", each) if isinstance(each, str) else each for each in values)
                for path, values in output.items()
            }
        )


def _with_words(output: Leaves) -> Leaves:
    """
    The values of an output, each word of its texts, and how many values its arrays have: these may depend on a part of the input,
    where the values depend on all of it.
    """
    words = {
        (*path, f"{_WORD}{number}"): (word,)
        for path, values in output.items()
        if len(values) == 1 and isinstance(values[0], str)
        for number, word in enumerate(values[0].split(" ")[:_MAX_WORDS])
        if " " in values[0]
    }
    counts = {(*path, _COUNT): (len(values),) for path, values in output.items() if ANY_ITEM in path}
    return {**output, **words, **counts}


def _format_path(path: Path) -> str:
    """A path as text, without a word or count at its end."""
    last = path[-1] if path else ""
    return format_output_path(path[:-1] if last.startswith(_WORD) or last == _COUNT else path)
