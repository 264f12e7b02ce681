"""Clauses of a conformance run: state, acceptance, and the smallest detectable share of violations."""

from __future__ import annotations

from chainproof.contract.accepted_violations import Acceptance
from chainproof.judgement.conformance_summary import ClauseRow

from .quantities import NOTHING, count


def state(row: ClauseRow) -> str:
    """The state of a clause; for one whose violations were accepted, until when."""
    return row.state.value if row.acceptance is None else waived(row.acceptance)


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
