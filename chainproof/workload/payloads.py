"""
What the requests carry: JSON objects with weights, drawn from a seed.
"""

from __future__ import annotations

import random
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import orjson

from chainproof.errors import UsageError
from chainproof.json_text import JSON


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


class PayloadError(UsageError):
    """
    A file of payloads that cannot be used; the message says which line, and what was expected there.
    """


def load_payloads(path: Path, *, name: str = "", weight: float = 1.0) -> tuple[Payload, ...]:
    """
    The payloads in a file with one JSON object a line. Raises PayloadError.

    They are one kind, named after the file unless a *name* is given, and share its *weight*.
    """
    try:
        lines = path.read_bytes().splitlines()
    except OSError as wrong:
        raise PayloadError(f"cannot read the payloads {path}: {wrong.strerror}") from None
    bodies = [_body(line, path, number) for number, line in enumerate(lines, start=1) if line.strip()]
    if not bodies:
        raise PayloadError(f"expected one JSON object a line in {path}, found none")
    return tuple(Payload(name=name or path.stem, body=body, weight=weight / len(bodies)) for body in bodies)


def _body(line: bytes, path: Path, number: int) -> dict[str, JSON]:
    """
    The JSON object in one line of a file.
    """
    try:
        value = orjson.loads(line)
    except orjson.JSONDecodeError as wrong:
        raise PayloadError(f"line {number} of {path} is not JSON: {wrong.msg}") from None
    if not isinstance(value, dict):
        raise PayloadError(f"expected a JSON object in line {number} of {path}, found {type(value).__name__}")
    return value


def draw_payloads(payloads: tuple[Payload, ...], seed: int) -> Iterator[Payload]:
    """
    An endless sequence of payloads, each as often as its weight says. The same seed draws the same sequence.
    """
    # A seed of its own: the n-th payload must not depend on how many numbers the arrivals have drawn.
    source = random.Random(f"payloads {seed}")
    weights = [payload.weight for payload in payloads]
    while True:
        yield from source.choices(payloads, weights, k=256)
