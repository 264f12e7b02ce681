"""The load generator monitors itself, and its figures are correct."""

from __future__ import annotations

import asyncio
import json
import math
import os
import resource
from collections.abc import Callable
from importlib import resources
from typing import Any

import jsonschema_rs
import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from chainproof.judgement.generator_caveats import exceeds, total_time_in_flight
from chainproof.judgement.load_summary import summarise_load
from chainproof.judgement.summary import report
from chainproof.reports.formats import html, json_report, markdown
from chainproof.results.folder import Run
from chainproof.results.intervals.generator_health import GeneratorHealth
from chainproof.results.intervals.interval import Interval, total
from chainproof.results.intervals.stalls import Stall
from chainproof.statistics.histogram import Histogram

from ..behaviours import answer_after, fine

Launch = Callable[..., Any]
RunServer = Callable[..., Any]

samples = st.lists(
    st.tuples(st.integers(0, 1000), st.integers(0, 100).map(lambda ms: ms / 1024), st.integers(1, 64)), max_size=20
)


def _health(recorded: list[tuple[int, float, int]], cpu: float, files: int, ports: int) -> GeneratorHealth:
    """The health of a generator with these samples in one second."""
    generator_health = GeneratorHealth(open_files=files, open_files_limit=20_000, ports=ports, ports_limit=28_232)
    for in_flight, lag, elapsed in recorded:
        generator_health.add_sample(in_flight, lag, elapsed / 64)
    generator_health.add_cpu_time(cpu, 1.0)
    return generator_health


healths = st.builds(
    _health,
    samples,
    st.integers(0, 64).map(lambda share: share / 64),
    st.integers(0, 5000),
    st.integers(0, 28_000),
)


@given(st.lists(healths, min_size=1, max_size=6), st.randoms())
def test_generator_health_merges_in_any_order(several: list[GeneratorHealth], generator: Any) -> None:
    """Seconds and workers can be merged in any order, also after writing and reading them."""
    together = []
    for order in (several, generator.sample(several, len(several))):
        totals = Interval(second=0)
        for second, generator_health in enumerate(order):
            part = Interval(second=second, generator_health=generator_health)
            totals.merge(Interval.from_json(orjson.loads(orjson.dumps(part.to_json()))))
        assert totals.generator_health is not None
        together.append(totals.generator_health.to_json())

    assert together[0] == together[1]
    assert sum(each.samples for each in several) == together[0]["samples"]
    assert max(each.open_files for each in several) == together[0]["open_files"]


@given(st.integers(1, 2000), st.integers(0, 50))
def test_a_single_delay_does_not_exceed_the_limit(count: int, late: int) -> None:
    """The limit is exceeded if more than 1 % of the values are above it, at 95 % confidence."""
    values = Histogram()
    values.record(0.001, count)
    if late:
        values.record(0.5, late)
    exceeded = exceeds(values, 0.050)

    assert not (exceeded and late / (count + late) <= 0.01)
    assert exceeded or late <= 3 + 0.01 * (count + late) + 2.5 * math.sqrt(0.01 * (count + late))
    assert not exceeds(Histogram(), 0.050)


@given(st.integers(0, 10_000), st.integers(1, 400))
def test_a_late_sample_stands_for_those_that_were_prevented(late_ms: int, gap_ms: int) -> None:
    """A lag of n gaps counts as n samples, each a gap less late than the one before; the longest stall is the longest."""
    health = GeneratorHealth(stalls=[Stall(3.0, 3.5, 4.0), Stall(1.0, 1.5, 1.6), Stall(2.0, 2.1, 2.2)])
    health.add_sample(3, late_ms / 1024, gap_ms / 1024)
    expected = Histogram()
    expected.record_all([late_ms / 1024, *(lag / 1024 for lag in range(late_ms - gap_ms, gap_ms - 1, -gap_ms))])

    assert expected == health.loop_lag
    assert 1 == health.samples
    assert Stall(1.0, 1.5, 1.6) == health.longest_stall


@pytest.mark.parametrize("plan", ["steady", "bursts"])
def test_each_second_has_generator_health(run_server: RunServer, launch: Launch, tmp_path: Any, plan: str) -> None:
    """
    Event-loop lag, CPU time, files and ports are recorded, and the integrated requests in flight agree with the service times.

    They also do for bursts, of which samples may see few or none.
    """
    recording = tmp_path / "bursts.txt"
    recording.write_text("".join(f"{burst * 0.6}\n" * 60 for burst in range(3)))
    options = {"steady": ("--rate=60", "--duration=2s"), "bursts": (f"--replay={recording}", "--duration=2s")}[plan]

    with run_server(answer_after(0.2)) as server:
        done = launch(server, *options).end()
    run = done.run
    healths = [interval.generator_health for interval in run.intervals if interval.second < 2 and interval.sent]
    totals = total(run.intervals)
    counted = total_time_in_flight(run.manifest, totals)

    assert healths
    assert all(generator_health is not None and generator_health.samples > 0 for generator_health in healths)
    assert totals.generator_health is not None
    assert 5 <= totals.generator_health.open_files <= totals.generator_health.open_files_limit
    assert 0 < totals.generator_health.ports <= totals.sent + totals.in_flight_max
    assert 0 < totals.generator_health.cpu <= 1.5
    stalled = sum(stall.seconds for stall in totals.generator_health.stalls) * totals.in_flight_max
    assert counted == pytest.approx(totals.in_flight_s, rel=0.01, abs=0.002 * totals.sent + stalled)
    assert "% of one processor" in " ".join(done.output.split())
    assert "LITTLES_LAW" not in {caveat.code for caveat in summarise_load(run).caveats}
    assert_health_is_reported(run)


def test_a_blocked_generator_makes_the_run_invalid(run_server: RunServer, launch: Launch, tmp_path: Any) -> None:
    """Slow code in a user class delays requests, so a missed objective says nothing about the target."""
    (tmp_path / "mine.py").write_text(
        "import time\n"
        "from chainproof.loadtests import OpenUser\n"
        "class Mine(OpenUser):\n"
        "    def payload(self):\n"
        "        end = time.monotonic() + 0.15\n"
        "        while time.monotonic() < end: pass\n"
        "        return {}\n"
    )
    with run_server(fine) as server:
        options = ["--rate=20", "--duration=700ms", "--objective=p95 response_time < 100ms"]
        done = launch(server, *options, "--", "-f", str(tmp_path / "mine.py")).end()
    codes = {caveat.code for caveat in summarise_load(done.run).caveats}

    assert 4 == done.code, done.errors
    assert {"GENERATOR_LATE", "EVENT_LOOP_LAG"} <= codes


def assert_health_is_reported(run: Run) -> None:
    """Assert that the JSON report follows its schema and has the health, and that Markdown and HTML have a line of text."""
    found = report([run])
    written = json.loads(json.dumps(json_report.as_json(found)))
    schema = json.loads(resources.files("chainproof.reports.formats").joinpath("report.schema.json").read_text())

    assert jsonschema_rs.is_valid(schema, written)
    assert written["generator_health"] == written["runs"][0]["generator_health"]
    assert 0 < written["generator_health"]["open_files"] < written["generator_health"]["open_files_limit"]
    assert "Load generator: " in markdown.render(found)
    assert "Load generator: " in html.render(found)


def test_a_low_limit_of_open_files_is_recorded(run_server: RunServer, launch: Launch) -> None:
    """A run that nearly reaches the limit is invalid, and the report names the limit."""

    async def stall(_: Any) -> None:
        await asyncio.sleep(60)

    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    prlimit = ("prlimit", "--nofile=256:256") if os.path.exists("/usr/bin/prlimit") else ()  # noqa: PTH110  # used once
    if not prlimit:
        pytest.skip("skipped: needs /usr/bin/prlimit")
    with run_server(stall) as server:
        options = ["--rate=200", "--duration=1s", "--deadline=1500ms", "--drain=0s", "--max-in-flight=150"]
        done = launch(server, *options, "--objective=error_rate < 5%", wrapper=prlimit).end()

    assert (soft, hard) == resource.getrlimit(resource.RLIMIT_NOFILE)
    assert done.code in (1, 4), done.errors
    assert total(done.run.intervals).generator_health.open_files_limit == 256
    assert total(done.run.intervals).generator_health.open_files > 150
