"""
What a conformance run has come across, beside its clauses: answers by status and by error code, and what was left out.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TypedDict


class CoverageData(TypedDict):
    """
    One line of `coverage.jsonl`: a later line replaces an earlier one.
    """

    requests: int
    requests_by_module: dict[str, int]
    statuses: dict[str, int]
    codes: dict[str, int]
    not_exercised: dict[str, str]
    notes: list[str]


@dataclass(frozen=True, slots=True, kw_only=True)
class Coverage:
    """
    How far a conformance run reached.
    """

    requests: int = 0
    """All that were sent."""
    requests_by_module: Mapping[str, int] = field(default_factory=dict)
    """How many of them each part of the catalogue of checks took, by its name."""
    statuses: Mapping[int, int] = field(default_factory=dict)
    """Answers of the operation, by status."""
    codes: Mapping[str, int] = field(default_factory=dict)
    """Error answers of the operation that name a code, by that code as the target spelled it."""
    not_exercised: Mapping[str, str] = field(default_factory=dict)
    """Clauses that a check passed over, by id, with its reason."""
    notes: tuple[str, ...] = ()
    """What is worth knowing and departs from nothing, such as the size from which on bodies are refused."""

    def to_json(self) -> CoverageData:
        """The coverage as JSON types."""
        return {
            "requests": self.requests,
            "requests_by_module": dict(self.requests_by_module),
            "statuses": {str(status): count for status, count in sorted(self.statuses.items())},
            "codes": dict(sorted(self.codes.items())),
            "not_exercised": dict(self.not_exercised),
            "notes": list(self.notes),
        }

    @classmethod
    def from_json(cls, data: CoverageData) -> Coverage:
        """The coverage that `to_json` wrote. Raises KeyError, TypeError or ValueError on anything else."""
        return cls(
            requests=int(data["requests"]),
            requests_by_module={str(part): int(count) for part, count in data["requests_by_module"].items()},
            statuses={int(status): int(count) for status, count in data["statuses"].items()},
            codes={str(code): int(count) for code, count in data["codes"].items()},
            not_exercised={str(clause): str(why) for clause, why in data["not_exercised"].items()},
            notes=tuple(str(note) for note in data["notes"]),
        )
