"""Sample reports, ordinary and extreme, that every format must handle."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import orjson

from chainproof.judgement.summary import Report, report
from chainproof.results.exchange import Outcome, Result, Transport
from chainproof.results.folder import find_runs, find_searches, read_run
from chainproof.results.intervals.interval import Interval
from chainproof.results.manifest import Ending
from chainproof.results.search_record import SEARCH_FILE

from .sample_runs import (
    CENSORED,
    LOST,
    OK,
    TIMED_OUT,
    a_finding,
    accepting,
    an_exchange,
    drawn_intervals,
    failing_conformance,
    flaky_load,
    load_manifest,
    phased_intervals,
    phased_manifest,
    write_conformance,
    write_load,
)

SCRIPT = "<script>alert('run_remote')</script>"
"""Text that must never become markup."""

HOSTILE = f"{SCRIPT}|`x`\x1b[31m\u202e\n{{{{7*7}}}}&amp;"

HUGE = "a" * 50_000


def hostile(path: Path) -> None:
    """A target that sends markup, escape sequences and template syntax everywhere."""
    outcome = Outcome(Transport.ANSWERED, 503, HOSTILE, Result.FAILED)
    manifest = load_manifest(
        name=HOSTILE, target=f"https://a/{HOSTILE}", settings={HOSTILE: HOSTILE}, versions={HOSTILE: HOSTILE}
    )
    finding = a_finding(expected=HOSTILE, actual=HOSTILE, quotation=HOSTILE, request_id=HOSTILE, check=HOSTILE)
    write_load(
        path / "load",
        drawn_intervals(3, 20, mixture=((OK, 0.7), (outcome, 0.3))),
        manifest=manifest,
        findings=[finding, a_finding(clause="status", reproduce=f"curl '{HOSTILE}'", level=HOSTILE)],
        exchanges=[(an_exchange(1, outcome, 0.2, HOSTILE), "outcome")],
        ending=Ending.INTERNAL_ERROR,
        note=HOSTILE,
    )
    probe = {
        "rate": 1e300,
        "purpose": HOSTILE,
        "verdict": "missed",
        "reason": HOSTILE,
        "folder": "x",
        "in_flight": 1e300,
    }
    times = {HOSTILE: 1.0, "p50": 1e-9}
    write_search(
        path / "search",
        summary=HOSTILE,
        workload=HOSTILE,
        objectives=[HOSTILE, HUGE],
        verdict="fail",
        saturation_rate_per_s=None,
        missed_at_per_s=None,
        interval_per_s=[None, None],
        probes=[{**probe, "seconds": 0.0, "growing": True, "planned": 10**9, "ok": 0, "response_time": times}] * 100,
    )


def write_search(path: Path, **changes: object) -> None:
    """Write the record of a search."""
    path.mkdir(parents=True, exist_ok=True)
    rows = [
        ("01_10", 10.0, "doubling", "met"),
        ("02_20", 20.0, "doubling", "met"),
        ("03_40", 40.0, "doubling", "missed"),
    ]
    rows += [("04_23.78", 23.78, "approaching", "met"), ("05_28.28", 28.28, "approaching", "missed")]
    rows += [("06_25.42", 25.42, "approaching", "inconclusive"), ("07_26.4", 26.4, "approaching", "inconclusive")]
    rows += [("08_21", 21.0, "verifying", "met")]
    probes = [
        {
            "rate": rate,
            "purpose": purpose,
            "verdict": verdict,
            "reason": "p95 response_time",
            "folder": folder,
            "seconds": 20.0,
            "planned": int(rate * 20),
            "ok": int(rate * 19),
            "response_time": {}
            if rate == 40
            else {"p50": 0.05 + rate / 800, "p95": 0.2 + rate / 100, "p99": 0.4 + rate / 50},
            "in_flight": rate * (0.06 + rate / 700),
            "growing": rate == 40,
        }
        for folder, rate, purpose, verdict in rows
    ]
    record = {
        "format": 2,
        "workload": "saturation",
        "target": "https://chain-abc123.api.baseten.co/production/run_remote",
        "emulated": False,
        "objectives": ["p95 response_time < 800ms"],
        "verdict": "pass",
        "saturation_rate_per_s": 21.0,
        "missed_at_per_s": 28.28,
        "interval_per_s": [18.87, 29.98],
        "summary": "The objectives are met at 21 requests per second and missed at 28.28. The highest rate that meets them: "
        "95 % interval 18.87 to 29.98.",
        "probes": probes,
    }
    (path / SEARCH_FILE).write_bytes(orjson.dumps({**record, **changes}))


def finished_search(path: Path) -> None:
    """A search that found a rate, with the runs of its probes."""
    folder = path / "20261122T132700Z_saturation"
    write_search(folder)
    record = orjson.loads((folder / SEARCH_FILE).read_bytes())
    for probe in record["probes"]:
        intervals = drawn_intervals(20, int(probe["rate"]))
        manifest = load_manifest(objectives=("p95 response_time < 800ms",))
        manifest = replace(manifest, settings={**manifest.settings, "rate_per_s": probe["rate"]})
        write_load(folder / probe["folder"], intervals, manifest=manifest)
        probe["planned"] = sum(each.planned for each in intervals)
        probe["ok"] = sum(each.count(Result.OK) for each in intervals)
    (folder / SEARCH_FILE).write_bytes(orjson.dumps(record))


def huge(path: Path) -> None:
    """A target that sends very long strings."""
    outcome = Outcome(Transport.ANSWERED, 503, HUGE, Result.FAILED)
    finding = a_finding(expected=HUGE, actual=HUGE, quotation=HUGE, request_id=HUGE)
    write_load(
        path / "load",
        drawn_intervals(3, 20, mixture=((OK, 0.7), (outcome, 0.3))),
        findings=[finding],
        exchanges=[(an_exchange(1, outcome, 0.2, HUGE), "outcome")],
    )


def accepted(path: Path) -> None:
    """A target with accepted violations: one without end, one until a date, one expired, one unused."""
    settings = {
        "depth": "standard",
        "accept": accepting("error-code:2026-12-31", "request-id-present", "error-json:2026-10-01", "status"),
    }
    missing = a_finding("request-id-present", expected="one X-BASETEN-REQUEST-ID", actual="none", count=7)
    write_conformance(path / "20261122T132640Z", findings=[missing, a_finding()], settings=settings)
    write_load(
        path / "20261122T132700Z",
        drawn_intervals(20, 50),
        manifest=load_manifest(settings={**load_manifest().settings, "accept": settings["accept"]}),
        findings=[a_finding(count=2)],
    )


def strange_parts(path: Path) -> None:
    """Phases and payloads with unusual names, and phases without duration."""
    stretches = [(HOSTILE, 0, 2, True), (HUGE, 2, 2, False), ("", 2, 3, False), ("later", 9, 12, True)]
    phases = [{"name": name, "from_s": start, "to_s": end, "judged": judged} for name, start, end, judged in stretches]
    intervals = drawn_intervals(2, 0)
    for number in range(50):
        intervals[0].count_planned(phase=HOSTILE)
        intervals[0].count_all_sent([0.0], phase=HOSTILE)
        intervals[1].count_outcomes(
            OK, [0.1 + number / 100], [0.1], payload=(HOSTILE, HUGE, "", "d")[number % 4], phase=HOSTILE
        )
    settings = {**load_manifest().settings, "phases": phases, "accept": [{"clause": HOSTILE, "until": None}, 7, {}]}
    write_load(path / "a", intervals, manifest=load_manifest(settings=settings))


def many_outcomes() -> list[Interval]:
    """A target that sends many different error codes."""
    mixture = [(Outcome(Transport.ANSWERED, 500 + n % 90, f"code_{n}", Result.FAILED), 1.0) for n in range(200)]
    return drawn_intervals(10, 50, mixture=mixture)


SAMPLES: dict[str, Callable[[Path], object]] = {
    "flaky": lambda path: flaky_load(path / "20261122T132700Z_steady_chain-abc123"),
    "conformance": lambda path: failing_conformance(path / "20261122T132640Z_standard_chain-abc123"),
    "both": lambda path: (SAMPLES["conformance"](path), SAMPLES["flaky"](path)),
    "passing conformance": lambda path: write_conformance(path / "a", idle=(), emulated=True),
    "nothing exercised": lambda path: write_conformance(path / "a", exercised=0),
    "unfinished conformance": lambda path: write_conformance(path / "a", ending=None),
    "unfinished failing conformance": lambda path: write_conformance(path / "a", findings=[a_finding()], ending=None),
    "unfinished": lambda path: write_load(path / "a", drawn_intervals(5, 10), ending=None),
    "interrupted": lambda path: write_load(path / "a", drawn_intervals(5, 10), ending=Ending.INTERRUPTED),
    "broken": lambda path: write_load(path / "a", [], ending=Ending.INTERNAL_ERROR, note="no file descriptors left"),
    "nothing at all": lambda path: write_load(path / "a", [], ending=None),
    "nothing sent": lambda path: write_load(path / "a", drawn_intervals(3, 0, not_sent=4)),
    "no objectives": lambda path: write_load(path / "a", drawn_intervals(5, 10), manifest=load_manifest(objectives=())),
    "one second": lambda path: write_load(path / "a", drawn_intervals(1, 30)),
    "one request": lambda path: write_load(path / "a", drawn_intervals(1, 1, mixture=((OK, 1.0),))),
    "none ok": lambda path: write_load(path / "a", drawn_intervals(5, 10, mixture=((LOST, 1.0),))),
    "all timed out": lambda path: write_load(path / "a", drawn_intervals(5, 10, mixture=((TIMED_OUT, 1.0),))),
    "all censored": lambda path: write_load(path / "a", drawn_intervals(5, 10, mixture=((CENSORED, 1.0),))),
    "every objective": lambda path: write_load(
        path / "a",
        drawn_intervals(20, 50, not_sent=2),
        manifest=load_manifest(
            objectives=(
                "p95 response_time < 800ms",
                "max service_time <= 2s",
                "p99.9 schedule_lag < 100ms",
                "error_rate < 50%",
                "error_rate <= 100%",
                "throughput > 10/s",
                "p50 response_time < 0s",
            )
        ),
    ),
    "thousand findings": lambda path: write_conformance(
        path / "a", findings=[a_finding(actual=f"'code {n}'", count=n + 1) for n in range(1000)]
    ),
    "many outcomes": lambda path: write_load(path / "a", many_outcomes()),
    "accepted": accepted,
    "phases": lambda path: write_load(
        path / "20261122T132700Z_ramp_chain-abc123", phased_intervals(), manifest=phased_manifest()
    ),
    "phases not on record": lambda path: write_load(
        path / "a", drawn_intervals(20, 20), manifest=phased_manifest(seed=3)
    ),
    "strange parts": strange_parts,
    "hostile": hostile,
    "huge": huge,
    "search": finished_search,
    "search without an answer": lambda path: (
        write_load(path / "01_5", drawn_intervals(5, 5)),
        write_search(
            path,
            saturation_rate_per_s=None,
            missed_at_per_s=None,
            probes=[],
            verdict="inconclusive",
            summary="under way",
        ),
    ),
    "two loads": lambda path: (
        write_load(path / "a", drawn_intervals(5, 10)),
        write_load(path / "b", drawn_intervals(4, 20, seed=2, not_sent=1)),
    ),
    "gaps": lambda path: write_load(path / "a", [drawn_intervals(1, 5)[0], *drawn_intervals(400, 2)[350:]]),
}
"""Samples by name; each writes one or more run folders."""


def reports_of(name: str, path: Path) -> Report:
    """The report on a sample, whose run folders are written below *path*."""
    path.mkdir(parents=True, exist_ok=True)
    SAMPLES[name](path)
    return report([read_run(folder) for folder in find_runs(path)], find_searches(path))
