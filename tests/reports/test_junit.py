"""
JUnit XML: valid whatever a target sends, and nothing of ours is ever held against the target, nor the other way round.
"""

from __future__ import annotations

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

from .sample_reports import SAMPLES, reports_of
from .sample_runs import a_finding, accepting, drawn_intervals, load_manifest

ENDINGS = {"failures": "failure", "errors": "error", "skipped": "skipped"}


def suites_of(text: str) -> list[ET.Element]:
    """
    The test suites as a CI system reads them.
    """
    root = ET.fromstring(text.encode())
    assert "testsuites" == root.tag
    return list(root)


def endings(suite: ET.Element) -> dict[str, str]:
    """
    What is said of each test case: an ending, or passed.
    """
    cases = suite.findall("testcase")
    found = {
        case.get("name", ""): next((child.tag for child in case if child.tag in ENDINGS.values()), "passed")
        for case in cases
    }
    assert len(found) == len(cases)
    return found


def conformance(*, clause: str = "error-code", level: str | None = None, **setting: object) -> ET.Element:
    """
    The suite of a conformance run with one finding.
    """
    found = a_finding(clause) if level is None else a_finding(clause, level=level)
    manifest = load_manifest(kind=RunKind.CONFORMANCE, objectives=(), settings=setting)
    run = Run(
        path=Path("a"), manifest=manifest, findings=(found,), end=RunEnd(ending=Ending.COMPLETED, seconds=1.0, note="")
    )
    return suites_of(junit.render(report([run])))[0]


@pytest.mark.parametrize("name", SAMPLES)
def test_every_count_is_that_of_the_cases(name, tmp_path):
    """
    What a suite and the whole say of their cases is what the cases say.
    """
    text = junit.render(reports_of(name, tmp_path))
    root = ET.fromstring(text.encode())
    for part in (root, *root):
        assert len(part.findall(".//testcase")) == int(part.get("tests", ""))
        for attribute, tag in ENDINGS.items():
            assert len(part.findall(f".//{tag}")) == int(part.get(attribute, ""))


FOLLOWS = {
    Verdict.PASS: ({"passed", "skipped"}, set()),
    Verdict.FAIL: ({"passed", "skipped", "failure"}, {"failure"}),
    Verdict.INCONCLUSIVE: ({"passed", "skipped"}, {"skipped"}),
    Verdict.INVALID: ({"passed", "skipped", "error"}, {"error"}),
    Verdict.ERROR: ({"passed", "skipped", "error", "failure"}, {"error"}),
}
"""For every verdict, what its cases may say, and what at least one of them says."""


@pytest.mark.parametrize("name", SAMPLES)
def test_a_failure_is_the_targets_and_an_error_is_ours(name, tmp_path):
    """
    A failure stands where the verdict is fail, an error where it is error or invalid, at the run alone.
    """
    found = reports_of(name, tmp_path)
    for summary, suite in zip(found.summaries, suites_of(junit.render(found)), strict=True):
        said = endings(suite)
        allowed, needed = FOLLOWS[summary.verdict]

        assert set(said.values()) <= allowed
        assert needed <= set(said.values())
        assert {"the run can be trusted"} >= {case for case, ending in said.items() if ending == "error"}
        if summary.run.manifest.kind is RunKind.LOAD and summary.verdict is not Verdict.FAIL:
            assert "failure" not in said.values()


@pytest.mark.parametrize("name", ["both", "hostile", "accepted"])
def test_there_is_a_case_for_every_clause_every_objective_and_the_run(name, tmp_path):
    """
    The names of the cases do not depend on how a run went: a trend over many runs has no holes.
    """
    found = reports_of(name, tmp_path)
    for summary, suite in zip(found.summaries, suites_of(junit.render(found)), strict=True):
        kind = summary.run.manifest.kind
        names = (
            [clause.id for clause in CLAUSES] if kind is RunKind.CONFORMANCE else list(summary.run.manifest.objectives)
        )
        told = {each.get("name"): each.get("value") for each in suite.iter("property")}

        assert [*names, "the run can be trusted"] == list(endings(suite))
        assert {"target", "seed", "contract"} <= set(told)
        assert str(summary.run.manifest.seed) == told["seed"]


def test_a_failure_carries_its_evidence(tmp_path):
    """
    Expected and actual in the message; quotation, curl line and request id below.
    """
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
def test_advice_fails_nothing_unless_asked(setting, clause, ending):
    """
    What fails is what `--fail-on` says, and what nobody accepted; the rest is told and fails nothing.
    """
    suite = conformance(clause=clause, **setting)
    case = suite.find(f"testcase[@name='{clause}']")

    assert ending == endings(suite)[clause]
    assert case is not None
    assert "'gremlins'" in "".join(case.itertext())


@given(st.text(st.characters(codec=None)), st.text(min_size=1))
@settings(max_examples=200, deadline=None)
def test_any_text_is_valid_xml(wild, other):
    """
    Control characters, lone surrogates, markup: XML has no way to write some of them, and the file is valid all the same.
    """
    found = a_finding(actual=wild, expected=other, request_id=wild, reproduce=f"curl '{wild}'", level=other)
    unknown = a_finding(actual=wild)
    run = Run(
        path=Path("a"),
        manifest=load_manifest(kind=RunKind.CONFORMANCE, name=wild, target=other, settings={}, objectives=()),
        findings=(found, unknown),
        end=RunEnd(ending=Ending.INTERNAL_ERROR, seconds=1.0, note=wild),
    )
    load = Run(path=Path("b"), manifest=load_manifest(name=other), intervals=tuple(drawn_intervals(1, 2)))
    for suite in suites_of(junit.render(report([run, load]))):
        assert suite.findall("testcase")
