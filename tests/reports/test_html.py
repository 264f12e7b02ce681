"""
The page: complete in itself, in the order in which it is read, and never fooled by what a target writes.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from functools import cache
from html.parser import HTMLParser
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest

from chainproof.contract.clauses import CLAUSES
from chainproof.judgement.load_summary import LoadSummary, summarise_load
from chainproof.judgement.objectives import evaluate_objective
from chainproof.judgement.summary import report
from chainproof.reports.charts.catalogue import charts
from chainproof.reports.charts.chart import Chart
from chainproof.reports.charts.colours import MAX_SERIES, OTHER, Palette, palette
from chainproof.reports.formats import html
from chainproof.results.exchange import Result
from chainproof.results.folder import Run, read_run
from chainproof.results.interval import total
from chainproof.workload.objectives import parse_objective

from .sample_reports import SAMPLES, SCRIPT, many_outcomes, reports_of
from .sample_runs import drawn_intervals, load_manifest, write_load

VOID = {"meta", "link", "br", "path", "line", "rect", "circle", "image", "hr", "img", "input"}


@dataclass
class Page(HTMLParser):
    """
    A page as a browser would take it apart.
    """

    source: str
    tags: list[tuple[str, dict[str, str | None]]] = field(default_factory=list)
    text: list[str] = field(default_factory=list)
    open: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        super().__init__()
        self.feed(self.source)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))

    def handle_endtag(self, tag: str) -> None:
        if tag not in VOID:
            assert self.open, f"</{tag}> closes nothing"
            assert tag == self.open.pop()

    def handle_data(self, data: str) -> None:
        if "style" not in self.open:
            self.text.append(data)

    def attributes(self, name: str) -> list[str]:
        """Every value of an attribute."""
        return [found for _, attributes in self.tags if (found := attributes.get(name)) is not None]


def without_charts(summary: LoadSummary, colours: Palette) -> list[Chart]:
    """
    A page's charts left out.
    """
    return []


@cache
def page_of(name: str) -> str:
    """
    The page on a sample, drawn once for all tests.
    """
    with TemporaryDirectory() as folder:
        return html.render(reports_of(name, Path(folder)))


@pytest.mark.parametrize("name", SAMPLES)
def test_every_page_stands_alone_and_every_tag_is_closed(name):
    """
    Nothing on a page runs or is fetched, whatever the run was like, and its markup is sound.
    """
    page = Page(page_of(name))

    assert [] == page.open
    assert set() == {tag for tag, _ in page.tags} & {
        "script",
        "iframe",
        "object",
        "embed",
        "img",
        "image",
        "form",
        "base",
    }
    assert ["data:,"] == [attributes["href"] for tag, attributes in page.tags if tag == "link"]
    assert all(target.startswith("#") for tag, found in page.tags if tag == "a" and (target := found["href"]))
    assert [] == page.attributes("src") + page.attributes("srcset") + page.attributes("action")
    assert [] == [name for _, attributes in page.tags for name in attributes if name.startswith("on")]
    assert not re.search(r"@import|url\(", page.source)


@pytest.mark.parametrize("name", SAMPLES)
def test_every_reference_within_a_page_has_one_end(name):
    """
    Anchors, labels and descriptions point to what is there, once: two charts never share an id.
    """
    page = Page(page_of(name))
    ids = page.attributes("id")
    targets = [target.removeprefix("#") for tag, found in page.tags if tag == "a" and (target := found["href"])]
    labels = [
        name
        for key in ("aria-labelledby", "aria-describedby")
        for value in page.attributes(key)
        for name in value.split()
    ]

    assert sorted(set(ids)) == sorted(ids)
    assert set() == {*targets, *labels} - set(ids)


def test_what_a_target_writes_is_text():
    """
    Markup, template syntax and escape sequences in an error code, a finding or a setting are shown, not obeyed.
    """
    source = page_of("hostile")
    page = Page(source)

    assert SCRIPT in "".join(page.text)
    assert "{{7*7}}" in "".join(page.text)
    assert "\x1b" not in source
    assert "\u202e" not in source


def test_a_page_is_read_from_the_verdict_to_the_settings(tmp_path):
    """
    First what it amounts to, where it fails by findings these, then what was asked and seen, then how far it reaches,
    last how it was done.
    """
    text = "".join(Page(html.render(reports_of("both", tmp_path), without_charts)).text)
    headings = (
        "Fail",
        "2 clauses violated",
        "Exit code",
        "Reproduce",
        "Objectives",
        "Accounting",
        "Latency",
        "Outcomes by status and error code",
        "Exemplars",
        "Clauses",
        "TOO_FEW_REQUESTS",
        "run folder",
        "max in flight",
    )

    assert sorted(headings, key=text.index) == list(headings)


def test_every_chart_is_named_and_described():
    """
    Whoever cannot see a chart is told what it shows.
    """
    page = Page(page_of("flaky"))
    pictures = [attributes for tag, attributes in page.tags if tag == "svg"]

    assert 8 == len(pictures)
    assert all(
        picture["role"] == "img" and picture["aria-labelledby"] and picture["aria-describedby"] for picture in pictures
    )
    assert 8 == sum(tag == "title" for tag, _ in page.tags) - 1
    assert 8 == sum(tag == "desc" for tag, _ in page.tags)


def test_every_clause_is_accounted_for():
    """
    A clause that was not put to the test is named, so that silence is never taken for a pass.
    """
    source = page_of("conformance")

    assert [] == [clause.id for clause in CLAUSES if f"<code>{clause.id}</code>" not in source]
    assert 2 == source.count('<tr class="s-not-exercised">')
    assert 2 == source.count('<tr class="s-failed">')


def test_a_thousand_findings_are_counted_and_not_all_shown():
    """
    A page stays a page; what it leaves out it says.
    """
    source = page_of("thousand findings")

    assert html.MAX_FINDINGS == source.count('<article class="finding')
    assert f"And {1000 - html.MAX_FINDINGS} more findings" in source
    assert len(source) < 500_000


def test_huge_strings_are_cut_and_say_so():
    """
    An error code of fifty thousand letters does not drown the page.
    """
    source = page_of("huge")

    assert "characters)" in source
    assert len(source) < 300_000


def test_an_outcome_has_one_colour_on_the_whole_page():
    """
    Ok has its own colour, each of the frequent outcomes another, and the rest share one that no other has.
    """
    summary = report_of_many()
    colours = palette(row.outcome for row in summary.outcomes)
    frequent = [colours[row.outcome] for row in summary.outcomes[:MAX_SERIES]]

    assert len(set(frequent)) == MAX_SERIES
    assert {OTHER} == {colours[row.outcome] for row in summary.outcomes[MAX_SERIES:]}


def report_of_many() -> LoadSummary:
    """
    A run with more outcomes than there are colours.
    """
    return summarise_load(Run(path=Path("a"), manifest=load_manifest(), intervals=tuple(many_outcomes())))


def test_a_long_run_is_merged_and_says_so(tmp_path):
    """
    An hour has as many points as an eye can tell apart; the page says what each stands for.
    """
    path = write_load(tmp_path / "a", drawn_intervals(3600, 2))
    source = html.render(report([read_run(path)]))

    assert "merged over spans of 12 s" in source
    assert len(source) < 1_500_000


@pytest.mark.parametrize(
    "text", ["p95 response_time < 800ms", "error_rate < 1%", "error_rate <= 100%", "max service_time < 1s"]
)
def test_the_bar_of_an_objective_holds_all_its_marks(text):
    """
    Share, bounds and demand lie on the bar, the share between its bounds.
    """
    judged = evaluate_objective(parse_objective(text), total(drawn_intervals(3, 50)), 10.0)
    bar = html.objective_bar(judged)

    assert bar is not None
    assert all(-1e-9 <= bar[name] <= 100 + 1e-9 for name in ("low", "value", "high", "required"))
    assert bar["low"] <= bar["value"] <= bar["high"]


def test_a_figure_of_too_few_answers_is_marked_as_such():
    """
    A percentile without an upper bound never stands there as if it were known.
    """
    source = page_of("one request")

    assert 5 * 4 == source.count('<span class="note few">')
    assert "TOO_FEW_REQUESTS" in source


def test_phases_are_drawn_where_their_names_are_words(tmp_path):
    """
    What is not judged is shaded in every chart over time, and named above it; the distribution has judged answers alone.
    """
    found = reports_of("phases", tmp_path).load_runs[0]
    drawn = {chart.name: chart for chart in charts(found, palette(row.outcome for row in found.outcomes))}
    strange = reports_of("strange parts", tmp_path / "strange").load_runs[0]

    assert {"latency", "throughput", "outcomes"} == {
        name for name, chart in drawn.items() if "var(--band)" in chart.wide.body
    }
    for name in ("latency", "throughput", "outcomes"):
        assert [1, 1, 1] == [drawn[name].wide.body.count(f">{phase.phase.name}<") for phase in found.phases]
        assert "Shaded: phases that are not judged (warm-up, cool-down)." in drawn[name].description
    assert f"Times of {found.judged.count(Result.OK)} ok answers in judged phases" in drawn["distribution"].description
    for chart in charts(strange, palette(row.outcome for row in strange.outcomes)):
        assert not re.search("alert|aaaa", chart.wide.body + chart.narrow.body)


def test_what_is_accepted_is_shown_and_not_alarming():
    """
    An accepted violation stands among the findings, marked, and its clause is waived until its day.
    """
    source = page_of("accepted")

    assert 3 == source.count('<span class="waived">')
    assert 2 == source.count('<tr class="s-waived">')
    assert "waived (accepted until 2026-12-31)" in source


def test_charts_carry_no_word_of_the_target(tmp_path):
    """
    A legend is text on the page; inside a drawing stand only our own names.
    """
    found = reports_of("hostile", tmp_path).load_runs[0]
    drawn = charts(found, palette(row.outcome for row in found.outcomes))

    assert drawn
    for chart in drawn:
        assert not re.search("alert|7\\*7|x1b|\x1b", chart.wide.body + chart.narrow.body)
