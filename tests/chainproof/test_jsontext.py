"""
A text is JSON as RFC 8259 has it, or there is a reason why not; our own limits are nobody's fault.
"""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chainproof.json_text import InvalidJson, TooDeep, parse_json

VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**63), 2**64 - 1)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
)

MALFORMED = {
    b"": InvalidJson.EMPTY,
    b" \r\n\t": InvalidJson.EMPTY,
    b"\xef\xbb\xbf{}": InvalidJson.BYTE_ORDER_MARK,
    b'"\xe9"': InvalidJson.NOT_UTF8,
    b'"\xed\xa0\x80"': InvalidJson.NOT_UTF8,
    "{}".encode("utf-16"): InvalidJson.NOT_UTF8,
    b"{": InvalidJson.NOT_JSON,
    b"{}{}": InvalidJson.NOT_JSON,
    b"{'a': 1}": InvalidJson.NOT_JSON,
    b"{a: 1}": InvalidJson.NOT_JSON,
    b'{"a": 1,}': InvalidJson.NOT_JSON,
    b"[1,]": InvalidJson.NOT_JSON,
    b"NaN": InvalidJson.NOT_JSON,
    b"[Infinity]": InvalidJson.NOT_JSON,
    b"-Infinity": InvalidJson.NOT_JSON,
    b"01": InvalidJson.NOT_JSON,
    b".5": InvalidJson.NOT_JSON,
    b"True": InvalidJson.NOT_JSON,
    b'"\t"': InvalidJson.NOT_JSON,
    b"{} // yes": InvalidJson.NOT_JSON,
    b"{}\x00": InvalidJson.NOT_JSON,
    b"\x0c{}": InvalidJson.NOT_JSON,
}


@given(VALUES)
def test_what_was_written_as_json_is_read_back(value: object) -> None:
    """
    Any value survives, pretty or compact, escaped or not.
    """
    assert value == parse_json(json.dumps(value).encode())


@pytest.mark.parametrize("body", MALFORMED)
def test_what_is_not_json_has_a_reason(body: bytes) -> None:
    """
    Near misses that some parsers let through are refused all the same.
    """
    assert MALFORMED[body] is parse_json(body)


@pytest.mark.parametrize(
    ("body", "value"),
    [
        (b'"\\ud800"', "\ud800"),  # RFC 8259 §8.2: the grammar allows a lone surrogate
        (b" {} ", {}),
        (b"18446744073709551616", 2**64),
        (b"1" * 5000, float("inf")),
        (b"-" + b"1" * 5000, float("-inf")),
        (b'{"a": 1, "a": 2}', {"a": 2}),
    ],
)
def test_what_a_fast_parser_refuses_may_be_json(body: bytes, value: object) -> None:
    """
    Our parser's limits are not the target's violation.
    """
    assert value == parse_json(body)


def test_what_is_nested_too_deep_is_left_open() -> None:
    """
    Depth has no limit in JSON and one in Python: no verdict.
    """
    assert isinstance(parse_json(b"[" * 100_000 + b"]" * 100_000), TooDeep)


@given(st.binary())
def test_no_bytes_are_too_much(body: bytes) -> None:
    """
    A target may answer anything; nothing is raised.
    """
    parse_json(body)
