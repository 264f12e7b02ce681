"""What a clause is: one testable statement of the contract, with its level and its source."""

from __future__ import annotations

from dataclasses import dataclass

from chainproof.contract.levels import Level


@dataclass(frozen=True, slots=True, kw_only=True)
class Clause:
    """One testable statement of the contract."""

    id: str
    """Short, stable, lower case; used in findings, reports and `--accept`."""
    level: Level
    source: str
    """A JSON pointer (`#/…`), an RFC and section, or `assumed`."""
    quotation: str
    """The words of the source, unchanged; for an assumed clause, why callers rely on it."""
    statement: str
    """What must hold, in plain English."""
