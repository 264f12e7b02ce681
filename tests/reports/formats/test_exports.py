"""CSV, HdrHistogram, CTRF and OpenMetrics: their totals are those of the report, to the last request."""

from __future__ import annotations

import csv
import gzip
import io
import json
import os
import re
import struct
import threading
import zlib
from base64 import b64decode
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from importlib import import_module
from pathlib import Path
from typing import Any
from xml.etree import ElementTree as ET

import pytest
from hdrh.histogram import HdrHistogram
from hdrh.log import HistogramLogReader
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest

from chainproof.judgement.accounting import Accounting, accounting
from chainproof.judgement.summary import Report, report
from chainproof.open_metrics import BOUNDS
from chainproof.reports.command import FORMATS, main
from chainproof.reports.formats import ctrf, hdr_log, junit, open_metrics, otlp, second_csv
from chainproof.results.exchange import Outcome, Result, Transport
from chainproof.results.folder import read_run
from chainproof.results.intervals.interval import Interval, total
from chainproof.results.intervals.request_stats import TIMED_RESULTS
from chainproof.results.intervals.rollup import Rollup
from chainproof.statistics.histogram import Histogram, bucket_index

from ..sample_reports import SAMPLES, reports_of
from ..sample_runs import OK, a_finding, drawn_intervals, flaky_load, phased_intervals, phased_manifest, write_load

UNPRINTABLE = "".join(map(chr, (0, 7, 13, 27, 127, 0x9B, 0x2028, 0x202E, 0x200B, 0xFFFE, 0xE0041)))
"""What ends lines, controls a terminal, cannot be in XML, or is not shown."""


@pytest.mark.parametrize("name", sorted(set(FORMATS) - {"requests"}))
def test_a_target_controls_no_terminal(name: str, tmp_path: Path) -> None:
    """Whatever an error code and a finding contain, all formats have printable characters and line ends only."""
    flaky = Outcome(Transport.ANSWERED, 503, UNPRINTABLE, Result.FAILED)
    mixture = ((OK, 0.7), (flaky, 0.3))
    found = a_finding(actual=UNPRINTABLE, expected=UNPRINTABLE, request_id=UNPRINTABLE)
    write_load(tmp_path / "a", drawn_intervals(2, 20, mixture=mixture), findings=[found])
    render = import_module(f"chainproof.reports{FORMATS[name][0]}").render

    text = render(report([read_run(tmp_path / "a")])).replace("\r\n", "\n")
    assert {"\n"} >= {each for each in text if not each.isprintable()}


@pytest.fixture(params=["one", "two", "phases", "rolled up"])
def loads(request: pytest.FixtureRequest, tmp_path: Path) -> Report:
    """A report on load runs."""
    if request.param == "phases":
        write_load(tmp_path / "0", phased_intervals(), manifest=phased_manifest())
    elif request.param == "rolled up":
        rollup = Rollup()
        lines = [line for each in drawn_intervals(300, 20) for line in rollup.add(each, each.to_json())]
        write_load(tmp_path / "0", [Interval.from_json(line) for line in (*lines, *rollup.flush())])
    else:
        for number in range(1 + (request.param == "two")):
            flaky_load(tmp_path / str(number))
    return report(read_run(path) for path in sorted(tmp_path.iterdir()))


def test_the_seconds_add_up_to_the_accounting(loads: Report) -> None:
    """Each column of counts has the sum that the report shows, for each run."""
    rows = list(csv.DictReader(io.StringIO(second_csv.render(loads))))
    for summary in loads.load_runs:
        own = [row for row in rows if row["run"] == summary.run.path.name]

        assert summary.accounting == Accounting(
            **{name: sum(int(row[name]) for row in own) for name in second_csv.COUNTS}
        )
        assert [each.second for each in summary.seconds] == [int(row["second"]) for row in own]
        slowest = max(float(row["ok_response_time_max_s"] or 0) for row in own)
        assert summary.totals.response_time[Result.OK].max_value == pytest.approx(slowest, abs=1e-9)


# ------------------------------------------------------------------ HdrHistogram


def decoded(text: str) -> Counter[int]:
    """The number of values by bucket of a histogram in the second compressed encoding, read as its specification says."""
    data = b64decode(text)
    cookie, length = struct.unpack(">ii", data[:8])
    inner = zlib.decompress(data[8:])
    kind, size, offset, digits, lowest, highest, ratio = struct.unpack(">iiiiqqd", inner[:40])
    assert (0x1C849314, length, 0x1C849313, 0, 3, 1, 1.0) == (
        cookie,
        len(data) - 8,
        kind,
        offset,
        digits,
        lowest,
        ratio,
    )
    assert size == len(inner) - 40
    counts: Counter[int] = Counter()
    place = 0
    for number in zigzag(inner[40:]):
        if number < 0:
            place -= number
        else:
            counts[place] += number
            place += 1
    assert highest >= value_of(place - 1)
    return +counts


def zigzag(data: bytes) -> Iterator[int]:
    """Signed integers of variable length."""
    number, shift = 0, 0
    for octet in data:
        number |= (octet & 0x7F) << shift
        shift += 7
        if not octet & 0x80:
            yield (number >> 1) ^ -(number & 1)
            number, shift = 0, 0


def value_of(index: int) -> int:
    """The lowest value that HdrHistogram with three digits counts at an index: 2048 sub-buckets, of which half are used."""
    bucket, sub = (index >> 10) - 1, (index & 1023) + 1024
    return index if bucket < 0 else sub << bucket


def test_an_index_is_that_of_hdr_histogram() -> None:
    """The lowest value of each of our buckets has its own number as index there."""
    for index in (0, 1, 1023, 1024, 2047, 2048, 3071, 3072, 50_000):
        assert index == bucket_index(value_of(index))


def test_a_hdr_log_has_every_answer_in_its_bucket(loads: Report) -> None:
    """The lines of each result add up to the histogram of the report, and are in the order of time."""
    lines = hdr_log.render(loads).splitlines()
    rows = [line.split(",") for line in lines if line.startswith("Tag=")]
    starts = [float(row[1]) for row in rows]
    several = len(loads.load_runs) > 1

    assert "#[Histogram log format version 1.3]" == lines[0]
    assert re.fullmatch(r"#\[StartTime: \d+\.\d{3} \(seconds since epoch\), .*\]", lines[1])
    assert sorted(starts) == starts
    for summary in loads.load_runs:
        for result in TIMED_RESULTS:
            tag = f"Tag={summary.run.path.name}.{result.value}" if several else f"Tag={result.value}"
            found = sum((decoded(row[4]) for row in rows if row[0] == tag), Counter[int]())
            assert summary.totals.response_time[result].buckets == dict(sorted(found.items()))


def test_the_library_of_hdr_histogram_reads_the_log(loads: Report, tmp_path: Path) -> None:
    """Total, maximum and percentiles of the merged log are those of the report, within three digits."""
    path = tmp_path / "log"
    path.write_text(hdr_log.render(loads))
    merged = HdrHistogram(1, 1 << 53, 3)
    reader = HistogramLogReader(str(path), merged)
    while (each := reader.get_next_interval_histogram()) is not None:
        merged.add(each)
    times = [summary.totals.response_time[result] for summary in loads.load_runs for result in TIMED_RESULTS]

    assert sum(each.count for each in times) == merged.get_total_count()
    assert max(each.max_value for each in times) * 1e9 == pytest.approx(merged.get_max_value(), rel=1e-3)


# ------------------------------------------------------------------ OpenMetrics


SAMPLE = re.compile(r'(?P<name>[a-z_]+)\{(?P<labels>(?:[a-z_]+="(?:[^"\\\n]|\\["\\n])*",?)*)\} (?P<value>\S+)')
LABEL = re.compile(r'([a-z_]+)="((?:[^"\\\n]|\\["\\n])*)"')


def samples(text: str) -> list[tuple[str, dict[str, str], float]]:
    """The samples of an exposition; every line must be one, or describe one."""
    lines = text.splitlines()
    assert ("# EOF", "\n") == (lines[-1], text[-1])
    found = []
    for line in lines[:-1]:
        if not line.startswith(("# TYPE ", "# HELP ")):
            match = SAMPLE.fullmatch(line)
            assert match is not None, line
            found.append((match["name"], dict(LABEL.findall(match["labels"])), float(match["value"])))
    return found


def value(found: list[tuple[str, dict[str, str], float]], name: str, **labels: str) -> float:
    """The only sample with these labels."""
    (number,) = (number for each, own, number in found if each == name and labels.items() <= own.items())
    return number


def test_open_metrics_have_the_totals_of_the_report(loads: Report) -> None:
    """Counts, sums and percentiles are exact; buckets grow up to the count."""
    found = samples(open_metrics.render(loads))
    for summary in loads.load_runs:
        run, counts = summary.run.path.name, summary.accounting

        assert counts.planned == value(found, "chainproof_requests_planned_total", run=run)
        assert counts.sent == value(found, "chainproof_requests_sent_total", run=run)
        for result in Result:
            number = value(found, "chainproof_requests_total", run=run, result=result.value)
            assert counts.to_json()[result.value] == number
        outcomes = [each for name, own, each in found if name == "chainproof_outcomes_total" and own["run"] == run]
        assert counts.settled == sum(outcomes)
        assert_histogram(found, summary.totals.response_time[Result.OK], run)
        for name, estimate in summary.timings["response_time_s"].quantiles.items():
            quantile = str(round(float(name[1:]) / 100, 5))
            assert estimate.value == value(
                found, "chainproof_quantile_seconds", run=run, time="response_time_s", quantile=quantile
            )


def assert_histogram(found: list[tuple[str, dict[str, str], float]], times: Histogram, run: str) -> None:
    """The histogram of ok answers of a run is exact."""
    name, labels = "chainproof_response_time_seconds", {"run": run, "result": "ok"}
    buckets = [value(found, f"{name}_bucket", le=f"{bound}", **labels) for bound in BOUNDS]

    assert sorted(buckets) == buckets
    assert times.count == value(found, f"{name}_count", **labels) == value(found, f"{name}_bucket", le="+Inf", **labels)
    assert times.total == value(found, f"{name}_sum", **labels)


# ------------------------------------------------------------------ OTLP


@contextmanager
def collector(status: int = 200) -> Iterator[tuple[str, list[bytes]]]:
    """The URL of a server on loopback that takes metrics, and what it got."""
    bodies: list[bytes] = []

    class Collect(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            bodies.append(gzip.decompress(body) if self.headers.get("Content-Encoding") == "gzip" else body)
            self.send_response(status)
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, *_: object) -> None: ...

    with ThreadingHTTPServer(("127.0.0.1", 0), Collect) as server:
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        yield f"http://127.0.0.1:{server.server_address[1]}/v1/metrics", bodies
        server.shutdown()


def test_otlp_has_the_totals_of_the_report(loads: Report) -> None:
    """The message that a collector gets has the counts, sums and buckets of the report."""
    with collector() as (url, bodies):
        otlp.send(loads, url)
    message = ExportMetricsServiceRequest.FromString(bodies[0])
    found = {each.name: each for each in message.resource_metrics[0].scope_metrics[0].metrics}

    def points(name: str, kind: str, **labels: str) -> list[Any]:
        every = getattr(found[name], kind).data_points
        own = [(each, {each.key: each.value.string_value for each in each.attributes}) for each in every]
        return [each for each, attributes in own if labels.items() <= attributes.items()]

    for summary in loads.load_runs:
        run = summary.run.path.name
        for result in Result:
            (point,) = points("chainproof_requests", "sum", run=run, result=result.value)
            assert summary.accounting.to_json()[result.value] == point.as_int
        (times,) = points("chainproof_response_time_seconds", "histogram", run=run, result="ok")
        of_report = summary.totals.response_time[Result.OK]
        assert (of_report.count, of_report.total) == (times.count, times.sum)
        assert (of_report.count, list(BOUNDS)) == (sum(times.bucket_counts), list(times.explicit_bounds))


def test_a_collector_that_refuses_is_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The message has the option and the URL; the exit code is that of a usage error."""
    flaky_load(tmp_path / "run")
    with collector(400) as (url, _):
        assert 2 == main([str(tmp_path / "run"), "--otlp", url])
    assert f"--otlp {url}: " in capsys.readouterr().err


# ------------------------------------------------------------------ CTRF, and everything at once


@pytest.mark.parametrize("name", SAMPLES)
def test_ctrf_has_the_cases_of_junit(name: str, tmp_path: Path) -> None:
    """The same cases in the same order, each with the same result."""
    shown = reports_of(name, tmp_path)
    results = json.loads(ctrf.render(shown))["results"]
    cases = list(ET.fromstring(junit.render(shown)).iter("testcase"))  # our own text
    statuses = [
        next((status for tag, status in STATUSES.items() if case.find(tag) is not None), "passed") for case in cases
    ]

    assert [case.get("name") for case in cases] == [test["name"] for test in results["tests"]]
    assert statuses == [test["status"] for test in results["tests"]]
    summary = results["summary"]
    assert Counter(statuses) == +Counter({each: summary[each] for each in (*STATUSES.values(), "passed", "pending")})
    assert len(cases) == summary["tests"]
    assert all(isinstance(summary[each], int) for each in ("start", "stop", "suites"))
    assert {"name", "status", "duration", "suite", "type"} <= set.intersection(*map(set, results["tests"]))


STATUSES = {"failure": "failed", "error": "other", "skipped": "skipped"}


@pytest.mark.parametrize("name", SAMPLES)
def test_every_report_can_be_exported(name: str, tmp_path: Path) -> None:
    """Whatever a target sent, each line is one line of its format."""
    shown = reports_of(name, tmp_path)
    rows = list(csv.reader(io.StringIO(second_csv.render(shown))))

    assert {len(second_csv.COLUMNS)} == set(map(len, rows))
    assert all(line.startswith(("#", '"Start', "Tag=")) for line in hdr_log.render(shown).splitlines())
    runs = {own["run"] for each, own, _ in samples(open_metrics.render(shown)) if each == "chainproof_run_info"}
    assert {summary.run.path.name for summary in shown.summaries} == runs
    assert [accounting(total(each.run.intervals)) for each in shown.load_runs] == [
        each.accounting for each in shown.load_runs
    ]


def test_runs_whose_folders_have_the_same_name_are_told_apart(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Every format names them by the folders above, such as those of two series; no sample is there twice."""
    for place in ("before/01", "after/01", "after/02"):
        flaky_load(tmp_path / place)
    names = {"before/01", "after/01", "02"}

    def shown(name: str) -> str:
        main([str(tmp_path / "before"), str(tmp_path / "after"), f"--{name}", "-"])
        return capsys.readouterr().out

    found = [(name, tuple(labels.items())) for name, labels, _ in samples(shown("openmetrics"))]
    assert len(set(found)) == len(found)
    assert names == {labels["run"] for _, labels, _ in samples(shown("openmetrics"))}
    assert names == {row["run"] for row in csv.DictReader(io.StringIO(shown("csv")))}
    assert names == {each["run"] for each in json.loads(shown("json"))["runs"]}
    tags = [line.partition(",")[0] for line in shown("hdr").splitlines() if line.startswith("Tag=")]
    assert names == {tag.removeprefix("Tag=").rpartition(".")[0] for tag in tags}
    runs = [each.get("value") for each in ET.fromstring(shown("junit")).iter("property") if each.get("name") == "run"]
    assert names == set(runs)
    assert all(f"<code>{name}</code>" in shown("html") for name in names)


def test_the_name_of_a_folder_need_not_be_utf_8(tmp_path: Path, capfdbinary: pytest.CaptureFixture[bytes]) -> None:
    """Every format shows such a run, on standard output and in a file."""
    run = Path(os.fsdecode(os.fsencode(tmp_path) + b"/run-\xff"))
    flaky_load(run)
    for name in FORMATS:
        assert 3 == main([str(run), f"--{name}", "-"])
        shown = capfdbinary.readouterr().out
        assert 3 == main([str(run), f"--{name}", str(tmp_path / name)])
        assert shown == (tmp_path / name).read_bytes()
