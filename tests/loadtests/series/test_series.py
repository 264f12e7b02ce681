"""Tests of series of runs as child processes: which requests the targets get, and what is stored and printed."""

from __future__ import annotations

import csv
import os
import re
import signal
import sys
import time
from collections.abc import Callable
from contextlib import AbstractContextManager
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest

from chainproof.command import build_parser
from chainproof.contract.credentials import ApiKey
from chainproof.contract.target import parse_target
from chainproof.endpoint import Endpoint
from chainproof.loadtests.locust_process import LocustRun, run_together
from chainproof.loadtests.options import OPTIONS
from chainproof.results.folder import REQUESTS, find_runs, read_run
from chainproof.results.manifest import Ending, SeriesKind, Side
from chainproof.results.series_record import SERIES_FILE
from chainproof.target_options import TargetOptions

from ...waiting import await_condition
from ..behaviours import answer_after, fine, reject_key, stall

CANDIDATE, BASELINE = Side.CANDIDATE, Side.BASELINE
RunServer = Callable[..., AbstractContextManager[Any]]
Launch = Callable[..., Any]


def places(folder: Path) -> list[tuple[str, SeriesKind, int, Side]]:
    """The name of each run folder, with the run's place in the series."""
    runs = [read_run(path) for path in find_runs(folder)]
    assert 1 == len({run.manifest.series.id for run in runs if run.manifest.series})
    return [
        (run.path.name, run.manifest.series.kind, run.manifest.series.index, run.manifest.series.side)
        for run in runs
        if run.manifest.series
    ]


def intended_starts(folder: Path) -> list[float]:
    """The intended starts of the requests of a run, in order."""
    with (folder / REQUESTS).open(newline="") as file:
        return sorted(float(row["intended_start_s"]) for row in csv.DictReader(file))


def test_repeated_runs_have_the_same_plan_and_one_summary(run_server: RunServer, launch: Launch) -> None:
    """Each run is an ordinary run with its own folder. The exit code is that of the worst verdict."""
    with run_server(answer_after(0.03)) as server:
        words = ("--repeat", "2", "--duration", "500ms", "--rate", "40", "--pause", "0s")
        done = launch(server, *words, "--objective", "max response_time < 1ms").end()

    runs = [read_run(path) for path in find_runs(done.folder)]
    assert done.code in (1, 4), done.errors  # 4: invalid, on a busy machine
    assert [("01", "repeat", 0, "candidate"), ("02", "repeat", 1, "candidate")] == places(done.folder)
    assert 1 == len({str(run.manifest.settings["plan"]) for run in runs})
    assert [Ending.COMPLETED] * 2 == [run.end.ending for run in runs if run.end]
    assert "Series of 2 runs, one after the other" in done.output
    assert 2 == len(re.findall(r": (FAIL|INVALID) ", done.output)), done.output
    assert "2 runs of 500 ms, one after the other: about " in done.errors


WAITING = """
import pathlib, sys
folder = pathlib.Path(sys.argv[1])
(folder / "manifest.json").touch()
(folder / "second 0").write_text(sys.stdin.readline())
(folder / "end.json").write_text('{"ending": "completed"}')
"""


def test_the_runs_of_a_duet_get_the_same_second_0(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Their processes are told the same instant, to the last digit, once both are prepared."""
    folders = {side: tmp_path / side for side in (CANDIDATE, BASELINE)}
    monkeypatch.setattr(LocustRun, "command", lambda run, port: [sys.executable, "-c", WAITING, str(run.folder)])
    options = build_parser("loadtests", "…", options=OPTIONS).parse_args(["--quiet"])
    endpoint = Endpoint(target=parse_target("http://127.0.0.1:1"), key=ApiKey("a-key"), environment={})
    for folder in folders.values():
        folder.mkdir()
    begun = time.monotonic()
    ended = run_together(
        {
            side: LocustRun(options=options, requested=TargetOptions(), endpoint=endpoint, folder=folder)
            for side, folder in folders.items()
        }
    )
    instants = [(folder / "second 0").read_text() for folder in folders.values()]

    assert [0, 0] == [each.code for each in ended]
    assert instants[0] == instants[1]
    assert float(instants[0]) > begun


def test_both_targets_of_a_duet_get_the_same_requests(run_server: RunServer, launch: Launch, key: str) -> None:
    """No run begins before both are prepared, a request is planned first on either side in turn, and each target gets its own key only."""
    own_key = "another-key.of-the-baseline"
    words = (
        "--duration",
        "1s",
        "--rate",
        "40",
        "--arrivals",
        "constant",
        "--processes",
        "2",
        "--record-requests",
        "40",
    )
    with run_server(fine) as candidate, run_server(fine) as baseline:
        done = launch(
            candidate, "--duet", baseline.target.origin, *words, BASELINE_API_KEY=own_key, BASETEN_API_KEY=key
        ).end()

    starts = [intended_starts(done.folder / f"01_{side}") for side in (CANDIDATE, BASELINE)]
    prepared = max(
        datetime.fromisoformat(read_run(path).manifest.started).timestamp() for path in find_runs(done.folder)
    )
    arrived = min(candidate.arrival_times + baseline.arrival_times) + time.time() - time.monotonic()
    first = [one < other for one, other in zip(*starts, strict=True)]
    bodies = [[request.partition(b"\r\n\r\n")[2] for request in each.requests] for each in (candidate, baseline)]
    assert [("01_baseline", "duet", 0, "baseline"), ("01_candidate", "duet", 0, "candidate")] == places(done.folder)
    assert 40 == len(bodies[0])
    assert sorted(bodies[0]) == sorted(bodies[1])
    assert [True, False, False, True] * 10 == first
    assert all(abs(one - other) < 0.01 for one, other in zip(*starts, strict=True))
    assert arrived - prepared > 1.9  # second 0 is two seconds after both are prepared
    for server, sent, other in ((candidate, key, own_key), (baseline, own_key, key)):
        assert all(sent.encode() in request and other.encode() not in request for request in server.requests)
    assert not any(secret in done.output + done.errors for secret in (key, own_key))


@pytest.mark.skipif(os.environ.get("CHAINPROOF_SAMPLE") != "all", reason="takes 6 s: needs CHAINPROOF_SAMPLE=all")
def test_closed_users_send_to_both_targets_of_a_duet(run_server: RunServer, launch: Launch) -> None:
    """Each side has the users of the workload. Without a key of its own, the baseline gets the candidate's."""
    words = ("--model", "closed", "--users", "3", "--think-time", "50ms", "--duration", "700ms")
    with run_server(fine) as candidate, run_server(fine) as baseline:
        done = launch(candidate, "--duet", baseline.target.origin, *words).end()

    assert [3, 3] == [read_run(path).manifest.settings["users"] for path in find_runs(done.folder)]
    assert min(len(candidate.requests), len(baseline.requests)) >= 6, done.errors


def test_an_interrupted_series_keeps_and_reports_what_is_complete(run_server: RunServer, launch: Launch) -> None:
    """After Ctrl-C in the second run, both runs have their folders, the table shows both, and the exit code is 130."""
    words = ("--duration", "60s", "--model", "closed", "--users", "1", "--max-requests", "20", "--drain", "0s")
    with run_server(stall) as candidate, run_server(fine) as baseline:
        run = launch(candidate, "--interleave", baseline.target.origin, *words, "--pause", "0s")
        await_condition(lambda: candidate.requests)
        run.send(signal.SIGINT)
        done = run.end()

    endings = {path.name: read_run(path).end.ending for path in find_runs(done.folder)}  # type: ignore[union-attr]  # complete
    assert 130 == done.code, done.errors
    assert {"01_baseline": Ending.COMPLETED, "02_candidate": Ending.INTERRUPTED} == endings
    assert "run 2 of 12 (candidate)" in done.errors
    assert "the series ended early: it was interrupted in run 2 of 12 (candidate)" in done.errors
    assert re.search(r"1 baseline +inconclusive .*\n +2 candidate +ended early ", done.output), done.output


def test_a_series_ends_at_the_first_run_that_ends_early(run_server: RunServer, launch: Launch) -> None:
    """If the key is rejected, no further run is made. In a duet the other side is stopped too."""
    with run_server(fine) as candidate, run_server(reject_key) as baseline:
        words = ("--duet", baseline.target.origin, "--duration", "60s", "--rate", "40", "--repeat", "3")
        done = launch(candidate, *words).end()

    assert 3 == done.code, done.errors
    assert ["01_baseline", "01_candidate", SERIES_FILE] == [path.name for path in sorted(done.folder.iterdir())]
    assert "the series ended early: run 01_baseline ended early: " in done.errors
    assert "Series of 2 runs, candidate and baseline at the same time" in done.output
    assert len(candidate.requests) < 400


def test_a_baseline_that_cannot_start_leaves_no_run(run_server: RunServer, launch: Launch) -> None:
    """If one side of a duet has a usage error, nothing is sent to the other, and no run folder remains."""
    with run_server(fine) as candidate, run_server(fine) as baseline:
        url = f"https://127.0.0.1:{baseline.port}"
        done = launch(candidate, "--duet", url, "--duration", "1s").end()

    assert 2 == done.code, done.errors
    assert "the series ended early: pair 1 of 1 could not start, see above" in done.errors
    assert [] == list(done.folder.iterdir())
    assert [] == candidate.requests
