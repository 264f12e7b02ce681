"""Chart: the distribution of response and service times of ok answers on a logarithmic axis."""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import accumulate

from chainproof.clock import Seconds
from chainproof.results.exchange import Result
from chainproof.results.interval import RequestStats
from chainproof.statistics.histogram import Histogram

from ..formatting import quantities
from ..time_series import Bin, bins
from .axis_ticks import log_ticks
from .chart import Chart, LegendEntry, build_chart
from .plot import NARROW, WIDE, Panel, Point, Rule, Scale, Series, Shape, XAxis, YAxis
from .readout import Readout, ReadoutRow

_MAX_BINS = {WIDE: 80, NARROW: 40}
_MIN_BINS = 16
_MAX_TICKS = {WIDE: 12, NARROW: 5}
_PERCENTILES: tuple[tuple[str, float], ...] = (("p50", 0.5), ("p95", 0.95), ("p99", 0.99))

_MIN_TIME: Seconds = 1e-6
"""The lowest left end of the axis, because a logarithmic axis has no zero."""


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
    return build_chart(
        "distribution",
        "Distribution of times",
        description,
        legend,
        lambda width: [_panel(response, service, width)],
        readout=shares_readout(response, service, ("response time", "service time")),
    )


def range_of(response: Histogram, service: Histogram) -> tuple[Seconds, Seconds]:
    """The ends of the axis, with a margin: without it a constant time would leave an axis of no length."""
    low = max(min(response.min_value, service.min_value), _MIN_TIME)
    return low / 1.03, max(response.max_value, service.max_value, low) * 1.03


def axis_of_times(low: Seconds, high: Seconds, width: int) -> XAxis:
    """The axis of times."""
    low, high = low * 1e3, high * 1e3
    ticks = tuple(log_ticks(low, high, _MAX_TICKS[width]))
    return XAxis(title="time (logarithmic)", low=low, high=high, scale=Scale.TIME, ticks=ticks)


def number_of_bins(response: Histogram, width: int) -> int:
    """More bins for more answers."""
    return min(_MAX_BINS[width], max(_MIN_BINS, math.isqrt(response.count)))


def shares_readout(response: Histogram, service: Histogram, names: tuple[str, str]) -> Readout:
    """The share of two distributions in every bin of the wide drawing, and of the first one up to its end."""
    low, high = range_of(response, service)
    number = number_of_bins(response, WIDE)
    response_bins, service_bins = bins(response, low, high, number), bins(service, low, high, number)
    shares = [
        tuple(quantities.percent(each.count / times.count) for each in found)
        for times, found in ((response, response_bins), (service, service_bins))
    ]
    faster = tuple(
        quantities.percent(min(number / response.count, 1.0))
        for number in accumulate(each.count for each in response_bins)
    )
    return Readout(
        axis=axis_of_times(low, high, WIDE),
        places=tuple(1e3 * math.sqrt(each.low * each.high) for each in response_bins),
        labels=tuple(f"{quantities.time(each.low)} – {quantities.time(each.high)}" for each in response_bins),
        rows=(
            ReadoutRow(label=names[0], colour="response", values=shares[0]),
            ReadoutRow(label=names[1], colour="service", values=shares[1]),
            ReadoutRow(label=f"{names[0]}, up to here", values=faster),
        ),
    )


def _panel(response: Histogram, service: Histogram, width: int) -> Panel:
    """Service time as an area, response time as a line, percentiles as rules."""
    low, high = range_of(response, service)
    number = number_of_bins(response, width)
    response_bins = bins(response, low, high, number)
    return Panel(
        height=220,
        x=axis_of_times(low, high, width),
        # 30 % more than the highest step, for the labels of the percentiles.
        y=YAxis(title="share of ok answers (%)", high=130 * max(each.count / response.count for each in response_bins)),
        series=(
            Series(
                shape=Shape.AREA,
                colour="service",
                points=steps(bins(service, low, high, number), service.count),
                opacity=0.35,
            ),
            Series(shape=Shape.STEPS, colour="response", points=steps(response_bins, response.count)),
        ),
        rules=tuple(percentile_rule(name, response.quantile(fraction)) for name, fraction in _PERCENTILES),
    )


def steps(bars: Sequence[Bin], total: int) -> tuple[Point, ...]:
    """Bins as the points of a step line, in milliseconds and per cent."""
    return (*((each.low * 1e3, 100 * each.count / total) for each in bars), (bars[-1].high * 1e3, 0.0))


def percentile_rule(name: str, value: Seconds | None) -> Rule:
    """A rule at a percentile."""
    time = max(value or 0.0, _MIN_TIME)
    return Rule(x=time * 1e3, label=f"{name} {quantities.time(time)}")
