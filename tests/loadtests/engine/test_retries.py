"""Retries: the policy follows the Baseten documentation, needs --retry, and counts every attempt."""

from __future__ import annotations

import json
import os
import signal
from collections import Counter
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chainproof.loadtests.retries import RETRY_POLICIES
from chainproof.results.exchange import Outcome, Result, Transport
from chainproof.results.folder import read_run
from chainproof.results.intervals.interval import Interval, total
from chainproof.results.intervals.retried_calls import Calls

from ...waiting import await_condition

RunServer = Callable[..., Any]
ALL_CASES = os.environ.get("CHAINPROOF_SAMPLE") == "all"
BASETEN = RETRY_POLICIES["baseten"]
ANSWERS = [Outcome(Transport.ANSWERED, status, None, Result.FAILED) for status in range(100, 600)]
TRANSPORT_ERRORS = [
    Outcome(transport, None, None, Result.FAILED) for transport in Transport if transport is not Transport.ANSWERED
]


def test_the_baseten_policy_retries_the_documented_outcomes() -> None:
    """Five statuses, failed connections and timeouts are retried; client errors and truncated answers are not."""
    retried = {
        outcome.status or outcome.transport
        for outcome in (*ANSWERS, *TRANSPORT_ERRORS)
        if BASETEN.wait(1, outcome) is not None
    }

    assert {
        *(429, 500, 502, 503, 504),
        *(
            Transport.NAME_NOT_RESOLVED,
            Transport.CONNECTION_REFUSED,
            Transport.CONNECT_FAILED,
            Transport.NO_RESOURCES,
            Transport.TLS_FAILED,
            Transport.DEADLINE,
        ),
    } == retried


@pytest.mark.parametrize("outcome", [ANSWERS[429 - 100], TRANSPORT_ERRORS[-2]])
def test_the_baseten_policy_makes_five_attempts(outcome: Outcome) -> None:
    """The waits between them are one, two, four and eight seconds."""
    assert [1.0, 2.0, 4.0, 8.0, None] == [BASETEN.wait(attempt, outcome) for attempt in range(1, 6)]


calls = st.lists(st.tuples(st.integers(1, 5), st.sampled_from(list(Result)), st.floats(0, 100)), max_size=20)


@given(calls, calls)
def test_merged_intervals_count_the_same_calls(
    some: list[tuple[int, Result, float]], others: list[tuple[int, Result, float]]
) -> None:
    """Merging intervals gives the same counts as counting directly, also after writing and reading them."""
    totals, parts = Calls(), [Interval(second=0), Interval(second=0)]
    for each, interval in ((some, parts[0]), (others, parts[1])):
        for attempts, result, total_time in each:
            totals.end(attempts, result, total_time)
            interval.calls.end(attempts, result, total_time)
    read = [Interval.from_json(json.loads(json.dumps(interval.to_json()))) for interval in parts]
    merged = total(read).calls

    assert totals.counts == merged.counts
    assert totals.to_json() == merged.to_json()


def busy_twice() -> Any:
    """A target that answers 429 to the first two requests, and then 200."""

    async def behave(request: Any) -> None:
        if request.number < 2:
            await request.answer(429, b'{"error": "slow down", "error_code": "rate_limited"}')
        else:
            await request.answer()

    return behave


@pytest.mark.parametrize("model", ["closed", "open"] if ALL_CASES else ["closed"])
def test_each_attempt_is_counted(run_server: RunServer, launch: Any, model: str) -> None:
    """Three attempts, one and two seconds apart, are three requests and one call."""
    options = {
        "open": ("--rate", "10", "--duration", "100ms", "--arrivals", "constant"),
        "closed": ("--model", "closed", "--users", "1", "--duration", "60s", "--max-requests", "3"),
    }
    with run_server(busy_twice()) as server:
        done = launch(server, *options[model], "--deadline", "20s", "--retry", "baseten").end()
    totals = total(done.run.intervals)
    gaps = [later - earlier for earlier, later in zip(server.arrival_times, server.arrival_times[1:], strict=False)]

    assert (3, 3, 1, 2) == (totals.planned, totals.sent, totals.count(Result.OK), totals.count(Result.FAILED)), (
        done.errors
    )
    assert {(3, Result.OK): 1} == dict(totals.calls.counts)
    assert 3.0 <= (totals.calls.total_time[Result.OK].max or 0) < 15  # what follows the second and third attempt
    assert all(gap > 0.95 * wait for gap, wait in zip(gaps, (1.0, 2.0), strict=True))
    assert "baseten" == done.run.manifest.settings["retry"]


def test_without_the_option_nothing_is_retried(run_server: RunServer, launch: Any) -> None:
    """Without --retry a 429 is a final answer."""
    with run_server(busy_twice()) as server:
        done = launch(server, "--rate", "10", "--duration", "200ms", "--arrivals", "constant").end()
    totals = total(done.run.intervals)

    assert 2 == totals.planned == totals.count(Result.FAILED) == len(server.requests)
    assert not totals.calls


def test_workers_retry_too(run_server: RunServer, launch: Any) -> None:
    """Workers use the policy, and their counts add up."""

    async def busy_four_times(request: Any) -> None:
        if request.number < 4:
            await request.answer(503, b'{"error": "busy"}')
        else:
            await request.answer()

    with run_server(busy_four_times) as server:
        options = ("--rate", "8", "--duration", "500ms", "--arrivals", "constant", "--processes", "2")
        done = launch(server, *options, "--deadline", "20s", "--retry", "baseten").end()
    totals = total(done.run.intervals)

    assert done.run.end is not None, done.errors
    assert "completed" == done.run.end.ending.value, done.run.end.note
    assert 8 == sum(attempts * count for (attempts, _), count in totals.calls.counts.items())
    assert {Result.OK: 4} == sum((Counter({result: n}) for (_, result), n in totals.calls.counts.items()), Counter())
    assert (8, 4, 4) == (totals.sent, totals.count(Result.OK), totals.count(Result.FAILED))
    assert 8 == done.run.end.network["kernel_timestamps"] + done.run.end.network["own_timestamps"]


def test_an_interrupted_run_sends_no_retries(run_server: RunServer, launch: Any) -> None:
    """After Ctrl-C during a wait nothing more is sent, and the accounting adds up."""

    async def busy(request: Any) -> None:
        await request.answer(503, b'{"error": "busy"}')

    with run_server(busy) as server:
        started = launch(server, "--rate", "10", "--duration", "100ms", "--arrivals", "constant", "--retry", "baseten")
        await_condition(lambda: server.requests)
        started.send(signal.SIGINT)
        started.end()
        sent = len(server.requests)
    run = read_run(started.folder)

    assert run.end is not None
    assert sent == run.end.accounting["sent"] == run.end.accounting["failed"] < 5  # five attempts take 15 s
    assert sent == run.end.accounting["planned"]
