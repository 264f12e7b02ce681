"""Stalls: when they begin and end, and how long each request was affected."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from chainproof.contract.levels import Contract
from chainproof.loadtests.client.reply import Reply
from chainproof.loadtests.recording.assessment import Assessment
from chainproof.loadtests.recording.in_flight_request import InFlightRequest
from chainproof.loadtests.recording.recorder import Recorder
from chainproof.loadtests.recording.stall_detection import MIN_STALL, StallDetector
from chainproof.results.exchange import NotSent, Outcome, Result, Transport
from chainproof.results.exemplar import Exemplar
from chainproof.results.finding import ClauseCount, Finding
from chainproof.results.intervals.interval import Interval, total
from chainproof.results.manifest import RunEnd

GAP = 1 / 64
OK = Outcome(Transport.ANSWERED, 200, None, Result.OK)
FAILED = Outcome(Transport.ANSWERED, 503, None, Result.FAILED)


def sampled(until: float, in_flight: int = 3, detector: StallDetector | None = None) -> StallDetector:
    """A detector with a sample every `GAP` seconds, without a stall."""
    detector = detector if detector is not None else StallDetector()
    for number in range(round(until / GAP) + 1):
        detector.sample(number * GAP, 0.0, in_flight)
    return detector


def stalled_once(length: float, in_flight_after: list[int]) -> StallDetector:
    """A detector of a process that stood still from second 2 on, with the numbers in flight of the samples afterwards."""
    detector = sampled(2.0)
    detector.sample(2.0 + length, length - GAP, 3)
    for number, in_flight in enumerate(in_flight_after, start=1):
        detector.sample(2.0 + length + number * GAP, 0.0, in_flight)
    return detector


@given(st.floats(0, MIN_STALL, exclude_max=True))
def test_a_short_delay_is_no_stall(lag: float) -> None:
    """Below 20 ms nothing is recorded."""
    detector = sampled(2.0)
    detector.sample(2.0 + GAP + lag, lag, 3)

    assert [] == detector.take(3.0, at_end=True)
    assert 0.0 == detector.overlap(0.0, 10.0)


@given(st.floats(0.1, 20))
def test_a_stall_has_its_time_and_length(length: float) -> None:
    """It begins when the next sample was due, and ends when it was taken."""
    (stall,) = stalled_once(length, [3] * 64).take(99.0)

    assert stall.start == pytest.approx(2.0 + GAP)
    assert stall.end == pytest.approx(2.0 + length)
    assert min(stall.seconds, 0.1) - 1e-9 <= stall.recovered - stall.end <= 0.1 + 2 * GAP


def test_a_recovery_lasts_while_more_are_in_flight_than_before() -> None:
    """The burst after a stall is not in the plan, so what it does to the target is the generator's fault."""
    (stall,) = stalled_once(1.0, [200] * 100 + [3] * 10).take(99.0)

    assert stall.recovered == pytest.approx(stall.end + 101 * GAP)


def test_a_recovery_lasts_while_requests_are_overdue() -> None:
    """Right after a stall none of the overdue requests is in flight."""
    detector = stalled_once(1.0, [])
    for number in range(1, 100):
        detector.sent_late(3.0 + number * GAP)
        detector.sample(3.0 + number * GAP, 0.0, 3)
    assert [] == detector.take(9.0)
    for number in range(100, 110):
        detector.sample(3.0 + number * GAP, 0.0, 3)

    assert 1 == len(detector.take(9.0))


def test_a_target_that_does_not_recover_is_judged_again_some_time() -> None:
    """After ten times the stall the number in flight is the target's."""
    detector = stalled_once(0.5, [200] * 64 * 20)
    (stall,) = detector.take(99.0)

    assert stall.recovered - stall.end == pytest.approx(10 * stall.seconds, abs=2 * GAP)
    assert 0.0 == detector.overlap(8.0, 20.0)


def test_a_stall_at_the_end_is_recorded() -> None:
    """Also if the run ends before the recovery."""
    (stall,) = stalled_once(1.0, []).take(3.01, at_end=True)

    assert 3.01 == stall.recovered


def test_an_old_sample_opens_a_stall() -> None:
    """Answers that are counted before the next sample are affected too, whatever the event loop does first."""
    detector = sampled(2.0)
    detector.check(2.0 + GAP)
    assert 0.0 == detector.overlap(1.0, 2.5)
    detector.check(4.0)

    assert pytest.approx(1.5) == detector.overlap(1.0, 3.5)
    assert math.inf == detector.affected_until


@given(st.lists(st.tuples(st.floats(0.05, 2.0), st.floats(0.5, 3.0)), max_size=5), st.floats(0, 20), st.floats(0, 20))
def test_the_overlap_is_the_part_within_stalls(stalls: list[tuple[float, float]], one: float, other: float) -> None:
    """With any number of stalls."""
    detector, now, windows = StallDetector(), 0.0, []
    for length, pause in stalls:
        for _ in range(round(pause / GAP)):
            now += GAP
            detector.sample(now, 0.0, 0)
        detector.sample(now + length, length - GAP, 0)
        now += length
    for _ in range(64):
        now += GAP
        detector.sample(now, 0.0, 0)
    windows = [(stall.start - GAP, stall.recovered) for stall in detector.take(now)]
    start, end = min(one, other), max(one, other)
    expected = sum(max(min(end, last) - max(start, first), 0.0) for first, last in windows)

    assert len(stalls) == len(windows)
    assert detector.overlap(start, end) == pytest.approx(expected)


class Intervals:
    """A sink that keeps intervals."""

    def __init__(self) -> None:
        self.intervals: list[Interval] = []

    def write_interval(self, interval: Interval) -> None:
        """Keep it."""
        self.intervals.append(interval)

    def write_exemplar(self, _: Exemplar) -> None:
        """Ignore it."""

    def write_finding(self, _: Finding) -> None:
        """Ignore it."""

    def write_clause(self, _: ClauseCount) -> None:
        """Ignore it."""

    def write_requests(self, _: object) -> None:
        """Ignore it."""

    def finish(self, _: RunEnd) -> None:
        """Ignore it."""


def test_requests_are_counted_with_the_time_that_a_stall_took() -> None:
    """A request in flight and one due during a stall of 2 s, one answered before, one due later, and one that failed."""
    sink = Intervals()
    recorder = Recorder(sink, contract=Contract.STRICT, seed=0, phase_of=lambda instant: "p" if instant < 50 else None)
    sampled(4.0, 2, recorder.stalls)
    cases = [  # intended start, start, end, outcome
        (3.0, 3.0, 3.5, OK),
        (3.5, 3.5, 6.01, OK),
        (5.0, 6.0, 6.01, OK),
        (5.0, 6.0, 6.01, FAILED),
        (8.0, 8.0, 8.5, OK),
    ]
    requests = [
        InFlightRequest(
            n, due, None, start, end=end, reply=Reply(Transport.ANSWERED, end, read_at=6.02, first_byte=end)
        )
        for n, (due, start, end, _) in enumerate(cases)
    ]
    for request, (*_, outcome) in zip(requests[:4], cases, strict=False):
        recorder.count_sent(request)
        recorder.count_settled(request, Assessment(outcome), 6.02)  # before the sample that shows the stall
    recorder.generator_health(6.03)
    recorder.stalls.sample(6.03, 2.0, 2)
    for number in range(1, 160):
        recorder.stalls.sample(6.03 + number * GAP, 0.0, 2)
    recorder.count_not_sent(5.5, NotSent.MAX_IN_FLIGHT)
    recorder.generator_health(7.5)
    recorder.count_sent(requests[4])
    recorder.count_settled(requests[4], Assessment(OK), 8.5)
    recorder.flush(12.0)
    totals = total(sink.intervals)
    stalled = totals.stalled

    assert stalled is not None
    assert (2, 2) == (stalled.count, stalled.excused)
    assert totals.phases["p"].stalled == stalled
    assert stalled.response_time.max == pytest.approx(2.51)
    assert stalled.response_time_without.max == pytest.approx(0.5, abs=0.001)
    assert stalled.response_time_without.min == pytest.approx(0.0, abs=0.001)
    assert stalled.service_time_without.max == pytest.approx(0.5, abs=0.001)
    assert stalled.schedule_lag.max == pytest.approx(1.0)
    assert 3 == stalled.schedule_lag.count
    assert totals.generator_health is not None
    assert [pytest.approx(2.0)] == [stall.seconds for stall in totals.generator_health.stalls]


@given(
    st.lists(st.tuples(st.floats(0.1, 3), st.floats(0.1, 2)), max_size=5),
    st.lists(st.tuples(st.floats(0, 12), st.floats(0, 12)), min_size=1, max_size=8),
)
def test_the_overlaps_of_many_are_those_of_each(
    stalls: list[tuple[float, float]], times: list[tuple[float, float]]
) -> None:
    """Calculating many at once gives the same parts."""
    detector = StallDetector()
    start = 0.0
    for gap, length in stalls:
        start += gap
        detector._windows.append((start, start + length))
        start += length
    starts, ends = (np.array([pick(pair) for pair in times]) for pick in (min, max))
    expected = [detector.overlap(start, end) for start, end in zip(starts, ends, strict=True)]

    assert expected == pytest.approx(detector.overlaps(starts, ends).tolist())
