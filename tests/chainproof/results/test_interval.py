"""Intervals: merging, JSON, phases and payloads."""

from __future__ import annotations

import random

import orjson
from hypothesis import given
from hypothesis import strategies as st

from chainproof.results.exchange import CodeKind, Exchange, NotSent, Outcome, Result, Transport
from chainproof.results.exemplar import exemplar
from chainproof.results.intervals.interval import Interval, by_second, total
from chainproof.results.intervals.request_stats import TIMED_RESULTS, RequestStats, merge_stats

OUTCOMES = [
    Outcome(Transport.ANSWERED, 200, None, Result.OK),
    Outcome(Transport.ANSWERED, 200, None, Result.FAILED),
    Outcome(Transport.ANSWERED, 429, "rate_limited", Result.FAILED),
    Outcome(Transport.ANSWERED, 502, "gremlins", Result.FAILED),
    Outcome(Transport.CONNECTION_LOST, None, None, Result.FAILED),
    Outcome(Transport.DEADLINE, None, None, Result.TIMED_OUT),
    Outcome(Transport.DRAIN_ENDED, None, None, Result.CENSORED),
]
PARTS = st.sampled_from([None, "a", "b", ""])
"""Names of phases and payloads; None for a request in no phase, or a workload with one payload."""
SENT = st.tuples(st.sampled_from(OUTCOMES), st.floats(0, 30), st.floats(0, 1))


STALLED_TIMES = ("response_time", "response_time_without", "service_time", "service_time_without", "schedule_lag")


@st.composite
def intervals(draw: st.DrawFn) -> Interval:
    """One second of one of three workers."""
    found = Interval(second=draw(st.integers(0, 4)), worker=draw(st.sampled_from("012")))
    found.in_flight = draw(st.integers(0, 50))
    found.in_flight_max = found.in_flight + draw(st.integers(0, 50))
    found.in_flight_ns = draw(st.integers(0, 2**60))
    for outcome, service_time, lag in draw(st.lists(SENT, max_size=6)):
        phase, payload = draw(PARTS), draw(PARTS)
        found.count_planned(phase=phase)
        found.count_all_sent([lag], phase=phase)
        found.count_outcomes(outcome, [service_time + lag], [service_time], payload=payload, phase=phase)
        for part in found.stalled_parts(phase) if draw(st.booleans()) else ():
            part.record_all({name: [draw(st.floats(0, 2))] for name in STALLED_TIMES})
            part.excused += outcome.result is Result.FAILED
    for why in draw(st.lists(st.sampled_from(NotSent), max_size=3)):
        phase = draw(PARTS)
        found.count_planned(phase=phase)
        found.count_not_sent(why, phase=phase)
    return found


RUNS = st.lists(intervals(), max_size=8)


@given(RUNS, st.integers())
def test_the_total_does_not_depend_on_the_order(run: list[Interval], seed: int) -> None:
    """Lines of several workers interleave; the total is the same to the last bit."""
    shuffled = random.Random(seed).sample(run, len(run))

    assert total(run) == total(shuffled)
    assert by_second(run) == by_second(shuffled)


@given(RUNS)
def test_the_total_is_the_sum_of_its_parts(run: list[Interval]) -> None:
    """Nothing is lost or counted twice, and reading changes nothing."""
    before = [orjson.dumps(interval.to_json()) for interval in run]
    overall, seconds = total(run), by_second(run)

    for merged in (seconds, [overall]):
        for name in ("planned", "sent", "in_flight_ns"):
            assert sum(getattr(part, name) for part in run) == sum(getattr(part, name) for part in merged)
        for why in NotSent:
            assert sum(part.not_sent[why] for part in run) == sum(part.not_sent[why] for part in merged)
        for result in Result:
            assert sum(part.count(result) for part in run) == sum(part.count(result) for part in merged)
        assert sum(part.schedule_lag.count for part in run) == sum(part.schedule_lag.count for part in merged)
    assert before == [orjson.dumps(interval.to_json()) for interval in run]
    assert overall.planned == overall.sent + overall.not_sent.total()
    assert overall.sent == sum(overall.count(result) for result in Result) == overall.schedule_lag.count


@given(RUNS)
def test_merged_counts_equal_the_total(run: list[Interval]) -> None:
    """Merging without times gives the same counts, for each phase."""
    counts = Interval(second=-1)
    for interval in run:
        counts.merge_counts(interval)
    overall = total(run)

    for alone, all_of_it in (
        (counts, overall),
        *((counts.phases[name], part) for name, part in overall.phases.items()),
    ):
        for name in ("planned", "sent", "not_sent", "outcomes"):
            assert getattr(all_of_it, name) == getattr(alone, name)
    assert overall.phases.keys() == counts.phases.keys()
    assert overall.network.counts() == counts.network.counts()


@given(RUNS, st.integers())
def test_phases_and_payloads_merge_exactly(run: list[Interval], seed: int) -> None:
    """Counts, times and payloads of a phase do not depend on the order of the workers."""
    shuffled = random.Random(seed).sample(run, len(run))
    overall = total(shuffled)

    assert {name for each in run for name in each.phases} == set(overall.phases)
    for name, part in overall.phases.items():
        assert merge_stats(each.phases[name] for each in run if name in each.phases) == part
    assert merge_stats(RequestStats(payloads=each.payloads) for each in run).payloads == overall.payloads


@given(intervals())
def test_phases_and_payloads_are_part_of_the_interval(interval: Interval) -> None:
    """A request of a phase counts once in the interval; a request of a payload counts in its phase, or in none."""
    inside = merge_stats(interval.phases.values())

    assert inside.planned == inside.sent + inside.not_sent.total() <= interval.planned
    assert inside.sent == sum(inside.count(result) for result in Result) == inside.schedule_lag.count
    for part in (interval, *interval.phases.values()):
        counted = merge_stats(part.payloads.values())
        for result in Result:
            assert counted.count(result) <= part.count(result)
            assert inside.count(result) <= interval.count(result)


def test_an_interval_without_parts_has_no_keys_for_them() -> None:
    """A run without phases and with one payload has no additional keys, and is read without them."""
    plain = Interval(second=3)
    plain.count_outcomes(OUTCOMES[0], [0.2], [0.1])
    data = plain.to_json()

    assert {"payloads", "phases"} & set(data) == set()
    assert plain == Interval.from_json(data)


def test_statistics_are_written_without_empty_values() -> None:
    """A payload contains its outcomes and the times of the results that occurred."""
    interval = Interval(second=0)
    interval.count_outcomes(OUTCOMES[0], [0.2], [0.1], payload="small")
    interval.count_planned(phase="steady", times=7)
    data = interval.to_json()

    assert {"small": {"outcomes", "response_time", "service_time"}} == {
        name: set(part) for name, part in data["payloads"].items()
    }
    assert ["ok"] == list(data["payloads"]["small"]["response_time"])
    assert {"steady": {"planned": 7}} == data["phases"]


@given(RUNS)
def test_by_second_gives_one_interval_per_second(run: list[Interval]) -> None:
    """Seconds are ascending, and the workers of a second are merged."""
    assert sorted({interval.second for interval in run}) == [interval.second for interval in by_second(run)]


@given(RUNS)
def test_in_flight_requests_add_up_across_workers_not_across_seconds(run: list[Interval]) -> None:
    """Over a run the largest second and the last one count."""
    seconds = {s: [part for part in run if part.second == s] for s in {part.second for part in run}}
    peaks = [sum(part.in_flight_max for part in parts) for parts in seconds.values()]
    last = seconds[max(seconds)] if seconds else []

    assert max(peaks, default=0) == total(run).in_flight_max
    assert sum(part.in_flight for part in last) == total(run).in_flight


@given(intervals())
def test_an_interval_is_read_as_it_was_written(interval: Interval) -> None:
    """Its JSON text contains everything."""
    assert interval == Interval.from_json(orjson.loads(orjson.dumps(interval.to_json())))


@given(intervals())
def test_complete_answers_and_censored_requests_have_times(interval: Interval) -> None:
    """Deadlines and lost connections have none; ok, failed and censored ones are separate."""
    for result in TIMED_RESULTS:
        timed = sum(
            count
            for outcome, count in interval.outcomes.items()
            if outcome.result is result and outcome.transport in (Transport.ANSWERED, Transport.DRAIN_ENDED)
        )

        assert timed == interval.response_time[result].count == interval.service_time[result].count


def test_an_error_code_is_documented_undocumented_or_absent() -> None:
    """Only error answers have a kind of code."""
    kinds = {outcome: outcome.code_kind for outcome in OUTCOMES}

    assert [None, None, CodeKind.DOCUMENTED, CodeKind.UNDOCUMENTED, None, None, None] == list(kinds.values())
    assert Outcome(Transport.ANSWERED, 502, None, Result.FAILED).code_kind is CodeKind.ABSENT


@given(st.floats(0, 100), st.floats(0, 1), st.floats(0, 30), st.sampled_from(OUTCOMES))
def test_durations_follow_from_instants(intended: float, lag: float, service: float, outcome: Outcome) -> None:
    """Response time is service time plus schedule lag, and an exemplar equals its exchange."""
    start = intended + lag
    exchange = Exchange(number=1, intended_start=intended, start=start, end=start + service, outcome=outcome)
    shown = exemplar(exchange, why="slowest")

    assert abs(exchange.response_time - exchange.service_time - exchange.schedule_lag) < 1e-9
    assert (exchange.response_time, exchange.service_time, exchange.schedule_lag) == (
        shown.response_time,
        shown.service_time,
        shown.schedule_lag,
    )
    assert (outcome.transport, outcome.status, outcome.error_code, outcome.result) == (
        shown.transport,
        shown.status,
        shown.error_code,
        shown.result,
    )
