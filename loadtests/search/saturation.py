"""
The highest arrival rate that meets the objectives: doubled until one is missed, then bisected, then verified.

A search knows nothing of runs: it asks for probes, each a run at one rate that has come to a verdict, and draws from
those what to ask next. A probe that is undecided when it may take no longer counts as one that missed: the answer is a
rate at which the objectives were *shown* to be met. It is given only when as many further runs as asked for meet them
too, and not at all where there is none to be had.
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
"""Beyond so many a search gives up: the target does not hold still."""


class ProbeVerdict(StrEnum):
    """
    What a probe says of its rate.
    """

    MET = "met"
    """Every objective was met."""
    MISSED = "missed"
    """One was not."""
    INCONCLUSIVE = "inconclusive"
    """Too little was seen to say, in as much time as a probe may take."""
    INVALID = "invalid"
    """The measurement cannot be trusted: our own generator does not keep up."""


class ProbePurpose(StrEnum):
    """
    Why a rate is probed.
    """

    DOUBLING = "doubling"
    BISECTING = "bisecting"
    VERIFYING = "verifying"


@dataclass(frozen=True, slots=True, kw_only=True)
class Probe:
    """
    One run at one rate, and what it says.
    """

    rate: PerSecond
    purpose: ProbePurpose
    verdict: ProbeVerdict
    reason: str = ""
    """In a sentence."""
    folder: str = ""
    seconds: Seconds = 0.0
    planned: int = 0
    ok: int = 0
    response_time: dict[str, Seconds] = field(default_factory=dict)
    """By percentile, of ok answers."""


class NoRateReason(StrEnum):
    """
    Why there is no answer.
    """

    LOWEST_MISSED = "lowest missed"
    LOWEST_INCONCLUSIVE = "lowest inconclusive"
    NEVER_MISSED = "never missed"
    GENERATOR_LIMIT = "generator limit"
    UNSTABLE = "unstable"


REASON_TEXTS = {
    NoRateReason.LOWEST_MISSED: "No answer: the objectives are missed at the lowest rate already.",
    NoRateReason.LOWEST_INCONCLUSIVE: "No answer: not even at the lowest rate did a probe come to a verdict; make it longer, or "
    "the lowest rate higher.",
    NoRateReason.NEVER_MISSED: "No answer: the objectives are met at the highest rate that was to be asked for; raise it.",
    NoRateReason.GENERATOR_LIMIT: "No answer: our own generator reached its ceiling before the target did; use more processes, or "
    "more machines.",
    NoRateReason.UNSTABLE: "No answer: what was met once was not met again, down to the lowest rate or for too many probes.",
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
    """
    What a search found: a rate, or why there is none.
    """

    rate: PerSecond | None = None
    missed_at: PerSecond | None = None
    """The lowest rate above the answer at which the objectives were not met; of a refusal, the lowest of all."""
    no_rate_reason: NoRateReason | None = None

    @property
    def sentence(self) -> str:
        """The answer in words."""
        if self.no_rate_reason is not None:
            return REASON_TEXTS[self.no_rate_reason]
        return f"The objectives are met up to {self.rate:.4g} requests a second, and not shown to be at {self.missed_at:.4g}."

    @property
    def exit_code(self) -> int:
        """How the command ends."""
        return ExitCode.PASS if self.no_rate_reason is None else EXIT_BY_REASON[self.no_rate_reason]


RunProbe = Callable[[PerSecond, ProbePurpose], Probe]
"""Makes a run at a rate, long enough for its verdict."""


class SaturationSearch:
    """
    A search under way: the rates that were met, and the lowest that was not.
    """

    def __init__(self, ask: RunProbe, search: SearchSettings, lowest: PerSecond) -> None:
        self._ask = ask
        self._search = search
        self._lowest = lowest
        self._met: set[PerSecond] = set()
        self._missed = math.inf
        self._asked = 0
        self._verified = False

    def run(self) -> SearchResult:
        """Search to the end."""
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
        """The highest rate that was met and not contradicted."""
        return max((rate for rate in self._met if rate < self._missed), default=0.0)

    def _double(self) -> NoRateReason | None:
        """
        Double the rate until the objectives are missed.
        """
        rate = self._lowest
        while True:
            verdict = self._probe(rate, ProbePurpose.DOUBLING)
            if verdict is ProbeVerdict.INVALID:
                return NoRateReason.GENERATOR_LIMIT
            if verdict is not ProbeVerdict.MET:
                return self._too_low(verdict) if rate == self._lowest else None
            if rate >= self._search.max_rate:
                return NoRateReason.NEVER_MISSED
            rate = min(rate * 2, self._search.max_rate)

    def _too_low(self, verdict: ProbeVerdict) -> NoRateReason:
        return NoRateReason.LOWEST_MISSED if verdict is ProbeVerdict.MISSED else NoRateReason.LOWEST_INCONCLUSIVE

    def _bisect(self) -> NoRateReason | None:
        """
        Halve what lies between met and missed, in proportion, until it is as small as asked for.
        """
        while self._best and self._missed > self._best * (1 + self._search.resolution):
            if self._asked >= MAX_PROBES:
                return NoRateReason.UNSTABLE
            if self._probe(math.sqrt(self._best * self._missed), ProbePurpose.BISECTING) is ProbeVerdict.INVALID:
                return NoRateReason.GENERATOR_LIMIT
        return None if self._best else NoRateReason.UNSTABLE

    def _verify(self) -> NoRateReason | None:
        """
        Ask for the best rate again and again; one that is not met once more is one that was missed.
        """
        best = self._best
        for _ in range(self._search.verifications):
            if self._asked >= MAX_PROBES:
                return NoRateReason.UNSTABLE
            verdict = self._probe(best, ProbePurpose.VERIFYING)
            if verdict is ProbeVerdict.INVALID:
                return NoRateReason.GENERATOR_LIMIT
            if verdict is not ProbeVerdict.MET:
                return None
        self._verified = True
        return None

    def _probe(self, rate: PerSecond, purpose: ProbePurpose) -> ProbeVerdict:
        """
        Ask for a rate, and once more where our own generator did not keep up: it may have been a moment's.
        """
        for _ in range(2):
            self._asked += 1
            verdict = self._ask(rate, purpose).verdict
            if verdict is not ProbeVerdict.INVALID:
                break
        if verdict is ProbeVerdict.MET:
            self._met.add(rate)
        elif verdict is not ProbeVerdict.INVALID:
            self._missed = min(self._missed, rate)
        return verdict


def saturation(ask: RunProbe, search: SearchSettings, lowest: PerSecond) -> SearchResult:
    """
    The highest rate that meets the objectives, from *lowest* up.
    """
    return SaturationSearch(ask, search, lowest).run()
