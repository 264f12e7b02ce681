"""Finds inputs that get the answer to an earlier one, which differs in one value or is equal for a careless cache."""

from __future__ import annotations

import random
from collections.abc import Callable, Collection, Sequence
from dataclasses import replace
from functools import partial

from chainproof.chain_schema.error_text import format_path
from chainproof.contract import clauses
from chainproof.json_text import JSON

from ...inputs.ambiguous_pairs import AmbiguousPair, Change, ambiguous_pairs
from ...inputs.chain_inputs import UNNAMED_MEMBER
from ...inputs.input_variations import Place, Variation, encoded, unique_text, value_at, with_other_end, with_value
from ...inputs.member_names import is_identifier
from ...judging.output_comparison import Path, differing_paths, format_output_path
from ...options import Depth
from ...transport.check_skipped import CheckSkipped
from ..budget import Round
from ..input_source import InputSource
from ..requester import Requester
from .cache_probe import CacheProbe, are_equal, setting
from .difference_confirmation import send_alone
from .mixed_up_outputs import OWN_ANSWER, judge_tokens

_VARIATIONS: dict[Depth, int] = {Depth.QUICK: 10, Depth.STANDARD: 40, Depth.DEEP: 200}
"""Changes of one value that are tried with each unique value."""
_LONG_KEY = 36
"""Characters of texts that differ at their end only."""
_MORE_WORDS = " and a few more words"
_LONG_BEGINNING = 1_200
"""Characters of texts that have more than a cache may look at."""
_SIMILAR_PLACES = 3
_SPELLINGS = (("\u00e9", "e\u0301"), ("q", "Q"), ("x y", "x  y"), ("1", "\uff11"))
"""Texts that are equal for a cache that normalizes its keys: composed and decomposed, and in another case, space or width."""
_MOST_PARTS = 4
"""Parts of the search whose requests are sent at the same time."""
_UNIQUE_PLACES = 2
"""Arguments that get a unique value in turn: a cache may ignore one of them."""


def search_stored_answers(requester: Requester, source: InputSource) -> None:
    """Search an input with a changed value that gets the answer to an earlier one."""
    by_argument = {place[:1]: place for place in source.places}
    if not by_argument:
        raise CheckSkipped("needs an input with a text or a number that may have any value")
    limit = _VARIATIONS[requester.settings.depth]
    if requester.scope.round is not Round.REST and _compare_texts(requester, source):
        return
    source = source.longer(_LONG_KEY)  # a cache may know an input by the beginning of a text
    # An identifier shows nothing: a chain may remember what it got with one.
    chosen = requester.part(sorted(by_argument.values(), key=is_identifier)[:_UNIQUE_PLACES], first=1)
    if any(_is_cached_on_a_part(requester, source, place, limit) for place in chosen):
        return
    for place in chosen:
        # A cache may know an input by another part of the argument, such as one of several texts.
        others = tuple(each for each in source.places if each[:1] == place[:1] and each != place)
        if others and _is_cached_on_a_part(requester, source, place, limit, others):
            return
    if requester.scope.round is not Round.REST and requester.inputs.ignores_unnamed and isinstance(source.value, dict):
        # Outputs that are different for each unique argument, like digests, can be compared only with such a member.
        unnamed = replace(source, value={**source.value, UNNAMED_MEMBER: source.rng.getrandbits(32)})
        if source.accepts(unnamed.value):
            _is_cached_on_a_part(requester, unnamed, (UNNAMED_MEMBER,), limit)


def _compare_texts(requester: Requester, source: InputSource) -> bool:
    """Compare the outputs for similar texts, and for inputs that a careless cache takes for equal. True after a violation."""
    parts: list[_Part] = [partial(_compare_with_unnamed_members, requester)]
    # An optional argument may hide what is stored, such as one that clears a history.
    parts += [partial(_compare_similar_texts, requester, each.value) for each in source.and_bare()]
    parts += [partial(_compare_spellings, requester, spellings) for spellings in _SPELLINGS]
    varying = _varying_paths(requester, source)
    pairs = ambiguous_pairs(source.value, source.accepts)
    parts += [partial(_compare_ambiguous_pair, requester, pair, varying) for pair in pairs]
    parts.append(partial(_is_cached_on_a_beginning, requester))
    return _is_any_true(requester, source, parts)


_Part = Callable[[InputSource], object]
"""A part of the search with inputs of a source. True after a violation."""


def _is_any_true(requester: Requester, source: InputSource, parts: Sequence[_Part]) -> bool:
    """
    Whether any part is true for a source of its own. To a slow target, the requests of a few parts are sent at the same time: so few that
    a small store still has what it got before.
    """
    results: list[object] = []

    def run(number: int) -> None:
        if not any(each is True for each in results):
            results.append(parts[number](replace(source, rng=random.Random(f"{seed} {number}"))))

    seed = source.rng.getrandbits(64)
    requester.run_parts(run, range(len(parts)), most=_MOST_PARTS)
    return any(each is True for each in results)


def _is_cached_on_a_beginning(requester: Requester, source: InputSource) -> bool:
    """Whether the end of a long text, or of a file in base64, is ignored after an input with the same beginning."""
    long = source.longer(_LONG_BEGINNING)
    for place in long.places[:_SIMILAR_PLACES]:
        text = value_at(long.value, place)
        if not isinstance(text, str) or len(text) <= _LONG_KEY or is_identifier(place):
            continue
        probe, name = CacheProbe(requester, long, place), format_path(place)
        if probe.find(_other_end(place), place, f"`{name}` with another end"):
            return True
        # Some outputs do not have the end of a text, and depend on its length.
        longer = _longer_end(place)
        if source.accepts(longer(long.value)) and probe.find(longer, place, f"`{name}` with more words at its end"):
            return True
    return False


def _other_end(place: Place) -> Change:
    """The change of the end of a text, whatever its beginning is."""
    return lambda value: with_value(value, place, with_other_end(str(value_at(value, place))))


def _longer_end(place: Place) -> Change:
    """The change that adds words to a text."""
    return lambda value: with_value(value, place, f"{value_at(value, place)}{_MORE_WORDS}")


def _is_cached_on_a_part(
    requester: Requester, source: InputSource, place: Place, limit: int, others: tuple[Place, ...] = ()
) -> bool:
    """
    Whether one of *limit* changed values is ignored after an input with the same unique value at a place. With *others*, these
    have unique values too, and the changes are in other arguments.
    """
    probe = CacheProbe(requester, source, place, others=others)
    unchanged = place[:1] if others else place
    elsewhere = [each for each in source.variations_by_argument() if each.place != unchanged[: len(each.place)]]
    elsewhere = [each for each in elsewhere if not others or each.place[:1] != unchanged]
    elsewhere.sort(key=lambda variation: variation.place[:1] == place[:1])

    def find(variation: Variation, own: InputSource) -> bool:
        return probe.with_source(own).find(setting(variation), variation.place, variation.label)

    return _is_any_true(requester, source, [partial(find, each) for each in elsewhere[:limit]])


def _compare_ambiguous_pair(
    requester: Requester, pair: AmbiguousPair, varying: Collection[Path], source: InputSource
) -> bool:
    """Compare the outputs for two inputs that a careless cache takes for equal. True after a violation."""
    unique = _place_for_unique_value(source, pair)
    if unique is None or not _have_equal_outputs(requester, source, pair, unique, varying):
        return False
    probe = CacheProbe(requester, source, unique, pair.first)
    return probe.find(pair.second, pair.places[-1], pair.label) or probe.find_by_detour(pair, varying)


def _varying_paths(requester: Requester, source: InputSource) -> frozenset[Path]:
    """Where the output for an input is another one each time, as ids and times are."""
    body = encoded(source.unique())
    first, second = (send_alone(requester, body, "an input sent twice") for _ in range(2))
    return differing_paths(first, second) if first is not None and second is not None else frozenset()


def _place_for_unique_value(source: InputSource, pair: AmbiguousPair) -> Place | None:
    """
    Where both inputs of a pair get the same unique value, so that a cache does not know them yet: outside of what differs, or
    in a text that is a part of both.
    """
    elsewhere = [place for place in source.places if all(place[: len(each)] != each for each in pair.places)]
    kept = pair.kept if pair.kept in source.places else None
    return min(elsewhere, key=is_identifier, default=kept)


def _have_equal_outputs(
    requester: Requester, source: InputSource, pair: AmbiguousPair, unique: Place, varying: Collection[Path]
) -> bool:
    """True if two inputs, one after the other, have equal outputs."""
    base = source.with_unique(source.value, unique)
    first, second = (send_alone(requester, encoded(change(base)), pair.label) for change in (pair.first, pair.second))
    return are_equal(first, second, varying=varying)


def _compare_similar_texts(requester: Requester, value: JSON, source: InputSource) -> None:
    """
    An input with a text that differs from an earlier one at the end only must not get that one's values: a store may compare
    the beginnings of its keys.
    """
    source = source.with_value(value) if value != source.value else source
    places = [place for place in source.places if isinstance(value_at(source.value, place), str)]
    for place in places[:_SIMILAR_PLACES]:
        long = source.longer(_LONG_KEY)
        stem = str(value_at(long.with_unique(long.value, place), place))[:-1]
        first, second = (with_value(source.unique(), place, stem + end) for end in "ab")
        if not (source.accepts(first) and source.accepts(second)):
            continue
        theirs = {str(value_at(first, place)).encode()} | source.tokens(first)
        send_alone(requester, encoded(first), "one of two inputs with similar texts")
        request = requester.build_request(
            encoded(second), label="one of two inputs with similar texts", is_compared=False
        )
        others = dict.fromkeys(theirs - source.tokens(second), encoded(first))
        judge_tokens(requester, requester.send(request), others)


def _compare_spellings(requester: Requester, spellings: tuple[str, str], source: InputSource) -> bool:
    """
    Two spellings of a text, each after the other one. True after a violation. A chain may normalize texts, and then returns the same one for both. With
    a cache that normalizes its keys, the answers have the spelling that came first.
    """
    place = next((each for each in source.places if isinstance(value_at(source.value, each), str)), None)
    orders = (spellings, spellings[::-1])
    if place is None or not all(_has_first_spelling(requester, source, place, order) for order in orders):
        return False
    request = requester.build_request(label=f"the texts {spellings[0]!r} and {spellings[1]!r}")
    requester.record_clause(
        clauses.ANSWER_MATCHES_REQUEST,
        request,
        expected=OWN_ANSWER,
        actual=f"the answer to an earlier input with another spelling of `{format_path(place)}`",
    )
    return True


def _has_first_spelling(requester: Requester, source: InputSource, place: Place, order: tuple[str, str]) -> bool:
    """True if the second of two spellings of a new text gets an answer with the first one, and not with its own."""
    stem, output = unique_text(source.rng, 8), None
    texts = [stem + spelling for spelling in order]
    for text in texts:
        value = with_value(source.value, place, text)
        output = send_alone(requester, encoded(value), "two spellings of a text") if source.accepts(value) else None
        if output is None:
            return False
    found = [
        any(text in leaf for values in (output or {}).values() for leaf in values if isinstance(leaf, str))
        for text in texts
    ]
    return found == [True, False]


def _compare_with_unnamed_members(requester: Requester, source: InputSource) -> None:
    """
    Two inputs with equal outputs must have equal outputs with a further member that the chain ignores.

    A cache whose key are the names of the members, or the arguments' types, would return one output for both.
    """
    if not requester.inputs.ignores_unnamed or not isinstance(source.value, dict):
        return
    first, second = source.unique(), source.unique()
    outputs = (send_alone(requester, encoded(value)) for value in (first, second))
    if not are_equal(*outputs):
        return
    assert isinstance(first, dict)
    assert isinstance(second, dict)
    first_busted, second_busted = (
        send_alone(requester, encoded({**value, f"chainproof{source.rng.getrandbits(32)}": 1}))
        for value in (first, second)
    )
    if first_busted is None or second_busted is None:
        return
    paths = differing_paths(first_busted, second_busted)
    actual = None
    if paths:
        actual = f"`{format_output_path(min(paths))}` as in the answer to another input with the same member names"
    request = requester.build_request(encoded(second), label="one of two different inputs")
    requester.record_clause(clauses.ANSWER_MATCHES_REQUEST, request, expected=OWN_ANSWER, actual=actual)
