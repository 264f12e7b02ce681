"""
The caveats of a load run, one function for each. Its docstring says why the caveat exists.

A caveat that *invalidates* says that the measurement went wrong; the others limit what the figures mean.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import pairwise

from chainproof.clock import format_duration
from chainproof.contract.accepted_violations import is_accepted
from chainproof.contract.errors import Responsible
from chainproof.contract.levels import Level
from chainproof.judgement.accounting import Accounting
from chainproof.judgement.caveat import Caveat, CaveatCode
from chainproof.judgement.cold_start import SIMILARITY, ColdStart
from chainproof.judgement.judged_requests import JudgedRequests
from chainproof.judgement.latency import QUANTILES, Timing, too_few
from chainproof.judgement.no_ok_answers import rejected_inputs
from chainproof.judgement.run_caveats import assumed_path, damaged, emulated, expired_acceptances, unused_acceptances
from chainproof.results.exchange import OWN_ERRORS, NotSent, Result, responsible_for_outcome
from chainproof.results.folder import Run
from chainproof.results.intervals.interval import Interval
from chainproof.results.manifest import Ending, Guard
from chainproof.statistics.dependence import stronger
from chainproof.statistics.histogram import Histogram, merge_histograms
from chainproof.workload.objectives import INSTANTS, Indicator, parse_objective
from chainproof.workload.workload import REPLAY

_TAIL = 0.025
"""The probability beyond each end of a 95 % interval."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CaveatInput:
    """What the caveats of one load run depend on."""

    run: Run
    totals: Interval
    """All intervals of the run, merged."""
    accounting: Accounting
    start: ColdStart
    response_time: Timing
    """Of ok answers."""
    requests: JudgedRequests
    generator_caveats: tuple[Caveat, ...] = ()
    """The caveats about the load generator."""


def unfinished(inputs: CaveatInput) -> Iterator[Caveat]:
    """A run without an end lacks its last seconds, and what became of the requests in flight is unknown."""
    if inputs.run.end is None:
        yield Caveat(
            code=CaveatCode.UNFINISHED,
            text="The run is in progress or was killed: the requests of its last second or two, and those in flight, are missing.",
            remedy="If it is in progress, report on it after its end. If it was killed, run it again: Ctrl-C and SIGTERM end a run and complete its folder.",
            invalidates=True,
        )
    elif inputs.run.end.ending is Ending.MACHINE_FAULT:
        yield Caveat(
            code=CaveatCode.UNFINISHED,
            text=f"A problem of the machine ended the run after {format_duration(inputs.run.end.seconds)}: the requests since "
            "the last second that was written are missing.",
            remedy="Solve the problem that the first line names, and run it again.",
            invalidates=True,
        )


def accounting(inputs: CaveatInput) -> Iterator[Caveat]:
    """
    Every planned request must be accounted for, and two independent sets of counters must agree.

    They cannot where the last seconds could not be written: the machine's problem explains the difference.
    """
    if inputs.run.end is not None and inputs.run.end.ending is Ending.MACHINE_FAULT:
        return
    counted = inputs.accounting
    own_counts = dict(inputs.run.end.accounting) if inputs.run.end is not None else {}
    differing = [name for name, value in own_counts.items() if counted.to_json().get(name) != value]
    if (inputs.run.end is not None and not counted.adds_up) or differing:
        yield Caveat(
            code=CaveatCode.ACCOUNTING_MISMATCH,
            text=f"The counts do not add up: {counted.sentence}"
            + (f" The run's own counters differ in {', '.join(differing)}." if differing else ""),
            remedy="This is an error in chainproof, or the run folder was edited: please report it.",
            invalidates=True,
        )


def lost_workers(inputs: CaveatInput) -> Iterator[Caveat]:
    """A worker that stops reporting may have continued to send requests."""
    for lost in inputs.run.end.lost_workers if inputs.run.end is not None else ():
        yield Caveat(
            code=CaveatCode.WORKER_LOST,
            text=f"Worker {lost.worker} did not report from {format_duration(lost.start)} to "
            f"{format_duration(lost.end)} of the run ({lost.why}): its in-flight requests count as censored, the "
            "rest of its plan as not sent.",
            remedy="Find out why the process or its machine went away, and run it again.",
            invalidates=True,
        )


def generator_health(inputs: CaveatInput) -> Iterator[Caveat]:
    """A load generator that does not keep up measures itself."""
    yield from inputs.generator_caveats


def not_sent(inputs: CaveatInput) -> Iterator[Caveat]:
    """The limit on in-flight requests hides how much worse response times would have become."""
    count = inputs.totals.not_sent[NotSent.MAX_IN_FLIGHT]
    if count:
        yield Caveat(
            code=CaveatCode.MAX_IN_FLIGHT,
            text=f"{_requests(count, 'planned request')} not sent, because --max-in-flight was reached. "
            f"{_counted_as_unanswered(inputs)}",
            remedy="The target does not keep up with this rate; a higher --max-in-flight shows how its queue grows.",
        )


def unanswered(inputs: CaveatInput) -> Iterator[Caveat]:
    """Requests that timed out are in no percentile of the answers."""
    if inputs.accounting.timed_out:
        yield Caveat(
            code=CaveatCode.UNANSWERED,
            text=f"{inputs.accounting.timed_out:,} request{'s' * (inputs.accounting.timed_out != 1)} timed out, so the longest "
            f"times are in no percentile of the answers. {_counted_as_unanswered(inputs)}",
            remedy="A longer --deadline shows how long they really take.",
        )


def censored(inputs: CaveatInput) -> Iterator[Caveat]:
    """A request that was in flight when the run ended may be good or bad."""
    if inputs.accounting.censored:
        yield Caveat(
            code=CaveatCode.CENSORED,
            text=f"{_requests(inputs.accounting.censored)} in flight when the run stopped waiting, so how long they take is "
            "unknown. Objectives count those younger than the threshold as unknown, and older ones as too slow.",
            remedy="Wait longer for them with --drain.",
        )


def _requests(count: int, what: str = "request") -> str:
    """A number of requests, to precede a participle: `1 request was`."""
    return f"{count:,} {what}{' was' if count == 1 else 's were'}"


def _counted_as_unanswered(inputs: CaveatInput) -> str:
    """How objectives count requests that were never answered."""
    those = "those of judged phases" if inputs.run.manifest.phases else "them"
    return f"Objectives count {those} as never answered."


def mixed_phases(inputs: CaveatInput) -> Iterator[Caveat]:
    """A percentile over a ramp and a steady state describes neither."""
    phases = inputs.run.manifest.phases
    if phases and inputs.accounting.planned and not inputs.totals.phases:
        yield Caveat(
            code=CaveatCode.MIXED_PHASES,
            text="The workload has phases, but the run folder does not record them separately: the figures mix them.",
            remedy="Run it again with this version.",
        )
    elif phases and not any(phase.judged for phase in phases):
        yield Caveat(
            code=CaveatCode.MIXED_PHASES,
            text="No phase of the workload is judged, so figures and objectives mix all of them.",
            remedy="Look at the phases one by one, or let the workload judge its steady state.",
        )


def cold_start(inputs: CaveatInput) -> Iterator[Caveat]:
    """A run with an objective on its cold start mixes the cold start with what comes after it."""
    indicators = {parse_objective(text).indicator for text in inputs.run.manifest.objectives}
    start = inputs.start
    if not indicators & set(INSTANTS) or start.first_success is None or start.is_warm:
        return
    settling_time = (
        "response times had not settled, because they became slower later"
        if start.slowdown is not None
        else "response times had not settled when the run ended, or the run was too short to tell"
        if start.settling_time is None
        else f"response times settled {format_duration(start.settling_time)} after it"
    )
    yield Caveat(
        code=CaveatCode.COLD_START,
        text=f"The first ok answer came {format_duration(start.first_success)} after the first request was due; {settling_time} "
        "(by changes in the median of each second). The figures include the time before and after.",
        remedy="To measure the warm target alone, run again while it is warm.",
    )


def slowed_down(inputs: CaveatInput) -> Iterator[Caveat]:
    """Figures over a fast and a slow time describe neither. A rate that changes explains a change of response times."""
    slowdown = inputs.start.slowdown
    if slowdown is not None and _has_constant_rate(inputs.run):
        yield Caveat(
            code=CaveatCode.SLOWED_DOWN,
            text=f"Response times became slower from {format_duration(slowdown.start)} of the run on: the median of a "
            f"second was {format_duration(slowdown.before)} before and {format_duration(slowdown.after)} after it. The "
            "figures mix both.",
            remedy="Look at the chart of response times; run for longer to see which of the two lasts.",
        )


def unsteady(inputs: CaveatInput) -> Iterator[Caveat]:
    """A target that warms up, fills a queue or leaks memory has no percentile; where it changed is more useful."""
    if inputs.start.slowdown is not None or not _has_constant_rate(inputs.run):
        return
    batches = inputs.requests.batches(Indicator.RESPONSE_TIME)
    if not any(batches.dependence_of_quantile(fraction).too_short for fraction in (0.5, 0.95)):
        return
    p50s, p95s = ([part.quantile(fraction) for part in _thirds(inputs.requests)] for fraction in (0.5, 0.95))
    changing = [
        f"{name} was {', '.join(map(format_duration, known[:-1]))} and {format_duration(known[-1])}"
        for name, values in (("p50", p50s), ("p95", p95s))
        if len(known := [value for value in values if value is not None]) == len(values)
        if max(known) > (1.0 + SIMILARITY) * min(known)
    ]
    if changing:
        yield Caveat(
            code=CaveatCode.UNSTEADY,
            text="Response times changed in the course of the run: in its three thirds "
            f"{'; '.join(changing)}. Figures of the whole run mix these.",
            remedy="Leave a slow start out with --warm-up, and run for longer. If the target becomes slower all the "
            "time, as with a leak or a queue that grows, its percentiles only say how long the run was.",
        )


def _thirds(requests: JudgedRequests) -> list[Histogram]:
    """The response times of ok answers in the three thirds of the judged part."""
    seconds = [each.response_time[Result.OK] for each in requests.seconds]
    used = [place for place, each in enumerate(seconds) if each.count]
    first, end = (used[0], used[-1] + 1) if used else (0, 0)
    edges = [first + (end - first) * place // 3 for place in range(4)]
    return [merge_histograms(seconds[low:high]) for low, high in pairwise(edges)]


def _has_constant_rate(run: Run) -> bool:
    """Whether the planned rate, or the number of users, was the same for the whole run."""
    settings = run.manifest.settings
    phases = settings.get("phases")
    rates = [
        (row.get("rate_per_s"), row.get("final_rate_per_s"), row.get("amplitude_per_s"))
        for row in (phases if isinstance(phases, list) else [])
        if isinstance(row, dict)
    ]
    constant = all(first == last == rates[0][0] and amplitude is None for first, last, amplitude in rates)
    return constant and settings.get("arrivals") != REPLAY and not run.manifest.known_settings.replanned_at


def replanned(inputs: CaveatInput) -> Iterator[Caveat]:
    """A run whose rate was changed is two measurements."""
    instants = inputs.run.manifest.known_settings.replanned_at
    if instants:
        yield Caveat(
            code=CaveatCode.REPLANNED,
            text=f"The plan was replaced during the run, at {', '.join(map(format_duration, instants))}: figures and "
            "objectives of the run mix the plans.",
            remedy="Look at the phases, one for each plan; or make a separate run at each rate.",
        )


def interrupted(inputs: CaveatInput) -> Iterator[Caveat]:
    """An interrupted run says nothing about the part that is missing."""
    if inputs.run.end is not None and inputs.run.end.ending is Ending.INTERRUPTED:
        yield Caveat(
            code=CaveatCode.INTERRUPTED,
            text=f"The run was interrupted after {format_duration(inputs.run.end.seconds)}"
            f"{f' ({inputs.run.end.note})' if inputs.run.end.note else ''}; "
            f"{_requests(inputs.totals.not_sent[NotSent.STOPPED], 'planned request')} not sent.",
            remedy="Let it run to its end: a pass needs the full run.",
        )


_KEY_REMEDY = "Check the key in BASETEN_API_KEY (or the variable that --api-key-env names)."
_GUARDS = {
    Guard.KEY_REJECTED: (CaveatCode.KEY_REJECTED, _KEY_REMEDY),
    Guard.TARGET_UNREACHABLE: (
        CaveatCode.TARGET_UNREACHABLE,
        "Check that the target is running and reachable; --gone-after waits longer.",
    ),
    Guard.ERROR_BUDGET: (
        CaveatCode.ERROR_BUDGET,
        "See which requests failed, and why; --error-budget allows more of them.",
    ),
    Guard.RATE: (CaveatCode.RATE_EXCEEDED, "Add --think-time, or use fewer users; --max-rate allows more."),
}


def ended_by_guard(inputs: CaveatInput) -> Iterator[Caveat]:
    """A run that a guard ended says nothing about the part that is missing."""
    end = inputs.run.end
    if end is not None and end.guard is not None:
        code, remedy = _GUARDS[end.guard]
        yield Caveat(
            code=code,
            text=f"A guard ended the run after {format_duration(end.seconds)}: {end.note}. {_responsible_parties(inputs)}"
            f"{_requests(inputs.totals.not_sent[NotSent.STOPPED], 'planned request')} not sent.",
            remedy=remedy,
        )


def _responsible_parties(inputs: CaveatInput) -> str:
    """Who is responsible for how many errors, in a sentence; empty if it is unknown."""
    parties: Counter[Responsible] = Counter()
    for outcome, count in inputs.totals.outcomes.items():
        party = responsible_for_outcome(outcome)
        if party is not None:
            parties[party] += count
    if not parties:
        return ""
    counts = ", ".join(f"{party.value} {count:,}" for party, count in parties.most_common())
    return f"Responsible for the errors: {counts}. "


def generator_errors(inputs: CaveatInput) -> Iterator[Caveat]:
    """An error of the load generator says nothing about the target."""
    count = sum(count for outcome, count in inputs.totals.outcomes.items() if outcome.transport in OWN_ERRORS)
    if count:
        yield Caveat(
            code=CaveatCode.GENERATOR_ERRORS,
            text=f"{count:,} request{'s' * (count != 1)} failed in the load generator: this machine had no free port, file or memory, or the "
            "answer was longer than chainproof's limit. They count as never answered.",
            remedy="Raise the limits of this machine (`ulimit -n`, `net.ipv4.ip_local_port_range`), lower --max-in-flight, or "
            "use several machines.",
            invalidates_failures=True,
        )


def request_limit_reached(inputs: CaveatInput) -> Iterator[Caveat]:
    """A run with a limit on its requests may end before its duration is over."""
    settings, end = inputs.run.manifest.known_settings, inputs.run.end
    limit, duration, cost = settings.max_requests, settings.duration, settings.cost_per_request
    if limit is None or inputs.accounting.planned < limit or end is None:
        return
    if duration is not None and end.seconds < duration:
        costing = f", which cost {limit * cost:g}" if cost is not None else ""
        yield Caveat(
            code=CaveatCode.REQUEST_LIMIT_REACHED,
            text=f"The run ended after {format_duration(end.seconds)} of {format_duration(duration)}: its {limit:,} "
            f"requests were sent{costing}.",
            remedy="Allow more with --max-requests (or --max-cost) to see the rest.",
        )


def nothing_sent(inputs: CaveatInput) -> Iterator[Caveat]:
    """A run without requests has no figures."""
    if inputs.accounting.sent == 0:
        remedy = "" if inputs.accounting.planned else "Raise --rate or --duration."  # else another caveat says why
        yield Caveat(code=CaveatCode.NOTHING_SENT, text="No request was sent.", remedy=remedy)


def key_rejected(inputs: CaveatInput) -> Iterator[Caveat]:
    """A run with a wrong key measures the gateway's authentication and nothing else."""
    answered = inputs.totals.answered
    rejected = sum(count for outcome, count in inputs.totals.outcomes.items() if outcome.rejects_key)
    has_guard_caveat = inputs.run.end is not None and inputs.run.end.guard is Guard.KEY_REJECTED
    if answered and rejected == answered and not has_guard_caveat:
        yield Caveat(
            code=CaveatCode.KEY_REJECTED,
            text="Every answer was 401 or 403: the target rejects the API key, so nothing else was measured.",
            remedy=_KEY_REMEDY,
        )


def payload_rejected(inputs: CaveatInput) -> Iterator[Caveat]:
    """A run whose payload the chain rejects measures the validation of inputs and nothing else."""
    rejected = rejected_inputs(inputs.totals)
    if rejected is not None:
        count, answered = rejected.total(), inputs.totals.answered
        how_many = f"All {count:,} answers" if count == answered else f"{count:,} of {answered:,} answers"
        yield Caveat(
            code=CaveatCode.PAYLOAD_REJECTED,
            text=f"{how_many} were {' or '.join(map(str, sorted(rejected)))}: the payload may not fit this chain.",
            remedy="Name the inputs of the chain with --input-schema or --payloads; `chainproof call` shows one request "
            "and what the chain answers.",
        )


def coordinated_omission(inputs: CaveatInput) -> Iterator[Caveat]:
    """In the closed model a slow target slows the generator, so the worst moments are measured least."""
    if inputs.run.manifest.known_settings.model == "closed":
        yield Caveat(
            code=CaveatCode.COORDINATED_OMISSION,
            text="A closed model hides queueing: every user waits for an answer before the next request, so a slow "
            "target gets fewer requests when it is slowest.",
            remedy="Use --model open to measure it.",
        )


def too_few_answers(inputs: CaveatInput) -> Iterator[Caveat]:
    """The p99.9 of 500 requests is just their maximum."""
    times = inputs.response_time
    unbounded = [name for name in times.quantiles if too_few(times, name)]
    if not unbounded:
        return
    batches = inputs.requests.batches(Indicator.RESPONSE_TIME)
    found = stronger(*(batches.dependence_of_quantile(dict(QUANTILES)[name]) for name in unbounded))
    count = f"{times.count:,} ok answer{'s' * (times.count != 1)}"
    independent = round(found.effective_size(times.count, _TAIL))
    needed = "A 95 % interval needs 72 independent answers for p95, 368 for p99 and 3688 for p99.9"
    if found.design_effect > 1.0 and independent < times.count:
        count = (
            f"{count} depend on each other so much (design effect {found.design_effect:,.{1 if found.design_effect < 10 else 0}f}) that they tell as much as "
            f"{independent:,} independent one{'s' * (independent != 1)}. These"
        )
        remedy = f"{needed}. Slow and fast spells need a longer run: at least {format_duration(found.seconds_needed)}."
        if not found.too_short:
            remedy = f"{needed}. A longer run has more of them."
    else:
        remedy = f"{needed}; if they depend on each other, as many times more as the design effect says."
    verb = "is" if times.count == 1 else "are"
    yield Caveat(
        code=CaveatCode.TOO_FEW_REQUESTS,
        text=f"{count} {verb} too few for an upper confidence bound on {', '.join(unbounded)}: the true value may be far "
        "higher than shown.",
        remedy=remedy,
    )


def violations(inputs: CaveatInput) -> Iterator[Caveat]:
    """A fast answer that violates the contract is not a good answer."""
    manifest = inputs.run.manifest
    violated = dict.fromkeys(
        finding.clause
        for finding in inputs.run.findings
        if finding.level != Level.SHOULD and not is_accepted(finding.clause, manifest.acceptances, manifest.day)
    )
    if violated:
        yield Caveat(
            code=CaveatCode.CONTRACT_VIOLATIONS,
            text=f"Answers under load violated the contract: {', '.join(violated)}.",
            remedy="See the findings; `chainproof conformance` tests the contract in detail.",
        )


CAVEATS: tuple[Callable[[CaveatInput], Iterator[Caveat]], ...] = (
    unfinished,
    accounting,
    lost_workers,
    lambda inputs: damaged(inputs.run),
    nothing_sent,
    key_rejected,
    payload_rejected,
    ended_by_guard,
    request_limit_reached,
    generator_errors,
    generator_health,
    interrupted,
    not_sent,
    unanswered,
    censored,
    violations,
    lambda inputs: expired_acceptances(inputs.run),
    lambda inputs: unused_acceptances(inputs.run),
    mixed_phases,
    replanned,
    cold_start,
    slowed_down,
    unsteady,
    coordinated_omission,
    too_few_answers,
    lambda inputs: assumed_path(inputs.run),
    lambda inputs: emulated(inputs.run),
)
"""Every caveat of a load run, the most severe first."""


def load_caveats(inputs: CaveatInput) -> tuple[Caveat, ...]:
    """The caveats of a load run, the most severe first."""
    return tuple(caveat for caveats in CAVEATS for caveat in caveats(inputs))
