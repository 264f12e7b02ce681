"""A comparison as one self-contained HTML page: the verdict, what changed, how certain it is, what to do."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import jinja2

from chainproof.judgement.comparison.change import MetricChange, Tolerance
from chainproof.judgement.comparison.comparison import Comparison
from chainproof.judgement.comparison.differences import Design
from chainproof.judgement.verdict import EXIT_CODE_OF

from ..charts.two_distributions import two_distributions
from ..formats import html
from . import wording

_FOLDER = Path(__file__).parent
TEMPLATES = html.TEMPLATES.overlay(loader=jinja2.FileSystemLoader([_FOLDER, Path(html.__file__).parent]))
"""The pages of this folder, with the macros and the functions of the report."""

_LARGEST = 4.0
"""Where the picture of an interval ends, in tolerances."""


@dataclass(frozen=True, slots=True, kw_only=True)
class IntervalBar:
    """Where a change and its interval are in a picture, in per cent of its width: worse is on the right."""

    band_start: float
    band_width: float
    start: float
    width: float
    value: float


def render(comparison: Comparison) -> str:
    """The comparison as an HTML page."""
    load = comparison.load
    # The runs of two searches have different rates, so their response times cannot be compared.
    is_drawn = load is not None and load.design is not Design.SEARCHES
    chart = two_distributions(load.candidates, load.baselines) if load and is_drawn else None
    bars = {} if load is None else {each.metric: interval_bar(each, load.tolerance) for each in load.changes}
    return TEMPLATES.get_template("comparison.html.j2").render(
        comparison=comparison,
        exit_code=int(EXIT_CODE_OF[comparison.verdict]),
        charts=[] if chart is None else [chart],
        bars=bars,
        wording=wording,
        max_findings=html.MAX_FINDINGS,
        has_charts=chart is not None,
        **html.frame(),
    )


def interval_bar(change: MetricChange, tolerance: Tolerance) -> IntervalBar | None:
    """The picture of a change; None without an interval or a tolerance."""
    unit = tolerance.size(change.kind)
    if change.size is None or change.low is None or change.high is None or not unit:
        return None
    worse = -1.0 if change.kind.higher_is_better else 1.0
    ends = [min(max(worse * end / unit, -_LARGEST), _LARGEST) for end in (change.low, change.high, change.size)]
    *places, value = (50.0 + 50.0 * end / _LARGEST for end in ends)
    low, high = sorted(places)
    band = 50.0 / _LARGEST
    return IntervalBar(band_start=50.0 - band, band_width=2 * band, start=low, width=max(high - low, 0.5), value=value)
