"""
The requests that load runs recorded one by one (`--record-requests`) as CSV, with the name of the run in front.

The number of rows of a run is `recorded_requests` in the JSON report. Requests beyond the limit of a run are only counted.
"""

from __future__ import annotations

import csv
import io

from chainproof.judgement.summary import Report
from chainproof.results.folder import REQUEST_COLUMNS, REQUESTS


def render(report: Report) -> str:
    """The recorded requests of all load runs."""
    text = io.StringIO()
    text.write(f"run,{REQUEST_COLUMNS}\n")
    for summary in report.load_runs:
        path = summary.run.path / REQUESTS
        if summary.run.recorded_requests is None or not path.exists():
            continue
        name = io.StringIO()
        csv.writer(name, lineterminator="").writerow([summary.run.name])
        with path.open(encoding="utf-8", errors="replace", newline="") as rows:
            next(rows, None)
            text.writelines(f"{name.getvalue()},{row}" for row in rows if row.endswith("\n"))
    return text.getvalue()
