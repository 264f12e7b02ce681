"""What the user says about the chain's input and output: schemas and payloads."""

from __future__ import annotations

from dataclasses import dataclass

from chainproof.chain_schema.loading import load_input_schema, load_output_schema
from chainproof.chain_schema.schema import Schema
from chainproof.user_check import UserCheck

from ..options import Settings
from .chain_inputs import load_payload_file, load_slow_payload
from .generated_inputs import simplest_input

ANY_OBJECT = Schema(source="an echo chain", document={"type": "object"})
"""The input and output schema of an echo chain."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ChainSchema:
    """What is known about the chain's input and output."""

    input_schema: Schema | None = None
    output_schema: Schema | None = None
    minimal_input: bytes = b"{}"
    """The simplest input that the schema accepts; an empty object if no schema is known."""
    payloads: tuple[bytes, ...] = ()
    """The inputs from `--payloads`."""
    slow_input: bytes | None = None
    """The input from `--slow-payload`."""
    user_check: UserCheck | None = None
    """The user's check of every output."""


UNKNOWN_CHAIN = ChainSchema()


def load_chain_schema(settings: Settings) -> ChainSchema:
    """The schemas and payloads from `--input-schema`, `--output-schema` and `--payloads`. Raises UsageError."""
    input_schema = load_input_schema(settings.input_schema) if settings.input_schema else None
    output_schema = load_output_schema(settings.output_schema) if settings.output_schema else None
    return ChainSchema(
        input_schema=input_schema,
        output_schema=output_schema,
        minimal_input=simplest_input(input_schema) if input_schema is not None else UNKNOWN_CHAIN.minimal_input,
        payloads=load_payload_file(settings.payloads) if settings.payloads else (),
        user_check=UserCheck(settings.check) if settings.check else None,
        slow_input=load_slow_payload(settings.slow_payload) if settings.slow_payload else None,
    )
