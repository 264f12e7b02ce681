"""Tests of parsing objectives."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chainproof.workload.objectives import Indicator, ObjectiveError, parse_objective

GOOD = {
    "p95 response_time < 800ms": (Indicator.RESPONSE_TIME, True, False, 0.8, 0.95),
    "p99.9 service_time <= 1m30s": (Indicator.SERVICE_TIME, True, True, 90.0, 0.999),
    "max schedule_lag<5ms": (Indicator.SCHEDULE_LAG, True, False, 0.005, 1.0),
    "p5 response_time < 2s": (Indicator.RESPONSE_TIME, True, False, 2.0, 0.05),
    "  p50   service_time  <  250 µs ": (Indicator.SERVICE_TIME, True, False, 0.00025, 0.5),
    "error_rate < 1%": (Indicator.ERROR_RATE, True, False, 0.01, None),
    "error_rate <= 0.5 %": (Indicator.ERROR_RATE, True, True, 0.005, None),
    "error_rate <= 0%": (Indicator.ERROR_RATE, True, True, 0.0, None),
    "throughput > 90/s": (Indicator.THROUGHPUT, False, False, 90.0, None),
    "throughput >= 12.5": (Indicator.THROUGHPUT, False, True, 12.5, None),
}

BAD = {
    "": "expected an objective such as",
    "fast": "expected an objective such as",
    "p95 latency < 1s": "expected one of response_time, service_time, schedule_lag, error_rate, throughput, first_success, settling_time, found 'latency'",
    "p95 response_time < 200ms, error_rate < 1%": "give each its own --objective",
    "p95 response_time < 200ms; error_rate<1%": "give each its own --objective",
    "mean response_time < 200ms": "a percentile such as p50, p95 or p99.9, or max",
    "p95<200ms": "a percentile such as p50, p95 or p99.9, or max",
    "p95 response_time": "expected an objective such as",
    "p95 response_time = 1s": "expected an objective such as",
    "p100 response_time < 1s": "expected an objective such as",
    "p0 response_time < 1s": "expected a percentile above 0",
    "p99.99999999999999 response_time < 1s": "expected",
    "response_time < 1s": "expected a percentile such as",
    "p95 error_rate < 1%": "expected no percentile",
    "max throughput > 1/s": "expected no percentile",
    "p95 response_time > 1s": "expected <",
    "error_rate > 1%": "expected <",
    "throughput < 1/s": "expected >",
    "p95 response_time < soon": "cannot read the threshold",
    "p95 response_time < -1s": "cannot read the threshold",
    "error_rate < much": "expected a percentage",
    "error_rate < much%": "cannot read the threshold",
    "error_rate < 101%": "expected a share",
    "error_rate < -1%": "expected a share",
    "error_rate < nan": "expected a percentage",
    "error_rate < nan%": "expected a share",
    "error_rate < 0.05": "expected a percentage",
    "error_rate < 0%": "expected <= 0%",
    "p95 response_time < 800": "expected a unit",
    "throughput > 1/min": "cannot read the threshold",
    "throughput > nan/s": "expected a rate",
    "throughput > inf": "expected a rate",
    "throughput > -1/s": "expected a rate",
}


@pytest.mark.parametrize("text", GOOD)
def test_objective_is_parsed(text: str) -> None:
    """The parts are the indicator, its direction, whether the threshold itself is good, the threshold, and the quantile."""
    objective = parse_objective(text)

    assert GOOD[text] == (
        objective.indicator,
        objective.lower_is_better,
        objective.inclusive,
        pytest.approx(objective.threshold),
        objective.quantile,
    )
    assert " ".join(text.split()) == objective.text


@pytest.mark.parametrize("text", BAD)
def test_invalid_objective_is_rejected(text: str) -> None:
    """The message says what was expected and quotes the text."""
    with pytest.raises(ObjectiveError, match=BAD[text]) as error:
        parse_objective(text)

    assert repr(text) in str(error.value)


@given(st.text())
def test_any_text_is_parsed_or_rejected(text: str) -> None:
    """Parsing any text raises nothing but ObjectiveError."""
    try:
        parse_objective(text)
    except ObjectiveError:
        return


@pytest.mark.parametrize(
    ("text", "lower_is_better", "at", "above"),
    [
        ("throughput > 10/s", False, False, True),
        ("throughput >= 10/s", False, True, True),
        ("p95 response_time < 10s", True, False, False),
        ("p95 response_time <= 10s", True, True, False),
    ],
)
def test_equality_sign_includes_the_threshold(text: str, *, lower_is_better: bool, at: bool, above: bool) -> None:
    """`<=` and `>=` include the threshold, `<` and `>` do not."""
    objective = parse_objective(text)

    assert [lower_is_better, at, above] == [objective.meets(value) for value in (9.0, 10.0, 11.0)]
