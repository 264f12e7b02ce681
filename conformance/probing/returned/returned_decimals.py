"""Finds decimal numbers, sent as texts, that lose digits on their way through a binary fraction."""

from __future__ import annotations

from decimal import Decimal, InvalidOperation
from itertools import islice

from chainproof.chain_schema.error_text import format_path

from ...inputs.input_variations import Place, encoded, leaf_places, with_value
from ...judging.output_comparison import Leaves, Path, format_output_path
from ..input_source import InputSource
from ..outputs.difference_confirmation import send_alone
from ..requester import Requester
from .replaced_values import record_replaced

_MAX_PLACES = 4
_USUAL = ("12.25", "56.75")
"""Decimal numbers that show whether the chain returns them: every binary fraction has them exactly."""
_LONG = ("12345678901.23", "1234567890.12", "123456789.12", "12345678.91", "1234567.89")
"""Others, of which one is sent: the longest that is accepted. A double has its digits, a float of 32 bits has not."""
_NEAR = Decimal("0.001")
"""Relative difference from which another number is no less precise one."""


def judge_returned_decimals(requester: Requester, source: InputSource) -> None:
    """Record decimal numbers that come back with other last digits, where shorter ones come back as they are."""
    for place in islice(_places(source), _MAX_PLACES):
        accepted = [text for text in _LONG if source.accepts(with_value(source.value, place, text))]
        if not accepted:
            continue
        usual = [_output(requester, source, place, text) for text in _USUAL]
        paths = [path for path in usual[0] if all(map(_has, usual, (path, path), _USUAL))]
        output = _output(requester, source, place, accepted[0]) if paths else {}
        for path in paths:
            found = _decimal(output, path)
            if found is not None and 0 < abs(found - Decimal(accepted[0])) < Decimal(accepted[0]) * _NEAR:
                value = with_value(source.value, place, accepted[0])
                what = f"{output[path][0]!r} instead of {accepted[0]!r} at `{format_output_path(path)}`"
                record_replaced(requester, value, _label(place, accepted[0]), what, (path, output[path]))
                return


def _places(source: InputSource) -> list[Place]:
    """Where texts must be decimal numbers."""
    return [
        place
        for place in leaf_places(source.value)
        if all(source.accepts(with_value(source.value, place, text)) for text in _USUAL)
        and not source.accepts(with_value(source.value, place, "no number"))
    ]


def _label(place: Place, text: str) -> str:
    return f"{text!r} as `{format_path(place)}`"


def _output(requester: Requester, source: InputSource, place: Place, text: str) -> Leaves:
    return send_alone(requester, encoded(with_value(source.value, place, text)), _label(place, text)) or {}


def _has(output: Leaves, path: Path, text: str) -> bool:
    return _decimal(output, path) == Decimal(text)


def _decimal(output: Leaves, path: Path) -> Decimal | None:
    """The only value at a path as a decimal number; None if it is none."""
    values = output.get(path, ())
    if len(values) != 1 or isinstance(values[0], bool) or not isinstance(values[0], int | float | str):
        return None
    try:
        found = Decimal(str(values[0]))
    except InvalidOperation:
        return None
    return found if found.is_finite() else None
