"""
The seconds of load runs as CSV, one row for each: counts, requests in flight, and response times of ok answers.

The sums of the counts are those of the report. Times are in seconds, empty where no answer was ok.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator

from chainproof.judgement.accounting import accounting
from chainproof.judgement.load_summary import LoadSummary
from chainproof.judgement.summary import Report
from chainproof.results.intervals.second_columns import TIME_NAMES

COUNTS = ("planned", "not_sent", "sent", "ok", "failed", "timed_out", "censored")
COLUMNS = (
    "run",
    "second",
    *COUNTS,
    "in_flight",
    "in_flight_max",
    *(f"ok_response_time_{name}_s" for name in TIME_NAMES),
)


def render(report: Report) -> str:
    """The seconds as CSV (RFC 4180)."""
    text = io.StringIO()
    writer = csv.writer(text)
    writer.writerow(COLUMNS)
    for summary in report.load_runs:
        writer.writerows(_rows(summary))
    return text.getvalue()


def _rows(summary: LoadSummary) -> Iterator[tuple[object, ...]]:
    """A row for each second of a run."""
    for each in summary.seconds:
        counts = accounting(each).to_json()
        times = (each.ok_quantile(name) for name in TIME_NAMES)
        yield (
            summary.run.name,
            each.second,
            *(counts[name] for name in COUNTS),
            each.in_flight,
            each.in_flight_max,
            *("" if value is None else f"{value:.9f}".rstrip("0") for value in times),
        )
