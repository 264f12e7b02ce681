"""Generate small, distinct payloads from the schema of a chain's input and a seed."""

from __future__ import annotations

import json
import random

from chainproof.chain_schema.inputs import InputGenerator, no_input
from chainproof.chain_schema.schema import Schema
from chainproof.json_text import JSON

from .payloads import Payload

MAX_PAYLOADS = 50
"""The number of distinct payloads to generate."""
MAX_SIZE = 1 << 20
"""Bytes of a payload, encoded. Most are far smaller: a value gets more than the schema requires only while it is small."""
MAX_ATTEMPTS = 300
"""The number of attempts to generate them."""
FRUITLESS_ATTEMPTS = 100
"""The number of attempts after which a schema counts as one that no input matches. Each may take a tenth of a second."""
NAME = "generated"


def generate_payloads(schema: Schema, seed: int) -> tuple[Payload, ...]:
    """At most MAX_PAYLOADS distinct valid inputs. Raises SchemaError if none is found."""
    # A separate random generator, as for every other sequence.
    source, generator = random.Random(f"generated {seed}"), InputGenerator(schema)
    bodies: dict[str, dict[str, JSON]] = {}
    failure = ""
    for attempt in range(MAX_ATTEMPTS):
        has_failed = attempt == FRUITLESS_ATTEMPTS or generator.is_hopeless
        if len(bodies) == MAX_PAYLOADS or (generator.is_exhausted if bodies else has_failed):
            break
        found = generator.draw(source)
        if found is None:
            failure = generator.failure
        elif len(found.content) > MAX_SIZE:
            failure = (
                f"expected inputs of at most {MAX_SIZE >> 20} MiB, found one of {len(found.content) / MAX_SIZE:.3g}"
            )
        else:
            bodies.setdefault(json.dumps(found.value, sort_keys=True), found.value)
    if not bodies:
        raise no_input(schema, failure)
    return tuple(Payload(name=NAME, body=body, weight=1 / len(bodies)) for body in bodies.values())
