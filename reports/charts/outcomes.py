"""Chart: outcomes per second, stacked; in a second panel those that are not ok."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence

from chainproof.judgement.load_summary import LoadSummary
from chainproof.results.exchange import Result
from chainproof.results.settings import PhaseSpan

from ..formatting import quantities, safe_text
from ..formatting.outcomes import outcome_text
from ..time_series import Span
from .chart import Chart, LegendEntry, build_chart
from .colours import OTHER, Palette
from .plot import ChartSeries, Panel, Shape, YAxis
from .readout import ReadoutRow
from .timeline import Timeline, build_timeline, resolution_note, time_readout


def outcomes_over_time(
    over_time: Sequence[Span], summary: LoadSummary, colours: Palette, phases: Sequence[PhaseSpan] = ()
) -> Chart | None:
    """The chart, or None where no outcome is recorded."""
    ordered = list(dict.fromkeys(colours[row.outcome] for row in summary.outcomes))
    if not ordered:
        return None
    ordered.sort(key=lambda colour: (colour != "ok", colour == OTHER))
    timeline = build_timeline(over_time, phases)
    rates = {colour: _rates(colour, over_time, colours) for colour in ordered}
    everything = _stacked(rates, over_time, timeline)
    not_ok = _stacked({colour: each for colour, each in rates.items() if colour != "ok"}, over_time, timeline)
    number = sum(row.count for row in summary.outcomes if row.outcome.result is not Result.OK)
    detail = (
        f"Below, on an axis of their own: the {quantities.count(number)} that are not ok." if number else "All are ok."
    )
    legend = _legend(summary, colours)
    return build_chart(
        "outcomes",
        "Outcomes over time",
        f"Requests by outcome per second{resolution_note(over_time)}, stacked. {detail}",
        legend,
        lambda width: _panels(everything, not_ok, timeline, width),
        timeline=timeline,
        readout=time_readout(
            over_time,
            timeline,
            tuple(
                ReadoutRow(
                    label=entry.label, colour=entry.colour, values=tuple(map(quantities.rate, rates[entry.colour]))
                )
                for entry in legend
            ),
        ),
    )


def _rates(colour: str, over_time: Sequence[Span], colours: Palette) -> list[float]:
    """Outcomes of one colour per second, span by span."""
    return [
        span.rate(sum(count for outcome, count in span.counts.outcomes.items() if colours[outcome] == colour))
        for span in over_time
    ]


def _legend(summary: LoadSummary, colours: Palette) -> tuple[LegendEntry, ...]:
    """The legend, the most frequent outcome first."""
    labels: dict[str, str] = {}
    texts = Counter(outcome_text(row.outcome) for row in summary.outcomes)
    for row in summary.outcomes:
        colour, text = colours[row.outcome], outcome_text(row.outcome)
        party = f" ({row.responsible})" if texts[text] > 1 and row.responsible is not None else ""
        labels.setdefault(colour, "ok" if colour == "ok" else safe_text.shorten(text, 60) + party)
    if OTHER in labels:
        labels[OTHER] = "other outcomes"
    return tuple(LegendEntry(colour=colour, label=label) for colour, label in labels.items())


def _stacked(
    rates: Mapping[str, Sequence[float]], over_time: Sequence[Span], timeline: Timeline
) -> tuple[ChartSeries, ...]:
    """Rates by colour as areas on top of each other."""
    floor = [0.0] * len(over_time)
    areas: list[ChartSeries] = []
    for colour, values in rates.items():
        top = [low + value for low, value in zip(floor, values, strict=True)]
        points = timeline.steps(top, over_time)
        areas.append(ChartSeries(shape=Shape.AREA, colour=colour, points=points, base=(*floor, floor[-1])))
        floor = top
    return tuple(areas)


def _panels(
    everything: tuple[ChartSeries, ...], not_ok: tuple[ChartSeries, ...], timeline: Timeline, width: int
) -> Sequence[Panel]:
    """All outcomes above, and below those that are not ok if there are any."""
    titles = ("all, per second", "not ok, per second") if not_ok else ("requests per second",)
    heights = (130, 110) if not_ok else (170,)
    return [
        Panel(
            height=height,
            x=timeline.axis(labelled=place == len(titles) - 1),
            y=YAxis(title=title, few_ticks=True),
            series=series,
            bands=timeline.bands(width, labelled=place == 0),
        )
        for place, (title, height, series) in enumerate(zip(titles, heights, (everything, not_ok), strict=False))
    ]
