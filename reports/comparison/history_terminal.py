"""The history of workloads for a terminal: changes of level first, then the runs."""

from __future__ import annotations

from collections.abc import Iterator

from chainproof.judgement.comparison.history import History, WorkloadHistory
from chainproof.judgement.comparison.metrics import METRIC_KINDS, Metric
from chainproof.judgement.verdict import Verdict
from chainproof.stored_text import shortened

from ..formatting import quantities, safe_text
from ..formatting.terminal_text import BOLD, COLOURS, DIM, Pen, table, wrapped
from . import history_wording

MAX_RUNS = 20
"""Runs that are shown, the latest ones."""
_METRICS = (Metric.P50, Metric.P95, Metric.P99, Metric.ERROR_RATE, Metric.THROUGHPUT)
"""A terminal has no room for more columns."""


def render(history: History, *, colour: bool = False) -> str:
    """The history as text for a terminal."""
    pen = Pen(colour)
    blocks = [list(_workload(found, pen)) for found in history.workloads]
    lines = [line for text in history.left_out for line in wrapped(safe_text.escape_unprintable(text), "  ", "    ")]
    if lines:
        blocks.append([pen("Left out", BOLD), *lines])
    return "\n\n".join("\n".join(block) for block in blocks) + "\n"


def _workload(found: WorkloadHistory, pen: Pen) -> Iterator[str]:
    """One workload."""
    yield from (pen(line, BOLD) for line in wrapped(history_wording.title(found), ""))
    for joint in found.joint_changes:
        lasting = COLOURS[Verdict.FAIL if joint.is_worse else Verdict.PASS]
        colour = lasting if joint.undone is None else DIM
        yield from (pen(line, colour) for line in wrapped(history_wording.joint_change(found, joint), "  ", "    "))
    if not found.changes:
        yield from wrapped(history_wording.no_change(found), "  ", "    ")
    yield from wrapped(f"Next: {history_wording.next_step(found)}", "  ", "    ")
    metrics = [metric for metric in _METRICS if metric in found.metrics]
    rows = [["run", "started", *(METRIC_KINDS[metric].title for metric in metrics), "verdict"]]
    left = max(len(found.runs) - MAX_RUNS, 0)
    for number, run in reversed(list(enumerate(found.runs, start=1))[left:]):  # the latest first, as on the page
        figures = [history_wording.value(run, metric) for metric in metrics]
        started = shortened(history_wording.when(run), 34)
        rows.append([str(number), started, *figures, run.verdict.value])
    yield ""
    yield from table(rows, left=(1, len(rows[0]) - 1))
    if left:
        yield f"    … and {quantities.count(left)} earlier runs: see --html or --json"
