"""The runs of a series as a text table. Pure functions."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import fmean, stdev

from chainproof.clock import Seconds
from chainproof.judgement.latency import columns, time_text
from chainproof.judgement.load_summary import LoadSummary
from chainproof.judgement.timing_names import RESPONSE_TIME
from chainproof.judgement.verdict import Verdict
from chainproof.results.manifest import Ending, Series, SeriesKind, Side

_QUANTILES = ("p50", "p95", "p99")
_COLUMNS = ("run", "verdict", "planned", "ok", *_QUANTILES, "folder")
_LEFT = frozenset({"run", "verdict", "folder"})


@dataclass(frozen=True, slots=True, kw_only=True)
class FinishedRun:
    """One run of a series, with what the table shows of it."""

    number: int
    """The number of its step."""
    series: Series
    folder: Path
    verdict: Verdict
    reason: str
    ending: Ending | None
    """None if it was killed."""
    planned: int
    ok: int
    response_time: Mapping[str, Seconds | None]
    """Of ok answers, by percentile."""


def finished_run(number: int, summary: LoadSummary) -> FinishedRun:
    """A run of a step, with its summary."""
    values, series = columns(summary.timings[RESPONSE_TIME]), summary.run.manifest.series
    assert series is not None
    return FinishedRun(
        number=number,
        series=series,
        folder=summary.run.path,
        verdict=summary.verdict,
        reason=summary.reason,
        ending=None if summary.run.end is None else summary.run.end.ending,
        planned=summary.accounting.planned,
        ok=summary.accounting.ok,
        response_time={name: values.get(name) for name in _QUANTILES},
    )


def sentence(run: FinishedRun) -> str:
    """A run in a few words."""
    times = ", ".join(f"{name} {time_text(run.response_time[name])}" for name in _QUANTILES)
    return f"{run.folder.name} {run.verdict}, {run.ok} of {run.planned} ok, {times}"


def run_table(runs: Sequence[FinishedRun]) -> list[str]:
    """The runs, how much they differ from each other, and why those are that did not pass."""
    series = runs[0].series
    kind = {
        SeriesKind.REPEAT: "one after the other",
        SeriesKind.INTERLEAVE: "candidate and baseline in turn",
        SeriesKind.DUET: "candidate and baseline at the same time",
    }[series.kind]
    rows = [_COLUMNS, *map(_row, runs)]
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    table = ["  " + "  ".join(map(_aligned, _COLUMNS, row, widths)).rstrip() for row in rows]
    notes = [*_spreads(runs), *_reasons(runs)]
    title = f"Series of {len(runs)} {'run' if len(runs) == 1 else 'runs'}, {kind}"
    return [title, "", *table, *(["", *notes] if notes else [])]


def _aligned(column: str, text: str, width: int) -> str:
    return text.ljust(width) if column in _LEFT else text.rjust(width)


def _row(run: FinishedRun) -> tuple[str, ...]:
    side = "" if run.series.kind is SeriesKind.REPEAT else f" {run.series.side}"
    verdict = run.verdict.value if run.ending is Ending.COMPLETED else "ended early"
    times = (time_text(run.response_time[name]) for name in _QUANTILES)
    return (f"{run.number}{side}", verdict, str(run.planned), str(run.ok), *times, run.folder.name)


def _spreads(runs: Sequence[FinishedRun]) -> Iterator[str]:
    """How much the complete runs of each side differ: what a comparison has to tell from a real change."""
    for side in Side:
        of_side = [run for run in runs if run.series.side is side and run.ending is Ending.COMPLETED]
        texts = [
            f"{name} {spread:.1%}".replace("%", " %")
            for name in _QUANTILES
            if (spread := _spread(of_side, name)) is not None
        ]
        if texts:
            of = "" if runs[0].series.kind is SeriesKind.REPEAT else f" of the {side}"
            yield f"  standard deviation between the runs{of}: {', '.join(texts)}"


def _spread(runs: Sequence[FinishedRun], name: str) -> float | None:
    """The standard deviation of a percentile between runs, as a share of its mean; None if it is unknown."""
    values = [value for run in runs if (value := run.response_time[name]) is not None and 0 < value < math.inf]
    return stdev(values) / fmean(values) if len(values) == len(runs) > 1 else None


def _reasons(runs: Sequence[FinishedRun]) -> Iterator[str]:
    """Why runs did not pass."""
    for run in runs:
        if run.verdict is not Verdict.PASS:
            yield f"  {run.folder.name}: {run.verdict.upper()}  {run.reason}"
