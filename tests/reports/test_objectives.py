"""What reports say about an objective: bounds, dependence, and what would decide it."""

from __future__ import annotations

from dataclasses import replace

import pytest

from chainproof.judgement.objectives import ObjectiveResult
from chainproof.judgement.verdict import Verdict
from chainproof.reports.formatting import objectives
from chainproof.statistics.confidence_intervals import Estimate
from chainproof.statistics.dependence import Dependence, independent
from chainproof.workload.objectives import parse_objective

UNDECIDED = ObjectiveResult(
    objective=parse_objective("p95 response_time < 800ms"),
    verdict=Verdict.INCONCLUSIVE,
    observed=0.7,
    good=950,
    total=1000,
    share=Estimate(value=0.95, low=0.9, high=0.99),
    dependence=independent(20.0),
    more_requests_needed=4000,
)


@pytest.mark.parametrize(
    ("low", "high", "expected"),
    [
        (0.9, 0.99, "90.0 % – 99.0 %"),
        (2e-8, 1 - 2e-8, "0 % – 100 %"),
        (0.99998, 0.99999, "99.998 % – 99.999 %"),
        (0.9999997, 1.0, "99.99997 % – 100 %"),
    ],
)
def test_a_bound_has_no_more_digits_than_it_means(low: float, high: float, expected: str) -> None:
    """A bound is rounded away from the share, never towards it."""
    result = replace(UNDECIDED, share=Estimate(value=0.95, low=low, high=high))

    assert f"{expected} (confidence 95 %)" == objectives.share_bounds(result)


def test_bounds_of_different_confidence_are_told_apart() -> None:
    """The lower bound decides whether an objective is met, the upper one whether it is missed."""
    text = objectives.share_bounds(replace(UNDECIDED, confidence=(0.95, 0.975)))

    assert "(lower: confidence 95 %, upper: 97.5 %)" in text


@pytest.mark.parametrize(
    ("effect", "time", "expected"),
    [
        (1.0, 0.0, ""),
        (10.0, 0.0009, "design effect 10 (they tell as much as 100 independent requests), correlation time below 1 s"),
        (900.0, 2.5, "design effect 900 (they tell as much as 1 independent request), correlation time 2.5 s"),
    ],
)
def test_a_correlation_time_below_a_second_is_not_known(effect: float, time: float, expected: str) -> None:
    """Requests are counted by the second."""
    found = Dependence(design_effect=effect, degrees_of_freedom=9.0, correlation_time=time, seconds=20.0)

    assert expected == objectives.dependence(replace(UNDECIDED, dependence=found))


def test_what_would_decide_an_objective_has_its_duration() -> None:
    """The length of a run is an option, its number of requests is not. It is left out if it is unknown."""
    timed, untimed = (
        objectives.more_requests_needed(replace(UNDECIDED, dependence=found)) for found in (independent(20.0), None)
    )

    assert (
        "a run with about 4,000 more requests (at this rate 1m40s in all) would decide it (probability 80 %)" == timed
    )
    assert "a run with about 4,000 more requests would decide it (probability 80 %)" == untimed
