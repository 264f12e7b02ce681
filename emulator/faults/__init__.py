"""Which defects can the emulator have? One module for each stage of a request."""

from __future__ import annotations

# Each import registers the faults of one module.
from . import (  # noqa: F401
    answer,
    answer_request_id,
    authentication,
    chain,
    fields,
    framing,
    irrelevant_parts,
    parsing,
    recovery,
    request_framing,
    request_syntax,
    routing,
    shared_state,
    sizes,
    state,
    timing,
)
from .fault import FAULTS, Fault, FaultStage

__all__ = ["FAULTS", "Fault", "FaultStage"]
