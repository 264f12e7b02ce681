"""
Finds dates with a time that come back as another instant, if the chain returns them.

A chain may convert a time to another offset, round it, or leave out its offset. But the same digits with another offset are
another instant: the offset was ignored.
"""

from __future__ import annotations

import datetime as dt

from chainproof.chain_schema.error_text import format_path
from chainproof.contract import clauses

from ...inputs.input_variations import Place, encoded, leaf_places, value_at, with_value
from ...judging.output_comparison import Leaves, Path, format_output_path
from ..input_source import InputSource
from ..outputs.difference_confirmation import send_alone
from ..requester import Requester

_MAX_PLACES = 4
_TIMES = ("2031-03-05T21:46:13+05:30", "2032-11-17T02:19:58-09:00")
"""Times in zones that hardly any server has, and on another day in UTC."""


def judge_returned_times(requester: Requester, source: InputSource) -> None:
    """Record times that come back with their own digits and another offset."""
    for place in _places(source)[:_MAX_PLACES]:
        label = f"a time with an offset as `{format_path(place)}`"
        values = [with_value(source.value, place, text) for text in _TIMES]
        if not all(map(source.accepts, values)):
            continue
        outputs = [send_alone(requester, encoded(value), label) for value in values]
        for path in outputs[0] or ():
            found = [_other_instant(sent, output, path) for sent, output in zip(_TIMES, outputs, strict=True)]
            if all(found):
                request = requester.build_request(encoded(values[0]), label=label)
                requester.record_clause(
                    clauses.ECHO_EXACT,
                    request,
                    expected="the instant that was sent",
                    actual=f"{found[0]} instead of {_TIMES[0]} at `{format_output_path(path)}`",
                    sign=(path, (found[0],)),
                )
                return


def _places(source: InputSource) -> list[Place]:
    """The texts that may be times with an offset, and may not be any text."""
    texts = [place for place in leaf_places(source.value) if isinstance(value_at(source.value, place), str)]
    return [
        place
        for place in texts
        if source.accepts(with_value(source.value, place, _TIMES[0]))
        and not source.accepts(with_value(source.value, place, "no time"))
    ]


def _other_instant(sent: str, output: Leaves | None, path: Path) -> str:
    """The text at a path that has the digits of a time with another offset; empty if there is none."""
    texts = (each for each in (output or {}).get(path, ()) if isinstance(each, str))
    return next((text for text in texts if _is_other_instant(sent, text)), "")


def _is_other_instant(sent: str, returned: str) -> bool:
    """
    True if the digits of a time came back with another offset.

    >>> _is_other_instant("2031-03-05T21:46:13+05:30", "2031-03-05T21:46:13Z")
    True
    >>> [_is_other_instant("2031-03-05T21:46:13+05:30", each) for each in ("2031-03-05T16:16:13Z", "2031-03-05T21:46:13", "x")]
    [False, False, False]
    """
    try:
        first, second = dt.datetime.fromisoformat(sent), dt.datetime.fromisoformat(returned)
    except ValueError:
        return False
    is_same_clock = first.replace(tzinfo=None) == second.replace(tzinfo=None)
    return is_same_clock and second.tzinfo is not None and first != second
