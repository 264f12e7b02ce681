"""
A chain with a known signature: what it takes is welcome, what it refuses is its own affair, what it gives is of its shape.
"""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from chainproof.conformance.checks import CHECKS
from chainproof.conformance.command import main
from chainproof.conformance.valid_inputs.chain_schema import (
    schemathesis_operation,
    simplest_input,
    valid_input_bodies,
    valid_inputs,
)
from chainproof.contract.chain_schema import Schema, SchemaError, load_input_schema, load_output_schema
from chainproof.contract.openapi import document

from .conftest import HANDWRITTEN_CHECKS, RunSuite, SuiteResult
from .endpoints import AnswerFunction, EndpointAnswer, EndpointRequest, error, rejection

HELLO = f"{Path(__file__).parents[2] / 'docs' / 'chain' / 'hello.py'}:Hello"
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
TAKES, GIVES = load_input_schema(HELLO), load_output_schema(HELLO)


def greeting(asked: EndpointRequest) -> EndpointAnswer:
    """
    An endpoint of the chain in docs/: what its signature refuses is a 400, other keys are passed over.
    """
    refusal = rejection(asked)
    if refusal is not None:
        return refusal
    value = json.loads(asked.body)
    if not TAKES.accepts(value):
        return error(400, None, "Input Parsing Error:\n  `names`: Field required.")
    lines = [f"{value.get('greeting') or 'Hello'}, {name}" for name in value["names"]]
    longest = max(map(len, lines), default=0)
    body = json.dumps({"greetings": lines, "longest": longest}).encode()
    return EndpointAnswer(status=200, body=body)


def but(answer: EndpointAnswer, *, when: bool = True) -> AnswerFunction:
    """
    The same endpoint with another answer to whatever names anybody.
    """

    def server(asked: EndpointRequest) -> EndpointAnswer:
        said = greeting(asked)
        named = said.status == 200 and json.loads(asked.body)["names"] != []
        return replace(answer, request_id=said.request_id) if named is when and said.status == 200 else said

    return server


def typed_endpoint(run_suite: RunSuite, server: AnswerFunction, **more: object) -> SuiteResult:
    """
    An examination of a chain whose signature is known, without echo and steering.
    """
    return run_suite(server, input_schema=TAKES, output_schema=GIVES, echo=False, steerable=False, examples=10, **more)


def test_whoever_keeps_to_the_signature_is_accused_of_nothing(run_suite: RunSuite) -> None:
    """
    400 to what the schema refuses is right, and both clauses that need a signature are put to the test.
    """
    examined = typed_endpoint(run_suite, greeting)

    assert [] == examined.lines
    assert examined.ledger._exercised["object-accepted"] > 15
    assert examined.ledger._exercised["output-schema"] > 15


@pytest.mark.parametrize(
    ("server", "clause", "actual"),
    [
        (but(error(400, "client_error")), "object-accepted", "status 400"),
        (but(error(502, "application_error")), "object-accepted", "status 502"),
        (
            but(EndpointAnswer(status=200, body=b'{"greetings":[1],"longest":0}')),
            "output-schema",
            "another one: `greetings[0]`",
        ),
        (
            but(EndpointAnswer(status=200, body=b'{"longest":-1,"greetings":[]}')),
            "output-schema",
            "another one: `longest`",
        ),
        (but(EndpointAnswer(status=200, body=b'["Hello"]')), "output-object", "status 200, an array"),
    ],
    ids=["400 to valid input", "502 to valid input", "another type", "beyond a bound", "no object"],
)
def test_a_departure_from_the_signature_is_named(
    server: AnswerFunction, clause: str, actual: str, run_suite: RunSuite
) -> None:
    """
    By the clause and no other, with what is wrong and nothing of what the output held.
    """
    examined = typed_endpoint(
        run_suite, server, checks=[check for check in CHECKS if check.name == "generated_objects_are_accepted"]
    )

    assert {clause} == examined.clauses, examined.lines
    assert all(found.actual.startswith(actual) for found in examined.findings)


def test_leniency_is_no_departure(run_suite: RunSuite) -> None:
    """
    The service passes over other keys and coerces numbers from strings: what it takes beyond its signature is its affair.
    """

    def lenient(asked: EndpointRequest) -> EndpointAnswer:
        said = greeting(asked)
        taken = rejection(asked) is None and said.status == 400
        return (
            EndpointAnswer(status=200, body=b'{"greetings":[],"longest":0}', request_id=said.request_id)
            if taken
            else said
        )

    assert [] == typed_endpoint(run_suite, lenient, checks=HANDWRITTEN_CHECKS).lines


def test_other_requests_carry_a_valid_input(run_suite: RunSuite) -> None:
    """
    A key that opens nothing, another method or another path: what is refused there would be taken otherwise.
    """
    heard: list[bytes] = []

    def server(asked: EndpointRequest) -> EndpointAnswer:
        if asked.method == "GET" or asked.values("authorization")[:1] == ["Api-Key wrong.key"]:
            heard.append(asked.body)
        return greeting(asked)

    typed_endpoint(
        run_suite, server, checks=[check for check in HANDWRITTEN_CHECKS if check.module in ("credentials", "routing")]
    )

    assert {b'{"names":[]}', b""} == set(heard)


@settings(max_examples=40, deadline=None)
@given(st.data())
def test_generated_inputs_are_valid(data: st.DataObject) -> None:
    """
    Each, also where the schema refers to itself, and however it is spelled.
    """
    schema = data.draw(st.sampled_from([TREE, TAKES]))

    assert schema.accepts(data.draw(valid_inputs(schema)))
    assert schema.accepts(json.loads(data.draw(valid_input_bodies(schema)).content))


def test_the_simplest_input_is_that() -> None:
    """
    The starting point of every check.
    """
    assert [b'{"value":0}', b'{"names":[]}'] == [simplest_input(TREE), simplest_input(TAKES)]


@pytest.mark.parametrize(
    "schema", [{"type": "string"}, {"type": "object", "required": ["x"], "properties": {"x": False}}]
)
def test_a_schema_without_objects_is_a_mistake(schema: dict[str, object]) -> None:
    """
    Nothing could be asked of a chain with that signature.
    """
    with pytest.raises(SchemaError, match="no JSON object can be generated"):
        simplest_input(Schema(source="nothing", document=schema))  # type: ignore[arg-type]


def test_the_document_stays_as_it_is() -> None:
    """
    A signature is put into a copy.
    """
    before = json.dumps(document())
    schemathesis_operation(TREE)

    assert before == json.dumps(document())


@pytest.mark.parametrize(
    ("schema", "said"),
    [
        ("missing.json", "cannot read the schema missing.json"),
        ("broken.json", "broken.json is not a JSON Schema"),
        ("string.json", "string.json: no JSON object can be generated"),
        ("chain.py:Nobody", "Nobody"),
    ],
)
def test_a_bad_schema_is_one_line(
    schema: str, said: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """
    Before anything is sent or started.
    """
    (tmp_path / "broken.json").write_text('{"type": 7}')
    (tmp_path / "string.json").write_text('{"type": "string"}')
    (tmp_path / "chain.py").write_text("class Chain: pass")
    monkeypatch.chdir(tmp_path)

    code = main(["--input-schema", schema, "--out", "run"])
    told = capsys.readouterr()

    assert 2 == code
    assert said in told.err
    assert (1, "") == (len(told.err.splitlines()), told.out)
