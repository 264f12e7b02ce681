"""
The generator looks at itself, and what it sees is what there is.
"""

from __future__ import annotations

import asyncio
import json
import math
import os
import resource
import subprocess
import sys
from collections.abc import Callable
from importlib import resources
from typing import Any

import jsonschema_rs
import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from chainproof.judgement.generator_health import exceeds, total_time_in_flight
from chainproof.judgement.load_summary import summarise_load
from chainproof.results.generator_health import GeneratorHealth
from chainproof.results.interval import Interval, total
from chainproof.statistics.histogram import Histogram

Launch = Callable[..., Any]
RunServer = Callable[..., Any]

samples = st.lists(
    st.tuples(st.integers(0, 1000), st.integers(0, 100).map(lambda ms: ms / 1024), st.integers(1, 64)), max_size=20
)


def _fitness(seen: list[tuple[int, float, int]], cpu: float, files: int, ports: int) -> GeneratorHealth:
    """
    What a process saw in a second.
    """
    generator_health = GeneratorHealth(open_files=files, open_files_limit=20_000, ports=ports, ports_limit=28_232)
    for in_flight, lag, since in seen:
        generator_health.add_sample(in_flight, lag, since / 64)
    generator_health.add_cpu_time(cpu, 1.0)
    return generator_health


fitnesses = st.builds(
    _fitness,
    samples,
    st.integers(0, 64).map(lambda share: share / 64),
    st.integers(0, 5000),
    st.integers(0, 28_000),
)


@given(st.lists(fitnesses, min_size=1, max_size=6), st.randoms())
def test_fitness_adds_up_in_any_order(several: list[GeneratorHealth], chance: Any) -> None:
    """
    Seconds and workers merge into the same whole however they come in, and survive the way through a file.
    """
    together = []
    for order in (several, chance.sample(several, len(several))):
        whole = Interval(second=0)
        for second, generator_health in enumerate(order):
            part = Interval(second=second, generator_health=generator_health)
            whole.merge(Interval.from_json(orjson.loads(orjson.dumps(part.to_json()))))
        assert whole.generator_health is not None
        together.append(whole.generator_health.to_json())

    assert together[0] == together[1]
    assert sum(each.samples for each in several) == together[0]["samples"]
    assert max(each.open_files for each in several) == together[0]["open_files"]


@given(st.integers(1, 2000), st.integers(0, 50))
def test_a_hiccup_is_no_lateness(count: int, late: int) -> None:
    """
    More than 1 % beyond a limit must be more than chance would make of 1 %: exact, at 95 % confidence.
    """
    values = Histogram()
    values.record(0.001, count)
    if late:
        values.record(0.5, late)
    found = exceeds(values, 0.050)

    assert not (found and late / (count + late) <= 0.01)
    assert found or late <= 3 + 0.01 * (count + late) + 2.5 * math.sqrt(0.01 * (count + late))
    assert not exceeds(Histogram(), 0.050)


def test_a_run_is_seen_second_by_second(run_server: RunServer, launch: Launch) -> None:
    """
    Loop lag, processor time, files and ports are on record for each second; in flight as sampled is in flight as counted.
    """

    async def slow(told: Any) -> None:
        await asyncio.sleep(0.2)
        await told.answer()

    with run_server(slow) as server:
        done = launch(server, "--rate", "60", "--duration", "4s").end()
    run = done.run
    seen = [interval.generator_health for interval in run.intervals if interval.second < 4 and interval.sent]
    whole = total(run.intervals)
    counted = total_time_in_flight(run.manifest, whole)

    assert all(generator_health is not None and generator_health.samples > 5 for generator_health in seen)
    assert whole.generator_health is not None
    assert 5 <= whole.generator_health.open_files <= whole.generator_health.open_files_limit
    assert 0 < whole.generator_health.ports <= whole.sent + whole.in_flight_max
    assert 0 < whole.generator_health.cpu <= 1.5
    assert counted == pytest.approx(whole.generator_health.in_flight_s, rel=0.25)
    assert "% of a processor" in done.output
    assert "LITTLES_LAW" not in {caveat.code for caveat in summarise_load(run).caveats}


def test_a_generator_that_is_kept_from_its_work_says_so(run_server: RunServer, launch: Launch, tmp_path: Any) -> None:
    """
    Somebody's own slow code makes requests late, and the run invalid: that a deadline was missed says nothing then.
    """

    async def fine(told: Any) -> None:
        await told.answer()

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
        words = ["--rate=20", "--duration=1500ms", "--objective=p95 response_time < 100ms"]
        done = launch(server, *words, "--", "-f", str(tmp_path / "mine.py")).end()
    codes = {caveat.code for caveat in summarise_load(done.run).caveats}

    assert 4 == done.code, done.errors
    assert {"GENERATOR_LATE", "EVENT_LOOP_LAG"} <= codes


def test_the_fitness_of_a_run_is_in_its_reports(run_server: RunServer, launch: Launch) -> None:
    """
    In JSON by its schema, in Markdown and HTML in words.
    """

    async def fine(told: Any) -> None:
        await told.answer()

    with run_server(fine) as server:
        done = launch(server, "--rate", "20", "--duration", "1s").end()
    told = {
        form: subprocess.run(
            [sys.executable, "-P", "-m", "chainproof", "reports", f"--{form}", "-", str(done.folder)],
            capture_output=True,
            text=True,
            check=False,
        ).stdout
        for form in ("json", "markdown", "html")
    }
    report = json.loads(told["json"])
    schema = json.loads(resources.files("chainproof.reports.formats").joinpath("report.schema.json").read_text())

    assert jsonschema_rs.is_valid(schema, report)
    assert report["generator_health"] == report["runs"][0]["generator_health"]
    assert 0 < report["generator_health"]["open_files"] < report["generator_health"]["open_files_limit"]
    assert "Generator: " in told["markdown"]
    assert "Generator: " in told["html"]


def test_few_open_files_are_seen(run_server: RunServer, launch: Launch) -> None:
    """
    As many requests in flight as there is room for: the run is invalid, with the limit to raise.
    """

    async def stall(_: Any) -> None:
        await asyncio.sleep(60)

    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    few = ("prlimit", "--nofile=256:256") if os.path.exists("/usr/bin/prlimit") else ()  # noqa: PTH110  # a one-off
    if not few:
        pytest.skip("there is no prlimit here")
    with run_server(stall) as server:
        words = ["--rate=100", "--duration=4s", "--deadline=10s", "--drain=0s", "--max-in-flight=150"]
        done = launch(server, *words, "--objective=error_rate < 5%", wrapper=few).end()

    assert (soft, hard) == resource.getrlimit(resource.RLIMIT_NOFILE)
    assert done.code in (1, 4), done.errors
    assert total(done.run.intervals).generator_health.open_files_limit == 256
    assert total(done.run.intervals).generator_health.open_files > 150
