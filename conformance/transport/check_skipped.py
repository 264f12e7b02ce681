"""The exception that skips a check."""

from __future__ import annotations


class CheckSkipped(BaseException):
    """
    Ends a check without a result: the target cannot or may not be sent its requests.

    Its text says why, and what would make the check run.

    It is a BaseException, so that Hypothesis stops at once instead of shrinking it as a failed example.
    """


class RunIncomplete(CheckSkipped):
    """Ends a check for a reason that, unlike those of other skipped checks, leaves the run inconclusive."""

    def __init__(self, remedy: str, cause: str) -> None:
        """*cause* is why the check ends, and *remedy* what would change that."""
        super().__init__(f"needs {remedy}: {cause}")
        self.cause = cause


class RunCut(RunIncomplete):
    """Ends a check because the run may send no more: its time or request budget is spent, or the target is gone."""


class AnswerNotRead(RunIncomplete):
    """Ends a check because an answer does not fit into our memory, which says nothing about the target."""

    def __init__(self, reason: str) -> None:
        super().__init__("a higher --max-response-memory", reason)
        self.cause = f"{reason}, see --max-response-memory"
