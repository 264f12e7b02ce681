"""The recorder: every sum over a run folder is exact."""

from __future__ import annotations

import tempfile
from collections import Counter
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chainproof.contract.answer import Answer
from chainproof.contract.judged_answer import judge_answer
from chainproof.contract.levels import Contract
from chainproof.contract.violations import violations
from chainproof.loadtests.client.reply import Reply
from chainproof.loadtests.recording.assessment import Assessment
from chainproof.loadtests.recording.exemplars import (
    EXEMPLARS_PER_OUTCOME,
    MAX_FINDINGS,
    MAX_OUTCOMES,
    SLOWEST_COUNT,
    ClauseCounter,
    ErrorCodeLabels,
    Exemplars,
)
from chainproof.loadtests.recording.in_flight_request import InFlightRequest
from chainproof.loadtests.recording.recorder import Recorder
from chainproof.results.exchange import Exchange, NotSent, Outcome, Result, Transport
from chainproof.results.folder import Run, read_run
from chainproof.results.intervals.interval import by_second, total
from chainproof.results.manifest import Ending
from chainproof.results.run_writer import RunWriter
from chainproof.stored_text import MAX_CODES, OTHER_CODES

from ...manifests import load_manifest

MANIFEST = load_manifest(name="test")
OUTCOMES = (
    Outcome(Transport.ANSWERED, 200, None, Result.OK),
    Outcome(Transport.ANSWERED, 429, "rate_limited", Result.FAILED),
    Outcome(Transport.CONNECTION_LOST, None, None, Result.FAILED),
    Outcome(Transport.DEADLINE, None, None, Result.TIMED_OUT),
    Outcome(Transport.DRAIN_ENDED, None, None, Result.CENSORED),
)

requests = st.lists(
    st.tuples(
        st.floats(0, 5, exclude_max=True),  # intended start
        st.floats(0, 3),  # lag
        st.floats(0, 4),  # service time
        st.sampled_from((*OUTCOMES, *NotSent)),
    ),
    max_size=40,
)


def settled(request: InFlightRequest, outcome: Outcome) -> InFlightRequest:
    """The request with a reply that has this outcome."""
    request.reply = Reply(outcome.transport, request.end, read_at=request.end, first_byte=request.end)
    return request


def record(planned: list[tuple[float, float, float, Outcome | NotSent]], flushes: list[float]) -> tuple[Run, Recorder]:
    """The run folder with these requests, flushed at these instants, and its recorder."""
    events: list[tuple[float, int, str, int]] = [(instant, 2, "flush", 0) for instant in flushes]
    for number, (intended_start, lag, service, what) in enumerate(planned):
        if isinstance(what, NotSent):
            events.append((intended_start + lag, 0, "skip", number))
        else:
            events += [(intended_start + lag, 0, "send", number), (intended_start + lag + service, 1, "settle", number)]
    with tempfile.TemporaryDirectory() as folder, RunWriter(Path(folder) / "run", MANIFEST) as writer:
        recorder = Recorder(writer, contract=Contract.STRICT, seed=0)
        recorder.plan(intended_start for intended_start, *_ in planned)
        for instant, _, kind, number in sorted(events):
            if kind == "flush":
                recorder.flush(instant)
                continue
            intended_start, lag, service, what = planned[number]
            if isinstance(what, NotSent):
                recorder.count_not_sent(intended_start, what)
                continue
            start = intended_start + lag
            request = InFlightRequest(number, intended_start, None, start, end=start + service)
            if kind == "send":
                recorder.count_sent(request)
            elif recorder.count_settled(settled(request, what), Assessment(what), instant):
                recorder.keep_exemplar(
                    Exchange(
                        number=number, intended_start=intended_start, start=start, end=start + service, outcome=what
                    ),
                    "",
                )
        recorder.finish(max((event[0] for event in events), default=0.0), Ending.COMPLETED, "")
        return read_run(writer.path), recorder


@given(requests, st.lists(st.floats(0, 12), max_size=12))
def test_every_sum_over_the_folder_is_exact(
    planned: list[tuple[float, float, float, Outcome | NotSent]], flushes: list[float]
) -> None:
    """Nothing is lost or counted twice, however late an event comes and whenever seconds are written."""
    run, recorder = record(planned, flushes)
    totals = total(run.intervals)
    accounting = recorder.accounting

    assert "" == accounting.contradiction()
    assert len(planned) == totals.planned == accounting.planned
    assert Counter(what for *_, what in planned if isinstance(what, Outcome)) == totals.outcomes
    assert Counter(what for *_, what in planned if isinstance(what, NotSent)) == totals.not_sent
    assert accounting.sent == totals.sent == totals.schedule_lag.count
    assert run.end is not None
    assert accounting.to_json() == run.end.accounting
    assert 0 == recorder.in_flight


@given(requests, st.lists(st.floats(0, 12), max_size=12))
def test_planned_requests_count_in_the_second_of_their_intended_start(
    planned: list[tuple[float, float, float, Outcome | NotSent]], flushes: list[float]
) -> None:
    """Sent requests count in the second in which they were sent, whenever the recorder is flushed."""
    run, _ = record(planned, flushes)
    planned_in, sent_in, not_sent_in = Counter[int](), Counter[int](), Counter[int]()
    for interval in run.intervals:
        planned_in[interval.second] += interval.planned
        sent_in[interval.second] += interval.sent
        not_sent_in[interval.second] += interval.not_sent.total()

    assert Counter(int(intended_start) for intended_start, *_ in planned) == +planned_in
    assert Counter(int(start + lag) for start, lag, _, what in planned if isinstance(what, Outcome)) == +sent_in
    assert Counter(int(start) for start, *_, what in planned if isinstance(what, NotSent)) == +not_sent_in


@given(requests, st.lists(st.floats(0, 12), max_size=12))
def test_the_area_of_requests_in_flight_is_exact_in_each_second(
    planned: list[tuple[float, float, float, Outcome | NotSent]], flushes: list[float]
) -> None:
    """It is the time that requests spent in flight within the second."""
    run, _ = record(planned, flushes)
    spans = [(start + lag, start + lag + service) for start, lag, service, what in planned if isinstance(what, Outcome)]
    for interval in by_second(run.intervals):
        second = interval.second
        expected = sum(max(min(end, second + 1) - max(start, second), 0.0) for start, end in spans)

        assert interval.in_flight_s == pytest.approx(expected, abs=1e-6)


@given(requests)
def test_the_maximum_in_flight_is_exact_in_each_second(
    planned: list[tuple[float, float, float, Outcome | NotSent]],
) -> None:
    """The maximum counts requests that started before the second, too."""
    run, _ = record(planned, [])
    spans = [(start + lag, start + lag + service) for start, lag, service, what in planned if isinstance(what, Outcome)]
    for interval in by_second(run.intervals):
        second = interval.second
        instants = [second, *(start for start, _ in spans if second <= start < second + 1)]
        # A request that is settled at the instant when another is sent may or may not count.
        upper = [sum(start <= instant <= end for start, end in spans) for instant in instants]
        lower = [sum(start <= instant < end for start, end in spans) for instant in instants]

        assert max(lower) <= interval.in_flight_max <= max(upper) or not spans


def exchange(number: int, outcome: Outcome, response_time: float = 0.1) -> Exchange:
    """An exchange with an outcome and a response time."""
    return Exchange(number=number, intended_start=0.0, start=0.0, end=response_time, outcome=outcome)


def test_the_number_of_error_code_labels_is_bounded() -> None:
    """Documented codes and a bounded number of others have labels of their own; the rest share one."""
    codes = ErrorCodeLabels()
    counted = Counter(codes.label(f"invented_{number}" * 20) for number in range(5 * MAX_CODES))

    assert MAX_CODES + 1 == len(counted)
    assert 4 * MAX_CODES == counted[OTHER_CODES]
    assert "rate_limited" == codes.label("rate_limited")
    assert max(len(str(code)) for code in counted) <= 80


def test_the_number_of_statuses_with_codes_is_bounded() -> None:
    """A target that combines many statuses with many codes has a bounded number of outcomes."""
    codes = ErrorCodeLabels()
    outcomes = {(status, codes.label(f"c{code}", status)) for status in range(100, 1000) for code in range(20)}

    assert len(outcomes) <= MAX_OUTCOMES + 900


@given(st.lists(st.tuples(st.sampled_from(OUTCOMES[:3]), st.floats(0, 10)), max_size=120))
def test_exemplars_are_the_first_of_each_outcome_and_the_slowest(planned: list[tuple[Outcome, float]]) -> None:
    """They are three of each outcome and the twenty slowest other answers."""
    exemplars = Exemplars()
    for number, (outcome, time) in enumerate(planned):
        exemplars.consider(exchange(number, outcome, time), "")
    first, slowest = list(exemplars.new_exemplars()), list(exemplars.slowest())
    numbers = {exemplar.number for exemplar in first}
    others = [time for number, (o, time) in enumerate(planned) if number not in numbers and o.status is not None]

    assert sum(min(count, EXEMPLARS_PER_OUTCOME) for count in Counter(o for o, _ in planned).values()) == len(first)
    assert sorted(others, reverse=True)[:SLOWEST_COUNT] == [exemplar.response_time for exemplar in slowest]
    assert [] == [*exemplars.new_exemplars(), *exemplars.slowest()]


def test_the_number_of_outcomes_with_exemplars_is_bounded() -> None:
    """Further outcomes get no exemplars."""
    exemplars = Exemplars()
    for number in range(2 * MAX_OUTCOMES):
        exemplars.consider(exchange(number, Outcome(Transport.ANSWERED, 400, f"c{number}", Result.FAILED)), "")

    assert MAX_OUTCOMES + 1 >= len(list(exemplars.new_exemplars()))


def test_the_number_of_findings_is_bounded_and_all_violations_count(tmp_path: Path) -> None:
    """A target with a thousand different violations gets two hundred findings and one that counts the rest."""
    answers = [
        Answer(status=200, headers=(("Content-Type", f"text/{number}"), ("X-BASETEN-REQUEST-ID", "1")), body=b"{}")
        for number in range(1000)
    ]
    with RunWriter(tmp_path / "run", MANIFEST) as writer:
        recorder = Recorder(writer, contract=Contract.STRICT, seed=3)
        recorder.reproduce = lambda _: "curl …"
        for number, answer in enumerate(answers):
            request = InFlightRequest(
                number, 0.0, None, 0.0, reply=Reply(Transport.ANSWERED, 0.1, answer, read_at=0.1, request_id=b"1")
            )
            recorder.count_sent(request)
            found = violations(answer)
            recorder.count_settled(
                request, Assessment(OUTCOMES[0], "", found, judge_answer(answer, Contract.STRICT).exercised), 0.1
            )
        recorder.finish(0.5, Ending.COMPLETED, "")
    findings = read_run(tmp_path / "run").findings
    counts = Counter[str]()
    for found in findings:
        counts[found.clause] += found.count

    assert {"output-media-type": 1000, "request-id-unique": 999} == counts
    assert MAX_FINDINGS + 1 >= len(findings)
    assert {("curl …", 3)} == {(found.reproduce, found.seed) for found in findings}


@given(
    st.lists(
        st.sampled_from(
            [
                Answer(status=200, headers=(("Content-Type", "application/json"),), body=b"{}"),
                Answer(status=200, headers=(), body=b"no"),
                Answer(status=429, headers=(), body=b'{"error": 1, "error_code": "rate_limited"}'),
                Answer(
                    status=429,
                    headers=(("Content-Type", "application/json"),),
                    body=b'{"error": 1, "error_code": "rate_limited"}',
                ),
                Answer(status=418, headers=(), body=b'{"detail": "tea", "error_code": "teapot"}'),
                Answer(status=302, headers=(), body=b""),
            ]
        ),
        max_size=20,
    )
)
def test_a_clause_is_violated_at_most_as_often_as_exercised(answers: list[Answer]) -> None:
    """Counts match the violations that `violations` returns."""
    clauses = ClauseCounter(Contract.STRICT)
    expected = Counter[str]()
    for answer in answers:
        _, exercised, found, _ = judge_answer(answer, Contract.STRICT)
        clauses.add(Assessment(OUTCOMES[0], "", found, exercised))
        expected.update(violation.clause.id for violation in found)
    counts = {count.clause: count for count in clauses.counts()}

    assert expected == +Counter({name: count.violations for name, count in counts.items()})
    assert all(count.violations <= count.exercised <= len(answers) for count in counts.values())
    is_judged = [answer.status == 429 and answer.media_type == "application/json" for answer in answers]
    assert sum(is_judged) == counts["error-code"].exercised
