"""
Accepted violations: `--accept CLAUSE[:until-date]`.

Findings of an accepted clause are still recorded and shown, but do not fail the run until the date has passed.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import date
from difflib import get_close_matches
from typing import TypedDict

from chainproof.contract.clauses import CLAUSE_BY_ID, CLAUSES
from chainproof.errors import UsageError


class AcceptanceError(UsageError):
    """An invalid value of `--accept`."""


class AcceptanceData(TypedDict):
    """The JSON form of an acceptance, in a manifest's settings."""

    clause: str
    until: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Acceptance:
    """A clause whose violations are accepted."""

    clause: str
    """The clause's id."""
    until: date | None = None
    """The last day on which it applies; None if it does not expire."""

    def applies_on(self, day: date) -> bool:
        """True if the acceptance has not expired on *day*."""
        return self.until is None or day <= self.until

    def to_json(self) -> AcceptanceData:
        """The acceptance as JSON types."""
        return {"clause": self.clause, "until": self.until.isoformat() if self.until is not None else None}

    @classmethod
    def from_json(cls, data: AcceptanceData) -> Acceptance:
        """The acceptance that `to_json` wrote. Raises KeyError, TypeError or ValueError for other data."""
        if not isinstance(data["clause"], str):
            raise TypeError(f"expected a clause's id, found {data['clause']!r}")
        until = data["until"]
        return cls(clause=data["clause"], until=date.fromisoformat(until) if until is not None else None)


_DAY = re.compile(r"\d{4}-\d{2}-\d{2}")


def parse_acceptance(text: str) -> Acceptance:
    """
    The acceptance in *text*: a clause, optionally followed by a colon and the last day on which it applies.

    >>> parse_acceptance("error-message:2026-12-31").until
    datetime.date(2026, 12, 31)
    >>> parse_acceptance("error-message").until is None
    True

    Raises AcceptanceError.
    """
    clause, colon, until = (part.strip() for part in text.partition(":"))
    if clause not in CLAUSE_BY_ID:
        raise AcceptanceError(
            f"expected a clause such as {_suggested(clause)}, found {clause!r}; `chainproof conformance --list` prints the clauses"
        )
    if not colon:
        return Acceptance(clause=clause)
    try:
        day = date.fromisoformat(until) if _DAY.fullmatch(until) else None
    except ValueError:
        day = None
    if day is None:
        raise AcceptanceError(f"expected a day such as {clause}:2026-12-31, found {until!r}")
    return Acceptance(clause=clause, until=day)


def is_accepted(clause_id: str, acceptances: Iterable[Acceptance], day: date) -> bool:
    """True if violations of a clause are accepted on a day."""
    return any(each.clause == clause_id and each.applies_on(day) for each in acceptances)


def _suggested(text: str) -> str:
    """The clauses with an id similar to *text*, or an example."""
    return " or ".join(get_close_matches(text, CLAUSE_BY_ID, n=3)) or CLAUSES[0].id
