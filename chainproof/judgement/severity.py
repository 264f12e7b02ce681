"""The order of findings by severity, and the levels that fail a run."""

from __future__ import annotations

from collections.abc import Iterable

from chainproof.contract.clauses import CLAUSES
from chainproof.contract.levels import Level
from chainproof.results.finding import Finding

_LEVELS = (Level.MUST, Level.ASSUMED, Level.SHOULD)
_LEVEL_ORDER = {level.value: place for place, level in enumerate(_LEVELS)}
_CLAUSE_ORDER = {clause.id: place for place, clause in enumerate(CLAUSES)}


def failing_levels(fail_on: Level) -> frozenset[Level]:
    """The levels whose violations fail a run; *fail_on* is the lowest of them."""
    return frozenset(_LEVELS[: _LEVELS.index(fail_on) + 1])


def sort_findings(findings: Iterable[Finding]) -> tuple[Finding, ...]:
    """Findings by level, then in the order of the contract, then by count."""
    return tuple(sorted(findings, key=severity))


def severity(found: Finding) -> tuple[int, int, int, tuple[str, str, str]]:
    """Sort key of a finding; the most severe finding has the lowest key."""
    return (
        _LEVEL_ORDER.get(found.level, len(_LEVEL_ORDER)),
        _CLAUSE_ORDER.get(found.clause, len(_CLAUSE_ORDER)),
        -found.count,
        found.key,
    )
