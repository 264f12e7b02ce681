"""
The messages between a master and its workers: JSON inside Locust's messages.

The master sends an assignment, the time to begin, and the order to stop. A worker answers that it is ready, then reports
its results once a second. Reports are numbered, so that a missing one is noticed. No message contains the API key: each
process reads it from its own environment.
"""

from __future__ import annotations

import json
from base64 import b64decode, b64encode
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import TypedDict

import orjson

from chainproof import __version__
from chainproof.clock import Seconds
from chainproof.contract.levels import Contract
from chainproof.json_text import takes_much_memory
from chainproof.judgement.accounting import Accounting
from chainproof.results.exemplar import Exemplar, ExemplarData
from chainproof.results.finding import ClauseCount, ClauseData, Finding, FindingData
from chainproof.results.intervals.interval import Interval, IntervalData
from chainproof.results.manifest import RunEnd, RunEndData, Side
from chainproof.target_options import TargetOptions
from chainproof.typed_json import has_type
from chainproof.workload.workload_file import parse_workload, workload_table

from ..demand import Demand, Shard
from ..output_schema import OutputSchema
from ..recording.request_ids import DIGEST_BYTES

PREPARE = "chainproof.prepare"
READY = "chainproof.ready"
BEGIN = "chainproof.begin"
REPORT = "chainproof.report"
HALT = "chainproof.halt"
CHANGE_PLAN = "chainproof.change_plan"

_MAX_SECOND = 1e9

_MALFORMED = (ArithmeticError, AttributeError, LookupError, TypeError, ValueError)
"""What reading a message raises if another version of chainproof, or something else, has written it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Assignment:
    """Everything that a worker needs for its share of a run; it reads no file and no option for it."""

    run: str
    """The id of the run within the session."""
    shard: Shard
    demand: Demand
    target: TargetOptions
    emulated: bool
    """Whether the target is the emulator that the master uses."""
    can_change_plan: bool = False
    """Whether the plan may change during the run."""
    duet_side: Side | None = None
    """The side of a duet whose requests are sent; None if the run is not one of a duet."""

    def encode(self) -> bytes:
        """The assignment as bytes."""
        demand = self.demand
        return orjson.dumps(
            {
                "run": self.run,
                "index": self.shard.index,
                "of": self.shard.of,
                "name": demand.workload.name,
                "workload": workload_table(demand.workload),
                "contract": demand.contract.value,
                "seed": demand.seed,
                "output": _text(demand.output),
                "output_sample": demand.output_sample,
                "check": demand.check,
                "retry": demand.retry,
                "keep_bodies": demand.keep_bodies,
                "record_requests": demand.record_requests,
                "max_response_memory": demand.max_response_memory,
                "target": self.target.to_json(),
                "emulated": self.emulated,
                "can_change_plan": self.can_change_plan,
                "duet_side": self.duet_side,
            }
        )

    @classmethod
    def decode(cls, octets: bytes) -> Assignment:
        """The assignment that `encode` wrote."""
        data = orjson.loads(octets)
        return cls(
            run=data["run"],
            shard=Shard(index=data["index"], of=data["of"]),
            demand=Demand(
                workload=parse_workload(data["workload"], name=data["name"]),
                contract=Contract(data["contract"]),
                seed=data["seed"],
                output=_output(data["output"]),
                output_sample=data["output_sample"],
                check=data["check"],
                retry=data["retry"],
                keep_bodies=data["keep_bodies"],
                record_requests=data["record_requests"],
                max_response_memory=data["max_response_memory"],
            ),
            target=TargetOptions.from_json(data["target"]),
            emulated=data["emulated"],
            can_change_plan=data["can_change_plan"],
            duet_side=None if data["duet_side"] is None else Side(data["duet_side"]),
        )


def _text(output: OutputSchema | None) -> str | None:
    """The output schema as JSON, by the json module: orjson does not write integers beyond 64 bits."""
    return None if output is None else json.dumps(asdict(output))


def _output(text: str | None) -> OutputSchema | None:
    """The output schema that `_text` wrote."""
    return None if text is None else OutputSchema(**json.loads(text))


class ReadyData(TypedDict):
    """A worker's answer to an assignment in JSON."""

    run: str
    digest: str
    pid: int
    error: str
    version: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ReadyMessage:
    """A worker's answer to an assignment."""

    run: str
    digest: str
    """The digest of the complete plan that the worker drew."""
    pid: int
    error: str = ""
    """Why the worker cannot start; empty if it is ready."""
    version: str = __version__

    def encode(self) -> bytes:
        """The answer as bytes."""
        return orjson.dumps(asdict(self))

    @classmethod
    def decode(cls, octets: bytes) -> ReadyMessage | None:
        """The answer that `encode` wrote; None if it is malformed."""
        try:
            data = orjson.loads(octets)
            return cls(**data) if has_type(data, ReadyData) else None
        except _MALFORMED:
            return None


class WorkerReportData(TypedDict):
    """A report in JSON."""

    run: str
    number: int
    complete_until: float
    in_flight: int
    accounting: dict[str, int]
    intervals: list[IntervalData]
    exemplars: list[ExemplarData]
    findings: list[FindingData]
    clauses: list[ClauseData]
    request_ids: str
    requests: list[str]
    end: RunEndData | None


@dataclass(slots=True, kw_only=True)
class WorkerReport:
    """The results of a worker since its last report."""

    run: str
    number: int
    """From 0, without gaps."""
    complete_until: Seconds = 0.0
    """The reports contain all requests started before this second, except those in flight."""
    in_flight: int = 0
    accounting: Mapping[str, int] = field(default_factory=dict)
    """The worker's totals so far."""
    intervals: list[Interval] = field(default_factory=list)
    exemplars: list[Exemplar] = field(default_factory=list)
    findings: list[Finding] = field(default_factory=list)
    """New findings, and those with a new count; each with its total count."""
    clauses: list[ClauseCount] = field(default_factory=list)
    """All exercised clauses, each with its total counts."""
    request_ids: bytes = b""
    """Digests of the request ids that the worker saw for the first time."""
    requests: list[str] = field(default_factory=list)
    """Rows of recorded requests."""
    end: RunEnd | None = None
    """How the worker's share ended; only in the last report."""

    def encode(self) -> bytes:
        """The report as bytes."""
        data: WorkerReportData = {
            "run": self.run,
            "number": self.number,
            "complete_until": self.complete_until,
            "in_flight": self.in_flight,
            "accounting": dict(self.accounting),
            "intervals": [interval.to_json() for interval in self.intervals],
            "exemplars": [exemplar.to_json() for exemplar in self.exemplars],
            "findings": [finding.to_json() for finding in self.findings],
            "clauses": [count.to_json() for count in self.clauses],
            "request_ids": b64encode(self.request_ids).decode("ascii"),
            "requests": self.requests,
            "end": self.end.to_json() if self.end is not None else None,
        }
        return orjson.dumps(data)

    @classmethod
    def decode(cls, octets: bytes) -> WorkerReport | None:
        """The report that `encode` wrote; None if it is malformed."""
        try:
            if takes_much_memory(octets):
                return None
            data = orjson.loads(octets)
            report = cls._from_json(data) if has_type(data, WorkerReportData) else None
            return report if report is not None and _has_valid_numbers(report) else None
        except _MALFORMED:
            return None

    @classmethod
    def _from_json(cls, data: WorkerReportData) -> WorkerReport:
        return cls(
            run=data["run"],
            number=data["number"],
            complete_until=data["complete_until"],
            in_flight=data["in_flight"],
            accounting=data["accounting"],
            intervals=[Interval.from_json(interval) for interval in data["intervals"]],
            exemplars=[Exemplar.from_json(exemplar) for exemplar in data["exemplars"]],
            findings=[Finding.from_json(finding) for finding in data["findings"]],
            clauses=[ClauseCount.from_json(count) for count in data["clauses"]],
            request_ids=b64decode(data["request_ids"]),
            requests=data["requests"],
            end=RunEnd.from_json(data["end"]) if data["end"] is not None else None,
        )


def _has_valid_numbers(report: WorkerReport) -> bool:
    """Whether counts and seconds are possible. Raises TypeError for other names of counts."""
    Accounting(**report.accounting)
    counts = (report.number, report.in_flight, *report.accounting.values())
    seconds = (report.complete_until, *(interval.second for interval in report.intervals))
    return (
        min(counts) >= 0
        and all(abs(second) < _MAX_SECOND for second in seconds)
        and len(report.request_ids) % DIGEST_BYTES == 0
    )


def start_delay(start_time: Seconds, now: Seconds, notice: Seconds) -> Seconds:
    """
    Time until second 0 of a run, from the wall-clock times of the master and of this machine.

    *notice* is the time between message and start. If the clocks differ by more, the time is not known, and the run begins now
    or after the notice: it must neither send the requests of an hour at once nor wait for an hour.

    >>> start_delay(1000.0, 998.25, 2.0), start_delay(1000.0, 4600.0, 2.0), start_delay(1000.0, -2600.0, 2.0)
    (1.75, 0.0, 2.0)
    """
    return min(max(start_time - now, 0.0), notice)
