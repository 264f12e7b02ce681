"""
Another plan for the rest of a run: what was planned before stays, what comes after is counted exactly.
"""

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
from chainproof.loadtests.engine.replan import PhaseNames, RateChange, apply_rate_change
from chainproof.loadtests.recording.recorder import Recorder
from chainproof.loadtests.recording.totals_writer import TotalsWriter
from chainproof.results.folder import PLANS, RunWriter, read_run
from chainproof.results.interval import total
from chainproof.results.manifest import Ending, Manifest, RunKind
from chainproof.results.replan import Replan
from chainproof.workload.phases import Phase
from chainproof.workload.workload import Workload

LEVEL = Workload(name="w", rate=20.0, duration=12.0)
PHASES = (
    Phase(name="warm-up", duration=4.0, rate=0.0, final_rate=40.0, judged=False),
    Phase(name="plan 2", duration=8.0, rate=40.0, final_rate=40.0),
)
PHASED = replace(LEVEL, rate=40.0, phases=PHASES)
WORKLOADS = st.sampled_from([LEVEL, PHASED, replace(LEVEL, arrivals="constant")])
RENEWALS = st.lists(
    st.builds(RateChange, start=st.integers(1, 11).map(float), rate=st.floats(0.5, 50), duration=st.floats(11.5, 20)),
    min_size=1,
    max_size=4,
).map(lambda renewals: sorted(renewals, key=lambda rate_change: rate_change.start))


@given(WORKLOADS, RENEWALS, st.integers(0, 99))
def test_what_was_planned_before_stays(workload: Workload, renewals: list[RateChange], seed: int) -> None:
    """
    Up to its first instant a new plan is the one before; from then on it goes at its rate, up to the run's new end; and each
    request is in the phase whose stretch its start lies in.
    """
    demand = Demand(workload=workload, contract=Contract.STRICT, seed=seed)
    plan = demand.plan()
    for rate_change in renewals:
        changed, whole = apply_rate_change(demand, plan, rate_change)
        later = [start for start in whole if start >= rate_change.start]
        expected = rate_change.rate * (rate_change.duration - rate_change.start)

        assert (changed, whole) == apply_rate_change(demand, plan, rate_change)
        assert [start for start in plan if start < rate_change.start] == [
            start for start in whole if start < rate_change.start
        ]
        assert list(whole) == sorted(whole)
        assert all(start < rate_change.duration for start in later)
        assert abs(len(later) - expected) <= 6 * expected**0.5 + 2
        last = changed.workload.phases[-1]
        assert {last.name} >= {changed.workload.phase_at(start) for start in later}
        assert pytest.approx(rate_change.duration) == sum(phase.duration for phase in changed.workload.phases)
        assert [] == changed.workload.errors()
        demand, plan = changed, whole


@given(WORKLOADS, RENEWALS)
def test_another_plan_is_counted_exactly(
    tmp_path_factory: pytest.TempPathFactory, workload: Workload, renewals: list[RateChange]
) -> None:
    """
    Planned of a second, of a phase and of the whole run are those of the last plan, whenever the change came; a reader of
    the folder finds the phases with their stretches.
    """
    folder = tmp_path_factory.mktemp("run") / "run"
    demand = Demand(workload=workload, contract=Contract.STRICT, seed=1)
    plan, phase_names = demand.plan(), PhaseNames(workload)
    manifest = Manifest(kind=RunKind.LOAD, name="w", started="2026-11-22T13:27:00Z", target="http://127.0.0.1:1/")
    book = TotalsWriter(RunWriter(folder, manifest))
    recorder = Recorder(book, contract=Contract.STRICT, seed=1, phase_of=phase_names)
    recorder.plan(plan)
    for rate_change in renewals:
        recorder.flush(rate_change.start - 0.75)
        demand, plan = apply_rate_change(demand, plan, rate_change)
        phase_names.workload = demand.workload
        recorder.replan(rate_change.start, [start for start in plan if start >= rate_change.start])
        book.write_replan(Replan(start=rate_change.start, settings=demand.settings(plan)))
    recorder.finish(20.0, Ending.COMPLETED, "")
    run = read_run(folder)
    whole = total(run.intervals)

    assert len(plan) == whole.planned == recorder.accounting.planned
    for second in range(20):
        assert sum(int(start) == second for start in plan) == sum(
            each.planned for each in run.intervals if each.second == second
        )
    for phase in run.manifest.phases:
        inside = sum(phase.start <= start < phase.end for start in plan)
        part = whole.phases.get(phase.name)
        assert inside == (part.planned if part else 0)
    assert len(plan) == run.manifest.settings["plan"]["arrivals"]  # type: ignore[call-overload, index]
    assert "REPLANNED" in [caveat.code for caveat in summarise_load(run).caveats]


def test_nothing_is_left_to_ask_after_the_end() -> None:
    """
    A duration that is over by then is a mistake, said before anything changes.
    """
    demand = Demand(workload=LEVEL, contract=Contract.STRICT, seed=1)
    with pytest.raises(UsageError, match="expected a duration of more than 5 s"):
        apply_rate_change(demand, demand.plan(), RateChange(start=5.0, rate=1.0, duration=4.0))
    with pytest.raises(UsageError, match="expected at most"):
        apply_rate_change(demand, array("d"), RateChange(start=5.0, rate=100_000.0, duration=1000.0))


def test_a_torn_line_leaves_the_plan_before(tmp_path: Path) -> None:
    """
    A run that was killed in the midst of noting another plan is read as what it was asked until then.
    """
    demand = Demand(workload=LEVEL, contract=Contract.STRICT, seed=1)
    settings = demand.settings(demand.plan())
    manifest = Manifest(
        kind=RunKind.LOAD, name="w", started="2026-11-22T13:27:00Z", target="http://127.0.0.1:1/", settings=settings
    )
    with RunWriter(tmp_path / "run", manifest) as writer:
        writer.write_replan(Replan(start=3.0, settings={"rate_per_s": 5.0}))
        writer.write_replan(Replan(start=6.0, settings={"rate_per_s": 7.0}))
    whole = read_run(tmp_path / "run").manifest.settings
    path = tmp_path / "run" / PLANS
    path.write_bytes(path.read_bytes()[:-3])
    torn = read_run(tmp_path / "run").manifest.settings
    path.unlink()

    assert (7.0, [3.0, 6.0], 12.0) == tuple(whole[name] for name in ("rate_per_s", "replanned_at_s", "duration_s"))
    assert (5.0, [3.0]) == tuple(torn[name] for name in ("rate_per_s", "replanned_at_s"))
    assert settings == read_run(tmp_path / "run").manifest.settings
