"""
A search as its user sees it: one load run after another, a table of what they say, and a file that says it too.

Each probe is a run like any other, with a folder of its own; the same command with the rate, duration, warm-up and seed
of its manifest makes it again. What a probe needs to come to a verdict is worked out from the objectives; one that is
undecided is followed by a longer one at the same rate, as long as that is allowed.
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
"""The version of the summary file's format."""

PROBE_WARM_UP: Seconds = 60.0
"""How long a probe asks before it is judged: replicas follow a rate after one autoscaling window, 60 s by default."""
PROBE_WARM_UP_EMULATED: Seconds = 1.0
"""The same where the target is our own emulator."""
SAMPLE_FACTOR = 3
"""A probe asks for so many times the requests that would do if every one of them were good."""
_LONGER = 3
"""How often an undecided probe is followed by a longer one."""

_STANDINGS = {
    Verdict.PASS: ProbeVerdict.MET,
    Verdict.FAIL: ProbeVerdict.MISSED,
    Verdict.INCONCLUSIVE: ProbeVerdict.INCONCLUSIVE,
    Verdict.INVALID: ProbeVerdict.INVALID,
}
_HOPELESS = {"KEY_REJECTED": ExitCode.INCONCLUSIVE, "TARGET_UNREACHABLE": ExitCode.FAIL}
"""Caveats after which no rate is worth asking for, with how the search ends."""


class SearchAborted(Exception):
    """
    A probe that ends the search: interrupted, broken, or the target is not there to be asked.
    """

    def __init__(self, code: int, why: str) -> None:
        super().__init__(why)
        self.code = code


def requested_search(options: argparse.Namespace, workload: Workload) -> SearchSettings | None:
    """
    The search that the options or the workload ask for; None where one run is meant. Raises WorkloadError or UsageError.
    """
    given = {
        "max_rate": options.search_max_rate,
        "resolution": options.search_resolution,
        "verifications": options.search_verifications,
        "max_probe_duration": options.search_max_probe_duration,
    }
    said = {name: value for name, value in given.items() if value is not None}
    found = workload.search if options.search is None else workload.search or SearchSettings()
    if found is None:
        if said:
            raise UsageError("expected --search saturation, or the workload saturation, with the options of a search")
        return None
    search = replace(found, **said)
    errors = replace(workload, search=search, phases=()).errors() + search.errors(workload.rate)
    if workload.phases and not options.warm_up:
        errors.append("search: expected an open workload with a constant rate, found phases")
    if errors:
        raise UsageError("; ".join(errors))
    return search


def run_search(
    options: argparse.Namespace,
    asked: TargetOptions,
    chosen: Endpoint,
    folder: Path,
    theirs: Sequence[str],
    *,
    workload: Workload,
    search: SearchSettings,
) -> int:
    """
    Search, say what was found, and end as it says.
    """
    kept = limits(options, chosen).rate
    if kept is not None and search.max_rate > kept:
        if workload.rate > kept:
            raise UsageError(
                f"expected a lowest rate of at most {kept:g} a second, found {workload.rate:g}: allow it with --max-rate"
            )
        _say(f"no rate above --max-rate {kept:g} is asked for")
        search = replace(search, max_rate=kept)
    probing = ProbeRunner(options, asked, chosen, folder, theirs, workload=workload, search=search)
    try:
        answer = saturation(probing.probe, search, workload.rate)
    except SearchAborted as ended:
        probing.write(None, str(ended))
        print("\n".join(probe_table(probing.probes)))
        print(f"chainproof loadtests: {ended}", file=sys.stderr)
        print(folder, flush=True)
        return ended.code
    probing.write(answer, answer.sentence)
    print("\n".join([*probe_table(probing.probes), "", f"  {answer.sentence}", ""]))
    print(folder, flush=True)
    return answer.exit_code


class ProbeRunner:
    """
    The probes of one search, as they are made.
    """

    def __init__(
        self,
        options: argparse.Namespace,
        asked: TargetOptions,
        chosen: Endpoint,
        folder: Path,
        theirs: Sequence[str],
        *,
        workload: Workload,
        search: SearchSettings,
    ) -> None:
        self.probes: list[Probe] = []
        self._options = options
        self._asked = asked
        self._chosen = chosen
        self._folder = folder
        self._theirs = theirs
        self._workload = workload
        self._search = search
        self._started = utc_timestamp()
        self._runs = 0
        settled = PROBE_WARM_UP_EMULATED if chosen.target.emulated else PROBE_WARM_UP
        self._warm_up = settled if options.warm_up is None else options.warm_up
        folder.mkdir(parents=True, exist_ok=True)

    def probe(self, rate: PerSecond, purpose: ProbePurpose) -> Probe:
        """A run at a rate, repeated longer until it comes to its verdict, or may take no longer."""
        shortest = self._workload.duration - (self._options.warm_up or 0.0) * bool(self._workload.phases)
        duration = max(shortest, required_requests(self._workload.objectives) / rate)
        for _ in range(_LONGER):
            summary = self._run(rate, duration)
            if summary.verdict is not Verdict.INCONCLUSIVE or duration >= self._search.max_probe_duration:
                break
            duration = min(max(2 * duration, duration + _missing(summary) / rate), self._search.max_probe_duration)
        found = self._read(summary, rate, purpose, duration)
        self.probes.append(found)
        self.write(None, "under way")
        _say(f"{rate:.4g}/s for {format_duration(duration)} ({purpose}): {found.verdict}")
        return found

    def _run(self, rate: PerSecond, duration: Seconds) -> LoadSummary:
        """
        One run, and what it amounts to. Raises Ended.
        """
        self._runs += 1
        folder = self._folder / f"{self._runs:02}_{rate:.4g}"
        said = {"rate": rate, "duration": duration, "warm_up": self._warm_up, "seed": self._options.seed + self._runs}
        options = argparse.Namespace(**{**vars(self._options), **said, "model": None})
        others = [*distribution_options(options), *self._theirs]
        code, interrupted = run_locust(options, self._asked, self._chosen, folder, others)
        if interrupted or code == ExitCode.INTERRUPTED:
            raise SearchAborted(ExitCode.INTERRUPTED, "the search was interrupted")
        if code not in (ExitCode.PASS, ExitCode.INVALID) or not (folder / MANIFEST).exists():
            raise SearchAborted(
                code if code == ExitCode.USAGE else ExitCode.SOFTWARE, f"the run at {rate:.4g}/s could not be made"
            )
        summary = summarise_load(read_run(folder))
        if summary.verdict is Verdict.ERROR:
            raise SearchAborted(ExitCode.SOFTWARE, summary.reason)
        for caveat in summary.caveats:
            if caveat.code in _HOPELESS:
                raise SearchAborted(_HOPELESS[caveat.code], caveat.text)
        return summary

    def _read(self, summary: LoadSummary, rate: PerSecond, purpose: ProbePurpose, duration: Seconds) -> Probe:
        quantiles = summary.timings_by_result[Result.OK.value]["response_time_s"].quantiles
        return Probe(
            rate=rate,
            purpose=purpose,
            verdict=_STANDINGS[summary.verdict],
            reason=summary.reason,
            folder=summary.run.path.name,
            seconds=duration,
            planned=summary.judged.planned,
            ok=summary.judged.count(Result.OK),
            response_time={name: estimate.value for name, estimate in quantiles.items()},
        )

    def write(self, answer: SearchResult | None, sentence: str) -> None:
        """Write what was found so far, whole or not at all."""
        found = {
            "format": FORMAT,
            "search": "saturation",
            "workload": self._workload.name,
            "target": self._chosen.target.url,
            "emulated": self._chosen.target.emulated,
            "started": self._started,
            "objectives": [objective.text for objective in self._workload.objectives],
            "settings": {**asdict(self._search), "lowest": self._workload.rate, "warm_up_s": self._warm_up},
            "saturation_rate_per_s": answer.rate if answer is not None else None,
            "missed_at_per_s": answer.missed_at if answer is not None else None,
            "no_rate_reason": answer.no_rate_reason if answer is not None else None,
            "summary": sentence,
            "probes": [asdict(probe) for probe in self.probes],
        }
        path = self._folder / SEARCH_FILE
        draft = path.with_name(f"{SEARCH_FILE}.part")
        draft.write_bytes(orjson.dumps(found, option=orjson.OPT_INDENT_2) + b"\n")
        draft.replace(path)


def required_requests(objectives: Iterable[Objective]) -> int:
    """
    How many requests decide the objectives of a target that keeps well within them.

    A share q is shown at 95 % by ln 0.05 / ln q good requests without a bad one: 59 for 95 %, 299 for 99 %.
    """
    shares = (_share(objective) for objective in objectives)
    return max(
        (math.ceil(SAMPLE_FACTOR * math.log(0.05) / math.log(share)) for share in shares if 0 < share < 1), default=1
    )


def _share(objective: Objective) -> float:
    """
    The share of good requests that an objective demands.
    """
    if objective.indicator is Indicator.ERROR_RATE:
        return 1.0 - objective.threshold
    return objective.quantile if objective.quantile is not None else 1.0


def _missing(summary: LoadSummary) -> float:
    """
    How many requests more would decide what is undecided; infinitely many where that is out of reach.
    """
    undecided = [each for each in summary.objectives if each.verdict is Verdict.INCONCLUSIVE]
    return max(
        (each.more_requests_needed if each.more_requests_needed is not None else math.inf for each in undecided),
        default=math.inf,
    )


_COLUMNS = ("rate", "purpose", "judged for", "planned", "ok", "p50", "p95", "p99", "", "folder")


def probe_table(probes: Sequence[Probe]) -> list[str]:
    """
    The probes as lines of text, by rate.
    """
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


def _say(sentence: str) -> None:
    print(f"chainproof loadtests: {sentence}", file=sys.stderr, flush=True)
