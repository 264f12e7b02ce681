"""
A chain's own input and output in a load run: payloads made from the one, every 200 held against the other.

Whoever imports this loads pydantic and jsonschema_rs: nobody does unless a schema is named.
"""

from __future__ import annotations

import math
from collections.abc import Callable

from chainproof.command import Mistake
from chainproof.contract import clauses
from chainproof.contract.answer import Answer
from chainproof.contract.chain_schema import BadSchema, Schema, load_input_schema, load_output_schema
from chainproof.contract.violations import Departure
from chainproof.json_text import Malformed, TooDeep, parse_json
from chainproof.workload.generated_payloads import generated
from chainproof.workload.payloads import Payload

from ..output_schema import Output
from ..recording.exemplars import OTHER_WAYS, SHAPELESS

SHORT = 1024
"""Octets of an output that takes no time to tell where it is wrong: microseconds, against milliseconds for a long one."""
MOST_LONG = 200
"""Longer outputs that are told of in full: at the rates of a load run more would make the requests late."""


def input_payloads(text: str, seed: int) -> tuple[Payload, ...]:
    """
    Payloads that the schema takes which `--input-schema` names. Raises Mistake.
    """
    schema = _loaded(load_input_schema, text)
    payloads = generated(schema.document, schema.accepts, seed)
    if not payloads:
        raise Mistake(
            f"no JSON object that {text} takes was found: give `examples` in the schema, or payloads with --payloads"
        )
    return payloads


def known_output(text: str) -> Output:
    """
    The output that `--output-schema` names. Raises Mistake.
    """
    schema = _loaded(load_output_schema, text)
    return Output(source=schema.source, document=schema.document)


def _loaded(load: Callable[[str], Schema], text: str) -> Schema:
    try:
        return load(text)
    except BadSchema as wrong:
        raise Mistake(str(wrong)) from None


class Holding:
    """
    Outputs held against the chain's own schema.
    """

    def __init__(self, output: Output, sample: float = 1.0) -> None:
        """
        *sample* is the share of outputs that are held, evenly spread: the n-th whenever n times the share passes a whole.
        """
        self._schema = Schema(source=output.source, document=output.document)
        self._sample = sample
        self._seen = 0
        self._long = 0
        self.held = 0
        """How many outputs were held."""

    def __call__(self, answer: Answer, departed: tuple[Departure, ...]) -> tuple[Departure, ...]:
        """What *departed* with, where it does, the departure of an output of another shape."""
        if answer.status != 200 or any(departure.clause in SHAPELESS for departure in departed):
            return departed
        if not self._is_sampled():
            return departed
        value = parse_json(answer.body)
        if isinstance(value, Malformed | TooDeep) or self._schema.accepts(value):
            return departed
        told = "; ".join(self._schema.mistakes(value)) if self._is_told(answer.body) else OTHER_WAYS
        expected = f"an output as {self._schema.source} has it"
        return (
            *departed,
            Departure(clause=clauses.OUTPUT_SCHEMA, expected=expected, actual=f"another one: {told}"),
        )

    def _is_sampled(self) -> bool:
        self._seen += 1
        sampled = self.held < math.ceil(self._seen * self._sample)
        self.held += sampled
        return sampled

    def _is_told(self, body: bytes) -> bool:
        self._long += len(body) > SHORT
        return len(body) <= SHORT or self._long <= MOST_LONG
