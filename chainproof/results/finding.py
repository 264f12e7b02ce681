"""
A departure with its evidence, stored; and how often each clause was put to the test.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import NotRequired, TypedDict

from chainproof.contract.clauses import CLAUSE
from chainproof.contract.departures import Departure


class FindingData(TypedDict):
    """
    One line of `findings.jsonl`. A later line with the same clause, expected and actual replaces an earlier one.
    """

    clause: str
    level: str
    source: str
    quotation: str
    expected: str
    actual: str
    count: int
    reproduce: str
    request_id: str | None
    seed: int | None
    check: NotRequired[str]


_TEXTS = ("clause", "level", "source", "quotation", "expected", "actual", "reproduce")


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """
    One way in which the target departed from one clause, however often it did.
    """

    clause: str
    """The clause's id."""
    level: str
    source: str
    quotation: str
    expected: str
    actual: str
    count: int
    reproduce: str
    """A curl line that shows it again, with `$BASETEN_API_KEY` in the key's place; empty where one line cannot."""
    request_id: str | None = None
    """Of the answer that the curl line reproduces."""
    seed: int | None = None
    """What `--seed` generates the same requests again."""
    check: str = ""
    """Which check saw it first."""

    @property
    def key(self) -> tuple[str, str, str]:
        """What makes two departures the same finding."""
        return (self.clause, self.expected, self.actual)

    def seen_again(self, times: int = 1) -> Finding:
        """The same finding, seen *times* more often."""
        return replace(self, count=self.count + times)

    def to_json(self) -> FindingData:
        """The finding as JSON types."""
        return {
            "clause": self.clause,
            "level": self.level,
            "source": self.source,
            "quotation": self.quotation,
            "expected": self.expected,
            "actual": self.actual,
            "count": self.count,
            "reproduce": self.reproduce,
            "request_id": self.request_id,
            "seed": self.seed,
            "check": self.check,
        }

    @classmethod
    def from_json(cls, data: FindingData) -> Finding:
        """The finding that `to_json` wrote. Raises TypeError or ValueError on anything else."""
        found = cls(**data)
        if not isinstance(found.count, int) or not all(isinstance(getattr(found, name), str) for name in _TEXTS):
            raise TypeError("expected a count and texts")
        return found


def finding(
    departure: Departure,
    *,
    reproduce: str = "",
    request_id: str | None = None,
    seed: int | None = None,
    check: str = "",
) -> Finding:
    """
    A departure, seen once, with its evidence.
    """
    return Finding(
        clause=departure.clause.id,
        level=departure.clause.level.value,
        source=departure.clause.source,
        quotation=departure.clause.quotation,
        expected=departure.expected,
        actual=departure.actual,
        count=1,
        reproduce=reproduce,
        request_id=request_id,
        seed=seed,
        check=check,
    )


class ClauseData(TypedDict):
    """
    One line of `clauses.jsonl`: a later line for the same clause replaces an earlier one.
    """

    clause: str
    exercised: int
    departed: int


@dataclass(frozen=True, slots=True, kw_only=True)
class ClauseCount:
    """
    How often a clause was put to the test in a run, and how often it was departed from.
    """

    clause: str
    exercised: int
    departed: int

    def to_json(self) -> ClauseData:
        """The count as JSON types."""
        return {"clause": self.clause, "exercised": self.exercised, "departed": self.departed}

    @classmethod
    def from_json(cls, data: ClauseData) -> ClauseCount:
        """The count that `to_json` wrote. Raises KeyError for a clause nobody knows."""
        return cls(clause=CLAUSE[data["clause"]].id, exercised=data["exercised"], departed=data["departed"])
