"""The coverage of a conformance run: requests, answers by status and error code, and clauses that were not exercised."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import NotRequired, TypedDict

NOT_SELECTED = "not selected"
"""The reason why a clause was not exercised if the user did not select its checks."""


class CoverageData(TypedDict):
    """One line of `coverage.jsonl`: a later line replaces an earlier one."""

    requests: int
    requests_by_module: dict[str, int]
    statuses: dict[str, int]
    codes: dict[str, int]
    not_exercised: dict[str, str]
    notes: list[str]
    cut_by: NotRequired[str]
    """Only if the run is incomplete."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Coverage:
    """Requests, answers and clauses that were not exercised."""

    requests: int = 0
    """Requests sent."""
    requests_by_module: Mapping[str, int] = field(default_factory=dict)
    """Requests by check module."""
    statuses: Mapping[int, int] = field(default_factory=dict)
    """Answers of the operation, by status."""
    codes: Mapping[str, int] = field(default_factory=dict)
    """Error answers of the operation by error code, as the target wrote it."""
    not_exercised: Mapping[str, str] = field(default_factory=dict)
    """Reasons why clauses were not exercised, by clause id."""
    notes: tuple[str, ...] = ()
    """Observations that violate no clause, such as the size from which bodies are rejected."""
    cut_by: str = ""
    """What left the run incomplete, such as the end of `--time-budget`; empty if all planned requests were sent and judged."""

    def to_json(self) -> CoverageData:
        """The coverage as JSON types."""
        data: CoverageData = {
            "requests": self.requests,
            "requests_by_module": dict(self.requests_by_module),
            "statuses": {str(status): count for status, count in sorted(self.statuses.items())},
            "codes": dict(sorted(self.codes.items())),
            "not_exercised": dict(self.not_exercised),
            "notes": list(self.notes),
        }
        if self.cut_by:
            data["cut_by"] = self.cut_by
        return data

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
            cut_by=str(data.get("cut_by", "")),
        )
