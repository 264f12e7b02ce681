"""
A chain's own signature under load: payloads made from its input, every 200 held against its output.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterable
from dataclasses import replace
from pathlib import Path
from typing import Any

import orjson
import pytest

from chainproof.command import build_parser
from chainproof.contract import clauses
from chainproof.contract.answer import Answer
from chainproof.contract.chain_schema import load_input_schema
from chainproof.contract.levels import Contract
from chainproof.contract.violations import violations
from chainproof.errors import UsageError
from chainproof.loadtests.command import LOCUSTFILE, main
from chainproof.loadtests.demand import Shard, demand
from chainproof.loadtests.distributed.messages import Assignment
from chainproof.loadtests.engine.schema_check import MAX_DETAILED_OUTPUTS, SHORT_OUTPUT_BYTES, OutputCheck
from chainproof.loadtests.options import FORM_OPTIONS, OPTIONS, add_locust_options, locust_arguments
from chainproof.loadtests.output_schema import OutputSchema
from chainproof.loadtests.recording.exemplars import OTHER_VIOLATIONS, ClauseCounter
from chainproof.loadtests.user_files import load_output
from chainproof.results.finding import ClauseCount
from chainproof.results.folder import read_run
from chainproof.results.interval import total
from chainproof.target_options import TargetOptions

RunServer = Callable[..., Any]
Launch = Callable[..., Any]

HELLO = f"{Path(__file__).parents[2] / 'docs' / 'chain' / 'hello.py'}:Hello"
BOTH = ("--input-schema", HELLO, "--output-schema", HELLO)
FEW = ("--rate", "40", "--arrivals", "constant", "--duration", "1s")
FIELDS = (("Content-Type", "application/json"), ("X-BASETEN-REQUEST-ID", "1"))
GOOD = b'{"greetings": ["Hello, Ada"], "longest": 10}'
BAD = b'{"greetings": [1, "secret"], "longest": 10}'


async def good(told: Any) -> None:
    """An output as the sample chain has it."""
    await told.answer(body=GOOD)


async def bad(told: Any) -> None:
    """An object of another shape."""
    await told.answer(body=BAD)


def options(*words: str) -> argparse.Namespace:
    """
    The options of `chainproof loadtests` with these arguments.
    """
    return build_parser("loadtests", "…", options=OPTIONS).parse_args(words)


def bodies(requests: list[bytes]) -> set[bytes]:
    """
    What requests carried.
    """
    return {request.partition(b"\r\n\r\n")[2] for request in requests}


def made(seed: int) -> set[bytes]:
    """
    What a run with a seed may send.
    """
    asked = demand(options("--input-schema", HELLO, "--seed", str(seed)), None)
    return {payload.encoded() for payload in asked.workload.payloads}


def of_schema(counts: Iterable[ClauseCount]) -> list[tuple[int, int]]:
    """
    How often outputs were held against the schema, and how often they differed.
    """
    return [(count.exercised, count.violations) for count in counts if count.clause == clauses.OUTPUT_SCHEMA.id]


# ------------------------------------------------------------------ against the chain itself


def test_the_sample_chain_takes_what_is_made_and_returns_what_it_says(launch: Launch) -> None:
    """
    No 400: every payload is an input of the chain's. A greeting of no characters it refuses by itself, with a 502.
    """
    emulator = (sys.executable, "-m", "chainproof", "emulator", "--chain", HELLO, "--")
    done = launch(None, *BOTH, "--rate", "50", "--duration", "3s", "--seed", "4", wrapper=emulator).end()
    statuses = {outcome.status: count for outcome, count in total(done.run.intervals).outcomes.items()}

    assert statuses.keys() <= {200, 502}, done.errors
    assert statuses[200] > 75
    assert of_schema(done.run.clauses) == [(statuses[200], 0)]
    assert [HELLO, HELLO] == [done.run.manifest.settings[name] for name in ("input_schema", "output_schema")]
    assert ["generated"] == done.run.manifest.settings["payloads"]


# ------------------------------------------------------------------ inputs


def test_the_same_seed_makes_the_same_payloads() -> None:
    """
    Another seed makes others; each is an input of the chain's.
    """
    schema = load_input_schema(HELLO)

    assert made(1) == made(1)
    assert made(1) != made(2)
    assert len(made(1)) == 50
    assert all(schema.accepts(orjson.loads(body)) for body in made(1))


@pytest.mark.parametrize("processes", [(), ("--processes", "2")])
def test_a_run_sends_what_was_made(run_server: RunServer, launch: Launch, processes: tuple[str, ...]) -> None:
    """
    In place of the workload's payloads, from one process or several.
    """
    with run_server(good) as server:
        done = launch(server, *FEW, "--seed", "9", "--input-schema", HELLO, *processes).end()

    assert 40 == len(server.requests) == done.accounting["ok"], done.errors
    assert bodies(server.requests) <= made(9)
    assert len(bodies(server.requests)) > 20
    assert of_schema(done.run.clauses) == []


# ------------------------------------------------------------------ outputs


@pytest.mark.parametrize("processes", [(), ("--processes", "2")])
def test_an_output_of_another_shape_has_failed(
    run_server: RunServer, launch: Launch, processes: tuple[str, ...]
) -> None:
    """
    Each is failed, counted, and one finding says where it differs, with nothing of what stood there.
    """
    with run_server(good, bad) as server:
        done = launch(server, *FEW, "--output-schema", HELLO, *processes).end()
    found = [finding for finding in done.run.findings if finding.clause == "output-schema"]

    assert (20, 20) == (done.accounting["ok"], done.accounting["failed"]), done.errors
    assert of_schema(done.run.clauses) == [(40, 20)]
    assert [20] == [finding.count for finding in found]
    assert "`greetings[0]`" in found[0].actual
    assert HELLO in found[0].expected
    assert "secret" not in found[0].actual


def test_locusts_own_door_has_them_too(run_server: RunServer, tmp_path: Path, key: str) -> None:
    """
    `locust -f locustfile.py --headless` makes the same payloads and holds the same outputs.
    """
    words = ["-f", str(LOCUSTFILE), "--headless", "--skip-log-setup", *FEW, *BOTH, "--seed", "9"]
    with run_server(bad) as server:
        subprocess.run(
            [sys.executable, "-m", "locust", *words, "--target", server.target.origin, "--out", str(tmp_path / "run")],
            capture_output=True, check=False, timeout=30, stdin=subprocess.DEVNULL,
            env={**os.environ, "BASETEN_API_KEY": key},
        )  # fmt: skip

    assert bodies(server.requests) <= made(9)
    assert of_schema(read_run(tmp_path / "run").clauses) == [(40, 40)]


@pytest.mark.parametrize(
    ("status", "body", "exercised", "departs"),
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
def test_only_an_object_of_a_200_is_held_against_the_schema(
    status: int, body: bytes, exercised: int, departs: list[str]
) -> None:
    """
    What is no output, or no JSON object, is no violation twice.
    """
    answer, counts = (
        Answer(status=status, headers=FIELDS, body=body),
        ClauseCounter(Contract.STRICT, has_output_schema=True),
    )
    found = OutputCheck(load_output(HELLO))(answer, violations(answer))
    counts.add(answer, found)

    assert departs == [violation.clause.id for violation in found]
    assert of_schema(counts.counts()) == [(exercised, departs.count("output-schema"))]


def test_long_outputs_are_told_of_so_often_and_counted_ever_after() -> None:
    """
    Telling where a long one differs takes milliseconds, which the requests of a load run do not have; a short one is told.
    """
    outputs_checked = OutputCheck(load_output(HELLO))
    long = Answer(
        status=200, headers=FIELDS, body=json.dumps({"greetings": [1] * SHORT_OUTPUT_BYTES, "longest": 1}).encode()
    )
    told = [outputs_checked(long, ())[0].actual for _ in range(MAX_DETAILED_OUTPUTS + 2)]
    short = outputs_checked(Answer(status=200, headers=FIELDS, body=BAD), ())[0].actual

    assert [f"another one: {OTHER_VIOLATIONS}"] * 2 == told[MAX_DETAILED_OUTPUTS:]
    assert all("`greetings[0]`" in actual for actual in [*told[:MAX_DETAILED_OUTPUTS], short])


def test_an_order_carries_the_output_whatever_its_numbers() -> None:
    """
    A worker needs the schema, and not the class it came from; a bound may be beyond 64 bits.
    """
    output = OutputSchema(source="a.py:B", document={"properties": {"a": {"maximum": 2**70, "title": "\ud800"}}})
    asked = replace(demand(options(), None), output=output)
    order = Assignment(run="r", shard=Shard(), demand=asked, target=TargetOptions(url="http://[::1]:1"), emulated=False)

    assert order == Assignment.decode(order.encode())


# ------------------------------------------------------------------ what is asked wrongly, and what is not asked


@pytest.mark.parametrize(
    ("words", "mistake"),
    [
        (("--input-schema", HELLO, "--payloads", "p.jsonl"), "expected --payloads or --input-schema, found both"),
        (("--input-schema", "nothing"), "expected FILE.json, FILE.py:Class or package.module:Class, found 'nothing'"),
        (("--output-schema", "missing.json"), "cannot read the schema missing.json: No such file"),
        (("--output-schema", f"{HELLO}o"), "has no class 'Helloo'; it has Hello"),
        (("--input-schema", "hopeless.json"), "no JSON object that hopeless.json takes was found"),
    ],
)
def test_what_is_asked_wrongly_is_said_in_one_line(
    words: tuple[str, ...], mistake: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    """
    At both doors, before anything is sent.
    """
    monkeypatch.chdir(tmp_path)
    Path("hopeless.json").write_text('{"not": {}}')
    locusts = argparse.ArgumentParser()
    add_locust_options(locusts)

    assert 2 == main(words)
    said = capsys.readouterr().err
    assert mistake in said
    assert 1 == said.count("\n")
    with pytest.raises(UsageError) as raised:
        demand(locusts.parse_args(words), None)
    assert mistake in str(raised.value)


def test_both_are_passed_on_to_locust_and_no_page_asks_for_them() -> None:
    """
    They may name code that is run: that is for whoever starts the process.
    """
    passed_on = set(locust_arguments(options(*BOTH), TargetOptions(), Path("out")))

    assert {f"--input-schema={HELLO}", f"--output-schema={HELLO}"} <= passed_on
    assert not {"input_schema", "output_schema"} & {option.dest for option in FORM_OPTIONS}


def test_nothing_is_loaded_that_nobody_asked_for() -> None:
    """
    Pydantic and the validator take longer to load than all the rest of a command.
    """
    script = (
        "import argparse, sys; from chainproof.loadtests import command, options, demand\n"
        "parser = command.build_parser('loadtests', '', options=options.OPTIONS)\n"
        "demand.demand(parser.parse_args([]), None)\n"
        "print([name for name in ('pydantic', 'jsonschema_rs', 'chainproof.contract.chain_schema') if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-P", "-c", script], capture_output=True, text=True, check=False)

    assert ("[]\n", "") == (done.stdout, done.stderr)
