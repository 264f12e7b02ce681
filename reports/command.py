"""
The command `chainproof reports RUN… [--FORMAT FILE]…`: reports on run folders, comparisons and history.

A format is imported only when it is requested, so that the terminal summary does not load the chart library.
"""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from importlib import import_module
from io import TextIOWrapper
from pathlib import Path
from typing import Any, cast

from chainproof.command import build_parser, command, print_message
from chainproof.errors import UsageError
from chainproof.judgement.comparison.change import SHARE_TOLERANCE, TOLERANCE, Tolerance
from chainproof.judgement.comparison.comparison import Comparison, compare
from chainproof.judgement.comparison.copied_runs import SeenRuns
from chainproof.judgement.comparison.history import History, history
from chainproof.judgement.comparison.metrics import METRIC_KINDS, Metric
from chainproof.judgement.comparison.search_comparison import compare_searches
from chainproof.judgement.load_summary import LoadSummary
from chainproof.judgement.summary import Report, check_search, report, summary
from chainproof.judgement.verdict import EXIT_CODE_OF, ExitCode
from chainproof.machine_faults import MachineFault
from chainproof.options import count
from chainproof.results.folder import Run, distinct_names, find_runs, find_searches, read_run
from chainproof.results.search_record import SearchRecord
from chainproof.results.series_record import check_series
from chainproof.text_files import open_pipe_for_writing
from chainproof.workload.search_settings import parse_share

from .comparison import history_terminal
from .comparison import terminal as comparison_terminal
from .formats import terminal
from .old_runs import Removal, remove_old_runs

STDOUT = "-"

FORMATS: dict[str, tuple[str, str]] = {
    "html": (".formats.html", "one self-contained page with charts, complete without JavaScript"),
    "json": (".formats.json_report", "all results as JSON, described by report.schema.json"),
    "markdown": (".formats.markdown", "a summary for a CI job, such as $GITHUB_STEP_SUMMARY"),
    "junit": (".formats.junit", "JUnit XML: <failure> for the target, <error> for chainproof"),
    "ctrf": (".formats.ctrf", "the cases of JUnit in the Common Test Report Format (ctrf.io)"),
    "csv": (".formats.second_csv", "load runs second by second: counts, requests in flight, response times"),
    "requests": (".formats.request_csv", "the requests that --record-requests recorded, as CSV"),
    "hdr": (".formats.hdr_log", "response times of load runs as an HdrHistogram log"),
    "openmetrics": (".formats.open_metrics", "counts, histograms and percentiles for Prometheus"),
}
"""Option name, module with a `render` function for runs, and help text of every format."""

COMPARISON_FORMATS: dict[str, str] = {
    "html": ".comparison.html",
    "json": ".comparison.json_comparison",
    "markdown": ".comparison.markdown",
    "junit": ".comparison.junit",
}
"""The module with a `render` function for a comparison, by option name."""

HISTORY_FORMATS: dict[str, str] = {"html": ".comparison.history_html", "json": ".comparison.history_json"}
"""The same for the history of workloads."""

Render = Callable[..., str]
"""Writes a report or a comparison as text."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ReportOutput:
    """A format and its output file."""

    format: str
    path: Path | None
    """None is stdout."""


@command("reports")
def main(arguments: Sequence[str]) -> int:
    """Write the requested reports and return the exit code of the verdict."""
    options = _parser().parse_args(arguments)
    outputs = _outputs(options)
    kind = _kind_of_report(options)
    # A missing package is reported before anything is read or removed.
    otlp = None if options.otlp is None else _load(".formats.otlp", "otlp")
    if otlp is not None:
        otlp.check_url(options.otlp)
    renders = {output.format: _render(output.format, kind.formats) for output in outputs}
    for path in _pruned(options):
        _print_removal(remove_old_runs(path.resolve(), options.keep))
    try:
        result = kind.read(options)
    except UsageError as error:
        _write_refusal(outputs, error)
        raise
    # Everything is rendered before anything is written: either all files are written, or none.
    texts, faults = _rendered(renders, result, outputs)
    for output, text in texts.items():
        _write(output.path, text)
    if outputs:
        _print_written(result, list(texts))
    else:
        _print(kind.in_terminal(result, colour=_wants_colour()))
    if otlp is not None:
        otlp.send(result, options.otlp)
    if faults:
        raise MachineFault("; ".join(faults))
    return ExitCode.PASS if isinstance(result, History) else EXIT_CODE_OF[result.verdict]


Result = Report | Comparison | History


def _rendered(
    renders: Mapping[str, Render], result: Result, outputs: Sequence[ReportOutput]
) -> tuple[dict[ReportOutput, str], list[str]]:
    """The text of each output. If a problem of the machine prevents some, the others, and what the problems are."""
    texts, faults = dict[ReportOutput, str](), list[str]()
    for output in outputs:
        try:
            texts[output] = renders[output.format](result, **_details(result, output))
        except MachineFault as fault:
            faults.append(f"cannot write --{output.format}: {fault}")
    return texts, faults


@dataclass(frozen=True, slots=True, kw_only=True)
class KindOfReport:
    """What is shown: runs, a comparison, or the history of workloads."""

    formats: Mapping[str, str]
    """The module with a `render` function for each format."""
    read: Callable[[argparse.Namespace], Result]
    in_terminal: Render


def _details(result: Result, output: ReportOutput) -> dict[str, Path]:
    """Further arguments of `render`: a page with links needs the folder that it is in."""
    is_linked = isinstance(result, History) and output.format == "html"
    return {"folder": output.path.parent if output.path is not None else Path.cwd()} if is_linked else {}


def _kind_of_report(options: argparse.Namespace) -> KindOfReport:
    """What the options ask for. Raises UsageError if they contradict each other."""
    if options.otlp is not None and (options.against or options.history):
        raise UsageError("expected --otlp with a report on runs, found it with --against or --history")
    if options.against is not None:
        if not options.runs:
            raise UsageError("expected the runs of the candidate before --against, found none")
        return KindOfReport(formats=COMPARISON_FORMATS, read=_compare, in_terminal=comparison_terminal.render)
    for name in ("tolerance", "share_tolerance", "metric", "force"):
        if getattr(options, name) not in (None, False):
            raise UsageError(f"--{name.replace('_', '-')} belongs to a comparison: add --against BASELINE")
    if options.history is not None:
        if options.runs:
            raise UsageError("expected --against BASELINE with RUN and --history, or --history DIR alone")
        return KindOfReport(formats=HISTORY_FORMATS, read=_history, in_terminal=history_terminal.render)
    if not options.runs:
        raise UsageError("expected a run folder, or --history DIR")
    modules = {name: module for name, (module, _) in FORMATS.items()}
    return KindOfReport(formats=modules, read=_report, in_terminal=terminal.render)


def _report(options: argparse.Namespace) -> Report:
    """The report on the runs."""
    folders = _folders(options.runs)
    names = distinct_names(folders)
    return report((_read(path, names[path]) for path in folders), _searches(options.runs))


def _compare(options: argparse.Namespace) -> Comparison:
    """The comparison that the options ask for. Raises UsageError if the runs cannot be compared."""
    sides = [_folders(paths) for paths in (options.runs, options.against)]
    both = set(sides[0]) & set(sides[1])
    if both:
        raise UsageError(f"expected different runs on both sides, found {min(both)} on both")
    names = distinct_names(path for side in sides for path in side)
    candidates, baselines = ([summary(_read(path, names[path])) for path in side] for side in sides)
    searches = [_searches(paths) for paths in (options.runs, options.against)]
    given = {"relative": options.tolerance, "share": options.share_tolerance}
    tolerance = Tolerance(**{name: value for name, value in given.items() if value is not None})
    deciding = [Metric(name) for name in options.metric] if options.metric else tuple(Metric)
    if all(searches):
        if options.history is not None:
            raise UsageError(
                "expected --history with load runs, found searches: earlier runs do not show how much these differ"
            )
        return compare_searches(
            (searches[0], candidates), (searches[1], baselines), tolerance, deciding=deciding, force=options.force
        )
    left_out: list[str] = []
    return compare(
        candidates,
        baselines,
        tolerance=tolerance,
        history=[] if options.history is None else _load_summaries(options.history, left_out),
        deciding=deciding,
        force=options.force,
    )


def _history(options: argparse.Namespace) -> History:
    """The history of the load runs in a folder."""
    left_out: list[str] = []
    found = history(_load_summaries(options.history, left_out))
    if not found.workloads:
        raise UsageError(f"expected load runs in {options.history}, found none that can be read: {'; '.join(left_out)}")
    return replace(found, left_out=tuple(left_out))


def _pruned(options: argparse.Namespace) -> list[Path]:
    """The folders from which old runs are removed. Raises UsageError if a comparison is requested too."""
    if options.keep is None:
        return []
    if options.against is not None:
        raise UsageError("expected --keep without --against: remove old runs before or after the comparison")
    return [*options.runs, *([options.history] if options.history is not None else [])]


def _load_summaries(folder: Path, left_out: list[str]) -> Iterator[LoadSummary]:
    """The load runs in a folder, one at a time. What cannot be read is added to *left_out*. Raises UsageError if there is no run."""
    seen, names = SeenRuns(), distinct_names(_folders([folder]))
    for path, name in names.items():
        try:
            run = read_run(path, alias=name)
            original = seen.original_of(run)
            found = summary(run)
        except (UsageError, OSError) as error:
            left_out.append(f"{name}: {error}")
            continue
        if original is not None:
            left_out.append(f"{name}: the same run as {names[original]}")
        elif isinstance(found, LoadSummary):
            yield found
        else:
            left_out.append(f"{name}: a conformance run has no figures over time")


def _parser() -> argparse.ArgumentParser:
    """The parser of the command line."""
    parser = build_parser(
        "reports",
        "Show the results of one or more runs: a summary on the terminal, or the requested formats.",
        "The exit code is the verdict on the runs, in every format; of several runs, the most severe one. In JUnit XML,\n"
        "<failure> means that the target violated a clause or missed an objective, <error> that chainproof failed or the\n"
        "measurement is invalid, and <skipped> that there is no result: not exercised, waived, or too few requests.\n\n"
        "For a comparison, 1 means that the candidate is worse by more than the tolerance, 2 that the runs cannot be compared,\n"
        "3 that the runs are too few or too short to decide, and 4 that a run is invalid. The exit code of a history is 0.",
    )
    add_arguments(parser)
    return parser


def add_arguments(options: argparse.ArgumentParser) -> None:
    """Add the arguments to a parser; shell completion reads them too."""
    options.add_argument("runs", metavar="RUN", nargs="*", type=Path, help="a run folder, or a folder of run folders")
    options.add_argument(
        "--keep",
        metavar="N",
        type=count,
        help="before reporting, delete all but the newest N runs in each folder RUN; folders with other files, and runs that are still being written, are not deleted",
    )
    for name, (_, meaning) in FORMATS.items():
        options.add_argument(f"--{name}", metavar="FILE", help=f"{meaning}; - for stdout")
    options.add_argument(
        "--otlp",
        metavar="URL",
        help="also send the metrics to an OpenTelemetry collector, such as http://127.0.0.1:4318/v1/metrics",
    )
    _add_comparison_options(options)


def _add_comparison_options(options: argparse.ArgumentParser) -> None:
    """Add the options of comparisons."""
    group = options.add_argument_group(
        "comparison", "Tell whether the runs (the candidate) are worse than those of a baseline; see docs/comparing.md."
    )
    group.add_argument(
        "--against",
        metavar="BASELINE",
        nargs="+",
        type=Path,
        help="the run folders of the baseline, or folders of them",
    )
    group.add_argument(
        "--tolerance",
        metavar="SHARE",
        type=_tolerance,
        help=f"change of times and rates that does not matter (default: {TOLERANCE:.0%}%)",
    )
    group.add_argument(
        "--share-tolerance",
        metavar="POINTS",
        type=_tolerance,
        help=f"change of {_titles_of_shares()} that does not matter, in percentage points (default: {SHARE_TOLERANCE:.1%}%)",
    )
    group.add_argument(
        "--metric",
        action="append",
        choices=[metric.value for metric in Metric],
        help="let only this metric decide; may be repeated (default: all of them)",
    )
    group.add_argument(
        "--history",
        metavar="DIR",
        type=Path,
        help="with --against: earlier runs of the same workload, which make the comparison more precise; alone: show figures over time and where they changed",
    )
    group.add_argument(
        "--force", action="store_true", help="compare runs that differ in plan, machine or contract, or are invalid"
    )


def _titles_of_shares() -> str:
    """The metrics that are shares, in words."""
    return " and ".join(kind.title for kind in METRIC_KINDS.values() if kind.is_share)


def _tolerance(text: str) -> float:
    """A share from 0 %, and less than 100 %, for argparse."""
    try:
        value = parse_share(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from None
    if not 0 <= value < 1:
        raise argparse.ArgumentTypeError(f"expected a share from 0% to less than 100%, found {text!r}")
    return value


def _print_removal(removal: Removal) -> None:
    """Print which runs were removed, and which were not."""
    if removal.removed:
        number = len(removal.removed)
        print_message(
            "chainproof reports", f"removed {number} old run{'s' * (number != 1)}: {', '.join(removal.removed)}"
        )
    for reason in removal.left:
        print_message("chainproof reports", f"did not remove {reason}")


def _outputs(options: argparse.Namespace) -> list[ReportOutput]:
    """The requested outputs. Raises UsageError if one of them cannot be written."""
    requested = {name: getattr(options, name) for name in FORMATS if getattr(options, name) is not None}
    outputs = [
        ReportOutput(format=name, path=None if to == STDOUT else _output_path(name, to))
        for name, to in requested.items()
    ]
    paths = [output.path for output in outputs]
    for path in paths:
        if paths.count(path) > 1:
            raise UsageError(f"expected a different file for every format, found {path or 'stdout'} twice")
    return outputs


def _output_path(name: str, text: str) -> Path:
    """The path with its links resolved. Raises UsageError unless it can be written."""
    if not text:
        raise UsageError(f"expected a file after --{name}, found an empty name")
    path = Path(text).resolve()
    if path.is_dir():
        raise UsageError(f"expected a file after --{name}, found the folder {text}")
    if not path.parent.is_dir():
        raise UsageError(f"expected a file in an existing folder after --{name}, found no folder {path.parent}")
    if not os.access(path if path.exists() else path.parent, os.W_OK):
        raise UsageError(f"cannot write {text} for --{name}: no permission")
    return path


def _render(name: str, modules: Mapping[str, str]) -> Render:
    """The function that renders a format. Raises UsageError if its packages are not installed."""
    if name not in modules:
        raise UsageError(f"--{name} does not show this; use one of: {', '.join(f'--{each}' for each in modules)}")
    return cast(Render, _load(modules[name], name).render)


def _load(module: str, name: str) -> Any:
    """The module of an option. Raises UsageError if its packages are not installed."""
    try:
        loaded = import_module(module, __package__)
        for required in getattr(loaded, "REQUIRED", ()):
            import_module(required)
    except ModuleNotFoundError as missing:
        if missing.name is None or missing.name.partition(".")[0] == "chainproof":
            raise
        raise UsageError(
            f"--{name} needs the package {missing.name!r}, which is not installed; "
            f"install it with: pip install 'chainproof[{'otlp' if name == 'otlp' else 'reports'}]'"
        ) from missing
    return loaded


def _folders(paths: Sequence[Path]) -> list[Path]:
    """Every run folder at the paths, without duplicates. Raises UsageError if runs of a series at them are missing."""
    for path in paths:
        for folder in (path.resolve(), *(sorted(path.iterdir()) if path.is_dir() else ())):
            if folder.is_dir():
                check_series(folder)
    return list(dict.fromkeys(folder for path in paths for folder in find_runs(path.resolve())))


def _searches(paths: Sequence[Path]) -> list[SearchRecord]:
    """Every search at the paths, without duplicates. Raises UsageError if one disagrees with its run folders."""
    searches = {search.path: search for path in paths for search in find_searches(path.resolve())}
    for search in searches.values():
        check_search(search)
    return list(searches.values())


def _read(folder: Path, name: str) -> Run:
    """The run in a folder, which is called *name*. Raises UsageError if its files cannot be read."""
    try:
        return read_run(folder, alias=name)
    except OSError as error:
        raise UsageError(f"cannot read the run folder {folder}: {error.strerror}") from error


def _write(path: Path | None, text: str) -> None:
    """
    Write the text to stdout or to a file, completely or not at all.

    A device, or a file in a folder where no other file can be created, is written directly.
    """
    if path is None:
        cast(TextIOWrapper, sys.stdout).reconfigure(encoding="utf-8", errors="backslashreplace")
        sys.stdout.write(text)
        sys.stdout.flush()
        return
    data = text.encode(errors="backslashreplace")  # the name of a folder need not be UTF-8
    try:
        if path.is_fifo():
            with os.fdopen(open_pipe_for_writing(path), "wb") as pipe:
                pipe.write(data)
            return
        if path.exists() and not (path.is_file() and os.access(path.parent, os.W_OK)):
            path.write_bytes(data)
            return
        draft = path.with_name(f".{path.name}.{os.getpid()}.part")
        try:
            draft.write_bytes(data)
            draft.replace(path)
        except BaseException:  # no space, or Ctrl-C: what was written takes space, and is of no use
            with suppress(OSError):
                draft.unlink()
            raise
    except OSError as error:
        raise UsageError(f"cannot write {path}: {error.strerror}") from error


def _write_refusal(outputs: Sequence[ReportOutput], error: UsageError) -> None:
    """Write why there is no report to the Markdown file: the summary of a CI job would otherwise be empty."""
    for output in outputs:
        if output.format == "markdown" and output.path is not None:
            _write(output.path, f"# No report\n\n{_load('.formats.markdown', 'markdown').plain(str(error))}\n")


def _print_written(result: Result, outputs: Sequence[ReportOutput]) -> None:
    """Print the result of every search, the verdict and the written files to stderr."""
    for search in result.searches if isinstance(result, Report) else ():
        print_message("chainproof reports", f"{search.path.name}: {search.summary}")
    files = [str(output.path) for output in outputs if output.path is not None]
    written = f"; wrote {', '.join(files)}" if files else ""
    if isinstance(result, History):
        print_message(
            "chainproof reports", f"{len(result.workloads)} workload{'s' * (len(result.workloads) != 1)}{written}"
        )
    else:
        print_message("chainproof reports", f"{result.verdict.value}: {result.reason.rstrip('.')}{written}")


def _print(text: str) -> None:
    """Print text to stdout; characters outside its encoding become question marks."""
    encoding = sys.stdout.encoding or "utf-8"
    print(text.encode(encoding, errors="replace").decode(encoding), end="", flush=True)


def _wants_colour() -> bool:
    """True if stdout is a terminal and colours are not switched off (no-color.org)."""
    return sys.stdout.isatty() and not os.environ.get("NO_COLOR") and os.environ.get("TERM") != "dumb"
