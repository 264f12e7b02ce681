"""Tests that the fast path for valid answers gives the same violations as the slow path."""

from __future__ import annotations

from dataclasses import FrozenInstanceError

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chainproof.contract import violations
from chainproof.contract.answer import Answer, build_answer
from chainproof.contract.levels import Contract
from chainproof.json_text import parse_json

names = st.sampled_from(
    ["Content-Type", "content-type", "X-BASETEN-REQUEST-ID", "x-baseten-request-id", "Content-Length", "Date", "Server",
     "Retry-After", "Set-Cookie", "Connection", "Transfer-Encoding", "X-Other", "WWW-Authenticate"]
)  # fmt: skip
values = st.sampled_from(
    ["application/json", "application/json; charset=utf-8", "text/html", "", " ", "id-1", "2", "close", "never"]
)
bodies = st.sampled_from(
    [b"{}", b'{"a": 1}', b"[]", b'"x"', b"null", b"", b"no", b"\xff", b"{}{}", b"NaN", b"\xef\xbb\xbf{}"]
)
answers = st.builds(
    lambda status, headers, body: Answer(status=status, headers=tuple(headers), body=body),
    st.sampled_from([200, 200, 200, 201, 204, 302, 400, 500]),
    st.one_of(
        st.lists(st.tuples(names, values), max_size=6),
        st.permutations([("Content-Type", "application/json"), ("X-BASETEN-REQUEST-ID", "id-1"), ("Date", "today")]),
    ),
    bodies,
)


@given(answers, st.sampled_from(list(Contract)))
def test_fast_path_equals_slow_path(answer: Answer, contract: Contract) -> None:
    """A clause that is added to the slow path must not be missed by the fast one."""
    slow = violations.violations_with_body(answer, parse_json(answer.body), contract)

    assert slow == violations.violations(answer, contract)


def test_common_answer_takes_the_fast_path() -> None:
    """The most common valid answer needs no slow path."""
    fields = (("Content-Type", "application/json"), ("Content-Length", "2"), ("X-BASETEN-REQUEST-ID", "id"))

    assert violations.is_plainly_valid(Answer(status=200, headers=fields, body=b"{}"))


def test_built_answer_equals_constructed_answer() -> None:
    """`build_answer` gives an equal, frozen Answer."""
    fields, body = (("Content-Type", "application/json"),), b"{}"
    built, constructed = build_answer(200, fields, body), Answer(status=200, headers=fields, body=body)

    assert built == constructed
    assert hash(built) == hash(constructed)
    assert repr(built) == repr(constructed)
    with pytest.raises(FrozenInstanceError):
        built.status = 500  # type: ignore[misc]  # the assignment must fail
