"""
Ends a run early, at points where nothing is half done.

A signal handler that raises may do so inside a lock of the standard library, and leave it in a state that ends in another
exception. So the command's handler only notes the request, checks run in a thread of their own, and the main thread raises.
"""

from __future__ import annotations

from collections.abc import Callable
from threading import Thread
from typing import TypeVar

from chainproof.clock import Seconds

from ..probing.budget import TimeBudget

_Result = TypeVar("_Result")

_POLL_TIME: Seconds = 0.1
"""How often the main thread looks for a request to end."""

END_TIME: Seconds = 5.0
"""How long an interrupted run waits for the requests in flight."""


class Interruption:
    """Whether somebody has asked the run to end."""

    def __init__(self) -> None:
        self._requested = False

    def request(self, number: int) -> None:
        """Ask the run to end. A signal handler; a second signal changes nothing."""
        del number
        self._requested = True

    def call(self, function: Callable[[], _Result], budget: TimeBudget) -> _Result:
        """
        The result of a function that sends requests within a time budget, or what it raises.

        Raises KeyboardInterrupt soon after the request to end, when no more requests are sent.
        """
        results: list[_Result] = []
        errors: list[BaseException] = []

        def run() -> None:
            try:
                results.append(function())
            except BaseException as error:  # noqa: BLE001  # raised again below
                errors.append(error)

        thread = Thread(target=run, name="check", daemon=True)
        try:
            if not self._requested:
                thread.start()
            while thread.is_alive() and not self._requested:
                thread.join(_POLL_TIME)
        except KeyboardInterrupt:  # in a session of pytest, where the handler is not ours
            self._requested = True
        if self._requested:
            budget.stop("the run was interrupted")
            if thread.ident is not None:
                thread.join(END_TIME)
            raise KeyboardInterrupt
        if errors:
            raise errors[0]
        return results[0]
