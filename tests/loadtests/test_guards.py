"""
A run keeps within what it was given, and ends early where going on would help nobody; both are said.
"""

from __future__ import annotations

import argparse
import asyncio
import time
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
from chainproof.results.interval import total
from chainproof.results.manifest import Ending, Guard

Launch = Callable[..., Any]
RunServer = Callable[..., Any]


def own(*words: str) -> argparse.Namespace:
    """
    The options of `chainproof loadtests` with these arguments.
    """
    return build_parser("loadtests", "…", options=OPTIONS).parse_args(words)


def endpoint(url: str, by: str | None = None) -> Endpoint:
    """
    An endpoint at a URL, by another way if said.
    """
    loopback = by is not None and by.startswith("127.")
    route = Route(connect_to=parse_address(by) if by else None)
    return Endpoint(target=parse_target(url, loopback=loopback), key=ApiKey("a-key"), environment={}, route=route)


STRANGER = endpoint("https://chain-abc123.api.baseten.co")
HERE = endpoint("http://127.0.0.1:8080")


def test_a_stranger_is_spared_unless_the_user_says_otherwise() -> None:
    """
    Every limit has a default there, each can be moved, and none holds on this machine.
    """
    spared = limits(own(), STRANGER)
    moved = limits(own("--max-requests=7", "--max-rate=9", "--max-duration=2h", "--error-budget=100%"), STRANGER)

    assert (True, REMOTE_MAX_REQUESTS, REMOTE_MAX_RATE, REMOTE_MAX_DURATION, REMOTE_ERROR_BUDGET) == (
        spared.is_remote,
        spared.requests,
        spared.rate,
        spared.duration,
        spared.errors,
    )
    assert (7, 9.0, 7200.0, 1.0) == (moved.requests, moved.rate, moved.duration, moved.errors)
    assert Limits() == limits(own(), HERE)
    assert limits(own(), endpoint("https://chain-abc123.api.baseten.co", "127.0.0.1:8443")) == Limits()
    assert limits(own(), replace(STRANGER, route=Route(proxy=Proxy(address=parse_address("127.0.0.1:3128"))))) == spared


WITHIN = {
    "too many": (["soak", "--rate", "40"], "at most 20000 requests, found about 1"),
    "too fast": (["steady", "--rate", "201"], "at most 200 requests a second, found 201: allow it with --max-rate"),
    "too long": (["steady", "--rate", "1", "--duration", "16m"], "at most 15m, found 16m"),
    "faster than said": (["--max-rate", "5"], "at most 5 requests a second, found 20"),
    "longer than said": (["--max-duration", "5s"], "at most 5 s, found 10 s"),
}


@pytest.mark.parametrize("case", WITHIN)
def test_what_is_beyond_the_limits_is_refused(case: str) -> None:
    """
    Before anything is sent, with the option that allows it.
    """
    words, said = WITHIN[case]
    options = own(*words)
    with pytest.raises(UsageError) as rejected:
        apply_limits(demand(options, None), limits(options, STRANGER))

    assert said in str(rejected.value)


@given(st.integers(1, 300), st.sampled_from(["smoke", "spike", "saturation"]))
def test_a_plan_is_cut_at_its_request_budget(most: int, workload: str) -> None:
    """
    The same requests as without it, as many as it allows.
    """
    options = own(workload, "--max-requests", str(most))
    whole = demand(own(workload), None).plan()
    cut = apply_limits(demand(options, None), limits(options, HERE)).plan()

    assert whole[:most] == cut


def test_the_smaller_of_two_request_budgets_holds(tmp_path: Path) -> None:
    """
    A workload's own, the user's, and the one that holds at other hosts.
    """
    (tmp_path / "mine.toml").write_text("max_requests = 30\nduration = 5\n")
    for words, chosen, most in (([], HERE, 30), (["--max-requests=20"], HERE, 20), ([], STRANGER, 30)):
        options = own(str(tmp_path / "mine.toml"), *words)
        cut = apply_limits(demand(options, None), limits(options, chosen))

        assert (most, most) == (cut.workload.max_requests, len(cut.plan()))
        assert most == cut.settings(cut.plan())["max_requests"]


def test_a_cost_is_a_number_of_requests() -> None:
    """
    What is affordable is sent; the smaller of two budgets holds; one without the other says nothing.
    """
    assert 333 == limits(own("--max-cost=1", "--cost-per-request=0.003"), HERE).requests
    assert 10 == limits(own("--max-cost=1", "--cost-per-request=0.1"), HERE).requests
    assert 5 == limits(own("--max-cost=1", "--cost-per-request=0.1", "--max-requests=5"), HERE).requests
    alone = (["--max-cost=1"], ["--cost-per-request=1"], ["--max-cost=1", "--cost-per-request=2"])
    for words in (*alone, ["--error-budget=5"], ["--gone-after=0s"]):
        with pytest.raises(UsageError, match="expected"):
            limits(own(*words), HERE)


def test_what_will_be_sent_is_said_beforehand() -> None:
    """
    How many requests, how fast, how long, how many bytes, and what the run keeps to.
    """
    wanted = demand(own("steady"), None)
    said = announcement(wanted.workload, 3012, STRANGER.target.url, limits(own(), STRANGER))
    closed = announcement(demand(own("--model=closed"), 3).workload, 0, STRANGER.target.url, limits(own(), STRANGER))

    assert (
        "about to send to https://chain-abc123.api.baseten.co/production/run_remote: 3,012 requests in 1m, 50 a second, "
        "about 886 kB; keeping to --max-requests 20000, --max-rate 200, --max-duration 15m, --error-budget 0.1"
    ) == said
    assert "requests of 3 users for 10 s" in closed


SEEN = RunSnapshot(
    now=0.0, planned=1000, sent=0, ok=0, failed=0, timed_out=0, answered=0, rejected=0, transport_errors=0
)


def stopped(limits: Limits, *samples: RunSnapshot) -> list[tuple[Guard, float]]:
    """
    Which guard ends a run at which of its looks.
    """
    guards = Guards(limits=limits)
    for each in samples:
        found = guards.triggered_guard(each)
        if found is not None:
            return [(found[0], each.now)]
    return []


def course(seconds: int, **each: int) -> list[RunSnapshot]:
    """
    A run in which every second adds so many of each.
    """
    return [
        replace(SEEN, now=float(now), **{name: count * now for name, count in each.items()}) for now in range(seconds)
    ]


CASES = {
    "all is well": (course(60, sent=20, ok=20, answered=20), []),
    "the key is refused": (course(60, sent=20, failed=20, answered=20, rejected=20), [(Guard.KEY_REJECTED, 1.0)]),
    "now and then a key is": (course(60, sent=20, ok=19, answered=20, rejected=1), []),
    "the target is gone": (course(60, sent=2, failed=2, transport_errors=2), [(Guard.TARGET_UNREACHABLE, 10.0)]),
    "it answers once in a while": (course(60, sent=2, failed=2, transport_errors=2, answered=1), []),
    "it does not answer in time": (course(60, sent=2, timed_out=2), []),
    "one request is lost, and no other sent": (
        [replace(SEEN, now=float(now), sent=1, failed=1, transport_errors=1) for now in range(60)],
        [],
    ),
    "it answered, and then went": (
        [
            *course(20, sent=20, ok=20, answered=20),
            *(
                replace(SEEN, now=20.0 + n, sent=400 + n, ok=380, answered=380, transport_errors=2 * n)
                for n in range(30)
            ),
        ],
        [(Guard.TARGET_UNREACHABLE, 29.0)],
    ),
}


@pytest.mark.parametrize("case", CASES)
def test_a_guard_ends_what_it_is_for_and_nothing_else(case: str) -> None:
    """
    A key that everybody refuses, a target that nobody reaches; a slow target is not gone, a rare refusal is none.
    """
    samples, expected = CASES[case]

    assert expected == stopped(Limits(), *samples)


@given(st.integers(0, 1000), st.floats(0, 1))
def test_an_error_budget_is_a_share_of_the_whole_run(wrong: int, share: float) -> None:
    """
    It is burnt by the first request more than the whole run may lose, not by a bad beginning.
    """
    at_once = replace(SEEN, now=1.0, sent=1000, failed=wrong, answered=1000)

    assert (wrong > share * 1000) is bool(stopped(Limits(errors=share), at_once))
    assert [] == stopped(Limits(), at_once)


def test_users_who_ask_too_often_are_stopped() -> None:
    """
    In the closed model nobody plans the rate: it is looked at.
    """
    samples = [replace(each, planned=None) for each in course(9, sent=50, ok=50, answered=50)]

    assert [(Guard.RATE, 1.0)] == stopped(Limits(rate=49.0), *samples)
    assert [] == stopped(Limits(rate=51.0), *samples)


# ------------------------------------------------------------------ whole runs


async def refuse(told: Any) -> None:
    """401."""
    await told.answer(401, b'{"error": "who?", "error_code": "unauthorized"}')


async def hang_up(told: Any) -> None:
    """A reset."""
    told.reset()
    raise ConnectionError


async def fail(told: Any) -> None:
    """500-like."""
    await told.answer(503, b'{"error": "no", "error_code": "model_unavailable"}')


async def fine(told: Any) -> None:
    """As it should be."""
    await told.answer()


GUARDED = {
    "key refused": (refuse, (), Guard.KEY_REJECTED, "KEY_REJECTED", 3),
    "target gone": (hang_up, ("--gone-after", "1s"), Guard.TARGET_UNREACHABLE, "TARGET_UNREACHABLE", 1),
    "error budget": (fail, ("--error-budget", "1%"), Guard.ERROR_BUDGET, "ERROR_BUDGET", 1),
}


@pytest.mark.parametrize(
    ("case", "processes"), [*((case, ()) for case in GUARDED), ("error budget", ("--processes", "2"))]
)
def test_a_guarded_run_ends_at_once_and_says_why(
    run_server: RunServer, launch: Launch, case: str, processes: tuple[str, ...]
) -> None:
    """
    Within seconds of a minute, with every planned request accounted for, the reason in the folder and in the report.
    """
    behaviour, words, guard, code, exit_code = GUARDED[case]
    begun = time.monotonic()
    with run_server(behaviour) as server:
        done = launch(server, "steady", *words, *processes).end()
    run = done.run
    summary = summarise_load(run)

    # Workers may begin late on a busy machine: their run is invalid then, and ended and told of all the same.
    assert done.code in ((exit_code, 4) if processes else (exit_code,)), done.errors
    assert time.monotonic() - begun < 20
    assert (Ending.STOPPED_BY_GUARD, guard) == (run.end.ending, run.end.guard)
    assert f"stopped: {run.end.note}" in done.errors
    assert [code] == [caveat.code for caveat in summary.caveats if caveat.code == code]
    assert run.end.note in " ".join(done.output.split())
    assert summary.accounting.adds_up
    assert run.manifest.settings["plan"]["arrivals"] == summary.accounting.planned
    assert total(run.intervals).not_sent[NotSent.STOPPED] > 1000


def test_a_stalled_target_is_not_gone(run_server: RunServer, launch: Launch) -> None:
    """
    Whoever does not answer in time is slow, and how slow is what the run is for.
    """

    async def stall(_: Any) -> None:
        await asyncio.sleep(60)

    with run_server(stall) as server:
        done = launch(server, "--rate=20", "--duration=2s", "--deadline=300ms", "--gone-after=1s").end()

    assert Ending.COMPLETED is done.run.end.ending


@pytest.mark.parametrize(
    ("words", "processes"),
    [
        (("--rate", "100"), ()),
        (("--model", "closed", "--users", "5"), ()),
        (("--model", "closed", "--users", "5"), ("--processes", "2")),
    ],
)
def test_a_request_budget_is_kept_to_the_request(
    run_server: RunServer, launch: Launch, words: tuple[str, ...], processes: tuple[str, ...]
) -> None:
    """
    In both models, shared out or not: so many and no more, and then the run ends.
    """
    with run_server(fine) as server:
        done = launch(server, *words, "--duration=60s", "--max-cost=0.37", "--cost-per-request=0.01", *processes).end()
    summary = summarise_load(done.run)

    assert 37 == len(server.requests) == summary.accounting.sent == summary.accounting.planned == summary.accounting.ok
    assert 1 == sum(caveat.code == "REQUEST_LIMIT_REACHED" for caveat in summary.caveats)
    assert "which cost 0.37" in " ".join(done.output.split())
    assert Ending.COMPLETED is done.run.end.ending
    assert done.run.end.seconds < 30
    assert summary.verdict not in (Verdict.FAIL, Verdict.ERROR)


def test_a_stranger_is_told_of_before_it_is_sent_to(tmp_path: Path, launch: Launch, run_server: RunServer) -> None:
    """
    What is beyond the limits is refused in one line, and nothing is sent, made or left behind.
    """
    with run_server(fine) as server:
        done = launch(server, "--max-rate", "10").end()

    assert 2 == done.code
    assert "expected at most 10 requests a second, found 20: allow it with --max-rate" in done.errors
    assert [] == server.requests
    assert not done.folder.exists()
