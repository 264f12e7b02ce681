"""Clauses of a conformance run: state, acceptance, and the smallest detectable share of violations."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable

from chainproof.contract.accepted_violations import Acceptance
from chainproof.judgement.conformance_summary import ClauseRow, ClauseState

from .quantities import NOTHING, count


def state(row: ClauseRow) -> str:
    """The state of a clause; for one whose violations were accepted, until when."""
    return row.state.value if row.acceptance is None else waived(row.acceptance)


ACCEPTED = "accepted"
"""The state of a violated clause with an acceptance; `waived` are those that the contract does not demand."""


def counts(rows: Iterable[ClauseRow]) -> str:
    """The number of clauses in each state: `96 passed, 1 failed, …`; accepted ones only if there are any."""
    rows = tuple(rows)
    accepted = sum(row.acceptance is not None for row in rows)
    states = Counter(row.state for row in rows if row.acceptance is None)
    texts = [f"{states[state]} {state.value}" for state in ClauseState]
    return ", ".join(texts + [f"{accepted} {ACCEPTED}"] * (accepted > 0))


def waived(acceptance: Acceptance) -> str:
    """The label of an accepted violation."""
    return f"{accepted(acceptance)} with --accept"


def accepted(acceptance: Acceptance) -> str:
    """How long an acceptance is valid."""
    return "accepted" if acceptance.until is None else f"accepted until {acceptance.until}"


def detectable(row: ClauseRow) -> str:
    """The smallest share of violating answers that would have been found with 95 % probability: `1 of 104`."""
    share = row.detectable_share
    return NOTHING if share is None else f"1 of {count(round(1 / share))}"
