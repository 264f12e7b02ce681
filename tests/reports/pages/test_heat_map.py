"""The heat map: every ok answer is in one cell of every drawing."""

from __future__ import annotations

import pytest

from chainproof.reports.charts import heat_map
from chainproof.reports.charts.plot import NARROW, WIDE
from chainproof.reports.charts.timeline import build_timeline
from chainproof.reports.time_series import spans
from chainproof.results.exchange import Result
from chainproof.results.intervals.interval import total

from ..sample_runs import drawn_intervals


@pytest.mark.parametrize("width", [WIDE, NARROW])
@pytest.mark.parametrize(("seconds", "rate"), [(2, 1), (20, 50), (400, 3)])
def test_every_ok_answer_is_in_a_cell(seconds, rate, width):
    """The rates of all cells, times their seconds, are the number of ok answers, and no cell overlaps another."""
    intervals = drawn_intervals(seconds, rate, seed=4)
    over_time = spans(intervals, 300)
    times = total(intervals).response_time[Result.OK]
    cells = heat_map._filled(over_time, times.min_value / 1.03, times.max_value * 1.03, width)
    limits = heat_map._limits(cells)
    drawn = list(heat_map._cells(cells, limits, build_timeline(over_time, ())))

    assert times.count == round(sum(cell.rate * (cell.end - cell.start) for cell in cells))
    assert len({(cell.start, cell.times) for cell in cells}) == len(cells)
    assert limits == sorted(limits)
    assert {cell.rate for cell in cells} >= set(limits), "the legend names rates that occur"
    assert max(cell.rate for cell in cells) <= limits[-1] * (1 + 1e-9)
    unit = build_timeline(over_time, ()).unit.seconds
    assert sum(cell.end - cell.start for cell in cells) == round(sum((c.x[1] - c.x[0]) * unit for c in drawn))


def test_a_heat_map_of_one_span_or_without_answers_is_left_out():
    """One column says nothing about time."""
    assert heat_map.heat_map(spans(drawn_intervals(1, 20), 300)) is None
    assert heat_map.heat_map(spans(drawn_intervals(5, 0), 300)) is None
