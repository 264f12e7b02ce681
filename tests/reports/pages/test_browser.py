"""The HTML page in a browser: complete without scripts, as wide as the window, without requests."""

from __future__ import annotations

from pathlib import Path

import pytest

from chainproof.reports.command import main
from chainproof.reports.formats import html

from ..comparing.compared_runs import OPEN, write_side
from ..sample_reports import reports_of
from .browser import executable

pytestmark = pytest.mark.skipif(executable() is None, reason="no Chromium on this machine")

NAMES = (
    "both",
    "phases",
    "accepted",
    "strange parts",
    "hostile",
    "huge",
    "nothing at all",
    "one second",
    "every objective",
)


@pytest.fixture(scope="module")
def pages(tmp_path_factory) -> dict[str, Path]:
    """Pages written to files."""
    folder = tmp_path_factory.mktemp("pages")
    written = {name: folder / f"{name}.html" for name in NAMES}
    for name, path in written.items():
        path.write_text(html.render(reports_of(name, folder / f"runs of {name}")), encoding="utf-8")
    return written


@pytest.mark.parametrize("dark", [False, True], ids=["light", "dark"])
@pytest.mark.parametrize("width", [400, 1600])
@pytest.mark.parametrize("name", NAMES)
def test_a_page_fits_and_sends_no_request(name, width, dark, pages, tab):
    """A page is never wider than the window, and the only request is for the page itself."""
    tab.open(pages[name], width=width, dark=dark)

    assert [pages[name].as_uri()] == tab.requests
    assert tab.size()[0] <= width
    assert tab.size()[1] > 900


@pytest.mark.parametrize("width", [380, 1280])
def test_no_table_of_a_history_or_a_comparison_scrolls(width, tab, tmp_path):
    """At 380 px, rows become cards, and at 1280 px long labels are broken: nothing has to be moved sideways."""
    settings = {
        **OPEN,
        "label": "the release of November with the new tokenizer, the larger batches and the longer cache",
    }
    sides = [
        [str(path) for path in write_side(tmp_path / "runs", name, 10 * (name == "b"), 2, settings=settings)]
        for name in "ab"
    ]
    arguments = {"history": ["--history", str(tmp_path / "runs")], "comparison": [*sides[0], "--against", *sides[1]]}
    for name, words in arguments.items():
        main([*words, "--html", str(tmp_path / f"{name}.html")])
        tab.open(tmp_path / f"{name}.html", width=width, scripts=True)

        wider = "[...document.querySelectorAll('.scroll')].filter(each => each.scrollWidth > each.clientWidth).length"
        assert 0 == tab.evaluate(wider)
        assert tab.size()[0] <= width


def test_a_screen_reader_gets_the_verdict_and_every_chart(pages, tab):
    """The first heading is the verdict, and every chart is one picture with a name and a description."""
    tab.open(pages["both"], width=1280)
    nodes = tab.accessibility()
    headings = [node["name"]["value"] for node in nodes if node["role"]["value"] == "heading"]
    pictures = [node for node in nodes if node["role"]["value"] in ("image", "img")]

    assert "Fail" == headings[0]
    assert [
        "Response time over time",
        "All response times over time",
        "Distribution of times",
        "Percentile spectrum",
        "Throughput and requests in flight",
        "Outcomes over time",
    ] == [node["name"]["value"] for node in pictures]
    assert all(node["description"]["value"] for node in pictures)


def test_the_whole_page_can_be_printed(pages, tab):
    """The PDF contains the whole page."""
    tab.open(pages["both"], width=1280, medium="print")
    printed = tab.send("Page.printToPDF", printBackground=True)["data"]

    assert len(printed) > 50_000
