"""Chart: the response times of a candidate over those of a baseline, on a logarithmic axis."""

from __future__ import annotations

from collections.abc import Sequence

from chainproof.judgement.load_summary import LoadSummary
from chainproof.results.exchange import Result
from chainproof.statistics.histogram import merge_histograms

from ..formatting import quantities
from .chart import Chart, LegendEntry, build_chart
from .distribution import shares_panel, shares_readout


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
    medians = [("candidate", candidate.quantile(0.5)), ("baseline", baseline.quantile(0.5))]
    return build_chart(
        "distributions",
        "Distribution of response times",
        description,
        legend,
        lambda width: [shares_panel(candidate, baseline, medians, width)],
        readout=shares_readout(candidate, baseline, ("candidate", "baseline")),
    )
