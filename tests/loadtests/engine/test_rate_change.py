"""Rate changes of a run in progress: the earlier plan stays, and the new plan is counted exactly."""

from __future__ import annotations

from array import array
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chainproof.contract.levels import Contract
from chainproof.errors import UsageError
from chainproof.judgement.load_summary import summarise_load
from chainproof.loadtests.demand import Demand
from chainproof.loadtests.engine.rate_change import PhaseNames, RateChange, apply_rate_change
from chainproof.loadtests.recording.recorder import Recorder
from chainproof.loadtests.recording.totals_writer import TotalsWriter
from chainproof.results.folder import PLANS, read_run
from chainproof.results.intervals.interval import total
from chainproof.results.manifest import Ending, PlanChange
from chainproof.results.run_writer import RunWriter
from chainproof.workload.phases import Phase
from chainproof.workload.workload import Workload

from ...manifests import load_manifest

CONSTANT = Workload(name="w", rate=20.0, duration=12.0)
PHASES = (
    Phase(name="warm-up", duration=4.0, rate=0.0, final_rate=40.0, judged=False),
    Phase(name="plan 2", duration=8.0, rate=40.0, final_rate=40.0),
)
PHASED = replace(CONSTANT, rate=40.0, phases=PHASES)
WORKLOADS = st.sampled_from([CONSTANT, PHASED, replace(CONSTANT, arrivals="constant")])
RATE_CHANGES = st.lists(
    st.builds(RateChange, start=st.integers(1, 11).map(float), rate=st.floats(0.5, 50), duration=st.floats(11.5, 20)),
    min_size=1,
    max_size=4,
).map(lambda rate_changes: sorted(rate_changes, key=lambda rate_change: rate_change.start))


@given(WORKLOADS, RATE_CHANGES, st.integers(0, 99))
def test_the_plan_before_a_rate_change_is_unchanged(
    workload: Workload, rate_changes: list[RateChange], seed: int
) -> None:
    """
    After the change, requests have the new rate up to the new end, and belong to the
    phase that contains their intended start.
    """
    demand = Demand(workload=workload, contract=Contract.STRICT, seed=seed)
    plan = demand.plan()
    for rate_change in rate_changes:
        changed, new_plan = apply_rate_change(demand, plan, rate_change)
        later = [start for start in new_plan if start >= rate_change.start]
        expected = rate_change.rate * (rate_change.duration - rate_change.start)

        assert (changed, new_plan) == apply_rate_change(demand, plan, rate_change)
        assert [start for start in plan if start < rate_change.start] == [
            start for start in new_plan if start < rate_change.start
        ]
        assert list(new_plan) == sorted(new_plan)
        assert all(start < rate_change.duration for start in later)
        assert abs(len(later) - expected) <= 6 * expected**0.5 + 2
        last = changed.workload.phases[-1]
        assert {last.name} >= {changed.workload.phase_at(start) for start in later}
        assert pytest.approx(rate_change.duration) == sum(phase.duration for phase in changed.workload.phases)
        assert [] == changed.workload.errors()
        demand, plan = changed, new_plan


@given(WORKLOADS, RATE_CHANGES)
def test_planned_requests_are_those_of_the_last_plan(
    tmp_path_factory: pytest.TempPathFactory, workload: Workload, rate_changes: list[RateChange]
) -> None:
    """The counts hold for each second, each phase and the run, whenever the change came; the run folder has all phases."""
    folder = tmp_path_factory.mktemp("run") / "run"
    demand = Demand(workload=workload, contract=Contract.STRICT, seed=1)
    plan, phase_names = demand.plan(), PhaseNames(workload)
    manifest = load_manifest(name="w", started="2026-11-22T13:27:00Z", target="http://127.0.0.1:1/")
    writer = TotalsWriter(RunWriter(folder, manifest), manifest)
    recorder = Recorder(writer, contract=Contract.STRICT, seed=1, phase_of=phase_names)
    recorder.plan(plan)
    for rate_change in rate_changes:
        recorder.flush(rate_change.start - 0.75)
        demand, plan = apply_rate_change(demand, plan, rate_change)
        phase_names.workload = demand.workload
        recorder.change_plan(rate_change.start, [start for start in plan if start >= rate_change.start])
        writer.write_plan_change(PlanChange(start=rate_change.start, settings=demand.settings(plan)))
    recorder.finish(20.0, Ending.COMPLETED, "")
    run = read_run(folder)
    totals = total(run.intervals)

    assert len(plan) == totals.planned == recorder.accounting.planned
    for second in range(20):
        assert sum(int(start) == second for start in plan) == sum(
            each.planned for each in run.intervals if each.second == second
        )
    for phase in run.manifest.phases:
        inside = sum(phase.start <= start < phase.end for start in plan)
        part = totals.phases.get(phase.name)
        assert inside == (part.planned if part else 0)
    assert len(plan) == run.manifest.settings["plan"]["arrivals"]  # type: ignore[call-overload, index]
    assert "REPLANNED" in [caveat.code for caveat in summarise_load(run).caveats]


def test_a_change_after_the_end_is_a_usage_error() -> None:
    """So is a plan with too many requests."""
    demand = Demand(workload=CONSTANT, contract=Contract.STRICT, seed=1)
    with pytest.raises(UsageError, match="expected a duration of more than 5 s"):
        apply_rate_change(demand, demand.plan(), RateChange(start=5.0, rate=1.0, duration=4.0))
    with pytest.raises(UsageError, match="expected at most"):
        apply_rate_change(demand, array("d"), RateChange(start=5.0, rate=100_000.0, duration=1000.0))


def test_an_incomplete_last_line_is_ignored(tmp_path: Path) -> None:
    """A run that was killed while it recorded a change has the plan before it."""
    demand = Demand(workload=CONSTANT, contract=Contract.STRICT, seed=1)
    settings = demand.settings(demand.plan())
    manifest = load_manifest(name="w", started="2026-11-22T13:27:00Z", target="http://127.0.0.1:1/", settings=settings)
    with RunWriter(tmp_path / "run", manifest) as writer:
        writer.write_plan_change(PlanChange(start=3.0, settings={"rate_per_s": 5.0}))
        writer.write_plan_change(PlanChange(start=6.0, settings={"rate_per_s": 7.0}))
    complete = read_run(tmp_path / "run").manifest.settings
    path = tmp_path / "run" / PLANS
    path.write_bytes(path.read_bytes()[:-3])
    incomplete = read_run(tmp_path / "run").manifest.settings
    path.unlink()

    assert (7.0, [3.0, 6.0], 12.0) == tuple(complete[name] for name in ("rate_per_s", "replanned_at_s", "duration_s"))
    assert (5.0, [3.0]) == tuple(incomplete[name] for name in ("rate_per_s", "replanned_at_s"))
    assert settings == read_run(tmp_path / "run").manifest.settings
