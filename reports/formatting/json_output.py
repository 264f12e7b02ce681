"""Reports for programs as JSON text."""

from __future__ import annotations

import json
import math
import re

import orjson


def indented_json(data: object) -> str:
    r"""
    Data as indented JSON. Half of a surrogate pair, as in the name of a folder that is not UTF-8, is escaped, and so is what would
    control a terminal.

    >>> indented_json(["\udcff", "é\x9b"])
    '[\n  "\\udcff",\n  "\\u00e9\\u009b"\n]\n'
    """
    try:
        text = orjson.dumps(data, option=orjson.OPT_INDENT_2 | orjson.OPT_APPEND_NEWLINE).decode()
    except TypeError:  # orjson takes no surrogates
        return json.dumps(data, indent=2) + "\n"
    return _NOT_ASCII.sub(_printable, text)


_NOT_ASCII = re.compile(r"[^\x00-\x7e]")


def _printable(character: re.Match[str]) -> str:
    """A character of a JSON text, escaped if it is not printable."""
    return character[0] if character[0].isprintable() else json.dumps(character[0])[1:-1]


def finite(value: float | None) -> float | None:
    """The number; None for infinity, such as the time of a request that was never answered: JSON has none."""
    return value if value is not None and math.isfinite(value) else None
