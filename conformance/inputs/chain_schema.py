"""
The chain's own signature in the place of the document's `type: object`: what is generated then is valid for this chain.

Schemathesis generates from the document with the chain's input schema put into it; what that makes is judged by its bytes
like everything else, so that nothing here decides what is right.
"""

from __future__ import annotations

import copy
import json
import random
from collections.abc import Callable
from dataclasses import dataclass
from importlib.resources import files
from typing import Any, cast

import schemathesis
from hypothesis import HealthCheck, Phase, find
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st
from hypothesis.errors import HypothesisException
from hypothesis.strategies import SearchStrategy
from schemathesis.config import SchemathesisConfig
from schemathesis.errors import SchemathesisError
from schemathesis.schemas import APIOperation

from chainproof.contract.chain_schema import Schema, SchemaError, load_input_schema, load_output_schema
from chainproof.contract.openapi import METHOD, PATH, document
from chainproof.json_text import JSON

from ..options import Settings
from .bodies import BodyCase

Operation = APIOperation[Any, Any, Any, Any]

_PLACE = ("components", "schemas", "ChainInput")
_POINTER = f"#/{'/'.join(_PLACE)}"

ANY_OBJECT = Schema(source="an echo chain", document={"type": "object"})
"""What goes into an echo chain, and comes out of it."""

VALID_INPUT_LABEL = "an input as the schema has it"
"""What a valid input is called in a finding."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ChainSchema:
    """
    What is known of a chain's own input and output.
    """

    input_schema: Schema | None = None
    output_schema: Schema | None = None
    minimal_input: bytes = b"{}"
    """The simplest input that the chain takes; an empty object where nothing is known."""


UNKNOWN_CHAIN = ChainSchema()


def load_chain_schema(settings: Settings) -> ChainSchema:
    """
    The signature that `--input-schema` and `--output-schema` name. Raises SchemaError.
    """
    input_schema = load_input_schema(settings.input_schema) if settings.input_schema else None
    output_schema = load_output_schema(settings.output_schema) if settings.output_schema else None
    return ChainSchema(
        input_schema=input_schema,
        output_schema=output_schema,
        minimal_input=simplest_input(input_schema) if input_schema is not None else UNKNOWN_CHAIN.minimal_input,
    )


def schemathesis_operation(schema: Schema | None, examples: int = 1) -> Operation:
    """
    The operation as Schemathesis loads it, with the chain's input schema in its request where one is known.
    """
    config = SchemathesisConfig.from_path(str(files("chainproof.conformance").joinpath("schemathesis.toml")))
    config.projects.default.generation.update(max_examples=examples)
    # All but lone surrogates, as UTF-8 has it; naming the codec has Hypothesis try it on every code point for a second.
    config.projects.default.generation.codec = None
    loaded = schemathesis.openapi.from_dict(_document(schema), config=config)
    return loaded[PATH][METHOD]


def _document(schema: Schema | None) -> dict[str, Any]:
    """
    The document, its request schema replaced.
    """
    whole: dict[str, Any] = copy.deepcopy(document())
    if schema is not None:
        whole["components"]["schemas"][_PLACE[-1]] = _moved(schema.document)
        content = whole["components"]["requestBodies"]["RunRemoteInput"]["content"]
        content["application/json"]["schema"] = {"$ref": _POINTER}
    return whole


def _moved(value: JSON) -> JSON:
    """
    A schema with its references led to where it stands now: `#/$defs/x` begins at the document's root no more.
    """
    if isinstance(value, list):
        return [_moved(item) for item in value]
    if not isinstance(value, dict):
        return value
    return {
        name: _POINTER + member.removeprefix("#")
        if name == "$ref" and isinstance(member, str) and (member == "#" or member.startswith("#/"))
        else _moved(member)
        for name, member in value.items()
    }


def valid_inputs(schema: Schema) -> SearchStrategy[JSON]:
    """
    Whatever objects the schema takes.
    """
    cases = schemathesis_operation(schema).as_strategy()
    return cases.map(lambda case: cast(JSON, case.body)).filter(
        lambda value: isinstance(value, dict) and schema.accepts(value)
    )


def simplest_input(schema: Schema) -> bytes:
    """
    The simplest input that Hypothesis finds. Raises SchemaError where there is none.
    """
    try:
        found = find(valid_inputs(schema), _any, settings=_FINDING, random=random.Random(0))
    except (HypothesisException, SchemathesisError) as wrong:
        why = str(wrong).strip().partition("\n")[0] or type(wrong).__name__
        raise SchemaError(f"{schema.source}: no JSON object can be generated from the input schema: {why}") from None
    return _plainly(found)


def _any(value: JSON) -> bool:
    """
    The first will do: Hypothesis goes on to the simplest by itself.
    """
    del value
    return True


_FINDING = hypothesis_settings(
    database=None,
    deadline=None,
    max_examples=50,
    phases=(Phase.generate, Phase.shrink),
    suppress_health_check=list(HealthCheck),
)


def _plainly(value: JSON) -> bytes:
    return json.dumps(value, separators=(",", ":")).encode()


def _raw(value: JSON) -> bytes:
    return json.dumps(value, ensure_ascii=False).encode()


def _roomy(value: JSON) -> bytes:
    return b" \r\n\t" + json.dumps(value, indent=2, ensure_ascii=False).encode() + b"\n"


_SPELLINGS: dict[str, Callable[[JSON], bytes]] = {
    VALID_INPUT_LABEL: _plainly,
    f"{VALID_INPUT_LABEL}, raw": _raw,
    f"{VALID_INPUT_LABEL}, with blanks": _roomy,
}


def serializations(plain: bytes) -> tuple[BodyCase, ...]:
    """
    A valid input in every way we have to write one.
    """
    value = cast(JSON, json.loads(plain))
    return tuple(BodyCase(label=label, content=write(value)) for label, write in _SPELLINGS.items())


def valid_input_bodies(schema: Schema) -> SearchStrategy[BodyCase]:
    """
    Valid inputs, each in one of these ways.
    """
    ways = st.sampled_from(list(_SPELLINGS.values()))
    return st.tuples(valid_inputs(schema), ways).map(
        lambda drawn: BodyCase(label=VALID_INPUT_LABEL, content=drawn[1](drawn[0]))
    )
