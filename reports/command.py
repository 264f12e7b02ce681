"""
`chainproof reports RUN… [--html F] [--json F] [--markdown F] [--junit F]`: what run folders amount to, written down.

A format is loaded when it is asked for: the terminal summary, which other commands end with, waits for no chart library.
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
from chainproof.judgement.summary import Report, report
from chainproof.judgement.verdict import EXIT_CODE_OF
from chainproof.results.folder import Run, find_runs, find_searches, read_run
from chainproof.results.search_record import SearchRecord

from .formats import terminal

STDOUT = "-"

FORMATS: dict[str, tuple[str, str]] = {
    "html": (".formats.html", "one self-contained page with charts, readable without JavaScript"),
    "json": (".formats.json_report", "every figure, by the versioned schema chainproof.report/2"),
    "markdown": (".formats.markdown", "a summary for a CI job, such as $GITHUB_STEP_SUMMARY"),
    "junit": (".formats.junit", "JUnit XML: <failure> the target departed or missed, <error> we broke"),
}
"""Each format's option, the module whose `render` writes it, and what it is."""

Render = Callable[[Report], str]


@dataclass(frozen=True, slots=True, kw_only=True)
class ReportOutput:
    """
    A format and where it goes.
    """

    format: str
    path: Path | None
    """None is stdout."""


@command("reports")
def main(arguments: Sequence[str]) -> int:
    """
    Write what was asked for; the exit code is the verdict's.
    """
    options = _parser().parse_args(arguments)
    outputs = _outputs(options)
    renders = {output.format: _render(output.format) for output in outputs}
    found = report((_read(path) for path in _folders(options.runs)), _searches(options.runs))
    # Everything is rendered before anything is written: either all files are new, or none.
    texts = [(output, renders[output.format](found)) for output in outputs]
    for output, text in texts:
        _write(output.path, text)
    if outputs:
        _say_what_was_written(found, outputs)
    else:
        _show(terminal.render(found, colour=_colour_wanted()))
    return EXIT_CODE_OF[found.verdict]


def _parser() -> argparse.ArgumentParser:
    """
    What the command takes.
    """
    options = build_parser(
        "reports",
        "Says what one or more runs amount to: a summary on the terminal, or the formats that are asked for.",
        "The exit code is the verdict on the runs, whatever the format: the gravest of several. In JUnit XML, <failure>\n"
        "means that the target departed from a clause or missed an objective, <error> that we broke or the measurement\n"
        "is invalid, and <skipped> that nothing is said: not exercised, waived, accepted, or too little seen.",
    )
    options.add_argument("runs", metavar="RUN", nargs="+", type=Path, help="a run folder, or a folder of run folders")
    for name, (_, meaning) in FORMATS.items():
        options.add_argument(f"--{name}", metavar="FILE", help=f"{meaning}; - for stdout")
    return options


def _outputs(options: argparse.Namespace) -> list[ReportOutput]:
    """
    What is to be written where. Raises UsageError, before any work, where that cannot be.
    """
    asked = {name: getattr(options, name) for name in FORMATS if getattr(options, name) is not None}
    outputs = [
        ReportOutput(format=name, path=None if to == STDOUT else _checked(name, to)) for name, to in asked.items()
    ]
    places = [output.path for output in outputs]
    for place in places:
        if places.count(place) > 1:
            raise UsageError(f"expected a file of its own for every format, found {place or 'stdout'} twice")
    return outputs


def _checked(name: str, text: str) -> Path:
    """
    A path that can be written to, its links followed. Raises UsageError.
    """
    if not text:
        raise UsageError(f"expected a file after --{name}, found an empty name")
    path = Path(text).resolve()
    if path.is_dir():
        raise UsageError(f"expected a file after --{name}, found the folder {text}")
    if not path.parent.is_dir():
        raise UsageError(f"expected a file in a folder that exists after --{name}, found no folder {path.parent}")
    if not os.access(path if path.exists() else path.parent, os.W_OK):
        raise UsageError(f"cannot write {text} for --{name}: no permission")
    return path


def _render(name: str) -> Render:
    """
    The function that writes a format. Raises UsageError where its packages are not installed.
    """
    try:
        module = import_module(FORMATS[name][0], __package__)
    except ModuleNotFoundError as missing:
        if missing.name is None or missing.name.partition(".")[0] == "chainproof":
            raise
        raise UsageError(
            f"--{name} takes the package {missing.name!r}, which is not installed; "
            "install it with: pip install 'chainproof[reports]'"
        ) from missing
    return cast(Render, module.render)


def _folders(paths: Sequence[Path]) -> list[Path]:
    """
    Every run folder that the paths mean, each once, in their order.
    """
    return list(dict.fromkeys(folder for path in paths for folder in find_runs(path.resolve())))


def _searches(paths: Sequence[Path]) -> list[SearchRecord]:
    """
    Every search that the paths mean, each once, in their order.
    """
    return list({found.path: found for path in paths for found in find_searches(path.resolve())}.values())


def _read(folder: Path) -> Run:
    """
    The run in a folder. Raises UsageError where its files cannot be read.
    """
    try:
        return read_run(folder)
    except OSError as wrong:
        raise UsageError(f"cannot read the run folder {folder}: {wrong.strerror}") from wrong


def _write(path: Path | None, text: str) -> None:
    """
    The text on stdout or in a file, there whole or not at all. What is no regular file, or stands where no other can
    be made beside it, is written straight.
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
    except OSError as wrong:
        raise UsageError(f"cannot write {path}: {wrong.strerror}") from wrong


def _say_what_was_written(found: Report, outputs: Sequence[ReportOutput]) -> None:
    """
    A line on stderr, where it is in no format's way: the verdict and the files; before it what each search found.
    """
    for search in found.searches:
        _say(f"{search.path.name}: {search.summary}")
    files = [str(output.path) for output in outputs if output.path is not None]
    written = f"; wrote {', '.join(files)}" if files else ""
    _say(f"{found.verdict.value}: {found.reason.rstrip('.')}{written}")


def _say(sentence: str) -> None:
    """
    A line on stderr, whatever its encoding can spell.
    """
    print(f"chainproof reports: {sentence}".encode(errors="backslashreplace").decode(), file=sys.stderr)


def _show(text: str) -> None:
    """
    The text on stdout, whatever its encoding can spell.
    """
    encoding = sys.stdout.encoding or "utf-8"
    print(text.encode(encoding, errors="replace").decode(encoding), end="", flush=True)


def _colour_wanted() -> bool:
    """
    Whether stdout is a terminal that is not asked to stay plain (no-color.org).
    """
    return sys.stdout.isatty() and not os.environ.get("NO_COLOR") and os.environ.get("TERM") != "dumb"
