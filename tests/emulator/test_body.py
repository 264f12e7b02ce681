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
def test_the_deep_judge_agrees_with_the_standard_library(text):
    """
    Token by token or recursively: a text is an object for both or for neither.
    """
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
def test_the_deep_judge_takes_whatever_is_dumped(value, indent):
    """
    Every object that the standard library writes is one, and no other value.
    """
    assert isinstance(value, dict) == is_deep_object(json.dumps(value, indent=indent).encode())


TAKEN = {
    "deep object": b'{"a":' * DEPTH + b"1" + b"}" * DEPTH,
    "deep array in an object": b'{"a":' + b"[" * DEPTH + b"]" * DEPTH + b"}",
    "huge integer": b'{"a":' + b"9" * 50_000 + b"}",
    "huge exponent": b'{"a":1e999}',
    "duplicate members": b'{"a":1,"a":2}',
    "lone surrogate": b'{"a":"\\ud800"}',
    "nul escape": b'{"a":"\\u0000"}',
    "blanks around": b' \t\r\n{"a":1}\n',
    "empty object": b"{}",
    "empty name": b'{"":{}}',
}

REFUSED = {
    "nothing": b"",
    "blanks": b" \n",
    "unclosed": b'{"a":1',
    "deep and unclosed": b'{"a":' + b"[" * DEPTH,
    "deep array": b"[" * DEPTH + b"]" * DEPTH,
    "deep and crossed": b'{"a":' + b"[" * DEPTH + b"}" * DEPTH,
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


@pytest.mark.parametrize("body", TAKEN.values(), ids=TAKEN)
def test_an_object_is_taken_however_it_is_spelled(body):
    """
    Depth, size and spelling of a JSON object are no reason to refuse it.
    """
    assert None is json_object_error(ReceivedRequest(method=b"POST", target=b"/", headers=(), body=body))


@pytest.mark.parametrize("body", REFUSED.values(), ids=REFUSED)
def test_whatever_is_no_object_is_refused(body):
    """
    Near misses of JSON, and JSON values of other kinds, are refused with 400 and a sentence.
    """
    refusal = json_object_error(ReceivedRequest(method=b"POST", target=b"/", headers=(), body=body))

    assert refusal is not None
    assert (400, "client_error") == (refusal.status, refusal.code)
    assert "JSON object" in refusal.detail
