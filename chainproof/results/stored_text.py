"""How much of the texts that a target sends is stored: a target must not fill the disk or a report."""

from __future__ import annotations

MAX_ID_LENGTH = 200
"""Characters of a request id."""

MAX_CODE_LENGTH = 80
"""Characters of an error code."""

MAX_CODES = 100
"""Undocumented error codes that are counted separately."""

OTHER_CODES = "(other codes)"
"""Counts the error codes beyond these."""


def shortened(text: str, max_length: int) -> str:
    """
    A text of at most *max_length* characters; a longer one ends with an ellipsis.

    >>> shortened("abcdef", 4)
    'abc…'
    """
    return text if len(text) <= max_length else text[: max_length - 1] + "…"
