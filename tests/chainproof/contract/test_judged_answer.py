"""A clause counts as tested by an answer only if the answer was judged by it."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chainproof.contract import clauses
from chainproof.contract.answer import Answer
from chainproof.contract.judged_answer import judge_answer
from chainproof.contract.levels import Contract

CONTENTS = {
    clauses.OUTPUT_JSON,
    clauses.OUTPUT_OBJECT,
    clauses.ERROR_JSON,
    clauses.ERROR_OBJECT,
    clauses.ERROR_MESSAGE,
    clauses.ERROR_CODE,
    clauses.ERROR_CODE_STATUS,
    clauses.ERROR_DETAIL,
}
"""The clauses on the contents of a body."""

BODIES = (
    b"",
    b"<html>",
    b"{}",
    b"[]",
    b'{"error":1}',
    b'{"error":"e","error_code":"timeout"}',
    b'{"detail":"d"}',
    b"{" * 9,
)
ANSWERS = st.builds(
    Answer,
    status=st.sampled_from([200, 201, 302, 400, 401, 404, 413, 429, 500, 502, 503, 504]),
    headers=st.tuples(
        st.sampled_from(["application/json", "application/json; charset=utf-8", "text/html", "text/plain", ""]).map(
            lambda value: ("Content-Type", value)
        )
    ),
    body=st.sampled_from(BODIES),
)


@given(ANSWERS, st.sampled_from(Contract))
def test_a_violated_clause_is_exercised(answer: Answer, contract: Contract) -> None:
    """What the judgement found was also tried."""
    judged = judge_answer(answer, contract)

    assert {each.clause for each in judged.violations} <= set(judged.exercised)


@pytest.mark.parametrize("status", [200, 400, 401, 500, 502])
@pytest.mark.parametrize("media_type", ["text/html", "text/plain"])
@pytest.mark.parametrize("body", BODIES)
def test_a_body_of_another_media_type_exercises_no_clause_on_its_contents(
    body: bytes, media_type: str, status: int
) -> None:
    """A page in HTML is no JSON that was found to be valid."""
    answer = Answer(status=status, headers=(("Content-Type", media_type),), body=body)

    assert not CONTENTS & set(judge_answer(answer, Contract.STRICT).exercised)


@pytest.mark.parametrize("status", [201, 404, 413, 500])
def test_an_undocumented_status_exercises_no_clause_on_its_body(status: int) -> None:
    """No clause describes the body of a status that the document does not have."""
    answer = Answer(status=status, headers=(("Content-Type", "application/json"),), body=b"{}")
    exercised = set(judge_answer(answer, Contract.STRICT).exercised)

    assert not exercised & {*CONTENTS, clauses.OUTPUT_MEDIA_TYPE, clauses.ERROR_MEDIA_TYPE}
    assert clauses.STATUS in exercised
