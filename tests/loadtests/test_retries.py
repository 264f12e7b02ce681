"""
Callers who try again do so as Baseten recommends it, and only when asked; nothing of it is hidden.
"""

from __future__ import annotations

import json
import signal
import time
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chainproof.loadtests.retries import RETRY_POLICIES
from chainproof.results.exchange import Outcome, Result, Transport
from chainproof.results.folder import read_run
from chainproof.results.interval import Interval, total
from chainproof.results.retried_calls import Calls

RunServer = Callable[..., Any]
BASETEN = RETRY_POLICIES["baseten"]
ANSWERS = [Outcome(Transport.ANSWERED, status, None, Result.FAILED) for status in range(100, 600)]
SILENCES = [
    Outcome(transport, None, None, Result.FAILED) for transport in Transport if transport is not Transport.ANSWERED
]


def test_what_is_tried_again_is_what_baseten_recommends() -> None:
    """
    Five statuses, no connection, no answer in time; neither a caller's own mistake nor an answer cut off.
    """
    again = {
        outcome.status or outcome.transport for outcome in (*ANSWERS, *SILENCES) if BASETEN.wait(1, outcome) is not None
    }

    assert {
        *(429, 500, 502, 503, 504),
        *(
            Transport.NAME_NOT_RESOLVED,
            Transport.CONNECTION_REFUSED,
            Transport.CONNECT_FAILED,
            Transport.TLS_FAILED,
            Transport.DEADLINE,
        ),
    } == again


@pytest.mark.parametrize("outcome", [ANSWERS[429 - 100], SILENCES[-2]])
def test_four_waits_and_no_more(outcome: Outcome) -> None:
    """
    One, two, four, eight seconds: five attempts.
    """
    assert [1.0, 2.0, 4.0, 8.0, None] == [BASETEN.wait(attempt, outcome) for attempt in range(1, 6)]


ended = st.lists(st.tuples(st.integers(1, 5), st.sampled_from(list(Result)), st.floats(0, 100)), max_size=20)


@given(ended, ended)
def test_calls_add_up_and_are_read_as_they_were_written(
    some: list[tuple[int, Result, float]], others: list[tuple[int, Result, float]]
) -> None:
    """
    Merging seconds is counting them together, through the run folder too.
    """
    whole, parts = Calls(), [Interval(second=0), Interval(second=0)]
    for each, interval in ((some, parts[0]), (others, parts[1])):
        for attempts, result, took in each:
            whole.end(attempts, result, took)
            interval.calls.end(attempts, result, took)
    read = [Interval.from_json(json.loads(json.dumps(interval.to_json()))) for interval in parts]
    found = total(read).calls

    assert whole.counts == found.counts
    assert whole.to_json() == found.to_json()


def twice_busy() -> Any:
    """
    A target that answers 429 to the first two requests, and then 200.
    """

    async def behave(told: Any) -> None:
        if told.number < 2:
            await told.answer(429, b'{"error": "slow down", "error_code": "rate_limited"}')
        else:
            await told.answer()

    return behave


@pytest.mark.parametrize("model", ["open", "closed"])
def test_a_caller_tries_again_and_every_attempt_is_on_record(run_server: RunServer, launch: Any, model: str) -> None:
    """
    Three attempts, a second and two apart, are three exchanges and one call.
    """
    options = {
        "open": ("--rate", "10", "--duration", "100ms", "--arrivals", "constant"),
        "closed": ("--model", "closed", "--users", "1", "--duration", "3500ms", "--think-time", "30s"),
    }
    with run_server(twice_busy()) as server:
        done = launch(server, *options[model], "--deadline", "5s", "--retry", "baseten").end()
    whole = total(done.run.intervals)
    gaps = [later - earlier for earlier, later in zip(server.arrival_times, server.arrival_times[1:], strict=False)]

    assert (3, 3, 1, 2) == (whole.planned, whole.sent, whole.count(Result.OK), whole.count(Result.FAILED)), done.errors
    assert {(3, Result.OK): 1} == dict(whole.calls.counts)
    assert 3.0 <= (whole.calls.total_time[Result.OK].max or 0) < 5.0
    assert [1.0, 2.0] == pytest.approx(gaps, abs=0.5)
    assert "baseten" == done.run.manifest.settings["retry"]


def test_without_the_option_nothing_is_tried_again(run_server: RunServer, launch: Any) -> None:
    """
    Off by default: a 429 is an answer.
    """
    with run_server(twice_busy()) as server:
        done = launch(server, "--rate", "10", "--duration", "200ms", "--arrivals", "constant").end()
    whole = total(done.run.intervals)

    assert 2 == whole.planned == whole.count(Result.FAILED) == len(server.requests)
    assert not whole.calls


def test_workers_callers_try_again_too(run_server: RunServer, launch: Any) -> None:
    """
    The policy goes to the workers, and what they tell adds up to one run.
    """

    async def busy_at_first(told: Any) -> None:
        if told.number < 4:
            await told.answer(503, b'{"error": "busy"}')
        else:
            await told.answer()

    with run_server(busy_at_first) as server:
        options = ("--rate", "8", "--duration", "500ms", "--arrivals", "constant", "--processes", "2")
        done = launch(server, *options, "--deadline", "5s", "--retry", "baseten").end()
    whole = total(done.run.intervals)

    assert done.run.end is not None, done.errors
    assert "completed" == done.run.end.ending.value, done.run.end.note
    assert {(2, Result.OK): 4} == dict(whole.calls.counts)
    assert (8, 4, 4) == (whole.sent, whole.count(Result.OK), whole.count(Result.FAILED))
    assert 8 == done.run.end.network["kernel_timestamps"] + done.run.end.network["own_timestamps"]


def test_a_stop_is_stronger_than_a_wait(run_server: RunServer, launch: Any) -> None:
    """
    Ctrl-C while a caller waits to try again: nothing more is sent, and the accounts balance.
    """

    async def busy(told: Any) -> None:
        await told.answer(503, b'{"error": "busy"}')

    with run_server(busy) as server:
        started = launch(server, "--rate", "10", "--duration", "100ms", "--arrivals", "constant", "--retry", "baseten")
        give_up = time.monotonic() + 20
        while len(server.requests) < 2 and time.monotonic() < give_up:
            time.sleep(0.05)
        started.send(signal.SIGINT)
        started.end()
        sent = len(server.requests)
    run = read_run(started.folder)

    assert run.end is not None
    assert run.end.seconds < 6
    assert sent == run.end.accounting["sent"] == run.end.accounting["failed"] <= 4
    assert sent == run.end.accounting["planned"]
