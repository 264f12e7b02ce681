"""
The page in a real browser, scripts off: it is all there, it fits, and it asks nobody for anything.
"""

from __future__ import annotations

from pathlib import Path

import pytest

from chainproof.reports.formats import html

from .browser import Page, browser, executable
from .sample_reports import reports_of

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
    """
    A few pages on disk.
    """
    folder = tmp_path_factory.mktemp("pages")
    written = {name: folder / f"{name}.html" for name in NAMES}
    for name, path in written.items():
        path.write_text(html.render(reports_of(name, folder / f"runs of {name}")), encoding="utf-8")
    return written


@pytest.fixture(scope="module")
def tab(tmp_path_factory) -> Page:
    """
    A browser's tab for all tests of this file.
    """
    with browser(tmp_path_factory.mktemp("profile")) as opened:
        yield opened


@pytest.mark.parametrize("dark", [False, True], ids=["light", "dark"])
@pytest.mark.parametrize("width", [400, 1600])
@pytest.mark.parametrize("name", NAMES)
def test_a_page_fits_and_asks_nobody(name, width, dark, pages, tab):
    """
    At any width nothing runs out of the page sideways, and the only request is for the page itself.
    """
    tab.open(pages[name], width=width, dark=dark)

    assert [pages[name].as_uri()] == tab.requests
    assert tab.size()[0] <= width
    assert tab.size()[1] > 900


def test_a_reader_without_eyes_gets_the_verdict_and_every_chart(pages, tab):
    """
    What a screen reader is told: the verdict as the first heading, one picture per chart, each with name and description.
    """
    tab.open(pages["both"], width=1280)
    nodes = tab.accessibility()
    headings = [node["name"]["value"] for node in nodes if node["role"]["value"] == "heading"]
    pictures = [node for node in nodes if node["role"]["value"] in ("image", "img")]

    assert "Fail" == headings[0]
    assert [
        "Response time over time",
        "Distribution of times",
        "Throughput and requests in flight",
        "Outcomes over time",
    ] == [node["name"]["value"] for node in pictures]
    assert all(node["description"]["value"] for node in pictures)


def test_paper_takes_the_whole_page(pages, tab):
    """
    Printed, the page is a PDF of several pages and not of one cut off.
    """
    tab.open(pages["both"], width=1280, medium="print")
    printed = tab.send("Page.printToPDF", printBackground=True)["data"]

    assert len(printed) > 50_000
