"""Objectives: exact bounds, and every request that was not answered ok counts against them."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from chainproof.judgement.judged_requests import JudgedRequests
from chainproof.judgement.objectives import ObjectiveResult, evaluate_objectives
from chainproof.judgement.verdict import Verdict
from chainproof.results.exchange import NotSent, Outcome, Result, Transport
from chainproof.results.intervals.interval import Interval
from chainproof.results.intervals.request_stats import merge_stats
from chainproof.statistics.dependence import independent
from chainproof.statistics.share_test import ShareTest, holm_errors
from chainproof.workload.objectives import parse_objective

OK = Outcome(Transport.ANSWERED, 200, None, Result.OK)
LOSSES = {
    "failed, answered quickly": Outcome(Transport.ANSWERED, 429, "rate_limited", Result.FAILED),
    "failed, connection lost": Outcome(Transport.CONNECTION_LOST, None, None, Result.FAILED),
    "timed out": Outcome(Transport.DEADLINE, None, None, Result.TIMED_OUT),
}
CENSORED = Outcome(Transport.DRAIN_ENDED, None, None, Result.CENSORED)
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


def judged(text: str, interval: Interval, planned_rate: float | None = None) -> ObjectiveResult:
    """The result of an objective."""
    (result,) = evaluate_objectives([parse_objective(text)], JudgedRequests(stats=interval, planned_rate=planned_rate))
    return result


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
def test_more_requests_are_named_only_where_they_help(quick: int, slow: int, wanted: float) -> None:
    """A decided objective needs none; at the observed share, which is likelier than others, the named number decides."""
    text = f"p{wanted * 100:g} response_time < 1s"
    found = judged(text, run_of(quick, slow))

    assert found.more_requests_needed is None or found.verdict is Verdict.INCONCLUSIVE
    if found.more_requests_needed is not None:
        of = quick + slow + found.more_requests_needed
        good = round(quick / (quick + slow) * of)

        assert found.more_requests_needed >= 1
        assert judged(text, run_of(good, of - good)).verdict is not Verdict.INCONCLUSIVE


def test_a_share_equal_to_the_quantile_is_never_decided() -> None:
    """No number of requests decides it, so none is given."""
    found = judged(P95, run_of(quick=95, slow=5))

    assert (Verdict.INCONCLUSIVE, None) == (found.verdict, found.more_requests_needed)


def test_59_good_requests_pass_a_p95() -> None:
    """Without a bad request, p95 takes 59 requests: 0.95 ** 59 is the first power below 5 %."""
    assert judged(P95, run_of(quick=58)).verdict is Verdict.INCONCLUSIVE
    assert judged(P95, run_of(quick=59)).verdict is Verdict.PASS


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
        ("error_rate <= 0%", run_of(quick=5000, lost={CENSORED: 1}), Verdict.INCONCLUSIVE),
        ("error_rate <= 0%", run_of(quick=5000, lost={LOSSES["timed out"]: 1, CENSORED: 1}), Verdict.FAIL),
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
    ("text", "run", "verdict"),
    [
        ("throughput > 9.5/s", run_of(quick=100), Verdict.PASS),
        ("throughput > 9.99/s", run_of(quick=100), Verdict.INCONCLUSIVE),
        ("throughput >= 10/s", run_of(quick=100), Verdict.PASS),
        ("throughput > 10/s", run_of(quick=100), Verdict.INCONCLUSIVE),
        ("throughput > 20/s", run_of(quick=100), Verdict.INCONCLUSIVE),
        ("throughput > 9.5/s", run_of(quick=50, lost={LOSSES["timed out"]: 50}), Verdict.FAIL),
        ("throughput > 4/s", run_of(quick=50, lost={LOSSES["timed out"]: 50}), Verdict.PASS),
        ("throughput > 0/s", run_of(), Verdict.INCONCLUSIVE),
    ],
    ids=lambda value: value if isinstance(value, str) else None,
)
def test_a_throughput_is_the_planned_rate_times_the_share_of_ok_requests(
    text: str, run: Interval, verdict: Verdict
) -> None:
    """A target that answers everything never fails, whatever the plan happened to contain."""
    found = judged(text, run, planned_rate=10.0)

    assert verdict is found.verdict
    assert found.observed == (run.count(Result.OK) / run.planned * 10.0 if run.planned else None)


@pytest.mark.parametrize(
    ("counts", "in_flight", "threshold", "verdict"),
    [
        ([13, 14, 13, 14, 13, 13, 14, 13, 13, 14], 40, 9, Verdict.PASS),
        ([13, 14, 13, 14, 13, 13, 14, 13, 13, 14], 40, 20, Verdict.FAIL),
        ([13, 14, 13, 14, 13, 13, 14, 13, 13, 14], 40, 13.4, Verdict.INCONCLUSIVE),
        ([0, 0], 40, 10, Verdict.INCONCLUSIVE),
        ([0, 0, 40] * 20, 40, 9, Verdict.PASS),
        ([0, 0, 40] * 20, 40, 20, Verdict.FAIL),
        ([5], 1, 3, Verdict.INCONCLUSIVE),
        ([], 0, 3, Verdict.INCONCLUSIVE),
    ],
)
def test_the_throughput_of_a_closed_model_is_the_mean_of_its_seconds(
    counts: list[int], in_flight: int, threshold: float, verdict: Verdict
) -> None:
    """A run that is no longer than its responses decides nothing: its requests in flight may belong to the rate."""
    requests = JudgedRequests(stats=run_of(), ok_by_second=counts, in_flight=in_flight)
    (found,) = evaluate_objectives([parse_objective(f"throughput > {threshold}/s")], requests)

    assert (verdict, None) == (found.verdict, found.share)


@pytest.mark.parametrize(
    ("text", "run", "verdict"),
    [
        ("error_rate < 100%", run_of(lost={LOSSES["timed out"]: 50}), Verdict.FAIL),
        ("error_rate <= 100%", run_of(lost={LOSSES["timed out"]: 50}), Verdict.PASS),
        ("error_rate < 100%", run_of(quick=1, lost={LOSSES["timed out"]: 50}), Verdict.PASS),
        ("error_rate < 100%", run_of(lost={CENSORED: 50}), Verdict.INCONCLUSIVE),
        ("max response_time < 500ms", run_of(quick=5), Verdict.FAIL),
        ("max response_time <= 500ms", run_of(quick=5), Verdict.PASS),
        ("p95 response_time < 500ms", run_of(quick=500), Verdict.FAIL),
        ("p95 response_time <= 500ms", run_of(quick=500), Verdict.PASS),
        ("p50 service_time < 1500ms", run_of(quick=100, slow=500), Verdict.FAIL),
    ],
    ids=lambda value: value if isinstance(value, str) else None,
)
def test_strict_inequalities_are_strict(text: str, run: Interval, verdict: Verdict) -> None:
    """The threshold itself misses an objective with `<`, and meets one with `<=`."""
    assert verdict is judged(text, run).verdict


def test_objectives_share_their_probability_of_error() -> None:
    """Of five independent objectives at their boundary, any is passed wrongly in at most 5 % of the runs, and failed too."""
    source, met, missed, runs = np.random.default_rng(1), 0, 0, 400
    for _ in range(runs):
        tests = [
            ShareTest(good=count, best=count, total=500, required=0.95, dependence=independent())
            for count in map(int, source.binomial(500, 0.95, 5))
        ]
        met += any(test.is_met(error) for test, error in zip(tests, holm_errors(tests, met=True), strict=True))
        missed += any(
            test.is_met(error) is False for test, error in zip(tests, holm_errors(tests, met=False), strict=True)
        )

    assert met <= runs * 0.08
    assert missed <= runs * 0.08


def test_clear_objectives_do_not_cost_the_others_their_verdict() -> None:
    """Holm's method gives what a sure decision leaves to the rest; exact objectives take no part."""
    run = run_of(quick=300)
    texts = ["p50 response_time < 1s", "p99 response_time < 1s", "max response_time < 1s", "max response_time < 100ms"]
    found = evaluate_objectives([parse_objective(text) for text in texts], JudgedRequests(stats=run))

    assert [Verdict.PASS, Verdict.PASS, Verdict.PASS, Verdict.FAIL] == [each.verdict for each in found]


def seconds_of(shares: Iterable[float]) -> JudgedRequests:
    """A run with 50 requests in each second, of which these shares are good."""
    seconds = [run_of(quick=round(50 * share), slow=50 - round(50 * share)) for share in shares]
    return JudgedRequests(stats=merge_stats(seconds), seconds=seconds)


def test_a_pass_needs_a_run_of_ten_correlation_times() -> None:
    """A trend over the whole run is inconclusive, and says so; a miss by far is a miss."""
    (trend,) = evaluate_objectives(
        [parse_objective("p50 response_time < 1s")], seconds_of(0.3 + 0.7 * n / 60 for n in range(60))
    )
    (missed,) = evaluate_objectives([parse_objective(P95)], seconds_of(0.2 * n / 60 for n in range(60)))

    assert (Verdict.INCONCLUSIVE, True) == (trend.verdict, trend.is_undecided_by_dependence)
    assert trend.dependence is not None
    assert trend.dependence.seconds_needed > 60
    assert Verdict.FAIL is missed.verdict


def test_a_target_that_misses_its_objective_all_the_time_fails() -> None:
    """Its times may rise during the whole run, as those of a queue do: dependence among slow requests excuses nothing."""
    seconds = [run_of() for _ in range(60)]
    for place, second in enumerate(seconds):
        second.planned = second.sent = 20
        second.outcomes[OK] = 20
        second.response_time[Result.OK].record(2.0 + place, 20)
    requests = JudgedRequests(stats=merge_stats(seconds), seconds=seconds)
    (found,) = evaluate_objectives([parse_objective(P95)], requests)

    assert Verdict.FAIL is found.verdict


def test_one_bad_spell_does_not_decide() -> None:
    """30 slow requests in one of 60 seconds are one event, not 30: a miss of p99 is not certain."""
    spell, spread = [1.0] * 59 + [0.4], [0.98, 1.0] * 30
    (together,) = evaluate_objectives([parse_objective("p99.5 response_time < 1s")], seconds_of(spell))
    (apart,) = evaluate_objectives([parse_objective("p99.5 response_time < 1s")], seconds_of(spread))

    assert together.good == apart.good
    assert [Verdict.INCONCLUSIVE, Verdict.FAIL] == [together.verdict, apart.verdict]


def test_slow_spells_far_below_the_threshold_do_not_matter() -> None:
    """A spell of 1.5 s in place of 0.5 s leaves few independent requests for 2 s, and all of them for a minute."""
    run = seconds_of(0.0 if second in range(20, 26) else 1.0 for second in range(60))
    texts = ["p95 response_time < 2s", "p95 response_time < 60s"]
    near, far = (evaluate_objectives([parse_objective(text)], run)[0] for text in texts)

    assert near.dependence is not None
    assert far.dependence is not None
    assert near.dependence.design_effect > 10
    assert (Verdict.PASS, 1.0) == (far.verdict, far.dependence.design_effect)


def test_the_dependence_of_slow_requests_is_shown() -> None:
    """A run in two states whose slow requests come in five spells: p95 and p80 are both within these spells."""
    seconds = []
    for number in range(50):
        second = run_of(quick=0 if number % 10 in (3, 4, 5) else 40)
        for place in range(0 if second.sent else 40):
            second.outcomes[OK] += 1
            second.planned += 1
            second.sent += 1
            second.response_time[Result.OK].record(1.5 + 0.01 * place)
        seconds.append(second)
    requests = JudgedRequests(stats=merge_stats(seconds), seconds=seconds)
    (found,) = evaluate_objectives([parse_objective(P95)], requests)
    batches = requests.batches(found.objective.indicator)
    at_threshold, at_quantile = batches.dependence_at(1.0), batches.dependence_of_quantile(0.95)

    assert found.dependence is not None
    assert at_threshold.effective_size(2000, 0.05) < at_quantile.effective_size(2000, 0.05)
    assert at_threshold == found.dependence


def test_an_error_rate_is_a_share_of_planned_requests() -> None:
    """Slow requests are no errors; failed, late, lost and unsent ones are."""
    lost = dict.fromkeys(LOSSES.values(), 10)
    found = judged("error_rate < 1%", run_of(quick=25, slow=25, lost=lost, not_sent={NotSent.MAX_IN_FLIGHT: 20}))

    assert (0.5, 50, 100) == (found.observed, found.good, found.total)


def test_more_good_requests_than_planned_is_inconclusive() -> None:
    """Part of the record is lost: there is no verdict, and no exception."""
    interval = run_of(quick=100)
    interval.planned = 60

    assert [Verdict.INCONCLUSIVE] * 2 == [judged(text, interval).verdict for text in (P95, "error_rate < 1%")]


# ------------------------------------------------------------------ censored requests


def in_flight(run: Interval, *ages: float, times: int = 1) -> Interval:
    """The run with more requests that were in flight when it ended, of these ages."""
    for age in ages:
        for _ in range(times):
            run.count_planned()
            run.count_all_sent([0.0])
            run.count_outcomes(CENSORED, [age], [age])
    return run


def test_censored_requests_younger_than_the_threshold_leave_it_open() -> None:
    """31 of 200 are 2 s old, every answer came within 2.04 s, p95 < 5 s: from 84.5 % to 100 %, and a longer drain is named."""
    run = run_of(lost={})
    run.planned = run.sent = 169
    run.outcomes[OK] = 169
    run.response_time[Result.OK].record(2.04, 169)
    found = judged("p95 response_time < 5s", in_flight(run, 2.0, times=31))

    assert (Verdict.INCONCLUSIVE, True) == (found.verdict, found.is_undecided_by_censoring)
    assert (169, 31, 200, None) == (found.good, found.unknown, found.total, found.more_requests_needed)
    assert (1.0, 2.04) == (found.share and found.share.value, found.observed)


@given(
    answers=st.tuples(st.integers(0, 300), st.integers(0, 30), st.integers(0, 30)),
    young=st.integers(0, 60),
    old=st.integers(0, 30),
    text=st.sampled_from([P95, "p50 service_time < 1s", "max response_time < 1s", "error_rate < 5%"]),
)
def test_a_verdict_holds_whatever_becomes_of_the_censored_requests(
    answers: tuple[int, int, int], young: int, old: int, text: str
) -> None:
    """A pass or fail is also the verdict if the unknown requests are all good, and if they are all bad."""
    quick, slow, failed = answers
    lost = {LOSSES["timed out"]: failed}
    found = judged(text, in_flight(in_flight(run_of(quick, slow, lost), 0.4, times=young), 1.6, times=old))
    is_error_rate = text.startswith("error_rate")
    unknown = young + (old if is_error_rate else 0)
    worst = run_of(quick, slow, {LOSSES["timed out"]: failed + young + old})
    best = run_of(quick + unknown, slow, {LOSSES["timed out"]: failed + young + old - unknown})
    verdicts = {judged(text, worst).verdict, judged(text, best).verdict}

    assert found.verdict is (verdicts.pop() if len(verdicts) == 1 else Verdict.INCONCLUSIVE)
    assert unknown == found.unknown
    if found.total:
        assert found.share is not None
        assert found.share.low is not None
        assert found.share.high is not None
        assert found.share.low - 1e-9 <= found.share.value <= found.share.high + 1e-9


def test_a_request_older_than_the_threshold_is_too_slow() -> None:
    """It needs no answer for that."""
    found = judged("max response_time < 1s", in_flight(run_of(quick=100), 1.2))

    assert (Verdict.FAIL, 0) == (found.verdict, found.unknown)


def test_a_request_of_unknown_age_is_unknown() -> None:
    """As those of a lost worker, whose last reports are missing."""
    found = judged(P95, run_of(quick=1000, lost={CENSORED: 500}))

    assert (Verdict.INCONCLUSIVE, 500, 1.0) == (found.verdict, found.unknown, found.share and found.share.value)
