"""Tests of Locust's own statistics."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from chainproof.results.exchange import Result
from chainproof.results.folder import read_run
from chainproof.results.intervals.interval import total

from ...processes import run_process
from ..conftest import locust_command, locust_environment, run_server

WITHOUT_LISTENER = """
import json, os
from locust import events
from chainproof.loadtests import OpenUser

@events.quitting.add_listener
def write_statistics(environment, **_):
    stats = environment.stats
    def row(entry):
        return [entry.num_requests, entry.num_none_requests, entry.num_failures, entry.total_content_length, sum(entry.response_times.values()),
                sum(entry.num_reqs_per_sec.values()), sum(entry.num_fail_per_sec.values()), entry.min_response_time, entry.max_response_time,
                entry.total_response_time]
    statistics = {"total": row(stats.total), "entries": {name: row(entry) for (name, _), entry in stats.entries.items()},
            "errors": {each.to_name(): each.occurrences for each in stats.errors.values()}, "events": events_received}
    open(os.environ["STATISTICS"], "w").write(json.dumps(statistics))

events_received = []
"""
WITH_LISTENER = (
    WITHOUT_LISTENER
    + """
@events.request.add_listener
def record(request_type, name, response_time, response_length, exception, context, start_time, url, response, **_):
    events_received.append([request_type, response_time, response_length, str(exception) if exception else None, context["number"]])
"""
)


async def alternate(request: Any) -> None:
    """Answer 200, answer 429 and do not answer, in turn."""
    if request.number % 3 == 0:
        await request.answer()
    elif request.number % 3 == 1:
        await request.answer(429, b'{"error_code": "rate_limited"}')


SOURCES = {"without listener": WITHOUT_LISTENER, "with listener": WITH_LISTENER}


@pytest.fixture(scope="module", params=SOURCES)
def statistics(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> tuple[str, Any, Any]:
    """The name of a locustfile, Locust's statistics at the end of a run with it, and the totals of the run folder."""
    return request.param, *locust_statistics(tmp_path_factory.mktemp("locust"), SOURCES[request.param])


def locust_statistics(folder: Path, source: str) -> tuple[Any, Any]:
    """Locust's statistics at the end of a run, and the totals of the run folder."""
    (folder / "mine.py").write_text(source)
    words = ["--headless", "--only-summary", "--rate=60", "--duration=1s", "--arrivals=constant", "--deadline=800ms"]
    with run_server(alternate) as server:
        words += ["--target", server.target.origin, f"--out={folder / 'run'}"]
        environment = locust_environment(STATISTICS=str(folder / "statistics.json"))
        run_process(locust_command(*words, file=folder / "mine.py"), env=environment)
    return json.loads((folder / "statistics.json").read_text()), total(read_run(folder / "run").intervals)


def test_locust_statistics_equal_the_totals_of_the_run(statistics: tuple[str, Any, Any]) -> None:
    """Counts, failures, bytes and the minimum, maximum and sum of response times are equal."""
    _, found, totals = statistics
    answered = [each for result in (Result.OK, Result.FAILED) for each in [totals.response_time[result]] if each.count]
    requests, silent = totals.sent, totals.count(Result.TIMED_OUT)
    failures = totals.count(Result.FAILED) + silent
    counted = [requests, silent, failures, requests - silent, requests, failures]

    assert 60 == requests
    for row in (found["total"], found["entries"]["/production/run_remote"]):
        assert counted == [*row[:3], row[4], *row[5:7]]
        assert min(each.min for each in answered) * 1e3 == pytest.approx(row[7], abs=0.001)
        assert max(each.max for each in answered) * 1e3 == pytest.approx(row[8], abs=0.001)
        assert sum(each.total for each in answered) * 1e3 == pytest.approx(row[9], abs=0.1)
    assert failures == sum(found["errors"].values())
    assert 2 == len(found["errors"])


def test_a_listener_gets_an_event_for_every_request(statistics: tuple[str, Any, Any]) -> None:
    """The event has the response time, or None if there is none. Without a listener there are none."""
    name, found, totals = statistics
    events = found["events"]
    if name == "without listener":
        assert [] == events
        return

    assert list(range(60)) == sorted(number for *_, number in events)
    assert totals.count(Result.OK) == sum(exception is None for *_, exception, _ in events)
    assert totals.count(Result.TIMED_OUT) == sum(time is None for _, time, *_ in events)
    assert {"POST"} == {kind for kind, *_ in events}
