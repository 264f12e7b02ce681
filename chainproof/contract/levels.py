"""
What a clause is, the levels that it can have, and the contracts that `--contract` selects.

A level says what a violation means; a contract says which sources beyond the published document count. The two are
independent: every contract has clauses of every level.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class Level(StrEnum):
    """How binding a clause is."""

    MUST = "must"
    """The document says so, or an RFC's MUST."""

    ASSUMED = "assumed"
    """Every caller relies on it, but the document does not say so."""

    SHOULD = "should"
    """A recommendation: a violation is a warning."""


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


class Contract(StrEnum):
    """The contract that answers are tested against. Each one allows what the one before allows, and more."""

    STRICT = "strict"
    """The published OpenAPI document to the letter."""

    DOCUMENTED = "documented"
    """Also what Baseten's documentation, other specifications and published source say."""

    OBSERVED = "observed"
    """Also what third parties recorded of live endpoints."""

    def includes(self, other: Contract) -> bool:
        """True if this contract allows everything that *other* allows."""
        return _ORDER.index(self) >= _ORDER.index(other)


_ORDER: tuple[Contract, ...] = (Contract.STRICT, Contract.DOCUMENTED, Contract.OBSERVED)
