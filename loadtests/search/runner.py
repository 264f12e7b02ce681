"""
Run a saturation search: one load run per probe, a table of the probes, and a result file.

Each probe is an ordinary run with its own run folder; the same command with the rate, duration, warm-up and seed of its
manifest repeats it. Which probe comes next follows from those before it (`saturation.next_step`).
"""

from __future__ import annotations

import argparse
import math
import textwrap
import time
from collections.abc import Sequence
from dataclasses import asdict, replace
from pathlib import Path

import orjson

from chainproof.clock import Seconds, format_duration
from chainproof.command import print_run_folder
from chainproof.endpoint import Endpoint
from chainproof.errors import UsageError
from chainproof.judgement.load_summary import LoadSummary, summarise_load
from chainproof.judgement.verdict import EXIT_CODE_OF, ExitCode, Verdict
from chainproof.machine_faults import MachineFault, system_fault, usage_error_or_machine_fault
from chainproof.results.folder import MANIFEST, read_run
from chainproof.results.manifest import Ending
from chainproof.results.run_writer import utc_timestamp
from chainproof.results.search_record import FORMAT, SEARCH_FILE
from chainproof.signals import handle_signals
from chainproof.workload.search_settings import SearchSettings
from chainproof.workload.workload import Workload

from ..limits import Limits, limits
from ..locust_process import LocustRun, announce_objectives, print_message, run_locust
from .evidence import Probe
from .measurement import measured_probe, probe_data
from .planning import expected_durations, search_plan
from .saturation import ProbeRequest, SearchPlan, SearchResult, next_step, unfinished_sentence

PROBE_WARM_UP: Seconds = 60.0
"""Warm-up of a probe: replicas follow the rate after one autoscaling window, by default 60 s."""
PROBE_WARM_UP_EMULATED: Seconds = 1.0
"""Warm-up of a probe of the emulator."""
PROBE_SECONDS_EMULATED: Seconds = 10.0
"""The shortest judged phase of a probe of the emulator, unless `--duration` is given."""
_MIN_SECONDS: Seconds = 10.0
"""The limits must permit a judged phase of this length at every rate."""

_ABORTING_CAVEATS = {"KEY_REJECTED": ExitCode.INCONCLUSIVE, "TARGET_UNREACHABLE": ExitCode.FAIL}
"""Caveats that end a search, with its exit code."""
_VERDICT_OF = {code: verdict for verdict, code in EXIT_CODE_OF.items()}


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
        "max_requests": options.search_max_requests,
        "max_duration": options.search_max_duration,
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
        raise UsageError(f"workload {workload.name}: {'; '.join(errors)}")
    return search


def run_search(run: LocustRun, *, workload: Workload, search: SearchSettings) -> int:
    """Search with runs like *run*, in folders of its folder, and print the result. Returns the exit code."""
    folder, permitted = run.folder, limits(run.options, run.endpoint)
    plan = _plan(run.options, run.endpoint, permitted, workload, search)
    announce_objectives(run.options, workload)
    print_message(_forecast(plan))
    runner = ProbeRunner(run, workload=workload, plan=plan)
    try:
        # Between two probes, and in a pause, there is no child to which a signal could be sent on.
        with handle_signals(_abort):
            while isinstance(step := next_step(runner.probes, plan), ProbeRequest):
                runner.run(step)
    except (SearchAborted, UsageError, OSError, MemoryError) as error:
        aborted = _aborted(error)
        sentence = f"{aborted} {unfinished_sentence(runner.probes)}"
        _print_result(runner.probes, _verdict_on(aborted.code), sentence, folder)
        return _record(runner, None, sentence, aborted.code)
    _print_result(runner.probes, _verdict_on(step.exit_code), step.sentence, folder)
    return _record(runner, step, step.sentence, step.exit_code)


def _record(runner: ProbeRunner, result: SearchResult | None, sentence: str, code: int) -> int:
    """Write the record of a search. Returns its exit code: that of an invalid search if this machine cannot write it."""
    try:
        runner.write(result, sentence, _verdict_on(code))
    except MachineFault as fault:
        print_message(str(fault))
        return ExitCode.INVALID
    return code


def _aborted(error: Exception) -> SearchAborted:
    """Why a search ended early. A problem of the machine, such as a full disk, makes it invalid. Raises other exceptions."""
    if isinstance(error, SearchAborted):
        return error
    fault = usage_error_or_machine_fault(error)
    if fault is None:
        raise error
    print_message(fault)
    return SearchAborted(ExitCode.INVALID, f"The search could not go on: {fault}.")


def _abort(number: int) -> None:
    """End the search because of a signal. Raises SearchAborted."""
    del number
    raise SearchAborted(ExitCode.INTERRUPTED, "The search was interrupted.")


def _plan(
    options: argparse.Namespace, endpoint: Endpoint, permitted: Limits, workload: Workload, search: SearchSettings
) -> SearchPlan:
    """The plan of a search within the limits. Raises UsageError."""
    emulated = endpoint.target.emulated
    warm_up = options.warm_up
    if warm_up is None:
        warm_up = PROBE_WARM_UP_EMULATED if emulated else PROBE_WARM_UP
    seconds = workload.duration - (options.warm_up or 0.0) * bool(workload.phases)
    if emulated and options.duration is None:
        seconds = min(seconds, PROBE_SECONDS_EMULATED)
    highest = math.inf if permitted.rate is None else permitted.rate
    if permitted.requests is not None:
        highest = min(highest, 0.9 * permitted.requests / (warm_up + min(seconds, _MIN_SECONDS)))
    if workload.rate > highest:
        raise UsageError(
            f"expected a --rate of at most {highest:g} per second, found {workload.rate:g}: raise the limit with "
            f"{'--max-rate' if permitted.rate == highest else '--max-requests'}"
        )
    if search.max_rate > highest:
        print_message(f"the search stops at {highest:.4g} per second, because of the limits of a run")
        search = replace(search, max_rate=highest)
    if permitted.duration is not None and warm_up + min(seconds, _MIN_SECONDS) > permitted.duration:
        raise UsageError(
            f"expected a --warm-up of less than {format_duration(permitted.duration)}, found {format_duration(warm_up)}: "
            "raise the limit with --max-duration"
        )
    return search_plan(
        workload.objectives,
        search,
        lowest=workload.rate,
        probe_seconds=seconds,
        warm_up=warm_up,
        drain=workload.deadline if workload.drain is None else workload.drain,
        run_seconds=math.inf if permitted.duration is None else permitted.duration,
        run_requests=math.inf if permitted.requests is None else permitted.requests,
    )


def _forecast(plan: SearchPlan) -> str:
    """How long a search may take, as a sentence."""
    ample = replace(plan, settings=replace(plan.settings, max_duration=math.inf))
    fastest, slowest = expected_durations(ample)
    shortest, longest = (format_duration(max(60.0 * round(each / 60), 1.0)) for each in (fastest, slowest))
    usual = f"about {longest}" if shortest == longest else f"{shortest} to {longest}"
    return (
        f"the search takes {usual} if the objectives are clearly met below some rate, and longer otherwise; it ends after "
        f"{format_duration(plan.settings.max_duration)} at most (--search-max-duration)"
        + (
            ", perhaps without a result: at a low rate, the requests that an objective needs take long, so start with a higher --rate"
            if fastest > plan.settings.max_duration
            else ""
        )
    )


def _verdict_on(code: int) -> Verdict:
    """The verdict on a search with this exit code."""
    return _VERDICT_OF.get(ExitCode(code), Verdict.INCONCLUSIVE)


def _print_result(probes: Sequence[Probe], verdict: Verdict, sentence: str, folder: Path) -> None:
    lines = textwrap.wrap(f"{verdict.value.upper()}  {sentence}", 100, initial_indent="  ", subsequent_indent="    ")
    print("\n".join([*probe_table(probes), "", *lines, ""]))
    print_run_folder(folder)


class ProbeRunner:
    """Runs the probes of a search and keeps their results."""

    def __init__(self, run: LocustRun, *, workload: Workload, plan: SearchPlan) -> None:
        self.probes: list[Probe] = []
        self._base = run
        self._options = run.options
        self._endpoint = run.endpoint
        self._folder = folder = run.folder
        self._workload = workload
        self._plan = plan
        self._started = utc_timestamp()
        folder.mkdir(parents=True, exist_ok=True)

    def run(self, request: ProbeRequest) -> Probe:
        """Run a probe and keep it. Raises SearchAborted."""
        begin = time.monotonic()
        self._pause(request.pause)
        summary = self._run(request)
        probe = measured_probe(request, summary, time.monotonic() - begin)
        self.probes.append(probe)
        self.write(None, "The search is in progress.", Verdict.INCONCLUSIVE)
        spent = sum(each.elapsed for each in self.probes)
        left = max(self._plan.settings.max_duration - spent, 0.0)
        print_message(
            f"{probe.rate:.4g}/s for {format_duration(probe.seconds)} ({probe.purpose}): {probe.verdict}; "
            f"{format_duration(round(spent))} so far, at most {format_duration(round(left))} left"
        )
        return probe

    def _pause(self, seconds: Seconds) -> None:
        """Let the target work off what an overload has left."""
        if seconds >= 1.0:
            print_message(
                f"pause of {format_duration(round(seconds))}: the target works off what the overload has left"
            )
            time.sleep(seconds)

    def _run(self, request: ProbeRequest) -> LoadSummary:
        """The summary of one run. Raises SearchAborted."""
        number = len(self.probes) + 1
        folder = self._folder / f"{number:02}_{request.rate:.4g}"
        values = {
            "rate": request.rate,
            "duration": request.seconds,
            "warm_up": self._plan.warm_up,
            "seed": self._options.seed + number,
        }
        options = argparse.Namespace(**{**vars(self._options), **values, "model": None})
        ended = run_locust(replace(self._base, options=options, folder=folder))
        code = ended.code
        if ended.interrupted or code == ExitCode.INTERRUPTED:
            raise SearchAborted(ExitCode.INTERRUPTED, "The search was interrupted.")
        if code in (ExitCode.PASS, ExitCode.INVALID) and not (folder / MANIFEST).exists():
            raise SearchAborted(ExitCode.INVALID, f"The run folder {folder} was deleted.")
        if code not in (ExitCode.PASS, ExitCode.INVALID):
            raise SearchAborted(
                code if code == ExitCode.USAGE else ExitCode.SOFTWARE, f"The run at {request.rate:.4g}/s failed."
            )
        summary = summarise_load(read_run(folder))
        if summary.verdict is Verdict.ERROR:
            raise SearchAborted(ExitCode.SOFTWARE, summary.reason)
        end = summary.run.end
        if end is None or end.ending is Ending.MACHINE_FAULT:
            raise SearchAborted(ExitCode.INVALID, summary.reason)
        for caveat in summary.caveats:
            if caveat.code in _ABORTING_CAVEATS:
                raise SearchAborted(_ABORTING_CAVEATS[caveat.code], caveat.text)
        return summary

    def write(self, result: SearchResult | None, summary: str, verdict: Verdict) -> None:
        """Write the result file, atomically."""
        data = {
            "format": FORMAT,
            "search": "saturation",
            "workload": self._workload.name,
            "target": self._endpoint.target.url,
            "emulated": self._endpoint.target.emulated,
            "label": self._options.label,
            "started": self._started,
            "objectives": [objective.text for objective in self._workload.objectives],
            "settings": {**asdict(self._plan.settings), "lowest": self._plan.lowest, "warm_up_s": self._plan.warm_up},
            "verdict": verdict,
            "saturation_rate_per_s": result.rate if result is not None else None,
            "missed_at_per_s": result.missed_at if result is not None else None,
            "interval_per_s": list(result.interval) if result is not None else [None, None],
            "no_rate_reason": result.no_rate_reason if result is not None else None,
            "summary": summary,
            "probes": [probe_data(probe) for probe in self.probes],
        }
        path = self._folder / SEARCH_FILE
        draft = path.with_name(f"{SEARCH_FILE}.part")
        try:
            draft.write_bytes(orjson.dumps(data, option=orjson.OPT_INDENT_2) + b"\n")
            draft.replace(path)
        except OSError as error:
            raise MachineFault(system_fault(f"cannot write {path}", error)) from error


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
