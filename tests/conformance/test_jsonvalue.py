"""
Two JSON texts are compared to the last digit and code point, however they are spelled and however deep they are.
"""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chainproof.conformance.inputs.bodies import IMPLEMENTATION_DEFINED
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

DEEP = 20_000
TOKEN, ANOTHER = "0123456789abcdef", "fedcba9876543210"


@given(json_objects())
def test_an_object_written_anew_says_the_same(body: object) -> None:
    """
    Whatever Python's json makes of it: other blanks, other escapes, numbers in another spelling, members in another order.
    """
    content = body.content  # type: ignore[attr-defined]
    again = json.dumps(json.loads(content), sort_keys=True, indent=1).encode()

    assert first_difference(content, again) is None
    assert first_difference(again, content) is None


@given(json_objects(), st.data())
def test_an_object_with_one_character_changed_says_something_else(body: object, data: st.DataObject) -> None:
    """
    Or is no JSON any more, or was changed in its blanks.
    """
    content = body.content  # type: ignore[attr-defined]
    place = data.draw(st.integers(0, len(content) - 1))
    changed = content[:place] + b"7" + content[place + 1 :]
    try:
        there = parse_exactly(changed)
    except ValueError:
        return

    assert is_same_json(content, changed) == (_plain(parse_exactly(content)) == _plain(there))


def _plain(value: object) -> object:
    """
    A value that Python itself compares; numbers as their doubles, and large integers as they are.
    """
    if isinstance(value, ObjectMembers):
        return {name: _plain(member) for name, member in value}
    if isinstance(value, list):
        return [_plain(item) for item in value]
    if isinstance(value, str) and type(value) is not str:
        number = json.loads(value)
        return ("number", number)
    return ("another", type(value).__name__, value)


@given(json_objects())
def test_both_ways_of_reading_read_the_same(body: object) -> None:
    """
    With recursion and without.
    """
    content = body.content  # type: ignore[attr-defined]

    assert parse_exactly(content) == parse_json_iteratively(content.decode())


@given(almost_json())
def test_no_way_of_reading_reads_a_near_miss(body: object) -> None:
    """
    What is no JSON is none without recursion either.
    """
    content = body.content  # type: ignore[attr-defined]
    with pytest.raises(ValueError, match=" "):
        parse_json_iteratively(content.decode())


def test_depth_is_no_reason_to_see_a_difference() -> None:
    """
    Deeper than Python's own parser goes, another spelling is the same and another value is not.
    """
    sent = b'{"a":' * DEEP + b'{"b":1}' + b"}" * DEEP
    spaced = b'{ "a" : ' * DEEP + b'{"b":1.0}' + b"}" * DEEP
    other = b'{ "a" : ' * DEEP + b'{"b":2}' + b"}" * DEEP
    found = first_difference(sent, other)

    assert first_difference(sent, spaced) is None
    assert found is not None
    assert "another number" == found.kind


@pytest.mark.parametrize(
    ("sent", "got", "kind"),
    [
        ('{"a":9007199254740993}', '{"a":9007199254740992}', "another number"),
        ('{"a":0.1}', '{"a":0.100000001}', "another number"),
        ('{"a":"é"}', '{"a":"e\u0301"}', "another string"),
        ('{"a":"x "}', '{"a":"x"}', "another string"),
        ('{"a":null}', "{}", "other members"),
        ('{"a":1,"A":2}', '{"a":2}', "other members"),
        ('{"a":[1,1]}', '{"a":[1]}', "another number of items"),
        ('{"a":[1,2]}', '{"a":[2,1]}', "another number"),
        ('{"a":true}', '{"a":1}', "a value of another kind"),
        ('{"a":"1"}', '{"a":1}', "a value of another kind"),
        ('{"a":[1]}', '{"a":1}', "a value of another kind"),
        ('{"a":{}}', '{"a":null}', "a value of another kind"),
        ('{"a":false}', '{"a":true}', "another boolean"),
        ('{"a":[]}', '{"a":{}}', "a value of another kind"),
    ],
)
def test_a_difference_says_what_differs(sent: str, got: str, kind: str) -> None:
    """
    In words that are the same for every value.
    """
    found = first_difference(sent.encode(), got.encode())

    assert found is not None
    assert kind == found.kind


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
def test_what_is_left_to_the_receiver_is_no_difference(sent: str, got: str) -> None:
    """
    Names twice, lone surrogates, numbers beyond a double, and any spelling.
    """
    assert first_difference(sent.encode(), got.encode()) is None


@pytest.mark.parametrize("body", IMPLEMENTATION_DEFINED, ids=lambda body: body.label)
def test_nothing_is_said_of_how_the_undecided_comes_back(body: object) -> None:
    """
    Unless something decided stands beside it.
    """
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
def test_a_name_that_stands_twice_is_seen(content: bytes, names: tuple[str, ...]) -> None:
    """
    In any object, however it is escaped.
    """
    assert names == duplicate_names(content)


@pytest.mark.parametrize(
    ("sent", "got", "clause"),
    [
        (f'{{"t":"{TOKEN}"}}', f'{{"t":"{TOKEN}"}}', None),
        (f'{{"t":"{TOKEN}"}}', f'{{"t":"{ANOTHER}"}}', "answer-matches-request"),
        (f'{{"t":"{TOKEN}"}}', f'{{"t":"{TOKEN}","u":"{ANOTHER}"}}', "answer-matches-request"),
        (f'{{"t":"{TOKEN}"}}', "{}", "answer-matches-request"),
        (f'{{"t":"{TOKEN}","n":1}}', f'{{"t":"{TOKEN}"}}', "echo-exact"),
        (f'{{"t":"{TOKEN}"}}', '{"t":"0000aaaa0000aaaa"}', "echo-exact"),
        ('{"a":1}', "{}", "echo-exact"),
        ('{"e\u0301":1}', '{"é":1}', "echo-exact"),
    ],
)
def test_another_requests_answer_is_told_from_an_altered_one(sent: str, got: str, clause: str | None) -> None:
    """
    By the tokens that only one request has had; what has none may be like another's by chance.
    """
    recent = RecentBodies()
    for body in (sent, f'{{"t":"{ANOTHER}"}}', "{}", '{"é":1}'):
        recent.add(body.encode())
    found = echo_violation(sent.encode(), got.encode(), recent)

    assert clause == (found.clause.id if found else None)
