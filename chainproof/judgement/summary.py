"""The summaries of runs, and the report that combines them. Report formats only write down what is here."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from chainproof.contract.accepted_violations import Acceptance
from chainproof.judgement.conformance_summary import ConformanceSummary, summarise_conformance
from chainproof.judgement.load_summary import LoadSummary, summarise_load
from chainproof.judgement.severity import severity
from chainproof.judgement.verdict import Verdict, worst_verdict
from chainproof.results.exchange import Result
from chainproof.results.finding import Finding
from chainproof.results.folder import Run, read_run
from chainproof.results.manifest import RunKind
from chainproof.results.search_record import SEARCH_FILE, ProbeRecord, SearchRecord, SearchRecordError

Summary = LoadSummary | ConformanceSummary


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    """One or more runs on one page."""

    summaries: tuple[Summary, ...]
    searches: tuple[SearchRecord, ...] = ()
    """The searches that made some of these runs."""

    @property
    def verdict(self) -> Verdict:
        """The worst verdict of the searches, and of the runs that are no probes of them."""
        return worst_verdict(verdict for verdict, _ in self._reasons)

    @property
    def reason(self) -> str:
        """The verdict in a few words: the reasons of what decides it."""
        reasons = [reason for verdict, reason in self._reasons if verdict is self.verdict]
        return " ".join(dict.fromkeys(reasons))

    @property
    def _reasons(self) -> list[tuple[Verdict, str]]:
        """Verdict and reason of each search and run. A probe decides nothing alone: some miss the objectives on purpose."""
        runs = [summary for summary in self.summaries if not self.is_probe(summary)]
        several = len(runs) + len(self.searches) > 1
        kinds = [f"{summary.run.manifest.kind.value.capitalize()}: " if several else "" for summary in runs]
        return [(Verdict(search.verdict), search.summary) for search in self.searches] + [
            (summary.verdict, kind + summary.reason) for kind, summary in zip(kinds, runs, strict=True)
        ]

    def is_probe(self, summary: Summary) -> bool:
        """True if a search of this report made the run."""
        return any(summary.run.path.parent == search.path for search in self.searches)

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


def check_search(search: SearchRecord) -> None:
    """
    Compare every probe with its run folder, where that still exists. Raises SearchRecordError.

    The runs at the saturation rate and at the lowest missed rate, on which the result rests, are judged again.
    """
    for probe in search.probes:
        if probe.folder in search.missing_folders:
            continue
        problem = next(_search_problems(search, probe), None)
        if problem is not None:
            raise SearchRecordError(
                f"expected {search.path / SEARCH_FILE} to agree with its run folders, but {problem}: run the search again, or "
                "name its run folders one by one"
            )


def _search_problems(search: SearchRecord, probe: ProbeRecord) -> Iterator[str]:
    """Where a probe differs from its run."""
    run = read_run(search.path / probe.folder)
    manifest, rate = run.manifest, run.manifest.settings.get("rate_per_s")
    if manifest.kind is not RunKind.LOAD or not isinstance(rate, int | float) or not math.isclose(rate, probe.rate):
        yield f"{probe.folder} is a run at {rate} per second, not at {probe.rate:g}"
    elif manifest.target != search.target or manifest.objectives != search.objectives:
        yield f"{probe.folder} is a run with another target or other objectives"
    elif probe.rate in (search.saturation_rate, search.missed_at):
        found = summarise_load(run)
        counted = found.judged.planned, found.judged.count(Result.OK)
        if counted != (probe.planned, probe.ok):
            yield f"{probe.folder} has {counted[1]} ok of {counted[0]} planned, not {probe.ok} of {probe.planned}"
        contradicting = {"met": Verdict.FAIL, "missed": Verdict.PASS}.get(probe.verdict)
        if found.verdict is contradicting and not probe.growing:
            yield f"the verdict on {probe.folder} is {found.verdict}, not {probe.verdict}"
