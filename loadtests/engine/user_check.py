"""
A user's own check: a function that looks at a request's payload and its answer, and says what is wrong with it.

It is asked of every 200 whose body is a JSON object, in the process that sends, as the answer comes in. What it says is a
violation from a clause of its own, a must: the request has failed. A check that raises is its author's error and not the
target's: it breaks the run.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from typing import Any, cast

from chainproof.contract.answer import Answer
from chainproof.contract.chain_schema import load_function
from chainproof.contract.clauses import USER_CHECK
from chainproof.contract.violations import Violation
from chainproof.errors import UsageError

from ..recording.exemplars import NON_OBJECT_CLAUSES

MAX_MESSAGE_LENGTH = 200
"""Letters that are kept of what a check says."""

CheckFunction = Callable[[Mapping[str, Any], Answer], object]
"""Payload and answer in; None, or what is wrong, out."""


def load_check(text: str) -> CheckFunction:
    """
    The function that `--check` names. Raises UsageError.
    """
    try:
        function = load_function(text)
        inspect.signature(function).bind({}, Answer(status=200, headers=()))
    except (TypeError, ValueError):
        raise UsageError(f"expected {text} to take a payload and an answer: def check(payload, answer)") from None
    return cast(CheckFunction, function)


class UserCheck:
    """
    A user's check, as it is asked.
    """

    def __init__(self, source: str) -> None:
        self._source = source
        self._check = load_check(source)

    def __call__(
        self, payload: Mapping[str, Any], answer: Answer, violations: tuple[Violation, ...]
    ) -> tuple[Violation, ...]:
        """What *departed* with, where the check says something, what it says. Raises whatever the check raises."""
        if answer.status != 200 or any(violation.clause in NON_OBJECT_CLAUSES for violation in violations):
            return violations
        said = self._check(payload, answer)
        if said is None:
            return violations
        if not isinstance(said, str):
            raise TypeError(f"expected {self._source} to return None or words, found {type(said).__name__}")
        expected = f"an answer that {self._source} has nothing to say against"
        return (*violations, Violation(clause=USER_CHECK, expected=expected, actual=_shortened(said)))


def _shortened(words: str) -> str:
    """
    As much of what was said as is kept, in one line.
    """
    line = " ".join(words.split()) or "(no words)"
    return line if len(line) <= MAX_MESSAGE_LENGTH else f"{line[: MAX_MESSAGE_LENGTH - 1]}…"
