"""
Bodies that a run kept: folded on the page, whole for programs, left out where people read line by line.
"""

from __future__ import annotations

import json
from html import unescape
from pathlib import Path

import pytest

from chainproof.judgement.summary import Report, report
from chainproof.reports.formats import html, json_report, markdown, terminal
from chainproof.results.exemplar import exemplar
from chainproof.results.folder import RunWriter, read_run
from chainproof.results.stored_body import stored_body

from .sample_runs import EXCHANGES, a_finding, load_manifest, write_conformance
from .test_json import VALIDATOR

MARKUP = '{"name": "</script><b>Ada"}'


@pytest.fixture
def kept(tmp_path: Path) -> Report:
    """
    A load run and a conformance run that kept bodies.
    """
    found = exemplar(
        EXCHANGES[0][0],
        why="slowest",
        request_body=stored_body(MARKUP.encode()),
        answer_body=stored_body(b"\xff" * 70_000),
    )
    lost = exemplar(EXCHANGES[-1][0], why="outcome", request_body=stored_body(b"{}"))
    with RunWriter(tmp_path / "load", load_manifest()) as writer:
        writer.write_exemplar(found)
        writer.write_exemplar(lost)
    write_conformance(tmp_path / "conformance", findings=[a_finding(answer_body=stored_body(b"I am Ada's teapot"))])
    runs = [read_run(tmp_path / name) for name in ("conformance", "load")]

    assert (found, lost) == runs[1].exemplars
    return report(runs)


def test_bodies_are_folded_on_the_page(kept: Report) -> None:
    """
    What was sent and answered stands behind a fold, as text that cannot become markup, and its length beside it.
    """
    source = html.render(kept, lambda *_: [])
    text = unescape(source)

    assert MARKUP not in source
    assert MARKUP in text
    assert 3 == source.count("<details>") == source.count("</details>")
    assert "70,000 bytes, the first 65,536 stored, in base64" in text
    assert "No answer." in text
    assert "I am Ada's teapot" in text


def test_programs_get_bodies_whole(kept: Report) -> None:
    """
    The JSON report has what the run folder has, and its schema says so.
    """
    told = json.loads(json_report.render(kept))

    assert [] == [error.message for error in VALIDATOR.iter_errors(told)]
    assert {"text": MARKUP, "size_bytes": len(MARKUP)} == told["exemplars"][0]["request_body"]
    assert (70_000, True) == tuple(told["exemplars"][0]["answer_body"][name] for name in ("size_bytes", "truncated"))
    assert "answer_body" not in told["exemplars"][1]
    assert "I am Ada's teapot" == told["findings"][0]["answer_body"]["text"]


def test_lines_for_people_leave_bodies_out(kept: Report) -> None:
    """
    Terminal and Markdown, whose readers did not unfold anything, show none.
    """
    for text in (terminal.render(kept), markdown.render(kept)):
        assert "gremlins" in text
        assert "Ada" not in text
