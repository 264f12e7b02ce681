"""
What a search found, as it is stored beside the folders of its probes.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import orjson

from chainproof.clock import PerSecond, Seconds

SEARCH_FILE = "search.json"
"""In a folder of runs that were made to find something: what was found, and by which of them."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ProbeRecord:
    """
    One run of a search at one rate, and what it said.
    """

    rate: PerSecond
    purpose: str
    """doubling, bisecting or verifying."""
    verdict: str
    """met, missed, undecided or unfit."""
    reason: str
    folder: str
    """The run folder's name, beside the record."""
    seconds: Seconds
    """How long was judged."""
    planned: int
    ok: int
    response_time: dict[str, Seconds]
    """By percentile, of ok answers."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SearchRecord:
    """
    What was asked for, every probe in its order, and the answer, or why there is none.
    """

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
        """The folders of the runs at the rate that was found, each once; none where none was."""
        return tuple(dict.fromkeys(probe.folder for probe in self.probes if probe.rate == self.saturation_rate))


def read_search(path: Path) -> SearchRecord | None:
    """
    What the search wrote whose folder this is; None where there is nothing of that kind.
    """
    try:
        said = orjson.loads((path / SEARCH_FILE).read_bytes())
        return _search(path, said)
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return None


def _search(path: Path, said: dict[str, Any]) -> SearchRecord:
    """
    The record in a file's words.
    """
    return SearchRecord(
        path=path,
        workload=str(said["workload"]),
        target=str(said["target"]),
        emulated=said["emulated"] is True,
        objectives=tuple(str(text) for text in said["objectives"]),
        saturation_rate=_rate(said["saturation_rate_per_s"]),
        missed_at=_rate(said["missed_at_per_s"]),
        summary=str(said["summary"]),
        probes=tuple(_probe(probe) for probe in said["probes"]),
    )


def _probe(said: dict[str, Any]) -> ProbeRecord:
    """
    A probe in a file's words.
    """
    return ProbeRecord(
        rate=float(said["rate"]),
        purpose=str(said["purpose"]),
        verdict=str(said["verdict"]),
        reason=str(said["reason"]),
        folder=str(said["folder"]),
        seconds=float(said["seconds"]),
        planned=int(said["planned"]),
        ok=int(said["ok"]),
        response_time={str(name): float(value) for name, value in said["response_time"].items()},
    )


def _rate(said: object) -> PerSecond | None:
    """
    A rate, or that there is none.
    """
    return None if said is None else float(said)  # type: ignore[arg-type]  # TypeError is what whoever reads catches
