"""
The caveats about the load generator itself: thresholds, and what happens beyond them.

| measure | caveat beyond | invalid beyond |
|---|---|---|
| schedule lag outside of stalls, p99 | 10 ms | 50 ms, or a tenth of the tightest response-time threshold; always beyond 1 s |
| event-loop lag, p99 | 10 ms | never: see `generator_lag` |
| stalls | 100 ms | half of the time; an objective that is missed because of them |
| CPU use of one process, as a share of one core | 85 % | 95 % |
| correlation of users that pause for the same time | 0.2 | never |
| planned requests that were not sent in time | 1 % | 5 %, if the generator was late too |
| open files, as a share of the limit | 80 % | 95 % |
| ports, as a share of those available | 80 % | 95 % |
| total time in flight, difference between integrated and computed | 5 % | 20 % |

A p99 is beyond a limit when more than 1 % of the values are, with 95 % confidence (exact, by Clopper and Pearson). So one
slow request in fifty, which is their p99, triggers nothing.

Lag, stalls and CPU use can only make response times look worse. So they do not invalidate a pass, unless the generator was
a full second late or stood still for half of the time. The others do.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from math import ceil
from statistics import median

from chainproof.clock import Seconds, format_duration
from chainproof.judgement.caveat import Caveat, CaveatCode
from chainproof.judgement.objectives import ObjectiveResult
from chainproof.judgement.verdict import Verdict
from chainproof.results.exchange import Result, Transport
from chainproof.results.folder import Run
from chainproof.results.intervals.generator_health import GeneratorHealth
from chainproof.results.intervals.interval import Interval
from chainproof.results.intervals.request_stats import RequestStats
from chainproof.results.intervals.stalls import StalledRequests
from chainproof.results.manifest import Guard, Manifest, RunEnd
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
STALL_WARNING: Seconds = 0.100
STALL_INVALID = 0.5
"""Share of the run in which the generator stood still: so much of the planned load was not tested."""
STALLED_REQUESTS_INVALID = 0.01
"""Share of affected requests that invalidates a run without objectives: its p99 says nothing about the target."""
CPU_WARNING = 0.85
CPU_INVALID = 0.95
UNSENT_WARNING = 0.01
UNSENT_INVALID = 0.05
RESOURCE_WARNING = 0.80
RESOURCE_INVALID = 0.95
"""Share of the available files or ports."""
LITTLES_LAW_WARNING = 0.05
"""Allowed difference between the time in flight as integrated and as computed, as a share of the larger value."""
LITTLES_LAW_INVALID = 0.20
LITTLES_LAW_SLACK: Seconds = 0.002
"""Time that a request may stay in flight after its end, until the generator has read the answer."""
USERS_IN_STEP = 0.2
"""Correlation of two users beyond which they move in step: 0 if they are independent, 1 if all are in flight together."""
MIN_USERS = 5
"""Users of a process below which their correlation means nothing."""
_CYCLES = 3
"""The correlation is that within this many cycles of a user, so that a change of the target's speed does not count."""
MIN_DUE = 100
"""Planned requests below which a share of them means nothing."""

_BOTH_BOUNDS = 1.0 - 2 * (1.0 - CONFIDENCE)


def exceeds(values: Histogram, limit: Seconds, *, without: Histogram | None = None) -> bool:
    """Whether more than 1 % of the values, *without* some of them, are beyond *limit*, with 95 % confidence."""
    left_out = without if without is not None else Histogram()
    count = values.count - left_out.count
    beyond = (values.count - values.count_at_most(limit)) - (left_out.count - left_out.count_at_most(limit))
    if count <= 0 or beyond <= 0:
        return False
    low = proportion(min(beyond, count), count, _BOTH_BOUNDS).low
    return low is not None and low > 0.01


def max_trusted_lag(objectives: Sequence[str]) -> Seconds:
    """The schedule lag beyond which the generator may have caused a missed objective."""
    thresholds = [
        objective.threshold
        for objective in map(parse_objective, objectives)
        if objective.indicator is Indicator.RESPONSE_TIME
    ]
    return max(SCHEDULE_LAG_INVALID, min(thresholds) / 10) if thresholds else SCHEDULE_LAG_INVALID


def generator_caveats(
    run: Run,
    totals: Interval,
    judged: RequestStats,
    seconds: Sequence[Interval],
    objectives: Sequence[ObjectiveResult] = (),
) -> Iterator[Caveat]:
    """The caveats about the generator of a load run. *judged* are the requests of the judged phases."""
    manifest = run.manifest
    health = totals.generator_health if totals.generator_health is not None else GeneratorHealth()
    yield from _stalls(run, totals, judged, objectives, manifest.known_settings.duration or len(seconds))
    yield from _schedule_lag(manifest, judged)
    yield from _event_loop_lag(health)
    yield from _cpu(health)
    yield from _rate_not_reached(manifest, judged, seconds, waits=totals.network.slot_wait.count)
    yield from _resource(CaveatCode.OPEN_FILES, "open files", health.open_files, health.open_files_limit, "ulimit -n")
    yield from _resource(
        CaveatCode.PORTS,
        "connections, including closed ones that still occupy a port",
        health.ports,
        health.ports_limit,
        "net.ipv4.ip_local_port_range",
    )
    yield from _littles_law(manifest, totals, health)
    yield from _users_in_step(run, judged, seconds)


def _stalls(
    run: Run, totals: Interval, judged: RequestStats, objectives: Sequence[ObjectiveResult], duration: Seconds
) -> Iterator[Caveat]:
    """A generator that stands still sends nothing, and then too much at once."""
    by_worker = {
        (stall, interval.worker)
        for interval in run.intervals
        if interval.generator_health is not None
        for stall in interval.generator_health.stalls
    }
    if not by_worker:
        return
    longest, worker = max(by_worker, key=lambda each: (each[0].seconds, -each[0].start, each[1]))
    invalid = [each for each in objectives if each.verdict is Verdict.INVALID]
    missed = [each.objective.text for each in invalid if not each.was_undecided]
    undecided = [each.objective.text for each in invalid if each.was_undecided]
    if longest.seconds < STALL_WARNING and not invalid:
        return
    workers = len(run.workers)
    lost = sum(stall.seconds for stall, _ in by_worker)
    stalled = judged.stalled if judged.stalled is not None else StalledRequests()
    affected = stalled.count + stalled.excused
    where = f" (worker {worker})" if workers > 1 else ""
    others = f", and {len(by_worker) - 1} more times, {format_duration(lost)} in all" if len(by_worker) > 1 else ""
    yield Caveat(
        code=CaveatCode.GENERATOR_STALLED,
        text=f"The load generator{where} stood still for {format_duration(longest.seconds)} at "
        f"{format_duration(max(longest.start, 0.0))} of the run{others}: it was suspended, had no CPU or ran other code. "
        f"{affected:,} requests were due or in flight at such times."
        + (f" Without its lag these would not be missed: {', '.join(missed)}." if missed else "")
        + (f" Without its lag these would be met instead of undecided: {', '.join(undecided)}." if undecided else ""),
        remedy="Run it again on a machine that is not suspended or overloaded; look for slow code in your own "
        "locustfile.",
        invalidates=lost > STALL_INVALID * workers * duration or _exhausted_budget(run, totals),
        invalidates_failures=not objectives and affected > STALLED_REQUESTS_INVALID * judged.planned,
    )


def _exhausted_budget(run: Run, totals: Interval) -> bool:
    """Whether the error budget ended the run, and would not have without the errors during stalls."""
    budget = run.manifest.settings.get("error_budget")
    if run.end is None or run.end.guard is not Guard.ERROR_BUDGET or not isinstance(budget, int | float):
        return False
    excused = totals.stalled.excused if totals.stalled is not None else 0
    errors = totals.count(Result.FAILED) + totals.count(Result.TIMED_OUT)
    return excused > 0 and errors - excused <= budget * (totals.planned or errors)


def _schedule_lag(manifest: Manifest, judged: RequestStats) -> Iterator[Caveat]:
    lag = judged.schedule_lag.quantile(0.99)
    stalled = judged.stalled.schedule_lag if judged.stalled is not None else Histogram()
    late = judged.schedule_lag.count - judged.schedule_lag.count_at_most(SCHEDULE_LAG_WARNING)
    if lag is not None and lag > SCHEDULE_LAG_WARNING:
        yield Caveat(
            code=CaveatCode.GENERATOR_LATE,
            text=f"{late:,} of {judged.schedule_lag.count:,} requests were sent more than "
            f"{format_duration(SCHEDULE_LAG_WARNING)} after their intended start (p99 {format_duration(lag)}); response times "
            "include this delay.",
            remedy="Use a lower rate, an idle machine, or several; service times do not include it.",
            invalidates_failures=exceeds(judged.schedule_lag, max_trusted_lag(manifest.objectives), without=stalled),
            invalidates=exceeds(judged.schedule_lag, SCHEDULE_LAG_ALWAYS_INVALID, without=stalled),
        )


def _event_loop_lag(health: GeneratorHealth) -> Iterator[Caveat]:
    if exceeds(health.loop_lag, LOOP_LAG_WARNING):
        lag = health.loop_lag.quantile(0.99) or 0.0
        yield Caveat(
            code=CaveatCode.EVENT_LOOP_LAG,
            text=f"The event-loop lag of the generator was {format_duration(lag)} at p99: its own work or another "
            "program delayed it.",
            remedy="Use a lower rate, an idle machine, or --processes; look for slow code in your own locustfile.",
        )


def _cpu(health: GeneratorHealth) -> Iterator[Caveat]:
    if health.cpu > CPU_WARNING:
        yield Caveat(
            code=CaveatCode.GENERATOR_CPU,
            text=f"The generator used {health.cpu:.0%} of a CPU core, and one process cannot use more than one.",
            remedy="Distribute the requests with --processes, or over several machines.",
            invalidates_failures=health.cpu > CPU_INVALID,
        )


def _rate_not_reached(
    manifest: Manifest, judged: RequestStats, seconds: Sequence[Interval], *, waits: int
) -> Iterator[Caveat]:
    """
    A rate that was not reached was not tested.

    The target is the reason, and not the generator, if requests were not late but had *waits* for a free slot.
    """
    settings = manifest.known_settings
    if settings.model != "open" or settings.duration is None:
        return
    planned_seconds = [each for each in seconds if each.second < settings.duration]
    due = sum(each.planned - each.not_sent.total() for each in planned_seconds)
    sent = sum(each.sent for each in planned_seconds)
    if due >= MIN_DUE and due - sent > UNSENT_WARNING * due:
        is_full = waits >= due - sent and not exceeds(judged.schedule_lag, SCHEDULE_LAG_WARNING)
        answered = sum(each.answered for each in planned_seconds) / settings.duration
        yield Caveat(
            code=CaveatCode.RATE_NOT_REACHED,
            text=f"Of {due:,} requests that were due, {sent:,} were sent before the plan ended: the rate was "
            f"{sent / due:.1%} of the planned one."
            + (
                f" --max-in-flight was reached: the target answered {answered:,.0f}/s of {due / settings.duration:,.0f}/s."
                if is_full
                else ""
            ),
            remedy="The target does not serve this rate: find the highest one that it does with `chainproof loadtests "
            "saturation`. A higher --max-in-flight only shows how its queue grows."
            if is_full
            else "Use a lower rate, or --processes; if --max-in-flight was reached, allow more.",
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
    """The area under the curve of requests in flight is the sum of their times in flight (Little 1961)."""
    computed = total_time_in_flight(manifest, totals)
    if computed is None or not health.samples:
        return
    integrated = totals.in_flight_s
    stalled = sum(stall.seconds for stall in health.stalls) * totals.in_flight_max
    difference = abs(computed - integrated) - LITTLES_LAW_SLACK * totals.sent - stalled
    larger = max(computed, integrated)
    if difference > LITTLES_LAW_WARNING * larger:
        yield Caveat(
            code=CaveatCode.LITTLES_LAW,
            text=f"The total time of requests in flight is {format_duration(integrated)} by their number, but "
            f"{format_duration(computed)} by their service times.",
            remedy="Service times or requests are missing from the run folder: check the event-loop lag, then report it.",
            invalidates=difference > LITTLES_LAW_INVALID * larger,
        )


def _users_in_step(run: Run, judged: RequestStats, seconds: Sequence[Interval]) -> Iterator[Caveat]:
    """Users that pause for the same time send together, pause together, and test bursts."""
    settings = run.manifest.settings
    think_time, users = settings.get("think_time_s"), settings.get("users")
    times = judged.response_time[Result.OK]
    if not isinstance(think_time, int | float) or not isinstance(users, int) or think_time <= 0 or times.mean is None:
        return
    users_of_process = users / max(len(run.workers), 1)
    length = max(ceil(_CYCLES * (think_time + times.mean)), 1)
    blocks = [
        GeneratorHealth.merged(each.generator_health for each in seconds[start : start + length])
        for start in range(length // _CYCLES, len(seconds) - length, length)
    ]
    correlations = [correlation(block, users_of_process) for block in blocks]
    known = [value for value in correlations if value is not None]
    if users_of_process >= MIN_USERS and known and median(known) > USERS_IN_STEP:
        yield Caveat(
            code=CaveatCode.USERS_IN_STEP,
            text=f"The users move in step: they send at the same time and pause at the same time (correlation "
            f"{median(known):.2f}), so the target gets bursts.",
            remedy="Use --think-time-distribution exponential, or --model open.",
        )


def correlation(health: GeneratorHealth, users: float) -> float | None:
    """
    The correlation of two users being in flight; None if it is unknown.

    With n users, each in flight for a share p of the time, the number in flight has the variance np(1-p)(1 + (n-1)r).
    """
    if not health.samples or users <= 1:
        return None
    mean = health.in_flight_sum / health.samples
    share = mean / users
    if not 0.0 < share < 1.0:
        return None
    variance = health.in_flight_squares / health.samples - mean * mean
    return (variance / (users * share * (1.0 - share)) - 1.0) / (users - 1.0)


def mean_in_flight(totals: Interval, end: RunEnd | None) -> float:
    """The mean number of requests in flight during a run."""
    return totals.in_flight_s / end.seconds if end is not None and end.seconds > 0 else 0.0


def total_time_in_flight(manifest: Manifest, totals: Interval) -> Seconds | None:
    """
    The sum of the times in flight of all requests; None if more than 1 % of the requests have no time.

    A request is in flight until its answer is read, which is later than the end of its service time.
    """
    timed = sum(times.total for times in totals.service_time.values()) + totals.network.read_delay.total
    deadline = manifest.known_settings.deadline
    untimed = totals.count(Result.CENSORED) - totals.service_time[Result.CENSORED].count
    for outcome, count in totals.outcomes.items():
        if outcome.transport is Transport.DEADLINE and deadline is not None:
            timed += count * deadline
        elif outcome.transport is not Transport.ANSWERED and outcome.result is not Result.CENSORED:
            untimed += count
    return timed if totals.sent and untimed <= totals.sent / 100 else None
