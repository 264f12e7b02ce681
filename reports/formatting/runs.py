"""Names, times and settings of runs."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime

from chainproof.clock import Seconds, format_duration
from chainproof.json_text import is_number
from chainproof.judgement.summary import Summary
from chainproof.results.coverage import Coverage
from chainproof.results.folder import Run
from chainproof.results.intervals.interval import by_second
from chainproof.results.manifest import Ending
from chainproof.results.settings import read_acceptances, read_phases

from .phases import phase_range
from .quantities import NOTHING, count
from .safe_text import escape_unprintable

_ENDINGS: dict[Ending | None, str] = {
    Ending.COMPLETED: "completed",
    Ending.INTERRUPTED: "interrupted",
    Ending.STOPPED_BY_GUARD: "stopped by a guard",
    Ending.INTERNAL_ERROR: "stopped by an error",
    Ending.MACHINE_FAULT: "stopped by a problem of the machine",
    None: "still going on or cut off",
}


def title(summary: Summary) -> str:
    """`Load run steady` or `Conformance run standard`, with the label of the run if it has one."""
    manifest = summary.run.manifest
    return f"{manifest.kind.value.capitalize()} run {escape_unprintable(manifest.name)}{label(manifest.label)}"


def label(text: str) -> str:
    """
    The label of a run behind its name; empty without one.

    >>> label("before"), label("")
    (' "before"', '')
    """
    return f' "{escape_unprintable(text)}"' if text else ""


def started(run: Run) -> str:
    """The start of a run, to the second."""
    return escape_unprintable(run.manifest.started.partition(".")[0].replace("T", " ").removesuffix("Z")) + " UTC"


def start_timestamp(started: str) -> Seconds:
    """The start of a run in seconds since the epoch; 0 if it cannot be read."""
    try:
        return datetime.fromisoformat(started).timestamp()
    except ValueError:
        return 0.0


def ending_and_duration(run: Run) -> str:
    """How a run ended, and after how long."""
    ending = _ENDINGS[run.end.ending if run.end is not None else None]
    if run.end is not None and run.end.ending is Ending.COMPLETED and run.coverage is not None and run.coverage.cut_by:
        ending = "ended early"
    if run.end is not None:
        return f"{ending} after {format_duration(run.end.seconds)}"
    return f"{ending} after {len(by_second(run.intervals))} s" if run.intervals else ending


def setting(name: str, value: object) -> tuple[str, str]:
    """
    A setting of the manifest: its name without the unit, its value with it.

    >>> setting("deadline_s", 30.0)
    ('deadline', '30 s')
    >>> setting("time_budget_s", None)
    ('time budget', '–')
    """
    key = escape_unprintable(name)
    if name in _LISTS:
        return _words(key), _LISTS[name](value) or NOTHING
    if value is None:
        return _words(key.removesuffix("_s").removesuffix("_per")), NOTHING
    number = is_number(value)
    if number and key.endswith("_per_s"):
        return _words(key.removesuffix("_per_s")), f"{value:g}/s"
    if number and key.endswith("_s"):
        return _words(key.removesuffix("_s")), format_duration(float(str(value)))
    return _words(key), escape_unprintable(value if isinstance(value, str) else _json_value(value))


def coverage_requests(coverage: Coverage) -> str:
    """The number of requests of a conformance run, and how many of them are not in its counts of answers."""
    others = coverage.requests - sum(coverage.statuses.values())
    if others <= 0:
        return count(coverage.requests)
    return (
        f"{count(coverage.requests)}; the answers leave out {count(others)}, which were sent to other paths or methods, were not "
        "valid HTTP, were not judged, or got no complete answer"
    )


def _words(key: str) -> str:
    """A key as words."""
    return key.replace("_", " ")


def _json_value(value: object) -> str:
    """A JSON value without JSON syntax."""
    if value is None:
        return NOTHING
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, list):
        return ", ".join(_json_value(each) for each in value) or NOTHING
    if isinstance(value, dict):
        return ", ".join(f"{_words(str(name))} {_json_value(each)}" for name, each in value.items()) or NOTHING
    return f"{value:g}" if isinstance(value, float) else str(value)


_LISTS: dict[str, Callable[[object], str]] = {
    "accept": lambda value: ", ".join(
        escape_unprintable(each.clause) + (f" until {each.until}" if each.until is not None else "")
        for each in read_acceptances(value)
    ),
    "phases": lambda value: ", ".join(
        f"{escape_unprintable(each.name)} {phase_range(each)}" + ("" if each.judged else " (not judged)")
        for each in read_phases(value)
    ),
}
"""Settings that are lists of objects."""
