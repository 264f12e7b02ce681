"""Network statistics and batches of requests in intervals."""

from __future__ import annotations

import json

from hypothesis import given
from hypothesis import strategies as st

from chainproof.results.exchange import Outcome, Result, Transport
from chainproof.results.intervals.interval import Interval
from chainproof.results.intervals.transport_stats import NetworkStats

times = st.floats(0, 100)
reads = st.lists(st.tuples(times, st.one_of(st.just(0.0), times)), max_size=10)
OUTCOMES = (
    Outcome(Transport.ANSWERED, 200, None, Result.OK),
    Outcome(Transport.ANSWERED, 429, "rate_limited", Result.FAILED),
    Outcome(Transport.DEADLINE, None, None, Result.TIMED_OUT),
)


@st.composite
def network_stats(draw: st.DrawFn) -> NetworkStats:
    """Some network statistics."""
    stats = NetworkStats()
    pairs = draw(reads)
    stats.record_answers([first for first, _ in pairs], [lag for _, lag in pairs])
    for connect, tls, replaced in draw(
        st.lists(st.tuples(times, st.one_of(st.none(), times), st.integers(0, 3)), max_size=5)
    ):
        stats.record_connection(connect, tls, replaced)
    stats.sent_bytes += draw(st.integers(0, 1000))
    stats.received_bytes += draw(st.integers(0, 1000))
    return stats


@given(network_stats(), network_stats())
def test_network_statistics_merge_and_survive_the_run_folder(one: NetworkStats, other: NetworkStats) -> None:
    """The end of an answer is either a kernel timestamp or the time of reading."""
    read = [NetworkStats.from_json(json.loads(json.dumps(each.to_json()))) for each in (one, other)]
    merged = NetworkStats()
    for each in read:
        merged.merge(each)

    assert [one.to_json(), other.to_json()] == [each.to_json() for each in read]
    assert merged.read_delay.count == merged.kernel_timestamps + merged.own_timestamps
    assert one.sent_bytes + other.sent_bytes == merged.sent_bytes
    assert one.connect_time.count + other.connect_time.count == merged.connect_time.count


@given(
    st.lists(st.tuples(st.sampled_from(OUTCOMES), times, times), min_size=1, max_size=20),
    st.sampled_from([None, "short"]),
    st.sampled_from([None, "steady"]),
)
def test_a_batch_of_requests_counts_like_single_ones(
    settled: list[tuple[Outcome, float, float]], payload: str | None, phase: str | None
) -> None:
    """In the interval, in the phase and in the payload."""
    together, apart = Interval(second=3), Interval(second=3)
    for outcome in OUTCOMES:
        mine = [(response, service) for each, response, service in settled if each == outcome]
        if mine:
            together.count_outcomes(outcome, [r for r, _ in mine], [s for _, s in mine], payload=payload, phase=phase)
    together.count_all_sent([response for _, response, _ in settled], phase=phase)
    for outcome, response, service in settled:
        apart.count_outcomes(outcome, [response], [service], payload=payload, phase=phase)
        apart.count_all_sent([response], phase=phase)

    assert _sorted(apart) == _sorted(together)


def _sorted(interval: Interval) -> str:
    """An interval as JSON with its outcomes in a fixed order."""

    def ordered(value: object) -> object:
        if isinstance(value, dict):
            return {name: ordered(each) for name, each in value.items()}
        if isinstance(value, list) and value and isinstance(value[0], dict):
            return sorted(json.dumps(each, sort_keys=True) for each in value)
        return value

    return json.dumps(ordered(interval.to_json()), sort_keys=True)
