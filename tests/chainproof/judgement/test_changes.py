"""What a difference means is said in numbers that can be true, however little is known."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chainproof.judgement.comparison.change import (
    Change,
    MetricDifference,
    Tolerance,
    change_text,
    interval_text,
    judge_changes,
)
from chainproof.judgement.comparison.differences import Design, metric_differences
from chainproof.judgement.comparison.load_comparison import RUNS, conclude
from chainproof.judgement.comparison.metrics import METRIC_KINDS, Metric
from chainproof.reports.comparison.wording import sentence
from chainproof.statistics.measurements import share
from chainproof.statistics.run_differences import Difference

_SIZES = st.floats(0.0, 1e6)


@given(st.sampled_from(list(Metric)), st.floats(-50.0, 50.0), _SIZES, st.floats(0.0, 300.0))
def test_a_change_has_possible_and_short_numbers(metric: Metric, value: float, error: float, freedom: float) -> None:
    """Shares change by at most 100 points, and no number is longer than a table has room for."""
    found = Difference(value=value, error=error + 1e-9, degrees_of_freedom=freedom, pairs=True)
    change = judge_changes([MetricDifference(metric=metric, difference=found)], Tolerance())[0]
    sizes = [size for size in (change.size, change.low, change.high, change.smallest_detectable) if size is not None]

    assert all(map(math.isfinite, sizes))
    assert all(abs(size) <= 1 for size in sizes if METRIC_KINDS[metric].is_share)
    assert all(len(change_text(size, change.kind)) <= 12 for size in sizes)
    assert len(interval_text(change)) <= 26


def test_a_target_that_always_fails_is_a_change_like_any_other() -> None:
    """Only a share that is the same in all runs is left out of the tests that share a probability of error."""
    never, always = ({Metric.ERROR_RATE: share([count] * 9, [50] * 9)} for count in (0, 50))

    assert [True] == [each.never_varies for each in metric_differences([never], [never, never])]
    assert [False] == [each.never_varies for each in metric_differences([always], [never, never])]


def test_one_run_a_side_asks_for_as_many_as_its_figures_need() -> None:
    """The number of runs in the next step is not below that in the table; a duet that is too short needs no more runs."""
    found = Difference(value=0.3, error=0.09, degrees_of_freedom=0.0)
    changes = judge_changes([MetricDifference(metric=Metric.P50, difference=found)], Tolerance())
    needed = changes[0].runs_needed
    steps = conclude([], [], changes, tolerance=Tolerance(), design=Design.INDEPENDENT).next_steps
    duet = conclude([], [], changes, tolerance=Tolerance(), design=Design.DUETS)

    assert needed is not None
    assert needed > RUNS
    assert f"--repeat {needed}`" in steps[0]
    assert "The duet is too short" in duet.reason
    assert ("Make a longer duet: this one does not show how much of the change is chance.",) == duet.next_steps


@pytest.mark.parametrize("design", list(Design))
def test_a_next_step_fits_the_kind_of_runs(design: Design) -> None:
    """If more of them do not help, the options that are named can be used with such runs, and apply to the figure."""
    metric = Metric.THROUGHPUT if design is Design.SEARCHES else Metric.ERROR_RATE
    found = Difference(value=0.0, error=9.0, degrees_of_freedom=4.0)
    changes = judge_changes([MetricDifference(metric=metric, difference=found)], Tolerance())
    steps = " ".join(conclude([], [], changes, tolerance=Tolerance(), design=design).next_steps)

    assert ("--duet" in steps) is (design in (Design.INDEPENDENT, Design.PAIRS))
    assert ("--search-resolution" in steps) is (design is Design.SEARCHES)
    assert ("--share-tolerance" in steps) is (metric is Metric.ERROR_RATE)
    assert (" --tolerance" in steps) is (metric is Metric.THROUGHPUT)


@given(st.lists(st.tuples(st.floats(-0.5, 0.5), st.floats(0.001, 0.2)), min_size=1, max_size=3), st.floats(2.0, 40.0))
def test_a_class_and_its_interval_agree(found: list[tuple[float, float]], freedom: float) -> None:
    """A change that is left open has an interval that leaves it open, also if several metrics share the probability of error."""
    differences = [
        MetricDifference(metric=metric, difference=Difference(value=value, error=error, degrees_of_freedom=freedom))
        for metric, (value, error) in zip(Metric, found, strict=False)
    ]
    for change in judge_changes(differences, Tolerance()):
        assert change.low is not None
        assert change.high is not None
        if change.change is Change.INCONCLUSIVE:
            assert change.low < 0.1
            assert change.high > -0.1
        if change.jointly:
            text = sentence(change, Tolerance())
            assert f"all {len(found)} metrics together" in text
            assert f"--metric {change.metric}" in text


def test_the_number_of_runs_names_the_metric_that_needs_them() -> None:
    """A median that needs few duets is not hidden behind a p99 that needs many."""
    errors = {Metric.P50: 0.035, Metric.P99: 0.5}
    changes = judge_changes(
        [
            MetricDifference(
                metric=metric,
                difference=Difference(value=0.08, error=error, degrees_of_freedom=9.0, freedom_of_duet=9.0),
            )
            for metric, error in errors.items()
        ],
        Tolerance(),
    )
    p50, p99 = (each.runs_needed for each in changes)
    step = conclude([], [], changes, tolerance=Tolerance(), design=Design.DUETS).next_steps[0]

    assert f"Make {p99} duets in all, because of p99 (p50 {p50}; `--metric` chooses what decides)" in step
    assert p99 > 10
    assert "To need fewer, make longer duets, or choose a metric with --metric." in step
