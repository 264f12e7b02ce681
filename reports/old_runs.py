"""
Remove the oldest runs of a folder, and nothing else.

A folder is removed only if it is a run or a search, has no other files, and is not being written. It gets another name
first, so that no report ever sees a part of it.
"""

from __future__ import annotations

import re
import shutil
import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

import orjson

from chainproof.clock import Seconds
from chainproof.errors import UsageError
from chainproof.results.folder import END, FILE_TYPES, MANIFEST
from chainproof.results.search_record import SEARCH_FILE
from chainproof.results.series_record import SERIES_FILE
from chainproof.text_files import read_regular

PAGE = "report.html"
_KNOWN = re.compile("|".join([*map(re.escape, (*FILE_TYPES, PAGE)), r"intervals-\d+\.jsonl", r"[\w.-]+\.part"]))
_REMOVED = ".removed-"
"""Begins the name of a folder that is being removed."""
QUIET: Seconds = 3600.0
"""A run without an end may still go on until nothing was written to it for so long."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Removal:
    """What was removed from a folder of runs."""

    removed: tuple[str, ...]
    """Names of run folders, the oldest first."""
    left: tuple[str, ...]
    """Why each of the other old ones was not removed."""


@dataclass(frozen=True, slots=True, order=True)
class _OldRun:
    """A run or a search in a folder of runs."""

    started: str
    path: Path


def remove_old_runs(folder: Path, keep: int) -> Removal:
    """Remove all runs and searches of a folder but the newest *keep*. Raises UsageError if it is none, or cannot be changed."""
    found = [what for name, what in ((MANIFEST, "a run"), (SERIES_FILE, "a series")) if (folder / name).exists()]
    if found or not folder.is_dir():
        raise UsageError(
            f"expected a folder of run folders for --keep, found {found[0] if found else 'none'}: {folder}"
        )
    for unfinished in folder.glob(f"{_REMOVED}*"):
        shutil.rmtree(unfinished, ignore_errors=True)
    runs = sorted(_runs(folder))
    removed: list[str] = []
    left: list[str] = []
    for run in runs[: max(len(runs) - keep, 0)]:
        obstacle = _obstacle(run.path)
        if obstacle is not None:
            left.append(f"{run.path.name}: {obstacle}")
            continue
        try:
            _remove(run.path)
        except OSError as error:
            raise UsageError(f"cannot remove {run.path}: {(error.strerror or str(error)).lower()}") from error
        removed.append(run.path.name)
    return Removal(removed=tuple(removed), left=tuple(left))


def _runs(folder: Path) -> Iterator[_OldRun]:
    """The runs and searches of a folder. A link is none: what it leads to may belong to somebody else."""
    for path in folder.iterdir():
        if path.is_symlink() or not path.is_dir():
            continue
        manifests = [path / MANIFEST] if (path / MANIFEST).exists() else _probes(path)
        starts = [_started(manifest) for manifest in manifests]
        if starts:
            yield _OldRun(max(starts), path)


def _probes(path: Path) -> list[Path]:
    """The manifests of the runs of a search; empty if the folder is not a search."""
    return sorted(path.glob(f"*/{MANIFEST}")) if (path / SEARCH_FILE).exists() else []


def _started(manifest: Path) -> str:
    """When a run began; if its manifest cannot be read, as late as possible, so that it is kept."""
    try:
        started = orjson.loads(read_regular(manifest))["started"]
    except (OSError, ValueError, KeyError, TypeError):
        return "9999"
    return started if isinstance(started, str) else "9999"


def _obstacle(path: Path) -> str | None:
    """Why a run or search must not be removed; None if it may be."""
    probes = [manifest.parent for manifest in _probes(path)]
    others = _other_files(path, probes)
    if others:
        return f"it has other files ({', '.join(sorted(others)[:3])})"
    for run in probes or [path]:
        if not (run / END).exists() and time.time() - _last_change(run) < QUIET:
            return "it has no end, so it may still go on"
    return None


def _other_files(path: Path, probes: Iterable[Path]) -> set[str]:
    """The names of what does not belong to a run or a search."""
    own = set(probes)
    names = {each.name for each in path.iterdir() if each not in own and (each.is_symlink() or not each.is_file())}
    files = {each.name for each in path.iterdir() if each.is_file()}
    names |= {name for name in files if name != SEARCH_FILE and _KNOWN.fullmatch(name) is None}
    return names.union(*(_other_files(probe, ()) for probe in own)) if own else names


def _last_change(path: Path) -> float:
    """When a file of a folder was last changed, in seconds since the epoch."""
    return max((each.stat().st_mtime for each in path.iterdir()), default=path.stat().st_mtime)


def _remove(path: Path) -> None:
    """Remove a folder, which has another name from the beginning on."""
    hidden = path.rename(path.with_name(f"{_REMOVED}{path.name}"))
    for name in (SEARCH_FILE, MANIFEST):  # without them, it is no search and no run
        (hidden / name).unlink(missing_ok=True)
    shutil.rmtree(hidden)
