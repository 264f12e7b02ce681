"""The faults that are tested by default; `CHAINPROOF_SAMPLE=all` tests all of them."""

from __future__ import annotations

import os
from collections.abc import Callable, Hashable, Sequence
from typing import TypeVar

ALL = os.environ.get("CHAINPROOF_SAMPLE") == "all"

Fault = TypeVar("Fault")


def sample(faults: Sequence[Fault], kind: Callable[[Fault], Hashable], step: int = 15) -> list[Fault]:
    """One fault of each kind, and of all faults every fifteenth one, or another step; tests/power tests each clause and check once more."""
    first = {kind(fault): number for number, fault in reversed(list(enumerate(faults)))}.values()
    return [fault for number, fault in enumerate(faults) if ALL or number % step == 0 or number in first]
