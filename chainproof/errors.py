"""The exceptions of mistakes that the user can correct."""

from __future__ import annotations

import traceback
from collections.abc import Iterable
from difflib import get_close_matches


class UsageError(Exception):
    """A usage error, or a command that cannot start. The message is one line for the user; the exit code is 2."""


YOUR_CODE = "your code: "
"""In a message: what follows describes an error in the user's code, not in chainproof or the target."""


class UserCodeError(Exception):
    """An exception of the user's own code, such as a check or a task of a locustfile. The message names file and line."""


def place_in(file: str | None, error: BaseException) -> str:
    """Where in a file an exception was raised, or passed on, as `FILE, line N`; empty if it did not pass the file."""
    lines = [frame.lineno for frame in traceback.extract_tb(error.__traceback__) if frame.filename == file]
    return f"{file}, line {lines[-1]}" if lines else ""


def error_text(name: str, error: BaseException, place: str) -> str:
    """The message of a UserCodeError, in one line."""
    reason = " ".join(str(error).split())
    return f"{YOUR_CODE}{name} raised {type(error).__name__}{reason and f': {reason}'}{place and f' ({place})'}"


def closest(word: str, known: Iterable[str]) -> str:
    """
    The end of a message about an unknown name: the known one that it resembles most; empty without one.

    >>> closest("stedy", ["smoke", "steady"]), closest("x", ["smoke"])
    (' (did you mean steady?)', '')
    """
    return "".join(f" (did you mean {match}?)" for match in get_close_matches(word, list(known), n=1))
