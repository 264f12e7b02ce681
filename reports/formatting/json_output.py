"""Reports for programs as JSON text."""

from __future__ import annotations

import json
import math

import orjson


def indented_json(data: object) -> str:
    r"""
    Data as indented JSON. Half of a surrogate pair, as in the name of a folder that is not UTF-8, is escaped.

    >>> indented_json(["\udcff"])
    '[\n  "\\udcff"\n]\n'
    """
    try:
        return orjson.dumps(data, option=orjson.OPT_INDENT_2 | orjson.OPT_APPEND_NEWLINE).decode()
    except TypeError:  # orjson takes no surrogates
        return json.dumps(data, indent=2) + "\n"


def finite(value: float | None) -> float | None:
    """The number; None for infinity, such as the time of a request that was never answered: JSON has none."""
    return value if value is not None and math.isfinite(value) else None
