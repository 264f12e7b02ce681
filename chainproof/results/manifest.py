"""
Who, what, when, against what: what must be known of a run to read or repeat it.
"""

from __future__ import annotations

import platform
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from importlib import metadata
from typing import TypedDict, cast

from chainproof import __version__
from chainproof.contract.levels import Contract
from chainproof.jsontext import JSON

FORMAT = 1
"""
The version of the run folder's format. History:

1  manifest.json, intervals.jsonl, exemplars.jsonl, findings.jsonl, clauses.jsonl, end.json
"""


class Kind(StrEnum):
    """
    What a run did.
    """

    LOAD = "load"
    CONFORMANCE = "conformance"


class ManifestData(TypedDict):
    """
    `manifest.json`.
    """

    format: int
    kind: str
    name: str
    started: str
    target: str
    emulated: bool
    contract: str
    seed: int
    settings: dict[str, JSON]
    objectives: list[str]
    versions: dict[str, str]


@dataclass(frozen=True, slots=True, kw_only=True)
class Manifest:
    """
    The unchanging part of a run, written before its first request.
    """

    kind: Kind
    name: str
    """The workload, or the depth of a conformance run."""
    started: str
    """UTC, ISO 8601: `2026-11-22T13:27:00.250Z`."""
    target: str
    """The operation's URL."""
    emulated: bool = False
    """Whether the target was the emulator that the command started itself."""
    contract: str = "strict"
    seed: int = 0
    settings: Mapping[str, JSON] = field(default_factory=dict)
    """Every other option that shaped the run, with units in the names."""
    objectives: tuple[str, ...] = ()
    """As written: `p95 response_time < 800ms`."""
    versions: Mapping[str, str] = field(default_factory=dict)

    def to_json(self) -> ManifestData:
        """The manifest as JSON types."""
        return {
            "format": FORMAT,
            "kind": self.kind.value,
            "name": self.name,
            "started": self.started,
            "target": self.target,
            "emulated": self.emulated,
            "contract": self.contract,
            "seed": self.seed,
            "settings": dict(self.settings),
            "objectives": list(self.objectives),
            "versions": dict(self.versions),
        }

    @classmethod
    def from_json(cls, data: ManifestData) -> Manifest:
        """
        The manifest that `to_json` wrote. Raises KeyError or ValueError on anything else.
        """
        if data["format"] > FORMAT:
            raise ValueError(f"the run folder has format {data['format']}, this version reads up to {FORMAT}")
        return cls(
            kind=Kind(data["kind"]),
            name=data["name"],
            started=data["started"],
            target=data["target"],
            emulated=data["emulated"],
            contract=Contract(data["contract"]).value,
            seed=data["seed"],
            settings=data["settings"],
            objectives=tuple(data["objectives"]),
            versions=data["versions"],
        )


def versions(*packages: str) -> dict[str, str]:
    """
    The versions of chainproof, Python and the named packages, for a manifest; a package not installed is left out.
    """
    found = {"chainproof": __version__, "python": platform.python_version()}
    for package in packages:
        try:
            found[package] = metadata.version(package)
        except metadata.PackageNotFoundError:
            continue
    return found


class Ending(StrEnum):
    """
    How a run came to its end.
    """

    COMPLETED = "completed"
    INTERRUPTED = "interrupted"
    """Ctrl-C or SIGTERM."""
    BROKEN = "broken"
    """We failed: our own error, never the target's."""


class EndData(TypedDict):
    """
    `end.json`.
    """

    ending: str
    seconds: float
    accounting: dict[str, int]
    note: str


@dataclass(frozen=True, slots=True, kw_only=True)
class End:
    """
    Written last: that the run ended, how, and what its own counters say, to be held against the intervals.
    """

    ending: Ending
    seconds: float
    """From the run's beginning to its end."""
    accounting: Mapping[str, int] = field(default_factory=dict)
    """planned, not_sent, sent, ok, failed, timed_out, censored as counted apart from the intervals; empty for conformance."""
    note: str = ""
    """What went wrong, if anything did, in one line."""

    def to_json(self) -> EndData:
        """The end as JSON types."""
        return {
            "ending": self.ending.value,
            "seconds": self.seconds,
            "accounting": dict(self.accounting),
            "note": self.note,
        }

    @classmethod
    def from_json(cls, data: EndData) -> End:
        """The end that `to_json` wrote."""
        return cls(
            ending=Ending(data["ending"]), seconds=data["seconds"], accounting=data["accounting"], note=data["note"]
        )


Settings = dict[str, JSON]


def as_settings(**values: object) -> Settings:
    """
    Keyword arguments as the settings of a manifest.
    """
    return cast(Settings, values)
