"""All charts of a load run."""

from __future__ import annotations

from chainproof.judgement.latency import spectrum
from chainproof.judgement.load_summary import LoadSummary
from chainproof.results.exchange import Result

from ..formatting.phases import judged_phases_note
from ..time_series import spans
from .chart import Chart
from .colours import Palette
from .distribution import distribution
from .heat_map import heat_map
from .latency import latency_over_time
from .outcomes import outcomes_over_time
from .spectrum import percentile_spectrum
from .throughput import throughput

MAX_SPANS = 300
"""Points along the time axis; a longer run is merged into this many."""


def charts(summary: LoadSummary, colours: Palette) -> list[Chart]:
    """Every chart for which the run has data."""
    if not summary.seconds:
        return []
    over_time = spans(summary.seconds, MAX_SPANS)
    phases = [part.phase for part in summary.phases]
    candidates = (
        latency_over_time(over_time, phases),
        heat_map(over_time, phases),
        distribution(summary.judged, judged_phases_note(summary)),
        percentile_spectrum(
            spectrum(summary.requests),
            summary.judged.count(Result.OK),
            judged_phases_note(summary),
        ),
        throughput(over_time, phases),
        outcomes_over_time(over_time, summary, colours, phases),
    )
    return [chart for chart in candidates if chart is not None]
