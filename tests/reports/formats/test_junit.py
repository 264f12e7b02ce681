"""JUnit XML is valid for any text, a <failure> is due to the target, and an <error> is due to chainproof."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from xml.etree import ElementTree as ET

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from chainproof.contract.clauses import CLAUSES
from chainproof.judgement.summary import report
from chainproof.judgement.verdict import Verdict
from chainproof.reports.formats import junit
from chainproof.results.folder import Run
from chainproof.results.manifest import Ending, RunEnd, RunKind

from ..sample_reports import SAMPLES, reports_of
from ..sample_runs import a_finding, accepting, drawn_intervals, load_manifest

ENDINGS = {"failures": "failure", "errors": "error", "skipped": "skipped"}


def suites_of(text: str) -> list[ET.Element]:
    """The parsed test suites."""
    root = ET.fromstring(text.encode())
    assert "testsuites" == root.tag
    return list(root)


def endings(suite: ET.Element) -> dict[str, str]:
    """`failure`, `error`, `skipped` or `passed` by test case."""
    cases = suite.findall("testcase")
    found = {
        case.get("name", ""): next((child.tag for child in case if child.tag in ENDINGS.values()), "passed")
        for case in cases
    }
    assert len(found) == len(cases)
    return found


def conformance(*, clause: str = "error-code", level: str | None = None, **setting: object) -> ET.Element:
    """The suite of a conformance run with one finding."""
    found = a_finding(clause) if level is None else a_finding(clause, level=level)
    manifest = load_manifest(kind=RunKind.CONFORMANCE, objectives=(), settings=setting)
    run = Run(
        path=Path("a"), manifest=manifest, findings=(found,), end=RunEnd(ending=Ending.COMPLETED, seconds=1.0, note="")
    )
    return suites_of(junit.render(report([run])))[0]


@pytest.mark.parametrize("name", SAMPLES)
def test_counts_match_the_test_cases(name, tmp_path):
    """The counts of every suite, and of all suites, match their test cases; there is nothing that Jenkins rejects."""
    text = junit.render(reports_of(name, tmp_path))
    root = ET.fromstring(text.encode())
    for part in (root, *root):
        assert len(part.findall(".//testcase")) == int(part.get("tests", ""))
        for attribute, tag in ENDINGS.items():
            if part is not root or attribute != "skipped":
                assert len(part.findall(f".//{tag}")) == int(part.get(attribute, ""))
    for element in root.iter():
        assert set(element.attrib) <= ATTRIBUTES[element.tag]


_COUNTS = {"name", "time", "tests", "failures", "errors"}
ATTRIBUTES = {
    "testsuites": _COUNTS,
    "testsuite": {*_COUNTS, "skipped", "timestamp", "hostname", "id", "package"},
    "testcase": {"name", "time", "classname"},
    "properties": set(),
    "property": {"name", "value"},
    "system-out": set(),
    **{tag: {"type", "message"} for tag in ENDINGS.values()},
}
"""The elements and attributes that the schema of Jenkins (junit-10.xsd) allows, of those that JUnit itself has."""


ENDINGS_BY_VERDICT = {
    Verdict.PASS: ({"passed", "skipped"}, set()),
    Verdict.FAIL: ({"passed", "skipped", "failure"}, {"failure"}),
    Verdict.INCONCLUSIVE: ({"passed", "skipped"}, {"skipped"}),
    Verdict.INVALID: ({"passed", "skipped", "error", "failure"}, {"error"}),
    Verdict.ERROR: ({"passed", "skipped", "error", "failure"}, {"error"}),
}
"""By verdict: the endings that cases may have, and those that at least one case has."""


@pytest.mark.parametrize("name", SAMPLES)
def test_a_failure_is_due_to_the_target_and_an_error_to_chainproof(name, tmp_path):
    """There are failures only where a clause is violated or an objective missed, and errors only in the case of the run itself."""
    found = reports_of(name, tmp_path)
    for summary, suite in runs_with_suites(found):
        results = endings(suite)
        allowed, needed = ENDINGS_BY_VERDICT[summary.verdict]

        assert set(results.values()) <= allowed
        assert needed <= set(results.values())
        assert {"the run can be trusted"} >= {case for case, ending in results.items() if ending == "error"}
        if summary.run.manifest.kind is RunKind.LOAD and summary.verdict is not Verdict.FAIL:
            assert "failure" not in results.values()


def runs_with_suites(found):
    """Every run that is no probe of a search, with its suite; those of searches come first."""
    summaries = [summary for summary in found.summaries if not found.is_probe(summary)]
    return list(zip(summaries, suites_of(junit.render(found))[len(found.searches) :], strict=True))


def test_a_search_is_one_case_in_place_of_its_probes(tmp_path):
    """A result passes; a search without one has the ending of its verdict, whatever its probes missed."""
    found = reports_of("search", tmp_path)
    expected = {"pass": "passed", "fail": "failure", "inconclusive": "skipped", "invalid": "error", "error": "error"}
    for verdict, ending in expected.items():
        search = replace(found.searches[0], verdict=verdict)
        suites = suites_of(junit.render(replace(found, searches=(search,))))

        assert [{"saturation rate": ending}] == [endings(suite) for suite in suites]


@pytest.mark.parametrize("name", ["both", "hostile", "accepted"])
def test_every_clause_objective_and_run_has_a_case(name, tmp_path):
    """The names of the cases do not depend on the results, so that trends over many runs have no gaps."""
    found = reports_of(name, tmp_path)
    for summary, suite in runs_with_suites(found):
        kind = summary.run.manifest.kind
        names = (
            [clause.id for clause in CLAUSES] if kind is RunKind.CONFORMANCE else list(summary.run.manifest.objectives)
        )
        properties = {each.get("name"): each.get("value") for each in suite.iter("property")}

        assert [*names, "the run can be trusted"] == list(endings(suite))
        assert {"target", "seed", "contract"} <= set(properties)
        assert str(summary.run.manifest.seed) == properties["seed"]


def test_a_failure_has_its_evidence(tmp_path):
    """The message has expected and actual; the text has the quotation, the curl command and the request id."""
    suite = suites_of(junit.render(reports_of("conformance", tmp_path)))[0]
    failure = suite.find("testcase[@name='error-code']/failure")

    assert failure is not None
    assert "expected one of the ten codes, found 'gremlins'" == failure.get("message")
    for word in ("expected: ", "actual: 'gremlins'", "timeout, client_error", "curl -sS", "request id: 0f3c9d1e"):
        assert word in (failure.text or "")


@pytest.mark.parametrize(
    ("setting", "clause", "ending"),
    [
        ({}, "error-code", "failure"),
        ({}, "request-id-present", "failure"),
        ({"fail_on": "must"}, "request-id-present", "passed"),
        ({}, "request-id-on-errors", "passed"),
        ({"fail_on": "should"}, "request-id-on-errors", "failure"),
        ({"accept": accepting("error-code:2026-11-22")}, "error-code", "skipped"),
        ({"accept": accepting("error-code:2026-11-21")}, "error-code", "failure"),
    ],
)
def test_the_level_and_acceptance_decide_what_fails(setting, clause, ending):
    """A violation fails its case if its level is in `--fail-on` and it was not accepted; it is shown in any case."""
    suite = conformance(clause=clause, **setting)
    case = suite.find(f"testcase[@name='{clause}']")

    assert ending == endings(suite)[clause]
    assert case is not None
    assert "'gremlins'" in "".join(case.itertext())


@given(st.text(st.characters(codec=None)), st.text(min_size=1))
@settings(max_examples=200, deadline=None)
def test_any_text_is_valid_xml(text, other):
    """Control characters, lone surrogates and markup never make the XML invalid."""
    found = a_finding(actual=text, expected=other, request_id=text, reproduce=f"curl '{text}'", level=other)
    unknown = a_finding(actual=text)
    run = Run(
        path=Path("a"),
        manifest=load_manifest(kind=RunKind.CONFORMANCE, name=text, target=other, settings={}, objectives=()),
        findings=(found, unknown),
        end=RunEnd(ending=Ending.INTERNAL_ERROR, seconds=1.0, note=text),
    )
    load = Run(path=Path("b"), manifest=load_manifest(name=other), intervals=tuple(drawn_intervals(1, 2)))
    for suite in suites_of(junit.render(report([run, load]))):
        assert suite.findall("testcase")
