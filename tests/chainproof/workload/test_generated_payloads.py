"""Tests of payloads that are generated from a JSON Schema."""

from __future__ import annotations

import datetime as dt
import os
import subprocess
import sys
import uuid
from enum import Enum
from random import Random
from typing import Annotated, Any, Literal

import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import BaseModel, Field, StringConstraints

from chainproof.chain_schema.inputs import InputGenerator
from chainproof.chain_schema.schema import Schema
from chainproof.errors import UsageError
from chainproof.workload import generated_payloads
from chainproof.workload.generated_payloads import MAX_PAYLOADS, MAX_SIZE, generate_payloads

Form = dict[str, Any]


def schema_of(document: Form) -> Schema:
    """A schema with a source."""
    return Schema(source="a test", document=document)


# ------------------------------------------------------------------ schemas that accept something


@st.composite
def strings(draw: st.DrawFn) -> Form:
    """Schemas of strings, with a length or a format."""
    if draw(st.booleans()):
        forms = [
            "date",
            "time",
            "date-time",
            "duration",
            "uuid",
            "hostname",
            "email",
            "uri",
            "ipv4",
            "ipv6",
            "password",
        ]
        return {"type": "string", "format": draw(st.sampled_from(forms))}
    low = draw(st.integers(0, 20))
    bounds = {"minLength": low, "maxLength": low + draw(st.integers(0, 20))}
    return {"type": "string", **{name: bounds[name] for name in draw(st.sets(st.sampled_from(sorted(bounds))))}}


@st.composite
def numbers(draw: st.DrawFn) -> Form:
    """Schemas of numbers, with bounds wide enough for a multiple."""
    kind = draw(st.sampled_from(["integer", "number"]))
    low = draw(st.integers(-(10**6), 10**6) | st.floats(-1e6, 1e6))
    bounds: Form = {}
    if draw(st.booleans()):
        bounds[draw(st.sampled_from(["minimum", "exclusiveMinimum"]))] = low
    if draw(st.booleans()):
        bounds[draw(st.sampled_from(["maximum", "exclusiveMaximum"]))] = low + draw(st.integers(21, 10**6))
    if draw(st.booleans()):
        bounds["multipleOf"] = draw(st.sampled_from([1, 2, 7, 0.5] if kind == "integer" else [1, 0.5, 0.25, 3]))
    return {"type": kind, **bounds}


named = st.none() | st.booleans() | st.integers(-9, 9) | st.text(st.characters(codec="utf-8"), max_size=3)
plain: st.SearchStrategy[Form] = st.one_of(
    strings(),
    numbers(),
    st.sampled_from(
        [{}, {"type": "null"}, {"type": "boolean"}, {"type": ["string", "null"]}, {"$ref": "#/$defs/Leaf"}]
    ),
    named.map(lambda value: {"const": value}),
    st.lists(named, min_size=1, max_size=4, unique_by=lambda value: (type(value), value)).map(
        lambda values: {"enum": values}
    ),
)


def objects(members: st.SearchStrategy[Form]) -> st.SearchStrategy[Form]:
    """Schemas of objects with some properties required."""
    properties = st.dictionaries(st.sampled_from(["a", "b", "c~/", "né"]), members, max_size=4)
    others = st.sampled_from([{}, {"additionalProperties": False}, {"additionalProperties": {"type": "integer"}}])
    return st.builds(
        lambda known, count, other: {
            "type": "object",
            "properties": known,
            "required": list(known)[:count],
            **other,
        },
        properties,
        st.integers(0, 4),
        others,
    )


def larger(members: st.SearchStrategy[Form]) -> st.SearchStrategy[Form]:
    """Schemas that contain others."""
    few = st.lists(members, min_size=1, max_size=3)
    return st.one_of(
        objects(members),
        st.builds(
            lambda items, low, more: {"type": "array", "items": items, "minItems": low, "maxItems": low + more},
            members,
            st.integers(0, 3),
            st.integers(0, 3),
        ),
        few.map(lambda items: {"type": "array", "prefixItems": items, "minItems": len(items), "maxItems": len(items)}),
        members.map(lambda items: {"type": "array", "items": items, "uniqueItems": True}),
        few.map(lambda choices: {"anyOf": choices}),
        members.map(lambda one: {"allOf": [one]}),
    )


inputs = objects(st.recursive(plain, larger, max_leaves=6)).map(
    lambda form: {
        **form,
        "$defs": {
            "Leaf": {"type": "object", "properties": {"next": {"anyOf": [{"$ref": "#/$defs/Leaf"}, {"type": "null"}]}}}
        },
    }
)


@settings(max_examples=40, deadline=None)
@given(inputs, st.integers())
def test_payloads_are_valid_small_distinct_and_reproducible(document: Form, seed: int) -> None:
    """Payloads have these properties for every schema that accepts anything."""
    schema = schema_of(document)
    payloads = generate_payloads(schema, seed)
    bodies = [payload.encoded() for payload in payloads]

    assert 1 <= len(bodies) <= MAX_PAYLOADS
    assert all(schema.accepts(orjson.loads(body)) for body in bodies)
    assert all(len(body) <= MAX_SIZE for body in bodies)
    assert len({orjson.dumps(payload.body, option=orjson.OPT_SORT_KEYS) for payload in payloads}) == len(bodies)
    assert payloads == generate_payloads(schema, seed)


@settings(max_examples=25, deadline=None)
@given(inputs)
def test_few_values_are_discarded(document: Form) -> None:
    """At least 90 % of the attempts give a valid input."""
    generator = InputGenerator(schema_of(document))
    found = [generator.draw(Random(seed)) for seed in range(30)]

    assert sum(each is not None for each in found) >= 27


# ------------------------------------------------------------------ type hints


class Colour(Enum):
    """An enumeration."""

    RED = "red"
    GREEN = "green"
    BLUE = "blue"


class Cat(BaseModel):
    """One type of a discriminated union."""

    kind: Literal["cat"]
    lives: int = Field(ge=1, le=9)


class Tree(BaseModel):
    """The other type, which is recursive."""

    kind: Literal["tree"]
    branches: list[Tree] = []
    parent: Tree | None = None


class Everything(BaseModel):
    """An input with every supported kind of type hint."""

    when: dt.datetime
    day: dt.date
    took: dt.timedelta
    id: uuid.UUID
    colours: set[Colour]
    counts: dict[str, int] = Field(min_length=1)
    pair: tuple[int, str]
    either: Annotated[Cat | Tree, Field(discriminator="kind")]
    code: Annotated[str, StringConstraints(pattern=r"^[A-Z]{3}$")] = Field(examples=["ABC", "XYZ"])
    share: float = Field(gt=0, lt=1)
    note: str | None = Field(default=None, max_length=5)


def test_schemas_of_type_hints_are_supported() -> None:
    """Payloads from the schema of a pydantic model are accepted by the model: times, choices, unions, tuples, recursion."""
    document = Everything.model_json_schema()
    payloads = generate_payloads(schema_of(document), 1)

    assert len(payloads) == MAX_PAYLOADS
    assert all(Everything.model_validate_json(payload.encoded()) for payload in payloads)
    assert all(payload.body["code"] in ("ABC", "XYZ") for payload in payloads)
    assert {payload.body["either"]["kind"] for payload in payloads} == {"cat", "tree"}  # type: ignore[index, call-overload]  # an object, by the schema


def test_all_values_of_a_small_schema_are_generated() -> None:
    """A schema with three valid values gives three payloads."""
    document: Form = {"properties": {"a": {"enum": [1, 2, 3]}}, "required": ["a"], "additionalProperties": False}

    assert {payload.body["a"] for payload in generate_payloads(schema_of(document), 0)} == {1, 2, 3}  # type: ignore[comparison-overlap]  # integers, by the schema


@pytest.mark.parametrize(
    "document",
    [
        {"type": "string"},
        {"not": {}},
        {"properties": {"a": False}, "required": ["a"]},
        {"properties": {"a": {"type": "string", "minLength": 10**9}}, "required": ["a"]},
        {"properties": {"a": {"type": "string", "pattern": "^a$", "minLength": 2}}, "required": ["a"]},
        {"properties": {"a": {"type": "string", "format": "phone"}}, "required": ["a"]},
        {"properties": {"a": {"type": "array", "minItems": 10**9}}, "required": ["a"]},
        {"properties": {"a": {"type": "integer", "minimum": 2, "maximum": 1}}, "required": ["a"]},
        {"properties": {"a": {"type": "array", "items": {"const": 1}, "uniqueItems": True, "minItems": 2}}, "required": ["a"]},
        {"type": "object", "properties": {"a": {"$ref": "#"}}, "required": ["a"]},
    ],
)  # fmt: skip
def test_a_schema_without_payloads_is_an_error(document: Form, monkeypatch: pytest.MonkeyPatch) -> None:
    """The generator stops after MAX_ATTEMPTS, and the message says what to do."""
    monkeypatch.setattr(generated_payloads, "MAX_ATTEMPTS", 10)
    with pytest.raises(UsageError, match="add `examples` to the schema, or use --payloads"):
        generate_payloads(schema_of(document), 0)


def test_payloads_do_not_depend_on_the_process() -> None:
    """The payloads do not depend on the hash seed of the process."""
    script = (
        "import orjson; from chainproof.workload.generated_payloads import generate_payloads\n"
        "from chainproof.chain_schema.schema import Schema\n"
        "document = {'properties': {'a': {}, 'b': {'type': ['string', 'integer']}}, 'required': ['b', 'x', 'y', 'z'],\n"
        "            'additionalProperties': {'type': 'object', 'minProperties': 2}}\n"
        "print(orjson.dumps([payload.body for payload in generate_payloads(Schema(source='a test', document=document), 5)]))"
    )
    outputs = {
        subprocess.run(
            [sys.executable, "-c", script],
            env={**os.environ, "PYTHONHASHSEED": number},
            capture_output=True,
            check=True,
        ).stdout
        for number in ("1", "2", "3")
    }

    assert len(outputs) == 1
