"""
Find the highest arrival rate that meets the objectives: the decisions of the search, without running anything.

`next_step` is a pure function of the probes so far, so that tests and simulations use exactly what a search does.

1. *Doubling*: the rate doubles until it is missed.
2. *Approaching*: from the highest rate that is not missed, the rate rises in quarters of the gap, as ratios, until one is
   missed; then again from below. So a target is overloaded as rarely and as little as possible: replicas that an overload
   has started would answer the probes after it, and a queue that it has left would delay them. After a miss the search
   pauses for as long as it takes to work off the excess.
3. *Verifying*: the result lies one resolution below the lowest rate that was missed, because near capacity a queue grows
   too slowly to be seen. It is probed until all probes together show that the objectives are met; otherwise the next
   lower rate is.

Effort is limited by requests for each rate: a slow target gets as many requests as a fast one, in a longer time.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum

from chainproof.clock import PerSecond, Seconds
from chainproof.judgement.verdict import ExitCode
from chainproof.workload.search_settings import SearchSettings

from .evidence import Probe, ProbePurpose, ProbeVerdict, RateEvidence, RateStatus, evidence

MAX_PROBES = 60
"""A search ends after this many probes: the target is not stable."""
_FINEST_STEP = 0.4
"""The last steps of the approach, as a share of the resolution."""
_NEAR = 1.005
"""Rates that are this close are not probed separately."""
_MAX_PROBES_OF_RATE = 8


class NoRateReason(StrEnum):
    """Why a search has no result."""

    LOWEST_MISSED = "lowest missed"
    LOWEST_INCONCLUSIVE = "lowest inconclusive"
    NEVER_MISSED = "never missed"
    GENERATOR_LIMIT = "generator limit"
    UNSTABLE = "unstable"
    OUT_OF_TIME = "out of time"


REASON_TEXTS = {
    NoRateReason.LOWEST_MISSED: "No result: the objectives are already missed at the lowest rate.",
    NoRateReason.LOWEST_INCONCLUSIVE: "No result: even at the lowest rate there were too few requests for a verdict. Use a higher "
    "--search-max-requests, or a lower --rate.",
    NoRateReason.NEVER_MISSED: "No result: the objectives are met at the highest rate. Raise --search-max-rate.",
    NoRateReason.GENERATOR_LIMIT: "No result: the load generator reached its limit before the target did. Use more "
    "processes or more machines.",
    NoRateReason.UNSTABLE: f"No result: the target is not stable. {MAX_PROBES} probes do not agree on a rate.",
    NoRateReason.OUT_OF_TIME: "No result: the time was up before a rate was found and verified. Raise --search-max-duration, "
    "or start with a higher --rate, at which the requests that the objectives need take less time.",
}
EXIT_BY_REASON = {
    NoRateReason.LOWEST_MISSED: ExitCode.FAIL,
    NoRateReason.LOWEST_INCONCLUSIVE: ExitCode.INCONCLUSIVE,
    NoRateReason.NEVER_MISSED: ExitCode.INCONCLUSIVE,
    NoRateReason.GENERATOR_LIMIT: ExitCode.INVALID,
    NoRateReason.UNSTABLE: ExitCode.INCONCLUSIVE,
    NoRateReason.OUT_OF_TIME: ExitCode.INCONCLUSIVE,
}


@dataclass(frozen=True, slots=True, kw_only=True)
class SearchResult:
    """The result of a search: a rate, or the reason why there is none."""

    rate: PerSecond | None = None
    missed_at: PerSecond | None = None
    """The lowest rate that was shown to miss the objectives."""
    interval: tuple[PerSecond | None, PerSecond | None] = (None, None)
    """Of the highest rate that meets the objectives (95 %); an end is None if it is unknown."""
    no_rate_reason: NoRateReason | None = None
    found_so_far: str = ""
    """What a search whose time was up has shown, as a sentence."""

    @property
    def sentence(self) -> str:
        """The result as a sentence."""
        if self.no_rate_reason is not None:
            return f"{REASON_TEXTS[self.no_rate_reason]} {self.found_so_far}".rstrip()
        low, high = ("unknown" if end is None else f"{end:.4g}" for end in self.interval)
        above = "" if self.missed_at is None else f" and missed at {self.missed_at:.4g}"
        return (
            f"The objectives are met at {self.rate:.4g} requests per second{above}. The highest rate that meets them: "
            f"95 % interval {low} to {high}."
        )

    @property
    def exit_code(self) -> int:
        """The exit code of the command."""
        return ExitCode.PASS if self.no_rate_reason is None else EXIT_BY_REASON[self.no_rate_reason]


@dataclass(frozen=True, slots=True, kw_only=True)
class SearchPlan:
    """The range, precision and effort of a search."""

    lowest: PerSecond
    settings: SearchSettings
    first_requests: int
    """Requests of a probe that looks for the range."""
    verifying_requests: int
    """Requests of a probe that verifies a rate."""
    max_requests: int
    """Requests for each rate."""
    probe_seconds: Seconds
    """The shortest judged phase of a probe."""
    warm_up: Seconds
    drain: Seconds = 0.0
    """The longest drain of a probe."""
    run_seconds: Seconds = math.inf
    """The longest run that the limits permit."""
    run_requests: float = math.inf
    """The largest number of requests of a run that the limits permit."""

    def duration(self, rate: PerSecond, requests: float) -> Seconds:
        """The length of a judged phase."""
        longest = min(self.run_seconds, 0.9 * self.run_requests / rate) - self.warm_up
        return min(max(self.probe_seconds, math.ceil(requests / rate)), max(longest, 1.0))


@dataclass(frozen=True, slots=True, kw_only=True)
class ProbeRequest:
    """The next probe of a search."""

    rate: PerSecond
    purpose: ProbePurpose
    seconds: Seconds
    pause: Seconds = 0.0
    """Without load, before it starts."""


def next_step(probes: Sequence[Probe], plan: SearchPlan) -> ProbeRequest | SearchResult:
    """The next probe, or the result of the search."""
    rates = evidence(probes)
    state = _State(plan=plan, rates=rates)
    if (end := _forced_end(probes, state)) is not None:
        return end
    step = _next_probe(probes, state)
    if isinstance(step, SearchResult):
        return step
    needed = step.pause + plan.warm_up + step.seconds + plan.drain
    if probes and sum(probe.elapsed for probe in probes) + needed > plan.settings.max_duration:
        return replace(state.no_result(NoRateReason.OUT_OF_TIME), found_so_far=unfinished_sentence(probes))
    return step


def unfinished_sentence(probes: Sequence[Probe]) -> str:
    """What the probes of an unfinished search say about its result, as a sentence."""
    rates = evidence(probes)
    missed = min((each.rate for each in rates if each.status is RateStatus.MISSED), default=math.inf)
    met = max((each.rate for each in rates if each.status is RateStatus.MET and each.rate < missed), default=0.0)
    found = [f"met at {met:.4g}"] * (met > 0.0) + [f"missed at {missed:.4g}"] * math.isfinite(missed)
    if not found:
        return (
            f"The probes made by then ({len(probes)}) did not decide any rate."
            if probes
            else "No probe was finished by then."
        )
    return f"By then, the objectives were {' and '.join(found)} requests per second."


RunProbe = Callable[[ProbeRequest], Probe]
"""Runs a probe."""


def saturation(run_probe: RunProbe, plan: SearchPlan) -> SearchResult:
    """The highest rate that meets the objectives."""
    probes: list[Probe] = []
    while isinstance(step := next_step(probes, plan), ProbeRequest):
        probes.append(run_probe(step))
    return step


@dataclass(frozen=True, slots=True, kw_only=True)
class _State:
    """What is known about the rates, in ascending order."""

    plan: SearchPlan
    rates: Sequence[RateEvidence]

    @property
    def missed(self) -> PerSecond:
        """The lowest rate that was shown to miss the objectives; infinite if there is none."""
        return min((each.rate for each in self.rates if each.status is RateStatus.MISSED), default=math.inf)

    @property
    def below(self) -> list[RateEvidence]:
        """The rates below it."""
        return [each for each in self.rates if each.rate < self.missed]

    def is_exhausted(self, each: RateEvidence) -> bool:
        """True if a rate gets no more probes."""
        return each.requests >= self.plan.max_requests or each.probes >= _MAX_PROBES_OF_RATE

    def result(self, rate: PerSecond) -> SearchResult:
        """
        A rate as the result.

        Both ends of the interval lie one resolution beyond what was shown: near the boundary, queues change so slowly that
        a probe can be wrong about its own rate. `benchmarks/simulations/saturation.py` measures how often the interval is right.
        """
        margin = 1 + self.plan.settings.resolution
        missed_at = self.missed if math.isfinite(self.missed) else None
        high = None if missed_at is None else missed_at * margin
        return SearchResult(rate=rate, missed_at=missed_at, interval=(rate / margin, high))

    def no_result(self, reason: NoRateReason) -> SearchResult:
        """No result."""
        return SearchResult(no_rate_reason=reason, missed_at=self.missed if math.isfinite(self.missed) else None)

    def request(self, rate: PerSecond, purpose: ProbePurpose, requests: float, pause: Seconds) -> ProbeRequest:
        """A probe."""
        return ProbeRequest(rate=rate, purpose=purpose, seconds=self.plan.duration(rate, requests), pause=pause)


def _forced_end(probes: Sequence[Probe], state: _State) -> SearchResult | None:
    """The result, if the search cannot go on."""
    last = [probe.verdict for probe in probes[-2:]]
    if last == [ProbeVerdict.INVALID] * 2:
        return state.no_result(NoRateReason.GENERATOR_LIMIT)
    if state.rates and not state.below:
        return state.no_result(NoRateReason.LOWEST_MISSED)
    return state.no_result(NoRateReason.UNSTABLE) if len(probes) >= MAX_PROBES else None


def _next_probe(probes: Sequence[Probe], state: _State) -> ProbeRequest | SearchResult:
    """The next probe, or the result, as long as the search may go on."""
    plan, pause = state.plan, _pause(probes, state.plan)
    if probes and probes[-1].verdict is ProbeVerdict.INVALID:
        last = probes[-1]  # the cause may be temporary
        return ProbeRequest(rate=last.rate, purpose=last.purpose, seconds=last.seconds, pause=pause)
    if not state.rates:
        return state.request(plan.lowest, ProbePurpose.DOUBLING, plan.first_requests, pause)
    top = state.below[-1]
    if top.status is RateStatus.GROWING:
        requests = max(2 * top.requests, plan.first_requests)
        return state.request(top.rate, ProbePurpose.APPROACHING, requests, pause)
    limit = state.missed
    if limit > top.rate * (1 + _FINEST_STEP * plan.settings.resolution) * _NEAR:
        if top.status is RateStatus.MET or top.likely_met:
            if (step := _higher(top, state, pause)) is not None:
                return step
        elif not state.is_exhausted(top):
            return state.request(top.rate, ProbePurpose.APPROACHING, _more(top, plan, plan.first_requests), pause)
        else:
            limit = top.rate
    return _verify(limit, state, pause)


def _higher(top: RateEvidence, state: _State, pause: Seconds) -> ProbeRequest | SearchResult | None:
    """A probe at a higher rate; None if the missed rate is too close for one."""
    plan = state.plan
    if math.isinf(state.missed):
        if top.rate >= plan.settings.max_rate:
            return state.no_result(NoRateReason.NEVER_MISSED)
        rate = min(top.rate * 2, plan.settings.max_rate)
        return state.request(rate, ProbePurpose.DOUBLING, plan.first_requests, pause)
    factor = max(1 + _FINEST_STEP * plan.settings.resolution, (state.missed / top.rate) ** 0.25)
    if top.rate * factor * _NEAR >= state.missed:
        return None
    return state.request(top.rate * factor, ProbePurpose.APPROACHING, plan.first_requests, pause)


def _verify(limit: PerSecond, state: _State, pause: Seconds) -> ProbeRequest | SearchResult:
    """A probe of the rate that may be the result, or the result."""
    plan = state.plan
    for rate in _candidates(limit, state):
        each = next((each for each in state.rates if each.rate == rate), None)
        if each is None:
            return state.request(rate, ProbePurpose.VERIFYING, plan.first_requests, pause)
        if each.status is RateStatus.MET and each.probes >= plan.settings.verifications:
            return state.result(rate)
        if each.status is RateStatus.MET or not state.is_exhausted(each):
            requests = (
                plan.verifying_requests if each.status is RateStatus.MET else _more(each, plan, plan.verifying_requests)
            )
            return state.request(rate, ProbePurpose.VERIFYING, requests, pause)
    return state.no_result(NoRateReason.LOWEST_INCONCLUSIVE)


def _candidates(limit: PerSecond, state: _State) -> Iterator[PerSecond]:
    """
    The rates that may be the result, the highest first.

    They begin one resolution below the limit, and go down in the finest steps. A rate that was probed stands for those
    that are close to it.
    """
    plan = state.plan
    known = [each.rate for each in state.below]
    rate = max(limit / (1 + plan.settings.resolution), plan.lowest)
    while rate > plan.lowest:
        rate = max((each for each in known if rate / _NEAR <= each <= rate * _NEAR), default=rate)
        yield rate
        rate /= 1 + _FINEST_STEP * plan.settings.resolution
    yield plan.lowest


def _more(each: RateEvidence, plan: SearchPlan, least: int) -> float:
    """How many more requests a rate gets at once, within its limit."""
    left = max(plan.settings.verifications - each.probes, 1)
    wanted = (min(each.requests_needed, plan.max_requests) - each.requests) / left
    return min(max(wanted, least), max(plan.max_requests - each.requests, least))


def _pause(probes: Sequence[Probe], plan: SearchPlan) -> Seconds:
    """How long a target needs to work off what an overload has left: the excess over a rate that it kept up with."""
    if not probes or probes[-1].verdict is ProbeVerdict.INVALID:
        return 0.0
    last = probes[-1]
    alone = evidence([last])[0]
    if alone.likely_met and alone.status in (RateStatus.MET, RateStatus.OPEN):
        return 0.0
    slower = max((probe.rate for probe in probes if probe.rate < last.rate), default=last.rate / 2)
    return min(last.rate / slower - 1.0, 1.0) * (plan.warm_up + last.seconds)
