"""JSON texts are compared to the last digit and code point, in any notation and at any depth."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chainproof.conformance.inputs.bodies import IMPLEMENTATION_DEFINED
from chainproof.conformance.inputs.chain_inputs import ChainInputs
from chainproof.conformance.inputs.strategies import almost_json, json_objects
from chainproof.conformance.judging.echo import RecentBodies, echo_violation
from chainproof.conformance.judging.json_equality import (
    ObjectMembers,
    duplicate_names,
    first_difference,
    is_same_json,
    parse_exactly,
    parse_json_iteratively,
)

ANY_OBJECT = ChainInputs(any_object=True)
DEPTH = 20_000
TOKEN, OTHER_TOKEN = "0123456789abcdef", "fedcba9876543210"


@given(json_objects(ANY_OBJECT))
def test_a_reformatted_object_is_equal(body: object) -> None:
    """Python's json writes other whitespace, escapes and number formats, and another member order."""
    content = body.content  # type: ignore[attr-defined]
    again = json.dumps(json.loads(content), sort_keys=True, indent=1).encode()

    assert first_difference(content, again) is None
    assert first_difference(again, content) is None


@given(json_objects(ANY_OBJECT), st.data())
def test_an_object_with_one_changed_character_differs(body: object, data: st.DataObject) -> None:
    """The comparison agrees with Python's own for every change that leaves valid JSON."""
    content = body.content  # type: ignore[attr-defined]
    position = data.draw(st.integers(0, len(content) - 1))
    changed = content[:position] + b"7" + content[position + 1 :]
    try:
        changed_value = parse_exactly(changed)
    except ValueError:
        return

    expected = _comparable(parse_exactly(content)) == _comparable(changed_value)
    assert is_same_json(content, changed) == expected


def _comparable(value: object) -> object:
    """A value that Python compares: fractions as doubles, and integers as they are."""
    if isinstance(value, ObjectMembers):
        return {name: _comparable(member) for name, member in value}
    if isinstance(value, list):
        return [_comparable(item) for item in value]
    if isinstance(value, str) and type(value) is not str:
        return ("number", json.loads(value))
    return (type(value).__name__, value)


@given(json_objects(ANY_OBJECT))
def test_both_parsers_return_the_same_value(body: object) -> None:
    """The recursive and the iterative parser agree."""
    content = body.content  # type: ignore[attr-defined]

    assert parse_exactly(content) == parse_json_iteratively(content.decode())


@given(almost_json(ANY_OBJECT))
def test_the_iterative_parser_rejects_invalid_json(body: object) -> None:
    """Invalid JSON raises ValueError."""
    content = body.content  # type: ignore[attr-defined]
    with pytest.raises(ValueError, match=" "):
        parse_json_iteratively(content.decode())


def test_deep_objects_are_compared() -> None:
    """Values are compared below the depth that Python's parser supports."""
    sent = b'{"a":' * DEPTH + b'{"b":1}' + b"}" * DEPTH
    spaced = b'{ "a" : ' * DEPTH + b'{"b":1.0}' + b"}" * DEPTH
    other = b'{ "a" : ' * DEPTH + b'{"b":2}' + b"}" * DEPTH
    difference = first_difference(sent, other)

    assert first_difference(sent, spaced) is None
    assert difference is not None
    assert "another number" == difference.kind


@pytest.mark.parametrize(
    ("sent", "got", "kind"),
    [
        ('{"a":9007199254740993}', '{"a":9007199254740992}', "another number"),
        ('{"a":0.1}', '{"a":0.100000001}', "another number"),
        ('{"a":"é"}', '{"a":"e\u0301"}', "another string"),
        ('{"a":"x "}', '{"a":"x"}', "another string"),
        ('{"a":null}', "{}", "different members"),
        ('{"a":1,"A":2}', '{"a":2}', "different members"),
        ('{"a":[1,1]}', '{"a":[1]}', "another number of items"),
        ('{"a":[1,2]}', '{"a":[2,1]}', "another number"),
        ('{"a":true}', '{"a":1}', "a value of another type"),
        ('{"a":"1"}', '{"a":1}', "a value of another type"),
        ('{"a":[1]}', '{"a":1}', "a value of another type"),
        ('{"a":{}}', '{"a":null}', "a value of another type"),
        ('{"a":false}', '{"a":true}', "another boolean"),
        ('{"a":[]}', '{"a":{}}', "a value of another type"),
    ],
)
def test_a_difference_names_its_kind(sent: str, got: str, kind: str) -> None:
    """The kind does not depend on the values."""
    difference = first_difference(sent.encode(), got.encode())

    assert difference is not None
    assert kind == difference.kind


@pytest.mark.parametrize(
    ("sent", "got"),
    [
        ('{"a":1,"a":2}', '{"a":1}'),
        ('{"a":1,"a":2}', '{"a":2}'),
        ('{"a":"\\ud800"}', '{"a":"\ufffd"}'),
        ('{"a":1e999}', '{"a":null}'),
        ('{"a":' + "9" * 400 + "}", '{"a":1e308}'),
        ('{"a":1e-999}', '{"a":0}'),
        ('{"a":1E5}', '{"a":100000}'),
        ('{"a":-0}', '{"a":0}'),
        ('{"a":1e23}', '{"a":99999999999999991611392}'),
        ('{"b":1,"a":"\\u00e9\\/"}', ' { "a" : "é/", "b" : 1.0 } '),
    ],
)
def test_ambiguous_values_are_no_difference(sent: str, got: str) -> None:
    """Duplicate names, lone surrogates, numbers outside the range of a double, and notation are not compared."""
    assert first_difference(sent.encode(), got.encode()) is None


@pytest.mark.parametrize("body", IMPLEMENTATION_DEFINED, ids=lambda body: body.label)
def test_implementation_defined_bodies_equal_themselves(body: object) -> None:
    """An added line end is no difference."""
    content = body.content  # type: ignore[attr-defined]

    assert first_difference(content, content + b"\n") is None


@pytest.mark.parametrize(
    ("content", "names"),
    [
        (b'{"a":1,"b":{"a":2}}', ()),
        (b'{"a":1,"a":1}', ("a",)),
        (rb'{"a":1,"\u0061":1}', ("a",)),
        (b'[{"x":[{"b":1,"c":2,"b":3}]}]', ("b",)),
        (b"{", ()),
        (b'"a"', ()),
    ],
)
def test_duplicate_names_are_found(content: bytes, names: tuple[str, ...]) -> None:
    """Duplicate names are found in every object, after unescaping."""
    assert names == duplicate_names(content)


@pytest.mark.parametrize(
    ("sent", "got", "clause"),
    [
        (f'{{"t":"{TOKEN}"}}', f'{{"t":"{TOKEN}"}}', None),
        (f'{{"t":"{TOKEN}"}}', f'{{"t":"{OTHER_TOKEN}"}}', "answer-matches-request"),
        (f'{{"t":"{TOKEN}"}}', f'{{"t":"{TOKEN}","u":"{OTHER_TOKEN}"}}', "answer-matches-request"),
        (f'{{"t":"{TOKEN}"}}', '{"é":1}', "answer-matches-request"),
        (f'{{"t":"{TOKEN}"}}', "{}", "answer-matches-request"),
        (f'{{"t":"{TOKEN}","p":"{"x" * 9000}"}}', "{}", "echo-exact"),
        (f'{{"t":"{TOKEN}","n":1}}', f'{{"t":"{TOKEN}"}}', "echo-exact"),
        (f'{{"t":"{TOKEN}"}}', '{"t":"0000aaaa0000aaaa"}', "echo-exact"),
        ('{"a":1}', "{}", "echo-exact"),
        ('{"e\u0301":1}', '{"é":1}', "echo-exact"),
    ],
)
def test_an_answer_to_another_request_is_not_called_altered(sent: str, got: str, clause: str | None) -> None:
    """
    Tokens tell another request's body from an altered one. Without tokens, two bodies may be equal by chance, and an empty object
    is what a gateway makes of a large body that it lost.
    """
    recent = RecentBodies()
    for body in (sent, f'{{"t":"{OTHER_TOKEN}"}}', "{}", '{"é":1}'):
        recent.add(body.encode())
    violation = echo_violation(sent.encode(), got.encode(), recent)

    assert clause == (violation.clause.id if violation else None)


@pytest.mark.parametrize(
    ("got", "clause"),
    [
        (b'{"n":[%b]}' % b",".join([b"2"] * 10_000), "answer-matches-request"),
        (b'{"n": [%b]}' % b", ".join([b"3"] * 12_000), "answer-matches-request"),
        (b'{"n":[%b]}' % b",".join([b"1"] * 9_000), "echo-exact"),
        (b'{"n":[%b]}' % b",".join([b"4"] * 10_000), "echo-exact"),
    ],
)
def test_a_large_answer_to_another_request_is_not_called_altered(got: bytes, clause: str) -> None:
    """It need not have tokens. If it is the beginning of what was sent, the chain may have cut it."""
    sent = b'{"n":[%b]}' % b",".join([b"1"] * 10_000)
    recent = RecentBodies()
    for digit, count in ((b"1", 9_000), (b"1", 10_000), (b"2", 10_000), (b"3", 12_000)):
        recent.add(b'{"n":[%b]}' % b",".join([digit] * count))

    violation = echo_violation(sent, got, recent)

    assert clause == (violation.clause.id if violation else None)
