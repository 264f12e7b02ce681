"""Stored bodies are folded on the HTML page, complete in JSON, and left out on the terminal and in Markdown."""

from __future__ import annotations

import json
import re
from html import unescape
from pathlib import Path

import pytest

from chainproof.judgement.summary import Report, report
from chainproof.reports.formats import html, json_report, markdown, terminal
from chainproof.results.exemplar import exemplar
from chainproof.results.folder import read_run
from chainproof.results.run_writer import RunWriter
from chainproof.results.stored_body import stored_body

from .formats.test_json_report import VALIDATOR
from .sample_runs import EXCHANGES, a_finding, load_manifest, write_conformance

MARKUP = '{"name": "</script><b>Ada"}'


@pytest.fixture
def report_with_bodies(tmp_path: Path) -> Report:
    """A report on a load run and a conformance run with stored bodies."""
    slowest = exemplar(
        EXCHANGES[0][0],
        why="slowest",
        request_body=stored_body(MARKUP.encode()),
        answer_body=stored_body(b"\xff" * 70_000),
    )
    lost = exemplar(EXCHANGES[-1][0], why="outcome", request_body=stored_body(b"{}"))
    with RunWriter(tmp_path / "load", load_manifest()) as writer:
        writer.write_exemplar(slowest)
        writer.write_exemplar(lost)
    write_conformance(tmp_path / "conformance", findings=[a_finding(answer_body=stored_body(b"I am Ada's teapot"))])
    runs = [read_run(tmp_path / name) for name in ("conformance", "load")]

    assert (slowest, lost) == runs[1].exemplars
    return report(runs)


def test_bodies_are_folded_on_the_page(report_with_bodies: Report) -> None:
    """Bodies of requests and answers are folded, escaped, and shown with their size."""
    source = html.render(report_with_bodies, lambda *_: [])
    text = unescape(source)

    assert MARKUP not in source
    assert MARKUP in text
    assert 3 == len(re.findall(r"<details>\s*<summary>(?:Answer body|Bodies of)", source))
    assert source.count("<details>") == source.count("</details>")
    assert "70,000 bytes, the first 65,536 stored, in base64" in text
    assert "No answer." in text
    assert "I am Ada's teapot" in text


def test_json_has_the_bodies(report_with_bodies: Report) -> None:
    """The JSON report has the stored bodies, as its schema describes."""
    written = json.loads(json_report.render(report_with_bodies))

    assert [] == [error.message for error in VALIDATOR.iter_errors(written)]
    assert {"text": MARKUP, "size_bytes": len(MARKUP)} == written["exemplars"][0]["request_body"]
    assert (70_000, True) == tuple(written["exemplars"][0]["answer_body"][name] for name in ("size_bytes", "truncated"))
    assert "answer_body" not in written["exemplars"][1]
    assert "I am Ada's teapot" == written["findings"][0]["answer_body"]["text"]


def test_terminal_and_markdown_leave_bodies_out(report_with_bodies: Report) -> None:
    """Terminal and Markdown show no bodies."""
    for text in (terminal.render(report_with_bodies), markdown.render(report_with_bodies)):
        assert "gremlins" in text
        assert "Ada" not in text
