"""
What is expected of an answer follows from the request's bytes alone.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chainproof.conformance.inputs.bodies import IMPLEMENTATION_DEFINED, NON_OBJECTS
from chainproof.conformance.inputs.invalid_json import INVALID_JSON, invalid_json_elsewhere
from chainproof.conformance.inputs.sizes import DIMENSIONS, Dimension
from chainproof.conformance.inputs.strategies import almost_json, json_objects, non_objects
from chainproof.conformance.inputs.valid_json import BODY_GROUPS, SINGLE_MEMBER_OBJECTS, VALID_BODIES
from chainproof.conformance.judging.expectation import Terms, expectation
from chainproof.conformance.judging.json_equality import is_implementation_defined, is_same_json
from chainproof.conformance.transport.request import JSON_TYPE, CheckRequest
from chainproof.contract.answer import Answer
from chainproof.contract.credentials import ApiKey
from chainproof.contract.levels import Contract
from chainproof.json_text import InvalidJson, parse_json

from .endpoints import KEY, is_object

TERMS = Terms(key=ApiKey(KEY), echo=True)
RIGHT = ("Authorization", f"Api-Key {KEY}")
ANY = ""


def asked(*fields: tuple[str, str], body: bytes | None = b"{}", **parts: object) -> CheckRequest:
    """
    A request with these fields.
    """
    return CheckRequest(fields=fields, body=body, **parts)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("request_", "clause"),
    [
        (asked(RIGHT, JSON_TYPE), "object-accepted"),
        (asked(JSON_TYPE), "authentication-required"),
        (asked(JSON_TYPE, path=f"/production/run_remote?key={KEY}"), "key-location"),
        (asked(JSON_TYPE, ("Cookie", f"k={KEY}")), "key-location"),
        (asked(JSON_TYPE, body=f'{{"k":"{KEY}"}}'.encode()), "key-location"),
        (asked(("Authorization", ""), JSON_TYPE), "key-verified"),
        (asked(("Authorization", f"Api-Key {KEY}x"), JSON_TYPE), "key-verified"),
        (asked(("Authorization", f"Api-Key {KEY[1:]}"), JSON_TYPE), "key-verified"),
        (asked(("Authorization", KEY), JSON_TYPE), "key-prefix"),
        (asked(("Authorization", f"Bearer {KEY}"), JSON_TYPE), "key-prefix"),
        (asked(("Authorization", f"api-key {KEY}"), JSON_TYPE), ANY),
        (asked(("Authorization", f"Api-Key  {KEY}"), JSON_TYPE), ANY),
        (asked(("Authorization", f" Api-Key {KEY} "), JSON_TYPE), ANY),
        (asked(RIGHT, RIGHT, JSON_TYPE), ANY),
        (asked(RIGHT), "media-type-required"),
        (asked(RIGHT, ("Content-Type", "text/plain")), "media-type-required"),
        (asked(RIGHT, ("content-type", "Application/JSON; x=y")), "media-type-parameters"),
        (asked(RIGHT, ("Content-Type", 'Application/JSON ; charset="UTF-8"; x="y"')), "media-type-parameters"),
        (asked(RIGHT, ("Content-Type", "application/json; charset=utf-16")), ANY),
        (asked(RIGHT, ("Content-Type", "application/json;")), ANY),
        (asked(RIGHT, ("Content-Type", "application/vnd.api+json")), ANY),
        (asked(RIGHT, ("Content-Type", "text/json")), ANY),
        (asked(RIGHT, ("Content-Type", "text/plain, application/json")), ANY),
        (asked(RIGHT, ("Content-Type", "application/json5")), "media-type-required"),
        (asked(RIGHT, JSON_TYPE, ("Content-Encoding", "gzip")), ANY),
        (asked(RIGHT, JSON_TYPE, ("Content-Encoding", "gzip"), body=b"\x1f\x8b"), ANY),
        (asked(RIGHT, JSON_TYPE, ("Accept", "application/json;q=0.5, text/html")), "object-accepted"),
        (asked(RIGHT, JSON_TYPE, ("Accept", "text/html, application/*;q=0.1")), "object-accepted"),
        (asked(RIGHT, JSON_TYPE, ("Accept", "text/html")), ANY),
        (asked(RIGHT, JSON_TYPE, ("Accept", "application/json;q=0")), ANY),
        (asked(RIGHT, JSON_TYPE, body=None), "body-required"),
        (asked(RIGHT, body=b""), "body-required"),
        (asked(RIGHT, JSON_TYPE, body=b"[]"), "non-object-rejected"),
        (asked(RIGHT, JSON_TYPE, body=b"{"), "invalid-json-rejected"),
        (asked(RIGHT, JSON_TYPE, ("X-Emulate", "timeout")), "error-on-demand"),
        (asked(RIGHT, JSON_TYPE, method="GET"), "other-methods-rejected"),
        (asked(RIGHT, JSON_TYPE, method="HEAD"), ANY),
        (asked(RIGHT, JSON_TYPE, path="/"), "other-paths-rejected"),
        (asked(RIGHT, JSON_TYPE, host="chain-a-b.api.baseten.co"), "regional-host"),
    ],
)
def test_a_request_is_judged_by_the_clause_it_puts_to_the_test(request_: CheckRequest, clause: str) -> None:
    """
    And by none where no sentence decides.
    """
    found = expectation(request_, TERMS)

    assert clause == (found.clause.id if found else ANY)


def test_an_answer_may_be_to_any_of_several_mistakes() -> None:
    """
    No credentials and a body that is no object: 401 and 400 are both right.
    """
    found = expectation(asked(JSON_TYPE, body=b"[]"), TERMS)

    assert found is not None
    assert [401, 400] == [
        status for status in (401, 400, 200, 429) if found.is_met_by(Answer(status=status, headers=()))
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
def test_the_contract_decides_how_a_key_is_refused(contract: Contract, authorization: str, statuses: list[int]) -> None:
    """
    What Baseten documents beyond the document is expected under the wider contract alone.
    """
    found = expectation(asked(("Authorization", authorization), JSON_TYPE), replace(TERMS, contract=contract))

    assert statuses == [
        status for status in (200, 400, 401, 403) if found is None or found.is_met_by(Answer(status=status, headers=()))
    ]


def test_nothing_is_expected_of_an_object_where_the_signature_is_unknown() -> None:
    """
    Only an echo chain is known to take any object.
    """
    assert expectation(asked(RIGHT, JSON_TYPE), replace(TERMS, echo=False)) is None


@given(json_objects())
def test_generated_objects_are_objects(body: object) -> None:
    """
    Every one is taken by another parser too, and none may be refused.
    """
    content = body.content  # type: ignore[attr-defined]

    assert is_object(content)
    assert not is_implementation_defined(content)
    assert is_same_json(content, b" " + content)


@given(non_objects())
def test_generated_values_are_no_objects(body: object) -> None:
    """
    JSON all the same.
    """
    value = parse_json(body.content)  # type: ignore[attr-defined]

    assert not isinstance(value, dict | InvalidJson)


@given(almost_json())
def test_near_misses_are_no_json(body: object) -> None:
    """
    Whatever they are made from.
    """
    assert isinstance(parse_json(body.content), InvalidJson)  # type: ignore[attr-defined]


ACCEPTED = (
    *VALID_BODIES,
    *SINGLE_MEMBER_OBJECTS,
    *(group.combined for group in BODY_GROUPS),
    *(part for group in BODY_GROUPS for part in group.single),
)


def test_the_tables_hold_what_they_say() -> None:
    """
    Spellings are objects that nobody may refuse, the others are what their names say, and no name is used twice.
    """
    refused = (*INVALID_JSON, *invalid_json_elsewhere())
    names = [body.label for body in (*ACCEPTED, *IMPLEMENTATION_DEFINED, *refused) if "truncated" not in body.label]

    assert [
        body.label for body in ACCEPTED if not is_object(body.content) or is_implementation_defined(body.content)
    ] == []
    assert [body.label for body in refused if not isinstance(parse_json(body.content), InvalidJson)] == []
    assert [body.label for body in NON_OBJECTS if isinstance(parse_json(body.content), dict | InvalidJson)] == []
    assert [
        body.label for body in IMPLEMENTATION_DEFINED if expectation(asked(RIGHT, JSON_TYPE, body=body.content), TERMS)
    ] == []
    assert [name for name, count in Counter(names).items() if count > 1] == []
    assert [name for name in names if "\n" in name] == []


@pytest.mark.parametrize("dimension", DIMENSIONS, ids=lambda dimension: dimension.name)
def test_a_dimension_must_be_taken_up_to_its_size(dimension: Dimension) -> None:
    """
    An object of that size may not be refused, and one of twice the size may.
    """
    assert is_object(dimension.make(dimension.required))
    assert not is_implementation_defined(dimension.make(dimension.required))
    assert is_implementation_defined(dimension.make(2 * dimension.required))
    assert is_object(dimension.make(1))


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
def test_two_texts_say_the_same_or_do_not(one: str, other: str, expected: bool) -> None:
    """
    Spelling and order change nothing; kind and value do.
    """
    assert expected == is_same_json(one.encode(), other.encode())


@given(st.binary(max_size=40), st.binary(max_size=40))
def test_comparing_never_fails(one: bytes, other: bytes) -> None:
    """
    Whatever a target sends.
    """
    assert is_same_json(one, other) == is_same_json(other, one)
