"""
Each input gets its own answer, whatever else is sent: for chains that do not return their input.

The outputs are compared with each other (`judging.known_answers`), so that nothing need be known about the chain. The
check of a module that finds a difference confirms it with further requests.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from functools import partial

from chainproof.clock import Seconds, monotonic
from chainproof.contract import clauses
from chainproof.json_text import JSON

from ...inputs.input_variations import encoded, with_invalid_argument, with_value
from ...options import Depth
from ...probing.answer_recorder import JudgedExchange
from ...probing.budget import Round
from ...probing.concurrency import run_in_threads
from ...probing.input_source import InputSource, distinct_bodies, input_source
from ...probing.outputs.cache_probe import HAS_COMPARED
from ...probing.outputs.equivalent_inputs import judge_equivalent_inputs
from ...probing.outputs.lasting_changes import judge_lasting_change
from ...probing.outputs.mixed_up_outputs import judge_tokens
from ...probing.outputs.request_isolation import judge_growing_outputs, judge_similar_inputs
from ...probing.outputs.short_lived_answers import judge_short_lived_answers
from ...probing.outputs.sticking_arguments import judge_sticking_arguments
from ...probing.outputs.stored_answers import search_stored_answers
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
_LONG_TEXTS = (5_000, 50_000)
"""Characters of long texts. Texts of other requests are recognised in answers if their requests have less than 8 KiB."""
_MANY_ITEMS = 12
"""Items of arrays in the large inputs among concurrent ones."""
_FAST: Seconds = 1.0
"""Time that a long input may take in addition; slower ones are not sent again."""
_SIMILAR_INPUTS = 5
"""Inputs, each of which differs from another one in one argument."""
_BARE_INPUTS = 3
"""Inputs without optional arguments."""
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

    def own(purpose: str) -> InputSource:
        return replace(source, rng=requester.rng(f"equal inputs: {purpose}"))

    parts: tuple[Callable[[], None], ...] = (
        lambda: _send_on_one_connection(requester, bodies, _long_inputs(requester, own("long ones"))[:1]),
        *(partial(_send_forms, requester, body, number) for number, body in enumerate(bodies)),
        lambda: _send_after_malformed_ones(requester, bodies),
        lambda: _send_after_invalid_ones(requester, source, bodies),
        lambda: judge_equivalent_inputs(requester, own("equivalent ones")),
        lambda: judge_similar_inputs(requester, own("similar ones"), count),
    )
    requester.run_parts(lambda part: part(), parts)
    requester.pause(min(requester.waits.idle, _PAUSE))  # a cached answer has to expire
    for body in bodies:
        requester.send(requester.build_request(body, label="an input sent again after a pause"))


def _long_inputs(requester: Requester, source: InputSource) -> list[bytes]:
    """Inputs with long texts, each of which was sent three times; none that the chain needs much time for."""
    long_inputs: list[bytes] = []
    for length in _LONG_TEXTS:
        long = source.longer(length)
        one, two = encoded(long.unique()), encoded(long.unique())
        if not _is_fast(requester, one):
            break
        long_inputs.append(two)
        for body in (two, two, one, one):
            requester.send(requester.build_request(body, label="a long input sent again"))
    return long_inputs


def _send_after_malformed_ones(requester: Requester, bodies: Sequence[bytes]) -> None:
    """Send inputs again after a malformed body, and after an input without arguments."""
    for label, disturbance in (("a malformed body", b'{"a":'), ("an input without arguments", b"{}")):
        requester.send(requester.build_request(disturbance))
        for body in bodies[:2]:
            requester.send(requester.build_request(body, label=f"an input sent again after {label}"))


def _is_fast(requester: Requester, body: bytes) -> bool:
    """Send a long input. True if it takes little longer than others: a chain may need much time for each character."""
    began = monotonic()
    answer = requester.send(requester.build_request(body, label="a long input")).answer
    return answer is not None and monotonic() - began < _FAST + 3 * requester.response_times.accepted


def _send_forms(requester: Requester, body: bytes, number: int) -> None:
    """Send an equal input in other forms."""
    for request in _forms(requester, body, number):
        requester.send(request)


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


def _send_on_one_connection(requester: Requester, bodies: Sequence[bytes], long_inputs: Sequence[bytes]) -> None:
    """Send inputs one after another, then each after errors, and errors after long outputs, on a connection of their own."""
    with requester.raw_connection() as connection:
        after_errors = [each for body in bodies[:2] for each in (b'{"a":', body, b"{}", body)]
        after_long = [each for body in long_inputs for each in (body, b'{"a":', body, b"{}")]
        for body in (*bodies, *bodies, *after_errors, *after_long):
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
    bare = source.bare()
    theirs = frozenset().union(*map(source.tokens, similar))  # a store may know them by what they have in common
    own = {encoded(value): source.tokens(value) for value in values} | dict.fromkeys(map(encoded, similar), theirs)
    if bare.value != source.value:
        own |= {encoded(value): bare.tokens(value) for value in (bare.unique() for _ in range(_BARE_INPUTS))}
    own |= {body: frozenset() for body in requester.inputs.others[:4]}
    owners = {token: body for body, tokens in own.items() for token in tokens}

    def send(numbered: tuple[int, bytes]) -> None:
        number, body = numbered
        label = "one of several concurrent inputs"
        fields = (JSON_TYPE, *_COMPRESSED[: number % 2])
        judged = requester.send(requester.build_request(body, fields=fields, label=label))
        mine = own.get(body, frozenset())
        judge_tokens(requester, judged, {token: owner for token, owner in owners.items() if token not in mine})

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
        batch += map(encoded, rng.sample(similar, len(similar)))
        run_in_threads(send, enumerate(batch), threads=_THREADS)


_COMPRESSED = (("Accept-Encoding", "gzip"),)
"""A field that lets the target compress its output. It may share what it does that with between requests."""


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


# ------------------------------------------------------------------ answers cached on a part of the input


@check_for(clauses.ANSWER_MATCHES_REQUEST, exclusive=True)
def answers_depend_on_the_whole_input(requester: Requester) -> None:
    """
    An input that was not sent before shows what a changed value does to the output. It must do the same after the input
    with the unchanged value: a cache whose key lacks the value returns that one's answer.
    """
    source = input_source(requester, "whole input")
    source = replace(source, value=source.unique())  # hexadecimal digits have upper and lower case
    if requester.scope.round is not Round.REST and judge_short_lived_answers(requester, source):
        return
    search_stored_answers(requester, source)
    _require_evidence(
        requester,
        "no changed value changed the output of a new input: give an input with a full output in --payloads",
        found=HAS_COMPARED in requester.learnt,
    )


# ------------------------------------------------------------------ arguments that stick


@check_for(clauses.REQUEST_ISOLATION, exclusive=True)
def arguments_of_one_request_do_not_affect_the_next(requester: Requester) -> None:
    """
    An input without optional arguments gets the same answer before and after inputs with many arguments, no output becomes longer
    with each request, and the first input of the run is answered as before all others.
    """
    is_rest = requester.scope.round is Round.REST
    if not is_rest:
        judge_lasting_change(requester)
    source = input_source(requester, "arguments that stick")
    if judge_sticking_arguments(requester, source) or is_rest:
        return
    for each in source.and_bare():
        judge_growing_outputs(requester, each)
