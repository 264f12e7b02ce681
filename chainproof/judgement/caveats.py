"""
Reasons to distrust the figures, each with a remedy: values that travel with a report, never log lines.

One function per reason, and the reason for the reason in its docstring. A caveat that *invalidates* says that the
measurement itself went wrong; the others say how far it reaches.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

from chainproof.contract.accepted_violations import is_accepted
from chainproof.contract.clauses import CLAUSE_BY_ID
from chainproof.contract.deviations import is_waived
from chainproof.contract.levels import Contract, Level
from chainproof.contract.openapi import PATH
from chainproof.durations import format_duration
from chainproof.judgement.accounting import Accounting
from chainproof.judgement.cold_start import ColdStart
from chainproof.judgement.generator_health import GeneratorIssue
from chainproof.results.exchange import NotSent
from chainproof.results.folder import Run
from chainproof.results.interval import Interval, RequestStats
from chainproof.results.manifest import Ending, Guard
from chainproof.statistics.intervals import quantile_ranks
from chainproof.workload.objectives import INSTANTS, parse_objective

QUANTILES: tuple[tuple[str, float], ...] = (("p50", 0.5), ("p90", 0.9), ("p95", 0.95), ("p99", 0.99), ("p99.9", 0.999))
"""The quantiles that every report gives."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Caveat:
    """
    A reason to distrust the figures.
    """

    code: str
    """Stable, upper case."""
    text: str
    """What was seen, and why it matters."""
    remedy: str
    """What to do about it; empty when nothing needs doing."""
    invalidates: bool = False
    """Whether the measurement cannot be trusted at all."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CaveatInput:
    """
    What the caveats of one load run are drawn from.
    """

    run: Run
    whole: Interval
    """All intervals of the run, merged."""
    judged: RequestStats
    """The requests of the judged phases: what figures and objectives are computed from."""
    accounting: Accounting
    start: ColdStart
    generator_issues: tuple[GeneratorIssue, ...] = ()
    """What is to say of the generator itself."""


def unfinished(inputs: CaveatInput) -> Iterator[Caveat]:
    """
    A run without its end may lack its last seconds, and nobody knows what was in flight.
    """
    if inputs.run.end is None:
        yield Caveat(
            code="UNFINISHED",
            text="The run was cut off before it could say how it ended: the requests of its last second or two, and those "
            "in flight, are missing.",
            remedy="Run it again, and end it with Ctrl-C or SIGTERM if it must end early: both leave a whole run.",
            invalidates=True,
        )


def accounting(inputs: CaveatInput) -> Iterator[Caveat]:
    """
    Whatever was planned must be found again; two sets of counters that never see each other must agree.
    """
    counted = inputs.accounting
    said = dict(inputs.run.end.accounting) if inputs.run.end is not None else {}
    differing = [name for name, value in said.items() if counted.to_json().get(name) != value]
    if (inputs.run.end is not None and not counted.adds_up) or differing:
        yield Caveat(
            code="ACCOUNTING_MISMATCH",
            text=f"The counts do not add up: {counted.sentence}"
            + (f" The run's own counters differ in {', '.join(differing)}." if differing else ""),
            remedy="This is an error of ours, or of whoever edited the run folder: please report it.",
            invalidates=True,
        )


def lost_workers(inputs: CaveatInput) -> Iterator[Caveat]:
    """
    Whoever stops telling what it does may have gone on doing it.
    """
    for lost in inputs.run.end.lost_workers if inputs.run.end is not None else ():
        yield Caveat(
            code="WORKER_LOST",
            text=f"Nothing is known of worker {lost.worker} from {format_duration(lost.start)} to "
            f"{format_duration(lost.end)} of the run ({lost.why}): its requests in flight are counted as censored, the "
            "rest of its plan as not sent.",
            remedy="See why that process or its machine went away, and run it again.",
            invalidates=True,
        )


def unreadable(inputs: CaveatInput) -> Iterator[Caveat]:
    """
    A torn last line is normal; a torn line in the middle is lost data.
    """
    if inputs.run.unreadable_lines:
        files = ", ".join(f"{count} in {name}" for name, count in inputs.run.unreadable_lines.items())
        yield Caveat(
            code="UNREADABLE_LINES",
            text=f"Lines of the run folder cannot be read: {files}.",
            remedy="Was the folder edited, or the disk full? Run it again.",
            invalidates=True,
        )


def generator_health(inputs: CaveatInput) -> Iterator[Caveat]:
    """
    A generator that does not keep up measures itself.
    """
    for doubt in inputs.generator_issues:
        yield Caveat(code=doubt.code, text=doubt.text, remedy=doubt.remedy, invalidates=doubt.invalidates)


def not_sent(inputs: CaveatInput) -> Iterator[Caveat]:
    """
    A cap on requests in flight protects both sides, and hides how bad it would have become.
    """
    count = inputs.whole.not_sent[NotSent.MAX_IN_FLIGHT]
    if count:
        yield Caveat(
            code="MAX_IN_FLIGHT",
            text=f"{count:,} planned requests were not sent because no slot became free for them: as many as --max-in-flight allows were unanswered. "
            f"{_counted(inputs)}",
            remedy="The target does not keep up with this rate; a higher --max-in-flight shows how its queue grows.",
        )


def unanswered(inputs: CaveatInput) -> Iterator[Caveat]:
    """
    What never came back is in no percentile of what did.
    """
    lost = inputs.accounting.timed_out + inputs.accounting.censored
    if lost:
        yield Caveat(
            code="UNANSWERED",
            text=f"{inputs.accounting.timed_out:,} requests timed out and {inputs.accounting.censored:,} were "
            f"censored: they took longer than any percentile here can show. {_counted(inputs)}",
            remedy="A longer --deadline shows how long they really take.",
        )


def _counted(inputs: CaveatInput) -> str:
    """
    What objectives make of requests that were never answered.
    """
    those = "those of judged phases" if inputs.run.manifest.phases else "them"
    return f"Objectives count {those} as never answered."


def mixed_phases(inputs: CaveatInput) -> Iterator[Caveat]:
    """
    A percentile over a ramp and a steady state describes neither.
    """
    phases = inputs.run.manifest.phases
    if phases and inputs.accounting.planned and not inputs.whole.phases:
        yield Caveat(
            code="MIXED_PHASES",
            text="The workload has phases, and the record does not tell them apart: the figures mix all of them.",
            remedy="Run it again with this version.",
        )
    elif phases and not any(phase.judged for phase in phases):
        yield Caveat(
            code="MIXED_PHASES",
            text="No phase of the workload is judged, so figures and objectives mix all of them.",
            remedy="Look at the phases one by one, or let the workload judge its steady state.",
        )


def cold_start(inputs: CaveatInput) -> Iterator[Caveat]:
    """
    Whoever asks how a target begins has figures that mix its beginning with what came after.
    """
    asked = {parse_objective(text).indicator for text in inputs.run.manifest.objectives}
    start = inputs.start
    if not asked & set(INSTANTS) or start.first_success is None:
        return
    settling_time = (
        "response times had not settled when the run ended, or it was too short to say"
        if start.settling_time is None
        else f"response times settled {format_duration(start.settling_time)} into it"
    )
    yield Caveat(
        code="COLD_START",
        text=f"The first request was answered ok {format_duration(start.first_success)} into the run; {settling_time} (MSER on the "
        "median of each second). The figures hold both what came before and what came after.",
        remedy="For the target at work alone, run again while it is warm.",
    )


def apply_replans(inputs: CaveatInput) -> Iterator[Caveat]:
    """
    Whoever changes the rate half-way has made two measurements.
    """
    instants = inputs.run.manifest.settings.get("replanned_at_s")
    if isinstance(instants, list) and instants:
        told = ", ".join(format_duration(each) for each in instants if isinstance(each, int | float))
        yield Caveat(
            code="REPLANNED",
            text=f"Another plan was asked for while the run went on, from {told} of it on: figures and objectives of the run "
            "mix the plans.",
            remedy="Look at the phases, one for each plan; or make a run of its own at each rate.",
        )


def interrupted(inputs: CaveatInput) -> Iterator[Caveat]:
    """
    Half a run is evidence of what it saw, not of what it was meant to see.
    """
    if inputs.run.end is not None and inputs.run.end.ending is Ending.INTERRUPTED:
        yield Caveat(
            code="INTERRUPTED",
            text=f"The run was interrupted after {format_duration(inputs.run.end.seconds)}; "
            f"{inputs.whole.not_sent[NotSent.STOPPED]:,} planned requests were not asked for any more.",
            remedy="A pass needs a whole run.",
        )


_GUARD_REMEDIES = {
    Guard.KEY_REJECTED: "Check the key in BASETEN_API_KEY (or the variable that --api-key-env names).",
    Guard.TARGET_UNREACHABLE: "See whether the target is there at all, and the way to it; --gone-after waits longer.",
    Guard.ERROR_BUDGET: "See which requests failed, and why; --error-budget allows more of them.",
    Guard.RATE: "Add --think-time, or use fewer users; --max-rate allows more.",
}


def ended_by_guard(inputs: CaveatInput) -> Iterator[Caveat]:
    """
    What a guard ended was not seen to its end: what came after would have been more of the same, or not.
    """
    end = inputs.run.end
    if end is not None and end.guard is not None:
        yield Caveat(
            code=end.guard.value.upper() if end.guard is not Guard.RATE else "RATE_EXCEEDED",
            text=f"The run was ended after {format_duration(end.seconds)} by a guard: {end.note}. "
            f"{inputs.whole.not_sent[NotSent.STOPPED]:,} planned requests were not asked for any more.",
            remedy=_GUARD_REMEDIES[end.guard],
        )


def request_limit_reached(inputs: CaveatInput) -> Iterator[Caveat]:
    """
    A run that was given so many requests and sent them all may have ended before its time.
    """
    settings = inputs.run.manifest.settings
    most, duration, end = settings.get("max_requests"), settings.get("duration_s"), inputs.run.end
    if not isinstance(most, int) or inputs.accounting.planned < most or end is None:
        return
    cost = settings.get("cost_per_request")
    spent = f", which cost {most * cost:g}" if isinstance(cost, int | float) else ""
    if isinstance(duration, int | float) and end.seconds < duration:
        yield Caveat(
            code="REQUEST_LIMIT_REACHED",
            text=f"The run ended after {format_duration(end.seconds)} of {format_duration(duration)}: its {most:,} "
            f"requests were sent{spent}.",
            remedy="Allow more with --max-requests (or --max-cost) to see the rest.",
        )


def nothing_sent(inputs: CaveatInput) -> Iterator[Caveat]:
    """
    No requests, no statement.
    """
    if inputs.accounting.sent == 0:
        yield Caveat(code="NOTHING_SENT", text="Not a single request was sent.", remedy="Raise --rate or --duration.")


def key_rejected(inputs: CaveatInput) -> Iterator[Caveat]:
    """
    A run with the wrong key measures the gateway's doorman.
    """
    answered = inputs.accounting.ok + inputs.accounting.failed
    refused = sum(count for outcome, count in inputs.whole.outcomes.items() if outcome.status in (401, 403))
    guarded_so = inputs.run.end is not None and inputs.run.end.guard is Guard.KEY_REJECTED
    if answered and refused == answered and not guarded_so:
        yield Caveat(
            code="KEY_REJECTED",
            text="Every answer was 401 or 403: the target refuses the API key, and nothing was measured but that.",
            remedy="Check the key in BASETEN_API_KEY (or the variable that --api-key-env names).",
        )


def coordinated_omission(inputs: CaveatInput) -> Iterator[Caveat]:
    """
    In the closed model a slow target slows its own interrogation.
    """
    if inputs.run.manifest.settings.get("model") == "closed":
        yield Caveat(
            code="COORDINATED_OMISSION",
            text="Closed model: every user waits for an answer before asking again, so a slow target is asked less often "
            "and the requests that would have met its worst moments are missing.",
            remedy="Use --model open to learn what callers wait who do not wait for each other.",
        )


def too_few_answers(inputs: CaveatInput) -> Iterator[Caveat]:
    """
    The p99.9 of five hundred requests is their maximum in disguise.
    """
    count = sum(times.count for times in inputs.judged.response_time.values())
    unsure = [name for name, fraction in QUANTILES if quantile_ranks(count, fraction)[1] is None] if count else []
    if unsure:
        yield Caveat(
            code="TOO_FEW_REQUESTS",
            text=f"{count:,} answers are too few for an upper confidence bound on {', '.join(unsure)}: the true value may "
            "be far above what is shown.",
            remedy="A 95 % interval takes 72 answers for p95, 368 for p99 and 3688 for p99.9.",
        )


def violations(inputs: CaveatInput) -> Iterator[Caveat]:
    """
    A target that is quick and wrong is wrong.
    """
    manifest = inputs.run.manifest
    binding = [
        finding
        for finding in inputs.run.findings
        if finding.level != Level.SHOULD and not is_accepted(finding.clause, manifest.acceptances, manifest.day)
    ]
    if binding:
        clauses = ", ".join(dict.fromkeys(finding.clause for finding in binding))
        yield Caveat(
            code="CONTRACT_VIOLATIONS",
            text=f"Answers under load departed from the contract: {clauses}.",
            remedy="See the findings; `chainproof conformance` looks closer.",
        )


def expired_acceptances(run: Run) -> Iterator[Caveat]:
    """
    An acceptance is a loan: once its day has passed, the clause counts again.
    """
    manifest = run.manifest
    past = [
        each
        for each in manifest.acceptances
        if not each.applies_on(manifest.day) and not is_accepted(each.clause, manifest.acceptances, manifest.day)
    ]
    if past:
        clauses = ", ".join(f"{each.clause} (until {each.until})" for each in past)
        yield Caveat(
            code="ACCEPTANCE_EXPIRED",
            text=f"No longer accepted, as the run began after the day named: {clauses}. Violations count again.",
            remedy="See whether the target has been mended, and remove --accept or name a later day.",
        )


def unused_acceptances(run: Run) -> Iterator[Caveat]:
    """
    What is accepted and kept all the same would hide the next time it breaks.

    Only a whole run that put the clause to the test can say so.
    """
    manifest = run.manifest
    if run.end is None or run.end.ending is not Ending.COMPLETED:
        return
    violations = {finding.clause for finding in run.findings}
    exercised = {count.clause for count in run.clauses if count.exercised}
    held = [
        each.clause
        for each in manifest.acceptances
        if each.applies_on(manifest.day)
        and each.clause not in violations
        and (each.clause in exercised or _never_held(each.clause, manifest.contract))
    ]
    if held:
        yield Caveat(
            code="UNUSED_ACCEPTANCE",
            text=f"Accepted, though nothing in this run departed from it: {', '.join(dict.fromkeys(held))}.",
            remedy="Remove --accept unless another run needs it.",
        )


def _never_held(clause_id: str, contract: str) -> bool:
    """
    Whether no answer is ever held against a clause: this version has none such, or the contract takes it back.
    """
    return clause_id not in CLAUSE_BY_ID or is_waived(CLAUSE_BY_ID[clause_id], Contract(contract))


def acceptance_caveats(inputs: CaveatInput) -> Iterator[Caveat]:
    """
    What is to say of the violations that were accepted beforehand.
    """
    yield from expired_acceptances(inputs.run)
    yield from unused_acceptances(inputs.run)


def assumed_path(run: Run) -> Iterator[Caveat]:
    """
    What the document says of one path is assumed to hold for its sister.
    """
    if run.manifest.settings.get("path_assumed"):
        yield Caveat(
            code="ASSUMED_PATH",
            text=f"The document speaks of {PATH} alone; its clauses are assumed to hold for {run.manifest.target}.",
            remedy="Take what departs there as a question to whoever runs it, not as a broken promise.",
        )


def emulated(inputs: CaveatInput) -> Iterator[Caveat]:
    """
    Figures of an emulator are figures of this machine.
    """
    if inputs.run.manifest.emulated:
        yield Caveat(
            code="EMULATED",
            text="The target was chainproof's own emulator: the figures show what it was told to do, on this machine.",
            remedy="Name your chain with --target.",
        )


CAVEATS: tuple[Callable[[CaveatInput], Iterator[Caveat]], ...] = (
    unfinished,
    accounting,
    lost_workers,
    unreadable,
    nothing_sent,
    key_rejected,
    ended_by_guard,
    request_limit_reached,
    generator_health,
    interrupted,
    not_sent,
    unanswered,
    violations,
    acceptance_caveats,
    mixed_phases,
    apply_replans,
    cold_start,
    coordinated_omission,
    too_few_answers,
    lambda inputs: assumed_path(inputs.run),
    emulated,
)
"""Every reason, the gravest first."""


def caveats(inputs: CaveatInput) -> tuple[Caveat, ...]:
    """
    Every reason to distrust a load run.
    """
    return tuple(caveat for reason in CAVEATS for caveat in reason(inputs))
