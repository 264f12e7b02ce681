"""
The caveats about the load generator itself: thresholds, and what happens beyond them.

| measure | caveat beyond | invalid beyond |
|---|---|---|
| schedule lag, p99 | 10 ms | 50 ms, or a tenth of the tightest response-time threshold; always beyond 1 s |
| event-loop lag, p99 | 10 ms | 100 ms |
| CPU use of one process, as a share of one core | 85 % | 95 % |
| planned requests that were not sent in time | 1 % | 5 %, if the generator was late too |
| open files, as a share of the limit | 80 % | 95 % |
| ports, as a share of those available | 80 % | 95 % |
| in-flight requests, difference between sampled and computed | 5 % | 20 % |

A p99 is beyond a limit when more than 1 % of the values are, with 95 % confidence (exact, by Clopper and Pearson). So one
slow request in fifty, which is their p99, triggers nothing.

The first three can only make response times look worse. So they do not invalidate a pass, unless the generator was a full
second late. The others do.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence

from chainproof.clock import Seconds
from chainproof.durations import format_duration
from chainproof.judgement.caveat import Caveat, CaveatCode
from chainproof.results.exchange import Result, Transport
from chainproof.results.generator_health import GeneratorHealth
from chainproof.results.interval import Interval, RequestStats
from chainproof.results.manifest import Manifest
from chainproof.statistics.confidence_intervals import CONFIDENCE, proportion
from chainproof.statistics.histogram import Histogram
from chainproof.workload.objectives import Indicator, parse_objective

SCHEDULE_LAG_WARNING: Seconds = 0.010
"""Schedule lag at p99 that triggers the caveat: a local generator easily stays below it."""
SCHEDULE_LAG_INVALID: Seconds = 0.050
"""Schedule lag that invalidates a missed objective, unless the objective is far coarser."""
SCHEDULE_LAG_ALWAYS_INVALID: Seconds = 1.0
"""Schedule lag that invalidates every run: the target did not get the planned load."""
LOOP_LAG_WARNING: Seconds = 0.010
LOOP_LAG_INVALID: Seconds = 0.100
CPU_WARNING = 0.85
CPU_INVALID = 0.95
UNSENT_WARNING = 0.01
UNSENT_INVALID = 0.05
RESOURCE_WARNING = 0.80
RESOURCE_INVALID = 0.95
"""Share of the available files or ports."""
LITTLES_LAW_WARNING = 0.05
"""Allowed difference between in-flight requests as sampled and as computed, as a share of the larger value."""
LITTLES_LAW_INVALID = 0.20
LITTLES_LAW_SLACK: Seconds = 0.002
"""Time that a request may stay in flight after its end, until the generator has read the answer."""
MIN_SAMPLES = 200
"""Samples below which their mean means nothing."""
MIN_DUE = 100
"""Planned requests below which a share of them means nothing."""

_BOTH_BOUNDS = 1.0 - 2 * (1.0 - CONFIDENCE)


def exceeds(values: Histogram, limit: Seconds, share: float = 0.01) -> bool:
    """Whether more than *share* of the values are beyond *limit*, with 95 % confidence."""
    if not values.count:
        return False
    low = proportion(values.count - values.count_at_most(limit), values.count, _BOTH_BOUNDS).low
    return low is not None and low > share


def max_trusted_lag(objectives: Sequence[str]) -> Seconds:
    """The schedule lag beyond which the generator may have caused a missed objective."""
    thresholds = [
        objective.threshold
        for objective in map(parse_objective, objectives)
        if objective.indicator is Indicator.RESPONSE_TIME
    ]
    return max(SCHEDULE_LAG_INVALID, min(thresholds) / 10) if thresholds else SCHEDULE_LAG_INVALID


def generator_caveats(
    manifest: Manifest, totals: Interval, judged: RequestStats, seconds: Sequence[Interval]
) -> Iterator[Caveat]:
    """The caveats about the generator of a load run. *judged* are the requests of the judged phases."""
    health = totals.generator_health if totals.generator_health is not None else GeneratorHealth()
    yield from _schedule_lag(manifest, judged)
    yield from _event_loop_lag(health)
    yield from _cpu(health)
    yield from _rate_not_reached(manifest, judged, seconds)
    yield from _resource(CaveatCode.OPEN_FILES, "open files", health.open_files, health.open_files_limit, "ulimit -n")
    yield from _resource(
        CaveatCode.PORTS,
        "connections, including closed ones that still occupy a port",
        health.ports,
        health.ports_limit,
        "net.ipv4.ip_local_port_range",
    )
    yield from _littles_law(manifest, totals, health)


def _schedule_lag(manifest: Manifest, judged: RequestStats) -> Iterator[Caveat]:
    lag = judged.schedule_lag.quantile(0.99)
    if lag is not None and lag > SCHEDULE_LAG_WARNING:
        yield Caveat(
            code=CaveatCode.GENERATOR_LATE,
            text=f"1 % of the requests were sent more than {format_duration(lag)} after their intended start; response "
            "times include this delay.",
            remedy="Use a lower rate, an idle machine, or several; service times do not include it.",
            invalidates_failures=exceeds(judged.schedule_lag, max_trusted_lag(manifest.objectives)),
            invalidates=exceeds(judged.schedule_lag, SCHEDULE_LAG_ALWAYS_INVALID),
        )


def _event_loop_lag(health: GeneratorHealth) -> Iterator[Caveat]:
    if exceeds(health.loop_lag, LOOP_LAG_WARNING):
        lag = health.loop_lag.quantile(0.99) or 0.0
        yield Caveat(
            code=CaveatCode.EVENT_LOOP_LAG,
            text=f"The event-loop lag of the generator was {format_duration(lag)} at p99: its own work or another "
            "program delayed it.",
            remedy="Use a lower rate, an idle machine, or --processes; look for slow code in your own locustfile.",
            invalidates_failures=exceeds(health.loop_lag, LOOP_LAG_INVALID),
        )


def _cpu(health: GeneratorHealth) -> Iterator[Caveat]:
    if health.cpu > CPU_WARNING:
        yield Caveat(
            code=CaveatCode.GENERATOR_CPU,
            text=f"The generator used {health.cpu:.0%} of a CPU core, and one process cannot use more than one.",
            remedy="Distribute the requests with --processes, or over several machines.",
            invalidates_failures=health.cpu > CPU_INVALID,
        )


def _rate_not_reached(manifest: Manifest, judged: RequestStats, seconds: Sequence[Interval]) -> Iterator[Caveat]:
    """A rate that was not reached was not tested."""
    settings = manifest.known_settings
    if settings.model != "open" or settings.duration is None:
        return
    planned_seconds = [each for each in seconds if each.second < settings.duration]
    due = sum(each.planned - each.not_sent.total() for each in planned_seconds)
    sent = sum(each.sent for each in planned_seconds)
    if due >= MIN_DUE and due - sent > UNSENT_WARNING * due:
        yield Caveat(
            code=CaveatCode.RATE_NOT_REACHED,
            text=f"Of {due:,} requests that were due, {sent:,} were sent before the plan ended: the rate was "
            f"{sent / due:.1%} of the planned one.",
            remedy="Use a lower rate, or --processes; if --max-in-flight was reached, allow more.",
            invalidates=due - sent > UNSENT_INVALID * due and exceeds(judged.schedule_lag, SCHEDULE_LAG_INVALID),
        )


def _resource(code: CaveatCode, what: str, used: int, limit: int, setting: str) -> Iterator[Caveat]:
    if limit and used > RESOURCE_WARNING * limit:
        yield Caveat(
            code=code,
            text=f"The generator had {used:,} {what}; the limit is {limit:,}. Connections may have failed because of it.",
            remedy=f"Raise {setting}, lower --max-in-flight, or use several machines.",
            invalidates=used > RESOURCE_INVALID * limit,
        )


def _littles_law(manifest: Manifest, totals: Interval, health: GeneratorHealth) -> Iterator[Caveat]:
    """The sampled number of in-flight requests is the rate times the mean service time (Little 1961)."""
    computed = total_time_in_flight(manifest, totals)
    if computed is None or health.samples < MIN_SAMPLES:
        return
    mean = health.in_flight_sum / health.samples
    standard_error = math.sqrt(max(health.in_flight_squares / health.samples - mean * mean, 0.0) / health.samples)
    uncertainty = 3 * standard_error / mean * health.in_flight_s if mean else 0.0
    uncertainty += LITTLES_LAW_SLACK * totals.sent
    difference, larger = abs(computed - health.in_flight_s) - uncertainty, max(computed, health.in_flight_s)
    if difference > LITTLES_LAW_WARNING * larger:
        yield Caveat(
            code=CaveatCode.LITTLES_LAW,
            text=f"The total time of requests in flight is {format_duration(health.in_flight_s)} as sampled, but "
            f"{format_duration(computed)} by their service times: chance does not explain the difference.",
            remedy="Service times or requests are missing from the run folder: check the event-loop lag, then report it.",
            invalidates=difference > LITTLES_LAW_INVALID * larger,
        )


def mean_in_flight(health: GeneratorHealth) -> float:
    """The mean number of requests in flight, as sampled."""
    return health.in_flight_s / health.process_s if health.process_s else 0.0


def total_time_in_flight(manifest: Manifest, totals: RequestStats) -> Seconds | None:
    """The sum of the service times of all requests; None if more than 1 % of the requests have no time."""
    timed = sum(times.total for times in totals.service_time.values())
    deadline = manifest.known_settings.deadline
    untimed = totals.count(Result.CENSORED)
    for outcome, count in totals.outcomes.items():
        if outcome.transport is Transport.DEADLINE and deadline is not None:
            timed += count * deadline
        elif outcome.transport is not Transport.ANSWERED and outcome.result is not Result.CENSORED:
            untimed += count
    return timed if totals.sent and untimed <= totals.sent / 100 else None
