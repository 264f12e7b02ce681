"""Payloads are generated from the input schema, and outputs are checked against the output schema."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Callable, Iterable
from dataclasses import replace
from pathlib import Path
from typing import Any

import orjson
import pytest

from chainproof.chain_schema.loading import load_input_schema
from chainproof.command import build_parser
from chainproof.contract import clauses
from chainproof.contract.answer import Answer
from chainproof.contract.clauses import OUTPUT_SCHEMA
from chainproof.contract.levels import Contract
from chainproof.contract.violations import violations
from chainproof.errors import UsageError
from chainproof.loadtests.command import main
from chainproof.loadtests.demand import Shard, demand
from chainproof.loadtests.distributed.messages import Assignment
from chainproof.loadtests.engine.schema_check import MAX_DETAILED_OUTPUTS, SHORT_OUTPUT_BYTES, OutputCheck
from chainproof.loadtests.locust_arguments import add_locust_options, locust_arguments
from chainproof.loadtests.options import FORM_OPTIONS, OPTIONS
from chainproof.loadtests.output_schema import OutputSchema
from chainproof.loadtests.recording.assessment import Assessment, has_object_output
from chainproof.loadtests.recording.exemplars import OTHER_VIOLATIONS, ClauseCounter
from chainproof.loadtests.user_files import load_output
from chainproof.results.exchange import Outcome, Result, Transport
from chainproof.results.finding import ClauseCount
from chainproof.results.folder import read_run
from chainproof.results.intervals.interval import total
from chainproof.target_options import TargetOptions

from ...processes import run_process
from ..conftest import locust_command, locust_environment

RunServer = Callable[..., Any]
Launch = Callable[..., Any]

HELLO = f"{Path(__file__).parents[3] / 'docs' / 'chain' / 'hello.py'}:Hello"
BOTH = ("--input-schema", HELLO, "--output-schema", HELLO)
SHORT_RUN = ("--rate", "80", "--arrivals", "constant", "--duration", "500ms")
FIELDS = (("Content-Type", "application/json"), ("X-BASETEN-REQUEST-ID", "1"))
GOOD = b'{"greetings": ["Hello, Ada"], "longest": 10}'
BAD = b'{"greetings": [1, "secret"], "longest": 10}'


async def good(request: Any) -> None:
    """Answer with a valid output of the sample chain."""
    await request.answer(body=GOOD)


async def bad(request: Any) -> None:
    """Answer with an invalid output."""
    await request.answer(body=BAD)


def options(*arguments: str) -> argparse.Namespace:
    """The options of `chainproof loadtests` with these arguments."""
    return build_parser("loadtests", "…", options=OPTIONS).parse_args(arguments)


def bodies(requests: list[bytes]) -> set[bytes]:
    """The bodies of requests."""
    return {request.partition(b"\r\n\r\n")[2] for request in requests}


def generated(seed: int) -> set[bytes]:
    """The payloads that a run with this seed can send."""
    with_schema = demand(options("--input-schema", HELLO, "--seed", str(seed)), None)
    return {payload.encoded() for payload in with_schema.workload.payloads}


def schema_counts(counts: Iterable[ClauseCount]) -> list[tuple[int, int]]:
    """How often outputs were checked against the schema, and how often they were invalid."""
    return [(count.exercised, count.violations) for count in counts if count.clause == clauses.OUTPUT_SCHEMA.id]


# ------------------------------------------------------------------ the sample chain


def test_the_sample_chain_accepts_generated_payloads(launch: Launch) -> None:
    """There is no 400, because all payloads are valid. The chain itself rejects an empty greeting with a 502."""
    emulator = (sys.executable, "-m", "chainproof", "emulator", "--chain", HELLO, "--")
    done = launch(None, *BOTH, "--rate", "50", "--duration", "1s", "--seed", "4", wrapper=emulator).end()
    statuses = {outcome.status: count for outcome, count in total(done.run.intervals).outcomes.items()}

    assert statuses.keys() <= {200, 502}, done.errors
    assert statuses[200] > 20
    assert schema_counts(done.run.clauses) == [(statuses[200], 0)]
    assert [HELLO, HELLO] == [done.run.manifest.settings[name] for name in ("input_schema", "output_schema")]
    assert ["generated"] == done.run.manifest.settings["payloads"]


# ------------------------------------------------------------------ inputs


def test_the_same_seed_generates_the_same_payloads() -> None:
    """Another seed generates other payloads; all are valid inputs."""
    schema = load_input_schema(HELLO)

    assert generated(1) == generated(1)
    assert generated(1) != generated(2)
    assert len(generated(1)) == 50
    assert all(schema.accepts(orjson.loads(body)) for body in generated(1))


# ------------------------------------------------------------------ inputs and outputs of runs


@pytest.mark.parametrize("processes", [(), ("--processes", "2")])
def test_a_run_sends_generated_payloads_and_checks_outputs(
    run_server: RunServer, launch: Launch, processes: tuple[str, ...]
) -> None:
    """
    Generated payloads replace those of the workload. Answers with invalid outputs have failed, and one finding names the
    place of the error without the value found there. With and without workers.
    """
    with run_server(good, bad) as server:
        done = launch(server, *SHORT_RUN, "--seed", "9", *BOTH, *processes).end()
    findings = [finding for finding in done.run.findings if finding.clause == "output-schema"]

    assert 40 == len(server.requests), done.errors
    assert bodies(server.requests) <= generated(9)
    assert len(bodies(server.requests)) > 20
    assert (20, 20) == (done.accounting["ok"], done.accounting["failed"]), done.errors
    assert schema_counts(done.run.clauses) == [(40, 20)]
    assert [20] == [finding.count for finding in findings]
    assert "`greetings[0]`" in findings[0].actual
    assert HELLO in findings[0].expected
    assert "secret" not in findings[0].actual


def test_the_locust_command_uses_both_schemas(run_server: RunServer, tmp_path: Path, key: str) -> None:
    """`locust -f locustfile.py --headless` generates the same payloads and checks the same outputs."""
    words = ["--headless", "--skip-log-setup", *SHORT_RUN, *BOTH, "--seed", "9", "--out", str(tmp_path / "run")]
    with run_server(bad) as server:
        run_process(locust_command(*words, "--target", server.target.origin), env=locust_environment(key))

    assert bodies(server.requests) <= generated(9)
    assert schema_counts(read_run(tmp_path / "run").clauses) == [(40, 40)]


@pytest.mark.parametrize(
    ("status", "body", "exercised", "violated"),
    [
        (200, GOOD, 1, []),
        (200, BAD, 1, ["output-schema"]),
        (200, b"{}", 1, ["output-schema"]),
        (200, b"[1]", 0, ["output-object"]),
        (200, b"nonsense", 0, ["output-json"]),
        (201, b"{}", 0, ["status"]),
        (502, b"{}", 0, []),
    ],
)
def test_only_json_objects_are_checked_against_the_schema(
    status: int, body: bytes, exercised: int, violated: list[str]
) -> None:
    """Other answers violate another clause, and no answer violates two for the same reason."""
    answer, counts = (
        Answer(status=status, headers=FIELDS, body=body),
        ClauseCounter(Contract.STRICT, has_output_schema=True),
    )
    found = OutputCheck(load_output(HELLO))(answer, violations(answer))
    outcome = Outcome(Transport.ANSWERED, status, None, Result.OK)
    counts.add(Assessment(outcome, "", found, (OUTPUT_SCHEMA,) * has_object_output(answer, found)))

    assert violated == [violation.clause.id for violation in found]
    assert schema_counts(counts.counts()) == [(exercised, violated.count("output-schema"))]


def test_a_limited_number_of_long_outputs_gets_detailed_errors() -> None:
    """Locating errors in long outputs takes milliseconds, so later ones are only counted. Short ones always get details."""
    check = OutputCheck(load_output(HELLO))
    long = Answer(
        status=200, headers=FIELDS, body=json.dumps({"greetings": [1] * SHORT_OUTPUT_BYTES, "longest": 1}).encode()
    )
    actuals = [check(long, ())[0].actual for _ in range(MAX_DETAILED_OUTPUTS + 2)]
    short = check(Answer(status=200, headers=FIELDS, body=BAD), ())[0].actual

    assert [f"an invalid one: {OTHER_VIOLATIONS}"] * 2 == actuals[MAX_DETAILED_OUTPUTS:]
    assert all("`greetings[0]`" in actual for actual in [*actuals[:MAX_DETAILED_OUTPUTS], short])


def test_assignments_contain_the_output_schema() -> None:
    """Workers get the schema as data; its numbers may exceed 64 bits."""
    output = OutputSchema(source="a.py:B", document={"properties": {"a": {"maximum": 2**70, "title": "\ud800"}}})
    with_schema = replace(demand(options(), None), output=output)
    assignment = Assignment(
        run="r", shard=Shard(), demand=with_schema, target=TargetOptions(url="http://[::1]:1"), emulated=False
    )

    assert assignment == Assignment.decode(assignment.encode())


# ------------------------------------------------------------------ usage errors and lazy imports


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--input-schema", HELLO, "--payloads", "p.jsonl"), "expected --payloads or --input-schema, found both"),
        (("--input-schema", "nothing"), "expected FILE.json, FILE.py:Class or package.module:Class, found 'nothing'"),
        (("--output-schema", "missing.json"), "cannot read the schema missing.json: No such file"),
        (("--output-schema", f"{HELLO}o"), "has no class 'Helloo'; it has Hello"),
        (("--input-schema", "unsatisfiable.json"), "found no JSON object that is valid by unsatisfiable.json"),
    ],
)
def test_usage_errors_are_one_line(
    arguments: tuple[str, ...], message: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    """Both our command and Locust's parser report them before anything is sent."""
    monkeypatch.chdir(tmp_path)
    Path("unsatisfiable.json").write_text('{"not": {}}')
    locust_parser = argparse.ArgumentParser()
    add_locust_options(locust_parser)

    assert 2 == main(arguments)
    stderr = capsys.readouterr().err
    assert message in stderr
    assert 1 == stderr.count("\n")
    with pytest.raises(UsageError) as raised:
        demand(locust_parser.parse_args(arguments), None)
    assert message in str(raised.value)


def test_schema_options_reach_locust_but_not_the_web_form() -> None:
    """They may name code to import, so only the person who starts the process can set them."""
    passed_on = set(locust_arguments(options(*BOTH), TargetOptions(), Path("out")))

    assert {f"--input-schema={HELLO}", f"--output-schema={HELLO}"} <= passed_on
    assert not {"input_schema", "output_schema"} & {option.dest for option in FORM_OPTIONS}


def test_validators_are_imported_only_if_needed() -> None:
    """Importing pydantic and jsonschema_rs takes longer than the rest of a command."""
    script = (
        "import argparse, sys; from chainproof.loadtests import command, options, demand\n"
        "parser = command.build_parser('loadtests', '', options=options.OPTIONS)\n"
        "demand.demand(parser.parse_args([]), None)\n"
        "print([name for name in ('pydantic', 'jsonschema_rs', 'chainproof.chain_schema.loading') if name in sys.modules])"
    )
    done = run_process([sys.executable, "-P", "-c", script])

    assert ("[]\n", "") == (done.stdout, done.stderr)
