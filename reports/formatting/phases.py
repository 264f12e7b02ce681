"""Phases of a load run."""

from __future__ import annotations

from chainproof.judgement.load_summary import LoadSummary, PhaseSummary
from chainproof.results.settings import PhaseSpan

from .quantities import NOTHING, rate


def phase_range(phase: PhaseSpan) -> str:
    """Start and end of a phase."""
    return f"{phase.start:,.6g}–{phase.end:,.6g} s"


def judged_note(phase: PhaseSpan) -> str:
    """`judged` or `not judged`."""
    return "judged" if phase.judged else "not judged"


def judged_phases_note(summary: LoadSummary) -> str:
    """The words " in judged phases" where figures come from those only; empty where they come from all requests."""
    return " in judged phases" if any(part.phase.judged for part in summary.phases) else ""


def planned_rate(part: PhaseSummary) -> str:
    """The planned requests per second of a phase."""
    return rate(part.accounting.planned / part.phase.seconds) if part.phase.seconds else NOTHING
