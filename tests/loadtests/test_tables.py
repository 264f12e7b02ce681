"""
Tests of Locust's own statistics.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from chainproof.results.exchange import Result
from chainproof.results.folder import read_run
from chainproof.results.interval import total

RunServer = Callable[..., Any]

QUIET = """
import json, os
from locust import events
from chainproof.loadtests import OpenUser

@events.quitting.add_listener
def tell(environment, **_):
    stats = environment.stats
    def row(entry):
        return [entry.num_requests, entry.num_none_requests, entry.num_failures, entry.total_content_length, sum(entry.response_times.values()),
                sum(entry.num_reqs_per_sec.values()), sum(entry.num_fail_per_sec.values()), entry.min_response_time, entry.max_response_time,
                entry.total_response_time]
    said = {"total": row(stats.total), "entries": {name: row(entry) for (name, _), entry in stats.entries.items()},
            "errors": {each.to_name(): each.occurrences for each in stats.errors.values()}, "heard": heard}
    open(os.environ["SAID"], "w").write(json.dumps(said))

heard = []
"""
LISTENING = (
    QUIET
    + """
@events.request.add_listener
def hear(request_type, name, response_time, response_length, exception, context, start_time, url, response, **_):
    heard.append([request_type, response_time, response_length, str(exception) if exception else None, context["number"]])
"""
)


async def unruly(told: Any) -> None:
    """Fine, busy, silent, in turn."""
    if told.number % 3 == 0:
        await told.answer()
    elif told.number % 3 == 1:
        await told.answer(429, b'{"error_code": "rate_limited"}')


def locust_statistics(run_server: RunServer, folder: Path, source: str) -> tuple[Any, Any]:
    """
    Locust's statistics at the end of a run, and the run folder.
    """
    (folder / "mine.py").write_text(source)
    words = ["--headless", "--only-summary", "--rate=60", "--duration=1s", "--arrivals=constant", "--deadline=800ms"]
    with run_server(unruly) as server:
        subprocess.run(
            [sys.executable, "-P", "-m", "locust", "-f", str(folder / "mine.py"), *words, "--target", server.target.origin,
             f"--out={folder / 'run'}"],
            env={**os.environ, "BASETEN_API_KEY": "key", "SAID": str(folder / "said.json"), "LOCUST_SKIP_MONKEY_PATCH": ""},
            capture_output=True, timeout=60, check=False, stdin=subprocess.DEVNULL,
        )  # fmt: skip
    return json.loads((folder / "said.json").read_text()), total(read_run(folder / "run").intervals)


@pytest.mark.parametrize("source", [QUIET, LISTENING], ids=["at once", "one by one"])
def test_locusts_totals_are_those_of_the_run(run_server: RunServer, tmp_path: Path, source: str) -> None:
    """
    Counts, failures, bytes and the minimum, maximum and sum of response times are equal.
    """
    said, whole = locust_statistics(run_server, tmp_path, source)
    answered = [each for result in (Result.OK, Result.FAILED) for each in [whole.response_time[result]] if each.count]
    requests, silent = whole.sent, whole.count(Result.TIMED_OUT)
    failures = whole.count(Result.FAILED) + silent
    counted = [requests, silent, failures, requests - silent, requests, failures]

    assert 60 == requests
    for row in (said["total"], said["entries"]["/production/run_remote"]):
        assert counted == [*row[:3], row[4], *row[5:7]]
        assert min(each.min for each in answered) * 1e3 == pytest.approx(row[7], abs=0.001)
        assert max(each.max for each in answered) * 1e3 == pytest.approx(row[8], abs=0.001)
        assert sum(each.total for each in answered) * 1e3 == pytest.approx(row[9], abs=0.1)
    assert failures == sum(said["errors"].values())
    assert 2 == len(said["errors"])


def test_a_listener_gets_an_event_for_every_request(run_server: RunServer, tmp_path: Path) -> None:
    """
    The event has the response time, or None if there is none.
    """
    said, whole = locust_statistics(run_server, tmp_path, LISTENING)
    heard = said["heard"]

    assert list(range(60)) == sorted(number for *_, number in heard)
    assert whole.count(Result.OK) == sum(exception is None for *_, exception, _ in heard)
    assert whole.count(Result.TIMED_OUT) == sum(time is None for _, time, *_ in heard)
    assert {"POST"} == {kind for kind, *_ in heard}
