"""
What programs read: every report is valid by its schema, and its sums are exact.
"""

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
from chainproof.results.interval import Interval

from .sample_reports import SAMPLES, reports_of
from .sample_runs import FLAKY, drawn_intervals, flaky_load, load_manifest, write_load

SCHEMA_FILE = Path(json_report.__file__).with_name("report.schema.json")


def schema() -> dict:
    """
    The schema with every key that it does not describe forbidden.
    """
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
def test_every_report_is_described_by_the_schema_to_the_last_key(name, tmp_path):
    """
    Whoever relies on the schema meets no key it does not describe, and misses none it promises.
    """
    written = json.loads(json_report.render(reports_of(name, tmp_path)), parse_constant=pytest.fail)

    assert [] == [error.message for error in VALIDATOR.iter_errors(written)]


def test_the_schema_refuses_what_is_no_report():
    """
    A schema that lets anything pass describes nothing.
    """
    assert list(VALIDATOR.iter_errors({"schema": json_report.SCHEMA}))
    jsonschema.Draft202012Validator.check_schema(json.loads(SCHEMA_FILE.read_text()))


def of(*runs: Run) -> dict:
    """
    The report on runs, as a program reads it.
    """
    return json.loads(json_report.render(report(runs)))


def a_run(intervals: list[Interval], name: str = "a") -> Run:
    """
    A load run that never touched a disk.
    """
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
    """
    With several load runs the top level is their sum: no request is lost between the runs and the whole.
    """
    whole = of(*(a_run(intervals, str(place)) for place, intervals in enumerate(lists)))

    for name, number in whole["accounting"].items():
        assert sum(run["accounting"][name] for run in whole["runs"]) == number
    assert sum(row["count"] for row in whole["outcomes"]) == sum(
        row["count"] for run in whole["runs"] for row in run["outcomes"]
    )
    keys = [tuple(v for k, v in row.items() if k != "count") for row in whole["outcomes"]]
    assert len(keys) == len(set(keys))
    assert whole["timings"] is None


def test_one_load_run_is_the_whole():
    """
    With one load run nobody has to look below the top level.
    """
    whole = of(a_run(drawn_intervals(3, 20)))

    for name in ("accounting", "timings", "timings_by_result", "throughput_per_s", "outcomes", "objectives", "caveats"):
        assert whole["runs"][0][name] == whole[name]


def test_percentiles_are_those_of_the_values():
    """
    A quantile in the report is the nearest-rank quantile of what was recorded, to half a part in a thousand.
    """
    dice = random.Random(7)
    times = sorted(dice.lognormvariate(-2, 1) for _ in range(1234))
    interval = Interval(second=0, planned=len(times), sent=len(times))
    for time in times:
        interval.count_outcome(FLAKY[0][0], time, time / 2)
    timings = of(a_run([interval]))["timings"]

    for name, fraction in (("p50", 0.5), ("p90", 0.9), ("p95", 0.95), ("p99", 0.99), ("p99.9", 0.999)):
        exact = times[math.ceil(fraction * len(times)) - 1]
        assert exact == pytest.approx(timings["response_time_s"][name], rel=1 / 2048)
        assert exact / 2 == pytest.approx(timings["service_time_s"][name], rel=1 / 2048)
    assert times[-1] == timings["response_time_s"]["max"]
    assert [None, None, None] == [timings["schedule_lag_s"][name] for name in ("p50", "max", "mean")]


def test_no_path_of_the_machine_is_told(tmp_path):
    """
    A report is passed on; where its folders lay is nobody's business.
    """
    run = flaky_load(tmp_path / "20261122T132700Z_steady_chain")
    text = json_report.render(reports_of("flaky", tmp_path / "again"))

    assert str(tmp_path) not in text
    assert "20261122T132700Z_steady_chain" == run.name


def test_without_a_load_run_its_figures_are_null(tmp_path):
    """
    Conformance has no latency: null says so, zero would be a lie.
    """
    written = json.loads(json_report.render(reports_of("conformance", tmp_path)))

    for name in (
        "accounting",
        "not_sent_reasons",
        "timings",
        "timings_by_result",
        "throughput_per_s",
        "outcomes",
        "objectives",
    ):
        assert written[name] is None
    assert "conformance" == written["kind"]


def test_a_report_names_its_gravest_reason(tmp_path):
    """
    The top level's reason is that of the run that decides the verdict.
    """
    found: Report = reports_of("both", tmp_path)

    assert (
        "Conformance: 2 clauses violated: error-code, request-id-present."
        == json.loads(json_report.render(found))["reason"]
    )


def test_a_lost_line_makes_a_report_invalid_and_never_our_own_error(tmp_path):
    """
    Where a second of the plan was lost there may be more ok answers than requests; that is a caveat, not a crash.
    """
    lost = Interval(second=0, planned=1, sent=3)
    for _ in range(3):
        lost.count_outcome(FLAKY[0][0], 0.1, 0.1)
    path = write_load(tmp_path / "a", [lost])
    written = json.loads(json_report.render(report([read_run(path)])))

    assert "invalid" == written["verdict"]
    assert 4 == written["exit_code"]


def test_what_is_accepted_says_so(tmp_path):
    """
    A program can leave out what was accepted, and see until when it may.
    """
    written = json.loads(json_report.render(reports_of("accepted", tmp_path)))
    found = {(each["run"], each["clause"]): (each["accepted"], each["accepted_until"]) for each in written["findings"]}
    states = {each["clause"]: (each["state"], each["accepted"], each["accepted_until"]) for each in written["clauses"]}

    assert {(True, "2026-12-31"), (True, None)} == set(found.values())
    assert ("waived", True, "2026-12-31") == states["error-code"]
    assert ("waived", True, None) == states["request-id-present"]
    assert ("passed", False, None) == states["error-json"]


def test_parts_add_up_to_the_whole(tmp_path):
    """
    Phases sum up to the accounting; payloads to the judged phases' answers.
    """
    written = json.loads(json_report.render(reports_of("phases", tmp_path)))
    results = ("ok", "failed", "timed_out", "censored")

    for name, number in written["accounting"].items():
        assert number == sum(phase[name] for phase in written["phases"])
    for name in results:
        judged = sum(phase[name] for phase in written["phases"] if phase["judged"])
        assert judged == sum(payload[name] for payload in written["payloads"])
    assert written["timings"] == next(phase["timings"] for phase in written["phases"] if phase["judged"])
    assert ["warm-up", "steady", "cool-down"] == [phase["name"] for phase in written["phases"]]
