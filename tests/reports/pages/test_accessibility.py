"""Pages have no violations of accessibility rules that axe-core knows."""

from __future__ import annotations

import os
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest

from chainproof.reports.command import main
from chainproof.reports.formats import html

from ..comparing.compared_runs import write_side
from ..sample_reports import SAMPLES, reports_of
from .browser import Page, executable

AXE = os.environ.get("CHAINPROOF_AXE") or (found.origin if (found := find_spec("axe_core_python")) else None)
"""The script of axe-core: a file that the environment names, or that of the package."""

pytestmark = pytest.mark.skipif(executable() is None or AXE is None, reason="needs Chromium and axe-core-python")

ALL = os.environ.get("CHAINPROOF_SAMPLE") == "all"
CASES = [("both", 1280, False), ("both", 380, True), ("search", 1280, True)]
"""Samples, with the width of the window and whether it is dark."""
if ALL:
    CASES = [(name, width, dark) for name in SAMPLES for width in (380, 1280) for dark in (False, True)]

RUN = """document.querySelectorAll('details').forEach((each) => { each.open = true; });
axe.run().then((found) => found.violations.map((each) => [each.id, each.nodes.map((node) => node.html.slice(0, 200))]))"""


@pytest.fixture(scope="module")
def axe() -> str:
    """The source of axe-core."""
    path = Path(str(AXE))
    return (path if path.suffix == ".js" else path.parent / "axe.min.js").read_text(encoding="utf-8")


def violations(tab: Page, axe: str) -> list[Any]:
    """What axe-core finds in an opened page, with everything unfolded."""
    tab.evaluate(f"{axe};0")
    return tab.evaluate(RUN)


@pytest.mark.parametrize("case", CASES, ids=str)
def test_a_page_is_accessible(case, axe, tab, tmp_path):
    """With everything unfolded, axe-core finds no violation."""
    (name, width, dark), path = case, tmp_path / "page.html"
    path.write_text(html.render(reports_of(name, tmp_path / "runs")), encoding="utf-8")
    tab.open(path, width=width, dark=dark, scripts=True)

    assert [] == violations(tab, axe)


@pytest.mark.skipif(not ALL, reason="takes some seconds: CHAINPROOF_SAMPLE=all")
@pytest.mark.parametrize("words", [["new", "--against", "old"], ["--history", "new"]], ids=["comparison", "history"])
def test_the_pages_of_several_runs_are_accessible(words, axe, tab, tmp_path, monkeypatch):
    """On the pages of a comparison and of a history, axe-core finds no violation."""
    for side, seed, factor in (("old", 1, 1.0), ("new", 50, 1.3)):
        (tmp_path / side).mkdir()
        write_side(tmp_path / side, "run", seed, factor=factor)
    monkeypatch.chdir(tmp_path)
    main([*words, "--html", "page.html"])
    for width, dark in ((380, True), (1280, False)):
        tab.open(tmp_path / "page.html", width=width, dark=dark, scripts=True)

        assert [] == violations(tab, axe)
