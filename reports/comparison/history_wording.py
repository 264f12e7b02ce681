"""Changes of level in a history in words, the same in every format."""

from __future__ import annotations

from collections.abc import Sequence

from chainproof.clock import format_duration
from chainproof.judgement.comparison.history import HistoryRun, JointChange, LevelChange, WorkloadHistory
from chainproof.judgement.comparison.metrics import METRIC_KINDS, Metric
from chainproof.results.settings import KnownSettings
from chainproof.statistics.change_points import MIN_RUNS

from ..formatting import quantities, safe_text
from . import wording

MAX_RUNS = 500
"""Runs of a table; the latest ones."""


def title(found: WorkloadHistory) -> str:
    """Workload, plan and target."""
    name = safe_text.escape_unprintable(found.workload)
    target = "chainproof's emulator" if found.emulated else safe_text.escape_unprintable(found.target)
    count = len(found.runs)
    return f"{name}{_plan(found.settings)} on {target}: {quantities.count(count)} run{'s' * (count != 1)}"


def _plan(settings: KnownSettings) -> str:
    """
    The rate or the number of users, and the duration, which tell runs of a workload with other options apart.

    >>> _plan(KnownSettings(rate=60, duration=6)), _plan(KnownSettings(users=10)), _plan(KnownSettings())
    (' (60/s, 6 s)', ' (10 users)', '')
    """
    parts = []
    if settings.rate is not None:
        parts.append(quantities.rate(settings.rate))
    if settings.users is not None:
        parts.append(f"{quantities.count(settings.users)} user{'s' * (settings.users != 1)}")
    if settings.duration is not None:
        parts.append(format_duration(settings.duration))
    return f" ({', '.join(parts)})" if parts else ""


def joint_change(found: WorkloadHistory, joint: JointChange) -> str:
    """Changes of level at about the same run, in a sentence."""
    word = "Worse" if joint.is_worse else "Better"
    run = f"run {joint.place + 1}"
    span = f"since {run}" if joint.undone is None else f"from {run} to run {joint.undone}"
    return f"{word} {span} ({when(found.runs[joint.place])}): {'; '.join(map(_change, joint.changes))}."


def _change(change: LevelChange) -> str:
    """The change of one metric; if it changed again and the change lasts, with what is left of it."""
    kind = METRIC_KINDS[change.metric]
    before, after, latest = (
        wording.figure(change.metric, kind, value) for value in (change.before, change.after, change.latest)
    )
    again = change.undone is None and latest != after
    now = f", now {latest} ({wording.amount(change.left, kind)})" if again else ""
    return f"{kind.title} {before} → {after} ({wording.amount(change.change, kind)}){now}"


def next_step(found: WorkloadHistory) -> str:
    """What to do now."""
    regressions = [f"run {each.place + 1}" for each in found.joint_changes if each.is_regression]
    if regressions:
        return (
            f"Find out what was deployed before {_listed(regressions)}. To measure the change, compare the runs since then with "
            "earlier ones: `chainproof reports RUN… --against RUN…`."
        )
    if _valid_runs(found) < MIN_RUNS:
        return "Make more runs of this workload."
    was_worse = any(change.is_worse for change in found.changes)
    if not found.changes:
        return (
            "To test a change that you know of, such as a deployment, compare the runs after it with those before: "
            "`chainproof reports RUN… --against RUN…` finds smaller changes."
        )
    return "Nothing has to be done: no regression lasts." if was_worse else "Nothing has to be done."


def _listed(names: Sequence[str], word: str = "and") -> str:
    """Names as a list in a sentence."""
    return f" {word} ".join([", ".join(names[:-1]), names[-1]] if len(names) > 1 else names)


def more_changes(found: WorkloadHistory, shown: int) -> str:
    """How many changes there are besides those that are shown; empty if there is none."""
    more = len(found.joint_changes) - shown
    return f"{quantities.count(more)} more change{'s' * (more != 1)} of level: see below." if more > 0 else ""


def when(run: HistoryRun) -> str:
    """The start of a run to the minute, with its label."""
    label = f' "{safe_text.escape_unprintable(run.label)}"' if run.label else ""
    return safe_text.escape_unprintable(run.started[:16].replace("T", " ")) + label


def no_change(found: WorkloadHistory) -> str:
    """The text if no change of level was found."""
    valid = _valid_runs(found)
    if valid < MIN_RUNS:
        return f"At least {MIN_RUNS} valid runs are needed to find a change of level; there {'is' if valid == 1 else 'are'} {valid}."
    return f"No change of level was found in {quantities.count(valid)} valid runs.{_missed(found)}"


def _missed(found: WorkloadHistory) -> str:
    """Which changes the history would probably not show, in a sentence; empty if it is unknown."""
    sizes = [f"{METRIC_KINDS[metric].title} by less than {_share(size)}" for metric, size in found.detectable.items()]
    return f" It would probably miss a lasting change of {_listed(sizes, 'or')}." if sizes else ""


def _share(size: float) -> str:
    """A relative change, in two digits."""
    return f"{float(f'{100 * size:.2g}'):,.12g} %"


def _valid_runs(found: WorkloadHistory) -> int:
    """The number of runs whose figures count."""
    return sum(run.counts for run in found.runs)


def value(run: HistoryRun, metric: Metric) -> str:
    """A figure of a run."""
    return wording.figure(metric, METRIC_KINDS[metric], run.values.get(metric))
