"""
Check answers against the chain's output schema.

This module imports pydantic and jsonschema_rs, so it is imported only if a schema is given.
"""

from __future__ import annotations

import math
from contextlib import suppress

from chainproof.chain_schema.error_text import SchemaError
from chainproof.chain_schema.loading import load_output_schema
from chainproof.chain_schema.schema import Schema
from chainproof.contract import clauses
from chainproof.contract.answer import Answer
from chainproof.contract.violations import Violation
from chainproof.json_text import InvalidJson, TooComplex, parse_json
from chainproof.stored_text import OTHER_VIOLATIONS

from ..output_schema import OutputSchema
from ..recording.assessment import has_object_output

SHORT_OUTPUT_BYTES = 1024
"""Errors in outputs up to this size are located in microseconds; longer outputs may take milliseconds."""
MAX_DETAILED_OUTPUTS = 200
"""How many longer outputs get detailed errors. More would delay requests at high rates."""


def _schema(output: OutputSchema) -> Schema:
    """The schema, with the model of the class if this process can load it."""
    if not output.source.endswith(".json"):
        with suppress(SchemaError):
            return load_output_schema(output.source)
    return Schema(source=output.source, document=output.document, allows_naive_times=True)


class OutputCheck:
    """Checks outputs against the chain's output schema."""

    def __init__(self, output: OutputSchema, sample: float = 1.0) -> None:
        """*sample* is the share of outputs to check, evenly spread."""
        self._schema = _schema(output)
        self._sample = sample
        self._seen = 0
        self._long_outputs = 0
        self.outputs_checked = 0
        """How many outputs were checked."""

    def __call__(self, answer: Answer, violations: tuple[Violation, ...]) -> tuple[Violation, ...]:
        """The violations, with that of the output schema if the answer has one."""
        if not has_object_output(answer, violations):
            return violations
        if not self._is_sampled():
            return violations
        value = parse_json(answer.body)
        if isinstance(value, InvalidJson | TooComplex) or self._schema.accepts(value):
            return violations
        errors = "; ".join(self._schema.errors(value)) if self._is_detailed(answer.body) else OTHER_VIOLATIONS
        expected = f"an output that is valid by {self._schema.source}"
        return (
            *violations,
            Violation(clause=clauses.OUTPUT_SCHEMA, expected=expected, actual=f"an invalid one: {errors}"),
        )

    def _is_sampled(self) -> bool:
        self._seen += 1
        sampled = self.outputs_checked < math.ceil(self._seen * self._sample)
        self.outputs_checked += sampled
        return sampled

    def _is_detailed(self, body: bytes) -> bool:
        self._long_outputs += len(body) > SHORT_OUTPUT_BYTES
        return len(body) <= SHORT_OUTPUT_BYTES or self._long_outputs <= MAX_DETAILED_OUTPUTS
