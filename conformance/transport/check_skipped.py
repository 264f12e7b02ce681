"""The exception that skips a check."""

from __future__ import annotations


class CheckSkipped(BaseException):
    """
    Ends a check without a result: the target cannot or may not be sent its requests.

    Its text says why, and what would make the check run.

    It is a BaseException, so that Hypothesis stops at once instead of shrinking it as a failed example.
    """


class RunCut(CheckSkipped):
    """
    Ends a check because the run may send no more: its time or request budget is spent, or the target is gone.

    Unlike other skipped checks, it leaves the run inconclusive.
    """

    def __init__(self, remedy: str, cause: str) -> None:
        """*cause* is why no more may be sent, and *remedy* what would change that."""
        super().__init__(f"needs {remedy}: {cause}")
        self.cause = cause
