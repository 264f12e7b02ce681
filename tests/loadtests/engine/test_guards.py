"""Limits and guards: a run stays within its limits, and stops early with a reason."""

from __future__ import annotations

import argparse
import asyncio
import os
import random
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chainproof.command import build_parser
from chainproof.contract.credentials import ApiKey
from chainproof.contract.route import Proxy, Route, parse_address
from chainproof.contract.target import parse_target
from chainproof.endpoint import Endpoint
from chainproof.errors import UsageError
from chainproof.judgement.load_summary import summarise_load
from chainproof.judgement.verdict import Verdict
from chainproof.loadtests.demand import demand
from chainproof.loadtests.engine.guards import Guards, RunSnapshot
from chainproof.loadtests.limits import (
    REMOTE_ERROR_BUDGET,
    REMOTE_MAX_DURATION,
    REMOTE_MAX_RATE,
    REMOTE_MAX_REQUESTS,
    Limits,
    announcement,
    apply_limits,
    limits,
)
from chainproof.loadtests.options import OPTIONS
from chainproof.results.exchange import NotSent
from chainproof.results.intervals.interval import total
from chainproof.results.manifest import Ending, Guard

from ..behaviours import fine, hang_up, reject_key

Launch = Callable[..., Any]
RunServer = Callable[..., Any]
ALL_CASES = os.environ.get("CHAINPROOF_SAMPLE") == "all"


def parsed_options(*arguments: str) -> argparse.Namespace:
    """The options of `chainproof loadtests` with these arguments."""
    return build_parser("loadtests", "…", options=OPTIONS).parse_args(arguments)


def endpoint(url: str, by: str | None = None) -> Endpoint:
    """An endpoint at a URL, with *by* as the address to connect to."""
    loopback = by is not None and by.startswith("127.")
    route = Route(connect_to=parse_address(by) if by else None)
    return Endpoint(target=parse_target(url, loopback=loopback), key=ApiKey("a-key"), environment={}, route=route)


REMOTE_ENDPOINT = endpoint("https://chain-abc123.api.baseten.co")
LOOPBACK_ENDPOINT = endpoint("http://127.0.0.1:8080")


def test_remote_targets_have_default_limits() -> None:
    """Each limit of a remote target has a default and an option; on loopback there are none."""
    defaults = limits(parsed_options(), REMOTE_ENDPOINT)
    changed = limits(
        parsed_options("--max-requests=7", "--max-rate=9", "--max-duration=2h", "--error-budget=100%"), REMOTE_ENDPOINT
    )

    assert (True, REMOTE_MAX_REQUESTS, REMOTE_MAX_RATE, REMOTE_MAX_DURATION, REMOTE_ERROR_BUDGET) == (
        defaults.is_remote,
        defaults.requests,
        defaults.rate,
        defaults.duration,
        defaults.errors,
    )
    assert (7, 9.0, 7200.0, 1.0) == (changed.requests, changed.rate, changed.duration, changed.errors)
    assert Limits() == limits(parsed_options(), LOOPBACK_ENDPOINT)
    assert limits(parsed_options(), endpoint("https://chain-abc123.api.baseten.co", "127.0.0.1:8443")) == Limits()
    assert (
        limits(
            parsed_options(),
            replace(REMOTE_ENDPOINT, route=Route(proxy=Proxy(address=parse_address("127.0.0.1:3128")))),
        )
        == defaults
    )


BEYOND = {
    "too many": (["soak", "--rate", "40"], "at most 20000 requests, found about 1"),
    "too fast": (
        ["steady", "--rate", "201"],
        "at most 200 requests per second, found 201: raise the limit with --max-rate",
    ),
    "too long": (["steady", "--rate", "1", "--duration", "16m"], "at most 15m, found 16m"),
    "above --max-rate": (["--max-rate", "5"], "at most 5 requests per second, found 20"),
    "above --max-duration": (["--max-duration", "5s"], "at most 5 s, found 10 s"),
}


@pytest.mark.parametrize("case", BEYOND)
def test_a_plan_beyond_the_limits_is_a_usage_error(case: str) -> None:
    """The message names the option that raises the limit."""
    arguments, message = BEYOND[case]
    options = parsed_options(*arguments)
    with pytest.raises(UsageError) as rejected:
        apply_limits(demand(options, None), limits(options, REMOTE_ENDPOINT))

    assert message in str(rejected.value)


@given(st.integers(1, 300), st.sampled_from(["smoke", "spike", "saturation"]))
def test_a_plan_is_cut_at_max_requests(max_requests: int, workload: str) -> None:
    """The plan starts with the same requests as without the limit."""
    options = parsed_options(workload, "--max-requests", str(max_requests))
    uncut = demand(parsed_options(workload), None).plan()
    cut = apply_limits(demand(options, None), limits(options, LOOPBACK_ENDPOINT)).plan()

    assert uncut[:max_requests] == cut


def test_the_smaller_request_limit_holds(tmp_path: Path) -> None:
    """Limits come from the workload, from the user and from the defaults for remote targets."""
    (tmp_path / "mine.toml").write_text("max_requests = 30\nduration = 5\n")
    for arguments, target_endpoint, max_requests in (
        ([], LOOPBACK_ENDPOINT, 30),
        (["--max-requests=20"], LOOPBACK_ENDPOINT, 20),
        ([], REMOTE_ENDPOINT, 30),
    ):
        options = parsed_options(str(tmp_path / "mine.toml"), *arguments)
        cut = apply_limits(demand(options, None), limits(options, target_endpoint))

        assert (max_requests, max_requests) == (cut.workload.max_requests, len(cut.plan()))
        assert max_requests == cut.settings(cut.plan())["max_requests"]


def test_max_cost_limits_the_number_of_requests() -> None:
    """The smaller of the cost limit and the request limit holds; --max-cost needs --cost-per-request and vice versa."""
    assert 333 == limits(parsed_options("--max-cost=1", "--cost-per-request=0.003"), LOOPBACK_ENDPOINT).requests
    assert 10 == limits(parsed_options("--max-cost=1", "--cost-per-request=0.1"), LOOPBACK_ENDPOINT).requests
    assert (
        5
        == limits(
            parsed_options("--max-cost=1", "--cost-per-request=0.1", "--max-requests=5"), LOOPBACK_ENDPOINT
        ).requests
    )
    incomplete = (["--max-cost=1"], ["--cost-per-request=1"], ["--max-cost=1", "--cost-per-request=2"])
    for arguments in (*incomplete, ["--error-budget=5"], ["--gone-after=0s"]):
        with pytest.raises(UsageError, match="expected"):
            limits(parsed_options(*arguments), LOOPBACK_ENDPOINT)


def test_the_announcement_describes_the_run() -> None:
    """It contains the number of requests, rate, duration, bytes and limits."""
    steady = demand(parsed_options("steady"), None)
    text = announcement(steady.workload, 3012, REMOTE_ENDPOINT.target.url, limits(parsed_options(), REMOTE_ENDPOINT))
    closed = announcement(
        demand(parsed_options("--model=closed"), 3).workload,
        0,
        REMOTE_ENDPOINT.target.url,
        limits(parsed_options(), REMOTE_ENDPOINT),
    )

    assert (
        "about to send to https://chain-abc123.api.baseten.co/production/run_remote: 3,012 requests in 1m, 50 per second, "
        "about 886 kB; limits: --max-requests 20000, --max-rate 200, --max-duration 15m, --error-budget 0.1"
    ) == text
    assert "requests of 3 users for 10 s" in closed


NO_REQUESTS = RunSnapshot(
    now=0.0, planned=1000, sent=0, ok=0, failed=0, timed_out=0, answered=0, rejected=0, transport_errors=0
)


def triggered(limits: Limits, *samples: RunSnapshot) -> list[tuple[Guard, float]]:
    """The guard that stops a run with these snapshots, and when; empty if none does."""
    guards = Guards(limits=limits)
    for each in samples:
        found = guards.triggered_guard(each)
        if found is not None:
            return [(found[0], each.now)]
    return []


def snapshots(seconds: int, **each: int) -> list[RunSnapshot]:
    """The snapshots of a run in which each count grows by a constant per second."""
    return [
        replace(NO_REQUESTS, now=float(now), **{name: count * now for name, count in each.items()})
        for now in range(seconds)
    ]


CASES = {
    "no errors": (snapshots(60, sent=20, ok=20, answered=20), []),
    "the key is rejected": (snapshots(60, sent=20, failed=20, answered=20, rejected=20), [(Guard.KEY_REJECTED, 1.0)]),
    "the key is rejected sometimes": (snapshots(60, sent=20, ok=19, answered=20, rejected=1), []),
    "the target is unreachable": (
        snapshots(60, sent=2, failed=2, transport_errors=2),
        [(Guard.TARGET_UNREACHABLE, 10.0)],
    ),
    "the target answers sometimes": (snapshots(60, sent=2, failed=2, transport_errors=2, answered=1), []),
    "all requests time out": (snapshots(60, sent=2, timed_out=2), []),
    "one transport error and no further request": (
        [replace(NO_REQUESTS, now=float(now), sent=1, failed=1, transport_errors=1) for now in range(60)],
        [],
    ),
    "the target becomes unreachable": (
        [
            *snapshots(20, sent=20, ok=20, answered=20),
            *(
                replace(NO_REQUESTS, now=20.0 + n, sent=400 + n, ok=380, answered=380, transport_errors=2 * n)
                for n in range(30)
            ),
        ],
        [(Guard.TARGET_UNREACHABLE, 29.0)],
    ),
}


@pytest.mark.parametrize("case", CASES)
def test_guards_stop_only_the_runs_they_are_for(case: str) -> None:
    """A key that is always rejected and an unreachable target stop a run; slow answers and rare rejections do not."""
    samples, expected = CASES[case]

    assert expected == triggered(Limits(), *samples)


@given(st.integers(0, 1000), st.floats(0, 1))
def test_an_error_budget_is_a_share_of_the_planned_requests(errors: int, share: float) -> None:
    """The budget is a share of the planned requests, so that errors at the start alone do not exceed it."""
    at_once = replace(NO_REQUESTS, now=1.0, sent=1000, failed=errors, answered=1000)

    assert (errors > share * 1000) is bool(triggered(Limits(errors=share), at_once))
    assert [] == triggered(Limits(), at_once)


def closed_model(source: random.Random, share: Callable[[int], float], seconds: int = 300) -> list[RunSnapshot]:
    """The snapshots of a closed model, four a second, with ten requests each of which fails with the share of its second."""
    samples, sent, failed = [], 0, 0
    for quarter in range(4 * seconds):
        sent += 10
        failed += sum(source.random() < share(quarter // 4) for _ in range(10))
        counts = {"sent": sent, "ok": sent - failed, "failed": failed, "answered": sent}
        samples.append(replace(NO_REQUESTS, now=(quarter + 1) / 4, planned=None, **counts))
    return samples


def test_looking_often_does_not_exhaust_an_error_budget() -> None:
    """A target with 7 % of errors stays within a budget of 10 % at every look, also if they come in spells."""
    source, limit = random.Random(1), Limits(errors=0.1)
    steady = [triggered(limit, *closed_model(source, lambda _: 0.07)) for _ in range(5)]
    spells = [triggered(limit, *closed_model(source, lambda second: 0.7 * (second % 10 == 3))) for _ in range(5)]

    assert [[]] * 10 == steady + spells


@pytest.mark.parametrize(("share", "latest"), [(1.0, 6.0), (0.5, 15.0), (0.2, 200.0)])
def test_an_error_budget_of_users_stops_a_broken_target(share: float, latest: float) -> None:
    """The more requests fail, the sooner the run ends."""
    ((guard, when),) = triggered(Limits(errors=0.1), *closed_model(random.Random(2), lambda _: share))

    assert guard is Guard.ERROR_BUDGET
    assert when <= latest


def test_users_above_the_maximum_rate_are_stopped() -> None:
    """In the closed model the rate is not planned, so it is measured."""
    samples = [replace(each, planned=None) for each in snapshots(9, sent=50, ok=50, answered=50)]

    assert [(Guard.RATE, 1.0)] == triggered(Limits(rate=49.0), *samples)
    assert [] == triggered(Limits(rate=51.0), *samples)


# ------------------------------------------------------------------ complete runs


async def fail(request: Any) -> None:
    """Answer 503."""
    await request.answer(503, b'{"error": "no", "error_code": "model_unavailable"}')


GUARDED = {
    "key rejected": (reject_key, (), Guard.KEY_REJECTED, "KEY_REJECTED", 3),
    "target unreachable": (hang_up, ("--gone-after", "1s"), Guard.TARGET_UNREACHABLE, "TARGET_UNREACHABLE", 1),
    "error budget": (fail, ("--error-budget", "1%"), Guard.ERROR_BUDGET, "ERROR_BUDGET", 1),
}


TWO_PROCESSES = ("--processes", "2")
GUARDED_RUNS = [("key rejected", ()), ("target unreachable", ()), ("error budget", TWO_PROCESSES), ("error budget", ())]
"""The last is the only one without a kind of its own."""


@pytest.mark.parametrize(("case", "processes"), GUARDED_RUNS if ALL_CASES else GUARDED_RUNS[:-1])
def test_a_guard_stops_the_run_with_a_reason(
    run_server: RunServer, launch: Launch, case: str, processes: tuple[str, ...]
) -> None:
    """The run stops within seconds, the accounting adds up, and the reason is in the run folder and the report."""
    behaviour, options, guard, code, exit_code = GUARDED[case]
    with run_server(behaviour) as server:
        done = launch(server, "steady", *options, *processes).end()
    run = done.run
    summary = summarise_load(run)

    done.assert_verdict(exit_code)
    assert (Ending.STOPPED_BY_GUARD, guard) == (run.end.ending, run.end.guard)
    assert f"stopped: {run.end.note}" in done.errors
    assert [code] == [caveat.code for caveat in summary.caveats if caveat.code == code]
    assert run.end.note in " ".join(done.output.split())
    assert summary.accounting.adds_up
    assert run.manifest.settings["plan"]["arrivals"] == summary.accounting.planned
    assert total(run.intervals).not_sent[NotSent.STOPPED] > 300


def test_timeouts_do_not_make_a_target_unreachable(run_server: RunServer, launch: Launch) -> None:
    """A target that does not answer in time is slow, which is what the run measures."""

    async def stall(_: Any) -> None:
        await asyncio.sleep(60)

    with run_server(stall) as server:
        done = launch(server, "--rate=20", "--duration=1s", "--deadline=100ms", "--gone-after=500ms").end()

    assert Ending.COMPLETED is done.run.end.ending


@pytest.mark.parametrize(
    ("options", "processes"),
    [
        (("--rate", "100"), ()),
        (("--model", "closed", "--users", "5"), TWO_PROCESSES),
        *([(("--model", "closed", "--users", "5"), ())] if ALL_CASES else []),
    ],
)
def test_the_request_limit_is_exact(
    run_server: RunServer, launch: Launch, options: tuple[str, ...], processes: tuple[str, ...]
) -> None:
    """The run ends after exactly that many requests, in both models and with workers."""
    with run_server(fine) as server:
        done = launch(
            server, *options, "--duration=60s", "--max-cost=0.37", "--cost-per-request=0.01", *processes
        ).end()
    summary = summarise_load(done.run)

    assert 37 == len(server.requests) == summary.accounting.sent == summary.accounting.planned == summary.accounting.ok
    assert 1 == sum(caveat.code == "REQUEST_LIMIT_REACHED" for caveat in summary.caveats)
    assert "which cost 0.37" in " ".join(done.output.split())
    assert Ending.COMPLETED is done.run.end.ending
    assert done.run.end.seconds < 60
    assert summary.verdict not in (Verdict.FAIL, Verdict.ERROR)


def test_a_run_beyond_the_limits_sends_nothing(tmp_path: Path, launch: Launch, run_server: RunServer) -> None:
    """The command ends with a usage error, sends no request and leaves no run folder."""
    with run_server(fine) as server:
        done = launch(server, "--max-rate", "10").end()

    assert 2 == done.code
    assert "expected at most 10 requests per second, found 20: raise the limit with --max-rate" in done.errors
    assert [] == server.requests
    assert not done.folder.exists()
