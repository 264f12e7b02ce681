"""The user's check is a clause of its own, checked for every 200. Schema checks of outputs can be sampled."""

from __future__ import annotations

import json
import os
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
from chainproof.loadtests.engine.user_check import AnswerUserCheck
from chainproof.loadtests.output_schema import OutputSchema
from chainproof.reports.formatting import evidence
from chainproof.results.finding import finding
from chainproof.results.manifest import Ending
from chainproof.user_check import MAX_MESSAGE_LENGTH, load_check

Launch = Callable[..., Any]
RunServer = Callable[..., Any]
ALL_CASES = os.environ.get("CHAINPROOF_SAMPLE") == "all"

MODULE = '''
import json

def count_greetings(payload, answer):
    """A greeting for each name."""
    greetings = json.loads(answer.body)["greetings"]
    if len(greetings) != len(payload["names"]):
        return f"{len(greetings)} greetings for {len(payload['names'])} names"

def careless(payload, answer):
    return 1 / 0

def returns_false(payload, answer):
    return False

def lengthy(payload, answer):
    return "word\\n" * 1000

def alone():
    return None

not_a_function = 3
'''


@pytest.fixture
def module(tmp_path: Path) -> Path:
    """A Python file with checks."""
    path = tmp_path / "checks.py"
    path.write_text(MODULE)
    return path


async def greet(request: Any) -> None:
    """Answer 429 to every tenth request, with a missing greeting to every fifth, and correctly to the others."""
    if request.number % 10 == 9:
        await request.answer(429, b'{"error": "slow down", "error_code": "rate_limited"}')
    else:
        count = 1 if request.number % 5 == 0 else 2
        await request.answer(200, json.dumps({"greetings": ["hello"] * count}).encode())


@pytest.mark.parametrize("processes", [("--processes", "2"), *([()] if ALL_CASES else [])])
def test_a_message_of_the_check_is_a_violation(
    run_server: RunServer, launch: Launch, module: Path, processes: tuple[str, ...]
) -> None:
    """The check is called for every 200 only; answers with a message have failed and are in the findings and the report."""
    options = ["--rate=100", "--arrivals=constant", "--duration=500ms", "--objective=error_rate < 90%"]
    with run_server(greet) as server:
        done = launch(server, *options, f"--check={module}:count_greetings", *processes).end()
    run = done.run
    counts = {count.clause: count for count in run.clauses}
    violated = next(finding for finding in run.findings if finding.clause == USER_CHECK.id)
    exemplars = [each for each in run.exemplars if each.reason.startswith("user-check")]

    done.assert_verdict(0)
    assert (45, 10) == (counts[USER_CHECK.id].exercised, counts[USER_CHECK.id].violations)
    assert ("1 greetings for 2 names", 10) == (violated.actual, violated.count)
    assert " | curl " in violated.reproduce
    assert exemplars
    assert all(each.request_id for each in exemplars)
    assert (35, 15) == (summarise_load(run).accounting.ok, summarise_load(run).accounting.failed)
    assert "1 greetings for 2 names" in done.output
    assert str(module) in run.manifest.settings["check"]


@pytest.mark.parametrize("check", ["careless", "returns_false"])
def test_an_exception_in_a_check_is_an_error_of_the_user(
    run_server: RunServer, launch: Launch, module: Path, check: str
) -> None:
    """So is a return value other than None or str: exit code 70, an error message, and the accounting adds up."""
    with run_server(greet) as server:
        done = launch(server, "--rate=20", "--duration=5s", f"--check={module}:{check}").end()
    summary = summarise_load(done.run)

    assert 70 == done.code
    assert ("ZeroDivisionError" if check == "careless" else "to return None or a str") in done.errors
    assert 1 == done.errors.count("chainproof loadtests: your code: ")
    assert "Your code failed; this says nothing about the target" in " ".join(done.output.split())
    assert "internal error" not in done.errors + done.output
    if check == "careless":
        lines = [number for number, line in enumerate(module.read_text().splitlines(), 1) if "1 / 0" in line]
        assert f"({module}, line {lines[0]})" in done.errors
    assert Ending.INTERNAL_ERROR is done.run.end.ending
    assert summary.accounting.adds_up
    assert summary.accounting.ok >= 1


UNUSABLE = {
    "no function": (":not_a_function", "has no function 'not_a_function'; it has alone, careless, count_greetings"),
    "no such function": (":missing", "has no function 'missing'"),
    "no name": ("", "expected FILE.py:function"),
    "other parameters": (":alone", "to accept a payload and an answer"),
}


@pytest.mark.parametrize("case", UNUSABLE)
def test_an_unusable_check_is_a_usage_error(module: Path, case: str) -> None:
    """The message says what was found instead."""
    name, message = UNUSABLE[case]
    with pytest.raises(UsageError) as error:
        load_check(f"{module}{name}")

    assert message in str(error.value)


def test_the_check_is_called_for_json_objects_only(module: Path) -> None:
    """Errors and other bodies violate other clauses. A message is shortened to one line."""
    check = AnswerUserCheck(f"{module}:lengthy")
    fine = Answer(status=200, headers=(), body=b"{}")
    invalid_json = Violation(clause=clauses.OUTPUT_JSON, expected="JSON", actual="none")
    found = check({}, fine, ())

    assert () == check({}, Answer(status=429, headers=()), ())
    assert (invalid_json,) == check({}, fine, (invalid_json,))
    assert [USER_CHECK] == [violation.clause for violation in found]
    assert MAX_MESSAGE_LENGTH == len(found[0].actual)
    assert "\n" not in found[0].actual


@given(st.integers(1, 300), st.floats(0.01, 1))
def test_outputs_are_sampled_evenly(count: int, share: float) -> None:
    """The given share of outputs is checked, starting with the first, without randomness."""
    check = OutputCheck(OutputSchema(source="s", document={"type": "object", "required": ["a"]}), share)
    answer = Answer(status=200, headers=(), body=b"{}")
    violations = sum(bool(check(answer, ())) for _ in range(count))

    assert violations == check.outputs_checked
    assert count * share <= violations <= count * share + 1


def test_the_clause_counts_sampled_outputs_only(run_server: RunServer, launch: Launch, tmp_path: Path) -> None:
    """The clause counts as exercised for each output that was checked, not for each output."""
    (tmp_path / "schema.json").write_text('{"type": "object", "required": ["greetings"]}')
    with run_server(greet) as server:
        options = [
            "--rate=100",
            "--arrivals=constant",
            "--duration=500ms",
            f"--output-schema={tmp_path / 'schema.json'}",
        ]
        done = launch(server, *options, "--output-sample=10%").end()
    counts = {count.clause: count for count in done.run.clauses}

    assert (5, 0) == (counts["output-schema"].exercised, counts["output-schema"].violations)
    assert 0.1 == done.run.manifest.settings["output_sample"]


def test_messages_with_other_values_are_one_finding() -> None:
    """A check that names the value which it found does not flood the report; another message is another finding."""
    messages = ("negative total -795 for 'Ada'", "negative total -11644.5 for 'Bo'", "no total for 'Ada'")
    found = [
        finding(
            Violation(clause=USER_CHECK, expected="mine.py:check passes", actual=message), reproduce="", request_id=None
        )
        for message in messages
    ]

    assert [True, False] == [found[0].key == each.key for each in found[1:]]
    assert USER_CHECK.statement == evidence.statement(found[0])
