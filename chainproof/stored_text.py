"""
How much of the texts that a target sends is stored, and how they are shown: a target must neither fill the memory, the disk or a
report, nor control a terminal.
"""

from __future__ import annotations

import re
from collections.abc import Callable

MAX_ID_LENGTH = 200
"""Characters of a request id."""

MAX_CODE_LENGTH = 80
"""Characters of an error code."""

MAX_CODES = 100
"""Undocumented error codes that are counted separately."""

OTHER_CODES = "(other codes)"
"""Counts the error codes beyond these."""

MAX_FOUND_LENGTH = 500
"""Characters of what a violation found."""

MAX_FINDINGS = 200
"""Distinct findings. Further violations are counted in one more finding per clause."""

OTHER_VIOLATIONS = "other violations, not listed separately"
"""What that finding says that was found."""


def shortened(text: str, max_length: int) -> str:
    """
    A text of at most *max_length* characters; a longer one ends with an ellipsis.

    >>> shortened("abcdef", 4)
    'abc…'
    """
    return text if len(text) <= max_length else text[: max_length - 1] + "…"


_CI_COMMAND = re.compile(
    r":(?=:(?:(?:add|remove)-(?:mask|path|matcher)|debug|echo|error|notice|warning|(?:end)?group|save-state|set-env|set-output"
    r"|stop-commands)[ :])|#(?=#(?:\[|vso\[|teamcity\[))",
    re.IGNORECASE,
)
"""The first character of a command to a CI service, GitHub, Azure or TeamCity. Where lines are wrapped, any text may begin a line."""


def escape_unprintable(text: str) -> str:
    r"""
    The text with line breaks, escape sequences, direction marks, and commands to a CI service written as `\x1b` and the like.

    >>> escape_unprintable("green\x1b[32m")
    'green\\x1b[32m'
    >>> escape_unprintable("::error::text")
    '\\x3a:error::text'
    """
    if "::" in text or "##" in text:
        text = _CI_COMMAND.sub(lambda sign: f"\\x{ord(sign[0]):02x}", text)
    if text.isprintable():
        return text
    return "".join(
        character if character.isprintable() else character.encode("unicode_escape").decode("ascii")
        for character in text
    )


def stored(text: str, max_length: int, redact: Callable[[str], str]) -> str:
    """
    The beginning of a text of the target, without secrets.

    Redacting takes time: what is cut off anyway is cut off first. The mark of a redaction is not cut through.
    """
    return shortened(redact(shortened(text, 2 * max_length)), max_length)


def beginning(body: bytes, max_length: int) -> str:
    """
    The beginning of a body as text. Decoding all of a large body would take much time and memory.

    >>> beginning("été".encode() * 10**6, 4)
    'été…'
    """
    start = body[: 4 * max_length + 4]  # a character has 4 bytes at most
    return shortened(start.decode("utf-8", "replace"), max_length)
