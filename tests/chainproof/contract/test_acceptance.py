"""
An acceptance names a clause that exists and, if it likes, a day that exists; it never outlasts that day.
"""

from __future__ import annotations

from datetime import date, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chainproof.contract.accepted_violations import Acceptance, AcceptanceError, is_accepted, parse_acceptance
from chainproof.contract.clauses import CLAUSE_BY_ID

clauses = st.sampled_from(sorted(CLAUSE_BY_ID))
days = st.dates()


@given(clauses, st.none() | days)
def test_what_is_written_is_what_is_read(clause: str, until: date | None) -> None:
    """
    Every clause can be accepted, for good or until any day; the manifest keeps it.
    """
    text = clause if until is None else f"{clause}:{until.isoformat()}"
    found = parse_acceptance(text)

    assert Acceptance(clause=clause, until=until) == found
    assert found == Acceptance.from_json(found.to_json())


@given(clauses, clauses, days, days)
def test_an_acceptance_ends_with_its_day_and_covers_its_clause_alone(
    clause: str, other: str, until: date, day: date
) -> None:
    """
    The day named is the last one that counts; without a day it counts for good.
    """
    dated, endless = Acceptance(clause=clause, until=until), Acceptance(clause=clause)

    assert (day <= until and clause == other) is is_accepted(other, [dated], day)
    assert (clause == other) is is_accepted(other, [endless], day) is is_accepted(other, [dated, endless], day)
    assert not is_accepted(clause, [], day)


def test_a_day_is_the_last_that_counts() -> None:
    """
    Until is inclusive.
    """
    found = parse_acceptance("error-message:2026-12-31")

    assert [True, False] == [found.applies_on(date(2026, 12, 31) + timedelta(days=more)) for more in (0, 1)]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("error-mesage", "expected a clause such as error-message"),
        ("", "status, output-media-type"),
        ("gremlins", "status, output-media-type"),
        (":2026-12-31", "status, output-media-type"),
        ("error-message:", "expected a day such as error-message:2026-12-31, found ''"),
        ("error-message:tomorrow", "found 'tomorrow'"),
        ("error-message:2026-02-30", "found '2026-02-30'"),
        ("error-message:20261231", "found '20261231'"),
        ("error-message:2026-W01-1", "found '2026-W01-1'"),
        ("error-message:31.12.2026", "found '31.12.2026'"),
        ("error-message:2026-12-31:x", "found '2026-12-31:x'"),
    ],
)
def test_a_mistake_is_told_in_one_line(text: str, said: str) -> None:
    """
    Who mistypes a clause is told the ones like it, or all; who mistypes a day is told how one is written.
    """
    with pytest.raises(AcceptanceError, match=r"^expected .*found ") as told:
        parse_acceptance(text)

    assert said in str(told.value)
    assert "\n" not in str(told.value)
