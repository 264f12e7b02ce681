"""
A user's own check counts like a clause of the contract, on every 200, however many processes send; outputs are sampled where
holding them against a schema takes long.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chainproof.contract import clauses
from chainproof.contract.answer import Answer
from chainproof.contract.clauses import USER_CHECK
from chainproof.contract.violations import Violation
from chainproof.errors import UsageError
from chainproof.judgement.load_summary import summarise_load
from chainproof.loadtests.engine.schema_check import OutputCheck
from chainproof.loadtests.engine.user_check import MAX_MESSAGE_LENGTH, UserCheck
from chainproof.loadtests.output_schema import OutputSchema
from chainproof.loadtests.user_files import load_check
from chainproof.results.manifest import Ending

Launch = Callable[..., Any]
RunServer = Callable[..., Any]

MODULE = '''
import json

def as_many(payload, answer):
    """A greeting for each name."""
    greetings = json.loads(answer.body)["greetings"]
    if len(greetings) != len(payload["names"]):
        return f"{len(greetings)} greetings for {len(payload['names'])} names"

def careless(payload, answer):
    return 1 / 0

def wordless(payload, answer):
    return False

def lengthy(payload, answer):
    return "word\\n" * 1000

def alone():
    return None

nothing = 3
'''


@pytest.fixture
def module(tmp_path: Path) -> Path:
    """A file of checks."""
    path = tmp_path / "checks.py"
    path.write_text(MODULE)
    return path


async def greet(told: Any) -> None:
    """Every fifth answer is short of a greeting; every tenth is none."""
    if told.number % 10 == 9:
        await told.answer(429, b'{"error": "slow down", "error_code": "rate_limited"}')
    else:
        count = 1 if told.number % 5 == 0 else 2
        await told.answer(200, json.dumps({"greetings": ["hello"] * count}).encode())


@pytest.mark.parametrize("processes", [(), ("--processes", "2")])
def test_what_an_own_check_says_is_a_departure(
    run_server: RunServer, launch: Launch, module: Path, processes: tuple[str, ...]
) -> None:
    """
    Asked of every 200 and of nothing else; what it says against is failed, counted, in the findings and the report.
    """
    words = ["--rate=50", "--arrivals=constant", "--duration=1s", "--objective=error_rate < 90%"]
    with run_server(greet) as server:
        done = launch(server, *words, f"--check={module}:as_many", *processes).end()
    run = done.run
    counts = {count.clause: count for count in run.clauses}
    found = next(finding for finding in run.findings if finding.clause == USER_CHECK.id)
    exemplars = [each for each in run.exemplars if each.reason.startswith("user-check")]

    assert 0 == done.code, done.errors
    assert (45, 10) == (counts[USER_CHECK.id].exercised, counts[USER_CHECK.id].violations)
    assert ("1 greetings for 2 names", 10) == (found.actual, found.count)
    assert found.reproduce.startswith("curl")
    assert exemplars
    assert all(each.request_id for each in exemplars)
    assert (35, 15) == (summarise_load(run).accounting.ok, summarise_load(run).accounting.failed)
    assert "1 greetings for 2 names" in done.output
    assert str(module) in run.manifest.settings["check"]


@pytest.mark.parametrize("check", ["careless", "wordless"])
def test_a_check_that_cannot_be_asked_breaks_the_run(
    run_server: RunServer, launch: Launch, module: Path, check: str
) -> None:
    """
    Its author is to be told: with 70, the exception, and accounts that add up; the target is not to responsible.
    """
    with run_server(greet) as server:
        done = launch(server, "--rate=20", "--duration=5s", f"--check={module}:{check}").end()
    summary = summarise_load(done.run)

    assert 70 == done.code
    assert ("ZeroDivisionError" if check == "careless" else "to return None or words") in done.errors
    assert Ending.INTERNAL_ERROR is done.run.end.ending
    assert summary.accounting.adds_up
    assert summary.accounting.ok >= 1


WRONG = {
    "no function": (":nothing", "has no function 'nothing'; it has alone, as_many, careless"),
    "no such function": (":missing", "has no function 'missing'"),
    "no name": ("", "expected FILE.py:function"),
    "other parameters": (":alone", "to take a payload and an answer"),
}


@pytest.mark.parametrize("wrong", WRONG)
def test_a_check_that_is_none_is_said(module: Path, wrong: str) -> None:
    """
    Before anything is sent, with what is there instead.
    """
    name, said = WRONG[wrong]
    with pytest.raises(UsageError) as refused:
        load_check(f"{module}{name}")

    assert said in str(refused.value)


def test_a_check_is_spared_what_is_no_output(module: Path) -> None:
    """
    Errors and bodies that are no JSON object are other clauses' business; what is said is cut to a line.
    """
    checking = UserCheck(f"{module}:lengthy")
    fine = Answer(status=200, headers=(), body=b"{}")
    torn = Violation(clause=clauses.OUTPUT_JSON, expected="JSON", actual="none")
    found = checking({}, fine, ())

    assert () == checking({}, Answer(status=429, headers=()), ())
    assert (torn,) == checking({}, fine, (torn,))
    assert [USER_CHECK] == [violation.clause for violation in found]
    assert MAX_MESSAGE_LENGTH == len(found[0].actual)
    assert "\n" not in found[0].actual


@given(st.integers(1, 300), st.floats(0.01, 1))
def test_outputs_are_sampled_evenly(count: int, share: float) -> None:
    """
    The share that was asked for, from the first one on, and no luck in it.
    """
    holding = OutputCheck(OutputSchema(source="s", document={"type": "object", "required": ["a"]}), share)
    answer = Answer(status=200, headers=(), body=b"{}")
    violations = sum(bool(holding(answer, ())) for _ in range(count))

    assert violations == holding.outputs_checked
    assert count * share <= violations <= count * share + 1


def test_a_sample_says_how_many_it_held(run_server: RunServer, launch: Launch, tmp_path: Path) -> None:
    """
    The clause is exercised as often as an output was held against it, not as often as there was one.
    """
    (tmp_path / "schema.json").write_text('{"type": "object", "required": ["greetings"]}')
    with run_server(greet) as server:
        words = ["--rate=50", "--arrivals=constant", "--duration=1s", f"--output-schema={tmp_path / 'schema.json'}"]
        done = launch(server, *words, "--output-sample=10%").end()
    counts = {count.clause: count for count in done.run.clauses}

    assert (5, 0) == (counts["output-schema"].exercised, counts["output-schema"].violations)
    assert 0.1 == done.run.manifest.settings["output_sample"]
