"""Waiting for the processes that a test starts, with a limit that only a process that hangs exceeds."""

from __future__ import annotations

import time
from collections.abc import Callable

PATIENCE = 180.0
"""Seconds after which a process hangs. What takes one second on an idle machine takes ten on a busy one."""


def await_condition(condition: Callable[[], object], found: Callable[[], object] = str) -> None:
    """Wait until a condition holds. *found* is what to show if it never does."""
    give_up = time.monotonic() + PATIENCE
    while not condition():
        assert time.monotonic() < give_up, found()
        time.sleep(0.02)  # another process makes it true, so there is no clock to replace
