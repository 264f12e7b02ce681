"""The record of a search for the saturation rate, stored beside the run folders of its probes."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import orjson

from chainproof.clock import PerSecond, Seconds

SEARCH_FILE = "search.json"
"""The record, in the folder that contains the probes."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ProbeRecord:
    """One run of a search at one rate, and its result."""

    rate: PerSecond
    purpose: str
    """doubling, bisecting or verifying."""
    verdict: str
    """met, missed, inconclusive or invalid."""
    reason: str
    folder: str
    """The run folder's name, beside the record."""
    seconds: Seconds
    """Length of the judged phase."""
    planned: int
    ok: int
    response_time: dict[str, Seconds]
    """Of ok answers, by percentile."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SearchRecord:
    """The search, its probes in order, and the saturation rate or why there is none."""

    path: Path
    workload: str
    target: str
    emulated: bool
    objectives: tuple[str, ...]
    saturation_rate: PerSecond | None
    missed_at: PerSecond | None
    summary: str
    probes: tuple[ProbeRecord, ...]

    @property
    def verification_folders(self) -> tuple[str, ...]:
        """The folders of the runs at the rate that was found; empty if none was found."""
        return tuple(dict.fromkeys(probe.folder for probe in self.probes if probe.rate == self.saturation_rate))


def read_search(path: Path) -> SearchRecord | None:
    """The search in a folder; None if the folder is not a search."""
    try:
        return _search(path, orjson.loads((path / SEARCH_FILE).read_bytes()))
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return None


def _search(path: Path, data: dict[str, Any]) -> SearchRecord:
    """The record from parsed JSON."""
    return SearchRecord(
        path=path,
        workload=str(data["workload"]),
        target=str(data["target"]),
        emulated=data["emulated"] is True,
        objectives=tuple(str(text) for text in data["objectives"]),
        saturation_rate=_rate(data["saturation_rate_per_s"]),
        missed_at=_rate(data["missed_at_per_s"]),
        summary=str(data["summary"]),
        probes=tuple(_probe(probe) for probe in data["probes"]),
    )


def _probe(data: dict[str, Any]) -> ProbeRecord:
    """A probe from parsed JSON."""
    return ProbeRecord(
        rate=float(data["rate"]),
        purpose=str(data["purpose"]),
        verdict=str(data["verdict"]),
        reason=str(data["reason"]),
        folder=str(data["folder"]),
        seconds=float(data["seconds"]),
        planned=int(data["planned"]),
        ok=int(data["ok"]),
        response_time={str(name): float(value) for name, value in data["response_time"].items()},
    )


def _rate(data: object) -> PerSecond | None:
    """A rate; None for null."""
    return None if data is None else float(data)  # type: ignore[arg-type]  # read_search catches TypeError
