"""A label names a run wherever reports list it."""

from __future__ import annotations

import json
from html import unescape
from pathlib import Path

import pytest

from chainproof.judgement.summary import Report, report
from chainproof.reports.formats import html, json_report, junit, markdown, terminal
from chainproof.results.folder import read_run

from .formats.test_json_report import VALIDATOR
from .sample_runs import load_manifest, write_conformance, write_load

LABEL = 'before <the> "upgrade" & \x1b[31mmore'
SHOWN = 'before <the> "upgrade" & \\x1b[31mmore'


@pytest.fixture
def labelled(tmp_path: Path) -> Report:
    """A report on two runs with a label that every format has to escape."""
    write_load(tmp_path / "load", [], manifest=load_manifest(settings={"label": LABEL}))
    write_conformance(tmp_path / "conformance", settings={"label": LABEL})
    return report(read_run(tmp_path / name) for name in ("conformance", "load"))


def test_the_label_is_in_every_format(labelled: Report) -> None:
    """It follows the name of the run in titles, and is a value of its own in JSON and JUnit XML."""
    title = f'run standard "{SHOWN}"'
    page = html.render(labelled, lambda *_: [])
    written = json.loads(json_report.render(labelled))

    assert title in " ".join(terminal.render(labelled, colour=False).split())
    assert "&lt;the&gt;" in markdown.render(labelled) or "\\<the\\>" in markdown.render(labelled)
    assert title in unescape(page)
    assert "<the>" not in page
    assert [LABEL, LABEL] == [run["label"] for run in written["runs"]]
    assert [] == [error.message for error in VALIDATOR.iter_errors(written)]
    assert 4 == unescape(junit.render(labelled)).count("before <the>")
