"""
Every JSON object is accepted as the request body, and everything else is rejected
(`#/components/requestBodies/RunRemoteInput`).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import replace
from http import HTTPStatus

from chainproof.contract import clauses

from ..inputs.bodies import IMPLEMENTATION_DEFINED, NON_OBJECTS, BodyCase, non_objects_around, spaced_inputs
from ..inputs.boundary_inputs import boundary_inputs
from ..inputs.chain_inputs import padded
from ..inputs.generated_inputs import rich_input, serializations
from ..inputs.invalid_inputs import invalid_inputs, loosely_written_inputs
from ..inputs.invalid_json import COMMON_ERRORS, invalid_json, invalid_json_elsewhere, valid_elsewhere
from ..inputs.strategies import almost_json, json_objects, non_objects, valid_input_bodies
from ..inputs.valid_json import (
    BODY_GROUPS,
    SINGLE_MEMBER_OBJECTS,
    UNICODE_PLANES,
    VALID_BODIES,
    BodyGroup,
    code_points,
    escaped_text,
    raw_text,
)
from ..options import Depth
from ..probing.answer_recorder import JudgedExchange
from ..probing.hypothesis_runner import run_property
from ..probing.requester import Requester
from ..transport.check_skipped import CheckSkipped
from . import check_for

_TABLE_SHARE: dict[Depth, float] = {Depth.QUICK: 0.25, Depth.STANDARD: 1.0, Depth.DEEP: 1.0}
"""Share of a long table that is sent; most defects show in several rows."""

_MAX_INVALID_INPUTS: dict[Depth, int] = {Depth.QUICK: 20, Depth.STANDARD: 100, Depth.DEEP: 1000}
"""How many inputs are sent that do not match the schema in one place."""

_POSITION_SHARE: dict[Depth, float] = {Depth.QUICK: 0.03, Depth.STANDARD: 0.2, Depth.DEEP: 1.0}
"""Share of the invalid bodies that is sent at other positions: deeply nested, and after a long member."""


@check_for(clauses.OBJECT_ACCEPTED, clauses.ECHO_EXACT, title="valid JSON objects are accepted")
def valid_json_objects_are_accepted(requester: Requester) -> None:
    """
    Whitespace, empty containers, nulls, repeated structures and any member order are valid JSON. With an input schema: the
    simplest and a rich input, and values at their bounds.
    """
    _send_all(requester, _embedded(requester, (*VALID_BODIES, _own_address(requester))))
    _send_all(requester, _bodies_that_fill_buffers(requester))
    if not requester.inputs.any_object:
        _send_all(requester, spaced_inputs(requester.inputs.base))
    schema = requester.terms.input_schema
    if schema is not None:
        for accepted in dict.fromkeys((requester.inputs.base, rich_input(schema))):
            _send_all(requester, serializations(accepted))
        _send_all(requester, _sample(requester, "values at their bounds", boundary_inputs(schema), _TABLE_SHARE))


_BUFFER_BYTES = (1024, 4096, 8192, 16_384, 32_768, 65_536)
"""Common sizes of buffers. A body that fills one exactly shows what reads or writes one byte too few or too many."""


def _bodies_that_fill_buffers(requester: Requester) -> Iterator[BodyCase]:
    """Inputs of exactly these sizes. Those of an echo chain have no whitespace, so that its outputs are as long."""
    for size in _BUFFER_BYTES:
        text = b'{"x":"%b"}' % (b"x" * (size - 8))
        content = text if requester.inputs.any_object else padded(requester.inputs.base, size)
        yield BodyCase(label=f"a body of exactly {size} bytes", content=content)


def _own_address(requester: Requester) -> BodyCase:
    """An object with the target's own address, which a gateway may replace by another one."""
    target = requester.target
    text = f'{{"x":["{target.scheme}://{target.authority}{target.path}","{target.authority}"]}}'
    return BodyCase(label="an object with the target's own address", content=text.encode())


@check_for(clauses.OBJECT_ACCEPTED, clauses.ECHO_EXACT)
def objects_with_any_kind_of_value_are_accepted(requester: Requester) -> None:
    """Numbers, strings, names and structures that some receivers misread: sent together, and one by one if that fails."""

    def send(group: BodyGroup) -> None:
        for combined in _embedded(requester, [group.combined]):
            if _fails(requester, combined):
                _send_all(requester, _embedded(requester, group.single))

    requester.run_parts(send, BODY_GROUPS)


@check_for(clauses.OBJECT_ACCEPTED, clauses.ECHO_EXACT)
def objects_with_a_single_member_are_not_unwrapped(requester: Requester) -> None:
    """An object whose only member is `data`, `inputs` or `constructor` is not replaced by the member's value."""
    sample = _sample(requester, "names alone", SINGLE_MEMBER_OBJECTS, _TABLE_SHARE)
    _send_all(requester, _embedded(requester, sample))


_PROTOTYPE_MEMBERS = (
    ("an object with the member `__proto__`", '{"%s":{"a":1}}', "__proto__"),
    ("an object with a nested `__proto__`", '{"x":[{"%s":1}]}', "__proto__"),
    ("an object with `constructor` and `prototype`", '{"constructor":{"%s":{"a":1}}}', "prototype"),
)
"""Labels, and objects with a place for a name that some frameworks for JavaScript reject there."""


@check_for(
    clauses.PROTOTYPE_MEMBERS,
    clauses.OBJECT_ACCEPTED,
    clauses.ECHO_EXACT,
    title="objects with names of JavaScript prototypes are accepted",
)
def objects_with_names_of_javascript_prototypes_are_accepted(requester: Requester) -> None:
    """
    Some frameworks for JavaScript reject them. A 200 or 400 keeps `object-accepted`. A 400 is a warning if the same object with another
    name is accepted.
    """
    for label, text, name in _PROTOTYPE_MEMBERS:
        content, control = (requester.inputs.embed((text % each).encode()) for each in (name, "chainproof"))
        if content is None or control is None:
            continue
        judged = requester.send(requester.build_request(content, label=label))
        if judged.answer is None or judged.violations:
            continue
        actual = None
        if judged.status == HTTPStatus.BAD_REQUEST:
            if (
                requester.send(requester.build_request(control, label=f"{label}, under another name")).status
                != HTTPStatus.OK
            ):
                continue
            actual = f"status {judged.status}"
        requester.record_clause(
            clauses.PROTOTYPE_MEMBERS, judged.request, judged.answer, expected="status 200", actual=actual
        )


@check_for(clauses.OBJECT_ACCEPTED, clauses.ECHO_EXACT, title="every Unicode code point is accepted")
def every_unicode_code_point_is_accepted(requester: Requester) -> None:
    """Raw and escaped. If a Unicode plane fails, it is halved until few code points are left."""
    requester.require_accepted_input()
    if requester.inputs.text_place is None:
        raise CheckSkipped("needs a chain that accepts any text: in a string argument, or in a member that it ignores")
    quick = requester.settings.depth is Depth.QUICK
    for write, form, planes in (
        (raw_text, "unescaped", UNICODE_PLANES),
        (escaped_text, "escaped", 2),
    ):
        for plane in range(1 if quick else planes):
            if _narrow_down(requester, code_points(plane), write, form):
                break


@check_for(clauses.OBJECT_ACCEPTED, clauses.ECHO_EXACT)
def generated_objects_are_accepted(requester: Requester) -> None:
    """Objects generated by Hypothesis: any objects, and those that the chain's input schema accepts."""
    if requester.terms.input_schema is not None:
        run_property(
            "inputs", valid_input_bodies(requester.terms.input_schema), requester, lambda body: _send(requester, body)
        )
    if requester.inputs.value_place is not None:
        run_property("objects", json_objects(requester.inputs), requester, lambda body: _send(requester, body))


@check_for(clauses.OBJECT_ACCEPTED)
def chunked_bodies_are_accepted(requester: Requester) -> None:
    """Chunked framing does not change the meaning of a body (RFC 9112 §6.1, §7.1)."""
    plain = BodyCase(label=requester.body_label(requester.inputs.base), content=requester.inputs.base)
    for body in dict.fromkeys((plain, *_embedded(requester, (VALID_BODIES[0], BODY_GROUPS[-1].combined)))):
        requester.submit(requester.build_request(body.content, chunked=True, label=f"{body.label}, chunked"))


@check_for(
    clauses.STATUS,
    clauses.UNIQUE_MEMBER_NAMES,
    clauses.OUTPUT_JSON,
    title="implementation-defined JSON gets a documented answer",
)
def implementation_defined_json_gets_a_documented_answer(requester: Requester) -> None:
    """
    Duplicate names, lone surrogates, tiny numbers and deep nesting may be accepted or rejected, in a documented way. So may
    inputs that do not match the schema in one place, such as a time without a zone.
    """
    _send_all(requester, _embedded(requester, IMPLEMENTATION_DEFINED))
    schema = requester.terms.input_schema
    if schema is not None:
        invalid = invalid_inputs(schema)
        count = min(len(invalid), _MAX_INVALID_INPUTS[requester.settings.depth])
        _send_all(requester, requester.rng("invalid inputs").sample(invalid, count))
        _send_all(requester, loosely_written_inputs(schema)[:count])


@check_for(clauses.BODY_REQUIRED)
def requests_without_a_body_are_rejected(requester: Requester) -> None:
    """Neither a missing nor an empty body is an object."""
    for body, label in ((None, "a request without a body"), (b"", "an empty body")):
        requester.submit(requester.build_request(body, label=label))
    requester.submit(requester.build_request(b"", chunked=True, label="an empty chunked body"))
    path = f"{requester.target.path}?a=1"
    requester.submit(requester.build_request(b"", path=path, label="an empty body and a query"))


@check_for(clauses.NON_OBJECT_REJECTED, title="JSON values other than objects are rejected")
def json_values_other_than_objects_are_rejected(requester: Requester) -> None:
    """Arrays, strings, numbers, booleans and null are valid JSON, but not objects."""
    _send_all(requester, NON_OBJECTS)
    if not requester.inputs.any_object:
        _send_all(requester, non_objects_around(requester.inputs.base))
    run_property("other values", non_objects(), requester, lambda body: _send(requester, body))


@check_for(clauses.INVALID_JSON_REJECTED, title="almost-valid JSON is rejected")
def almost_valid_json_is_rejected(requester: Requester) -> None:
    """Trailing commas, NaN, single quotes, comments, trailing text, raw control characters, invalid UTF-8, truncation."""
    _send_all(requester, _sample(requester, "invalid JSON", invalid_json(requester.inputs), _TABLE_SHARE))


@check_for(clauses.INVALID_JSON_REJECTED, title="almost-valid JSON is rejected at every position")
def almost_valid_json_is_rejected_at_every_position(requester: Requester) -> None:
    """The same errors deeply nested, and after more text than a receiver buffers at once."""
    bodies = invalid_json_elsewhere(requester.inputs)
    with requester.confirming_rejections(valid_elsewhere(requester.inputs)):
        _send_all(requester, _sample(requester, "invalid JSON elsewhere", bodies, _POSITION_SHARE))


@check_for(clauses.INVALID_JSON_REJECTED, title="generated invalid JSON is rejected")
def generated_invalid_json_is_rejected(requester: Requester) -> None:
    """The same errors in objects generated by Hypothesis."""
    run_property("invalid JSON", almost_json(requester.inputs), requester, lambda body: _send(requester, body))


def _sample(
    requester: Requester, purpose: str, bodies: Iterable[BodyCase], shares: dict[Depth, float]
) -> Iterator[BodyCase]:
    """A sample of the bodies, as large as the depth allows; the seed decides which."""
    rng, share = requester.rng(purpose), shares[requester.settings.depth]
    # The number is drawn for every body, so that the common ones do not change which others are sent.
    return (body for body in bodies if rng.random() < share or body.label in COMMON_ERRORS)


def _embedded(requester: Requester, bodies: Iterable[BodyCase]) -> Iterator[BodyCase]:
    """The bodies as inputs of this chain; none if it accepts no member that its signature does not name."""
    for body in bodies:
        content = requester.inputs.embed(body.content)
        if content is not None:
            yield replace(body, content=content)


def _send_all(requester: Requester, bodies: Iterable[BodyCase]) -> None:
    """Send one request for each body."""
    requester.send_all(requester.build_request(body.content, label=body.label) for body in bodies)


def _send(requester: Requester, body: BodyCase) -> JudgedExchange:
    """The judged answer to a body sent with the right key and media type."""
    return requester.send(requester.build_request(body.content, label=body.label))


def _fails(requester: Requester, body: BodyCase) -> bool:
    """
    Send a body with many values. True if its answer has a violation for which one of them may be the reason: the answer to the
    simplest input has none of that clause.
    """
    found = {violation.clause.id for violation in _send(requester, body).violations}
    if not found or clauses.ECHO_EXACT.id in found:
        return bool(found)
    key = f"clauses that the simplest input violates, by {requester.check_name}"
    if key not in requester.learnt:
        simplest = BodyCase(label=requester.body_label(requester.inputs.base), content=requester.inputs.base)
        requester.learnt[key] = [violation.clause.id for violation in _send(requester, simplest).violations]
    known = requester.learnt[key]
    assert isinstance(known, list)
    return not found.issubset(known)


def _narrow_down(
    requester: Requester, codes: Sequence[int], write: Callable[[Iterable[int]], bytes], form: str
) -> bool:
    """Send code points in one string; while that fails, repeat with the half that fails. True if the first failed."""
    place = requester.inputs.text_place
    assert place is not None

    def fails(some: Sequence[int]) -> bool:
        label = f"the code points U+{some[0]:04X} to U+{some[-1]:04X} {form}"
        return _fails(requester, BodyCase(label=label, content=place.put(write(some))))

    if not fails(codes):
        return False
    while len(codes) > 1:
        middle = len(codes) // 2
        failing_half = next((part for part in (codes[:middle], codes[middle:]) if fails(part)), None)
        if failing_half is None:
            break
        codes = failing_half
    return True
