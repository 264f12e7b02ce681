"""Chart: the distribution of response and service times of ok answers on a logarithmic axis."""

from __future__ import annotations

import math
from collections.abc import Sequence

from chainproof.clock import Seconds
from chainproof.results.exchange import Result
from chainproof.results.interval import RequestStats
from chainproof.statistics.histogram import Histogram

from ..formatting import quantities
from ..time_series import Bin, bins
from .chart import Chart, LegendEntry, build_chart
from .plot import NARROW, WIDE, Panel, Point, Rule, Series, Shape, XAxis, YAxis

_MAX_BINS = {WIDE: 80, NARROW: 40}
_MIN_BINS = 16
_MAX_TICKS = {WIDE: 12, NARROW: 6}
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
    )


def _panel(response: Histogram, service: Histogram, width: int) -> Panel:
    """Service time as an area, response time as a line, percentiles as rules."""
    low = max(min(response.min_value, service.min_value), _MIN_TIME)
    high = max(response.max_value, service.max_value, low)
    # A margin at both ends; without it a constant time would leave an axis of no length.
    low, high = low / 1.03, high * 1.03
    number = min(_MAX_BINS[width], max(_MIN_BINS, math.isqrt(response.count)))
    response_bins = bins(response, low, high, number)
    return Panel(
        height=220,
        x=XAxis(
            title="time (logarithmic)",
            low=low * 1e3,
            high=high * 1e3,
            log_milliseconds=True,
            ticks=tuple(_log_ticks(low * 1e3, high * 1e3, _MAX_TICKS[width])),
        ),
        # 30 % more than the highest step, for the labels of the percentiles.
        y=YAxis(title="share of ok answers (%)", high=130 * max(each.count / response.count for each in response_bins)),
        series=(
            Series(
                shape=Shape.AREA,
                colour="service",
                points=_steps(bins(service, low, high, number), service.count),
                opacity=0.35,
            ),
            Series(shape=Shape.STEPS, colour="response", points=_steps(response_bins, response.count)),
        ),
        rules=tuple(_rule(name, response.quantile(fraction)) for name, fraction in _PERCENTILES),
    )


def _steps(bars: Sequence[Bin], total: int) -> tuple[Point, ...]:
    """Bins as the points of a step line, in milliseconds and per cent."""
    return (*((each.low * 1e3, 100 * each.count / total) for each in bars), (bars[-1].high * 1e3, 0.0))


def _rule(name: str, value: Seconds | None) -> Rule:
    """A rule at a percentile."""
    time = max(value or 0.0, _MIN_TIME)
    return Rule(x=time * 1e3, label=f"{name} {quantities.time(time)}")


def _log_ticks(low: float, high: float, max_ticks: int) -> list[float]:
    """Round numbers between the ends of a logarithmic axis: 1, 2 and 5 times powers of ten, fewer if those are too many."""
    first, last = math.floor(math.log10(low)), math.ceil(math.log10(high))
    candidates = [digit * 10.0**power for power in range(first, last + 1) for digit in (1, 2, 5)]
    ticks = [tick for tick in candidates if low <= tick <= high]
    if len(ticks) < 3:
        ticks = [float(f"{low + (high - low) * quarter / 4:.3g}") for quarter in range(1, 4)]
    return ticks if len(ticks) <= max_ticks else [tick for tick in ticks if f"{tick:e}".startswith("1")]
