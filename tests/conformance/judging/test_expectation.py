"""The expected answer follows from the request's bytes alone."""

from __future__ import annotations

import json
from collections import Counter
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chainproof.chain_schema.schema import Schema
from chainproof.conformance.inputs.bodies import IMPLEMENTATION_DEFINED, NON_OBJECTS, non_objects_around, spaced_inputs
from chainproof.conformance.inputs.chain_inputs import ChainInputs, string_places
from chainproof.conformance.inputs.invalid_json import (
    COMMON_ERRORS,
    invalid_json,
    invalid_json_elsewhere,
    valid_elsewhere,
)
from chainproof.conformance.inputs.sizes import DIMENSIONS, Dimension
from chainproof.conformance.inputs.strategies import almost_json, json_objects, non_objects
from chainproof.conformance.inputs.valid_json import BODY_GROUPS, SINGLE_MEMBER_OBJECTS, VALID_BODIES
from chainproof.conformance.judging.expectation import Terms, canonical_json, expectation
from chainproof.conformance.judging.json_equality import is_implementation_defined, is_same_json
from chainproof.conformance.transport.request import JSON_TYPE, CheckRequest
from chainproof.contract.answer import Answer
from chainproof.contract.credentials import ApiKey
from chainproof.contract.levels import Contract
from chainproof.json_text import InvalidJson, parse_json
from chainproof.results.finding import finding_key

from ..endpoints import KEY, is_object

ANY_OBJECT = ChainInputs(any_object=True)
TYPED = ChainInputs(base=b'{"names":["Ada"]}', is_accepted=True, ignores_unnamed=True)
TERMS = Terms(key=ApiKey(KEY), echo=True)
RIGHT = ("Authorization", f"Api-Key {KEY}")
ANY = ""


def request_with(*fields: tuple[str, str], body: bytes | None = b"{}", **parts: object) -> CheckRequest:
    """A request with these fields."""
    return CheckRequest(fields=fields, body=body, **parts)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("request_", "clause"),
    [
        (request_with(RIGHT, JSON_TYPE), "object-accepted"),
        (request_with(JSON_TYPE), "authentication-required"),
        (request_with(JSON_TYPE, path=f"/production/run_remote?key={KEY}"), "key-location"),
        (request_with(JSON_TYPE, ("Cookie", f"k={KEY}")), "key-location"),
        (request_with(JSON_TYPE, body=f'{{"k":"{KEY}"}}'.encode()), "key-location"),
        (request_with(("Authorization", ""), JSON_TYPE), "key-verified"),
        (request_with(("Authorization", f"Api-Key {KEY}x"), JSON_TYPE), "key-verified"),
        (request_with(("Authorization", f"Api-Key {KEY[1:]}"), JSON_TYPE), "key-verified"),
        (request_with(("Authorization", KEY), JSON_TYPE), "key-prefix"),
        (request_with(("Authorization", f"Bearer {KEY}"), JSON_TYPE), "key-prefix"),
        (request_with(("Authorization", f"api-key {KEY}"), JSON_TYPE), ANY),
        (request_with(("Authorization", f"Api-Key  {KEY}"), JSON_TYPE), ANY),
        (request_with(("Authorization", f" Api-Key {KEY} "), JSON_TYPE), ANY),
        (request_with(RIGHT, RIGHT, JSON_TYPE), ANY),
        (request_with(RIGHT), "media-type-missing"),
        (request_with(RIGHT, ("Content-Type", "text/plain")), "media-type-required"),
        (request_with(RIGHT, ("content-type", "Application/JSON; x=y")), "media-type-parameters"),
        (request_with(RIGHT, ("Content-Type", 'Application/JSON ; charset="UTF-8"; x="y"')), "media-type-parameters"),
        (request_with(RIGHT, ("Content-Type", "application/json; charset=utf-16")), ANY),
        (request_with(RIGHT, ("Content-Type", "application/json;")), ANY),
        (request_with(RIGHT, ("Content-Type", "application/vnd.api+json")), ANY),
        (request_with(RIGHT, ("Content-Type", "text/json")), ANY),
        (request_with(RIGHT, ("Content-Type", "text/plain, application/json")), ANY),
        (request_with(RIGHT, ("Content-Type", "application/json5")), "media-type-required"),
        (request_with(RIGHT, JSON_TYPE, ("Content-Encoding", "gzip")), ANY),
        (request_with(RIGHT, JSON_TYPE, ("Content-Encoding", "gzip"), body=b"\x1f\x8b"), ANY),
        (request_with(RIGHT, JSON_TYPE, ("Accept", "application/json;q=0.5, text/html")), "object-accepted"),
        (request_with(RIGHT, JSON_TYPE, ("Accept", "text/html, application/*;q=0.1")), "object-accepted"),
        (request_with(RIGHT, JSON_TYPE, ("Accept", "text/html")), ANY),
        (request_with(RIGHT, JSON_TYPE, ("Accept", "application/json;q=0")), ANY),
        (request_with(RIGHT, JSON_TYPE, body=None), "body-required"),
        (request_with(RIGHT, body=b""), "body-required"),
        (request_with(RIGHT, JSON_TYPE, body=b"[]"), "non-object-rejected"),
        (request_with(RIGHT, JSON_TYPE, body=b"{"), "invalid-json-rejected"),
        (request_with(RIGHT, JSON_TYPE, ("X-Emulate", "timeout")), "error-on-demand"),
        (request_with(RIGHT, JSON_TYPE, method="GET"), "other-methods-rejected"),
        (request_with(RIGHT, JSON_TYPE, method="HEAD"), ANY),
        (request_with(RIGHT, JSON_TYPE, path="/"), "other-paths-rejected"),
        (request_with(RIGHT, JSON_TYPE, host="chain-a-b.api.baseten.co"), "regional-host"),
    ],
)
def test_the_expectation_names_the_clause_that_decides(request_: CheckRequest, clause: str) -> None:
    """There is no expectation if the contract leaves the answer open."""
    expected = expectation(request_, TERMS)

    assert clause == (expected.clause.id if expected else ANY)


def test_an_error_may_be_about_any_of_several_mistakes() -> None:
    """Without credentials and with a body that is not an object, 401 and 400 are both correct."""
    expected = expectation(request_with(JSON_TYPE, body=b"[]"), TERMS)

    assert expected is not None
    assert [401, 400] == [
        status for status in (401, 400, 200, 429) if expected.is_met_by(Answer(status=status, headers=()))
    ]


@pytest.mark.parametrize(
    ("contract", "authorization", "statuses"),
    [
        (Contract.STRICT, "Api-Key x", [401]),
        (Contract.DOCUMENTED, "Api-Key x", [401, 403]),
        (Contract.STRICT, f"Bearer {KEY}", [401]),
        (Contract.DOCUMENTED, f"Bearer {KEY}", [200, 400, 401, 403]),
    ],
)
def test_the_contract_decides_how_a_key_is_rejected(
    contract: Contract, authorization: str, statuses: list[int]
) -> None:
    """Statuses that are documented outside the OpenAPI document are expected by the documented contract only."""
    expected = expectation(request_with(("Authorization", authorization), JSON_TYPE), replace(TERMS, contract=contract))

    assert statuses == [
        status
        for status in (200, 400, 401, 403)
        if expected is None or expected.is_met_by(Answer(status=status, headers=()))
    ]


@pytest.mark.parametrize(
    ("body", "actual"),
    [
        (b'{"error": "texts: at most 64"}', "status 400: texts: at most 64"),
        (
            b'{"error": "Not valid.", "detail": "`texts`: too long\\n", "error_code": "client_error"}',
            "Not valid. – `texts`: too long\\n",
        ),
        (b'{"error": "' + b"x" * 1_000 + b'"}', "…"),
        (b'{"error": {"message": "x"}, "detail": null}', "status 400"),
        (b"<p>Bad request</p>", "status 400"),
    ],
)
def test_the_violation_of_an_input_that_is_accepted_quotes_the_error(body: bytes, actual: str) -> None:
    """The error says why the target rejects it, in one line; only the status tells findings apart."""
    expected = expectation(request_with(RIGHT, JSON_TYPE), TERMS)
    assert expected is not None

    found = expected.violation(Answer(status=400, headers=(), body=body))

    assert found is not None
    assert found.actual.endswith(actual)
    assert len(found.actual) < 300
    key = finding_key(found.clause.id, found.expected, found.actual)
    assert key == ("object-accepted", "status 200", "status 400")


@pytest.mark.parametrize("is_accepted", [True, False])
def test_a_form_of_the_media_type_is_judged_only_with_an_input_that_was_accepted(*, is_accepted: bool) -> None:
    """The schema of the user may be wrong: the chain then rejects its inputs in any form of the media type."""
    schema = Schema(source="input.json", document={"type": "object"})
    terms = Terms(
        key=ApiKey(KEY), input_schema=schema, accepted_inputs=frozenset({canonical_json({})} if is_accepted else ())
    )

    expected = expectation(request_with(RIGHT, ("Content-Type", "Application/JSON")), terms)

    assert (None if expected is None else expected.clause.id) == ("media-type-parameters" if is_accepted else None)


def test_the_violation_of_a_request_that_is_to_be_rejected_quotes_nothing() -> None:
    """What another answer says is not about the mistake in the request."""
    expected = expectation(request_with(JSON_TYPE), TERMS)
    assert expected is not None

    found = expected.violation(Answer(status=400, headers=(), body=b'{"error": "no"}'))

    assert found is not None
    assert found.actual == "status 400"


def test_there_is_no_expectation_for_an_object_if_the_input_schema_is_unknown() -> None:
    """Only an echo chain is known to accept any object."""
    assert expectation(request_with(RIGHT, JSON_TYPE), replace(TERMS, echo=False)) is None


@given(json_objects(ANY_OBJECT))
def test_generated_objects_are_objects(body: object) -> None:
    """Another parser accepts each of them, and every target has to accept them."""
    content = body.content  # type: ignore[attr-defined]

    assert is_object(content)
    assert not is_implementation_defined(content)
    assert is_same_json(content, b" " + content)


@given(non_objects())
def test_generated_other_values_are_json_but_no_objects(body: object) -> None:
    """The strategy for non-objects generates valid JSON."""
    value = parse_json(body.content)  # type: ignore[attr-defined]

    assert not isinstance(value, dict | InvalidJson)


@given(almost_json(ANY_OBJECT))
def test_generated_invalid_json_is_invalid(body: object) -> None:
    """No example is valid JSON, whatever object it is made from."""
    assert isinstance(parse_json(body.content), InvalidJson)  # type: ignore[attr-defined]


ACCEPTED = (
    *VALID_BODIES,
    *SINGLE_MEMBER_OBJECTS,
    *(group.combined for group in BODY_GROUPS),
    *(part for group in BODY_GROUPS for part in group.single),
)


def test_the_tables_of_bodies_are_correct() -> None:
    """The bodies are what the names of their tables say, and no label is used twice."""
    invalid = (*invalid_json(ANY_OBJECT), *invalid_json_elsewhere(ANY_OBJECT))
    labels = [body.label for body in (*ACCEPTED, *IMPLEMENTATION_DEFINED, *invalid) if "truncated" not in body.label]

    assert [
        body.label for body in ACCEPTED if not is_object(body.content) or is_implementation_defined(body.content)
    ] == []
    assert [body.label for body in invalid if not isinstance(parse_json(body.content), InvalidJson)] == []
    assert [body.label for body in NON_OBJECTS if isinstance(parse_json(body.content), dict | InvalidJson)] == []
    assert [
        body.label
        for body in IMPLEMENTATION_DEFINED
        if expectation(request_with(RIGHT, JSON_TYPE, body=body.content), TERMS)
    ] == []
    assert [label for label, count in Counter(labels).items() if count > 1] == []
    assert [label for label in labels if "\n" in label] == []
    assert set(labels) >= COMMON_ERRORS


@pytest.mark.parametrize(
    "inputs", [TYPED, replace(TYPED, ignores_unnamed=False, free_text=string_places(TYPED.base)[0])]
)
def test_probes_around_an_input_are_correct(inputs: ChainInputs) -> None:
    """With a required argument too, valid probes are objects of the stated size, and invalid ones are no JSON."""
    invalid = (*invalid_json(inputs), *invalid_json_elsewhere(inputs))
    valid = [content for body in ACCEPTED if (content := inputs.embed(body.content)) is not None]
    valid += [body.content for body in spaced_inputs(inputs.base)]
    sizes = [(each.required, each.make(inputs, each.required)) for each in DIMENSIONS if each.name.startswith("a body")]

    assert [body.label for body in invalid if not isinstance(parse_json(body.content), InvalidJson)] == []
    assert [content for content in valid if not is_object(content) or is_implementation_defined(content)] == []
    assert all(json.loads(content)["names"] == ["Ada"] for content in valid)
    assert all(content is not None and len(content) <= size for size, content in sizes)
    assert is_object(valid_elsewhere(inputs))
    assert isinstance(json.loads(non_objects_around(inputs.base)[0].content), list)


@pytest.mark.parametrize("dimension", DIMENSIONS, ids=lambda dimension: dimension.name)
def test_a_dimension_has_to_be_accepted_up_to_its_required_size(dimension: Dimension) -> None:
    """A target has to accept an object of the required size, and may reject one of twice the size."""
    assert is_object(dimension.make(ANY_OBJECT, dimension.required))
    assert not is_implementation_defined(dimension.make(ANY_OBJECT, dimension.required))
    assert is_implementation_defined(dimension.make(ANY_OBJECT, 2 * dimension.required))
    assert is_object(dimension.make(ANY_OBJECT, 1))


@pytest.mark.parametrize(
    ("one", "other", "expected"),
    [
        ('{"a":1,"b":2}', ' {"b":2, "a":1}', True),
        ('{"a":1E5}', '{"a":100000.0}', True),
        ('{"a":-0}', '{"a":0}', True),
        ('{"a":"\\u00e9"}', '{"a":"é"}', True),
        ('{"a":1}', '{"a":1.0}', True),
        ('{"a":10000000000000000000000}', '{"a":1e22}', True),
        ('{"a":9007199254740993}', '{"a":9007199254740993.0}', True),
        ('{"a":9007199254740993}', '{"a":9.007199254740992e15}', False),
        ('{"a":0.1}', '{"a":0.10000000000000001}', True),
        ('{"a":0.30000000000000004}', '{"a":0.3}', False),
        ('{"a":1,"a":2}', '{"a":2}', False),
        ('{"a":1,"a":2}', '{"a":1, "a":2.0}', True),
        ('{"a":1,"a":2}', '{"a":2,"a":1}', False),
        ('{"é":1}', '{"e\u0301":1}', False),
        ('{"a":NaN}', '{"a": NaN}', False),
        ('{"a":1}', '{"a":true}', False),
        ('{"a":1}', '{"a":"1"}', False),
        ('{"a":null}', "{}", False),
        ('{"a":9007199254740993}', '{"a":9007199254740992}', False),
        ('{"a":[["b",1]]}', '{"a":{"b":1}}', False),
        ('{"a":[1,2]}', '{"a":[2,1]}', False),
        ('{"a":"x"}', "{", False),
    ],
)
def test_json_texts_are_compared_by_value(one: str, other: str, expected: bool) -> None:
    """Notation and member order do not count; types and values do."""
    assert expected == is_same_json(one.encode(), other.encode())


@given(st.binary(max_size=40), st.binary(max_size=40))
def test_comparing_never_raises(one: bytes, other: bytes) -> None:
    """Any two byte strings can be compared, in either order."""
    assert is_same_json(one, other) == is_same_json(other, one)
