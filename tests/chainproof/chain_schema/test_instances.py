"""Inputs are generated for schemas of every draft, with every keyword."""

from __future__ import annotations

import json
from pathlib import Path
from random import Random
from typing import Any

import pytest

from chainproof.chain_schema.error_text import SchemaError
from chainproof.chain_schema.inputs import InputGenerator
from chainproof.chain_schema.instances import Style
from chainproof.chain_schema.loading import load_input_schema
from chainproof.chain_schema.patterns import is_found
from chainproof.chain_schema.schema import Schema
from chainproof.errors import UsageError
from chainproof.workload.generated_payloads import generate_payloads

Form = dict[str, Any]

DRAFT_7 = "http://json-schema.org/draft-07/schema#"
DRAFT_2019 = "https://json-schema.org/draft/2019-09/schema"


def of(member: object, **more: object) -> Form:
    """A schema of objects with one required property `a`."""
    return {"type": "object", "properties": {"a": member}, "required": ["a"], **more}


def nested(levels: int) -> Form:
    """A schema of required objects inside each other."""
    form: Form = of({"type": "integer"})
    for _ in range(levels):
        form = of(form)
    return form


SCHEMAS: dict[str, Form | bool] = {
    "no keyword": {},
    "true as a property": of(True),
    "additionalProperties": {"type": "object", "additionalProperties": {"type": "integer"}, "minProperties": 2},
    "anchor": {"$ref": "#here", "$defs": {"x": {"$anchor": "here", **of({"type": "null"})}}},
    "anyOf": of({"anyOf": [{"type": "integer", "minimum": 5}, {"type": "boolean"}]}),
    "allOf": of({"allOf": [{"type": "integer", "minimum": 5}, {"maximum": 5}]}),
    "const that looks like a reference": of({"const": {"$ref": "#/nowhere"}}),
    "contains": of({"type": "array", "items": {"type": "integer"}, "contains": {"const": 7}, "minItems": 3}),
    "minContains and maxContains": of(
        {"type": "array", "items": {"enum": [1, 7]}, "contains": {"const": 7}, "minContains": 2, "maxContains": 2, "minItems": 4}
    ),
    "dependentRequired": of({"type": "integer"}, dependentRequired={"a": ["b"]}),
    "dependentSchemas": of({"type": "integer"}, dependentSchemas={"a": {"required": ["b"], "properties": {"b": {"const": 1}}}}),
    "dependencies of draft 7": {"$schema": DRAFT_7, **of({"type": "integer"}, dependencies={"a": ["b"]})},
    "dynamicRef": {
        "$id": "https://chain.example/tree",
        "$dynamicAnchor": "node",
        **of({"type": "array", "items": {"$dynamicRef": "#node"}, "maxItems": 2}),
    },
    "enum": of({"enum": [[1], {"x": None}, "ü"]}),
    "exclusiveMinimum of draft 4": of({"type": "integer", "minimum": 0, "exclusiveMinimum": True}),
    "if, then, else": of(
        {"type": "integer", "minimum": 0, "maximum": 9},
        **{"if": {"properties": {"a": {"maximum": 4}}}, "then": {"required": ["low"]}, "else": {"required": ["high"]}},
    ),
    "id, absolute": {
        "$id": "https://chain.example/a",
        "$ref": "https://chain.example/b#/$defs/c",
        "$defs": {"b": {"$id": "https://chain.example/b", "$defs": {"c": of({"type": "string"})}}},
    },
    "id, relative": {
        "$id": "https://chain.example/a",
        **of({"$ref": "parts/b"}),
        "$defs": {"b": {"$id": "parts/b", "$ref": "#/$defs/c", "$defs": {"c": {"type": "boolean"}}}},
    },
    "integer beyond 64 bits": of({"type": "integer", "minimum": 10**30}),
    "length": of({"type": "string", "minLength": 5, "maxLength": 5}),
    "members by pattern": {
        "type": "object", "patternProperties": {"^x-[0-9]+$": {"type": "integer"}}, "additionalProperties": False, "minProperties": 1,
    },
    "multipleOf": of({"type": "number", "multipleOf": 0.25, "minimum": 0.1, "maximum": 1}),
    "not": of({"not": {"type": ["string", "integer", "null", "array", "object"]}}),
    "not and a constant": of({"type": "integer", "minimum": 0, "maximum": 1, "not": {"const": 0}}),
    "oneOf": of({"oneOf": [{"type": "integer"}, {"type": "integer", "minimum": 5}]}),
    "pattern": of({"type": "string", "pattern": "^[A-Z]{2}-\\d{4}$"}),
    "pattern and length": of({"type": "string", "pattern": "^[a-z]+$", "minLength": 60, "maxLength": 70}),
    "pattern with a property of Unicode": of({"type": "string", "pattern": "^\\p{L}{3}[\\p{Lu}\\d]$"}),
    "pattern with lookahead": of({"type": "string", "pattern": "^(?=.*\\d)(?=.*[a-z]).{8,}$"}),
    "pointer with a percent sign": of({"$ref": "#/$defs/a%20b~1c"}, **{"$defs": {"a b/c": {"type": "null"}}}),
    "prefixItems": of({"type": "array", "prefixItems": [{"type": "integer"}, {"type": "string"}], "items": False, "minItems": 2}),
    "propertyNames": {"type": "object", "propertyNames": {"pattern": "^[a-c]{4}$"}, "minProperties": 3},
    "recursion": {"$ref": "#/$defs/n", "$defs": {"n": of({"type": "array", "items": {"$ref": "#/$defs/n"}})}},
    "recursiveRef": {"$schema": DRAFT_2019, "$recursiveAnchor": True, **of({"type": "array", "items": {"$recursiveRef": "#"}})},
    "reference inside an extension": {"type": "object", "x-tool": {"$ref": "#/nowhere"}},
    "reference with siblings": of({"$ref": "#/$defs/n", "minimum": 5}, **{"$defs": {"n": {"type": "integer"}}}),
    "several types": of({"type": ["array", "null"], "minItems": 1}),
    "tuple of draft 7": of({"type": "array", "items": [{"type": "integer"}, {"const": "x"}], "additionalItems": False, "minItems": 2}),
    "twenty levels": nested(20),
    "unevaluatedProperties": {"allOf": [of({"type": "integer"})], "unevaluatedProperties": False},
    "uniqueItems": of({"type": "array", "items": {"enum": [1, 2, 3]}, "uniqueItems": True, "minItems": 3}),
    "vector": of({"type": "array", "items": {"type": "number"}, "minItems": 768, "maxItems": 768}),
    **{
        f"format {name}": of({"type": "string", "format": name})
        for name in ("date", "time", "date-time", "duration", "uuid", "email", "hostname", "uri", "ipv4", "ipv6", "json-pointer",
                     "regex", "uri-template", "idn-email", "iri", "password", "byte")
    },
}  # fmt: skip  # one line for each


@pytest.mark.parametrize("document", SCHEMAS.values(), ids=SCHEMAS)
def test_every_keyword_is_supported(document: Form) -> None:
    """The simplest, a rich and different inputs are found, and all of them are valid."""
    schema = Schema(source="a test", document=document)
    generator = InputGenerator(schema)
    found = [generator.simplest(), generator.rich(), *(generator.draw(Random(seed)) for seed in range(5))]

    assert sum(each is not None for each in found) >= 4
    assert all(schema.accepts(each.value) for each in found if each is not None)


def test_load_payloads_are_found_for_a_vector() -> None:
    """Load tests use the same generator, also for large inputs."""
    payloads = generate_payloads(Schema(source="a test", document=SCHEMAS["vector"]), 1)  # type: ignore[arg-type]

    assert all(768 == len(payload.body["a"]) for payload in payloads)  # type: ignore[arg-type]  # an array
    assert len(payloads) > 10


def test_the_rich_input_has_everything() -> None:
    """Every optional property is set, arrays have two different items, and strings have characters of several scripts."""
    document = {
        "type": "object",
        "properties": {
            "names": {"type": "array", "items": {"type": "string"}},
            "note": {"anyOf": [{"type": "null"}, {"type": "string", "minLength": 2}]},
            "opts": {"type": "object", "properties": {"tag": {"type": "string"}, "count": {"type": "integer"}}},
        },
    }
    value: Any = InputGenerator(Schema(source="a test", document=document)).rich().value  # type: ignore[arg-type]

    assert {"names", "note", "opts"} == value.keys()
    assert {"tag", "count"} == value["opts"].keys()
    assert 2 == len(set(value["names"]))
    assert all(not text.isascii() for text in (*value["names"], value["note"], value["opts"]["tag"]))


IMPOSSIBLE: dict[str, tuple[Form, str]] = {
    "no object": ({"type": "string"}, "found no JSON object that is valid by"),
    "an unknown format": (
        of({"type": "string", "format": "phone"}),
        "the format 'phone' is not known at `a`; add `examples`",
    ),
    "an unmatched pattern": (
        of({"type": "string", "pattern": "^a$", "minLength": 2}),
        r"no string was found for the pattern '\^a\$'",
    ),
    "no end": ({"type": "object", "properties": {"a": {"$ref": "#"}}, "required": ["a"]}, "too large"),
    "too many items": (
        of({"type": "array", "minItems": 10**9}),
        "minItems or minContains of at most 20000, found 1e\\+09 at `a`",
    ),
    "too many members": (
        of({"type": "object", "minProperties": 10**8}),
        "minProperties of at most 20000, found 1e\\+08 at `a`",
    ),
    "too many members to make": (of({"type": "object", "minProperties": 19_000}), "too large at `a`"),
    "too long a string": (
        of({"type": "string", "minLength": 10**8}),
        "minLength of at most 1000000, found 1e\\+08 at `a`",
    ),
    "too much text": (
        of({"type": "array", "minItems": 1000, "items": {"type": "string", "minLength": 10**6}}),
        "too large at `a",
    ),
    "a part that doubles": (
        {"$defs": {"d": {"type": "array", "minItems": 2, "items": {"$ref": "#/$defs/d"}}}, **of({"$ref": "#/$defs/d"})},
        "too large at `a",
    ),
    "a pattern with nested repetitions": (
        of({"type": "string", "pattern": "^((([a-c]*)*)*z)*$", "minLength": 9000}),
        "takes too long to match",
    ),
    "many schemas that hold together": (
        {"allOf": [of({"minimum": number}) for number in range(3000)]},
        "more than 2000 schemas apply to one value",
    ),
    "a long pattern": (of({"type": "string", "pattern": f"^{'a?' * 5000}{'a' * 5}$"}), "the pattern at `a` takes too"),
    "a pattern without a match": (
        of({"type": "string", "pattern": "(?<=a)b" * 50}),
        "no string was found for .* at `a`",
    ),
    "too few different items": (
        of({"type": "array", "uniqueItems": True, "minItems": 3, "items": {"type": "boolean"}}),
        "expected 3 different items, found 2 at `a`",
    ),
    "no value at a place": (
        of(of({"type": "integer", "multipleOf": 7919, "minimum": 1, "maximum": 9})),
        "no value was found at `a.a`",
    ),
    "a long pattern of names": (
        {"type": "object", "minProperties": 2000, "propertyNames": {"pattern": f"^{'a?' * 2000}$"}},
        "takes too long to match|too long to follow|too large",
    ),
}


@pytest.mark.parametrize(("document", "message"), IMPOSSIBLE.values(), ids=IMPOSSIBLE)
def test_a_refusal_says_why(document: Form, message: str) -> None:
    """A schema for which nothing is generated is a usage error with a reason."""
    with pytest.raises(SchemaError, match=message):
        InputGenerator(Schema(source="a test", document=document)).simplest()


LARGE: dict[str, Form] = {
    "constants": of({"oneOf": [{"const": number, "title": f"number {number}"} for number in range(5000)]}),
    "ranges": of({"oneOf": [{"type": "integer", "minimum": 2 * n, "maximum": 2 * n + 1} for n in range(2000)]}),
    "objects": {"oneOf": [of({"const": f"kind {number}"}) for number in range(2000)]},
    "enumerated objects": of({"enum": [{"b": number} for number in range(20_000)]}),
    "different items of an enumeration": of(
        {"type": "array", "uniqueItems": True, "minItems": 60, "items": {"enum": list(range(60))}}
    ),
    "all integers of a range": of(
        {
            "type": "array",
            "uniqueItems": True,
            "minItems": 500,
            "items": {"type": "integer", "minimum": 1, "maximum": 500},
        }
    ),
    **{
        f"a thousand different {name}": of({"type": "array", "uniqueItems": True, "minItems": 1000, "items": items})
        for name, items in {
            "texts": {"type": "string"},
            "short texts": {"type": "string", "maxLength": 2},
            "shares": {"type": "number", "minimum": 0, "maximum": 1},
            "objects": {"type": "object", "properties": {"id": {"type": "string"}}, "required": ["id"]},
            "values": True,
        }.items()
    },
    "dependent schemas": {
        "type": "object",
        "required": ["p0"],
        "dependentSchemas": {f"p{n}": {"required": [f"p{n + 1}"]} for n in range(100)},
    },
}
"""Schemas with many parts of one kind."""


@pytest.mark.parametrize("document", LARGE.values(), ids=LARGE)
def test_an_input_is_found_for_a_large_schema(document: Form) -> None:
    """A keyword with many parts does not keep an input from being generated."""
    schema = Schema(source="a test", document=document)

    assert schema.accepts(InputGenerator(schema).simplest().value)  # type: ignore[arg-type]


@pytest.mark.parametrize("keyword", ["allOf", "anyOf", "oneOf"])
def test_references_that_multiply_are_rejected(keyword: str, tmp_path: Path) -> None:
    """A schema of thirty lines that a validator would follow a thousand million times is rejected, and the message names the place."""
    levels: Form = {
        f"level{n}": {keyword: [{"$ref": f"#/$defs/level{n - 1}"}, {"$ref": f"#/$defs/level{n - 1}"}]}
        for n in range(1, 31)
    }
    document = {"$defs": {"level0": of(True), **levels}, "properties": {"a": {"$ref": "#/$defs/level30"}}}
    (tmp_path / "schema.json").write_text(json.dumps(document), encoding="utf-8")

    with pytest.raises(SchemaError, match=r"at most 100000 schemas for one value, found more at `.*level|properties"):
        load_input_schema(str(tmp_path / "schema.json"))


def test_a_pattern_that_backtracks_is_decided_quickly() -> None:
    """Python's engine would take years to say that the pattern is not found."""
    pattern = f"^({'a?' * 2000}){'a' * 2000}$"
    assert not is_found(pattern, "a" * 1999)
    assert not is_found("^(a+)+$", "a" * 200 + "b")
    assert is_found("^(a+)+$", "a" * 200)
    assert not is_found("a", "\ud800")


def test_payloads_of_a_schema_for_too_large_values_end_in_a_reason() -> None:
    """As many attempts as for a small schema would take minutes."""
    long_text: Form = {"type": "string", "minLength": 10**6}
    document = of({"type": "array", "minItems": 1000, "items": long_text})
    with pytest.raises(UsageError, match="too large at `a`"):
        generate_payloads(Schema(source="a test", document=document), seed=0)


def test_values_of_a_long_enumeration_are_generated() -> None:
    """Only a few values are tried, since each one is compared with the whole enumeration."""
    names = [f"name {number}" for number in range(20_000)]
    value: Any = InputGenerator(Schema(source="a test", document=of({"enum": names}))).simplest().value

    assert value["a"] == names[0]


def test_an_unknown_format_is_left_out_or_taken_from_examples() -> None:
    """An optional value of an unknown format is not sent; a required one comes from `examples`."""
    phone: Form = {"type": "string", "format": "phone"}
    optional: Form = {"type": "object", "properties": {"a": phone, "b": {"type": "integer"}}}
    with_examples = of({**phone, "examples": ["+49 30 1"]})

    assert {"b"} == InputGenerator(Schema(source="a test", document=optional)).rich().value.keys()
    assert {"a": "+49 30 1"} == InputGenerator(Schema(source="a test", document=with_examples)).simplest().value


def test_equal_seeds_give_equal_inputs() -> None:
    """An input is a function of the schema and the random numbers."""
    schema = Schema(source="a test", document=SCHEMAS["pattern and length"])  # type: ignore[arg-type]
    drawn = [InputGenerator(schema).draw(Random(3), Style.MIXED) for _ in range(2)]

    assert drawn[0] is not None
    assert drawn[1] is not None
    assert drawn[0].value == drawn[1].value


def parts(*forms: Form) -> Form:
    """A schema of messages whose content is a list of parts, each of one of these forms."""
    content = {"type": "array", "items": {"anyOf": list(forms)}, "minItems": 1}
    return of({"type": "array", "items": of(content), "minItems": 1})


@pytest.mark.parametrize("style", [Style.MIXED, Style.RICH])
def test_every_alternative_of_a_deep_value_is_generated(style: Style) -> None:
    """Also one with an object inside, and every member of an enumeration in it."""
    image = of(of({"enum": ["low", "high"]}))
    generator = InputGenerator(Schema(source="a chain", document=parts({"type": "string"}, of({"const": 1}), image)))
    drawn = [generator.draw(Random(seed), style) for seed in range(20)]
    values: list[Any] = [each.value for each in drawn if each is not None]
    found = {json.dumps(part) for value in values for message in value["a"] for part in message["a"]}

    assert {'{"a": 1}', '{"a": {"a": "low"}}', '{"a": {"a": "high"}}'} < found


@pytest.mark.parametrize("style", [Style.MIXED, Style.RICH])
def test_deep_values_that_may_contain_themselves_stay_small(style: Style) -> None:
    """Such as an expression with two operands."""
    operation = {
        "type": "object",
        "properties": {"left": {"$ref": "#/$defs/value"}, "right": {"$ref": "#/$defs/value"}},
        "required": ["left", "right"],
    }
    value = {"anyOf": [{"type": "integer"}, operation]}
    generator = InputGenerator(
        Schema(source="a chain", document={**of({"$ref": "#/$defs/value"}), "$defs": {"value": value}})
    )
    drawn = [generator.draw(Random(seed), style) for seed in range(50)]

    assert all(each is not None and len(each.positions) < 300 for each in drawn)
