"""Drawings have the parts that the script of the page moves, and no names of the drawing library."""

from __future__ import annotations

from pathlib import Path
from xml.etree import ElementTree as ET

from chainproof.reports.charts.catalogue import charts
from chainproof.reports.charts.colours import palette
from chainproof.reports.formats import html

from ..sample_reports import reports_of

SCRIPT = Path(html.__file__).with_name("report.js").read_text(encoding="utf-8")
CLASSES = {"panel", "stretched", "moved", "places"}


def test_every_drawing_has_the_parts_that_the_script_moves(tmp_path: Path) -> None:
    """Each panel has its size and its marks, the lowest one has labels, and each mark that is moved has a place."""
    (found,) = reports_of("phases", tmp_path).load_runs
    drawn = charts(found, palette(row.outcome for row in found.outcomes))

    assert all(f".{name}" in SCRIPT for name in CLASSES)
    assert len(drawn) == 6
    for drawing in (each for chart in drawn for each in (chart.wide, chart.narrow)):
        root = ET.fromstring(f"<svg>{drawing.body}</svg>")
        panels = [part for part in root.iter() if part.find("rect[@class='panel']") is not None]

        assert {part.get("class") for part in root.iter()} - {None} <= CLASSES
        assert panels
        assert panels[-1].find(".//*[@class='places']/text") is not None
        for panel in panels:
            frame = panel.find("rect[@class='panel']")
            assert frame is not None
            assert min(float(frame.attrib[name]) for name in ("width", "height")) > 0
            assert panel.find(".//*[@class='stretched']") is not None
        assert all("transform" in mark.attrib for group in root.iterfind(".//*[@class='moved']") for mark in group)
