"""The next step of a report: one for every verdict, and the one that fits what happened."""

from __future__ import annotations

from dataclasses import replace

import pytest

from chainproof.judgement.summary import report
from chainproof.judgement.verdict import Verdict
from chainproof.reports.formatting.next_steps import next_step
from chainproof.results.exchange import Outcome, Result, Transport
from chainproof.results.folder import read_run
from chainproof.results.manifest import Ending, RunEnd, RunKind
from chainproof.results.run_writer import RunWriter

from .sample_reports import SAMPLES, reports_of
from .sample_runs import LOST, OK, drawn_intervals, load_manifest, write_load


@pytest.mark.parametrize("name", SAMPLES)
def test_every_report_has_a_next_step(name, tmp_path):
    """No report leaves its reader without one; none is longer than a few lines."""
    step = next_step(reports_of(name, tmp_path))

    assert 10 < len(step) < 400
    assert step.endswith(".")
    assert step.isprintable()


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("both", "Begin with the first of 2 findings, `error-code`: the report has a command that reproduces it."),
        ("passing conformance", "Nothing has to be done. Read the caveats before you rely on this."),
        (
            "unfinished",
            "If it is in progress, report on it after its end. If it was killed, run it again: Ctrl-C and SIGTERM end a run and complete its folder.",
        ),
        ("unfinished failing conformance", "If it still goes on, report on it after its end; else run it again."),
        ("broken", "Please report this error with the run folder."),
        ("no objectives", "Set an objective to judge the run by: `--objective 'p95 response_time < 800ms'`."),
        (
            "search",
            "Plan for the low end of the interval. See below what that means for concurrency_target and replicas.",
        ),
    ],
)
def test_the_next_step_fits_the_verdict(name, expected, tmp_path):
    """The step names what decides: the finding, the caveat, or what is missing."""
    assert expected == next_step(reports_of(name, tmp_path))


def test_a_full_target_needs_capacity(tmp_path):
    """That its callers are too many is no help to the owner of a target that refuses them."""
    refused = Outcome(Transport.ANSWERED, 429, "rate_limited", Result.FAILED)
    path = write_load(tmp_path / "a", drawn_intervals(20, 50, mixture=[(OK, 0.4), (refused, 0.6)]))
    step = next_step(report([read_run(path)]))

    assert "it has no capacity for this rate. Give it more replicas, or lower the rate" in step


@pytest.mark.parametrize(
    ("lost", "objective", "expected"),
    [
        (0.5, "error_rate < 1%", "Begin with the most frequent error, `connection lost` ("),
        (0.5, "p95 response_time < 10s", "Begin with the most frequent error, `connection lost` ("),
        (0.0, "p95 response_time < 1ms", "The HTML report shows in its charts when it was missed,"),
    ],
)
def test_a_missed_objective_leads_to_its_cause(lost, objective, expected, tmp_path):
    """Errors are named where they alone miss the objective, slow answers otherwise."""
    intervals = drawn_intervals(10, 50, mixture=((OK, 1 - lost), (LOST, lost)))
    path = write_load(tmp_path / "a", intervals, manifest=load_manifest(objectives=(objective,)))
    found = report([read_run(path)])

    assert found.verdict is Verdict.FAIL
    assert next_step(found).startswith(expected)


@pytest.mark.parametrize(
    ("ending", "expected"),
    [
        (Ending.COMPLETED, "`error_rate < 2%`: a run with about "),
        (Ending.INTERRUPTED, "Let it run to its end: a pass needs the full run."),
    ],
)
def test_an_undecided_run_names_what_decides_all_of_it(ending, expected, tmp_path):
    """That is the objective that needs most requests; of an interrupted run, its end."""
    manifest = load_manifest(objectives=("p95 response_time < 10s", "error_rate < 2%"))
    path = write_load(tmp_path / "a", drawn_intervals(2, 20, mixture=((OK, 1.0),)), manifest=manifest, ending=ending)
    found = report([read_run(path)])

    assert Verdict.INCONCLUSIVE is found.verdict
    assert next_step(found).startswith(expected)
    assert found.reason.startswith("The run was interrupted. ") is (ending is Ending.INTERRUPTED)


def test_a_target_that_is_not_ready_is_looked_at_with_one_request(tmp_path):
    """If nothing could be tested, the next step is no option of the emulator."""
    manifest = load_manifest(kind=RunKind.CONFORMANCE, settings={}, objectives=(), emulated=True)
    with RunWriter(tmp_path / "a", manifest) as writer:
        writer.finish(RunEnd(ending=Ending.COMPLETED, seconds=1.0, note="http://localhost is not ready"))

    assert "`chainproof call` shows one request" in next_step(report([read_run(tmp_path / "a")]))


def test_a_search_of_few_rates_promises_no_estimate(tmp_path):
    """The next step leads to concurrency_target only if the page has an estimate of it."""
    found = reports_of("search", tmp_path)
    few = replace(found, searches=tuple(replace(each, probes=each.probes[:3]) for each in found.searches))

    assert "concurrency_target" in next_step(found)
    assert "Plan for the low end of the interval." == next_step(few)
