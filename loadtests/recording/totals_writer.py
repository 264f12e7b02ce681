"""Write a run folder and keep the totals of what was written, for progress, guards and the web page."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from chainproof.results.exemplar import Exemplar
from chainproof.results.finding import ClauseCount, Finding
from chainproof.results.intervals.interval import Interval
from chainproof.results.manifest import Manifest, PlanChange, RunEnd, apply_plan_changes
from chainproof.results.run_writer import RunWriter


class TotalsWriter:
    """A run folder's writer that also sums up the intervals."""

    def __init__(self, writer: RunWriter, manifest: Manifest) -> None:
        self._writer = writer
        self.manifest = manifest
        """The manifest of the run, with the present plan."""
        self.cumulative = Interval(second=-1)
        """All intervals written so far, merged."""

    @property
    def path(self) -> Path:
        """The run folder."""
        return self._writer.path

    def write_interval(self, interval: Interval) -> None:
        """Write one interval."""
        self._writer.write_interval(interval)
        self.cumulative.merge(interval)

    def write_exemplar(self, exemplar: Exemplar) -> None:
        """Write one exemplar."""
        self._writer.write_exemplar(exemplar)

    def write_finding(self, finding: Finding) -> None:
        """Write a finding, or its updated count."""
        self._writer.write_finding(finding)

    def write_requests(self, rows: Sequence[str]) -> None:
        """Write rows of recorded requests."""
        self._writer.write_requests(rows)

    def write_plan_change(self, plan_change: PlanChange) -> None:
        """Write a change of the plan."""
        self._writer.write_plan_change(plan_change)
        self.manifest = apply_plan_changes(self.manifest, [plan_change])

    def write_clause(self, count: ClauseCount) -> None:
        """Write the counts of a clause, or their update."""
        self._writer.write_clause(count)

    def finish(self, end: RunEnd) -> None:
        """Write the end of the run, and close the folder."""
        self._writer.finish(end)
