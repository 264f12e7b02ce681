"""
Is the generator itself to be trusted? Thresholds, and what lies beyond them, each with its cause and remedy.

| measure | said beyond | invalid beyond |
|---|---|---|
| schedule lag, p99 | 10 ms | 50 ms, or a tenth of the tightest response-time threshold; 1 s whatever was asked |
| loop lag, p99 | 10 ms | 100 ms |
| processor, share of one | 85 % | 95 % |
| planned requests that were not sent in time | 1 % | 5 %, where the generator was late too |
| open files, of those allowed | 80 % | 95 % |
| ports, of those there are | 80 % | 95 % |
| in flight as sampled and as counted, apart | 5 % | 20 % |

A p99 is beyond a limit when more than 1 % of the values are, at 95 % confidence (exactly, by Clopper and Pearson): one
hiccup in fifty requests is their p99 and says nothing yet.

The first three only ever make response times look worse. An objective that was met in spite of them was met: a run that
passes stands, unless it was a whole second late. The others spoil a pass too.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from chainproof.clock import Seconds
from chainproof.durations import format_duration
from chainproof.results.exchange import Result, Transport
from chainproof.results.generator_health import GeneratorHealth
from chainproof.results.interval import Interval, RequestStats
from chainproof.results.manifest import Manifest
from chainproof.statistics.histogram import Histogram
from chainproof.statistics.intervals import CONFIDENCE, proportion
from chainproof.workload.objectives import Indicator, parse_objective

SCHEDULE_LAG_WARNING: Seconds = 0.010
"""A schedule lag at p99 beyond which the reader should know: a local generator easily keeps below it."""
SCHEDULE_LAG_INVALID: Seconds = 0.050
"""… and beyond which response times say as much about us as about the target, unless the objective is far coarser."""
SCHEDULE_LAG_ALWAYS_INVALID: Seconds = 1.0
"""… and beyond which the target was asked by another plan than the one that was meant."""
LOOP_LAG_WARNING: Seconds = 0.010
LOOP_LAG_INVALID: Seconds = 0.100
CPU_WARNING = 0.85
CPU_INVALID = 0.95
UNSENT_WARNING = 0.01
UNSENT_INVALID = 0.05
RESOURCE_WARNING = 0.80
RESOURCE_INVALID = 0.95
"""Of open files and of ports."""
LITTLES_LAW_WARNING = 0.05
"""How far apart in-flight requests may be as sampled and as counted, as a share of the greater."""
LITTLES_LAW_INVALID = 0.20
LITTLES_LAW_SLACK: Seconds = 0.002
"""… and how long beyond its end a request may be in flight to us: until our code has seen its answer."""
MIN_SAMPLES = 200
"""With fewer looks their mean says nothing."""
MIN_DUE = 100
"""With fewer planned requests neither does a share of them."""

_BOTH_BOUNDS = 1.0 - 2 * (1.0 - CONFIDENCE)


@dataclass(frozen=True, slots=True, kw_only=True)
class GeneratorIssue:
    """
    One measure beyond what is worth saying.
    """

    code: str
    text: str
    remedy: str
    invalidates_failures: bool = False
    """Whether a miss may be our own doing."""
    invalidates: bool = False
    """Whether nothing can be concluded, not even that an objective was met."""


def exceeds(values: Histogram, limit: Seconds, share: float = 0.01) -> bool:
    """
    Whether more than this share of the values surely lie beyond a limit.
    """
    if not values.count:
        return False
    low = proportion(values.count - values.count_at_most(limit), values.count, _BOTH_BOUNDS).low
    return low is not None and low > share


def max_trusted_lag(objectives: Sequence[str]) -> Seconds:
    """
    The schedule lag beyond which a missed objective may be our own doing.
    """
    thresholds = [
        objective.threshold
        for objective in map(parse_objective, objectives)
        if objective.indicator is Indicator.RESPONSE_TIME
    ]
    return max(SCHEDULE_LAG_INVALID, min(thresholds) / 10) if thresholds else SCHEDULE_LAG_INVALID


def generator_issues(
    manifest: Manifest, whole: Interval, judged: RequestStats, seconds: Sequence[Interval]
) -> Iterator[GeneratorIssue]:
    """
    Every measure of a run that is worth saying.
    """
    generator_health = whole.generator_health if whole.generator_health is not None else GeneratorHealth()
    yield from _late(manifest, judged)
    yield from _loop(generator_health)
    yield from _processor(generator_health)
    yield from _short(manifest, judged, seconds)
    yield from _full(
        "OPEN_FILES", "files open", generator_health.open_files, generator_health.open_files_limit, "ulimit -n"
    )
    yield from _full(
        "PORTS",
        "connections, lingering ones included",
        generator_health.ports,
        generator_health.ports_limit,
        "net.ipv4.ip_local_port_range",
    )
    yield from _little(manifest, whole, generator_health)


def _late(manifest: Manifest, judged: RequestStats) -> Iterator[GeneratorIssue]:
    lag = judged.schedule_lag.quantile(0.99)
    if lag is not None and lag > SCHEDULE_LAG_WARNING:
        yield GeneratorIssue(
            code="GENERATOR_LATE",
            text=f"1 % of the requests were sent more than {format_duration(lag)} after their intended start: response "
            "times contain lateness of ours.",
            remedy="Use a lower rate, an idle machine, or several; service_time does not contain it.",
            invalidates_failures=exceeds(judged.schedule_lag, max_trusted_lag(manifest.objectives)),
            invalidates=exceeds(judged.schedule_lag, SCHEDULE_LAG_ALWAYS_INVALID),
        )


def _loop(generator_health: GeneratorHealth) -> Iterator[GeneratorIssue]:
    if exceeds(generator_health.loop_lag, LOOP_LAG_WARNING):
        lag = generator_health.loop_lag.quantile(0.99) or 0.0
        yield GeneratorIssue(
            code="EVENT_LOOP_LAG",
            text=f"1 % of the time the generator's event loop was {format_duration(lag)} late or later: something kept "
            "it, its own work or another program.",
            remedy="Use a lower rate, an idle machine, or --processes; look for slow code in your own locustfile.",
            invalidates_failures=exceeds(generator_health.loop_lag, LOOP_LAG_INVALID),
        )


def _processor(generator_health: GeneratorHealth) -> Iterator[GeneratorIssue]:
    if generator_health.cpu > CPU_WARNING:
        yield GeneratorIssue(
            code="GENERATOR_CPU",
            text=f"The generator used {generator_health.cpu:.0%} of a processor, and there is no more than one for a process.",
            remedy="Share the requests out with --processes, or over several machines.",
            invalidates_failures=generator_health.cpu > CPU_INVALID,
        )


def _short(manifest: Manifest, judged: RequestStats, seconds: Sequence[Interval]) -> Iterator[GeneratorIssue]:
    """
    A plan that is sent later than it says is another plan: a rate that was not reached was not tested.
    """
    asked = manifest.settings.get("duration_s")
    if manifest.settings.get("model") != "open" or not isinstance(asked, int | float):
        return
    inside = [each for each in seconds if each.second < asked]
    due = sum(each.planned - each.not_sent.total() for each in inside)
    sent = sum(each.sent for each in inside)
    if due >= MIN_DUE and due - sent > UNSENT_WARNING * due:
        yield GeneratorIssue(
            code="RATE_NOT_REACHED",
            text=f"Of {due:,} requests that were due, {sent:,} were sent before the plan ended: the rate was "
            f"{sent / due:.1%} of what was planned.",
            remedy="Use a lower rate, or --processes; where as many as --max-in-flight waited, allow more.",
            invalidates=due - sent > UNSENT_INVALID * due and exceeds(judged.schedule_lag, SCHEDULE_LAG_INVALID),
        )


def _full(code: str, what: str, used: int, of: int, where: str) -> Iterator[GeneratorIssue]:
    if of and used > RESOURCE_WARNING * of:
        yield GeneratorIssue(
            code=code,
            text=f"The generator had {used:,} {what}, and there is room for {of:,}: connections that fail then fail "
            "because of us.",
            remedy=f"Raise {where}, lower --max-in-flight, or use several machines.",
            invalidates=used > RESOURCE_INVALID * of,
        )


def _little(manifest: Manifest, whole: Interval, generator_health: GeneratorHealth) -> Iterator[GeneratorIssue]:
    """
    Requests in flight as sampled are the rate times the time each takes (Little 1961): more means times that were lost.
    """
    counted = total_time_in_flight(manifest, whole)
    if counted is None or generator_health.samples < MIN_SAMPLES:
        return
    mean = generator_health.in_flight_sum / generator_health.samples
    spread = math.sqrt(
        max(generator_health.in_flight_squares / generator_health.samples - mean * mean, 0.0) / generator_health.samples
    )
    unsure = 3 * spread / mean * generator_health.in_flight_s if mean else 0.0
    unsure += LITTLES_LAW_SLACK * whole.sent
    apart, greater = abs(counted - generator_health.in_flight_s) - unsure, max(counted, generator_health.in_flight_s)
    if apart > LITTLES_LAW_WARNING * greater:
        yield GeneratorIssue(
            code="LITTLES_LAW",
            text=f"Requests were in flight for {format_duration(generator_health.in_flight_s)} together as sampled, and for "
            f"{format_duration(counted)} by their times: more apart than chance allows.",
            remedy="Service times or requests are missing from the record: look at loop lag first, then report it.",
            invalidates=apart > LITTLES_LAW_INVALID * greater,
        )


def mean_in_flight(generator_health: GeneratorHealth) -> float:
    """
    How many requests were in flight on the average, as sampled.
    """
    return generator_health.in_flight_s / generator_health.process_s if generator_health.process_s else 0.0


def total_time_in_flight(manifest: Manifest, whole: RequestStats) -> Seconds | None:
    """
    How long all requests were in flight together, by their times; None where too many have no time.
    """
    timed = sum(times.total for times in whole.service_time.values())
    deadline = manifest.settings.get("deadline_s")
    unknown = whole.count(Result.CENSORED)
    for outcome, count in whole.outcomes.items():
        if outcome.transport is Transport.DEADLINE and isinstance(deadline, int | float):
            timed += count * deadline
        elif outcome.transport is not Transport.ANSWERED and outcome.result is not Result.CENSORED:
            unknown += count
    return timed if whole.sent and unknown <= whole.sent / 100 else None
