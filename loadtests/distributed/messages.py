"""
What a master and its workers tell each other, as bytes of JSON in Locust's own messages.

The master orders: prepare this demand, begin at that instant, stop. A worker says that it is ready, and from then on
once a second what it saw. Its reports are numbered, so that a missing one is noticed. The key is in none of them: every
process has it from its own environment.
"""

from __future__ import annotations

import json
from base64 import b64decode, b64encode
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import TypedDict, cast

import orjson

from chainproof.clock import Seconds
from chainproof.contract.levels import Contract
from chainproof.results.exemplar import Exemplar, ExemplarData
from chainproof.results.finding import ClauseCount, ClauseData, Finding, FindingData
from chainproof.results.interval import Interval, IntervalData
from chainproof.results.manifest import RunEnd, RunEndData
from chainproof.target_options import TargetOptions
from chainproof.workload.workload import parse_workload

from ..demand import Demand, Shard
from ..output_schema import OutputSchema

PREPARE = "chainproof.prepare"
READY = "chainproof.ready"
BEGIN = "chainproof.begin"
REPORT = "chainproof.report"
HALT = "chainproof.halt"
REPLAN = "chainproof.replan"


@dataclass(frozen=True, slots=True, kw_only=True)
class Assignment:
    """
    What a worker needs to make its share of a run: no file of the master's, and no option of its own.
    """

    run: str
    """Tells the runs of one session apart."""
    shard: Shard
    demand: Demand
    target: TargetOptions
    emulated: bool
    """Whether the target is the emulator that the master uses."""
    can_replan: bool = False
    """Whether another plan may follow."""

    def encode(self) -> bytes:
        """The order as it is sent."""
        demand = self.demand
        return orjson.dumps(
            {
                "run": self.run,
                "index": self.shard.index,
                "of": self.shard.of,
                "name": demand.workload.name,
                "workload": demand.workload.to_table(),
                "contract": demand.contract.value,
                "seed": demand.seed,
                "output": _text(demand.output),
                "output_sample": demand.output_sample,
                "check": demand.check,
                "retry": demand.retry,
                "keep_bodies": demand.keep_bodies,
                "target": self.target.to_json(),
                "emulated": self.emulated,
                "can_replan": self.can_replan,
            }
        )

    @classmethod
    def decode(cls, octets: bytes) -> Assignment:
        """The order that `encoded` made."""
        said = orjson.loads(octets)
        return cls(
            run=said["run"],
            shard=Shard(index=said["index"], of=said["of"]),
            demand=Demand(
                workload=parse_workload(said["workload"], name=said["name"]),
                contract=Contract(said["contract"]),
                seed=said["seed"],
                output=_output(said["output"]),
                output_sample=said["output_sample"],
                check=said["check"],
                retry=said["retry"],
                keep_bodies=said["keep_bodies"],
            ),
            target=TargetOptions.from_json(said["target"]),
            emulated=said["emulated"],
            can_replan=said["can_replan"],
        )


def _text(output: OutputSchema | None) -> str | None:
    """
    An output's shape as JSON: a schema's bounds may be numbers that orjson does not write.
    """
    return None if output is None else json.dumps(asdict(output))


def _output(text: str | None) -> OutputSchema | None:
    """
    The shape that `_text` wrote.
    """
    return None if text is None else OutputSchema(**json.loads(text))


@dataclass(frozen=True, slots=True, kw_only=True)
class ReadyMessage:
    """
    A worker's answer to an order.
    """

    run: str
    digest: str
    """Of the whole plan, as the worker drew it."""
    pid: int
    error: str = ""
    """Why it cannot begin; empty when it can."""

    def encode(self) -> bytes:
        """The answer as it is sent."""
        return orjson.dumps({"run": self.run, "digest": self.digest, "pid": self.pid, "error": self.error})

    @classmethod
    def decode(cls, octets: bytes) -> ReadyMessage:
        """The answer that `encoded` made."""
        return cls(**orjson.loads(octets))


class WorkerReportData(TypedDict):
    """
    A report in JSON.
    """

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
    end: RunEndData | None


@dataclass(slots=True, kw_only=True)
class WorkerReport:
    """
    What a worker saw since its report before.
    """

    run: str
    number: int
    """From 0, without gaps."""
    complete_until: Seconds = 0.0
    """Seconds of the run before this instant are told completely, but for what is still in flight."""
    in_flight: int = 0
    accounting: Mapping[str, int] = field(default_factory=dict)
    """The worker's own totals so far."""
    intervals: list[Interval] = field(default_factory=list)
    exemplars: list[Exemplar] = field(default_factory=list)
    findings: list[Finding] = field(default_factory=list)
    """Those that are new or counted anew, each with its whole count."""
    clauses: list[ClauseCount] = field(default_factory=list)
    """All of them, each with its whole count."""
    request_ids: bytes = b""
    """Digests of the request ids that were new to the worker."""
    end: RunEnd | None = None
    """In the last report: how the worker's share ended."""

    def encode(self) -> bytes:
        """The report as it is sent."""
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
            "end": self.end.to_json() if self.end is not None else None,
        }
        return orjson.dumps(data)

    @classmethod
    def decode(cls, octets: bytes) -> WorkerReport:
        """The report that `encoded` made."""
        said = cast(WorkerReportData, orjson.loads(octets))
        return cls(
            run=said["run"],
            number=said["number"],
            complete_until=said["complete_until"],
            in_flight=said["in_flight"],
            accounting=said["accounting"],
            intervals=[Interval.from_json(interval) for interval in said["intervals"]],
            exemplars=[Exemplar.from_json(exemplar) for exemplar in said["exemplars"]],
            findings=[Finding.from_json(finding) for finding in said["findings"]],
            clauses=[ClauseCount.from_json(count) for count in said["clauses"]],
            request_ids=b64decode(said["request_ids"]),
            end=RunEnd.from_json(said["end"]) if said["end"] is not None else None,
        )
