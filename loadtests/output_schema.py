"""The output schema of a chain as data, for processes that do not check answers against it."""

from __future__ import annotations

from dataclasses import dataclass

from chainproof.json_text import JSON


@dataclass(frozen=True, slots=True, kw_only=True)
class OutputSchema:
    """A JSON Schema of the chain's output."""

    source: str
    """The value of `--output-schema`."""
    document: dict[str, JSON]
