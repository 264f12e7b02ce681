"""
The command `chainproof reports RUN… [--FORMAT FILE]…`: reports on run folders.

A format is imported only when it is requested, so that the terminal summary does not load the chart library.
"""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import cast

from chainproof.command import build_parser, command
from chainproof.errors import UsageError
from chainproof.judgement.search_check import check_search
from chainproof.judgement.summary import Report, report
from chainproof.judgement.verdict import EXIT_CODE_OF
from chainproof.results.folder import Run, find_runs, find_searches, read_run
from chainproof.results.search_record import SearchRecord

from .formats import terminal

STDOUT = "-"

FORMATS: dict[str, tuple[str, str]] = {
    "html": (".formats.html", "one self-contained page with charts, complete without JavaScript"),
    "json": (".formats.json_report", "all results as JSON, described by report.schema.json"),
    "markdown": (".formats.markdown", "a summary for a CI job, such as $GITHUB_STEP_SUMMARY"),
    "junit": (".formats.junit", "JUnit XML: <failure> for the target, <error> for chainproof"),
}
"""Option name, module with a `render` function, and help text of every format."""

Render = Callable[[Report], str]


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
    renders = {output.format: _render(output.format) for output in outputs}
    result = report((_read(path) for path in _folders(options.runs)), _searches(options.runs))
    # Everything is rendered before anything is written: either all files are written, or none.
    texts = [(output, renders[output.format](result)) for output in outputs]
    for output, text in texts:
        _write(output.path, text)
    if outputs:
        _print_written(result, outputs)
    else:
        _print(terminal.render(result, colour=_wants_colour()))
    return EXIT_CODE_OF[result.verdict]


def _parser() -> argparse.ArgumentParser:
    """The parser of the command line."""
    options = build_parser(
        "reports",
        "Show the results of one or more runs: a summary on the terminal, or the requested formats.",
        "The exit code is the verdict on the runs, in every format; of several runs, the most severe one. In JUnit XML,\n"
        "<failure> means that the target violated a clause or missed an objective, <error> that chainproof failed or the\n"
        "measurement is invalid, and <skipped> that there is no result: not exercised, waived, or too few requests.",
    )
    options.add_argument("runs", metavar="RUN", nargs="+", type=Path, help="a run folder, or a folder of run folders")
    for name, (_, meaning) in FORMATS.items():
        options.add_argument(f"--{name}", metavar="FILE", help=f"{meaning}; - for stdout")
    return options


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


def _render(name: str) -> Render:
    """The function that renders a format. Raises UsageError if its packages are not installed."""
    try:
        module = import_module(FORMATS[name][0], __package__)
    except ModuleNotFoundError as missing:
        if missing.name is None or missing.name.partition(".")[0] == "chainproof":
            raise
        raise UsageError(
            f"--{name} needs the package {missing.name!r}, which is not installed; "
            "install it with: pip install 'chainproof[reports]'"
        ) from missing
    return cast(Render, module.render)


def _folders(paths: Sequence[Path]) -> list[Path]:
    """Every run folder at the paths, without duplicates."""
    return list(dict.fromkeys(folder for path in paths for folder in find_runs(path.resolve())))


def _searches(paths: Sequence[Path]) -> list[SearchRecord]:
    """Every search at the paths, without duplicates. Raises UsageError if one disagrees with its run folders."""
    searches = {search.path: search for path in paths for search in find_searches(path.resolve())}
    for search in searches.values():
        check_search(search)
    return list(searches.values())


def _read(folder: Path) -> Run:
    """The run in a folder. Raises UsageError if its files cannot be read."""
    try:
        return read_run(folder)
    except OSError as error:
        raise UsageError(f"cannot read the run folder {folder}: {error.strerror}") from error


def _write(path: Path | None, text: str) -> None:
    """
    Write the text to stdout or to a file, completely or not at all.

    A device, or a file in a folder where no other file can be created, is written directly.
    """
    if path is None:
        sys.stdout.buffer.write(text.encode())
        sys.stdout.buffer.flush()
        return
    try:
        if path.exists() and not (path.is_file() and os.access(path.parent, os.W_OK)):
            path.write_text(text, encoding="utf-8")
            return
        draft = path.with_name(f".{path.name}.{os.getpid()}.part")
        draft.write_text(text, encoding="utf-8")
        draft.replace(path)
    except OSError as error:
        raise UsageError(f"cannot write {path}: {error.strerror}") from error


def _print_written(result: Report, outputs: Sequence[ReportOutput]) -> None:
    """Print the result of every search, the verdict and the written files to stderr."""
    for search in result.searches:
        _print_line(f"{search.path.name}: {search.summary}")
    files = [str(output.path) for output in outputs if output.path is not None]
    written = f"; wrote {', '.join(files)}" if files else ""
    _print_line(f"{result.verdict.value}: {result.reason.rstrip('.')}{written}")


def _print_line(line: str) -> None:
    """Print a line to stderr; characters outside its encoding are escaped."""
    print(f"chainproof reports: {line}".encode(errors="backslashreplace").decode(), file=sys.stderr)


def _print(text: str) -> None:
    """Print text to stdout; characters outside its encoding become question marks."""
    encoding = sys.stdout.encoding or "utf-8"
    print(text.encode(encoding, errors="replace").decode(encoding), end="", flush=True)


def _wants_colour() -> bool:
    """True if stdout is a terminal and colours are not switched off (no-color.org)."""
    return sys.stdout.isatty() and not os.environ.get("NO_COLOR") and os.environ.get("TERM") != "dumb"
