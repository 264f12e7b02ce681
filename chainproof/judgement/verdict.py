"""
The five verdicts, and the exit codes that every command shares.
"""

from __future__ import annotations

from collections.abc import Iterable
from enum import IntEnum, StrEnum


class Verdict(StrEnum):
    """
    What a run, or several, amount to.
    """

    PASS = "pass"
    """Everything that was asked holds; also when nothing was asked."""
    FAIL = "fail"
    """The target departed from the contract or missed an objective."""
    INCONCLUSIVE = "inconclusive"
    """Too little was seen to say."""
    INVALID = "invalid"
    """The measurement cannot be trusted."""
    ERROR = "error"
    """We broke: says nothing about the target."""


class ExitCode(IntEnum):
    """
    How every chainproof command ends.
    """

    PASS = 0
    FAIL = 1
    USAGE = 2
    """Asked wrongly or cannot start: a bad option, no key, nobody listens. No run was made."""
    INCONCLUSIVE = 3
    INVALID = 4
    SOFTWARE = 70
    """Our own error."""
    INTERRUPTED = 130
    """Ctrl-C or SIGTERM; the report was written all the same."""


EXIT_CODE_OF: dict[Verdict, ExitCode] = {
    Verdict.PASS: ExitCode.PASS,
    Verdict.FAIL: ExitCode.FAIL,
    Verdict.INCONCLUSIVE: ExitCode.INCONCLUSIVE,
    Verdict.INVALID: ExitCode.INVALID,
    Verdict.ERROR: ExitCode.SOFTWARE,
}

_GRAVEST_FIRST = (Verdict.ERROR, Verdict.FAIL, Verdict.INVALID, Verdict.INCONCLUSIVE, Verdict.PASS)
"""A fail stands whatever else could not be measured; everything else yields to doubt."""


def worst_verdict(verdicts: Iterable[Verdict]) -> Verdict:
    """
    The verdict on several things at once; pass for none.
    """
    found = frozenset(verdicts)
    return next((verdict for verdict in _GRAVEST_FIRST if verdict in found), Verdict.PASS)
