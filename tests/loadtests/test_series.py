"""Tests of series of runs as child processes: which requests the targets get, and what is kept and said."""

from __future__ import annotations

import asyncio
import csv
import os
import re
import signal
import time
from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

import pytest

from chainproof.results.folder import REQUESTS, find_runs, read_run
from chainproof.results.manifest import Ending, SeriesKind, Side

CANDIDATE, BASELINE = Side.CANDIDATE, Side.BASELINE
RunServer = Callable[..., AbstractContextManager[Any]]
Launch = Callable[..., Any]


async def fine(request: Any) -> None:
    """Answer 200."""
    await request.answer()


async def slow(request: Any) -> None:
    """Answer 200 after 30 ms."""
    await asyncio.sleep(0.03)
    await request.answer()


async def reject_key(request: Any) -> None:
    """Answer 401."""
    await request.answer(401, b'{"error": "who?", "error_code": "unauthorized"}')


def places(folder: Path) -> list[tuple[str, SeriesKind, int, Side]]:
    """The name of each run folder, with the run's place in the series."""
    runs = [read_run(path) for path in find_runs(folder)]
    assert 1 == len({run.manifest.series.id for run in runs if run.manifest.series})
    return [
        (run.path.name, run.manifest.series.kind, run.manifest.series.index, run.manifest.series.side)
        for run in runs
        if run.manifest.series
    ]


def requested_starts(folder: Path) -> tuple[list[float], list[float]]:
    """The intended and the actual starts of the requests of a run, in order."""
    with (folder / REQUESTS).open(newline="") as file:
        rows = list(csv.DictReader(file))
    return sorted(float(row["intended_start_s"]) for row in rows), sorted(float(row["start_s"]) for row in rows)


def second_0(arrival_times: list[float], starts: list[float]) -> float:
    """Second 0 of a run on the clock of the server, from the requests that arrived soonest after their start."""
    return min(arrival - start for arrival, start in zip(arrival_times, starts, strict=True))


def test_repeated_runs_have_the_same_plan_and_one_summary(run_server: RunServer, launch: Launch) -> None:
    """Each run is an ordinary run with its own folder. The exit code is that of the worst verdict."""
    with run_server(slow) as server:
        words = ("--repeat", "2", "--duration", "500ms", "--rate", "40", "--pause", "0s")
        done = launch(server, *words, "--objective", "max response_time < 1ms").end()

    runs = [read_run(path) for path in find_runs(done.folder)]
    assert 1 == done.code, done.errors
    assert [("01", "repeat", 0, "candidate"), ("02", "repeat", 1, "candidate")] == places(done.folder)
    assert 1 == len({str(run.manifest.settings["plan"]) for run in runs})
    assert [Ending.COMPLETED] * 2 == [run.end.ending for run in runs if run.end]
    assert "Series of 2 runs, one after the other" in done.output
    assert 2 == done.output.count(": FAIL "), done.output
    assert "2 runs of 500 ms, one after the other: about " in done.errors


def test_both_targets_of_a_duet_get_the_same_requests_at_the_same_time(
    run_server: RunServer, launch: Launch, key: str
) -> None:
    """Both runs have the same second 0, a request is planned first on either side in turn, and each target gets its own key only."""
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

    pairs = list(zip(candidate.arrival_times, baseline.arrival_times, strict=True))
    starts = [requested_starts(done.folder / f"01_{side}") for side in (CANDIDATE, BASELINE)]
    zeros = [second_0(each.arrival_times, sent) for each, (_, sent) in zip((candidate, baseline), starts, strict=True)]
    first = [one < other for one, other in zip(starts[0][0], starts[1][0], strict=True)]
    bodies = [[request.partition(b"\r\n\r\n")[2] for request in each.requests] for each in (candidate, baseline)]
    assert [("01_baseline", "duet", 0, "baseline"), ("01_candidate", "duet", 0, "candidate")] == places(done.folder)
    assert 40 == len(pairs)
    assert sorted(bodies[0]) == sorted(bodies[1])
    assert sum(abs(one - other) for one, other in pairs) / len(pairs) < 0.02, pairs
    assert [True, False, False, True] * 10 == first
    assert abs(zeros[0] - zeros[1]) < 0.005, zeros
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
    assert min(len(candidate.requests), len(baseline.requests)) >= 10, done.errors
    for server in (candidate, baseline):
        assert max(server.arrival_times) - min(server.arrival_times) < 0.9
    assert abs(candidate.arrival_times[0] - baseline.arrival_times[0]) < 0.2


def test_an_interrupted_series_keeps_and_reports_what_is_complete(run_server: RunServer, launch: Launch) -> None:
    """After Ctrl-C in the second run, both runs have their folders, the table shows both, and the exit code is 130."""
    with run_server(fine) as candidate, run_server(fine) as baseline:
        words = ("--interleave", baseline.target.origin, "--duration", "1500ms", "--rate", "40", "--pause", "0s")
        run = launch(candidate, *words)
        second = run.folder / "02_candidate" / "intervals.jsonl"
        give_up = time.monotonic() + 30
        while not second.exists():
            assert time.monotonic() < give_up
            time.sleep(0.02)
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
    assert ["01_baseline", "01_candidate"] == [path.name for path in sorted(done.folder.iterdir())]
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
