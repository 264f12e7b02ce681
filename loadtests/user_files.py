"""
Load the schemas and the check function that the user's options name.

This module imports pydantic and jsonschema_rs, so it is imported only if one of these options is given.
"""

from __future__ import annotations

from chainproof.chain_schema.loading import load_input_schema, load_output_schema
from chainproof.workload.generated_payloads import generate_payloads
from chainproof.workload.payloads import Payload

from .output_schema import OutputSchema


def input_payloads(text: str, seed: int) -> tuple[Payload, ...]:
    """Payloads that are valid by the schema that `--input-schema` names. Raises UsageError."""
    return generate_payloads(load_input_schema(text), seed)


def load_output(text: str) -> OutputSchema:
    """The schema that `--output-schema` names. Raises UsageError."""
    schema = load_output_schema(text)
    return OutputSchema(source=schema.source, document=schema.document)
