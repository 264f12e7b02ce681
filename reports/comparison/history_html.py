"""The history of workloads as one self-contained HTML page, with links to the run folders."""

from __future__ import annotations

import os
from functools import partial
from pathlib import Path
from urllib.parse import quote

from chainproof.judgement.comparison.history import History
from chainproof.judgement.comparison.metrics import METRIC_KINDS

from ..charts.history import history_chart
from ..formats.html import frame
from . import history_wording
from .html import TEMPLATES

MAX_SHOWN = 20
"""Runs of a table that are shown at first, the latest ones; earlier ones are folded."""


def render(history: History, *, folder: Path) -> str:
    """The history as an HTML page in *folder*."""
    charts = [history_chart(found) for found in history.workloads]
    return TEMPLATES.get_template("history.html.j2").render(
        history=history,
        charts=charts,
        wording=history_wording,
        kinds=METRIC_KINDS,
        link=partial(link, folder=folder),
        max_runs=history_wording.MAX_RUNS,
        max_shown=MAX_SHOWN,
        has_charts=any(charts),
        **frame(),
    )


def link(path: Path, folder: Path) -> str:
    """The address of the report in a run folder, relative to the page's; of the folder if it has none."""
    page = path / "report.html"
    return quote(os.path.relpath(page if page.exists() else path, folder))
