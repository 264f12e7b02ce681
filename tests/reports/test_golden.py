"""
Prose and formats, word for word: `CHAINPROOF_WRITE_GOLDEN=1 pytest tests/reports/test_golden.py` writes them anew.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from chainproof.judgement.summary import Report
from chainproof.reports.formats import html, json_report, junit, markdown, terminal

from .sample_reports import reports_of

GOLDEN = Path(__file__).parents[1] / "golden"

FORMATS: dict[str, Callable[[Report], str]] = {
    "txt": terminal.render,
    "md": markdown.render,
    "json": json_report.render,
    "xml": junit.render,
    # The drawings are vl-convert's own and would say nothing about us.
    "html": lambda report: html.render(report, lambda summary, colours: []),
}


@pytest.mark.parametrize("ending", FORMATS)
@pytest.mark.parametrize("name", ["both", "unfinished", "accepted", "phases", "search"])
def test_a_report_is_written_as_it_was(name, ending, tmp_path, monkeypatch):
    """
    The same run folder gives the same report, to the letter.
    """
    monkeypatch.setattr(html, "__version__", "0.0.0")
    written = FORMATS[ending](reports_of(name, tmp_path))
    golden = GOLDEN / f"report-{name}.{ending}"
    if os.environ.get("CHAINPROOF_WRITE_GOLDEN"):
        golden.write_text(written, encoding="utf-8")

    assert golden.read_text(encoding="utf-8") == written
