"""
Finds out which inputs the chain accepts, with the first requests of a run.

It sends the inputs that the user gave, those that the schema yields, or those that the chain's own errors lead to. Without
an accepted input, most clauses cannot be tested: a rejection of a probe would say nothing about the probe.
"""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from functools import partial

from chainproof.chain_schema.schema import Schema
from chainproof.clock import Seconds, format_duration, monotonic
from chainproof.contract.answer import Answer
from chainproof.json_text import parse_json
from chainproof.results.exchange import Transport
from chainproof.stored_text import beginning

from ..inputs.bound_values import without_optional_members
from ..inputs.chain_inputs import HARMLESS_TEXT, HARMLESS_VALUE, ChainInputs, string_places
from ..inputs.generated_inputs import distinct_inputs, rich_input
from ..inputs.input_search import MAX_ATTEMPTS, InputSearch
from ..inputs.input_variations import encoded
from ..judging.output_comparison import FirstOutputs
from ..options import SLOW_TARGET
from ..probing.liveness import retry_after
from ..probing.outputs.lasting_changes import outputs_after, outputs_before
from ..probing.requester import Requester
from ..transport.connection import TransportResult

_MAX_INPUTS = 12
"""Inputs besides the base that are tried."""
_MAX_TEXTS = 3
"""String arguments of the base in which another text is tried."""
_MAX_SHOWN = 300
"""Bytes of an input, and of the error for it, that a note shows."""

_STARTING = frozenset({429, 503, 504})
"""Statuses of a target that is not ready."""
_START_PAUSE: Seconds = 5.0
"""Pause before such a target is sent the first request again, after some shorter ones."""

_SEARCHED_STATUSES = frozenset({400, 422, 500})
"""Statuses of errors that may name the arguments: chains that do not validate fail with a KeyError."""


def discover_inputs(requester: Requester) -> tuple[Answer, ...]:
    """Give the requester inputs that the chain accepts. Returns the answers to the first requests."""
    answers: list[Answer] = []
    simplest = requester.inputs.base
    base = _first_accepted(requester, requester.inputs.known, answers)
    if len(answers) == 1 and answers[0].status in _STARTING:  # it was waited for
        return tuple(answers)
    if base is None and requester.terms.input_schema is not None:
        base = _first_accepted(requester, _inputs_of_schema(requester.terms.input_schema, requester), answers)
    if base is None and requester.may_search_inputs:
        base = _search(requester, answers)
    if base is None:
        requester.use_inputs(replace(requester.inputs, is_accepted=False))
        return tuple(answers)
    inputs = replace(requester.inputs, base=base, is_accepted=True)
    # From here on the accepted input shows whether the target still answers.
    requester.use_inputs(replace(inputs, rich=base, others=()))
    if not inputs.any_object:
        inputs = _with_first_outputs(requester, inputs)
    requester.use_inputs(inputs)
    if base != simplest and requester.terms.input_schema is not None:
        # Other inputs are accepted, so this one shows a violation. Later checks may have no time for it.
        requester.send(requester.build_request(simplest, label="the simplest input"))
    return tuple(answers)


def _with_first_outputs(requester: Requester, inputs: ChainInputs) -> ChainInputs:
    """The inputs with further ones. Unless the target is slow, the outputs for a first input are asked for before and after these."""
    if requester.response_times.accepted > SLOW_TARGET:
        return _with_others(requester, inputs)
    first = _bare_input(requester, inputs.base)
    before = outputs_before(requester, first)
    inputs = _with_others(requester, inputs)
    requester.first_outputs = FirstOutputs(body=first, before=before, after=outputs_after(requester, first))
    return inputs


def _bare_input(requester: Requester, base: bytes) -> bytes:
    """An input without optional arguments, whose required ones have many values if a schema is known: its output shows most."""
    schema = requester.terms.input_schema
    value = parse_json(rich_input(schema)) if schema is not None else None
    if schema is None or not isinstance(value, dict):
        return base
    return encoded(without_optional_members(value, schema.accepts, nested=False))


def _inputs_of_schema(schema: Schema, requester: Requester) -> tuple[bytes, ...]:
    """
    Inputs that match the schema and were not tried, those with the most arguments first: chains fail without an optional
    argument more often than with one.
    """
    found = (rich_input(schema), *distinct_inputs(schema, _MAX_INPUTS, requester.seed))
    new = (body for body in dict.fromkeys(found) if body not in requester.inputs.known)
    return tuple(sorted(new, key=_argument_count, reverse=True))


def _argument_count(body: bytes) -> int:
    """
    How many members of an object are not null.

    >>> _argument_count(b'{"text":"","language":null}')
    1
    """
    value = parse_json(body)
    return sum(member is not None for member in value.values()) if isinstance(value, dict) else 0


def _first_accepted(requester: Requester, candidates: tuple[bytes, ...], answers: list[Answer]) -> bytes | None:
    """The first input that is answered with 200, if there is one."""
    for body in candidates[:_MAX_INPUTS]:
        is_first = requester.finding_recorder.request_count == 0
        answer = _first_answer(requester, body) if is_first else requester.send_valid_body(body)
        if answer is None:
            continue
        answers.append(answer)
        if _is_accepted(answer):
            return body
        if is_first and answer.status in _STARTING:
            return None
    return None


def _first_answer(requester: Requester, body: bytes) -> Answer | None:
    """The answer to the first request of a run. It is sent again to a target that is not ready: an idle chain may have to start."""
    request = requester.prepare(requester.build_request(body))
    received = first = requester.send_once(request)
    pauses, waited = iter(requester.waits.retry_pauses), 0.0
    while (is_starting := _is_starting(received)) and waited < requester.waits.start:
        began = monotonic()
        pause = 0.0 if received.answer is None else max(next(pauses, _START_PAUSE), retry_after(received.answer))
        requester.pause(min(pause, requester.waits.start - waited))
        received = requester.send_once(request)
        waited += max(pause, monotonic() - began)
    if received is not first and not is_starting:
        requester.note(
            f"the first request got {first.in_words}, and an answer {format_duration(float(round(waited)))} later: the target had to start, "
            "which is no finding"
        )
        if requester.settings.time_budget is None:
            requester.time_budget.seconds += waited
    return requester.record(request, received, None).answer


def _is_starting(received: TransportResult) -> bool:
    """Whether a target is not ready, or has sent nothing in time."""
    is_silent = received.transport is Transport.DEADLINE and not received.raw
    return is_silent or received.status in _STARTING


def _search(requester: Requester, answers: list[Answer]) -> bytes | None:
    """An accepted input that the errors of the chain lead to, if there is one. Otherwise notes the last input and its error."""
    search = InputSearch()
    answer = answers[-1] if answers else None
    tried = None
    for _ in range(MAX_ATTEMPTS):
        body = search.next_input(answer) if answer is not None and answer.status in _SEARCHED_STATUSES else None
        if body is None:
            break
        tried = body
        answer = requester.send_valid_body(body)
        if answer is not None:
            answers.append(answer)
            if _is_accepted(answer):
                return body
    if tried is not None and answer is not None:
        requester.note(
            f"the errors of the chain led to the input {beginning(tried, _MAX_SHOWN)}, which it answers {answer.status}: "
            f"{beginning(answer.body, _MAX_SHOWN)}; correct it, and give it with --payloads"
        )
    return None


def _with_others(requester: Requester, inputs: ChainInputs) -> ChainInputs:
    """
    The inputs with a rich one, further ones, the treatment of an unnamed member and a free text, as far as the chain
    accepts them.
    """
    schema = requester.terms.input_schema
    candidates = inputs.known
    if schema is not None:
        candidates += (rich_input(schema), *distinct_inputs(schema, _MAX_INPUTS, requester.seed))
    wanted = [body for body in dict.fromkeys(candidates) if body != inputs.base][:_MAX_INPUTS]
    unnamed = replace(inputs, ignores_unnamed=True).embed(HARMLESS_VALUE)
    assert unnamed is not None
    texts = string_places(inputs.base)[:_MAX_TEXTS]
    # The requests overlap, so their outputs may be mixed up. Later ones must not be compared with these.
    send = partial(requester.send_valid_body, is_compared=False)
    with ThreadPoolExecutor(requester.patient_threads(requester.limits.concurrency)) as pool:
        bodies = [unnamed, *(place.put(HARMLESS_TEXT) for place in texts), *wanted]
        accepted = {body for body, answer in zip(bodies, pool.map(send, bodies), strict=True) if _is_accepted(answer)}
    others = tuple(body for body in wanted if body in accepted)
    return replace(
        inputs,
        rich=max((inputs.base, *others), key=len),
        others=others,
        ignores_unnamed=unnamed in accepted,
        free_text=next((place for place in texts if place.put(HARMLESS_TEXT) in accepted), None),
    )


def _is_accepted(answer: Answer | None) -> bool:
    """True for a 200."""
    return answer is not None and answer.status == 200
