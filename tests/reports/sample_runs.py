"""Run folders for tests of reports, with fixed seeds, times and versions."""

from __future__ import annotations

import random
from collections.abc import Iterable, Sequence
from dataclasses import replace
from pathlib import Path

from chainproof.contract.accepted_violations import parse_acceptance
from chainproof.contract.clauses import CLAUSE_BY_ID, CLAUSES, ERROR_CODE, REQUEST_ID_PRESENT
from chainproof.results.exchange import Exchange, NotSent, Outcome, Result, Transport
from chainproof.results.exemplar import exemplar
from chainproof.results.finding import ClauseCount, Finding
from chainproof.results.intervals.interval import Interval
from chainproof.results.manifest import Ending, Manifest, RunEnd, RunKind
from chainproof.results.run_writer import RunWriter
from chainproof.results.settings import PhaseSpan

OK = Outcome(Transport.ANSWERED, 200, None, Result.OK)
NOT_READY = Outcome(Transport.ANSWERED, 503, "model_not_ready", Result.FAILED)
RATE_LIMITED = Outcome(Transport.ANSWERED, 429, "rate_limited", Result.FAILED)
BROKEN_CHAIN = Outcome(Transport.ANSWERED, 502, "application_error", Result.FAILED)
NO_CODE = Outcome(Transport.ANSWERED, 502, None, Result.FAILED)
INVENTED = Outcome(Transport.ANSWERED, 503, "gremlins", Result.FAILED)
LOST = Outcome(Transport.CONNECTION_LOST, None, None, Result.FAILED)
TIMED_OUT = Outcome(Transport.DEADLINE, None, None, Result.TIMED_OUT)
CENSORED = Outcome(Transport.DRAIN_ENDED, None, None, Result.CENSORED)

FLAKY: tuple[tuple[Outcome, float], ...] = (
    (OK, 0.955),
    (RATE_LIMITED, 0.015),
    (NOT_READY, 0.012),
    (BROKEN_CHAIN, 0.008),
    (NO_CODE, 0.003),
    (INVENTED, 0.002),
    (LOST, 0.002),
    (TIMED_OUT, 0.003),
)

TARGET = "https://chain-abc123.api.baseten.co/production/run_remote"
VERSIONS = {"chainproof": "0.1.0", "python": "3.11.2", "locust": "2.43.4"}


def load_manifest(**changes: object) -> Manifest:
    """The manifest of a load run with a fixed start."""
    manifest = Manifest(
        kind=RunKind.LOAD,
        name="steady",
        started="2026-11-22T13:27:00.250Z",
        target=TARGET,
        seed=1,
        settings={
            "model": "open",
            "arrivals": "poisson",
            "rate_per_s": 50.0,
            "duration_s": 20.0,
            "deadline_s": 5.0,
            "max_in_flight": 1000,
        },
        objectives=("p95 response_time < 800ms", "error_rate < 10%"),
        versions=VERSIONS,
    )
    return replace(manifest, **changes)  # type: ignore[arg-type]


def drawn_intervals(
    seconds: int, rate: int, *, seed: int = 1, mixture: Sequence[tuple[Outcome, float]] = FLAKY, not_sent: int = 0
) -> list[Interval]:
    """A run of *seconds* with *rate* requests in each; every request is answered in the second it was planned for."""
    dice = random.Random(seed)
    outcomes, weights = zip(*mixture, strict=True)
    intervals = []
    for second in range(seconds):
        interval = Interval(second=second, in_flight=dice.randint(2, 9), in_flight_max=dice.randint(9, 20))
        for _ in range(rate):
            interval.count_planned()
            interval.count_all_sent([dice.expovariate(2000)])
            service_time = dice.lognormvariate(-2.3, 0.5)
            outcome = dice.choices(outcomes, weights)[0]
            interval.count_outcomes(outcome, [service_time + dice.expovariate(2000)], [service_time])
        for _ in range(not_sent):
            interval.count_planned()
            interval.count_not_sent(NotSent.MAX_IN_FLIGHT)
        add_network(interval, random.Random(second))
        intervals.append(interval)
    return intervals


def add_network(interval: Interval, dice: random.Random) -> None:
    """Add network statistics and retried calls to an interval."""
    wire, answers = interval.network, interval.answered
    wire.record_answers([dice.lognormvariate(-2.4, 0.5) for _ in range(answers)], [5e-5] * answers)
    for _ in range(2):
        wire.record_connection(dice.uniform(0.001, 0.002), dice.uniform(0.004, 0.005), replaced=1)
    wire.slot_wait.record(0.02)
    wire.sent_bytes, wire.received_bytes = 312 * interval.sent, 287 * answers
    for attempts in (1, 1, 1, 2):
        interval.calls.end(attempts, Result.OK, attempts * dice.uniform(0.1, 0.2))
    interval.calls.end(3, Result.FAILED, 1.5)


PHASES = (
    PhaseSpan(name="warm-up", start=0.0, end=5.0, judged=False),
    PhaseSpan(name="steady", start=5.0, end=20.0, judged=True),
    PhaseSpan(name="cool-down", start=20.0, end=24.0, judged=False),
)

PAYLOADS = {"small": 1.0, "large": 3.0}
"""Payloads by name, with a factor for their service time."""


def phased_intervals(*, seed: int = 1, rates: Sequence[int] = (20, 60, 10)) -> list[Interval]:
    """A run with three phases and two payloads, whose answers arrive up to some seconds after the intended start."""
    dice = random.Random(seed)
    outcomes, weights = zip(*FLAKY, strict=True)
    seconds = [Interval(second=second, in_flight_max=dice.randint(9, 20)) for second in range(27)]
    for phase, rate in zip(PHASES, rates, strict=True):
        for second in range(int(phase.start), int(phase.end)):
            seconds[second].count_planned(phase=phase.name, times=rate)
            for number in range(rate):
                if number == 0 and phase.judged:
                    seconds[second].count_not_sent(NotSent.MAX_IN_FLIGHT, phase=phase.name)
                    continue
                payload = dice.choice(list(PAYLOADS))
                time = PAYLOADS[payload] * dice.lognormvariate(-2.3, 0.5) * (4 if phase.name == "warm-up" else 1)
                outcome = dice.choices(outcomes, weights)[0]
                lag = dice.expovariate(2000)
                seconds[second].count_all_sent([lag], phase=phase.name)
                end = min(int(second + number / rate + time), 26)
                seconds[end].count_outcomes(outcome, [time + lag], [time], payload=payload, phase=phase.name)
    return seconds


def phased_manifest(**changes: object) -> Manifest:
    """The manifest of a run with phases."""
    settings = {**load_manifest().settings, "duration_s": 24.0, "phases": [phase.to_json() for phase in PHASES]}
    return load_manifest(name="ramp", settings=settings, **changes)


def accepting(*accepted: str) -> list[dict[str, str | None]]:
    """The value of the setting `accept`."""
    return [dict(parse_acceptance(text).to_json()) for text in accepted]


def counted(intervals: Iterable[Interval]) -> dict[str, int]:
    """The accounting of some intervals."""
    each_second = list(intervals)
    return {
        "planned": sum(each.planned for each in each_second),
        "not_sent": sum(each.not_sent.total() for each in each_second),
        "sent": sum(each.sent for each in each_second),
        **{result.value: sum(each.count(result) for each in each_second) for result in Result},
    }


def write_load(
    path: Path,
    intervals: Sequence[Interval],
    *,
    manifest: Manifest | None = None,
    findings: Iterable[Finding] = (),
    exchanges: Iterable[tuple[Exchange, str]] = (),
    ending: Ending | None = Ending.COMPLETED,
    note: str = "",
) -> Path:
    """Write the folder of a load run; without an ending it is cut off."""
    with RunWriter(path, manifest or load_manifest()) as writer:
        for interval in intervals:
            writer.write_interval(interval)
        for found in findings:
            writer.write_finding(found)
        for exchange, why in exchanges:
            writer.write_exemplar(exemplar(exchange, why=why))
        if ending is not None:
            seconds = float(len({each.second for each in intervals}))
            writer.finish(RunEnd(ending=ending, seconds=seconds, accounting=counted(intervals), note=note))
    return path


def a_finding(clause: str = "error-code", **changes: object) -> Finding:
    """A finding on a clause."""
    known = CLAUSE_BY_ID[clause]
    found = Finding(
        clause=known.id,
        level=known.level.value,
        source=known.source,
        quotation=known.quotation,
        expected="one of the ten codes",
        actual="'gremlins'",
        count=3,
        reproduce=f"curl -sS -i -X POST {TARGET} -H 'Authorization: Api-Key '\"${{BASETEN_API_KEY}}\" "
        "-H 'Content-Type: application/json' --data-binary '{\"n\": 1}'",
        request_id="0f3c9d1e",
        seed=1,
        check="every_documented_error_is_returned_on_demand",
    )
    return replace(found, **changes)  # type: ignore[arg-type]


def an_exchange(number: int, outcome: Outcome, response_time: float, request_id: str | None) -> Exchange:
    """An exchange that was sent 0.5 ms late."""
    start = number * 0.02 + 0.0005
    end = number * 0.02 + response_time
    return Exchange(
        number=number, intended_start=number * 0.02, start=start, end=end, outcome=outcome, request_id=request_id
    )


EXCHANGES = (
    (an_exchange(411, OK, 0.912, "req-00411"), "slowest"),
    (an_exchange(77, OK, 0.874, "req-00077"), "slowest"),
    (an_exchange(3, RATE_LIMITED, 0.012, "req-00003"), "outcome"),
    (an_exchange(19, NOT_READY, 0.031, "req-00019"), "outcome"),
    (an_exchange(54, INVENTED, 0.040, None), "outcome"),
    (an_exchange(99, LOST, 0.101, None), "outcome"),
)


def flaky_load(path: Path) -> Path:
    """Twenty seconds of a target that fails now and then."""
    return write_load(
        path, drawn_intervals(20, 50), exchanges=EXCHANGES, findings=[a_finding(count=2, reproduce="", check="")]
    )


def write_conformance(
    path: Path,
    *,
    findings: Iterable[Finding] = (),
    exercised: int = 120,
    few: Iterable[str] = ("version-case", "chunk-end"),
    idle: Iterable[str] = ("error-on-demand", "answer-matches-request"),
    ending: Ending | None = Ending.COMPLETED,
    **changes: object,
) -> Path:
    """Write the folder of a conformance run. Clauses are exercised *exercised* times; *few* of them once, and *idle* ones never."""
    defaults = {"kind": RunKind.CONFORMANCE, "name": "standard", "settings": {"depth": "standard"}, "objectives": ()}
    manifest = load_manifest(**{**defaults, **changes})
    findings = list(findings)
    counts = {**dict.fromkeys(few, min(1, exercised)), **dict.fromkeys(idle, 0)}
    with RunWriter(path, manifest) as writer:
        for finding in findings:
            writer.write_finding(finding)
        for clause in CLAUSES:
            violations = sum(each.count for each in findings if each.clause == clause.id)
            times = counts.get(clause.id, exercised)
            writer.write_clause(ClauseCount(clause=clause.id, exercised=times, violations=violations))
        if ending is not None:
            writer.finish(RunEnd(ending=ending, seconds=14.2))
    return path


def failing_conformance(path: Path) -> Path:
    """A target with undocumented error codes and missing request ids."""
    missing = a_finding(REQUEST_ID_PRESENT.id, expected="one X-BASETEN-REQUEST-ID", actual="none", count=7)
    return write_conformance(path, findings=[missing, a_finding(ERROR_CODE.id)])
