"""Text from a target or a file, made safe to show: an error code may contain an escape sequence or run backwards."""

from __future__ import annotations


def escape_unprintable(text: str) -> str:
    r"""
    The text with line breaks, escape sequences and direction marks written as `\x1b` and the like.

    >>> escape_unprintable("green\x1b[32m")
    'green\\x1b[32m'
    """
    if text.isprintable():
        return text
    return "".join(
        character if character.isprintable() else character.encode("unicode_escape").decode("ascii")
        for character in text
    )


def shorten(text: str, max_length: int) -> str:
    """The text with at most *max_length* characters; where it is cut, its full length is given."""
    if len(text) <= max_length:
        return text
    note = f" … (cut: {len(text)} characters in all)"
    return text[: max(max_length - len(note), 0)] + note
