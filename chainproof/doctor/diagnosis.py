"""One thing that the doctor has looked at: its state, what was found, and what to do."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class State(StrEnum):
    """The state of one thing."""

    OK = "ok"
    RISK = "risk"
    """Tests run, but their figures or their end may suffer."""
    MISSING = "missing"
    """Tests of this target cannot run."""
    NOT_CHECKED = "not checked"
    """It cannot be seen here, or it is not needed."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Diagnosis:
    """What was found about one thing."""

    name: str
    state: State
    found: str
    remedy: str = ""
    """What to do; empty if nothing has to be done."""

    def to_json(self) -> dict[str, str]:
        """For `--json`."""
        return {"name": self.name, "state": self.state.value, "found": self.found, "remedy": self.remedy}


def ok(name: str, found: str) -> Diagnosis:
    """A thing that is as it should be."""
    return Diagnosis(name=name, state=State.OK, found=found)


def risk(name: str, found: str, remedy: str) -> Diagnosis:
    """A thing that may spoil figures or end a run."""
    return Diagnosis(name=name, state=State.RISK, found=found, remedy=remedy)


def missing(name: str, found: str, remedy: str) -> Diagnosis:
    """A thing without which a test of the target cannot run."""
    return Diagnosis(name=name, state=State.MISSING, found=found, remedy=remedy)


def not_checked(name: str, found: str, remedy: str = "") -> Diagnosis:
    """A thing that was not looked at."""
    return Diagnosis(name=name, state=State.NOT_CHECKED, found=found, remedy=remedy)
