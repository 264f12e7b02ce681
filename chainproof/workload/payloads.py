"""
Payloads: the JSON objects that requests send, drawn by weight from a seed.
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
    One request body and its weight.
    """

    name: str
    body: dict[str, JSON]
    weight: float = 1.0

    def encoded(self) -> bytes:
        """The body as bytes."""
        return orjson.dumps(self.body)


DEFAULT_PAYLOADS: tuple[Payload, ...] = (Payload(name="hello", body={"names": ["Ada", "Grace"], "greeting": "hello"}),)
"""The payload of a workload without payloads."""


class PayloadError(UsageError):
    """
    A payload file that cannot be used. The message names the line.
    """


def load_payloads(path: Path, *, name: str = "", weight: float = 1.0) -> tuple[Payload, ...]:
    """
    The payloads in a file with one JSON object per line. Raises PayloadError.

    They all have the same name (by default the file's), and share *weight* equally.
    """
    try:
        lines = path.read_bytes().splitlines()
    except OSError as error:
        raise PayloadError(f"cannot read the payloads {path}: {error.strerror}") from None
    bodies = [_body(line, path, number) for number, line in enumerate(lines, start=1) if line.strip()]
    if not bodies:
        raise PayloadError(f"expected one JSON object per line in {path}, found none")
    return tuple(Payload(name=name or path.stem, body=body, weight=weight / len(bodies)) for body in bodies)


def _body(line: bytes, path: Path, number: int) -> dict[str, JSON]:
    """
    The JSON object in a line of a file. Raises PayloadError.
    """
    try:
        value = orjson.loads(line)
    except orjson.JSONDecodeError as error:
        raise PayloadError(f"line {number} of {path} is not JSON: {error.msg}") from None
    if not isinstance(value, dict):
        raise PayloadError(f"expected a JSON object in line {number} of {path}, found {type(value).__name__}")
    return value


def draw_payloads(payloads: tuple[Payload, ...], seed: int) -> Iterator[Payload]:
    """
    An endless sequence of payloads, drawn by weight. The same seed gives the same sequence.
    """
    # A separate generator, so that the n-th payload does not depend on the numbers drawn for arrivals.
    source = random.Random(f"payloads {seed}")
    weights = [payload.weight for payload in payloads]
    while True:
        yield from source.choices(payloads, weights, k=256)
