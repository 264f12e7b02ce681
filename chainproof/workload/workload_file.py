"""Reads workloads from TOML tables and files, and writes them as tables."""

from __future__ import annotations

import math
import sys
from collections.abc import Callable, Mapping
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any, cast

from chainproof.clock import Seconds
from chainproof.json_text import JSON
from chainproof.text_files import load_toml, read_settings, toml_duration, toml_number, toml_text
from chainproof.workload.objectives import Objective, parse_objective
from chainproof.workload.payloads import Payload, load_payloads, payload_from_text
from chainproof.workload.phases import Phase
from chainproof.workload.replay import (
    DEFAULT_TIMESTAMP_KEY,
    load_instants,
    shift_to_zero,
    unit_error,
)
from chainproof.workload.search_settings import SearchSettings, parse_share
from chainproof.workload.workload import ThinkTimeDistribution, Workload, WorkloadError, WorkloadModel, recording_values


def load_workload(path: Path) -> Workload:
    """The workload in a TOML file. Raises UsageError with all errors."""
    table = load_toml(path, "the workload")
    _resolve_files(table, path.parent)
    return parse_workload(table, name=path.stem, source=str(path))


def parse_workload(table: Mapping[str, object], *, name: str, source: str = "") -> Workload:
    """The workload in a TOML table. Raises WorkloadError with all errors of *source*, by default the workload *name*."""
    values, errors = read_settings(table, _READERS)
    if "phases" in values:
        errors += [f"{key}: not allowed together with phases" for key in ("rate", "duration") if key in table]
        phases = cast(tuple[Phase, ...], values["phases"])
        values["rate"] = max(phase.peak_rate for phase in phases)
        values["duration"] = sum(phase.duration for phase in phases)
    if "replay" in values:
        errors += [f"{key}: not allowed together with replay" for key in ("rate", "arrivals", "phases") if key in table]
        values = recording_values(cast(tuple[Seconds, ...], values.pop("replay")), values)
    workload = replace(Workload(name=name), **values)  # type: ignore[arg-type]  # each reader returns its field's type
    errors += workload.errors()
    if errors:
        raise WorkloadError(f"workload {source or name}: " + "; ".join(errors))
    return workload


def workload_table(workload: Workload) -> dict[str, JSON]:
    """The workload as the table of a TOML file, which `parse_workload` reads."""
    schedule: dict[str, JSON] = {"rate": workload.rate, "duration": workload.duration}
    if workload.recorded_starts:
        schedule = {"replay": list(workload.recorded_starts), "duration": workload.duration}
    if workload.phases:
        schedule = {"phases": [_phase_table(phase) for phase in workload.phases]}
    if not workload.recorded_starts:
        schedule["arrivals"] = workload.arrivals
    if workload.drain is not None:
        schedule["drain"] = workload.drain
    if workload.max_requests is not None:
        schedule["max_requests"] = workload.max_requests
    if workload.search is not None:
        schedule["search"] = {name: value for name, value in asdict(workload.search).items() if value is not None}
    return schedule | {
        "description": workload.description,
        "model": workload.model.value,
        "variation": workload.variation,
        "users": workload.users,
        "think_time": workload.think_time,
        "think_time_distribution": workload.think_time_distribution.value,
        "deadline": workload.deadline,
        "max_in_flight": workload.max_in_flight,
        "objectives": [objective.text for objective in workload.objectives],
        "payloads": [
            {"name": payload.name, "weight": payload.weight, "text": payload.encoded().decode()}
            for payload in workload.payloads
        ],
    }


def _integer(value: object) -> int:
    if isinstance(value, bool) or not isinstance(value, int):
        raise TypeError(f"expected a whole number, found {value!r}")
    if abs(value) > sys.maxsize:
        raise ValueError("expected a whole number of at most 18 digits, found a longer one")
    return value


def _model(value: object) -> WorkloadModel:
    if value not in [model.value for model in WorkloadModel]:
        raise ValueError(f"expected open or closed, found {value!r}")
    return WorkloadModel(value)


def _think_time_distribution(value: object) -> ThinkTimeDistribution:
    if value not in [each.value for each in ThinkTimeDistribution]:
        raise ValueError(f"expected constant or exponential, found {value!r}")
    return ThinkTimeDistribution(value)


def _objectives(value: object) -> tuple[Objective, ...]:
    if not isinstance(value, list):
        raise TypeError(f"expected a list of objectives such as 'p95 response_time < 800ms', found {value!r}")
    return tuple(parse_objective(toml_text(text)) for text in value)


def _payloads(value: object) -> tuple[Payload, ...]:
    if not isinstance(value, list) or not all(isinstance(row, dict) for row in value):
        raise TypeError("expected [[payloads]] tables, each with a body and optionally a name and a weight")
    return tuple(payload for number, row in enumerate(value, start=1) for payload in _payload(row, number))


def _payload(row: dict[str, object], number: int) -> tuple[Payload, ...]:
    contents = [isinstance(row.get("body"), dict), isinstance(row.get("file"), str), isinstance(row.get("text"), str)]
    if set(row) - {"name", "weight", "body", "file", "text"} or sum(contents) != 1:
        others = [key for key in ("body", "text", "file") if key in row]
        body = f"a `body` that is no table: {row['body']!r}" if others == ["body"] and not contents[0] else ""
        raise ValueError(
            f"payload {number}: expected a table `body`, a JSON `text` or a `file` with one JSON object per line, and "
            f"optionally name and weight, found {body or ', '.join(row) or 'nothing'}"
        )
    weight = toml_number(row.get("weight", 1.0))
    if "file" in row:
        return load_payloads(Path(toml_text(row["file"])), name=toml_text(row.get("name", "")), weight=weight)
    name = toml_text(row.get("name", f"payload {number}"))
    if "text" in row:
        return (payload_from_text(name, toml_text(row["text"]).encode(), weight),)
    payload = Payload(name=name, weight=weight, body=cast(dict[str, JSON], row["body"]))
    payload.encoded()  # raises UsageError for what JSON cannot hold
    return (payload,)


def _resolve_files(table: dict[str, object], folder: Path) -> None:
    """Make the file names in *table* relative to *folder*."""
    replay = table.get("replay")
    if isinstance(replay, str):
        table["replay"] = str(folder / replay)
    elif isinstance(replay, dict) and isinstance(replay.get("file"), str):
        replay["file"] = str(folder / replay["file"])
    rows = table.get("payloads")
    for row in rows if isinstance(rows, list) else ():
        if isinstance(row, dict) and isinstance(row.get("file"), str):
            row["file"] = str(folder / row["file"])


def _phases(value: object) -> tuple[Phase, ...]:
    if not isinstance(value, list) or not value or not all(isinstance(row, dict) for row in value):
        raise TypeError("expected [[phases]] tables, each with a name, a duration and a rate")
    return tuple(map(_phase, value))


def _phase(row: dict[str, object]) -> Phase:
    if set(row) - {"judged", "amplitude", "period"} != {"name", "duration", "rate"}:
        raise ValueError(
            f"expected name, duration and rate, and optionally judged, amplitude and period, found {sorted(row)}"
        )
    if ("amplitude" in row) is not ("period" in row):
        raise ValueError(f"expected amplitude and period together, found {sorted(row)}")
    rate = row["rate"]
    if isinstance(rate, list) and len(rate) != 2:
        raise ValueError(f"expected a rate or two rates [from, to], found {rate!r}")
    first, last = rate if isinstance(rate, list) else (rate, rate)
    judged = row.get("judged", True)
    if not isinstance(judged, bool):
        raise TypeError(f"expected judged to be true or false, found {judged!r}")
    return Phase(
        name=toml_text(row["name"]),
        duration=toml_duration(row["duration"]),
        rate=toml_number(first),
        final_rate=toml_number(last),
        amplitude=toml_number(row.get("amplitude", 0.0)),
        period=toml_duration(row["period"]) if "period" in row else math.inf,
        judged=judged,
    )


def _phase_table(phase: Phase) -> dict[str, JSON]:
    """A phase as the table that `_phase` reads."""
    row: dict[str, JSON] = {
        "name": phase.name,
        "duration": phase.duration,
        "rate": [phase.rate, phase.final_rate],
        "judged": phase.judged,
    }
    return row | {"amplitude": phase.amplitude, "period": phase.period} if phase.amplitude else row


def _replay(value: object) -> tuple[Seconds, ...]:
    if isinstance(value, str):
        return load_instants(Path(value))
    if isinstance(value, dict) and value.keys() <= {"file", "key"} and "file" in value:
        return load_instants(Path(toml_text(value["file"])), toml_text(value.get("key", DEFAULT_TIMESTAMP_KEY)))
    if not isinstance(value, list) or not value:
        raise TypeError(f"expected a file name, a table with file and key, or a list of instants, found {value!r}")
    instants = [toml_number(instant) for instant in value]
    problem = next(filter(None, map(unit_error, instants)), None)
    if problem is not None:
        raise ValueError(f"expected seconds, {problem}")
    return shift_to_zero(instants)


def _search(value: object) -> SearchSettings:
    if not isinstance(value, dict) or value.keys() - _SEARCH_READERS.keys():
        raise ValueError(f"expected a table with any of {', '.join(_SEARCH_READERS)}, found {value!r}")
    return SearchSettings(**{key: _SEARCH_READERS[key](setting) for key, setting in value.items()})


_SEARCH_READERS: dict[str, Callable[[object], Any]] = {
    "max_rate": toml_number,
    "resolution": lambda value: parse_share(value) if isinstance(value, str) else toml_number(value),
    "verifications": _integer,
    "max_requests": _integer,
    "max_duration": toml_duration,
}

_READERS = {
    "description": toml_text,
    "model": _model,
    "rate": toml_number,
    "arrivals": toml_text,
    "variation": toml_number,
    "replay": _replay,
    "users": _integer,
    "think_time": toml_duration,
    "think_time_distribution": _think_time_distribution,
    "duration": toml_duration,
    "deadline": toml_duration,
    "drain": toml_duration,
    "max_requests": _integer,
    "max_in_flight": _integer,
    "objectives": _objectives,
    "payloads": _payloads,
    "phases": _phases,
    "search": _search,
}
"""The settings of a workload file, and the function that reads each value."""
