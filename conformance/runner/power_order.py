"""
Which requests find most faults, as measured on the emulator's faults.

`power_order.json` has, for each check, the requests that belong to the first round of a run that has no time for all of
them. `python benchmarks/power_order.py` measures again.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path

from ..checks import Check

POWER_FILE = Path(__file__).parents[1] / "power_order.json"


@dataclass(frozen=True, slots=True, kw_only=True)
class CheckPower:
    """What one check finds, and with which requests."""

    found: int = 1
    """Faults that all of its requests find."""
    gain: int = 1
    """Faults that its first-round requests find, and that no check before it in the table finds."""
    first: int = 3
    """Requests of its first round."""
    labels: Mapping[str, int] | None = field(default=None, hash=False)
    """The labels of its first-round requests, and how many of each; None if nothing is known of the check."""


UNKNOWN_CHECK = CheckPower()
"""A check that was added after the measurement."""


@cache
def power_table() -> Mapping[str, CheckPower]:
    """The measured power of each check, by the id of the check."""
    return {name: CheckPower(**row) for name, row in json.loads(POWER_FILE.read_text(encoding="utf-8")).items()}


def power_of(check: Check) -> CheckPower:
    """The measured power of a check."""
    return power_table().get(check.id, UNKNOWN_CHECK)
