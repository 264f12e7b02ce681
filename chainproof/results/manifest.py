"""
Who, what, when, against what: what must be known of a run to read or repeat it.
"""

from __future__ import annotations

import math
import platform
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import date
from enum import StrEnum
from importlib import metadata
from typing import NotRequired, TypedDict, TypeVar, cast

from chainproof import __version__
from chainproof.clock import Seconds
from chainproof.contract.accepted_violations import Acceptance, AcceptanceData
from chainproof.contract.levels import Contract
from chainproof.json_text import JSON

FORMAT = 2
"""
The version of the run folder's format. History:

2  keys and values renamed to the terms of the glossary; other formats are not read
1  manifest.json, intervals.jsonl, exemplars.jsonl, findings.jsonl, clauses.jsonl, end.json
   since then, where there are any: `accept` and `phases` in the settings, `payloads`, `phases`
   `calls` and `network` in the intervals, `retry` in the settings, `network` in the end, `attempts` and the times of the connection in exemplars,
   `request_body` and `answer_body` in exemplars, `answer_body` and `cases` in findings; coverage.jsonl
   `generator_health` in the intervals, `guard` and the ending `stopped_by_guard` in the end
"""

_Row = TypeVar("_Row")


class RunKind(StrEnum):
    """
    What a run did.
    """

    LOAD = "load"
    CONFORMANCE = "conformance"


class PhaseSpanData(TypedDict):
    """
    A phase in a manifest's settings.
    """

    name: str
    from_s: float
    to_s: float
    judged: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class PhaseSpan:
    """
    A stretch of a run that is counted for itself: warm-up, a step, a spike.
    """

    name: str
    start: Seconds
    end: Seconds
    """A request belongs to a phase when start ≤ its intended start < end."""
    judged: bool
    """Whether figures and objectives are computed from it."""

    @property
    def seconds(self) -> Seconds:
        """How long it lasts."""
        return self.end - self.start

    def to_json(self) -> PhaseSpanData:
        """The phase as JSON types."""
        return {"name": self.name, "from_s": self.start, "to_s": self.end, "judged": self.judged}

    @classmethod
    def from_json(cls, data: PhaseSpanData) -> PhaseSpan:
        """The phase that `to_json` wrote. Raises KeyError, TypeError or ValueError on anything else."""
        start, end = float(data["from_s"]), float(data["to_s"])
        if not isinstance(data["name"], str) or not 0 <= start <= end < math.inf:
            raise ValueError(f"expected a name and 0 ≤ from_s ≤ to_s, found {data}")
        return cls(name=data["name"], start=start, end=end, judged=bool(data["judged"]))


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
    """Every other option that shaped the run, with units in the names."""
    objectives: tuple[str, ...] = ()
    """As written: `p95 response_time < 800ms`."""
    versions: Mapping[str, str] = field(default_factory=dict)

    @property
    def day(self) -> date:
        """The day on which the run began; the last of all where that cannot be read, so that nothing dated outlasts it."""
        try:
            return date.fromisoformat(self.started[:10])
        except ValueError:
            return date.max

    @property
    def acceptances(self) -> tuple[Acceptance, ...]:
        """What `--accept` named; what is none is passed over, and so accepts nothing."""
        return acceptances(self.settings.get("accept"))

    @property
    def phases(self) -> tuple[PhaseSpan, ...]:
        """The phases of the workload, in their order; empty where it has none."""
        return phases(self.settings.get("phases"))

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
        )


def acceptances(setting: object) -> tuple[Acceptance, ...]:
    """
    What the setting `accept` says.
    """
    return tuple(_each(setting, lambda row: Acceptance.from_json(cast(AcceptanceData, row))))


def phases(setting: object) -> tuple[PhaseSpan, ...]:
    """
    What the setting `phases` says.
    """
    return tuple(_each(setting, lambda row: PhaseSpan.from_json(cast(PhaseSpanData, row))))


def _each(rows: object, read: Callable[[object], _Row]) -> Iterator[_Row]:
    """
    What the rows of a setting say, those left out that say nothing: a manifest may have been edited.
    """
    for row in rows if isinstance(rows, list) else ():
        try:
            yield read(row)
        except (KeyError, TypeError, ValueError):
            continue


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
    STOPPED_BY_GUARD = "stopped_by_guard"
    """A guard ended it early; the note says why."""
    INTERNAL_ERROR = "internal_error"
    """We failed: our own error, never the target's."""


class Guard(StrEnum):
    """
    What ends a run early by itself.
    """

    KEY_REJECTED = "key_rejected"
    """Every answer so far was 401 or 403."""
    TARGET_UNREACHABLE = "target_unreachable"
    """Nothing but transport errors for a while."""
    ERROR_BUDGET = "error_budget"
    """More requests failed than the whole run may have."""
    RATE = "rate"
    """Closed model: users asked more often than --max-rate allows."""


class LostWorkerData(TypedDict):
    """
    A worker in `end.json` whose record is incomplete.
    """

    worker: str
    from_s: float
    to_s: float
    why: str


@dataclass(frozen=True, slots=True, kw_only=True)
class LostWorker:
    """
    A worker of whose requests nothing is known for some of the run.
    """

    worker: str
    """As in the intervals."""
    start: Seconds
    end: Seconds
    """What it did from start to end is unknown."""
    why: str
    """How it was noticed, in a few words."""

    def to_json(self) -> LostWorkerData:
        """The worker as JSON types."""
        return {"worker": self.worker, "from_s": self.start, "to_s": self.end, "why": self.why}

    @classmethod
    def from_json(cls, data: LostWorkerData) -> LostWorker:
        """The worker that `to_json` wrote."""
        return cls(worker=data["worker"], start=data["from_s"], end=data["to_s"], why=data["why"])


class RunEndData(TypedDict):
    """
    `end.json`.
    """

    ending: str
    seconds: float
    accounting: dict[str, int]
    note: str
    lost_workers: NotRequired[list[LostWorkerData]]
    """Only where there were such."""
    network: NotRequired[dict[str, int]]
    """Only of load runs."""
    guard: NotRequired[str]
    """Only where a guard ended the run."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RunEnd:
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
    lost_workers: tuple[LostWorker, ...] = ()
    """Workers of a distributed run whose record is incomplete: what is unknown of them is counted as unsent or censored."""
    network: Mapping[str, int] = field(default_factory=dict)
    """Octets each way, answers whose end the kernel told and those it did not, idle connections replaced."""
    guard: Guard | None = None
    """What ended it early; None where nothing did."""

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
        )


RunSettings = dict[str, JSON]


def as_settings(**values: object) -> RunSettings:
    """
    Keyword arguments as the settings of a manifest.
    """
    return cast(RunSettings, values)
