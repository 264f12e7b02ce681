"""Payloads: the JSON objects that requests send, drawn by weight from a seed."""

from __future__ import annotations

import random
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import orjson

from chainproof.errors import UsageError
from chainproof.json_text import JSON, InvalidJson, TooComplex, encode_json, parse_json, parse_object
from chainproof.text_files import read_lines


@dataclass(frozen=True, slots=True, kw_only=True)
class Payload:
    """One request body and its weight."""

    name: str
    body: dict[str, JSON]
    weight: float = 1.0
    text: bytes | None = field(default=None, compare=False)
    """The body as the user wrote it; None to encode `body`."""

    def encoded(self) -> bytes:
        """The body as bytes. Raises UsageError for NaN, infinity and values that JSON does not have."""
        return encode_body(self.body) if self.text is None else self.text


DEFAULT_PAYLOADS: tuple[Payload, ...] = (Payload(name="hello", body={"names": ["Ada", "Grace"], "greeting": "hello"}),)
"""The payload of a workload without payloads."""


def encode_body(body: object) -> bytes:
    """A body as JSON. Raises UsageError for NaN, infinity and values that JSON does not have."""
    try:
        encoded = orjson.dumps(body)
    except orjson.JSONEncodeError:
        encoded = b"null"  # an integer beyond 64 bits, or half of a surrogate pair
    if b"null" not in encoded:
        return encoded
    try:
        # The fast encoder writes NaN and infinity as null.
        return encode_json(body, _as_fast_encoder)
    except (ValueError, RecursionError) as error:
        problem = "nested too deeply" if isinstance(error, RecursionError) else "NaN or infinity"
        raise UsageError(f"expected a payload with finite numbers and without cycles, found {problem}") from None
    except TypeError as error:
        raise UsageError(f"expected a payload of JSON values: {error}") from None


def _as_fast_encoder(value: object) -> object:
    """A date or another value that JSON does not have, as the fast encoder writes it. Raises TypeError."""
    return orjson.loads(orjson.dumps(value))


def payload_from_text(name: str, text: bytes, weight: float = 1.0) -> Payload:
    """A payload that is sent as it is written. Raises UsageError if it is not a JSON object."""
    try:
        value = parse_object(text)
    except ValueError as error:
        raise UsageError(str(error)) from None
    return Payload(name=name, body=value, weight=weight, text=text)


def load_payloads(path: Path, *, name: str = "", weight: float = 1.0) -> tuple[Payload, ...]:
    """
    The payloads in a file with one JSON object per line. Raises UsageError.

    They all have the same name (by default the file's), and share *weight* equally. Each is sent with the bytes of its line.
    """
    numbered = payload_lines(path)
    return tuple(_line(path, number, line, name or path.stem, weight / len(numbered)) for number, line in numbered)


def payload_lines(path: Path) -> list[tuple[int, bytes]]:
    """The numbered lines of a file of payloads. Raises UsageError if there are none, or if the file is a JSON Schema."""
    numbered = read_lines(path, "the payloads")
    if not numbered:
        raise UsageError(f"expected one JSON object per line in {path}, found none")
    if len(numbered) == 1 and _is_json_schema(parse_json(numbered[0][1])):
        raise UsageError(f"expected one input per line in {path}, found a JSON Schema: use --input-schema {path}")
    return numbered


def _is_json_schema(value: JSON | InvalidJson | TooComplex) -> bool:
    """
    True for what can hardly be an input of a chain.

    >>> _is_json_schema({"type": "object", "properties": {"names": {"type": "array"}}})
    True
    >>> _is_json_schema({"type": "object", "properties": ["names"]})
    False
    """
    if not isinstance(value, dict):
        return False
    properties = value.get("properties")
    describes = isinstance(properties, dict) and all(isinstance(each, dict) for each in properties.values())
    return isinstance(value.get("$schema"), str) or (value.get("type") == "object" and describes)


def _line(path: Path, number: int, line: bytes, name: str, weight: float) -> Payload:
    """The payload in a line of a file. Raises UsageError."""
    try:
        return payload_from_text(name, line, weight)
    except UsageError as error:
        raise UsageError(f"line {number} of {path}: {error}") from None


def draw_payloads(payloads: tuple[Payload, ...], seed: int) -> Iterator[Payload]:
    """An endless sequence of payloads, drawn by weight. The same seed gives the same sequence."""
    # A separate generator, so that the n-th payload does not depend on the numbers drawn for arrivals.
    source = random.Random(f"payloads {seed}")
    weights = [payload.weight for payload in payloads]
    while True:
        yield from source.choices(payloads, weights, k=256)
