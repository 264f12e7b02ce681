"""The manifest and the end of a run: its target, options and versions, how its plan changed, and how it ended."""

from __future__ import annotations

import platform
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import date
from enum import StrEnum
from importlib import metadata
from typing import NotRequired, TypedDict, cast

from chainproof import __version__
from chainproof.clock import Seconds
from chainproof.contract.accepted_violations import Acceptance, is_accepted
from chainproof.contract.levels import Contract
from chainproof.hardware import Hardware, HardwareData
from chainproof.json_text import JSON
from chainproof.results.integrity import FileDigestData
from chainproof.results.settings import KnownSettings, PhaseSpan

FORMAT = 3
"""
The version of the run folder's format; other versions are not read. History:

3  end.json has the number of lines and the digest of every file; the buckets of histograms are compressed; the hours of a long
   run are in files of their own, and older ones are rolled up
2  keys and values renamed to the terms of the glossary
1  manifest.json, intervals.jsonl, exemplars.jsonl, findings.jsonl, clauses.jsonl, coverage.jsonl, end.json
"""


class RunKind(StrEnum):
    """What kind of test a run was."""

    LOAD = "load"
    CONFORMANCE = "conformance"


class SeriesKind(StrEnum):
    """How the runs of a series follow each other."""

    REPEAT = "repeat"
    """One after the other, all on one target."""
    INTERLEAVE = "interleave"
    """Pairs of one run on each target, one after the other."""
    DUET = "duet"
    """Pairs of one run on each target, both with the same plan in the same seconds."""


class Side(StrEnum):
    """Which of two targets a run of a series is on."""

    CANDIDATE = "candidate"
    BASELINE = "baseline"


class SeriesData(TypedDict):
    """The place of a run in a series, in a manifest."""

    id: str
    kind: str
    index: int
    side: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Series:
    """The place of a run in a series of runs that one command made."""

    id: str
    """The same for all runs of the series, and only for these."""
    kind: SeriesKind
    index: int
    """From 0. The two runs of a pair have the same index."""
    side: Side

    def to_json(self) -> SeriesData:
        """The place as JSON types."""
        return {"id": self.id, "kind": self.kind.value, "index": self.index, "side": self.side.value}

    @classmethod
    def from_json(cls, data: SeriesData) -> Series:
        """The place that `to_json` wrote. Raises KeyError or ValueError on anything else."""
        return cls(id=data["id"], kind=SeriesKind(data["kind"]), index=data["index"], side=Side(data["side"]))


class ManifestData(TypedDict):
    """`manifest.json`."""

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
    hardware: NotRequired[HardwareData]
    """The machine that sent the requests; of several, that of the master."""
    series: NotRequired[SeriesData | None]
    """Null if the run belongs to no series."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Manifest:
    """What is known of a run before its first request: target, options and versions."""

    kind: RunKind
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
    """All other options of the run, with units in their names."""
    objectives: tuple[str, ...] = ()
    """As written: `p95 response_time < 800ms`."""
    versions: Mapping[str, str] = field(default_factory=dict)
    hardware: Hardware | None = None
    """The machine that sent the requests; of several, that of the master. None if it is not recorded."""
    series: Series | None = None
    """The place of the run in a series; None if it belongs to none."""
    known_settings: KnownSettings = field(init=False, repr=False, compare=False)
    """The typed values of the settings that judgements read."""

    def __post_init__(self) -> None:
        object.__setattr__(self, "known_settings", KnownSettings.from_json(self.settings))

    @property
    def day(self) -> date:
        """The day on which the run began; the last possible day if it cannot be read, so that dated acceptances expire."""
        try:
            return date.fromisoformat(self.started[:10])
        except ValueError:
            return date.max

    @property
    def label(self) -> str:
        """The value of `--label`; empty without it."""
        return self.known_settings.label

    @property
    def acceptances(self) -> tuple[Acceptance, ...]:
        """Violations accepted with `--accept`."""
        return self.known_settings.acceptances

    @property
    def phases(self) -> tuple[PhaseSpan, ...]:
        """The phases of the workload, in order; empty if it has none."""
        return self.known_settings.phases

    def acceptance_of(self, clause_id: str) -> Acceptance | None:
        """The acceptance of a clause that was valid on the day of the run; of several, the one that lasts longest."""
        valid = [each for each in self.acceptances if is_accepted(clause_id, [each], self.day)]
        return max(valid, key=lambda each: each.until or date.max, default=None)

    def to_json(self) -> ManifestData:
        """The manifest as JSON types."""
        data: ManifestData = {
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
            "series": self.series.to_json() if self.series is not None else None,
        }
        if self.hardware is not None:
            data["hardware"] = self.hardware.to_json()
        return data

    @classmethod
    def from_json(cls, data: ManifestData) -> Manifest:
        """The manifest that `to_json` wrote. Raises KeyError or ValueError on anything else."""
        series = data.get("series")
        return cls(
            kind=RunKind(data["kind"]),
            name=data["name"],
            started=data["started"],
            target=data["target"],
            emulated=data["emulated"],
            contract=Contract(data["contract"]).value,
            seed=data["seed"],
            settings=data["settings"],
            objectives=tuple(data["objectives"]),
            versions=data["versions"],
            hardware=Hardware.from_json(data["hardware"]) if "hardware" in data else None,
            series=Series.from_json(series) if series is not None else None,
        )


def versions(*packages: str) -> dict[str, str]:
    """The versions of chainproof, Python and the named packages; packages that are not installed are left out."""
    found = {"chainproof": __version__, "python": platform.python_version()}
    for package in packages:
        try:
            found[package] = metadata.version(package)
        except metadata.PackageNotFoundError:
            continue
    return found


class Ending(StrEnum):
    """How a run ended."""

    COMPLETED = "completed"
    INTERRUPTED = "interrupted"
    """Ctrl-C, SIGTERM or SIGHUP."""
    STOPPED_BY_GUARD = "stopped_by_guard"
    """A guard ended it early; the note says why."""
    INTERNAL_ERROR = "internal_error"
    """An error in chainproof; says nothing about the target."""
    MACHINE_FAULT = "machine_fault"
    """A problem of the machine, such as a full disk, ended it; the note says which."""


class Guard(StrEnum):
    """A condition that ends a load run early."""

    KEY_REJECTED = "key_rejected"
    """Every answer so far was 401 or 403."""
    TARGET_UNREACHABLE = "target_unreachable"
    """Nothing but transport errors for the time of --gone-after."""
    ERROR_BUDGET = "error_budget"
    """More requests failed than --error-budget allows for the run."""
    RATE = "rate"
    """Closed model: users sent more requests per second than --max-rate allows."""


class LostWorkerData(TypedDict):
    """A lost worker in `end.json`."""

    worker: str
    from_s: float
    to_s: float
    why: str


@dataclass(frozen=True, slots=True, kw_only=True)
class LostWorker:
    """A worker that stopped reporting before the run ended."""

    worker: str
    """Its name in the intervals."""
    start: Seconds
    end: Seconds
    """Between start and end nothing is known of its requests."""
    why: str
    """How the loss was noticed, in a few words."""

    def to_json(self) -> LostWorkerData:
        """The worker as JSON types."""
        return {"worker": self.worker, "from_s": self.start, "to_s": self.end, "why": self.why}

    @classmethod
    def from_json(cls, data: LostWorkerData) -> LostWorker:
        """The worker that `to_json` wrote."""
        return cls(worker=data["worker"], start=data["from_s"], end=data["to_s"], why=data["why"])


class RunEndData(TypedDict):
    """`end.json`."""

    ending: str
    seconds: float
    accounting: dict[str, int]
    note: str
    lost_workers: NotRequired[list[LostWorkerData]]
    """Only if a worker was lost."""
    network: NotRequired[dict[str, int]]
    """Load runs only."""
    guard: NotRequired[str]
    """Only if a guard ended the run."""
    ignored: NotRequired[dict[str, int]]
    """Only if a master ignored something."""
    files: NotRequired[dict[str, FileDigestData]]
    """Every other file of the folder. `RunWriter` adds it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RunEnd:
    """How a run ended, with its own request counters; written last. The counters are compared with the intervals."""

    ending: Ending
    seconds: float
    """Length of the run."""
    accounting: Mapping[str, int] = field(default_factory=dict)
    """planned, not_sent, sent, ok, failed, timed_out, censored, counted separately; empty for conformance."""
    note: str = ""
    """What went wrong, in one line; empty if nothing did."""
    lost_workers: tuple[LostWorker, ...] = ()
    """Workers that stopped reporting; their unknown requests count as not sent or censored."""
    network: Mapping[str, int] = field(default_factory=dict)
    """Totals of the counts in `NetworkStats`."""
    guard: Guard | None = None
    """The guard that ended the run; None if none did."""
    ignored: Mapping[str, int] = field(default_factory=dict)
    """What arrived at the port of a master and was ignored, by reason."""

    def to_json(self) -> RunEndData:
        """The end as JSON types."""
        data: RunEndData = {
            "ending": self.ending.value,
            "seconds": self.seconds,
            "accounting": dict(self.accounting),
            "note": self.note,
        }
        if self.guard is not None:
            data["guard"] = self.guard.value
        if self.lost_workers:
            data["lost_workers"] = [worker.to_json() for worker in self.lost_workers]
        if self.network:
            data["network"] = dict(self.network)
        if self.ignored:
            data["ignored"] = dict(self.ignored)
        return data

    @classmethod
    def from_json(cls, data: RunEndData) -> RunEnd:
        """The end that `to_json` wrote."""
        return cls(
            ending=Ending(data["ending"]),
            seconds=data["seconds"],
            accounting=data["accounting"],
            note=data["note"],
            lost_workers=tuple(LostWorker.from_json(worker) for worker in data.get("lost_workers", ())),
            network=data.get("network", {}),
            guard=Guard(data["guard"]) if "guard" in data else None,
            ignored=data.get("ignored", {}),
        )


RunSettings = dict[str, JSON]
"""Settings of a manifest, by name."""


def as_settings(**values: object) -> RunSettings:
    """The keyword arguments as settings of a manifest."""
    return cast(RunSettings, values)


class PlanChangeData(TypedDict):
    """One line of `plans.jsonl`."""

    from_s: float
    settings: dict[str, JSON]


@dataclass(frozen=True, slots=True, kw_only=True)
class PlanChange:
    """The start of another plan, and the settings from then on."""

    start: Seconds
    """Intended starts from this time on belong to the new plan."""
    settings: Mapping[str, JSON]
    """They replace those in the manifest. The phases are those of the entire run, one for each plan."""

    def to_json(self) -> PlanChangeData:
        """The new plan as JSON types."""
        return {"from_s": self.start, "settings": dict(self.settings)}

    @classmethod
    def from_json(cls, data: PlanChangeData) -> PlanChange:
        """The new plan that `to_json` wrote. Raises KeyError, TypeError or ValueError on anything else."""
        return cls(start=float(data["from_s"]), settings=dict(data["settings"]))


def apply_plan_changes(manifest: Manifest, plan_changes: Sequence[PlanChange]) -> Manifest:
    """The manifest with the settings of the last plan, and with the times of all changes of plan."""
    if not plan_changes:
        return manifest
    settings = {**manifest.settings, **plan_changes[-1].settings}
    settings["replanned_at_s"] = cast(JSON, [each.start for each in plan_changes])
    return replace(manifest, settings=settings)
