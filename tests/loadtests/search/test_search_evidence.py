"""Tests of what probes say about a rate: pooling, dependence and growing queues."""

from __future__ import annotations

import random
from dataclasses import replace
from pathlib import Path

import pytest

from chainproof.judgement.load_summary import summarise_load
from chainproof.judgement.verdict import Verdict
from chainproof.loadtests.search.evidence import Counts, Probe, ProbePurpose, ProbeVerdict, RateStatus, evidence
from chainproof.loadtests.search.measurement import measured_probe
from chainproof.loadtests.search.saturation import ProbeRequest
from chainproof.results.exchange import Outcome, Result, Transport
from chainproof.results.folder import Run
from chainproof.results.intervals.interval import Interval
from chainproof.results.manifest import Ending, RunEnd

from ...manifests import load_manifest


def probe(
    rate: float, share: float, *, seed: int = 1, seconds: int = 60, in_flight: tuple[float, ...] = (5.0,) * 60
) -> Probe:
    """A probe of which a share of the answers is good, spread evenly at random; 95 % are required."""
    chance = random.Random(seed)
    per_second = round(rate)
    bad = set(chance.sample(range(per_second * seconds), round((1 - share) * per_second * seconds)))
    good = tuple(
        sum(second * per_second + place not in bad for place in range(per_second)) for second in range(seconds)
    )
    counts = Counts(
        required=0.95,
        good=sum(good),
        total=per_second * seconds,
        good_by_second=good,
        total_by_second=(per_second,) * seconds,
    )
    return Probe(
        rate=rate,
        purpose=ProbePurpose.DOUBLING,
        verdict=ProbeVerdict.INCONCLUSIVE,
        planned=counts.total,
        in_flight=in_flight,
        counts=(counts,),
    )


def statuses(*probes: Probe) -> list[RateStatus]:
    """The status of each rate."""
    return [each.status for each in evidence(probes)]


def test_a_rate_is_met_missed_or_open() -> None:
    """600 requests show 99 % and 90 %, but not 95.5 %."""
    assert [RateStatus.MET] == statuses(probe(10, 0.99))
    assert [RateStatus.MISSED] == statuses(probe(10, 0.90))
    assert [RateStatus.OPEN] == statuses(probe(10, 0.955))


def test_probes_of_one_rate_count_together() -> None:
    """Several probes show what one does not. One unlucky probe decides nothing, but its difference to the others counts."""
    assert [RateStatus.OPEN] == statuses(probe(10, 0.965))
    assert [RateStatus.MET] == statuses(*(probe(10, 0.965, seed=seed) for seed in range(8)))
    assert [RateStatus.MISSED] == statuses(probe(10, 0.92))
    assert [RateStatus.OPEN] == statuses(probe(10, 0.92), *(probe(10, 0.985, seed=seed) for seed in range(4)))


def test_good_answers_at_a_higher_rate_count_for_a_lower_one() -> None:
    """A higher rate is never better, so what holds there holds below."""
    assert [RateStatus.MET, RateStatus.MET] == statuses(probe(10, 0.955), probe(20, 0.99))
    assert [RateStatus.MISSED, RateStatus.MISSED] == statuses(probe(10, 0.90), probe(20, 0.945))


GROWING = tuple(5.0 + second for second in range(60))


def test_growing_requests_in_flight_are_a_miss() -> None:
    """Also if every response time meets the objective; one such probe has to be confirmed, two are enough."""
    growing = probe(10, 1.0, in_flight=GROWING)

    assert [RateStatus.GROWING] == statuses(growing)
    assert [RateStatus.MISSED] == statuses(growing, growing)
    assert [RateStatus.MISSED] == statuses(replace(probe(10, 0.94), in_flight=GROWING))
    assert [RateStatus.MET] == statuses(growing, probe(10, 1.0, in_flight=GROWING[::-1]))


def test_dependent_requests_show_less() -> None:
    """All bad answers in one spell of five seconds are weaker evidence than as many spread evenly."""
    spread = probe(10, 0.985)
    counts = spread.counts[0]
    spell = tuple(8 if 20 <= second < 25 else 10 for second in range(60))
    together = replace(
        spread, counts=(replace(counts, good=sum(spell), good_by_second=spell, total_by_second=(10,) * 60),)
    )
    wide, narrow = evidence([together])[0].shares[0], evidence([spread])[0].shares[0]

    assert wide.high - wide.low > narrow.high - narrow.low


def test_invalid_probes_say_nothing() -> None:
    """They are left out of every rate."""
    invalid = replace(probe(10, 0.5), verdict=ProbeVerdict.INVALID)

    assert [] == statuses(invalid)
    assert [RateStatus.MET] == statuses(invalid, probe(10, 0.99))


@pytest.mark.parametrize(("bad", "status"), [(0, RateStatus.MET), (1, RateStatus.MISSED)])
def test_an_objective_of_every_request_has_no_sampling_error(bad: int, status: RateStatus) -> None:
    """`max` and an error rate of 0 % are met if all requests are good, and missed by one that is not."""
    single = probe(10, 1.0)
    counts = replace(single.counts[0], required=1.0, good=600 - bad)

    assert [status] == statuses(replace(single, counts=(counts,)))


def test_a_probe_has_the_verdict_of_its_own_report() -> None:
    """A probe whose report is inconclusive, since slow spells last too long, is not shown as met beside it."""
    seconds = []
    for number in range(40):
        second = Interval(second=number)
        for place in range(50):
            second.count_planned()
            second.count_all_sent([0.0])
            time = 0.6 + place * 0.002 if 20 <= number < 26 else 0.1
            second.count_outcomes(Outcome(Transport.ANSWERED, 200, None, Result.OK), [time], [time])
        seconds.append(second)
    manifest = load_manifest(
        target="https://chain-abc123.api.baseten.co/production/run_remote",
        settings={"model": "open", "duration_s": 40.0, "rate_per_s": 50.0},
        objectives=("p95 response_time < 800ms",),
    )
    counts = {"planned": 2000, "not_sent": 0, "sent": 2000, **{each.value: 0 for each in Result}, "ok": 2000}
    end = RunEnd(ending=Ending.COMPLETED, seconds=40.0, accounting=counts)
    summary = summarise_load(Run(path=Path("x"), manifest=manifest, intervals=tuple(seconds), end=end))
    request = ProbeRequest(rate=50.0, purpose=ProbePurpose.DOUBLING, seconds=40.0)

    assert (Verdict.INCONCLUSIVE, ProbeVerdict.INCONCLUSIVE) == (
        summary.verdict,
        measured_probe(request, summary, 40.0).verdict,
    )
