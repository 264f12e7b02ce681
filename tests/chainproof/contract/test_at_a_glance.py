"""
The short way through for answers that are as they should be leads to where the long way leads.
"""

from __future__ import annotations

from dataclasses import FrozenInstanceError

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chainproof.contract import deviations, violations
from chainproof.contract.answer import Answer, build_answer
from chainproof.contract.levels import Contract

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
def test_at_a_glance_or_closely_the_departures_are_the_same(answer: Answer, contract: Contract) -> None:
    """
    Whatever clause is added to the long way, the short one must not pass over it.
    """
    closely = tuple(
        found for found in violations._departures(answer, contract) if not deviations.is_waived(found.clause, contract)
    )

    assert closely == violations.violations(answer, contract)


def test_the_usual_answer_is_seen_to_be_right_at_a_glance() -> None:
    """
    Otherwise the short way would be none.
    """
    fields = (("Content-Type", "application/json"), ("Content-Length", "2"), ("X-BASETEN-REQUEST-ID", "id"))

    assert violations._plainly_right(Answer(status=200, headers=fields, body=b"{}"))


def test_an_answer_made_quickly_is_any_other() -> None:
    """
    It is equal, prints alike, and cannot be changed either.
    """
    fields, body = (("Content-Type", "application/json"),), b"{}"
    quick, plain = build_answer(200, fields, body), Answer(status=200, headers=fields, body=body)

    assert quick == plain
    assert hash(quick) == hash(plain)
    assert repr(quick) == repr(plain)
    with pytest.raises(FrozenInstanceError):
        quick.status = 500  # type: ignore[misc]  # which is what is tried
