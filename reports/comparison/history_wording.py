"""Changes of level in a history in words, the same in every format."""

from __future__ import annotations

from chainproof.judgement.comparison.history import HistoryRun, LevelChange, WorkloadHistory
from chainproof.judgement.comparison.metrics import METRIC_KINDS, Metric
from chainproof.statistics.change_points import MIN_RUNS

from ..formatting import quantities, safe_text
from . import wording

MAX_RUNS = 500
"""Runs of a table; the latest ones."""


def title(found: WorkloadHistory) -> str:
    """Workload and target."""
    target = "chainproof's emulator" if found.emulated else safe_text.escape_unprintable(found.target)
    count = len(found.runs)
    return (
        f"{safe_text.escape_unprintable(found.workload)} on {target}: {quantities.count(count)} run{'s' * (count != 1)}"
    )


def change(found: WorkloadHistory, change: LevelChange) -> str:
    """A change of level in a sentence."""
    kind, run = METRIC_KINDS[change.metric], found.runs[change.place]
    figures = [wording.figure(change.metric, kind, value) for value in (change.before, change.after)]
    word = "worse" if change.is_worse else "better"
    return (
        f"{kind.title} is {word} from run {change.place + 1} on ({when(run)}): {figures[0]} before, {figures[1]} since then "
        f"({wording.amount(change.change, kind)})."
    )


def next_step(found: WorkloadHistory) -> str:
    """What to do about the latest change to the worse; empty without one."""
    worse = next((each for each in found.changes if each.is_worse), None)
    if worse is None:
        return ""
    return (
        f"Find out what was deployed before run {worse.place + 1}. To measure the change, compare the runs since then with earlier "
        "ones: `chainproof reports RUN… --against RUN…`."
    )


def more_changes(found: WorkloadHistory) -> str:
    """How many changes there are besides the latest; empty if there is none."""
    more = len(found.changes) - 1
    return f"{quantities.count(more)} more change{'s' * (more != 1)} of level: see below." if more > 0 else ""


def when(run: HistoryRun) -> str:
    """The start of a run to the minute, with its label."""
    label = f' "{safe_text.escape_unprintable(run.label)}"' if run.label else ""
    return safe_text.escape_unprintable(run.started[:16].replace("T", " ")) + label


def no_change(found: WorkloadHistory) -> str:
    """What is said if no change of level was found."""
    valid = sum(run.counts for run in found.runs)
    if valid < MIN_RUNS:
        return f"At least {MIN_RUNS} valid runs are needed to find a change of level; there {'is' if valid == 1 else 'are'} {valid}."
    return f"No change of level was found in {quantities.count(len(found.runs))} runs."


def value(run: HistoryRun, metric: Metric) -> str:
    """A figure of a run."""
    return wording.figure(metric, METRIC_KINDS[metric], run.values.get(metric))
