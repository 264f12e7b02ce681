"""
What the requests carry: JSON objects with weights, drawn from a seed.
"""

from __future__ import annotations

import random
from collections.abc import Iterator
from dataclasses import dataclass

import orjson

from chainproof.jsontext import JSON


@dataclass(frozen=True, slots=True, kw_only=True)
class Payload:
    """
    One kind of request body.
    """

    name: str
    body: dict[str, JSON]
    weight: float = 1.0

    def encoded(self) -> bytes:
        """The body as it is sent."""
        return orjson.dumps(self.body)


DEFAULT_PAYLOADS: tuple[Payload, ...] = (Payload(name="hello", body={"names": ["Ada", "Grace"], "greeting": "hello"}),)
"""What a workload sends that names no payloads: a small object."""


def drawn(payloads: tuple[Payload, ...], seed: int) -> Iterator[Payload]:
    """
    An endless sequence of payloads, each as often as its weight says. The same seed draws the same sequence.
    """
    # A seed of its own: the n-th payload must not depend on how many numbers the arrivals have drawn.
    source = random.Random(f"payloads {seed}")
    weights = [payload.weight for payload in payloads]
    while True:
        yield from source.choices(payloads, weights, k=256)
