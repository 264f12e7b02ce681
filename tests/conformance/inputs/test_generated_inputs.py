"""Inputs that the checks make from the chain's schema: values at their bounds, invalid inputs, labels, and Schemathesis's document."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from chainproof.chain_schema.loading import load_input_schema
from chainproof.chain_schema.schema import Schema
from chainproof.conformance.inputs.boundary_inputs import boundary_inputs
from chainproof.conformance.inputs.generated_inputs import distinct_inputs, input_label, rich_input
from chainproof.conformance.inputs.invalid_inputs import invalid_inputs, loosely_written_inputs
from chainproof.conformance.inputs.strategies import valid_inputs
from chainproof.conformance.probing.schemathesis_operation import schemathesis_operation

CHAIN = """
from typing import Annotated, Literal
from pydantic import BaseModel, Field

class Opts(BaseModel):
    repeat: int = Field(1, ge=1, le=120)
    tag: str | None = Field(None, max_length=5)

class Hello:
    def run_remote(
        self,
        names: Annotated[list[Annotated[str, Field(min_length=2, max_length=7)]], Field(min_length=1, max_length=9)],
        kind: Literal["x", "y"],
        share: Annotated[float, Field(gt=0, le=0.5)] = 0.5,
        opts: Opts = Opts(),
    ) -> None: ...
"""


@pytest.fixture(name="schema")
def fixture_schema(tmp_path: Path) -> Schema:
    """The input schema of a class with bounds."""
    (tmp_path / "bounded.py").write_text(CHAIN)
    return load_input_schema(f"{tmp_path / 'bounded.py'}:Hello")


def test_boundary_inputs_are_valid_and_at_the_bounds(schema: Schema) -> None:
    """
    Lengths in characters of several scripts, numbers in every notation, array lengths, members of an enum, and optional values
    left out.
    """
    found = {body.label: json.loads(body.content) for body in boundary_inputs(schema)}

    assert all(map(schema.accepts, found.values()))
    assert "🙂" * 7 == found["`names[0]` with 7 characters beyond U+FFFF"]["names"][0]
    assert 2 == len(found["`names[0]` with 2 letters with accents"]["names"][0])
    assert {"`opts.repeat` is 12E+1", "`opts.repeat` is 120.0", "`opts.repeat` is 1", "`share` is 0.50"} <= found.keys()
    assert [1, 9] == [len(found[f"`names` with {length} items"]["names"]) for length in (1, 9)]
    assert {"x", "y"} == {value["kind"] for value in found.values()}
    assert "opts" not in found["no `opts`, which is optional"]


def test_invalid_inputs_are_rejected_by_the_model(schema: Schema) -> None:
    """One change each: another type, a bound exceeded by one, a missing required argument, no member of an enum."""
    found = {body.label: json.loads(body.content) for body in invalid_inputs(schema)}

    assert all(map(schema.surely_rejects, found.values()))
    assert {
        "`opts.repeat` is 121",
        "`opts.repeat` is 0",
        "`names[0]` with 8 characters",
        "no `kind`, which is required",
        "`kind` is not a member of its enum",
        "`kind` is a member of its enum in another letter case",
        "`opts.repeat` is 10^400",
        "an object as `names`",
        "null as `names`",
    } <= found.keys()
    # The service takes null for an argument with a default.
    assert "null as `opts`" not in found


def test_times_are_also_written_loosely() -> None:
    """A model may read a time without a zone, which the format of JSON Schema does not allow."""
    schema = Schema(
        source="times.json",
        document={
            "type": "object",
            "properties": {
                "start": {"type": "string", "format": "date-time"},
                "id": {"type": "string", "format": "uuid"},
            },
            "required": ["start", "id"],
        },
    )
    found = {body.label: json.loads(body.content) for body in loosely_written_inputs(schema)}

    assert "2026-02-28T23:59:59" == found["a time without a zone as `start`"]["start"]
    assert 5 == len(found)
    assert not any(map(schema.accepts, found.values()))


def test_null_against_a_type_hint_is_named(schema: Schema) -> None:
    """The label of a finding says that the type hint does not allow null."""
    content = b'{"names":["Ada"],"kind":"x","opts":null}'

    assert "null for an argument whose type hint does not allow it: `opts`" == input_label(schema, content)
    assert "an input that matches the schema" == input_label(schema, content.replace(b',"opts":null', b""))


def test_distinct_inputs_are_different_and_valid(schema: Schema) -> None:
    """As many as asked for, the longest first, the same for the same seed."""
    found = distinct_inputs(schema, 8, 1)

    assert 8 == len(set(found))
    assert all(schema.accepts(json.loads(content)) for content in found)
    assert found == distinct_inputs(schema, 8, 1) != distinct_inputs(schema, 8, 2)


@settings(max_examples=30, deadline=None)
@given(st.data())
def test_hypothesis_draws_valid_inputs(data: st.DataObject) -> None:
    """The generator of the load tests, driven by Hypothesis."""
    document: dict[str, Any] = {
        "type": "object",
        "properties": {"id": {"type": "string", "pattern": "^[A-Z]{2}-\\d{4}$"}, "v": {"type": "array", "items": {"type": "number"}}},
        "required": ["id"],
    }  # fmt: skip
    schema = Schema(source="a test", document=document)

    assert schema.accepts(data.draw(valid_inputs(schema)))


@settings(max_examples=5, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.data())
def test_hypothesis_draws_large_inputs(data: st.DataObject) -> None:
    """Hypothesis would give up an input of a thousand values if it drew each of them."""
    items = {"type": "array", "items": {"type": "integer"}, "uniqueItems": True, "minItems": 1000}
    schema = Schema(source="a test", document={"type": "object", "properties": {"a": items}, "required": ["a"]})

    assert schema.accepts(data.draw(valid_inputs(schema)))


OTHER_DRAFTS: dict[str, dict[str, Any]] = {
    "an embedded id": {
        "$id": "https://chain.example/a",
        "properties": {"a": {"$ref": "b#c"}},
        "$defs": {"b": {"$id": "b", "$defs": {"c": {"$anchor": "c", "type": "integer"}}}},
    },
    "a reference inside const": {"properties": {"a": {"const": {"$ref": "#/nowhere"}}}},
    "a reference inside an extension": {"properties": {"a": {"type": "integer"}}, "x-tool": {"$ref": "#/nowhere"}},
    "draft 4": {
        "$schema": "http://json-schema.org/draft-04/schema#",
        "properties": {"a": {"type": "integer", "minimum": 0, "exclusiveMinimum": True}},
    },
    "a tuple of draft 7": {
        "$schema": "http://json-schema.org/draft-07/schema#",
        "properties": {"a": {"items": [{"$ref": "#/definitions/b"}], "additionalItems": False}},
        "definitions": {"b": {"type": "integer"}},
    },
    "recursion": {"properties": {"a": {"items": {"$ref": "#"}, "type": "array"}}},
}


@pytest.mark.parametrize("document", OTHER_DRAFTS.values(), ids=OTHER_DRAFTS)
def test_schemathesis_reads_every_draft(document: dict[str, Any]) -> None:
    """Its document has only references that it can follow, and keywords of draft 2020-12."""
    schema = Schema(source="a test", document={"type": "object", "required": ["a"], **document})
    strategy = schemathesis_operation(schema).as_strategy()

    @settings(max_examples=5, deadline=None, database=None)
    @given(strategy)
    def draw(case: Any) -> None:
        assert not isinstance(case.body, dict) or "a" in case.body

    draw()
    assert schema.accepts(json.loads(rich_input(schema)))
