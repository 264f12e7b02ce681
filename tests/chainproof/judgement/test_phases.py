"""Phases: only judged phases count for figures and objectives; the accounting covers all."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chainproof.judgement.load_summary import LoadSummary, summarise_load
from chainproof.judgement.verdict import Verdict
from chainproof.results.exchange import NotSent, Outcome, Result, Transport
from chainproof.results.folder import Run
from chainproof.results.intervals.interval import Interval
from chainproof.results.manifest import Ending, RunEnd
from chainproof.results.settings import PhaseSpan, read_phases

from ...manifests import load_manifest

OK = Outcome(Transport.ANSWERED, 200, None, Result.OK)
LOST = Outcome(Transport.CONNECTION_LOST, None, None, Result.FAILED)

PHASES = (
    PhaseSpan(name="warm-up", start=0.0, end=10.0, judged=False),
    PhaseSpan(name="one", start=10.0, end=20.0, judged=True),
    PhaseSpan(name="spike", start=20.0, end=25.0, judged=False),
    PhaseSpan(name="two", start=25.0, end=40.0, judged=True),
)
OBJECTIVES = ("p95 response_time < 1s", "error_rate < 10%", "p95 schedule_lag < 10ms", "throughput > 5/s")


def a_run(intervals: list[Interval], *, setting: object = None, seconds: float = 40.0) -> LoadSummary:
    """The summary of a run of forty seconds."""
    rows = [dict(phase.to_json()) for phase in PHASES] if setting is None else setting
    sums = [sum(x) for x in zip(*((i.planned, i.not_sent.total(), i.sent) for i in intervals), strict=True)]
    names = dict(zip(("planned", "not_sent", "sent"), sums, strict=False))
    manifest = load_manifest(name="ramp", settings={"duration_s": 40.0, "phases": rows}, objectives=OBJECTIVES)
    end = RunEnd(ending=Ending.COMPLETED, seconds=seconds, accounting=names)
    return summarise_load(Run(path=Path("a"), manifest=manifest, intervals=tuple(intervals), end=end))


def second_of(
    phase: PhaseSpan | None,
    second: int,
    *,
    ok: int = 10,
    lost: int = 0,
    time: float = 0.1,
    settling_time: int | None = None,
) -> list[Interval]:
    """Requests planned in one second and settled in it or in another one."""
    name = phase.name if phase is not None else None
    planned, done = Interval(second=second), Interval(second=second if settling_time is None else settling_time)
    for outcome in [OK] * ok + [LOST] * lost:
        planned.count_planned(phase=name)
        planned.count_all_sent([0.001 if phase is None or phase.judged else 5.0], phase=name)
        done.count_outcomes(outcome, [time], [time], payload="ab"[ok % 2], phase=name)
    return [planned, done]


def a_ramp() -> list[Interval]:
    """Judged phases with quick answers, between phases that are slow, late and lose requests."""
    return [
        interval
        for phase in PHASES
        for second in range(int(phase.start), int(phase.end))
        for interval in second_of(
            phase, second, lost=0 if phase.judged else 20, time=0.1 if phase.judged else 9.0, ok=10 + second % 2
        )
    ]


def test_phases_that_are_not_judged_do_not_count() -> None:
    """Warm-up and spike miss every objective; the judged phases meet them, and the run passes."""
    judged = a_run(a_ramp())
    mixed = a_run(a_ramp(), setting=[])

    assert [Verdict.PASS] * 4 == [each.verdict for each in judged.objectives]
    assert Verdict.PASS is judged.verdict
    assert 0.1 == judged.timings["response_time_s"].max
    assert 0.001 == judged.timings["schedule_lag_s"].max
    assert Verdict.PASS not in {each.verdict for each in mixed.objectives}
    assert "GENERATOR_LATE" not in {caveat.code for caveat in judged.caveats}


def test_the_accounting_covers_all_phases() -> None:
    """The phases add up to the total."""
    found = a_run(a_ramp())

    assert found.accounting.adds_up
    assert found.totals.planned == found.accounting.planned
    for name in ("planned", "not_sent", "sent", "ok", "failed", "timed_out", "censored"):
        assert getattr(found.accounting, name) == sum(getattr(each.accounting, name) for each in found.phases)
    assert sum(each.count for each in found.outcomes) == found.accounting.sent


def test_a_request_belongs_to_the_phase_of_its_intended_start() -> None:
    """An answer in the next phase counts in the phase of its request, so no phase loses its slow ones."""
    found = a_run(second_of(PHASES[1], 19, time=5.0, settling_time=24))
    by_name = {each.phase.name: each for each in found.phases}

    assert 10 == by_name["one"].accounting.ok
    assert 0 == by_name["spike"].accounting.ok
    assert 5.0 == found.timings["response_time_s"].max


def test_throughput_is_computed_over_judged_seconds() -> None:
    """It counts the answers during the full seconds of a phase, up to the end of the run."""
    found = a_run(a_ramp())
    rates = {each.phase.name: (each.throughput, each.ok_per_second) for each in found.phases}
    cut = a_run(a_ramp()[:80], seconds=30.0)

    assert {"warm-up": 10.5, "one": 10.5, "spike": 10.4, "two": pytest.approx(10.5333, abs=1e-3)} == {
        name: ok for name, (_, ok) in rates.items()
    }
    assert (155 + 108) / 25 - (found.ok_per_second) == pytest.approx(0, abs=0.01)
    assert {each.phase.name: each.ok_per_second for each in cut.phases}["one"] == 10.5


def test_payload_summaries_cover_judged_phases() -> None:
    """Percentiles of a payload contain no warm-up; a single payload has no summary."""
    found = a_run(a_ramp())

    assert ["a", "b"] == [each.name for each in found.payloads]
    assert found.judged.count(Result.OK) == sum(each.counts[Result.OK] for each in found.payloads)
    assert {0.1} == {each.response_time.max for each in found.payloads}
    assert () == a_run(second_of(PHASES[1], 12)).payloads


@pytest.mark.parametrize("name", ["not on record", "none judged"])
def test_mixed_phases_give_a_caveat(name: str) -> None:
    """Without judged phases, or without a record of them, all requests count, and a caveat says so."""
    unjudged = [dict(phase.to_json()) | {"judged": False} for phase in PHASES]
    found = a_run(second_of(None, 12)) if name == "not on record" else a_run(a_ramp(), setting=unjudged)

    assert found.accounting.ok == found.judged.count(Result.OK)
    assert "MIXED_PHASES" in {caveat.code for caveat in found.caveats}
    assert "MIXED_PHASES" not in {caveat.code for caveat in a_run(a_ramp()).caveats}


def test_a_judged_phase_without_requests_is_inconclusive() -> None:
    """A run that ended in its warm-up does not pass."""
    found = a_run(second_of(PHASES[0], 3, ok=1000), seconds=9.0)

    assert Verdict.INCONCLUSIVE is found.objectives[0].verdict
    assert 0 == found.timings["response_time_s"].count


def test_unsent_requests_count_in_their_phase() -> None:
    """They count against a judged phase only."""

    def with_gap(phase: PhaseSpan) -> LoadSummary:
        gaps = [Interval(second=second) for second in range(int(phase.start), int(phase.end))]
        for gap in gaps:
            for _ in range(100):
                gap.count_planned(phase=phase.name)
                gap.count_not_sent(NotSent.MAX_IN_FLIGHT, phase=phase.name)
        return a_run([*a_ramp(), *gaps])

    assert Verdict.PASS is not with_gap(PHASES[1]).objectives[0].verdict
    assert Verdict.PASS is with_gap(PHASES[2]).objectives[0].verdict


json_values = st.recursive(
    st.none() | st.booleans() | st.floats() | st.integers() | st.text(max_size=3),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(["name", "from_s", "to_s"]), inner),
    max_leaves=6,
)


@given(json_values)
def test_invalid_phases_in_a_manifest_are_ignored(value: object) -> None:
    """Somebody may have edited the manifest."""
    assert all(0 <= phase.start <= phase.end for phase in read_phases(value))


def test_phases_are_read_as_they_were_written() -> None:
    """Through the settings of a manifest."""
    assert PHASES == read_phases([phase.to_json() for phase in PHASES])
