"""
The shape of a chain's own output, as far as a process has to know that holds nothing against it.
"""

from __future__ import annotations

from dataclasses import dataclass

from chainproof.json_text import JSON


@dataclass(frozen=True, slots=True, kw_only=True)
class OutputSchema:
    """
    A JSON Schema of what a chain returns.
    """

    source: str
    """Where it came from, as the user named it."""
    document: dict[str, JSON]
