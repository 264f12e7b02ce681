"""
Run the user's check on the answers of a load test.

If it returns a message, the request has failed: the answer violates a must clause made for this check. If it raises an
exception, the run ends with an internal error, because that is not the target's fault.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from chainproof.contract.answer import Answer
from chainproof.contract.violations import Violation
from chainproof.user_check import UserCheck

from ..recording.assessment import has_object_output


class AnswerUserCheck:
    """The user's check, called for answers whose output is an object."""

    def __init__(self, source: str) -> None:
        self._check = UserCheck(source)

    def __call__(
        self, payload: Mapping[str, Any], answer: Answer, violations: tuple[Violation, ...]
    ) -> tuple[Violation, ...]:
        """The violations, with that of the check if it returns a message. Exceptions of the check are not caught."""
        if not has_object_output(answer, violations):
            return violations
        found = self._check.violation(payload, answer)
        return violations if found is None else (*violations, found)
