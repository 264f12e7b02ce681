from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chainproof.emulator.behaviour.body import is_deep_object, json_object_error
from chainproof.emulator.behaviour.request import ReceivedRequest

DEPTH = 20_000

PIECES = ["{", "}", "[", "]", ",", ":", '"a"', '"\\u00e9"', '"\\ud800"', '"\\x"', "-0.5e3", "01", "true", " ", "é"]


@given(st.lists(st.sampled_from(PIECES), max_size=12).map("".join) | st.text(max_size=20))
def test_is_deep_object_agrees_with_json_module(text):
    """is_deep_object accepts a text exactly if json.loads returns an object."""
    try:
        expected = isinstance(json.loads(text), dict)
    except ValueError:
        expected = False

    assert expected == is_deep_object(text.encode())


@given(
    st.recursive(
        st.none() | st.booleans() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
        lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
        max_leaves=20,
    ),
    st.sampled_from([None, 2]),
)
def test_is_deep_object_accepts_exactly_serialized_objects(value, indent):
    """is_deep_object accepts serialized objects and rejects other serialized values."""
    assert isinstance(value, dict) == is_deep_object(json.dumps(value, indent=indent).encode())


ACCEPTED = {
    "deep object": b'{"a":' * DEPTH + b"1" + b"}" * DEPTH,
    "deep array in an object": b'{"a":' + b"[" * DEPTH + b"]" * DEPTH + b"}",
    "huge integer": b'{"a":' + b"9" * 50_000 + b"}",
    "huge exponent": b'{"a":1e999}',
    "duplicate members": b'{"a":1,"a":2}',
    "lone surrogate": b'{"a":"\\ud800"}',
    "nul escape": b'{"a":"\\u0000"}',
    "surrounding white space": b' \t\r\n{"a":1}\n',
    "empty object": b"{}",
    "empty name": b'{"":{}}',
}

REJECTED = {
    "empty": b"",
    "white space": b" \n",
    "unclosed": b'{"a":1',
    "deep and unclosed": b'{"a":' + b"[" * DEPTH,
    "deep array": b"[" * DEPTH + b"]" * DEPTH,
    "deep and mismatched": b'{"a":' + b"[" * DEPTH + b"}" * DEPTH,
    "trailing text": b"{} {}",
    "trailing comma": b'{"a":1,}',
    "single quotes": b"{'a':1}",
    "byte order mark": b"\xef\xbb\xbf{}",
    "not UTF-8": b'{"a":"\xff"}',
    "UTF-16": '{"a":1}'.encode("utf-16-le"),
    "NaN": b'{"a":NaN}',
    "Infinity": b'{"a":-Infinity}',
    "leading zero": b'{"a":01}',
    "raw control character": b'{"a":"\n"}',
    "comment": b"{}//",
    "array": b"[{}]",
    "null": b"null",
    "number": b"1",
    "text": b'"{}"',
}


@pytest.mark.parametrize("body", ACCEPTED.values(), ids=ACCEPTED)
def test_valid_object_is_accepted(body):
    """Depth, size and notation of a JSON object are no reason to reject it."""
    assert None is json_object_error(ReceivedRequest(method=b"POST", target=b"/", headers=(), body=body))


@pytest.mark.parametrize("body", REJECTED.values(), ids=REJECTED)
def test_other_bodies_are_rejected(body):
    """Invalid JSON and JSON values that are not objects are answered 400 with a description."""
    error = json_object_error(ReceivedRequest(method=b"POST", target=b"/", headers=(), body=body))

    assert error is not None
    assert (400, "client_error") == (error.status, error.code)
    assert "JSON object" in error.detail
