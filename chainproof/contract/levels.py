"""
How binding a clause is, and which of three contracts is asked for.

A level says what follows from a violation; a contract says how far beyond the published document we look. The two are
independent: every contract has clauses of every level.
"""

from __future__ import annotations

from enum import StrEnum


class Level(StrEnum):
    """
    What a violation from a clause means.
    """

    MUST = "must"
    """The document says so, or an RFC's MUST."""

    ASSUMED = "assumed"
    """Every caller relies on it, though no sentence of the document says it."""

    SHOULD = "should"
    """Advice: a violation is worth knowing, and breaks nobody's contract."""


BINDING: frozenset[Level] = frozenset({Level.MUST, Level.ASSUMED})
"""The levels whose violations fail a run unless `--fail-on` widens them."""


class Contract(StrEnum):
    """
    Which statements an answer is held against, each including the one before.
    """

    STRICT = "strict"
    """The published OpenAPI document to the letter."""

    DOCUMENTED = "documented"
    """… and what Baseten's documentation, its other specifications or its published source say."""

    OBSERVED = "observed"
    """… and what third parties recorded of live endpoints."""

    def includes(self, other: Contract) -> bool:
        """Whether whatever *other* allows is allowed here too."""
        return _ORDER.index(self) >= _ORDER.index(other)


_ORDER: tuple[Contract, ...] = (Contract.STRICT, Contract.DOCUMENTED, Contract.OBSERVED)
