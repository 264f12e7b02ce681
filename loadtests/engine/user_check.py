"""
Run the user's check: a function that takes a payload and its answer, and returns what is wrong with the answer.

It is called for every answer with status 200 and a JSON object as body, when the answer comes in. If it returns a
message, the request has failed: the answer violates a must clause made for this check. If it raises an exception, the
run ends with an internal error, because that is not the target's fault.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from chainproof.contract.answer import Answer
from chainproof.contract.clauses import USER_CHECK
from chainproof.contract.violations import Violation

from ..recording.exemplars import NON_OBJECT_CLAUSES
from ..user_files import load_check

MAX_MESSAGE_LENGTH = 200
"""Longer messages of a check are shortened to this many characters."""


class UserCheck:
    """
    Calls the user's check and turns its message into a violation.
    """

    def __init__(self, source: str) -> None:
        self._source = source
        self._check = load_check(source)

    def __call__(
        self, payload: Mapping[str, Any], answer: Answer, violations: tuple[Violation, ...]
    ) -> tuple[Violation, ...]:
        """The violations, with that of the check if it returns a message. Exceptions of the check are not caught."""
        if answer.status != 200 or any(violation.clause in NON_OBJECT_CLAUSES for violation in violations):
            return violations
        message = self._check(payload, answer)
        if message is None:
            return violations
        if not isinstance(message, str):
            raise TypeError(f"expected {self._source} to return None or a str, found {type(message).__name__}")
        expected = f"{self._source} passes"
        return (*violations, Violation(clause=USER_CHECK, expected=expected, actual=_shortened(message)))


def _shortened(message: str) -> str:
    """
    A message in one line of limited length.
    """
    line = " ".join(message.split()) or "(no message)"
    return line if len(line) <= MAX_MESSAGE_LENGTH else f"{line[: MAX_MESSAGE_LENGTH - 1]}…"
