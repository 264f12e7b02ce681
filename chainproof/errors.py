"""The exception of mistakes that the user can correct."""

from __future__ import annotations


class UsageError(Exception):
    """A usage error, or a command that cannot start. The message is one line for the user; the exit code is 2."""
