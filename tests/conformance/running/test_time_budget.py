"""A run keeps its time, sends the requests that find most faults first, and notices when the target stops answering."""

from __future__ import annotations

import json
import re
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext, suppress
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import cast

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chainproof.chain_schema.schema import Schema
from chainproof.clock import Seconds
from chainproof.conformance.checks import Check, body, connection, recovery, repetition
from chainproof.conformance.checks.catalogue import ALL_CHECKS
from chainproof.conformance.command import main
from chainproof.conformance.inputs.chain_schema import ChainSchema
from chainproof.conformance.judging.unbounded_input import large_numbers
from chainproof.conformance.options import REMOTE_MAX_REQUESTS, Depth, Settings
from chainproof.conformance.probing import raw_requests
from chainproof.conformance.probing.budget import CheckScope, ResponseTimes, Round, RunLimits, TimeBudget
from chainproof.conformance.probing.concurrency import run_together
from chainproof.conformance.probing.liveness import MAX_RECOVERY, Liveness, retry_after
from chainproof.conformance.probing.requester import Requester
from chainproof.conformance.probing.waits import TargetBehaviour
from chainproof.conformance.runner import reproduction
from chainproof.conformance.runner import schedule as schedule_module
from chainproof.conformance.runner.forecast import TYPED_CHAIN
from chainproof.conformance.runner.input_discovery import discover_inputs
from chainproof.conformance.runner.plan import (
    RunPlan,
    count_of,
    first_count_of,
    first_seconds_of,
    in_order,
    measured_concurrency,
    plan_run,
    usable_concurrency,
    with_longest_first,
)
from chainproof.conformance.runner.power_order import CheckPower
from chainproof.conformance.runner.run import (
    ConformanceRun,
    _first_round_time,
    _is_time_over,
    _measured_concurrency,
    _time_advice,
)
from chainproof.conformance.runner.schedule import CheckProgress, CheckRunner, Schedule
from chainproof.conformance.transport.check_skipped import CheckSkipped, RunCut
from chainproof.conformance.transport.client import Client, connection_failure
from chainproof.conformance.transport.connection import TransportResult
from chainproof.conformance.transport.rate_limit import RateLimiter
from chainproof.conformance.transport.request import CheckRequest
from chainproof.contract import clauses
from chainproof.contract.answer import Answer
from chainproof.contract.target import parse_target
from chainproof.results.exchange import Transport

from ..conftest import SHORT_WAITS
from ..endpoints import AnswerFunction, EndpointAnswer, EndpointRequest, correct_endpoint, error, serve
from ..in_process import make_requester

UNLIMITED = float("inf")


class FakeClock:
    """A clock that the test moves."""

    def __init__(self) -> None:
        self.now: Seconds = 100.0

    def __call__(self) -> Seconds:
        """The time."""
        return self.now

    def sleep(self, seconds: Seconds) -> None:
        """Let time pass."""
        self.now += seconds


# ------------------------------------------------------------------ time


@given(seconds=st.floats(0.1, 1e4), passed=st.floats(0, 2e4), deadline=st.floats(0.01, 100))
def test_no_answer_is_awaited_beyond_the_end_of_the_run(seconds: float, passed: float, deadline: float) -> None:
    """A deadline ends before the run does, and after its end nothing is sent."""
    clock = FakeClock()
    budget = TimeBudget(seconds, clock=clock)
    clock.sleep(passed)
    try:
        allowed = budget.deadline(deadline)
    except RunCut:
        assert passed >= seconds * 0.9 - 0.01
    else:
        assert 0 < allowed <= deadline
        assert passed + allowed <= seconds


@given(seconds=st.floats(0.1, 1e4))
def test_a_run_keeps_time_for_its_report(seconds: float) -> None:
    """A tenth of a short run, and two seconds of a longer one."""
    assert seconds - min(2.0, seconds / 10) == pytest.approx(TimeBudget(seconds, clock=FakeClock()).left)


@given(part=st.floats(0.1, 100), passed=st.floats(0, 200))
def test_a_part_of_a_budget_ends_with_the_whole(part: float, passed: float) -> None:
    """A check never has more time left than the run, and stopping one stops both."""
    clock = FakeClock()
    whole = TimeBudget(50.0, clock=clock)
    some = whole.part(part)
    clock.sleep(passed)

    assert some.left <= whole.left
    some.stop("the target is gone")
    assert (0.0, 0.0) == (some.left, whole.left)


@given(left=st.floats(0.01, 5), rate=st.floats(0.01, 10), count=st.integers(1, 6))
def test_no_pause_of_a_rate_limit_goes_beyond_the_end_of_a_run(left: float, rate: float, count: int) -> None:
    """A request whose turn comes later is not sent."""
    clock = FakeClock()
    budget = TimeBudget(left / 0.9, clock=clock)
    limiter = RateLimiter(rate=rate, clock=clock, pause=clock.sleep)
    limiter.limit = budget.deadline
    turns = 0
    with suppress(RunCut):
        for _ in range(count):
            limiter.acquire()
            turns += 1

    assert turns >= min(count, 1)
    assert turns <= 1 + (left + 0.01) * rate
    assert clock.now <= 100.0 + left + 0.01


@pytest.mark.parametrize("wait", ["read_unexpected", "wait_for_bytes"])
def test_waiting_for_a_silent_target_ends_with_the_run(wait: str) -> None:
    """A check that waits for the target to close a connection learns nothing in less time, so it is cut."""
    with requester_for(correct_endpoint) as requester, requester.raw_connection() as connection:
        requester.time_budget = TimeBudget(0.1)
        began = time.monotonic()
        with pytest.raises(RunCut):
            getattr(connection, wait)(20.0)

    assert time.monotonic() - began < 5.0


# ------------------------------------------------------------------ rounds


@given(st.lists(st.sampled_from("abcde")), st.none() | st.dictionaries(st.sampled_from("abcde"), st.integers(0, 3)))
def test_two_rounds_send_each_request_once(labels: list[str], first: dict[str, int] | None) -> None:
    """What the first round leaves out is what the second sends."""
    rounds = [CheckScope(round=turn, labels=first) for turn in (Round.FIRST, Round.REST)]
    sent = [[scope.is_selected(label) for label in labels] for scope in rounds]

    assert [True] * len(labels) == [one is not other for one, other in zip(*sent, strict=True)]
    assert rounds[0].left_out == sent[1].count(True)


@given(st.integers(0, 3000), st.integers(1, 20), st.floats(0, 1))
def test_two_rounds_share_the_generated_examples(planned: int, first: int, scale: float) -> None:
    """Both rounds together draw as many examples as one does."""
    shares = {turn: CheckScope(round=turn, examples_scale=scale).share(planned, first) for turn in Round}

    assert shares[Round.ALL] == shares[Round.FIRST] + shares[Round.REST]
    assert min(first, planned) == shares[Round.FIRST]


@given(st.integers(0, 3000), st.integers(1, 20), st.floats(0, 1))
def test_what_a_round_does_not_send_is_left_out(planned: int, first: int, scale: float) -> None:
    """The report names it: after the second round, whatever neither of them sent."""
    scopes = {turn: CheckScope(round=turn, examples_scale=scale) for turn in (Round.FIRST, Round.REST)}
    sent = {turn: scope.share(planned, first) for turn, scope in scopes.items()}

    assert planned - sent[Round.FIRST] == scopes[Round.FIRST].left_out
    assert planned - sum(sent.values()) == scopes[Round.REST].left_out


# ------------------------------------------------------------------ the plan


@pytest.mark.parametrize(
    ("accepted", "limits", "expected"),
    [
        (0.001, RunLimits(concurrency=8), (1, False)),
        (0.030, RunLimits(concurrency=8), (8, False)),
        (0.300, RunLimits(concurrency=8), (8, False)),
        (0.300, RunLimits(concurrency=8, seconds=180.0), (8, True)),
        (0.001, RunLimits(concurrency=8, seconds=5.0), (1, True)),
        (0.001, RunLimits(concurrency=8, seconds=40.0), (1, True)),  # enough, unless this machine is slow
        (0.001, RunLimits(concurrency=8, seconds=400.0), (1, False)),
        (0.001, RunLimits(concurrency=8, requests=100), (1, True)),
        (0.001, RunLimits(concurrency=8, rate=20.0, seconds=90.0), (1, True)),
        (0.030, RunLimits(concurrency=1), (1, False)),
    ],
)
def test_a_run_without_enough_time_or_requests_has_two_rounds(
    accepted: float, limits: RunLimits, expected: tuple[int, bool]
) -> None:
    """Only slow targets are sent several requests at the same time."""
    times = ResponseTimes(accepted=accepted, rejected=accepted)
    plan = plan_run(ALL_CHECKS, times, depth=Depth.STANDARD, limits=limits)

    assert expected == (plan.concurrency, plan.two_rounds)
    assert plan.two_rounds or plan.examples_scale == 1


def test_checks_that_find_more_faults_per_second_come_first(monkeypatch: pytest.MonkeyPatch) -> None:
    """At equal power, the check of requests that never reach the chain comes before the one of requests that do."""
    power = CheckPower(found=3, gain=3, labels={"one": 1})
    monkeypatch.setattr("chainproof.conformance.runner.plan.power_of", lambda check: power)
    times = ResponseTimes(accepted=3.0, rejected=0.01)
    ordered = in_order(ALL_CHECKS, times, depth=Depth.QUICK, turn=Round.REST)
    counts = [count_of(check, Depth.QUICK) for check in ordered]
    seconds = [count.reached * 3.0 + (count.requests - count.reached) * 0.01 for count in counts]

    assert sorted(seconds) == seconds
    assert {check.id for check in ALL_CHECKS} == {check.id for check in ordered}


def test_checks_that_take_half_of_a_first_round_start_first() -> None:
    """The order of the others stays: by the faults that they find."""
    times, depth = ResponseTimes(accepted=1.0, rejected=0.01), Depth.QUICK
    by_power = in_order(ALL_CHECKS, times, depth=depth, turn=Round.FIRST)
    longest = max(first_seconds_of(check, times, depth) for check in by_power)
    ordered = with_longest_first(by_power, times, depth=depth, seconds=longest)
    long = [check for check in by_power if first_seconds_of(check, times, depth) >= longest / 2]

    assert long != by_power[: len(long)]
    assert [*long, *(check for check in by_power if check not in long)] == ordered


@pytest.mark.parametrize(("rest_until", "has_second_round"), [(UNLIMITED, True), (5.0, False)])
def test_time_that_was_added_for_the_first_round_is_not_spent_on_the_second(
    rest_until: Seconds, has_second_round: bool
) -> None:
    """Once the verdict is certain, a run ends with the time that it has by default."""
    clock, rounds = FakeClock(), list[Round]()

    def run(requester: Requester) -> None:
        for _ in range(5):
            requester.submit(requester.build_request(label="one"))
        rounds.append(requester.scope.round)
        clock.sleep(10.0)

    with requester_for(correct_endpoint) as requester:
        requester.time_budget = TimeBudget(100.0, clock=clock)
        plan = RunPlan(concurrency=1, two_rounds=True, rest_until=rest_until)
        check = check_that(run)
        schedule = Schedule([check], requester, plan, ResponseTimes(), Depth.QUICK)
        schedule.start()
        progress = schedule.progress(check)

    assert [Round.FIRST, Round.REST][: 1 + has_second_round] == rounds
    assert progress.skipped is None
    assert not requester.finding_recorder.cut_by


def test_in_a_single_round_checks_that_take_long_start_first() -> None:
    """So that none of them runs alone at the end; exclusive checks come after them, in their own order."""
    started: list[str] = []
    checks = [replace(check, run=lambda _, name=check.id: started.append(name)) for check in ALL_CHECKS]
    with requester_for(correct_endpoint) as requester:
        schedule = Schedule(checks, requester, RunPlan(concurrency=1), ResponseTimes(), Depth.QUICK)
        schedule.start()
        assert [schedule.progress(each).error for each in checks] == [None] * len(checks)

    concurrent = [check for check in checks if not check.exclusive]
    exclusive = [check.id for check in checks if check.exclusive]
    counts = [
        count_of(next(each for each in concurrent if each.id == name), Depth.QUICK)
        for name in started[: len(concurrent)]
    ]
    times = ResponseTimes()
    seconds = [count.reached * times.accepted + (count.requests - count.reached) * times.rejected for count in counts]
    assert sorted(seconds, reverse=True) == seconds
    assert started[len(concurrent) :] == exclusive


# ------------------------------------------------------------------ a target that stops answering


def answer(status: int, *fields: tuple[str, str]) -> Answer:
    """An answer without a body."""
    return Answer(status=status, headers=fields, body=b"")


def liveness(*answers: Answer | None, pauses: tuple[float, ...] = (1.0, 2.0)) -> tuple[Liveness, list[float]]:
    """A liveness whose probes get these answers, and the pauses that it makes."""
    clock, slept, probes = FakeClock(), [], iter(answers)

    def pause(seconds: float) -> None:
        clock.sleep(seconds + 0.001)
        slept.append(seconds)

    return Liveness(lambda: next(probes), pauses=pauses, pause=pause, clock=clock), slept


def test_an_input_without_an_answer_costs_one_deadline() -> None:
    """If the simplest input is answered, the run goes on, and requests of that kind are not sent again."""
    watched, _ = liveness(answer(200))

    assert "" == watched.add_miss("a check", "a hog", 30.0, by_input=False)
    assert not watched.was_answered("a check", "a hog")
    assert watched.was_answered("a check", "another kind")


def test_the_rest_of_a_check_without_answers_is_not_sent() -> None:
    """Two kinds of request without an answer end a check, and no other."""
    watched, _ = liveness(answer(200), answer(200))
    for label in "ab":
        watched.require_answers("a check")
        assert "" == watched.add_miss("a check", label, 30.0, by_input=False)

    with pytest.raises(CheckSkipped, match="2 of its requests got none"):
        watched.require_answers("a check")
    watched.require_answers("another check")


@pytest.mark.parametrize(("burst", "concurrency"), [(0.1, 8), (0.15, 8), (0.2, 2), (0.3, 1), (0.4, 1), (0.9, 1)])
def test_a_target_that_serves_one_request_after_the_other_gets_them_so(burst: float, concurrency: int) -> None:
    """Four requests at once take it as long as one after the other. With a plan for eight, the time would be over too soon."""
    usable = usable_concurrency(8, accepted=0.1, burst=burst)
    times, limits = ResponseTimes(accepted=0.1, rejected=0.1), RunLimits(concurrency=usable, seconds=150.0)

    assert concurrency == usable
    assert (concurrency < 8) == (plan_run(ALL_CHECKS, times, depth=Depth.QUICK, limits=limits).examples_scale < 1)


@pytest.mark.parametrize(
    ("at_once", "alone", "concurrency"), [(1.4, 1.4, 8), (1.4, 0.35, 1), (0.3, 5.0, 8), (1.4, 0.7, 2)]
)
def test_an_input_that_takes_longer_than_others_does_not_look_like_a_queue(
    at_once: float, alone: float, concurrency: int
) -> None:
    """What counts is how long the same input takes alone, and not the quickest one, which takes 0.2 seconds here."""
    assert concurrency == measured_concurrency(8, 0.2, lambda count: alone if count == 1 else at_once)


@pytest.mark.parametrize(("rejected", "concurrency"), [(0.05, 1), (0.25, 8)])
def test_a_target_that_delays_rejections_gets_several_requests_at_the_same_time(
    rejected: float, concurrency: int
) -> None:
    """Some gateways answer wrong keys slowly. One after the other, hundreds of such requests would take minutes."""
    times = ResponseTimes(accepted=0.001, rejected=rejected)
    plan = plan_run(ALL_CHECKS, times, depth=Depth.QUICK, limits=RunLimits(concurrency=8))

    assert concurrency == plan.concurrency


@pytest.mark.parametrize(
    ("answers", "recovers"),
    [
        ([None, None, None], False),
        ([None, None, answer(400)], True),
        ([answer(503), answer(429), answer(200)], True),
        ([answer(503), answer(429), answer(503)], False),
    ],
)
def test_a_target_has_time_to_recover(answers: list[Answer | None], recovers: bool) -> None:
    """The simplest input is sent again after pauses. Any answer but a busy one shows that the target is alive."""
    watched, slept = liveness(*answers)

    assert recovers == (not watched.add_miss("a check", "a hog", 30.0, by_input=False))
    assert [0.0, 1.0, 2.0] == slept


def test_a_busy_target_is_asked_again_after_retry_after() -> None:
    """Each pause is as long as the target says, and all together have a limit."""
    busy = answer(429, ("Retry-After", "7"))
    watched, slept = liveness(busy, answer(503, ("Retry-After", "3600")), answer(503))
    reasons = [watched.add_answer(busy) for _ in range(15)]

    assert [""] * 14 == reasons[:14]
    assert "429" in reasons[14]
    assert "within 1m (its Retry-After: 7)" in reasons[14]
    assert [7.0, 7.0, pytest.approx(MAX_RECOVERY - 14.0, abs=0.1)] == slept


@given(st.integers(1, 3600), st.floats(0.0, 200.0))
def test_a_target_that_names_a_retry_after_has_a_minute_to_recover(seconds: int, recovers_after: float) -> None:
    """As many chains need for a cold start. One that never recovers costs no more than that, whatever it says."""
    clock, began, busy = FakeClock(), 100.0, answer(503, ("Retry-After", str(seconds)))
    watched = Liveness(
        lambda: busy if clock() - began < recovers_after else answer(200),
        pauses=(0.5, 2.0, 5.0),
        pause=clock.sleep,
        clock=clock,
    )
    reason = [watched.add_answer(busy) for _ in range(15)][-1]

    assert clock() - began <= MAX_RECOVERY
    assert not reason or recovers_after > MAX_RECOVERY - min(seconds, 5.0)


@given(st.text(max_size=6))
def test_any_retry_after_is_read(value: str) -> None:
    """Whatever the field says, the pause is finite and not negative."""
    assert 0 <= retry_after(answer(429, ("Retry-After", value))) <= MAX_RECOVERY


@pytest.mark.parametrize("is_silent", [True, False])
def test_a_target_that_has_to_start_is_tested(is_silent: bool) -> None:
    """An idle chain holds its first requests, or says that it is not ready. That is no finding, and the run waits."""
    left = iter(range(2))

    def server(request: EndpointRequest) -> EndpointAnswer:
        if next(left, None) is not None:
            if not is_silent:
                return error(503, "model_not_ready")
            time.sleep(0.6)
        return correct_endpoint(request)

    with requester_for(server, deadline=0.4) as requester:
        requester.waits = replace(requester.waits, start=10.0)
        discover_inputs(requester)
        assert requester.inputs.is_accepted
        assert () == requester.finding_recorder.findings
        assert any("had to start" in note for note in requester.notes)


def test_a_target_that_never_starts_gets_few_requests() -> None:
    """The other inputs of the chain are not tried after the first one was sent for as long as a start may take."""
    schema = Schema(source="a schema", document=TYPED_CHAIN)
    with requester_for(lambda _: error(503, "model_not_ready"), input_schema=schema, echo=False) as requester:
        answers = discover_inputs(requester)

        assert [503] == [each.status for each in answers]
        assert 2 <= requester.finding_recorder.request_count <= 4


def test_an_answer_that_never_ends_is_none_of_a_target_that_starts() -> None:
    """It is a finding, and the first request is not sent again for a minute."""
    stalling = EndpointAnswer(status=200, raw=UNFINISHED["a dripping body"], stays_open=True)
    with requester_for(lambda _: stalling, deadline=0.2) as requester:
        requester.waits = replace(requester.waits, start=60.0)
        with suppress(CheckSkipped):
            discover_inputs(requester)

        assert {"request-answered"} == {each.clause for each in requester.finding_recorder.findings}
        assert requester.finding_recorder.request_count < 20


def test_a_rejection_does_not_hide_that_the_chain_is_gone() -> None:
    """A gateway may answer 401 although the chain behind it answers nothing but 503."""
    watched, _ = liveness(None, None, None)
    reasons = [watched.add_answer(answer(status)) for status in (503, 401) * 15]

    assert any(reasons)


def test_only_the_first_missing_answers_get_the_whole_deadline() -> None:
    """Three missing answers show the violation; later ones cost less."""
    watched, _ = liveness(*[answer(200)] * 3)
    seen = []
    for number in range(3):
        seen.append(watched.is_impatient)
        watched.add_miss(f"check {number}", "a hog", 30.0, by_input=False)

    assert [False] * 3 == seen
    assert watched.is_impatient


def test_large_bodies_without_answers_are_left_out_until_one_is_answered() -> None:
    """Two are enough, of requests that have to be accepted or of others; smaller bodies are sent on."""
    watched, _ = liveness()
    entered = [watched.add_large(size, is_valid=True, is_answered=False) for size in (100, 9000, 8000)]

    assert [0, 0, 8000] == entered
    assert [True, False, False] == [watched.may_be_answered(size, is_valid=True) for size in (7999, 8000, 10**6)]
    assert watched.may_be_answered(8000, is_valid=False)
    watched.add_large(8001, is_valid=True, is_answered=True)
    assert watched.may_be_answered(10**6, is_valid=True)


def test_slow_answers_at_the_same_time_count_once() -> None:
    """The time of the run counts, and fast or missing answers do not."""
    behaviour = TargetBehaviour(SHORT_WAITS)
    for began, ended, status in ((0, 10, 200), (4, 12, 400), (5, 6, 400), (20, 20.05, 200), (30, 33, 400)):
        behaviour.add_duration(began, ended, answer(status))
    behaviour.add_duration(40, 70, None)

    assert 15 == pytest.approx(behaviour.slow_seconds)


def test_slow_rejections_are_no_fast_ones() -> None:
    """A gateway may answer 401 at once where the chain takes its time for each 400."""
    behaviour = TargetBehaviour(SHORT_WAITS)
    for status, seconds in ((200, 0.01), (401, 0.001), (400, 3.0), (400, 2.0)):
        behaviour.add_duration(0.0, seconds, answer(status))

    assert ResponseTimes(accepted=0.01, rejected=2.0) == behaviour.response_times


def test_large_numbers_are_found_anywhere() -> None:
    """The largest comes first, with the members that lead to it."""
    found = large_numbers(b'{"a":[{"delay":1e308},{"delay":31}],"b":29,"c":true,"d":"99"}', 30.0)

    assert [("a.*.delay", 1e308), ("a.*.delay", 31.0)] == [(each.name, each.value) for each in found]


# ------------------------------------------------------------------ runs


@contextmanager
def requester_for(server: AnswerFunction, **options: object) -> Iterator[Requester]:
    """A requester for a server in this process."""
    schema = options.pop("input_schema", None)
    with serve(server) as url:
        settings = Settings(**{"depth": Depth.QUICK, "seed": 1, "echo": True, **options})  # type: ignore[arg-type]
        client = Client(parse_target(url), settings.deadline)
        minimal = b'{"delay":0}' if schema else b"{}"
        chain_schema = ChainSchema(input_schema=schema, minimal_input=minimal)  # type: ignore[arg-type]
        waits = replace(SHORT_WAITS, probe_deadline=0.2)
        yield make_requester(client, settings=settings, chain_schema=chain_schema, waits=waits)
        client.close()


def check_that(run: Callable[[Requester], None], *, exclusive: bool = False) -> Check:
    """A check that tests no clause."""
    return Check(name=run.__name__, module="tests", clauses=(), run=run, title=run.__name__, exclusive=exclusive)


DELAY = {"type": "object", "properties": {"delay": {"type": "number", "minimum": 0}}, "required": ["delay"]}


@pytest.mark.parametrize("silent_to", [b'{"a":', b"{}"])
def test_a_target_that_falls_silent_costs_the_check_of_resources_few_deadlines(
    silent_to: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Neither forty bad requests nor the valid ones after them are awaited for a deadline each."""
    clock, silent = FakeClock(), list[bytes | None]()
    with requester_for(correct_endpoint) as requester:
        send_once = requester.send_once

        def send(request: CheckRequest) -> TransportResult:
            if request.body != silent_to:
                return send_once(request)
            silent.append(request.body)
            clock.sleep(30.0)
            return TransportResult(transport=Transport.DEADLINE, reason="no answer")

        monkeypatch.setattr(recovery, "monotonic", clock)
        monkeypatch.setattr(requester, "send_once", send)
        recovery.bad_requests_do_not_use_up_the_target(requester)
        found = {each.clause for each in requester.finding_recorder.findings}

    assert 1 <= len(silent) <= 8
    assert found == ({"request-isolation"} if silent_to == b"{}" else set())


def test_a_number_without_a_bound_is_named_and_left_out() -> None:
    """A valid input that keeps the chain busy beyond the deadline is no violation. It is sent once, and a note asks for a bound."""
    hogs: list[bytes] = []

    def sleeping_chain(request: EndpointRequest) -> EndpointAnswer:
        received = correct_endpoint(request)
        if received.status == 200 and any(each.name == "delay" for each in large_numbers(request.body, 0.3)):
            hogs.append(request.body)
            return EndpointAnswer(status=200, raw=b"", stays_open=True)
        return received

    with requester_for(
        sleeping_chain, deadline=0.3, echo=False, input_schema=Schema(source="a chain", document=DELAY)
    ) as requester:
        body.generated_objects_are_accepted(requester)

    assert 1 == len(hogs)
    assert () == requester.finding_recorder.findings
    assert any("delay" in note and "maximum" in note for note in requester.notes)


def test_inputs_that_are_in_flight_at_once_count_as_one_missing_answer() -> None:
    """More of them than missing answers that end a run: the chain answers its simplest input, so the run goes on, with one note."""

    def sleeping_chain(request: EndpointRequest) -> EndpointAnswer:
        received = correct_endpoint(request)
        sleeps = received.status == 200 and bool(large_numbers(request.body, 0.3))
        return EndpointAnswer(status=200, raw=b"", stays_open=True) if sleeps else received

    schema = Schema(source="a chain", document=DELAY)
    with requester_for(sleeping_chain, deadline=0.3, echo=False, input_schema=schema) as requester:
        bodies = [b'{"delay":%d}' % number for number in range(1, 25)]
        run_together(requester.send, [requester.build_request(body, label="an input") for body in bodies])
        requester.time_budget.deadline(1.0)  # raises if the run ended

    assert () == requester.finding_recorder.findings
    assert 1 == sum("`delay`" in note for note in requester.notes)


UNFINISHED = {
    "a dripping header section": b"HTTP/1.1 200 OK\r\nContent-",
    "a dripping body": b'HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 9000\r\n\r\n{"',
    "no last chunk": b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\n{}\r\n",
    "nothing": b"",
}


@pytest.mark.parametrize("raw", UNFINISHED.values(), ids=UNFINISHED)
def test_large_answers_that_never_end_cost_a_few_deadlines(raw: bytes) -> None:
    """Two large bodies without a complete answer show the defect. Others are left out, and small ones are tested on."""
    unfinished: list[int] = []

    def server(request: EndpointRequest) -> EndpointAnswer:
        received = correct_endpoint(request)
        if received.status == 200 and len(request.body) > 5000:
            unfinished.append(len(request.body))
            return EndpointAnswer(status=200, raw=raw, stays_open=True)
        return received

    with requester_for(server, deadline=0.2) as requester:
        for size in (6000, 7000, 8000) * 20:
            requester.check_name = f"check {len(unfinished)}"
            requester.send(requester.build_request(b'{"a":"%s"}' % (b"x" * size), label=f"a text of {size} bytes"))
            requester.send(requester.build_request(b"{}"))
        requester.time_budget.deadline(1.0)  # raises if the run ended

    assert [6008, 7008] == unfinished
    assert {"request-answered"} == {each.clause for each in requester.finding_recorder.findings}
    assert any("6008 bytes or more" in note for note in requester.notes)


def test_a_large_output_that_stalls_is_no_input_without_a_bound() -> None:
    """An answer whose length has arrived shows that the chain had ended its work."""

    def server(request: EndpointRequest) -> EndpointAnswer:
        received = correct_endpoint(request)
        stalls = received.status == 200 and b"40" in request.body
        return EndpointAnswer(status=200, raw=UNFINISHED["a dripping body"], stays_open=True) if stalls else received

    schema = Schema(source="a chain", document=DELAY)
    with requester_for(server, deadline=0.2, echo=False, input_schema=schema) as requester:
        requester.send(requester.build_request(b'{"delay":40}'))

    assert {"request-answered"} == {each.clause for each in requester.finding_recorder.findings}


def test_slow_answers_of_a_fast_target_limit_the_run() -> None:
    """Two deadlines of slow answers are enough; then the run has the time of a slow target."""
    with requester_for(correct_endpoint, deadline=30.0) as requester:
        requester.send(requester.build_request())
        is_unlimited = requester.time_budget.left == UNLIMITED
        requester._watch.add_duration(0.0, 61.0, answer(200))
        requester.send(requester.build_request())

    assert is_unlimited
    assert 0 < requester.time_budget.left <= 75
    assert any("--time-budget" in note for note in requester.notes)


def test_a_target_that_is_gone_leaves_the_run_cut() -> None:
    """When nothing but 503 comes back, the run stops early and says why."""
    sent: list[int] = []

    def failing(request: EndpointRequest) -> EndpointAnswer:
        sent.append(1)
        return correct_endpoint(request) if len(sent) < 20 else error(503, "model_unavailable")

    with requester_for(failing) as requester:
        runner = CheckRunner(requester)
        for check in ALL_CHECKS[:6]:
            runner.run(check)

    assert "503" in requester.finding_recorder.cut_by
    assert len(sent) < 200


def test_a_refused_connection_is_not_about_the_request() -> None:
    """The finding names no request as the reason: a server that has stopped refuses every one."""
    with requester_for(correct_endpoint) as requester:
        request = requester.build_request(b'{"a": "long input"}', label="a special input")
        requester.record(request, connection_failure(ConnectionRefusedError(111, "Connection refused")), None)
        found = requester.finding_recorder.findings

    assert ["Connection refused"] == [each.actual for each in found]
    assert () == found[0].cases
    assert "long input" not in found[0].reproduce


def test_a_check_that_sends_nothing_is_skipped() -> None:
    """It has not passed: its requests cannot be made from an input of the chain."""
    with requester_for(correct_endpoint) as requester:
        progress = CheckRunner(requester).run(check_that(lambda requester: None))

    assert "its requests cannot be made for this chain" == str(progress.skipped)


def test_checks_of_a_slow_target_run_at_the_same_time_in_two_rounds() -> None:
    """Each check sends its first requests before any sends the rest, as far as the time goes; an exclusive one runs alone."""
    order: list[str] = []

    def check(name: str) -> Callable[[Requester], None]:
        def run(requester: Requester) -> None:
            for number in range(4):
                requester.submit(requester.build_request(label=f"{name} {number}"))

        run.__name__ = name
        return run

    def alone(requester: Requester) -> None:
        order.append("alone")
        requester.send(requester.build_request(label="alone"))

    checks = [check_that(check("one")), check_that(check("two")), check_that(alone, exclusive=True)]
    with requester_for(correct_endpoint) as requester:
        plan = RunPlan(concurrency=2, two_rounds=True, examples_scale=0.5)
        schedule = Schedule(checks, requester, plan, ResponseTimes(), Depth.QUICK)
        schedule.start()
        progress = [schedule.progress(each) for each in checks]

    assert [(4, 0), (4, 0), (1, 0)] == [(each.sent, each.left_out) for each in progress]
    assert ["alone"] == order
    assert "" == requester.finding_recorder.cut_by


def test_a_check_with_nothing_left_for_the_second_round_is_not_skipped() -> None:
    """It has sent requests in the first round. What there is no time for is left out."""

    def run(requester: Requester) -> None:
        for number in range(requester.share(4, first=2)):
            requester.send(requester.build_request(label=f"request {number}"))

    check = check_that(run)
    with requester_for(correct_endpoint) as requester:
        plan = RunPlan(two_rounds=True, examples_scale=0.5)
        schedule = Schedule([check], requester, plan, ResponseTimes(), Depth.QUICK)
        schedule.start()
        progress = schedule.progress(check)

    assert (2, 2, None) == (progress.sent, progress.left_out, progress.skipped)


def test_the_first_round_of_a_remote_run_fits_into_its_requests(monkeypatch: pytest.MonkeyPatch) -> None:
    """A remote target gets few requests. If they do not suffice for the first round, no run of such a target can pass."""
    monkeypatch.setattr(Client, "on_loopback", property(lambda self: False))
    with requester_for(
        correct_endpoint, echo=False, input_schema=Schema(source="a chain", document=TYPED_CHAIN)
    ) as requester:
        requester._client.rate_limiter = RateLimiter(  # as that of a remote target
            max_requests=REMOTE_MAX_REQUESTS[Depth.QUICK]
        )
        discover_inputs(requester)
        plan = RunPlan(two_rounds=True, examples_scale=0.0)
        schedule = Schedule(ALL_CHECKS, requester, plan, ResponseTimes(), Depth.QUICK)
        schedule.start()
        progress = [schedule.progress(check) for check in ALL_CHECKS]

    assert [] == [each.error for each in progress if each.error is not None]
    assert 500 < sum(each.sent for each in progress) <= REMOTE_MAX_REQUESTS[Depth.QUICK]
    assert not requester.finding_recorder.cut_by


def test_a_run_whose_time_is_over_names_what_it_left_out() -> None:
    """A check that was not begun cuts the run."""
    with requester_for(correct_endpoint) as requester:
        requester.time_budget = TimeBudget(1e-6)
        schedule = Schedule(ALL_CHECKS[:3], requester, RunPlan(concurrency=2), ResponseTimes(), Depth.QUICK)
        schedule.start()
        reasons = [str(schedule.progress(check).skipped) for check in ALL_CHECKS[:3]]

    assert 1 == len(set(reasons))
    assert "--time-budget" in requester.finding_recorder.cut_by


@pytest.mark.parametrize(
    ("budget", "sent", "advice"),
    [(75.0, 0, "4m"), (75.0, 500, "4m"), (75.0, 100, "12m"), (1e4, 100, ""), (UNLIMITED, 0, "")],
)
def test_a_run_whose_time_is_over_names_the_time_that_is_enough(budget: Seconds, sent: int, advice: str) -> None:
    """At the speed of the first answers, or of all if that is slower: 800 requests are left. A run that another limit ended has none."""
    clock = FakeClock()
    with requester_for(correct_endpoint) as requester:
        requester.time_budget = TimeBudget(budget, clock=clock)
        clock.now += 100.0
        run = ended_run(requester, RunPlan(seconds=190.0), {"a check": CheckProgress(sent=sent)})

        assert bool(advice) == _is_time_over(run)
        assert (
            f"--time-budget {advice or '4m'} is enough for all requests" in _time_advice(run, left_out=800)
            or not advice
        )


@given(share=st.floats(0.05, 1.0), passed=st.floats(10, 1000))
def test_the_time_that_a_verdict_needs_follows_from_what_was_sent(share: float, passed: float) -> None:
    """A run that sent a part of its first round in some time needs that much more time for all of it."""
    clock = FakeClock()
    times, checks = ResponseTimes(accepted=1.0, rejected=0.01), [each for each in ALL_CHECKS if not each.exclusive]
    with requester_for(correct_endpoint) as requester:
        requester.time_budget = TimeBudget(5.0, clock=clock)
        counts = {check.id: first_count_of(check, Depth.QUICK).requests for check in checks}
        progress = {name: CheckProgress(sent=round(share * count)) for name, count in counts.items()}
        # Not planned, since it would be skipped: it counts for nothing, whatever it was skipped for.
        without = max(counts, key=counts.__getitem__)
        progress[without] = CheckProgress(skipped=RunCut("more time", "it is over"))
        run = ended_run(requester, RunPlan(seconds=190.0, first_seconds=1.0), progress, times)
        run.planned -= {without}
        clock.now += passed

        needed = _first_round_time(run)

    assert passed < needed
    assert passed / share * 0.9 < needed < passed / share * 1.5 + 2


def ended_run(
    requester: Requester, plan: RunPlan, progress: dict[str, CheckProgress], times: ResponseTimes | None = None
) -> ConformanceRun:
    """As much of a run as the advice on its time needs."""
    settings = Settings(depth=Depth.QUICK)
    return cast(
        "ConformanceRun",
        SimpleNamespace(
            requester=requester,
            settings=settings,
            plan=plan,
            times=times or ResponseTimes(),
            planned=frozenset(check.id for check in ALL_CHECKS),
            planned_after=0.0,
            progress=progress,
        ),
    )


def test_an_error_outside_the_checks_is_an_error_of_each_check(monkeypatch: pytest.MonkeyPatch) -> None:
    """A check that was never run does not count as passed."""

    def failing(*_: object, **__: object) -> None:
        raise ValueError("no order")

    monkeypatch.setattr(schedule_module, "in_order", failing)
    with requester_for(correct_endpoint) as requester:
        plan = RunPlan(concurrency=2, two_rounds=True, examples_scale=0.5)
        schedule = Schedule(ALL_CHECKS[:3], requester, plan, ResponseTimes(), Depth.QUICK)
        schedule.start()
        errors = [str(schedule.progress(each).error) for each in ALL_CHECKS[:3]]

    assert ["no order"] * 3 == errors


def late(server: AnswerFunction, seconds: float) -> AnswerFunction:
    """A server whose answers come later."""

    def answer_later(request: EndpointRequest) -> EndpointAnswer:
        time.sleep(seconds)
        return server(request)

    return answer_later


def test_the_request_of_a_finding_is_tried_again_as_long_as_the_target_takes(monkeypatch: pytest.MonkeyPatch) -> None:
    """A target may take longer for each answer than a fast one is waited for. Its findings have the command of their request, too."""
    monkeypatch.setattr(reproduction, "_TIMEOUT", 0.02)

    def server(request: EndpointRequest) -> EndpointAnswer:
        received = correct_endpoint(request)
        return received if b"bad" not in request.body else replace(received, status=418)

    with requester_for(late(server, 0.1)) as requester:
        requester.check_name = "a check"
        requester.send(requester.build_request())
        requester.send(requester.build_request(b'{"bad":1}', label="a bad input"))
        reproduction.reproduce_findings(requester, ("a check",), "check", lambda selection: f"again -k {selection}")
        [found] = requester.finding_recorder.findings

    assert "curl" in found.reproduce
    assert "bad" in found.reproduce


def reproduced(requester: Requester) -> str:
    """The command of the only finding, after its request was tried."""
    reproduction.reproduce_findings(
        requester, (requester.check_name,), "check", lambda selection: f"again -k {selection}"
    )
    [found] = requester.finding_recorder.findings
    return found.reproduce


ITEMS = {
    "type": "object",
    "properties": {
        "delay": {"type": "number", "minimum": 0},
        "items": {"type": "array", "items": {"type": "string"}},
        "note": {"type": "string"},
    },
    "required": ["delay"],
}


def test_the_request_of_a_finding_has_no_more_than_what_shows_it() -> None:
    """A check sends inputs with many arguments. The command has the one that matters, and the simplest value of each other one."""

    def failing(request: EndpointRequest) -> EndpointAnswer:
        return error(502, "application_error") if b"bad" in request.body else EndpointAnswer(status=200, body=b"{}")

    schema = Schema(source="items.json", document=ITEMS)
    with requester_for(failing, input_schema=schema, echo=False) as requester:
        requester.check_name = "a check"
        requester.send(requester.build_request(b'{"delay":7,"items":["good","bad","good"],"note":"none"}'))

        assert """ '{"delay":0,"items":["bad"]}'""" in reproduced(requester)


@pytest.mark.parametrize(("output", "is_shown"), [(b'{"id":8}', True), (b'{"id":7}', False)])
def test_a_value_that_came_back_as_another_one_is_shown_by_its_request(output: bytes, *, is_shown: bool) -> None:
    """Other outputs show that it is wrong. The command of the request shows it nevertheless, if the output has it again."""
    with requester_for(lambda request: EndpointAnswer(status=200, body=output), echo=False) as requester:
        requester.check_name = "a check"
        requester.record_clause(
            clauses.ECHO_EXACT,
            requester.build_request(b'{"id":7}'),
            expected="7",
            actual="8",
            sign=(("id",), (8,)),
        )

        assert is_shown is ("curl" in reproduced(requester))


@pytest.mark.parametrize(("deadline", "clauses"), [(5.0, set()), (0.2, {"connection-persistence"})])
def test_an_answer_that_comes_late_on_a_connection_is_no_violation(
    deadline: Seconds, clauses: set[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A machine may stop for longer than an answer is awaited there. It has until the deadline."""
    monkeypatch.setattr(raw_requests, "_MIN_TIMEOUT", 0.1)
    seen: list[int] = []

    def pausing(request: EndpointRequest) -> EndpointAnswer:
        received = correct_endpoint(request)
        seen.extend([received.status] if received.status == 200 else [])
        if len(seen) == 6:
            time.sleep(0.6)  # a real pause of the server: sockets have no clock to replace
        return received

    with requester_for(pausing, deadline=deadline) as requester:
        connection.one_connection_serves_many_requests(requester)

    assert clauses == {each.clause for each in requester.finding_recorder.findings}


def test_rare_defects_of_a_slow_target_are_looked_for_with_every_kind_of_request(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """At 30 ms per answer, valid, unauthenticated and invalid requests are sent, however short the time on a fast target."""
    limits = repetition.RepetitionLimits(requests=300, seconds=0.0)
    monkeypatch.setitem(repetition.REPETITION_LIMITS, Depth.QUICK, limits)
    with requester_for(late(correct_endpoint, 0.03)) as requester:
        requester.concurrency = 8
        repetition.repeated_requests_are_answered_consistently(requester)

    [counts] = [note for note in requester.notes if "rare defects:" in note]
    assert all(kind in counts for kind in ("valid requests", "unauthenticated requests", "invalid requests"))


@pytest.mark.parametrize("option", [None, 1])
def test_concurrent_requests_are_concurrent_for_a_target_that_serves_one_at_a_time(option: int | None) -> None:
    """It takes them no longer. Only `--concurrency` lowers that number, too."""
    lock, in_flight, most = threading.Lock(), 0, 0

    def server(request: EndpointRequest) -> EndpointAnswer:
        nonlocal in_flight, most
        in_flight += 1
        most = max(most, in_flight)
        with lock:
            time.sleep(0.02)
        in_flight -= 1
        return correct_endpoint(request)

    checks = [check for check in ALL_CHECKS if check.name == "concurrent_requests_get_unique_request_ids"]
    with requester_for(server, concurrency=option) as requester:
        schedule = Schedule(checks, requester, RunPlan(two_rounds=True), ResponseTimes(accepted=0.02), Depth.QUICK)
        schedule.start()
        assert schedule.progress(checks[0]).error is None

    assert (most == 1) == (option == 1)


@pytest.mark.parametrize(("serial", "concurrency"), [(True, 1), (False, 8)])
def test_a_target_that_is_slow_for_the_time_of_a_run_gets_no_queue_beyond_the_deadline(
    serial: bool, concurrency: int
) -> None:
    """If there is no time to try several requests at once, two are tried, and no queue at the target takes longer than the deadline."""
    lock = threading.Lock()

    def server(request: EndpointRequest) -> EndpointAnswer:
        with lock if serial else nullcontext():
            time.sleep(0.2)
            return correct_endpoint(request)

    with requester_for(server, deadline=1.8) as requester:
        requester.send(requester.build_request())
        requester.time_budget = TimeBudget(2.8)
        times = replace(requester.response_times, accepted=0.2)
        assert concurrency == _measured_concurrency(requester, times)
        assert 4 <= requester.patient_threads(8) <= 7  # a queue of eight would take 1.6 s, or more on a busy machine
        assert 1 == requester.patient_threads(1)


def test_a_run_ends_with_its_time() -> None:
    """Checks that wait for a slow target end with the budget, and nothing that they did not see is a finding."""
    with requester_for(late(correct_endpoint, 0.4), steerable=True) as requester:
        requester.time_budget = TimeBudget(2.0)
        plan, times = (
            RunPlan(concurrency=8, two_rounds=True, examples_scale=0.1),
            ResponseTimes(accepted=0.4, rejected=0.4),
        )
        schedule = Schedule(ALL_CHECKS, requester, plan, times, Depth.QUICK)
        began = time.monotonic()
        schedule.start()
        progress = [schedule.progress(check) for check in ALL_CHECKS]
        took = time.monotonic() - began

    assert [] == [each.error for each in progress if each.error is not None]
    assert 1.5 < took < 4.5  # a busy machine needs time after the last answer
    assert sum(each.sent for each in progress) > 10
    assert () == requester.finding_recorder.findings
    assert requester.finding_recorder.cut_by


# ------------------------------------------------------------------ --plan


def test_the_plan_counts_requests_by_kind_and_sends_none(capsys: pytest.CaptureFixture[str]) -> None:
    """The kinds add up to the total, and a slower target takes longer."""
    assert 0 == main(["--plan", "--depth", "quick", "--target", "http://127.0.0.1:9", "--max-requests", "500"])
    lines = capsys.readouterr().out.splitlines()

    rows = [line.split() for line in lines if re.search(r"\d +[\d,]+$", line)]
    counts = [[int(cell.replace(",", "")) for cell in row[-2:]] for row in rows]
    assert counts[-1] == [sum(column) for column in zip(*counts[:-1], strict=True)]
    assert ["30 ms", "300 ms", "3 s"] == [line.split(" per ")[0].strip() for line in lines if " per answer" in line]
    assert any("at most 500 requests" in line for line in lines)


@pytest.mark.parametrize(("requests", "least", "most"), [(200, 8, 20), (1000, 45, 60), (100_000, 150, 250)])
def test_the_plan_of_a_limited_number_of_requests_takes_as_long_as_they_do(
    requests: int, least: float, most: float, capsys: pytest.CaptureFixture[str]
) -> None:
    """At 20 per second, and not as long as all requests of the depth would take."""
    limits = ["--rate-limit", "20", "--max-requests", str(requests)]
    assert 0 == main(
        ["--plan", "--depth", "quick", "--target", "http://127.0.0.1:9", "--response-time", "1ms", *limits]
    )
    [duration] = re.findall(r"per answer: about (?:(\d+)m)?(?:(\d+) ?s)?", capsys.readouterr().out)

    assert least < 60 * int(duration[0] or 0) + int(duration[1] or 0) < most


def test_the_plan_counts_the_checks_of_typed_chains_if_there_is_a_schema(
    capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    """They send hundreds of requests to such a chain, and none to others."""
    schema = tmp_path / "input.json"
    schema.write_text(json.dumps(TYPED_CHAIN), encoding="utf-8")
    counts = []
    for more in ([], ["--input-schema", str(schema)]):
        assert 0 == main(["--plan", "--depth", "quick", "--target", "http://127.0.0.1:9", *more])
        counts.append(re.findall(r"^  consistency +(\d+)", capsys.readouterr().out, re.MULTILINE))

    assert [] == counts[0]
    assert int(counts[1][0]) > 300


def test_the_plan_of_a_chain_with_a_schema_runs_the_checks_of_its_inputs(
    capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    """Whether the chain accepts the inputs is not known before a request: it is no reason not to run a check."""
    schema = tmp_path / "input.json"
    schema.write_text('{"type": "object", "properties": {"a": {"type": "string"}}}', encoding="utf-8")
    options = ["--plan", "--depth", "quick", "--target", "https://chain-abc123.api.baseten.co"]
    plans = []
    for more in ([], ["--input-schema", str(schema)]):
        assert 0 == main([*options, *more])
        plans.append(capsys.readouterr().out)

    assert "input" in plans[0].partition("not run")[2]
    assert "the given or generated inputs" not in plans[1]
    assert "of the requests" in plans[1]
    assert "at most 1m15s" in plans[1]
