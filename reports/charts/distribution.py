"""Chart: the distribution of response and service times of ok answers on a logarithmic axis."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from itertools import accumulate

from chainproof.clock import Seconds
from chainproof.results.exchange import Result
from chainproof.results.intervals.request_stats import RequestStats
from chainproof.statistics.histogram import Histogram

from ..formatting import quantities
from ..time_series import Bin, bins
from .axis_ticks import MIN_TIME, log_ticks, range_of
from .chart import Chart, LegendEntry, build_chart
from .plot import NARROW, WIDE, ChartSeries, Panel, Rule, Scale, Shape, XAxis, YAxis
from .readout import Readout, ReadoutRow

_MAX_BINS = {WIDE: 80, NARROW: 40}
_MIN_BINS = 16
_MAX_TICKS = {WIDE: 12, NARROW: 5}
_PERCENTILES: tuple[tuple[str, float], ...] = (("p50", 0.5), ("p95", 0.95), ("p99", 0.99))


def distribution(stats: RequestStats, scope: str = "") -> Chart | None:
    """The chart, or None without ok answers. *scope* says which requests are counted, to follow "ok answers"."""
    response, service = stats.response_time[Result.OK], stats.service_time[Result.OK]
    if not response.count or not service.count:
        return None
    description = (
        f"Times of {quantities.count(response.count)} ok answers{scope} on a logarithmic axis, from "
        f"{quantities.time(service.min)} to {quantities.time(response.max)}. Where response time lies to the right of "
        "service time, requests were sent late. The vertical lines are percentiles of the response time."
    )
    legend = (
        LegendEntry(colour="response", label="response time, from the intended start", shape="line"),
        LegendEntry(colour="service", label="service time, from the actual start"),
    )
    percentiles = [(name, response.quantile(fraction)) for name, fraction in _PERCENTILES]
    return build_chart(
        "distribution",
        "Distribution of times",
        description,
        legend,
        lambda width: [shares_panel(response, service, percentiles, width)],
        readout=shares_readout(response, service, ("response time", "service time")),
    )


def _axis_of_times(low: Seconds, high: Seconds, width: int) -> XAxis:
    """The axis of times."""
    low, high = low * 1e3, high * 1e3
    ticks = tuple(log_ticks(low, high, _MAX_TICKS[width]))
    return XAxis(title="time (logarithmic)", low=low, high=high, scale=Scale.TIME, ticks=ticks)


def _bins(line: Histogram, area: Histogram, width: int) -> tuple[list[Bin], list[Bin]]:
    """Two distributions in the same bins, more of them for more answers."""
    low, high = range_of([line, area])
    number = min(_MAX_BINS[width], max(_MIN_BINS, math.isqrt(line.count)))
    return bins(line, low, high, number), bins(area, low, high, number)


def shares_readout(line: Histogram, area: Histogram, names: tuple[str, str]) -> Readout:
    """The share of two distributions in every bin of the wide drawing, and of the first one up to its end."""
    found = _bins(line, area, WIDE)
    shares = [
        tuple(quantities.percent(each.count / times.count) for each in own)
        for times, own in zip((line, area), found, strict=True)
    ]
    faster = tuple(
        quantities.percent(min(number / line.count, 1.0)) for number in accumulate(each.count for each in found[0])
    )
    return Readout(
        axis=_axis_of_times(*range_of([line, area]), WIDE),
        places=tuple(1e3 * math.sqrt(each.low * each.high) for each in found[0]),
        labels=tuple(f"{quantities.time(each.low)} – {quantities.time(each.high)}" for each in found[0]),
        rows=(
            ReadoutRow(label=names[0], colour="response", values=shares[0]),
            ReadoutRow(label=names[1], colour="service", values=shares[1]),
            ReadoutRow(label=f"{names[0]}, up to here", values=faster),
        ),
    )


def shares_panel(line: Histogram, area: Histogram, rules: Iterable[tuple[str, Seconds | None]], width: int) -> Panel:
    """Two distributions, one as a line and one as an area, with named times as rules."""
    steps, filled = (
        _steps(found, times.count) for times, found in zip((line, area), _bins(line, area, width), strict=True)
    )
    return Panel(
        height=220,
        x=_axis_of_times(*range_of([line, area]), width),
        # 30 % more than the highest step, for the labels of the rules.
        y=YAxis(title="share of ok answers (%)", high=1.3 * max(share for _, share in (*steps, *filled))),
        series=(
            ChartSeries(shape=Shape.AREA, colour="service", points=filled, opacity=0.35),
            ChartSeries(shape=Shape.STEPS, colour="response", points=steps),
        ),
        rules=tuple(_rule(name, value) for name, value in rules),
    )


def _steps(bars: Sequence[Bin], total: int) -> tuple[tuple[float, float], ...]:
    """Bins as the points of a step line, in milliseconds and per cent."""
    return (*((each.low * 1e3, 100 * each.count / total) for each in bars), (bars[-1].high * 1e3, 0.0))


def _rule(name: str, value: Seconds | None) -> Rule:
    """A rule at a time."""
    time = max(value or 0.0, MIN_TIME)
    return Rule(x=time * 1e3, label=f"{name} {quantities.time(time)}")
