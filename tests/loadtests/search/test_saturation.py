"""Tests of searches: they find the highest rate, and give no result where there is none."""

from __future__ import annotations

import argparse
import json
import math
import random
import signal
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chainproof.command import build_parser
from chainproof.judgement.verdict import ExitCode
from chainproof.loadtests.catalogue import workload
from chainproof.loadtests.command import main
from chainproof.loadtests.options import OPTIONS
from chainproof.loadtests.search import runner
from chainproof.loadtests.search.evidence import Probe, ProbePurpose, ProbeVerdict
from chainproof.loadtests.search.null_server import NullProtocol, request_length
from chainproof.loadtests.search.planning import expected_durations, fewest_requests, search_plan
from chainproof.loadtests.search.runner import probe_table, requested_search
from chainproof.loadtests.search.saturation import (
    EXIT_BY_REASON,
    MAX_PROBES,
    REASON_TEXTS,
    NoRateReason,
    ProbeRequest,
    SearchPlan,
    saturation,
)
from chainproof.machine_faults import MachineFault
from chainproof.reports.command import main as reports_main
from chainproof.results.folder import read_run
from chainproof.workload.objectives import parse_objective
from chainproof.workload.search_settings import SearchSettings, parse_share
from chainproof.workload.workload import WorkloadError
from chainproof.workload.workload_file import parse_workload

from ...processes import run_process
from ...waiting import PATIENCE
from ..conftest import is_late


class Target:
    """A target whose probes have the verdict of a function of their rate. It records all probes."""

    def __init__(self, verdict_at: Callable[[float], ProbeVerdict]) -> None:
        self.verdict_at = verdict_at
        self.requests: list[ProbeRequest] = []

    def __call__(self, request: ProbeRequest) -> Probe:
        self.requests.append(request)
        verdict = self.verdict_at(request.rate)
        return Probe(
            rate=request.rate,
            purpose=request.purpose,
            verdict=verdict,
            seconds=request.seconds,
            elapsed=request.pause + 1.0 + request.seconds,
            planned=round(request.rate * request.seconds),
            others=verdict,
        )


def up_to(limit: float, above: ProbeVerdict = ProbeVerdict.MISSED) -> Callable[[float], ProbeVerdict]:
    """Rates up to *limit* meet the objectives."""
    return lambda rate: ProbeVerdict.MET if rate <= limit else above


def plan(**changes: object) -> SearchPlan:
    """A plan from 5 to 1000 per second, with changed settings."""
    return SearchPlan(
        lowest=5.0,
        settings=replace(SearchSettings(), **changes),
        first_requests=300,
        verifying_requests=900,
        max_requests=6000,
        probe_seconds=10.0,
        warm_up=1.0,
    )


@given(st.floats(5.5, 900), st.sampled_from([0.02, 0.06, 0.3]), st.integers(1, 5))
def test_the_saturation_rate_is_found_to_the_resolution(limit: float, resolution: float, times: int) -> None:
    """The result met the objectives, the missed rate is above the saturation rate, both within the resolution, and it was verified."""
    target = Target(up_to(limit))
    found = saturation(target, plan(resolution=resolution, verifications=times))

    assert found.no_rate_reason is None
    assert found.rate <= limit < found.missed_at
    assert found.missed_at <= max(found.rate, 5.0) * (1 + resolution) * 1.01 or found.rate == 5.0
    assert times <= [request.rate for request in target.requests].count(found.rate)
    assert all(request.rate <= 1000 for request in target.requests)
    assert ExitCode.PASS == found.exit_code
    assert len(target.requests) <= 10 + 3 * math.log(1 / resolution, 4) + 6 + times


@given(st.floats(5.5, 900))
def test_rates_are_approached_from_below(limit: float) -> None:
    """After the first miss, no probe exceeds the lowest missed rate, and a miss is by a quarter of the gap at most."""
    target = Target(up_to(limit))
    saturation(target, plan())
    missed = [request.rate for request in target.requests if request.rate > limit]

    assert sorted(missed, reverse=True) == missed
    assert len(missed) <= 5
    assert all(rate <= limit * (2 if place == 0 else 2**0.25) for place, rate in enumerate(missed))


def test_a_miss_is_followed_by_a_pause() -> None:
    """The target works off what it was given in excess, before it is judged again."""
    target = Target(up_to(50))
    saturation(target, plan())
    after = [later.pause for earlier, later in pairwise(target.requests) if earlier.rate > 50]

    assert all(pause > 0 for pause in after)
    assert [11.0] == after[:1], "twice the rate that was kept: as long as the probe"
    assert 0 == sum(later.pause for earlier, later in pairwise(target.requests) if earlier.rate <= 50)


WITHOUT_RATE = {
    "missed at once": (up_to(4), NoRateReason.LOWEST_MISSED, ExitCode.FAIL),
    "inconclusive at once": (
        up_to(4, ProbeVerdict.INCONCLUSIVE),
        NoRateReason.LOWEST_INCONCLUSIVE,
        ExitCode.INCONCLUSIVE,
    ),
    "never missed": (up_to(2000), NoRateReason.NEVER_MISSED, ExitCode.INCONCLUSIVE),
    "limited by the generator": (up_to(100, ProbeVerdict.INVALID), NoRateReason.GENERATOR_LIMIT, ExitCode.INVALID),
}


@pytest.mark.parametrize("no_rate_reason", WITHOUT_RATE)
def test_a_search_without_a_result_gives_the_reason(no_rate_reason: str) -> None:
    """Each reason has its exit code; a limit of the generator is never reported as a limit of the target."""
    verdict_at, expected, code = WITHOUT_RATE[no_rate_reason]
    found = saturation(Target(verdict_at), plan())

    assert (expected, None, code, REASON_TEXTS[expected]) == (
        found.no_rate_reason,
        found.rate,
        found.exit_code,
        found.sentence,
    )


def test_a_search_ends_in_time() -> None:
    """It never exceeds its duration. Without a verified rate it is inconclusive, and says what it has shown by then."""
    for limit in (5, 50, 100, 200, 300, 1000):
        target = Target(up_to(50))
        found = saturation(target, plan(max_duration=float(limit)))
        spent = sum(request.pause + 1.0 + request.seconds for request in target.requests)

        assert spent <= max(limit, 62), limit
        rates = [request.rate for request in target.requests]
        assert (found.rate is not None) is (rates.count(found.rate) >= 2), limit
        assert found.rate is not None or found.exit_code == ExitCode.INCONCLUSIVE
        assert (max(rates) > 50) is ("missed at" in found.sentence), found.sentence


def test_an_invalid_probe_is_repeated_once() -> None:
    """The search continues if the generator keeps up in the second probe."""
    first = iter([ProbeVerdict.INVALID])
    found = saturation(Target(lambda rate: next(first, up_to(50)(rate))), plan())

    assert found.no_rate_reason is None


@given(st.integers(0, 10_000))
def test_a_search_always_ends(seed: int) -> None:
    """A target with random answers gives a result, or none, after a limited number of probes."""
    chance = random.Random(seed)
    target = Target(
        lambda _: chance.choice([ProbeVerdict.MET, ProbeVerdict.MET, ProbeVerdict.MISSED, ProbeVerdict.INCONCLUSIVE])
    )
    found = saturation(target, plan())

    assert len(target.requests) <= MAX_PROBES
    assert (found.rate is None) is (found.no_rate_reason is not None)


def test_every_reason_has_a_text_and_an_exit_code() -> None:
    """A new reason needs both."""
    assert set(NoRateReason) == set(REASON_TEXTS) == set(EXIT_BY_REASON)


def test_effort_follows_from_the_objectives() -> None:
    """A share q needs ln 0.05 / ln q requests; an explicit limit applies to every probe."""
    objectives = [parse_objective(text) for text in ("p95 response_time < 1s", "error_rate < 1%", "throughput > 1/s")]
    times = {"lowest": 5.0, "probe_seconds": 60.0, "warm_up": 60.0, "drain": 30.0}
    default = search_plan(objectives, SearchSettings(), **times)
    limited = search_plan(objectives, SearchSettings(max_requests=100), **times)

    assert [299, 59, 1] == [fewest_requests(objectives[place]) for place in (1, 0, 2)]
    assert (6 * 299, 30 * 299, 120 * 299) == (
        default.first_requests,
        default.verifying_requests,
        default.max_requests,
    )
    assert 100 == limited.first_requests == limited.verifying_requests == limited.max_requests


def test_a_probe_stays_within_the_limits_of_a_run() -> None:
    """A remote target has limits for requests and duration; a probe that would exceed them is shorter."""
    within = replace(plan(), warm_up=60.0, run_seconds=900.0, run_requests=20_000)

    assert 840 == within.duration(1.0, 6000)
    assert 30 == within.duration(200.0, 6000)
    assert 200 * (60 + within.duration(200.0, 60_000)) <= 20_000


def test_the_forecast_covers_low_and_high_rates() -> None:
    """A higher result takes more doublings, and the forecast is what such a search would take."""
    shortest, longest = expected_durations(plan())

    assert 60 < shortest < longest < 3600


def test_the_forecast_warns_of_a_start_that_leaves_no_time() -> None:
    """At a low rate the first probe alone may take most of the time."""
    short = replace(plan(), settings=replace(plan().settings, max_duration=30.0))

    assert "start with a higher --rate" in runner._forecast(short)
    assert "start with a higher --rate" not in runner._forecast(plan())


def parsed_options(*words: str) -> argparse.Namespace:
    """The options of `chainproof loadtests` with these arguments."""
    return build_parser("loadtests", "…", options=OPTIONS).parse_args(words)


def test_search_options_override_those_of_the_workload() -> None:
    """The workload saturation always searches, another one only with `--search`."""
    found = requested_search(
        parsed_options("--search-max-rate", "50", "--search-resolution", "20%"), workload("saturation")
    )
    other = requested_search(parsed_options("--search", "saturation"), workload("steady").with_options(rate=10.0))

    assert SearchSettings(max_rate=50, resolution=0.2) == found
    assert SearchSettings() == other
    assert requested_search(parsed_options(), workload("steady")) is None


INVALID_OPTIONS = {
    "a bound below the lowest rate": (
        ["saturation", "--search-max-rate", "3"],
        "expected max_rate to be at least 5",
    ),
    "a resolution of zero": (["saturation", "--search-resolution", "0%"], "expected a resolution from 0.5%"),
    "the options alone": (["--search-max-rate", "30"], "expected --search saturation, or the workload saturation"),
    "phases": (["ramp", "--search", "saturation"], "expected an open workload with a constant rate"),
    "users": (["--model", "closed", "--search", "saturation"], "expected an open workload with a constant rate"),
    "a scenario for a target": (
        ["saturation", "--scenario", "warm", "--target", "http://127.0.0.1:1"],
        "expected no target with --scenario",
    ),
    "a lowest rate beyond the limit": (
        ["saturation", "--max-rate", "3"],
        "expected a --rate of at most 3 per second, found 5: raise the limit with --max-rate",
    ),
    "a target to calibrate": (["--calibrate", "--target", "http://127.0.0.1:1"], "expected no target with --calibrate"),
}


@pytest.mark.parametrize("case", INVALID_OPTIONS)
def test_invalid_search_options_are_a_usage_error(
    case: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """One line, exit code 2, before anything is sent."""
    monkeypatch.setenv("BASETEN_API_KEY", "a-key.of-nobody")
    monkeypatch.delenv("CHAINPROOF_TARGET", raising=False)
    monkeypatch.chdir(tmp_path)
    words, expected = INVALID_OPTIONS[case]
    code = main(words)
    message = capsys.readouterr().err

    assert 2 == code
    assert expected in message
    assert 1 == message.count("\n")
    assert [] == list(tmp_path.iterdir())


def test_an_invalid_search_table_is_a_workload_error() -> None:
    """It is reported like any other error in a workload."""
    for search, message in (
        ({"speed": 1}, "expected a table with any of max_rate"),
        ({"max_rate": "a"}, "expected a number"),
    ):
        with pytest.raises(WorkloadError, match=message):
            parse_workload({"search": search}, name="w")
    with pytest.raises(WorkloadError, match="expected at least one objective"):
        parse_workload({"search": {}}, name="w")
    with pytest.raises(ValueError, match="expected a share such as 5%"):
        parse_share("much")


def loadtests(*words: str) -> subprocess.CompletedProcess[str]:
    """Run `chainproof loadtests` with these arguments."""
    return run_process([sys.executable, "-P", "-m", "chainproof", "loadtests", "--no-html", *words])


def test_the_saturation_rate_of_the_rate_limited_scenario_is_found(tmp_path: Path) -> None:
    """The emulator admits 20 requests per second and a burst of 20: 40 per second miss the objective. Each probe has a run folder."""
    words = ["saturation", "--scenario=rate-limited", "--arrivals=constant", "--rate=20", "--duration=2s"]
    words += ["--warm-up=1s", "--search-resolution=100%", "--search-verifications=1", "--search-max-requests=90"]
    done = loadtests(*words, "--objective=error_rate < 30%", "--out", str(tmp_path / "search"))
    found = json.loads((tmp_path / "search" / "search.json").read_text())

    if done.returncode == 0:
        assert 20 <= found["saturation_rate_per_s"] < 30
        assert found["saturation_rate_per_s"] < found["missed_at_per_s"]
        assert {"met", "missed"} <= {probe["verdict"] for probe in found["probes"]}
    else:  # on a busy machine
        assert any(is_late(read_run(tmp_path / "search" / probe["folder"])) for probe in found["probes"]), done.stderr
    assert found["summary"] in " ".join(done.stdout.split())
    assert "it ends after 6h at most" in done.stderr
    for probe in found["probes"]:
        run = read_run(tmp_path / "search" / probe["folder"])

        assert f"{probe['rate']:.4g}/s" in done.stdout
        assert run.end is not None
        assert probe["rate"] == pytest.approx(run.manifest.settings["rate_per_s"])
    assert f"run folder: {tmp_path / 'search'}" == done.stdout.splitlines()[-1]
    assert len({read_run(tmp_path / "search" / probe["folder"]).manifest.seed for probe in found["probes"]}) == len(
        found["probes"]
    )


def test_an_interrupted_search_has_a_report(tmp_path: Path) -> None:
    """Ctrl-C ends it with the table of its probes and exit code 130; its record can be reported, as inconclusive."""
    words = ["saturation", "--scenario=instant", "--rate=200", "--duration=1s", "--warm-up=500ms", "--no-html"]
    command = [sys.executable, "-P", "-m", "chainproof", "loadtests", *words, "--out", str(tmp_path / "search")]
    with subprocess.Popen(
        command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as child:
        assert child.stderr is not None
        while "(doubling): " not in child.stderr.readline():
            assert child.poll() is None
        child.send_signal(signal.SIGINT)
        shown, _ = child.communicate(timeout=PATIENCE)
    record = json.loads((tmp_path / "search" / "search.json").read_text())

    assert 130 == child.returncode
    assert "The search was interrupted." in record["summary"]
    assert record["summary"] in " ".join(shown.split())
    assert "01_200" in shown
    assert (1, "inconclusive") == (len(record["probes"]), record["verdict"])
    assert 3 == reports_main([str(tmp_path / "search")])


def test_calibration_measures_floor_and_ceiling(tmp_path: Path) -> None:
    """The highest rate tried is a lower bound of the ceiling if it was met."""
    words = ["--duration=300ms", "--rate=600", "--search-max-rate=600"]
    done = loadtests("--calibrate", *words, "--out", str(tmp_path / "own"))
    found = json.loads((tmp_path / "own" / "calibration.json").read_text())

    assert done.returncode in (0, 4), done.stderr  # 4: invalid, on a busy machine
    assert 0 < found["floor_s"]["p50"]
    assert found["ceiling_per_s"] in (None, 600.0)  # none on a busy machine
    assert "floor" in done.stdout
    assert "ceiling" in done.stdout


REQUEST = b"POST / HTTP/1.1\r\nHost: a\r\ncontent-LENGTH: 3\r\n\r\n{ }"


@given(st.integers(1, 5), st.lists(st.integers(1, 300), max_size=20))
def test_the_null_server_answers_every_request_once(count: int, cuts: list[int]) -> None:
    """However the bytes arrive, each request gets one answer with its own request id."""

    class Transport:
        written = b""

        def write(self, octets: bytes) -> None:
            self.written += octets

    null, transport = NullProtocol(), Transport()
    null._transport = transport  # type: ignore[assignment]  # it only needs write()
    octets = REQUEST * count
    edges = sorted({0, len(octets), *(cut for cut in cuts if cut < len(octets))})
    for begin, end in pairwise(edges):
        null.data_received(octets[begin:end])
    ids = [line for line in transport.written.split(b"\r\n") if line.startswith(b"X-BASETEN")]

    assert count == transport.written.count(b"HTTP/1.1 200 OK") == len(set(ids))
    assert (len(REQUEST), 0) == (request_length(REQUEST), request_length(REQUEST[:20]))


def test_the_table_shows_probes_by_rate() -> None:
    """Each row has the rate, result and folder; missing times are not shown as zero."""
    probes = [
        Probe(
            rate=20, purpose=ProbePurpose.DOUBLING, verdict=ProbeVerdict.MISSED, folder="02_20", seconds=2, planned=40
        ),
        Probe(
            rate=10,
            purpose=ProbePurpose.DOUBLING,
            verdict=ProbeVerdict.MET,
            folder="01_10",
            seconds=2,
            planned=20,
            ok=20,
            response_time={"p50": 0.01},
        ),
    ]

    assert [
        "  rate  purpose   judged for  planned  ok    p50  p95  p99          folder",
        "  10/s  doubling         2 s       20  20  10 ms    –    –  met     01_10",
        "  20/s  doubling         2 s       40   0      –    –    –  missed  02_20",
    ] == probe_table(probes)


def test_a_search_without_its_record_is_invalid(capsys: pytest.CaptureFixture[str]) -> None:
    """If the disk is full at its end, or its folder was deleted, one line says so."""

    def write(*_: object) -> None:
        raise MachineFault("cannot write run/search.json: no space left on device")

    code = runner._record(cast(Any, SimpleNamespace(write=write)), None, "No rate was found.", ExitCode.PASS)

    assert ExitCode.INVALID == code
    assert "chainproof loadtests: cannot write run/search.json: no space left on device\n" == capsys.readouterr().err
