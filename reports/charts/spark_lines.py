"""A load run over time in lines of block characters, for formats whose readers remove drawings."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from chainproof.judgement.load_summary import LoadSummary
from chainproof.results.exchange import Result

from ..formatting import quantities
from ..time_series import Span, spans

_BLOCKS = "▁▂▃▄▅▆▇█"
_GAP = "·"
MAX_SPANS = 60
"""Characters in a line."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SparkLine:
    """One value over time."""

    title: str
    line: str
    lowest: str
    highest: str


def spark_line(values: Sequence[float | None]) -> str:
    """
    One character for each value, from zero to the highest; a point where there is none.

    >>> spark_line([0, 1, None, 8])
    '▁▁·█'
    """
    highest = max((value for value in values if value is not None), default=0.0)
    return "".join(_GAP if value is None else _BLOCKS[_height(value, highest)] for value in values)


def _height(value: float, highest: float) -> int:
    """The index of the block of a value."""
    return max(math.ceil(value / highest * len(_BLOCKS)) - 1, 0) if highest else 0


def spark_lines(summary: LoadSummary) -> list[SparkLine]:
    """Response times, answers and errors over time; empty for a run with fewer than two spans."""
    over_time = spans(summary.seconds, MAX_SPANS)
    rows: tuple[tuple[str, Callable[[float], str], Callable[[Span], float | None]], ...] = (
        ("response time p50", quantities.time, lambda span: _quantile(span, 0.5)),
        ("response time p99", quantities.time, lambda span: _quantile(span, 0.99)),
        ("ok answers", quantities.rate, lambda span: span.rate(span.counts.count(Result.OK))),
        ("not ok", quantities.rate, lambda span: span.rate(sum(map(span.counts.count, _NOT_OK)))),
    )
    lines = []
    for title, text, value in rows if len(over_time) > 1 else ():
        values = [value(span) for span in over_time]
        known = [each for each in values if each is not None]
        if known:
            lines.append(
                SparkLine(title=title, line=spark_line(values), lowest=text(min(known)), highest=text(max(known)))
            )
    return lines


_NOT_OK = tuple(result for result in Result if result is not Result.OK)


def _quantile(span: Span, fraction: float) -> float | None:
    """A quantile of the response time of ok answers."""
    return span.ok_times.quantile(fraction)
