"""
The run folder as it is written, and what it amounts to so far: for whoever looks at a run before its end.
"""

from __future__ import annotations

from pathlib import Path

from chainproof.results.exemplar import Exemplar
from chainproof.results.finding import ClauseCount, Finding
from chainproof.results.folder import RunWriter
from chainproof.results.interval import Interval
from chainproof.results.manifest import RunEnd
from chainproof.results.replan import Replan


class TotalsWriter:
    """
    A run folder's writer that remembers the sum of what it wrote.
    """

    def __init__(self, writer: RunWriter) -> None:
        self._writer = writer
        self.cumulative = Interval(second=-1)
        """All intervals written, merged."""

    @property
    def path(self) -> Path:
        """The run folder."""
        return self._writer.path

    def write_interval(self, interval: Interval) -> None:
        """Write one second, or a part of it."""
        self._writer.write_interval(interval)
        self.cumulative.merge(interval)

    def write_exemplar(self, exemplar: Exemplar) -> None:
        """Write one exchange worth keeping."""
        self._writer.write_exemplar(exemplar)

    def write_finding(self, finding: Finding) -> None:
        """Write a finding, or its newer count."""
        self._writer.write_finding(finding)

    def write_replan(self, replan: Replan) -> None:
        """Write that another plan takes the place of the one before."""
        self._writer.write_replan(replan)

    def write_clause(self, count: ClauseCount) -> None:
        """Write how often a clause was put to the test, or its newer count."""
        self._writer.write_clause(count)

    def finish(self, end: RunEnd) -> None:
        """Write that the run ended, and close."""
        self._writer.finish(end)
