"""Objectives: exact bounds, and every request that was not answered ok counts against them."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from chainproof.judgement.objectives import ObjectiveResult, evaluate_objective
from chainproof.judgement.verdict import Verdict
from chainproof.results.exchange import NotSent, Outcome, Result, Transport
from chainproof.results.interval import Interval
from chainproof.workload.objectives import parse_objective

OK = Outcome(Transport.ANSWERED, 200, None, Result.OK)
LOSSES = {
    "failed, answered quickly": Outcome(Transport.ANSWERED, 429, "rate_limited", Result.FAILED),
    "failed, connection lost": Outcome(Transport.CONNECTION_LOST, None, None, Result.FAILED),
    "timed out": Outcome(Transport.DEADLINE, None, None, Result.TIMED_OUT),
    "censored": Outcome(Transport.DRAIN_ENDED, None, None, Result.CENSORED),
}
P95 = "p95 response_time < 1s"


def run_of(
    quick: int = 0,
    slow: int = 0,
    lost: dict[Outcome, int] | None = None,
    not_sent: dict[NotSent, int] | None = None,
) -> Interval:
    """A run with a number of quick, slow, failed and unsent requests."""
    interval = Interval(second=0)
    outcomes = {(OK, 0.5): quick, (OK, 1.5): slow, **{(outcome, 0.001): n for outcome, n in (lost or {}).items()}}
    for (outcome, time), count in outcomes.items():
        interval.planned += count
        interval.sent += count
        interval.outcomes[outcome] += count
        if count:
            interval.schedule_lag.record(0.0001, count)
            if outcome.transport is Transport.ANSWERED:
                interval.response_time[outcome.result].record(time, count)
                interval.service_time[outcome.result].record(time, count)
    for why, count in (not_sent or {}).items():
        interval.planned += count
        interval.not_sent[why] += count
    return interval


def judged(text: str, interval: Interval, ok_per_second: float = 0.0) -> ObjectiveResult:
    """The result of an objective."""
    return evaluate_objective(parse_objective(text), interval, ok_per_second)


@given(st.integers(0, 3000), st.integers(0, 200), st.sampled_from([50, 75, 90, 95, 99]))
def test_the_verdict_follows_from_exact_one_sided_bounds(quick: int, slow: int, percent: int) -> None:
    """Pass if the lower 95 % bound of the good share reaches the quantile, fail if the upper one does not, else inconclusive."""
    of = quick + slow
    low = stats.beta.ppf(0.05, quick, slow + 1) if quick else 0.0
    high = stats.beta.ppf(0.95, quick + 1, slow) if slow else 1.0
    expected = (
        Verdict.INCONCLUSIVE
        if of == 0
        else Verdict.PASS
        if low >= percent / 100
        else Verdict.FAIL
        if high < percent / 100
        else Verdict.INCONCLUSIVE
    )
    found = judged(f"p{percent} response_time < 1s", run_of(quick, slow))

    assert (expected, quick, of) == (found.verdict, found.good, found.total)
    if of:
        assert found.share is not None
        assert (low, high) == (pytest.approx(found.share.low, abs=1e-9), pytest.approx(found.share.high, abs=1e-9))


@pytest.mark.parametrize("indicator", ["response_time", "service_time"])
@pytest.mark.parametrize("loss", LOSSES)
def test_requests_without_an_ok_answer_count_against_the_target(loss: str, indicator: str) -> None:
    """A target cannot improve its percentiles by rejecting requests, dropping connections or not answering."""
    found = judged(f"p95 {indicator} < 1s", run_of(quick=100, lost={LOSSES[loss]: 100}))

    assert (Verdict.FAIL, 100, 200, None) == (found.verdict, found.good, found.total, found.observed)
    assert judged("error_rate < 10%", run_of(quick=100, lost={LOSSES[loss]: 100})).verdict is Verdict.FAIL


def test_requests_over_max_in_flight_count_against_the_target() -> None:
    """They were not sent because others had no answer. Requests after a stop do not count."""
    full = judged(P95, run_of(quick=100, not_sent={NotSent.MAX_IN_FLIGHT: 100}))
    stopped = judged(P95, run_of(quick=100, not_sent={NotSent.STOPPED: 100}))

    assert (Verdict.FAIL, 100, 200) == (full.verdict, full.good, full.total)
    assert (Verdict.PASS, 100, 100) == (stopped.verdict, stopped.good, stopped.total)
    assert judged("error_rate < 1%", run_of(quick=500, not_sent={NotSent.STOPPED: 100})).verdict is Verdict.PASS


def test_every_reason_for_unsent_requests_is_handled() -> None:
    """A new reason makes this test fail until it is handled."""
    counted = {why: judged(P95, run_of(quick=1, not_sent={why: 1})).total for why in NotSent}

    assert counted == {NotSent.MAX_IN_FLIGHT: 2, NotSent.STOPPED: 1}


@given(
    st.integers(0, 2000),
    st.integers(0, 2000),
    st.sampled_from([P95, "p50 response_time < 1s", "p99 service_time < 1s"]),
)
def test_the_percentile_and_the_good_share_agree(quick: int, slow: int, text: str) -> None:
    """
    The percentile meets the threshold exactly if the good share reaches the quantile. A pass never shows a percentile
    beyond its threshold, a fail never one within.
    """
    found = judged(text, run_of(quick, slow))
    if found.total:
        assert found.observed is not None
        assert found.objective.meets(found.observed) is (quick >= (found.objective.quantile or 0) * found.total - 1e-9)
        assert found.verdict is not Verdict.PASS or found.objective.meets(found.observed)
        assert found.verdict is not Verdict.FAIL or not found.objective.meets(found.observed)


@given(st.integers(1, 1500), st.integers(0, 60), st.sampled_from([0.5, 0.9, 0.95, 0.99]))
def test_more_requests_needed_is_the_smallest_number(quick: int, slow: int, wanted: float) -> None:
    """At the same share, that many more requests decide it, and one fewer does not."""
    text = f"p{wanted * 100:g} response_time < 1s"
    found = judged(text, run_of(quick, slow))

    assert found.more_requests_needed is None or found.verdict is Verdict.INCONCLUSIVE
    if found.more_requests_needed is not None:

        def verdict(of: int) -> Verdict:
            good = round(quick / (quick + slow) * of)
            return judged(text, run_of(good, of - good)).verdict

        assert found.more_requests_needed >= 1
        assert verdict(quick + slow + found.more_requests_needed) is not Verdict.INCONCLUSIVE
        assert verdict(quick + slow + found.more_requests_needed - 1) is Verdict.INCONCLUSIVE


def test_a_share_equal_to_the_quantile_is_never_decided() -> None:
    """No number of requests decides it, so none is given."""
    found = judged(P95, run_of(quick=95, slow=5))

    assert (Verdict.INCONCLUSIVE, None) == (found.verdict, found.more_requests_needed)


@pytest.mark.parametrize(
    ("good", "needed"), [(10, 49), (58, 1)]
)  # 0.95 ** 59 is the first power below 5 %: 59 good ones without a bad one
def test_59_good_requests_pass_a_p95(good: int, needed: int) -> None:
    """Without a bad request, p95 takes 59 requests."""
    found = judged(P95, run_of(quick=good))

    assert (Verdict.INCONCLUSIVE, needed) == (found.verdict, found.more_requests_needed)
    assert judged(P95, run_of(quick=good + needed)).verdict is Verdict.PASS


@pytest.mark.parametrize(
    ("text", "run", "verdict"),
    [
        ("max response_time < 1s", run_of(quick=1), Verdict.PASS),
        ("max response_time < 1s", run_of(quick=10_000, slow=1), Verdict.FAIL),
        ("max response_time < 1s", run_of(quick=10_000, lost={LOSSES["timed out"]: 1}), Verdict.FAIL),
        ("max response_time < 499.9ms", run_of(quick=5), Verdict.FAIL),
        ("max response_time < 0s", run_of(quick=5), Verdict.FAIL),
        ("max response_time < 1s", run_of(), Verdict.INCONCLUSIVE),
        ("error_rate <= 0%", run_of(quick=5), Verdict.PASS),
        ("error_rate <= 0%", run_of(quick=5000, lost={LOSSES["censored"]: 1}), Verdict.FAIL),
        ("error_rate < 1%", run_of(quick=50), Verdict.INCONCLUSIVE),
        ("error_rate < 1%", run_of(slow=5000), Verdict.PASS),
        ("error_rate < 1%", run_of(), Verdict.INCONCLUSIVE),
        ("p99 schedule_lag < 1ms", run_of(quick=5000), Verdict.PASS),
        ("p99 schedule_lag < 50us", run_of(quick=5000), Verdict.FAIL),
    ],
    ids=lambda value: value if isinstance(value, str) else None,
)
def test_objectives_of_every_kind_are_evaluated(text: str, run: Interval, verdict: Verdict) -> None:
    """A share of 100 % has no sampling error; schedule lag is that of all sent requests."""
    assert verdict is judged(text, run).verdict


def test_a_maximum_just_above_its_threshold_fails() -> None:
    """The maximum is known exactly, although its bucket reaches below the threshold."""
    interval = Interval(second=0, planned=1, sent=1)
    interval.outcomes[OK] = 1
    interval.response_time[Result.OK].record(0.8005)
    found = judged("max response_time < 800.4ms", interval)

    assert (Verdict.FAIL, 0.8005) == (found.verdict, found.observed)


@pytest.mark.parametrize(
    ("text", "verdict"), [("throughput > 10/s", Verdict.FAIL), ("throughput >= 10/s", Verdict.PASS)]
)
def test_a_throughput_has_no_sampling_error(text: str, verdict: Verdict) -> None:
    """It is compared with its threshold directly."""
    found = judged(text, run_of(quick=10), ok_per_second=10.0)

    assert (verdict, 10.0, None, None) == (found.verdict, found.observed, found.share, found.more_requests_needed)


def test_an_error_rate_is_a_share_of_planned_requests() -> None:
    """Slow requests are no errors; failed, late, lost and unsent ones are."""
    lost = dict.fromkeys(LOSSES.values(), 10)
    found = judged("error_rate < 1%", run_of(quick=25, slow=25, lost=lost, not_sent={NotSent.MAX_IN_FLIGHT: 10}))

    assert (0.5, 50, 100) == (found.observed, found.good, found.total)


def test_more_good_requests_than_planned_is_inconclusive() -> None:
    """Part of the record is lost: there is no verdict, and no exception."""
    interval = run_of(quick=100)
    interval.planned = 60

    assert [Verdict.INCONCLUSIVE] * 2 == [judged(text, interval).verdict for text in (P95, "error_rate < 1%")]
