"""The summaries of runs, and the report that combines them. Report formats only write down what is here."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from chainproof.contract.accepted_violations import Acceptance
from chainproof.judgement.conformance_summary import ConformanceSummary, summarise_conformance
from chainproof.judgement.load_summary import LoadSummary, summarise_load
from chainproof.judgement.severity import severity
from chainproof.judgement.verdict import Verdict, worst_verdict
from chainproof.results.finding import Finding
from chainproof.results.folder import Run
from chainproof.results.manifest import RunKind
from chainproof.results.search_record import SearchRecord

Summary = LoadSummary | ConformanceSummary


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    """One or more runs on one page."""

    summaries: tuple[Summary, ...]
    searches: tuple[SearchRecord, ...] = ()
    """The searches that made some of these runs."""

    @property
    def verdict(self) -> Verdict:
        """The worst verdict of the runs."""
        return worst_verdict(summary.verdict for summary in self.summaries)

    @property
    def reason(self) -> str:
        """The verdict in a few words: the reasons of the runs that decide it."""
        deciding = [summary for summary in self.summaries if summary.verdict is self.verdict]
        if len(self.summaries) == 1:
            return deciding[0].reason
        reasons = (f"{summary.run.manifest.kind.value.capitalize()}: {summary.reason}" for summary in deciding)
        return " ".join(dict.fromkeys(reasons))

    @property
    def kind(self) -> str:
        """`load`, `conformance`, or `combined`."""
        kinds = {summary.run.manifest.kind.value for summary in self.summaries}
        return kinds.pop() if len(kinds) == 1 else "combined"

    @property
    def load_runs(self) -> tuple[LoadSummary, ...]:
        """The load runs."""
        return tuple(summary for summary in self.summaries if isinstance(summary, LoadSummary))

    @property
    def conformance_runs(self) -> tuple[ConformanceSummary, ...]:
        """The conformance runs."""
        return tuple(summary for summary in self.summaries if isinstance(summary, ConformanceSummary))

    @property
    def findings(self) -> tuple[Finding, ...]:
        """The findings of all runs, the most severe first."""
        return tuple(found for _, found in self.findings_with_runs)

    @property
    def findings_with_runs(self) -> tuple[tuple[Summary, Finding], ...]:
        """The findings of all runs, the most severe first, each with its run."""
        pairs = [(summary, found) for summary in self.summaries for found in summary.findings]
        return tuple(sorted(pairs, key=lambda pair: severity(pair[1])))


def report(runs: Iterable[Run], searches: Iterable[SearchRecord] = ()) -> Report:
    """The report on several runs, some of which may have been made by *searches*."""
    return Report(summaries=tuple(summary(run) for run in runs), searches=tuple(searches))


def summary(run: Run) -> Summary:
    """The summary of one run."""
    return summarise_load(run) if run.manifest.kind is RunKind.LOAD else summarise_conformance(run)


def acceptance(summary: Summary, found: Finding) -> Acceptance | None:
    """The acceptance that applies to a finding, or None; of several, the one that lasts longest."""
    return summary.run.manifest.acceptance_of(found.clause)
