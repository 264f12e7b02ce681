"""
The faults of the emulator: one module for each stage of request processing.
"""

from __future__ import annotations

# Each import registers the faults of one module.
from . import (  # noqa: F401
    answer,
    answer_request_id,
    authentication,
    chain,
    framing,
    parsing,
    request_framing,
    routing,
    state,
    timing,
)
from .fault import FAULTS, Fault, FaultStage

__all__ = ["FAULTS", "Fault", "FaultStage"]
