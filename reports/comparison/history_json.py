"""The history of workloads for programs: one JSON object, described by `docs/history.schema.json`."""

from __future__ import annotations

from typing import TypedDict

from chainproof.judgement.comparison.history import History, HistoryRun, LevelChange, WorkloadHistory

from ..formatting.json_output import indented_json

SCHEMA = "chainproof.history/1"
"""Name and version of the schema. A new key does not change the version; a changed or removed one does."""


class HistoryRunData(TypedDict):
    """A run. Its figures are in seconds, shares and per second; null where it has too few requests."""

    run: str
    label: str | None
    started: str
    verdict: str
    counts: bool
    values: dict[str, float | None]


class LevelChangeData(TypedDict):
    """
    A run at which a metric changes to another level.

    The change of a share is a difference, any other is after ÷ before − 1. *left* is the change from *before* to the latest
    level. *undone* is the place of the run from which less than a quarter of the change is left; null if it lasts.
    """

    metric: str
    place: int
    run: str
    before: float
    after: float
    change: float
    is_worse: bool
    undone: int | None
    latest: float
    left: float


class WorkloadHistoryData(TypedDict):
    """The runs of one workload on one target, the oldest first, and its changes of level, the latest first."""

    workload: str
    target: str
    emulated: bool
    runs: list[HistoryRunData]
    changes: list[LevelChangeData]


class HistoryData(TypedDict):
    """The history of all workloads in a folder."""

    schema: str
    workloads: list[WorkloadHistoryData]
    left_out: list[str]


def render(history: History) -> str:
    """The history as JSON text."""
    return indented_json(as_json(history))


def as_json(history: History) -> HistoryData:
    """The history as JSON types."""
    return {
        "schema": SCHEMA,
        "workloads": [_workload(found) for found in history.workloads],
        "left_out": list(history.left_out),
    }


def _workload(found: WorkloadHistory) -> WorkloadHistoryData:
    """One workload."""
    return {
        "workload": found.workload,
        "target": found.target,
        "emulated": found.emulated,
        "runs": [_run(run) for run in found.runs],
        "changes": [_change(found, change) for change in found.changes],
    }


def _run(run: HistoryRun) -> HistoryRunData:
    """One run."""
    return {
        "run": run.name,
        "label": run.label or None,
        "started": run.started,
        "verdict": run.verdict.value,
        "counts": run.counts,
        "values": {metric.value: value for metric, value in run.values.items()},
    }


def _change(found: WorkloadHistory, change: LevelChange) -> LevelChangeData:
    """One change of level."""
    return {
        "metric": change.metric.value,
        "place": change.place,
        "run": found.runs[change.place].name,
        "before": change.before,
        "after": change.after,
        "change": change.change,
        "is_worse": change.is_worse,
        "undone": change.undone,
        "latest": change.latest,
        "left": change.left,
    }
