"""
The user's check, named by `--check`: a function that takes a payload and its answer, and returns what is wrong.

It is called for every answer with status 200 and a JSON object as body. This module imports pydantic and jsonschema_rs, so
it is imported only if a check is named.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from typing import Any, cast

from chainproof.chain_schema.class_import import load_function
from chainproof.contract.answer import Answer
from chainproof.contract.clauses import USER_CHECK
from chainproof.contract.violations import Violation
from chainproof.errors import YOUR_CODE, UsageError, UserCodeError, error_text, place_in
from chainproof.stored_text import shortened

CheckFunction = Callable[[Mapping[str, Any], Answer], object]
"""(payload, answer) -> None, or a message that says what is wrong."""

MAX_MESSAGE_LENGTH = 200
"""Longer messages of a check are shortened to this many characters."""


class UserCheckError(UserCodeError):
    """The user's check raised an exception, or returned something other than None or a message."""


def load_check(text: str) -> CheckFunction:
    """The function that `--check` names. Raises UsageError."""
    try:
        function = load_function(text)
        inspect.signature(function).bind({}, Answer(status=200, headers=()))
    except (TypeError, ValueError):
        raise UsageError(
            f"expected {text} to accept a payload and an answer, as in def check(payload, answer)"
        ) from None
    return cast(CheckFunction, function)


class UserCheck:
    """Calls the user's check and turns its message into a violation."""

    def __init__(self, source: str) -> None:
        """Load the function that `--check` names. Raises UsageError."""
        self.source = source
        """The value of the option."""
        self._check = load_check(source)
        # A check may be any callable; only a function has the name of its file.
        code = getattr(inspect.unwrap(self._check), "__code__", None)
        self._file: str | None = code and code.co_filename

    def violation(self, payload: Mapping[str, Any], answer: Answer) -> Violation | None:
        """The violation of an answer with status 200 and a JSON object. Raises UserCheckError."""
        try:
            message = self._check(payload, answer)
        except Exception as error:
            raise UserCheckError(error_text(self.source, error, place_in(self._file, error))) from error
        if message is None:
            return None
        if not isinstance(message, str):
            raise UserCheckError(
                f"{YOUR_CODE}expected {self.source} to return None or a str, found {type(message).__name__}"
            )
        return Violation(clause=USER_CHECK, expected=f"{self.source} passes", actual=_one_line(message))


def _one_line(message: str) -> str:
    """A message in one line of limited length."""
    return shortened(" ".join(message.split()) or "(no message)", MAX_MESSAGE_LENGTH)
