"""
With known input and output schemas, valid inputs must be accepted, outputs must match, and other inputs may be
treated in any way.
"""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from chainproof.chain_schema.error_text import SchemaError
from chainproof.chain_schema.loading import load_input_schema, load_output_schema
from chainproof.chain_schema.schema import Schema
from chainproof.conformance.command import main
from chainproof.conformance.inputs.generated_inputs import simplest_input
from chainproof.conformance.inputs.strategies import valid_input_bodies, valid_inputs
from chainproof.conformance.probing.schemathesis_operation import schemathesis_operation
from chainproof.conformance.runner import input_discovery
from chainproof.contract.openapi import document

from ..conftest import (
    LIGHT_CHECKS,
    LIGHT_HANDWRITTEN_CHECKS,
    SHORT_WAITS,
    RunSuite,
    SuiteResult,
    checks_in,
    checks_named,
)
from ..endpoints import AnswerFunction, EndpointAnswer, EndpointRequest, error, json_output, rejection, typed_chain

HELLO = f"{Path(__file__).parents[3] / 'docs' / 'chain' / 'hello.py'}:Hello"
TREE = Schema(
    source="a tree",
    document={
        "$ref": "#/$defs/Node",
        "$defs": {
            "Node": {
                "type": "object",
                "properties": {"value": {"type": "integer"}, "nodes": {"type": "array", "items": {"$ref": "#"}}},
                "required": ["value"],
            }
        },
    },
)
INPUT_SCHEMA, OUTPUT_SCHEMA = load_input_schema(HELLO), load_output_schema(HELLO)


def greeting(request: EndpointRequest) -> EndpointAnswer:
    """The chain of docs/: 400 for inputs that do not match its schema, and other members are ignored."""
    rejected = rejection(request)
    if rejected is not None:
        return rejected
    value = json.loads(request.body)
    if not INPUT_SCHEMA.accepts(value):
        return error(400, None, "Input Parsing Error:\n  `names`: Field required.")
    lines = [f"{value.get('greeting') or 'Hello'}, {name}" for name in value["names"]]
    longest = max(map(len, lines), default=0)
    body = json.dumps({"greetings": lines, "longest": longest}).encode()
    return EndpointAnswer(status=200, body=body)


def greeting_except(other: EndpointAnswer, *, when: bool = True) -> AnswerFunction:
    """The same endpoint with another answer where `names` is not empty, or where it is."""

    def server(request: EndpointRequest) -> EndpointAnswer:
        answer = greeting(request)
        has_names = answer.status == 200 and json.loads(request.body)["names"] != []
        return replace(other, request_id=answer.request_id) if has_names is when and answer.status == 200 else answer

    return server


def run_typed_suite(run_suite: RunSuite, server: AnswerFunction, **options: object) -> SuiteResult:
    """Run the checks against a chain with known schemas, without echo and errors on demand."""
    return run_suite(
        server,
        input_schema=INPUT_SCHEMA,
        output_schema=OUTPUT_SCHEMA,
        examples=10,
        **options,
    )


def test_a_chain_that_matches_its_schemas_has_no_findings(run_suite: RunSuite) -> None:
    """400 is right for inputs that do not match, and both clauses that need a schema are exercised."""
    result = run_typed_suite(run_suite, greeting, checks=LIGHT_CHECKS)

    assert [] == result.lines
    assert result.finding_recorder._exercised["object-accepted"] > 15
    assert result.finding_recorder._exercised["output-schema"] > 15


@pytest.mark.parametrize(
    ("server", "clause", "actual"),
    [
        (greeting_except(error(400, "client_error")), "object-accepted", "status 400"),
        (greeting_except(error(502, "application_error")), "object-accepted", "status 502"),
        (
            greeting_except(EndpointAnswer(status=200, body=b'{"greetings":[1],"longest":0}')),
            "output-schema",
            "one that does not: `greetings[0]`",
        ),
        (
            greeting_except(EndpointAnswer(status=200, body=b'{"longest":-1,"greetings":[]}')),
            "output-schema",
            "one that does not: `longest`",
        ),
        (greeting_except(EndpointAnswer(status=200, body=b'["Hello"]')), "output-object", "status 200, an array"),
    ],
    ids=["400 to valid input", "502 to valid input", "another type", "a number below its minimum", "an array"],
)
def test_a_violation_of_a_schema_is_reported(
    server: AnswerFunction, clause: str, actual: str, run_suite: RunSuite
) -> None:
    """The finding names the clause and what is wrong, but no value of the output."""
    result = run_typed_suite(run_suite, server, checks=checks_named("generated_objects_are_accepted"))

    assert {clause} == result.clauses, result.lines
    assert all(found.actual.startswith(actual) for found in result.findings)


OPTIONAL = Schema(
    source="a chain with optional arguments",
    document={
        "type": "object",
        "properties": {"text": {"type": "string"}} | {f"option_{number}": {"type": "string"} for number in range(9)},
        "required": ["text"],
    },
)


@pytest.mark.parametrize("is_slow", [True, False])
def test_a_chain_that_fails_without_an_optional_argument_is_tested_with_it(
    run_suite: RunSuite, monkeypatch: pytest.MonkeyPatch, *, is_slow: bool
) -> None:
    """The simplest input fails, and so do nearly all others: the run uses one that is accepted, and reports the failures."""
    monkeypatch.setattr(input_discovery, "SLOW_TARGET", -1.0 if is_slow else 60.0)

    server = typed_chain(
        OPTIONAL, lambda value: json_output({}) if len(value) >= 10 else error(502, "application_error")
    )
    selected = checks_named("wrong_keys_are_rejected")
    waits = replace(SHORT_WAITS, retry_pauses=(0.0, 0.0))
    result = run_suite(server, input_schema=OPTIONAL, checks=selected, waits=waits)

    assert {"object-accepted"} == result.clauses, result.lines
    assert ["status 502"] == [found.actual[:10] for found in result.findings]
    assert {} == result.skipped
    assert result.finding_recorder._exercised["key-verified"] > 5


def test_accepting_more_than_the_schema_is_not_a_violation(run_suite: RunSuite) -> None:
    """A chain may accept more than its schema: other members, or numbers in strings."""

    def lenient(request: EndpointRequest) -> EndpointAnswer:
        answer = greeting(request)
        is_other_input = rejection(request) is None and answer.status == 400
        return (
            EndpointAnswer(status=200, body=b'{"greetings":[],"longest":0}', request_id=answer.request_id)
            if is_other_input
            else answer
        )

    assert [] == run_typed_suite(run_suite, lenient, checks=LIGHT_HANDWRITTEN_CHECKS).lines


def test_a_failure_on_an_invalid_input_is_found(run_suite: RunSuite) -> None:
    """A chain that answers 500 where a required argument is missing violates `status`, and the finding names the argument."""

    def server(request: EndpointRequest) -> EndpointAnswer:
        answer = greeting(request)
        return error(500, None) if answer.status == 400 and b'"names"' not in request.body else answer

    name = "implementation_defined_json_gets_a_documented_answer"
    result = run_typed_suite(run_suite, server, checks=checks_named(name))

    assert {"status"} == result.clauses, result.lines
    assert "no `names`, which is required" in repr(result.findings)


def test_other_requests_carry_a_valid_input(run_suite: RunSuite) -> None:
    """
    Requests with a wrong key, method or path carry a valid input, so that only this error can be the cause. One check
    makes both invalid on purpose.
    """
    bodies: list[bytes] = []

    def server(request: EndpointRequest) -> EndpointAnswer:
        if request.method == "GET" or request.values("authorization")[:1] == ["Api-Key wrong.key"]:
            bodies.append(request.body)
        return greeting(request)

    checks = checks_in("credentials", "routing")
    run_typed_suite(
        run_suite, server, checks=[check for check in checks if check.name != "keys_are_checked_before_bodies"]
    )

    assert {b'{"names":[]}', b""} == set(bodies)


@settings(max_examples=40, deadline=None)
@given(st.data())
def test_generated_inputs_are_valid(data: st.DataObject) -> None:
    """In every serialization, and with a schema that refers to itself."""
    schema = data.draw(st.sampled_from([TREE, INPUT_SCHEMA]))

    assert schema.accepts(data.draw(valid_inputs(schema)))
    assert schema.accepts(json.loads(data.draw(valid_input_bodies(schema)).content))


def test_the_simplest_input_is_minimal() -> None:
    """The minimal body of the checks."""
    assert [b'{"value":0}', b'{"names":[]}'] == [simplest_input(TREE), simplest_input(INPUT_SCHEMA)]


@pytest.mark.parametrize(
    "schema", [{"type": "string"}, {"type": "object", "required": ["x"], "properties": {"x": False}}]
)
def test_a_schema_without_objects_is_an_error(schema: dict[str, object]) -> None:
    """Such a chain could not be sent any valid input."""
    with pytest.raises(SchemaError, match="found no JSON object that is valid by nothing"):
        simplest_input(Schema(source="nothing", document=schema))  # type: ignore[arg-type]


def test_the_document_is_not_changed() -> None:
    """The schema is put into a copy."""
    before = json.dumps(document())
    schemathesis_operation(TREE)

    assert before == json.dumps(document())


@pytest.mark.parametrize(
    ("schema", "message"),
    [
        ("missing.json", "cannot read the schema missing.json"),
        ("broken.json", "broken.json is not a JSON Schema: `type`: expected one of null"),
        (
            "misspelt.json",
            '`properties.a.type`: expected one of null, boolean, integer, number, string, array, object, found "strng"',
        ),
        ("torn.json", "the file is not JSON (expecting value at line 2, column 9)"),
        (
            "string.json",
            "found no JSON object that is valid by string.json: add `examples` to the schema, or use --payloads",
        ),
        ("infinite.json", "found a larger one at `properties.a.maximum`"),
        ("chain.py:Nobody", "Nobody"),
    ],
)
def test_a_bad_schema_is_one_line(
    schema: str, message: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """The error is reported before anything is sent or started."""
    (tmp_path / "broken.json").write_text('{"type": 7}')
    (tmp_path / "misspelt.json").write_text('{"properties": {"a": {"type": "strng"}}}')
    (tmp_path / "torn.json").write_text('{\n"type": }\n')
    (tmp_path / "string.json").write_text('{"type": "string"}')
    (tmp_path / "infinite.json").write_text('{"properties": {"a": {"maximum": 1e400}}}')
    (tmp_path / "chain.py").write_text("class Chain: pass")
    monkeypatch.chdir(tmp_path)

    code = main(["--input-schema", schema, "--out", "run"])
    output = capsys.readouterr()

    assert 2 == code
    assert message in output.err
    assert (1, "") == (len(output.err.splitlines()), output.out)
