"""Rolling up the seconds of a long run: no count is lost, whenever the run is killed, and no verdict changes."""

from __future__ import annotations

import os
import random
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path

import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from chainproof.judgement.load_summary import LoadSummary, summarise_load
from chainproof.results import run_writer
from chainproof.results.exchange import NotSent, Outcome, Result, Transport
from chainproof.results.folder import INTERVALS, Run, interval_files, read_run, segment_name
from chainproof.results.intervals.generator_health import GeneratorHealth
from chainproof.results.intervals.interval import Interval, by_second, total
from chainproof.results.intervals.rollup import Rollup
from chainproof.results.intervals.second_columns import TIME_NAMES
from chainproof.results.intervals.stalls import Stall
from chainproof.results.manifest import Ending, RunEnd
from chainproof.results.run_writer import RunWriter
from chainproof.statistics import time_batches

from ...manifests import load_manifest

SAMPLE_ALL = os.environ.get("CHAINPROOF_SAMPLE") == "all"
OK = Outcome(Transport.ANSWERED, 200, None, Result.OK)
LIMITED = Outcome(Transport.ANSWERED, 429, "rate_limited", Result.FAILED)
LATE = Outcome(Transport.DEADLINE, None, None, Result.TIMED_OUT)
WARM_UP = 300
PHASES = [
    {"name": "warm-up", "start_s": 0.0, "end_s": float(WARM_UP), "judged": False},
    {"name": "soak", "start_s": float(WARM_UP), "end_s": 1e4, "judged": True},
]
MANIFEST = load_manifest(
    name="soak",
    settings={"model": "open", "rate_per_s": 2.0, "duration_s": 1e4},
    objectives=(
        "p50 response_time < 105ms",
        "p95 response_time < 300ms",
        "p99 response_time < 2s",
        "error_rate < 1 %",
        "throughput >= 1.9/s",
        "settling_time < 60s",
    ),
)


def second(
    number: int, chance: random.Random, *, requests: int = 2, worker: str = "0", phase: str | None = None
) -> Interval:
    """One second. In each ten minutes, the target is slow for a while and fails some requests."""
    interval = Interval(second=number, worker=worker, in_flight=chance.randrange(3))
    interval.in_flight_max = interval.in_flight + chance.randrange(3)
    interval.in_flight_ns = chance.randrange(10**9)
    slow = number % 600 in range(100, 115)
    for _ in range(requests):
        interval.count_planned(phase=phase)
        if chance.random() < 0.001:
            interval.count_not_sent(NotSent.MAX_IN_FLIGHT, phase=phase)
            continue
        interval.count_all_sent([chance.expovariate(1000)], phase=phase)
        outcome = chance.choices((OK, LIMITED, LATE), (0.7, 0.2, 0.1) if slow else (0.999, 0.0005, 0.0005))[0]
        time = chance.lognormvariate(-2.3, 0.3) * (4 if slow else 1)
        interval.count_outcomes(outcome, [time + 0.001], [time], phase=phase, payload=chance.choice(("small", "large")))
    interval.network.record_answers([0.05] * requests, [0.001] * requests)
    health = interval.generator_health = GeneratorHealth()
    health.add_sample(interval.in_flight, 0.001, 0.02)
    if chance.random() < 0.002:
        health.stalls.append(Stall(number - 0.5, number, number + 0.2))
    return interval


def phase_of(number: int) -> str:
    """The phase of a second."""
    return "warm-up" if number < WARM_UP else "soak"


def rolled_up(intervals: Sequence[Interval]) -> list[Interval]:
    """The intervals as they are read after they were rolled up."""
    rollup = Rollup()
    lines = [line for interval in intervals for line in rollup.add(interval, interval.to_json())]
    lines += rollup.flush()
    return [Interval.from_json(orjson.loads(orjson.dumps(line))) for line in lines]


def counts(interval: Interval) -> tuple[object, ...]:
    """Everything that is known exactly for a second."""
    health = interval.generator_health
    return (
        (interval.second, interval.planned, interval.sent, +interval.not_sent, interval.outcomes),
        (interval.in_flight, interval.in_flight_max),
        {name: (part.planned, part.sent, +part.not_sent, part.outcomes) for name, part in interval.phases.items()},
        (health.samples, health.in_flight_sum, health.in_flight_squares) if health is not None else None,
        {name: interval.ok_quantile(name) for name in TIME_NAMES},
    )


def without_floats(interval: Interval) -> Interval:
    """A total without the sums of floats, which depend on their order."""
    health = interval.generator_health
    assert health is not None
    return replace(interval, generator_health=replace(health, cpu_s=0.0, process_s=0.0), second_times=None)


RUNS = st.builds(
    lambda seed, length, workers, rate, phased: [
        second(
            number,
            random.Random(f"{seed} {number} {worker}"),
            requests=rate,
            worker=str(worker),
            phase=phase_of(number) if phased else None,
        )
        for number in range(length)
        for worker in range(workers)
    ],
    st.integers(0, 10**6),
    st.sampled_from((1, 61, 200, 400)),
    st.sampled_from((1, 2)),
    st.sampled_from((0, 1, 5)),
    st.booleans(),
)


@settings(max_examples=400 if SAMPLE_ALL else 10, deadline=None)
@given(RUNS)
def test_no_count_is_lost(run: list[Interval]) -> None:
    """The total, and the counts and times of each second, are those of the intervals that were rolled up."""
    found = rolled_up(run)

    assert without_floats(total(run)) == without_floats(total(found))
    assert list(map(counts, by_second(run))) == list(map(counts, by_second(found)))
    assert {interval.worker for interval in run} == {name for interval in found for name in interval.workers}


def test_intervals_that_come_late_or_in_another_order_are_not_lost() -> None:
    """Workers report at different times, and an event may belong to a second that is over."""
    chance = random.Random(1)
    run = [second(number, chance, worker=worker) for worker in "01" for number in range(300)]
    late = [*run[:150], *run[300:400], *run[150:300], *run[400:]]

    assert without_floats(total(run)) == without_floats(total(rolled_up(late)))
    plain = [counts(each)[:3] for each in by_second(run)]
    assert plain == [counts(each)[:3] for each in by_second(rolled_up(late))]


def test_unusual_seconds_are_kept_in_full_and_others_are_not() -> None:
    """Errors, slow answers, stalls and a change of phase are found; most of an ordinary run is rolled up."""
    chance = random.Random(2)
    run: list[Interval] = []
    for number in range(1200):
        interval = Interval(second=number)
        name = "first" if number < 600 else "second"
        for _ in range(20):
            interval.count_planned(phase=name)
            interval.count_all_sent([0.0], phase=name)
            outcome = LIMITED if number == 300 else OK
            interval.count_outcomes(
                outcome, [chance.lognormvariate(-2, 0.3) * (9 if number == 400 else 1)], [0.1], phase=name
            )
        interval.generator_health = GeneratorHealth(stalls=[Stall(500.1, 500.4, 502.5)] if number == 502 else [])
        run.append(interval)
    full = {each.second for each in rolled_up(run) if each.seconds is None}

    assert {*range(60), 300, 400, 500, 501, 502, 600} <= full
    assert len(full) < 130  # of them 20 that were still waiting at the end


@pytest.mark.parametrize("share", [0.02, 0.5] if SAMPLE_ALL else [0.02])
def test_a_run_with_errors_in_most_seconds_is_rolled_up_too(share: float) -> None:
    """What occurs all the time is not unusual, so that no target makes the folder large."""
    chance = random.Random(3)
    run: list[Interval] = []
    for number in range(1500):
        interval = Interval(second=number)
        for _ in range(30):
            interval.count_all_sent([0.0])
            interval.count_outcomes(LIMITED if chance.random() < share else OK, [chance.paretovariate(1.2) / 50], [0.1])
        run.append(interval)

    assert sum(each.seconds is None for each in rolled_up(run)) < 300


# ------------------------------------------------------------------ judging


def judged(summary: LoadSummary) -> tuple[object, ...]:
    """What a report says of a run."""
    times = {name: replace(each, mean=round(each.mean or 0.0, 9)) for name, each in summary.timings.items()}
    return (
        (summary.verdict, summary.reason, summary.accounting, summary.throughput, summary.ok_per_second),
        (summary.cold_start, summary.outcomes, summary.objectives, summary.caveats, times, summary.payloads),
        [(part.phase, part.accounting, part.timings, part.throughput) for part in summary.phases],
    )


@pytest.mark.parametrize(
    ("seed", "phased", "workers", "model"),
    [(2, True, 1, "open"), (4, False, 2, "closed")]
    + SAMPLE_ALL * [(1, False, 1, "open"), (3, False, 2, "open"), (5, True, 2, "open")],
)
def test_the_verdict_on_a_rolled_up_run_is_that_on_the_full_one(
    seed: int, phased: bool, workers: int, model: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Every figure, interval, objective and caveat is the same: batches of long runs consist of whole minutes."""
    if not SAMPLE_ALL:  # ten minutes count as long, so that the test takes a second
        monkeypatch.setattr(time_batches, "LONG_RUN", 600)
    length = time_batches.LONG_RUN + 290
    chance = random.Random(seed)
    options = {**MANIFEST.settings, "model": model, "users": 20, "think_time_s": 1.0} | (
        {"phases": PHASES} if phased else {}
    )
    intervals = [
        second(number, chance, worker=str(worker), phase=phase_of(number) if phased else None, requests=1)
        for number in range(length)
        for worker in range(workers)
    ]
    full = Run(
        path=Path("run"),
        manifest=replace(MANIFEST, settings=options),
        intervals=tuple(intervals),
        end=RunEnd(ending=Ending.COMPLETED, seconds=float(length)),
    )

    assert judged(summarise_load(full)) == judged(summarise_load(replace(full, intervals=tuple(rolled_up(intervals)))))


# ------------------------------------------------------------------ the run folder


def writing(path: Path, length: int) -> Iterator[tuple[RunWriter, list[Interval]]]:
    """A run of this length while it is written: after each second, its writer and the intervals so far."""
    written: list[Interval] = []
    with RunWriter(path, replace(MANIFEST, settings={})) as writer:
        for number in range(length):
            interval = second(number, random.Random(number), requests=1)
            writer.write_interval(interval)
            written.append(interval)
            yield writer, written


def test_a_run_that_is_killed_at_any_second_loses_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Also while its hours are rolled up: the folder has every second once."""
    monkeypatch.setattr(run_writer, "SEGMENT", 120)
    monkeypatch.setattr(RunWriter, "_segment_end", 120, raising=False)
    for writer, written in writing(tmp_path / "run", 400):
        if written[-1].second % 60 == 59 or written[-1].second % 120 in (0, 1):
            run = read_run(writer.path)

            assert list(map(counts, by_second(written))) == list(map(counts, by_second(run.intervals)))
            assert {} == run.damage


def test_only_the_latest_hours_are_in_full(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The others are rolled up; `end.json` has the digest of each file, and no draft is left."""
    monkeypatch.setattr(run_writer, "SEGMENT", 120)
    for writer, written in writing(tmp_path / "run", 700):
        if len(written) == 700:
            writer.finish(RunEnd(ending=Ending.COMPLETED, seconds=700.0))
    run = read_run(tmp_path / "run")
    first = (tmp_path / "run" / segment_name(2)).stat().st_size

    assert {} == run.damage
    assert [*map(segment_name, range(1, 6)), INTERVALS] == interval_files(tmp_path / "run")
    assert {*interval_files(tmp_path / "run"), "manifest.json", "end.json"} == {
        file.name for file in (tmp_path / "run").iterdir()
    }
    assert set(range(480, 700)) <= {each.second for each in run.intervals if each.seconds is None}
    assert first < (tmp_path / "run" / segment_name(5)).stat().st_size / 2
    (tmp_path / "run" / segment_name(3)).unlink()
    assert {segment_name(3): "the file is missing"} == read_run(tmp_path / "run").damage


def test_a_plan_that_was_not_sent_is_no_further_hour(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A run that is interrupted after a minute keeps that minute in full, however long its plan is."""
    monkeypatch.setattr(run_writer, "SEGMENT", 120)
    for writer, written in writing(tmp_path / "run", 60):
        if len(written) == 60:
            for number in range(60, 1000):
                interval = Interval(second=number)
                interval.count_planned()
                interval.count_not_sent(NotSent.STOPPED)
                writer.write_interval(interval)
            writer.finish(RunEnd(ending=Ending.INTERRUPTED, seconds=60.0))
    run = read_run(tmp_path / "run")

    assert [INTERVALS] == interval_files(tmp_path / "run")
    assert {"none"} == {"none" if each.seconds is None else "rolled up" for each in run.intervals}
    assert Counter({NotSent.STOPPED: 940}) == Counter(
        {why: count for why, count in total(run.intervals).not_sent.items() if why is NotSent.STOPPED}
    )


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("numbers", []),
        ("numbers", [5, 3]),
        ("planned", [1]),
        ("outcomes", []),
        ("not_sent", {"stopped": [1]}),
        ("ok_response_time_s", {}),
        ("phase", "other"),
    ],
)
def test_seconds_that_contradict_their_interval_are_rejected(name: str, value: object) -> None:
    """A line that was changed is unreadable, and no error of ours."""
    chance = random.Random(7)
    lines = rolled_up([second(number, chance) for number in range(200)])
    data = next(each for each in lines if each.seconds is not None).to_json()
    data["seconds"] = {**data["seconds"], name: value}  # type: ignore[typeddict-item]  # on purpose

    with pytest.raises(ValueError, match="/seconds"):
        Interval.from_json(data)
