"""
Find the highest arrival rate that meets the objectives: double the rate until they are missed, bisect, then verify.

The search only requests probes; a probe is a run at one rate with its verdict. An inconclusive probe counts as missed, so
the result is a rate for which it was *shown* that the objectives are met. There is a result only if further runs at that
rate meet the objectives too.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, field
from enum import StrEnum

from chainproof.clock import PerSecond, Seconds
from chainproof.judgement.verdict import ExitCode
from chainproof.workload.search_settings import SearchSettings

MAX_PROBES = 60
"""A search ends after this many probes: the target is not stable."""


class ProbeVerdict(StrEnum):
    """The verdict of a probe."""

    MET = "met"
    """Every objective was met."""
    MISSED = "missed"
    """At least one objective was missed."""
    INCONCLUSIVE = "inconclusive"
    """Too few requests for a verdict, within the longest duration of a probe."""
    INVALID = "invalid"
    """The measurement cannot be trusted: the generator does not keep up."""


class ProbePurpose(StrEnum):
    """The step of the search that a probe belongs to."""

    DOUBLING = "doubling"
    BISECTING = "bisecting"
    VERIFYING = "verifying"


@dataclass(frozen=True, slots=True, kw_only=True)
class Probe:
    """A run at one rate, with its verdict."""

    rate: PerSecond
    purpose: ProbePurpose
    verdict: ProbeVerdict
    reason: str = ""
    """The reason of the verdict, as a sentence."""
    folder: str = ""
    seconds: Seconds = 0.0
    planned: int = 0
    ok: int = 0
    response_time: dict[str, Seconds] = field(default_factory=dict)
    """Response time of the ok requests, by percentile."""


class NoRateReason(StrEnum):
    """Why a search has no result."""

    LOWEST_MISSED = "lowest missed"
    LOWEST_INCONCLUSIVE = "lowest inconclusive"
    NEVER_MISSED = "never missed"
    GENERATOR_LIMIT = "generator limit"
    UNSTABLE = "unstable"


REASON_TEXTS = {
    NoRateReason.LOWEST_MISSED: "No result: the objectives are already missed at the lowest rate.",
    NoRateReason.LOWEST_INCONCLUSIVE: "No result: even at the lowest rate there were too few requests for a verdict. Use a longer "
    "--search-max-probe-duration or a higher --rate.",
    NoRateReason.NEVER_MISSED: "No result: the objectives are met at the highest rate. Raise --search-max-rate.",
    NoRateReason.GENERATOR_LIMIT: "No result: the load generator reached its limit before the target did. Use more "
    "processes or more machines.",
    NoRateReason.UNSTABLE: "No result: the target is not stable. Rates that met the objectives missed them when they were verified.",
}
EXIT_BY_REASON = {
    NoRateReason.LOWEST_MISSED: ExitCode.FAIL,
    NoRateReason.LOWEST_INCONCLUSIVE: ExitCode.INCONCLUSIVE,
    NoRateReason.NEVER_MISSED: ExitCode.INCONCLUSIVE,
    NoRateReason.GENERATOR_LIMIT: ExitCode.INVALID,
    NoRateReason.UNSTABLE: ExitCode.INCONCLUSIVE,
}


@dataclass(frozen=True, slots=True, kw_only=True)
class SearchResult:
    """The result of a search: a rate, or the reason why there is none."""

    rate: PerSecond | None = None
    missed_at: PerSecond | None = None
    """The lowest rate above the result at which the objectives were not met; without a result, the lowest of all."""
    no_rate_reason: NoRateReason | None = None

    @property
    def sentence(self) -> str:
        """The result as a sentence."""
        if self.no_rate_reason is not None:
            return REASON_TEXTS[self.no_rate_reason]
        return f"The objectives are met up to {self.rate:.4g} requests per second, but were not shown to be met at {self.missed_at:.4g}."

    @property
    def exit_code(self) -> int:
        """The exit code of the command."""
        return ExitCode.PASS if self.no_rate_reason is None else EXIT_BY_REASON[self.no_rate_reason]


RunProbe = Callable[[PerSecond, ProbePurpose], Probe]
"""Runs a probe at a rate, long enough for a verdict."""


class SaturationSearch:
    """A running search, with the rates that met the objectives and the lowest rate that missed them."""

    def __init__(self, run_probe: RunProbe, search: SearchSettings, lowest: PerSecond) -> None:
        self._run_probe = run_probe
        self._search = search
        self._lowest = lowest
        self._met: set[PerSecond] = set()
        self._missed = math.inf
        self._probe_count = 0
        self._verified = False

    def run(self) -> SearchResult:
        """Run the search to its end."""
        no_rate_reason = self._double()
        while no_rate_reason is None:
            no_rate_reason = self._bisect() or self._verify()
            if no_rate_reason is None and self._verified:
                return SearchResult(rate=self._best, missed_at=self._missed)
        return SearchResult(
            missed_at=self._missed if math.isfinite(self._missed) else None, no_rate_reason=no_rate_reason
        )

    @property
    def _best(self) -> PerSecond:
        """The highest rate that met the objectives, below the lowest rate that missed them."""
        return max((rate for rate in self._met if rate < self._missed), default=0.0)

    def _double(self) -> NoRateReason | None:
        """Double the rate until the objectives are missed. Returns why the search cannot go on, if so."""
        rate = self._lowest
        while True:
            verdict = self._probe(rate, ProbePurpose.DOUBLING)
            if verdict is ProbeVerdict.INVALID:
                return NoRateReason.GENERATOR_LIMIT
            if verdict is not ProbeVerdict.MET:
                return self._lowest_reason(verdict) if rate == self._lowest else None
            if rate >= self._search.max_rate:
                return NoRateReason.NEVER_MISSED
            rate = min(rate * 2, self._search.max_rate)

    def _lowest_reason(self, verdict: ProbeVerdict) -> NoRateReason:
        return NoRateReason.LOWEST_MISSED if verdict is ProbeVerdict.MISSED else NoRateReason.LOWEST_INCONCLUSIVE

    def _bisect(self) -> NoRateReason | None:
        """Probe the geometric mean of the best and the missed rate, until they are as close as the resolution."""
        while self._best and self._missed > self._best * (1 + self._search.resolution):
            if self._probe_count >= MAX_PROBES:
                return NoRateReason.UNSTABLE
            if self._probe(math.sqrt(self._best * self._missed), ProbePurpose.BISECTING) is ProbeVerdict.INVALID:
                return NoRateReason.GENERATOR_LIMIT
        return None if self._best else NoRateReason.UNSTABLE

    def _verify(self) -> NoRateReason | None:
        """Probe the best rate again, several times; if one probe fails, the rate counts as missed."""
        best = self._best
        for _ in range(self._search.verifications):
            if self._probe_count >= MAX_PROBES:
                return NoRateReason.UNSTABLE
            verdict = self._probe(best, ProbePurpose.VERIFYING)
            if verdict is ProbeVerdict.INVALID:
                return NoRateReason.GENERATOR_LIMIT
            if verdict is not ProbeVerdict.MET:
                return None
        self._verified = True
        return None

    def _probe(self, rate: PerSecond, purpose: ProbePurpose) -> ProbeVerdict:
        """Probe a rate, and repeat the probe once if the generator did not keep up: the cause may be temporary."""
        for _ in range(2):
            self._probe_count += 1
            verdict = self._run_probe(rate, purpose).verdict
            if verdict is not ProbeVerdict.INVALID:
                break
        if verdict is ProbeVerdict.MET:
            self._met.add(rate)
        elif verdict is not ProbeVerdict.INVALID:
            self._missed = min(self._missed, rate)
        return verdict


def saturation(run_probe: RunProbe, search: SearchSettings, lowest: PerSecond) -> SearchResult:
    """The highest rate that meets the objectives, from *lowest* up."""
    return SaturationSearch(run_probe, search, lowest).run()
