"""Phases of a load run."""

from __future__ import annotations

from collections.abc import Iterable

from chainproof.judgement.latency import Timing, too_few
from chainproof.judgement.load_summary import LoadSummary, PhaseSummary
from chainproof.results.settings import PhaseSpan

from .quantities import NOTHING, rate


def phase_range(phase: PhaseSpan) -> str:
    """
    Start and end of a phase, in hundredths of a second.

    >>> phase_range(PhaseSpan(name="steady", start=0.245902, end=6.66667, judged=True))
    '0.25–6.67 s'
    """
    return f"{round(phase.start, 2):,.12g}–{round(phase.end, 2):,.12g} s"


def judged_note(phase: PhaseSpan) -> str:
    """`judged` or `not judged`."""
    return "judged" if phase.judged else "not judged"


def judged_phases_note(summary: LoadSummary) -> str:
    """The words " in judged phases" where figures come from those only; empty where they come from all requests."""
    return " in judged phases" if any(part.phase.judged for part in summary.phases) else ""


FEW_TIMES = "* too few independent answers to bound the true value from above"
"""The legend of the mark on a percentile."""


def has_few_times(timings: Iterable[Timing], names: Iterable[str]) -> bool:
    """Whether any of the named percentiles has the mark."""
    names = tuple(names)
    return any(too_few(timing, name) for timing in timings for name in names)


def planned_rate(part: PhaseSummary) -> str:
    """The requests per second that were drawn for a phase; the rate in its plan is their mean."""
    return rate(part.accounting.planned / part.phase.seconds) if part.phase.seconds else NOTHING
