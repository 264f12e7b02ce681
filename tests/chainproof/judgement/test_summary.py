"""Verdicts and caveats of runs made by hand."""

from __future__ import annotations

import random
import re
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from chainproof.contract import clauses
from chainproof.contract.clauses import Clause
from chainproof.contract.deviations import is_waived
from chainproof.contract.errors import Responsible
from chainproof.contract.levels import Contract
from chainproof.judgement.accounting import accounting
from chainproof.judgement.caveat import CaveatCode
from chainproof.judgement.conformance_summary import ClauseState, ConformanceSummary, summarise_conformance
from chainproof.judgement.load_summary import LoadSummary, summarise_load
from chainproof.judgement.summary import report
from chainproof.judgement.verdict import Verdict
from chainproof.results.coverage import Coverage
from chainproof.results.exchange import NotSent, Outcome, Result, Transport
from chainproof.results.finding import ClauseCount, Finding
from chainproof.results.folder import Run
from chainproof.results.intervals.generator_health import GeneratorHealth
from chainproof.results.intervals.interval import Interval, total
from chainproof.results.intervals.stalls import Stall, StalledRequests
from chainproof.results.manifest import Ending, Guard, LostWorker, Manifest, RunEnd, RunKind

OK = Outcome(Transport.ANSWERED, 200, None, Result.OK)
UNAUTHORIZED = Outcome(Transport.ANSWERED, 401, "unauthorized", Result.FAILED)
RATE_LIMITED = Outcome(Transport.ANSWERED, 429, "rate_limited", Result.FAILED)
CENSORED = Outcome(Transport.DRAIN_ENDED, None, None, Result.CENSORED)
INVALID_INPUT = Outcome(Transport.ANSWERED, 400, "client_error", Result.FAILED)
NO_PORTS = Outcome(Transport.NO_RESOURCES, None, None, Result.FAILED)
CHAINS_KEY = Outcome(Transport.ANSWERED, 401, None, Result.FAILED, Responsible.CHAIN)
TIMED_OUT = Outcome(Transport.DEADLINE, None, None, Result.TIMED_OUT)
URL = "https://chain-abc123.api.baseten.co/production/run_remote"


def interval(outcome: Outcome = OK, *, count: int = 5000, time: float = 0.1, lag: float = 0.001) -> Interval:
    """One second with *count* requests of the same outcome."""
    second = Interval(second=0)
    for _ in range(count):
        second.count_planned()
        second.count_all_sent([lag])
        second.count_outcomes(outcome, [time + lag], [time])
    return second


def monitored(
    second: Interval,
    *,
    loop: float = 0.001,
    cpu: float = 0.3,
    files: int = 100,
    ports: int = 100,
    in_flight: int | None = None,
) -> Interval:
    """The second with generator health; in-flight requests match the service times by default."""
    generator_health = GeneratorHealth()
    among = round(sum(times.total for times in second.service_time.values())) if in_flight is None else in_flight
    for _ in range(1000):
        generator_health.add_sample(among, loop, 1.0)
    generator_health.add_cpu_time(cpu, 1.0)
    generator_health.open_files, generator_health.open_files_limit = files, 1000
    generator_health.ports, generator_health.ports_limit = ports, 28_000
    second.generator_health = generator_health
    second.in_flight_ns = among * 1_000_000_000
    return second


def count_stalled(affected: StalledRequests, response: float, service: float, within: float) -> None:
    """Count a request that a stall affected for *within* seconds."""
    affected.record_all(
        {
            "response_time": [response],
            "response_time_without": [max(response - within, 0.0)],
            "service_time": [service],
            "service_time_without": [max(service - within, 0.0)],
            "schedule_lag": [response - service],
        }
    )


def stalled(slow: Interval, *, normal: int, within: float = 4.0, excused: int = 0) -> Interval:
    """The requests of *slow*, of which a stall of 4 s affected every one for *within* seconds, and some without trouble."""
    second = monitored(interval(count=normal))
    affected = StalledRequests(excused=excused)
    for _ in range(slow.count(Result.OK)):
        response, service = slow.response_time[Result.OK].mean or 0.0, slow.service_time[Result.OK].mean or 0.0
        count_stalled(affected, response, service, within)
    if excused:
        affected.schedule_lag = slow.schedule_lag
    slow.stalled = affected
    second.merge(slow)
    second.in_flight_ns += round(sum(times.total for times in slow.service_time.values()) * 1e9)
    assert second.generator_health is not None
    second.generator_health.stalls = [Stall(5.0, 9.0, 9.3)]
    return second


def one_late_request() -> tuple[Interval, Interval]:
    """Fifty requests that are too slow, and one that was sent late as well."""
    second = interval(time=2.0, count=50)
    late = interval(time=2.0, count=1, lag=0.3)
    return second, late


def overdue(count: int, lag: float = 0.001) -> tuple[Interval, Interval]:
    """A second of many requests, some of which are sent after the end of the plan."""
    first, after = interval(count=5000 - count, lag=lag), interval(count=count, lag=lag)
    first.planned, after.planned, after.second = 5000, 0, 1
    return first, after


def two_workers(recovered: float, lag: float = 0.001) -> Run:
    """Fifteen seconds of two workers, one of which stalls. Then the other's requests are slow too, for two seconds."""
    seconds = []
    for number in range(15):
        for worker in "01":
            is_slow = number in (9, 10)
            second = monitored(interval(count=100, time=2.0 if is_slow else 0.1, lag=lag if is_slow else 0.001))
            second.second, second.worker = number, worker
            seconds.append(second)
    assert seconds[20].generator_health is not None
    seconds[20].generator_health.stalls = [Stall(5.0, 9.0, recovered)]
    return with_settings(load_run(*seconds), duration_s=15.0)


def fifteen(second: Interval, *objectives: str, within: float | None = None) -> Run:
    """A run of 15 s with these objectives. *within* changes how long the stall affected each request."""
    if within is not None:
        slow = second.response_time[Result.OK]
        affected = StalledRequests()
        for _ in range(slow.count):
            count_stalled(affected, slow.mean or 0.0, slow.mean or 0.0, within)
        second.stalled = affected
    earlier = [interval(RATE_LIMITED, count=1)] if second.second else []
    run = with_settings(load_run(*earlier, second), duration_s=15.0)
    return with_objectives(run, *objectives) if objectives else run


def late_start(second: Interval) -> Interval:
    """The interval at a later time; `fifteen` adds a rejected request at the start."""
    second.second = 8
    return second


def ended_by_budget() -> RunEnd:
    """The end of a run whose error budget was used up."""
    end = stopped_by(Guard.ERROR_BUDGET).end
    assert end is not None
    return replace(end, accounting={})


def stopped_by(guard: Guard, second: Interval | None = None) -> Run:
    """A run that a guard ended."""
    run = with_ending(load_run(second), Ending.STOPPED_BY_GUARD, "a limit was reached")
    assert run.end is not None
    return replace(run, end=replace(run.end, guard=guard))


def load_run(second: Interval | None = None, *more: Interval, **changes: object) -> Run:
    """A complete load run of one second without any problem."""
    second = interval() if second is None else second
    manifest = Manifest(
        kind=RunKind.LOAD,
        name="steady",
        started="2026-11-22T13:27:00.250Z",
        target=URL,
        settings={"model": "open", "duration_s": 1.0},
        objectives=("p95 response_time < 800ms",),
    )
    end = RunEnd(ending=Ending.COMPLETED, seconds=1.1, accounting=accounting(total([second, *more])).to_json())
    run = Run(path=Path("runs/x"), manifest=manifest, intervals=(second, *more), end=end)
    return replace(run, **changes)  # type: ignore[arg-type]  # the fields of Run, by name


def finding(clause: Clause) -> Finding:
    """One violation of a clause."""
    return Finding(
        clause=clause.id,
        level=clause.level.value,
        source=clause.source,
        quotation=clause.quotation,
        expected="this",
        actual="that",
        count=1,
        reproduce="curl",
    )


def with_settings(run: Run, **changed: object) -> Run:
    """The run with other settings."""
    return replace(run, manifest=replace(run.manifest, settings={**run.manifest.settings, **changed}))


def with_ending(run: Run, ending: Ending, note: str = "") -> Run:
    """The run with another ending."""
    assert run.end is not None
    return replace(run, end=replace(run.end, ending=ending, note=note))


def with_objectives(run: Run, *objectives: str) -> Run:
    """The run with other objectives."""
    return replace(run, manifest=replace(run.manifest, objectives=objectives))


def closed_run(*, in_step: bool, think_time_s: float = 0.4) -> Run:
    """Twenty seconds of 20 users, each in flight for a fifth of the time: all together, or independently of each other."""
    seconds = []
    for number in range(20):
        second = interval(count=250)
        second.second = number
        health = GeneratorHealth()
        for sample in range(50):
            among = (
                20 * (sample % 5 == 0)
                if in_step
                else sum((sample * 7 + user * 11 + number) % 5 == 0 for user in range(20))
            )
            health.add_sample(among, 0.001, 1.0)
        health.add_cpu_time(0.3, 1.0)
        second.generator_health, second.in_flight_ns = health, round(250 * 0.1 * 1e9)
        seconds.append(second)
    return with_settings(load_run(*seconds), users=20, think_time_s=think_time_s, duration_s=20.0)


def slower_run(**settings: object) -> Run:
    """Forty seconds, of which the last fifteen have slower answers."""
    seconds = []
    for number in range(40):
        second = interval(count=100, time=0.1 if number < 25 else 0.15)
        second.second = number
        seconds.append(second)
    return with_settings(load_run(*seconds), duration_s=40.0, **settings)


def changing_run(*factors: float, **settings: object) -> Run:
    """Forty-five seconds whose answers become slower or faster all the time, from one factor to the next."""
    source, seconds = random.Random(1), []
    for number in range(45):
        place = number / 45 * (len(factors) - 1)
        low = int(place)
        factor = factors[low] + (factors[low + 1] - factors[low]) * (place - low)
        second = Interval(second=number)
        for _ in range(50):
            second.count_planned()
            second.count_all_sent([0.0])
            time = 0.05 * factor * source.lognormvariate(0.0, 0.3)
            second.count_outcomes(OK, [time], [time])
        seconds.append(second)
    return with_objectives(with_settings(load_run(*seconds), duration_s=45.0, **settings), "max response_time < 60s")


def capped() -> Interval:
    """A second in which --max-in-flight was reached."""
    second = interval()
    for _ in range(10):
        second.count_planned()
        second.count_not_sent(NotSent.MAX_IN_FLIGHT)
    return second


def miscounted() -> Run:
    """A run whose own counters differ from its intervals."""
    run = load_run()
    assert run.end is not None
    return replace(run, end=replace(run.end, accounting={**run.end.accounting, "ok": 1}))


def with_lost_worker() -> Run:
    """A run one of whose workers stopped reporting."""
    run = load_run()
    assert run.end is not None
    lost = LostWorker(worker="1", start=0.2, end=1.0, why="it did not report any more")
    return replace(run, end=replace(run.end, lost_workers=(lost,)))


PROBLEMS: dict[str, Callable[[], Run]] = {
    "UNFINISHED": lambda: load_run(end=None),
    "ACCOUNTING_MISMATCH": miscounted,
    "WORKER_LOST": with_lost_worker,
    "REPLANNED": lambda: with_settings(load_run(), replanned_at_s=[0.5]),
    "DAMAGED_FILES": lambda: load_run(damage={"intervals.jsonl": "the file is missing"}),
    "NOTHING_SENT": lambda: load_run(Interval(second=0)),
    "GENERATOR_LATE": lambda: load_run(interval(lag=0.020)),
    "KEY_REJECTED": lambda: load_run(interval(UNAUTHORIZED)),
    "PAYLOAD_REJECTED": lambda: with_objectives(load_run(interval(INVALID_INPUT)), "error_rate <= 100%"),
    "TARGET_UNREACHABLE": lambda: stopped_by(Guard.TARGET_UNREACHABLE),
    "ERROR_BUDGET": lambda: stopped_by(Guard.ERROR_BUDGET),
    "RATE_EXCEEDED": lambda: stopped_by(Guard.RATE),
    "REQUEST_LIMIT_REACHED": lambda: with_settings(
        load_run(), max_requests=5000, cost_per_request=0.5, duration_s=60.0
    ),
    "GENERATOR_STALLED": lambda: with_settings(
        load_run(stalled(interval(count=50, time=0.1, lag=3.9), normal=5000)), duration_s=15.0
    ),
    "SLOWED_DOWN": slower_run,
    "USERS_IN_STEP": lambda: closed_run(in_step=True),
    "EVENT_LOOP_LAG": lambda: load_run(monitored(interval(), loop=0.02)),
    "GENERATOR_CPU": lambda: load_run(monitored(interval(), cpu=0.9)),
    "OPEN_FILES": lambda: load_run(monitored(interval(), files=900)),
    "PORTS": lambda: load_run(monitored(interval(), ports=25_000)),
    "RATE_NOT_REACHED": lambda: load_run(*overdue(100)),
    "LITTLES_LAW": lambda: load_run(monitored(interval(), in_flight=700)),
    "INTERRUPTED": lambda: with_ending(load_run(), Ending.INTERRUPTED),
    "MAX_IN_FLIGHT": lambda: load_run(capped()),
    "UNANSWERED": lambda: load_run(interval(TIMED_OUT)),
    "GENERATOR_ERRORS": lambda: load_run(interval(), interval(NO_PORTS, count=1)),
    "CENSORED": lambda: load_run(interval(CENSORED)),
    "CONTRACT_VIOLATIONS": lambda: load_run(findings=(finding(clauses.REQUEST_ID_PRESENT),)),
    "COORDINATED_OMISSION": lambda: with_settings(load_run(), model="closed"),
    "COLD_START": lambda: with_objectives(load_run(), "first_success < 2s"),
    "TOO_FEW_REQUESTS": lambda: load_run(interval(count=100)),
    "ASSUMED_PATH": lambda: with_settings(load_run(), path_assumed=True),
    "EMULATED": lambda: replace(load_run(), manifest=replace(load_run().manifest, emulated=True)),
}
"""A run with exactly one problem, by the caveat that it must give."""


def test_assumed_path_cites_the_document_that_has_it() -> None:
    """The caveat names the operation in Baseten's document of the whole API, since ours has production only."""
    run = with_settings(load_run(), path_assumed=True)
    url = "https://chain-abc123.api.baseten.co/environments/staging/run_remote"
    caveats = summarise_load(replace(run, manifest=replace(run.manifest, target=url))).caveats
    text = next(caveat.text for caveat in caveats if caveat.code is CaveatCode.ASSUMED_PATH)

    assert "describes only /production/run_remote" in text
    assert "Baseten's inference OpenAPI document of the whole API (basetenlabs/baseten-go, 2026-07-01)" in text
    assert "runRemote," in text


def test_a_run_without_problems_passes_without_a_caveat() -> None:
    """No caveat appears without a reason."""
    summary = summarise_load(load_run())

    assert (Verdict.PASS, ()) == (summary.verdict, summary.caveats)


@pytest.mark.parametrize("code", PROBLEMS)
def test_a_problem_gives_its_caveat_and_no_other(code: str) -> None:
    """Each run in the table has exactly one problem."""
    assert [code] == [caveat.code for caveat in summarise_load(PROBLEMS[code]()).caveats]


@pytest.mark.parametrize("objective", ["p95 response_time < 800ms", "error_rate < 1%"])
@pytest.mark.parametrize("others", [0, 250])
def test_the_reason_begins_with_a_payload_that_does_not_fit(objective: str, others: int) -> None:
    """It says what happened and what to do, whatever the verdict."""
    run = load_run(interval(INVALID_INPUT), interval(count=others))
    reason = summarise_load(with_objectives(run, objective)).reason

    assert reason.startswith(
        ("5,000 of 5,250 answers" if others else "All 5,000 answers")
        + " were 400: the payload may not fit this chain. Name the inputs of the chain with --input-schema or --payloads; "
        "`chainproof call` shows one request and what the chain answers."
    )


@pytest.mark.parametrize(("pages", "is_named"), [(20, True), (10, False)])
def test_the_reason_begins_with_a_wrong_url_if_the_answers_are_web_pages(*, pages: int, is_named: bool) -> None:
    """Only if nearly all of them are."""
    page = replace(finding(clauses.OUTPUT_MEDIA_TYPE), actual="status 200 with Content-Type text/html", count=pages)
    violating = Outcome(Transport.ANSWERED, 200, None, Result.FAILED, Responsible.CHAIN)
    run = load_run(interval(violating, count=20), findings=(page,))

    assert is_named is ("is this the URL of the chain?" in summarise_load(run).reason)


def test_late_requests_are_counted() -> None:
    """A run of 16 requests has no "1 % of the requests"."""
    texts = [each.text for each in summarise_load(load_run(interval(count=15), interval(count=1, lag=0.020))).caveats]

    assert any(text.startswith("1 of 16 requests were sent more than 10 ms after") for text in texts), texts


def test_a_run_without_an_end_may_still_go_on() -> None:
    """Its folder does not show which."""
    assert "still going on, or was cut off" in summarise_load(load_run(end=None)).reason


@pytest.mark.parametrize(
    "outcome",
    [
        Outcome(Transport.ANSWERED, 400, "model_does_not_exist", Result.FAILED),
        Outcome(Transport.ANSWERED, 400, "payload_too_large", Result.FAILED),
        Outcome(Transport.ANSWERED, 400, "client_error", Result.FAILED, Responsible.CHAIN),
        UNAUTHORIZED,
        RATE_LIMITED,
    ],
)
def test_other_rejections_are_not_about_the_payload(outcome: Outcome) -> None:
    """A wrong URL, a body that is too large, the key and the rate have remedies of their own."""
    assert CaveatCode.PAYLOAD_REJECTED not in {
        each.code for each in summarise_load(load_run(interval(outcome))).caveats
    }


def test_the_reason_names_the_drain_if_requests_in_flight_leave_it_open() -> None:
    """More requests would not help."""
    assert summarise_load(load_run(interval(CENSORED))).reason == (
        "Requests in flight at the end leave this open: p95 response_time < 800ms. Wait longer for them with --drain."
    )


def test_a_run_that_the_machine_ended_does_not_accuse_itself() -> None:
    """What could not be written is missing from the intervals, so that the run's own counters differ."""
    run = miscounted()
    assert run.end is not None
    end = replace(run.end, ending=Ending.MACHINE_FAULT, note="no space left on device")
    found = summarise_load(replace(run, end=end))

    assert [CaveatCode.UNFINISHED] == [each.code for each in found.caveats if each.invalidates]
    assert "A problem of the machine ended the run: no space left on device." == found.reason


def test_the_verdict_names_the_check_that_failed() -> None:
    """An answer that fails the user's own check is no ok answer, which the objectives alone do not explain."""
    run = replace(load_run(), clauses=(ClauseCount(clause="user-check", exercised=87, violations=24),))

    assert "24 answers failed your own check, --check" in summarise_load(run).reason
    assert "--check" not in summarise_load(load_run()).reason


def test_a_full_target_is_not_blamed_on_the_generator() -> None:
    """If requests waited for a free slot and none was sent late, the caveat says what the target answered."""
    first, after = overdue(1000)
    for _ in range(2000):
        first.network.slot_wait.record(0.5)
    found = {each.code: each for each in summarise_load(with_settings(load_run(first, after), duration_s=1.0)).caveats}
    caveat = found[CaveatCode.RATE_NOT_REACHED]

    assert "--max-in-flight was reached: the target answered 4,000/s of 5,000/s." in caveat.text
    assert "--processes" not in caveat.remedy


def test_dependent_answers_are_named_as_the_reason_for_too_few() -> None:
    """Thousands of answers are many; those of a target that becomes slower all the time tell as much as a few."""
    found = {each.code: each for each in summarise_load(changing_run(1.0, 4.0)).caveats}

    assert "2,250 ok answers depend on each other so much (design effect 1,7" in found[CaveatCode.TOO_FEW_REQUESTS].text
    assert "a longer run: at least " in found[CaveatCode.TOO_FEW_REQUESTS].remedy


@pytest.mark.parametrize("code", ["UNFINISHED", "ACCOUNTING_MISMATCH", "DAMAGED_FILES"])
def test_missing_or_contradictory_counts_are_invalid(code: str) -> None:
    """They allow no conclusion."""
    assert summarise_load(PROBLEMS[code]()).verdict is Verdict.INVALID


VERDICTS: dict[str, tuple[Callable[[], Run], Verdict]] = {
    "met": (load_run, Verdict.PASS),
    "missed": (lambda: load_run(interval(time=2.0)), Verdict.FAIL),
    "too few to decide": (lambda: load_run(interval(count=20)), Verdict.INCONCLUSIVE),
    "missed, the generator late": (lambda: load_run(interval(time=2.0, lag=0.2)), Verdict.INVALID),
    "met, the generator late": (lambda: load_run(interval(lag=0.2)), Verdict.PASS),
    "met, the generator a second late": (lambda: load_run(interval(lag=1.2, time=0.1)), Verdict.INVALID),
    "missed, one request sent late": (lambda: load_run(*one_late_request()), Verdict.FAIL),
    "missed, event-loop lag": (lambda: load_run(monitored(interval(time=2.0), loop=0.2)), Verdict.FAIL),
    "missed only in a stall": (lambda: fifteen(stalled(interval(count=900, lag=3.0), normal=2000)), Verdict.INVALID),
    "service times missed only in a stall": (
        lambda: fifteen(stalled(interval(count=900, time=3.0), normal=2000), "p95 service_time < 800ms"),
        Verdict.INVALID,
    ),
    "missed, also outside of a stall": (
        lambda: fifteen(stalled(interval(time=2.0, count=900), normal=0), "max response_time < 1s", within=0.02),
        Verdict.FAIL,
    ),
    "missed by another worker during a recovery": (lambda: two_workers(10.9), Verdict.INVALID),
    "missed by another worker after a short recovery": (lambda: two_workers(9.1), Verdict.INCONCLUSIVE),
    "met in spite of a stall": (lambda: fifteen(stalled(interval(count=20, lag=3.0), normal=2000)), Verdict.PASS),
    "errors only in a stall": (
        lambda: fifteen(stalled(interval(RATE_LIMITED, count=50), normal=2000, excused=50), "error_rate <= 1%"),
        Verdict.INVALID,
    ),
    "errors, few of them in a stall": (
        lambda: fifteen(stalled(interval(RATE_LIMITED, count=90), normal=2000, excused=10), "error_rate <= 1%"),
        Verdict.FAIL,
    ),
    "only errors, many of them sent late after a stall": (
        lambda: fifteen(stalled(interval(RATE_LIMITED, count=900, lag=3.0), normal=0, excused=800), "error_rate <= 1%"),
        Verdict.FAIL,
    ),
    "the first answer late because of a stall": (
        lambda: fifteen(late_start(stalled(interval(count=20, lag=3.0), normal=2000)), "first_success < 7s"),
        Verdict.INVALID,
    ),
    "the first answer too late": (
        lambda: fifteen(late_start(stalled(interval(count=20, lag=3.0), normal=2000)), "first_success < 2s"),
        Verdict.FAIL,
    ),
    "no objective, many requests stalled": (
        lambda: with_objectives(fifteen(stalled(interval(count=900, lag=3.0), normal=2000))),
        Verdict.INVALID,
    ),
    "schedule lag missed in a stall": (
        lambda: fifteen(stalled(interval(count=900, lag=3.0), normal=2000), "p95 schedule_lag < 10ms"),
        Verdict.FAIL,
    ),
    "schedule lag missed during a recovery": (
        lambda: with_objectives(two_workers(10.9, lag=0.03), "max schedule_lag < 10ms"),
        Verdict.FAIL,
    ),
    "met, half of the time stalled": (
        lambda: with_settings(load_run(stalled(interval(count=20), normal=2000)), duration_s=7.0),
        Verdict.INVALID,
    ),
    "the error budget used up by a stall": (
        lambda: with_settings(
            load_run(stalled(interval(RATE_LIMITED, count=300), normal=2000, excused=290), end=ended_by_budget()),
            duration_s=15.0,
            error_budget=0.1,
        ),
        Verdict.INVALID,
    ),
    "missed only by a schedule lag below its limit": (
        lambda: load_run(interval(time=0.76, lag=0.06)),
        Verdict.INVALID,
    ),
    "missed also without a schedule lag below its limit": (
        lambda: load_run(interval(time=0.81, lag=0.06)),
        Verdict.FAIL,
    ),
    "met, event-loop lag": (lambda: load_run(monitored(interval(), loop=0.2)), Verdict.PASS),
    "missed, no CPU left": (lambda: load_run(monitored(interval(time=2.0), cpu=0.97)), Verdict.INVALID),
    "missed, little CPU left": (lambda: load_run(monitored(interval(time=2.0), cpu=0.9)), Verdict.FAIL),
    "met, no files left": (lambda: load_run(monitored(interval(), files=960)), Verdict.INVALID),
    "met, no ports left": (lambda: load_run(monitored(interval(), ports=27_900)), Verdict.INVALID),
    "met, the rate not reached": (lambda: load_run(*overdue(500, lag=0.2)), Verdict.INVALID),
    "met, the rate not reached because of the target": (lambda: load_run(*overdue(500)), Verdict.PASS),
    "met, some in-flight requests unexplained": (lambda: load_run(monitored(interval(), in_flight=600)), Verdict.PASS),
    "met, many in-flight requests unexplained": (
        lambda: load_run(monitored(interval(), in_flight=1000)),
        Verdict.INVALID,
    ),
    "no objective, the generator late": (lambda: with_objectives(load_run(interval(lag=0.2))), Verdict.INVALID),
    "met, the target unreachable": (lambda: stopped_by(Guard.TARGET_UNREACHABLE), Verdict.FAIL),
    "met, the error budget used up": (lambda: stopped_by(Guard.ERROR_BUDGET), Verdict.FAIL),
    "met, the rate exceeded": (lambda: stopped_by(Guard.RATE), Verdict.INCONCLUSIVE),
    "met, the request limit reached": (
        lambda: with_settings(load_run(), max_requests=5000, duration_s=60.0),
        Verdict.PASS,
    ),
    "met, interrupted": (lambda: with_ending(load_run(), Ending.INTERRUPTED), Verdict.INCONCLUSIVE),
    "missed, interrupted": (lambda: with_ending(load_run(interval(time=2.0)), Ending.INTERRUPTED), Verdict.FAIL),
    "an internal error": (lambda: with_ending(load_run(), Ending.INTERNAL_ERROR, "disk full"), Verdict.ERROR),
    "no objective": (
        lambda: replace(load_run(), manifest=replace(load_run().manifest, objectives=())),
        Verdict.PASS,
    ),
    "rejecting quickly": (lambda: load_run(interval(count=100), interval(RATE_LIMITED, time=0.001)), Verdict.FAIL),
    "nothing ok": (lambda: load_run(interval(RATE_LIMITED, time=0.001)), Verdict.INCONCLUSIVE),
    "nothing ok, most timed out": (
        lambda: load_run(interval(RATE_LIMITED, count=100), interval(TIMED_OUT)),
        Verdict.FAIL,
    ),
    "nothing ok, a throughput": (
        lambda: with_objectives(load_run(interval(RATE_LIMITED)), "throughput > 10/s"),
        Verdict.INCONCLUSIVE,
    ),
    "nothing ok, an error rate missed": (
        lambda: with_objectives(load_run(interval(RATE_LIMITED)), "error_rate < 1%", "p95 response_time < 1s"),
        Verdict.FAIL,
    ),
    "nothing ok, any error rate allowed": (
        lambda: with_objectives(load_run(interval(RATE_LIMITED)), "error_rate <= 100%"),
        Verdict.INCONCLUSIVE,
    ),
    "nothing ok, no objective": (lambda: with_objectives(load_run(interval(RATE_LIMITED))), Verdict.INCONCLUSIVE),
    "the payload rejected": (lambda: load_run(interval(INVALID_INPUT)), Verdict.INCONCLUSIVE),
    "the payload rejected, an error rate missed": (
        lambda: with_objectives(load_run(interval(INVALID_INPUT)), "error_rate < 1%"),
        Verdict.INCONCLUSIVE,
    ),
    "the payload rejected, the error budget used up": (
        lambda: stopped_by(Guard.ERROR_BUDGET, interval(INVALID_INPUT)),
        Verdict.INCONCLUSIVE,
    ),
    "most payloads rejected, an error rate missed": (
        lambda: with_objectives(load_run(interval(INVALID_INPUT), interval(count=50)), "error_rate < 1%"),
        Verdict.FAIL,
    ),
    "all in flight at the end": (lambda: load_run(interval(CENSORED)), Verdict.INCONCLUSIVE),
    "missed because the generator had no ports": (lambda: load_run(interval(NO_PORTS)), Verdict.INVALID),
    "another key than the caller's rejected": (
        lambda: with_objectives(load_run(interval(CHAINS_KEY)), "error_rate < 1%"),
        Verdict.FAIL,
    ),
    "the key rejected": (lambda: load_run(interval(UNAUTHORIZED)), Verdict.INCONCLUSIVE),
}


@pytest.mark.parametrize("case", VERDICTS)
def test_the_verdict_on_a_load_run(case: str) -> None:
    """A pass needs the full run; problems of the generator invalidate a fail, not a pass."""
    run, verdict = VERDICTS[case]

    assert verdict is summarise_load(run()).verdict


def conformance_run(*findings: Finding, fail_on: str = "assumed", note: str = "", contract: str = "strict") -> Run:
    """A conformance run that exercised one clause often enough and one not, with its findings."""
    manifest = Manifest(
        kind=RunKind.CONFORMANCE,
        name="quick",
        started="2026-11-22T13:27:00.250Z",
        target=URL,
        contract=contract,
        settings={"fail_on": fail_on},
    )
    counts = (
        ClauseCount(clause=clauses.STATUS.id, exercised=29, violations=0),
        ClauseCount(clause=clauses.REQUEST_ID_UNIQUE.id, exercised=28, violations=0),
    )
    end = RunEnd(ending=Ending.COMPLETED, seconds=1.0, note=note)
    return Run(path=Path("runs/y"), manifest=manifest, clauses=counts, findings=findings, end=end)


@pytest.mark.parametrize(
    ("clause", "fail_on", "verdict"),
    [
        (clauses.STATUS, "must", Verdict.FAIL),
        (clauses.STATUS, "should", Verdict.FAIL),
        (clauses.REQUEST_ID_PRESENT, "must", Verdict.PASS),
        (clauses.REQUEST_ID_PRESENT, "assumed", Verdict.FAIL),
        (clauses.REQUEST_ID_ON_ERRORS, "assumed", Verdict.PASS),
        (clauses.REQUEST_ID_ON_ERRORS, "should", Verdict.FAIL),
    ],
)
def test_a_violation_fails_a_run_by_its_level(clause: Clause, fail_on: str, verdict: Verdict) -> None:
    """Must and assumed fail by default, should with `--fail-on should`."""
    assert verdict is summarise_conformance(conformance_run(finding(clause), fail_on=fail_on)).verdict


def test_a_blocked_run_is_inconclusive() -> None:
    """A rejected key is neither a violation nor a pass, and the reason is given."""
    summary = summarise_conformance(conformance_run(note="the key is refused"))

    assert (Verdict.INCONCLUSIVE, True) == (summary.verdict, "the key is refused" in summary.reason)


def test_a_run_that_was_cut_says_so() -> None:
    """In the first line and in a caveat, also if it failed; options would not make it test more."""
    cause = "the target does not accept connections any more"
    coverage = Coverage(requests=300, statuses={200: 9}, cut_by=cause)
    summary = summarise_conformance(replace(conformance_run(finding(clauses.STATUS)), coverage=coverage))
    caveats = {each.code: each for each in summary.caveats}

    assert (Verdict.FAIL, True) == (summary.verdict, cause in summary.reason)
    assert cause in caveats[CaveatCode.UNFINISHED].text
    assert "--" not in caveats[CaveatCode.NOT_EXERCISED].remedy


@pytest.mark.parametrize(
    ("statuses", "given", "expected"),
    [
        ({422: 9}, {}, "--input-schema or --payloads"),
        ({422: 9}, {"payloads": ["in.jsonl"]}, "Give inputs that the chain accepts"),
        ({200: 9}, {}, "--echo says"),
        ({200: 9}, {}, "--input-schema and --output-schema say"),
        ({200: 9}, {"payloads": ["in.jsonl"]}, ""),
    ],
)
def test_the_remedy_for_untested_clauses_fits_the_reason(
    statuses: dict[int, int], given: dict[str, list[str]], expected: str
) -> None:
    """Without an accepted input, no other option helps."""
    run = replace(conformance_run(), coverage=Coverage(requests=9, statuses=statuses))
    run = replace(run, manifest=replace(run.manifest, settings=run.manifest.settings | given))
    caveat = next(each for each in summarise_conformance(run).caveats if each.code is CaveatCode.NOT_EXERCISED)

    assert expected in caveat.remedy
    assert ("--echo" in caveat.remedy) == (200 in statuses and not given)


@pytest.mark.parametrize("clause", clauses.CLAUSES, ids=str)
@pytest.mark.parametrize("contract", Contract)
def test_what_the_service_is_known_to_do_is_named_with_the_contract_that_waives_it(
    clause: Clause, contract: Contract
) -> None:
    """The owner of a chain cannot mend it. Under the named contract the clause does not hold."""
    run = conformance_run(finding(clause), contract=contract)
    summary = summarise_conformance(run)
    known = [each for each in summary.caveats if each.code is CaveatCode.KNOWN_DEVIATIONS]
    failed = next(row for row in summary.clauses if row.clause == clause).state is ClauseState.FAILED

    assert bool(known) == (failed and any(is_waived(clause, each) for each in Contract))
    for caveat in known:
        (named,) = [each for each in Contract if f"--contract {each}," in caveat.remedy]
        assert is_waived(clause, named)


def test_many_untested_clauses_are_counted_and_few_are_named() -> None:
    """The caveat stays one line long."""
    run = conformance_run()
    text = next(each for each in summarise_conformance(run).caveats if each.code is CaveatCode.NOT_EXERCISED).text

    assert re.search(r"\d+ clauses", text)
    assert len(text) < 200


@pytest.mark.parametrize(
    ("cut_by", "expected"), [("", "no answer decided it"), ("the time is over", "the run ended before")]
)
def test_every_clause_that_was_not_tested_has_a_reason(cut_by: str, expected: str) -> None:
    """That of the run, or the one that fits how it went."""
    coverage = Coverage(statuses={200: 9}, not_exercised={clauses.ECHO_EXACT.id: "needs --echo"}, cut_by=cut_by)
    run = replace(conformance_run(), coverage=coverage)
    reasons = {
        row.clause: row.why for row in summarise_conformance(run).clauses if row.state is ClauseState.NOT_EXERCISED
    }

    assert "needs --echo" == reasons.pop(clauses.ECHO_EXACT)
    assert {expected} == set(reasons.values())


def test_every_clause_has_a_state() -> None:
    """Passed, failed, inconclusive, not exercised or waived. A violation in 1 of 10 answers would show in those of a passed clause."""
    run = conformance_run(finding(clauses.ERROR_CODE), contract="documented")
    states = {row.clause.id: row.state for row in summarise_conformance(run).clauses}

    assert set(clauses.CLAUSE_BY_ID) == set(states)
    assert ClauseState.PASSED is states[clauses.STATUS.id]
    assert ClauseState.INCONCLUSIVE is states[clauses.REQUEST_ID_UNIQUE.id]
    assert ClauseState.FAILED is states[clauses.ERROR_CODE.id]
    assert ClauseState.WAIVED is states[clauses.OUTPUT_OBJECT.id]
    assert ClauseState.NOT_EXERCISED is states[clauses.RESPONSE_FRAMING.id]


@settings(max_examples=25)  # each one summarises three runs
@given(st.permutations(list(VERDICTS)))
def test_a_report_has_the_worst_verdict_of_its_runs(order: list[str]) -> None:
    """In any order."""
    runs = [VERDICTS[case][0]() for case in order[:3]]
    verdicts = {VERDICTS[case][1] for case in order[:3]}
    worst_first = [Verdict.ERROR, Verdict.FAIL, Verdict.INVALID, Verdict.INCONCLUSIVE, Verdict.PASS]

    assert next(verdict for verdict in worst_first if verdict in verdicts) is report(runs).verdict


def test_load_and_conformance_runs_make_one_report() -> None:
    """Both kinds on one page."""
    both = report([load_run(), conformance_run()])

    assert "combined" == both.kind
    assert [LoadSummary, ConformanceSummary] == [type(summary) for summary in both.summaries]


def test_a_slowdown_is_named_with_its_second_unless_the_rate_changes() -> None:
    """With the medians before and after it. A ramp explains a slowdown."""
    caveat = next(each for each in summarise_load(slower_run()).caveats if each.code is CaveatCode.SLOWED_DOWN)
    rates = [{"name": "ramp", "from_s": 0, "to_s": 40, "judged": False, "rate_per_s": 10, "final_rate_per_s": 90}]
    ramp = slower_run(phases=rates)

    assert "slower from 25 s of the run on: the median of a second was 101 ms before and 151 ms after it" in caveat.text
    assert CaveatCode.SLOWED_DOWN not in {each.code for each in summarise_load(ramp).caveats}


def test_the_longest_stall_is_named_with_the_sum_of_all() -> None:
    """Whichever came first."""
    second = stalled(interval(count=50, time=0.1, lag=3.9), normal=5000)
    assert second.generator_health is not None
    second.generator_health.stalls = [Stall(2.0, 2.5, 2.6), Stall(5.0, 9.0, 9.3), Stall(12.0, 12.2, 12.3)]
    caveats = summarise_load(with_settings(load_run(second), duration_s=15.0)).caveats
    text = next(each.text for each in caveats if each.code is CaveatCode.GENERATOR_STALLED)

    assert "stood still for 4 s at 5 s of the run, and 2 more times, 4.7 s in all:" in text


@pytest.mark.parametrize(("unexplained", "has_caveat"), [(150.0, False), (400.0, True)])
def test_a_stall_explains_time_in_flight(unexplained: float, has_caveat: bool) -> None:
    """Requests stay in flight until their answers are read, at most for as long as the stall."""
    second = stalled(interval(count=50, time=0.1, lag=3.9), normal=2000)
    second.in_flight_max = 50
    second.in_flight_ns += round(unexplained * 1e9)
    codes = {each.code for each in summarise_load(with_settings(load_run(second), duration_s=15.0)).caveats}

    assert has_caveat is (CaveatCode.LITTLES_LAW in codes)


@pytest.mark.parametrize("factors", [(10.0, 1.0, 1.0, 1.0), (1.0, 20.0, 1.0, 1.0)])
def test_times_that_change_all_the_time_are_named(factors: tuple[float, ...]) -> None:
    """A warm-up and a queue that is worked off: the caveat has the times of the thirds. A ramp explains them."""
    rates = [{"name": "ramp", "from_s": 0, "to_s": 45, "judged": False, "rate_per_s": 10, "final_rate_per_s": 90}]
    found = {each.code: each for each in summarise_load(changing_run(*factors)).caveats}
    ramp = {each.code for each in summarise_load(changing_run(*factors, phases=rates)).caveats}
    steady = {each.code for each in summarise_load(changing_run(1.0, 1.0)).caveats}

    assert re.search(
        r"in its three thirds p50 was \S+ m?s, \S+ m?s and \S+ m?s; p95 was ", found[CaveatCode.UNSTEADY].text
    )
    assert CaveatCode.UNSTEADY not in ramp | steady


def test_users_that_are_independent_or_do_not_pause_are_not_in_step() -> None:
    """Only a pause that is the same for all keeps users in step."""
    for run in (closed_run(in_step=False), closed_run(in_step=True, think_time_s=0.0)):
        assert CaveatCode.USERS_IN_STEP not in {caveat.code for caveat in summarise_load(run).caveats}


def test_every_caveat_has_a_run_that_triggers_it() -> None:
    """Here, or in the tests of acceptances, phases and conformance."""
    named = {caveat.code for run in PROBLEMS.values() for caveat in summarise_load(run()).caveats}
    tested_elsewhere = {
        CaveatCode.ACCEPTANCE_EXPIRED,
        CaveatCode.UNUSED_ACCEPTANCE,
        CaveatCode.KNOWN_DEVIATIONS,
        CaveatCode.MIXED_PHASES,
        CaveatCode.NOT_EXERCISED,
        CaveatCode.SELECTED_CHECKS,
        CaveatCode.UNSTEADY,
    }

    assert set(CaveatCode) - tested_elsewhere == named
