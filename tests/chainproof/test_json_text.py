"""Tests of strict JSON parsing."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chainproof.json_text import InvalidJson, TooComplex, parse_json

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
def test_value_round_trips(value: object) -> None:
    """Every value that the standard library writes is parsed to the same value."""
    assert value == parse_json(json.dumps(value).encode())


@pytest.mark.parametrize("body", MALFORMED)
def test_invalid_json_has_a_reason(body: bytes) -> None:
    """Almost valid JSON that lenient parsers accept is invalid too."""
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
def test_limits_of_the_fast_parser_do_not_count(body: bytes, value: object) -> None:
    """Valid JSON that the fast parser rejects is parsed all the same."""
    assert value == parse_json(body)


def test_deep_nesting_is_neither_valid_nor_invalid() -> None:
    """JSON has no limit on depth, but Python has."""
    assert isinstance(parse_json(b"[" * 100_000 + b"]" * 100_000), TooComplex)


@given(st.binary())
def test_any_bytes_are_parsed_without_exception(body: bytes) -> None:
    """Parsing any bytes raises nothing."""
    parse_json(body)
