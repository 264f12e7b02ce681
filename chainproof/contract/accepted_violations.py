"""
Violations that somebody knows of and accepts, for a while or for good: `--accept CLAUSE[:until-date]`.

Accepting hides nothing: findings are recorded and shown as ever, they only do not fail the run. A date makes sure that
somebody looks again.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import date
from difflib import get_close_matches
from typing import TypedDict

from chainproof.contract.clauses import CLAUSE_BY_ID
from chainproof.errors import UsageError


class AcceptanceError(UsageError):
    """
    A text that accepts nothing; the message says what was expected and what was found.
    """


class AcceptanceData(TypedDict):
    """
    An acceptance in a manifest's settings.
    """

    clause: str
    until: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Acceptance:
    """
    A clause whose violations are accepted.
    """

    clause: str
    """The clause's id."""
    until: date | None = None
    """The last day on which it counts; None for good."""

    def applies_on(self, day: date) -> bool:
        """Whether it still counts on a day."""
        return self.until is None or day <= self.until

    def to_json(self) -> AcceptanceData:
        """The acceptance as JSON types."""
        return {"clause": self.clause, "until": self.until.isoformat() if self.until is not None else None}

    @classmethod
    def from_json(cls, data: AcceptanceData) -> Acceptance:
        """The acceptance that `to_json` wrote. Raises KeyError, TypeError or ValueError on anything else."""
        if not isinstance(data["clause"], str):
            raise TypeError(f"expected a clause's id, found {data['clause']!r}")
        until = data["until"]
        return cls(clause=data["clause"], until=date.fromisoformat(until) if until is not None else None)


_DAY = re.compile(r"\d{4}-\d{2}-\d{2}")


def parse_acceptance(text: str) -> Acceptance:
    """
    The acceptance that *text* states: a clause, and behind a colon the last day on which it counts.

    >>> parse_acceptance("error-message:2026-12-31").until
    datetime.date(2026, 12, 31)
    >>> parse_acceptance("error-message").until is None
    True

    Raises AcceptanceError.
    """
    clause, colon, until = (part.strip() for part in text.partition(":"))
    if clause not in CLAUSE_BY_ID:
        raise AcceptanceError(f"expected a clause such as {_suggested(clause)}, found {clause!r}")
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
    """
    Whether violations from a clause are accepted on a day.
    """
    return any(each.clause == clause_id and each.applies_on(day) for each in acceptances)


def _suggested(text: str) -> str:
    """
    The clauses that *text* may have meant; all of them where it is like none.
    """
    return " or ".join(get_close_matches(text, CLAUSE_BY_ID, n=3)) or ", ".join(CLAUSE_BY_ID)
