"""
Every fault that the emulator can have, one file for each stage of a request.
"""

from __future__ import annotations

from . import answer, authentication, chain, framing, parsing, routing, state, timing
from .fault import FAULTS, Fault, FaultStage

__all__ = [
    "FAULTS",
    "Fault",
    "FaultStage",
    "answer",
    "authentication",
    "framing",
    "chain",
    "parsing",
    "routing",
    "state",
    "timing",
]
"""The faults by name, their noun, and the files that enter them."""
