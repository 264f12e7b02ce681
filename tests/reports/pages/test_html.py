"""The HTML page is self-contained and valid, and text from a target never becomes markup."""

from __future__ import annotations

import re
from base64 import b64encode
from dataclasses import dataclass, field
from functools import cache
from hashlib import sha256
from html.parser import HTMLParser
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest

from chainproof.contract.clauses import CLAUSES
from chainproof.judgement.judged_requests import JudgedRequests
from chainproof.judgement.load_summary import LoadSummary, summarise_load
from chainproof.judgement.objectives import evaluate_objectives
from chainproof.judgement.summary import report
from chainproof.reports.charts.catalogue import charts
from chainproof.reports.charts.chart import Chart
from chainproof.reports.charts.colours import MAX_SERIES, OTHER, Palette, palette
from chainproof.reports.formats import html, markdown
from chainproof.results.exchange import Result
from chainproof.results.folder import Run, read_run
from chainproof.results.intervals.interval import total
from chainproof.workload.objectives import parse_objective

from ..sample_reports import SAMPLES, SCRIPT, many_outcomes, reports_of
from ..sample_runs import a_finding, drawn_intervals, load_manifest, write_conformance, write_load

VOID = {"meta", "link", "br", "path", "line", "rect", "circle", "image", "hr", "img", "input"}


@dataclass
class Page(HTMLParser):
    """A parsed page."""

    source: str
    tags: list[tuple[str, dict[str, str | None]]] = field(default_factory=list)
    text: list[str] = field(default_factory=list)
    open: list[str] = field(default_factory=list)
    scripts: list[str] = field(default_factory=list)

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
            assert self.open, f"</{tag}> without a start tag"
            assert tag == self.open.pop()

    def handle_data(self, data: str) -> None:
        if "script" in self.open:
            self.scripts.append(data)
        elif "style" not in self.open:
            self.text.append(data)

    def attributes(self, name: str) -> list[str]:
        """Every value of an attribute."""
        return [found for _, attributes in self.tags if (found := attributes.get(name)) is not None]


def without_charts(summary: LoadSummary, colours: Palette) -> list[Chart]:
    """No charts."""
    return []


@cache
def page_of(name: str) -> str:
    """The page on a sample, rendered once for all tests."""
    with TemporaryDirectory() as folder:
        return html.render(reports_of(name, Path(folder)))


@pytest.mark.parametrize("name", SAMPLES)
def test_every_page_is_self_contained_and_well_formed(name):
    """A page has no script but our own, allows no other, fetches nothing, and closes every tag."""
    page, script = Page(page_of(name)), (Path(html.__file__).parent / "report.js").read_text()

    assert [] == page.open
    assert set() == {tag for tag, _ in page.tags} & {
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
    assert not re.search(r"@import|url\((?!#)", page.source)
    assert [script] == page.scripts if page.attributes("data-readout") else [] == page.scripts
    assert f"script-src 'sha256-{b64encode(sha256(script.encode()).digest()).decode()}'" in page.source


@pytest.mark.parametrize("name", SAMPLES)
def test_every_reference_within_a_page_has_one_target(name):
    """Links, labels and descriptions point to existing ids, and every id is unique."""
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


def test_text_from_a_target_is_escaped():
    """Markup, template syntax and escape sequences in error codes, findings and settings are shown as text."""
    source = page_of("hostile")
    page = Page(source)

    assert SCRIPT in "".join(page.text)
    assert "{{7*7}}" in "".join(page.text)
    assert "\x1b" not in source
    assert "\u202e" not in source


def test_the_sections_have_the_right_order(tmp_path):
    """Verdict first; then findings if they decide the verdict, results, caveats, and settings."""
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


LOAD_SECTIONS = ["Objectives", "Accounting", "Latency"]
OUTCOME_SECTIONS = ["Outcomes by status and error code", "Exemplars"]

HEADINGS = {
    "both": [
        "Fail",
        "Findings",
        "must error-code × 3",
        "must error-code × 2",
        "assumed request-id-present × 7",
        "Load run steady inconclusive",
        *LOAD_SECTIONS,
        *OUTCOME_SECTIONS,
        "Conformance run standard fail",
        "Clauses",
        "Caveats",
        "Run details",
        "Conformance run standard",
        "Load run steady",
    ],
    "unfinished": [
        "Invalid",
        "Load run steady invalid",
        *LOAD_SECTIONS,
        *OUTCOME_SECTIONS,
        "Caveats",
        "Run details",
        "Load run steady",
    ],
    "accepted": [
        "Inconclusive",
        "Load run steady inconclusive",
        *LOAD_SECTIONS,
        *OUTCOME_SECTIONS,
        "Conformance run standard pass",
        "Clauses",
        "Findings",
        "must error-code × 3 accepted until 2026-12-31 with --accept",
        "must error-code × 2 accepted until 2026-12-31 with --accept",
        "assumed request-id-present × 7 accepted with --accept",
        "Caveats",
        "Run details",
        "Conformance run standard",
        "Load run steady",
    ],
    "phases": [
        "Fail",
        "Load run ramp fail",
        *LOAD_SECTIONS,
        "Phases",
        "Payloads",
        *OUTCOME_SECTIONS,
        "Caveats",
        "Run details",
        "Load run ramp",
    ],
    "search": [
        "Pass",
        "Search for the saturation rate",
        "Response time and throughput by rate",
        "Concurrency target and replicas",
        "Probes",
        "Load run steady inconclusive",
        *LOAD_SECTIONS,
        *OUTCOME_SECTIONS,
        "Caveats",
        "Run details",
        "Load run steady",
    ],
}


@pytest.mark.parametrize("name", HEADINGS)
def test_a_page_has_the_headings_of_its_runs(name, tmp_path):
    """The headings of a page without charts, in their order."""
    source = html.render(reports_of(name, tmp_path), without_charts)
    headings = re.findall(r"<h[123][^>]*>(.*?)</h[123]>", source, re.DOTALL)
    texts = [re.sub(r"<span[^>]*aria-hidden.*?</span>|<[^>]+>", "", heading) for heading in headings]

    assert HEADINGS[name] == [" ".join(text.split()) for text in texts]


def test_every_chart_is_named_and_described():
    """Every chart has a role, a title and a description for screen readers."""
    page = Page(page_of("flaky"))
    pictures = [attributes for tag, attributes in page.tags if tag == "svg"]

    assert 12 == len(pictures)
    assert all(
        picture["role"] == "img" and picture["aria-labelledby"] and picture["aria-describedby"] for picture in pictures
    )
    assert 12 == sum(tag == "title" for tag, _ in page.tags) - 1
    assert 12 == sum(tag == "desc" for tag, _ in page.tags)


def test_every_clause_is_listed():
    """Clauses that were not exercised are listed too."""
    source = page_of("conformance")

    assert [] == [clause.id for clause in CLAUSES if f"<code>{clause.id}</code>" not in source]
    assert 2 == source.count('<tr class="s-not-exercised">')
    assert 2 == source.count('<tr class="s-failed">')


def test_violated_clauses_are_shown_and_the_others_folded():
    """Only violated clauses are outside the folded table; its title counts the others."""
    more = f"{len(CLAUSES) - 2} more clauses: 2 not exercised, {len(CLAUSES) - 4} passed"
    shown, folded = page_of("conformance").split(f"<details>\n<summary>{more}")

    assert 2 == shown.count('<tr class="s-')
    assert len(CLAUSES) - 2 == folded.count('<tr class="s-')
    assert "No violation was seen." in page_of("passing conformance")


def test_exemplars_that_are_not_ok_are_shown_and_the_others_folded():
    """The exchanges of other outcomes are shown; those that were answered ok are folded."""
    source = page_of("flaky")
    shown, folded = source.split("<summary>2 more exchanges, answered ok</summary>")

    assert all(request_id in shown for request_id in ("req-00003", "req-00019"))
    assert all(request_id in folded for request_id in ("req-00411", "req-00077"))


def test_the_code_of_a_remedy_has_its_lines():
    """Code to copy keeps its line breaks; text of a target never has any."""
    source = page_of("conformance")

    assert "import uuid\n\n@app.middleware" in source
    assert "import uuid\\n" not in source


def test_a_thousand_findings_are_counted_and_not_all_shown():
    """The page shows a limited number of findings and says how many it leaves out."""
    source = page_of("thousand findings")

    assert html.MAX_FINDINGS == source.count('<article class="finding')
    assert f"And {1000 - html.MAX_FINDINGS} more findings" in source
    assert len(source) < 500_000


def test_huge_strings_are_shortened():
    """An error code of 50,000 letters is shortened, with a note."""
    source = page_of("huge")

    assert "characters in all)" in source
    assert len(source) < 300_000


def test_an_outcome_has_one_colour_on_the_whole_page():
    """Ok and every frequent outcome have colours of their own, and the rest share one."""
    summary = report_of_many()
    colours = palette(row.outcome for row in summary.outcomes)
    frequent = [colours[row.outcome] for row in summary.outcomes[:MAX_SERIES]]

    assert len(set(frequent)) == MAX_SERIES
    assert {OTHER} == {colours[row.outcome] for row in summary.outcomes[MAX_SERIES:]}


def report_of_many() -> LoadSummary:
    """A run with more outcomes than there are colours."""
    return summarise_load(Run(path=Path("a"), manifest=load_manifest(), intervals=tuple(many_outcomes())))


def test_a_long_run_is_merged(tmp_path):
    """The charts of an hour have a limited number of points; the page says how long each span is."""
    path = write_load(tmp_path / "a", drawn_intervals(3600, 2))
    source = html.render(report([read_run(path)]))

    assert "merged over spans of 12 s" in source
    assert len(source) < 1_500_000


@pytest.mark.parametrize(
    "text", ["p95 response_time < 800ms", "error_rate < 1%", "error_rate <= 100%", "max service_time < 1s"]
)
def test_the_bar_of_an_objective_contains_its_marks(text):
    """Share, bounds and required share lie on the bar, and the share lies between its bounds."""
    (result,) = evaluate_objectives(
        [parse_objective(text)], JudgedRequests(stats=total(drawn_intervals(3, 50)), planned_rate=10.0)
    )
    bar = html.objective_bar(result)

    assert bar is not None
    assert all(-1e-9 <= bar[name] <= 100 + 1e-9 for name in ("low", "value", "high", "required"))
    assert bar["low"] <= bar["value"] <= bar["high"]


def test_percentiles_of_too_few_answers_are_marked():
    """A percentile without an upper bound is marked."""
    source = page_of("one request")

    assert 5 * 4 == source.count('<span class="note few">')
    assert "TOO_FEW_REQUESTS" in source


def test_phases_are_drawn(tmp_path):
    """Charts over time shade phases that are not judged and show plain phase names; the distribution counts judged phases only."""
    found = reports_of("phases", tmp_path).load_runs[0]
    drawn = {chart.name: chart for chart in charts(found, palette(row.outcome for row in found.outcomes))}
    strange = reports_of("strange parts", tmp_path / "strange").load_runs[0]

    assert {"latency", "heat-map", "throughput", "outcomes"} == {
        name for name, chart in drawn.items() if "var(--band)" in chart.wide.body
    }
    for name in ("latency", "heat-map", "throughput", "outcomes"):
        assert [1, 1, 1] == [drawn[name].wide.body.count(f">{phase.phase.name}<") for phase in found.phases]
        assert "Shaded: phases that are not judged (warm-up, cool-down)." in drawn[name].description
    assert f"Times of {found.judged.count(Result.OK)} ok answers in judged phases" in drawn["distribution"].description
    for chart in charts(strange, palette(row.outcome for row in strange.outcomes)):
        assert not re.search("alert|aaaa", chart.wide.body + chart.narrow.body)


def test_accepted_violations_are_marked():
    """An accepted violation is among the findings, marked as waived, and so is its clause."""
    source = page_of("accepted")

    assert 3 == source.count('<span class="waived">')
    assert 2 == source.count('<tr class="s-waived">')
    assert "accepted until 2026-12-31 with --accept" in source


def test_charts_contain_no_text_from_the_target(tmp_path):
    """Text from a target is in the legend, outside the drawing."""
    found = reports_of("hostile", tmp_path).load_runs[0]
    drawn = charts(found, palette(row.outcome for row in found.outcomes))

    assert drawn
    for chart in drawn:
        assert not re.search("alert|7\\*7|x1b|\x1b", chart.wide.body + chart.narrow.body)


def test_the_names_of_options_are_not_broken_in_commands() -> None:
    """A line ends before an option, not after its hyphens, in a command too."""
    text = str(html.TEMPLATES.globals["prose"]("Use `chainproof reports RUN --html FILE` or --json."))

    assert '<code>chainproof reports RUN <span class="option">--html</span> FILE</code>' in text
    assert '<code class="option">--json</code>' in text


def test_text_between_backticks_is_code_in_every_part_of_a_finding(tmp_path):
    """No backtick of ours is left as one on the page or in Markdown; what a target wrote stays escaped."""
    texts = {part: f"`{part}_member` of <b>" for part in ("expected", "actual")}
    write_conformance(tmp_path / "run", findings=[a_finding(**texts)])
    found = report([read_run(tmp_path / "run")])
    page, text = html.render(found, lambda *_: []), markdown.render(found)

    for part in texts:
        assert f"<code>{part}_member</code> of &lt;b&gt;" in page
        assert f"{part}: `{part}_member` of \\<b\\>" in text
