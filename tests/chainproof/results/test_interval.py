"""
Intervals add up exactly, whatever order workers and seconds arrive in.
"""

from __future__ import annotations

import random

import orjson
from hypothesis import given
from hypothesis import strategies as st

from chainproof.results.exchange import CodeKind, Exchange, Fate, NotSent, Outcome, Transport
from chainproof.results.exemplar import exemplar
from chainproof.results.interval import ANSWERED_FATES, Interval, by_second, total

OUTCOMES = [
    Outcome(Transport.ANSWERED, 200, None, Fate.OK),
    Outcome(Transport.ANSWERED, 200, None, Fate.FAILED),
    Outcome(Transport.ANSWERED, 429, "rate_limited", Fate.FAILED),
    Outcome(Transport.ANSWERED, 502, "gremlins", Fate.FAILED),
    Outcome(Transport.CONNECTION_LOST, None, None, Fate.FAILED),
    Outcome(Transport.DEADLINE, None, None, Fate.TIMED_OUT),
    Outcome(Transport.DRAIN_ENDED, None, None, Fate.CENSORED),
]
SENT = st.tuples(st.sampled_from(OUTCOMES), st.floats(0, 30), st.floats(0, 1))


@st.composite
def intervals(draw: st.DrawFn) -> Interval:
    """
    A second as one of three workers saw it.
    """
    found = Interval(second=draw(st.integers(0, 4)), worker=draw(st.sampled_from("012")))
    found.in_flight = draw(st.integers(0, 50))
    found.in_flight_max = found.in_flight + draw(st.integers(0, 50))
    for outcome, service_time, lag in draw(st.lists(SENT, max_size=6)):
        found.plan()
        found.send(lag)
        found.settle(outcome, service_time + lag, service_time)
    for why in draw(st.lists(st.sampled_from(NotSent), max_size=3)):
        found.plan()
        found.leave_out(why)
    return found


RUNS = st.lists(intervals(), max_size=8)


@given(RUNS, st.integers())
def test_the_total_is_the_same_in_any_order(run: list[Interval], seed: int) -> None:
    """
    Lines of several workers interleave as they come; the total does not care, to the last bit of its sums.
    """
    shuffled = random.Random(seed).sample(run, len(run))

    assert total(run) == total(shuffled)
    assert by_second(run) == by_second(shuffled)


@given(RUNS)
def test_the_total_is_the_sum_of_its_parts(run: list[Interval]) -> None:
    """
    Nothing disappears, nothing is counted twice, and reading changes nothing that was read.
    """
    before = [orjson.dumps(interval.to_json()) for interval in run]
    whole, seconds = total(run), by_second(run)

    for merged in (seconds, [whole]):
        for name in ("planned", "sent"):
            assert sum(getattr(part, name) for part in run) == sum(getattr(part, name) for part in merged)
        for why in NotSent:
            assert sum(part.not_sent[why] for part in run) == sum(part.not_sent[why] for part in merged)
        for fate in Fate:
            assert sum(part.count(fate) for part in run) == sum(part.count(fate) for part in merged)
        assert sum(part.schedule_lag.count for part in run) == sum(part.schedule_lag.count for part in merged)
    assert before == [orjson.dumps(interval.to_json()) for interval in run]
    assert whole.planned == whole.sent + whole.not_sent.total()
    assert whole.sent == sum(whole.count(fate) for fate in Fate) == whole.schedule_lag.count


@given(RUNS)
def test_there_is_one_interval_a_second(run: list[Interval]) -> None:
    """
    Ascending, the workers of a second merged.
    """
    assert sorted({interval.second for interval in run}) == [interval.second for interval in by_second(run)]


@given(RUNS)
def test_requests_in_flight_add_up_across_workers_and_not_across_seconds(run: list[Interval]) -> None:
    """
    At one instant each worker has its own requests in flight; over a run the greatest second counts, and the last one.
    """
    seconds = {s: [part for part in run if part.second == s] for s in {part.second for part in run}}
    peaks = [sum(part.in_flight_max for part in parts) for parts in seconds.values()]
    last = seconds[max(seconds)] if seconds else []

    assert max(peaks, default=0) == total(run).in_flight_max
    assert sum(part.in_flight for part in last) == total(run).in_flight


@given(intervals())
def test_an_interval_survives_its_json_text(interval: Interval) -> None:
    """
    What the run folder holds is the interval.
    """
    assert interval == Interval.from_json(orjson.loads(orjson.dumps(interval.to_json())))


@given(intervals())
def test_times_are_those_of_complete_answers(interval: Interval) -> None:
    """
    A deadline is not a latency, a lost connection none either: only answers have times, apart by fate.
    """
    for fate in ANSWERED_FATES:
        answered = sum(
            count
            for outcome, count in interval.outcomes.items()
            if outcome.fate is fate and outcome.transport is Transport.ANSWERED
        )

        assert answered == interval.response_time[fate].count == interval.service_time[fate].count


def test_a_code_is_documented_undocumented_or_absent() -> None:
    """
    The kind of a code is told of error answers alone.
    """
    kinds = {outcome: outcome.code_kind for outcome in OUTCOMES}

    assert [None, None, CodeKind.DOCUMENTED, CodeKind.UNDOCUMENTED, None, None, None] == list(kinds.values())
    assert Outcome(Transport.ANSWERED, 502, None, Fate.FAILED).code_kind is CodeKind.ABSENT


@given(st.floats(0, 100), st.floats(0, 1), st.floats(0, 30), st.sampled_from(OUTCOMES))
def test_durations_follow_from_instants(intended: float, lag: float, service: float, outcome: Outcome) -> None:
    """
    Response time is service time plus schedule lag, and an exemplar says the same as its exchange.
    """
    start = intended + lag
    exchange = Exchange(number=1, intended_start=intended, start=start, end=start + service, outcome=outcome)
    shown = exemplar(exchange, why="slowest")

    assert abs(exchange.response_time - exchange.service_time - exchange.schedule_lag) < 1e-9
    assert (exchange.response_time, exchange.service_time, exchange.schedule_lag) == (
        shown.response_time,
        shown.service_time,
        shown.schedule_lag,
    )
    assert (outcome.transport, outcome.status, outcome.error_code, outcome.fate) == (
        shown.transport,
        shown.status,
        shown.error_code,
        shown.fate,
    )
