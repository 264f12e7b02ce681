"""
Load the schemas and the check function that the user's options name.

This module imports pydantic and jsonschema_rs, so it is imported only if one of these options is given.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from typing import Any, cast

from chainproof.chain_schema.class_import import load_function
from chainproof.chain_schema.loading import load_input_schema, load_output_schema
from chainproof.contract.answer import Answer
from chainproof.errors import UsageError
from chainproof.workload.generated_payloads import generate_payloads
from chainproof.workload.payloads import Payload

from .output_schema import OutputSchema

CheckFunction = Callable[[Mapping[str, Any], Answer], object]
"""(payload, answer) -> None, or a message that says what is wrong."""


def input_payloads(text: str, seed: int) -> tuple[Payload, ...]:
    """
    Payloads that are valid by the schema that `--input-schema` names. Raises UsageError.
    """
    return generate_payloads(load_input_schema(text), seed)


def load_output(text: str) -> OutputSchema:
    """
    The schema that `--output-schema` names. Raises UsageError.
    """
    schema = load_output_schema(text)
    return OutputSchema(source=schema.source, document=schema.document)


def load_check(text: str) -> CheckFunction:
    """
    The function that `--check` names. Raises UsageError.
    """
    try:
        function = load_function(text)
        inspect.signature(function).bind({}, Answer(status=200, headers=()))
    except (TypeError, ValueError):
        raise UsageError(
            f"expected {text} to accept a payload and an answer, as in def check(payload, answer)"
        ) from None
    return cast(CheckFunction, function)
