"""Spans and bins: merged, never averaged, and complete."""

from __future__ import annotations

import math
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chainproof.judgement.load_summary import summarise_load
from chainproof.reports.charts.distribution import shares_panel
from chainproof.reports.charts.latency import latency_over_time
from chainproof.reports.charts.plot import WIDE
from chainproof.reports.charts.throughput import throughput
from chainproof.reports.time_series import bins, spans
from chainproof.results.exchange import Result
from chainproof.results.folder import read_run
from chainproof.results.intervals.interval import Interval
from chainproof.statistics.histogram import Histogram

from ..sample_runs import OK, write_load

seconds = st.dictionaries(st.integers(0, 4000), st.lists(st.floats(0.001, 10), max_size=4), max_size=30).map(
    lambda drawn: [interval(second, times) for second, times in sorted(drawn.items())]
)


def interval(second: int, times: list[float]) -> Interval:
    """One second with ok answers."""
    made = Interval(second=second, planned=len(times), sent=len(times))
    for time in times:
        made.count_outcomes(OK, [time], [time])
    return made


@given(seconds, st.integers(1, 300))
def test_spans_contain_every_request_once(run, max_spans):
    """Merging changes no count, and spans neither overlap nor leave gaps."""
    merged = spans(run, max_spans)

    assert len(merged) <= max_spans
    assert sum(each.planned for each in run) == sum(span.counts.planned for span in merged)
    assert sum(each.count(Result.OK) for each in run) == sum(span.counts.count(Result.OK) for span in merged)
    assert [span.end for span in merged[:-1]] == [span.start for span in merged[1:]]
    assert all(span.seconds >= 1 for span in merged)
    assert [sum(each.planned for each in run if span.start <= each.second < span.end) for span in merged] == [
        span.counts.planned for span in merged
    ]
    if run:
        assert max(each.second for each in run) + 1 == merged[-1].end
        assert 0 == merged[0].start


@given(seconds.filter(bool), st.integers(1, 300))
def test_merging_seconds_hides_no_extreme(run, max_spans):
    """The slowest second of a run is the upper extreme of its span, however many seconds are merged."""
    highest = [each.extremes(lambda second: second.ok_quantile("p99")) for each in spans(run, max_spans)]
    slowest = [value for each in run if (value := each.ok_quantile("p99")) is not None]

    assert max(slowest, default=None) == max((high for _, high in filter(None, highest)), default=None)


def test_charts_of_merged_seconds_show_single_ones(tmp_path):
    """An area to the slowest second, with its entry in the legend. Golden files show that there is none otherwise."""
    run = [interval(number, [9.0 if number == 250 else 0.1] * 3) for number in range(301)]
    summary = summarise_load(read_run(write_load(tmp_path / "run", run)))
    over_time = spans(summary.seconds, 300)
    shown = [latency_over_time(over_time), throughput(over_time)]

    assert {"p99 of single seconds", "ok answers of single seconds"} <= {
        entry.label for each in shown for entry in each.legend
    }
    assert "Light: p99 of the fastest and of the slowest second" in shown[0].description


@given(seconds.filter(bool))
def test_a_span_has_the_percentile_of_all_its_answers(run):
    """The percentile of a span is that of all its answers, not a mean of percentiles."""
    merged = spans(run, 1)[0].ok_times
    every = Histogram()
    for each in run:
        every.merge(each.response_time[Result.OK])

    assert every.quantile(0.99) == merged.quantile(0.99)


@given(st.lists(st.floats(1e-6, 100), min_size=1, max_size=200), st.integers(1, 80))
def test_bins_contain_every_value_once(values, number):
    """Bins are adjacent and count every value."""
    histogram = Histogram()
    for value in values:
        histogram.record(value)
    drawn = bins(histogram, histogram.min_value / 1.03, histogram.max_value * 1.03, number)

    assert len(values) == sum(each.count for each in drawn)
    assert all(math.isclose(left.high, right.low) for left, right in pairwise(drawn))


@pytest.mark.parametrize("swapped", [False, True])
def test_both_distributions_are_within_the_axis(swapped):
    """The axis ends above the highest step, also if that is one of the area."""
    spread, constant = Histogram(), Histogram()
    spread.record_all([0.1 * 1.01**place for place in range(300)])
    constant.record_all([0.1] * 300)
    sides = (constant, spread) if swapped else (spread, constant)
    panel = shares_panel(*sides, [], WIDE)

    assert panel.y.high > max(share for series in panel.series for _, share in series.points) > 90
