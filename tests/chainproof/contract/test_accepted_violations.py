"""Tests of `--accept`."""

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
def test_acceptance_round_trips(clause: str, until: date | None) -> None:
    """Every clause can be accepted, with or without a date, on the command line and in the manifest."""
    text = clause if until is None else f"{clause}:{until.isoformat()}"
    acceptance = parse_acceptance(text)

    assert Acceptance(clause=clause, until=until) == acceptance
    assert acceptance == Acceptance.from_json(acceptance.to_json())


@given(clauses, clauses, days, days)
def test_acceptance_covers_its_clause_until_its_day(clause: str, other: str, until: date, day: date) -> None:
    """The date is the last day of the acceptance; without a date it does not expire."""
    dated, endless = Acceptance(clause=clause, until=until), Acceptance(clause=clause)

    assert (day <= until and clause == other) is is_accepted(other, [dated], day)
    assert (clause == other) is is_accepted(other, [endless], day) is is_accepted(other, [dated, endless], day)
    assert not is_accepted(clause, [], day)


def test_acceptance_includes_its_last_day() -> None:
    """The acceptance still applies on its date, and no longer on the next day."""
    acceptance = parse_acceptance("error-message:2026-12-31")

    assert [True, False] == [
        acceptance.applies_on(date(2026, 12, 31) + timedelta(days=days_later)) for days_later in (0, 1)
    ]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("error-mesage", "expected a clause such as error-message"),
        ("", "such as status, found ''"),
        ("gremlins", "`chainproof conformance --list` prints the clauses"),
        (":2026-12-31", "such as status, found ''"),
        ("error-message:", "expected a day such as error-message:2026-12-31, found ''"),
        ("error-message:tomorrow", "found 'tomorrow'"),
        ("error-message:2026-02-30", "found '2026-02-30'"),
        ("error-message:20261231", "found '20261231'"),
        ("error-message:2026-W01-1", "found '2026-W01-1'"),
        ("error-message:31.12.2026", "found '31.12.2026'"),
        ("error-message:2026-12-31:x", "found '2026-12-31:x'"),
    ],
)
def test_invalid_acceptance_is_rejected(text: str, message: str) -> None:
    """The message suggests similar clauses or where all are listed, or shows how a date is written."""
    with pytest.raises(AcceptanceError, match=r"^expected .*found ") as error:
        parse_acceptance(text)

    assert message in str(error.value)
    assert "\n" not in str(error.value)
