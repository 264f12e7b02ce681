"""The requests of a run from which objectives are evaluated: together, second by second, and as planned."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from math import ceil

from chainproof.clock import PerSecond, Seconds
from chainproof.judgement.cold_start import ColdStart
from chainproof.results.exchange import NotSent, Result
from chainproof.results.folder import Run
from chainproof.results.intervals.interval import Interval
from chainproof.results.intervals.request_stats import RequestStats, merge_stats
from chainproof.results.settings import KnownSettings, PhaseSpan
from chainproof.statistics.histogram import Histogram
from chainproof.statistics.time_batches import TimeBatches, time_batches
from chainproof.workload.objectives import TIMES, Indicator

UNKNOWN_START = ColdStart(first_success=None, settling_time=None)


@dataclass(frozen=True, slots=True, kw_only=True)
class JudgedRequests:
    """The judged requests of a run, from which objectives are evaluated."""

    stats: RequestStats
    """All of them."""
    seconds: Sequence[RequestStats] = ()
    """Those of each second, without gaps; empty if requests are to count as independent."""
    start: ColdStart = UNKNOWN_START
    planned_rate: PerSecond | None = None
    """Open model: the planned rate. None in the closed model."""
    ok_by_second: Sequence[float] = ()
    """Closed model: the ok answers of each full second in which requests were sent."""
    in_flight: int = 0
    """Closed model: requests in flight at the end of these seconds."""
    _batches: dict[Indicator, TimeBatches] = field(default_factory=dict, init=False, repr=False, compare=False)

    def batches(self, indicator: Indicator) -> TimeBatches:
        """The durations of one kind by span of time."""
        if indicator not in self._batches:
            if indicator is Indicator.SCHEDULE_LAG:
                self._batches[indicator] = time_batches([each.schedule_lag for each in self.seconds])
            else:
                times = [request_times(each, indicator)[Result.OK] for each in self.seconds]
                self._batches[indicator] = time_batches(times, [settled_requests(each) for each in self.seconds])
        return self._batches[indicator]


def requests_to_judge(
    run: Run, seconds: Sequence[Interval], stats: RequestStats, start: ColdStart, sending_time: Seconds
) -> JudgedRequests:
    """
    The judged requests of a load run.

    *seconds* are its intervals, workers merged; *stats* are all judged requests; requests were sent until *sending_time*.
    """
    settings = run.manifest.known_settings
    phases = [phase for phase in run.manifest.phases if phase.judged] if any(each.phases for each in seconds) else []
    spans = [(phase.start, min(phase.end, sending_time)) for phase in phases] or [(0.0, sending_time)]
    judged = list(stats_by_second(seconds, [phase.name for phase in phases]))
    if settings.model != "closed":
        rate = _planned_rate(settings, phases, planned_requests(stats), spans)
        return JudgedRequests(stats=stats, seconds=judged, start=start, planned_rate=rate)
    full = [second for low, high in spans for second in range(ceil(low), int(high))]
    found = {each.second: each for each in seconds}
    last = found.get(full[-1]) if full else None
    return JudgedRequests(
        stats=stats,
        seconds=judged,
        start=start,
        ok_by_second=[found[second].count(Result.OK) if second in found else 0 for second in full],
        in_flight=last.in_flight if last is not None else 0,
    )


def stats_by_second(seconds: Sequence[Interval], phases: Sequence[str]) -> Iterable[RequestStats]:
    """The requests of each second, of some phases or of all, without gaps."""
    found = {each.second: each for each in seconds}
    nothing = RequestStats()
    for second in range(min(found, default=0), max(found, default=-1) + 1):
        interval = found.get(second)
        if interval is None:
            yield nothing
        elif not phases:
            yield interval
        else:
            parts = [interval.phases[name] for name in phases if name in interval.phases]
            yield parts[0] if len(parts) == 1 else merge_stats(parts)


def _planned_rate(
    settings: KnownSettings,
    phases: Sequence[PhaseSpan],
    planned: int,
    spans: Sequence[tuple[Seconds, Seconds]],
) -> PerSecond:
    """The mean rate that the workload declares; where it declares none, that of the plan."""
    rates = [(phase.mean_rate, phase.seconds) for phase in phases]
    total = sum(seconds for _, seconds in rates)
    if not phases and settings.rate is not None:
        return settings.rate
    if total and all(rate is not None for rate, _ in rates):
        return sum((rate or 0.0) * seconds for rate, seconds in rates) / total
    length = sum(max(end - start, 0.0) for start, end in spans)
    return planned / length if length else 0.0


def planned_requests(stats: RequestStats) -> int:
    """The number of planned requests, without those that were not sent because the run was stopped."""
    return stats.planned - stats.not_sent[NotSent.STOPPED]


def settled_requests(stats: RequestStats) -> int:
    """Requests of one second that are judged: those with a known result, and those that could not be sent."""
    return stats.outcomes.total() - stats.count(Result.CENSORED) + stats.not_sent[NotSent.MAX_IN_FLIGHT]


def request_times(stats: RequestStats, indicator: Indicator) -> dict[Result, Histogram]:
    """Response times or service times by result."""
    assert indicator in TIMES
    return stats.response_time if indicator is Indicator.RESPONSE_TIME else stats.service_time
