"""Tests of options, workloads, and the plan that follows from them."""

from __future__ import annotations

import argparse
import sys
from itertools import islice
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chainproof.command import build_parser
from chainproof.contract.levels import Contract
from chainproof.loadtests import catalogue
from chainproof.loadtests.command import main
from chainproof.loadtests.demand import Shard, demand
from chainproof.loadtests.locust_arguments import add_locust_options, locust_arguments, requested_target
from chainproof.loadtests.options import OPTIONS
from chainproof.target_options import TargetOptions
from chainproof.workload.workload import WorkloadModel

from ...processes import run_process


def parsed_options(*words: str) -> argparse.Namespace:
    """The options of `chainproof loadtests` with these arguments."""
    return build_parser("loadtests", "…", options=OPTIONS).parse_args(words)


def locust_options(words: list[str]) -> argparse.Namespace:
    """The options of Locust with these arguments."""
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
    {"--model": st.just("closed")},
    optional={
        "--users": st.integers(1, 1000).map(str),
        "--think-time": durations,
        "--think-time-distribution": st.sampled_from(["constant", "exponential"]),
    },
)


@given(open_options | closed_options)
def test_the_locust_process_gets_the_options_of_the_command(command_options: dict[str, str]) -> None:
    """The arguments of the Locust process describe the same demand, target and run folder."""
    options = parsed_options(*(f"{name}={value}" for name, value in command_options.items()))
    target = TargetOptions(url="https://example.com", headers=(("X-A", "b"),))
    passed = locust_options(locust_arguments(options, target, Path("somewhere")))

    assert demand(options, options.num_users) == demand(passed, passed.num_users)
    assert "somewhere" == passed.out
    assert target == requested_target(passed)


@given(st.integers(1, 7), st.integers(0, 200))
def test_workers_share_a_plan_without_gap_or_overlap(workers: int, count: int) -> None:
    """Every request of a plan belongs to one worker, and its payload does not depend on the number of workers."""
    shares = [Shard(index=index, of=workers) for index in range(workers)]
    requested = demand(parsed_options(), None)
    payloads = list(islice(requested.payloads(Shard()), count))
    parts = {
        number: payload
        for share in shares
        for number, payload in zip(share.request_numbers(count), requested.payloads(share), strict=False)
    }

    assert list(range(count)) == sorted(number for share in shares for number in share.request_numbers(count))
    assert payloads == [parts[number] for number in range(count)]


@pytest.mark.parametrize("name", catalogue.workload_names())
def test_every_built_in_workload_can_be_loaded(name: str) -> None:
    """Each has a description and objectives, which --help names."""
    workload = catalogue.workload(name)

    assert workload.description
    assert workload.objectives
    assert f"{name} " in catalogue.workload_list()
    assert all(objective.text in catalogue.workload_list() for objective in workload.objectives)


def test_smoke_is_the_default_workload() -> None:
    """The default workload is the shortest."""
    assert "smoke" == parsed_options().workload == catalogue.workload_names()[0]


USAGE_ERRORS = {
    "an unknown workload": (["stedy"], "expected a workload (smoke, bursty, "),
    "a missing file": (["/nowhere/a.toml"], "cannot read the workload"),
    "a rate of 0": (["--rate", "0"], "rate: expected more than 0"),
    "an invalid objective": (["--objective", "fast"], "expected an objective such as"),
    "users in the open model": (["--users", "3"], "--users belongs to the closed model"),
    "a rate in the closed model": (["--model", "closed", "--rate", "3"], "--rate belongs to the open model"),
    "a recording in the closed model": (["--model", "closed", "--replay", "a"], "--replay belongs to the open model"),
    "a missing recording": (["--replay", "/nowhere/a"], "cannot read the recording"),
    "a key without a recording": (["--replay-key", "at"], "expected --replay with --replay-"),
    "arrivals with an invalid recording": (
        ["--replay", __file__, "--arrivals", "gamma"],
        "expected seconds or an ISO 8601",
    ),
    "a variation of Poisson arrivals": (["--variation", "3"], "--variation belongs to gamma arrivals"),
    "a warm-up before phases": (["ramp", "--warm-up", "3s"], "warm-up: expected an open workload with a constant rate"),
    "a warm-up in the closed model": (["--model", "closed", "--warm-up", "3s"], "--warm-up belongs to the open model"),
    "too many requests": (["--rate", "100000", "--duration", "1h"], "expected at most 20000000 planned requests"),
    "more connections than the limit of open files": (
        ["--max-in-flight", "1000000000"],
        "open files, for --max-in-flight",
    ),
    "plain http to a remote target": (["--target", "http://example.com"], "expected https"),
    "no server": (["--target", "http://127.0.0.1:9"], "cannot connect to"),
    "an address without a target": (["--connect-to", "127.0.0.1:9"], "with --connect-to"),
    "a folder that is not empty": (["--out", "."], "expected a new or an empty folder"),
}


@pytest.mark.parametrize("error", USAGE_ERRORS)
def test_a_usage_error_is_one_line(
    error: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Exit code 2 and one line with what was expected; nothing is sent or written."""
    monkeypatch.setenv("BASETEN_API_KEY", "key")
    words, expected = USAGE_ERRORS[error]
    code = main(words)
    message = capsys.readouterr().err

    assert 2 == code
    assert expected in message
    assert 1 == message.count("\n")


def test_a_missing_key_is_a_usage_error(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    """A target other than our emulator needs a key in the environment."""
    monkeypatch.delenv("BASETEN_API_KEY", raising=False)

    assert 2 == main(["--target", "https://127.0.0.1:9"])
    assert "expected one in the environment variable BASETEN_API_KEY" in capsys.readouterr().err


def test_the_command_does_not_import_locust() -> None:
    """Locust patches the process that imports it, which must be the child process."""
    script = "import sys, chainproof.loadtests.command; print(sorted({'locust', 'gevent'} & set(sys.modules)))"
    child = run_process([sys.executable, "-c", script], check=True)

    assert "[]\n" == child.stdout


def test_the_models_have_their_own_options() -> None:
    """The closed model has no plan; the plan of the open model depends on the seed only."""
    closed = demand(parsed_options("--model", "closed"), 3)
    one, other, third = (demand(parsed_options("--seed", seed), None).plan() for seed in ("1", "1", "2"))

    assert (WorkloadModel.CLOSED, 3, 0) == (closed.workload.model, closed.workload.users, len(closed.plan()))
    assert one == other != third
