"""
Inputs that the chain's schema accepts: the simplest one, a rich one, and different ones.

They come from the same generator as the payloads of load tests. `strategies.py` has those whose random numbers Hypothesis draws.
"""

from __future__ import annotations

import json
import random
from collections.abc import Callable
from typing import cast

from chainproof.chain_schema.inputs import InputGenerator
from chainproof.chain_schema.schema import Schema
from chainproof.json_text import JSON, encode_json, parse_json

from .bodies import BodyCase, describe_body
from .input_variations import encoded

VALID_INPUT_LABEL = "an input that matches the schema"
"""The label of a valid input in findings."""

_DRAWS_PER_INPUT = 4


def input_label(schema: Schema, content: bytes | None) -> str:
    """A body in words, for a chain whose input schema is known."""
    value = parse_json(content or b"")
    if not isinstance(value, dict):
        return describe_body(content)
    if schema.accepts(value):
        return VALID_INPUT_LABEL
    nulls = unhinted_nulls(schema, value)
    if nulls:
        names = ", ".join(f"`{name}`" for name in nulls)
        return f"null for an argument whose type hint does not allow it: {names}"
    return describe_body(content)


def unhinted_nulls(schema: Schema, value: dict[str, JSON]) -> tuple[str, ...]:
    """
    The optional arguments that are null although their type hints do not allow it, if nothing else is wrong with an input.

    The service's own model takes null for every argument with a default, and passes it on to `run_remote`.
    """
    if schema.model is None:
        return ()
    fields = schema.model.model.model_fields
    nulls = tuple(name for name, member in value.items() if member is None and name in fields)
    others = {name: member for name, member in value.items() if name not in nulls}
    return nulls if nulls and not schema.accepts(value) and schema.accepts(cast(JSON, others)) else ()


def simplest_input(schema: Schema) -> bytes:
    """The smallest valid input that is found. Raises SchemaError if there is none."""
    return InputGenerator(schema).simplest().content


def rich_input(schema: Schema) -> bytes:
    """
    A valid input with every optional property, arrays of two or more different items, and non-empty strings in several
    scripts, as far as the schema allows. Raises SchemaError if there is no valid input.
    """
    return InputGenerator(schema).rich().content


def distinct_inputs(schema: Schema, number: int, seed: int) -> tuple[bytes, ...]:
    """At most *number* different inputs that the schema accepts, those with the most content first."""
    generator, rng = InputGenerator(schema), random.Random(f"distinct inputs {seed}")
    drawn = (generator.draw(rng) for _ in range(_DRAWS_PER_INPUT * number))
    contents = dict.fromkeys(encode_json(found.value) for found in drawn if found is not None)
    return tuple(sorted(contents, key=len, reverse=True)[:number])


def _unescaped(value: JSON) -> bytes:
    return json.dumps(value, ensure_ascii=False).encode()


def _with_whitespace(value: JSON) -> bytes:
    return b" \r\n\t" + json.dumps(value, indent=2, ensure_ascii=False).encode() + b"\n"


SERIALIZERS: dict[str, Callable[[JSON], bytes]] = {
    VALID_INPUT_LABEL: encoded,
    f"{VALID_INPUT_LABEL}, with unescaped characters": _unescaped,
    f"{VALID_INPUT_LABEL}, with whitespace": _with_whitespace,
}
"""Ways to write a valid input, by the labels of the bodies."""


def serializations(compact: bytes) -> tuple[BodyCase, ...]:
    """A valid input in every serialization."""
    value = cast(JSON, json.loads(compact))
    return tuple(BodyCase(label=label, content=write(value)) for label, write in SERIALIZERS.items())
