"""The JSON report is valid against its schema, and its sums are exact."""

from __future__ import annotations

import copy
import json
import math
import random
from collections import Counter
from pathlib import Path

import jsonschema
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from chainproof.judgement.summary import Report, report
from chainproof.reports.formats import json_report
from chainproof.results.exchange import Outcome, Result, Transport
from chainproof.results.folder import Run, read_run
from chainproof.results.intervals.interval import Interval

from ..sample_reports import SAMPLES, reports_of
from ..sample_runs import FLAKY, drawn_intervals, flaky_load, load_manifest, write_load

SCHEMA_FILE = Path(json_report.__file__).with_name("report.schema.json")


def schema() -> dict:
    """The schema, with all keys forbidden that it does not describe."""
    document = json.loads(SCHEMA_FILE.read_text())

    def close(node: object) -> None:
        if isinstance(node, dict):
            if "properties" in node and node.get("type") == "object":
                node.setdefault("additionalProperties", False)
            for child in node.values():
                close(child)
        elif isinstance(node, list):
            for child in node:
                close(child)

    closed = copy.deepcopy(document)
    close(closed)
    return closed


VALIDATOR = jsonschema.Draft202012Validator(schema())


@pytest.mark.parametrize("name", SAMPLES)
def test_every_report_is_valid_and_has_only_documented_keys(name, tmp_path):
    """A report has every required key of the schema and no key that the schema does not describe."""
    written = json.loads(json_report.render(reports_of(name, tmp_path)), parse_constant=pytest.fail)

    assert [] == [error.message for error in VALIDATOR.iter_errors(written)]


def test_the_schema_rejects_an_incomplete_report():
    """The schema is a valid JSON Schema and does not accept everything."""
    assert list(VALIDATOR.iter_errors({"schema": json_report.SCHEMA}))
    jsonschema.Draft202012Validator.check_schema(json.loads(SCHEMA_FILE.read_text()))


def json_of(*runs: Run) -> dict:
    """The JSON report on runs."""
    return json.loads(json_report.render(report(runs)))


def a_run(intervals: list[Interval], name: str = "a") -> Run:
    """A load run without files."""
    return Run(path=Path("/somewhere/secret") / name, manifest=load_manifest(), intervals=tuple(intervals))


outcomes = st.builds(
    Outcome,
    st.sampled_from(Transport),
    st.sampled_from((None, 200, 429, 503)),
    st.none() | st.text(max_size=5),
    st.sampled_from(Result),
)
interval_lists = st.lists(
    st.builds(
        lambda second, planned, sent, found: Interval(second=second, planned=planned, sent=sent, outcomes=found),
        st.integers(0, 50),
        st.integers(0, 100),
        st.integers(0, 100),
        st.dictionaries(outcomes, st.integers(1, 9), max_size=5).map(Counter),
    ),
    max_size=6,
)


@given(st.lists(interval_lists, min_size=2, max_size=4))
@settings(max_examples=60, deadline=None)
def test_several_load_runs_add_up_exactly(lists):
    """With several load runs the top level has the sums of the runs."""
    written = json_of(*(a_run(intervals, str(place)) for place, intervals in enumerate(lists)))

    for name, number in written["accounting"].items():
        assert sum(run["accounting"][name] for run in written["runs"]) == number
    assert sum(row["count"] for row in written["outcomes"]) == sum(
        row["count"] for run in written["runs"] for row in run["outcomes"]
    )
    keys = [tuple(v for k, v in row.items() if k != "count") for row in written["outcomes"]]
    assert len(keys) == len(set(keys))
    assert written["timings"] is None


def test_the_top_level_repeats_the_only_load_run():
    """With one load run the top level has all its results."""
    written = json_of(a_run(drawn_intervals(3, 20)))

    for name in ("accounting", "timings", "throughput_per_s", "outcomes", "objectives", "caveats"):
        assert written["runs"][0][name] == written[name]


def test_percentiles_are_nearest_rank_quantiles():
    """A percentile is the nearest-rank quantile of the recorded times, within 1/2048."""
    dice = random.Random(7)
    times = sorted(dice.lognormvariate(-2, 1) for _ in range(1234))
    interval = Interval(second=0, planned=len(times), sent=len(times))
    for time in times:
        interval.count_outcomes(FLAKY[0][0], [time], [time / 2])
    timings = json_of(a_run([interval]))["timings"]

    for name, fraction in (("p50", 0.5), ("p90", 0.9), ("p95", 0.95), ("p99", 0.99), ("p99.9", 0.999)):
        exact = times[math.ceil(fraction * len(times)) - 1]
        assert exact == pytest.approx(timings["response_time_s"][name], rel=1 / 2048)
        assert exact / 2 == pytest.approx(timings["service_time_s"][name], rel=1 / 2048)
    assert times[-1] == timings["response_time_s"]["max"]
    assert [None, None, None] == [timings["schedule_lag_s"][name] for name in ("p50", "max", "mean")]


def test_a_report_contains_no_local_path(tmp_path):
    """Reports are passed on, so they name a run folder without its path."""
    run = flaky_load(tmp_path / "20261122T132700Z_steady_chain")
    text = json_report.render(reports_of("flaky", tmp_path / "again"))

    assert str(tmp_path) not in text
    assert "20261122T132700Z_steady_chain" == run.name


def test_load_results_are_null_without_a_load_run(tmp_path):
    """Results of load runs are null, not zero, in a report on conformance only."""
    written = json.loads(json_report.render(reports_of("conformance", tmp_path)))

    for name in (
        "accounting",
        "not_sent_reasons",
        "timings",
        "throughput_per_s",
        "outcomes",
        "objectives",
    ):
        assert written[name] is None
    assert "conformance" == written["kind"]


def test_the_reason_is_that_of_the_worst_verdict(tmp_path):
    """The top level has the reason of the run that decides the verdict."""
    found: Report = reports_of("both", tmp_path)

    assert (
        "Conformance: 2 clauses violated: error-code, request-id-present."
        == json.loads(json_report.render(found))["reason"]
    )


def test_a_lost_line_makes_a_report_invalid(tmp_path):
    """After a lost line there may be more ok answers than requests: the verdict is invalid, and nothing crashes."""
    lost = Interval(second=0, planned=1, sent=3)
    for _ in range(3):
        lost.count_outcomes(FLAKY[0][0], [0.1], [0.1])
    path = write_load(tmp_path / "a", [lost])
    written = json.loads(json_report.render(report([read_run(path)])))

    assert "invalid" == written["verdict"]
    assert 4 == written["exit_code"]


def test_accepted_violations_are_marked(tmp_path):
    """Findings and clauses say whether they were accepted, and until when."""
    written = json.loads(json_report.render(reports_of("accepted", tmp_path)))
    found = {(each["run"], each["clause"]): (each["accepted"], each["accepted_until"]) for each in written["findings"]}
    states = {each["clause"]: (each["state"], each["accepted"], each["accepted_until"]) for each in written["clauses"]}

    assert {(True, "2026-12-31"), (True, None)} == set(found.values())
    assert ("waived", True, "2026-12-31") == states["error-code"]
    assert ("waived", True, None) == states["request-id-present"]
    assert ("passed", False, None) == states["error-json"]


def test_phases_and_payloads_add_up(tmp_path):
    """Phases add up to the accounting, payloads to the results of judged phases."""
    written = json.loads(json_report.render(reports_of("phases", tmp_path)))
    results = ("ok", "failed", "timed_out", "censored")

    for name, number in written["accounting"].items():
        assert number == sum(phase[name] for phase in written["phases"])
    for name in results:
        judged = sum(phase[name] for phase in written["phases"] if phase["judged"])
        assert judged == sum(payload[name] for payload in written["payloads"])
    assert written["timings"] == next(phase["timings"] for phase in written["phases"] if phase["judged"])
    assert ["warm-up", "steady", "cool-down"] == [phase["name"] for phase in written["phases"]]


def test_the_report_of_the_sample_runs_has_the_expected_counts(tmp_path):
    """The JSON report of the sample runs has the expected verdicts, counts and times."""
    written = json.loads(json_report.render(reports_of("both", tmp_path)))

    assert ("chainproof.report/2", "fail", 1, "combined", "nearest rank") == tuple(
        written[key] for key in ("schema", "verdict", "exit_code", "kind", "quantile_method")
    )
    assert [("fail", 1, "completed", 14.2), ("inconclusive", 3, "completed", 20.0)] == [
        tuple(run[key] for key in ("verdict", "exit_code", "ending", "elapsed_s")) for run in written["runs"]
    ]
    assert {
        "planned": 1000,
        "not_sent": 0,
        "sent": 1000,
        "ok": 955,
        "failed": 42,
        "timed_out": 3,
        "censored": 0,
    } == written["accounting"]
    assert 49.75 == written["throughput_per_s"]
    assert 47.75 == written["ok_per_s"]
    assert [
        ("answered", 200, None, None, "ok", None, 955),
        ("answered", 503, "model_not_ready", "documented", "failed", "platform", 14),
        ("answered", 502, "application_error", "documented", "failed", "chain", 11),
        ("answered", 429, "rate_limited", "documented", "failed", "caller", 10),
        ("answered", 502, None, "absent", "failed", "platform", 4),
        ("deadline", None, None, None, "timed_out", None, 3),
        ("connection_lost", None, None, None, "failed", None, 2),
        ("answered", 503, "gremlins", "undocumented", "failed", "platform", 1),
    ] == [tuple(row.values()) for row in written["outcomes"]]
    times = written["timings"]["response_time_s"]
    assert (955, 1000, 40) == tuple(
        written["timings"][kind]["count"]
        for kind in ("response_time_s", "planned_response_time_s", "rejected_response_time_s")
    )
    assert 0.1 == pytest.approx(times["p50"], rel=0.01)
    assert times["intervals"]["p95"][0] < times["p95"] < times["intervals"]["p95"][1]
    assert times["intervals"]["p99.9"][1] is None
    assert [(1, "ok", 60), (2, "ok", 20), (3, "failed", 20)] == [
        tuple(row.values()) for row in written["calls"]["counts"]
    ]
    assert (312_000, 995, 0, 40) == tuple(
        written["network"][key] for key in ("sent_bytes", "kernel_timestamps", "own_timestamps", "replaced_connections")
    )


def test_the_report_of_the_sample_runs_has_the_expected_judgements(tmp_path):
    """Objectives, clauses, findings, exemplars and caveats are those of the sample runs."""
    written = json.loads(json_report.render(reports_of("both", tmp_path)))
    latency, errors = written["objectives"]
    clauses = {row["clause"]: row for row in written["clauses"]}

    assert ("p95 response_time < 800ms", 0.95, "inconclusive", 0.8, "s", 955, 1000, 0.955, 34000) == tuple(
        latency[key]
        for key in (
            "objective",
            "quantile",
            "verdict",
            "threshold",
            "unit",
            "good",
            "total",
            "share",
            "more_requests_needed",
        )
    )
    assert latency["share_low"] < 0.95 < latency["share_high"]
    assert ("error_rate < 10%", None, "pass", 0.045, "1", None) == tuple(
        errors[key] for key in ("objective", "quantile", "verdict", "observed", "unit", "more_requests_needed")
    )
    assert {"passed": len(clauses) - 4, "failed": 2, "not exercised": 2} == Counter(
        row["state"] for row in clauses.values()
    )
    assert 1 - 0.05 ** (1 / 120) == pytest.approx(clauses["status"]["detectable_share"])
    assert ("failed", 120, 3) == tuple(clauses["error-code"][key] for key in ("state", "exercised", "violations"))
    assert [("error-code", "must", 3), ("error-code", "must", 2), ("request-id-present", "assumed", 7)] == [
        tuple(row[key] for key in ("clause", "level", "count")) for row in written["findings"]
    ]
    assert ["NOT_EXERCISED", "UNANSWERED", "CONTRACT_VIOLATIONS", "TOO_FEW_REQUESTS"] == [
        row["code"] for row in written["caveats"]
    ]
    assert ("req-00411", "slowest", 8.22) == tuple(
        written["exemplars"][0][key] for key in ("request_id", "why", "intended_start_s")
    )


def test_a_run_that_was_cut_off_has_no_end(tmp_path):
    """Ending, duration and note are null, and the verdict is invalid."""
    written = json.loads(json_report.render(reports_of("unfinished", tmp_path)))

    assert ("invalid", 4) == (written["verdict"], written["exit_code"])
    assert [None, None, None] == [written["runs"][0][key] for key in ("ending", "elapsed_s", "note")]


def test_a_search_has_its_result_and_probes(tmp_path):
    """The saturation rate and every probe, in the order of the search."""
    search = json.loads(json_report.render(reports_of("search", tmp_path)))["searches"][0]

    assert (21.0, 28.28) == (search["saturation_rate_per_s"], search["missed_at_per_s"])
    assert [(10.0, "met", 200), (20.0, "met", 400), (40.0, "missed", 800), (23.78, "met", 460)] == [
        (probe["rate_per_s"], probe["verdict"], probe["planned"]) for probe in search["probes"][:4]
    ]
