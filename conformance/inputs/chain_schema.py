"""
The chain's input and output schemas, and valid inputs generated from them by Schemathesis.

Schemathesis generates from the OpenAPI document, with the chain's input schema in place of `type: object`. The
generated bodies are judged like any other, so nothing here decides which are valid.
"""

from __future__ import annotations

import copy
import json
import random
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from importlib.resources import files
from typing import Any, cast

import schemathesis
from hypothesis import HealthCheck, Phase, find, given
from hypothesis import seed as hypothesis_seed
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st
from hypothesis.errors import HypothesisException
from hypothesis.strategies import SearchStrategy
from schemathesis.config import SchemathesisConfig
from schemathesis.errors import SchemathesisError
from schemathesis.schemas import APIOperation

from chainproof.chain_schema.loading import load_input_schema, load_output_schema
from chainproof.chain_schema.schema import Schema
from chainproof.chain_schema.text_lines import SchemaError
from chainproof.contract.openapi import METHOD, PATH, document
from chainproof.json_text import JSON

from ..options import Settings
from .bodies import BodyCase
from .chain_inputs import load_payload_file, load_slow_payload

Operation = APIOperation[Any, Any, Any, Any]

_SCHEMA_PATH = ("components", "schemas", "ChainInput")
_POINTER = f"#/{'/'.join(_SCHEMA_PATH)}"

ANY_OBJECT = Schema(source="an echo chain", document={"type": "object"})
"""The input and output schema of an echo chain."""

VALID_INPUT_LABEL = "an input that matches the schema"
"""The label of a valid input in findings."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ChainSchema:
    """
    What is known about the chain's input and output.
    """

    input_schema: Schema | None = None
    output_schema: Schema | None = None
    minimal_input: bytes = b"{}"
    """The simplest input that the schema accepts; an empty object if no schema is known."""
    payloads: tuple[bytes, ...] = ()
    """The inputs from `--payloads`."""
    slow_input: bytes | None = None
    """The input from `--slow-payload`."""


UNKNOWN_CHAIN = ChainSchema()


def load_chain_schema(settings: Settings) -> ChainSchema:
    """
    The schemas and payloads from `--input-schema`, `--output-schema` and `--payloads`. Raises UsageError.
    """
    input_schema = load_input_schema(settings.input_schema) if settings.input_schema else None
    output_schema = load_output_schema(settings.output_schema) if settings.output_schema else None
    return ChainSchema(
        input_schema=input_schema,
        output_schema=output_schema,
        minimal_input=simplest_input(input_schema) if input_schema is not None else UNKNOWN_CHAIN.minimal_input,
        payloads=load_payload_file(settings.payloads) if settings.payloads else (),
        slow_input=load_slow_payload(settings.slow_payload) if settings.slow_payload else None,
    )


def schemathesis_operation(schema: Schema | None, examples: int = 1) -> Operation:
    """
    The operation as loaded by Schemathesis, with the chain's input schema if one is known.
    """
    config = SchemathesisConfig.from_path(str(files("chainproof.conformance").joinpath("schemathesis.toml")))
    config.projects.default.generation.update(max_examples=examples)
    # UTF-8 covers everything but lone surrogates; naming the codec would make Hypothesis test every code point for a second.
    config.projects.default.generation.codec = None
    loaded = schemathesis.openapi.from_dict(_document(schema), config=config)
    return loaded[PATH][METHOD]


def _document(schema: Schema | None) -> dict[str, Any]:
    """
    The OpenAPI document with its request schema replaced.
    """
    openapi: dict[str, Any] = copy.deepcopy(document())
    if schema is not None:
        openapi["components"]["schemas"][_SCHEMA_PATH[-1]] = _with_moved_references(schema.document)
        content = openapi["components"]["requestBodies"]["RunRemoteInput"]["content"]
        content["application/json"]["schema"] = {"$ref": _POINTER}
    return openapi


def _with_moved_references(value: JSON) -> JSON:
    """
    A schema with its references adjusted to its new place: `#/$defs/x` no longer starts at the document's root.
    """
    if isinstance(value, list):
        return [_with_moved_references(item) for item in value]
    if not isinstance(value, dict):
        return value
    return {
        name: _POINTER + member.removeprefix("#")
        if name == "$ref" and isinstance(member, str) and (member == "#" or member.startswith("#/"))
        else _with_moved_references(member)
        for name, member in value.items()
    }


def valid_inputs(schema: Schema) -> SearchStrategy[JSON]:
    """
    Objects that the schema accepts.
    """
    cases = schemathesis_operation(schema).as_strategy()
    return cases.map(lambda case: cast(JSON, case.body)).filter(
        lambda value: isinstance(value, dict) and schema.accepts(value)
    )


def simplest_input(schema: Schema) -> bytes:
    """
    The simplest valid input that Hypothesis finds. Raises SchemaError if there is none.
    """
    try:
        found = find(valid_inputs(schema), _accept_any, settings=_FIND_SETTINGS, random=random.Random(0))
    except (HypothesisException, SchemathesisError) as error:
        reason = str(error).strip().partition("\n")[0] or type(error).__name__
        raise SchemaError(f"{schema.source}: no JSON object can be generated from the input schema: {reason}") from None
    return _compact(found)


def rich_input(schema: Schema) -> bytes:
    """
    A valid input with every optional property, arrays of two or more different items, and non-empty strings in several
    scripts, as far as the schema allows. Raises SchemaError if there is no valid input.
    """
    return simplest_input(schema)


def boundary_inputs(schema: Schema) -> tuple[BodyCase, ...]:
    """
    Valid inputs with one value at a bound: string lengths in characters of several scripts, numbers in every JSON
    spelling, array lengths, members of an enum.
    """
    return (BodyCase(label=VALID_INPUT_LABEL, content=simplest_input(schema)),)


def near_misses(schema: Schema) -> tuple[BodyCase, ...]:
    """
    Inputs that the chain surely rejects because of one change to a valid one: another type, a value out of bounds, a
    missing required argument. The label names the change.
    """
    del schema
    return ()


def distinct_inputs(schema: Schema, number: int, seed: int) -> tuple[bytes, ...]:
    """
    At most *number* different inputs that the schema accepts, those with the most content first.
    """
    found: dict[bytes, None] = {}

    @hypothesis_seed(seed)
    @_DRAW_SETTINGS
    @given(value=valid_inputs(schema))
    def collect(value: JSON) -> None:
        found.setdefault(_compact(value))

    with suppress(HypothesisException, SchemathesisError):
        collect()
    return tuple(sorted(found, key=len, reverse=True)[:number])


def _accept_any(value: JSON) -> bool:
    """
    Accept the first value: Hypothesis shrinks it to the simplest one.
    """
    del value
    return True


_FIND_SETTINGS = hypothesis_settings(
    database=None,
    deadline=None,
    max_examples=50,
    phases=(Phase.generate, Phase.shrink),
    suppress_health_check=list(HealthCheck),
)


_DRAW_SETTINGS = hypothesis_settings(
    database=None,
    deadline=None,
    max_examples=60,
    phases=(Phase.generate,),
    suppress_health_check=list(HealthCheck),
)


def _compact(value: JSON) -> bytes:
    return json.dumps(value, separators=(",", ":")).encode()


def _unescaped(value: JSON) -> bytes:
    return json.dumps(value, ensure_ascii=False).encode()


def _with_whitespace(value: JSON) -> bytes:
    return b" \r\n\t" + json.dumps(value, indent=2, ensure_ascii=False).encode() + b"\n"


_SERIALIZERS: dict[str, Callable[[JSON], bytes]] = {
    VALID_INPUT_LABEL: _compact,
    f"{VALID_INPUT_LABEL}, with unescaped characters": _unescaped,
    f"{VALID_INPUT_LABEL}, with whitespace": _with_whitespace,
}


def serializations(compact: bytes) -> tuple[BodyCase, ...]:
    """
    A valid input in every serialization.
    """
    value = cast(JSON, json.loads(compact))
    return tuple(BodyCase(label=label, content=write(value)) for label, write in _SERIALIZERS.items())


def valid_input_bodies(schema: Schema) -> SearchStrategy[BodyCase]:
    """
    Valid inputs, each in one of the serializations.
    """
    serializers = st.sampled_from(list(_SERIALIZERS.values()))
    return st.tuples(valid_inputs(schema), serializers).map(
        lambda drawn: BodyCase(label=VALID_INPUT_LABEL, content=drawn[1](drawn[0]))
    )
