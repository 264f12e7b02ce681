"""
Golden files: reports as a person reads them, word for word.

After a change of texts: `CHAINPROOF_WRITE_GOLDEN=1 pytest tests/reports/formats/test_golden.py`, then review the difference.
JSON and the other HTML pages are compared by structure in `test_json_report.py` and `test_html.py`.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable
from pathlib import Path

import pytest

from chainproof.judgement.summary import Report
from chainproof.reports.formats import html, junit, markdown, terminal

from ..sample_reports import reports_of

GOLDEN = Path(__file__).parents[2] / "golden"

FORMATS: dict[str, Callable[[Report], str]] = {"txt": terminal.render, "md": markdown.render, "xml": junit.render}

SAMPLES = ("both", "unfinished", "accepted", "phases", "search")


def page_without_style(report: Report) -> str:
    """The HTML page without its charts and style sheet."""
    return re.sub(r"<style>.*?</style>", "<style></style>", html.render(report, lambda *_: []), flags=re.DOTALL)


def check_golden(text: str, path: Path) -> None:
    """Compare a text with a golden file, or write the file if that is requested."""
    if os.environ.get("CHAINPROOF_WRITE_GOLDEN"):
        path.write_text(text, encoding="utf-8")

    assert path.read_text(encoding="utf-8") == text


@pytest.mark.parametrize("ending", FORMATS)
@pytest.mark.parametrize("name", SAMPLES)
def test_a_report_equals_its_golden_file(name, ending, tmp_path, monkeypatch):
    """The same run folder gives the same report."""
    monkeypatch.chdir(tmp_path)

    check_golden(FORMATS[ending](reports_of(name, Path())), GOLDEN / f"report-{name}.{ending}")


def test_a_page_equals_its_golden_file(tmp_path, monkeypatch):
    """The same run folders give the same HTML page."""
    monkeypatch.setattr(html, "__version__", "0.0.0")

    check_golden(page_without_style(reports_of("both", tmp_path)), GOLDEN / "report-both.html")
