"""One conformance run while it goes on, and its verdict."""

from __future__ import annotations

import math
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field, replace
from datetime import date

import pytest

from chainproof.clock import Seconds, format_duration
from chainproof.contract.accepted_violations import Acceptance
from chainproof.contract.answer import Answer
from chainproof.contract.clauses import COUNTABLE_CLAUSES
from chainproof.json_text import parse_json
from chainproof.judgement.conformance_verdict import ConformanceEvidence, conformance_verdict
from chainproof.judgement.verdict import Verdict
from chainproof.machine_faults import machine_fault
from chainproof.results.finding import Finding
from chainproof.results.manifest import Ending, RunEnd
from chainproof.results.run_writer import RunWriter
from chainproof.stored_text import beginning

from ..checks import Check
from ..checks.catalogue import ALL_CHECKS
from ..inputs.chain_schema import UNKNOWN_CHAIN, ChainSchema
from ..options import Settings
from ..probing.budget import ResponseTimes
from ..probing.concurrency import run_together
from ..probing.requester import Requester
from ..transport.check_skipped import CheckSkipped, RunCut, RunIncomplete
from ..transport.request import JSON_TYPE
from .check_list import skip_reason
from .finding_text import finding_text
from .input_discovery import discover_inputs
from .interruption import Interruption
from .plan import (
    BURST,
    FAST,
    MORE_TIME,
    PAIR,
    RunPlan,
    count_of,
    first_count_of,
    first_seconds_of,
    is_slow,
    measured_concurrency,
    pair_concurrency,
    plan_run,
    raised_concurrency,
    raised_time_limit,
    time_limit,
)
from .reproduction import reproduce_findings
from .schedule import CheckProgress, CheckRunner, Schedule
from .shared_causes import merge_shared_causes


@dataclass(slots=True, kw_only=True)
class ConformanceRun:
    """A conformance run: all checks of one pytest session against one target."""

    requester: Requester
    folder: RunWriter
    settings: Settings
    chain_schema: ChainSchema = UNKNOWN_CHAIN
    rerun: Callable[[str], str]
    """The command that runs the check with an id again."""
    acceptances: tuple[Acceptance, ...] = ()
    day: date
    """When the run began."""
    began: float = field(default_factory=time.monotonic)
    interruption: Interruption = field(default_factory=Interruption)
    blocked_reason: str | None = None
    """Why nothing can be exercised; empty if it can, None before the first request."""
    plan: RunPlan = field(default_factory=RunPlan)
    """The plan at the speed of the first answers; without durations before the first check."""
    times: ResponseTimes = field(default_factory=ResponseTimes)
    """The response times that it was made for."""
    planned_after: Seconds = 0.0
    """How long the first requests took, before the plan was made."""
    planned: frozenset[str] = frozenset()
    """The ids of the checks that the plan counts: those that are not skipped, whatever the time."""
    schedule: Schedule | None = None
    """Runs the checks of a slow target; None if they run one after the other."""
    runner: CheckRunner | None = None
    """Runs one check; None before the first."""
    redact: Callable[[str], str] = str
    """Removes secrets from a text that is shown."""
    progress: dict[str, CheckProgress] = field(default_factory=dict)
    """What became of the checks that have ended, by their ids."""
    internal_error: str = ""
    """An error in chainproof, in one line; empty if there was none."""
    machine_fault: str = ""
    """The problem of the machine that ended the run, in one line; empty if none did."""
    ending: Ending | None = None
    """None until the run has ended."""

    @property
    def evidence(self) -> ConformanceEvidence:
        """What the verdict depends on, so far."""
        finding_recorder = self.requester.finding_recorder
        return ConformanceEvidence(
            findings=finding_recorder.findings,
            exercised={name: finding_recorder.exercise_count(clause) for name, clause in COUNTABLE_CLAUSES.items()},
            day=self.day,
            acceptances=self.acceptances,
            contract=self.settings.contract,
            fail_on=self.settings.fail_on,
            ending=self.ending,
            blocked_reason=self.blocked_reason or "",
            cut_by=finding_recorder.cut_by,
            has_inputs=bool(self.settings.input_schema or self.settings.payloads),
            was_accepted=bool(finding_recorder.coverage.statuses.get(200)),
            internal_error=self.internal_error,
            machine_fault=self.machine_fault,
            selection=self.settings.selection,
        )

    @property
    def verdict(self) -> Verdict:
        """The verdict on the run."""
        return conformance_verdict(self.evidence)[0]


@dataclass(frozen=True, slots=True, kw_only=True)
class CheckResult:
    """The result of one check."""

    findings: tuple[Finding, ...]
    evidence: ConformanceEvidence
    """Of the run; tells which findings fail it."""

    def assert_passed(self) -> None:
        """Fail the test if a finding fails the run; mark it as an expected failure if all such findings were accepted."""
        __tracebackhide__ = True
        failing = [found for found in self.findings if self.evidence.fails_run(found)]
        if failing:
            pytest.fail("\n\n".join(finding_text(found) for found in failing), pytrace=False)
        accepted = {found.clause: found for found in self.findings if self.evidence.has_failing_level(found)}
        if accepted:
            reasons = (f"{clause}, found {found.actual}" for clause, found in accepted.items())
            pytest.xfail(f"accepted: {'; '.join(reasons)}")


FIRST_REQUESTS = "the first request"
"""The name in place of a check's for the requests before the first check."""


def run_check(conformance_run: ConformanceRun, check: Check, all_checks: Sequence[Check]) -> CheckProgress:
    """What becomes of a check. If there is no time to run *all_checks* one after the other, they are started together."""
    if conformance_run.runner is None:
        plan, times = _plan(conformance_run, all_checks)
        requester = conformance_run.requester
        conformance_run.runner = CheckRunner(requester, examples_scale=plan.examples_scale)
        conformance_run.plan, conformance_run.times = plan, times
        conformance_run.planned_after = requester.time_budget.passed
        if plan.concurrency > 1 or plan.two_rounds:
            conformance_run.schedule = Schedule(all_checks, requester, plan, times, conformance_run.settings.depth)
            conformance_run.schedule.start()
    schedule, runner = conformance_run.schedule, conformance_run.runner
    # In a worker of pytest-xdist the schedule has only the first check: the worker learns of others later.
    progress = schedule.progress(check) if schedule is not None and schedule.contains(check) else runner.run(check)
    conformance_run.progress[check.id] = progress
    reproduce_findings(conformance_run.requester, (check.title, FIRST_REQUESTS), check.id, conformance_run.rerun)
    return progress


def _plan(conformance_run: ConformanceRun, checks: Sequence[Check]) -> tuple[RunPlan, ResponseTimes]:
    """The plan of a run, and the response times that it is made for. Some targets answer only wrong keys slowly."""
    requester, settings = conformance_run.requester, conformance_run.settings
    with suppress(CheckSkipped):
        requester.send_once(
            replace(requester.build_request(label="a request without Authorization"), fields=(JSON_TYPE,))
        )
    checks = [check for check in checks if not _skip_reason(conformance_run, check)]
    conformance_run.planned = frozenset(check.id for check in checks)
    times = requester.response_times
    if is_slow(times):
        requester.waits = requester.waits.for_response_time(max(times.accepted, times.rejected))
    limits = requester.limits
    if times.accepted > FAST and limits.concurrency > 1:
        limits = replace(limits, concurrency=_measured_concurrency(requester, times))
        times = requester.response_times  # the first answers may have been slower
    budget = requester.time_budget
    limit = min(budget.seconds, time_limit(settings, times.accepted))
    plan = plan_run(checks, times, depth=settings.depth, limits=limits)
    budget.seconds = raised_time_limit(settings, limit, times.accepted, plan, budget.passed)
    limits = replace(limits, seconds=max(0.0, limit - budget.passed))
    return replace(plan_run(checks, times, depth=settings.depth, limits=limits), rest_until=limit), times


def _skip_reason(conformance_run: ConformanceRun, check: Check) -> str:
    """Why a check is not going to send many requests; empty if it is, or if its requests would be few."""
    requester = conformance_run.requester
    if count_of(check, conformance_run.settings.depth).reached < _MANY_REQUESTS:
        return ""
    return skip_reason(
        check,
        conformance_run.settings,
        conformance_run.chain_schema,
        is_remote=not requester.on_loopback,
        inputs=requester.inputs,
    )


_MANY_REQUESTS = 15
"""Requests of a check that change a plan."""

_MAX_BURST = 15
"""Times that an answer must fit into the time left. Otherwise only two requests at the same time are tried."""


def _measured_concurrency(requester: Requester, times: ResponseTimes) -> int:
    """How many requests at the same time are of use: many chains serve one after the other."""
    request = requester.build_request(label="one of a few at once")
    rate = requester.limits.rate
    measured: dict[int, Seconds] = {}

    def seconds_of(count: int) -> Seconds:
        began = time.monotonic()
        run_together(requester.send_once, [request] * count)
        # A limited rate spreads them.
        measured[count] = max(times.accepted, time.monotonic() - began - (count - 1) / rate)
        return measured[count]

    limit = requester.limits.concurrency
    try:
        if times.accepted * _MAX_BURST > requester.limits.seconds:
            # Two are served at once, so twice as many are answered by the deadline as if one was.
            most = min(limit, PAIR * requester.patient_threads(limit))
            return pair_concurrency(most, times.accepted, seconds_of(PAIR))
        usable = measured_concurrency(limit, times.accepted, seconds_of)
        if usable < limit or requester.settings.concurrency is not None:
            return usable
        return raised_concurrency(measured[BURST], seconds_of)
    except CheckSkipped:
        return (
            limit if requester.limits.seconds else 1
        )  # the time is over, most likely because they were served one by one


_MAX_NAMED = 12
"""Checks with requests that were not sent, above which their modules are named instead."""

CONFORMANCE_RUN = pytest.StashKey[ConformanceRun]()
"""Key in a test's stash: the run that the test belongs to."""


def blocked_reason(conformance_run: ConformanceRun) -> str:
    """
    Why no check can be run: the target rejects the key, or is not ready. Empty if checks can be run.

    Sends the first requests, which find out what the chain accepts.
    """
    requester = conformance_run.requester
    requester.check_name = FIRST_REQUESTS
    try:
        answers = discover_inputs(requester)
    except RunIncomplete as reason:
        requester.finding_recorder.cut_by = requester.finding_recorder.cut_by or reason.cause
        return ""
    statuses = {answer.status for answer in answers}
    if statuses and statuses <= {401, 403}:
        return (
            f"{requester.target.origin} rejects the key in {conformance_run.settings.api_key_env}: it answered "
            f"{_answer_text(answers[-1])} to a request with that key, so nothing could be tested; check the key and --auth-scheme"
        )
    if statuses and statuses <= {429, 502, 503, 504}:
        return (
            f"{requester.target.origin} is not ready: for {format_duration(float(round(requester.time_budget.passed)))} it answered "
            f"every request with {_answer_text(answers[-1])}, "
            "so nothing could be tested; run again when `chainproof call` is answered 200"
        )
    return ""


def _answer_text(answer: Answer) -> str:
    """An answer in a few words: its status and its error message."""
    value = parse_json(answer.body)
    message = value.get("error") if isinstance(value, dict) else beginning(answer.body, 80)
    return f"{answer.status} ({str(message)[:80]!r})"


def finish_run(conformance_run: ConformanceRun, ending: Ending) -> None:
    """
    Write the final counts and how the run ended. A complete run with an internal error counts as ended by it.

    What a problem of the machine, such as a full disk, keeps from being written is left out.
    """
    if ending is Ending.COMPLETED:
        merge_shared_causes(conformance_run.requester)
    is_over = _is_time_over(conformance_run)
    if conformance_run.schedule is not None:
        conformance_run.schedule.stop()
    with noting_machine_fault(conformance_run):
        _note_left_out(conformance_run, ending, is_over=is_over)
        conformance_run.requester.finding_recorder.write_counts(final=True)
    if conformance_run.machine_fault:
        ending = Ending.MACHINE_FAULT
    elif ending is Ending.COMPLETED and conformance_run.internal_error:
        ending = Ending.INTERNAL_ERROR
    conformance_run.ending = ending
    run_end = RunEnd(
        ending=ending,
        seconds=time.monotonic() - conformance_run.began,
        note=conformance_run.machine_fault or conformance_run.internal_error or conformance_run.blocked_reason or "",
    )
    with noting_machine_fault(conformance_run):
        conformance_run.folder.finish(run_end)
    if conformance_run.machine_fault:
        conformance_run.ending = Ending.MACHINE_FAULT


@contextmanager
def noting_machine_fault(conformance_run: ConformanceRun) -> Iterator[None]:
    """Note the first problem of the machine in a run, and go on. Other exceptions are raised."""
    try:
        yield
    except Exception as error:
        fault = machine_fault(error)
        if fault is None:
            raise
        conformance_run.machine_fault = conformance_run.machine_fault or fault


def _note_left_out(conformance_run: ConformanceRun, ending: Ending, *, is_over: bool) -> None:
    """
    Note which checks did not send all of their requests, and the time that is enough for them if that of the run *is over*. In an
    interrupted run, that is every check which did not end.
    """
    depth = conformance_run.settings.depth
    left_out: Counter[str] = Counter()
    modules: Counter[str] = Counter()
    is_interrupted = ending is Ending.INTERRUPTED
    all_ran = is_interrupted and not conformance_run.settings.selection
    for check in ALL_CHECKS:
        progress = conformance_run.progress.get(check.id, CheckProgress())
        count = progress.left_out
        is_cut = isinstance(progress.skipped, RunCut) or (all_ran and check.id not in conformance_run.progress)
        if is_cut and check.id in (conformance_run.planned or {check.id}):
            count = max(1, count_of(check, depth).requests - progress.sent)
        left_out[check.title] += count
        modules[check.module.replace("_", " ")] += count
    if left_out.total():
        named = left_out if sum(count > 0 for count in left_out.values()) <= _MAX_NAMED else modules
        finding_recorder = conformance_run.requester.finding_recorder
        cut_by = finding_recorder.cut_by
        why = "the run was interrupted" if is_interrupted else cut_by or "there was no time, or no requests were left"
        conformance_run.requester.note(
            f"about {left_out.total():,} planned requests were not sent, because {why}: "
            + "; ".join(f"{name} ({count:,})" for name, count in named.items() if count)
            + (_time_advice(conformance_run, left_out.total()) if is_over else "")
        )
        if is_over and cut_by:
            enough = _minutes(_first_round_time(conformance_run))
            finding_recorder.cut_by += (
                f", and a verdict without a violation needs about {enough}m (--time-budget {enough}m)"
            )


def _time_advice(conformance_run: ConformanceRun, left_out: int) -> str:
    """Which time budget is enough for all requests at the speed of the first answers, or of the whole run if that was slower."""
    sent = sum(each.sent for each in conformance_run.progress.values())
    planned = MORE_TIME * (conformance_run.planned_after + conformance_run.plan.seconds)
    by_now = conformance_run.requester.time_budget.seconds * (1 + left_out / sent) if sent else 0.0
    return f". At the speed of this run, --time-budget {_minutes(max(planned, by_now))}m is enough for all requests"


def _first_round_time(conformance_run: ConformanceRun) -> Seconds:
    """How long a run needs for its first round at the speed of the first answers, or of the whole run if that was slower."""
    before, depth, times = conformance_run.planned_after, conformance_run.settings.depth, conformance_run.times
    total = done = 0.0
    for check in ALL_CHECKS:
        if check.id not in conformance_run.planned or check.exclusive:  # these have to end with the time that is left
            continue
        progress = conformance_run.progress.get(check.id, CheckProgress())
        count, seconds = first_count_of(check, depth), first_seconds_of(check, times, depth)
        has_ended = progress.skipped is not None and not isinstance(progress.skipped, RunCut)
        total += seconds
        done += seconds * (1.0 if has_ended else min(1.0, progress.sent / max(count.requests, 1)))
    by_now = (conformance_run.requester.time_budget.passed - before) * total / done if done else 0.0
    return before + MORE_TIME * max(conformance_run.plan.first_seconds, by_now)


def _minutes(seconds: Seconds) -> int:
    """Whole minutes that are enough."""
    return max(1, math.ceil(seconds / 60))


def _is_time_over(conformance_run: ConformanceRun) -> bool:
    """Whether the time of a run with a plan is over, and no other limit ended it."""
    limits = conformance_run.requester.limits
    is_ended = limits.requests <= 0 or bool(conformance_run.requester.time_budget.stopped)
    return conformance_run.plan.seconds > 0 and limits.seconds <= 0 and not is_ended
