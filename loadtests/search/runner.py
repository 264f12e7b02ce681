"""
Run a saturation search: one load run per probe, a table of the probes, and a result file.

Each probe is an ordinary run with its own run folder; the same command with the rate, duration, warm-up and seed of its
manifest repeats it. Its number of requests follows from the objectives. An inconclusive probe is repeated with a longer
duration, up to `--search-max-probe-duration`.
"""

from __future__ import annotations

import argparse
import math
import sys
from collections.abc import Iterable, Sequence
from dataclasses import asdict, replace
from pathlib import Path

import orjson

from chainproof.clock import PerSecond, Seconds
from chainproof.durations import format_duration
from chainproof.endpoint import Endpoint
from chainproof.errors import UsageError
from chainproof.judgement.load_summary import LoadSummary, summarise_load
from chainproof.judgement.time_kinds import RESPONSE_TIME
from chainproof.judgement.verdict import ExitCode, Verdict
from chainproof.results.exchange import Result
from chainproof.results.folder import MANIFEST, read_run, utc_timestamp
from chainproof.results.search_record import SEARCH_FILE
from chainproof.target_options import TargetOptions
from chainproof.workload.objectives import Indicator, Objective
from chainproof.workload.search_settings import SearchSettings
from chainproof.workload.workload import Workload

from ..limits import limits
from .locust_process import distribution_options, run_locust
from .saturation import Probe, ProbePurpose, ProbeVerdict, SearchResult, saturation

FORMAT = 1
"""The format version of the result file."""

PROBE_WARM_UP: Seconds = 60.0
"""Warm-up of a probe: replicas follow the rate after one autoscaling window, by default 60 s."""
PROBE_WARM_UP_EMULATED: Seconds = 1.0
"""Warm-up of a probe of the emulator."""
SAMPLE_FACTOR = 3
"""A probe sends this many times the requests that would suffice if all of them were good."""
_MAX_RUNS = 3
"""Maximum number of runs of a probe, each longer than the one before."""

_PROBE_VERDICTS = {
    Verdict.PASS: ProbeVerdict.MET,
    Verdict.FAIL: ProbeVerdict.MISSED,
    Verdict.INCONCLUSIVE: ProbeVerdict.INCONCLUSIVE,
    Verdict.INVALID: ProbeVerdict.INVALID,
}
_ABORTING_CAVEATS = {"KEY_REJECTED": ExitCode.INCONCLUSIVE, "TARGET_UNREACHABLE": ExitCode.FAIL}
"""Caveats that end a search, with its exit code."""


class SearchAborted(Exception):
    """A search that cannot continue: it was interrupted, or a probe could not be run."""

    def __init__(self, code: int, why: str) -> None:
        super().__init__(why)
        self.code = code


def requested_search(options: argparse.Namespace, workload: Workload) -> SearchSettings | None:
    """The search that the options or the workload request; None for a single run. Raises UsageError."""
    given = {
        "max_rate": options.search_max_rate,
        "resolution": options.search_resolution,
        "verifications": options.search_verifications,
        "max_probe_duration": options.search_max_probe_duration,
    }
    set_options = {name: value for name, value in given.items() if value is not None}
    settings = workload.search if options.search is None else workload.search or SearchSettings()
    if settings is None:
        if set_options:
            raise UsageError("expected --search saturation, or the workload saturation, with the search options")
        return None
    search = replace(settings, **set_options)
    errors = replace(workload, search=search, phases=()).errors() + search.errors(workload.rate)
    if workload.phases and not options.warm_up:
        errors.append("search: expected an open workload with a constant rate, found phases")
    if errors:
        raise UsageError("; ".join(errors))
    return search


def run_search(
    options: argparse.Namespace,
    requested: TargetOptions,
    endpoint: Endpoint,
    folder: Path,
    locust_arguments: Sequence[str],
    *,
    workload: Workload,
    search: SearchSettings,
) -> int:
    """Run a search and print its result. Returns the exit code."""
    max_rate = limits(options, endpoint).rate
    if max_rate is not None and search.max_rate > max_rate:
        if workload.rate > max_rate:
            raise UsageError(
                f"expected a --rate of at most {max_rate:g} per second, found {workload.rate:g}: raise the limit with --max-rate"
            )
        _print_progress(f"the search stops at --max-rate {max_rate:g}")
        search = replace(search, max_rate=max_rate)
    probes = ProbeRunner(options, requested, endpoint, folder, locust_arguments, workload=workload, search=search)
    try:
        result = saturation(probes.probe, search, workload.rate)
    except SearchAborted as aborted:
        probes.write(None, str(aborted))
        print("\n".join(probe_table(probes.probes)))
        print(f"chainproof loadtests: {aborted}", file=sys.stderr)
        print(f"run folder: {folder}", flush=True)
        return aborted.code
    probes.write(result, result.sentence)
    print("\n".join([*probe_table(probes.probes), "", f"  {result.sentence}", ""]))
    print(f"run folder: {folder}", flush=True)
    return result.exit_code


class ProbeRunner:
    """Runs the probes of a search and keeps their results."""

    def __init__(
        self,
        options: argparse.Namespace,
        requested: TargetOptions,
        endpoint: Endpoint,
        folder: Path,
        locust_arguments: Sequence[str],
        *,
        workload: Workload,
        search: SearchSettings,
    ) -> None:
        self.probes: list[Probe] = []
        self._options = options
        self._requested = requested
        self._endpoint = endpoint
        self._folder = folder
        self._locust_arguments = locust_arguments
        self._workload = workload
        self._search = search
        self._started = utc_timestamp()
        self._runs = 0
        default_warm_up = PROBE_WARM_UP_EMULATED if endpoint.target.emulated else PROBE_WARM_UP
        self._warm_up = default_warm_up if options.warm_up is None else options.warm_up
        folder.mkdir(parents=True, exist_ok=True)

    def probe(self, rate: PerSecond, purpose: ProbePurpose) -> Probe:
        """The result of a run at a rate, repeated with longer durations while it is inconclusive."""
        shortest = self._workload.duration - (self._options.warm_up or 0.0) * bool(self._workload.phases)
        duration = max(shortest, required_requests(self._workload.objectives) / rate)
        for _ in range(_MAX_RUNS):
            summary = self._run(rate, duration)
            if summary.verdict is not Verdict.INCONCLUSIVE or duration >= self._search.max_probe_duration:
                break
            duration = min(max(2 * duration, duration + _missing(summary) / rate), self._search.max_probe_duration)
        probe = self._read(summary, rate, purpose, duration)
        self.probes.append(probe)
        self.write(None, "search in progress")
        _print_progress(f"{rate:.4g}/s for {format_duration(duration)} ({purpose}): {probe.verdict}")
        return probe

    def _run(self, rate: PerSecond, duration: Seconds) -> LoadSummary:
        """The summary of one run. Raises SearchAborted."""
        self._runs += 1
        folder = self._folder / f"{self._runs:02}_{rate:.4g}"
        values = {"rate": rate, "duration": duration, "warm_up": self._warm_up, "seed": self._options.seed + self._runs}
        options = argparse.Namespace(**{**vars(self._options), **values, "model": None})
        extra = [*distribution_options(options), *self._locust_arguments]
        code, interrupted = run_locust(options, self._requested, self._endpoint, folder, extra)
        if interrupted or code == ExitCode.INTERRUPTED:
            raise SearchAborted(ExitCode.INTERRUPTED, "the search was interrupted")
        if code not in (ExitCode.PASS, ExitCode.INVALID) or not (folder / MANIFEST).exists():
            raise SearchAborted(
                code if code == ExitCode.USAGE else ExitCode.SOFTWARE, f"the run at {rate:.4g}/s failed"
            )
        summary = summarise_load(read_run(folder))
        if summary.verdict is Verdict.ERROR:
            raise SearchAborted(ExitCode.SOFTWARE, summary.reason)
        for caveat in summary.caveats:
            if caveat.code in _ABORTING_CAVEATS:
                raise SearchAborted(_ABORTING_CAVEATS[caveat.code], caveat.text)
        return summary

    def _read(self, summary: LoadSummary, rate: PerSecond, purpose: ProbePurpose, duration: Seconds) -> Probe:
        quantiles = summary.timings[RESPONSE_TIME].quantiles
        return Probe(
            rate=rate,
            purpose=purpose,
            verdict=_PROBE_VERDICTS[summary.verdict],
            reason=summary.reason,
            folder=summary.run.path.name,
            seconds=duration,
            planned=summary.judged.planned,
            ok=summary.judged.count(Result.OK),
            response_time={name: estimate.value for name, estimate in quantiles.items()},
        )

    def write(self, result: SearchResult | None, summary: str) -> None:
        """Write the result file, atomically."""
        data = {
            "format": FORMAT,
            "search": "saturation",
            "workload": self._workload.name,
            "target": self._endpoint.target.url,
            "emulated": self._endpoint.target.emulated,
            "started": self._started,
            "objectives": [objective.text for objective in self._workload.objectives],
            "settings": {**asdict(self._search), "lowest": self._workload.rate, "warm_up_s": self._warm_up},
            "saturation_rate_per_s": result.rate if result is not None else None,
            "missed_at_per_s": result.missed_at if result is not None else None,
            "no_rate_reason": result.no_rate_reason if result is not None else None,
            "summary": summary,
            "probes": [asdict(probe) for probe in self.probes],
        }
        path = self._folder / SEARCH_FILE
        draft = path.with_name(f"{SEARCH_FILE}.part")
        draft.write_bytes(orjson.dumps(data, option=orjson.OPT_INDENT_2) + b"\n")
        draft.replace(path)


def required_requests(objectives: Iterable[Objective]) -> int:
    """
    The number of requests that decides the objectives if the target meets them clearly.

    A share q is shown with 95 % confidence by ln 0.05 / ln q good requests without a bad one: 59 for 95 %, 299 for 99 %.
    """
    shares = (_share(objective) for objective in objectives)
    return max(
        (math.ceil(SAMPLE_FACTOR * math.log(0.05) / math.log(share)) for share in shares if 0 < share < 1), default=1
    )


def _share(objective: Objective) -> float:
    """The share of good requests that an objective requires."""
    if objective.indicator is Indicator.ERROR_RATE:
        return 1.0 - objective.threshold
    return objective.quantile if objective.quantile is not None else 1.0


def _missing(summary: LoadSummary) -> float:
    """The number of further requests that would decide all inconclusive objectives; infinite if that is unknown."""
    undecided = [each for each in summary.objectives if each.verdict is Verdict.INCONCLUSIVE]
    return max(
        (each.more_requests_needed if each.more_requests_needed is not None else math.inf for each in undecided),
        default=math.inf,
    )


_COLUMNS = ("rate", "purpose", "judged for", "planned", "ok", "p50", "p95", "p99", "", "folder")


def probe_table(probes: Sequence[Probe]) -> list[str]:
    """The probes as a text table, sorted by rate."""
    rows = [_COLUMNS, *(_row(probe) for probe in sorted(probes, key=lambda probe: probe.rate))]
    widths = [max(len(row[column]) for row in rows) for column in range(len(_COLUMNS))]
    left = {1, 8, 9}
    return [
        "  "
        + "  ".join(
            text.ljust(width) if column in left else text.rjust(width)
            for column, (text, width) in enumerate(zip(row, widths, strict=True))
        ).rstrip()
        for row in rows
    ]


def _row(probe: Probe) -> tuple[str, ...]:
    times = (probe.response_time.get(name) for name in ("p50", "p95", "p99"))
    return (
        f"{probe.rate:.4g}/s",
        probe.purpose.value,
        format_duration(probe.seconds),
        str(probe.planned),
        str(probe.ok),
        *("–" if time is None else format_duration(time) for time in times),
        probe.verdict.value,
        probe.folder,
    )


def _print_progress(message: str) -> None:
    print(f"chainproof loadtests: {message}", file=sys.stderr, flush=True)
