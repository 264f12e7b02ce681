"""
The record of a series of runs, stored beside their run folders: which runs the series has.

It shows that a run folder is missing, or that another one stands in its place. While a series goes on, it has the planned
runs; afterwards those that were made.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypedDict

import orjson

from chainproof.errors import UsageError
from chainproof.results.folder import MANIFEST, read_manifest
from chainproof.results.manifest import Series, SeriesData
from chainproof.text_files import is_there, read_regular
from chainproof.typed_json import mismatch

SERIES_FILE = "series.json"
"""The record, in the folder that contains the runs."""
FORMAT = 1
"""The version of the record. Reports reject other versions."""
_REMEDY = "restore it, or name the run folders one by one"


class SeriesRecordData(TypedDict):
    """`series.json`."""

    format: int
    ended: bool
    runs: dict[str, SeriesData]


@dataclass(frozen=True, slots=True, kw_only=True)
class SeriesRecord:
    """The runs of a series."""

    runs: Mapping[str, Series]
    """The place of each run in the series, by the name of its folder."""
    ended: bool
    """False while the series goes on, and if it was killed: then some runs may not have been made."""


def write_series(path: Path, record: SeriesRecord) -> None:
    """Write the record into the folder of a series, or replace it. Raises OSError."""
    data: SeriesRecordData = {
        "format": FORMAT,
        "ended": record.ended,
        "runs": {name: series.to_json() for name, series in record.runs.items()},
    }
    draft = path / f"{SERIES_FILE}.part"
    draft.write_bytes(orjson.dumps(data, option=orjson.OPT_INDENT_2) + b"\n")
    draft.replace(path / SERIES_FILE)


def check_series(path: Path) -> None:
    """Compare the run folders of a series with its record. Raises UsageError; does nothing if the folder is no series."""
    file = path / SERIES_FILE
    if not is_there(file):
        return
    record = _read(file)
    for name, series in record.runs.items():
        if not is_there(path / name):
            if record.ended:
                raise UsageError(f"expected the run {path / name} of the series in {file}, found nothing: {_REMEDY}")
        elif read_manifest(path / name).series != series:
            raise UsageError(f"expected {path / name} to be the run that {file} names, found another one: {_REMEDY}")
    others = sorted(each.name for each in path.iterdir() if each.name not in record.runs and is_there(each / MANIFEST))
    if others:
        raise UsageError(f"expected only runs of the series in {file}, found {path / others[0]}: {_REMEDY}")


def _read(file: Path) -> SeriesRecord:
    """The record in a file. Raises UsageError."""
    try:
        data = orjson.loads(read_regular(file))
        problem = _problem(data)
        runs = {} if problem else {name: Series.from_json(series) for name, series in data["runs"].items()}
    except (OSError, ValueError) as error:
        problem, runs = str(error), {}
    if problem is not None:
        raise UsageError(f"expected the record of a series in {file}: {problem}; {_REMEDY}")
    return SeriesRecord(runs=runs, ended=data["ended"])


def _problem(data: Any) -> str | None:
    """What is wrong with a record; None if it can be read."""
    problem = mismatch(data, SeriesRecordData)
    if problem is not None:
        return problem
    if data["format"] != FORMAT:
        return f"format: expected {FORMAT}, found {data['format']}"
    outside = [name for name in data["runs"] if name != Path(name).name or name in ("", "..")]
    return f"runs: expected names of run folders, found {outside[0]!r}" if outside else None
