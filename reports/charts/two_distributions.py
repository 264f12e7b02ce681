"""Chart: the response times of a candidate over those of a baseline, on a logarithmic axis."""

from __future__ import annotations

from collections.abc import Sequence

from chainproof.judgement.load_summary import LoadSummary
from chainproof.results.exchange import Result
from chainproof.statistics.histogram import Histogram, merge_histograms

from ..formatting import quantities
from ..time_series import bins
from .chart import Chart, LegendEntry, build_chart
from .distribution import axis_of_times, number_of_bins, percentile_rule, range_of, shares_readout, steps
from .plot import Panel, Series, Shape, YAxis


def two_distributions(candidates: Sequence[LoadSummary], baselines: Sequence[LoadSummary]) -> Chart | None:
    """The chart, or None if a side has no ok answer."""
    candidate, baseline = (
        merge_histograms(each.judged.response_time[Result.OK] for each in side) for side in (candidates, baselines)
    )
    if not candidate.count or not baseline.count:
        return None
    description = (
        f"Response times of {quantities.count(candidate.count)} ok answers of the candidate (line) and "
        f"{quantities.count(baseline.count)} of the baseline (area), all runs of a side together. Where the line lies to the right of "
        "the area, the candidate is slower. The vertical lines are the medians."
    )
    legend = (
        LegendEntry(colour="response", label="candidate", shape="line"),
        LegendEntry(colour="service", label="baseline"),
    )
    return build_chart(
        "distributions",
        "Distribution of response times",
        description,
        legend,
        lambda width: [_panel(candidate, baseline, width)],
        readout=shares_readout(candidate, baseline, ("candidate", "baseline")),
    )


def _panel(candidate: Histogram, baseline: Histogram, width: int) -> Panel:
    """The baseline as an area, the candidate as a line, the medians as rules."""
    low, high = range_of(candidate, baseline)
    number = number_of_bins(candidate, width)
    sides = [(times, bins(times, low, high, number)) for times in (candidate, baseline)]
    highest = max(each.count / times.count for times, found in sides for each in found)
    line, area = (steps(found, times.count) for times, found in sides)
    return Panel(
        height=220,
        x=axis_of_times(low, high, width),
        y=YAxis(title="share of ok answers (%)", high=125 * highest),
        series=(
            Series(shape=Shape.AREA, colour="service", points=area, opacity=0.35),
            Series(shape=Shape.STEPS, colour="response", points=line),
        ),
        rules=(
            percentile_rule("candidate", candidate.quantile(0.5)),
            percentile_rule("baseline", baseline.quantile(0.5)),
        ),
    )
