"""The five verdicts, and the exit codes that every command shares."""

from __future__ import annotations

from collections.abc import Iterable
from enum import IntEnum, StrEnum

from chainproof.errors import YOUR_CODE


class Verdict(StrEnum):
    """The result of a run, or of several."""

    PASS = "pass"
    """Every objective is met and every tested clause holds; also if there was no objective."""
    FAIL = "fail"
    """The target violated the contract or missed an objective."""
    INCONCLUSIVE = "inconclusive"
    """There was too little evidence."""
    INVALID = "invalid"
    """The measurement cannot be trusted."""
    ERROR = "error"
    """An error in chainproof or in the user's code; says nothing about the target."""


class ExitCode(IntEnum):
    """The exit code of every chainproof command."""

    PASS = 0
    FAIL = 1
    USAGE = 2
    """Usage error, or the command cannot start: a bad option, no key, connection refused, a full disk. There is no run folder.

    Also in place of PASS if the output could not be written.
    """
    INCONCLUSIVE = 3
    INVALID = 4
    SOFTWARE = 70
    """An error in chainproof, or in the user's check or locustfile."""
    INTERRUPTED = 130
    """Ctrl-C, SIGTERM or SIGHUP; the report was written nevertheless."""


EXIT_CODE_OF: dict[Verdict, ExitCode] = {
    Verdict.PASS: ExitCode.PASS,
    Verdict.FAIL: ExitCode.FAIL,
    Verdict.INCONCLUSIVE: ExitCode.INCONCLUSIVE,
    Verdict.INVALID: ExitCode.INVALID,
    Verdict.ERROR: ExitCode.SOFTWARE,
}


def error_reason(note: str) -> str:
    """The reason of the verdict error, from the note that a run ended with: whose code failed, and how."""
    _, is_yours, yours = note.partition(YOUR_CODE)
    whose, what = ("Your code", yours) if is_yours else ("chainproof", note or "no reason recorded")
    return f"{whose} failed; this says nothing about the target: {what}."


def machine_reason(note: str) -> str:
    """The reason of the verdict invalid, from the note of a run that a problem of the machine ended."""
    return f"A problem of the machine ended the run: {note}."


_WORST_FIRST = (Verdict.ERROR, Verdict.FAIL, Verdict.INVALID, Verdict.INCONCLUSIVE, Verdict.PASS)
"""A fail counts even if something else could not be measured; a pass does not."""


def worst_verdict(verdicts: Iterable[Verdict]) -> Verdict:
    """The worst of several verdicts; pass for none."""
    present = frozenset(verdicts)
    return next((verdict for verdict in _WORST_FIRST if verdict in present), Verdict.PASS)
