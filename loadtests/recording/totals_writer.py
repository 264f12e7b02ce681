"""
The run folder as it is written, and what it amounts to so far: for whoever looks at a run before its end.
"""

from __future__ import annotations

from pathlib import Path

from chainproof.results.exemplar import Exemplar
from chainproof.results.finding import ClauseCount, Finding
from chainproof.results.folder import RunWriter
from chainproof.results.interval import Interval
from chainproof.results.manifest import End
from chainproof.results.replan import Replan


class Book:
    """
    A run folder's writer that remembers the sum of what it wrote.
    """

    def __init__(self, writer: RunWriter) -> None:
        self._writer = writer
        self.whole = Interval(second=-1)
        """All intervals written, merged."""

    @property
    def path(self) -> Path:
        """The run folder."""
        return self._writer.path

    def interval(self, interval: Interval) -> None:
        """Write one second, or a part of it."""
        self._writer.interval(interval)
        self.whole.merge(interval)

    def exemplar(self, exemplar: Exemplar) -> None:
        """Write one exchange worth keeping."""
        self._writer.exemplar(exemplar)

    def finding(self, finding: Finding) -> None:
        """Write a finding, or its newer count."""
        self._writer.finding(finding)

    def replan(self, replan: Replan) -> None:
        """Write that another plan takes the place of the one before."""
        self._writer.replan(replan)

    def clause(self, count: ClauseCount) -> None:
        """Write how often a clause was put to the test, or its newer count."""
        self._writer.clause(count)

    def finish(self, end: End) -> None:
        """Write that the run ended, and close."""
        self._writer.finish(end)
