"""
Recognises values that a chain returns wrongly: integers that lost digits, and texts that lost or gained characters on the way.

Only changes that nobody makes on purpose count. A chain may shorten texts, escape them for HTML, clamp numbers, or normalize
either.
"""

from __future__ import annotations

import html
import json
import struct
import sys
from collections.abc import Iterator
from urllib.parse import unquote, unquote_plus

from chainproof.json_text import is_number

_WRAPPED = 2**16
"""Integers of any fixed size keep at least the remainder by this number."""

UNUSUAL_TEXTS: dict[str, str] = {
    "a character beyond U+FFFF": "😀",
    "characters of two and three bytes": "é漢",
    "a NUL character": "\0",
    "markup": "<&>",
    "backslashes": "\\n\\\\",
    "percent signs": "%41+%2B",
    "quotation marks": "\"q'",
    "line breaks and tabs": "\n\t\n",
}
"""Parts of texts that come back wrongly if they are written or read in two different ways."""

_LOST = ("?", "\ufffd")
"""What stands for a character that could not be converted."""


def is_misread_number(sent: int | str, returned: object) -> bool:
    """
    True if a number lost its last or its first digits, or a text became a number or a boolean.

    >>> is_misread_number(2**53 + 1, 2**53), is_misread_number(2**31 + 5, 5 - 2**31), is_misread_number(2**40, 2**31 - 1)
    (True, True, False)
    >>> is_misread_number(2**31 + 12_345, 2_147_495_936)
    True
    >>> is_misread_number(2**40, 10**400), is_misread_number(2**40, float("inf"))
    (False, False)
    """
    if isinstance(sent, str) and isinstance(returned, bool):
        return True
    if not is_number(returned) or abs(returned) > sys.float_info.max:
        return False
    if isinstance(sent, str) or float(returned) in (float(sent), _single_precision(sent)):
        return True
    is_limit = (int(returned) + 1) & int(returned) == 0
    return isinstance(returned, int) and not is_limit and (sent - returned) % _WRAPPED == 0


def _single_precision(number: int) -> float:
    """The nearest number of those that have 32 bits."""
    return float(struct.unpack("f", struct.pack("f", number))[0])


def is_misread_text(before: str, unusual: str, after: str, returned: object) -> bool:
    r"""
    True if a text with an unusual part came back with that part converted wrongly, or was cut off there.

    >>> is_misread_text("a", "é", "b", "aÃ©b"), is_misread_text("a", "<&>", "b", "a&lt;&amp;&gt;b")
    (True, False)
    >>> is_misread_text("a", "'", "b", "a''b"), is_misread_text("a", "'", "b", "ab")
    (True, False)
    >>> is_misread_text("a", "\n", "b", r"a\nb"), is_misread_text("a", "\n", "b", "a b")
    (True, False)
    """
    if returned == before + unusual + after:
        return False
    # Text before markup may be extracted on purpose.
    is_cut = returned == before and (unusual == "\0" or not unusual.isascii())
    return is_cut or any(returned == before + wrong + after for wrong in _misreadings(unusual))


def _misreadings(text: str) -> Iterator[str]:
    """What a text becomes if it is encoded once too often, decoded once too often, or in another charset."""
    yield html.escape(html.escape(text))
    yield json.dumps(text)[1:-1]
    yield text.encode().decode("latin-1")
    yield text.encode().decode("cp1252", "replace")
    yield from (text.replace(mark, f"{before}{mark}") for mark in "\"'" for before in (mark, "\\") if mark in text)
    yield text.replace("\\n", "\n").replace("\\\\", "\\")
    yield from (unquote(text), unquote_plus(text)) if "%" in text else ()
    for char in () if text.isascii() else _LOST:
        for count in (len(text), len(text.encode()), len(text.encode("utf-16-le")) // 2):
            yield char * count


def is_cut_within_character(sent: str, returned: object, *, least: int) -> bool:
    r"""
    True if a text is the beginning of what was sent, of *least* characters or more, but its last character is half of one, or
    if that was done to parts of it.

    >>> is_cut_within_character("abc漢字", "abc漢\ufffd", least=3), is_cut_within_character("abc漢字", "abc漢", least=3)
    (True, False)
    >>> is_cut_within_character("abc漢字漢字", "abc漢\ufffd\ufffd漢字", least=3)
    True
    """
    if not isinstance(returned, str):
        return False
    if (
        sent.startswith(returned[:least])
        and len(returned) >= len(sent)
        and "\ufffd" in returned
        and "\ufffd" not in sent
    ):
        return True
    whole = returned.rstrip("".join(map(chr, (0xFFFD, *range(0xD800, 0xE000)))))
    return least <= len(whole) < len(returned) and sent.startswith(whole) and not sent.startswith(returned)
