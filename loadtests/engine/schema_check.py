"""
A chain's own input and output in a load run: payloads made from the one, every 200 held against the other.

Whoever imports this loads pydantic and jsonschema_rs: nobody does unless a schema is named.
"""

from __future__ import annotations

import math

from chainproof.contract import clauses
from chainproof.contract.answer import Answer
from chainproof.contract.chain_schema import Schema, load_input_schema, load_output_schema
from chainproof.contract.violations import Violation
from chainproof.errors import UsageError
from chainproof.json_text import InvalidJson, TooDeep, parse_json
from chainproof.workload.generated_payloads import generate_payloads
from chainproof.workload.payloads import Payload

from ..output_schema import OutputSchema
from ..recording.exemplars import NON_OBJECT_CLAUSES, OTHER_VIOLATIONS

SHORT_OUTPUT_BYTES = 1024
"""Octets of an output that takes no time to tell where it is wrong: microseconds, against milliseconds for a long one."""
MAX_DETAILED_OUTPUTS = 200
"""Longer outputs that are told of in full: at the rates of a load run more would make the requests late."""


def input_payloads(text: str, seed: int) -> tuple[Payload, ...]:
    """
    Payloads that the schema takes which `--input-schema` names. Raises UsageError.
    """
    schema = load_input_schema(text)
    payloads = generate_payloads(schema.document, schema.accepts, seed)
    if not payloads:
        raise UsageError(
            f"no JSON object that {text} takes was found: give `examples` in the schema, or payloads with --payloads"
        )
    return payloads


def load_output(text: str) -> OutputSchema:
    """
    The output that `--output-schema` names. Raises UsageError.
    """
    schema = load_output_schema(text)
    return OutputSchema(source=schema.source, document=schema.document)


class OutputCheck:
    """
    Outputs held against the chain's own schema.
    """

    def __init__(self, output: OutputSchema, sample: float = 1.0) -> None:
        """
        *sample* is the share of outputs that are held, evenly spread: the n-th whenever n times the share passes a whole.
        """
        self._schema = Schema(source=output.source, document=output.document)
        self._sample = sample
        self._seen = 0
        self._long = 0
        self.outputs_checked = 0
        """How many outputs were held."""

    def __call__(self, answer: Answer, violations: tuple[Violation, ...]) -> tuple[Violation, ...]:
        """What *departed* with, where it does, the violation of an output of another shape."""
        if answer.status != 200 or any(violation.clause in NON_OBJECT_CLAUSES for violation in violations):
            return violations
        if not self._is_sampled():
            return violations
        value = parse_json(answer.body)
        if isinstance(value, InvalidJson | TooDeep) or self._schema.accepts(value):
            return violations
        told = "; ".join(self._schema.errors(value)) if self._is_told(answer.body) else OTHER_VIOLATIONS
        expected = f"an output as {self._schema.source} has it"
        return (
            *violations,
            Violation(clause=clauses.OUTPUT_SCHEMA, expected=expected, actual=f"another one: {told}"),
        )

    def _is_sampled(self) -> bool:
        self._seen += 1
        sampled = self.outputs_checked < math.ceil(self._seen * self._sample)
        self.outputs_checked += sampled
        return sampled

    def _is_told(self, body: bytes) -> bool:
        self._long += len(body) > SHORT_OUTPUT_BYTES
        return len(body) <= SHORT_OUTPUT_BYTES or self._long <= MAX_DETAILED_OUTPUTS
