"""The script of the HTML page in a browser: values at the cursor, zoom, and one time cursor for all charts of a run."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from chainproof.judgement.summary import Report
from chainproof.reports.formats import html, json_report
from chainproof.reports.formatting import quantities
from chainproof.results.exchange import Result

from ..sample_reports import reports_of
from .browser import Page, executable

pytestmark = pytest.mark.skipif(executable() is None, reason="no Chromium on this machine")

TIME_CHARTS = ("latency", "heat-map", "throughput", "outcomes")

CHARTS = """(() => Object.fromEntries([...document.querySelectorAll('figure[data-readout]')].map((figure) => {
    const svg = [...figure.querySelectorAll('svg')].find((each) => each.getClientRects().length);
    const frame = svg.querySelector('.panel');
    const at = frame.getBoundingClientRect(), line = figure.querySelector('.cursor'), box = figure.querySelector('.readout');
    const labels = [...svg.querySelectorAll('.places text')].map((each) => each.textContent);
    return [svg.querySelector('title').id.match(/^\\w+-\\d+-(.*)-\\w+-t$/)[1], {
        left: at.left, top: at.top, width: at.width, height: at.height, labels,
        cursor: line.getClientRects().length ? line.getBoundingClientRect().left : null,
        values: box.getClientRects().length ? [...box.children].map((each) => each.textContent) : null,
    }];
})))()"""


@pytest.fixture(scope="module")
def report(tmp_path_factory) -> Report:
    """A run with every chart."""
    return reports_of("flaky", tmp_path_factory.mktemp("runs"))


@pytest.fixture(scope="module")
def path(report, tmp_path_factory) -> Path:
    """Its page."""
    path = tmp_path_factory.mktemp("pages") / "page.html"
    path.write_text(html.render(report), encoding="utf-8")
    return path


def charts(tab: Page) -> dict[str, Any]:
    """Position, cursor and shown values of every chart, by name."""
    return tab.evaluate(CHARTS)


def scroll_to(tab: Page, name: str) -> dict[str, Any]:
    """The position of a chart, after scrolling to it."""
    tab.evaluate(f"document.querySelector('[id*=-{name}-]').closest('figure').scrollIntoView({{block: 'center'}})")
    return charts(tab)[name]


def hover(tab: Page, name: str, share: float) -> dict[str, Any]:
    """All charts, with the mouse over one of them at a share of its width."""
    at = scroll_to(tab, name)
    tab.mouse("mouseMoved", at["left"] + share * at["width"], at["top"] + at["height"] / 2)
    return charts(tab)


@pytest.mark.parametrize("width", [380, 1280])
def test_every_chart_shows_its_values_under_the_mouse(width, path, tab):
    """Hovering over any chart shows a value of each of its series, inside the window, without a message on the console."""
    tab.open(path, width=width, scripts=True)

    for name, at in charts(tab).items():
        for share in (0.02, 0.5, 0.98):
            found = hover(tab, name, share)[name]

            assert found["values"], (name, share)
            assert abs(found["cursor"] - at["left"] - share * at["width"]) < at["width"] / 12
            assert tab.size()[0] <= width
    assert [] == tab.complaints
    assert [path.as_uri()] == tab.requests


def test_the_spectrum_shows_the_percentiles_of_the_json_report(report, path, tab):
    """At p50, p90, p95 and p99 the spectrum shows value and interval of the JSON report."""
    times = json.loads(json_report.render(report))["timings"]["response_time_s"]
    readout = tab_readout(tab, path, "spectrum")
    for name in ("p50", "p90", "p95", "p99"):
        place = readout["labels"].index(name)
        low, high = map(quantities.time, times["intervals"][name])

        assert [quantities.time(times[name]), f"{low} – {high}"] == [row["values"][place] for row in readout["rows"]][
            :2
        ]

    scroll_to(tab, "spectrum")
    tab.evaluate("document.querySelector('[id*=-spectrum-]').closest('.plot').focus()")
    tab.press("Home")
    for _ in range(readout["labels"].index("p99")):
        tab.press("ArrowRight")
    shown = charts(tab)["spectrum"]["values"]

    assert ["p99", f"response time {quantities.time(times['p99'])}"] == shown[:2]


def tab_readout(tab: Page, path: Path, name: str) -> dict[str, Any]:
    """The values of a chart in an opened page."""
    tab.open(path, width=1280, scripts=True)
    return json.loads(tab.evaluate(f"document.querySelector('[id*=-{name}-]').closest('figure').dataset.readout"))


def test_charts_over_time_share_their_cursor(report, path, tab):
    """The mouse over one chart shows the same second in all charts over time, with the values of its interval."""
    tab.open(path, width=1280, scripts=True)
    found = hover(tab, "throughput", 0.525)
    interval = report.load_runs[0].seconds[10]
    p99 = quantities.time(interval.response_time[Result.OK].quantile(0.99))

    assert ["10–11 s"] * 4 == [found[name]["values"][0] for name in TIME_CHARTS]
    assert f"p99 {p99}" in found["latency"]["values"]
    assert f"sent {quantities.rate(interval.sent)}" in found["throughput"]["values"]
    assert found["spectrum"]["values"] is found["distribution"]["values"] is None
    for name in TIME_CHARTS:
        assert abs(found[name]["cursor"] - found[name]["left"] - 0.525 * found[name]["width"]) < 2


def test_a_range_is_zoomed_and_reset(path, tab):
    """Dragging over one chart zooms all charts over time; the button resets them, and the page is as before."""
    tab.open(path, width=1280, scripts=True)
    drawn = "[...document.querySelectorAll('svg')].map((each) => each.outerHTML).join('')"
    tab.evaluate("document.querySelector('.reset').click()")
    before, at = tab.evaluate(drawn), scroll_to(tab, "latency")
    y = at["top"] + at["height"] / 2
    tab.mouse("mousePressed", at["left"] + 0.25 * at["width"], y, pressed=True)
    tab.mouse("mouseMoved", at["left"] + 0.5 * at["width"], y, pressed=True)
    tab.mouse("mouseReleased", at["left"] + 0.5 * at["width"], y)
    zoomed = charts(tab)

    for name in ("latency", "heat-map"):
        assert all(5 <= float(label) <= 10 for label in zoomed[name]["labels"])
        assert len(zoomed[name]["labels"]) >= 4
    assert "7–8 s" == hover(tab, "latency", 0.5)["outcomes"]["values"][0]

    tab.evaluate("[...document.querySelectorAll('.reset')].find((each) => !each.hidden).click()")

    assert before == tab.evaluate(drawn)
    assert [] == tab.complaints


@pytest.mark.parametrize("name", ["distribution", "spectrum"])
def test_logarithmic_axes_are_zoomed(name, path, tab):
    """Plus zooms around the cursor, with labels between those of the whole axis; Escape resets."""
    tab.open(path, width=1280, scripts=True)
    scroll_to(tab, name)
    before = charts(tab)[name]["labels"]
    tab.evaluate(f"document.querySelector('[id*=-{name}-]').closest('.plot').focus()")
    for key in ("Home", "ArrowRight", "ArrowRight", "ArrowRight", "+", "+"):
        tab.press(key)
    zoomed = charts(tab)[name]["labels"]
    tab.press("Escape")

    assert zoomed != before == charts(tab)[name]["labels"]
    assert len(zoomed) >= 2


def test_nothing_is_missing_without_scripts(path, tab):
    """A page whose scripts are forbidden has the same size and the same drawings, and shows no part of the script's."""
    tab.open(path, width=1280, scripts=True)
    with_scripts = tab.size()
    tab.open(path, width=1280)
    tab.send("Emulation.setScriptExecutionDisabled", value=False)

    assert with_scripts == tab.size()
    assert 0 == tab.evaluate("document.querySelectorAll('.cursor, .readout, .reset').length")
    assert 6 == tab.evaluate(
        "[...document.querySelectorAll('figure svg')].filter((e) => e.getClientRects().length).length"
    )


def test_the_page_allows_no_other_script(path, tab, tmp_path):
    """A script that is not ours is blocked by the policy of the page."""
    changed = tmp_path / "changed.html"
    changed.write_text(path.read_text().replace("</body>", "<script>document.title = 'mine'</script></body>"))
    tab.open(changed, width=1280, scripts=True)

    assert "mine" != tab.evaluate("document.title")
    assert ["error"] == [each["entry"]["level"] for each in tab.complaints]
