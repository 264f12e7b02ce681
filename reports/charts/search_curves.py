"""Chart: response time and throughput of the probes of a search, by rate."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Sequence
from statistics import fmean

from chainproof.clock import PerSecond
from chainproof.results.search_record import ProbeRecord, SearchRecord

from ..formatting import quantities
from ..formatting.searches import MAX_PROBES
from .chart import Chart, LegendEntry, build_chart
from .latency import PERCENTILES
from .plot import ChartSeries, Panel, Point, Rule, Shape, XAxis, YAxis
from .readout import Readout, ReadoutRow
from .timeline import TimeUnit, axis_unit

_MAX_TIMES = 20
"""The axis ends at this multiple of the p99 at the highest rate that met the objectives: overload would flatten the rest."""


def search_curves(search: SearchRecord) -> Chart | None:
    """The chart, or None for a search without two rates that were answered."""
    probes = [probe for probe in search.probes[:MAX_PROBES] if probe.response_time and probe.rate > 0]
    rates = sorted({probe.rate for probe in probes})
    if len(rates) < 2:
        return None
    description = (
        f"Response times of ok answers and throughput of {len(probes)} probes at {len(rates)} rates, from "
        f"{quantities.rate(rates[0])} to {quantities.rate(rates[-1])}. Each dot is a probe, each line goes through the means. "
        "Throughput follows the dashed line as long as the target keeps up."
    )
    legend = (
        *(LegendEntry(colour=name, label=name, shape=shape) for name, _, shape, _ in PERCENTILES),
        LegendEntry(colour="ok", label="ok answers (below)", shape="line"),
        LegendEntry(colour="planned", label="arrival rate (below)", shape="dashes"),
        LegendEntry(colour="in-flight", label="requests in flight (last)", shape="line"),
    )
    panels = _panels(probes, rates[-1], _rules(search))
    return build_chart(
        "curves",
        "Response time and throughput by rate",
        description,
        legend,
        lambda _: panels,
        readout=_readout(sorted(probes, key=lambda probe: probe.rate), panels[0].x),
    )


def _readout(probes: Sequence[ProbeRecord], axis: XAxis) -> Readout:
    """The values of each probe, by rate."""
    times = (
        ReadoutRow(
            label=name, colour=name, values=tuple(quantities.time(probe.response_time.get(name)) for probe in probes)
        )
        for name, _, _, _ in PERCENTILES
    )
    return Readout(
        axis=axis,
        places=tuple(probe.rate for probe in probes),
        labels=tuple(quantities.rate(probe.rate) for probe in probes),
        rows=(
            *times,
            ReadoutRow(label="ok answers", colour="ok", values=tuple(quantities.rate(p.ok_per_second) for p in probes)),
            ReadoutRow(label="in flight", colour="in-flight", values=tuple(f"{p.in_flight:,.3g}" for p in probes)),
        ),
    )


def _panels(probes: Sequence[ProbeRecord], highest: PerSecond, rules: tuple[Rule, ...]) -> list[Panel]:
    """Response time, throughput and requests in flight, one below the other."""
    limit = _time_limit(probes)
    unit = axis_unit(limit)
    planned = ChartSeries(shape=Shape.LINE, colour="planned", points=((0.0, 0.0), (highest, highest)), dash=(5, 3))
    percentiles = tuple(_curve(name, dash, probes, _percentile(name, limit, unit)) for name, _, _, dash in PERCENTILES)
    # 25 % more than the highest value, for the labels of the rules.
    times = YAxis(title=f"response time ({unit.name})", high=1.25 * limit / unit.seconds)
    throughput = _curve("ok", (1, 0), probes, lambda probe: probe.ok_per_second)
    in_flight = _curve("in-flight", (1, 0), probes, lambda probe: probe.in_flight)
    rows = (
        (220, times, percentiles),
        (150, YAxis(title="ok answers per second"), (throughput, planned)),
        (110, YAxis(title="mean requests in flight", few_ticks=True), (in_flight,)),
    )
    titles = (None, None, "arrival rate (requests per second)")
    return [
        Panel(
            height=height,
            x=XAxis(title=title, low=0, high=1.03 * highest),
            y=y,
            series=series,
            rules=rules if y is times else tuple(Rule(x=rule.x, label="") for rule in rules),
        )
        for title, (height, y, series) in zip(titles, rows, strict=True)
    ]


def _time_limit(probes: Sequence[ProbeRecord]) -> float:
    """Where the axis of response times ends."""
    highest = [max(probe.response_time.values()) for probe in probes]
    met = [
        max(probe.response_time.values()) for probe in probes if probe.verdict == "met" and not probe.growing
    ] or highest
    return max(min(max(highest), _MAX_TIMES * max(met)), 1e-6)


def _percentile(name: str, limit: float, unit: TimeUnit) -> Callable[[ProbeRecord], float | None]:
    """The value of a percentile on the axis; None beyond its end."""

    def value(probe: ProbeRecord) -> float | None:
        time = probe.response_time.get(name)
        return None if time is None or time > limit else time / unit.seconds

    return value


def _curve(
    colour: str, dash: tuple[int, int], probes: Sequence[ProbeRecord], value: Callable[[ProbeRecord], float | None]
) -> ChartSeries:
    """A dot for each probe, and a line through the mean at each rate."""
    by_rate: dict[PerSecond, list[float]] = defaultdict(list)
    for probe in probes:
        if (number := value(probe)) is not None:
            by_rate[probe.rate].append(number)
    dots: list[Point] = [(rate, number) for rate in sorted(by_rate) for number in by_rate[rate]]
    points: list[Point] = [(rate, fmean(by_rate[rate])) for rate in sorted(by_rate)]
    return ChartSeries(shape=Shape.LINE, colour=colour, points=tuple(points), dash=dash, width=2, dots=tuple(dots))


def _rules(search: SearchRecord) -> tuple[Rule, ...]:
    """Where the result is, and the lowest missed rate."""
    places = (("result", search.saturation_rate), ("missed", search.missed_at))
    return tuple(Rule(x=rate, label=f"{name} {quantities.rate(rate)}") for name, rate in places if rate is not None)
