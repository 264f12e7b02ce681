"""
Each input gets its own answer, whatever else is sent: for chains that do not return their input.

The outputs are compared with each other (`judging.known_answers`), so that nothing need be known about the chain. The
check of a module that finds a difference confirms it with further requests.
"""

from __future__ import annotations

import json
import re
import time
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import replace
from itertools import islice

from chainproof.clock import Seconds, monotonic
from chainproof.contract import clauses
from chainproof.contract.answer import Answer
from chainproof.contract.violations import Violation
from chainproof.json_text import JSON, InvalidJson, TooComplex, is_number, parse_json
from chainproof.stored_text import beginning

from ...inputs.ambiguous_pairs import AmbiguousPair, Change, ambiguous_pairs
from ...inputs.bound_values import without_optional_members
from ...inputs.chain_inputs import UNNAMED_MEMBER
from ...inputs.input_variations import (
    Place,
    Variation,
    encoded,
    format_place,
    unique_text,
    value_at,
    with_invalid_argument,
    with_other_end,
    with_value,
)
from ...inputs.member_names import is_identifier, tells_of_cache
from ...judging.output_comparison import (
    ANY_ITEM,
    Leaves,
    Path,
    agree_at,
    differing_paths,
    format_output_path,
    leaves,
    without,
)
from ...options import Depth
from ...probing.answer_recorder import JudgedExchange
from ...probing.budget import Round
from ...probing.concurrency import run_in_threads
from ...probing.difference_confirmation import send_alone
from ...probing.equivalent_inputs import judge_equivalent_inputs
from ...probing.input_source import InputSource, distinct_bodies, input_source
from ...probing.lasting_changes import judge_lasting_change
from ...probing.request_isolation import judge_growing_outputs, judge_similar_inputs, sticking_cases
from ...probing.requester import Requester
from ...transport.check_skipped import CheckSkipped
from ...transport.request import JSON_TYPE, CheckRequest
from .. import check_for

_INPUTS: dict[Depth, int] = {Depth.QUICK: 4, Depth.STANDARD: 8, Depth.DEEP: 16}
_INPUTS_AFTER_INVALID = 2
_ROUNDS: dict[Depth, int] = {Depth.QUICK: 3, Depth.STANDARD: 8, Depth.DEEP: 20}
"""Rounds of concurrent requests."""
_THREADS = 12
_INVALID = (b"{}", b'{"a":', b"{}")
"""Inputs among concurrent ones that a chain may reject, without those that are processed with them."""
_VARIATIONS: dict[Depth, int] = {Depth.QUICK: 10, Depth.STANDARD: 40, Depth.DEEP: 200}
"""Changes of one value that are tried with each unique value."""
_LONG_TEXTS = (5_000, 50_000)
"""Characters of long texts. Texts of other requests are recognised in answers if their requests have less than 8 KiB."""
_MANY_ITEMS = 12
"""Items of arrays in the large inputs among concurrent ones."""
_FAST: Seconds = 1.0
"""Time that a long input may take in addition; slower ones are not sent again."""
_LONG_KEY = 36
"""Characters of texts that differ at their end only."""
_LONG_BEGINNING = 1_200
"""Characters of texts that have more than a cache may look at."""
_TOKEN_LENGTH, _LEAST_TOKEN = 16, 8
"""Characters at the beginning of a text that no other request has."""
_WORD = "word "
"""What the last name of the path of a word begins with."""
_MAX_WORDS = 300
_COUNT = "count of values"
"""The last name of the path of the number of values in an array."""
_MAX_DETOURS = 3
"""Changes without an effect that are tried for inputs with equal outputs."""
_SIMILAR_PLACES = 3
_SIMILAR_INPUTS = 5
"""Inputs, each of which differs from another one in one argument."""
_SHOWN = 200
"""Characters of another request's body that a finding shows."""
_BARE_INPUTS = 3
"""Inputs without optional arguments."""
_SPELLINGS = (("\u00e9", "e\u0301"), ("q", "Q"), ("x y", "x  y"), ("1", "\uff11"))
"""Texts that are equal for a cache that normalizes its keys: composed and decomposed, and in another case, space or width."""
_UNIQUE_PLACES = 2
"""Arguments that get a unique value in turn: a cache may ignore one of them."""
_CONFIRMATIONS = 5
_CONTROLS = 6
"""Answers that must be equal before a difference is no chance."""
_STICKING_CASES: dict[Depth, int] = {Depth.QUICK: 24, Depth.STANDARD: 48, Depth.DEEP: 100}
"""Inputs that are sent after inputs with other arguments."""
_HAS_COMPARED = "outputs with a changed value were compared"
_HAS_EVIDENCE = "whether outputs show to which inputs they belong, by check"
_PAUSE: Seconds = 1.0
"""Time in which a cache may forget what it has stored."""


@check_for(clauses.ANSWER_REPEATABLE, clauses.ANSWER_MATCHES_REQUEST, clauses.REQUEST_ISOLATION)
def equal_inputs_get_equal_answers(requester: Requester) -> None:
    """
    Several inputs, in turn and again in reverse order, after errors, after a pause, on one connection, with long texts,
    with their JSON written differently, with defaults, and with members that the chain ignores.
    """
    if count := requester.share(_INPUTS[requester.settings.depth], first=2):
        _send_equal_inputs(requester, count)


def _send_equal_inputs(requester: Requester, count: int) -> None:
    """Send some inputs in all of these ways."""
    source = input_source(requester, "equal inputs")
    bodies = distinct_bodies(requester, source, count)
    for body in (*bodies, *reversed(bodies)):
        requester.send(requester.build_request(body, label="an input sent twice"))
    for length in _LONG_TEXTS:
        long = source.longer(length)
        one, two = encoded(long.unique()), encoded(long.unique())
        if not _is_fast(requester, one):
            break
        for body in (two, two, one, one):
            requester.send(requester.build_request(body, label="a long input sent again"))
    for number, body in enumerate(bodies):
        for request in _forms(requester, body, number):
            requester.send(request)
    for label, disturbance in (("a malformed body", b'{"a":'), ("an input without arguments", b"{}")):
        requester.send(requester.build_request(disturbance))
        for body in bodies[:2]:
            requester.send(requester.build_request(body, label=f"an input sent again after {label}"))
    _send_after_invalid_ones(requester, source, bodies)
    _send_on_one_connection(requester, bodies)
    judge_equivalent_inputs(requester, source)
    # The target runs in real time: a cached answer has to expire.
    time.sleep(min(requester.waits.idle, _PAUSE, requester.time_budget.left))
    for body in bodies:
        requester.send(requester.build_request(body, label="an input sent again after a pause"))
    judge_similar_inputs(requester, source, count)


def _is_fast(requester: Requester, body: bytes) -> bool:
    """Send a long input. True if it takes little longer than others: a chain may need much time for each character."""
    began = monotonic()
    answer = requester.send(requester.build_request(body, label="a long input")).answer
    return answer is not None and monotonic() - began < _FAST + 3 * requester.response_times.accepted


def _forms(requester: Requester, body: bytes, number: int) -> Iterator[CheckRequest]:
    """Requests with an equal input in other forms. The *number* of the input makes their lengths differ."""
    value = json.loads(body)
    reordered = json.dumps(dict(reversed(value.items())), ensure_ascii=False).encode()
    spaced = b" \n" + json.dumps(value, indent=3, ensure_ascii=False).encode() + b"\n" * (3 * number + 1)
    build = requester.build_request
    yield build(reordered, label="an input with its members in reverse order")
    yield build(spaced, label="an input with whitespace")
    yield build(_with_escaped_names(value), label="an input with its member names written as escapes")
    yield build(body, chunked=True, label="an input in chunks")
    yield build(body, fields=(JSON_TYPE, ("Accept-Encoding", "gzip")), label="an input with Accept-Encoding: gzip")
    yield build(body, path=f"{requester.target.path}?version=2", label="an input with a query")


def _with_escaped_names(value: dict[str, JSON]) -> bytes:
    """An input whose member names are written as escapes, as RFC 8259 §7 permits."""
    members = []
    for name, item in value.items():
        units = name.encode("utf-16-be", "surrogatepass").hex()
        escapes = "".join(f"\\u{units[start : start + 4]}" for start in range(0, len(units), 4))
        members.append(b'"%s":%s' % (escapes.encode(), encoded(item)))
    return b"{" + b",".join(members) + b"}"


def _send_after_invalid_ones(requester: Requester, source: InputSource, bodies: Sequence[bytes]) -> None:
    """Send inputs again after the same with one invalid argument: a rejection may be cached by the other arguments."""
    for body in bodies[:_INPUTS_AFTER_INVALID] if requester.terms.input_schema is not None else ():
        value = json.loads(body)
        for name in (*tuple(value)[:1], *tuple(value)[1:][-1:]):
            invalid = with_invalid_argument(value, name, source.accepts)
            if invalid is not None:
                requester.send(requester.build_request(encoded(invalid), label=f"an invalid `{name}`"))
                requester.send(requester.build_request(body, label=f"an input sent again after an invalid `{name}`"))


def _send_on_one_connection(requester: Requester, bodies: Sequence[bytes]) -> None:
    """Send inputs one after another, and then each after errors, on a connection of their own."""
    with requester.raw_connection() as connection:
        after_errors = [each for body in bodies[:2] for each in (b'{"a":', body, b"{}", body)]
        for body in (*bodies, *bodies, *after_errors):
            request = requester.prepare(requester.build_request(body, label="one of several inputs on a connection"))
            connection.send_request(request)
            received = connection.read_answer(request)
            requester.record(request, received, None)
            if connection.is_closed or received.closes_connection or received.answer is None:
                return


# ------------------------------------------------------------------ concurrent requests


@check_for(clauses.ANSWER_MATCHES_REQUEST, clauses.ANSWER_REPEATABLE)
def concurrent_inputs_get_their_own_answers(requester: Requester) -> None:
    """Different inputs, each sent alone first, and then many at the same time, with invalid ones among them."""
    rounds = requester.share(_ROUNDS[requester.settings.depth], first=1)
    if not rounds:
        return
    source = input_source(requester, "concurrent inputs")
    values = [source.unique() for _ in range(_INPUTS[requester.settings.depth] + 2)]
    # A server may process large inputs in another way, and share more between them.
    long = source.with_many_items(_MANY_ITEMS).longer(_LONG_TEXTS[0])
    if _is_fast(requester, encoded(long.unique())):
        values += [long.unique(), long.unique()]
    # Requests that differ in one value only: a server may give the answer that it is working on to all of them.
    similar = _similar_inputs(replace(source, value=values[0]))
    # Optional arguments may make the output one of chance, such as a temperature.
    bare = source.with_value(without_optional_members(source.value, source.accepts, nested=False))
    theirs = frozenset().union(*map(source.tokens, similar))  # a store may know them by what they have in common
    own = {encoded(value): source.tokens(value) for value in values} | dict.fromkeys(map(encoded, similar), theirs)
    if bare.value != source.value:
        own |= {encoded(value): bare.tokens(value) for value in (bare.unique() for _ in range(_BARE_INPUTS))}
    own |= {body: frozenset() for body in requester.inputs.others[:4]}
    owners = {token: body for body, tokens in own.items() for token in tokens}

    def send(body: bytes) -> None:
        label = "one of several concurrent inputs"
        judged = requester.send(requester.build_request(body, label=label))
        mine = own.get(body, frozenset())
        _judge_tokens(requester, judged, {token: owner for token, owner in owners.items() if token not in mine})

    alone = {body: requester.send(requester.build_request(body, label="an input sent alone")) for body in own}
    _require_evidence(
        requester,
        "the chain's answers to equal inputs differ, or those to different inputs are equal: give --check FILE.py:FUNCTION",
        found=_can_show_owner(requester, alone, own),
    )
    rng = requester.rng("order of concurrent inputs")
    for _ in range(rounds):
        batch = [*own, *own, *_INVALID]
        rng.shuffle(batch)
        run_in_threads(send, [*batch, *map(encoded, rng.sample(similar, len(similar)))], threads=_THREADS)


def _similar_inputs(source: InputSource) -> list[JSON]:
    """An input, and the same with another value of one argument each."""
    changes = source.variations_by_argument()[:_SIMILAR_INPUTS]
    return [source.value, *(with_value(source.value, each.place, each.value) for each in changes)]


def _can_show_owner(
    requester: Requester, alone: dict[bytes, JudgedExchange], own: dict[bytes, frozenset[bytes]]
) -> bool:
    """True if answers show to which input they belong: by a unique text in them, or since they are repeatable and differ."""
    answers = [(each.answer, own[body]) for body, each in alone.items()]
    if any(answer is not None and token in answer.body for answer, tokens in answers for token in tokens):
        return True
    outputs = [requester.known_answers.output_for(each.request) for each in alone.values()]
    first = next((output for output in outputs if output is not None), None)
    return first is not None and any(
        output is not None and requester.known_answers.changed_paths(first, output) for output in outputs
    )


def _require_evidence(requester: Requester, why_not: str, *, found: bool) -> None:
    """
    Raises CheckSkipped unless this check has *found* outputs that would show if they belonged to other inputs. If no check
    has, nothing can be said about mixed-up answers, although no answer to any request had data of another one.
    """
    known = requester.learnt.setdefault(_HAS_EVIDENCE, {})
    assert isinstance(known, dict)
    known[requester.check_name] = found
    if found:
        return
    if len(known) > 1 and not any(known.values()) and requester.scope.round is not Round.FIRST:
        requester.finding_recorder.record_undecided({clauses.ANSWER_MATCHES_REQUEST: why_not})
    raise CheckSkipped(why_not)


def _judge_tokens(requester: Requester, judged: JudgedExchange, others: Mapping[bytes, bytes]) -> None:
    """Record whether an answer contains a unique text of another request, given the body that has each text."""
    answer = judged.answer
    if answer is None or answer.status != 200:
        return
    foreign = next((token for token in others if token in answer.body), None)
    violation = None
    if foreign is not None:
        violation = requester.known_answers.first_mixed_up(
            Violation(
                clause=clauses.ANSWER_MATCHES_REQUEST,
                expected="the answer to the own input",
                actual=f"{_place_of(foreign, answer)} has a text that only another request has: {beginning(others[foreign], _SHOWN)}",
            )
        )
    requester.record_clause(clauses.ANSWER_MATCHES_REQUEST, violation, judged.request, answer)


def _place_of(token: bytes, answer: Answer) -> str:
    """Where a text is in an output."""
    value = parse_json(answer.body)
    if not isinstance(value, InvalidJson | TooComplex):
        for path, values in leaves(value).items():
            if any(isinstance(each, str) and token.decode() in each for each in values):
                return f"`{format_output_path(path)}`"
    return "the output"


# ------------------------------------------------------------------ answers cached on a part of the input


@check_for(clauses.ANSWER_MATCHES_REQUEST, exclusive=True)
def answers_depend_on_the_whole_input(requester: Requester) -> None:
    """
    An input that was not sent before shows what a changed value does to the output. It must do the same after the input
    with the unchanged value: a cache whose key lacks the value returns that one's answer.
    """
    source = input_source(requester, "whole input")
    source = replace(source, value=source.unique())  # hexadecimal digits have upper and lower case
    _search_stored_answers(requester, source)
    _require_evidence(
        requester,
        "no changed value changed the output of a new input: give an input with a full output in --payloads",
        found=_HAS_COMPARED in requester.learnt,
    )


def _search_stored_answers(requester: Requester, source: InputSource) -> None:
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
    _compare_with_unnamed_members(requester, source)
    # An optional argument may hide what is stored, such as one that clears a history.
    bare = source.with_value(without_optional_members(source.value, source.accepts, nested=False))
    for each in (source,) if bare.value == source.value else (source, bare):
        _compare_similar_texts(requester, each)
    _compare_spellings(requester, source)
    return _compare_ambiguous_pairs(requester, source) or _is_cached_on_a_beginning(requester, source)


def _is_cached_on_a_beginning(requester: Requester, source: InputSource) -> bool:
    """Whether the end of a long text, or of a file in base64, is ignored after an input with the same beginning."""
    long = source.longer(_LONG_BEGINNING)
    for place in long.places[:_SIMILAR_PLACES]:
        text = value_at(long.value, place)
        if not isinstance(text, str) or len(text) <= _LONG_KEY or is_identifier(place):
            continue
        label = f"`{format_place(place)}` with another end"
        if _CacheProbe(requester, long, place).find(_other_end(place), place, label):
            return True
    return False


def _other_end(place: Place) -> Change:
    """The change of the end of a text, whatever its beginning is."""
    return lambda value: with_value(value, place, with_other_end(str(value_at(value, place))))


def _is_cached_on_a_part(
    requester: Requester, source: InputSource, place: Place, limit: int, others: tuple[Place, ...] = ()
) -> bool:
    """
    Whether one of *limit* changed values is ignored after an input with the same unique value at a place. With *others*, these
    have unique values too, and the changes are in other arguments.
    """
    probe = _CacheProbe(requester, source, place, others=others)
    unchanged = place[:1] if others else place
    elsewhere = [each for each in source.variations_by_argument() if each.place != unchanged[: len(each.place)]]
    elsewhere = [each for each in elsewhere if not others or each.place[:1] != unchanged]
    elsewhere.sort(key=lambda variation: variation.place[:1] == place[:1])
    return any(probe.find(_setting(each), each.place, each.label) for each in elsewhere[:limit])


def _setting(variation: Variation) -> Change:
    """The change of one value."""
    return lambda value: with_value(value, variation.place, variation.value)


def _compare_ambiguous_pairs(requester: Requester, source: InputSource) -> bool:
    """Compare the outputs for inputs that a careless cache takes for equal. True after a violation."""
    varying = _varying_paths(requester, source)
    for pair in ambiguous_pairs(source.value, source.accepts):
        unique = _place_for_unique_value(source, pair)
        if unique is None or not _have_equal_outputs(requester, source, pair, unique, varying):
            continue
        probe = _CacheProbe(requester, source, unique, pair.first)
        if probe.find(pair.second, pair.places[-1], pair.label) or probe.find_by_detour(pair, varying):
            return True
    return False


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
    return _are_equal(first, second, varying=varying)


def _are_equal(first: Leaves | None, second: Leaves | None, *, varying: Collection[Path] = ()) -> bool:
    """True if there are two outputs, with equal values except at *varying* paths."""
    return first is not None and second is not None and not differing_paths(first, second).difference(varying)


class _CacheProbe:
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

    def find(self, change: Change, place: Place, label: str) -> bool:
        """Record whether the output depends on a change also after the input without it. True after a violation."""
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
            self._record(None, changed, label)
            return False
        paths = self._lasting(change, paths, first)
        if not paths:
            return False
        if self._is_remembered():
            self._requester.note(
                f"an input gets the `{_format_path(min(paths))}` of an earlier one with the same "
                f"`{format_place(self._place)}`, whatever its own `{format_place(place)}` is. That is right for a chain "
                "that remembers it, such as a store, and wrong for a cache, so it is no finding"
            )
            return True
        violation = Violation(
            clause=clauses.ANSWER_MATCHES_REQUEST,
            expected="the answer to the own input",
            actual=f"`{_format_path(min(paths))}` as in the answer to an earlier input that differs only there",
        )
        self._record(violation, changed, label)
        return True

    def find_by_detour(self, pair: AmbiguousPair, varying: Collection[Path]) -> bool:
        """
        The same for a pair whose outputs depend on the unique value in every place. A change without an effect, which makes the input
        new to a cache, shows whether the second input has the output of the first one by right. True after a violation.
        """
        if is_identifier(self._place) or _are_equal(self._base, self._send(self._usual), varying=varying):
            return False
        for detour in islice(self._detours(pair), _MAX_DETOURS):
            if all(self._is_taken_for_first(pair, detour, varying) for _ in range(_CONTROLS)):
                violation = Violation(
                    clause=clauses.ANSWER_MATCHES_REQUEST,
                    expected="the answer to the own input",
                    actual=f"the answer to an earlier input, which differs in {pair.label}",
                )
                self._record(violation, pair.second(self._source.value), pair.label)
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
                yield _setting(each)

    def _is_taken_for_first(self, pair: AmbiguousPair, detour: Change, varying: Collection[Path]) -> bool:
        """True if the second input of a pair has the output of the first one before it, and another one with a change without an effect."""
        for change in (pair.first, pair.second):
            value = change(self._unique())
            if not _are_equal(self._alone(value), self._alone(detour(value)), varying=varying):
                return False
        base = self._unique()
        first, second, own = (
            self._alone(each) for each in (pair.first(base), pair.second(base), detour(pair.second(base)))
        )
        return (
            own is not None
            and _are_equal(first, second, varying=varying)
            and not _are_equal(second, own, varying=varying)
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

    def _record(self, violation: Violation | None, value: JSON, label: str) -> None:
        self._requester.learnt[_HAS_COMPARED] = True
        request = self._requester.build_request(encoded(value), label=f"an input with {label}")
        self._requester.record_clause(clauses.ANSWER_MATCHES_REQUEST, violation, request)

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


def _compare_similar_texts(requester: Requester, source: InputSource) -> None:
    """
    An input with a text that differs from an earlier one at the end only must not get that one's values: a store may compare
    the beginnings of its keys.
    """
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
        _judge_tokens(requester, requester.send(request), others)


def _compare_spellings(requester: Requester, source: InputSource) -> None:
    """
    Two spellings of a text, each after the other one. A chain may normalize texts, and then returns the same one for both. With
    a cache that normalizes its keys, the answers have the spelling that came first.
    """
    place = next((each for each in source.places if isinstance(value_at(source.value, each), str)), None)
    if place is None:
        return
    for spellings in _SPELLINGS:
        orders = (spellings, spellings[::-1])
        if all(_has_first_spelling(requester, source, place, order) for order in orders):
            request = requester.build_request(label=f"the texts {spellings[0]!r} and {spellings[1]!r}")
            violation = Violation(
                clause=clauses.ANSWER_MATCHES_REQUEST,
                expected="the answer to the own input",
                actual=f"the answer to an earlier input with another spelling of `{format_place(place)}`",
            )
            requester.record_clause(violation.clause, violation, request)
            return


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
    if not _are_equal(*outputs):
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
    violation = None
    if paths:
        violation = Violation(
            clause=clauses.ANSWER_MATCHES_REQUEST,
            expected="the answer to the own input",
            actual=f"`{format_output_path(min(paths))}` as in the answer to another input with the same member names",
        )
    request = requester.build_request(encoded(second), label="one of two different inputs")
    requester.record_clause(clauses.ANSWER_MATCHES_REQUEST, violation, request)


# ------------------------------------------------------------------ arguments that stick


@check_for(clauses.REQUEST_ISOLATION, exclusive=True)
def arguments_of_one_request_do_not_affect_the_next(requester: Requester) -> None:
    """
    An input without optional arguments gets the same answer before and after inputs with many arguments, no output becomes longer
    with each request, and the first input of the run is answered as before all others.
    """
    judge_lasting_change(requester)
    source = input_source(requester, "arguments that stick")
    cases = islice(sticking_cases(source, requester.inputs.base), _STICKING_CASES[requester.settings.depth])
    warm: JSON = None
    for body, others in cases:
        if others[1] != warm:
            warm = others[1]
            for other in others:
                source.unique_at(other, source.places)  # asks the target now, and not while it is watched
            send_alone(requester, encoded(warm), "an input with many arguments")
        paths = _sticking_paths(requester, source, body, others)
        violation = None
        if paths and _is_constant(requester, body, paths):
            violation = Violation(
                clause=clauses.REQUEST_ISOLATION,
                expected="the same answer as before",
                actual=f"another value of `{format_output_path(min(paths))}` after an input with other arguments",
            )
        if paths is not None:
            request = requester.build_request(body, label="a simple input after one with many arguments")
            requester.record_clause(clauses.REQUEST_ISOLATION, violation, request)
        if violation is not None:
            return
    bare = source.with_value(without_optional_members(source.value, source.accepts, nested=False))
    for each in (source, bare) if bare.value != source.value else (source,):
        judge_growing_outputs(requester, each)


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
