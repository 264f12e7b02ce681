"""Short lines of text for error messages about schemas, classes and values."""

from __future__ import annotations

from chainproof.errors import UsageError
from chainproof.stored_text import shortened

MAX_LINE_LENGTH = 200
"""Characters of a line."""


class SchemaError(UsageError):
    """A schema or a class that cannot be used. The message is one line."""


def format_path(path: tuple[str | int, ...] | list[str | int]) -> str:
    """A path in a JSON value, such as `opts.names[0]`; empty for the value itself."""
    parts = "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in path)
    return parts.removeprefix(".")


def one_line(text: str) -> str:
    """The first non-empty line of a text, truncated."""
    return truncated(next((line.strip() for line in text.splitlines() if line.strip()), ""))


def truncated(text: str) -> str:
    """A text of at most MAX_LINE_LENGTH characters."""
    return shortened(text, MAX_LINE_LENGTH)
