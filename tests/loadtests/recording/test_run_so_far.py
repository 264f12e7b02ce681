"""The figures of the live page are those of the report."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest

from chainproof.judgement.load_summary import summarise_load
from chainproof.loadtests.locust_adapter.live_page import page
from chainproof.loadtests.run_so_far import MAX_SPANS, run_so_far
from chainproof.results.exchange import Outcome, Result, Transport
from chainproof.results.folder import read_run
from chainproof.results.manifest import Ending

from ...reports.sample_runs import drawn_intervals, write_load  # the runs of the report tests


@pytest.mark.parametrize("seconds", [1, 20, 500])
def test_spans_have_every_request_and_the_percentiles_of_their_seconds(seconds, tmp_path):
    """Rates times seconds are the counts of the report, and a span of one second has the percentiles of that second."""
    summary = summarise_load(read_run(write_load(tmp_path / "a", drawn_intervals(seconds, 10))))
    figures = run_so_far(summary)
    spans = figures["spans"]

    assert len(spans) <= MAX_SPANS
    counts = {name.replace(" ", "_"): count for name, count in figures["results"]}
    assert summary.accounting.to_json() | {"in_flight": 0} == counts
    for result in Result:
        assert summary.totals.count(result) == round(sum(each[result.value] * each["seconds"] for each in spans))
    if spans[0]["seconds"] == 1:
        times = [each.response_time[Result.OK] for each in summary.seconds]

        assert [each.quantile(0.99) for each in times] == [each["p99"] for each in spans]


def test_a_run_that_goes_on_has_figures(tmp_path):
    """The process of the page reads a run folder without an end."""
    path = write_load(tmp_path / "a", drawn_intervals(5, 30), ending=None)
    words = [sys.executable, "-P", "-m", "chainproof.loadtests.run_so_far", str(path)]
    figures = json.loads(subprocess.run(words, capture_output=True, check=True).stdout)

    assert figures == json.loads(json.dumps(run_so_far(summarise_load(read_run(path)))))
    assert ["undecided", "met so far"] == [each["so_far"] for each in figures["objectives"]]


def test_a_run_that_has_ended_has_its_verdict(tmp_path):
    """Nothing is "so far" any more, and verdict and reason are those of the report."""
    intervals = drawn_intervals(5, 30)
    at_end, before = (
        run_so_far(summarise_load(read_run(write_load(tmp_path / str(ending), intervals, ending=ending))))
        for ending in (Ending.COMPLETED, None)
    )
    summary = summarise_load(read_run(tmp_path / Ending.COMPLETED))

    assert before["verdict"] is None
    assert [summary.verdict.value, summary.reason] == at_end["verdict"]
    assert [{"pass": "met", "fail": "missed"}.get(each.verdict, each.verdict) for each in summary.objectives] == [
        each["so_far"] for each in at_end["objectives"]
    ]


def test_requests_in_flight_do_not_count_yet(tmp_path):
    """A slow target, whose latest requests are in flight, does not miss an error rate so far."""
    intervals = drawn_intervals(5, 30, mixture=[(Outcome(Transport.ANSWERED, 200, None, Result.OK), 1.0)])
    intervals[-1].planned += 60
    intervals[-1].sent += 60
    figures = run_so_far(summarise_load(read_run(write_load(tmp_path / "a", intervals, ending=None))))

    assert {"planned": 210, "ok": 150, "in flight": 60}.items() <= dict(figures["results"]).items()
    assert "missed so far" not in {each["so_far"] for each in figures["objectives"]}
    assert 1.0 == figures["objectives"][1]["share"][1]


def test_the_page_allows_its_own_script_only():
    """The policy names the digest of the script and no other source."""
    text, fields = page()

    assert 1 == text.count("<script>")
    assert "script-src 'sha256-" in fields["Content-Security-Policy"]
    assert "unsafe-eval" not in fields["Content-Security-Policy"]
    assert "http" not in text.replace("http://www.w3.org/2000/svg", "")
