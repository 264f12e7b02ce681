"""Text from a target or a file, made safe to show: an error code may contain an escape sequence or run backwards."""

from __future__ import annotations

from chainproof.stored_text import escape_unprintable

__all__ = ["escape_unprintable", "shorten"]


def shorten(text: str, max_length: int) -> str:
    """The text with at most *max_length* characters; where it is cut, its full length is given."""
    if len(text) <= max_length:
        return text
    note = f" … (cut: {len(text)} characters in all)"
    return text[: max(max_length - len(note), 0)] + note
