"""
What was asked is what is run: options, workloads, and the plan that follows from them.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
from itertools import islice

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chainproof.contract.levels import Contract
from chainproof.loadtests import catalogue
from chainproof.loadtests.command import main
from chainproof.loadtests.demand import Shard, demand
from chainproof.loadtests.options import add_command_options, add_locust_options, locust_arguments
from chainproof.workload.workload import WorkloadModel


def own(*words: str) -> argparse.Namespace:
    """
    The options that our own command line reads.
    """
    parser = argparse.ArgumentParser()
    add_command_options(parser)
    return parser.parse_args(words)


def as_locust_reads(words: list[str]) -> argparse.Namespace:
    """
    The options that Locust's command line reads.
    """
    parser = argparse.ArgumentParser()
    parser.add_argument("-u", "--users", type=int, dest="num_users")
    add_locust_options(parser)
    return parser.parse_args(words)


durations = st.floats(0.001, 1000, allow_nan=False).map(lambda seconds: f"{seconds:.6f}s")
open_options = st.fixed_dictionaries(
    {},
    optional={
        "--rate": st.floats(0.01, 1000).map(lambda rate: f"{rate:.6f}"),
        "--arrivals": st.sampled_from(["poisson", "constant"]),
        "--warm-up": durations,
        "--drain": durations,
        "--max-in-flight": st.integers(1, 1000).map(str),
        "--duration": durations,
        "--deadline": durations,
        "--seed": st.integers(-5, 10**12).map(str),
        "--contract": st.sampled_from([contract.value for contract in Contract]),
        "--objective": st.sampled_from(["p95 response_time < 1s", "error_rate < 1%"]),
    },
)
closed_options = st.fixed_dictionaries(
    {"--model": st.just("closed")}, optional={"--users": st.integers(1, 1000).map(str), "--think-time": durations}
)


@given(open_options | closed_options)
def test_locust_runs_what_our_own_command_line_was_asked(given_options: dict[str, str]) -> None:
    """
    The options survive the way to the Locust process: the same demand comes out on both sides.
    """
    options = own(*(f"{name}={value}" for name, value in given_options.items()))
    passed = as_locust_reads(locust_arguments(options, workload=options.workload, out="somewhere"))

    assert demand(options, options.num_users) == demand(passed, passed.num_users)
    assert "somewhere" == passed.out


@given(st.integers(1, 7), st.integers(0, 200))
def test_workers_share_a_plan_without_gap_or_overlap(workers: int, count: int) -> None:
    """
    Every request of a plan is one worker's, and its payload does not depend on how many workers there are.
    """
    shares = [Shard(index=index, of=workers) for index in range(workers)]
    wanted = demand(own(), None)
    whole = list(islice(wanted.payloads(Shard()), count))
    parts = {
        number: payload
        for share in shares
        for number, payload in zip(share.request_numbers(count), wanted.payloads(share), strict=False)
    }

    assert list(range(count)) == sorted(number for share in shares for number in share.request_numbers(count))
    assert whole == [parts[number] for number in range(count)]


@pytest.mark.parametrize("name", catalogue.workload_names())
def test_every_workload_that_comes_along_can_be_run(name: str) -> None:
    """
    It loads, says what it is for, and has objectives.
    """
    workload = catalogue.workload(name)

    assert workload.description
    assert workload.objectives
    assert name in catalogue.workload_list()


def test_smoke_is_the_default() -> None:
    """
    Who names no workload gets the shortest.
    """
    assert "smoke" == own().workload == catalogue.workload_names()[0]


WRONG = {
    "an unknown workload": (["stedy"], "expected a workload (smoke, bursty, "),
    "a workload that is not there": (["/nowhere/a.toml"], "cannot read the workload"),
    "a rate of nothing": (["--rate", "0"], "rate: expected more than 0"),
    "an objective nobody can read": (["--objective", "fast"], "expected an objective such as"),
    "users for a schedule": (["--users", "3"], "--users belongs to the closed model"),
    "a rate for users": (["--model", "closed", "--rate", "3"], "--rate belongs to the open model"),
    "a recording for users": (["--model", "closed", "--replay", "a"], "--replay belongs to the open model"),
    "a recording that is not there": (["--replay", "/nowhere/a"], "cannot read the recording"),
    "a key without a recording": (["--replay-key", "at"], "expected --replay with --replay-"),
    "a process for a recording": (["--replay", __file__, "--arrivals", "gamma"], "expected seconds or an ISO 8601"),
    "a variation of what has one": (["--variation", "3"], "--variation belongs to gamma arrivals"),
    "a warm-up of phases": (["ramp", "--warm-up", "3s"], "warm-up: expected an open workload with one rate"),
    "a warm-up of users": (["--model", "closed", "--warm-up", "3s"], "--warm-up belongs to the open model"),
    "a plan beyond memory": (["--rate", "100000", "--duration", "1h"], "expected at most 20000000 planned requests"),
    "more connections than files": (["--max-in-flight", "1000000000"], "from the system's limit on open files"),
    "plain http to a stranger": (["--target", "http://example.com"], "expected https"),
    "nobody there": (["--target", "http://127.0.0.1:9"], "nobody listens at"),
    "another way to nowhere in particular": (["--connect-to", "127.0.0.1:9"], "with --connect-to"),
    "a folder with something in it": (["--out", "."], "expected a new or an empty folder"),
}


@pytest.mark.parametrize("wrong", WRONG)
def test_what_is_asked_wrongly_is_said_in_one_line(
    wrong: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """
    Exit code 2, one line that says what was expected and found, and nothing was sent or written.
    """
    monkeypatch.setenv("BASETEN_API_KEY", "key")
    words, expected = WRONG[wrong]
    code = main(words)
    said = capsys.readouterr().err

    assert 2 == code
    assert expected in said
    assert 1 == said.count("\n")


def test_no_key_is_said_in_one_line(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    """
    A target that is not ours takes a key of the environment.
    """
    monkeypatch.delenv("BASETEN_API_KEY", raising=False)

    assert 2 == main(["--target", "https://127.0.0.1:9"])
    assert "expected one in the environment variable BASETEN_API_KEY" in capsys.readouterr().err


def test_the_command_itself_never_loads_locust() -> None:
    """
    Locust patches the whole process it is loaded into: that is the child's, not ours.
    """
    script = "import sys, chainproof.loadtests.command; print(sorted({'locust', 'gevent'} & set(sys.modules)))"
    found = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)

    assert "[]\n" == found.stdout


def test_the_models_have_their_own_options() -> None:
    """
    A closed demand has no plan, an open one is drawn from the seed alone.
    """
    closed = demand(own("--model", "closed"), 3)
    one, other, third = (demand(own("--seed", seed), None).plan() for seed in ("1", "1", "2"))

    assert (WorkloadModel.CLOSED, 3, 0) == (closed.workload.model, closed.workload.users, len(closed.plan()))
    assert one == other != third
