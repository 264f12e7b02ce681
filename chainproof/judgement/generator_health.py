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
from chainproof.results.exchange import Fate, Transport
from chainproof.results.generator_health import Fitness
from chainproof.results.interval import Interval, Slice
from chainproof.results.manifest import Manifest
from chainproof.statistics.histogram import Histogram
from chainproof.statistics.intervals import CONFIDENCE, proportion
from chainproof.workload.objectives import Indicator, parse_objective

LATE_WORTH_SAYING: Seconds = 0.010
"""A schedule lag at p99 beyond which the reader should know: a local generator easily keeps below it."""
LATE_BEYOND_TRUST: Seconds = 0.050
"""… and beyond which response times say as much about us as about the target, unless the objective is far coarser."""
LATE_BEYOND_ANY_TRUST: Seconds = 1.0
"""… and beyond which the target was asked by another plan than the one that was meant."""
LOOP_WORTH_SAYING: Seconds = 0.010
LOOP_BEYOND_TRUST: Seconds = 0.100
CPU_WORTH_SAYING = 0.85
CPU_BEYOND_TRUST = 0.95
SHORT_WORTH_SAYING = 0.01
SHORT_BEYOND_TRUST = 0.05
FULL_WORTH_SAYING = 0.80
FULL_BEYOND_TRUST = 0.95
"""Of open files and of ports."""
LITTLE = 0.05
"""How far apart in-flight requests may be as sampled and as counted, as a share of the greater."""
LITTLE_BEYOND_TRUST = 0.20
LITTLE_EACH: Seconds = 0.002
"""… and how long beyond its end a request may be in flight to us: until our code has seen its answer."""
FEWEST_LOOKS = 200
"""With fewer looks their mean says nothing."""
FEWEST_SENT = 100
"""With fewer planned requests neither does a share of them."""

_BOTH_BOUNDS = 1.0 - 2 * (1.0 - CONFIDENCE)


@dataclass(frozen=True, slots=True, kw_only=True)
class Doubt:
    """
    One measure beyond what is worth saying.
    """

    code: str
    text: str
    remedy: str
    spoils_misses: bool = False
    """Whether a miss may be our own doing."""
    spoils: bool = False
    """Whether nothing can be concluded, not even that an objective was met."""


def beyond(values: Histogram, limit: Seconds, share: float = 0.01) -> bool:
    """
    Whether more than this share of the values surely lie beyond a limit.
    """
    if not values.count:
        return False
    low = proportion(values.count - values.count_at_most(limit), values.count, _BOTH_BOUNDS).low
    return low is not None and low > share


def tightest(objectives: Sequence[str]) -> Seconds:
    """
    The schedule lag beyond which a missed objective may be our own doing.
    """
    thresholds = [
        objective.threshold
        for objective in map(parse_objective, objectives)
        if objective.indicator is Indicator.RESPONSE_TIME
    ]
    return max(LATE_BEYOND_TRUST, min(thresholds) / 10) if thresholds else LATE_BEYOND_TRUST


def doubts(manifest: Manifest, whole: Interval, judged: Slice, seconds: Sequence[Interval]) -> Iterator[Doubt]:
    """
    Every measure of a run that is worth saying.
    """
    fitness = whole.fitness if whole.fitness is not None else Fitness()
    yield from _late(manifest, judged)
    yield from _loop(fitness)
    yield from _processor(fitness)
    yield from _short(manifest, judged, seconds)
    yield from _full("OPEN_FILES", "files open", fitness.descriptors, fitness.descriptors_limit, "ulimit -n")
    yield from _full(
        "PORTS",
        "connections, lingering ones included",
        fitness.ports,
        fitness.ports_limit,
        "net.ipv4.ip_local_port_range",
    )
    yield from _little(manifest, whole, fitness)


def _late(manifest: Manifest, judged: Slice) -> Iterator[Doubt]:
    lag = judged.schedule_lag.quantile(0.99)
    if lag is not None and lag > LATE_WORTH_SAYING:
        yield Doubt(
            code="GENERATOR_LATE",
            text=f"1 % of the requests were sent more than {format_duration(lag)} after their intended start: response "
            "times contain lateness of ours.",
            remedy="Use a lower rate, an idle machine, or several; service_time does not contain it.",
            spoils_misses=beyond(judged.schedule_lag, tightest(manifest.objectives)),
            spoils=beyond(judged.schedule_lag, LATE_BEYOND_ANY_TRUST),
        )


def _loop(fitness: Fitness) -> Iterator[Doubt]:
    if beyond(fitness.loop_lag, LOOP_WORTH_SAYING):
        lag = fitness.loop_lag.quantile(0.99) or 0.0
        yield Doubt(
            code="LOOP_LATE",
            text=f"1 % of the time the generator's event loop was {format_duration(lag)} late or later: something kept "
            "it, its own work or another program.",
            remedy="Use a lower rate, an idle machine, or --processes; look for slow code in your own locustfile.",
            spoils_misses=beyond(fitness.loop_lag, LOOP_BEYOND_TRUST),
        )


def _processor(fitness: Fitness) -> Iterator[Doubt]:
    if fitness.cpu > CPU_WORTH_SAYING:
        yield Doubt(
            code="GENERATOR_BUSY",
            text=f"The generator used {fitness.cpu:.0%} of a processor, and there is no more than one for a process.",
            remedy="Share the requests out with --processes, or over several machines.",
            spoils_misses=fitness.cpu > CPU_BEYOND_TRUST,
        )


def _short(manifest: Manifest, judged: Slice, seconds: Sequence[Interval]) -> Iterator[Doubt]:
    """
    A plan that is sent later than it says is another plan: a rate that was not reached was not tested.
    """
    asked = manifest.settings.get("duration_s")
    if manifest.settings.get("model") != "open" or not isinstance(asked, int | float):
        return
    inside = [each for each in seconds if each.second < asked]
    due = sum(each.planned - each.not_sent.total() for each in inside)
    sent = sum(each.sent for each in inside)
    if due >= FEWEST_SENT and due - sent > SHORT_WORTH_SAYING * due:
        yield Doubt(
            code="RATE_NOT_REACHED",
            text=f"Of {due:,} requests that were due, {sent:,} were sent before the plan ended: the rate was "
            f"{sent / due:.1%} of what was planned.",
            remedy="Use a lower rate, or --processes; where as many as --max-in-flight waited, allow more.",
            spoils=due - sent > SHORT_BEYOND_TRUST * due and beyond(judged.schedule_lag, LATE_BEYOND_TRUST),
        )


def _full(code: str, what: str, used: int, of: int, where: str) -> Iterator[Doubt]:
    if of and used > FULL_WORTH_SAYING * of:
        yield Doubt(
            code=code,
            text=f"The generator had {used:,} {what}, and there is room for {of:,}: connections that fail then fail "
            "because of us.",
            remedy=f"Raise {where}, lower --max-in-flight, or use several machines.",
            spoils=used > FULL_BEYOND_TRUST * of,
        )


def _little(manifest: Manifest, whole: Interval, fitness: Fitness) -> Iterator[Doubt]:
    """
    Requests in flight as sampled are the rate times the time each takes (Little 1961): more means times that were lost.
    """
    counted = residence(manifest, whole)
    if counted is None or fitness.looks < FEWEST_LOOKS:
        return
    mean = fitness.in_flight_sum / fitness.looks
    spread = math.sqrt(max(fitness.in_flight_squares / fitness.looks - mean * mean, 0.0) / fitness.looks)
    unsure = 3 * spread / mean * fitness.in_flight_s if mean else 0.0
    unsure += LITTLE_EACH * whole.sent
    apart, greater = abs(counted - fitness.in_flight_s) - unsure, max(counted, fitness.in_flight_s)
    if apart > LITTLE * greater:
        yield Doubt(
            code="LITTLES_LAW",
            text=f"Requests were in flight for {format_duration(fitness.in_flight_s)} together as sampled, and for "
            f"{format_duration(counted)} by their times: more apart than chance allows.",
            remedy="Service times or requests are missing from the record: look at loop lag first, then report it.",
            spoils=apart > LITTLE_BEYOND_TRUST * greater,
        )


def in_flight(fitness: Fitness) -> float:
    """
    How many requests were in flight on the average, as sampled.
    """
    return fitness.in_flight_s / fitness.process_s if fitness.process_s else 0.0


def residence(manifest: Manifest, whole: Slice) -> Seconds | None:
    """
    How long all requests were in flight together, by their times; None where too many have no time.
    """
    timed = sum(times.total for times in whole.service_time.values())
    deadline = manifest.settings.get("deadline_s")
    unknown = whole.count(Fate.CENSORED)
    for outcome, count in whole.outcomes.items():
        if outcome.transport is Transport.DEADLINE and isinstance(deadline, int | float):
            timed += count * deadline
        elif outcome.transport is not Transport.ANSWERED and outcome.fate is not Fate.CENSORED:
            unknown += count
    return timed if whole.sent and unknown <= whole.sent / 100 else None
