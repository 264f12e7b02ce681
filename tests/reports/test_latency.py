"""Every report has the times of ok answers, of all planned requests and of rejected ones, from one function."""

from __future__ import annotations

import json
import random
import re

from chainproof.contract.errors import Responsible
from chainproof.judgement.latency import columns, interval_text, time_text
from chainproof.judgement.load_summary import LoadSummary
from chainproof.judgement.summary import Report, report
from chainproof.reports.formats import html, json_report, junit, markdown, terminal
from chainproof.results.exchange import Outcome, Result, Transport
from chainproof.results.folder import read_run
from chainproof.results.intervals.interval import Interval

from .sample_runs import CENSORED, OK, RATE_LIMITED, drawn_intervals, load_manifest, write_load


def refusing(seconds: int = 10, *, share: float = 0.61) -> list[Interval]:
    """A target that refuses most requests in about 12 ms and answers the others in about 300 ms."""
    dice, intervals = random.Random(3), []
    for second in range(seconds):
        interval = Interval(second=second, in_flight_max=5)
        for _ in range(100):
            interval.count_planned()
            interval.count_all_sent([0.0002])
            outcome, typical = (RATE_LIMITED, 0.0118) if dice.random() < share else (OK, 0.303)
            time = typical * dice.lognormvariate(0, 0.2)
            interval.count_outcomes(outcome, [time], [time - 0.0002])
        intervals.append(interval)
    return intervals


def texts_of(found: Report) -> dict[str, str]:
    """The report in the formats for people, in one line each."""
    return {
        "terminal": re.sub(r"\s+", " ", terminal.render(found)),
        "markdown": markdown.render(found).replace("\\", ""),
        "html": re.sub(r"<[^>]+>", " ", html.render(found)),
    }


def test_every_format_shows_what_censored_requests_leave_open(tmp_path):
    """Every answer took 2.04 s, 31 of 200 were 2 s old when the drain ended: p95 < 5s is open, and --drain is named."""
    interval = Interval(second=0, in_flight_max=40)
    for number in range(200):
        interval.count_planned()
        interval.count_all_sent([0.0])
        outcome, time = (OK, 2.04) if number < 169 else (CENSORED, 2.0)
        interval.count_outcomes(outcome, [time], [time])
    manifest = load_manifest(objectives=("p95 response_time < 5s",))
    found = report([read_run(write_load(tmp_path / "run", [interval], manifest=manifest))])
    (objective,) = json.loads(json_report.render(found))["objectives"]

    assert ("inconclusive", 169, 31, 200, 1.0) == tuple(
        objective[key] for key in ("verdict", "good", "unknown", "total", "share")
    )
    assert objective["share_low"] < 0.845 < objective["share_high"] == 1.0
    for name, text in {**texts_of(found), "junit": junit.render(found)}.items():
        assert "169 of 200 good, 31 unknown: from 84.5 % to 100 %, Kaplan–Meier estimate 100 %" in text, name
        assert "--drain" in text, name


def test_two_parties_with_the_same_error_are_two_entries_of_the_legend(tmp_path):
    """An error of the chain and one of the platform may have the same status."""
    outcomes = [Outcome(Transport.ANSWERED, 503, None, Result.FAILED, party) for party in Responsible]
    mixture = [(OK, 0.9), *((outcome, 0.1) for outcome in outcomes[:3])]
    text = texts_of(report([read_run(write_load(tmp_path / "run", drawn_intervals(5, 50, mixture=mixture)))]))["html"]

    assert all(f"503 without code ({party})" in text for party in list(Responsible)[:3])


def test_every_format_shows_the_same_times(tmp_path):
    """The headline is that of ok answers with their count; p50 of all planned requests is never reached."""
    found = report([read_run(write_load(tmp_path / "run", refusing()))])
    (summary,) = found.summaries
    assert isinstance(summary, LoadSummary)
    timings = summary.timings
    headline, planned = timings["response_time_s"], timings["planned_response_time_s"]
    texts = texts_of(found)
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
