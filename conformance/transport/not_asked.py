"""
The exception that ends a check which cannot or may not ask the target.
"""

from __future__ import annotations


class NotAsked(BaseException):
    """
    Ends a check without a result. Its text says why, and what would make the check run.

    It derives from BaseException, so that Hypothesis stops at once instead of shrinking it as a failed example.
    """
