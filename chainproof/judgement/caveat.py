"""A caveat: a reason to distrust the figures of a run, with a remedy."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class CaveatCode(StrEnum):
    """The stable name of a caveat."""

    ACCEPTANCE_EXPIRED = "ACCEPTANCE_EXPIRED"
    ACCOUNTING_MISMATCH = "ACCOUNTING_MISMATCH"
    ASSUMED_PATH = "ASSUMED_PATH"
    CENSORED = "CENSORED"
    COLD_START = "COLD_START"
    CONTRACT_VIOLATIONS = "CONTRACT_VIOLATIONS"
    COORDINATED_OMISSION = "COORDINATED_OMISSION"
    DAMAGED_FILES = "DAMAGED_FILES"
    EMULATED = "EMULATED"
    ERROR_BUDGET = "ERROR_BUDGET"
    EVENT_LOOP_LAG = "EVENT_LOOP_LAG"
    GENERATOR_CPU = "GENERATOR_CPU"
    GENERATOR_ERRORS = "GENERATOR_ERRORS"
    GENERATOR_LATE = "GENERATOR_LATE"
    GENERATOR_STALLED = "GENERATOR_STALLED"
    INTERRUPTED = "INTERRUPTED"
    KEY_REJECTED = "KEY_REJECTED"
    KNOWN_DEVIATIONS = "KNOWN_DEVIATIONS"
    LITTLES_LAW = "LITTLES_LAW"
    MAX_IN_FLIGHT = "MAX_IN_FLIGHT"
    MIXED_PHASES = "MIXED_PHASES"
    NOTHING_SENT = "NOTHING_SENT"
    NOT_EXERCISED = "NOT_EXERCISED"
    OPEN_FILES = "OPEN_FILES"
    PAYLOAD_REJECTED = "PAYLOAD_REJECTED"
    PORTS = "PORTS"
    RATE_EXCEEDED = "RATE_EXCEEDED"
    RATE_NOT_REACHED = "RATE_NOT_REACHED"
    REPLANNED = "REPLANNED"
    REQUEST_LIMIT_REACHED = "REQUEST_LIMIT_REACHED"
    SELECTED_CHECKS = "SELECTED_CHECKS"
    SLOWED_DOWN = "SLOWED_DOWN"
    TARGET_UNREACHABLE = "TARGET_UNREACHABLE"
    TOO_FEW_REQUESTS = "TOO_FEW_REQUESTS"
    UNANSWERED = "UNANSWERED"
    UNFINISHED = "UNFINISHED"
    UNSTEADY = "UNSTEADY"
    UNUSED_ACCEPTANCE = "UNUSED_ACCEPTANCE"
    USERS_IN_STEP = "USERS_IN_STEP"
    WORKER_LOST = "WORKER_LOST"


@dataclass(frozen=True, slots=True, kw_only=True)
class Caveat:
    """A reason to distrust the figures."""

    code: CaveatCode
    text: str
    """What was observed, and why it matters."""
    remedy: str
    """What to do about it; empty if nothing needs to be done."""
    invalidates: bool = False
    """Whether the measurement cannot be trusted at all, so that not even a pass counts."""
    invalidates_failures: bool = False
    """Whether the generator may have caused a missed objective. A pass counts."""
