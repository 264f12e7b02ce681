"""Every report has the times of ok answers, of all planned requests and of rejected ones, from one function."""

from __future__ import annotations

import json
import random
import re

from chainproof.judgement.latency import columns, interval_text, time_text
from chainproof.judgement.load_summary import LoadSummary
from chainproof.judgement.summary import report
from chainproof.reports.formats import html, json_report, markdown, terminal
from chainproof.results.folder import read_run
from chainproof.results.interval import Interval

from .sample_runs import OK, RATE_LIMITED, write_load


def refusing(seconds: int = 10, *, share: float = 0.61) -> list[Interval]:
    """A target that refuses most requests in about 12 ms and answers the others in about 300 ms."""
    dice, intervals = random.Random(3), []
    for second in range(seconds):
        interval = Interval(second=second, in_flight_max=5)
        for _ in range(100):
            interval.count_planned()
            interval.count_sent(0.0002)
            outcome, typical = (RATE_LIMITED, 0.0118) if dice.random() < share else (OK, 0.303)
            time = typical * dice.lognormvariate(0, 0.2)
            interval.count_outcome(outcome, time, time - 0.0002)
        intervals.append(interval)
    return intervals


def test_every_format_shows_the_same_times(tmp_path):
    """The headline is that of ok answers with their count; p50 of all planned requests is never reached."""
    found = report([read_run(write_load(tmp_path / "run", refusing()))])
    (summary,) = found.summaries
    assert isinstance(summary, LoadSummary)
    timings = summary.timings
    headline, planned = timings["response_time_s"], timings["planned_response_time_s"]
    texts = {
        "terminal": re.sub(r"\s+", " ", terminal.render(found)),
        "markdown": markdown.render(found),
        "html": re.sub(r"<[^>]+>", " ", html.render(found)),
    }
    written = json.loads(json_report.render(found))["timings"]

    assert (headline.count, 1000) == (summary.accounting.ok, planned.count)
    for name, text in texts.items():
        assert "all planned" in text
        assert "rejected" in text
        for timing in timings.values():
            assert f"{timing.count:,}" in text
            assert time_text(columns(timing)["p50"]) in text
            # A terminal has no room for the blanks.
            interval = interval_text(timing, "p50")
            assert (interval.replace(" – ", "–") if name == "terminal" else interval) in text
        assert "not answered" in text
    assert (None, 1000) == (written["planned_response_time_s"]["p50"], written["planned_response_time_s"]["count"])
    for key in ("response_time_s", "service_time_s", "rejected_response_time_s", "schedule_lag_s"):
        estimate = timings[key].quantiles["p50"]
        assert (estimate.value, [estimate.low, estimate.high]) == (
            written[key]["p50"],
            written[key]["intervals"]["p50"],
        )
